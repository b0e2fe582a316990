//! Which stored response does a request select?

use super::*;

/// Whether a response to a request with `first`, with `lines`, is selected by one with `second`.
fn selects(lines: &str, first: &str, second: &str) -> bool {
    let head = StoredHead::new(&request(first), &response(200, lines), TIMES);
    let restored = StoredHead::from_parts(head.to_parts());
    let found = head.selects(&request(second).fields);
    assert_eq!(restored.selects(&request(second).fields), found, "restored: {lines:?} {first:?} {second:?}");
    found
}

#[test]
fn matching() {
    let cases: &[(&str, &str, &str)] = &[
        ("", "Foo: 1", "Foo: 2"),
        ("Vary: Foo", "Foo: 1", "foo: 1"),
        ("Vary: fOO", "Foo: 1\nOther: 2", "Foo: 1\nOther: 3"),
        ("Vary: Foo", "", ""),
        ("Vary: Foo, Bar\nVary: Baz", "Foo: 1\nBaz: 789", "Baz: 789\nFoo: 1"),
        ("Vary: Foo", "Foo: 1, 2", "Foo: 1\nFoo: 2"),
        ("Vary: Foo", "Foo: 1,2", "Foo:  1, 2 "),
        // A quoted string that is opened in one line and closed in another, or never.
        ("Vary: Foo", "Foo: \"a\nFoo: b\"", "Foo: \"a\nFoo: b\""),
        ("Vary: Foo", "Foo: \", a\nFoo: b", "Foo: \", a, b"),
        ("Vary: Accept-Language", "Accept-Language: en, de", "Accept-Language: de, en"),
        ("Vary: Accept-Language", "Accept-Language: en, de", "Accept-Language: eN, De"),
        ("Vary: Accept-Language", "Accept-Language: en, de;q=0.5", "Accept-Language: de; q=0.500,en;q=1.0"),
        (
            "Vary: Accept-Encoding",
            "Accept-Encoding: gzip, br",
            "Accept-Encoding: br\nAccept-Encoding: X-Gzip",
        ),
        (
            "Vary: Accept-Language\nContent-Language: de",
            "Accept-Language: en, de",
            "Accept-Language: fr;q=0.5, DE;q=1.0",
        ),
    ];
    for &(lines, first, second) in cases {
        assert!(selects(lines, first, second), "{lines:?} {first:?} {second:?}");
    }
}

#[test]
fn not_matching() {
    let cases: &[(&str, &str, &str)] = &[
        ("Vary: Foo", "Foo: 1", "Foo: 2"),
        ("Vary: Foo", "", "Foo: 1"),
        ("Vary: Foo", "", "Foo: "),
        ("Vary: Foo", "Foo: 1", ""),
        ("Vary: Foo", "Foo: ", ""),
        ("Vary: Foo, Bar", "Foo: 1\nBar: abc", "Foo: 2\nBar: abc"),
        ("Vary: Foo, Bar", "Foo: 1", ""),
        ("Vary: Foo", "Foo: 1, 2", "Foo: 2, 1"),
        ("Vary: Foo", "Foo: a", "Foo: A"),
        ("Vary: Foo", "Foo: 1", "Foo: 1\nFoo: 1"),
        ("Vary: Foo", "Foo: \"1,2\"", "Foo: 1, 2"),
        ("Vary: Accept-Language", "Accept-Language: en, de", "Accept-Language: en;q=0.9, de"),
        ("Vary: Accept-Language", "Accept-Language: en;q=x", "Accept-Language: en"),
        ("Vary: Accept-Encoding", "Accept-Encoding: gzip;q=0", "Accept-Encoding: gzip"),
        // Another language could be preferred, or can't be told.
        ("Vary: Accept-Language", "Accept-Language: en, de", "Accept-Language: de"),
        ("Vary: Accept-Language\nContent-Language: de", "Accept-Language: en", "Accept-Language: fr, de"),
        (
            "Vary: Accept-Language\nContent-Language: de",
            "Accept-Language: en",
            "Accept-Language: *, de;q=0.9",
        ),
        ("Vary: Accept-Language\nContent-Language: de", "Accept-Language: en", "Accept-Language: de;q=0"),
        ("Vary: Accept-Language\nContent-Language: de, en", "Accept-Language: en", "Accept-Language: de"),
        ("Vary: Accept-Language\nContent-Language: de", "", "Accept-Language: "),
        (
            "Vary: Accept-Language, Foo\nContent-Language: de",
            "Foo: 1\nAccept-Language: en",
            "Accept-Language: de",
        ),
    ];
    for &(lines, first, second) in cases {
        assert!(!selects(lines, first, second), "{lines:?} {first:?} {second:?}");
    }
}
