//! Says which tests did not run, and why. Past the capture of the test's own output, which nobody sees of one that passes.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Says it, once in a run of a test binary: what was left out, and what it takes to have it.
pub fn skipped(what: &str) {
    let is_new = SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned());
    if is_new {
        say(&format!("SKIPPED: {what}"));
    }
}

/// Past the test harness, which shows what a test prints only when it fails.
pub(crate) fn say(line: &str) {
    // Nobody may be listening.
    let _unheard = writeln!(std::io::stderr(), "{line}");
}
