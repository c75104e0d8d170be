//! Copies a record out of librdkafka. Any producer can have written it, so nothing about it is trusted.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use millrace_domain::record::{Headers, RecordParts};
use millrace_domain::{Position, RecordBatch, Timestamp};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

/// Copies a record into the batch and advances `next`. A record of a partition that is not in `next` is ignored.
pub(super) fn copy(message: &BorrowedMessage<'_>, next: &mut BTreeMap<i32, i64>, batch: &mut RecordBatch) {
    let position = Position { partition: message.partition(), offset: message.offset() };
    let Some(next) = next.get_mut(&position.partition) else {
        return;
    };
    batch.begin(position.partition, *next);
    // The bytes are copied: a message that is kept holds memory of librdkafka's queue.
    *next = position.offset + 1;
    let appended_at = message.timestamp().to_millis().map(|millis| millis.saturating_mul(1000));
    let headers = copy_headers(message);
    let parts = RecordParts { key: message.key(), payload: message.payload(), headers: headers.view() };
    let appended_at = appended_at.and_then(Timestamp::from_micros);
    batch.push(position, appended_at.unwrap_or_else(Timestamp::now), parts);
}

fn copy_headers(message: &BorrowedMessage<'_>) -> Headers {
    let mut copy = Headers::EMPTY;
    let Some(headers) = message.headers() else {
        return copy;
    };
    for index in 0..headers.count() {
        // rdkafka panics on a header name that is not UTF-8, and another producer can send one.
        match catch_unwind(AssertUnwindSafe(|| headers.try_get(index))) {
            Ok(Some(header)) => copy.push(header.key, header.value.unwrap_or_default()),
            Ok(None) => break,
            Err(_) => {
                tracing::warn!(target: "millrace::event_log", "ignored a header whose name is not UTF-8");
            }
        }
    }
    copy
}
