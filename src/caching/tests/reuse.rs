//! May a stored response answer this request?

use super::*;
use ForwardReason::*;

fn at(seconds: u64) -> Timestamp {
    NOW.plus(seconds)
}

/// What is decided about `asked`, so many seconds after the response with `lines` came.
fn check(lines: &str, asked: &str, seconds: u64, expected: Decision) {
    let head = stored(lines);
    let found = decide(&request(asked), &[&head], at(seconds), &CachePolicy::default());
    assert_eq!(found, expected, "{lines:?} {asked:?} after {seconds}");
}

fn reuse(age: u64, ttl: i64) -> Decision {
    Decision::Reuse { index: 0, age, ttl }
}

fn validate(reason: ForwardReason) -> Decision {
    Decision::Validate { index: 0, reason }
}

#[test]
fn without_request_directives() {
    let fresh = "Cache-Control: max-age=60";
    let cases: &[(&str, &str, u64, Decision)] = &[
        (fresh, "", 0, reuse(0, 60)),
        (fresh, "", 59, reuse(59, 1)),
        (fresh, "", 60, validate(Stale)),
        (fresh, "HEAD", 59, reuse(59, 1)),
        (fresh, "POST", 0, Decision::Forward(Method)),
        (fresh, "OPTIONS", 0, Decision::Forward(Method)),
        (fresh, "Cookie: a=b", 0, reuse(0, 60)),
        (fresh, "Authorization: x", 0, reuse(0, 60)),
        (fresh, "If-None-Match: \"a\"", 0, reuse(0, 60)),
        (fresh, "If-Match: \"a\"", 0, Decision::Forward(Request)),
        (fresh, "If-Unmodified-Since: {+0}", 0, Decision::Forward(Request)),
        ("Cache-Control: max-age=60\nAge: 50", "", 9, reuse(59, 1)),
        ("Cache-Control: max-age=60\nAge: 50", "", 10, validate(Stale)),
        ("Last-Modified: {-1000}", "", 99, reuse(99, 1)),
        ("Last-Modified: {-1000}", "", 100, validate(Stale)),
        ("ETag: \"a\"", "", 0, validate(Stale)),
        ("Cache-Control: max-age=60, no-cache\nETag: \"a\"", "", 0, validate(Stale)),
        ("Cache-Control: max-age=60, no-cache=\"a\"", "", 0, reuse(0, 60)),
        ("Cache-Control: max-age=60, no-cache=\"a, Cache-Control\"", "", 0, validate(Stale)),
        ("Cache-Control: max-age=60, must-revalidate", "", 59, reuse(59, 1)),
        ("Cache-Control: max-age=60\nPragma: no-cache", "", 0, reuse(0, 60)),
        ("Cache-Control: max-age=9999999999\nAge: 9999999999", "", 0, validate(Stale)),
        ("Cache-Control: max-age=60\nVary: a", "a: 1", 0, Decision::Forward(VaryMiss)),
        // RFC 8246 §2: immutable means something while the response is fresh, and the client may
        // still ask for a validation.
        ("Cache-Control: max-age=60, immutable", "", 59, reuse(59, 1)),
        ("Cache-Control: max-age=60, immutable", "", 60, validate(Stale)),
        ("Cache-Control: max-age=60, immutable", "Cache-Control: no-cache", 0, validate(Request)),
    ];
    for (lines, asked, seconds, expected) in cases {
        check(lines, asked, *seconds, *expected);
    }
}

#[test]
fn with_request_directives() {
    let fresh = "Cache-Control: max-age=60";
    let cases: &[(&str, &str, u64, Decision)] = &[
        (fresh, "Cache-Control: no-cache", 0, validate(Request)),
        (fresh, "Cache-Control: NO-cache", 0, validate(Request)),
        (fresh, "Cache-Control: no-cache", 60, validate(Stale)),
        (fresh, "Cache-Control: nothing-to-see-here", 0, reuse(0, 60)),
        (fresh, "Pragma: no-cache", 0, validate(Request)),
        (fresh, "Pragma: foo", 0, reuse(0, 60)),
        (fresh, "Pragma: no-cache\nCache-Control: x", 0, reuse(0, 60)),
        // The directive is about this request and its response, not about what is stored.
        (fresh, "Cache-Control: no-store", 0, reuse(0, 60)),
        (fresh, "Cache-Control: max-age=0", 0, validate(Request)),
        (fresh, "Cache-Control: max-age=5", 5, reuse(5, 55)),
        (fresh, "Cache-Control: max-age=5", 6, validate(Request)),
        (fresh, "Cache-Control: max-age=50, max-age=5", 6, validate(Request)),
        (fresh, "Cache-Control: max-age=x", 0, validate(Request)),
        (fresh, "Cache-Control: min-fresh=50", 10, reuse(10, 50)),
        (fresh, "Cache-Control: min-fresh=50", 11, validate(Request)),
        (fresh, "Cache-Control: min-fresh=99999999999", 0, validate(Request)),
        (fresh, "Cache-Control: min-fresh", 0, validate(Request)),
        (fresh, "Cache-Control: max-stale=10", 59, reuse(59, 1)),
        (fresh, "Cache-Control: max-stale=10", 70, reuse(70, -10)),
        (fresh, "Cache-Control: max-stale=10", 71, validate(Stale)),
        (fresh, "Cache-Control: max-stale", 1_000_000, reuse(1_000_000, -999_940)),
        (fresh, "Cache-Control: max-stale=x", 70, validate(Stale)),
        (fresh, "Cache-Control: max-stale=100, max-age=65", 66, validate(Request)),
        (fresh, "Cache-Control: max-stale, no-cache", 61, validate(Request)),
        ("Cache-Control: max-age=60, must-revalidate", "Cache-Control: max-stale", 60, validate(Stale)),
        ("Cache-Control: max-age=60, proxy-revalidate", "Cache-Control: max-stale", 60, validate(Stale)),
        ("Cache-Control: s-maxage=60", "Cache-Control: max-stale", 60, validate(Stale)),
        ("Cache-Control: no-cache\nETag: \"a\"", "Cache-Control: max-stale", 0, validate(Stale)),
        (fresh, "Cache-Control: only-if-cached", 0, reuse(0, 60)),
        (fresh, "Cache-Control: only-if-cached", 60, Decision::GatewayTimeout),
        (fresh, "Cache-Control: only-if-cached, max-stale", 60, reuse(60, 0)),
        (fresh, "Cache-Control: only-if-cached, no-cache", 0, Decision::GatewayTimeout),
        (fresh, "Cache-Control: only-if-cached\nIf-Match: *", 0, Decision::GatewayTimeout),
        (fresh, "Cache-Control: only-if-cached\nIf-Unmodified-Since: {+0}", 0, Decision::GatewayTimeout),
        (fresh, "OPTIONS\nCache-Control: only-if-cached", 0, Decision::GatewayTimeout),
        // What changes something goes on (case 4.8).
        (fresh, "POST\nCache-Control: only-if-cached", 0, Decision::Forward(ForwardReason::Method)),
        (
            "Cache-Control: max-age=60\nVary: a",
            "a: 1\nCache-Control: only-if-cached",
            0,
            Decision::GatewayTimeout,
        ),
    ];
    for (lines, asked, seconds, expected) in cases {
        check(lines, asked, *seconds, *expected);
    }
}

#[test]
fn several_stored_responses() {
    let policy = CachePolicy::default();
    let variant = |value: &str, date: &str| {
        let lines = format!("Cache-Control: max-age=60\nVary: a\nDate: {date}");
        StoredHead::new(&request(&format!("a: {value}")), &response(200, &lines), TIMES)
    };
    let (one, two, newer) = (variant("1", "{+0}"), variant("2", "{-1}"), variant("2", "{+0}"));
    let index = |asked: &str, stored: &[&StoredHead]| match decide(&request(asked), stored, NOW, &policy) {
        Decision::Reuse { index, .. } => Some(index),
        _ => None,
    };
    assert_eq!(decide(&request(""), &[], NOW, &policy), Decision::Forward(UriMiss));
    assert_eq!(decide(&request("a: 3"), &[&one, &two], NOW, &policy), Decision::Forward(VaryMiss));
    assert_eq!(index("a: 1", &[&one, &two]), Some(0));
    assert_eq!(index("a: 2", &[&one, &two]), Some(1));
    // The most recent by Date, wherever it stands.
    assert_eq!(index("a: 2", &[&newer, &one, &two]), Some(0));
    assert_eq!(index("a: 2", &[&two, &one, &newer]), Some(2));
    // One without Vary stands behind those with.
    let plain = stored("Cache-Control: max-age=60\nDate: {+9}");
    assert_eq!(index("a: 2", &[&plain, &two]), Some(1));
    assert_eq!(index("a: 3", &[&plain, &two]), Some(0));
    let only_if_cached = request("Cache-Control: only-if-cached");
    assert_eq!(decide(&only_if_cached, &[], NOW, &policy), Decision::GatewayTimeout);
}

#[test]
fn stale_when_the_origin_fails() {
    let policy = CachePolicy { stale_on_error_seconds: 100, ..CachePolicy::default() };
    let cases: &[(&str, &str, u64, bool)] = &[
        ("Cache-Control: max-age=60", "", 160, true),
        ("Cache-Control: max-age=60", "", 161, false),
        ("Cache-Control: max-age=60, stale-if-error=10", "", 70, true),
        ("Cache-Control: max-age=60, stale-if-error=10", "", 71, false),
        ("Cache-Control: max-age=60, stale-if-error=x", "", 61, false),
        ("Cache-Control: max-age=60, stale-if-error=500", "", 560, true),
        ("Cache-Control: max-age=60", "Cache-Control: stale-if-error=5", 66, false),
        ("Cache-Control: max-age=60, stale-if-error=10", "Cache-Control: stale-if-error=5", 66, false),
        ("Cache-Control: max-age=60, stale-if-error=5", "Cache-Control: stale-if-error=50", 66, false),
        ("Cache-Control: max-age=60", "Cache-Control: no-cache", 61, false),
        ("Cache-Control: max-age=60", "Cache-Control: max-age=0", 61, false),
        ("Cache-Control: max-age=60, must-revalidate", "", 61, false),
        ("Cache-Control: max-age=60, proxy-revalidate, stale-if-error=9", "", 61, false),
        ("Cache-Control: s-maxage=60", "", 61, false),
        ("Cache-Control: max-age=60, no-cache", "", 61, false),
    ];
    for &(lines, asked, seconds, expected) in cases {
        let found = may_serve_stale_on_error(&request(asked), &stored(lines), at(seconds), &policy);
        assert_eq!(found, expected, "{lines:?} {asked:?} after {seconds}");
    }
    assert!([500, 502, 503, 504].into_iter().all(is_error_for_stale));
    assert!(![200, 304, 404, 429, 501, 505].into_iter().any(is_error_for_stale));
}

#[test]
fn stale_while_it_is_validated() {
    let window = "Cache-Control: max-age=60, stale-while-revalidate=10";
    let cases: &[(&str, &str, u64, bool)] = &[
        (window, "", 60, true),
        (window, "", 70, true),
        (window, "", 71, false),
        (window, "HEAD", 70, true),
        (window, "Range: bytes=0-1", 70, true),
        (window, "Cache-Control: only-if-cached", 70, true),
        ("Cache-Control: stale-while-revalidate=10\nExpires: {+60}", "", 70, true),
        ("Cache-Control: max-age=60, stale-while-revalidate=x", "", 61, false),
        ("Cache-Control: max-age=60, stale-while-revalidate", "", 61, false),
        ("Cache-Control: max-age=60, stale-while-revalidate=20, stale-while-revalidate=10", "", 71, false),
        ("Cache-Control: max-age=60, stale-while-revalidate=10, no-cache\nETag: \"a\"", "", 61, false),
        ("Cache-Control: max-age=60, stale-while-revalidate=10, proxy-revalidate", "", 61, false),
        (window, "Pragma: no-cache", 61, false),
        (window, "Cache-Control: no-store", 61, false),
        (window, "X-Forwarded-Host: x", 61, false),
        (window, "If-Match: *", 61, false),
        ("Cache-Control: max-age=60", "", 61, false),
        ("Cache-Control: max-age=60, stale-while-revalidate=10, must-revalidate", "", 61, false),
        ("Cache-Control: s-maxage=60, stale-while-revalidate=10", "", 61, false),
        (window, "Cache-Control: no-cache", 61, false),
        (window, "Cache-Control: max-age=30", 61, false),
        (window, "Cache-Control: max-age=61", 61, true),
        (window, "Cache-Control: min-fresh=1", 61, false),
    ];
    for &(lines, asked, seconds, expected) in cases {
        let head = stored(lines);
        let found = decide(&request(asked), &[&head], at(seconds), &CachePolicy::default());
        let ttl = 60 - i64::try_from(seconds).unwrap();
        let served = Decision::ReuseAndValidate { index: 0, age: seconds, ttl };
        assert_eq!(found == served, expected, "{lines:?} {asked:?} after {seconds}: {found:?}");
    }
    // Fresh needs no validation, and a client that takes stale ones has asked for none.
    check(window, "", 59, reuse(59, 1));
    check(window, "Cache-Control: max-stale", 65, reuse(65, -5));
}
