//! REST and GraphQL over 100,000 users and 500,000 orders, beside a route that answers as many bytes from memory.
//!
//! What everything is compared with is a bare `axum::serve`, without limits, time-outs, metrics or headers of ours; the
//! same route behind our server shows their cost. Server and load tool have a core each (by `taskset`).

use std::future::IntoFuture;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use axum::routing::get;
use millrace_domain::event::{Event, OrderPlaced, PaymentSettled, PaymentStatus, UserCreated};
use millrace_domain::id::{OrderId, PaymentId, UserId};
use millrace_domain::text::{Currency, Name, OrderStatus, Text};
use millrace_domain::{Amount, Envelope, Timestamp};
use millrace_mssql::ReadModelUrl;
use millrace_platform::http::HttpServer;
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry, StoreMetrics};
use millrace_projector::projection::{Batch, Projection, Span};
use millrace_read_side::config::ReadConfig;
use millrace_read_side::read_model::ReadModel;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::load;

const USERS: u64 = 100_000;
const ORDERS: u64 = 500_000;
/// What `GET /users/{id}` answers here.
const ANSWER_BYTES: usize = 1_640;
const BATCH_EVENTS: usize = 50_000;

/// A request: its name in the report, its name as an argument of this program, whether it goes to the bare server.
const ASKED: [(&str, &str, bool); 6] = [
    ("static route of a bare axum::serve", "static", true),
    ("static route beside ours, served as they are", "static", false),
    ("GET /users/{id}", "rest", false),
    ("GraphQL, persisted: hash and variables", "persisted", false),
    ("GraphQL, text and variables", "text", false),
    ("GraphQL, another text each time", "new", false),
];

pub(crate) fn run() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let mut server =
        pinned("0", &format!("part:serve-{}", dir.path().display())).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let addresses = lines.next().unwrap().unwrap();
    let (ours, bare) = addresses.split_once(' ').unwrap();
    println!("\nReading, {USERS} users, {ORDERS} orders, 32 connections, server and load on one core each");
    println!(
        "GraphQL asks for user → 5 orders → payment. µs is time of the server's threads for one answer."
    );
    println!(
        "{:<46}{:>10}{:>8}{:>8}{:>8}{:>9}{:>14}",
        "", "answers/s", "ratio", "µs", "ratio", "p99 ms", "at half load"
    );
    let mut fixed = None;
    for (what, kind, is_bare) in ASKED {
        let address = if is_bare { bare } else { ours };
        let full = measure(kind, address, server.id(), 0.0);
        let half = measure(kind, address, server.id(), full[0] / 2.0);
        let (rate, spent) = *fixed.get_or_insert((full[0], full[2]));
        println!(
            "{what:<46}{:>10.0}{:>8.3}{:>8.1}{:>8.3}{:>9.2}{:>14.2}",
            full[0],
            full[0] / rate,
            full[2],
            spent / full[2],
            full[1],
            half[1]
        );
    }
    println!("The server holds {} besides the files that it maps.", memory(server.id()));
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Rate, 99th percentile and time of the server, as a load tool of its own process measures them.
fn measure(kind: &str, address: &str, server: u32, pace: f64) -> Vec<f64> {
    let output = pinned("1", &format!("part:load-{kind}-{address}-{server}-{pace}")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Option<Vec<f64>> = text.trim().split(' ').map(|n| n.parse().ok()).collect();
    numbers.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Anonymous memory of a process.
fn memory(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kb: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    format!("{} MB", kb / 1024)
}

/// This program again, on one core.
fn pinned(core: &str, part: &str) -> Command {
    let mut command = crate::server::pinned(core, std::env::current_exe().unwrap());
    command.arg(part);
    command
}

const DOCUMENT: &str =
    "query ($id: ID!) { user(id: $id) { name recentOrders { orderId amount payment { status } } } }";

pub(crate) fn load_part(part: &str) {
    let parts: Vec<_> = part.split('-').collect();
    let [kind, address, server, pace] = parts[..] else { panic!("{part}") };
    let request: load::Request = match kind {
        "static" => |_| "GET /static HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "rest" => |random| format!("GET /users/user-{} HTTP/1.1\r\nhost: x\r\n\r\n", random % USERS),
        "persisted" => |random| post(&format!(r#"{{"extensions":{},{}}}"#, *PERSISTED, variables(random))),
        "text" => |random| post(&format!(r#"{{"query":"{DOCUMENT}",{}}}"#, variables(random))),
        _ => |random| {
            let id = random % USERS;
            post(&format!(
                r#"{{"query":"{{user(id:\"user-{id}\"){{name recentOrders{{orderId amount payment{{status}}}}}}}}"}}"#
            ))
        },
    };
    match kind {
        "static" => {}
        "rest" => {
            let answer = load::once(address, &request(1));
            assert_eq!(answer.matches("SETTLED").count(), 5);
            assert!(answer.len().abs_diff(ANSWER_BYTES) < 50, "{} bytes", answer.len());
        }
        _ => {
            let register =
                format!(r#"{{"query":"{DOCUMENT}","extensions":{},{}}}"#, *PERSISTED, variables(1));
            load::once(address, &post(&register));
            assert_eq!(load::once(address, &request(1)).matches("SETTLED").count(), 5);
        }
    }
    let pace: f64 = pace.parse().unwrap();
    let measured = load::run(address, server.parse().unwrap(), request, (pace > 0.0).then_some(pace));
    println!("{} {} {}", measured.rate, measured.p99_ms, measured.server_us);
}

/// The extension that names the document by its hash.
static PERSISTED: LazyLock<String> = LazyLock::new(|| {
    let hash: String = Sha256::digest(DOCUMENT).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(r#"{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}"#)
});

fn variables(random: u64) -> String {
    format!(r#""variables":{{"id":"user-{}"}}"#, random % USERS)
}

fn post(body: &str) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Ours, with a route that answers from memory as many bytes as `GET /users/{id}` does, and a bare server with only that.
pub(crate) fn serve_part(dir: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let registry = MetricsRegistry::new();
        let (http, store) = (HttpMetrics::register(&registry), StoreMetrics::register(&registry));
        let url = ReadModelUrl::Sqlite(Path::new(dir).join("read_model.db"));
        let read_model = ReadModel::open(&url, store).unwrap();
        let ours = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bare = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{} {}", ours.local_addr().unwrap(), bare.local_addr().unwrap());
        let fixed = "x".repeat(ANSWER_BYTES);
        let fixed = axum::Router::new().route("/static", get(async move || fixed.clone()));
        let bare = axum::serve(bare, fixed.clone()).into_future();
        tokio::spawn(bare);
        let fixed = millrace_platform::http::with_common_routes(fixed, &registry, &http);
        let fixed = axum::Router::new().route("/static", axum::routing::any_service(fixed));
        let config = ReadConfig::default();
        let read_side = millrace_read_side::http::router(read_model, &config, None, &registry, &http);
        HttpServer::default().run(ours, fixed.merge(read_side), CancellationToken::new()).await;
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
