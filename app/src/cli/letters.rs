//! The commands of `millrace dead-letters`.

use clap::{Args, Subcommand};
use millrace_projector::dead_letter::LetterFilter;

/// Part of the help text.
pub const EXAMPLES: &str = "\
Examples:
  millrace dead-letters stats                                     one line per cause
  millrace dead-letters list --reason unknown-type --limit 5
  millrace dead-letters show 3:1027                               payload, headers, causes, attempts
  millrace dead-letters redrive --reason unknown-type --dry-run
  millrace dead-letters redrive --from 2026-11-21T07:00:00Z --max 100
  millrace dead-letters discard 3:1027

Exit code: 0 done, 1 failed or letter not found, 2 an argument or a setting is invalid.
While another process uses an embedded event log, redrive sends its requests to ADMIN_ADDR.

";

#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// List open letters, newest first
    List {
        #[command(flatten)]
        filter: LetterFilter,
        /// Most letters to list
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Number of newer letters to skip
        #[arg(long, value_name = "N", default_value_t = 0)]
        offset: u32,
        /// Print one JSON object per line, with all fields
        #[arg(long)]
        json: bool,
    },
    /// Count open letters by reason and event type
    Stats {
        #[command(flatten)]
        filter: LetterFilter,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show one letter with all fields
    Show {
        /// Id of the letter, partition:offset
        id: String,
    },
    /// Append the records of letters to the event log again
    Redrive(RedriveArgs),
    /// Close letters without a redrive
    Discard {
        /// Ids of the letters, partition:offset
        ids: Vec<String>,
        #[command(flatten)]
        filter: LetterFilter,
    },
    /// Discard all open letters
    Clear {
        /// Confirm
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Update the list in Redis, as a running projector does by itself
    Mirror {
        /// Delete the list first and fill it again
        #[arg(long)]
        rebuild: bool,
    },
}

/// Arguments of `dead-letters redrive`.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// Ids of the letters, partition:offset
    pub ids: Vec<String>,

    #[command(flatten)]
    pub filter: LetterFilter,

    /// All letters that are open now
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,

    /// Most letters to redrive
    #[arg(long, value_name = "N", conflicts_with = "ids")]
    pub max: Option<u32>,

    /// Print the letters without a redrive
    #[arg(long)]
    pub dry_run: bool,
}
