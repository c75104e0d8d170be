//! The mirror on a real Redis: the list shows the open letters, each once, newest first, also after faults.

use millrace_platform::redis::RedisUrl;
use millrace_projector::dead_letter::mirror::{Mirror, Round};
use millrace_projector::dead_letter::{LetterFilter, Resolution};
use millrace_projector::metrics::MirrorMetrics;
use millrace_testkit::redis::RedisServer;

use crate::world::{World, drain};

const POISON: &str = include_str!("../../../../examples/events/poison.ndjson");

/// A store with letters, a Redis, and a list of its own there.
struct Mirrored {
    world: World,
    metrics: MirrorMetrics,
    redis: RedisServer,
    list: String,
}

impl Mirrored {
    fn new(redis: RedisServer) -> Self {
        let list = format!("dlq-{}", uuid::Uuid::now_v7());
        let world = World::new();
        let metrics = MirrorMetrics::register(&world.registry);
        let mirrored = Self { world, metrics, redis, list };
        mirrored.die();
        mirrored
    }

    /// Seven more letters.
    fn die(&self) {
        let lines = POISON.lines().filter(|line| !line.is_empty());
        let record = |line: &str| millrace_domain::NewRecord {
            key: None,
            payload: line.as_bytes().to_vec(),
            headers: millrace_domain::record::Headers::EMPTY,
        };
        self.world.append(lines.map(record).collect());
        drain(&mut self.world.projector());
    }

    fn mirror(&self) -> Mirror {
        self.mirror_at(self.redis.url())
    }

    fn mirror_at(&self, url: &str) -> Mirror {
        let url: RedisUrl = url.parse().unwrap();
        Mirror::new(self.world.letters(), url, &self.list, self.metrics.clone())
    }

    /// Rounds until there is nothing left to do.
    #[track_caller]
    fn settle(&self, mirror: &mut Mirror) {
        while self.world.wait(mirror.round()).unwrap() == Round::Changed {}
    }

    #[track_caller]
    fn failed(&self, mirror: &mut Mirror) -> String {
        millrace_platform::telemetry::chain(&self.world.wait(mirror.round()).unwrap_err())
    }

    /// The list equals the store, letter by letter.
    #[track_caller]
    fn assert_agrees(&self) {
        let shown: Vec<String> = self.redis.command(&["LRANGE", &self.list, "0", "-1"]);
        let open = self.world.open_letters();
        let open: Vec<_> = open.iter().map(|letter| serde_json::to_string(letter).unwrap()).collect();
        assert_eq!(shown, open);
        assert_eq!(self.redis.command::<i64>(&["LLEN", &self.list]), i64::try_from(open.len()).unwrap());
    }

    fn close(&self, at: usize, resolution: Resolution) {
        let id = self.world.open_letters()[at].id();
        assert_eq!(self.world.wait(self.world.letters().close(&[id], resolution)).unwrap(), 1);
    }
}

#[test]
fn shows_every_field_newest_first() {
    let Some(redis) = RedisServer::any() else { return };
    let there = Mirrored::new(redis);
    let mut mirror = there.mirror();
    there.settle(&mut mirror);
    there.assert_agrees();
    let newest: String = there.redis.command(&["LINDEX", &there.list, "0"]);
    let newest: serde_json::Value = serde_json::from_str(&newest).unwrap();
    for field in [
        "id",
        "payload",
        "payloadEncoding",
        "error",
        "causes",
        "deadAt",
        "appendedAt",
        "attempts",
        "eventId",
        "history",
        "eventType",
        "key",
        "headers",
        "topic",
        "partition",
        "offset",
        "reason",
    ] {
        assert!(newest.get(field).is_some(), "{field}");
    }
    there.die();
    there.settle(&mut mirror);
    there.assert_agrees();
    assert_eq!(there.metrics.pending.get(), 0);
}

#[test]
fn a_letter_that_comes_late_is_put_in_its_place() {
    let Some(redis) = RedisServer::any() else { return };
    let there = Mirrored::new(redis);
    let mut mirror = there.mirror();
    there.settle(&mut mirror);
    there.die();
    // As if other projectors, whose clocks are late, had brought them: between the others, at the end, all at once.
    let sql = there.world.sql();
    sql.execute(
        "UPDATE dead_letters SET dead_at = dead_at - 3600000000 WHERE mirrored = 0 AND partition = 0",
        [],
    )
    .unwrap();
    let middle =
        "(SELECT dead_at + 1 FROM dead_letters WHERE mirrored = 2 ORDER BY dead_at LIMIT 1 OFFSET 3)";
    sql.execute(
        &format!("UPDATE dead_letters SET dead_at = {middle} WHERE mirrored = 0 AND partition = 1"),
        [],
    )
    .unwrap();
    there.settle(&mut mirror);
    there.assert_agrees();
    assert_eq!(there.world.open_letters().len(), 14);
}

#[test]
fn what_is_redriven_or_discarded_leaves_the_list() {
    let Some(redis) = RedisServer::any() else { return };
    let there = Mirrored::new(redis);
    let mut mirror = there.mirror();
    there.settle(&mut mirror);
    there.close(6, Resolution::Discarded);
    there.close(3, Resolution::Discarded);
    there.world.redrive(&there.world.open_letters()[0]);
    there.settle(&mut mirror);
    there.assert_agrees();
    assert_eq!(there.world.open_letters().len(), 4);
    drain(&mut there.world.projector());
    there.settle(&mut mirror);
    there.assert_agrees();
    let back: String = there.redis.command(&["LINDEX", &there.list, "0"]);
    let back: serde_json::Value = serde_json::from_str(&back).unwrap();
    assert_eq!((&back["attempts"], back["history"].as_array().unwrap().len()), (&2.into(), 1));
    let discard = there.world.letters();
    there.world.wait(discard.discard_matching(&LetterFilter::default(), 1_000)).unwrap();
    there.settle(&mut mirror);
    there.assert_agrees();
}

#[test]
fn a_crash_between_push_and_note_neither_repeats_nor_forgets() {
    let Some(redis) = RedisServer::any() else { return };
    let there = Mirrored::new(redis);
    there.settle(&mut there.mirror());
    // The push was begun and done; the process died before it could note that.
    let sql = there.world.sql();
    sql.execute("UPDATE dead_letters SET mirrored = 1", []).unwrap();
    sql.execute("UPDATE dead_letter_mirror SET version = 0", []).unwrap();
    there.world.wait(there.mirror().catch_up()).unwrap();
    there.assert_agrees();
    // The same, and the letter is discarded before the next round.
    sql.execute("UPDATE dead_letters SET mirrored = 1", []).unwrap();
    there.close(2, Resolution::Discarded);
    there.world.wait(there.mirror().catch_up()).unwrap();
    there.assert_agrees();
    // The push was begun and never sent.
    there.die();
    sql.execute("UPDATE dead_letters SET mirrored = 1 WHERE mirrored = 0", []).unwrap();
    there.world.wait(there.mirror().catch_up()).unwrap();
    there.assert_agrees();
    assert_eq!(there.world.open_letters().len(), 13);
}

#[test]
fn redis_may_be_down_for_as_long_as_it_likes() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    redis.stop();
    let mut there = Mirrored::new(redis);
    let mut mirror = there.mirror();
    assert!(there.failed(&mut mirror).starts_with("Redis: "));
    assert_eq!(there.world.open_letters().len(), 7, "the projector went on");
    there.redis.restart();
    there.settle(&mut mirror);
    there.assert_agrees();
    // It comes back with nothing in it, and meanwhile letters died and were closed.
    there.redis.stop();
    there.die();
    there.close(9, Resolution::Discarded);
    assert!(there.failed(&mut mirror).starts_with("Redis: "));
    there.redis.restart();
    there.settle(&mut mirror);
    there.assert_agrees();
    assert_eq!(there.world.open_letters().len(), 13);
}

#[test]
fn a_redis_that_was_emptied_or_set_back_is_filled_again() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let there = Mirrored::new(redis);
    let mut mirror = there.mirror();
    there.settle(&mut mirror);
    let () = there.redis.command(&["FLUSHALL"]);
    there.settle(&mut mirror);
    there.assert_agrees();
    // A backup of it: the same generation, fewer changes.
    let meta = format!("{}:mirror", there.list);
    let () = there.redis.command(&["HSET", &meta, "version", "0"]);
    let () = there.redis.command(&["DEL", &there.list, &format!("{}:index", there.list)]);
    there.settle(&mut mirror);
    there.assert_agrees();
}

#[test]
fn a_slow_redis_is_not_waited_for() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let there = Mirrored::new(redis);
    let mut mirror = there.mirror();
    let _round = there.world.wait(mirror.round()).unwrap();
    let () = there.redis.command(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    assert!(there.failed(&mut mirror).starts_with("Redis: "));
    there.die();
    assert_eq!(there.world.open_letters().len(), 14, "the projector went on");
    let () = there.redis.command(&["CLIENT", "UNPAUSE"]);
    there.settle(&mut mirror);
    there.assert_agrees();
}

#[test]
fn a_full_redis_takes_nothing_more_but_lets_letters_go() {
    let Some(redis) = RedisServer::start(&["--maxmemory-policy", "noeviction"]) else { return };
    let there = Mirrored::new(redis);
    let mut mirror = there.mirror();
    there.settle(&mut mirror);
    let () = there.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    there.die();
    let failure = there.failed(&mut mirror);
    assert!(failure.contains("OOM"), "{failure}");
    assert_eq!(there.redis.command::<i64>(&["LLEN", &there.list]), 7);
    there.close(13, Resolution::Discarded);
    assert!(there.failed(&mut mirror).contains("OOM"));
    assert_eq!(there.redis.command::<i64>(&["LLEN", &there.list]), 6, "what frees memory is done first");
    let () = there.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    there.settle(&mut mirror);
    there.assert_agrees();
}

#[test]
fn a_wrong_password_is_reported_and_never_shown() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let there = Mirrored::new(redis);
    let () = there.redis.command(&["CONFIG", "SET", "requirepass", "right-one"]);
    let at = |password: &str| format!("redis://:{password}@127.0.0.1:{}/0", there.redis.port());
    let mut locked_out = there.mirror_at(&at("wr0ng-one"));
    let failure = there.failed(&mut locked_out);
    assert!(failure.contains("WRONGPASS") || failure.contains("uthentication"), "{failure}");
    assert!(!failure.contains("wr0ng-one") && !format!("{locked_out:?}").contains("wr0ng-one"));
    let without = there.failed(&mut there.mirror());
    assert!(without.contains("NOAUTH"), "{without}");
    there.settle(&mut there.mirror_at(&at("right-one")));
}

#[test]
fn user_password_and_database_of_the_address_are_used() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let there = Mirrored::new(redis);
    let () = there.redis.command(&["ACL", "SETUSER", "ada", "on", ">s3cr:t/pw", "~*", "&*", "+@all"]);
    let at = |database: u8| format!("redis://ada:s3cr%3At%2Fpw@127.0.0.1:{}/{database}", there.redis.port());
    there.settle(&mut there.mirror_at(&at(2)));
    assert_eq!(there.redis.command::<i64>(&["EXISTS", &there.list]), 0, "database 0 is empty");
    let () = there.redis.command(&["SWAPDB", "0", "2"]);
    there.assert_agrees();
    let beyond = there.failed(&mut there.mirror_at(&at(99)));
    assert!(beyond.to_ascii_lowercase().contains("out of range"), "{beyond}");
}

#[test]
fn two_mirrors_that_take_the_list_from_each_other_show_each_letter_once() {
    let Some(redis) = RedisServer::any() else { return };
    let there = Mirrored::new(redis);
    for _ in 0..60 {
        there.die();
    }
    let busy = |url: &str| {
        let url: RedisUrl = url.parse().unwrap();
        let mut mirror = Mirror::new(there.world.letters(), url, &there.list, there.metrics.clone());
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (mut overtaken, mut done) = (0, 0);
            // A mirror that was overtaken starts again. At the end both have finished three times.
            while done < 3 {
                match runtime.block_on(mirror.catch_up()) {
                    Ok(_) => done += 1,
                    Err(error) => {
                        assert!(error.to_string().contains("another process"), "{error}");
                        overtaken += 1;
                    }
                }
            }
            overtaken
        }
    };
    let workers = [busy(there.redis.url()), busy(there.redis.url())].map(std::thread::spawn);
    let _overtaken: u32 = workers.map(|worker| worker.join().unwrap()).iter().sum();
    there.assert_agrees();
    assert_eq!(there.world.open_letters().len(), 61 * 7);
}

#[test]
fn a_mirror_that_is_not_in_turn_waits() {
    let Some(redis) = RedisServer::any() else { return };
    let there = Mirrored::new(redis);
    let (mut first, mut second) = (there.mirror(), there.mirror());
    there.settle(&mut first);
    assert_eq!(there.world.wait(second.round()).unwrap(), Round::Another);
    assert_eq!(there.world.wait(second.rebuild()).unwrap(), 7);
    there.assert_agrees();
    there.die();
    assert_eq!(there.world.wait(first.round()).unwrap(), Round::Changed, "it was given back");
    there.settle(&mut first);
    there.assert_agrees();
}

#[test]
fn a_list_of_others_is_kept() {
    let Some(redis) = RedisServer::any() else { return };
    let there = Mirrored::new(redis);
    let () = there.redis.command(&["RPUSH", &there.list, "an older system's letter"]);
    let mut mirror = there.mirror();
    there.settle(&mut mirror);
    there.assert_agrees();
    let kept: Vec<String> = there.redis.command(&["KEYS", &format!("{}:before-*", there.list)]);
    let letters: Vec<String> = there.redis.command(&["LRANGE", &kept[0], "0", "-1"]);
    assert_eq!(letters, ["an older system's letter"]);
    // What a person takes off the list is shown again, but not at once: perhaps he means to take them all.
    let _taken: String = there.redis.command(&["LPOP", &there.list]);
    assert_eq!(there.world.wait(mirror.round()).unwrap(), Round::Backoff);
    there.world.wait(mirror.rebuild()).unwrap();
    there.assert_agrees();
}

#[test]
fn tls_is_spoken() {
    let openssl = |dir: &std::path::Path| {
        let arguments =
            "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=127.0.0.1";
        let made = std::process::Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let tls = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no"];
    let arguments: Vec<_> = tls.into_iter().chain(["--tls-port", &free]).collect();
    let Some(redis) = RedisServer::start_with(&arguments, openssl) else { return };
    let there = Mirrored::new(redis);
    let trusting = format!("rediss://127.0.0.1:{free}/0#insecure");
    there.settle(&mut there.mirror_at(&trusting));
    there.assert_agrees();
    let failure = there.failed(&mut there.mirror_at(&format!("rediss://127.0.0.1:{free}/0")));
    assert!(failure.contains("certificate"), "an untrusted certificate is refused: {failure}");
}
