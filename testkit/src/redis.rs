//! A Redis server for tests: the one of `REDIS_TEST_URL`, or a new process with its own folder and TCP port.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::FromRedisValue;
use tempfile::TempDir;

/// Far longer than a start takes.
const START_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Dropping it kills the process, if the test started one.
#[derive(Debug)]
pub struct RedisServer {
    url: String,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    dir: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// The server of `REDIS_TEST_URL`, or else a new one; `None`, with a message, if neither is possible. Other tests
    /// may use the same server, so a test needs unique names.
    pub fn any() -> Option<Self> {
        match std::env::var("REDIS_TEST_URL") {
            Ok(url) if !url.is_empty() => Some(Self { url, process: None }),
            _ => Self::start(&[]),
        }
    }

    /// Starts a new server, which stores nothing on disk by default; `None`, with a message, if `redis-server` is not
    /// installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_with(arguments, |_| ())
    }

    /// As [`RedisServer::start`]. `prepare` can create files in the folder of the server first.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(arguments: &[&str], prepare: impl FnOnce(&std::path::Path)) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            crate::skipped::skipped(
                "all tests with Redis: redis-server is not installed; on Debian: apt-get install redis-server",
            );
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()];
        let arguments = fixed.iter().chain(arguments).map(ToString::to_string).collect();
        let mut server = Self {
            url: format!("redis://127.0.0.1:{port}/0"),
            process: Some(Process { dir, arguments, child: None }),
        };
        server.restart();
        Some(server)
    }

    /// The address, without a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn port(&self) -> u16 {
        let authority = self.url.trim_start_matches("redis://").split('/').next().unwrap();
        authority.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Kills the process; the data in memory is lost.
    ///
    /// # Panics
    /// When the server is that of `REDIS_TEST_URL`.
    pub fn stop(&mut self) {
        let mut child = self.process.as_mut().unwrap().child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts the server after [`RedisServer::stop`], on the same port, and waits until it responds.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        let process = self.process.as_mut().unwrap();
        let log = std::fs::File::create(process.dir.path().join("redis.log")).unwrap();
        let mut command = Command::new("redis-server");
        command.args(&process.arguments).current_dir(process.dir.path()).stdout(log).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        let answers = |url: &str| redis::Client::open(url).unwrap().get_connection().map(drop);
        // A server that requires a password has started too.
        while answers(&self.url).is_err_and(|error| error.is_io_error()) {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < START_MAX, "redis-server: {ended:?}");
            std::thread::sleep(POLL);
        }
        process.child = Some(child);
    }

    /// Sends one command.
    ///
    /// # Panics
    /// When the server is unavailable, returns an error, or returns another type.
    #[track_caller]
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = redis::Client::open(self.url.as_str()).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query(&mut connection).unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if self.process.as_ref().is_some_and(|process| process.child.is_some()) {
            self.stop();
        }
    }
}
