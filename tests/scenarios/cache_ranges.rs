//! Ranges out of a complete stored response (RFC 9110 §14, RFC 9111 §3.3).

use crate::support::{Answer, Response, World};

const DIGITS: &str = "0123456789";
const MODIFIED: &str = "Sun, 02 Jun 2024 07:00:00 GMT";

/// A world in which `/` is stored, whole.
fn stored() -> World {
    let world = World::new();
    let answer = Answer::cached("max-age=60").field("ETag", "\"one\"").field("Last-Modified", MODIFIED);
    world.origin.on_path("/", answer.field("Content-Type", "text/plain").body(DIGITS));
    world.get("/");
    world
}

/// The parts of a `multipart/byteranges` response: `Content-Range` and content.
fn parts(response: &Response) -> Vec<(String, String)> {
    let kind = response.field("Content-Type").expect("a type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let text = format!("\r\n{}", response.text().trim_start_matches("\r\n"));
    let (parts, end) = text.split_once(&format!("\r\n--{boundary}--\r\n")).expect("an end");
    assert_eq!(end, "");
    let delimiter = format!("\r\n--{boundary}\r\n");
    let part = |part: &str| {
        let (head, content) = part.split_once("\r\n\r\n").expect("a head and content");
        assert!(head.contains("Content-Type: text/plain"));
        let range = head.lines().find_map(|line| line.strip_prefix("Content-Range: ")).expect("a range");
        (range.to_owned(), content.to_owned())
    };
    parts.split(&delimiter).skip(1).map(part).collect()
}

#[test]
fn one_range_is_cut_out() {
    let world = stored();
    let cases = [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=8-99", "bytes 8-9/10", "89"),
    ];
    for (range, content_range, text) in cases {
        let response = world.get_with("/", &[("Range", range)]);
        assert_eq!((response.status(), response.text()), (206, text), "{range}");
        assert_eq!(response.head.all("Content-Range"), [content_range]);
        assert_eq!(response.field("ETag"), Some("\"one\""));
        assert!(response.is_hit() && response.has("Age") && response.has("Date"));
    }
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn several_ranges_come_in_parts() {
    let world = stored();
    let response = world.get_with("/", &[("Range", "bytes=0-1,4-5,-1")]);
    assert_eq!((response.status(), response.is_hit()), (206, true));
    assert!(!response.has("Content-Range"));
    let expected = [("bytes 0-1/10", "01"), ("bytes 4-5/10", "45"), ("bytes 9-9/10", "9")];
    let expected = expected.map(|(range, text)| (range.to_owned(), text.to_owned()));
    assert_eq!(parts(&response), expected);
}

#[test]
fn a_range_beyond_the_end_cannot_be_satisfied() {
    let world = stored();
    let response = world.get_with("/", &[("Range", "bytes=10-")]);
    assert_eq!(response.status(), 416);
    assert_eq!(response.field("Content-Range"), Some("bytes */10"));
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn what_is_no_range_is_ignored() {
    let world = stored();
    for range in ["bytes=4-2", "lines=1-2", "bytes=a-b"] {
        let response = world.get_with("/", &[("Range", range)]);
        assert_eq!((response.status(), response.text()), (200, DIGITS), "{range}");
    }
}

#[test]
fn if_range_decides_between_the_part_and_the_whole() {
    let world = stored();
    let cases = [
        ("\"one\"", 206),
        ("\"two\"", 200),
        ("W/\"one\"", 200),
        (MODIFIED, 206),
        ("Sun, 02 Jun 2024 07:30:00 GMT", 200),
    ];
    for (condition, status) in cases {
        let response = world.get_with("/", &[("Range", "bytes=0-1"), ("If-Range", condition)]);
        assert_eq!(response.status(), status, "{condition}");
        assert_eq!(response.text(), if status == 206 { "01" } else { DIGITS });
    }
}

#[test]
fn head_has_no_ranges() {
    let world = stored();
    let response = world.request("HEAD", "/", &[("Range", "bytes=0-1")], "");
    assert_eq!((response.status(), response.field("Content-Length")), (200, Some("10")));
}

#[test]
fn a_stale_response_is_validated_whole_and_then_cut() {
    let world = stored();
    world.origin.now_on_path("/", Answer::status(304).end_of_head());
    world.advance(61);
    let response = world.get_with("/", &[("Range", "bytes=0-1")]);
    assert_eq!((response.status(), response.text()), (206, "01"));
    assert!(!world.origin.requests("/")[1].head.has("Range"));
}
