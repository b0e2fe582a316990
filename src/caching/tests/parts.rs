//! Parts of a representation: what they are taken for, and what they are put together with.

use super::*;

const TAGGED: &str = "ETag: \"a\"\nCache-Control: max-age=60";

/// `first-last/complete` of a 206 with this `Content-Range` and so many octets.
fn read(content_range: &str, length: BodyLength) -> Result<String, NotStored> {
    let mut response = response(206, &format!("{TAGGED}\nContent-Range: {content_range}"));
    response.length = length;
    let part = part_of_whole(&request("Range: bytes=0-1"), &response)?;
    Ok(format!("{}-{}/{}", part.range.first, part.range.last, part.complete_length()))
}

#[test]
fn only_a_part_whose_place_is_certain_is_taken() {
    use BodyLength::{Chunked, Exact, UntilClose};
    let max = u64::MAX;
    let cases: &[(&str, BodyLength, Result<&str, NotStored>)] = &[
        ("bytes 0-1/10", Exact(2), Ok("0-1/10")),
        ("BYTES 0-1/10", Exact(2), Ok("0-1/10")),
        ("bytes 0-1/10", Chunked, Ok("0-1/10")),
        ("bytes 0-9/10", Exact(10), Ok("0-9/10")),
        ("bytes 0-1/10", UntilClose, Ok("0-1/10")),
        ("bytes 0-1/10", Exact(3), Err(NotStored::Partial)),
        ("bytes 0-1/10", Exact(1), Err(NotStored::Partial)),
        ("bytes 0-1/10", BodyLength::None, Err(NotStored::Partial)),
        ("bytes 0-1/*", Exact(2), Err(NotStored::Partial)),
        ("bytes */10", Exact(2), Err(NotStored::Partial)),
        ("bytes */1", Exact(1), Err(NotStored::Partial)),
        ("bytes 1-0/10", Exact(2), Err(NotStored::Partial)),
        ("bytes 8-10/10", Exact(3), Err(NotStored::Partial)),
        ("bytes 0-0/0", Exact(1), Err(NotStored::Partial)),
        ("items 0-1/10", Exact(2), Err(NotStored::Partial)),
        ("bytes=0-1/10", Exact(2), Err(NotStored::Partial)),
        ("bytes 0-1", Exact(2), Err(NotStored::Partial)),
        ("bytes -1/10", Exact(2), Err(NotStored::Partial)),
        ("bytes 0-1/10\nContent-Range: bytes 2-3/10", Exact(2), Err(NotStored::Partial)),
        ("bytes 0-1/10\nContent-Type: Multipart/ByteRanges; boundary=x", Exact(2), Err(NotStored::Partial)),
        ("bytes 0-18446744073709551615/18446744073709551616", Exact(max), Err(NotStored::Partial)),
        ("bytes 0-18446744073709551616/*", Exact(max), Err(NotStored::Partial)),
        ("bytes 0-18446744073709551615/18446744073709551615", Exact(max), Err(NotStored::Partial)),
        (
            "bytes 18446744073709551614-18446744073709551614/18446744073709551615",
            Exact(1),
            Ok("18446744073709551614-18446744073709551614/18446744073709551615"),
        ),
    ];
    for &(content_range, length, expected) in cases {
        let found = read(content_range, length);
        assert_eq!(found.as_deref().map_err(|reason| *reason), expected, "{content_range} {length:?}");
    }
}

#[test]
fn other_statuses_and_methods_are_no_parts() {
    let lines = format!("{TAGGED}\nContent-Range: bytes 0-1/10");
    for (asked, status) in [("", 200), ("", 416), ("HEAD", 206), ("POST", 206)] {
        let mut response = response(status, &lines);
        response.length = BodyLength::Exact(2);
        assert_eq!(
            part_of_whole(&request(asked), &response).err(),
            Some(NotStored::Partial),
            "{asked} {status}"
        );
    }
}

#[test]
fn what_is_about_the_part_does_not_reach_the_whole() {
    let lines = format!(
        "{TAGGED}\nContent-Range: bytes 0-1/10\nContent-Length: 2\nContent-MD5: x\nContent-Digest: y\nRepr-Digest: z"
    );
    let mut response = response(206, &lines);
    response.length = BodyLength::Exact(2);
    let whole = part_of_whole(&request(""), &response).expect("a part").whole;
    assert_eq!((whole.status, &whole.reason[..]), (200, &b"OK"[..]));
    assert_eq!(
        text(&whole.fields),
        "ETag: \"a\"\nCache-Control: max-age=60\nRepr-Digest: z\nContent-Length: 10\n"
    );
}

#[test]
fn the_rules_for_any_response_are_those_for_a_part() {
    let cases: &[(&str, &str, Result<(), NotStored>)] = &[
        ("", "Cache-Control: max-age=60", Ok(())),
        ("", "ETag: \"a\"", Ok(())),
        ("", "X: y", Err(NotStored::NoFreshness)),
        ("", "Cache-Control: no-store", Err(NotStored::NoStore)),
        ("", "Cache-Control: private, max-age=60", Err(NotStored::Private)),
        ("", "Cache-Control: max-age=60\nVary: *", Err(NotStored::VaryStar)),
        ("Cache-Control: no-store", TAGGED, Err(NotStored::RequestNoStore)),
        ("Authorization: x", TAGGED, Err(NotStored::Authorization)),
        ("", "Cache-Control: max-age=60\nSet-Cookie: a=b", Err(NotStored::SetCookie)),
    ];
    for &(asked, lines, expected) in cases {
        let mut response = response(206, &format!("{lines}\nContent-Range: bytes 0-1/10"));
        response.length = BodyLength::Exact(2);
        let asked = request(asked);
        let part = part_of_whole(&asked, &response).expect("a part");
        let found = may_store(&asked, &part.whole, TIMES, &CachePolicy::default());
        assert_eq!(found, expected, "{lines:?}");
    }
}

#[test]
fn only_a_range_that_nothing_was_said_to_be_known_of_begins() {
    for (asked, expected) in
        [("Range: bytes=0-1", true), ("", false), ("Range: bytes=0-1\nIf-Range: \"a\"", false)]
    {
        assert_eq!(may_begin_with_part(&request(asked)), expected, "{asked:?}");
    }
}

#[test]
fn one_strong_tag_makes_one_representation() {
    let cases = [
        ("ETag: \"a\"", "ETag: \"a\"", true),
        ("ETag: \"a\"", "ETag: \"b\"", false),
        ("ETag: W/\"a\"", "ETag: W/\"a\"", false),
        ("ETag: W/\"a\"", "ETag: \"a\"", false),
        ("ETag: \"a\"", "X: y", false),
        ("Last-Modified: {-90}", "Last-Modified: {-90}", false),
        // One tag for two codings, or two types (case 1.8).
        ("ETag: \"a\"\nContent-Encoding: gzip", "ETag: \"a\"", false),
        ("ETag: \"a\"\nContent-Encoding: gzip", "ETag: \"a\"\nContent-Encoding: GZip", true),
        ("ETag: \"a\"\nContent-Encoding: gzip, br", "ETag: \"a\"\nContent-Encoding: br, gzip", false),
        ("ETag: \"a\"\nContent-Encoding: identity", "ETag: \"a\"", true),
        ("ETag: \"a\"\nContent-Type: a/b", "ETag: \"a\"\nContent-Type: a/c", false),
        ("ETag: \"a\"\nContent-Type: a/b; x=1", "ETag: \"a\"\nContent-Type: A/b;x=1", true),
        ("ETag: \"a\"\nContent-Type: a/b", "ETag: \"a\"", true),
    ];
    for (one, other, expected) in cases {
        assert_eq!(is_same_representation(&stored(one), &stored(other)), expected, "{one} {other}");
    }
    let missing = StoredHead::new(&request(""), &response(404, "ETag: \"a\""), TIMES);
    assert!(!is_same_representation(&stored("ETag: \"a\""), &missing));
}
