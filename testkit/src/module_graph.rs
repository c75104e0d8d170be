//! Finds import circles between the modules of a crate, by reading its sources as text.
//!
//! An edge leads from the module that names a path to the module that defines the item: `use` declarations and imports
//! that another module passes on are followed to the definition. Not an edge: `mod x;`, a re-export (`pub use`) of an
//! item of a descendant, and everything under `#[cfg(test)]`. Methods are invisible, because calling one takes no import.

mod paths;
mod tokens;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use self::paths::Import;

/// `["graphql", "schema"]` for `graphql/schema.rs`; empty for the root of the crate.
type ModulePath = Vec<String>;

/// How many `use` declarations are followed to find a definition; they could be circular themselves.
const FOLLOWED_MAX: usize = 8;

/// The import circles under `src`, one line each: a shortest circle of each group of modules that import each other,
/// with the place of each import, and the size of the group.
///
/// # Panics
/// If `src` cannot be read.
pub fn cycles(src: &Path) -> Vec<String> {
    let edges = Modules::read(src).edges();
    let reachable: BTreeMap<_, _> = edges.keys().map(|module| (module, reachable(&edges, module))).collect();
    let mut lines = Vec::new();
    let mut reported = BTreeSet::new();
    for (module, forward) in &reachable {
        let back = |other: &&ModulePath| reachable.get(*other).is_some_and(|set| set.contains(*module));
        let group: BTreeSet<_> = forward.iter().filter(back).collect();
        if !group.contains(*module) || reported.contains(*module) {
            continue;
        }
        lines.push(format!("{}; {} modules in all", shortest(&edges, module), group.len()));
        reported.extend(group.into_iter().cloned());
    }
    lines
}

/// For each module the modules that it imports from, each with the place of the first import (`file:line`).
type Edges = BTreeMap<ModulePath, BTreeMap<ModulePath, String>>;

/// The modules that `module` imports directly or through others; itself only if it is part of a circle.
fn reachable(edges: &Edges, module: &ModulePath) -> BTreeSet<ModulePath> {
    let mut found = BTreeSet::new();
    let mut open = vec![module];
    while let Some(next) = open.pop() {
        for target in edges.get(next).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(target.clone()) {
                open.push(target);
            }
        }
    }
    found
}

/// A shortest circle through `module`: `a -> b (a.rs:1) -> a (b.rs:2)`.
fn shortest(edges: &Edges, module: &ModulePath) -> String {
    let mut open = VecDeque::from([(module, name(module))]);
    let mut seen = BTreeSet::new();
    while let Some((next, text)) = open.pop_front() {
        for (target, place) in edges.get(next).into_iter().flatten() {
            let text = format!("{text} -> {} ({place})", name(target));
            if target == module {
                return text;
            }
            if seen.insert(target) {
                open.push_back((target, text));
            }
        }
    }
    name(module)
}

fn name(module: &ModulePath) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

struct Module {
    /// Relative to `src`.
    file: String,
    imports: Vec<Import>,
}

/// All modules that have a file. `lib.rs` and `main.rs` are both the root.
struct Modules(BTreeMap<ModulePath, Module>);

impl Modules {
    fn read(src: &Path) -> Self {
        let mut modules = BTreeMap::<ModulePath, Module>::new();
        let mut tests = Vec::new();
        for file in files(src, src) {
            let text = std::fs::read_to_string(src.join(&file)).unwrap();
            let path = module_of(&file);
            let parsed = tokens::without_tests(tokens::tokens(&text));
            tests.extend(parsed.test_modules.into_iter().map(|name| [&path[..], &[name]].concat()));
            let imports = paths::imports(&parsed.tokens);
            let module = modules.entry(path).or_insert(Module { file, imports: Vec::new() });
            module.imports.extend(imports);
        }
        modules.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
        Self(modules)
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (path, module) in &self.0 {
            let targets = edges.entry(path.clone()).or_default();
            for import in &module.imports {
                let Some(target) = self.target(path, import) else { continue };
                let is_reexport = import.is_public && target.starts_with(path);
                if target != *path && !is_reexport {
                    targets.entry(target).or_insert_with(|| format!("{}:{}", module.file, import.line));
                }
            }
        }
        edges
    }

    /// The module that defines what an import names; `None` for other crates.
    fn target(&self, module: &ModulePath, import: &Import) -> Option<ModulePath> {
        let path = self.absolute(module, import)?;
        // A macro with `#[macro_export]` is at the root wherever it is defined.
        if import.is_macro && path.len() < 2 {
            return None;
        }
        Some(self.definition(&path, FOLLOWED_MAX))
    }

    /// The path from the root of the crate.
    fn absolute(&self, module: &ModulePath, import: &Import) -> Option<ModulePath> {
        let mut base = [&module[..], &import.inline_modules].concat();
        let mut rest = &import.path[..];
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            child => {
                base.push(child.to_owned());
                if !self.0.contains_key(&base) {
                    return None;
                }
                rest = &rest[1..];
            }
        }
        while rest.first().is_some_and(|segment| segment == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// Follows the `use` declarations by which a module passes an item on.
    fn definition(&self, path: &[String], follow_max: usize) -> ModulePath {
        let is_module = |length: &usize| self.0.contains_key(&path[..*length]);
        let length = (0..=path.len()).rev().find(is_module).unwrap_or_default();
        let (module, item) = (path[..length].to_vec(), path.get(length));
        let imports = self.0.get(&module).map(|module| &module.imports[..]).unwrap_or_default();
        let passes_on = |import: &&Import| import.name.as_ref() == item && import.inline_modules.is_empty();
        let passed_on = item.and_then(|_| imports.iter().find(passes_on));
        match passed_on.and_then(|import| self.absolute(&module, import)) {
            Some(mut source) if follow_max > 0 => {
                source.extend_from_slice(&path[length + 1..]);
                self.definition(&source, follow_max - 1)
            }
            _ => module,
        }
    }
}

/// The Rust files under `folder`, relative to `src`.
fn files(src: &Path, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(src, &path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.strip_prefix(src).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

fn module_of(file: &str) -> ModulePath {
    let mut path: ModulePath = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let is_root = path.len() == 1 && matches!(path[0].as_str(), "lib" | "main");
    if is_root || path.last().is_some_and(|name| name == "mod") {
        path.pop();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
        let src = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = src.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        cycles(src.path())
    }

    fn assert_none(files: &[(&str, &str)]) {
        assert_eq!(cycles_of(files), Vec::<String>::new(), "{files:?}");
    }

    #[test]
    fn siblings_that_import_each_other_are_a_circle() {
        let found = cycles_of(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "//! A\nuse crate::b::{self, B as Bee};"),
            ("b.rs", "use super::c::C;"),
            ("c.rs", "fn c() { let x = crate::a::A::new(); }"),
        ]);
        assert_eq!(found, ["a -> b (a.rs:2) -> c (b.rs:1) -> a (c.rs:1); 3 modules in all"]);
    }

    #[test]
    fn each_group_is_reported_once() {
        let found = cycles_of(&[
            ("a.rs", "use crate::b::B; use crate::c::C;"),
            ("b.rs", "use crate::a::A;"),
            ("c.rs", "use crate::d::D;"),
            ("d.rs", "use crate::{c::C};"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a -> b") && found[1].starts_with("c -> d"), "{found:?}");
    }

    #[test]
    fn a_child_may_import_from_a_parent_that_only_declares_or_reexports_it() {
        assert_none(&[("lib.rs", "mod a;"), ("a.rs", "mod b; pub struct A;"), ("a/b.rs", "use super::A;")]);
        assert_none(&[
            ("a.rs", "mod b; pub(crate) use self::b::B; pub use b::C; pub struct A;"),
            ("a/b.rs", "use super::A;"),
        ]);
        assert_none(&[("a/mod.rs", "mod b; use b::B;"), ("a/b.rs", "pub struct B;")]);
    }

    #[test]
    fn a_parent_and_a_child_that_import_from_each_other_are_a_circle() {
        for parent in ["use self::b::B;", "use b::B;", "fn f() { b::g() }", "fn f() { crate::a::b::g() }"] {
            let found = cycles_of(&[("a.rs", parent), ("a/b.rs", "use super::A;")]);
            assert_eq!(found.len(), 1, "{parent}");
            assert!(found[0].starts_with("a -> a::b (a.rs:1) -> a (a/b.rs:1)"), "{found:?}");
        }
        let with_root = cycles_of(&[("lib.rs", "use a::A;"), ("a.rs", "use crate::Root;")]);
        assert!(with_root[0].starts_with("crate -> a"), "{with_root:?}");
    }

    #[test]
    fn an_item_that_is_passed_on_leads_to_its_definition() {
        let found = cycles_of(&[
            ("lib.rs", "mod a; mod b; pub use a::A as Renamed;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::Renamed;"),
        ]);
        assert_eq!(found, ["a -> b (a.rs:1) -> a (b.rs:1); 2 modules in all"]);
        // The parent imports B without using what C defines.
        assert_none(&[
            ("a.rs", "mod b; mod c; pub use self::c::C; use self::b::B;"),
            ("a/b.rs", ""),
            ("a/c.rs", "use super::B;"),
        ]);
    }

    #[test]
    fn inline_modules_belong_to_their_file() {
        assert_none(&[("a.rs", "mod imp { use super::A; pub(super) fn f() {} } fn g() { imp::f() }")]);
        let found = cycles_of(&[("a.rs", "mod imp { use super::super::b::B; }"), ("b.rs", "use crate::a;")]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn tests_comments_texts_and_macros_are_not_imports() {
        assert_none(&[
            ("a.rs", "use crate::b::B;"),
            (
                "b.rs",
                r##"
//! [`crate::a::A`]
/* crate::a::A /* nested */ crate::a::A */
const QUOTE: char = '"';
const TEXT: &str = "crate::a::A \" crate::a::A";
const RAW: &str = r#"crate::a::A " crate::a::A"#;
fn f<'a>(a: &'a str) { crate::a!(a) }
#[cfg(test)]
use crate::a::{A, C};
#[cfg(test)]
mod tests { use crate::a::A; mod inner { } }
#[cfg(test)]
mod more;
pub(in crate::a) struct B;
"##,
            ),
            ("b/more.rs", "use crate::a::A;"),
        ]);
    }
}
