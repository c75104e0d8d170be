//! The change feed through a real Redis: changes reach other processes, and the projector does not wait for it.

use std::time::Instant;

use millrace_domain::change::{ChangedOrder, Changes};
use millrace_domain::id::{OrderId, UserId};
use millrace_platform::change_feed::{CHANNEL, ChangeFeed, FeedMessage, FeedMetrics, Subscriber};
use millrace_testkit::redis::RedisServer;

use crate::world::{World, drain};

fn feed(world: &World, redis: &RedisServer) -> ChangeFeed {
    let url = redis.url().parse().unwrap();
    world.wait(async { ChangeFeed::redis(url, FeedMetrics::register(&world.registry)) })
}

/// The next message; notices of missed ones are skipped.
fn changes(world: &World, listener: &mut Subscriber) -> Changes {
    world.wait(async {
        loop {
            if let FeedMessage::Changes(changes) = listener.next().await.unwrap() {
                return Changes::clone(&changes);
            }
        }
    })
}

fn order(number: u32) -> millrace_domain::NewRecord {
    let body = format!(
        r#"{{"eventId":"e-{number}","type":"OrderPlaced","occurredAt":"2026-11-21T07:00:00Z","key":"o-{number}","payload":{{"orderId":"o-{number}","userId":"u-1","amount":1}}}}"#
    );
    millrace_domain::NewRecord {
        key: Some(format!("o-{number}").into_bytes()),
        payload: body.into_bytes(),
        headers: millrace_domain::record::Headers::EMPTY,
    }
}

#[test]
fn what_one_process_projects_another_hears() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let world = World::new();
    let here = feed(&world, &redis);
    let url = redis.url().parse().unwrap();
    let there = world.wait(async { ChangeFeed::redis_subscriber(url) });
    let mut listener = world.wait(async { there.subscribe() });
    assert!(matches!(world.wait(listener.next()), Some(FeedMessage::Missed)), "it listens from now on");
    let mut projector = world.projector().with_feed(here);
    world.append(vec![order(1)]);
    drain(&mut projector);
    let order_id = OrderId::parse("o-1").unwrap();
    let expected = ChangedOrder { order_id, user_id: Some(UserId::parse("u-1").unwrap()) };
    assert_eq!(changes(&world, &mut listener).orders, [expected]);
    // A message of another form counts as missed.
    let _heard: i64 = redis.command(&["PUBLISH", CHANNEL, "nonsense"]);
    assert!(matches!(world.wait(listener.next()), Some(FeedMessage::Missed)));
    // After an outage of Redis listeners get a notice that they may have missed changes.
    redis.stop();
    redis.restart();
    assert!(matches!(world.wait(listener.next()), Some(FeedMessage::Missed)));
}

#[test]
fn an_unavailable_redis_costs_messages_and_no_time() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    redis.stop();
    let world = World::new();
    let feed = feed(&world, &redis);
    let mut projector = world.projector().with_feed(feed.clone());
    world.append((0..1_000).map(order).collect());
    drain(&mut projector);
    assert_eq!(world.count("OrderPlaced", "applied"), 1_000);
    let started = Instant::now();
    for _ in 0..10_000 {
        feed.publish(|| vec![Changes::default()]);
    }
    let took = started.elapsed();
    let text = world.registry.render();
    let value =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let dropped = value("millrace_change_feed_dropped_total").unwrap();
    assert!(dropped > 9_000, "the queue is bounded ({took:?})");
    assert_eq!(value("millrace_change_feed_published_total"), Some(0));
}
