//! SIGKILL at any moment leads to the same tables as an undisturbed run: nothing lost, nothing twice.
//!
//! Moments that chance would not hit are reached without code in the binary: the test locks a file or adds a trigger that
//! never ends, and waits until the process has reached it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_domain::Envelope;
use millrace_domain::event::PaymentStatus;
use millrace_testkit::oracle::{expected_tables, order, payment, stock, user};
use millrace_testkit::proxy::{Fault, Proxy};
use millrace_testkit::redis::RedisServer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::process::{Client, Home, Process, until};
use crate::store::SAMPLE_EVENTS;

/// Small batches: many commits, and many moments between them.
const SMALL_BATCHES: (&str, &str) = ("BATCH_EVENTS_MAX", "2");

#[test]
fn killed_during_the_replay_of_the_sample() {
    let home = Home::new();
    let mut unfinished = 0;
    // The first kill is during the creation of its files, before the banner.
    let process = Process::start(home.command(&[]).env(SMALL_BATCHES.0, SMALL_BATCHES.1));
    until("the log exists", || home.log().exists().then_some(()));
    process.kill();
    for events in [100, 200, 400, 800] {
        let server = home.start(&[SMALL_BATCHES]);
        until("it has projected some events", || {
            let finished = home.projected() == SAMPLE_EVENTS;
            (finished || server.events_processed() >= events).then_some(())
        });
        server.process.kill();
        unfinished += usize::from(home.projected() < SAMPLE_EVENTS);
    }
    assert!(unfinished > 0, "no kill interrupted anything");
    let _server = home.start(&[]);
    home.until_projected(SAMPLE_EVENTS);

    let undisturbed = Home::new();
    let _other = undisturbed.start(&[]);
    undisturbed.until_projected(SAMPLE_EVENTS);
    assert_eq!(home.records(), undisturbed.records());
    assert_same(&home, &undisturbed);
}

#[track_caller]
fn assert_same(home: &Home, undisturbed: &Home) {
    let (tables, expected) = (home.tables(), undisturbed.tables());
    assert_eq!(tables.len(), expected.len());
    for (row, expected) in tables.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
}

/// Events sent while the server is killed repeatedly.
const SENT: u64 = 10_000;

#[test]
fn produce_continues_while_the_server_is_killed_repeatedly() {
    let home = Home::new();
    let mut server = home.start(&[("SAMPLE", "off")]);
    let address = server.commands_addr().to_owned();
    let restart =
        || -> crate::process::Server { home.start(&[("SAMPLE", "off"), ("COMMAND_ADDR", &address)]) };
    let mut load = Process::start(
        home.command(&["produce", "--rate", "20000", "--count", &SENT.to_string()])
            .env("COMMAND_ADDR", &address),
    );
    let mut unfinished = 0;
    for events in [200, 400, 800, 1_600, 2_400] {
        until("it has projected some events", || {
            (server.events_processed() >= events || load.has_ended()).then_some(())
        });
        server.process.kill();
        unfinished += usize::from(!load.has_ended());
        server = restart();
    }
    assert!(unfinished > 0, "no kill interrupted anything");
    assert_eq!(load.finish().ok(), format!("{SENT} events sent"));
    let records = home.records();
    home.until_projected(records);
    assert_eq!(home.different_events().unsigned_abs(), SENT, "nothing lost");
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
    server.process.kill();

    let undisturbed = home.copy_of_log();
    let _other = undisturbed.start(&[("SAMPLE", "off")]);
    undisturbed.until_projected(records);
    assert_same(&home, &undisturbed);
}

/// Kills in a run of all tests. A thousand take a few minutes: `cargo test -p millrace --test it -- crash --ignored`.
const KILLS: u32 = 30;
const MANY_KILLS: u32 = 1_000;
/// Lines per request. Few, so that there are many requests to interrupt.
const LINES_PER_REQUEST: u64 = 10;

/// `MILLRACE_CRASH_SEED`, or a random seed. A failed test prints it.
fn seed() -> u64 {
    let seed = std::env::var("MILLRACE_CRASH_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = seed.unwrap_or_else(rand::random);
    println!("MILLRACE_CRASH_SEED={seed}");
    seed
}

/// A line that is an event of one of few rows, so that events compete, or is not an event.
fn line(random: &mut StdRng, number: u64) -> Line {
    let at = i64::try_from(number).unwrap();
    let (id, which) = (format!("e-{number:08}"), random.random_range(0..50));
    let (user_id, order_id) = (format!("u-{which}"), format!("o-{which}"));
    let event = match random.random_range(0..100) {
        0 => return Line { text: format!("no event {number}").into_bytes(), event: None },
        1..15 => user(&id, at, &user_id, &format!("name {number}")),
        15..40 => order(&id, at, &order_id, &user_id, at),
        40..60 => payment(&id, at, &order_id, at, PaymentStatus::Settled),
        _ => stock(&id, at, &format!("s-{which}"), at % 100 - 50, Some(at)),
    };
    Line { text: event.to_record().payload, event: Some(event) }
}

struct Line {
    text: Vec<u8>,
    event: Option<Envelope>,
}

/// Sends lines until `stop` is set, each until it is accepted, some of them twice. Returns the accepted lines.
fn send(commands: &str, seed: u64, stop: &AtomicBool) -> Vec<Line> {
    let mut random = StdRng::seed_from_u64(seed);
    let url = format!("{commands}/api/v1/events");
    let client = Client::new();
    let mut lines: Vec<Line> = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let from = lines.len();
        lines.extend((number..number + LINES_PER_REQUEST).map(|number| line(&mut random, number)));
        number += LINES_PER_REQUEST;
        let again = random.random_bool(0.1);
        let body = lines[from..].iter().map(|line| line.text.as_slice()).collect::<Vec<_>>().join(&b'\n');
        for _ in 0..=u32::from(again) {
            until("it is accepted", || match client.post_lines(&url, &body) {
                Some((202, _)) => Some(()),
                Some((503, _)) | None => None,
                Some(other) => panic!("{other:?}"),
            });
        }
    }
    lines
}

/// Starts, kills at a random moment, and starts again, under load; then compares the tables with an oracle, and counts.
fn killed_at_random_moments(kills: u32) {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let home = Home::new();
    let server = home.start(&[("SAMPLE", "off")]);
    let (commands, address) = (server.commands.clone(), server.commands_addr().to_owned());
    let settings = [("SAMPLE", "off"), ("COMMAND_ADDR", address.as_str()), SMALL_BATCHES];
    let stop = AtomicBool::new(false);
    let mut unfinished = 0;
    let (lines, last) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&commands, seed, &stop));
        until("something is projected", || (home.projected() > 0).then_some(()));
        server.process.kill();
        for _ in 0..kills {
            let mut command = home.command(&[]);
            let process = Process::start(command.envs(settings));
            // Any moment of the first 200 ms: before it listens, while it opens files, under load. The assertions are the
            // same for all of them.
            let moment = Duration::from_micros(random.random_range(0..200_000));
            let started = Instant::now();
            until("the moment is reached", || (started.elapsed() >= moment).then_some(()));
            process.kill();
            unfinished += u32::from(home.projected() < home.records());
        }
        let last = home.start(&settings);
        stop.store(true, Ordering::Relaxed);
        (sender.join().unwrap(), last)
    });
    home.until_projected(home.records());
    drop(last);
    println!(
        "{kills} kills, {unfinished} with something in the log that was not projected; {} lines accepted, {} records, {} dead letters",
        lines.len(),
        home.records(),
        home.count("SELECT COUNT(*) FROM dead_letters")
    );
    assert!(unfinished > 0, "no kill interrupted anything");
    assert_conserved(&home, &lines);
}

/// Every accepted line is in the log, and every record of the log is in the tables, a duplicate, or a dead letter.
#[track_caller]
fn assert_conserved(home: &Home, lines: &[Line]) {
    let sent: BTreeSet<_> = lines.iter().map(|line| String::from_utf8(line.text.clone()).unwrap()).collect();
    let records = home.payloads();
    let logged: BTreeSet<_> = records.iter().cloned().collect();
    assert_eq!(logged, sent, "accepted commands = events in the log");
    let broken = records.iter().filter(|payload| payload.starts_with("no event")).count();
    let (tables, letters): (Vec<_>, Vec<_>) =
        home.tables().into_iter().partition(|row| !row.starts_with("letter |"));
    assert_eq!(letters.len(), broken, "each broken record is a dead letter, once");
    let events: Vec<_> = lines.iter().filter_map(|line| line.event.clone()).collect();
    let expected = expected_tables(&events);
    assert_eq!(tables.len(), expected.len());
    for (row, expected) in tables.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
}

#[test]
fn killed_thirty_times_under_load() {
    killed_at_random_moments(KILLS);
}

#[test]
#[ignore = "takes minutes; its last result is in docs/reliability.md"]
fn killed_a_thousand_times_under_load() {
    killed_at_random_moments(MANY_KILLS);
}

/// A view whose query never ends. In a trigger it stops a transaction midway.
const ENDLESS: &str =
    "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;";

fn events_of(numbers: std::ops::Range<u64>) -> Vec<Line> {
    let mut random = StdRng::seed_from_u64(7);
    numbers.map(|number| line(&mut random, number)).collect()
}

fn body(lines: &[Line]) -> Vec<u8> {
    lines.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>().join(&b'\n')
}

const NO_SAMPLE: (&str, &str) = ("SAMPLE", "off");

#[test]
fn killed_after_the_append_and_before_the_projection() {
    let home = Home::new();
    let server = home.start(&[NO_SAMPLE]);
    server.until_ready();
    let lines = events_of(0..300);
    // While this is held, no other connection can write to the read model.
    let blocker = home.locked(&home.read_model());
    let url = format!("{}/api/v1/events", server.commands);
    assert_eq!(server.client.post_lines(&url, &body(&lines)).unwrap().0, 202);
    server.process.kill();
    drop(blocker);
    assert_eq!((home.records(), home.projected()), (300, 0));
    let _server = home.start(&[NO_SAMPLE]);
    home.until_projected(300);
    assert_conserved(&home, &lines);
}

#[test]
fn killed_within_the_transaction_that_projects() {
    let home = Home::new();
    let server = home.start(&[NO_SAMPLE]);
    server.until_ready();
    let lines = events_of(0..300);
    let sql = home.sql(&home.read_model());
    // Users, orders and payments are written, the fence is moved, nothing is committed.
    let stand_still =
        "CREATE TRIGGER stand_still AFTER INSERT ON inventory BEGIN SELECT COUNT(*) FROM endless; END;";
    sql.execute_batch(&format!("{ENDLESS} {stand_still}")).unwrap();
    let url = format!("{}/api/v1/events", server.commands);
    assert_eq!(server.client.post_lines(&url, &body(&lines)).unwrap().0, 202);
    until("the transaction is under way", || home.is_locked(&home.read_model()).then_some(()));
    server.process.kill();
    assert_eq!((home.records(), home.projected()), (300, 0));
    assert_eq!(home.count("SELECT COUNT(*) FROM orders"), 0, "all or nothing");
    sql.execute_batch("DROP TRIGGER stand_still; DROP VIEW endless").unwrap();
    let _server = home.start(&[NO_SAMPLE]);
    home.until_projected(300);
    assert_conserved(&home, &lines);
}

#[test]
fn killed_right_after_the_commit() {
    let home = Home::new();
    let mut lines = Vec::new();
    for round in 0..5 {
        let server = home.start(&[NO_SAMPLE]);
        let more = events_of(round * 200..round * 200 + 200);
        let url = format!("{}/api/v1/events", server.commands);
        assert_eq!(server.client.post_lines(&url, &body(&more)).unwrap().0, 202);
        lines.extend(more);
        let before = i64::try_from(round * 200).unwrap();
        until("the checkpoint has moved", || (home.projected() > before).then_some(()));
        server.process.kill();
    }
    let _server = home.start(&[NO_SAMPLE]);
    home.until_projected(1_000);
    assert_conserved(&home, &lines);
}

#[test]
fn killed_within_the_append() {
    let home = Home::new();
    let server = home.start(&[NO_SAMPLE]);
    let lines = events_of(0..100);
    let sql = home.sql(&home.log());
    let stand_still = "CREATE TRIGGER stand_still AFTER INSERT ON records WHEN NEW.\"offset\" = 3 BEGIN SELECT COUNT(*) FROM endless; END;";
    sql.execute_batch(&format!("{ENDLESS} {stand_still}")).unwrap();
    let url = format!("{}/api/v1/events", server.commands);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| Client::new().post_lines(&url, &body(&lines)));
        until("the transaction is under way", || home.is_locked(&home.log()).then_some(()));
        server.process.kill();
        assert_eq!(answer.join().unwrap(), None, "what is not in the log is not answered");
    });
    assert_eq!(home.records(), 0, "an append is whole or it is not");
    sql.execute_batch("DROP TRIGGER stand_still; DROP VIEW endless").unwrap();
    let server = home.start(&[NO_SAMPLE]);
    let url = format!("{}/api/v1/events", server.commands);
    assert_eq!(server.client.post_lines(&url, &body(&lines)).unwrap().0, 202);
    home.until_projected(100);
    assert_conserved(&home, &lines);
}

/// The list in Redis, newest first, by the ids of its letters.
fn shown(redis: &RedisServer) -> Vec<String> {
    let letters: Vec<String> = redis.command(&["LRANGE", "dlq", "0", "-1"]);
    let id = |letter: &String| serde_json::from_str::<serde_json::Value>(letter).unwrap()["id"].to_string();
    letters.iter().map(id).collect()
}

/// The transaction with the letters is committed, and the mirror has not pushed them, or has pushed them without a
/// confirmation. After a kill at this moment each letter is in the list once.
#[test]
fn killed_between_the_transaction_and_the_mirror() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let wire = Proxy::to(&format!("127.0.0.1:{}", redis.port()));
    let url = format!("redis://{}", wire.address());
    let home = Home::new();
    let mut lines = Vec::new();
    // Redis receives nothing; it receives requests, but its replies are lost; its replies break off after some bytes.
    for fault in [Fault::Stall, Fault::CutAfter(0), Fault::CutAfter(40), Fault::CutAfter(400)] {
        let server = home.start(&[NO_SAMPLE, ("REDIS_URL", &url)]);
        server.until_ready();
        wire.set(fault);
        let number = lines.len();
        let more: Vec<_> = (number..number + 5)
            .map(|number| Line { text: format!("no event {number}").into_bytes(), event: None })
            .collect();
        let events = format!("{}/api/v1/events", server.commands);
        assert_eq!(server.client.post_lines(&events, &body(&more)).unwrap().0, 202);
        lines.extend(more);
        let letters = i64::try_from(lines.len()).unwrap();
        until("the letters are kept", || {
            (home.count("SELECT COUNT(*) FROM dead_letters") == letters).then_some(())
        });
        server.process.kill();
        wire.set(Fault::Cut);
        wire.set(Fault::None);
    }
    let _server = home.start(&[NO_SAMPLE, ("REDIS_URL", &url)]);
    until("every letter is shown", || (shown(&redis).len() >= lines.len()).then_some(()));
    home.until_projected(home.records());
    let list = shown(&redis);
    let different: BTreeSet<_> = list.iter().collect();
    assert_eq!((list.len(), different.len()), (lines.len(), lines.len()), "each once");
    assert_conserved(&home, &lines);
}
