//! The style's rules that a machine can check. Each rule is a function from a source to what is
//! wrong with it, and has rows here that must fail, so that a rule that sees nothing is seen.
//!
//! What a rule is for stands in CONTRIBUTING.md. There are no exceptions by comment: a rule that
//! needs one is wrong.
#![allow(clippy::disallowed_methods, reason = "the sources are read from the disk")]
#![allow(clippy::indexing_slicing, clippy::string_slice, reason = "a panic is how a test fails")]
#![allow(unreachable_pub, reason = "a test has no other crates to be reached from")]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/map.rs"]
mod map;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use source::{Function, Source, blank};

/// The rooms and their numbers. A file imports rooms with a lower number, or its own.
const ROOMS: &[(&str, u32)] = &[
    // What everybody takes a share of: `http` charges buffers and fields to it.
    ("budget", 0),
    ("http", 1),
    ("error", 1),
    // It tells the time in HTTP's unit. `caching` has the same number: it sees no clock.
    ("clock", 2),
    ("caching", 2),
    ("store", 3),
    ("policy", 4),
    ("tls", 4),
    ("origin", 5),
    ("log", 5),
    ("proxy", 6),
    ("server", 7),
    ("admin", 8),
    ("config", 9),
    ("cli", 10),
    ("main", 10),
    ("lib", 10),
];
const FILE_LINES_MAX: usize = 500;
/// What a file should stay under; those above are listed, not refused.
const FILE_LINES_AIM: usize = 300;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn imports_go_to_lower_rooms() {
    refuse(sources("src").iter().flat_map(upward_imports));
}

#[test]
fn files_of_a_room_have_an_order() {
    refuse(circles::wrong_circles(&sources("src"), circles::ALLOWED));
}

#[test]
fn files_say_what_they_are() {
    refuse(
        ["src", "tests"].iter().flat_map(|folder| sources(folder)).filter_map(|source| no_header(&source)),
    );
}

#[test]
fn files_and_functions_are_short() {
    let sources = sources("src");
    for source in sources.iter().filter(|source| file_lines(source) > FILE_LINES_AIM) {
        println!("{} has {} lines; the aim is {FILE_LINES_AIM}", source.path, file_lines(source));
    }
    refuse(sources.iter().flat_map(too_long));
}

#[test]
fn every_configuration_key_is_documented() {
    let known =
        sources("src/config").iter().flat_map(|source| known_keys(&source.text)).collect::<Vec<String>>();
    assert!(!root("src/config").exists() || !known.is_empty(), "src/config has no list KNOWN_KEYS");
    let docs = fs::read_to_string(root("docs/configuration.md")).unwrap_or_default();
    refuse(undocumented(&known, &docs));
}

#[test]
fn code_map_is_that_of_the_sources() {
    let map = map::code_map(&sources("src"), ROOMS);
    let path = root("docs/code-map.md");
    if std::env::var_os("LARDER_WRITE").is_some() {
        fs::write(&path, &map).expect("docs/ can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == map, "docs/code-map.md is old: LARDER_WRITE=1 cargo test --test tidy code_map");
}

/// What is read in five minutes.
const ARCHITECTURE_WORDS_MAX: usize = 1800;

#[test]
fn architecture_is_short() {
    let text = fs::read_to_string(root("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let words = text.split_whitespace().count();
    assert!(words <= ARCHITECTURE_WORDS_MAX, "{words} words, {ARCHITECTURE_WORDS_MAX} at most");
}

#[test]
fn code_map_has_first_sentences() {
    let cases = [
        ("//! One. Two.\nuse a;", "One."),
        (
            "//! What [`f`] is (RFC 9110 §8.8.3), and\n//! more: all of it. Two.",
            "What `f` is (RFC 9110 §8.8.3), and more: all of it.",
        ),
        ("//! Without an end\n//!\n//! Another.", "Without an end"),
        ("use a;", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(map::first_sentence(text), expected, "{text}");
    }
}

#[test]
fn tables_are_rendered() {
    let texts = texts();
    let documents = texts.iter().filter(|text| text.path.ends_with(".md"));
    refuse(documents.flat_map(|document| documents::broken_tables(&document.path, &document.text)));
}

#[test]
fn a_broken_table_is_found() {
    let cases = [
        ("| a | b |\n|---|---|\n| 1 | 2 |\n", 0),
        ("text\n| a | b |\n|:--|--:|\n| 1 \\| 2 | `x\\|y` |\n\ntext\n", 0),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n\n| 3 | 4 |\n", 1),
        ("| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |\n", 2),
        ("| a | b |\n|---|\n| 1 | 2 |\n", 2),
        ("```\n| not a table\n```\n", 0),
    ];
    for (text, expected) in cases {
        let found = documents::broken_tables("x.md", text);
        assert_eq!(found.len(), expected, "{text}: {found:?}");
    }
}

#[test]
fn every_to_do_names_an_issue() {
    refuse(texts().iter().flat_map(nameless_to_dos));
}

#[test]
fn nothing_names_a_machine() {
    refuse(texts().iter().flat_map(machine_names));
}

#[test]
fn no_merge_is_left_half_done() {
    refuse(texts().iter().flat_map(conflicts));
}

#[test]
fn every_dependency_says_why() {
    refuse(unexplained(&fs::read_to_string(root("Cargo.toml")).expect("Cargo.toml")));
}

fn refuse(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn upward_imports(source: &Source) -> Vec<String> {
    let number = |room: &str| ROOMS.iter().find(|(name, _)| *name == room).map(|(_, number)| *number);
    let own = source.room().unwrap_or_default();
    let Some(own_number) = number(own) else {
        return vec![format!("{}: the room `{own}` has no number in tests/tidy.rs", source.path)];
    };
    // The root declares the rooms; types and constants of its own are no rooms.
    let is_room = |name: &str| name.starts_with(|c: char| c.is_lowercase());
    let named = source.rooms_named().into_iter().filter(|(name, _)| name != own && is_room(name));
    let wrong = named.filter(|(name, _)| number(name).is_none_or(|number| number >= own_number));
    wrong
        .map(|(name, line)| {
            format!("{}:{line}: `{own}` imports `{name}`, which is no lower room", source.path)
        })
        .collect()
}

fn no_header(source: &Source) -> Option<String> {
    let header = source.text.starts_with("//! ");
    (!header).then(|| format!("{}: does not open with `//!` and what the file is", source.path))
}

fn file_lines(source: &Source) -> usize {
    source.code().lines().count()
}

fn too_long(source: &Source) -> Vec<String> {
    let lines = file_lines(source);
    let mut wrong = Vec::new();
    if lines > FILE_LINES_MAX {
        wrong.push(format!("{}: {lines} lines without its tests, {FILE_LINES_MAX} at most", source.path));
    }
    for Function { name, line, lines } in source.functions() {
        if lines > FUNCTION_LINES_MAX {
            wrong.push(format!(
                "{}:{line}: `{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most",
                source.path
            ));
        }
    }
    wrong
}

/// The strings in `KNOWN_KEYS: &[&str] = &[…];`.
fn known_keys(text: &str) -> Vec<String> {
    let Some((_, list)) = text.split_once("const KNOWN_KEYS: &[&str] = &[") else { return Vec::new() };
    let list = list.split("];").next().unwrap_or_default();
    let lines = list.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn undocumented(known: &[String], docs: &str) -> Vec<String> {
    let missing = known.iter().filter(|key| !docs.contains(&format!("`{key}`")));
    missing.map(|key| format!("docs/configuration.md: the key `{key}` is missing")).collect()
}

fn nameless_to_dos(source: &Source) -> Vec<String> {
    // Put together here, so that this file passes its own rule.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let names_issue = |rest: &str| {
        let number = rest.strip_prefix("(#").and_then(|rest| rest.split_once(')')).map(|(number, _)| number);
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let wrong = |line: &&str| {
        marks
            .iter()
            .any(|mark| line.match_indices(mark).any(|(at, _)| !names_issue(&line[at + mark.len()..])))
    };
    numbered(source)
        .filter(|(_, line)| wrong(line))
        .map(|(number, _)| format!("{}:{number}: a to-do without `(#issue)`", source.path))
        .collect()
}

fn machine_names(source: &Source) -> Vec<String> {
    let folders =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let domains = [concat!(".co", "rp"), concat!(".intra", "net"), concat!(".la", "n")];
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | '/');
    let wrong = |line: &&str| {
        let folder = |(at, _): (usize, &str)| !line[..at].ends_with(in_word);
        let domain = |(at, found): (usize, &str)| {
            let host = line[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            host && !line[at + found.len()..].starts_with(|c: char| in_word(c) || c == '(')
        };
        folders.iter().any(|name| line.match_indices(name).any(folder))
            || domains.iter().any(|name| line.match_indices(name).any(domain))
    };
    numbered(source)
        .filter(|(_, line)| wrong(line))
        .map(|(number, _)| format!("{}:{number}: names somebody's machine", source.path))
        .collect()
}

fn conflicts(source: &Source) -> Vec<String> {
    let is_mark = |line: &&str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    let marks = numbered(source).filter(|(_, line)| is_mark(line));
    marks.map(|(number, _)| format!("{}:{number}: the mark of a merge conflict", source.path)).collect()
}

/// Entries of `[dependencies]` without a comment on the line above. A crate of the same family,
/// as `serde_json` after `serde`, shares the comment of the entry above it.
fn unexplained(manifest: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut within = false;
    let mut depth = 0;
    let mut above = "";
    for (number, line) in (1..).zip(manifest.lines()) {
        let is_entry = if line.starts_with('[') && depth == 0 {
            within = line == "[dependencies]";
            line.starts_with("[dependencies.")
        } else {
            within && depth == 0 && line.starts_with(|c: char| c.is_alphanumeric())
        };
        if is_entry && !above.starts_with('#') && !is_family(above, line) {
            wrong.push(format!("Cargo.toml:{number}: a dependency without its reason above"));
        }
        let count = |mark: [char; 2]| line.matches(mark).count();
        depth = (depth + count(['[', '{'])).saturating_sub(count([']', '}']));
        above = line;
    }
    wrong
}

fn is_family(above: &str, line: &str) -> bool {
    let name = |line: &str| line.split([' ', '=']).next().unwrap_or_default().replace('_', "-");
    !above.is_empty() && name(line).starts_with(&format!("{}-", name(above)))
}

fn numbered(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(source.text.lines())
}

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The Rust sources under a folder.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(folder), &mut found);
    found.retain(|source| source.path.ends_with(".rs"));
    found
}

/// Everything that people write: sources, scripts, documentation, manifests.
fn texts() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root("."), &mut found);
    found
}

/// Reads a folder, without what git or a build made. Files that are not UTF-8 are no texts.
fn collect(folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.expect("a folder that can be read");
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().expect("a file's type");
        if ["target", ".git", "node_modules", "Cargo.lock", "package-lock.json"]
            .iter()
            .any(|made| name == *made)
        {
            continue;
        }
        if kind.is_dir() {
            collect(&path, found);
        } else if let (true, Ok(text)) = (kind.is_file(), fs::read_to_string(&path)) {
            let path =
                path.strip_prefix(root(".")).expect("below the root").to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
}

#[test]
fn rule_imports() {
    let cases: &[(&str, &str, usize)] = &[
        ("src/proxy/mod.rs", "use crate::http::Fields;\nuse crate::{caching, store::Store};", 0),
        ("src/http/uri.rs", "use crate::caching::Key;", 1),
        ("src/tls/mod.rs", "use crate::origin::Pool;", 1),
        ("src/tls/mod.rs", "fn f() -> crate::proxy::X { crate :: server :: y() }", 2),
        ("src/tls/mod.rs", "use crate::{http::{self, Fields}, proxy::{self}, server};", 2),
        ("src/tls/mod.rs", "use crate::{\n    error::{A, B},\n    admin,\n};", 1),
        ("src/tls/keys.rs", "use super::super::proxy::X;\nuse super::super::{http, admin::Y};", 2),
        ("src/tls/keys.rs", "use super::proxy::X;", 0),
        ("src/tls/mod.rs", "use super::proxy::X;", 1),
        ("src/tls.rs", "use super::proxy::X;", 1),
        ("src/tls/deep/mod.rs", "use super::super::proxy::X;", 1),
        (
            "src/tls/mod.rs",
            "// crate::proxy\n/* /* */ crate::proxy */\n/// [`crate::proxy`]\nconst A: &str = \"crate::proxy\";",
            0,
        ),
        (
            "src/tls/mod.rs",
            "const A: &str = r#\"\" crate::proxy\"#; const B: char = '\"'; use crate::proxy::X;",
            1,
        ),
        ("src/tls/mod.rs", "fn f<'a>(x: &'a str) { crate::proxy::g(b'\\'', '\\\\') }", 1),
        ("src/tls/mod.rs", "use crate::http;\n\n#[cfg(test)]\nmod tests {\n    use crate::proxy::X;\n}\n", 0),
        ("src/tls/mod.rs", "#[cfg(unix)]\nuse crate::proxy::X;\n", 1),
        ("src/tls/mod.rs", "mod a;\n#[cfg(test)]\n#[path = \"b.rs\"]\nmod tests;\nuse crate::proxy::X;\n", 1),
        ("src/tls/tests.rs", "use crate::proxy::X;", 0),
        ("src/tls/tests/keys.rs", "use crate::proxy::X;", 0),
        ("src/tls/mod.rs", "use crate::VERSION;", 0),
        ("src/attic/mod.rs", "", 1),
        ("src/lib.rs", "pub mod http;", 0),
        ("src/main.rs", "use larder::cli;", 0),
    ];
    for (path, text, expected) in cases {
        let wrong = upward_imports(&Source::new(path, text));
        assert_eq!(wrong.len(), *expected, "{text}\n{wrong:?}");
    }
}

#[test]
fn rule_lengths() {
    let function = |lines: usize| format!("fn f(a: [u8; 2]) {{\n{}}}\n", "    g(\"}\");\n".repeat(lines - 2));
    let tests = format!("\n#[cfg(test)]\nmod tests {{\n{}}}\n", function(200));
    let cases = [
        (function(70), 0),
        (function(71), 1),
        (format!("{}{}", function(71), function(72)), 2),
        (format!("trait T {{ fn f();\n{} }}", "\n".repeat(100)), 0),
        (function(10) + &tests, 0),
        ("// line\n".repeat(500), 0),
        ("// line\n".repeat(501), 1),
        ("// line\n".repeat(450) + &tests, 0),
    ];
    for (text, expected) in cases {
        assert_eq!(too_long(&Source::new("src/x.rs", &text)).len(), expected, "{text}");
    }
}

#[test]
fn rule_texts() {
    let to_do = concat!("TO", "DO");
    let work = concat!("/wo", "rk/x");
    let lan = concat!(".la", "n");
    let to_dos = [
        (format!("// {to_do}: later"), 1),
        (format!("// {to_do}(#12): later"), 0),
        (format!("// {to_do}(#): later"), 1),
        (format!("// {to_do}(#1): a\n// {to_do}: b"), 1),
    ];
    for (text, expected) in to_dos {
        assert_eq!(nameless_to_dos(&Source::new("x", &text)).len(), expected, "{text}");
    }
    assert_eq!(conflicts(&Source::new("x", "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> other\n")).len(), 2);
    assert_eq!(conflicts(&Source::new("x", "Title\n=======\n")).len(), 0);
    let machines = [
        (format!("cd {work}"), 1),
        (format!("\"{work}\""), 1),
        (format!("http://a.example{work}"), 0),
        (format!("ssh build{lan}"), 1),
        (format!("x{lan}guage() {lan}"), 0),
    ];
    for (text, expected) in machines {
        assert_eq!(machine_names(&Source::new("x", &text)).len(), expected, "{text}");
    }
}

#[test]
fn rule_headers_keys_and_dependencies() {
    assert!(no_header(&Source::new("src/x.rs", "//! What it is.\n")).is_none());
    assert!(no_header(&Source::new("src/x.rs", "use std::fs;\n//! Too late.\n")).is_some());
    assert!(no_header(&Source::new("src/x.rs", "")).is_some());

    let config =
        "pub const KNOWN_KEYS: &[&str] = &[\n    \"a.b\", \"a.c\", // \"not.this\"\n    \"d\",\n];\n\"e\"";
    let known = known_keys(config);
    assert_eq!(known, ["a.b", "a.c", "d"]);
    assert_eq!(undocumented(&known, "| `a.b` | `d` |").len(), 1);

    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# Why.\na = \"1\"\na_a = \"1\"\nb = { features = [\n    \"c\",\n] }\n# Why.\n\nd = \"1\"\n[dependencies.e]\nversion = \"1\"\n[dev-dependencies]\nf = \"1\"\n";
    let lines: Vec<String> = unexplained(manifest);
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn blanking_keeps_every_byte_in_its_place() {
    for text in ["a /* é */ b", "'é' \"ü\\\"\" r\"x\" br##\"\"#\"##", "// é\n'a: loop {}", "b'\\'' c\"\" ''"]
    {
        let blanked = blank(text);
        assert_eq!(blanked.len(), text.len(), "{text}");
        assert_eq!(blanked.matches('\n').count(), text.matches('\n').count());
        assert!(blanked.is_ascii(), "{blanked}");
    }
    assert_eq!(blank("r#type(\"a\", 'b', &'c d)"), "r#type(   ,    , &'c d)");
}
