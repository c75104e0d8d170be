//! The tree itself: which crate may use which, import circles, SQL in files, words, lengths of files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folders of the crates, each after those that it may depend on.
const CRATES: [&str; 9] = [
    "shared/domain",
    "shared/platform",
    "shared/mssql",
    "write-side/event-log",
    "write-side/commands",
    "write-side/projector",
    "read-side",
    "app",
    "testkit",
];
/// Words that are riddles in this project's documents and code; docs/glossary.md has the plain ones.
const RIDDLES: [&str; 5] = ["told", "nobody", "whoever", "untold", "given up"];
/// Lines of a file without its unit tests.
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
        let is_generated = ["target", "node_modules", ".git", "dist"].iter().any(|name| path.ends_with(name));
        if is_generated {
            continue;
        }
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

/// The dependencies in a crate's manifest, without those of its tests.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    for (name, allowed) in [
        ("shared/domain", &[][..]),
        ("shared/platform", &["domain"]),
        ("shared/mssql", &["domain", "platform"]),
        ("write-side/event-log", &["domain", "platform"]),
        ("write-side/commands", &["domain", "platform", "event-log"]),
        ("write-side/projector", &["domain", "platform", "event-log", "mssql"]),
        ("read-side", &["domain", "platform", "mssql"]),
    ] {
        let ours: BTreeSet<_> = dependencies(name)
            .iter()
            .filter_map(|dependency| dependency.strip_prefix("millrace-").map(str::to_owned))
            .collect();
        let allowed: BTreeSet<_> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(ours, allowed, "{name}");
    }
}

#[test]
fn the_domain_depends_on_nothing_that_does_io() {
    let pure = ["chrono", "serde", "serde_json", "thiserror", "uuid"];
    assert_eq!(dependencies("shared/domain"), pure.map(str::to_owned).into());
}

#[test]
fn commands_cannot_reach_a_read_model() {
    let mut reached = BTreeSet::from(["millrace-commands".to_owned()]);
    let mut open = vec!["write-side/commands".to_owned()];
    while let Some(name) = open.pop() {
        for dependency in dependencies(&name) {
            let folder = CRATES.iter().find(|folder| dependency == format!("millrace-{}", last(folder)));
            open.extend(folder.filter(|_| !reached.contains(&dependency)).map(|folder| (*folder).to_owned()));
            reached.insert(dependency);
        }
    }
    for stranger in ["tiberius", "bb8", "millrace-mssql", "millrace-projector", "millrace-read-side"] {
        assert!(!reached.contains(stranger), "commands depend on {stranger}: {reached:?}");
    }
}

fn last(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap()
}

#[test]
fn no_modules_import_each_other() {
    let circles = CRATES.iter().flat_map(|name| {
        let circles = millrace_testkit::module_graph::cycles(&root().join(name).join("src"));
        circles.into_iter().map(move |circle| format!("{name}: {circle}"))
    });
    assert_none(&circles.collect::<Vec<_>>());
}

#[test]
fn every_log_line_names_the_product() {
    let mut offences = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        for level in ["error", "warn", "info", "debug", "trace"] {
            let call = format!("tracing::{level}!(");
            let calls = file.code().split(&call).skip(1);
            let other = calls.filter(|call| !call.trim_start().starts_with("target: \"millrace::"));
            offences.extend(
                other.map(|call| format!("{}: {level}!({}", file.path, call.lines().next().unwrap())),
            );
        }
    }
    assert_none(&offences);
}

#[test]
fn there_are_no_riddles() {
    let documents = files("", "md").into_iter().filter(|file| !file.path.contains("glossary"));
    let rust = CRATES.iter().flat_map(|name| files(name, "rs"));
    let rust = rust.filter(|file| !file.path.ends_with("tree.rs"));
    let sql = files("sql", "sql");
    let mut offences = Vec::new();
    for file in documents.chain(rust).chain(sql) {
        for (number, line) in (1..).zip(file.text.lines()) {
            let words = line.to_lowercase();
            let is_word = |at: usize, length: usize| {
                let outside = |byte: Option<&u8>| !byte.is_some_and(u8::is_ascii_alphanumeric);
                outside(words.as_bytes().get(at.wrapping_sub(1)))
                    && outside(words.as_bytes().get(at + length))
            };
            let has = |riddle: &&&str| words.match_indices(**riddle).any(|(at, _)| is_word(at, riddle.len()));
            if let Some(riddle) = RIDDLES.iter().find(has) {
                offences.push(format!("{}:{number}: {riddle:?}", file.path));
            }
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
            offences.push(format!("{}: no module runs it", file.path));
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
    // What a manifest can show is checked above; these modules share a crate with others that do IO.
    let pure = [
        "write-side/commands/src/command.rs",
        "write-side/projector/src/retry.rs",
        "write-side/projector/src/breaker.rs",
        "write-side/projector/src/projection/changes.rs",
        "write-side/projector/src/dead_letter/letter.rs",
        "shared/platform/src/schema.rs",
    ];
    let runtimes = ["tokio", "rusqlite", "axum", "rdkafka", "reqwest", "tracing", "redis", "tiberius"];
    let standard = ["fs", "net", "io", "env", "process", "thread"].map(|name| format!("std::{name}::"));
    let sources = sources();
    let mut offences = Vec::new();
    for path in pure {
        let file = sources.iter().find(|file| file.path == path).expect(path);
        let code = file.code().lines().filter(|line| !line.trim_start().starts_with("//"));
        let touches = |line: &&str| {
            runtimes.iter().any(|name| line.contains(&format!("{name}::")))
                || standard.iter().any(|name| line.contains(name.as_str()))
        };
        offences.extend(code.filter(touches).map(|line| format!("{}: {line}", file.path)));
    }
    let domain = sources.iter().filter(|file| file.path.starts_with("shared/domain/") && !file.is_test());
    for file in domain {
        let touches = |line: &&str| standard.iter().any(|name| line.contains(name.as_str()));
        offences.extend(file.code().lines().filter(touches).map(|line| format!("{}: {line}", file.path)));
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

/// Every Markdown file at the root, and below docs and examples.
fn documents() -> Vec<Source> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| Source {
        text: std::fs::read_to_string(root().join(name)).unwrap(),
        path: name.to_owned(),
    });
    top.into_iter().chain(files("docs", "md")).chain(files("examples", "md")).collect()
}

#[test]
fn documents_point_to_files_that_exist() {
    let mut offences = Vec::new();
    for document in documents() {
        let folder = root().join(&document.path).parent().unwrap().to_owned();
        let links = document.text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let local = links
            .map(|(link, _)| link.split('#').next().unwrap_or_default())
            .filter(|link| !link.is_empty() && !link.contains("://"));
        let broken = local.filter(|link| !folder.join(link).exists());
        offences.extend(broken.map(|link| format!("{}: {link}", document.path)));
    }
    assert_none(&offences);
}

/// The names in backticks in the last column of tables whose last heading is `test`, `tests` or `seen in`.
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
    for (document, least) in [("ARCHITECTURE.md", 7), ("docs/reliability.md", 20), ("docs/defects.md", 18)] {
        let named = tests_named(&std::fs::read_to_string(root().join(document)).unwrap());
        assert!(named.len() >= least, "{document}: the tables are found");
        offences.extend(named.iter().filter(|name| !exists(name)).map(|name| format!("{document}: {name}")));
    }
    assert_none(&offences);
}
