//! Dead letters in the whole binary: mirrored to Redis, filtered, redriven and discarded, with and without a token.

use std::process::Command;

use millrace_testkit::redis::RedisServer;

use crate::process::{Home, Process, Server, until};

const POISON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/events/poison.ndjson");

fn poisoned(settings: &[(&str, &str)]) -> (Home, Server) {
    let home = Home::new();
    let server = home.start(&[&[("SAMPLE", "off")], settings].concat());
    home.beside(&server, &["produce", "--file", POISON]).ok();
    home.until_projected(7);
    (home, server)
}

#[test]
fn letters_are_mirrored_as_soon_as_redis_is_available() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let url = redis.url().to_owned();
    redis.stop();
    let (home, server) = poisoned(&[("REDIS_URL", &url), ("DLQ_LIST", "letters")]);
    let line = server.process.logged("dead letters not mirrored");
    assert!(line.contains("Redis"), "{line}");
    until("nothing else waits for Redis", || server.is_ready().then_some(()));
    redis.restart();
    let listed = |count: i64| {
        until(&format!("{count} letters are in the list"), || {
            (redis.command::<i64>(&["LLEN", "letters"]) == count).then_some(())
        });
    };
    listed(7);
    server.process.logged("dead letters are mirrored again");
    home.beside(&server, &["dead-letters", "discard", "--reason", "unknown-type"]).ok();
    listed(6);
    let () = redis.command(&["FLUSHALL"]);
    listed(6);
    let mut rebuild = home.command(&["dead-letters", "mirror", "--rebuild"]);
    let rebuilt = Process::start(rebuild.env("REDIS_URL", &url).env("DLQ_LIST", "letters")).finish();
    assert_eq!(rebuilt.ok(), "list letters: 6 letters");
    assert_eq!(redis.command::<i64>(&["LLEN", "letters"]), 6);
    server.process.signal("TERM");
    assert_eq!(server.process.finish().code, Some(0));
    let discard = |reason: &str, url: &str| {
        let mut discard = home.command(&["dead-letters", "discard", "--reason", reason]);
        Process::start(discard.env("REDIS_URL", url).env("DLQ_LIST", "letters")).finish()
    };
    assert_eq!(discard("missing-field", &url).ok(), "1 letter discarded");
    assert_eq!(redis.command::<i64>(&["LLEN", "letters"]), 5, "no projector runs that could do it");
    let offline = discard("invalid-field", "redis://127.0.0.1:1");
    assert_eq!(offline.ok(), "2 letters discarded");
    assert!(offline.stderr.contains("the list letters is updated later"), "{offline:?}");
    let without = Process::start(&mut home.command(&["dead-letters", "mirror"])).finish();
    assert_eq!(without.code, Some(2), "{without:?}");
    assert!(without.stderr.contains("REDIS_URL"), "{without:?}");
}

#[test]
fn redis_may_have_a_certificate_of_a_private_authority() {
    let home = Home::new();
    let make = |dir: &std::path::Path| {
        let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
            openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=127.0.0.1
            echo subjectAltName=IP:127.0.0.1 >names
            openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem";
        let made = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        std::fs::copy(dir.join("ca.pem"), home.path().join("ca.pem")).unwrap();
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let tls = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no"];
    let arguments: Vec<_> = tls.into_iter().chain(["--tls-port", &port]).collect();
    let Some(redis) = RedisServer::start_with(&arguments, make) else { return };
    Process::start(&mut home.command(&["migrate"])).finish().ok();
    let mirror = |trusted: Option<&str>| {
        let mut command = home.command(&["dead-letters", "mirror"]);
        command.env("REDIS_URL", format!("rediss://127.0.0.1:{port}"));
        Process::start(command.envs(trusted.map(|file| ("SSL_CERT_FILE", file)))).finish()
    };
    assert_eq!(mirror(Some("ca.pem")).ok(), "list dlq: 0 letters");
    let refused = mirror(None);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("certificate"), "{refused:?}");
    drop(redis);
}

#[test]
fn letters_are_redriven_by_filter_through_the_admin_api() {
    const TOKEN: (&str, &str) = ("ADMIN_TOKEN", "a-token-of-some-length");
    let (home, server) = poisoned(&[TOKEN]);
    let dry = home.beside(&server, &["dead-letters", "redrive", "--type", "UnknownEvent", "--dry-run"]);
    assert!(dry.ok().ends_with("1 letter would be redriven"), "{dry:?}");
    let refused = home.beside(&server, &["dead-letters", "redrive", "--all"]);
    assert_eq!(refused.code, Some(1), "the token is required");
    assert!(refused.stderr.contains("401"), "{refused:?}");
    let with_token = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        Process::start(command.envs(server.addresses()).env(TOKEN.0, TOKEN.1)).finish()
    };
    let one = with_token(&["dead-letters", "redrive", "--type", "UnknownEvent"]);
    assert_eq!(one.ok(), "1 letter redriven");
    home.until_projected(8);
    let all = with_token(&["dead-letters", "redrive", "--all", "--max", "5"]);
    assert_eq!(all.ok(), "5 letters redriven");
    home.until_projected(13);
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters WHERE state = 'open'"), 7, "all are open again");
    for wrong in [&["redrive"][..], &["redrive", "0:1", "--reason", "x"], &["discard"], &["clear"]] {
        let ended = with_token(&[&["dead-letters"], wrong].concat());
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(!ended.stderr.contains(TOKEN.1), "{ended:?}");
    }
    let cleared = with_token(&["dead-letters", "clear", "--yes"]);
    assert_eq!(cleared.ok(), "7 letters discarded");
    assert_eq!(with_token(&["dead-letters", "list"]).ok(), "no open dead letters");
}

#[test]
fn a_mirror_that_is_killed_repeatedly_lists_each_letter_once() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let home = Home::new();
    let server = home.start(&[("SAMPLE", "off")]);
    let many = home.path().join("many.ndjson");
    std::fs::write(&many, std::fs::read_to_string(POISON).unwrap().repeat(150)).unwrap();
    home.beside(&server, &["produce", "--file", many.to_str().unwrap()]).ok();
    home.until_projected(150 * 7);
    let mirror = || {
        let mut command = home.command(&["dead-letters", "mirror"]);
        Process::start(command.env("REDIS_URL", redis.url()))
    };
    let length = || redis.command::<i64>(&["LLEN", "dlq"]);
    for _ in 0..8 {
        let before = length();
        let mut process = mirror();
        // Killed right after a push, often before the mirror has recorded it.
        until("it has pushed or ended", || (length() > before || process.has_ended()).then_some(()));
        process.kill();
    }
    assert_eq!(mirror().finish().ok(), "list dlq: 1050 letters");
    let shown: Vec<String> = redis.command(&["LRANGE", "dlq", "0", "-1"]);
    let listed = home.beside(&server, &["dead-letters", "list", "--json", "--limit", "10000"]);
    assert!(listed.ok().lines().eq(shown.iter()), "each letter once, newest first");
}
