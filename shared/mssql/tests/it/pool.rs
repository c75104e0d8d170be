//! The pool beside a scripted peer: connections that broke while nobody looked are nobody's matter.

use millrace_mssql::{MssqlError, MssqlUrl, Pool};
use millrace_testkit::tds::{Kind, Reply, Request, TdsPeer};

const READ: &str = millrace_platform::sql!("mssql/schema/version.sql");

fn one(_: &Request) -> Vec<Reply> {
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
async fn readers_do_not_see_that_the_server_was_restarted() {
    let peer = TdsPeer::start(one);
    let pool = warm(&peer).await;
    peer.stop();
    peer.restart();
    for _ in 0..8 {
        assert_eq!(pool.read(READ, Vec::new()).await.unwrap()[0].count().unwrap(), 1);
    }
}

#[tokio::test]
async fn who_writes_is_told_that_the_connection_broke_and_the_next_gets_a_new_one() {
    let peer = TdsPeer::start(one);
    let pool = warm(&peer).await;
    peer.stop();
    peer.restart();
    let broken = pool.query(READ, Vec::new()).await.unwrap_err();
    assert!(matches!(broken, MssqlError::Broken(_)), "{broken}");
    for _ in 0..8 {
        // Each of the other connections that were idle has broken as well, and none of them is handed out.
        pool.query(READ, Vec::new()).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_is_told_of_a_server_that_breaks_every_connection() {
    let peer = TdsPeer::start(|_| vec![Reply::Close]);
    let broken = pool(&peer).read(READ, Vec::new()).await.unwrap_err();
    assert!(matches!(broken, MssqlError::Broken(_)), "{broken}");
    assert_eq!(peer.connections(), 2, "one try, and one more on a new connection");
}
