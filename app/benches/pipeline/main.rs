//! `cargo bench -p app`: how fast the pipeline is, as ratios in one run.
//!
//! Each section runs in a process of its own, so that its peak of memory is its own.
//! `cargo bench -p app -- NAME` runs one section; MILLRACE_BENCH_EVENTS sets the number of events.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

mod abuse;
mod freshness;
mod letters;
mod load;
mod mssql;
mod outage;
mod projecting;
mod reading;
mod server;
mod subscriptions;

use std::process::Command;

const SECTIONS: [(&str, fn()); 8] = [
    ("projecting", projecting::run),
    ("mssql", mssql::run),
    ("outage", outage::run),
    ("freshness", freshness::run),
    ("reading", reading::run),
    ("letters", letters::run),
    ("subscriptions", subscriptions::run),
    ("abuse", abuse::run),
];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(part) = arguments.iter().find_map(|argument| argument.strip_prefix("part:")) {
        match part.split_once('-') {
            Some(("serve", dir)) => reading::serve_part(dir),
            Some(("load", what)) => reading::load_part(what),
            Some(("outage", what)) => outage::part(what),
            Some(("mssql", what)) => mssql::part(what),
            Some(("subscribe", what)) => subscriptions::part(what),
            _ => projecting::part(part),
        }
        return;
    }
    for (name, run) in SECTIONS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            run();
        }
    }
}

/// How many events the long runs have.
fn events() -> usize {
    std::env::var("MILLRACE_BENCH_EVENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000)
}

/// Runs a part of a section in a process of its own; its last line is its result, number by number.
fn child(part: &str) -> Vec<f64> {
    let output = Command::new(std::env::current_exe().unwrap()).arg(format!("part:{part}")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let numbers: Option<Vec<f64>> = last.split(' ').map(|number| number.parse().ok()).collect();
    numbers.unwrap_or_else(|| panic!("{part}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The most memory this process ever had, in MB.
fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kb / 1024.0
}
