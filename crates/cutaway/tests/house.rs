//! Rules about the shape of the source: no circle of imports between the files of a crate, and a core that stays small.
//!
//! The module graph is read from the text: `mod` and `use` declarations and inline paths, outside comments, strings and
//! `#[cfg(test)]` items. A name that a module only re-exports counts as coming from the file that defines it. A module root
//! that does nothing but declare and re-export its children is no link.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a reader is asked to trust; counted.
const CORE: [&str; 5] = ["kv", "engine", "dataplane", "node", "gateway"];
/// Crates without circles.
const DRAWN: [&str; 22] = [
    "kv",
    "trace",
    "backup",
    "bench",
    "disk",
    "engine",
    "store",
    "dataplane",
    "node",
    "gateway",
    "sim",
    "secure",
    "deploy",
    "server",
    "lab",
    "spec",
    "web",
    "cutaway",
    "elections",
    "gc",
    "membership",
    "all",
];
/// Lines of code of the core: as many as there are, rounded up. It only goes down.
const BUDGET: usize = 9010;
/// Lines of code of one file of the core.
const FILE_LINES_MAX: usize = 350;
/// Lines of code of one of its functions, and of nine in ten of them.
const FUNCTION_LINES_MAX: [usize; 2] = [50, 25];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap().to_owned()
}

// ---- The text ----

/// The code with comments blank, and strings and characters filled with underscores. Lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let find = |from: usize, what: &str| {
        let what: Vec<char> = what.chars().collect();
        (from..chars.len()).find(|&i| chars[i..].starts_with(&what)).map_or(chars.len(), |i| i + what.len())
    };
    let (mut code, mut i) = (String::new(), 0);
    while i < chars.len() {
        let in_word = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        let hashes = (i + 1..).take_while(|&n| at(n) == '#').count();
        // Where it ends, and what stands for it.
        let (end, by) = match (at(i), at(i + 1)) {
            ('/', '/') => (find(i, "\n") - 1, Some(' ')),
            ('/', '*') => (find(i, "*/"), Some(' ')),
            ('r', '"' | '#') if !in_word && at(i + 1 + hashes) == '"' => {
                (find(i + 2 + hashes, &format!("\"{}", "#".repeat(hashes))), Some('_'))
            }
            ('"', _) => {
                let mut end = i + 1;
                while end < chars.len() && at(end) != '"' {
                    end += if at(end) == '\\' { 2 } else { 1 };
                }
                (end + 1, Some('_'))
            }
            ('\'', '\\') => (find(i + 3, "'"), Some('_')),
            ('\'', _) if at(i + 2) == '\'' => (i + 3, Some('_')),
            _ => (i + 1, None),
        };
        let taken = &chars[i..end.min(chars.len())];
        code.extend(taken.iter().map(|&c| if c == '\n' { c } else { by.unwrap_or(c) }));
        i = end;
    }
    code
}

/// The code without its `#[cfg(test)]` items.
fn without_tests(mut code: String) -> String {
    const TEST: &str = "#[cfg(test)]";
    while let Some(start) = code.find(TEST) {
        let (mut depth, mut end) = (0, code.len());
        for (i, c) in code[start + TEST.len()..].char_indices() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 && (c == '}' || c == ';') {
                end = start + TEST.len() + i + c.len_utf8();
                break;
            }
        }
        code.replace_range(start..end, "");
    }
    code
}

/// Words, `::`, and single signs.
fn tokens(code: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let len = match first {
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        tokens.push(&rest[..len]);
        rest = rest[len..].trim_start();
    }
    tokens
}

// ---- The modules ----

/// A path from the crate's root.
type Module = Vec<String>;

fn child_of(module: &Module, child: &str) -> Module {
    module.iter().map(String::as_str).chain([child]).map(String::from).collect()
}

/// One `use`, or one leaf of its tree: the path as written, and the name that it has here.
struct Import {
    path: Vec<String>,
    name: String,
}

struct File {
    place: PathBuf,
    lines: usize,
    /// Each function's name and lines.
    functions: Vec<(String, usize)>,
    children: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths in the code.
    paths: Vec<Vec<String>>,
    /// What is defined here, or may be.
    words: BTreeSet<String>,
    /// There is nothing here but declarations of children, and imports.
    is_door: bool,
}

fn read(place: PathBuf) -> File {
    let code =
        without_tests(without_comments_and_strings(&std::fs::read_to_string(&place).expect("a source file")));
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    let tokens = tokens(&code);
    let mut file = File {
        place,
        lines,
        functions: functions(&code),
        children: BTreeSet::new(),
        imports: Vec::new(),
        paths: Vec::new(),
        words: tokens.windows(2).filter(|w| DEFINES.contains(&w[0])).map(|w| w[1].into()).collect(),
        is_door: false,
    };
    let (mut i, mut others) = (0, 0);
    while i < tokens.len() {
        match tokens[i..] {
            ["mod", name, ";", ..] => {
                file.children.insert(name.into());
                i += 3;
            }
            ["use", ..] => {
                i += 1;
                leaves(&tokens, &mut i, &[], &mut file.imports);
            }
            ["#", "!", "[", ..] => {
                i += tokens[i..].iter().position(|t| *t == "]").expect("an attribute's end")
            }
            [_, "::", ..] if i == 0 || tokens[i - 1] != "::" => {
                let mut path = vec![tokens[i].to_owned()];
                while let ["::", next, ..] = tokens[i + 1..] {
                    path.push(next.into());
                    i += 2;
                }
                file.paths.push(path);
                (i, others) = (i + 1, others + 1);
            }
            ["pub" | "(" | "crate" | "super" | ")" | ";" | "]", ..] => i += 1,
            _ => (i, others) = (i + 1, others + 1),
        }
    }
    file.is_door = others == 0;
    file
}

/// The functions in formatted code: each ends with the first brace that stands under its first word.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim().is_empty()).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let named = |line: &str| {
        let words = tokens(line);
        let at = words.iter().position(|word| *word == "fn")?;
        let only_before = ["pub", "(", "crate", "super", ")", "const"];
        words[..at].iter().all(|word| only_before.contains(word)).then(|| words[at + 1].to_owned())
    };
    let function = |(at, line): (usize, &&str)| {
        let name = named(line)?;
        let ends = |other: &&&str| indent(other) == indent(line) && other.trim_start().starts_with('}');
        let one_line = line.ends_with(['}', ';']);
        let more = if one_line { 0 } else { lines[at..].iter().take_while(|other| !ends(other)).count() };
        Some((name, more + 1))
    };
    lines.iter().enumerate().filter_map(function).collect()
}

const DEFINES: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "macro_rules"];

/// Reads a tree of imports, up to what follows it.
fn leaves(tokens: &[&str], i: &mut usize, before: &[String], found: &mut Vec<Import>) {
    let mut path = before.to_vec();
    loop {
        match tokens[*i] {
            "::" => *i += 1,
            "{" => {
                while tokens[*i] != "}" {
                    *i += 1;
                    if tokens[*i] != "}" {
                        leaves(tokens, i, &path, found);
                    }
                }
                *i += 1;
                return;
            }
            "as" => {
                found.push(Import { path, name: tokens[*i + 1].into() });
                *i += 2;
                return;
            }
            "," | "}" | ";" => {
                // `a::{self}` is `a`.
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                let name = path.last().cloned().unwrap_or_default();
                found.push(Import { path, name });
                return;
            }
            word => {
                path.push(word.into());
                *i += 1;
            }
        }
    }
}

/// The files of a crate, by module.
struct Crate {
    files: BTreeMap<Module, File>,
}

impl Crate {
    fn read(name: &str) -> Crate {
        let of = |room: &str| root().join(room).join(name).join("src");
        let src = if of("crates").exists() { of("crates") } else { of("extensions") };
        let top = ["lib.rs", "main.rs"].map(|top| src.join(top)).into_iter().find(|top| top.exists());
        let mut files = BTreeMap::new();
        let mut ahead = vec![(Module::new(), top.expect("the root of a crate"), src)];
        while let Some((module, place, below)) = ahead.pop() {
            let file = read(place);
            for child in &file.children {
                let (flat, folder) = (below.join(format!("{child}.rs")), below.join(child));
                let place = if flat.exists() { flat } else { folder.join("mod.rs") };
                ahead.push((child_of(&module, child), place, folder));
            }
            files.insert(module, file);
        }
        Crate { files }
    }

    /// A path as written in a module, from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (mut from, mut rest) = (module.clone(), path);
        match path[0].as_str() {
            "crate" => (from, rest) = (Module::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    from.pop();
                    rest = &rest[1..];
                }
            }
            first if self.files[module].children.contains(first) => {}
            // By the name of a module that is imported.
            first => {
                let imported = self.files[module].imports.iter().find(|import| import.name == first)?;
                if imported.path.first() == path.first() {
                    return None;
                }
                from = self.absolute(module, &imported.path)?;
                rest = &path[1..];
            }
        }
        from.extend_from_slice(rest);
        Some(from)
    }

    /// The module whose file defines what an absolute path leads to.
    fn home(&self, path: &[String], patience: usize) -> Module {
        let mut module = Module::new();
        for (i, name) in path.iter().enumerate() {
            let deeper = child_of(&module, name);
            if self.files.contains_key(&deeper) {
                module = deeper;
                continue;
            }
            let file = &self.files[&module];
            if file.words.contains(name) || patience == 0 {
                break;
            }
            // It is re-exported, under its name or by a glob.
            for import in &file.imports {
                let Some(source) = self.absolute(&module, &import.path) else { continue };
                if import.name == *name {
                    return self.home(&[&source[..], &path[i + 1..]].concat(), patience - 1);
                }
                if import.name == "*" {
                    let source = [&source[..source.len() - 1], &path[i..]].concat();
                    let home = self.home(&source, patience - 1);
                    if self.files[&home].words.contains(name) {
                        return home;
                    }
                }
            }
            break;
        }
        module
    }

    /// Which module uses what of which other.
    fn links(&self) -> BTreeMap<(&Module, Module), BTreeSet<String>> {
        let mut links: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for (module, file) in self.files.iter().filter(|(_, file)| !file.is_door) {
            let imports = file.imports.iter().map(|import| &import.path);
            for path in imports.chain(&file.paths) {
                let Some(path) = self.absolute(module, path) else { continue };
                let home = self.home(&path, 8);
                let name = path.get(home.len()).or(path.last()).cloned().unwrap_or_default();
                if home != *module {
                    links.entry((module, home)).or_default().insert(name);
                }
            }
        }
        links
    }

    /// The links that are part of a circle, each with the names that tie it.
    fn circles(&self) -> Vec<String> {
        let links = self.links();
        let reaches = |from: &Module, to: &Module| {
            let (mut seen, mut ahead) = (BTreeSet::new(), vec![from]);
            while let Some(at) = ahead.pop() {
                for (_, next) in links.keys().filter(|(user, _)| *user == at) {
                    if next == to {
                        return true;
                    }
                    if seen.insert(next) {
                        ahead.push(next);
                    }
                }
            }
            false
        };
        let place = |module: &Module| {
            let place = self.files[module].place.strip_prefix(root()).expect("a file of the workspace");
            place.display().to_string()
        };
        let tied = links.iter().filter(|((user, used), _)| reaches(used, user));
        tied.map(|((user, used), names)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            format!("  {} -> {}: {}", place(user), place(used), names.join(", "))
        })
        .collect()
    }
}

// ---- The rules ----

#[test]
fn no_file_uses_one_that_uses_it() {
    let mut failures = Vec::new();
    for name in DRAWN {
        let circles = Crate::read(name).circles();
        if !circles.is_empty() {
            failures.push(format!("{name}: these files use each other in a circle:\n{}", circles.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_core_stays_small() {
    let (mut total, mut all) = (0, Vec::new());
    for name in CORE {
        let files = Crate::read(name).files;
        all.extend(
            files.values().flat_map(|file| file.functions.iter().map(|(name, lines)| (*lines, name.clone()))),
        );
        let lines: usize = files.values().map(|file| file.lines).sum();
        println!("{name:10} {lines:5} lines of code in {} files", files.len());
        total += lines;
        for file in files.values() {
            let (place, lines) = (file.place.display(), file.lines);
            assert!(
                lines <= FILE_LINES_MAX,
                "{place} has {lines} lines of code; {FILE_LINES_MAX} are the most"
            );
        }
    }
    println!("{:10} {total:5}", "all");
    all.sort();
    let (longest, most) = (all.last().expect("there are some"), &all[all.len() * 9 / 10]);
    println!(
        "{} functions; the longest is {longest:?}, nine in ten have at most {} lines",
        all.len(),
        most.0
    );
    assert!(all.len() > 500, "the functions are found");
    assert!(longest.0 <= FUNCTION_LINES_MAX[0] && most.0 <= FUNCTION_LINES_MAX[1], "{longest:?}, {most:?}");
    assert!(total <= BUDGET, "the core has {total} lines of code; {BUDGET} are the most");

    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, figure) = architecture.split_once("The core is about ").expect("the figure");
    let (figure, _) = figure.split_once(" lines of code").expect("the figure");
    let said: usize = figure.replace(',', "").parse().expect("a number");
    assert!(
        said.abs_diff(total) <= 100,
        "ARCHITECTURE.md says about {said} lines of code; there are {total}"
    );
}

#[test]
fn the_text_is_read_as_the_compiler_reads_it() {
    let text = "a // b::c\n\"d // e\" 'f' '\\'' r#\"g\" h\"# /* i */ &'j k\n#[cfg(test)]\nmod l { m(); }\nn";
    let code = without_tests(without_comments_and_strings(text));
    let words: Vec<_> = tokens(&code).into_iter().filter(|token| !token.starts_with('_')).collect();
    assert_eq!(words, ["a", "&", "'", "j", "k", "n"]);

    let code = ["use", "a", "::", "{", "self", ",", "b", "::", "*", ",", "c", "as", "d", ",", "}", ";"];
    let (mut i, mut found) = (1, Vec::new());
    leaves(&code, &mut i, &[], &mut found);
    let found: Vec<_> = found.iter().map(|leaf| (leaf.path.join("::"), leaf.name.as_str())).collect();
    assert_eq!(found, [("a".into(), "a"), ("a::b::*".into(), "*"), ("a::c".into(), "d")]);
}
