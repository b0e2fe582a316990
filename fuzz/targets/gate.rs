//! Frames through the gate in front of the `h2` crate, from a client or an origin. How they are cut means
//! nothing, what leaves are frames, and each section that leaves is the one that came, as another decoder of
//! HPACK reads both (RFC 7541, RFC 9113 §8).

use std::borrow::Cow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use fluke_hpack::Decoder;
use fluke_hpack::decoder::DecoderError;
use larder::http::grammar::is_token;
use larder::http::{Excess, Gate, SECTION_MAX, Watch};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::input::{Input, is_value};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PAYLOAD_MAX: usize = 16 << 10;
/// What one read may give: what is made ready at once, and a section behind it.
const READ_MAX: usize = 256 << 10;

const KINDS: [u8; 16] = [1, 1, 1, 1, 9, 9, 9, 0, 0, 0, 3, 4, 5, 6, 8, 77];
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// Who sends, how it is cut, and frames: kind, flags, stream, length, how often it is repeated, payload.
pub fn gate(data: &[u8]) {
    let mut input = Input(data);
    let is_client = input.number::<1>().is_multiple_of(2);
    let cut = input.number::<2>();
    let octets = made(&mut input);
    let (frames, _) = frames_of(&octets);
    let whole = passed(is_client, &octets, 0);
    let pieces = passed(is_client, &octets, cut | 1);
    check_same(&whole, &pieces);
    check_sections(is_client, &frames, &whole);
    check_sections(is_client, &frames, &pieces);
}

#[derive(Clone, Debug, PartialEq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn made(input: &mut Input<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    while !input.0.is_empty() && out.len() < 1 << 20 {
        let what = input.number::<1>() as u8;
        let (flags, stream) = (input.number::<1>() as u8, input.number::<1>() as u32 % 8);
        let length = input.number::<1>() as usize;
        let times = if what & 0x80 != 0 { input.number::<1>() as usize } else { 1 };
        let mut payload = input.take(length).repeat(times);
        payload.truncate(PAYLOAD_MAX + 1);
        let kind = KINDS[usize::from(what & 15)];
        // A block in a few frames.
        let piece = if kind == HEADERS && what & 0x40 != 0 { 1 + payload.len() / 5 } else { payload.len() };
        let (first, rest) = payload.split_at(piece.min(payload.len()));
        let ends = if rest.is_empty() { 0xff } else { !END_HEADERS };
        frame(&mut out, kind, flags & ends, stream, first);
        let mut rest = rest.chunks(piece.max(1)).peekable();
        while let Some(part) = rest.next() {
            let flags = if rest.peek().is_none() { END_HEADERS } else { 0 };
            frame(&mut out, CONTINUATION, flags, stream, part);
        }
    }
    out
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    out.extend([high, middle, low, kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// The frames in octets, and what is left of one that does not end.
fn frames_of(mut octets: &[u8]) -> (Vec<Frame>, &[u8]) {
    let mut out = Vec::new();
    while let Some((&[high, middle, low, kind, flags, a, b, c, d], rest)) = octets.split_first_chunk() {
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        out.push(Frame { kind, flags, stream, payload: payload.to_vec() });
        octets = rest;
    }
    (out, octets)
}

/// A peer that sends these octets, and takes all.
struct Wire<'a> {
    left: &'a [u8],
    cut: u64,
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut length = self.left.len().min(buffer.remaining());
        if self.cut != 0 && length > 0 {
            self.cut =
                self.cut.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = (self.cut >> 33) as usize;
            if random.is_multiple_of(7) {
                return Poll::Pending;
            }
            // Now few octets, now many.
            length = length.min(1 + (random >> 3) % if random & 8 == 0 { 12 } else { 3000 });
        }
        let (now, left) = self.left.split_at(length);
        buffer.put_slice(now);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What has passed, and how it ended.
struct Passed {
    frames: Vec<Frame>,
    rest: Vec<u8>,
    excess: Option<Excess>,
}

fn passed(is_client: bool, octets: &[u8], cut: u64) -> Passed {
    let all = if is_client { [PREFACE, octets].concat() } else { octets.to_vec() };
    let wire = Wire { left: &all, cut };
    let watch = Rc::new(Watch::new(0));
    let mut gate = match is_client {
        true => Gate::to_client(wire, watch.clone(), || 0),
        false => Gate::to_origin(wire, watch.clone(), || 0),
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut out = Vec::new();
    let mut room = vec![0; 2 * READ_MAX];
    loop {
        let size = if cut == 0 { room.len() } else { 1 + (cut as usize + out.len()) % 5000 };
        let mut buffer = ReadBuf::new(&mut room[..size]);
        match Pin::new(&mut gate).poll_read(&mut context, &mut buffer) {
            Poll::Pending => continue,
            Poll::Ready(Err(_)) => {
                assert!(watch.excess().is_some(), "it ended without a reason");
                break;
            }
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
            Poll::Ready(Ok(())) => {}
        }
        assert!(buffer.filled().len() <= READ_MAX, "{} octets at once", buffer.filled().len());
        out.extend(buffer.filled());
    }
    let out = if is_client { out.strip_prefix(PREFACE).unwrap_or_default() } else { &out };
    let (frames, rest) = frames_of(out);
    Passed { frames, rest: rest.to_vec(), excess: watch.excess() }
}

/// Frames as they mean the same: content of a stream may be cut anywhere.
fn joined(frames: &[Frame]) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    for frame in frames {
        let is_plain = |frame: &Frame| frame.kind == DATA && frame.flags & PADDED == 0;
        match out.last_mut() {
            Some(last)
                if is_plain(last)
                    && is_plain(frame)
                    && last.stream == frame.stream
                    && last.flags & END_STREAM == 0 =>
            {
                last.flags = frame.flags & END_STREAM;
                last.payload.extend(&frame.payload);
            }
            _ => {
                let flags = if is_plain(frame) { frame.flags & END_STREAM } else { frame.flags };
                out.push(Frame { flags, ..frame.clone() });
            }
        }
    }
    out
}

/// Where the reading was ended, less of what came before may have left.
fn check_same(whole: &Passed, pieces: &Passed) {
    assert_eq!(whole.excess, pieces.excess);
    let (one, other) = (joined(&whole.frames), joined(&pieces.frames));
    if whole.excess.is_none() {
        assert_eq!(one, other);
        assert_eq!(whole.rest, pieces.rest);
        return;
    }
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let Some((last, before)) = short.split_last() else { return };
    assert_eq!(before, &long[..before.len()]);
    let same = &long[before.len()];
    assert!(
        (last.kind, last.stream) == (same.kind, same.stream)
            && (last.payload.starts_with(&same.payload) || same.payload.starts_with(&last.payload))
    );
}

/// A field block: its stream, whether its stream depends on itself, and its octets.
#[derive(Debug)]
struct Block {
    stream: u32,
    is_circular: bool,
    octets: Vec<u8>,
}

/// The blocks of frames up to what is none, and whether that is all.
fn blocks(frames: &[Frame]) -> (Vec<Block>, bool) {
    let mut out = Vec::new();
    let mut open: Option<Block> = None;
    for frame in frames {
        let is_next =
            frame.kind == CONTINUATION && open.as_ref().is_some_and(|block| block.stream == frame.stream);
        let mut block = match open.take() {
            Some(mut block) if is_next => {
                block.octets.extend(&frame.payload);
                block
            }
            None if frame.kind == HEADERS && frame.stream != 0 => match begun(frame) {
                Some(block) => block,
                None => return (out, false),
            },
            None if !matches!(frame.kind, HEADERS | CONTINUATION) => continue,
            _ => return (out, false),
        };
        if frame.payload.len() > PAYLOAD_MAX {
            return (out, false);
        }
        match frame.flags & END_HEADERS != 0 {
            true => out.push(block),
            false => {
                block.octets.reserve(1);
                open = Some(block);
            }
        }
    }
    (out, open.is_none())
}

/// RFC 9113 §6.2.
fn begun(frame: &Frame) -> Option<Block> {
    let mut payload = &frame.payload[..];
    let mut padding = 0;
    if frame.flags & PADDED != 0 {
        padding = usize::from(*payload.split_off_first()?);
    }
    let mut is_circular = false;
    if frame.flags & PRIORITY != 0 {
        let (priority, rest) = payload.split_first_chunk::<5>()?;
        let [a, b, c, d, _] = *priority;
        is_circular = u32::from_be_bytes([a & 0x7f, b, c, d]) == frame.stream;
        payload = rest;
    }
    let octets = payload.get(..payload.len().checked_sub(padding)?)?.to_vec();
    Some(Block { stream: frame.stream, is_circular, octets })
}

/// What another decoder makes of a block; `None` for what is not HPACK. It is given line by line, since it takes
/// sizes of the table anywhere, and panics where one does not end.
fn decoded(decoder: &mut Decoder<'_>, mut block: &[u8]) -> Option<Lines> {
    let mut lines = Vec::new();
    while let Some(first) = block.first() {
        let is_size = (0x20..0x40).contains(first);
        // RFC 7541 §4.2: "at the beginning of the first header block following the change".
        if is_size && !lines.is_empty() {
            return None;
        }
        let mut rest = block;
        skip_line(&mut rest)?;
        let (line, behind) = block.split_at(block.len() - rest.len());
        block = behind;
        let add =
            |name: Cow<'_, [u8]>, value: Cow<'_, [u8]>| lines.push((name.into_owned(), value.into_owned()));
        match decoder.decode_with_cb(line, add) {
            Ok(()) => {}
            Err(DecoderError::SizeUpdateAtEnd) if is_size => {}
            Err(_) => return None,
        }
    }
    Some(lines)
}

/// RFC 7541 §6.
fn skip_line(octets: &mut &[u8]) -> Option<()> {
    let first = *octets.first()?;
    let prefix = match first {
        0x80.. => 7,
        0x40.. => 6,
        0x20.. => 5,
        _ => 4,
    };
    let index = skip_integer(octets, prefix)?;
    if matches!(prefix, 7 | 5) {
        return Some(());
    }
    for _ in 0..if index == 0 { 2 } else { 1 } {
        let length = skip_integer(octets, 7)?;
        *octets = octets.get(length..)?;
    }
    Some(())
}

/// RFC 7541 §5.1, of five octets at most.
fn skip_integer(octets: &mut &[u8], prefix: u32) -> Option<usize> {
    let mask = (1 << prefix) - 1;
    let mut value = usize::from(*octets.split_off_first()?) & mask;
    for shift in [0, 7, 14, 21] {
        if value < mask && shift == 0 {
            return Some(value);
        }
        let octet = usize::from(*octets.split_off_first()?);
        value += (octet & 127) << shift;
        if octet < 128 {
            return Some(value);
        }
    }
    None
}

fn check_sections(is_client: bool, sent: &[Frame], passed: &Passed) {
    let (sent, is_all) = blocks(sent);
    let (left, _) = blocks(&passed.frames);
    let mut decoder = Decoder::new();
    decoder.set_max_allowed_table_size(4096);
    let mut count = 0;
    for (number, block) in sent.iter().enumerate() {
        let Some(came) = decoded(&mut decoder, &block.octets) else {
            assert!(passed.excess.is_some(), "what is not HPACK has passed");
            return;
        };
        // What was ready when the reading ended may not have left.
        let Some(left) = left.get(number) else { continue };
        let went = decoded(&mut Decoder::new(), &left.octets).expect("HPACK");
        assert_eq!(left.stream, block.stream);
        check_section(is_client, block.is_circular, &came, &went);
        count += 1;
    }
    match passed.excess {
        None if is_all => assert_eq!((count, left.len()), (sent.len(), sent.len())),
        // The block that could not be decoded has been found above.
        Some(Excess::Compression) if is_all => panic!("HPACK is taken for something else: {:?}", sent.last()),
        _ => {}
    }
}

fn check_section(is_client: bool, is_circular: bool, came: &Lines, went: &Lines) {
    let size: usize = came.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    let is_control = |name: &[u8]| name.starts_with(b":");
    let refused: Lines = vec![(b"connection".to_vec(), b"close".to_vec())];
    if *went == refused {
        let may_be_trailers = came.iter().any(|(name, _)| is_control(name));
        assert!(
            is_circular || is_malformed(came) || may_be_trailers || size >= SECTION_MAX,
            "refused: {came:?}"
        );
        return;
    }
    assert!(!is_circular && !is_malformed(came), "passed: {came:?}");
    let host = came.iter().find(|(name, _)| name == b"host");
    let without = match (went.split_first(), host) {
        (Some(((name, value), rest)), Some((_, host)))
            if is_client && name == b":authority" && value == host && went.len() > came.len() =>
        {
            assert!(came.iter().all(|(name, _)| name != b":authority"));
            rest
        }
        _ => &went[..],
    };
    if without == came {
        return;
    }
    // With the authority that is written in front it may reach the limit.
    let added = host.map_or(0, |(_, host)| host.len() + 42);
    assert!(is_client && size + added >= SECTION_MAX, "{size} octets were made other ones");
    let control: Lines = came.iter().filter(|(name, _)| is_control(name)).cloned().collect();
    let went: Lines =
        went.iter().filter(|(name, _)| control.iter().any(|(of, _)| of == name)).cloned().collect();
    assert_eq!(went, control);
}

/// RFC 9113 §8.2, §8.3: whatever it is and wherever it stands.
fn is_malformed(lines: &Lines) -> bool {
    let regular = lines.iter().position(|(name, _)| !name.starts_with(b":")).unwrap_or(lines.len());
    let (control, fields) = lines.split_at(regular);
    let is_twice = |at: usize| control.iter().skip(at + 1).any(|(name, _)| *name == control[at].0);
    (0..control.len()).any(is_twice)
        || control.iter().any(|(name, value)| match &name[..] {
            b":method" => !is_token(value),
            b":status" => value.len() != 3 || !value.iter().all(u8::is_ascii_digit) || value[0] == b'0',
            b":authority" | b":scheme" | b":path" | b":protocol" => std::str::from_utf8(value).is_err(),
            _ => true,
        })
        || fields.iter().any(|(name, value)| {
            !is_token(name) || name.iter().any(u8::is_ascii_uppercase) || !is_value(value) || {
                let connection =
                    ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];
                connection.iter().any(|of| name == of.as_bytes()) || name == b"te" && value != b"trailers"
            }
        })
}

/// A frame as the target's input.
fn item(what: u8, flags: u8, stream: u8, times: u8, payload: &[u8]) -> Vec<u8> {
    let front = match what & 0x80 {
        0 => vec![what, flags, stream, payload.len() as u8],
        _ => vec![what, flags, stream, payload.len() as u8, times],
    };
    [front, payload.to_vec()].concat()
}

/// Literals, added to the table or not.
fn literals(first: u8, lines: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in lines {
        out.extend([first, name.len() as u8]);
        out.extend(name.as_bytes());
        out.push(value.len() as u8);
        out.extend(*value);
    }
    out
}

pub fn gate_seeds() -> Vec<Vec<u8>> {
    let get = [
        0x82, 0x87, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    let with = |more: Vec<u8>| [&get[..], &more].concat();
    let ends = END_STREAM | END_HEADERS;
    let long = literals(0x40, &[("x", &[b'v'; 120])]);
    let client = [
        [item(0, ends, 1, 1, &get), item(0, ends, 3, 1, &[0x82, 0x87, 0x84, 0xbe])].concat(),
        [item(0x40, END_HEADERS, 1, 1, &with(long.clone())), item(7, 0, 1, 1, b"ab"), item(7, 1, 1, 1, b"c")]
            .concat(),
        item(0, ends | PADDED | PRIORITY, 5, 1, &[&[2, 0, 0, 0, 3, 9][..], &get, &[0, 0]].concat()),
        item(0, ends, 1, 1, &[&[0x82, 0x87, 0x84][..], &literals(0, &[("host", b"a.example")])].concat()),
        item(0, ends, 1, 1, &with(literals(0, &[(":path", b"/"), ("te", b"gzip")]))),
        [item(0x80, 0, 1, 1, &with(long.clone())), item(0x84, END_HEADERS, 1, 200, &[0xbe, 0xbe, 0xbe])]
            .concat(),
        [
            item(0, ends, 1, 1, &[&[0x3f, 0xe1, 0x1f, 0x20, 0x3f, 0x45][..], &get].concat()),
            item(12, END_HEADERS, 1, 1, &[&[0, 0, 0, 2][..], &get].concat()),
            item(13, 1, 0, 1, &[0; 8]),
        ]
        .concat(),
        [item(0, 0, 1, 1, &get), item(7, 0, 1, 1, b"x"), item(15, 0, 0, 1, b"unknown")].concat(),
    ];
    let origin = [
        [item(0, END_HEADERS, 1, 1, &[0x88]), item(0x87, 0, 1, 40, b"content"), item(0, ends, 1, 1, &long)]
            .concat(),
        [item(0, END_HEADERS, 1, 1, &[0x88]), item(10, 0, 1, 1, &[0; 4]), item(11, 0, 0, 1, &[0; 6])]
            .concat(),
    ];
    let of = |who: u8| move |frames: &Vec<u8>| [&[who, 0x12, 0x34][..], frames].concat();
    client.iter().map(of(0)).chain(origin.iter().map(of(1))).collect()
}
