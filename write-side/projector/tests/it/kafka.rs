//! The projector over real Kafka: sharing, growth, retention, a missing topic, a long outage of the store.
//!
//! Each test creates a topic of its own. Without Kafka the tests are skipped and report it.

use std::time::{Duration, Instant};

use millrace_domain::Envelope;
use millrace_event_log::kafka::KafkaSettings;
use millrace_event_log::{EventLog, LogSettings};
use millrace_mssql::ReadModelUrl;
use millrace_platform::change_feed::ChangeFeed;
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_platform::settings::Switch;
use millrace_projector::metrics::ProjectorMetrics;
use millrace_projector::projection::Projection;
use millrace_projector::projector::{
    Progress, Projector, ProjectorError, ProjectorParts, ProjectorSettings, ProjectorState, ProjectorThread,
    Step,
};
use millrace_projector::retry::Backoff;
use millrace_testkit::kafka::{Topic, brokers};
use millrace_testkit::oracle::{expected_tables, stock};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::world::{SETTINGS, rows, tables};

const STEP_WAIT: Duration = Duration::from_millis(20);
/// Only ends a broken test.
const DEADLINE: Duration = Duration::from_secs(60);
const PROPERTIES: &str =
    "session.timeout.ms=2000;heartbeat.interval.ms=200;topic.metadata.refresh.interval.ms=300";

/// A topic, a read model, and projectors between them.
struct OverKafka {
    topic: Topic,
    dir: TempDir,
    log: EventLog,
    metrics: ProjectorMetrics,
    runtime: tokio::runtime::Runtime,
}

impl OverKafka {
    fn new(partitions: i32) -> Option<Self> {
        Some(Self::on(Topic::new(&brokers()?, partitions), partitions, ""))
    }

    fn on(topic: Topic, partitions: i32, properties: &str) -> Self {
        let kafka = KafkaSettings {
            group: topic.name().to_owned(),
            properties: format!("{PROPERTIES};{properties}").parse().unwrap(),
        };
        let log = EventLog::open(&topic.url().parse().unwrap(), &LogSettings { partitions, kafka }).unwrap();
        let registry = MetricsRegistry::new();
        let metrics = ProjectorMetrics::register(&registry, StoreMetrics::register(&registry));
        Self {
            topic,
            dir: tempfile::tempdir().unwrap(),
            log,
            metrics,
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn read_model(&self) -> std::path::PathBuf {
        self.dir.path().join("read_model.db")
    }

    fn projector(&self) -> Projector {
        self.projector_with(ProjectorSettings { wait: STEP_WAIT, ..SETTINGS })
    }

    fn projector_with(&self, settings: ProjectorSettings) -> Projector {
        let (projection, _) = Projection::open(&ReadModelUrl::Sqlite(self.read_model())).unwrap();
        let progress = Progress::new(self.log.topic(), settings.breaker);
        Projector::new(&self.log, projection, settings, self.metrics.clone(), progress).unwrap()
    }

    fn append(&self, events: &[Envelope]) {
        let records = events.iter().map(Envelope::to_record).collect();
        self.runtime.block_on(self.log.append(records)).unwrap();
    }

    fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.read_model()).unwrap()
    }

    /// Whether the checkpoints are at the ends of the partitions.
    fn is_projected(&self) -> bool {
        let ends: Vec<_> = self.topic.ends().iter().map(i64::to_string).collect();
        rows(&self.sql(), "SELECT next_offset FROM checkpoints ORDER BY partition") == ends
    }

    fn letters(&self) -> Vec<String> {
        rows(&self.sql(), "SELECT reason FROM dead_letters")
    }
}

fn step(projector: &mut Projector) {
    assert!(!matches!(projector.step().unwrap(), Step::Waiting(_)), "everything is available here");
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Many stock events of a few things: what is counted twice, or not at all, shows in a sum.
fn adjustments(from: i64, count: i64) -> Vec<Envelope> {
    (from..from + count).map(|n| stock(&format!("e{n}"), n, &format!("s{}", n % 97), n, None)).collect()
}

#[test]
fn two_projectors_share_the_partitions_and_take_over() {
    let Some(over) = OverKafka::new(6) else { return };
    let events = adjustments(0, 900);
    let owned = |projector: &Projector| projector.partitions().len();

    over.append(&events[..300]);
    let mut first = over.projector();
    until("one projector projects everything", || {
        step(&mut first);
        over.is_projected()
    });
    let mut second = over.projector();
    over.append(&events[300..600]);
    until("both have their share, and all is projected", || {
        step(&mut first);
        step(&mut second);
        owned(&first) == 3 && owned(&second) == 3 && over.is_projected()
    });
    over.append(&events[600..]);
    drop(first);
    until("the one that is left projects everything", || {
        step(&mut second);
        owned(&second) == 6 && over.is_projected()
    });
    assert_eq!(tables(&over.read_model()), expected_tables(&events));
    assert_eq!(over.letters(), Vec::<String>::new());
    let applied = over.metrics.events_processed.with_label_values(&["InventoryAdjusted", "applied"]).get();
    assert_eq!(applied, 900, "each counted by one of them, once");
}

#[test]
fn new_partitions_are_picked_up_from_their_first_record() {
    let Some(over) = OverKafka::new(1) else { return };
    let events = adjustments(0, 400);
    over.append(&events[..200]);
    let mut projector = over.projector();
    until("the only partition is projected", || {
        step(&mut projector);
        over.is_projected()
    });
    over.topic.grow(4);
    until("the producer knows of the new partitions", || {
        over.append(&events[200..]);
        over.topic.ends().iter().all(|end| *end > 0)
    });
    until("all partitions are projected", || {
        step(&mut projector);
        over.is_projected()
    });
    assert_eq!(projector.partitions().len(), 4);
    assert_eq!(tables(&over.read_model()), expected_tables(&events));
}

#[track_caller]
fn refusal_to_start(over: &OverKafka) -> String {
    let mut projector = over.projector();
    let started = Instant::now();
    loop {
        match projector.step() {
            Ok(_) => assert!(started.elapsed() < DEADLINE, "it goes on as if nothing were missing"),
            Err(ProjectorError::Log(error)) => return error.to_string(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn retention_that_outran_the_checkpoint_is_a_loud_error() {
    let Some(over) = OverKafka::new(1) else { return };
    over.append(&adjustments(0, 10));
    let mut projector = over.projector();
    until("the first records are projected", || {
        step(&mut projector);
        over.is_projected()
    });
    drop(projector);
    over.append(&adjustments(10, 20));
    over.topic.delete_before(0, 25);
    let before = tables(&over.read_model());
    let refusal = refusal_to_start(&over);
    for part in ["0:10", "0:25", over.topic.name(), "deleted before they were projected"] {
        assert!(refusal.contains(part), "{part:?} in {refusal}");
    }
    assert_eq!(tables(&over.read_model()), before, "nothing was projected past the gap");
}

#[test]
fn retention_that_outran_a_partition_of_which_nothing_was_ever_projected_is_loud_as_well() {
    let Some(over) = OverKafka::new(1) else { return };
    let mut projector = over.projector();
    until("the empty topic is begun", || {
        step(&mut projector);
        over.is_projected()
    });
    drop(projector);
    over.append(&adjustments(0, 20));
    over.topic.delete_before(0, 5);
    let refusal = refusal_to_start(&over);
    assert!(refusal.contains("0:0") && refusal.contains("0:5"), "{refusal}");
}

#[test]
fn a_new_read_model_takes_what_retention_has_left() {
    let Some(over) = OverKafka::new(2) else { return };
    let events = adjustments(0, 40);
    over.append(&events);
    let ends = over.topic.ends();
    over.topic.delete_before(0, ends[0]);
    let mut projector = over.projector();
    until("what is left is projected", || {
        step(&mut projector);
        over.is_projected()
    });
    let counted = rows(&over.sql(), "SELECT COUNT(*) FROM projected_events");
    assert_eq!(counted, [ends[1].to_string()]);
}

#[test]
fn a_missing_topic_is_made_with_the_partitions_that_are_set() {
    let Some(brokers) = brokers() else { return };
    let over = OverKafka::on(Topic::missing(&brokers), 5, "");
    let events = adjustments(0, 50);
    over.append(&events);
    assert_eq!(over.topic.ends().len(), 5);
    let mut projector = over.projector();
    until("all is projected", || {
        step(&mut projector);
        over.is_projected()
    });
    assert_eq!(tables(&over.read_model()), expected_tables(&events));
}

#[test]
fn a_long_outage_of_the_store_costs_no_membership_and_no_letter() {
    let Some(brokers) = brokers() else { return };
    let over = OverKafka::on(Topic::new(&brokers, 3), 3, "max.poll.interval.ms=2000");
    let events = adjustments(0, 100);
    let mut settings = ProjectorSettings { wait: STEP_WAIT, ..SETTINGS };
    let tenth = Duration::from_millis(100);
    settings.backoff = Backoff { initial: tenth, max: tenth };
    settings.breaker.failures_max = 2;
    settings.breaker.timeout = Duration::from_secs(1);
    let (stop, progress) = (CancellationToken::new(), Progress::new(over.log.topic(), settings.breaker));
    let reader = progress.reader();
    let parts = ProjectorParts {
        log: over.log.clone(),
        read_model: ReadModelUrl::Sqlite(over.read_model()),
        migrate: Switch::On,
        settings,
        metrics: over.metrics.clone(),
        feed: ChangeFeed::default(),
        progress,
    };
    let entered = over.runtime.enter();
    let thread = ProjectorThread::start(parts, stop.clone()).unwrap();
    drop(entered);
    until("it has partitions", || reader.state() == ProjectorState::Running);
    let members = over.topic.members();
    assert_eq!(members.len(), 1);

    let blocker = over.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    over.append(&events);
    until("the breaker opens", || over.metrics.circuit_breaker_state.get() == 2);
    let before = over.metrics.store.operations("apply");
    // A second between two attempts, so this is beyond the longest time without a poll.
    until("the store was called some more", || over.metrics.store.operations("apply") >= before + 4);
    let reason = reader.state().not_ready_reason().unwrap();
    assert!(reason.contains("read model unavailable"), "{reason}");
    assert_eq!(over.topic.members(), members, "it never left the group");

    blocker.execute_batch("ROLLBACK").unwrap();
    until("all is projected", || over.is_projected());
    until("it is ready", || reader.state().not_ready_reason().is_none());
    stop.cancel();
    over.runtime.block_on(thread.ended()).unwrap();
    assert_eq!(tables(&over.read_model()), expected_tables(&events));
    assert_eq!(over.letters(), Vec::<String>::new());
    assert_eq!(over.metrics.dead_letters.get(), 0);
}
