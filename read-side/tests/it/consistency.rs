//! Reads with a Consistency-Token wait for the checkpoint, for a limited time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use millrace_read_side::ReadConfig;

use crate::seed::{Answer, ReadSide, database};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_millis(30);
/// Concurrent readers.
const READERS: usize = 1_000;

fn waiting(wait: Duration) -> ReadSide {
    ReadSide::with_config(&ReadConfig { consistency_wait: wait, ..ReadConfig::default() })
}

/// Moves a checkpoint on another connection, as the projector does.
fn project(read_side: &ReadSide, topic: &str, partition: i32, next: i64) {
    let move_to = format!(
        "INSERT INTO checkpoints (topic, partition, next_offset) VALUES ('{topic}', {partition}, {next})
         ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset"
    );
    drop(database(&read_side.path(), &move_to));
}

async fn read(read_side: &ReadSide, token: &str, consistency: Option<&str>) -> Answer {
    let mut request = Request::get("/users/customer-2").header("consistency-token", token);
    if let Some(consistency) = consistency {
        request = request.header("consistency", consistency);
    }
    read_side.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_read_waits_until_the_write_is_projected() {
    let read_side = waiting(LONG);
    project(&read_side, "events", 3, 7);
    assert_eq!(read(&read_side, "events:3:6", None).await.status, 200, "already projected");
    let waits = read(&read_side, "events:3:6,events:4:0", None);
    let projects = async {
        // Other progress does not end the wait.
        project(&read_side, "events", 3, 8);
        tokio::task::yield_now().await;
        project(&read_side, "events", 4, 1);
    };
    let (answer, ()) = tokio::join!(waits, projects);
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("consistency"));
}

#[tokio::test]
async fn a_wait_is_limited() {
    let read_side = waiting(SHORT);
    project(&read_side, "events", 3, 7);
    for token in ["events:3:7", "events:4:0", "events:3:6,events:3:7"] {
        let late = read(&read_side, token, None).await;
        late.assert_problem(503, &["/problems/not-yet-projected"]);
        assert_eq!(late.header(header::RETRY_AFTER), "1");
        let stale = read(&read_side, token, Some("eventual")).await;
        assert_eq!(stale.status, 200);
        assert_eq!(stale.headers["consistency"], "stale");
    }
    let fresh = read(&read_side, "events:3:6", Some("eventual")).await;
    assert!(!fresh.headers.contains_key("consistency"), "not stale, so not marked");
}

#[tokio::test]
async fn graphql_waits_for_its_consistency_token() {
    let read_side = waiting(SHORT);
    let request = Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .header("consistency-token", "events:0:0")
        .body(Body::from(r#"{"query":"{ user(id: \"customer-2\") { name } }"}"#));
    read_side.send(request.unwrap()).await.assert_problem(503, &["not-yet-projected"]);
}

#[tokio::test]
async fn invalid_tokens_are_rejected() {
    let read_side = waiting(SHORT);
    project(&read_side, "events", 0, 1);
    for token in ["", "events", "events:-1:0", "events:0:-1", "events:99999999999:0", "ev ents:0:0"] {
        read(&read_side, token, None).await.assert_problem(400, &["topic:partition:offset"]);
    }
    let many = vec!["events:0:0"; 1025].join(",");
    read(&read_side, &many, None).await.assert_problem(400, &["1024"]);
    read(&read_side, "others:0:0", None).await.assert_problem(422, &["topic"]);
    read(&read_side, "events:0:0", Some("now")).await.assert_problem(400, &["eventual"]);
}

#[tokio::test]
async fn a_thousand_readers_share_one_poller() {
    let read_side = waiting(LONG);
    project(&read_side, "events", 0, 1);
    let polls = || read_side.store.operations("checkpoints");
    let wait = async {
        let readers = (0..READERS).map(|_| read(&read_side, "events:0:1", None));
        futures_util::future::join_all(readers).await
    };
    let projects = async {
        while polls() < 3 {
            tokio::task::yield_now().await;
        }
        project(&read_side, "events", 0, 2);
    };
    let (answers, ()) = tokio::join!(wait, projects);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(polls() < READERS as u64 / 2, "{} polls for {READERS} readers", polls());
    // The poller has stopped; the next reader starts it again.
    assert_eq!(read(&read_side, "events:0:1", None).await.status, 200);
}
