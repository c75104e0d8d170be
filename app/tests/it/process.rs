//! The binary as a child process: it listens on free ports, its banner names them, and it is killed when dropped.
//!
//! Nothing here waits for a length of time: [`until`] polls for a condition, and its deadline only ends a broken test.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Much longer than any condition takes, on a busy machine as well.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// Polls until `condition` returns a value.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(value) = condition() {
            return value;
        }
        std::thread::sleep(POLL);
    }
    panic!("timed out until {what}");
}

/// A working directory with a data folder in it.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The binary with an empty environment.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.env_clear().current_dir(self.dir.path()).args(arguments);
        command
    }

    /// As [`Home::command`] without arguments, started by a shell after `script`.
    pub(crate) fn under(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script}; exec \"$0\""), env!("CARGO_BIN_EXE_millrace")]);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command.env_clear().current_dir(self.dir.path());
        for address in ["ADMIN_ADDR", "API_ADDR", "COMMAND_ADDR", "METRICS_ADDR"] {
            command.env(address, "127.0.0.1:0");
        }
        command.env("EVENT_RATE", "0").env("DATA_DIR", self.data());
    }

    /// The binary on free ports and without the simulator.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        self.prepare(&mut command);
        command
    }

    /// Starts all roles in one process and waits for its banner.
    pub(crate) fn start(&self, settings: &[(&str, &str)]) -> Server {
        let mut command = self.command(&[]);
        Server::up(command.envs(settings.iter().copied()))
    }

    /// Runs a command that can reach the server, to its end.
    pub(crate) fn beside(&self, server: &Server, arguments: &[&str]) -> Finished {
        Process::start(self.command(arguments).envs(server.addresses())).finish()
    }
}

/// A child and its output so far.
pub(crate) struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                read.lock().unwrap().push(line);
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn find(&self, part: &str) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().find(|line| line.contains(part)).cloned()
    }

    /// All lines, once the process has closed the stream.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }

    fn so_far(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

/// A process that has ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Its standard output; it must have ended with exit code 0.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Waits for a line on standard output that holds `part`.
    #[track_caller]
    pub(crate) fn printed(&mut self, part: &str) -> String {
        let Self { child, stdout, stderr } = self;
        until(part, || {
            // Checked before the line, so that the last line of a process that has ended is not missed.
            let ended = child.try_wait().unwrap();
            let line = stdout.find(part);
            assert!(line.is_some() || ended.is_none(), "{ended:?}, no {part:?}: {}", stderr.so_far());
            line
        })
    }

    /// Waits for a line of the log that holds `part`.
    #[track_caller]
    pub(crate) fn logged(&self, part: &str) -> String {
        until(part, || self.stderr.find(part))
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal by its name, such as `TERM`. `kill` is built into every shell.
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success(), "{script}");
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let status = until("the process has ended", || self.child.try_wait().unwrap());
        Finished { code: status.code(), stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// All roles in one process, and its addresses.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) queries: String,
    pub(crate) commands: String,
    pub(crate) admin: String,
    pub(crate) metrics: String,
    pub(crate) client: Client,
}

impl Server {
    pub(crate) fn up(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        process.printed("Ctrl-C stops it.");
        let mut address = |name| {
            let line = process.printed(name);
            let url = line.split_whitespace().find(|word| word.starts_with("http://"));
            url.unwrap().trim_end_matches("/metrics").to_owned()
        };
        Self {
            queries: address("  read side"),
            commands: address("  commands"),
            admin: address("  admin"),
            metrics: address("  metrics"),
            client: Client::new(),
            process,
        }
    }

    pub(crate) fn commands_addr(&self) -> &str {
        self.commands.strip_prefix("http://").unwrap()
    }

    /// The settings with which a client command reaches this server.
    pub(crate) fn addresses(&self) -> [(&'static str, &str); 2] {
        [("COMMAND_ADDR", self.commands_addr()), ("ADMIN_ADDR", self.admin.strip_prefix("http://").unwrap())]
    }

    /// The status of `/ready` at one of the addresses, and its reasons.
    pub(crate) fn ready(&self, url: &str) -> Option<(u16, String)> {
        self.client.get(&format!("{url}/ready"))
    }

    /// Whether every part of the process can do its work.
    pub(crate) fn is_ready(&self) -> bool {
        let addresses = [&self.queries, &self.commands, &self.admin, &self.metrics];
        addresses.into_iter().all(|url| matches!(self.ready(url), Some((200, _))))
    }

    /// The banner is printed before the read model is open and its tables exist.
    #[track_caller]
    pub(crate) fn until_ready(&self) {
        until("every part is ready", || self.is_ready().then_some(()));
    }

    /// The response of `GET` on the read side, once it is 200. A row that is not projected is 404, and a read model that is
    /// not open yet 503.
    #[track_caller]
    pub(crate) fn query(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.queries);
        until(&format!("{path} is found"), || match self.client.get(&url).unwrap() {
            (200, body) => Some(serde_json::from_str(&body).unwrap()),
            (404 | 503, _) => None,
            other => panic!("{path}: {other:?}"),
        })
    }

    #[track_caller]
    pub(crate) fn graphql(&self, query: &str) -> Value {
        let body = serde_json::json!({ "query": query }).to_string();
        let (status, answer) = self.client.post(&format!("{}/graphql", self.queries), &body).unwrap();
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
        answer["data"].clone()
    }

    /// Sends a command that must be accepted.
    #[track_caller]
    pub(crate) fn accept(&self, path: &str, body: &str) -> Value {
        let url = format!("{}{path}", self.commands);
        let (status, answer) = self.client.post(&url, body).unwrap();
        assert_eq!(status, 202, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Events that this process has projected, from its metrics; 0 while it does not respond.
    pub(crate) fn events_processed(&self) -> u64 {
        let Some((200, text)) = self.client.get(&format!("{}/metrics", self.metrics)) else {
            return 0;
        };
        text.lines()
            .filter(|line| line.starts_with("events_processed_total{"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum()
    }
}

/// A blocking HTTP client. `None` means no response.
pub(crate) struct Client {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { client: reqwest::Client::new(), runtime }
    }

    pub(crate) fn get(&self, url: &str) -> Option<(u16, String)> {
        self.answer(self.client.get(url))
    }

    pub(crate) fn post(&self, url: &str, body: &str) -> Option<(u16, String)> {
        let request = self.client.post(url).header("content-type", "application/json");
        self.answer(request.body(body.to_owned()))
    }

    /// Sends events, one per line.
    pub(crate) fn post_lines(&self, url: &str, lines: &[u8]) -> Option<(u16, String)> {
        let request = self.client.post(url).header("content-type", "application/x-ndjson");
        self.answer(request.body(lines.to_vec()))
    }

    /// Any request, with headers of the request and the response.
    pub(crate) fn exchange(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<(u16, reqwest::header::HeaderMap, String)> {
        let mut request = self.client.request(method.parse().unwrap(), url).body(body.to_owned());
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let response = request.send().await.ok()?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Some((status, headers, response.text().await.ok()?))
        })
    }

    fn answer(&self, request: reqwest::RequestBuilder) -> Option<(u16, String)> {
        self.runtime.block_on(async {
            let response = request.send().await.ok()?;
            let status = response.status().as_u16();
            Some((status, response.text().await.ok()?))
        })
    }
}
