//! `millrace produce --interactive`: a menu that asks for a command field by field and sends the event that grants it.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use millrace_commands::command::{self, Context};
use millrace_domain::text::CorrelationId;
use millrace_domain::{DecodeError, Envelope, Timestamp};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Target;
use crate::output::print_line;
use crate::simulator::Simulator;

const MENU: &str = "\n1 create user   2 place order   3 settle payment   4 adjust inventory   5 generate sample events   0 exit";
/// What one choice of "5" sends.
const SAMPLE_EVENTS: usize = 10;

type Parse = fn(&[u8], &Context) -> Result<Envelope, DecodeError>;

/// Fields of a command, each with what is said of it. One that is left empty is left out.
type Questions = &'static [(&'static str, &'static str)];

const USER: Questions = &[("userId", "empty: a new one"), ("name", ""), ("email", "")];
const ORDER: Questions = &[
    ("orderId", "empty: a new one"),
    ("userId", ""),
    ("amount", "such as 149.99"),
    ("currency", "empty: USD"),
];
const PAYMENT: Questions = &[
    ("orderId", ""),
    ("amount", "such as 149.99"),
    ("status", "SETTLED or FAILED"),
    ("method", "may be empty"),
];
const ADJUSTMENT: Questions = &[("sku", ""), ("delta", "such as -5"), ("reason", "may be empty")];

/// What the user types, a line at a time.
struct Lines {
    typed: mpsc::Receiver<String>,
    stop: CancellationToken,
}

impl Lines {
    /// Reads on a thread of its own: nothing can interrupt one that waits for a key.
    fn of_stdin(stop: &CancellationToken) -> Self {
        let (send, typed) = mpsc::channel(1);
        std::thread::spawn(move || {
            let lines = std::io::stdin().lock().lines().map_while(Result::ok);
            for line in lines {
                if send.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self { typed, stop: stop.clone() }
    }

    /// The answer to a question; `None` when there will be none.
    async fn ask(&mut self, question: &str) -> std::io::Result<Option<String>> {
        let mut out = std::io::stdout();
        write!(out, "{question} ")?;
        out.flush()?;
        let line = self.stop.run_until_cancelled(self.typed.recv()).await.flatten();
        Ok(line.map(|line| line.trim().to_owned()))
    }
}

/// Asks and sends until the user leaves.
///
/// # Errors
/// When events are refused or nothing can be written to the terminal.
pub(super) async fn run(target: &Target, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut lines = Lines::of_stdin(stop);
    let mut simulator = Simulator::new(rand::random());
    loop {
        print_line(MENU)?;
        let Some(choice) = lines.ask(">").await? else { return Ok(()) };
        let asked = match choice.as_str() {
            "0" => return Ok(()),
            "1" => fill_in(&mut lines, USER, command::create_user).await?,
            "2" => fill_in(&mut lines, ORDER, command::place_order).await?,
            "3" => fill_in(&mut lines, PAYMENT, command::settle_payment).await?,
            "4" => fill_in(&mut lines, ADJUSTMENT, command::adjust_inventory).await?,
            "5" => Some((0..SAMPLE_EVENTS).map(|_| simulator.next_event()).collect()),
            _ => {
                print_line("choose a number from 0 to 5")?;
                continue;
            }
        };
        let Some(events) = asked else { return Ok(()) };
        let sent: Vec<_> = events.iter().map(|event| event.to_record().payload).collect();
        target.send(&sent, stop).await?;
        for event in &events {
            let (kind, key) = (event.event.event_type().as_str(), event.event.partition_key());
            print_line(format_args!("sent {kind} {key}, event {}", event.event_id))?;
        }
    }
}

/// Asks for the fields of a command until it can be granted; `None` when the user has left.
async fn fill_in(
    lines: &mut Lines,
    questions: Questions,
    parse: Parse,
) -> anyhow::Result<Option<Vec<Envelope>>> {
    loop {
        let mut fields: Vec<(&str, Box<RawValue>)> = Vec::new();
        for (field, hint) in questions {
            let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
            let Some(answer) = lines.ask(&format!("  {field}{hint}:")).await? else { return Ok(None) };
            if !answer.is_empty() {
                fields.push((field, json(&answer)?));
            }
        }
        let body = serde_json::to_vec(&fields.into_iter().collect::<BTreeMap<_, _>>())?;
        let correlation_id = CorrelationId::parse(&format!("menu-{}", Timestamp::now().micros()))?;
        match parse(&body, &Context { now: Timestamp::now(), correlation_id, seed: None }) {
            Ok(event) => return Ok(Some(vec![event])),
            Err(error) => print_line(format_args!("  {error}; once more:"))?,
        }
    }
}

/// A number keeps every digit it was typed with; everything else is a text.
fn json(answer: &str) -> serde_json::Result<Box<RawValue>> {
    let is_number = serde_json::from_str::<serde_json::Number>(answer).is_ok();
    if is_number { RawValue::from_string(answer.to_owned()) } else { to_raw_value(answer) }
}
