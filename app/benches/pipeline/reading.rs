//! REST and GraphQL over 100,000 users and 500,000 orders, beside a route that answers the same bytes from memory.
//! Server and load tool have a core each (by `taskset`, where it is there).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use axum::routing::get;
use read_side::config::ReadConfig;
use read_side::read_model::ReadModel;
use shared::event::{Event, OrderPlaced, PaymentSettled, PaymentStatus, UserCreated};
use shared::id::{OrderId, PaymentId, UserId};
use shared::metrics::Metrics;
use shared::settings::ReadModelUrl;
use shared::text::{Currency, Name, OrderStatus, Text};
use shared::{Amount, Envelope, Timestamp};
use tokio_util::sync::CancellationToken;
use write_side::projection::{Batch, Projection, Span};

use crate::load;

const USERS: u64 = 100_000;
const ORDERS: u64 = 500_000;
const BATCH_EVENTS: usize = 50_000;

pub(crate) fn run() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let mut server =
        pinned("0", &format!("part:serve-{}", dir.path().display())).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = lines.next().unwrap().unwrap();
    println!("\nReading, {USERS} users, {ORDERS} orders, 32 connections, server and load on one core each");
    println!("{:<44} {:>10} {:>9} {:>8}", "", "answers/s", "× static", "p99 ms");
    let mut fixed = None;
    for (what, kind) in [
        ("static route, the same bytes", "static"),
        ("GET /users/{id}", "rest"),
        ("GraphQL user → 5 orders → payment", "graphql"),
    ] {
        let output = pinned("1", &format!("part:load-{kind}-{address}")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Option<Vec<f64>> = text.trim().split(' ').map(|n| n.parse().ok()).collect();
        let numbers = numbers.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        let base = *fixed.get_or_insert(numbers[0]);
        println!("{what:<44} {:>10.0} {:>9.3} {:>8.2}", numbers[0], numbers[0] / base, numbers[1]);
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// This program again, on one core.
fn pinned(core: &str, part: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    if Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_err() {
        let mut command = Command::new(program);
        command.arg(part);
        return command;
    }
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program).arg(part);
    command
}

pub(crate) fn load_part(part: &str) {
    let (kind, address) = part.split_once('-').unwrap();
    let request: fn(u64) -> String = match kind {
        "static" => |_| "GET /static HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "rest" => |random| format!("GET /users/user-{} HTTP/1.1\r\nhost: x\r\n\r\n", random % USERS),
        _ => |random| {
            let body = format!(
                r#"{{"query":"{{user(id:\"user-{}\"){{name recentOrders{{orderId amount payment{{status}}}}}}}}"}}"#,
                random % USERS
            );
            format!(
                "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        },
    };
    let (rate, p99_ms) = load::run(address, request);
    println!("{rate} {p99_ms}");
}

pub(crate) fn serve_part(dir: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let metrics = Metrics::new();
        let url = ReadModelUrl::Sqlite(Path::new(dir).join("read_model.db"));
        let read_model = ReadModel::open(&url, metrics.clone()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fixed = "x".repeat(1_500);
        let fixed = axum::Router::new().route("/static", get(async move || fixed.clone()));
        let router = fixed.merge(read_side::http::router(read_model, &ReadConfig::default(), None, &metrics));
        println!("{address}");
        shared::http::serve(listener, router, CancellationToken::new()).await.unwrap();
    });
}

/// Users, orders spread over them, and a payment for each, straight into the tables.
fn fill(dir: &Path) {
    let url = ReadModelUrl::Sqlite(dir.join("read_model.db"));
    let (mut projection, _) = Projection::open(&url).unwrap();
    let events = (0..USERS).map(user).chain((0..ORDERS).flat_map(|n| [order(n), payment(n)]));
    let mut events = events.peekable();
    let mut from = None;
    while events.peek().is_some() {
        let batch: Vec<Envelope> = events.by_ref().take(BATCH_EVENTS).collect();
        let next = from.unwrap_or(0) + i64::try_from(batch.len()).unwrap();
        let spans = [Span { partition: 0, from, next }];
        let batch =
            Batch { topic: "events", spans: &spans, events: batch.iter().collect(), letters: Vec::new() };
        projection.apply(&batch).unwrap();
        from = Some(next);
    }
}

fn envelope(event: Event) -> Envelope {
    Envelope::new(event, Timestamp::now(), None)
}

fn amount(n: u64) -> Amount {
    Amount::from_units(i64::try_from(n % 10_000 * 100 + 9_900).unwrap()).unwrap()
}

fn user(n: u64) -> Envelope {
    envelope(Event::UserCreated(UserCreated {
        user_id: UserId::parse(&format!("user-{n}")).unwrap(),
        email: Text::parse_address("ada@example.com").unwrap(),
        name: Name::parse("Ada Lovelace").unwrap(),
    }))
}

fn order(n: u64) -> Envelope {
    envelope(Event::OrderPlaced(OrderPlaced {
        order_id: OrderId::parse(&format!("order-{n}")).unwrap(),
        // A multiplier without a common factor spreads the orders of a user over the whole.
        user_id: UserId::parse(&format!("user-{}", n * 48_271 % USERS)).unwrap(),
        amount: amount(n),
        currency: Currency::USD,
        status: OrderStatus::PLACED,
        placed_at: Timestamp::now(),
        items: Vec::new(),
    }))
}

fn payment(n: u64) -> Envelope {
    envelope(Event::PaymentSettled(PaymentSettled {
        payment_id: PaymentId::parse(&format!("payment-{n}")).unwrap(),
        order_id: OrderId::parse(&format!("order-{n}")).unwrap(),
        amount: amount(n),
        currency: Currency::USD,
        method: None,
        status: PaymentStatus::Settled,
        settled_at: Timestamp::now(),
    }))
}
