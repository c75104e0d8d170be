//! `millrace settings`: every setting with its argument, variable, default and readers.

use std::fmt::Write as _;

use clap::{Arg, CommandFactory as _};

use super::{Cli, readers};

/// The list of all settings, or of those that one command reads.
pub fn text(command: Option<&str>) -> String {
    let path: Option<Vec<&str>> = command.map(|command| vec![command]);
    let mut text = String::from(
        "A setting is an argument, an environment variable or a line NAME=value of the file .env in the\n\
         working directory. Arguments take precedence over variables, variables over .env.\n",
    );
    let root = Cli::command();
    let mut heading = None;
    for setting in root.get_arguments() {
        if path.as_ref().is_some_and(|path| !readers::reads(path, setting.get_id().as_str())) {
            continue;
        }
        if setting.get_help_heading() != heading {
            heading = setting.get_help_heading();
            // Writing into a String never fails.
            let _written = write!(text, "\n{}\n", heading.unwrap_or_default());
        }
        let _written = write!(text, "{}", entry(setting));
    }
    text
}

/// The first line is the variable, the argument and the default; the next ones describe the setting.
fn entry(setting: &Arg) -> String {
    let flag = setting.get_long().unwrap_or_default();
    let variable = setting.get_env().map_or(String::new(), |name| name.display().to_string());
    let value = setting.get_value_names().and_then(|names| names.first());
    let value = value.filter(|_| !variable.is_empty()).map_or(String::new(), |name| format!(" <{name}>"));
    let default = setting.get_default_values().iter().map(|value| value.display().to_string());
    let default: String = default.filter(|value| !value.is_empty() && !variable.is_empty()).collect();
    let default = if default.is_empty() { default } else { format!("  [default: {default}]") };
    let separator = if variable.is_empty() { "" } else { "  " };
    let mut entry = format!("  {variable}{separator}--{flag}{value}{default}\n");
    let help = setting.get_long_help().or_else(|| setting.get_help()).map(ToString::to_string);
    for line in help.unwrap_or_default().lines().flat_map(|line| wrapped(line, 90)) {
        let _written = writeln!(entry, "      {line}");
    }
    let readers = readers::commands_that_read(setting.get_id().as_str()).join(", ");
    let _written = writeln!(entry, "      Read by: {readers}");
    entry
}

/// A line of text as lines of at most `width` characters, as far as its words allow. A blank line disappears.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.chars().count() + word.chars().count() < width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
