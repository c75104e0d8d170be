//! What a command answers, on standard output.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes a line. Whoever has closed the pipe, as `head` does, has read enough, and the command goes on without him.
///
/// # Errors
/// What the system says, a full disk for example.
pub fn say(text: impl Display) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
