//! The modules of this crate: no import circles, and the folders of GraphQL import in one direction.

use std::path::{Path, PathBuf};

use millrace_testkit::module_graph;

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn no_modules_import_each_other() {
    let cycles = module_graph::cycles(&src());
    assert!(cycles.is_empty(), "\n{}", cycles.join("\n"));
}

/// The Rust files of a folder of GraphQL, and its root.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = src().join("graphql").join(folder);
    let mut files = vec![root.with_extension("rs")];
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn the_folders_of_graphql_import_in_one_direction() {
    for (folder, forbidden) in
        [("schema", &["execution::", "transport::", "axum::"][..]), ("execution", &["transport::", "axum::"])]
    {
        for file in files(folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            for path in forbidden {
                assert!(!text.contains(path), "{} imports {path}", file.display());
            }
        }
    }
}
