//! docs/rfc-coverage.md is true as far as a machine can tell: each test that it names exists, each
//! row says what its state is, and no requirement of a section is left out.
//!
//! Whether a test shows what its row says is for people to judge. The rules are functions from the
//! texts to what is wrong with them, and have rows here that must fail.
#![allow(clippy::disallowed_methods, reason = "the document and the sources are read from the disk")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// RFC and section, as `9111 4.3.1`.
type Section = String;

/// How often each word of requirement stands in a section.
type Levels = BTreeMap<String, u32>;

#[derive(Clone, Debug, Default)]
struct Row {
    rfc: String,
    clause: String,
    level: String,
    requirement: String,
    status: String,
    tests: Vec<String>,
    line: usize,
}

#[test]
fn every_named_test_exists() {
    let found = tests_and_messages();
    assert!(found.len() > 500, "the tests were not found: {}", found.len());
    refuse(rows(&document()).iter().flat_map(|row| missing_tests(row, &found)));
}

#[test]
fn every_row_has_its_state() {
    refuse(rows(&document()).iter().filter_map(without_state));
}

#[test]
fn clauses_are_in_the_order_of_their_rfc() {
    refuse(out_of_order(&rows(&document())));
}

#[test]
fn no_requirement_is_left_out() {
    refuse(uncovered(&rows(&document()), &counted(&text("docs/rfc-requirements.txt"))));
}

fn refuse(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn document() -> String {
    text("docs/rfc-coverage.md")
}

/// The rows of all tables; a heading `## RFC 9111: …` says whose they are.
fn rows(document: &str) -> Vec<Row> {
    let mut rfc = String::new();
    let mut rows = Vec::new();
    for (index, line) in document.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## RFC ") {
            rfc = heading.split(':').next().unwrap_or_default().to_owned();
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let is_head = cells[0] == "clause" || cells[0].starts_with("---");
        if !line.starts_with('|') || is_head {
            continue;
        }
        let cell = |at: usize| (*cells.get(at).unwrap_or(&"")).to_owned();
        rows.push(Row {
            rfc: rfc.clone(),
            clause: cell(0),
            level: cell(1),
            requirement: cell(2),
            status: cell(3),
            // A cell more or less is no row: it has no state then.
            tests: if cells.len() == 5 { quoted(cells[4]) } else { Vec::new() },
            line: index + 1,
        });
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn missing_tests(row: &Row, found: &BTreeSet<String>) -> Vec<String> {
    // A reason may name a test, too.
    let named =
        row.tests.iter().cloned().chain(quoted(&row.status).into_iter().filter(|name| name.contains("::")));
    let missing = named.filter(|name| !found.contains(name));
    missing.map(|name| format!("line {}: there is no test `{name}`", row.line)).collect()
}

fn without_state(row: &Row) -> Option<String> {
    let reason = |word: &str| row.status.strip_prefix(word).is_some_and(|reason| reason.len() > 2);
    let wrong = if row.rfc.is_empty() || row.requirement.is_empty() {
        "no RFC, or no requirement"
    } else if row.status == "done" {
        if row.tests.is_empty() { "done, and no test shows it" } else { return None }
    } else if !reason("n/a: ") && !reason("differs: ") {
        "the state is `done`, `n/a: why` or `differs: why`"
    } else {
        return None;
    };
    Some(format!("line {}: {wrong}", row.line))
}

fn out_of_order(rows: &[Row]) -> Vec<String> {
    let number = |row: &Row| -> Vec<u32> {
        let numbers = format!("{}.{}", row.rfc, row.clause);
        numbers.split('.').map(|number| number.parse().unwrap_or(0)).collect()
    };
    let wrong = rows.windows(2).filter(|pair| number(&pair[0]) > number(&pair[1]));
    wrong.map(|pair| format!("line {}: {} is out of order", pair[1].line, pair[1].clause)).collect()
}

fn uncovered(rows: &[Row], counted: &BTreeMap<Section, Levels>) -> Vec<String> {
    let mut covered: BTreeMap<Section, Levels> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.level != "–") {
        let section = covered.entry(format!("{} {}", row.rfc, row.clause)).or_default();
        for (level, count) in levels(&row.level) {
            *section.entry(level).or_default() += count;
        }
    }
    let sections: BTreeSet<&Section> = covered.keys().chain(counted.keys()).collect();
    let differing = sections.into_iter().filter(|section| covered.get(*section) != counted.get(*section));
    differing
        .map(|section| {
            let (rows, text) = (covered.get(section), counted.get(section));
            format!("RFC {section}: the rows have {rows:?}, the text has {text:?}")
        })
        .collect()
}

/// Lines as `9111 3.1: MUST, MUST NOT ×2`.
fn counted(requirements: &str) -> BTreeMap<Section, Levels> {
    let lines = requirements.lines().filter(|line| !line.starts_with('#'));
    let parts = lines.filter_map(|line| line.split_once(": "));
    parts.map(|(section, counts)| (section.to_owned(), levels(counts))).collect()
}

/// `MUST, MUST NOT ×2` as numbers.
fn levels(text: &str) -> Levels {
    let mut levels = Levels::new();
    for level in text.split(", ") {
        let (word, count) = level.split_once(" ×").unwrap_or((level, "1"));
        // What is no number is no requirement that was counted, and differs from the text.
        *levels.entry(word.to_owned()).or_default() += count.parse::<u32>().unwrap_or(0);
    }
    levels
}

/// The paths of all test functions, and `vectors: ID` for each message.
fn tests_and_messages() -> BTreeSet<String> {
    let mut files = Vec::new();
    walk(&root("src"), &mut files);
    walk(&root("tests"), &mut files);
    let mut found = BTreeSet::new();
    for path in files {
        let below = path.strip_prefix(root("")).expect("a file of the repository").to_owned();
        let name = below.to_string_lossy().replace('\\', "/");
        let content = fs::read_to_string(&path).unwrap_or_default();
        if let Some(module) = name.strip_suffix(".rs") {
            found.extend(test_functions(&module_path(module), &content));
        } else if name.starts_with("tests/vectors/") && name.ends_with(".json") {
            let ids = content.lines().filter_map(|line| line.trim().strip_prefix("\"id\": \""));
            found.extend(ids.map(|id| format!("vectors: {}", id.split('"').next().unwrap_or_default())));
        }
    }
    found
}

/// `src/caching/tests/mod` is `caching::tests`; `tests/scenarios/uploads` is `scenarios::uploads`.
fn module_path(file: &str) -> String {
    let names = file.split('/').skip(1).filter(|name| !matches!(*name, "mod" | "main" | "lib"));
    names.collect::<Vec<_>>().join("::")
}

/// The functions that are tests, of the file and of modules within it. Relies on rustfmt: a module
/// begins and ends in the first column.
fn test_functions(module: &str, content: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut inner, mut is_test) = (None, false);
    for line in content.lines() {
        let code = line.trim();
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inner = Some(name);
        } else if line == "}" {
            inner = None;
        } else if code == "#[test]" || code.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = code.trim_start_matches("async ").strip_prefix("fn ").filter(|_| is_test) {
            let name = rest.split('(').next().unwrap_or_default();
            let path =
                [Some(module), inner, Some(name)].into_iter().flatten().filter(|part| !part.is_empty());
            found.push(path.collect::<Vec<_>>().join("::"));
            is_test = false;
        }
    }
    found
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn text(file: &str) -> String {
    fs::read_to_string(root(file)).expect(file)
}

fn root(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// A document of one row in RFC 9111.
fn one(row: &str) -> Vec<Row> {
    rows(&format!(
        "## RFC 9111: caching\n\n| clause | level | requirement | status | tests |\n|---|---|---|---|---|\n{row}\n"
    ))
}

#[test]
fn rule_states_and_names() {
    for good in ["| 3 | MUST | x | done | `a::b` |", "| 3 | MUST | x | n/a: clients | – |"] {
        assert_eq!(one(good).iter().filter_map(without_state).count(), 0, "{good}");
    }
    for bad in [
        "| 3 | MUST | x | done | – |",
        "| 3 | MUST | x | n/a | – |",
        "| 3 | MUST | x | differs:  | – |",
        "| 3 | MUST | x |  | `a::b` |",
        "| 3 | MUST |  | done | `a::b` |",
        "| 3 | MUST | x | done |",
        "| 3 | MUST | x | y | done | `a::b` |",
    ] {
        assert_eq!(one(bad).iter().filter_map(without_state).count(), 1, "{bad}");
    }
    let found = BTreeSet::from(["a::b".to_owned()]);
    let missing = |row: &str| missing_tests(&one(row)[0], &found).len();
    assert_eq!(missing("| 3 | MUST | x | done | `a::b` |"), 0);
    assert_eq!(missing("| 3 | MUST | x | done | `a::b`, `a::renamed` |"), 1);
    assert_eq!(missing("| 3 | MUST | x | n/a: see `a::gone` | – |"), 1);
}

#[test]
fn rule_counts_and_order() {
    let text = counted("# words\n9111 3: MUST, SHOULD NOT ×2\n9111 3.1: MUST\n");
    let both = "| 3 | MUST, SHOULD NOT ×2 | x | done | `a` |\n| 3.1 | MUST | x | done | `a` |";
    assert_eq!(uncovered(&one(both), &text), Vec::<String>::new());
    for bad in [
        "| 3 | MUST, SHOULD NOT ×2 | x | done | `a` |",
        "| 3 | MUST, SHOULD NOT | x | done | `a` |\n| 3.1 | MUST | x | done | `a` |",
        "| 3 | MUST NOT, SHOULD NOT ×2 | x | done | `a` |\n| 3.1 | MUST | x | done | `a` |",
        "| 3 | MUST ×2, SHOULD NOT ×2 | x | done | `a` |\n| 3.1 | MUST | x | done | `a` |",
    ] {
        assert_eq!(uncovered(&one(bad), &text).len(), 1, "{bad}");
    }
    assert_eq!(out_of_order(&one(both)).len(), 0);
    assert_eq!(out_of_order(&one("| 3.10 | – | x | done | `a` |\n| 3.2 | – | x | done | `a` |")).len(), 1);
}

#[test]
fn rule_paths() {
    let content = "#[test]\nfn one() {}\n\nfn none() {}\n\nmod tests {\n    #[test]\n    fn two() {}\n}\n";
    assert_eq!(test_functions("a::b", content), ["a::b::one", "a::b::tests::two"]);
    assert_eq!(module_path("src/caching/tests/mod"), "caching::tests");
    assert_eq!(module_path("tests/scenarios/uploads"), "scenarios::uploads");
    assert_eq!(module_path("tests/vectors/main"), "vectors");
}
