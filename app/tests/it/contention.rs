//! Many writers on one user, one order and one sku.

use std::sync::Barrier;

use millrace_domain::Envelope;
use millrace_domain::event::PaymentStatus::{Failed, Settled};
use millrace_testkit::oracle::{expected_tables, order, payment, stock, user};

use crate::process::{Client, Home};

const WRITERS: i64 = 8;
const EVENTS: i64 = 1_000;

/// The events of one writer.
fn events(writer: i64) -> impl Iterator<Item = Envelope> {
    (0..EVENTS).map(move |n| {
        // The newest event of each group of eight belongs to another writer each time.
        let (at, id) = (n * WRITERS + (writer + n) % WRITERS, format!("e-{writer}-{n}"));
        match n % 4 {
            0 => user(&id, at, "u", &format!("name {id}")),
            1 => order(&id, at, "o", "u", at),
            2 => payment(&id, at, "o", at, if writer % 2 == 0 { Settled } else { Failed }),
            _ => stock(&id, at, "s", writer - 3, Some(at)),
        }
    })
}

#[test]
fn eight_writers_meet_on_one_user_order_and_sku() {
    let home = Home::new();
    let server = home.start(&[("SAMPLE", "off")]);
    let url = format!("{}/api/v1/events", server.commands);
    let together = Barrier::new(usize::try_from(WRITERS).unwrap());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (url, together) = (&url, &together);
            scope.spawn(move || {
                let client = Client::new();
                together.wait();
                for event in events(writer) {
                    let payload = String::from_utf8(event.to_record().payload).unwrap();
                    let (status, answer) = client.post(url, &payload).unwrap();
                    assert_eq!(status, 202, "{answer}");
                }
            });
        }
    });
    home.until_projected(WRITERS * EVENTS);
    let all: Vec<_> = (0..WRITERS).flat_map(events).collect();
    assert_eq!(home.tables(), expected_tables(&all));
    assert_eq!(server.query("/orders/o")["order"]["userId"], "u");
    assert_eq!(home.count("SELECT COUNT(*) FROM dead_letters"), 0);
}
