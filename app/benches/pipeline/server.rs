//! The binary as a child on one core, for sections that measure it from outside; ended when dropped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The core that the binary runs on, where `taskset` is there; the load tool keeps to the other.
const CORE: &str = "0";

pub(crate) struct Server {
    child: Child,
    /// Host and port of the read side.
    pub(crate) queries: String,
    /// Host and port of the command API.
    pub(crate) commands: String,
    _dir: TempDir,
}

impl Server {
    /// Everything in one process, without the simulator.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_millrace");
        let mut command = pinned(CORE, program);
        command.env_clear().current_dir(dir.path()).env("DATA_DIR", dir.path().join("data"));
        for address in ["ADMIN_ADDR", "API_ADDR", "COMMAND_ADDR", "METRICS_ADDR"] {
            command.env(address, "127.0.0.1:0");
        }
        command.env("EVENT_RATE", "0").env("LOG_LEVEL", "warn").envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let banner: Vec<_> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
        let address = |name: &str| {
            let line =
                banner.iter().find(|line| line.starts_with(name)).expect("the banner has every address");
            let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
            url.unwrap().to_owned()
        };
        Self { queries: address("  read side"), commands: address("  commands"), child, _dir: dir }
    }

    /// Megabytes in memory.
    pub(crate) fn rss_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kb / 1024.0
    }

    /// Seconds of work so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // Of user and of kernel, in hundredths, by proc(5).
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
        ticks.sum::<f64>() / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// A program on one core, where that can be had.
pub(crate) fn pinned(core: &str, program: impl AsRef<OsStr>) -> Command {
    if Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}
