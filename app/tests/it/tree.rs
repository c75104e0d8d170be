//! The tree itself: who may know whom, where SQL stands, how files begin and how long they may be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CRATES: [&str; 5] = ["shared", "write-side", "read-side", "app", "testkit"];
/// Lines of a file, its unit tests left out. A house rule: beyond this it asks to be cut in two.
const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of the tree.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// What is not a unit test.
    fn code(&self) -> &str {
        let code = self.text.split("#[cfg(test)]\nmod tests {").next();
        code.unwrap_or_default()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.starts_with("testkit/")
    }
}

fn files(folder: &str, extension: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    collect(&root.join(folder), extension, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| Source {
            text: std::fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        })
        .collect()
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// Every Rust file under `src` of every crate.
fn sources() -> Vec<Source> {
    let sources: Vec<_> = CRATES.iter().flat_map(|name| files(&format!("{name}/src"), "rs")).collect();
    assert!(sources.len() > 50, "the tree is found");
    sources
}

#[track_caller]
fn assert_none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn the_two_sides_never_see_each_other_and_shared_sees_neither() {
    let mut offences = Vec::new();
    for (name, strangers) in [
        ("write-side", &["read-side"][..]),
        ("read-side", &["write-side"]),
        ("shared", &["write-side", "read-side"]),
    ] {
        let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for stranger in strangers {
            let crate_name = format!("{}::", stranger.replace('-', "_"));
            let is_stranger = |line: &&str| line.trim_start().starts_with(stranger);
            if let Some(line) = manifest.lines().find(is_stranger) {
                offences.push(format!("{name}/Cargo.toml: {line}"));
            }
            let code = files(&format!("{name}/src"), "rs").into_iter();
            let all = code.chain(files(&format!("{name}/tests"), "rs"));
            let knows = all.filter(|file| file.text.contains(&crate_name));
            offences.extend(knows.map(|file| format!("{}: knows {stranger}", file.path)));
        }
    }
    assert_none(&offences);
}

#[test]
fn no_module_is_named_for_nothing() {
    let empty_words =
        ["util", "utils", "helper", "helpers", "common", "manager", "misc", "service", "services"];
    let mut offences = Vec::new();
    for name in CRATES {
        for file in files(name, "rs") {
            let path = Path::new(&file.path);
            let words = path.iter().map(|part| part.to_str().unwrap().trim_end_matches(".rs"));
            let named = words.flat_map(|part| part.split('_'));
            if named.into_iter().any(|word| empty_words.contains(&word)) {
                offences.push(file.path.clone());
            }
            let modules = file.text.lines().filter_map(|line| {
                let line = line.trim_start().trim_start_matches("pub").trim_start_matches("(crate)");
                line.trim_start().strip_prefix("mod ")
            });
            let inline = modules
                .map(|module| module.trim_end_matches([';', '{', ' ']))
                .filter(|module| empty_words.contains(module));
            offences.extend(inline.map(|module| format!("{}: mod {module}", file.path)));
        }
    }
    assert_none(&offences);
}

#[test]
fn there_is_no_sql_in_rust() {
    let verbs =
        ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER", "PRAGMA", "BEGIN"];
    let begins = |line: &str, verb: &str| {
        line.match_indices(&format!("{verb} ")).any(|(at, _)| {
            // A literal begins with a quote, a literal of several lines with the line.
            let before = line[..at].trim_start();
            before.is_empty() || before.ends_with('"')
        })
    };
    let mut offences = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        for (number, line) in (1..).zip(file.code().lines()) {
            if verbs.iter().any(|verb| begins(line, verb)) {
                offences.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none(&offences);
}

/// The paths in `sql!("…")`, from the root.
fn sql_used() -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for file in CRATES.iter().flat_map(|name| files(name, "rs")) {
        for call in file.text.split("sql!(").skip(1) {
            let literal = call.trim_start().strip_prefix('"');
            if let Some((path, _)) = literal.and_then(|rest| rest.split_once('"')) {
                used.insert(format!("sql/{path}"));
            }
        }
    }
    used
}

#[test]
fn every_statement_is_used_and_says_why_it_is_as_it_is() {
    let used = sql_used();
    let statements = files("sql", "sql");
    assert!(statements.len() > 20, "the statements are found");
    let mut offences = Vec::new();
    for file in &statements {
        if !file.text.starts_with("-- ") {
            offences.push(format!("{}: begins without a comment", file.path));
        }
        if !used.contains(&file.path) {
            offences.push(format!("{}: nobody runs it", file.path));
        }
    }
    assert_none(&offences);
}

#[test]
fn every_defect_of_the_older_systems_has_a_test_of_its_name() {
    let all: Vec<_> = CRATES.iter().flat_map(|name| files(name, "rs")).collect();
    let missing = (1..=18).map(|number| format!("fn b{number:02}_"));
    let missing = missing.filter(|test| !all.iter().any(|file| file.text.contains(test)));
    assert_none(&missing.collect::<Vec<_>>());
}

#[test]
fn every_file_says_why_it_exists() {
    let tests = CRATES.iter().flat_map(|name| files(&format!("{name}/tests"), "rs"));
    let silent = sources().into_iter().chain(tests).filter(|file| !file.text.starts_with("//! "));
    assert_none(&silent.map(|file| file.path).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long_to_read() {
    let sources = sources();
    let long = sources
        .iter()
        .filter(|file| !file.is_test())
        .map(|file| (file.path.clone(), file.code().trim_end().lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX);
    assert_none(&long.map(|(path, lines)| format!("{path}: {lines} lines")).collect::<Vec<_>>());
}

#[test]
fn pure_modules_touch_nothing() {
    let pure = [
        "shared/src/event.rs",
        "shared/src/envelope.rs",
        "shared/src/envelope/",
        "shared/src/id.rs",
        "shared/src/amount.rs",
        "shared/src/text.rs",
        "shared/src/timestamp.rs",
        "shared/src/record.rs",
        "write-side/src/command.rs",
        "write-side/src/retry.rs",
        "write-side/src/breaker.rs",
        "write-side/src/projection/changes.rs",
    ];
    let runtimes = [
        "tokio",
        "rusqlite",
        "axum",
        "rdkafka",
        "reqwest",
        "tracing",
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
    ];
    let sources = sources();
    let mut offences = Vec::new();
    for prefix in pure {
        let found: Vec<_> = sources.iter().filter(|file| file.path.starts_with(prefix)).collect();
        assert!(!found.is_empty(), "{prefix} is gone: say so here");
        for file in found.iter().filter(|file| !file.is_test()) {
            let code = file.code().lines().filter(|line| !line.trim_start().starts_with("//"));
            let touches = |line: &&str| runtimes.iter().any(|name| line.contains(&format!("{name}::")));
            offences.extend(code.filter(touches).map(|line| format!("{}: {line}", file.path)));
        }
    }
    assert_none(&offences);
}

#[test]
fn the_toolchain_is_the_one_the_manifest_names() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let after = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches([' ', '=', '"']).to_owned()
    };
    let least = after(&read("Cargo.toml"), "rust-version");
    let pinned = after(&read("rust-toolchain.toml"), "channel");
    assert!(pinned.starts_with(&least), "pinned {pinned}, promised {least}");
    for name in CRATES {
        let manifest = read(&format!("{name}/Cargo.toml"));
        for setting in ["version", "edition", "rust-version", "license", "publish"] {
            let inherited = format!("{setting}.workspace = true");
            assert!(manifest.contains(&inherited), "{name}: {inherited}");
        }
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name}: lints");
    }
}

#[test]
fn documents_point_to_files_that_exist() {
    let mut offences = Vec::new();
    let documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| (name, root().join(name)));
    for (name, path) in documents {
        let text = std::fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let local = links
            .map(|(link, _)| link.split('#').next().unwrap_or_default())
            .filter(|link| !link.is_empty() && !link.contains("://"));
        let broken = local.filter(|link| !root().join(link).exists());
        offences.extend(broken.map(|link| format!("{name}: {link}")));
    }
    assert_none(&offences);
}

/// What stands between backticks in the last column of tables that say where a thing is seen or tested.
fn tests_named(text: &str) -> Vec<String> {
    let (mut named, mut names_tests) = (Vec::new(), false);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let last = line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default().trim();
        if lines.peek().is_some_and(|next| next.starts_with("|--")) {
            names_tests = ["seen in", "test", "tests"].contains(&last);
        } else if names_tests && line.starts_with("| ") {
            named.extend(last.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    named
}

#[test]
fn documents_name_tests_that_exist() {
    let files: Vec<_> = CRATES.iter().flat_map(|name| files(name, "rs")).collect();
    let exists = |name: &str| match name.strip_suffix('…') {
        _ if name.ends_with(".rs") => {
            files.iter().any(|file| format!("/{}", file.path).ends_with(&format!("/{name}")))
        }
        Some(beginning) => files.iter().any(|file| file.text.contains(&format!("fn {beginning}"))),
        None => files.iter().any(|file| file.text.contains(&format!("fn {name}("))),
    };
    let mut offences = Vec::new();
    for (document, least) in [("ARCHITECTURE.md", 7), ("docs/reliability.md", 20)] {
        let named = tests_named(&std::fs::read_to_string(root().join(document)).unwrap());
        assert!(named.len() >= least, "{document}: the tables are found");
        offences.extend(named.iter().filter(|name| !exists(name)).map(|name| format!("{document}: {name}")));
    }
    assert_none(&offences);
}
