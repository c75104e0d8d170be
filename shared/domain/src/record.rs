//! Records of the event log: payload, key, headers and position, all as bytes. Decoding is in [`crate::envelope`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::timestamp::Timestamp;

/// Largest payload of a record, in bytes. Kafka's default for a message is about the same.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Where a record is in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 0.
    pub partition: i32,
    /// From 0.
    pub offset: i64,
}

impl fmt::Display for Position {
    /// `partition:offset`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a position as partition:offset, such as 3:1027")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (partition, offset) = text.split_once(':').ok_or(InvalidPosition)?;
        let position = Self {
            partition: partition.parse().map_err(|_| InvalidPosition)?,
            offset: offset.parse().map_err(|_| InvalidPosition)?,
        };
        if position.partition < 0 || position.offset < 0 { Err(InvalidPosition) } else { Ok(position) }
    }
}

impl serde::Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Headers of a record in one buffer: for each header the length and bytes of its name, then of its value. Lengths
/// are u32, little-endian.
///
/// One buffer, so that the log and the batch copy all headers of a record at once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

impl Headers {
    pub const EMPTY: Self = Self(Vec::new());

    pub fn push(&mut self, name: &str, value: &[u8]) {
        put_header(&mut self.0, name, value);
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.push(name, value);
        self
    }

    pub fn view(&self) -> HeaderView<'_> {
        HeaderView(&self.0)
    }

    /// The buffer, for storage. [`HeaderView::from_bytes`] reads it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

fn put_header(buffer: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), value] {
        let length = u32::try_from(part.len()).expect("headers are far below 4 GiB");
        buffer.extend_from_slice(&length.to_le_bytes());
        buffer.extend_from_slice(part);
    }
}

/// Borrowed [`Headers`].
#[derive(Clone, Copy, Default)]
pub struct HeaderView<'a>(&'a [u8]);

impl<'a> HeaderView<'a> {
    /// Headers from a buffer written by [`Headers`]. A damaged buffer ends the iteration early.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Name and value of each header, in the order in which they were added.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let name = take_part(&mut rest)?;
            let value = take_part(&mut rest)?;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }

    /// The value of the first header with that name; the case is ignored.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// As [`HeaderView::get`]; `None` when the value is not UTF-8.
    pub fn get_str(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub fn to_owned(self) -> Headers {
        Headers(self.0.to_vec())
    }
}

impl fmt::Debug for HeaderView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(n, v)| (n, String::from_utf8_lossy(v)))).finish()
    }
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    Some(part)
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Selects the partition. Records without a key are spread evenly, and become dead letters.
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    pub headers: Headers,
}

/// A record of the log, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub topic: &'a str,
    pub position: Position,
    /// The time at which the log stored it.
    pub appended_at: Timestamp,
    pub key: Option<&'a [u8]>,
    /// `None` for Kafka's null payload.
    pub payload: Option<&'a [u8]>,
    pub headers: HeaderView<'a>,
}

/// The records of one poll, with the range of offsets that it covers in each partition. All bytes are in one buffer,
/// which the next poll reuses.
#[derive(Debug, Default)]
pub struct RecordBatch {
    topic: Box<str>,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    ranges: BTreeMap<i32, Range<i64>>,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    appended_at: Timestamp,
    key: Option<Range<usize>>,
    payload: Option<Range<usize>>,
    headers: Range<usize>,
}

impl RecordBatch {
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// Removes the records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.ranges.clear();
    }

    /// Starts the range of a partition at the position of the consumer, before its first record is pushed. That record
    /// can have a higher offset, because a log with transactions or compaction has gaps. An existing range is kept.
    pub fn begin(&mut self, partition: i32, from: i64) {
        self.ranges.entry(partition).or_insert(from..from);
    }

    /// The offsets that the batch covers in each partition: from the position of the consumer to the offset after the
    /// last record.
    pub fn ranges(&self) -> impl Iterator<Item = (i32, Range<i64>)> {
        self.ranges.iter().map(|(partition, range)| (*partition, range.clone()))
    }

    pub fn push(&mut self, position: Position, appended_at: Timestamp, record: RecordParts<'_>) {
        let entry = Entry {
            position,
            appended_at,
            key: record.key.map(|key| self.put(key)),
            payload: record.payload.map(|payload| self.put(payload)),
            headers: self.put(record.headers.0),
        };
        let Position { partition, offset } = position;
        self.ranges.entry(partition).or_insert(offset..offset).end = offset + 1;
        self.entries.push(entry);
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Removes the records of these partitions. Their bytes stay in the buffer.
    pub fn remove_partitions(&mut self, is_removed: impl Fn(i32) -> bool) {
        self.entries.retain(|entry| !is_removed(entry.position.partition));
        self.ranges.retain(|partition, _| !is_removed(*partition));
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys, payloads and headers, also of records that were removed.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The record at `index`, in the order of arrival.
    ///
    /// # Panics
    /// When `index` is not below [`RecordBatch::len`].
    pub fn get(&self, index: usize) -> Record<'_> {
        let entry = &self.entries[index];
        Record {
            topic: &self.topic,
            position: entry.position,
            appended_at: entry.appended_at,
            key: entry.key.clone().map(|range| &self.bytes[range]),
            payload: entry.payload.clone().map(|range| &self.bytes[range]),
            headers: HeaderView(&self.bytes[entry.headers.clone()]),
        }
    }

    /// All records, in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// The parts of a record that [`RecordBatch::push`] copies.
#[derive(Debug, Clone, Copy)]
pub struct RecordParts<'a> {
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: HeaderView<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_can_be_read_from_their_bytes() {
        let headers = Headers::EMPTY.with("content-type", b"application/json").with("empty", b"");
        let view = HeaderView::from_bytes(headers.as_bytes());
        assert_eq!(view.get_str("Content-Type"), Some("application/json"));
        assert_eq!(view.get("empty"), Some(&b""[..]));
        assert_eq!(view.get("absent"), None);
        assert_eq!(
            HeaderView::from_bytes(&headers.as_bytes()[..9]).iter().count(),
            0,
            "a damaged buffer ends the iteration"
        );
    }

    #[test]
    fn a_batch_returns_its_records() {
        let mut batch = RecordBatch::new("events");
        let headers = Headers::EMPTY.with("a", b"b");
        for offset in 0..3 {
            let parts = RecordParts { key: Some(b"k"), payload: None, headers: headers.view() };
            let partition = i32::try_from(offset % 2).unwrap();
            batch.push(Position { partition, offset }, Timestamp::now(), parts);
        }
        batch.remove_partitions(|partition| partition == 1);
        let offsets: Vec<_> = batch.iter().map(|r| r.position.offset).collect();
        assert_eq!(offsets, [0, 2]);
        let record = batch.get(1);
        assert_eq!((record.key, record.payload), (Some(&b"k"[..]), None));
        assert_eq!(record.headers.get("a"), Some(&b"b"[..]));
    }

    #[test]
    fn a_range_starts_at_the_position_of_the_consumer() {
        let mut batch = RecordBatch::new("events");
        let parts = RecordParts { key: None, payload: None, headers: HeaderView::default() };
        // Offsets 5 and 6 are a gap, such as the marker of a transaction.
        batch.begin(3, 5);
        for offset in [7, 8] {
            batch.begin(3, 100);
            batch.push(Position { partition: 3, offset }, Timestamp::now(), parts);
        }
        assert_eq!(batch.ranges().collect::<Vec<_>>(), [(3, 5..9)]);
        batch.clear();
        assert_eq!(batch.ranges().count(), 0);
    }

    #[test]
    fn positions_round_trip_through_text() {
        let position = Position { partition: 3, offset: 1027 };
        assert_eq!("3:1027".parse(), Ok(position));
        assert_eq!(position.to_string(), "3:1027");
        for text in ["", "3", "3:", "a:1", "-1:2", "1:-2"] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }
}
