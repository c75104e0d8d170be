//! Resource limits of the machine: a full disk, no file descriptors, a clock that jumps.
//!
//! A test without its tool or permission is skipped with a message.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millrace_domain::Envelope;
use millrace_testkit::oracle::{expected_tables, stock};

use crate::process::{Home, Server, until};

fn events(numbers: std::ops::Range<i64>) -> Vec<Envelope> {
    numbers.map(|n| stock(&format!("e{n}"), n, &format!("s{}", n % 97), n, None)).collect()
}

/// The status of a request with these events.
fn post(server: &Server, events: &[Envelope]) -> Option<u16> {
    let lines = events.iter().map(|event| event.to_record().payload).collect::<Vec<_>>().join(&b'\n');
    let url = format!("{}/api/v1/events", server.commands);
    server.client.post_lines(&url, &lines).map(|(status, _)| status)
}

#[track_caller]
fn assert_tables(home: &Home, events: &[Envelope]) {
    assert_eq!(home.tables(), expected_tables(events));
}

/// A file system of a few megabytes at a path, unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(path).stderr(std::process::Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a connection of the test may still be open.
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn the_server_waits_while_the_disk_is_full() {
    let home = Home::new();
    let Some(_disk) = SmallDisk::mount(&home.data()) else {
        return millrace_testkit::skipped("a full disk: no permission to mount a tmpfs");
    };
    let server = home.start(&[("SAMPLE", "off"), ("RETRY_MAX_INTERVAL", "100ms")]);
    assert_eq!(post(&server, &events(0..1_000)), Some(202));
    // Large pieces until none fits, then small ones.
    let ballast = home.data().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    for piece in [1 << 20, 1 << 12] {
        while std::io::Write::write_all(&mut file, &vec![0; piece]).is_ok() {}
    }
    let mut next = 1_000;
    until("the disk has no space for an event", || {
        let status = post(&server, &events(next..next + 1_000));
        next += if status == Some(202) { 1_000 } else { 0 };
        (status == Some(503)).then_some(())
    });
    let ready = server.client.get(&format!("{}/ready", server.commands)).unwrap();
    assert_eq!(ready.0, 503, "{ready:?}");
    drop(file);
    std::fs::remove_file(ballast).unwrap();
    until("the disk has space again", || {
        (post(&server, &events(next..next + 1_000)) == Some(202)).then_some(())
    });
    home.until_projected(home.records());
    assert_tables(&home, &events(0..next + 1_000));
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
}

#[test]
fn accepted_events_survive_a_file_size_limit() {
    let home = Home::new();
    // Blocks of 512 bytes. Beyond the limit a write fails instead of ending the process.
    let server = Server::up(home.under("trap '' XFSZ; ulimit -f 4096").env("SAMPLE", "off"));
    let mut next = 0;
    until("the log has reached its limit", || {
        let status = post(&server, &events(next..next + 1_000));
        next += if status == Some(202) { 1_000 } else { 0 };
        (status == Some(503)).then_some(())
    });
    server.process.kill();
    let server = home.start(&[("SAMPLE", "off")]);
    assert_eq!(post(&server, &events(next..next + 1_000)), Some(202));
    home.until_projected(home.records());
    assert_tables(&home, &events(0..next + 1_000));
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
}

#[test]
fn the_server_waits_while_it_has_no_file_descriptors() {
    let home = Home::new();
    let server = Server::up(home.under("ulimit -n 96").env("SAMPLE", "off"));
    assert_eq!(post(&server, &events(0..100)), Some(202));
    // The system queues more connections than the server can accept.
    let address = server.commands_addr().parse().unwrap();
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
    let crowd: Vec<_> = (0..200).map_while(connect).collect();
    assert!(crowd.len() >= 96, "{} connections", crowd.len());
    drop(crowd);
    until("it responds again", || (post(&server, &events(100..200)) == Some(202)).then_some(()));
    home.until_projected(home.records());
    assert_tables(&home, &events(0..200));
    server.until_ready();
}

fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|library| library.exists())
}

#[test]
fn a_clock_that_jumps_changes_no_sum_and_loses_nothing() {
    let Some(library) = faketime() else {
        return millrace_testkit::skipped(
            "a clock that jumps: libfaketime not found; on Debian: apt-get install faketime",
        );
    };
    let home = Home::new();
    let clock = home.path().join("clock");
    let set = |offset: &str| std::fs::write(&clock, offset).unwrap();
    set("+0");
    let server = Server::up(
        home.command(&[])
            .env("SAMPLE", "off")
            .env("LD_PRELOAD", &library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    );
    let adjust = || server.accept("/api/v1/inventory-adjustments", r#"{"sku":"s","delta":1}"#);
    for (round, offset) in (1..).zip(["+0", "+400d", "-400d", "+1d", "-5h", "+0"]) {
        set(offset);
        for _ in 0..20 {
            adjust();
        }
        let name = format!(r#"{{"userId":"u","email":"a@example.com","name":"{offset}"}}"#);
        server.accept("/api/v1/users", &name);
        home.until_projected(21 * round);
    }
    assert_eq!(home.count("SELECT quantity FROM inventory WHERE sku = 's'"), 120);
    assert_eq!(server.query("/users/u")["user"]["name"], "+400d", "the time is the sender's statement");
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
}
