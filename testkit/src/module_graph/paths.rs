//! The paths that a source names: in `use` declarations and inline.

use super::tokens::Token;

pub(super) struct Import {
    /// As written, `use` trees expanded; without the `*` of a glob.
    pub(super) path: Vec<String>,
    /// The name under which a `use` makes the item known in its module.
    pub(super) name: Option<String>,
    /// From 1.
    pub(super) line: usize,
    /// Whether it is a `pub use` of any visibility.
    pub(super) is_public: bool,
    pub(super) is_macro: bool,
    /// The inline modules of the file that it is in.
    pub(super) inline_modules: Vec<String>,
}

pub(super) fn imports(tokens: &[Token]) -> Vec<Import> {
    let mut reader = Reader { tokens, at: 0, depth: 0, inline_modules: Vec::new(), imports: Vec::new() };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.imports
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Of braces.
    depth: usize,
    /// With the depth outside of each.
    inline_modules: Vec<(String, usize)>,
    imports: Vec<Import>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }

    fn step(&mut self) {
        match self.text(0) {
            "pub" => {
                self.skip_visibility();
                if self.text(0) == "use" {
                    self.read_use(true);
                }
            }
            "use" => self.read_use(false),
            "mod" if self.text(2) == "{" => {
                self.inline_modules.push((self.text(1).to_owned(), self.depth));
                self.depth += 1;
                self.at += 3;
            }
            "{" => {
                self.depth += 1;
                self.at += 1;
            }
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.inline_modules.retain(|(_, outside)| *outside < self.depth);
                self.at += 1;
            }
            _ if self.text(1) == "::" => self.read_inline_path(),
            _ => self.at += 1,
        }
    }

    /// `pub`, `pub(crate)`, `pub(in crate::a)`
    fn skip_visibility(&mut self) {
        self.at += 1;
        if self.text(0) == "(" && matches!(self.text(1), "crate" | "super" | "self" | "in") {
            while self.at < self.tokens.len() && self.text(0) != ")" {
                self.at += 1;
            }
            self.at += 1;
        }
    }

    fn read_inline_path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" {
            if is_word(self.text(1)) {
                path.push(self.text(1).to_owned());
            }
            self.at += 2;
        }
        let is_macro = self.text(0) == "!" && self.text(1) != "=";
        if is_word(&path[0]) {
            self.push(path, None, line, false, is_macro);
        }
    }

    fn read_use(&mut self, is_public: bool) {
        self.at += 1;
        self.read_tree(&[], is_public);
    }

    /// One branch of a `use` tree, from the word after `prefix` to the `,`, `}` or `;` that follows.
    fn read_tree(&mut self, prefix: &[String], is_public: bool) {
        let mut path = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "{" => return self.read_branches(&path, is_public),
                "*" => {
                    self.at += 1;
                    return self.push(path, None, line, is_public, false);
                }
                "self" if !path.is_empty() => self.at += 1,
                "::" => self.at += 1,
                word if is_word(word) => {
                    path.push(word.to_owned());
                    self.at += 1;
                }
                _ => break,
            }
            if self.text(0) == "as" {
                let name = self.text(1).to_owned();
                self.at += 2;
                return self.push(path, Some(name), line, is_public, false);
            }
        }
        let name = path.last().cloned();
        self.push(path, name, line, is_public, false);
    }

    fn read_branches(&mut self, prefix: &[String], is_public: bool) {
        self.at += 1;
        while !matches!(self.text(0), "}" | ";" | "") {
            if self.text(0) == "," {
                self.at += 1;
            } else {
                self.read_tree(prefix, is_public);
            }
        }
        self.at += 1;
    }

    fn push(
        &mut self,
        path: Vec<String>,
        name: Option<String>,
        line: usize,
        is_public: bool,
        is_macro: bool,
    ) {
        if !path.is_empty() {
            let inline_modules = self.inline_modules.iter().map(|(name, _)| name.clone()).collect();
            self.imports.push(Import { path, name, line, is_public, is_macro, inline_modules });
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
