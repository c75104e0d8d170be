//! What can be said about dead letters.

use clap::{Args, Subcommand};
use millrace_projector::dead_letter::LetterFilter;

/// Stands below `dead-letters --help`.
pub const EXAMPLES: &str = "\
Examples:
  millrace dead-letters stats                                one line for each cause
  millrace dead-letters list --reason unknown-type --limit 5
  millrace dead-letters show 3:1027                          payload, headers, causes, earlier attempts
  millrace dead-letters redrive --reason unknown-type --dry-run
  millrace dead-letters redrive --from 2026-11-21T07:00:00Z --max 100
  millrace dead-letters discard 3:1027

Exit code: 0 done, 1 failed or no such letter, 2 an argument or a setting is wrong.
Redriving needs the log. While another process owns an embedded log, it is asked at ADMIN_ADDR, with ADMIN_TOKEN.";

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// List open letters, newest first
    List {
        /// Which.
        #[command(flatten)]
        filter: LetterFilter,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// How many newer ones to leave out
        #[arg(long, default_value_t = 0)]
        offset: u32,
        /// One JSON object a line, everything in it
        #[arg(long)]
        json: bool,
    },
    /// Count open letters by reason and type: one cause, one line
    Stats {
        /// Which.
        #[command(flatten)]
        filter: LetterFilter,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one letter whole
    Show {
        /// Its id, partition:offset
        id: String,
    },
    /// Send letters through the log again
    Redrive(RedriveArgs),
    /// Give letters up
    Discard {
        /// Their ids, partition:offset
        ids: Vec<String>,
        /// Which, instead of ids.
        #[command(flatten)]
        filter: LetterFilter,
    },
    /// Give all letters up
    Clear {
        /// Yes, all of them
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Bring the list in Redis up to date, which a running write side does by itself
    Mirror {
        /// Fill it anew, whatever is in it
        #[arg(long)]
        rebuild: bool,
    },
}

/// Arguments of `dead-letters redrive`.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// Their ids, partition:offset
    pub ids: Vec<String>,

    /// Which, instead of ids.
    #[command(flatten)]
    pub filter: LetterFilter,

    /// All that are open now
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,

    /// How many at most
    #[arg(long, value_name = "N", conflicts_with = "ids")]
    pub max: Option<u32>,

    /// Only tell which
    #[arg(long)]
    pub dry_run: bool,
}
