//! A real Redis server in a folder of its own, on a free port, ended by its own id; or the one that REDIS_TEST_URL names.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::FromRedisValue;
use tempfile::TempDir;

/// Far beyond what a start takes.
const START_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A server. Its process, if it has one, is gone when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    url: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    dir: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// The server that `REDIS_TEST_URL` names, or else one of its own; `None`, and a line that says so, when there is
    /// neither. Others may use it at the same time: choose names that nobody else chooses.
    pub fn any() -> Option<Self> {
        match std::env::var("REDIS_TEST_URL") {
            Ok(url) if !url.is_empty() => Some(Self { url, own: None }),
            _ => Self::start(&[]),
        }
    }

    /// A server of one's own, which keeps nothing on disk unless `arguments` say so; `None`, and a line that says so,
    /// when `redis-server` is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_with(arguments, |_| ())
    }

    /// The same; `prepare` may put files into its folder first.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(arguments: &[&str], prepare: impl FnOnce(&std::path::Path)) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            crate::skipped(
                "all tests over Redis, because there is no redis-server; on Debian: apt-get install redis-server",
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
            own: Some(Own { dir, arguments, child: None }),
        };
        server.start_again();
        Some(server)
    }

    /// The address, without a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        let authority = self.url.trim_start_matches("redis://").split('/').next().unwrap();
        authority.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Ends the process; everything in memory is gone.
    ///
    /// # Panics
    /// When the server is not its own.
    pub fn stop(&mut self) {
        let mut child = self.own.as_mut().unwrap().child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again after [`RedisServer::stop`], on the same port, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        let own = self.own.as_mut().unwrap();
        let log = std::fs::File::create(own.dir.path().join("redis.log")).unwrap();
        let mut command = Command::new("redis-server");
        command.args(&own.arguments).current_dir(own.dir.path()).stdout(log).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        let answers = |url: &str| redis::Client::open(url).unwrap().get_connection().map(drop);
        // A server that asks for a password is up as well.
        while answers(&self.url).is_err_and(|error| error.is_io_error()) {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < START_MAX, "redis-server: {ended:?}");
            std::thread::sleep(POLL);
        }
        own.child = Some(child);
    }

    /// Sends one command as anybody could.
    ///
    /// # Panics
    /// When the server is away, says no, or answers something else.
    #[track_caller]
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
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
        if self.own.as_ref().is_some_and(|own| own.child.is_some()) {
            self.stop();
        }
    }
}
