//! Every key of `[limits]`: what it accepts, and what an error says about what it doesn't.

use super::{diagnosis, documented, parsed};
use crate::config::KNOWN_KEYS;

/// A key, values that it accepts, each with what has to stand beside it, and values that it refuses.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)]);

const SIZE: &str = "a size is written as";
const NUMBER: &str = "expected";
const DURATION: &str = "a duration is written as";
/// The smallest head that there may be has lines that fit.
const SMALL: &str = "line = 1\nuri = 1";

const ROWS: &[Row] = &[
    ("memory", &[("'auto'", ""), ("1", ""), ("'900GiB'", "")], &[("-1", SIZE), ("'most'", SIZE)]),
    (
        "head",
        &[("1024", SMALL), ("'16KiB'", ""), ("'1MiB'", "")],
        &[("1023", "from 1KiB to 1MiB"), ("1048577", "from 1KiB to 1MiB"), ("'big'", SIZE)],
    ),
    (
        "line",
        &[("1", "uri = 1"), ("'64KiB'", "")],
        &[("0", "from 1 to 65536, the limit of the whole head"), ("65537", "from 1 to 65536"), ("'x'", SIZE)],
    ),
    (
        "uri",
        &[("1", ""), ("'16KiB'", "")],
        &[("0", "from 1 to 16384, the limit of a line"), ("16385", "from 1 to 16384"), ("'x'", SIZE)],
    ),
    (
        "fields",
        &[("1", ""), ("128", "")],
        &[("0", "from 1 to 128"), ("129", "from 1 to 128"), ("-1", NUMBER)],
    ),
    (
        "response_head",
        &[("1024", "response_line = 1"), ("'1MiB'", "")],
        &[("1023", "from 1KiB to 1MiB"), ("1048577", "from 1KiB to 1MiB"), ("'x'", SIZE)],
    ),
    (
        "response_line",
        &[("1", ""), ("'128KiB'", "")],
        &[
            ("0", "from 1 to 131072, the limit of the whole head"),
            ("131073", "from 1 to 131072"),
            ("'x'", SIZE),
        ],
    ),
    (
        "response_fields",
        &[("1", ""), ("1024", "")],
        &[("0", "from 1 to 1024"), ("1025", "from 1 to 1024"), ("'x'", NUMBER)],
    ),
    ("trailers", &[("0", ""), ("'1MiB'", "")], &[("1048577", "at most 1MiB"), ("-1", SIZE)]),
    ("chunk_extensions", &[("0", ""), ("'1MiB'", "")], &[("1048577", "at most 1MiB"), ("-1", SIZE)]),
    ("interim", &[("0", ""), ("1000", "")], &[("1001", "at most 1000"), ("-1", NUMBER)]),
    ("request_rate", &[("0", ""), ("'1MiB'", "")], &[("-1", SIZE), ("'fast'", SIZE)]),
    ("response_rate", &[("0", ""), ("'1MiB'", "")], &[("-1", SIZE), ("'fast'", SIZE)]),
    ("reading_rate", &[("0", ""), ("'1MiB'", "")], &[("-1", SIZE), ("'fast'", SIZE)]),
    (
        "behind_max",
        &[("1", ""), ("'24h'", "")],
        &[("0", "longer than 0"), ("'25h'", "at most 24h"), ("-1", DURATION)],
    ),
    (
        "stream_behind_max",
        &[("1", ""), ("'24h'", "")],
        &[("0", "longer than 0"), ("'25h'", "at most 24h"), ("-1", DURATION)],
    ),
];

#[test]
fn every_key_of_limits_has_its_row_and_is_documented() {
    let rows: Vec<String> = ROWS.iter().map(|(key, ..)| format!("limits.{key}")).collect();
    let known: Vec<&str> = KNOWN_KEYS.iter().filter(|key| key.starts_with("limits.")).copied().collect();
    assert_eq!(rows, known);
    let documented: Vec<&str> = documented().into_iter().map(|(key, _)| key).collect();
    assert!(rows.iter().all(|key| documented.contains(&key.as_str())), "{documented:?}");
}

#[test]
fn what_limits_accept() {
    for (key, accepted, _) in ROWS {
        for (value, beside) in *accepted {
            parsed(&format!("[limits]\n{key} = {value}\n{beside}\n"));
        }
    }
}

#[test]
fn what_limits_refuse_is_named_with_its_line() {
    for (key, _, refused) in ROWS {
        for (value, message) in *refused {
            let found = diagnosis(&format!("[server]\n\n[limits]\n{key} = {value}\n"));
            let place = (found.line, found.column, found.key.as_deref());
            assert_eq!(place, (4, key.len() + 4, Some(format!("limits.{key}").as_str())), "{found}");
            assert!(found.message.contains(message), "{key} = {value}: {found}");
        }
    }
}
