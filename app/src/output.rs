//! The results of a command, on standard output.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes a line. A closed pipe is no error: a reader such as `head` has read enough, and the command continues.
///
/// # Errors
/// Any other error of the system, such as a full disk.
pub fn print_line(text: impl Display) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
