//! Frames that no honest client sends: malformed requests end their stream, floods the connection. It
//! is the same inside a tunnel that is intercepted and on a listener with TLS.

use std::time::Duration;

use crate::support::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, OPENING, PING, PRIORITY, PROTOCOL_ERROR,
    RST_STREAM, SETTINGS, Verdict, WINDOW_UPDATE, fields, frame, verdict,
};
use crate::support::{Answer, Certificates, Client, Origin, World};

/// Where a client speaks HTTP/2.
#[derive(Clone, Copy, Debug)]
enum Place {
    Inside,
    Listener,
}

const PLACES: [Place; 2] = [Place::Inside, Place::Listener];

struct Hostile {
    world: World,
    origin: Origin,
}

impl Hostile {
    fn new() -> Hostile {
        let certificates = Certificates::new();
        let world = World::with(|setup| {
            setup.intercept(&certificates);
            setup.listen_within_tls();
        });
        let origin = Origin::start_tls(certificates.server("origin.example").into());
        origin.otherwise(Answer::ok("hello"));
        Hostile { world, origin }
    }

    fn authority(&self) -> String {
        format!("origin.example:{}", self.origin.address().port())
    }

    /// A connection with HTTP/2 that has just begun.
    fn client(&self, place: Place) -> Client {
        let mut client = self.silent(place);
        client.send(OPENING);
        client
    }

    /// One that has not begun, but for TLS.
    fn silent(&self, place: Place) -> Client {
        let mut config = self.world.trusting();
        config.alpn_protocols = vec![b"h2".to_vec()];
        match place {
            Place::Inside => self.world.inside_with(&self.authority(), config),
            Place::Listener => Client::connect(self.world.proxy_within_tls()).within_tls(config, "localhost"),
        }
    }

    /// The pseudo-fields of an honest request, and these lines.
    fn request(&self, lines: &[(&str, &str)]) -> Vec<u8> {
        let authority = self.authority();
        let honest =
            [(":method", "GET"), (":scheme", "https"), (":authority", &authority[..]), (":path", "/")];
        fields(&[&honest[..], lines].concat())
    }

    /// What becomes of a request on stream 1 with this field block, wherever it is made.
    fn asks(&self, block: &[u8]) -> Verdict {
        let [inside, listener] = PLACES.map(|place| {
            let mut client = self.client(place);
            client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block));
            verdict(&mut client.wire, 1)
        });
        assert_eq!(inside, listener);
        inside
    }

    /// Others are served.
    fn is_healthy(&self) {
        assert_eq!(self.asks(&self.request(&[])), Verdict::Answered);
    }
}

#[test]
fn an_honest_request_is_answered() {
    let hostile = Hostile::new();
    assert_eq!(hostile.asks(&hostile.request(&[("accept", "*/*"), ("te", "trailers")])), Verdict::Answered);
}

#[test]
fn malformed_fields_reset_the_stream() {
    let hostile = Hostile::new();
    let cases: &[(&str, &str)] = &[
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x", " padded"),
        ("x", "padded "),
        ("Upper", "1"),
        ("", "1"),
        ("a:b", "1"),
        ("a b", "1"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("content-length", "5"),
        ("content-length", "-1"),
        ("host", "other.example"),
        (":path", "/late"),
        (":unknown", "1"),
        (":status", "200"),
    ];
    for line in cases {
        let found = hostile.asks(&hostile.request(&[*line]));
        assert!(
            matches!(found, Verdict::Reset(PROTOCOL_ERROR) | Verdict::GoAway(PROTOCOL_ERROR)),
            "{line:?}: {found:?}"
        );
    }
    assert!(hostile.origin.is_not_asked());
}

#[test]
fn malformed_pseudo_fields_reset_the_stream() {
    let hostile = Hostile::new();
    let authority = hostile.authority();
    let authority = (":authority", &authority[..]);
    let (method, scheme, path) = ((":method", "GET"), (":scheme", "https"), (":path", "/"));
    let cases: &[&[(&str, &str)]] = &[
        &[scheme, authority, path],
        &[method, authority, path],
        &[method, scheme, path],
        &[method, scheme, authority],
        &[method, scheme, authority, path, path],
        &[method, method, scheme, authority, path],
        &[("x", "1"), method, scheme, authority, path],
        &[(":method", "G ET"), scheme, authority, path],
        &[(":method", ""), scheme, authority, path],
        &[method, (":scheme", "ftp"), authority, path],
        &[method, scheme, authority, (":path", "")],
        &[method, scheme, authority, (":path", "no-slash")],
        &[method, scheme, authority, (":path", "/a b")],
        &[method, scheme, (":authority", "u@origin.example"), path],
        &[method, scheme, (":authority", "a b"), path],
        &[method, scheme, authority, path, (":protocol", "websocket")],
    ];
    for lines in cases {
        let found = hostile.asks(&fields(lines));
        assert!(
            matches!(found, Verdict::Reset(PROTOCOL_ERROR) | Verdict::GoAway(PROTOCOL_ERROR)),
            "{lines:?}: {found:?}"
        );
    }
    assert!(hostile.origin.is_not_asked());
}

#[test]
fn content_that_is_not_as_long_as_told_resets_the_stream() {
    for (sent, place) in
        [(&b"four"[..], PLACES[0]), (b"four", PLACES[1]), (b"sixsix", PLACES[0]), (b"sixsix", PLACES[1])]
    {
        let hostile = Hostile::new();
        let authority = hostile.authority();
        let block = fields(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", &authority),
            (":path", "/"),
            ("content-length", "5"),
        ]);
        let mut client = hostile.client(place);
        client.send(frame(HEADERS, END_HEADERS, 1, &block));
        client.send(frame(DATA, END_STREAM, 1, sent));
        assert!(matches!(verdict(&mut client.wire, 1), Verdict::Reset(_)), "{sent:?}");
        assert!(hostile.origin.all_requests().iter().all(|seen| !seen.is_whole()));
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let hostile = Hostile::new();
    let large = "x".repeat(12 << 10);
    let lines: Vec<_> = ["a", "b", "c", "d", "e", "f"].iter().map(|name| (*name, &large[..])).collect();
    let block = hostile.request(&lines);
    for place in PLACES {
        let mut client = hostile.client(place);
        let mut frames = block.chunks(16_000).peekable();
        client.send(frame(HEADERS, END_STREAM, 1, frames.next().expect("there is one")));
        while let Some(payload) = frames.next() {
            let flags = if frames.peek().is_none() { END_HEADERS } else { 0 };
            // It may be cut off in the middle.
            client.wire.send(frame(CONTINUATION, flags, 1, payload));
        }
        // With 431.
        assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered, "{place:?}");
    }
    assert!(hostile.origin.is_not_asked());
    hostile.is_healthy();
}

#[test]
fn floods_end_the_connection() {
    let hostile = Hostile::new();
    let authority = hostile.authority();
    let post = [(":method", "POST"), (":scheme", "https"), (":authority", &authority[..]), (":path", "/")];
    let post = frame(HEADERS, END_HEADERS, 1, &fields(&post));
    let begun_and_reset = |number: u32| {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &hostile.request(&[]));
        [head, frame(RST_STREAM, 0, 2 * number + 1, &CANCEL.to_be_bytes())].concat()
    };
    let floods: &[(&str, Vec<u8>)] = &[
        ("PING", frame(PING, 0, 0, &[0; 8]).repeat(3000)),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[]).repeat(3000)),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]).repeat(3000)),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(3000)),
        ("unknown", frame(99, 0, 0, &[]).repeat(3000)),
        ("empty DATA", [post, frame(DATA, 0, 1, &[]).repeat(3000)].concat()),
        ("streams that are reset as they begin", (0..5000).flat_map(begun_and_reset).collect()),
    ];
    for (name, flood) in floods {
        for place in PLACES {
            let mut client = hostile.client(place);
            // It may be cut off in the middle; that it is, is seen by an end that comes.
            client.wire.send(flood);
            assert!(client.wire.until_close().bytes.len() < flood.len() * 2, "{name} {place:?}");
        }
    }
    hostile.is_healthy();
}

#[test]
fn streams_that_make_the_proxy_reset_them_are_bounded_too() {
    let hostile = Hostile::new();
    // CVE-2025-8671: each request is answered by a reset that the client has provoked.
    let provoking = |number: u32| {
        let stream = 2 * number + 1;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &hostile.request(&[]));
        [head, frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    };
    let flood: Vec<u8> = (0..5000).flat_map(provoking).collect();
    for place in PLACES {
        let mut client = hostile.client(place);
        client.wire.send(&flood);
        client.wire.until_close();
    }
    hostile.is_healthy();
}

#[test]
fn field_blocks_that_do_not_end_are_cut_off() {
    let hostile = Hostile::new();
    for place in PLACES {
        let mut client = hostile.client(place);
        client.send(frame(HEADERS, END_STREAM, 1, &hostile.request(&[])));
        for _ in 0..9 {
            client.wire.send(frame(CONTINUATION, 0, 1, &fields(&[("x", "1")])));
        }
        client.wire.until_close();
        // One that only waits.
        let mut client = hostile.client(place);
        client.send(frame(HEADERS, END_STREAM, 1, &hostile.request(&[])));
        hostile.world.catch_up();
        hostile.world.advance_until_closed(Duration::from_millis(2500), &mut client);
    }
    assert!(hostile.origin.is_not_asked());
}

#[test]
fn what_is_not_http_2_is_closed() {
    let hostile = Hostile::new();
    for place in PLACES {
        let mut client = hostile.silent(place);
        client.send("GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n");
        client.wire.until_close();
    }
    assert!(hostile.origin.is_not_asked());
    hostile.is_healthy();
}
