//! A load tool: connections that ask, wait for the answer, and ask again.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);

/// Answers a second, and the 99th percentile of the time to answer in ms.
pub(crate) fn run(address: &str, request: fn(u64) -> String) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut times_ms = runtime.block_on(async {
        let mut connections = tokio::task::JoinSet::new();
        for number in 0..CONNECTIONS {
            connections.spawn(ask(address.to_owned(), number, request));
        }
        connections.join_all().await.concat()
    });
    (
        f64::from(u32::try_from(times_ms.len()).unwrap()) / MEASURED.as_secs_f64(),
        percentile(&mut times_ms, 0.99),
    )
}

async fn ask(address: String, number: u64, request: fn(u64) -> String) -> Vec<f64> {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut times_ms = Vec::new();
    let mut answer = vec![0; 64 * 1024];
    // A linear congruential generator: another thing is asked for each time.
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP + MEASURED {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let started = Instant::now();
        stream.write_all(request(random >> 33).as_bytes()).await.unwrap();
        let mut filled = 0;
        while !is_whole(&answer[..filled]) {
            let read = stream.read(&mut answer[filled..]).await.unwrap();
            assert!(read > 0, "the server hung up: {}", String::from_utf8_lossy(&answer[..filled]));
            filled += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..filled]));
        if begin.elapsed() > WARM_UP {
            times_ms.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    times_ms
}

/// Whether the answer has all the bytes that its content-length promises.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.expect("answers have a length");
    body.len() >= length
}

/// The value below which that share of the values lies.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank"
    )]
    let rank = (values.len() as f64 * share) as usize;
    values[rank.min(values.len() - 1)]
}
