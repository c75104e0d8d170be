//! A load tool: connections that ask, wait for the answer, and ask again; as fast as they can, or at a pace.
//!
//! It does little besides, so that on a core of its own it is the server that limits. What the server's own threads
//! spent on it is counted as well: which is more telling than the rate when other work needs the cores.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);

/// A request, chosen by a random number.
pub(crate) type Request = fn(u64) -> String;

/// What came of it.
pub(crate) struct Measured {
    /// Answers a second.
    pub(crate) rate: f64,
    /// 99th percentile of the time to answer.
    pub(crate) p99_ms: f64,
    /// Time of the server's threads for each answer.
    pub(crate) server_us: f64,
}

/// Asks the server, whose process is `pid`, in all `pace` times a second, or without end.
pub(crate) fn run(address: &str, pid: u32, request: Request, pace: Option<f64>) -> Measured {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().event_interval(8).build().unwrap();
    runtime.block_on(async {
        let begin = Instant::now();
        let mut connections = tokio::task::JoinSet::new();
        for number in 0..CONNECTIONS {
            let pace = pace
                .map(|rate| Duration::from_secs_f64(f64::from(u32::try_from(CONNECTIONS).unwrap()) / rate));
            connections.spawn(ask(Connection { address: address.to_owned(), number, begin, pace, request }));
        }
        // The tool never sleeps: to wake it would be the server's work, and it would differ with how busy the tool is.
        let awake = tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        tokio::time::sleep_until((begin + WARM_UP).into()).await;
        let before = cpu_time(pid);
        tokio::time::sleep_until((begin + WARM_UP + MEASURED).into()).await;
        let spent = cpu_time(pid) - before;
        let mut times_ms = connections.join_all().await.concat();
        awake.abort();
        let answers = f64::from(u32::try_from(times_ms.len()).unwrap());
        Measured {
            rate: answers / MEASURED.as_secs_f64(),
            p99_ms: percentile(&mut times_ms, 0.99),
            server_us: spent.as_secs_f64() * 1e6 / answers,
        }
    })
}

struct Connection {
    address: String,
    number: u64,
    begin: Instant,
    /// From one request to the next.
    pace: Option<Duration>,
    request: Request,
}

async fn ask(connection: Connection) -> Vec<f64> {
    let Connection { address, number, begin, pace, request } = connection;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut times_ms = Vec::new();
    let mut answer = vec![0; 64 * 1024];
    // A linear congruential generator, so that each request differs.
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let share = u32::try_from(number).unwrap();
    let mut due =
        begin + pace.map_or(Duration::ZERO, |pace| pace * share / u32::try_from(CONNECTIONS).unwrap());
    while begin.elapsed() < WARM_UP + MEASURED {
        // A timer is too coarse for this, and the core is ours.
        while pace.is_some() && Instant::now() < due {
            tokio::task::yield_now().await;
        }
        // At a pace a request counts from when it is due, sent or not: waiting for the one before is part of the time.
        let started = if pace.is_some() { due } else { Instant::now() };
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        exchange(&mut stream, &request(random >> 33), &mut answer).await;
        if begin.elapsed() > WARM_UP && begin.elapsed() < WARM_UP + MEASURED {
            times_ms.push(started.elapsed().as_secs_f64() * 1e3);
        }
        due += pace.unwrap_or_default();
    }
    times_ms
}

/// Asks once and gives the body of the answer, which has to be a good one.
pub(crate) fn once(address: &str, request: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = vec![0; 64 * 1024];
        let whole = exchange(&mut stream, request, &mut answer).await;
        let text = String::from_utf8_lossy(&answer[..whole]);
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    })
}

/// Sends a request and reads its answer; gives the answer's length.
async fn exchange(stream: &mut TcpStream, request: &str, answer: &mut [u8]) -> usize {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut filled = 0;
    while !is_whole(&answer[..filled]) {
        let read = stream.read(&mut answer[filled..]).await.unwrap();
        assert!(read > 0, "the server hung up: {}", String::from_utf8_lossy(&answer[..filled]));
        filled += read;
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..filled]));
    filled
}

/// Whether the answer has all the bytes that its content-length promises.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let length = answer[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(b"content-length:".len())?;
        let value = name.eq_ignore_ascii_case(b"content-length:").then(|| value.trim_ascii())?;
        std::str::from_utf8(value).ok()?.parse::<usize>().ok()
    });
    answer.len() >= head + 4 + length.expect("answers have a length")
}

/// How long the threads of a process have run in all.
fn cpu_time(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
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
