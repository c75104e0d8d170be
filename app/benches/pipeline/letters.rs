//! How long a person waits for a page of dead letters when there are ten thousand.

use std::time::Instant;

use millrace_domain::record::Headers;
use millrace_domain::{Position, Timestamp};
use millrace_mssql::ReadModelUrl;
use millrace_projector::dead_letter::{DeadLetter, DeadLetters, LetterFilter};
use millrace_projector::projection::{Batch, Projection, Span};

use crate::load::percentile;

const LETTERS: u32 = 10_000;
const SAMPLES: u32 = 100;

pub(crate) fn run() {
    let dir = tempfile::tempdir().unwrap();
    let url = ReadModelUrl::Sqlite(dir.path().join("read_model.db"));
    fill(&url);
    let letters = DeadLetters::at(&url);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rare = || LetterFilter { reason: Some("rare".to_owned()), ..LetterFilter::default() };
    println!("\n{LETTERS} dead letters of 1 KiB, {SAMPLES} samples each:");
    for (what, filter, limit, offset) in [
        ("first page of 50", LetterFilter::default(), 50, 0),
        ("last page of 50", LetterFilter::default(), 50, LETTERS - 50),
        ("page of 1,000", LetterFilter::default(), 1_000, 4_000),
        ("1 in 1,000, by reason", rare(), 50, 0),
    ] {
        time(what, || runtime.block_on(letters.page(&filter, limit, offset)).unwrap().len());
    }
    time("groups", || runtime.block_on(letters.groups(&LetterFilter::default())).unwrap().len());
}

fn time(what: &str, mut ask: impl FnMut() -> usize) {
    let sample = |_| {
        let started = Instant::now();
        assert!(ask() > 0);
        started.elapsed().as_secs_f64() * 1e3
    };
    let mut times_ms: Vec<_> = (0..SAMPLES).map(sample).collect();
    let (p50, p99) = (percentile(&mut times_ms, 0.5), percentile(&mut times_ms, 0.99));
    println!("{what:<24} p50 {p50:6.2} ms, p99 {p99:6.2} ms");
}

fn fill(url: &ReadModelUrl) {
    let (mut projection, _) = Projection::open(url).unwrap();
    let letter = |number: u32| DeadLetter {
        topic: "events".to_owned(),
        position: Position { partition: 0, offset: i64::from(number) },
        reason: if number.is_multiple_of(1_000) { "rare" } else { "unknown-type" }.to_owned(),
        error: "the event type is not known".to_owned(),
        causes: Vec::new(),
        event_id: Some(format!("event-{number}")),
        event_type: Some(format!("Type{}", number % 7)),
        key: Some(b"key".to_vec()),
        payload: Some(vec![b'x'; 1_024]),
        headers: Headers::EMPTY.with("content-type", b"application/json"),
        attempts: 1,
        appended_at: Timestamp::now(),
        dead_at: Timestamp::now(),
    };
    let letters: Vec<_> = (0..LETTERS).map(letter).collect();
    let span = Span { partition: 0, from: None, next: i64::from(LETTERS) };
    let batch =
        Batch { topic: "events", spans: &[span], events: Vec::new(), letters: letters.iter().collect() };
    projection.apply(&batch).unwrap();
}
