//! Each row of `rows.txt` has a test that is named after it, and each test named after a row has one.
//!
//! Whether the test shows what the row asks is for people to judge.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The part of a test's name that says its row: `1.3` is `1_3`, `S8` is `s8`.
fn row_of_test(name: &str) -> Option<String> {
    let mut parts = name.strip_prefix("case_")?.split('_');
    let first = parts.next()?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit());
    if first.strip_prefix('s').is_some_and(is_number) {
        return Some(first.to_uppercase());
    }
    let second = parts.next()?;
    // What follows says what the test shows: a name that ends here says nothing.
    parts.next()?;
    (is_number(first) && is_number(second)).then(|| format!("{first}.{second}"))
}

/// The names of the tests in a source: functions whose attributes, right above them, make them tests.
fn tests_in(source: &str) -> Vec<String> {
    let mut is_test = false;
    let mut names = Vec::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ") {
            if is_test && let Some((name, _)) = name.split_once('(') {
                names.push(name.to_owned());
            }
            is_test = false;
        }
    }
    names
}

fn tests_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            names.extend(tests_below(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            names.extend(tests_in(&fs::read_to_string(&path).expect("text")));
        }
    }
    names
}

#[test]
fn every_row_has_a_test_and_every_case_a_row() {
    let rows: BTreeSet<&str> = include_str!("rows.txt").lines().collect();
    let names = tests_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
    let cases: Vec<&String> = names.iter().filter(|name| name.starts_with("case_")).collect();
    let without_row: Vec<_> = cases
        .iter()
        .filter(|name| row_of_test(name).is_none_or(|row| !rows.contains(row.as_str())))
        .collect();
    assert!(without_row.is_empty(), "rows.txt has no row for {without_row:?}");
    let tested: BTreeSet<String> = cases.iter().filter_map(|name| row_of_test(name)).collect();
    let missing: Vec<_> = rows.iter().filter(|row| !tested.contains(**row)).collect();
    println!("{} of {} rows have a test; missing: {missing:?}", rows.len() - missing.len(), rows.len());
    assert!(missing.is_empty(), "no test is named after {missing:?}");
}

#[test]
fn a_tests_name_says_its_row() {
    for (name, row) in [
        ("case_1_3_a_head_freshens_nothing", Some("1.3")),
        ("case_4_17_x", Some("4.17")),
        ("case_s8_an_upgrade", Some("S8")),
        ("case_s22_1_x", Some("S22")),
        ("case_1_3", None),
        ("case_one_two_x", None),
        ("case_ss_x", None),
        ("other", None),
    ] {
        assert_eq!(row_of_test(name).as_deref(), row, "{name}");
    }
    let source =
        "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test]\n#[ignore]\nasync fn three() {}\n//fn four()";
    assert_eq!(tests_in(source), ["one", "three"]);
}
