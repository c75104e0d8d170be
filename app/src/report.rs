//! Logs events per second, open dead letters and the latency of the store, every ten seconds.

use std::time::Duration;

use millrace_projector::dead_letter::{DeadLetters, LetterFilter};
use millrace_projector::metrics::ProjectorMetrics;
use millrace_projector::projector::ProgressReader;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const SECONDS_PER_LINE: u32 = 10;

/// Runs until `stop` is cancelled.
pub async fn run(
    progress: &ProgressReader,
    letters: &DeadLetters,
    metrics: &ProjectorMetrics,
    stop: &CancellationToken,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut last_second, mut last_line) = (progress.records(), progress.records());
    let mut buckets = Vec::new();
    let (mut tick, mut is_counted) = (0, false);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let records = progress.records();
        #[expect(clippy::cast_precision_loss, reason = "records in one second")]
        metrics.records_per_second.set((records - last_second) as f64);
        last_second = records;
        // Other processes close letters too, so the number is read again. At start the store may be unavailable.
        if tick == SECONDS_PER_LINE || !is_counted {
            let depth = letters.depth(&LetterFilter::default()).await;
            is_counted = depth.is_ok();
            if let Ok(depth) = depth {
                metrics.dead_letters_open.set(depth.cast_signed());
            }
        }
        if tick == SECONDS_PER_LINE {
            let (p95_seconds, counts) = metrics.store.quantile_since(0.95, &buckets);
            buckets = counts;
            let events_per_second = (records - last_line) / u64::from(SECONDS_PER_LINE);
            tracing::info!(
                target: "millrace::app",
                events_per_second,
                dead_letters = metrics.dead_letters_open.get(),
                db_p95_ms = p95_seconds.map(|seconds| seconds * 1e3),
                "last {SECONDS_PER_LINE} s"
            );
            last_line = records;
            tick = 0;
        }
        tick += 1;
    }
}
