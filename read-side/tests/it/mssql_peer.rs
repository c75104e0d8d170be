//! The read side on a scripted SQL Server: requests per read, the mapping of rows, and answers that are errors, late,
//! incomplete or missing.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request as HttpRequest;
use millrace_mssql::ReadModelUrl;
use millrace_mssql::{MssqlUrl, SCHEMA_VERSION};
use millrace_platform::metrics::{MetricsRegistry, StoreMetrics};
use millrace_read_side::read_model::Store as ReadStore;
use millrace_read_side::read_model::mssql::MssqlReadModel;
use millrace_read_side::{ReadConfig, ReadModel};
use millrace_testkit::tds::{Cell, Kind, Reply, Request, TdsPeer};
use serde_json::{Value, json};

use crate::seed::ReadSide;

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000_000;
/// Longer than any test takes.
const DEADLINE: Duration = Duration::from_secs(60);

struct Peered {
    peer: TdsPeer,
    read_side: ReadSide,
}

impl Peered {
    fn new(script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static) -> Self {
        Self::with("", &ReadConfig::default(), script)
    }

    /// With a single connection, which the next client reuses if it is still valid.
    fn of_one_connection(
        settings: &str,
        script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static,
    ) -> Self {
        Self::with(&format!("&max-pool-size=1{settings}"), &ReadConfig::default(), script)
    }

    fn with(
        settings: &str,
        config: &ReadConfig,
        script: impl FnMut(&Request) -> Vec<Reply> + Send + 'static,
    ) -> Self {
        let peer = TdsPeer::start(script);
        let registry = MetricsRegistry::new();
        let store = StoreMetrics::register(&registry);
        let read_model = MssqlReadModel::over(&url(&peer, settings), store.clone());
        let read_model = ReadModel::over(ReadStore::Mssql(read_model));
        let read_side = ReadSide::over(read_model, config, (registry, store), tempfile::tempdir().unwrap());
        Self { peer, read_side }
    }

    async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.read_side.query(query, variables).await.json();
        assert_eq!(answer.get("errors"), None, "{answer}");
        answer["data"].clone()
    }

    /// The connection of each request.
    fn connections(&self) -> Vec<usize> {
        self.peer.requests().iter().map(|request| request.connection).collect()
    }
}

fn url(peer: &TdsPeer, settings: &str) -> MssqlUrl {
    let text = format!("mssql://sa:hunter2@{}/millrace?trust-server-certificate=true{settings}", peer.addr());
    MssqlUrl::parse_url(&text).unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const USER: [(&str, Kind); 4] = [
    ("user_id", Kind::NVarChar),
    ("name", Kind::NVarChar),
    ("email", Kind::NVarChar),
    ("occurred_at", Kind::DateTime2),
];
const ORDER_LINE: [(&str, Kind); 15] = [
    ("order_id", Kind::NVarChar),
    ("user_id", Kind::NVarChar),
    ("amount", Kind::Decimal),
    ("currency", Kind::NVarChar),
    ("status", Kind::NVarChar),
    ("placed_at", Kind::DateTime2),
    ("payment_status", Kind::NVarChar),
    ("payment_id", Kind::NVarChar),
    ("paid", Kind::Decimal),
    ("paid_in", Kind::NVarChar),
    ("method", Kind::NVarChar),
    ("settled_at", Kind::DateTime2),
    ("sku", Kind::NVarChar),
    ("quantity", Kind::Int),
    ("unit_price", Kind::Decimal),
];

fn user(id: &str) -> Vec<Cell> {
    vec![id.into(), "Ada".into(), "ada@example.com".into(), Cell::DateTime2(NEW_YEAR)]
}

/// The columns of an order, which are the same in all its rows.
fn order(id: &str, user: &str, amount: i128) -> Vec<Cell> {
    let placed = Cell::DateTime2(NEW_YEAR);
    vec![id.into(), user.into(), Cell::Decimal(amount), "EUR".into(), "PLACED".into(), placed]
}

fn settled(amount: i128) -> Vec<Cell> {
    let when = Cell::DateTime2(NEW_YEAR + 1);
    vec!["SETTLED".into(), "p-1".into(), Cell::Decimal(amount), "EUR".into(), "card".into(), when]
}

fn line(sku: &str, quantity: i32, price: i128) -> Vec<Cell> {
    vec![sku.into(), quantity.into(), Cell::Decimal(price)]
}

fn nothing(columns: usize) -> Vec<Cell> {
    vec![Cell::Null; columns]
}

/// An order without lines and payment.
fn bare_order(id: &str, user: &str) -> Vec<Cell> {
    [order(id, user, 10_000), nothing(9)].concat()
}

/// The strings of a JSON array.
fn ids(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

/// A shop in which every user exists and has two orders.
fn shop(request: &Request) -> Vec<Reply> {
    let users = |ids: Vec<String>| Reply::rows(USER, ids.iter().map(|id| user(id)));
    let orders = |users: Vec<String>| {
        let both = |user: &String| ["2", "1"].map(|n| bare_order(&format!("o-{user}-{n}"), user));
        Reply::rows(ORDER_LINE, users.iter().flat_map(both))
    };
    let sql = request.sql.as_str();
    let reply = if sql == include_str!("../../../sql/mssql/read_model/users.sql") {
        users(ids(request.text(1)))
    } else if sql == include_str!("../../../sql/mssql/read_model/users_page_newest.sql") {
        users(["u-3", "u-2", "u-1"].map(str::to_owned).to_vec())
    } else if sql == include_str!("../../../sql/mssql/read_model/recent_orders.sql") {
        orders(ids(request.text(1)))
    } else if sql == include_str!("../../../sql/mssql/read_model/orders_of_users_newest.sql") {
        orders(ids(request.text(7)))
    } else {
        panic!("unexpected statement: {sql}")
    };
    vec![reply]
}

#[tokio::test]
async fn a_nested_read_of_many_users_costs_two_requests() {
    let peered = Peered::new(shop);
    let requested: Vec<_> = (1..=80).map(|n| format!("u-{n}")).collect();
    let query = "query ($ids: [ID!]!) { usersById(ids: $ids) { userId recentOrders { orderId payment { status } } } }";
    let found = peered.data(query, json!({ "ids": requested })).await;
    for (user, id) in found["usersById"].as_array().unwrap().iter().zip(&requested) {
        assert_eq!(user["userId"], json!(id));
        assert_eq!(user["recentOrders"][1]["orderId"], json!(format!("o-{id}-1")));
    }
    let requests = peered.peer.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(ids(requests[0].text(1)).len(), 80, "one list of ids");
    assert_eq!((ids(requests[1].text(1)).len(), &requests[1].params[1]), (80, &Cell::Int(5)));
}

#[tokio::test]
async fn a_page_of_users_with_pages_of_their_orders_costs_two_requests() {
    let peered = Peered::new(shop);
    let query = "{ users(first: 3) { nodes { userId orders(first: 2, filter: {status: \"placed\"}) {
        nodes { orderId payment { status } } pageInfo { hasNextPage } } } pageInfo { hasNextPage } } }";
    let found = peered.data(query, json!({})).await;
    let users = found["users"]["nodes"].as_array().unwrap();
    let first = |user: &Value| user["orders"]["nodes"][0]["orderId"].clone();
    assert_eq!(users.iter().map(first).collect::<Vec<_>>(), ["o-u-3-2", "o-u-2-2", "o-u-1-2"]);
    let requests = peered.peer.requests();
    assert_eq!(requests.len(), 2);
    let page = |number: usize| requests[number].params[4].clone();
    assert_eq!([page(0), page(1)], [Cell::Int(4), Cell::Int(3)], "one more than requested, for hasNextPage");
    assert_eq!(requests[1].text(6), "PLACED");
    // Without a cursor the page lies between all times.
    let bounds: Vec<_> = (1..=4).map(|number| requests[0].text(number)).collect();
    let all = ["0001-01-01T00:00:00Z", "", "9999-12-31T23:59:59.999999Z", "\u{ffff}"];
    assert_eq!(bounds, all);
}

#[tokio::test]
async fn a_user_with_orders_by_rest_costs_one_request() {
    let columns = [&USER[..], &ORDER_LINE[..1], &ORDER_LINE[2..]].concat();
    let row = |order: Vec<Cell>| [user("u"), order].concat();
    let without_user = |mut order: Vec<Cell>| {
        order.remove(1);
        order
    };
    let rows = vec![
        row(without_user([order("o-2", "u", 1), settled(1), line("s", 1, 1)].concat())),
        row(without_user(bare_order("o-1", "u"))),
    ];
    let mut with_orders = Some(Reply::rows(columns.clone(), rows));
    let peered = Peered::new(move |request| {
        assert_eq!(request.sql, include_str!("../../../sql/mssql/read_model/user_with_orders.sql"));
        match with_orders.take() {
            Some(rows) => vec![rows],
            None if request.text(1) == "unknown" => vec![Reply::rows(columns.clone(), [])],
            None => vec![Reply::rows(columns.clone(), [[user("u"), nothing(14)].concat()])],
        }
    });
    let found = peered.read_side.get("/users/u").await.json();
    assert_eq!(found["user"]["name"], "Ada");
    let orders = found["recentOrders"].as_array().unwrap();
    let payments = orders.iter().map(|order| &order["payment"]["status"]).collect::<Vec<_>>();
    assert_eq!(payments, [&json!("SETTLED"), &json!(null)]);
    let found = peered.read_side.get("/users/u").await.json();
    assert_eq!((&found["user"]["userId"], &found["recentOrders"]), (&json!("u"), &json!([])));
    assert_eq!(peered.read_side.get("/users/unknown").await.status, 404);
    assert_eq!(peered.peer.requests().len(), 3);
    assert_eq!(peered.peer.requests()[0].params, [Cell::from("u"), Cell::Int(5)]);
}

#[tokio::test]
async fn rows_become_orders_with_lines_and_payment_and_every_digit() {
    let most = i128::from(i64::MAX);
    let rows = vec![
        [order("o-1", "u", most), settled(most), line("s-1", 1_000_000_000, most)].concat(),
        [order("o-1", "u", most), settled(most), line("s-2", 2, 1_250)].concat(),
        [order("o-2", "u", 1), nothing(6), line("s-1", 1, 1)].concat(),
        bare_order("o-3", "u"),
    ];
    let reply = Reply::rows(ORDER_LINE, rows);
    let peered = Peered::new(move |_| vec![reply.clone()]);
    let found = peered.read_side.get("/orders/o-1").await.text().to_owned();
    let expected = concat!(
        r#"{"order":{"orderId":"o-1","userId":"u","amount":922337203685477.5807,"currency":"EUR","status":"PLACED","#,
        r#""placedAt":"2026-01-01T00:00:00Z","items":[{"sku":"s-1","quantity":1000000000,"unitPrice":922337203685477.5807},"#,
        r#"{"sku":"s-2","quantity":2,"unitPrice":0.125}]},"payment":{"paymentId":"p-1","amount":922337203685477.5807,"#,
        r#""currency":"EUR","method":"card","status":"SETTLED","settledAt":"2026-01-01T00:00:00.000001Z"}}"#,
    );
    assert_eq!(found, expected);
    let query = "{ a: order(id: \"o-2\") { amount items { sku } payment { status } } b: order(id: \"o-3\") { items { sku } } }";
    let found = peered.data(query, json!({})).await;
    let a = json!({ "amount": "0.0001", "items": [{ "sku": "s-1" }], "payment": null });
    assert_eq!(found, json!({ "a": a, "b": { "items": [] } }));
    assert_eq!(peered.peer.requests().len(), 2, "both orders in one");
}

#[tokio::test]
async fn an_invalid_row_is_an_internal_error() {
    let mut rows = vec![
        [order("o", "u", 1), vec!["LOST".into()], nothing(8)].concat(),
        [order("not an id", "u", 1), nothing(9)].concat(),
        [vec![Cell::Null], nothing(14)].concat(),
    ];
    let peered = Peered::new(move |_| vec![Reply::rows(ORDER_LINE, [rows.pop().unwrap()])]);
    for _ in 0..3 {
        peered.read_side.get("/orders/o").await.assert_problem(500, &["internal"]);
    }
}

fn requested_user(request: &Request) -> Vec<Reply> {
    vec![Reply::rows(USER, [user(&ids(request.text(1))[0])])]
}

async fn name_of(peered: &Peered, id: &str) -> Value {
    let answer = peered.read_side.query("query ($id: ID!) { user(id: $id) { userId } }", json!({ "id": id }));
    answer.await.json()
}

fn found(id: &str) -> Value {
    json!({ "data": { "user": { "userId": id } } })
}

#[track_caller]
fn assert_code(answer: &Value, code: &str) {
    assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
    assert!(!answer.to_string().contains("dbo."), "the server's message is for the log only: {answer}");
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_nothing() {
    let (go, may_answer) = mpsc::channel::<()>();
    let peered = Peered::of_one_connection("", move |request| {
        if request.number == 1 {
            may_answer.recv().unwrap();
        }
        requested_user(request)
    });
    let request =
        HttpRequest::get("/graphql?query=%7Buser(id:%22first%22)%7BuserId%7D%7D").body(Body::empty());
    tokio::select! {
        answer = peered.read_side.open(request.unwrap()) => panic!("{answer:?}"),
        () = until("the statement runs", || peered.peer.requested() == 1) => {}
    }
    go.send(()).unwrap();
    // The only connection is idle again after the statement, and the next client receives its own answer.
    assert_eq!(name_of(&peered, "second").await, found("second"));
    assert_eq!(peered.connections(), [1, 1]);
}

#[tokio::test]
async fn after_a_stall_the_next_client_gets_a_new_connection() {
    let peered = Peered::of_one_connection("&command-timeout=1s", |request| match request.number {
        1 => vec![Reply::Stall],
        2 => [requested_user(request), vec![Reply::Stall]].concat(),
        _ => requested_user(request),
    });
    assert_code(&name_of(&peered, "first").await, "UNAVAILABLE");
    assert_code(&name_of(&peered, "second").await, "UNAVAILABLE");
    assert_eq!(name_of(&peered, "third").await, found("third"));
    assert_eq!(peered.connections(), [1, 2, 3]);
    until("the stalled connections are dropped", || peered.peer.open_connections() == 1).await;
}

#[tokio::test]
async fn a_broken_connection_is_replaced_and_the_read_retried_once() {
    let peered = Peered::of_one_connection("", |request| match request.number {
        1 | 5 => vec![Reply::Close],
        3 | 6 => [requested_user(request), vec![Reply::Close]].concat(),
        _ => requested_user(request),
    });
    assert_eq!(name_of(&peered, "before-any-row").await, found("before-any-row"));
    assert_eq!(name_of(&peered, "among-the-rows").await, found("among-the-rows"));
    assert_code(&name_of(&peered, "twice").await, "UNAVAILABLE");
    assert_eq!(name_of(&peered, "after").await, found("after"));
    assert_eq!(peered.connections(), [1, 2, 2, 3, 3, 4, 5]);
}

#[tokio::test]
async fn errors_of_the_server_are_classified_and_cost_no_connection() {
    let peered = Peered::of_one_connection("", |request| match request.number {
        1..=4 => vec![Reply::error(1205, "chosen as the deadlock victim in dbo.users")],
        5 | 6 => [requested_user(request), vec![Reply::error(1205, "deadlock in dbo.users")]].concat(),
        7 | 8 => vec![Reply::error(208, "Invalid object name 'dbo.users'")],
        10 => vec![Reply::error(1205, "deadlock in dbo.users")],
        _ => requested_user(request),
    });
    let deadlock = peered.read_side.get("/users/u").await;
    deadlock.assert_problem(503, &["read model unavailable"]);
    assert!(!deadlock.text().contains("dbo."));
    assert_code(&name_of(&peered, "u").await, "UNAVAILABLE");
    assert_code(&name_of(&peered, "u").await, "UNAVAILABLE");
    let bug = peered.read_side.get("/users/u").await;
    bug.assert_problem(500, &["internal"]);
    assert!(!bug.text().contains("dbo."));
    assert_code(&name_of(&peered, "u").await, "INTERNAL");
    assert_eq!(name_of(&peered, "u").await, found("u"));
    assert_eq!(name_of(&peered, "met-others-once").await, found("met-others-once"));
    assert_eq!(peered.peer.connections(), 1);
}

#[tokio::test]
async fn readiness_follows_the_server() {
    let peered = Peered::new(|_| vec![Reply::rows([("found", Kind::Int)], [vec![1.into()]])]);
    assert_eq!(peered.read_side.get("/ready").await.status, 200);
    peered.peer.stop();
    let unavailable = peered.read_side.get("/ready").await;
    unavailable.assert_problem(503, &["read model unavailable"]);
    peered.read_side.get("/users/u").await.assert_problem(503, &["read model unavailable"]);
    assert_eq!(peered.read_side.get("/health").await.status, 200, "the process is healthy");
    peered.peer.restart();
    let started = Instant::now();
    while peered.read_side.get("/ready").await.status != 200 {
        assert!(started.elapsed() < DEADLINE, "it does not become ready again");
    }
}

#[tokio::test]
async fn a_read_waits_for_the_checkpoint() {
    let checkpoint = |next: i64| {
        let columns = [("topic", Kind::NVarChar), ("partition_id", Kind::Int), ("next_offset", Kind::BigInt)];
        vec![Reply::rows(columns, [vec!["events".into(), 3.into(), next.into()]])]
    };
    let mut polls = 0;
    let config = ReadConfig { consistency_wait: DEADLINE, ..ReadConfig::default() };
    let peered = Peered::with("", &config, move |request| {
        if request.sql != include_str!("../../../sql/mssql/read_model/checkpoints.sql") {
            assert!(polls > 3, "read before it was projected");
            return requested_user(request);
        }
        polls += 1;
        match polls {
            1 => checkpoint(6),
            2 => vec![Reply::error(1205, "deadlock")],
            3 => checkpoint(7),
            _ => checkpoint(8),
        }
    });
    let request = HttpRequest::post("/graphql")
        .header("content-type", "application/json")
        .header("consistency-token", "events:3:7");
    let request = request.body(Body::from(json!({ "query": "{ user(id: \"u\") { userId } }" }).to_string()));
    assert_eq!(peered.read_side.send(request.unwrap()).await.json(), found("u"));
}

/// The error at start.
fn refusal(peer: &TdsPeer) -> String {
    let error = ReadModel::open(
        &ReadModelUrl::Mssql(Box::new(url(peer, ""))),
        StoreMetrics::register(&MetricsRegistry::new()),
    )
    .unwrap_err();
    let message = error.to_string();
    assert!(!format!("{message}{error:?}").contains("hunter2"), "{message}");
    assert!(message.starts_with("read model 127.0.0.1:") && !message.contains('\n'), "{message}");
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unusable_server_is_a_start_up_error_in_one_line() {
    let login_failed = |_: &_| {
        let message = "Login failed for user 'sa'.".into();
        vec![Reply::Error { number: 18456, class: 14, state: 1, message }]
    };
    let peer = TdsPeer::builder().logins(login_failed).start(|_| Vec::new());
    assert!(refusal(&peer).contains("Login failed for user 'sa'."));
    for (version, part) in [(0, "millrace migrate"), (1_000, "newer millrace")] {
        let peer =
            TdsPeer::start(move |_| vec![Reply::rows([("version", Kind::Int)], [vec![version.into()]])]);
        let message = refusal(&peer);
        assert!(message.contains(&format!("version {version}")) && message.contains(part), "{message}");
    }
    let stopped = TdsPeer::start(|_| Vec::new());
    stopped.stop();
    assert!(refusal(&stopped).contains("unreachable"));
    let version = i32::try_from(SCHEMA_VERSION).unwrap();
    let peer = TdsPeer::start(move |_| vec![Reply::rows([("version", Kind::Int)], [vec![version.into()]])]);
    ReadModel::open(
        &ReadModelUrl::Mssql(Box::new(url(&peer, ""))),
        StoreMetrics::register(&MetricsRegistry::new()),
    )
    .unwrap();
}
