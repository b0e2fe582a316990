//! Group 3, towards origins: what a response of HTTP/2 is, what is asked again, and how long is waited.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::sync::Notify;

use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, FrameOrigin, GOAWAY, HEADERS, OPENING, REFUSED_STREAM, RST_STREAM, fields,
    frame,
};
use crate::support::{Certificates, Client, Http2Answer, Http2Origin, Response, World, noise, request};

fn secure() -> (World, Http2Origin) {
    secure_taking(100)
}

fn secure_taking(streams: u32) -> (World, Http2Origin) {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    (world, Http2Origin::taking(streams, certificates.server("origin.example")))
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

fn post(origin: &Http2Origin, path: &str) -> Request<()> {
    Request::post(origin.url(path)).body(()).expect("valid")
}

#[test]
fn case_3_1_a_response_that_ends_with_its_stream_is_stored() {
    let (world, origin) = secure();
    let gzip = ("content-encoding", "gzip");
    let cases: [(&str, Vec<_>, Vec<Bytes>, _); 5] = [
        ("/plain", vec![FRESH], vec![Bytes::from("hello")], None),
        ("/pieces", vec![FRESH], vec![Bytes::from("hel"), Bytes::from("lo")], None),
        ("/gzip", vec![FRESH, gzip], vec![Bytes::from_static(b"\x1f\x8b\x08")], None),
        ("/empty", vec![FRESH], vec![], None),
        ("/trailers", vec![FRESH], vec![Bytes::from("hello")], Some(("x-sum", "5"))),
    ];
    for (path, fields, pieces, trailers) in cases {
        let content = pieces.concat();
        origin.on_path(path, Http2Answer::Whole(fields, pieces, trailers));
        let mut client = world.client();
        let first = client.get(&origin.url(path));
        let status = first.field("Cache-Status").unwrap_or_default().to_owned();
        assert!(status.contains("; stored") && !status.contains("detail"), "{path}: {status}");
        let second = client.get(&origin.url(path));
        assert!(second.is_hit(), "{path}: {second:?}");
        assert_eq!(second.body.bytes, content, "{path}");
        let inside = world.http2(&origin.authority()).get(&origin.url(path));
        assert!(inside.is_hit() && inside.content == content, "{path}: {inside:?}");
    }
}

#[test]
fn case_3_1_a_large_response_without_a_length_is_stored() {
    let (world, origin) = secure();
    let content = Bytes::from(noise(1 << 20));
    origin.on_path("/", Http2Answer::Whole(vec![FRESH], vec![content.clone()], None));
    assert!(world.client().get(&origin.url("/")).body.bytes == content);
    let again = world.client().get(&origin.url("/"));
    assert!(again.is_hit() && again.body.bytes == content);
}

#[test]
fn case_3_1_a_stream_that_breaks_off_is_not_complete() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.trust(&certificates));
    let head = |stream| frame(HEADERS, END_HEADERS, stream, &fields(&[(":status", "200"), FRESH]));
    let origin = FrameOrigin::start(certificates.server("origin.example"), move |wire, number, stream| {
        wire.send(head(stream));
        wire.send(frame(DATA, 0, stream, b"hello"));
        match number {
            0 => drop(wire.send(frame(RST_STREAM, 0, stream, &[0, 0, 0, 2]))),
            // RFC 9113 §8.1: NO_ERROR behind a whole response alone means that it is whole.
            1 => drop(wire.send(frame(RST_STREAM, 0, stream, &[0; 4]))),
            _ => wire.half_close(),
        }
    });
    let url = format!("https://{}/", origin.authority());
    for _ in 0..3 {
        let response = world.client().get(&url);
        assert!(!response.is_whole() && !response.is_hit(), "{response:?}");
    }
    assert_eq!(world.shared.store.usage().objects, 0);
}

#[test]
fn case_3_2_te_trailers_is_passed_on() {
    let (world, origin) = secure();
    origin.on_path("/", Http2Answer::Whole(Vec::new(), vec![], None));
    let mut client = world.http2(&origin.authority());
    let with_te = |mut request: Request<()>| {
        request.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
        request
    };
    client.request(with_te(post(&origin, "/")), Some(b"ask")).expect("a response");
    client.request(with_te(post(&origin, "/")), None).expect("a response");
    client
        .request(with_te(Request::get(origin.url("/")).body(()).expect("valid")), None)
        .expect("a response");
    client.request(post(&origin, "/"), Some(b"ask")).expect("a response");
    let fields = [("TE", "trailers, gzip;q=0.5"), ("Connection", "TE")];
    world.client().get_with(&origin.url("/"), &fields);
    let told: Vec<_> = origin
        .requests(5)
        .iter()
        .map(|seen| seen.head.headers.get("te").map(|te| te.to_str().expect("text").to_owned()))
        .collect();
    let trailers = || Some("trailers".to_owned());
    assert_eq!(told, [trailers(), trailers(), trailers(), None, trailers()]);
}

/// What the first requests get on their streams; others get an answer.
fn unwilling(certificates: &Certificates, refusals: usize, refusal: fn(u32) -> Vec<u8>) -> FrameOrigin {
    FrameOrigin::start(certificates.server("origin.example"), move |wire, number, stream| {
        if number < refusals {
            wire.send(refusal(stream));
            return;
        }
        wire.send(frame(HEADERS, END_HEADERS, stream, &fields(&[(":status", "200")])));
        wire.send(frame(DATA, END_STREAM, stream, b"hello"));
    })
}

/// GOAWAY that says of this stream that it was not looked at.
fn goes_away(stream: u32) -> Vec<u8> {
    let last = stream.saturating_sub(2);
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn refuses(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes())
}

fn uploads(client: &mut Client, origin: &FrameOrigin, content: &[u8]) -> Response {
    client.request("POST", &format!("https://{}/", origin.authority()), &[], content)
}

#[test]
fn case_3_4_what_was_not_processed_is_sent_again() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.trust(&certificates));
    for refusal in [goes_away, refuses] {
        for (refusals, expected) in [(1, 200), (3, 200), (4, 502)] {
            let origin = unwilling(&certificates, refusals, refusal);
            let response = uploads(&mut world.client(), &origin, b"hello");
            assert_eq!((response.status(), origin.heads()), (expected, refusals.min(3) + 1), "{response:?}");
        }
        // Content of an unknown length is at hand, too.
        let origin = unwilling(&certificates, 1, refusal);
        let url = format!("https://{}/", origin.authority());
        let mut client = world.client();
        client.send(request("POST", &url, &[("Transfer-Encoding", "chunked")], ""));
        client.send("5\r\nhello\r\n0\r\n\r\n");
        assert_eq!((client.response().status(), origin.heads()), (200, 2));
    }
}

#[test]
fn case_3_4_content_that_is_gone_is_not_sent_again() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.trust(&certificates));
    // The window of a stream is 65,535 octets at first: the refusal comes behind all of these.
    let origin = FrameOrigin::start(certificates.server("origin.example"), |wire, _, stream| {
        wire.send(frame(8, 0, 0, &(1u32 << 20).to_be_bytes()));
        wire.send(frame(8, 0, stream, &(1u32 << 20).to_be_bytes()));
        let mut left = 100_000;
        while left > 0 {
            let header = wire.exactly(9).bytes;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            wire.exactly(length);
            left -= if header[3] == DATA { length } else { 0 };
        }
        wire.send(refuses(stream));
    });
    assert_eq!(uploads(&mut world.client(), &origin, &noise(100_000)).status(), 502);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn case_3_5_streams_above_the_origins_limit_get_another_connection() {
    let (world, origin) = secure_taking(5);
    let held = Arc::new(Notify::new());
    let path = |number: usize| format!("/{number}");
    let mut waiting: Vec<_> = (0..12)
        .map(|number| {
            origin.on_path(&path(number), Http2Answer::Held(held.clone(), "late"));
            let mut client = world.client();
            client.send(request("GET", &origin.url(&path(number)), &[], ""));
            // All of these are under way at once.
            origin.requests(number + 1);
            client
        })
        .collect();
    assert_eq!(origin.connection_count(), 3);
    held.notify_waiters();
    for client in &mut waiting {
        assert_eq!(client.response().text(), "late");
    }
    origin.on_path("/next", Http2Answer::Whole(Vec::new(), vec![Bytes::from("next")], None));
    assert_eq!(world.client().get(&origin.url("/next")).text(), "next");
    assert_eq!(origin.connection_count(), 3);
}

#[test]
fn case_3_8_a_head_may_take_as_long_inside_as_a_tunnel_may_be_silent() {
    let (world, origin) = secure();
    let held = Arc::new(Notify::new());
    for upload in [None, Some(&b"ask"[..])] {
        origin.on_path("/", Http2Answer::Held(held.clone(), "late"));
        let before = origin.requests(0).len();
        let mut client = world.http2(&origin.authority());
        let waiting = match upload {
            None => client.begin(Request::get(origin.url("/")).body(()).expect("valid")),
            Some(content) => client.begin_with(post(&origin, "/"), Some(content)),
        };
        origin.requests(before + 1);
        world.catch_up();
        for _ in 0..5 {
            world.advance(110);
            world.catch_up();
        }
        held.notify_one();
        assert_eq!(client.finish(waiting).expect("an answer").text(), "late");
    }
    // Outside, the origin's own time holds.
    let mut client = world.client();
    client.send(request("GET", &origin.url("/"), &[], ""));
    origin.requests(3);
    world.advance_until_heard(Duration::from_secs(121), &mut client);
    assert_eq!(client.response().status(), 504);
}

#[test]
fn case_3_8_content_may_be_silent_inside_as_long_as_a_tunnel() {
    let (world, origin) = secure();
    let held = Arc::new(Notify::new());
    origin.on_path("/events", Http2Answer::Paused(held.clone(), "first", "second"));
    for method in ["GET", "POST"] {
        let before = origin.requests(0).len();
        let mut client = world.http2(&origin.authority());
        let request = Request::builder().method(method).uri(origin.url("/events")).body(()).expect("valid");
        let waiting = client.begin_with(request, (method == "POST").then_some(&b"ask"[..]));
        origin.requests(before + 1);
        world.catch_up();
        for _ in 0..5 {
            world.advance(110);
            world.catch_up();
        }
        held.notify_one();
        assert_eq!(client.finish(waiting).expect("an answer").text(), "firstsecond", "{method}");
    }
}

#[test]
fn case_3_8_a_silent_tunnel_ends_inside_too() {
    let (world, origin) = secure();
    let held = Arc::new(Notify::new());
    origin.on_path("/", Http2Answer::Held(held, "never"));
    let mut client = world.inside(&origin.authority());
    client.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", origin.authority()));
    origin.requests(1);
    world.advance_until_heard(Duration::from_secs(601), &mut client);
    assert_eq!(client.response().status(), 504);
}

/// gRPC tells a call that fails at once in a head that ends its stream.
#[test]
fn case_3_2_a_head_that_ends_its_stream_stays_one() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let origin = FrameOrigin::start(certificates.server("origin.example"), |wire, _, stream| {
        let head = fields(&[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "9")]);
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
    });
    let mut config = world.trusting();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = world.inside_with(&origin.authority(), config);
    client.send(OPENING);
    let authority = origin.authority();
    let post =
        [(":method", "POST"), (":scheme", "https"), (":authority", &authority[..]), (":path", "/call")];
    client.send(frame(HEADERS, END_HEADERS, 1, &fields(&post)));
    client.send(frame(DATA, END_STREAM, 1, b"ask"));
    loop {
        let header = client.wire.exactly(9).bytes;
        client.wire.exactly(u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize);
        assert_ne!(header[3], DATA);
        if header[3] == HEADERS {
            assert_ne!(header[4] & END_STREAM, 0, "the head ends its stream");
            return;
        }
    }
}
