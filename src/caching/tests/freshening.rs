//! What is kept of a response, and what a 304 or a response to HEAD makes of it.

use super::*;
use crate::http::FieldName;

#[test]
fn fields_that_are_kept() {
    let cases: &[(&str, &str)] = &[
        ("Date: {-1}\nX-b: 1\nx-A: 2\nX-b: 3", "Date: {-1}\nX-b: 1\nx-A: 2\nX-b: 3"),
        ("X: 1", "X: 1\nDate: {+0}"),
        ("Date: x\nX: 1", "X: 1\nDate: {+0}"),
        ("Date: {-1}\nDate: {-2}", "Date: {+0}"),
        (
            "Date: {+0}\nAge: 5\nKeep-Alive: 1\nTE: 1\nTrailer: a\nUpgrade: a\nProxy-Connection: a",
            "Date: {+0}",
        ),
        ("Date: {+0}\nTransfer-Encoding: chunked\nContent-Length: 5", "Date: {+0}"),
        (
            "Date: {+0}\nProxy-Authenticate: a\nProxy-Authentication-Info: a\nProxy-Authorization: a\n\
             Proxy-Status: a",
            "Date: {+0}\nProxy-Status: a",
        ),
        ("Date: {+0}\nConnection: a, B\nA: 1\nb: 2\nc: 3", "Date: {+0}\nc: 3"),
        (
            "Date: {+0}\nConnection: cache-control, date\nCache-Control: private",
            "Date: {+0}\nCache-Control: private",
        ),
        ("Date: {+0}\nContent-Length: 5", "Date: {+0}\nContent-Length: 5"),
        ("Date: {+0}\nContent-Length: +5", "Date: {+0}"),
        ("Date: {+0}\nContent-Length: 5\nContent-Length: 6", "Date: {+0}"),
        (
            "Date: {+0}\nCache-Control: no-cache=\"a, B\", private=c\na: 1\nb: 2\nC: 3\nd: 4",
            "Date: {+0}\nCache-Control: no-cache=\"a, B\", private=c\nd: 4",
        ),
        ("Date: {+0}\nSet-Cookie: a=b\nContent-Range: x", "Date: {+0}\nSet-Cookie: a=b\nContent-Range: x"),
    ];
    for (lines, expected) in cases {
        assert_eq!(text(&stored(lines).fields), text(&fields(expected)), "{lines:?}");
    }
}

/// What a 304 with `update`, received ten seconds later, makes of a response with `lines`.
fn freshen(lines: &str, update: &str) -> StoredHead {
    let later = Times { request_time: NOW.plus(10), response_time: NOW.plus(10) };
    stored(lines).freshen(&response(304, update), later)
}

#[test]
fn fields_that_a_304_updates() {
    let cases: &[(&str, &str, &str)] = &[
        ("Date: {+0}\nX: 1", "Date: {+10}", "Date: {+10}\nX: 1"),
        ("Date: {+0}\nX: 1", "", "Date: {+10}\nX: 1"),
        ("Date: {+0}\nx: 1\ny: 1\nX: 2", "Date: {+9}\nX: 3\nZ: 4", "Date: {+9}\nX: 3\ny: 1\nZ: 4"),
        ("Date: {+0}\ny: 1", "Date: {+9}\nX: 3\nX: 4\nX: 5", "Date: {+9}\ny: 1\nX: 3\nX: 4\nX: 5"),
        (
            "Date: {+0}\nContent-Length: 5\nContent-Encoding: gzip\nContent-MD5: a\nContent-Type: a",
            "Date: {+9}\nContent-Length: 0\nContent-Encoding: br\nContent-MD5: b\n\
             Content-Range: b\nContent-Type: b",
            "Date: {+9}\nContent-Length: 5\nContent-Encoding: gzip\nContent-MD5: a\nContent-Type: b",
        ),
        (
            "Date: {+0}\nX: 1\nY: 1",
            "Date: {+9}\nConnection: X\nX: 2\nTransfer-Encoding: chunked\nAge: 3\nUpgrade: a\nY: 2",
            "Date: {+9}\nX: 1\nY: 2",
        ),
        (
            "Date: {+0}\nX: 1",
            "Date: {+9}\nCache-Control: no-cache=\"x\"",
            "Date: {+9}\nCache-Control: no-cache=\"x\"",
        ),
    ];
    for (lines, update, expected) in cases {
        assert_eq!(text(&freshen(lines, update).fields), text(&fields(expected)), "{lines:?} {update:?}");
    }
}

#[test]
fn facts_that_a_304_updates() {
    let policy = CachePolicy::default();
    let lines = "Date: {-50}\nAge: 70\nCache-Control: max-age=2\nETag: \"a\"";
    let facts = |update: &str| {
        let head = freshen(lines, update);
        (head.current_age(NOW.plus(11)), head.freshness_lifetime(&policy).seconds())
    };
    assert_eq!(facts(""), (1, 2));
    assert_eq!(facts("Age: 5"), (6, 2));
    assert_eq!(facts("Date: {+0}"), (11, 2));
    assert_eq!(facts("Cache-Control: max-age=3600"), (1, 3600));
    let head = freshen(lines, "ETag: W/\"b\"\nVary: b");
    assert_eq!(head.etag().map(ETag::as_bytes), Some(&b"W/\"b\""[..]));
    // What the first request had under the new name nobody knows (case 1.9).
    assert!(!head.selects(&request("b: 3").fields) && !head.selects(&request("").fields));
    // An unchanged one by the first.
    let first = StoredHead::new(&request("a: 1"), &response(200, "Vary: a"), TIMES);
    let head = first.freshen(&response(304, "Vary: A"), TIMES);
    assert!(head.selects(&request("a: 1").fields) && !head.selects(&request("a: 2").fields));
    // So it is where some names go, and others stay.
    let both = StoredHead::new(&request("a: 1\nb: 1"), &response(200, "Vary: a, b"), TIMES);
    let head = both.freshen(&response(304, "Vary: B"), TIMES);
    assert!(head.selects(&request("a: 2\nb: 1").fields) && !head.selects(&request("a: 1\nb: 2").fields));
}

#[test]
fn what_may_be_kept_afterwards() {
    let cases: &[(&str, &str, Result<(), NotStored>)] = &[
        ("", "", Ok(())),
        ("", "Cache-Control: no-store", Err(NotStored::NoStore)),
        ("", "Cache-Control: private", Err(NotStored::Private)),
        ("", "Set-Cookie: a=b", Err(NotStored::SetCookie)),
        ("", "Set-Cookie: a=b\nCache-Control: public", Ok(())),
        ("", "Vary: *", Err(NotStored::VaryStar)),
        ("", "Vary: a; b", Err(NotStored::VaryStar)),
        ("a: 1", "Vary: a", Err(NotStored::VaryUnknown)),
        ("X-Forwarded-Prefix: x", "", Err(NotStored::UnkeyedField)),
        ("Cache-Control: no-store", "", Err(NotStored::RequestNoStore)),
        ("Authorization: x", "", Err(NotStored::Authorization)),
        ("X-Forwarded-Host: x", "", Err(NotStored::UnkeyedField)),
    ];
    for &(asked, update, expected) in cases {
        let head = stored("Cache-Control: max-age=60").freshen(&response(304, update), TIMES);
        let found = may_keep(&request(asked), &head, &CachePolicy::default());
        assert_eq!(found, expected, "{asked:?} {update:?}");
        let is_about_response = matches!(found, Ok(()) | Err(NotStored::VaryUnknown)) || asked.is_empty();
        assert_eq!(found.is_err_and(NotStored::is_about_request), !is_about_response);
    }
}

#[test]
fn validation_requests() {
    let check = |stored: &[&StoredHead], expected: &[(FieldName, &str)]| {
        let found = validation_fields(stored);
        let found: Vec<_> =
            found.iter().map(|(id, value)| (*id, String::from_utf8_lossy(value).into_owned())).collect();
        let expected: Vec<_> = expected.iter().map(|(id, value)| (*id, dates(value))).collect();
        assert_eq!(found, expected);
    };
    let (both, weak, none) = (
        stored("ETag: \"a\"\nLast-Modified: {-9}"),
        stored("ETag: W/\"b\""),
        stored("ETag: c\nLast-Modified: 0"),
    );
    check(&[&both], &[(FieldName::IfNoneMatch, "\"a\""), (FieldName::IfModifiedSince, "{-9}")]);
    check(&[&weak], &[(FieldName::IfNoneMatch, "W/\"b\"")]);
    check(&[&none], &[]);
    check(&[], &[]);
    check(&[&both, &weak, &none], &[(FieldName::IfNoneMatch, "\"a\", W/\"b\"")]);
    assert!(both.has_validator() && weak.has_validator() && !none.has_validator());
}

#[test]
fn what_else_a_304_is_about() {
    let cases: &[(&str, &str, &str, bool)] = &[
        // What is stored, and for whom; the 304; who asked.
        ("ETag: \"a\"", "ETag: \"a\"", "", true),
        ("ETag: \"a\"", "ETag: \"b\"", "", false),
        ("ETag: \"a\"", "ETag: W/\"a\"", "", false),
        ("ETag: W/\"a\"", "ETag: \"a\"", "", false),
        ("ETag: W/\"a\"", "ETag: W/\"a\"", "", false),
        ("ETag: \"a\"", "", "", false),
        ("ETag: \"a\"", "ETag: \"a\"\nETag: \"a\"", "", false),
        ("Last-Modified: {-9}", "Last-Modified: {-9}", "", false),
        ("ETag: \"a\"\nVary: X", "ETag: \"a\"", "", true),
        ("ETag: \"a\"\nVary: X", "ETag: \"a\"", "X: 1", false),
    ];
    for &(lines, said, asked, expected) in cases {
        let is_freshened = freshens_as_well(&request(asked), &response(304, said), &stored(lines));
        assert_eq!(is_freshened, expected, "{lines:?} {said:?} {asked:?}");
    }
}

#[test]
fn responses_that_a_304_is_about() {
    let (a, b) = (stored("ETag: \"a\"\nLast-Modified: {-9}"), stored("ETag: W/\"b\"\nDate: {-1}"));
    let newer = stored("ETag: W/\"b\"");
    let zipped = stored("ETag: W/\"x\"\nLast-Modified: {-99}");
    let cases: &[(&[&StoredHead], &str, Option<usize>)] = &[
        (&[&a, &b], "ETag: \"a\"", Some(0)),
        (&[&b, &a], "ETag: \"a\"", Some(1)),
        (&[&a], "ETag: \"z\"", None),
        (&[&a], "ETag: \"z\"\nLast-Modified: {-9}", None),
        (&[&a, &b], "ETag: \"b\"", None),
        (&[&a, &b], "ETag: W/\"b\"", Some(1)),
        (&[&a, &b], "ETag: W/\"a\"", Some(0)),
        (&[&newer, &b], "ETag: W/\"b\"", Some(0)),
        (&[&b, &newer], "ETag: W/\"b\"", Some(1)),
        // Two with one validator: the newer one.
        (&[&a, &stored("ETag: \"a\"\nDate: {-1}")], "ETag: \"a\"", Some(0)),
        (&[&stored("ETag: \"a\"\nDate: {-1}"), &a], "ETag: \"a\"", Some(1)),
        (&[&stored("Last-Modified: {-9}\nDate: {-1}"), &a], "Last-Modified: {-9}", Some(1)),
        (&[&a, &b], "Last-Modified: {-9}", Some(0)),
        (&[&a], "Last-Modified: {-8}", None),
        // A date that is old enough is strong, and so identifies what a strong tag does not (case 4.1).
        (&[&zipped], "ETag: \"x\"\nLast-Modified: {-99}", Some(0)),
        (&[&zipped], "ETag: \"x\"\nLast-Modified: {-98}", None),
        (&[&zipped], "ETag: \"x\"", None),
        (&[&zipped], "ETag: \"y\"\nLast-Modified: {-99}", None),
        (&[&stored("ETag: W/\"x\"\nLast-Modified: {-59}")], "ETag: \"x\"\nLast-Modified: {-59}", None),
        (&[&stored("Last-Modified: {-60}")], "ETag: \"x\"\nLast-Modified: {-60}", Some(0)),
        (&[&stored("ETag: \"y\"\nLast-Modified: {-60}")], "ETag: \"x\"\nLast-Modified: {-60}", None),
        (&[&a], "", Some(0)),
        (&[&a, &b], "", None),
        (&[], "", None),
    ];
    for (stored, lines, expected) in cases {
        assert_eq!(freshened_by(&response(304, lines), NOW, stored), *expected, "{lines:?}");
    }
}

#[test]
fn answers_that_end_the_use_of_what_was_asked_about() {
    for status in [200, 203, 204, 301, 302, 308, 404, 410] {
        assert!(supersedes(status), "{status}");
    }
    // Of this client, of this request, or of a passing state.
    for status in [206, 304, 401, 403, 407, 408, 412, 416, 421, 425, 429, 500, 502, 503, 504] {
        assert!(!supersedes(status), "{status}");
    }
}

#[test]
fn responses_to_head() {
    use HeadEffect::{Freshen, None, Stale};
    let head = stored("ETag: \"a\"\nLast-Modified: {-9}");
    let cases = [
        // Nothing that came identifies it (case 1.3).
        (200, "", Stale),
        (200, "Content-Length: 10", Stale),
        (200, "ETag: \"a\"", Freshen),
        (200, "Last-Modified: {-9}", Freshen),
        (200, "ETag: \"a\"\nLast-Modified: {-8}", Stale),
        (200, "ETag: \"a\"\nLast-Modified: {-9}\nContent-Length: 10", Freshen),
        (200, "ETag: \"b\"", Stale),
        (200, "Last-Modified: {-8}", Stale),
        (200, "ETag: \"a\"\nContent-Length: 11", Stale),
        (404, "ETag: \"b\"", None),
        (304, "ETag: \"a\"", None),
    ];
    for (status, lines, expected) in cases {
        assert_eq!(freshened_by_head(&head, &response(status, lines), 10), expected, "{status} {lines:?}");
    }
}

#[test]
fn a_strong_tag_does_not_take_the_place_of_its_weak_form() {
    let tag = |lines: &str, update: &str| {
        freshen(lines, update).etag().map(|tag| String::from_utf8_lossy(tag.as_bytes()).into_owned())
    };
    assert_eq!(tag("ETag: W/\"x\"", "ETag: \"x\"").as_deref(), Some("W/\"x\""));
    assert_eq!(tag("ETag: W/\"x\"", "ETag: W/\"y\"").as_deref(), Some("W/\"y\""));
    assert_eq!(tag("ETag: \"x\"", "ETag: W/\"x\"").as_deref(), Some("W/\"x\""));
    assert_eq!(tag("", "ETag: \"x\"").as_deref(), Some("\"x\""));
}

#[test]
fn what_a_304_to_a_clients_own_condition_freshens() {
    let (a, b) = (stored("ETag: \"a\"\nVary: X"), stored("ETag: W/\"b\"\nLast-Modified: {-9}"));
    let cases: &[(&str, &str, &[usize])] = &[
        ("", "ETag: \"a\"", &[0]),
        ("X: 1", "ETag: \"a\"", &[]),
        ("", "ETag: W/\"b\"", &[1]),
        ("", "ETag: \"b\"", &[]),
        ("", "Last-Modified: {-9}", &[1]),
        ("", "Last-Modified: {-8}", &[]),
        // It speaks of what the client has, which may be anything.
        ("", "", &[]),
    ];
    for &(asked, lines, expected) in cases {
        let found = freshened_by_answer(&request(asked), &response(304, lines), NOW, &[&a, &b]);
        assert_eq!(found, expected, "{asked:?} {lines:?}");
    }
    assert!(freshened_by_answer(&request(""), &response(200, "ETag: \"a\""), NOW, &[&a]).is_empty());
}
