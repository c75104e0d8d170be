//! Tests of the Kafka adapter as a member of a group: sharing partitions, failover, idling, reconnecting.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_domain::Position;
use millrace_event_log::{EventLog, LogError, Polled};

use super::fixture::{Fixture, LIMITS, Mock, PARTITIONS, Read, Reader, kafka, kafka_mock, record, sorted};

/// Enough polls for a group to settle.
const POLLS_MAX: usize = 600;
const SHORT_WAIT: Duration = Duration::from_millis(50);

/// A reader that starts every assigned partition at its beginning.
struct Member {
    reader: Reader,
    owned: BTreeSet<i32>,
    read: Vec<Read>,
    revoked: usize,
}

impl Member {
    fn join(log: &EventLog) -> Self {
        Self { reader: Reader::new(log), owned: BTreeSet::new(), read: Vec::new(), revoked: 0 }
    }

    fn step(&mut self) {
        match self.reader.poll(LIMITS, SHORT_WAIT).unwrap() {
            (Polled::Assigned(partitions), _) => {
                let starts: Vec<_> = partitions.iter().map(|p| (*p, None)).collect();
                self.reader.consumer.start(&starts).unwrap();
                self.owned.extend(partitions);
            }
            (Polled::Revoked(partitions), _) => {
                self.revoked += partitions.len();
                self.owned.retain(|partition| !partitions.contains(partition));
            }
            (Polled::Records, read) => {
                for read in read {
                    assert!(self.owned.contains(&read.position.partition), "{read:?}");
                    self.read.push(read);
                }
            }
        }
    }
}

fn step_until(members: &mut [&mut Member], done: impl Fn(&[&mut Member]) -> bool) {
    for _ in 0..POLLS_MAX {
        if done(members) {
            return;
        }
        members.iter_mut().for_each(|member| member.step());
    }
    let owned: Vec<_> = members.iter().map(|member| &member.owned).collect();
    panic!("the group did not settle: {owned:?}");
}

fn shares_and_takes_over(fixture: &Fixture) {
    let positions = fixture.append_numbered(60);
    let all: BTreeSet<i32> = (0..PARTITIONS).collect();
    let mut first = Member::join(&fixture.log);
    step_until(&mut [&mut first], |m| m[0].owned.len() == 6 && m[0].read.len() == 60);

    let mut second = Member::join(&fixture.log);
    step_until(&mut [&mut first, &mut second], |m| m[0].owned.len() == 3 && m[1].owned.len() == 3);
    assert_eq!(&first.owned | &second.owned, all);
    assert_eq!((first.revoked, second.revoked), (3, 0), "the other partitions do not move");

    let moved = second.owned.clone();
    let at_second: Vec<_> = positions.iter().filter(|p| moved.contains(&p.partition)).copied().collect();
    step_until(&mut [&mut first, &mut second], |m| m[1].read.len() == at_second.len());
    assert_eq!(sorted(second.read.iter().map(|r| r.position)), sorted(at_second));

    let kept = first.read.len();
    drop(second);
    step_until(&mut [&mut first], |m| m[0].owned.len() == 6);
    let more = fixture.append_numbered(60);
    let again = positions.iter().filter(|p| moved.contains(&p.partition)).count();
    step_until(&mut [&mut first], |m| m[0].read.len() == kept + again + more.len());
}

#[test]
fn members_share_the_partitions_and_take_over() {
    shares_and_takes_over(&kafka_mock());
    if let Some(fixture) = kafka() {
        shares_and_takes_over(&fixture);
    }
}

#[test]
fn idling_stays_in_the_group() {
    let fixture = kafka_mock();
    let positions = fixture.append_numbered(60);
    let mut first = Member::join(&fixture.log);
    step_until(&mut [&mut first], |m| m[0].owned.len() == 6);
    let mut second = Member::join(&fixture.log);
    // The first member only idles. It still releases half of its partitions and keeps the other half.
    for _ in 0..POLLS_MAX {
        first.reader.consumer.idle(SHORT_WAIT);
        second.step();
        if second.owned.len() == 3 {
            break;
        }
    }
    assert_eq!(second.owned.len(), 3);
    step_until(&mut [&mut first, &mut second], |m| {
        let positions_read: BTreeSet<Position> = m.iter().flat_map(|m| &m.read).map(|r| r.position).collect();
        m[0].owned.len() == 3 && positions_read.len() == positions.len()
    });
}

#[test]
fn a_delayed_start_does_not_block_the_group() {
    let fixture = kafka_mock();
    let positions = fixture.append_numbered(60);
    // The first member is assigned everything and does not start, as while its database is unavailable.
    let mut first = Reader::new(&fixture.log);
    assert_eq!(first.assigned().len(), 6);
    let mut second = Member::join(&fixture.log);
    for _ in 0..POLLS_MAX {
        first.consumer.idle(SHORT_WAIT);
        second.step();
        if second.owned.len() == 3 {
            break;
        }
    }
    assert_eq!(second.owned.len(), 3, "the second member gets its share");
    // Now the first member starts all its partitions. Those that were revoked meanwhile are ignored.
    let all: Vec<_> = (0..PARTITIONS).map(|p| (p, None)).collect();
    first.consumer.start(&all).unwrap();
    let mut read = Vec::new();
    let at_first = positions.iter().filter(|p| !second.owned.contains(&p.partition)).count();
    for _ in 0..POLLS_MAX {
        if read.len() >= at_first {
            break;
        }
        read.extend(first.poll(LIMITS, SHORT_WAIT).unwrap().1);
        second.step();
    }
    assert_eq!(read.len(), at_first);
    assert!(read.iter().all(|r| !second.owned.contains(&r.position.partition)));
}

#[test]
fn recovers_from_an_outage_longer_than_the_session() {
    let mock = Mock::with_topic(PARTITIONS);
    let log = mock.open("message.timeout.ms=1000;reconnect.backoff.max.ms=100").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let append = |payload| runtime.block_on(log.append(vec![record("k", payload)]));
    let before = append("before").unwrap()[0];
    let mut member = Member::join(&log);
    step_until(&mut [&mut member], |m| m[0].read.len() == 1);

    mock.cluster().broker_down(-1).unwrap();
    assert!(matches!(append("during").unwrap_err(), LogError::Unavailable(_)));
    assert!(matches!(runtime.block_on(log.ping()).unwrap_err(), LogError::Unavailable(_)));
    step_until(&mut [&mut member], |m| m[0].owned.is_empty());
    assert_eq!(member.read.len(), 1);

    mock.cluster().broker_up(-1).unwrap();
    assert!((0..POLLS_MAX).any(|_| runtime.block_on(log.ping()).is_ok()));
    let after = append("after").unwrap()[0];
    step_until(&mut [&mut member], |m| m[0].read.last().is_some_and(|read| read.position == after));
    let again: Vec<_> = member.read.iter().filter(|read| read.position == before).collect();
    assert_eq!(again.len(), 2, "read again from the position of the second start");
}
