//! How long it takes to refuse what would be ruinous to answer, and what that leaves in memory.

use std::time::Instant;

use millrace_testkit::graphql::{HostileDocument, hostile_documents};
use serde_json::{Value, json};

use crate::load::percentile;
use crate::server::Server;

const TIMES: usize = 200;

pub(crate) fn run() {
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::new();
    let before_mb = server.rss_mb();
    println!("\nAbuse: documents over one connection, {TIMES} times each, until they are refused");
    println!("{:<44} {:>8} {:>8} {:>8}  refused with", "", "bytes", "p50 ms", "max ms");
    for HostileDocument { what, document, code } in hostile_documents() {
        let body = json!({ "query": document }).to_string();
        let mut times_ms = runtime.block_on(async {
            let mut times_ms = Vec::with_capacity(TIMES);
            for _ in 0..TIMES {
                let request = client.post(format!("http://{}/graphql", server.queries)).body(body.clone());
                let started = Instant::now();
                let answer = request.header("content-type", "application/json").send().await.unwrap();
                let answer: Value = answer.json().await.unwrap();
                times_ms.push(started.elapsed().as_secs_f64() * 1e3);
                assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{what}");
            }
            times_ms
        });
        let (p50, max) = (percentile(&mut times_ms, 0.5), percentile(&mut times_ms, 1.0));
        println!("{what:<44} {:>8} {p50:>8.2} {max:>8.2}  {code}", document.len());
    }
    println!("resident memory: {before_mb:.0} MB before, {:.0} MB after", server.rss_mb());
}
