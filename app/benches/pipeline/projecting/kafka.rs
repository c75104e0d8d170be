//! The projector from librdkafka's mock cluster, which keeps only 5 MiB a partition: so in rounds of a bounded backlog.
//! Filling a round is not timed; fetching it is, from the moment the projector may start.

use std::path::Path;
use std::time::{Duration, Instant};

use millrace::simulator::Simulator;
use millrace_event_log::kafka::{KafkaProperties, KafkaSettings};
use millrace_event_log::{EventLog, EventLogUrl, LogSettings};
use millrace_platform::sqlite::Synchronous;
use millrace_projector::projection::Projection;
use millrace_projector::projector::Step;
use rdkafka::mocking::MockCluster;

use super::{BATCH_EVENTS, SETTINGS, events, new_projector, per_second, store};

/// Enough for a round's bytes, although keys spread unevenly.
const PARTITIONS: i32 = 24;
const ROUND_EVENTS: usize = 2 * BATCH_EVENTS;

pub(super) fn rate(dir: &Path, synchronous: Synchronous) -> f64 {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", PARTITIONS, 1).unwrap();
    let url = EventLogUrl::Kafka { brokers: cluster.bootstrap_servers(), topic: "events".to_owned() };
    let properties: KafkaProperties = "fetch.wait.max.ms=5".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut simulator = Simulator::new(1);
    let mut time = Duration::ZERO;
    let rounds = events() / ROUND_EVENTS;
    for round in 0..rounds {
        // A group of its own: the mock takes seconds for every join but a group's first.
        let kafka = KafkaSettings { group: format!("bench-{round}"), properties: properties.clone() };
        let log = EventLog::open(&url, &LogSettings { partitions: PARTITIONS, kafka }).unwrap();
        for _ in 0..ROUND_EVENTS / 10_000 {
            let records = (0..10_000).map(|_| simulator.next_event().to_record()).collect();
            runtime.block_on(log.append(records)).unwrap();
        }
        let projection = Projection::Sqlite(store(dir, synchronous));
        let mut settings = SETTINGS;
        settings.wait = Duration::from_millis(20);
        let mut projector = new_projector(&log, projection, settings);
        while !matches!(projector.step().unwrap(), Step::Rebalanced) {}
        let started = Instant::now();
        let mut done = 0;
        while done < ROUND_EVENTS {
            if let Step::Projected(records) = projector.step().unwrap() {
                done += records;
            }
        }
        time += started.elapsed();
    }
    per_second(rounds * ROUND_EVENTS, time)
}
