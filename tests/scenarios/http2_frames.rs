//! What a client may not do with frames (RFC 9113 §4 to §6), and field blocks that are not (RFC 7541):
//! each has its error code, and the next client is served.

use http::Request;

use crate::support::frames::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
    HEADERS, OPENING, PADDED, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS,
    STREAM_CLOSED, Verdict, WINDOW_UPDATE, fields, frame, next_frame, verdict,
};
use crate::support::{Answer, Client, Setup, World};

struct Frames {
    world: World,
    /// The field block of an honest request, and of one whose content follows.
    get: Vec<u8>,
    post: Vec<u8>,
}

impl Frames {
    fn new() -> Frames {
        let world = World::with(Setup::listen_within_tls);
        world.origin.otherwise(Answer::fresh(60, "hello"));
        let authority = world.origin.authority();
        let request = |method| {
            fields(&[(":method", method), (":scheme", "http"), (":authority", &authority), (":path", "/")])
        };
        Frames { get: request("GET"), post: request("POST"), world }
    }

    fn client(&self) -> Client {
        let mut config = self.world.trusting();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = Client::connect(self.world.proxy_within_tls()).within_tls(config, "localhost");
        client.send(OPENING);
        client
    }

    /// How the proxy answers on stream 1, or to the connection.
    fn told(&self, octets: &[u8]) -> Verdict {
        let mut client = self.client();
        client.send(octets);
        verdict(&mut client.wire, 1)
    }

    fn get(&self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &self.get)
    }

    /// The head of a request on stream 1 whose content is still to come.
    fn post(&self) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, 1, &self.post)
    }

    /// Others are served, and nothing has come of what was refused.
    fn is_healthy(&self) {
        assert!(self.world.origin.is_not_asked());
        let usage = self.world.shared.store.usage();
        assert_eq!((usage.objects, usage.filling_bytes), (0, 0));
        let mut client = self.world.http2_within_tls();
        let request = Request::get(self.world.url("/")).body(()).expect("a request");
        assert_eq!(client.request(request, None).expect("a response").text(), "hello");
    }
}

/// Whether the connection ends with this code, or with the unspecific one, which the `h2` crate has for
/// sizes of frames and for field blocks.
fn is_connection_error(found: &Verdict, code: u32) -> bool {
    [Verdict::GoAway(code), Verdict::GoAway(PROTOCOL_ERROR)].contains(found)
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

#[test]
fn an_honest_client_is_answered() {
    let frames = Frames::new();
    assert_eq!(frames.told(&frames.get(1)), Verdict::Answered);
    let padded = [&[3][..], &frames.get, &[0; 3]].concat();
    let padded = frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, &padded);
    assert_eq!(frames.told(&padded), Verdict::Answered);
    let (begin, rest) = frames.get.split_at(9);
    let continued =
        [frame(HEADERS, END_STREAM, 1, begin), frame(CONTINUATION, END_HEADERS, 1, rest)].concat();
    assert_eq!(frames.told(&continued), Verdict::Answered);
    // RFC 9113 §4.1: unknown kinds and flags are ignored.
    let unknown = [frame(99, 0xff, 0, b"anything"), frame(PING, 0xf0, 0, &[0; 8]), frames.get(1)].concat();
    assert_eq!(frames.told(&unknown), Verdict::Answered);
}

#[test]
fn frames_that_break_the_connection() {
    let frames = Frames::new();
    let in_post = |rest: Vec<u8>| [frames.post(), rest].concat();
    let cases: &[(&str, Vec<u8>, u32)] = &[
        ("SETTINGS of 5 octets", frame(SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), PROTOCOL_ERROR),
        ("an acknowledgement with content", frame(SETTINGS, 1, 0, &[0; 6]), FRAME_SIZE_ERROR),
        ("a window over 2^31-1", setting(4, 1 << 31), FLOW_CONTROL_ERROR),
        ("frames below 2^14", setting(5, (1 << 14) - 1), PROTOCOL_ERROR),
        ("frames over 2^24-1", setting(5, 1 << 24), PROTOCOL_ERROR),
        ("a push that is 2", setting(2, 2), PROTOCOL_ERROR),
        ("PING of 7 octets", frame(PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        ("PING on a stream", frame(PING, 0, 1, &[0; 8]), PROTOCOL_ERROR),
        ("a connection's window by 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), PROTOCOL_ERROR),
        (
            "a connection's window too far",
            frame(WINDOW_UPDATE, 0, 0, &[127, 255, 255, 255]),
            FLOW_CONTROL_ERROR,
        ),
        ("WINDOW_UPDATE of 3 octets", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), FRAME_SIZE_ERROR),
        ("WINDOW_UPDATE of an idle stream", frame(WINDOW_UPDATE, 0, 5, &[0, 0, 0, 1]), PROTOCOL_ERROR),
        ("DATA on no stream", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        ("DATA on an idle stream", frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
        ("DATA that is all padding and more", in_post(frame(DATA, PADDED, 1, &[9, 0])), PROTOCOL_ERROR),
        ("HEADERS on no stream", frame(HEADERS, END_HEADERS | END_STREAM, 0, &frames.get), PROTOCOL_ERROR),
        ("HEADERS on a server's stream", frames.get(2), PROTOCOL_ERROR),
        ("RST_STREAM of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), PROTOCOL_ERROR),
        ("RST_STREAM of no stream", frame(RST_STREAM, 0, 0, &[0; 4]), PROTOCOL_ERROR),
        ("RST_STREAM of 3 octets", in_post(frame(RST_STREAM, 0, 1, &[0; 3])), FRAME_SIZE_ERROR),
        ("PRIORITY of no stream", frame(PRIORITY, 0, 0, &[0; 5]), PROTOCOL_ERROR),
        ("a promise of a client's", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), PROTOCOL_ERROR),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &frames.get), PROTOCOL_ERROR),
        (
            "a frame within a field block",
            [frame(HEADERS, 0, 1, &frames.get), frame(PING, 0, 0, &[0; 8])].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "CONTINUATION of another stream",
            [frame(HEADERS, 0, 1, &frames.get), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            PROTOCOL_ERROR,
        ),
        ("a frame over 2^14", in_post(frame(DATA, 0, 1, &[0; (16 << 10) + 1])), FRAME_SIZE_ERROR),
    ];
    let told = cases.iter().map(|(name, octets, code)| (name, frames.told(octets), *code));
    let wrong: Vec<_> = told.filter(|(_, found, code)| !is_connection_error(found, *code)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    frames.is_healthy();
}

#[test]
fn frames_that_break_a_stream() {
    let frames = Frames::new();
    let in_post = |rest: Vec<u8>| [frames.post(), rest].concat();
    let cases: &[(&str, Vec<u8>, u32)] = &[
        ("a stream's window by 0", in_post(frame(WINDOW_UPDATE, 0, 1, &[0; 4])), PROTOCOL_ERROR),
        (
            "a stream's window too far",
            in_post(frame(WINDOW_UPDATE, 0, 1, &[127, 255, 255, 255])),
            FLOW_CONTROL_ERROR,
        ),
        (
            "trailers that go on",
            in_post(frame(HEADERS, END_HEADERS, 1, &fields(&[("x", "1")]))),
            PROTOCOL_ERROR,
        ),
    ];
    for (name, octets, code) in cases {
        let found = frames.told(octets);
        assert!([Verdict::Reset(*code), Verdict::GoAway(*code)].contains(&found), "{name}: {found:?}");
    }
    // A request whose end did not come is none, whatever of it has left.
    assert!(frames.world.origin.all_requests().iter().all(|seen| !seen.is_whole()));
}

#[test]
fn data_behind_the_end_of_a_stream_is_an_error() {
    let frames = Frames::new();
    let mut client = frames.client();
    client.send(frames.get(1));
    assert_eq!(verdict(&mut client.wire, 1), Verdict::Answered);
    client.send(frame(DATA, 0, 1, b"more"));
    let found = verdict(&mut client.wire, 1);
    assert!(
        found == Verdict::Reset(STREAM_CLOSED) || is_connection_error(&found, STREAM_CLOSED),
        "{found:?}"
    );
    // A number that was used, and one that is lower than another's.
    for second in [3, 1] {
        let mut client = frames.client();
        client.send([frames.get(3), frames.get(second)].concat());
        let found = verdict(&mut client.wire, 1);
        assert!(is_connection_error(&found, STREAM_CLOSED), "{second}: {found:?}");
    }
}

#[test]
fn field_blocks_that_are_none() {
    let frames = Frames::new();
    let cases: &[(&str, Vec<u8>)] = &[
        ("index 0", vec![0x80]),
        ("an index beyond both tables", vec![0xff, 0x80, 0x01]),
        ("an index without its end", vec![0xff, 0x80]),
        ("an index over 32 bits", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("a table larger than it may be", vec![0x3f, 0xe1, 0xff, 0x03]),
        ("a string longer than the block", vec![0x00, 0x05, b'a']),
        ("a Huffman code that is all padding", vec![0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'x']),
    ];
    let told = |block: &Vec<u8>| frames.told(&frame(HEADERS, END_HEADERS | END_STREAM, 1, block));
    let told = cases.iter().map(|(name, block)| (name, told(block)));
    let wrong: Vec<_> = told.filter(|(_, found)| !is_connection_error(found, COMPRESSION_ERROR)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    frames.is_healthy();
}

#[test]
fn a_small_field_block_that_becomes_a_large_one_is_refused() {
    let frames = Frames::new();
    // A field of 3,000 octets goes into the table; then it is named by one octet, 4,000 times.
    let mut block = frames.get.clone();
    block.extend(fields(&[("x", &"y".repeat(3000))]));
    let into_table = frames.get.len();
    block[into_table] = 0x40;
    block.extend([0xbe; 4000]);
    let mut client = frames.client();
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    let found = verdict(&mut client.wire, 1);
    // 431, and the connection goes on.
    assert_eq!(found, Verdict::Answered);
    client.send(frames.get(3));
    assert_eq!(verdict(&mut client.wire, 3), Verdict::Answered);
}

#[test]
fn fields_that_are_too_large_are_told_where_host_names_the_authority() {
    let frames = Frames::new();
    let (authority, large) = (frames.world.origin.authority(), "y".repeat(3000));
    let control = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let mut block = fields(&[&control[..], &[("x", &large)]].concat());
    let line = block.len() - fields(&[("x", &large)]).len();
    block[line] = 0x40;
    block.extend([0xbe; 100]);
    block.extend(fields(&[("host", &authority)]));
    let mut client = frames.client();
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    let answer = std::iter::from_fn(|| next_frame(&mut client.wire)).find(|(kind, ..)| *kind == HEADERS);
    // The status 431, with the Huffman code.
    let head = answer.expect("a response").2;
    assert!(head.windows(4).any(|octets| octets == [0x83, 0x69, 0x90, 0xff]), "{head:x?}");
    frames.is_healthy();
}

#[test]
fn a_tunnel_is_asked_for_by_method_and_authority_alone() {
    let frames = Frames::new();
    let authority = frames.world.origin.authority();
    let (method, to) = ((":method", "CONNECT"), (":authority", &authority[..]));
    let (scheme, path) = ((":scheme", "http"), (":path", "/"));
    let websocket = (":protocol", "websocket");
    let cases: &[&[(&str, &str)]] = &[
        &[method, to, scheme],
        &[method, to, path],
        &[method, to, scheme, path],
        &[method],
        &[method, ("host", &authority)],
        &[method, (":authority", "origin.example")],
        &[method, (":authority", "origin.example:0")],
        &[method, (":authority", "origin.example:65536")],
        &[method, (":authority", "u@origin.example:443")],
        &[method, (":authority", "")],
        &[method, to, ("host", "other.example:443")],
        &[method, to, ("connection", "close")],
        // RFC 8441 §4: with a protocol, all of them.
        &[method, to, websocket],
        &[method, to, websocket, scheme],
        &[method, to, websocket, path],
        &[method, to, scheme, path, (":protocol", "connect-udp")],
        &[method, to, scheme, path, (":protocol", "")],
        &[(":method", "GET"), to, scheme, path, websocket],
    ];
    for lines in cases {
        let found = frames.told(&frame(HEADERS, END_HEADERS, 1, &fields(lines)));
        let expected = [Verdict::Reset(PROTOCOL_ERROR), Verdict::GoAway(PROTOCOL_ERROR)];
        assert!(expected.contains(&found), "{lines:?}: {found:?}");
    }
    frames.is_healthy();
}
