//! What of a stored response answers a request, and what a request invalidates.

use super::*;

const VALIDATORS: &str = "ETag: \"a\"\nLast-Modified: {-100}\nCache-Control: max-age=60";

/// What answers `asked` of a stored response with `lines` and ten octets.
#[track_caller]
fn check(lines: &str, asked: &str, expected: Answer) {
    assert_eq!(answer(&request(asked), &stored(lines), 10), expected, "{lines:?} {asked:?}");
}

#[test]
fn conditions() {
    use Answer::{NotModified, Whole};
    let cases: &[(&str, &str, Answer)] = &[
        (VALIDATORS, "", Whole),
        (VALIDATORS, "If-None-Match: \"a\"", NotModified),
        (VALIDATORS, "HEAD\nIf-None-Match: \"a\"", NotModified),
        (VALIDATORS, "If-None-Match: W/\"a\"", NotModified),
        (VALIDATORS, "If-None-Match: \"b\", \"a\", \"c\"", NotModified),
        (VALIDATORS, "If-None-Match: \"b\"\nIf-None-Match: \"a\"", NotModified),
        (VALIDATORS, "If-None-Match: *", NotModified),
        (VALIDATORS, "If-None-Match: \"b\"", Whole),
        (VALIDATORS, "If-None-Match: a", Whole),
        ("ETag: W/\"a\"", "If-None-Match: \"a\"", NotModified),
        ("ETag: a", "If-None-Match: a", Whole),
        ("Cache-Control: max-age=60", "If-None-Match: \"a\"", Whole),
        // If-None-Match has precedence.
        (VALIDATORS, "If-None-Match: \"a\"\nIf-Modified-Since: {-200}", NotModified),
        (VALIDATORS, "If-None-Match: \"b\"\nIf-Modified-Since: {+0}", Whole),
        (VALIDATORS, "If-Modified-Since: {-100}", NotModified),
        (VALIDATORS, "If-Modified-Since: {-50}", NotModified),
        (VALIDATORS, "If-Modified-Since: {-101}", Whole),
        (VALIDATORS, "If-Modified-Since: yesterday", Whole),
        (VALIDATORS, "If-Modified-Since: {-100}\nIf-Modified-Since: {-100}", Whole),
        (VALIDATORS, "If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT", NotModified),
        // Without Last-Modified, Date counts.
        ("Date: {-10}\nETag: \"a\"", "If-Modified-Since: {-10}", NotModified),
        ("Date: {-10}\nETag: \"a\"", "If-Modified-Since: {-11}", Whole),
    ];
    for (lines, asked, expected) in cases {
        check(lines, asked, expected.clone());
    }
    let not_found = StoredHead::new(&request(""), &response(404, VALIDATORS), TIMES);
    assert_eq!(answer(&request("If-None-Match: \"a\""), &not_found, 10), Whole);
}

#[test]
fn ranges() {
    use Answer::{MultiRange, NotModified, Range, RangeNotSatisfiable, Whole};
    let (start, end) = (ByteRange { first: 0, last: 1 }, ByteRange { first: 9, last: 9 });
    let cases: &[(&str, &str, Answer)] = &[
        (VALIDATORS, "Range: bytes=0-1", Range(start)),
        (VALIDATORS, "Range: bytes=-1", Range(end)),
        (VALIDATORS, "Range: bytes=0-1,-1", MultiRange(vec![start, end])),
        (VALIDATORS, "Range: bytes=10-", RangeNotSatisfiable),
        (VALIDATORS, "Range: bytes=0-1\nRange: bytes=-1", Whole),
        (VALIDATORS, "Range: items=0-1", Whole),
        (VALIDATORS, "HEAD\nRange: bytes=0-1", Whole),
        (VALIDATORS, "If-None-Match: \"a\"\nRange: bytes=0-1", NotModified),
        (VALIDATORS, "If-None-Match: \"b\"\nRange: bytes=0-1", Range(start)),
        (VALIDATORS, "If-Range: \"a\"\nRange: bytes=0-1", Range(start)),
        (VALIDATORS, "If-Range: \"b\"\nRange: bytes=0-1", Whole),
        (VALIDATORS, "If-Range: W/\"a\"\nRange: bytes=0-1", Whole),
        (VALIDATORS, "If-Range: \"b\"\nRange: bytes=10-", Whole),
        ("ETag: W/\"a\"", "If-Range: W/\"a\"\nRange: bytes=0-1", Whole),
        (VALIDATORS, "If-Range: {-100}\nRange: bytes=0-1", Range(start)),
        (VALIDATORS, "If-Range: {-99}\nRange: bytes=0-1", Whole),
        (VALIDATORS, "If-Range: x\nRange: bytes=0-1", Whole),
        // Changed within the second of Date: another change in it would have the same date.
        ("Last-Modified: {+0}\nDate: {+0}", "If-Range: {+0}\nRange: bytes=0-1", Whole),
    ];
    for (lines, asked, expected) in cases {
        check(lines, asked, expected.clone());
    }
    let not_found = StoredHead::new(&request(""), &response(404, VALIDATORS), TIMES);
    assert_eq!(answer(&request("Range: bytes=0-1"), &not_found, 10), Whole);
}

#[test]
fn invalidation() {
    let target = uri("http://a.example/x");
    let check = |method: &str, status: u16, lines: &str, expected: &[&str]| {
        let method = Method::of(Bytes::copy_from_slice(method.as_bytes()));
        let found = invalidated(&method, &target, &response(status, lines));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{method:?} {status} {lines:?}");
    };
    let all = "Location: /l\nContent-Location: c";
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
        check(method, 200, all, &["http://a.example/x", "http://a.example/l", "http://a.example/c"]);
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        check(method, 200, all, &[]);
    }
    check("POST", 303, "", &["http://a.example/x"]);
    check("POST", 201, "Location: http://a.example:80/l", &["http://a.example/x", "http://a.example/l"]);
    for (status, lines) in [
        (200, "Location: http://b.example/l"),
        (200, "Location: https://a.example/l"),
        (200, "Location: http://a.example:8080/l"),
        (200, "Location: mailto:a@a.example"),
        (200, "Location: /a\nLocation: /b"),
        (204, "Content-Location: /x"),
    ] {
        check("POST", status, lines, &["http://a.example/x"]);
    }
    for status in [100, 400, 404, 500, 503] {
        check("POST", status, all, &[]);
    }
}
