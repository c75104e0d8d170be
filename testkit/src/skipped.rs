//! Reports on stderr which tests did not run and why. The test harness would hide the output of a test that passes.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Reports, once for each test binary, which tests are skipped and what they need.
pub fn skipped(what: &str) {
    let is_new = REPORTED.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned());
    if is_new {
        print_line(&format!("SKIPPED: {what}"));
    }
}

/// Writes to stderr directly, because the test harness captures the output of `eprintln!`.
pub(crate) fn print_line(line: &str) {
    // A closed stderr is no reason to fail.
    let _closed = writeln!(std::io::stderr(), "{line}");
}
