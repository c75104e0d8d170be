//! What only a live SQL Server can show of the T-SQL itself.

use millrace_domain::Envelope;
use millrace_domain::event::PaymentStatus::Settled;
use millrace_mssql::{Param, Pool, migrate};
use millrace_projector::projection::mssql::MssqlProjection;
use millrace_projector::projection::{ApplyError, Batch, Projection, Span};
use millrace_testkit::sql_server::Database;

use super::fixture::mssql_tables;
use crate::oracle::{expected_tables, order, payment, stock, user};

/// Collisions of one batch, at most.
const TRIES: usize = 100;

fn apply(database: &Database, document: &str) -> Result<(), String> {
    let params =
        vec![Param::Text(document.to_owned()), Param::Bytes(Vec::new()), Param::Text("events".to_owned())];
    let pool = || Pool::new(&database.url(), 1);
    let query = async { pool().query(millrace_platform::sql!("mssql/projection/apply.sql"), params).await };
    database.runtime().block_on(query).map(drop).map_err(|error| error.to_string())
}

#[test]
fn two_rows_of_one_key_in_a_batch_may_meet() {
    let Some(database) = Database::create() else { return };
    let document = r#"{"spans":[{"partition":0,"from":null,"next":9}],
        "users":[{"id":"u","email":"a@b","name":"old","at":"2026-01-01T00:00:00Z","by":"e1"},
                 {"id":"u","email":"a@b","name":"new","at":"2026-01-02T00:00:00Z","by":"e2"}],
        "adjustments":[{"sku":"s","delta":5,"at":"2026-01-01T00:00:00Z","by":"e3"},
                       {"sku":"s","delta":5,"at":"2026-01-01T00:00:00Z","by":"e3"}]}"#;
    apply(&database, document).unwrap();
    assert_eq!(database.rows("SELECT name FROM users"), ["new"]);
    assert_eq!(
        database.rows("SELECT quantity FROM inventory"),
        ["5"],
        "a duplicate inside one batch counts once"
    );
}

#[test]
fn a_missing_field_is_an_error_of_the_batch() {
    let Some(database) = Database::create() else { return };
    let document = r#"{"spans":[{"partition":0,"from":null,"next":9}],
        "users":[{"id":"u","email":"a@b","at":"2026-01-01T00:00:00Z","by":"e1"}]}"#;
    let refused = apply(&database, document).unwrap_err();
    assert!(refused.contains("13608"), "{refused}");
    assert!(database.rows("SELECT user_id FROM users").is_empty());
    assert!(database.rows("SELECT topic FROM checkpoints").is_empty());
}

#[test]
fn migrating_again_and_twice_at_once_changes_nothing() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let both = async { tokio::join!(migrate(&url), migrate(&url)) };
    let (one, other) = database.runtime().block_on(both);
    assert_eq!((one.unwrap().steps, other.unwrap().steps), (0, 0));
}

/// Projects all of them as one partition, in many batches, each until it is taken.
fn project(database: &Database, partition: i32, events: &[Envelope]) {
    let projection = MssqlProjection::over(&database.url(), database.runtime().handle().clone());
    let mut projection = Projection::Mssql(projection);
    let mut from = None;
    for batch in events.chunks(16) {
        let next = from.unwrap_or(0) + 1;
        let spans = [Span { partition, from, next }];
        let mut apply = || {
            let events = batch.iter().collect();
            projection.apply(&Batch { topic: "events", spans: &spans, events, letters: Vec::new() })
        };
        let taken = (0..TRIES).find_map(|_| match apply() {
            Err(ApplyError::Transient(_)) => None,
            result => Some(result),
        });
        taken.unwrap().unwrap();
        from = Some(next);
    }
}

#[test]
fn projectors_that_write_the_same_rows_get_along() {
    let Some(database) = Database::create() else { return };
    let events: Vec<_> = (0..300)
        .flat_map(|n| {
            [
                user(&format!("u{n}"), n, &format!("u-{}", n % 7), "Ada"),
                order(&format!("o{n}"), n, &format!("o-{}", n % 11), "u-1", n + 1),
                payment(&format!("p{n}"), n, &format!("o-{}", n * 3 % 11), n + 1, Settled),
                stock(&format!("s{n}"), n, &format!("s-{}", n % 5), n, Some(n)),
            ]
        })
        .collect();
    let (ours, theirs): (Vec<_>, Vec<_>) =
        events.iter().cloned().enumerate().partition(|(number, _)| number % 3 == 0);
    let [ours, theirs] =
        [ours, theirs].map(|half| half.into_iter().map(|(_, event)| event).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        scope.spawn(|| project(&database, 0, &ours));
        scope.spawn(|| project(&database, 1, &theirs));
    });
    assert_eq!(mssql_tables(&database), expected_tables(&events));
}
