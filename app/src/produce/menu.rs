//! `millrace produce --interactive`: a menu that reads a command field by field and sends its event.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use millrace_commands::command::{self, Context};
use millrace_domain::text::CorrelationId;
use millrace_domain::{DecodeError, Envelope, Timestamp};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::sink::EventSink;
use crate::output::print_line;
use crate::simulator::Simulator;

const MENU: &str = "\n1 create user   2 place order   3 settle payment   4 adjust inventory   5 generate sample events   0 exit";
/// Events that choice 5 sends.
const SAMPLE_EVENTS: usize = 10;

type Parse = fn(&[u8], &Context) -> Result<Envelope, DecodeError>;

/// Fields of a command, each with a hint. An empty field is left out.
type Fields = &'static [(&'static str, &'static str)];

const USER: Fields = &[("userId", "empty: a new id"), ("name", ""), ("email", "")];
const ORDER: Fields = &[
    ("orderId", "empty: a new id"),
    ("userId", ""),
    ("amount", "such as 149.99"),
    ("currency", "empty: USD"),
];
const PAYMENT: Fields = &[
    ("orderId", ""),
    ("amount", "such as 149.99"),
    ("status", "SETTLED or FAILED"),
    ("method", "may be empty"),
];
const ADJUSTMENT: Fields = &[("sku", ""), ("delta", "such as -5"), ("reason", "may be empty")];

/// Lines that the user types.
struct Lines {
    typed: mpsc::Receiver<String>,
    stop: CancellationToken,
}

impl Lines {
    /// Reads on a separate thread: a read from a terminal cannot be cancelled.
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

    /// Prints a prompt and reads a line; `None` at the end of input or when the process stops.
    async fn prompt(&mut self, prompt: &str) -> std::io::Result<Option<String>> {
        let mut out = std::io::stdout();
        write!(out, "{prompt} ")?;
        out.flush()?;
        let line = self.stop.run_until_cancelled(self.typed.recv()).await.flatten();
        Ok(line.map(|line| line.trim().to_owned()))
    }
}

/// # Errors
/// Events are refused, or the terminal cannot be written to.
pub(super) async fn run(sink: &EventSink, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut lines = Lines::of_stdin(stop);
    let mut simulator = Simulator::new(rand::random());
    loop {
        print_line(MENU)?;
        let Some(choice) = lines.prompt(">").await? else { return Ok(()) };
        let chosen = match choice.as_str() {
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
        let Some(events) = chosen else { return Ok(()) };
        let payloads: Vec<_> = events.iter().map(|event| event.to_record().payload).collect();
        sink.send(&payloads, stop).await?;
        for event in &events {
            let (kind, key) = (event.event.event_type().as_str(), event.event.partition_key());
            print_line(format_args!("sent {kind} {key}, event {}", event.event_id))?;
        }
    }
}

/// Reads the fields of a command until they are valid; `None` at the end of input.
async fn fill_in(lines: &mut Lines, expected: Fields, parse: Parse) -> anyhow::Result<Option<Vec<Envelope>>> {
    loop {
        let mut fields: Vec<(&str, Box<RawValue>)> = Vec::new();
        for (field, hint) in expected {
            let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
            let Some(text) = lines.prompt(&format!("  {field}{hint}:")).await? else { return Ok(None) };
            if !text.is_empty() {
                fields.push((field, json(&text)?));
            }
        }
        let body = serde_json::to_vec(&fields.into_iter().collect::<BTreeMap<_, _>>())?;
        let correlation_id = CorrelationId::parse(&format!("menu-{}", Timestamp::now().micros()))?;
        match parse(&body, &Context { now: Timestamp::now(), correlation_id, seed: None }) {
            Ok(event) => return Ok(Some(vec![event])),
            Err(error) => print_line(format_args!("  {error}; try again:"))?,
        }
    }
}

/// A number keeps all its digits; everything else becomes a string.
fn json(text: &str) -> serde_json::Result<Box<RawValue>> {
    let is_number = serde_json::from_str::<serde_json::Number>(text).is_ok();
    if is_number { RawValue::from_string(text.to_owned()) } else { to_raw_value(text) }
}
