//! One log line every ten seconds: how fast, how many dead letters, how quick the store.

use std::time::Duration;

use shared::metrics::{Metrics, quantile_since};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use write_side::dead_letter::{DeadLetters, LetterFilter};
use write_side::projector::ProgressReader;

const SECONDS_PER_LINE: u32 = 10;

/// Reports until it is told to stop.
pub async fn run(
    progress: &ProgressReader,
    letters: &DeadLetters,
    metrics: &Metrics,
    stop: &CancellationToken,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut last_second, mut last_line) = (progress.records(), progress.records());
    let mut buckets = Vec::new();
    let mut tick = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let records = progress.records();
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics.events_per_second.set((records - last_second) as f64);
        last_second = records;
        if tick == SECONDS_PER_LINE {
            let (p95_seconds, counts) = quantile_since(&metrics.db_latency, 0.95, &buckets);
            buckets = counts;
            // Letters are closed by other processes too.
            if let Ok(depth) = letters.depth(&LetterFilter::default()).await {
                metrics.dlq_depth.set(depth.cast_signed());
            }
            let events_per_second = (records - last_line) / u64::from(SECONDS_PER_LINE);
            tracing::info!(
                events_per_second,
                dead_letters = metrics.dlq_depth.get(),
                db_p95_ms = p95_seconds.map(|seconds| seconds * 1e3),
                "in the last {SECONDS_PER_LINE} s"
            );
            last_line = records;
            tick = 0;
        }
        tick += 1;
    }
}
