//! Origins that break HTTP/2: their responses are refused or cut off, nothing of them is stored, and
//! other origins are not concerned.
//!
//! Not here: pseudo-fields of requests in a response, pseudo-fields in trailers, and a server that says
//! of itself that it takes pushes. The `h2` crate leaves them out or ignores them, so that nobody sees
//! any of it.

use std::sync::Arc;

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameOrigin, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, fields, frame,
};
use crate::support::{Answer, Certificates, Response, Wire, World};

/// What a client gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// An error page of the proxy's.
    Refused,
    /// The beginning of a response.
    CutOff,
    Whole,
}

struct Hostile {
    certificates: Certificates,
    world: World,
}

impl Hostile {
    fn new() -> Hostile {
        let certificates = Certificates::new();
        let world = World::with(|setup| setup.trust(&certificates));
        world.origin.otherwise(Answer::ok("hello"));
        Hostile { certificates, world }
    }

    /// An origin that does this behind the head of a request.
    fn origin(&self, answer: impl Fn(&mut Wire, usize, u32) + Send + Sync + 'static) -> FrameOrigin {
        FrameOrigin::start(self.certificates.server("origin.example"), answer)
    }

    fn get(&self, origin: &FrameOrigin) -> Response {
        self.world.client().get(&format!("https://{}/", origin.authority()))
    }

    /// What comes of these octets in the place of an answer.
    fn seen(&self, octets: &[u8]) -> Seen {
        let octets = octets.to_vec();
        let origin = self.origin(move |wire, _, stream| match stream {
            1 => {
                wire.send(&octets);
            }
            // Who asks again gets nothing.
            _ => wire.half_close(),
        });
        let response = self.get(&origin);
        assert_eq!(self.world.shared.store.usage().filling_bytes, 0);
        match (response.status(), response.is_whole()) {
            (502, true) => Seen::Refused,
            (_, true) => Seen::Whole,
            (_, false) => Seen::CutOff,
        }
    }

    /// Nothing was stored, and others are served.
    fn is_healthy(&self) {
        assert_eq!(self.world.shared.store.usage().objects, 0);
        assert_eq!(self.world.get("/").text(), "hello");
    }
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// The head of a response that may be stored, with more lines.
fn head(flags: u8, lines: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, 1, &fields(&[&[(":status", "200"), FRESH], lines].concat()))
}

/// A response on stream 1 that goes on so.
fn ok(rest: Vec<u8>) -> Vec<u8> {
    [head(END_HEADERS, &[]), rest].concat()
}

#[test]
fn an_honest_origin_is_heard() {
    let hostile = Hostile::new();
    assert_eq!(hostile.seen(&ok(frame(DATA, END_STREAM, 1, b"hello"))), Seen::Whole);
    let early = frame(HEADERS, END_HEADERS, 1, &fields(&[(":status", "103"), ("link", "</a>")]));
    assert_eq!(hostile.seen(&[early, ok(frame(DATA, END_STREAM, 1, b"hello"))].concat()), Seen::Whole);
}

#[test]
fn malformed_heads_are_refused() {
    let hostile = Hostile::new();
    let status = (":status", "200");
    let cases: &[&[(&str, &str)]] = &[
        &[("x", "1")],
        &[status, status],
        &[("x", "1"), status],
        &[status, (":unknown", "1")],
        &[(":status", "20")],
        &[(":status", "abc")],
        &[(":status", "")],
        &[(":status", "099")],
        &[status, ("x", "a\rb")],
        &[status, ("x", "a\nb")],
        &[status, ("x", "a\0b")],
        &[status, ("Upper", "1")],
        &[status, ("", "1")],
        &[status, ("a:b", "1")],
        &[status, ("a b", "1")],
        &[status, ("connection", "close")],
        &[status, ("keep-alive", "1")],
        &[status, ("proxy-connection", "close")],
        &[status, ("transfer-encoding", "chunked")],
        &[status, ("upgrade", "h2c")],
        &[status, ("content-length", "-1")],
        &[status, ("content-length", "5"), ("content-length", "6")],
        // RFC 9113 §8.6: there is no switch.
        &[(":status", "101")],
    ];
    for lines in cases {
        let lines = [lines, &[FRESH][..]].concat();
        let octets =
            [frame(HEADERS, END_HEADERS, 1, &fields(&lines)), frame(DATA, END_STREAM, 1, b"hello")].concat();
        assert_eq!(hostile.seen(&octets), Seen::Refused, "{lines:?}");
    }
    hostile.is_healthy();
}

#[test]
fn content_that_is_not_as_long_as_told_is_cut_off() {
    let hostile = Hostile::new();
    for sent in [&b"four"[..], b"sixsix", b""] {
        let octets =
            [head(END_HEADERS, &[("content-length", "5")]), frame(DATA, END_STREAM, 1, sent)].concat();
        assert_ne!(hostile.seen(&octets), Seen::Whole, "{sent:?}");
    }
    let octets = head(END_HEADERS | END_STREAM, &[("content-length", "5")]);
    assert_ne!(hostile.seen(&octets), Seen::Whole);
    hostile.is_healthy();
}

#[test]
fn frames_that_break_the_connection_or_the_stream() {
    let hostile = Hostile::new();
    let head = || head(END_HEADERS, &[]);
    let data = || frame(DATA, END_STREAM, 1, b"hello");
    let cases: &[(&str, Vec<u8>, Seen)] = &[
        ("DATA before a head", [data(), head()].concat(), Seen::Refused),
        (
            "a head on another stream",
            [frame(HEADERS, END_HEADERS, 3, &[0x88]), data()].concat(),
            Seen::Refused,
        ),
        ("a stream of the origin's own", frame(HEADERS, END_HEADERS, 2, &[0x88]), Seen::Refused),
        ("a promise", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]), Seen::Refused),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &[0x88]), Seen::Refused),
        ("a frame within a field block", [frame(HEADERS, 0, 1, &[0x88]), data()].concat(), Seen::Refused),
        ("an index beyond both tables", frame(HEADERS, END_HEADERS, 1, &[0xff, 0x80, 1]), Seen::Refused),
        (
            "a table larger than it may be",
            frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xe1, 0xff, 3, 0x88]),
            Seen::Refused,
        ),
        ("a window by 0", frame(WINDOW_UPDATE, 0, 1, &[0; 4]), Seen::Refused),
        ("a connection's window by 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Seen::Refused),
        ("a connection's window too far", frame(WINDOW_UPDATE, 0, 0, &[127, 255, 255, 255]), Seen::Refused),
        ("SETTINGS of 5 octets", frame(SETTINGS, 0, 0, &[0; 5]), Seen::Refused),
        ("PING of 7 octets", frame(PING, 0, 0, &[0; 7]), Seen::Refused),
        ("GOAWAY of 7 octets", frame(GOAWAY, 0, 0, &[0; 7]), Seen::Refused),
        ("a reset", frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]), Seen::Refused),
        ("a frame over 2^14", ok(frame(DATA, 0, 1, &[0; (16 << 10) + 1])), Seen::CutOff),
        ("DATA that is all padding and more", ok(frame(DATA, PADDED, 1, &[9, 0])), Seen::CutOff),
        (
            "a reset within content",
            ok([frame(DATA, 0, 1, b"he"), frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])].concat()),
            Seen::CutOff,
        ),
        (
            "a reset that calls itself none",
            ok([frame(DATA, 0, 1, b"he"), frame(RST_STREAM, 0, 1, &[0; 4])].concat()),
            Seen::CutOff,
        ),
        ("trailers that go on", ok(frame(HEADERS, END_HEADERS, 1, &fields(&[("x", "1")]))), Seen::CutOff),
        ("HTTP/1", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(), Seen::Refused),
    ];
    let seen = cases.iter().map(|(name, octets, expected)| (name, hostile.seen(octets), *expected));
    // What breaks off behind its head is refused, too, where no content was there when the head left.
    let is_right =
        |seen: Seen, expected| seen == expected || (expected == Seen::CutOff && seen == Seen::Refused);
    let wrong: Vec<_> = seen.filter(|(_, seen, expected)| !is_right(*seen, *expected)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    hostile.is_healthy();
}

/// Sends this until the proxy has had enough.
fn flood(begin: Vec<u8>, again: Vec<u8>) -> impl Fn(&mut Wire, usize, u32) + Send + Sync + 'static {
    move |wire, _, _| {
        let many = again.repeat(100);
        if wire.send(&begin) {
            while wire.send(&many) {}
        }
    }
}

#[test]
fn floods_end_the_connection() {
    let hostile = Hostile::new();
    let begun = || head(END_HEADERS, &[]);
    let interim = frame(HEADERS, END_HEADERS, 1, &fields(&[(":status", "103")]));
    let line = fields(&[("x", &"y".repeat(1000))]);
    let cases: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("PING", vec![], frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", vec![], frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ("WINDOW_UPDATE", vec![], frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("unknown frames", vec![], frame(99, 0, 0, &[])),
        ("interim responses", vec![], interim),
        ("empty DATA", begun(), frame(DATA, 0, 1, &[])),
        ("CONTINUATION", frame(HEADERS, 0, 1, &[0x88]), frame(CONTINUATION, 0, 1, &fields(&[("x", "1")]))),
        (
            "a field block without end",
            frame(HEADERS, 0, 1, &[0x88]),
            frame(CONTINUATION, 0, 1, &line.repeat(16)),
        ),
    ];
    for (name, begin, again) in cases {
        let origin = hostile.origin(flood(begin, again));
        let response = hostile.get(&origin);
        assert!(response.status() == 502 || !response.is_whole(), "{name}: {response:?}");
    }
    hostile.is_healthy();
}

#[test]
fn heads_over_the_limits_are_refused() {
    let hostile = Hostile::new();
    let large: Vec<_> = (0..6).map(|number| (format!("x-{number}"), "y".repeat(12 << 10))).collect();
    let many: Vec<_> = (0..257).map(|number| (format!("x-{number}"), "y".to_owned())).collect();
    for lines in [large, many] {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let block = fields(&[&[(":status", "200"), FRESH], &lines[..]].concat());
        let mut frames = block.chunks(16_000).peekable();
        let first = frames.next().expect("there is one");
        let is_all = frames.peek().is_none();
        let mut octets = frame(HEADERS, if is_all { END_HEADERS } else { 0 }, 1, first);
        while let Some(rest) = frames.next() {
            let flags = if frames.peek().is_none() { END_HEADERS } else { 0 };
            octets.extend(frame(CONTINUATION, flags, 1, rest));
        }
        octets.extend(frame(DATA, END_STREAM, 1, b"hello"));
        assert_eq!(hostile.seen(&octets), Seen::Refused);
    }
    // A field of 3,000 octets goes into the table; then it is named by one octet, 4,000 times.
    let mut block = vec![0x88];
    block.extend(fields(&[("x", &"y".repeat(3000))]));
    block[1] = 0x40;
    block.extend([0xbe; 4000]);
    let octets = [frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, END_STREAM, 1, b"hello")].concat();
    assert_eq!(hostile.seen(&octets), Seen::Refused);
    hostile.is_healthy();
}

/// GOAWAY that names the last stream which was looked at.
fn goes_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

#[test]
fn a_stream_that_an_origin_still_serves_ends_behind_its_goaway() {
    let hostile = Hostile::new();
    let octets = [goes_away(1, 0), ok(frame(DATA, END_STREAM, 1, b"hello"))].concat();
    assert_eq!(hostile.seen(&octets), Seen::Whole);
    let within = [ok(frame(DATA, 0, 1, b"hel")), goes_away(1, 0), frame(DATA, END_STREAM, 1, b"lo")].concat();
    assert_eq!(hostile.seen(&within), Seen::Whole);
    let failing = [ok(frame(DATA, 0, 1, b"hel")), goes_away(1, PROTOCOL_ERROR)].concat();
    let origin = hostile.origin(move |wire, _, _| {
        wire.send(&failing);
        wire.half_close();
    });
    assert!(!hostile.get(&origin).is_whole());
}

/// RST_STREAM of stream 1 with INTERNAL_ERROR.
const RESET: &[u8] = &[0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 2];

/// What the first request gets is this; others get an answer.
fn unseen(hostile: &Hostile, first: Vec<u8>) -> FrameOrigin {
    hostile.origin(move |wire, number, stream| {
        if number == 0 {
            wire.send(&first);
            return;
        }
        wire.send(frame(HEADERS, END_HEADERS, stream, &fields(&[(":status", "200")])));
        wire.send(frame(DATA, END_STREAM, stream, b"hello"));
    })
}

#[test]
fn only_what_may_be_repeated_is_asked_again() {
    let hostile = Hostile::new();
    let cases = [
        ("GOAWAY", goes_away(0, 0)),
        ("REFUSED_STREAM", frame(RST_STREAM, 0, 1, &REFUSED_STREAM.to_be_bytes())),
    ];
    for (name, first) in cases {
        let origin = unseen(&hostile, first.clone());
        let response = hostile.get(&origin);
        assert_eq!((response.status(), response.text()), (200, "hello"), "{name}");
        assert_eq!(origin.heads(), 2, "{name}");
        // The origin has said that it did nothing (RFC 9113 §8.7), so that any method may be repeated.
        for (method, content) in [("POST", "content"), ("POST", ""), ("PUT", "content")] {
            let origin = unseen(&hostile, first.clone());
            let url = format!("https://{}/", origin.authority());
            let response = hostile.world.client().request(method, &url, &[], content);
            assert_eq!((response.status(), origin.heads()), (200, 2), "{name}, {method} {content:?}");
        }
        // One stream that was looked at is another matter.
        let origin = unseen(&hostile, [goes_away(1, PROTOCOL_ERROR), RESET.to_vec()].concat());
        let url = format!("https://{}/", origin.authority());
        let response = hostile.world.client().request("POST", &url, &[], "content");
        assert_eq!((response.status(), origin.heads()), (502, 1), "{name}");
    }
}

#[test]
fn a_malformed_answer_is_not_asked_for_again() {
    let hostile = Hostile::new();
    let origin = hostile.origin(|wire, _, stream| {
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&[("x", "1")])));
    });
    assert_eq!(hostile.get(&origin).proxy_error(), "http_protocol_error");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_hostile_stream_ends_the_requests_of_its_connection_alone() {
    let hostile = Hostile::new();
    let quiet = hostile.origin(|wire, _, _| {
        wire.send(ok(frame(DATA, END_STREAM, 1, b"quiet")));
    });
    let loud = Arc::new(hostile.origin(flood(Vec::new(), frame(PING, 0, 0, &[0; 8]))));
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(hostile.get(&loud).status(), 502));
        assert_eq!(hostile.get(&quiet).text(), "quiet");
    });
}
