//! The help texts, as snapshots, so that a reviewer sees a change. At 100 columns, the width without a terminal.
//!
//! After an intended change: `INSTA_UPDATE=always cargo test -p millrace --test it -- help`.

use std::collections::BTreeSet;

use crate::process::{Home, Process};

const LINES_MAX: usize = 60;
const COLUMNS_MAX: usize = 100;

const COMMANDS: [&[&str]; 17] = [
    &[],
    &["all"],
    &["write-side"],
    &["commands"],
    &["projector"],
    &["read-side"],
    &["produce"],
    &["dead-letters"],
    &["dead-letters", "list"],
    &["dead-letters", "stats"],
    &["dead-letters", "show"],
    &["dead-letters", "redrive"],
    &["dead-letters", "discard"],
    &["dead-letters", "clear"],
    &["dead-letters", "mirror"],
    &["migrate"],
    &["ready"],
];

fn output(arguments: &[&str]) -> String {
    let ended = Process::start(&mut Home::new().bare(arguments)).finish();
    assert_eq!(ended.stderr, "");
    ended.ok().to_owned()
}

#[test]
fn a_help_text_has_at_most_sixty_lines() {
    for command in COMMANDS {
        let text = output(&[command, &["--help"]].concat());
        assert!(text.lines().count() <= LINES_MAX, "{} lines: {text}", text.lines().count());
        let long = text.lines().find(|line| line.chars().count() > COLUMNS_MAX);
        assert_eq!(long, None, "{command:?}");
    }
}

#[test]
fn help_texts_are_as_reviewed() {
    for command in COMMANDS {
        let name = [&["help"], command].concat().join("_");
        insta::assert_snapshot!(name, output(&[command, &["--help"]].concat()));
    }
}

#[test]
fn the_reference_of_all_settings_is_as_reviewed() {
    insta::assert_snapshot!("settings", output(&["settings"]));
}

#[test]
fn the_settings_of_a_command_are_a_part_of_all_settings() {
    let all = output(&["settings"]);
    for command in ["all", "read-side", "migrate", "ready", "dead-letters"] {
        let some = output(&["settings", command]);
        assert!(some.lines().count() < all.lines().count());
        assert!(some.lines().all(|line| all.contains(line)), "{some}");
    }
}

/// The names in `.env.example`, and those that docker-compose.yml takes from `.env`, are known: a `.env` with them starts.
#[test]
fn every_name_of_the_example_files_is_known() {
    let read =
        |file: &str| std::fs::read_to_string(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (example, compose) = (read(".env.example"), read("docker-compose.yml"));
    let named = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    let named = named.map(|(name, _)| name);
    let used = compose.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next());
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let names: BTreeSet<_> = named.chain(used).filter(is_name).collect();
    assert!(names.len() > 30 && names.contains("MSSQL_MEMORY_LIMIT_MB"), "{names:?}");
    let home = Home::new();
    // The values are nonsense, but `ready` reads none of these settings except LOG_LEVEL.
    let lines = names.iter().filter(|name| **name != "LOG_LEVEL").map(|name| format!("{name}=x\n"));
    std::fs::write(home.path().join(".env"), lines.collect::<String>()).unwrap();
    let ended = Process::start(&mut home.bare(&["ready", "--url", "http://127.0.0.1:1/ready"])).finish();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
