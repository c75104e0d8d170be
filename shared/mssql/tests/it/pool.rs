//! The pool with a scripted peer: connections that broke while they were idle are not handed out.

use millrace_mssql::{MssqlError, MssqlUrl, Pool};
use millrace_testkit::tds::{Kind, Reply, Request, TdsPeer};

const READ: &str = millrace_platform::sql!("mssql/schema/version.sql");

fn version_1(_: &Request) -> Vec<Reply> {
    vec![Reply::rows([("version", Kind::Int)], [vec![1.into()]])]
}

fn pool(peer: &TdsPeer) -> Pool {
    let text = format!("mssql://sa:hunter2@{}/millrace?trust-server-certificate=true", peer.addr());
    Pool::new(&MssqlUrl::parse_url(&text).unwrap(), 8)
}

/// A pool with four idle connections.
async fn warm(peer: &TdsPeer) -> Pool {
    let pool = pool(peer);
    let read = || pool.read(READ, Vec::new());
    while peer.open_connections() < 4 {
        let (a, b, c, d) = tokio::join!(read(), read(), read(), read());
        for result in [a, b, c, d] {
            result.unwrap();
        }
    }
    pool
}

#[tokio::test]
async fn reads_survive_a_restart_of_the_server() {
    let peer = TdsPeer::start(version_1);
    let pool = warm(&peer).await;
    peer.stop();
    peer.restart();
    for _ in 0..8 {
        assert_eq!(pool.read(READ, Vec::new()).await.unwrap()[0].count().unwrap(), 1);
    }
}

#[tokio::test]
async fn a_query_on_a_broken_connection_fails_and_the_next_gets_a_new_one() {
    let peer = TdsPeer::start(version_1);
    let pool = warm(&peer).await;
    peer.stop();
    peer.restart();
    let broken = pool.query(READ, Vec::new()).await.unwrap_err();
    assert!(matches!(broken, MssqlError::Broken(_)), "{broken}");
    for _ in 0..8 {
        // The other idle connections are broken too, and none of them is handed out.
        pool.query(READ, Vec::new()).await.unwrap();
    }
}

#[tokio::test]
async fn a_read_fails_if_the_server_breaks_every_connection() {
    let peer = TdsPeer::start(|_| vec![Reply::Close]);
    let broken = pool(&peer).read(READ, Vec::new()).await.unwrap_err();
    assert!(matches!(broken, MssqlError::Broken(_)), "{broken}");
    assert_eq!(peer.connections(), 2, "one attempt, and one retry on a new connection");
}
