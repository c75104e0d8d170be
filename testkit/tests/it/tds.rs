//! The scripted TDS peer, tested with the driver that it is for.

use std::io::Write;
use std::time::{Duration, Instant};

use millrace_testkit::tds::{Cell, Kind, Reply, TdsPeer};
use tiberius::error::Error;
use tiberius::numeric::Numeric;
use tiberius::time::chrono::{DateTime, Utc};
use tiberius::{AuthMethod, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

type Client = tiberius::Client<Compat<TcpStream>>;

const DEADLINE: Duration = Duration::from_secs(20);
/// How long a test waits for a call that must not complete. Any time will do, because a stall never ends.
const STALLED: Duration = Duration::from_millis(50);

fn config(peer: &TdsPeer, encryption: EncryptionLevel) -> Config {
    let mut config = Config::new();
    config.host("localhost");
    config.port(peer.addr().port());
    config.authentication(AuthMethod::sql_server("sa", "Pässwörd;'\"{}"));
    config.database("millrace");
    config.application_name("a test");
    config.encryption(encryption);
    config
}

async fn connect_with(peer: &TdsPeer, config: Config) -> Result<Client, Error> {
    let socket = TcpStream::connect(peer.addr()).await?;
    tiberius::Client::connect(config, socket.compat_write()).await
}

async fn connect(peer: &TdsPeer) -> Client {
    connect_with(peer, config(peer, EncryptionLevel::NotSupported)).await.unwrap()
}

/// Runs a query and returns the first column of all rows of all result sets.
async fn query(client: &mut Client) -> Result<Vec<i32>, Error> {
    let results = client.query("the text", &[]).await?.into_results().await?;
    Ok(results.into_iter().flatten().map(|row| row.try_get(0).unwrap().unwrap()).collect())
}

fn numbers(values: impl IntoIterator<Item = i32>) -> Reply {
    Reply::rows([("n", Kind::Int)], values.into_iter().map(|value| vec![value.into()]))
}

fn code(error: &Error) -> Option<u32> {
    error.code()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "timed out after {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_login_has_user_password_and_application() {
    let (sender, logins) = std::sync::mpsc::channel();
    let peer = TdsPeer::builder().logins(move |login| {
        sender.send(login.clone()).unwrap();
        Vec::new()
    });
    let peer = peer.start(|_| vec![numbers([1])]);
    assert_eq!(query(&mut connect(&peer).await).await.unwrap(), [1]);
    let login = logins.recv_timeout(DEADLINE).unwrap();
    assert_eq!(
        (login.user.as_str(), login.password.as_str(), login.database.as_str(), login.application.as_str()),
        ("sa", "Pässwörd;'\"{}", "millrace", "a test")
    );
    assert!(!login.encrypted);
    assert!(!format!("{login:?}").contains("wörd"), "Debug hides the password");
    assert_eq!((peer.connections(), peer.logins()), (1, 1));
    until("the client has disconnected", || peer.open_connections() == 0).await;
}

#[tokio::test]
async fn requests_are_decoded() {
    let peer = TdsPeer::start(|_| Vec::new());
    let mut client = connect(&peer).await;
    let long = "Grüße 🌊 ".repeat(20_000);
    let bytes = vec![7_u8; 9_000];
    let at: DateTime<Utc> = "2026-11-21T15:04:05.123456Z".parse().unwrap();
    client
        .execute(
            "text of it, with an emoji 🌊",
            &[
                &"short 'quoted' text",
                &long.as_str(),
                &-5_i32,
                &i64::MAX,
                &true,
                &255_u8,
                &at,
                &Numeric::new_with_scale(-14_999, 2),
                &bytes.as_slice(),
                &[1_u8, 2].as_slice(),
                &"",
                &Option::<&str>::None,
                &Option::<i64>::None,
            ],
        )
        .await
        .unwrap();
    client.simple_query("a batch").await.unwrap().into_results().await.unwrap();

    let requests = peer.take_requests();
    assert_eq!(requests[0].sql, "text of it, with an emoji 🌊");
    assert_eq!(
        requests[0].params,
        [
            "short 'quoted' text".into(),
            long.into(),
            Cell::Int(-5),
            Cell::BigInt(i64::MAX),
            true.into(),
            Cell::TinyInt(255),
            Cell::DateTime2(at.timestamp_micros()),
            Cell::Decimal(-1_499_900),
            bytes.into(),
            Cell::VarBinary(vec![1, 2]),
            "".into(),
            Cell::Null,
            Cell::Null,
        ]
    );
    assert_eq!(requests[0].text(1), "short 'quoted' text");
    assert_eq!((requests[1].sql.as_str(), requests[1].params.len()), ("a batch", 0));
    assert_eq!((requests[0].number, requests[1].number, requests[1].connection), (1, 2, 1));
    assert!(peer.requests().is_empty(), "take_requests has removed them");
    assert_eq!(peer.requested(), 2);
}

#[tokio::test]
async fn a_peer_without_requests_counts_them() {
    let peer = TdsPeer::builder().without_requests().start(|_| vec![numbers([1])]);
    let mut client = connect(&peer).await;
    for _ in 0..3 {
        assert_eq!(query(&mut client).await.unwrap(), [1]);
    }
    assert_eq!((peer.requested(), peer.requests().len()), (3, 0));
}

#[tokio::test]
async fn rows_of_every_type_decode() {
    let columns = [
        ("text", Kind::NVarChar),
        ("long", Kind::NVarChar),
        ("int", Kind::Int),
        ("bigint", Kind::BigInt),
        ("tinyint", Kind::TinyInt),
        ("bit", Kind::Bit),
        ("amount", Kind::Decimal),
        ("at", Kind::DateTime2),
        ("bytes", Kind::VarBinary),
        ("long_bytes", Kind::VarBinary),
    ];
    let long = "wörter ".repeat(3_000);
    let full: Vec<Cell> = vec![
        "Grüße 🌊".into(),
        long.clone().into(),
        i32::MIN.into(),
        i64::MAX.into(),
        9_u8.into(),
        true.into(),
        Cell::Decimal(-1_499_901),
        Cell::DateTime2(-1),
        vec![0_u8, 255].into(),
        vec![3_u8; 20_000].into(),
    ];
    let empty: Vec<Cell> = vec![Cell::Null; columns.len()];
    let rows = Reply::rows(columns, [full, empty]);
    let peer = TdsPeer::start(move |_| vec![rows.clone()]);

    let mut client = connect(&peer).await;
    for batch in [true, false] {
        let stream = match batch {
            true => client.simple_query("").await.unwrap(),
            false => client.query("", &[]).await.unwrap(),
        };
        let rows = stream.into_first_result().await.unwrap();
        let row = &rows[0];
        assert_eq!(row.try_get::<&str, _>("text").unwrap(), Some("Grüße 🌊"));
        assert_eq!(row.try_get::<&str, _>("long").unwrap(), Some(long.as_str()));
        assert_eq!(row.try_get::<i32, _>("int").unwrap(), Some(i32::MIN));
        assert_eq!(row.try_get::<i64, _>("bigint").unwrap(), Some(i64::MAX));
        assert_eq!(row.try_get::<u8, _>("tinyint").unwrap(), Some(9));
        assert_eq!(row.try_get::<bool, _>("bit").unwrap(), Some(true));
        let amount: Numeric = row.try_get("amount").unwrap().unwrap();
        assert_eq!((amount.value(), amount.scale()), (-1_499_901, 4));
        let at: DateTime<Utc> = row.try_get("at").unwrap().unwrap();
        assert_eq!(at.timestamp_micros(), -1);
        assert_eq!(row.try_get::<&[u8], _>("bytes").unwrap(), Some(&[0, 255][..]));
        assert_eq!(row.try_get::<&[u8], _>("long_bytes").unwrap(), Some(&[3; 20_000][..]));

        let row = &rows[1];
        assert_eq!(row.try_get::<&str, _>("text").unwrap(), None);
        assert_eq!(row.try_get::<&str, _>("long").unwrap(), None);
        assert_eq!(row.try_get::<i32, _>("int").unwrap(), None);
        assert_eq!(row.try_get::<i64, _>("bigint").unwrap(), None);
        assert_eq!(row.try_get::<u8, _>("tinyint").unwrap(), None);
        assert_eq!(row.try_get::<bool, _>("bit").unwrap(), None);
        assert_eq!(row.try_get::<Numeric, _>("amount").unwrap(), None);
        assert_eq!(row.try_get::<DateTime<Utc>, _>("at").unwrap(), None);
        assert_eq!(row.try_get::<&[u8], _>("bytes").unwrap(), None);
        assert_eq!(row.try_get::<&[u8], _>("long_bytes").unwrap(), None);
    }
}

#[tokio::test]
async fn several_result_sets_and_counts() {
    let peer = TdsPeer::start(|request| match request.sql.as_str() {
        "the text" => vec![numbers([1, 2]), Reply::Done(5), numbers([]), numbers(3..2_000)],
        _ => vec![Reply::Done(2), Reply::Done(3)],
    });
    let mut client = connect(&peer).await;
    assert_eq!(query(&mut client).await.unwrap(), (1..2_000).collect::<Vec<_>>());
    assert_eq!(client.execute("count", &[]).await.unwrap().rows_affected(), [2, 3]);
}

#[tokio::test]
async fn errors_before_and_after_rows_leave_the_connection_usable() {
    let peer = TdsPeer::start(|request| match request.number {
        1 => vec![Reply::error(1205, "deadlock")],
        2 => vec![numbers([1, 2]), Reply::error(2627, "duplicate key")],
        _ => vec![numbers([3])],
    });
    let mut client = connect(&peer).await;
    let Error::Server(deadlock) = query(&mut client).await.unwrap_err() else {
        panic!("an error of the server")
    };
    assert_eq!((deadlock.code(), deadlock.class(), deadlock.state()), (1205, 13, 1));
    assert_eq!(deadlock.message(), "deadlock");
    assert_eq!(code(&query(&mut client).await.unwrap_err()), Some(2627));
    assert_eq!(query(&mut client).await.unwrap(), [3]);
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_error_of_class_20_ends_the_connection() {
    let peer = TdsPeer::start(|_| {
        vec![Reply::Error { number: 40197, class: 20, state: 1, message: "moving".to_owned() }]
    });
    let mut client = connect(&peer).await;
    assert_eq!(code(&query(&mut client).await.unwrap_err()), Some(40197));
    until("the connection is closed", || peer.open_connections() == 0).await;
    assert!(matches!(query(&mut client).await.unwrap_err(), Error::Io { .. }));
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn a_close_is_an_io_error_at_any_point() {
    let peer = TdsPeer::start(|request| match request.number {
        1 => vec![Reply::Close],
        2 => vec![numbers([1, 2]), Reply::Close],
        _ => vec![numbers([1, 2]), Reply::Done(1), Reply::Close],
    });
    for _ in 0..3 {
        let mut client = connect(&peer).await;
        assert!(matches!(query(&mut client).await.unwrap_err(), Error::Io { .. }));
    }
    // The rows before the close were sent.
    let mut client = connect(&peer).await;
    let mut rows = client.query("", &[]).await.unwrap();
    assert!(rows.columns().await.unwrap().is_some());
    assert_eq!((peer.requests().len(), peer.connections()), (4, 4));
}

#[tokio::test]
async fn a_stalled_connection_is_lost_to_the_driver() {
    let peer = TdsPeer::start(|request| match request.sql.as_str() {
        "stall" => vec![Reply::Begin, numbers([1]), Reply::Stall],
        _ => vec![numbers([2])],
    });
    let mut client = connect(&peer).await;
    let call = async { client.query("stall", &[]).await?.into_results().await };
    tokio::select! {
        result = call => panic!("a stalled call ended: {result:?}"),
        () = until("the request has arrived", || peer.requests().len() == 1) => {}
    }
    // bb8-tiberius alone would return the abandoned connection to the pool, and the next call would wait for the old
    // response.
    assert!(tokio::time::timeout(STALLED, query(&mut client)).await.is_err());
    assert_eq!((peer.requests().len(), peer.open_connections()), (1, 1));
    drop(client);
    until("the connection is dropped", || peer.open_connections() == 0).await;
    // A new connection is not affected.
    assert_eq!(query(&mut connect(&peer).await).await.unwrap(), [2]);
    let second = &peer.requests()[1];
    assert_eq!((second.connection, second.in_transaction), (2, false));
}

#[tokio::test]
async fn a_stall_ends_when_the_client_cancels() {
    let peer = TdsPeer::start(|request| match request.number {
        1 => vec![numbers([1]), Reply::Stall],
        _ => vec![numbers([2])],
    });
    let socket = std::net::TcpStream::connect(peer.addr()).unwrap();
    let mut raw = socket.try_clone().unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = TcpStream::from_std(socket).unwrap();
    let config = config(&peer, EncryptionLevel::NotSupported);
    let mut client = tiberius::Client::connect(config, socket.compat_write()).await.unwrap();
    let rows = client.query("", &[]).await.unwrap();
    // tiberius cannot send an ATTENTION packet.
    raw.write_all(&[6, 1, 0, 8, 0, 0, 1, 0]).unwrap();
    assert_eq!(rows.into_first_result().await.unwrap().len(), 1);
    assert_eq!(query(&mut client).await.unwrap(), [2]);
}

#[tokio::test]
async fn transactions_stay_open_until_the_script_ends_them() {
    let peer = TdsPeer::start(|request| match request.number {
        1 => vec![Reply::Begin],
        2 => vec![Reply::Commit],
        3 => vec![Reply::Begin, Reply::Rollback],
        _ => vec![],
    });
    let mut client = connect(&peer).await;
    for _ in 0..4 {
        client.execute("", &[]).await.unwrap();
    }
    let open: Vec<_> = peer.requests().iter().map(|request| request.in_transaction).collect();
    assert_eq!(open, [false, true, false, false]);
}

#[tokio::test]
async fn refused_logins_have_a_reason() {
    let peer = TdsPeer::builder().logins(|login| match login.connection {
        1 => vec![Reply::Error { number: 18456, class: 14, state: 1, message: "Login failed".to_owned() }],
        2 => vec![Reply::Error { number: 4060, class: 11, state: 1, message: "Cannot open".to_owned() }],
        3 => vec![Reply::Stall],
        4 => vec![Reply::Close],
        _ => vec![Reply::Delay(Duration::from_millis(1))],
    });
    let peer = peer.start(|_| vec![numbers([1])]);
    let config = config(&peer, EncryptionLevel::NotSupported);
    for number in [18456, 4060] {
        assert_eq!(code(&connect_with(&peer, config.clone()).await.unwrap_err()), Some(number));
    }
    tokio::select! {
        result = connect_with(&peer, config.clone()) => panic!("a stalled login ended: {result:?}"),
        () = until("the login has arrived", || peer.logins() == 3) => {}
    }
    assert!(matches!(connect_with(&peer, config.clone()).await.unwrap_err(), Error::Io { .. }));
    assert_eq!(query(&mut connect_with(&peer, config).await.unwrap()).await.unwrap(), [1]);
    assert_eq!((peer.connections(), peer.logins()), (5, 5));
}

#[tokio::test]
async fn tls_is_as_the_client_requests() {
    let (sender, logins) = std::sync::mpsc::channel();
    let peer = TdsPeer::builder().logins(move |login| {
        sender.send(login.encrypted).unwrap();
        Vec::new()
    });
    let peer = peer.start(|_| vec![numbers(1..3_000)]);
    let long = "🌊".repeat(30_000);
    for level in [EncryptionLevel::Required, EncryptionLevel::On, EncryptionLevel::Off] {
        let mut config = config(&peer, level);
        config.trust_cert_ca(peer.ca_file().to_str().unwrap());
        let mut client = connect_with(&peer, config).await.unwrap();
        assert!(logins.recv_timeout(DEADLINE).unwrap(), "{level:?}: the password is encrypted");
        let rows = client.query("", &[&long.as_str()]).await.unwrap().into_first_result().await.unwrap();
        assert_eq!(rows.len(), 2_999);
        assert_eq!(peer.take_requests()[0].text(1), long);
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_an_error() {
    let peer = TdsPeer::start(|_| vec![numbers([1])]);
    let error = connect_with(&peer, config(&peer, EncryptionLevel::Required)).await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
    let mut trusting = config(&peer, EncryptionLevel::Required);
    trusting.trust_cert();
    assert_eq!(query(&mut connect_with(&peer, trusting).await.unwrap()).await.unwrap(), [1]);
    assert_eq!((peer.connections(), peer.logins()), (2, 1));
}

#[tokio::test]
async fn a_server_without_tls_is_an_error_or_a_panic_of_the_driver() {
    let peer = TdsPeer::builder().without_tls().start(|_| vec![numbers([1])]);
    for level in [EncryptionLevel::Required, EncryptionLevel::Off] {
        let error = connect_with(&peer, config(&peer, level)).await.unwrap_err();
        assert!(matches!(error, Error::Tls(_) | Error::Io { .. }), "{level:?}: {error:?}");
    }
    let config = config(&peer, EncryptionLevel::On);
    let addr = peer.addr();
    let connecting = tokio::spawn(async move {
        let socket = TcpStream::connect(addr).await.unwrap();
        tiberius::Client::connect(config, socket.compat_write()).await.map(drop)
    });
    assert!(connecting.await.unwrap_err().is_panic());
    assert_eq!(peer.logins(), 0);
}

#[tokio::test]
async fn a_server_can_be_restarted() {
    let mut count = 0;
    let peer = TdsPeer::start(move |_| {
        count += 1;
        vec![numbers([count])]
    });
    let mut client = connect(&peer).await;
    assert_eq!(query(&mut client).await.unwrap(), [1]);
    peer.stop();
    assert!(matches!(query(&mut client).await.unwrap_err(), Error::Io { .. }));
    let refused = TcpStream::connect(peer.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    peer.restart();
    assert_eq!(query(&mut connect(&peer).await).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_panic_in_a_script_reaches_the_test() {
    let peer = TdsPeer::start(|request| panic!("no answer to {}", request.sql));
    assert!(query(&mut connect(&peer).await).await.is_err());
    let dropped = std::thread::spawn(move || drop(peer)).join();
    assert!(dropped.is_err());
}
