//! Clients that speak HTTP/2 inside their tunnels.

use http::Request;

use crate::support::{Answer, Certificates, Gate, Http2, Origin, World, noise};

/// A world that intercepts HTTPS, and an origin with TLS.
fn secure() -> (World, Origin) {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    (world, Origin::start_tls(certificates.server("origin.example").into()))
}

fn authority(origin: &Origin) -> String {
    format!("origin.example:{}", origin.address().port())
}

fn client(world: &World, origin: &Origin) -> Http2 {
    world.http2(&authority(origin))
}

#[test]
fn streams_are_exchanges_like_others() {
    let (world, origin) = secure();
    origin.on_path("/a", Answer::fresh(60, "hello"));
    let url = origin.https_url("origin.example", "/a");
    let mut client = client(&world, &origin);
    let first = client.get(&url);
    assert_eq!((first.status(), first.text(), first.is_hit()), (200, "hello", false));
    assert_eq!(first.field("connection"), "");
    let second = client.get(&url);
    assert!(second.is_hit(), "{second:?}");
    assert_eq!(second.field("content-length"), "5");
    assert_eq!(origin.request("/a").head.field("Via").map(|via| &via[..4]), Some("2.0 "));
    assert!(world.client().get(&url).is_hit(), "HTTP/1 gets the same");
}

#[test]
fn several_streams_are_under_way_at_once() {
    let (world, origin) = secure();
    let gate = Gate::new();
    origin.on_path("/slow", Answer::ok("slow").after(&gate));
    origin.on_path("/quick", Answer::ok("quick"));
    let mut client = client(&world, &origin);
    let slow = Request::get(origin.https_url("origin.example", "/slow")).body(()).expect("valid");
    let waiting = client.begin(slow);
    gate.is_reached();
    assert_eq!(client.get(&origin.https_url("origin.example", "/quick")).text(), "quick");
    gate.open();
    assert_eq!(client.finish(waiting).expect("a response").text(), "slow");
}

#[test]
fn content_goes_both_ways_with_and_without_a_length() {
    let (world, origin) = secure();
    let content = noise(1 << 20);
    origin.on_path("/told", Answer::ok(&content));
    origin.on_path("/untold", Answer::status(200).chunked_with_trailers(&["hel", "lo"], &[("X-Sum", "5")]));
    let mut client = client(&world, &origin);
    for (path, length) in [("/told", Some(content.len())), ("/untold", None)] {
        let mut request = Request::post(origin.https_url("origin.example", path));
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let answered = client.request(request.body(()).expect("valid"), Some(&content)).expect("a response");
        assert_eq!(answered.status(), 200);
        let seen = origin.request(path);
        assert!(seen.body.as_ref().is_some_and(|body| body.bytes == content), "{path}");
        assert_eq!(seen.head.has("Content-Length"), length.is_some());
        if path == "/told" {
            assert!(answered.content == content);
        } else {
            assert_eq!(answered.text(), "hello");
            assert_eq!(answered.trailers.expect("trailers")["x-sum"], "5");
        }
    }
}

#[test]
fn a_response_that_breaks_off_resets_its_stream_alone() {
    let (world, origin) = secure();
    origin.on_path("/", Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").close());
    origin.on_path("/whole", Answer::ok("whole"));
    let mut client = client(&world, &origin);
    let request = Request::get(origin.https_url("origin.example", "/")).body(()).expect("valid");
    let error = client.request(request, None).expect_err("it is not whole");
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
    assert_eq!(client.get(&origin.https_url("origin.example", "/whole")).text(), "whole");
}

#[test]
fn heads_without_content_end_their_streams() {
    let (world, origin) = secure();
    origin.on_path("/204", Answer::status(204).end_of_head());
    origin.on_path("/head", Answer::ok("hello"));
    let mut client = client(&world, &origin);
    assert_eq!(client.get(&origin.https_url("origin.example", "/204")).status(), 204);
    let head = Request::head(origin.https_url("origin.example", "/head")).body(()).expect("valid");
    let answered = client.request(head, None).expect("a response");
    assert_eq!((answered.status(), answered.field("content-length"), answered.text()), (200, "5", ""));
}

#[test]
fn another_authority_is_misdirected_and_a_blocked_one_refused() {
    let (world, origin) = secure();
    let mut client = client(&world, &origin);
    assert_eq!(client.get("https://other.example/").status(), 421);
    assert_eq!(client.get(&format!("http://{}/", authority(&origin))).status(), 421);
    assert!(origin.is_not_asked());
}

#[test]
fn a_websocket_is_opened_by_an_extended_connect() {
    let (world, origin) = secure();
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    let echo = Answer::raw(switch).run(|wire| {
        let said = wire.exactly(4).bytes;
        wire.send([&b"you said "[..], &said].concat());
    });
    origin.on_path("/chat", echo.close());
    let mut client = client(&world, &origin);
    // Behind the first answer, the settings are known.
    assert_eq!(client.get(&origin.https_url("origin.example", "/")).status(), 404);
    assert!(client.has_extended_connect());
    let mut request = Request::connect(origin.https_url("origin.example", "/chat"));
    request = request.header("sec-websocket-version", "13");
    let mut request = request.body(()).expect("valid");
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (head, mut stream) = client.open(request).expect("a tunnel");
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["sec-websocket-protocol"], "chat");
    assert!(!head.headers().contains_key("sec-websocket-accept"));
    stream.send(b"ping");
    let mut said = Vec::new();
    while let Some(octets) = stream.receive() {
        said.extend(octets);
    }
    assert_eq!(said, b"you said ping");
    let seen = origin.request("/chat");
    assert_eq!((seen.head.part(0), seen.head.field("Upgrade")), ("GET", Some("websocket")));
    assert_eq!(seen.head.field("Sec-WebSocket-Key").map(str::len), Some(24));
}

#[test]
fn interim_responses_are_forwarded() {
    let (world, origin) = secure();
    origin.on_path(
        "/",
        Answer::raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            .send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    );
    assert_eq!(client(&world, &origin).get(&origin.https_url("origin.example", "/")).text(), "hello");
}

#[test]
fn each_stream_has_its_line_in_the_log() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.access_log = Some(larder::log::Format::Combined);
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let mut client = client(&world, &origin);
    for path in ["/a", "/b"] {
        client.get(&origin.https_url("origin.example", path));
    }
    world.has_served(3);
    drop(client);
    let lines = world.into_log();
    for (line, path) in lines.iter().skip(1).zip(["/a", "/b"]) {
        assert!(line.contains(&format!("{path} HTTP/2.0\" 200")), "{line}");
    }
}

#[test]
fn a_reset_stream_gives_its_place_back() {
    let (world, origin) = secure();
    let gate = Gate::new();
    origin.otherwise(Answer::ok("late").after(&gate));
    let mut client = client(&world, &origin);
    let request = |number: usize| {
        let url = origin.https_url("origin.example", &format!("/{number}"));
        Request::get(url).body(()).expect("valid")
    };
    let waiting: Vec<_> = (0..100).map(|number| client.begin(request(number))).collect();
    gate.is_reached_by(100);
    waiting.into_iter().for_each(|waiting| client.reset(waiting));
    // Their exchanges are over, although the origin has not answered.
    world.has_served(101);
    let next = client.begin(request(100));
    gate.is_reached_by(101);
    gate.open();
    assert_eq!(client.finish(next).expect("a place").text(), "late");
}

#[test]
fn a_draining_proxy_lets_streams_finish() {
    let (world, origin) = secure();
    let gate = Gate::new();
    origin.on_path("/", Answer::ok("late").after(&gate));
    let mut client = client(&world, &origin);
    let waiting =
        client.begin(Request::get(origin.https_url("origin.example", "/")).body(()).expect("valid"));
    gate.is_reached();
    world.server().drain();
    gate.open();
    assert_eq!(client.finish(waiting).expect("a response").text(), "late");
}
