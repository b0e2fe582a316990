//! The gate in front of the `h2` crate: what one stream's fields may be, its connection survives, and what ends
//! the connection says so (RFC 9113 §8.1.1, §8.2, §8.4).

use crate::support::frames::{
    END_HEADERS, END_STREAM, FrameOrigin, HEADERS, PROTOCOL_ERROR, PUSH_PROMISE, Verdict, fields, frame,
    verdict,
};
use crate::support::{Certificates, World};

use super::http2_frames::{Frames, goodbye, in_frames};

/// A request whose authority is in `Host` alone.
fn with_host(host: &[u8]) -> Vec<u8> {
    let mut block = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/")]);
    let at = block.len();
    // Put together with a name as long as the value, so that its length is written once.
    block.extend(fields(&[("host", &"h".repeat(host.len()))]));
    let from = block.len() - host.len();
    assert!(from > at);
    block[from..].copy_from_slice(host);
    block
}

#[test]
fn a_malformed_section_ends_its_stream_alone_however_many_frames_it_takes() {
    let frames = Frames::new();
    let mut client = frames.client();
    let large = "v".repeat(20_000);
    let lines: [(&str, &[(&str, &str)]); 7] = [
        ("connection", &[("connection", "close"), ("x", &large)]),
        ("connection in the last frame", &[("x", &large), ("connection", "close")]),
        ("keep-alive", &[("keep-alive", "1"), ("x", &large)]),
        ("te", &[("te", "gzip"), ("x", &large)]),
        ("a pseudo-field twice", &[(":path", "/other"), ("x", &large)]),
        ("a late pseudo-field", &[("x", &large), (":protocol", "websocket"), ("y", "1")]),
        ("an unknown pseudo-field", &[(":x", "1"), ("x", &large)]),
    ];
    let mut stream = 1;
    for (name, lines) in lines {
        client.send(in_frames(stream, &frames.block("GET", "/", lines)));
        assert_eq!(verdict(&mut client.wire, stream), Verdict::Reset(PROTOCOL_ERROR), "{name}");
        client.send(frames.get(stream + 2));
        assert_eq!(verdict(&mut client.wire, stream + 2), Verdict::Answered, "{name}");
        stream += 4;
    }
}

#[test]
fn a_host_that_can_not_be_an_authority_ends_its_stream_alone() {
    let frames = Frames::new();
    let mut client = frames.client();
    let large = vec![b'h'; 65_000];
    let hosts: [(&str, &[u8]); 4] = [
        ("not UTF-8", b"\xff"),
        ("half a character", b"a.example\xc3"),
        ("longer than an authority may be", &large[..9000]),
        ("as large as all fields may be", &large),
    ];
    let mut stream = 1;
    for (name, host) in hosts {
        client.send(in_frames(stream, &with_host(host)));
        assert_eq!(verdict(&mut client.wire, stream), Verdict::Reset(PROTOCOL_ERROR), "{name}");
        client.send(frames.get(stream + 2));
        assert_eq!(verdict(&mut client.wire, stream + 2), Verdict::Answered, "{name}");
        stream += 4;
    }
}

#[test]
fn fields_at_the_limit_are_answered() {
    let frames = Frames::new();
    let mut client = frames.client();
    // Fifteen fields of 4,096 as RFC 9113 §6.5.2 counts them, and one that fills what is left.
    let filled = |last: usize| {
        let (many, last) = ("v".repeat(4096 - 33), "v".repeat(last));
        let mut lines = vec![("x", many.as_str()); 15];
        lines.push(("x", last.as_str()));
        frames.block("GET", "/", &lines)
    };
    // It counts 32 for a field. The block has 3 octets for one, and two more where a value is long.
    let counted = filled(0).len() - 15 * 2 + 20 * (32 - 3);
    for (number, octets) in [65_534, 65_535, 65_536, 65_537].into_iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        client.send(in_frames(stream, &filled(octets - counted)));
        assert_eq!(verdict(&mut client.wire, stream), Verdict::Answered, "{octets}");
    }
}

#[test]
fn a_client_that_pushes_is_told_that_it_may_not() {
    let frames = Frames::new();
    let mut client = frames.client();
    let promise = [&[0, 0, 0, 2][..], &frames.block("GET", "/", &[("connection", "close")])].concat();
    client.send([frames.post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &promise)].concat());
    assert_eq!(goodbye(&mut client.wire), Some(PROTOCOL_ERROR));
}

#[test]
fn an_origin_that_pushes_is_left_and_asked_again() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let origin = FrameOrigin::start(certificates.server("origin.example"), |wire, before, stream| {
        if before == 0 {
            // It is malformed, which alone would concern its stream; its line would join the table.
            let mut promised = fields(&[(":method", "GET"), ("connection", "close"), ("x", "1")]);
            promised[0] = 0x40;
            let promise = [&[0, 0, 0, 2][..], &promised].concat();
            wire.send(frame(PUSH_PROMISE, END_HEADERS, stream, &promise));
        }
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&[(":status", "200")])));
    });
    let mut client = world.http2(&origin.authority());
    let ask = |number: u32| format!("https://{}/{number}", origin.authority());
    assert_eq!(client.get(&ask(1)).status(), 200);
    assert_eq!(origin.heads(), 2);
}
