//! The projection into SQL Server against a scripted peer that fails on purpose: which requests, how many, and what becomes
//! of connections and batches when the answer is an error, late, torn or missing.

use millrace_domain::event::PaymentStatus::Settled;
use millrace_domain::record::Headers;
use millrace_domain::{Envelope, NewRecord, Position, Record, Timestamp};
use millrace_mssql::ReadModelUrl;
use millrace_mssql::{MssqlUrl, Pool, migrate};
use millrace_projector::dead_letter::DeadLetter;
use millrace_projector::projection::mssql::MssqlProjection;
use millrace_projector::projection::{Applied, ApplyError, Batch, Projection, Span};
use millrace_projector::projector::{Projector, ProjectorError, Step};
use millrace_testkit::tds::{Kind, Reply, Request, TdsPeer};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::oracle::{order, payment, stock, user};
use crate::world::World;

/// The answer to a batch that was projected, having counted this many adjustments.
fn counted(adjustments: i32) -> Vec<Reply> {
    vec![Reply::rows([("counted", Kind::Int)], [vec![adjustments.into()]])]
}

fn is_a_batch(request: &Request) -> bool {
    request.sql.contains("MERGE dbo.users")
}

/// A peer and a projection into it.
struct Store {
    peer: TdsPeer,
    projection: Projection,
    runtime: Runtime,
}

impl Store {
    fn new(script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static) -> Self {
        Self::with(TdsPeer::start(script), "")
    }

    fn with(peer: TdsPeer, settings: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let projection = MssqlProjection::over(&url(&peer, settings), runtime.handle().clone());
        Self { peer, projection: Projection::Mssql(projection), runtime }
    }

    fn apply(&mut self, events: &[Envelope]) -> Result<Applied, ApplyError> {
        let spans = [Span { partition: 0, from: Some(5), next: 8 }];
        let events = events.iter().collect();
        self.projection.apply(&Batch { topic: "events", spans: &spans, events, letters: Vec::new() })
    }
}

fn url(peer: &TdsPeer, settings: &str) -> MssqlUrl {
    let text = format!("mssql://sa:hunter2@{}/millrace?trust-server-certificate=true{settings}", peer.addr());
    MssqlUrl::parse_url(&text).unwrap()
}

/// Long enough for a call that is answered, however slow the machine; the peers that stall never answer.
const SHORT: &str = "&command-timeout=1s";

fn one_of_each() -> [Envelope; 4] {
    [
        user("e1", 1, "u", "Ada"),
        order("e2", 2, "o", "u", 1_499_900),
        payment("e3", 3, "o", 1_499_900, Settled),
        stock("e4", 4, "s", -5, Some(95)),
    ]
}

fn document(request: &Request) -> Value {
    serde_json::from_str(request.text(1)).unwrap()
}

#[test]
fn a_batch_is_one_request_whatever_is_in_it() {
    let mut store = Store::new(|_| counted(1));
    let applied = store.apply(&one_of_each()).unwrap();
    assert_eq!((applied.events, applied.duplicates), ([1, 1, 1, 1], [0; 4]));
    let requests = store.peer.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].text(3), "events");
    let expected = json!({
        "spans": [{"partition": 0, "from": 5, "next": 8}],
        "users": [{"id": "u", "email": "ada@example.com", "name": "Ada", "at": "1970-01-01T00:00:00.000001Z", "by": "e1"}],
        "orders": [{"id": "o", "user": "u", "amount": 149.99, "currency": "USD", "status": "PLACED",
            "placed": "1970-01-01T00:00:00.000002Z", "at": "1970-01-01T00:00:00.000002Z", "by": "e2"}],
        "items": [{"order": "o", "line": 0, "sku": "SKU-1", "quantity": 1, "price": 149.99,
            "at": "1970-01-01T00:00:00.000002Z", "by": "e2"}],
        "payments": [{"order": "o", "payment": "pay-e3", "amount": 149.99, "currency": "USD", "method": null,
            "status": "SETTLED", "settled": "1970-01-01T00:00:00.000003Z", "at": "1970-01-01T00:00:00.000003Z", "by": "e3"}],
        "adjustments": [{"sku": "s", "delta": -5, "reported": 95, "at": "1970-01-01T00:00:00.000004Z", "by": "e4"}],
        "letters": [],
    });
    assert_eq!(document(&requests[0]), expected);
}

#[test]
fn what_was_counted_before_is_a_duplicate() {
    let mut store = Store::new(|_| counted(1));
    let twice = [stock("e1", 1, "s", 5, None), stock("e1", 1, "s", 5, None), stock("e2", 2, "s", 5, None)];
    let applied = store.apply(&twice).unwrap();
    assert_eq!(
        (applied.events[3], applied.duplicates[3]),
        (3, 2),
        "one in the batch, one that the inbox knew"
    );
    assert_eq!(document(&store.peer.requests()[0])["adjustments"].as_array().unwrap().len(), 2);
}

#[test]
fn texts_arrive_as_they_are() {
    let names =
        ["'; DROP TABLE users;--", "100 % [a-z]", "👩‍🚀 Zoë", "e\u{301} is not é", "\"quoted\" \\ back", "x "];
    let mut store = Store::new(|_| counted(0));
    let users: Vec<_> =
        (0..).zip(names).map(|(n, name)| user(&format!("e{n}"), 1, &format!("u{n}"), name)).collect();
    store.apply(&users).unwrap();
    let request = &store.peer.requests()[0];
    let sent = document(request);
    let sent: Vec<_> =
        sent["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(sent, names);
    assert!(!request.sql.contains("DROP TABLE users"), "values are never part of a statement");
}

#[test]
fn amounts_and_times_keep_every_digit() {
    let mut store = Store::new(|_| counted(0));
    let first = Timestamp::parse("0001-01-01T00:00:00Z").unwrap().micros();
    let last = Timestamp::parse("9999-12-31T23:59:59.999999Z").unwrap().micros();
    store.apply(&[order("e1", first, "o1", "u", i64::MAX), order("e2", last, "o2", "u", 1)]).unwrap();
    let sent = store.peer.requests()[0].text(1).to_owned();
    for part in [
        "\"amount\":922337203685477.5807",
        "\"amount\":0.0001",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
}

#[test]
fn bytes_of_dead_letters_go_beside_the_document() {
    let headers = Headers::EMPTY.with("h", b"v");
    let record = Record {
        topic: "events",
        position: Position { partition: 0, offset: 7 },
        appended_at: Timestamp::from_micros(0).unwrap(),
        key: Some(b"\xffkey"),
        payload: Some(b"\x00\xff{"),
        headers: headers.view(),
    };
    let letter =
        DeadLetter::undecodable(&record, &millrace_domain::decode(&record).unwrap_err(), Timestamp::now());
    let mut store = Store::new(|_| counted(0));
    let spans = [Span { partition: 0, from: Some(7), next: 8 }];
    let batch = Batch { topic: "events", spans: &spans, events: Vec::new(), letters: vec![&letter, &letter] };
    store.projection.apply(&batch).unwrap();
    let request = &store.peer.requests()[0];
    let millrace_testkit::tds::Cell::VarBinary(bytes) = &request.params[1] else {
        panic!("{:?}", request.params[1])
    };
    for row in document(request)["letters"].as_array().unwrap() {
        let part = |name: &str| {
            let number =
                |what: &str| usize::try_from(row[format!("{name}{what}")].as_u64().unwrap()).unwrap();
            &bytes[number("Start") - 1..number("Start") - 1 + number("Length")]
        };
        assert_eq!((part("key"), part("payload")), (&b"\xffkey"[..], &b"\x00\xff{"[..]));
        assert_eq!(part("headers"), headers.as_bytes());
    }
}

#[test]
fn a_deadlock_is_tried_again_at_once_on_the_same_connection() {
    let mut store = Store::new(|request| match request.number {
        1 | 2 => vec![Reply::error(1205, "chosen as the deadlock victim")],
        _ => counted(1),
    });
    store.apply(&one_of_each()).unwrap();
    let requests = store.peer.requests();
    assert_eq!((requests.len(), store.peer.connections()), (3, 1));
    assert!(requests.iter().all(|request| request.params == requests[0].params), "the same batch");
}

#[test]
fn a_deadlock_that_does_not_end_is_waited_for() {
    let mut store = Store::new(|_| vec![Reply::error(1205, "chosen as the deadlock victim")]);
    let error = store.apply(&one_of_each()).unwrap_err();
    assert!(matches!(error, ApplyError::Transient(_)), "{error:?}");
    assert_eq!(store.peer.requests().len(), 3, "bounded");
}

#[test]
fn a_duplicate_key_is_a_race_once_and_poison_twice() {
    let duplicate = || vec![Reply::error(2627, "Violation of PRIMARY KEY constraint")];
    let mut store = Store::new(move |request| if request.number == 1 { duplicate() } else { counted(1) });
    store.apply(&one_of_each()).unwrap();
    assert_eq!(store.peer.requests().len(), 2);
    let mut store = Store::new(move |_| duplicate());
    let error = store.apply(&one_of_each()).unwrap_err();
    assert!(matches!(error, ApplyError::Poison(_)), "{error:?}");
    assert_eq!(store.peer.requests().len(), 2);
}

#[test]
fn errors_are_classified() {
    let outcome = |number| {
        let mut store = Store::new(move |_| vec![Reply::error(number, "no")]);
        match store.apply(&one_of_each()).unwrap_err() {
            ApplyError::Fenced { .. } => "fenced",
            ApplyError::Transient(_) => "transient",
            ApplyError::Poison(_) => "poison",
            ApplyError::Fatal(_) => "fatal",
        }
    };
    for (number, expected) in [
        (8115, "poison"),
        (13609, "poison"),
        (2628, "poison"),
        (40613, "transient"),
        (9002, "transient"),
        (207, "fatal"),
        (208, "fatal"),
        (102, "fatal"),
        (51001, "fenced"),
    ] {
        assert_eq!(outcome(number), expected, "{number}");
    }
}

#[test]
fn an_error_after_the_rows_is_an_error() {
    let late = || [counted(1), vec![Reply::error(8115, "Arithmetic overflow")]].concat();
    let mut store = Store::new(move |_| late());
    let error = store.apply(&one_of_each()).unwrap_err();
    assert!(matches!(error, ApplyError::Poison(_)), "{error:?}");
}

#[test]
fn after_a_stall_the_next_batch_gets_a_connection_of_its_own() {
    let peer =
        TdsPeer::start(
            |request| {
                if request.connection == 1 { vec![Reply::Begin, Reply::Stall] } else { counted(1) }
            },
        );
    let mut store = Store::with(peer, SHORT);
    let error = store.apply(&one_of_each()).unwrap_err();
    assert!(matches!(error, ApplyError::Transient(_)), "{error:?}");
    store.apply(&one_of_each()).unwrap();
    let requests = store.peer.requests();
    assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 2]);
    assert!(
        requests.iter().all(|request| !request.in_transaction),
        "no open transaction reaches the next caller"
    );
}

#[test]
fn a_connection_that_breaks_is_replaced() {
    for torn in [vec![Reply::Close], [counted(1), vec![Reply::Close]].concat()] {
        let mut torn = Some(torn);
        let mut store = Store::new(move |_| torn.take().unwrap_or_else(|| counted(1)));
        let error = store.apply(&one_of_each()).unwrap_err();
        assert!(matches!(error, ApplyError::Transient(_)), "{error:?}");
        store.apply(&one_of_each()).unwrap();
        assert_eq!(store.peer.connections(), 2);
    }
}

#[test]
fn a_server_error_that_ends_the_connection_is_waited_for() {
    let mut store = Store::new(|request| match request.number {
        1 => vec![Reply::Error { number: 824, class: 24, state: 1, message: "I/O error".into() }],
        _ => counted(1),
    });
    assert!(matches!(store.apply(&one_of_each()), Err(ApplyError::Transient(_))));
    store.apply(&one_of_each()).unwrap();
}

/// A peer that commits the first batch and loses the answer; from then on its fence is at 8.
fn loses_the_first_answer(request: &Request) -> Vec<Reply> {
    if !is_a_batch(request) {
        return vec![Reply::rows(
            [("partition_id", Kind::Int), ("next_offset", Kind::BigInt)],
            [vec![0.into(), 8_i64.into()]],
        )];
    }
    match request.number {
        1 => vec![Reply::Begin, Reply::Commit, Reply::Close],
        _ => vec![Reply::error(51001, "fenced at partition 0")],
    }
}

#[test]
fn the_fence_tells_that_a_batch_whose_answer_was_lost_was_projected() {
    let mut store = Store::new(loses_the_first_answer);
    assert!(matches!(store.apply(&one_of_each()), Err(ApplyError::Transient(_))));
    let applied = store.apply(&one_of_each()).unwrap();
    assert_eq!(applied.events, [1, 1, 1, 1]);
    assert!(
        matches!(store.apply(&one_of_each()), Err(ApplyError::Fenced { partition: 0 })),
        "without a doubt it is another projector's fence"
    );
}

#[test]
fn a_server_that_is_gone_is_waited_for_and_found_again() {
    let mut store = Store::new(|_| counted(1));
    store.apply(&one_of_each()).unwrap();
    store.peer.stop();
    for _ in 0..3 {
        let error = store.apply(&one_of_each()).unwrap_err();
        assert!(matches!(error, ApplyError::Transient(_)), "{error:?}");
    }
    store.peer.restart();
    store.apply(&one_of_each()).unwrap();
}

#[test]
fn a_refused_login_is_reported_in_the_servers_words_without_the_password() {
    let refuse = || {
        vec![Reply::Error {
            number: 18456,
            class: 14,
            state: 1,
            message: "Login failed for user 'sa'.".into(),
        }]
    };
    let peer = TdsPeer::builder().logins(move |_| refuse()).start(|_| counted(0));
    let store = Store::with(peer, "");
    let error = store.runtime.block_on(Pool::probe(&url(&store.peer, ""))).unwrap_err();
    assert!(error.is_login_failure());
    assert!(error.to_string().contains("Login failed for user 'sa'."), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn tls_is_as_the_url_says() {
    let probe = |peer: &TdsPeer, settings: &str| {
        let text = format!("mssql://sa:x@localhost:{}/d?{settings}", peer.addr().port());
        let url = MssqlUrl::parse_url(&text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Pool::probe(&url)).map_err(|error| error.to_string())
    };
    let peer = TdsPeer::start(|_| counted(0));
    let refused = probe(&peer, "").unwrap_err();
    assert!(refused.contains("trust-server-certificate=true"), "{refused}");
    probe(&peer, &format!("ca={}", peer.ca_file().display())).unwrap();
    probe(&peer, "trust-server-certificate=true").unwrap();
    let bare = TdsPeer::builder().without_tls().start(|_| counted(0));
    assert!(
        probe(&bare, "trust-server-certificate=true").is_err(),
        "TLS is requested unless the URL disables it"
    );
    probe(&bare, "encrypt=false").unwrap();
    probe(&bare, "encrypt=plaintext").unwrap();
}

#[test]
fn a_migration_lets_one_in_at_a_time_and_runs_what_is_missing() {
    let script = |request: &Request| match request.sql.as_str() {
        sql if sql.contains("AS version") => vec![Reply::rows([("version", Kind::Int)], [vec![0.into()]])],
        sql if sql.contains("AS snapshot_on") => {
            vec![Reply::rows([("snapshot_on", Kind::Int)], [vec![1.into()]])]
        }
        _ => vec![],
    };
    let store = Store::new(script);
    let migrated = store.runtime.block_on(migrate(&url(&store.peer, ""))).unwrap();
    assert!(migrated.steps >= 1 && migrated.snapshot && !migrated.created_database, "{migrated:?}");
    let requests = store.peer.requests();
    assert!(requests[0].sql.contains("OPENJSON") && requests[1].sql.contains("sp_getapplock"));
    assert!(requests.last().unwrap().sql.contains("sp_releaseapplock"));
    assert!(requests.iter().any(|request| request.sql.contains("CREATE TABLE dbo.users")));
    assert_eq!(store.peer.connections(), 1, "the lock belongs to the session that works");
}

#[test]
fn an_old_compatibility_level_is_reported_before_anything_is_changed() {
    let store = Store::new(|_| vec![Reply::error(319, "Incorrect syntax near the keyword 'with'.")]);
    let refused = store.runtime.block_on(migrate(&url(&store.peer, ""))).unwrap_err().to_string();
    assert!(refused.contains("COMPATIBILITY_LEVEL") && refused.contains("130"), "{refused}");
    assert_eq!(store.peer.requests().len(), 1);
}

#[test]
fn a_database_that_another_makes_at_that_moment_is_no_error() {
    let mut missing = true;
    let peer = TdsPeer::builder()
        .logins(move |_| match std::mem::take(&mut missing) {
            true => vec![Reply::Error { number: 4060, class: 11, state: 1, message: "no".into() }],
            false => Vec::new(),
        })
        .start(|request| match request.sql.as_str() {
            sql if sql.contains("AS made") => vec![Reply::error(1801, "Database 'millrace' already exists.")],
            sql if sql.contains("AS version") => {
                vec![Reply::rows([("version", Kind::Int)], [vec![0.into()]])]
            }
            _ => vec![],
        });
    let store = Store::with(peer, "");
    assert!(!store.runtime.block_on(migrate(&url(&store.peer, ""))).unwrap().created_database);
}

#[test]
fn a_missing_database_is_made_as_soon_as_the_server_can() {
    let unknown =
        || vec![Reply::Error { number: 4060, class: 11, state: 1, message: "Cannot open database".into() }];
    // Others make theirs at that moment, and ours does not let us in at once.
    let (mut in_master, mut refused) = (false, 0);
    let peer = TdsPeer::builder()
        .logins(move |login| {
            in_master |= login.database == "master";
            refused += i32::from(login.database != "master");
            if login.database == "master" || (in_master && refused > 2) { Vec::new() } else { unknown() }
        })
        .start(|request| match request.sql.as_str() {
            sql if sql.contains("AS made") && request.number == 1 => {
                vec![Reply::error(1807, "Could not obtain exclusive lock on database 'model'.")]
            }
            sql if sql.contains("AS made") => vec![Reply::rows([("made", Kind::Int)], [vec![1.into()]])],
            sql if sql.contains("AS version") => {
                vec![Reply::rows([("version", Kind::Int)], [vec![0.into()]])]
            }
            _ => vec![],
        });
    let store = Store::with(peer, "");
    let migrated = store.runtime.block_on(migrate(&url(&store.peer, ""))).unwrap();
    assert!(migrated.created_database);
    let requests = store.peer.requests();
    assert_eq!([requests[0].text(1), requests[1].text(1)], ["millrace"; 2], "the name is a parameter");
}

/// A projector over a log of the given records and a peer.
fn projector(world: &World, store: Store) -> (Projector, TdsPeer, Runtime) {
    let Store { peer, projection, runtime } = store;
    (world.projector_over(projection), peer, runtime)
}

/// A peer that refuses every batch with the event `poison`. A dead letter of it is welcome. Partitions begin at 0.
fn refuses_poison(request: &Request) -> Vec<Reply> {
    if request.sql.contains("dbo.checkpoints AS c WHERE") {
        let rows = (0..3).map(|partition| vec![partition.into(), 0_i64.into()]);
        return vec![Reply::rows([("partition_id", Kind::Int), ("next_offset", Kind::BigInt)], rows)];
    }
    if !is_a_batch(request) {
        return counted(0);
    }
    let document = document(request);
    let poisoned = document["users"].as_array().unwrap().iter().any(|user| user["id"] == "poison");
    if poisoned { vec![Reply::error(8115, "Arithmetic overflow")] } else { counted(0) }
}

#[test]
fn poison_is_found_by_halving_and_the_others_go_on() {
    let world = World::new();
    let mut records: Vec<NewRecord> =
        (0..15).map(|n| user(&format!("e{n}"), 1, &format!("u{n}"), "Ada").to_record()).collect();
    records.insert(6, user("e99", 1, "poison", "Ada").to_record());
    world.append(records);
    let (mut projector, peer, _runtime) = projector(&world, Store::new(refuses_poison));
    crate::world::drain(&mut projector);
    let projected: Vec<_> =
        peer.requests().iter().filter(|request| is_a_batch(request)).map(document).collect();
    let letters: Vec<_> =
        projected.iter().flat_map(|batch| batch["letters"].as_array().unwrap().clone()).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (&letters[0]["event"], &letters[0]["reason"]),
        (&"e99".into(), &"refused-by-read-model".into())
    );
    assert_eq!(world.count("UserCreated", "applied"), 15);
    assert_eq!(world.metrics.dead_letters.get(), 1);
}

#[test]
fn a_bug_of_ours_stops_the_projector_and_makes_no_letter() {
    let world = World::new();
    world.append_events(&[user("e1", 1, "u", "Ada")]);
    let script = |request: &Request| {
        if is_a_batch(request) {
            vec![Reply::error(208, "Invalid object name")]
        } else {
            refuses_poison(request)
        }
    };
    let (mut projector, peer, _runtime) = projector(&world, Store::new(script));
    let stopped = std::iter::repeat_with(|| projector.step()).take(100).find_map(Result::err);
    assert!(matches!(stopped, Some(ProjectorError::Projection(ApplyError::Fatal(_)))), "{stopped:?}");
    assert_eq!(peer.requests().iter().filter(|request| is_a_batch(request)).count(), 1);
    assert_eq!(world.metrics.dead_letters.get(), 0);
}

#[test]
fn an_outage_makes_no_letter() {
    let world = World::new();
    world.append_events(&[user("e1", 1, "u", "Ada")]);
    let (mut projector, peer, _runtime) = projector(&world, Store::new(refuses_poison));
    peer.stop();
    let waits = std::iter::repeat_with(|| projector.step().unwrap());
    assert!(waits.take(50).filter(|step| matches!(step, Step::Waiting(_))).count() > 10);
    peer.restart();
    while world.count("UserCreated", "applied") == 0 {
        projector.step().unwrap();
    }
    assert_eq!(world.metrics.dead_letters.get(), 0);
}

#[test]
fn the_setting_takes_both_forms() {
    let parsed = |text: &str| text.parse::<ReadModelUrl>().map(|url| url.name()).unwrap();
    assert_eq!(parsed("mssql://sa:x@db:1434/shop"), "db:1434/shop");
    assert_eq!(parsed("Server=db,1434;Database=shop;User Id=sa;Password=x"), "db:1434/shop");
}
