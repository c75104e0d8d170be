//! SIGKILL at any moment, and the same tables as if nothing had happened (promises 1 and 2).
//!
//! When to kill is measured in progress, never in time.

use crate::process::{Home, Process, Server, until};
use crate::store::SAMPLE_EVENTS;

/// Small batches: many commits, so many moments between them.
const SMALL_BATCHES: (&str, &str) = ("BATCH_EVENTS_MAX", "2");

#[test]
fn killed_during_the_replay_of_the_sample() {
    let home = Home::new();
    let mut unfinished = 0;
    // The first time it is killed while it makes its files, before it says that it is up.
    let process = Process::start(home.command(&[]).env(SMALL_BATCHES.0, SMALL_BATCHES.1));
    until("there is a log", || home.log().exists().then_some(()));
    process.kill();
    for events in [100, 200, 400, 800] {
        let server = home.start(&[SMALL_BATCHES]);
        until("it has come far enough", || {
            let finished = home.projected() == SAMPLE_EVENTS;
            (finished || server.events_processed() >= events).then_some(())
        });
        server.process.kill();
        unfinished += usize::from(home.projected() < SAMPLE_EVENTS);
    }
    assert!(unfinished > 0, "it was killed in the middle of something");
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

/// Events sent while the server is killed again and again.
const SENT: u64 = 10_000;

#[test]
fn killed_under_load() {
    let home = Home::new();
    let mut server = home.start(&[("SAMPLE", "off")]);
    let address = server.commands_addr().to_owned();
    let restart = || -> Server { home.start(&[("SAMPLE", "off"), ("COMMAND_ADDR", &address)]) };
    let mut load = Process::start(
        home.command(&["produce", "--rate", "20000", "--count", &SENT.to_string()])
            .env("COMMAND_ADDR", &address),
    );
    let mut unfinished = 0;
    for events in [200, 400, 800, 1_600, 2_400] {
        until("it has come far enough", || {
            (server.events_processed() >= events || load.has_ended()).then_some(())
        });
        server.process.kill();
        unfinished += usize::from(!load.has_ended());
        server = restart();
    }
    assert!(unfinished > 0, "it was killed in the middle of something");
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
