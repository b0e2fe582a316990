//! Group 3, S1, S3, S12, S15, S22, as frames: what an honest client is never cut off for, and how others end.

use http::Request;

use crate::support::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FrameOrigin, GOAWAY, HEADERS,
    OPENING, PING, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS, Verdict, WINDOW_UPDATE,
    fields, frame, next_frame, verdict,
};
use crate::support::{Answer, Certificates, Client, Gate, Setup, Wire, World};

pub(super) struct Frames {
    pub(super) world: World,
    authority: String,
}

impl Frames {
    pub(super) fn new() -> Frames {
        let world = World::with(Setup::listen_within_tls);
        world.origin.otherwise(Answer::fresh(60, "x"));
        Frames { authority: world.origin.authority(), world }
    }

    pub(super) fn client(&self) -> Client {
        let mut config = self.world.trusting();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = Client::connect(self.world.proxy_within_tls()).within_tls(config, "localhost");
        client.send(OPENING);
        client
    }

    /// A request's field block with these lines.
    pub(super) fn block(&self, method: &str, path: &str, lines: &[(&str, &str)]) -> Vec<u8> {
        let control =
            [(":method", method), (":scheme", "http"), (":authority", &self.authority[..]), (":path", path)];
        fields(&[&control[..], lines].concat())
    }

    pub(super) fn get(&self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &self.block("GET", "/", &[]))
    }

    pub(super) fn post(&self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, stream, &self.block("POST", "/post", &[]))
    }
}

/// A field block in as many frames as it takes.
pub(super) fn in_frames(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut pieces = block.chunks(16_000).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let ends = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let flags = if kind == HEADERS { ends | END_STREAM } else { ends };
        out.extend(frame(kind, flags, stream, piece));
        kind = CONTINUATION;
    }
    out
}

/// The code of the GOAWAY that a connection ends with.
pub(super) fn goodbye(wire: &mut Wire) -> Option<u32> {
    let mut code = None;
    while let Some((kind, _, payload)) = next_frame(wire) {
        if kind == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().expect("four octets")));
        }
    }
    code
}

/// Reads until a stream has ended.
fn until_end(wire: &mut Wire, stream: u32) {
    loop {
        let header = wire.exactly(9).bytes;
        let [high, middle, low, kind, flags, of @ ..] = &header[..] else {
            panic!("the connection has ended")
        };
        wire.exactly(u32::from_be_bytes([0, *high, *middle, *low]) as usize);
        assert_ne!(*kind, GOAWAY);
        let is_of = u32::from_be_bytes(of.try_into().expect("four octets")) == stream;
        if is_of && flags & END_STREAM != 0 && matches!(*kind, DATA | HEADERS) {
            return;
        }
    }
}

#[test]
fn case_3_3_a_window_update_for_each_hit_is_honest() {
    let frames = Frames::new();
    let mut client = frames.client();
    for number in 0..1200 {
        let stream = 2 * number + 1;
        client.send(frames.get(stream));
        until_end(&mut client.wire, stream);
        let one = [0, 0, 0, 1];
        client.send(
            [
                frame(WINDOW_UPDATE, 0, 0, &one),
                frame(WINDOW_UPDATE, 0, stream, &one),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
        );
    }
}

#[test]
fn case_3_3_a_message_each_way_is_honest() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    // An origin that answers each message with one, and with all that gRPC sends besides.
    let origin = FrameOrigin::start(certificates.server("origin.example"), |wire, _, stream| {
        wire.send(frame(HEADERS, END_HEADERS, stream, &fields(&[(":status", "200")])));
        for _ in 0..3000 {
            while !matches!(next_frame(wire), None | Some((DATA, _, _))) {}
            let update = |stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 6]);
            wire.send(
                [frame(DATA, 0, stream, b"answer"), update(0), update(stream), frame(PING, 0, 0, &[0; 8])]
                    .concat(),
            );
        }
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&[("grpc-status", "0")])));
        wire.send(frame(RST_STREAM, 0, stream, &[0; 4]));
    });
    let mut client = world.http2(&origin.authority());
    let url = format!("https://{}/", origin.authority());
    let (head, mut open) = client.open(Request::post(&url).body(()).expect("valid")).expect("an answer");
    assert_eq!(head.status(), 200);
    for number in 0..3000 {
        open.send(b"asking");
        let mut answer = Vec::new();
        while answer.len() < 6 {
            answer.extend(open.receive().unwrap_or_else(|| panic!("answer {number}")));
        }
    }
    assert_eq!(open.receive(), None);
}

#[test]
fn case_s1_frames_that_carry_nothing_end_with_a_goaway() {
    let frames = Frames::new();
    let opened = |again: Vec<u8>| [frames.post(1), again.repeat(3000)].concat();
    let begun_and_reset = |number: u32| {
        let stream = 2 * number + 1;
        [frames.get(stream), frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
    };
    let floods: [(&str, Vec<u8>); 9] = [
        ("PING that answers nothing", frame(PING, 1, 0, &[7; 8]).repeat(3000)),
        ("PING", frame(PING, 0, 0, &[0; 8]).repeat(3000)),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[]).repeat(3000)),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]).repeat(3000)),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(3000)),
        ("unknown", frame(99, 0, 0, &[1, 2, 3]).repeat(3000)),
        ("empty DATA", opened(frame(DATA, 0, 1, &[]))),
        ("padding", opened(frame(DATA, 8, 1, &[1, 0]))),
        ("streams that are reset as they begin", (0..5000).flat_map(begun_and_reset).collect()),
    ];
    for (name, flood) in &floods {
        let mut client = frames.client();
        client.wire.send(flood);
        // Padding is content to the flow control: its window is full first.
        let expected = if *name == "padding" { None } else { Some(ENHANCE_YOUR_CALM) };
        if expected.is_some() {
            assert_eq!(goodbye(&mut client.wire), expected, "{name}");
        }
    }
    let mut client = frames.client();
    client.send(frames.get(1));
    assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered);
}

#[test]
fn case_s1_an_origin_that_goes_on_behind_a_502_is_cut_off() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.trust(&certificates));
    let (ended, end) = std::sync::mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let origin = FrameOrigin::start(certificates.server("origin.example"), move |wire, _, stream| {
        let interim = frame(HEADERS, END_HEADERS, stream, &fields(&[(":status", "103"), ("link", "</a>")]));
        while wire.send(interim.repeat(50)) {}
        ended.lock().expect("no panic").send(()).expect("somebody waits");
    });
    assert_eq!(world.client().get(&format!("https://{}/", origin.authority())).status(), 502);
    end.recv_timeout(crate::support::HANG_GUARD).expect("the connection ends");
}

#[test]
fn case_s12_content_in_single_octets_is_carried() {
    let frames = Frames::new();
    frames.world.origin.on_path("/post", Answer::ok("taken"));
    let mut client = frames.client();
    client.send(frames.post(1));
    let content = vec![b'o'; 20_000];
    let single: Vec<u8> = content.iter().flat_map(|octet| frame(DATA, 0, 1, &[*octet])).collect();
    client.send(single);
    client.send(frame(DATA, END_STREAM, 1, &[]));
    assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered);
    let seen = frames.world.origin.all_requests();
    assert!(seen.iter().any(|seen| seen.body.as_ref().is_some_and(|body| body.bytes == content)));
}

#[test]
fn case_s15_host_stands_in_for_the_authority() {
    let frames = Frames::new();
    let block =
        fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", &frames.authority)]);
    let mut client = frames.client();
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered);
    assert_eq!(frames.world.origin.all_requests().len(), 1);
    // Two of them name nobody.
    let block = fields(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        ("host", &frames.authority),
        ("host", "other.example"),
    ]);
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &block));
    assert_eq!(verdict(&mut client.wire, 3), Verdict::Reset(PROTOCOL_ERROR));
}

#[test]
fn case_s22_a_malformed_field_concerns_its_stream_alone() {
    let frames = Frames::new();
    let mut client = frames.client();
    // A stream that is open all the while.
    client.send(frames.post(1));
    let cases = [
        ("x", "a\u{1}b"),
        ("x", "a\u{1f}"),
        ("x", "a\u{7f}b"),
        ("x", "a\0b"),
        ("x", "a\r\nb"),
        ("Upper", "1"),
        ("a b", "1"),
        ("", "1"),
        (":unknown", "1"),
        (":method", "G T"),
        (":status", "20"),
        ("connection", "close"),
    ];
    let mut stream = 3;
    for line in cases {
        let block = frames.block("GET", "/", &[line]);
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        assert_eq!(verdict(&mut client.wire, stream), Verdict::Reset(PROTOCOL_ERROR), "{line:?}");
        stream += 2;
    }
    client.send(frame(DATA, END_STREAM, 1, b"whole"));
    assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered);
}

#[test]
fn case_s22_too_many_fields_are_told() {
    let frames = Frames::new();
    let mut client = frames.world.http2_within_tls();
    let request = |count: usize| {
        let mut request = Request::get(frames.world.url("/")).body(()).expect("valid");
        for number in 0..count {
            let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
            request.headers_mut().insert(name, http::HeaderValue::from_static("1"));
        }
        request
    };
    for (count, expected) in [(130, 431), (100, 200), (400, 431), (0, 200)] {
        let answered = client.request(request(count), None).expect("an answer");
        assert_eq!(answered.status(), expected, "{count}");
    }
}

#[test]
fn case_3_6_a_field_block_above_the_limit_concerns_its_stream_alone() {
    let frames = Frames::new();
    let mut client = frames.client();
    client.send(frames.post(1));
    let lines = |count, length| vec![("cookie", "c".repeat(length)); count];
    let cases =
        [lines(1, 70_000), lines(10, 10_000), lines(60, 15_000), lines(1, 400_000), lines(4, 200_000)];
    for (number, lines) in cases.iter().enumerate() {
        let stream = 3 + 2 * number as u32;
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, &value[..])).collect();
        client.send(in_frames(stream, &frames.block("GET", "/", &lines)));
        // 431; one that names no path is reset.
        assert_eq!(verdict(&mut client.wire, stream), Verdict::Answered, "{number}");
    }
    let path = "/".repeat(100_000);
    client.send(in_frames(31, &frames.block("GET", &path, &[])));
    assert_eq!(verdict(&mut client.wire, 31), Verdict::Reset(PROTOCOL_ERROR));
    // The table of both sides is what it was.
    let mut block = frames.block("GET", "/", &[("x", "1")]);
    let line = fields(&[("x", "1")]).len();
    let at = block.len() - line;
    block[at] = 0x40;
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 33, &block));
    assert_eq!(verdict(&mut client.wire, 33), Verdict::Answered);
    let again = [&frames.block("GET", "/", &[])[..], &[0xbe]].concat();
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 35, &again));
    assert_eq!(verdict(&mut client.wire, 35), Verdict::Answered);
    client.send(frame(DATA, END_STREAM, 1, b"whole"));
    assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered);
}

#[test]
fn case_3_6_an_origins_head_above_the_limit_concerns_its_stream_alone() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.trust(&certificates));
    let origin = FrameOrigin::start(certificates.server("origin.example"), |wire, number, stream| {
        if number == 0 {
            return;
        }
        let large = fields(&[(":status", "200"), ("x", &"y".repeat(100_000))]);
        wire.send(in_frames(stream, &large));
        wire.send(frame(HEADERS, END_HEADERS, 1, &fields(&[(":status", "200")])));
        wire.send(frame(DATA, END_STREAM, 1, b"hello"));
    });
    let url = |path: &str| format!("https://{}{path}", origin.authority());
    let mut first = world.client();
    first.send(crate::support::request("GET", &url("/first"), &[], ""));
    crate::support::eventually("a request", || origin.heads() == 1);
    assert_eq!(world.client().get(&url("/large")).status(), 502);
    assert_eq!(first.response().text(), "hello");
}

#[test]
fn case_3_7_streams_that_are_reset_give_their_places_back_at_once() {
    let frames = Frames::new();
    let gate = Gate::new();
    frames.world.origin.on_path("/slow", Answer::ok("late").after(&gate));
    let mut client = frames.client();
    let slow = |number: u32| {
        let block = frames.block("GET", "/slow", &[("x-number", &number.to_string())]);
        frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block)
    };
    client.send((0..100).flat_map(slow).collect::<Vec<u8>>());
    frames.world.catch_up();
    let resets = (0..50).flat_map(|number| frame(RST_STREAM, 0, 2 * number + 1, &CANCEL.to_be_bytes()));
    client.send(resets.chain((100..150).flat_map(slow)).collect::<Vec<u8>>());
    frames.world.catch_up();
    gate.open();
    for number in 50..150 {
        let mut seen = Verdict::Closed;
        while seen == Verdict::Closed {
            let (kind, _, _) = next_frame(&mut client.wire).expect("the connection goes on");
            assert_ne!(kind, RST_STREAM, "{number}");
            if kind == HEADERS {
                seen = Verdict::Answered;
            }
        }
    }
}

#[test]
fn case_s3_fields_are_bounded_by_what_they_decode_to() {
    let frames = Frames::new();
    let gate = Gate::new();
    frames.world.origin.on_path("/slow", Answer::ok("late").after(&gate));
    let mut client = frames.client();
    // A line of 4,000 octets goes into the table; then it is named 14 times by one octet each.
    let mut block = frames.block("GET", "/", &[]);
    let at = block.len();
    block.extend(fields(&[("x", &"y".repeat(4000))]));
    block[at] = 0x40;
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered);
    let named = [&frames.block("GET", "/slow", &[])[..], &[0xbe; 14]].concat();
    let asks = |number: u32| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &named);
    client.send((1..100).flat_map(asks).collect::<Vec<u8>>());
    let refused = (1..100).filter(|number| {
        // The last one is answered in its turn: refused streams alone are told before the origin answers.
        *number > 18 && verdict(&mut client.wire, 2 * number + 1) == Verdict::Reset(REFUSED_STREAM)
    });
    assert!(refused.count() >= 70);
    gate.open();
    client.send(frames.get(1001));
    assert_eq!(verdict(&mut client.wire, 1001), Verdict::Answered);
}
