//! The frames of a peer, looked at before the `h2` crate sees them; without any I/O.
//!
//! Field blocks are taken whole, decoded, judged and written anew. Small frames of content on one stream
//! that come behind one another become one frame, since each costs much more than its octets. Frames of
//! unknown kinds and acknowledgements of nothing are left out. All else passes as it is.

use std::rc::Rc;

use bytes::{Buf as _, BytesMut};

use super::frames::{FrameHeader, HEADER, PAYLOAD_MAX, PREFACE, flag, kind};
use super::hpack::Decoder;
use super::meter::Excess;
use super::section::{Judged, Place, Section, Sender};
use super::watch::{RequestFields, Watch};

/// Content of a frame that is put together with others; arbitrary.
const SMALL: usize = 1024;
/// Octets of one field block as they come. What is above the limit on sections is decoded all the same,
/// because the table that follows depends on it.
const BLOCK_MAX: usize = 1024 * 1024;
/// CONTINUATION frames of one block, and octets that allow for one more (RFC 9113 §6.10).
const CONTINUATIONS: usize = 8;
const OCTETS_PER_CONTINUATION: usize = 1024;
/// Octets that are made ready at once.
const READY_MAX: usize = 64 * 1024;

/// What a peer sends.
pub(super) struct Incoming {
    sender: Sender,
    watch: Rc<Watch>,
    /// Not looked at yet.
    input: BytesMut,
    /// Octets that pass as they are: of the preface, or of a payload.
    passing: usize,
    /// Octets of a payload that are left out.
    dropping: usize,
    /// The stream whose content passes, and is counted.
    is_content: bool,
    decoder: Decoder,
    block: Option<Block>,
    /// The last frame that was made ready, where more content may be put into it.
    joint: Option<Joint>,
    /// The highest stream that the peer has named in a HEADERS frame.
    highest: u32,
    /// Frames, and 4 KiB of content, since the peer was last silent.
    pub work: usize,
}

/// A field block that has not ended.
struct Block {
    section: Section,
    octets: usize,
    continuations: usize,
}

/// A frame of small content.
struct Joint {
    header: FrameHeader,
    /// Where it begins in what is ready.
    at: usize,
}

/// What became of a frame.
#[derive(PartialEq, Eq)]
enum Looked {
    Yes,
    /// More of it must come first.
    Incomplete,
}

impl Incoming {
    pub(super) fn new(sender: Sender, watch: Rc<Watch>) -> Incoming {
        Incoming {
            sender,
            watch,
            input: BytesMut::new(),
            passing: if sender == Sender::Client { PREFACE } else { 0 },
            dropping: 0,
            is_content: false,
            decoder: Decoder::default(),
            block: None,
            joint: None,
            highest: 0,
            work: 0,
        }
    }

    /// Takes octets that have come.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// What is left of a frame that did not end.
    pub(super) fn take_rest(&mut self) -> BytesMut {
        std::mem::take(&mut self.input)
    }

    /// Content that may go to its reader unseen, in octets.
    pub(super) fn content_left(&self) -> usize {
        if self.input.is_empty() && self.is_content { self.passing } else { 0 }
    }

    /// So much of it has gone.
    pub(super) fn content_passed(&mut self, octets: usize) {
        self.passing = self.passing.saturating_sub(octets);
        self.work += 1 + octets / 4096;
    }

    /// What was made ready has left in part.
    pub(super) fn handed_over(&mut self) {
        self.joint = None;
    }

    /// The last stream that was looked at, for a GOAWAY.
    pub(super) fn last_stream(&self) -> u32 {
        if self.sender == Sender::Client { self.highest } else { 0 }
    }

    /// Looks at what has come, as far as it goes.
    pub(super) fn look(&mut self, ready: &mut BytesMut, now_ms: u64) -> Result<(), Excess> {
        while ready.len() < READY_MAX && !self.input.is_empty() {
            if self.dropping > 0 {
                let length = self.dropping.min(self.input.len());
                self.input.advance(length);
                self.dropping -= length;
            } else if self.passing > 0 {
                let length = self.passing.min(self.input.len());
                ready.extend_from_slice(&self.input.split_to(length));
                self.passing -= length;
                self.joint = None;
            } else {
                let Some(header) = FrameHeader::of(&self.input) else { return Ok(()) };
                if self.frame(header, ready, now_ms)? == Looked::Incomplete {
                    return Ok(());
                }
                self.work += 1;
            }
        }
        Ok(())
    }

    fn frame(&mut self, header: FrameHeader, ready: &mut BytesMut, now_ms: u64) -> Result<Looked, Excess> {
        let is_large = header.length > PAYLOAD_MAX;
        // RFC 9113 §8.4: "A client cannot push", and Larder lets no origin push: "the receipt of a
        // PUSH_PROMISE frame" is "a connection error". Its field block would change the state that is decoded.
        if header.kind == kind::PUSH_PROMISE {
            return Err(Excess::Promise);
        }
        if let Some(block) = &self.block {
            let goes_on = header.kind == kind::CONTINUATION && header.stream == block.section.stream;
            if !goes_on || is_large {
                // RFC 9113 §6.10: nothing may come in between. The crate says so when it sees it.
                let stream = block.section.stream;
                FrameHeader { length: 0, kind: kind::HEADERS, flags: 0, stream }.write(ready);
                self.block = None;
                self.watch.block(None);
                return Ok(self.pass(header, ready));
            }
        }
        let is_block = header.kind == kind::HEADERS || self.block.is_some();
        if is_block && !is_large && header.stream != 0 {
            if self.input.len() < HEADER + header.length {
                return Ok(Looked::Incomplete);
            }
            self.pay(&header, now_ms)?;
            return self.fields(header, ready, now_ms);
        }
        if header.kind == kind::DATA
            && header.length <= SMALL
            && !header.has(flag::PADDED)
            && header.stream != 0
        {
            if self.input.len() < HEADER + header.length {
                return Ok(Looked::Incomplete);
            }
            self.pay(&header, now_ms)?;
            self.small_content(header, ready);
            return Ok(Looked::Yes);
        }
        let is_ack = matches!(header.kind, kind::PING) && header.has(flag::ACK) && header.length == 8;
        let is_unasked = is_ack && !self.watch.meter.borrow_mut().is_asked(header.kind);
        self.pay(&header, now_ms)?;
        // What is too large for any frame is for the crate to refuse.
        if is_unasked || (header.kind > kind::LAST && !is_large) {
            self.input.advance(HEADER);
            self.dropping = header.length;
            return Ok(Looked::Yes);
        }
        match header.kind {
            kind::RST_STREAM => self.watch.resets(header.stream),
            kind::DATA if header.has(flag::END_STREAM) => self.watch.ends_sending(header.stream),
            _ => {}
        }
        Ok(self.pass(header, ready))
    }

    fn pay(&mut self, header: &FrameHeader, now_ms: u64) -> Result<(), Excess> {
        self.watch.meter.borrow_mut().received(header, now_ms)
    }

    /// Lets a frame pass as it is.
    fn pass(&mut self, header: FrameHeader, ready: &mut BytesMut) -> Looked {
        ready.extend_from_slice(&self.input.split_to(HEADER));
        self.passing = header.length;
        self.is_content = header.kind == kind::DATA;
        self.joint = None;
        Looked::Yes
    }

    /// A frame of little content is put into the one before, where that is of the same stream.
    fn small_content(&mut self, header: FrameHeader, ready: &mut BytesMut) {
        let is_end = header.has(flag::END_STREAM);
        if is_end {
            self.watch.ends_sending(header.stream);
        }
        let joint = self.joint.take().filter(|joint| {
            joint.header.stream == header.stream && joint.header.length + header.length <= PAYLOAD_MAX
        });
        self.input.advance(HEADER);
        let content = self.input.split_to(header.length);
        let mut joint = match joint {
            Some(joint) => joint,
            // It says nothing at all.
            None if content.is_empty() && !is_end && header.stream <= self.highest => return,
            None => {
                let at = ready.len();
                let header = FrameHeader { length: 0, flags: 0, ..header };
                header.write(ready);
                Joint { header, at }
            }
        };
        joint.header.length += content.len();
        joint.header.flags = header.flags;
        ready.extend_from_slice(&content);
        if let Some(written) = ready.get_mut(joint.at..joint.at + HEADER) {
            written.copy_from_slice(&joint.header.octets());
        }
        self.joint = Some(joint).filter(|_| !is_end);
    }

    /// A frame of a field block, which is here whole.
    fn fields(&mut self, header: FrameHeader, ready: &mut BytesMut, now_ms: u64) -> Result<Looked, Excess> {
        self.joint = None;
        let Some(fragment) = self.fragment(&header, now_ms) else { return Ok(self.pass(header, ready)) };
        let Some(mut block) = self.block.take() else { return Ok(Looked::Yes) };
        block.octets += header.length;
        if block.octets > BLOCK_MAX {
            return Err(Excess::FieldBlock);
        }
        if block.continuations > CONTINUATIONS + block.octets / OCTETS_PER_CONTINUATION {
            return Err(Excess::Continuations);
        }
        let decoded = self.decoder.push(&fragment, |line| block.section.add(line));
        decoded.map_err(|_undecodable| Excess::Compression)?;
        if !header.has(flag::END_HEADERS) {
            self.block = Some(block);
            return Ok(Looked::Yes);
        }
        self.decoder.end().map_err(|_undecodable| Excess::Compression)?;
        self.watch.block(None);
        self.section(block.section, ready, now_ms)?;
        Ok(Looked::Yes)
    }

    /// The fragment of a field block in a frame (RFC 9113 §6.2), taken off the input. `None` for a frame whose
    /// padding is not there, which is for the crate to refuse.
    fn fragment(&mut self, header: &FrameHeader, now_ms: u64) -> Option<BytesMut> {
        let payload = self.input.get(HEADER..HEADER + header.length)?;
        if header.kind == kind::CONTINUATION {
            if let Some(block) = &mut self.block {
                block.continuations += 1;
            }
            self.input.advance(HEADER);
            return Some(self.input.split_to(header.length));
        }
        let mut first = 0;
        let mut last = header.length;
        if header.has(flag::PADDED) {
            last = last.checked_sub(usize::from(*payload.first()?))?;
            first += 1;
        }
        let mut depends_on = None;
        if header.has(flag::PRIORITY) {
            let dependency = payload.get(first..first + 4)?.try_into().ok()?;
            depends_on = Some(u32::from_be_bytes(dependency) & 0x7fff_ffff);
            first += 5;
        }
        payload.get(first..last)?;
        let place = match self.sender {
            Sender::Client if header.stream > self.highest => Place::First,
            Sender::Client if self.watch.is_receiving(header.stream) => Place::Trailer,
            Sender::Client | Sender::Origin => Place::Other,
        };
        let mut section = Section::new(header, place);
        if depends_on == Some(header.stream) {
            // RFC 7540 §5.3.1: "A stream cannot depend on itself."
            section.spoil();
        }
        self.highest = self.highest.max(header.stream);
        self.block = Some(Block { section, octets: 0, continuations: 0 });
        self.watch.block(Some(now_ms));
        self.input.advance(HEADER);
        let mut fragment = self.input.split_to(header.length);
        fragment.truncate(last);
        fragment.advance(first);
        Some(fragment)
    }

    fn section(&mut self, mut section: Section, ready: &mut BytesMut, now_ms: u64) -> Result<(), Excess> {
        self.watch.meter.borrow_mut().decoded(section.size, now_ms)?;
        let (stream, begins, is_end) = (section.stream, section.begins_message(), section.is_end);
        let (is_client, octets) = (self.sender == Sender::Client, section.octets());
        let has_room = !is_client || !begins || self.watch.has_room(octets);
        if !has_room {
            section.empty();
        }
        if is_client && section.is_trailer() && !self.watch.holds_trailers(stream, octets) {
            section.spoil();
        }
        let judged = section.write(self.sender, ready);
        if is_client && begins && judged != Judged::Malformed {
            let (fields, octets) = match judged {
                _ if !has_room => (RequestFields::NoRoom, 0),
                Judged::TooLarge => (RequestFields::TooLarge, octets),
                Judged::WellFormed | Judged::Malformed => (RequestFields::Whole, octets),
            };
            self.watch.begins(stream, fields, octets)?;
        }
        if is_end {
            self.watch.ends_sending(stream);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader { length: payload.len(), kind, flags, stream };
        [&header.octets()[..], payload].concat()
    }

    /// What is made ready of these octets, without the preface, and how many frames that are.
    fn ready(sender: Sender, octets: &[u8], size: usize) -> Result<(Vec<u8>, usize), Excess> {
        let watch = Rc::new(Watch::new(0));
        let (mut incoming, mut out) = (Incoming::new(sender, watch), Vec::new());
        incoming.passing = 0;
        for piece in octets.chunks(size) {
            incoming.push(piece);
            loop {
                let mut ready = BytesMut::new();
                incoming.look(&mut ready, 0)?;
                incoming.handed_over();
                if ready.is_empty() {
                    break;
                }
                out.extend_from_slice(&ready);
            }
        }
        let (mut passing, mut frames) = (super::super::frames::Passing::new(0), 0);
        passing.push(&out, |_| frames += 1);
        Ok((out, frames))
    }

    #[test]
    fn small_frames_of_one_stream_become_one() {
        let single: Vec<u8> = (0..1000).flat_map(|number| frame(kind::DATA, 0, 1, &[number as u8])).collect();
        let all = [single, frame(kind::DATA, flag::END_STREAM, 1, &[])].concat();
        let (out, frames) = ready(Sender::Origin, &all, 1 << 20).expect("content is free");
        assert_eq!(frames, 1);
        let header = FrameHeader::of(&out).expect("a frame");
        assert_eq!((header.length, header.flags, header.stream), (1000, flag::END_STREAM, 1));
        assert!(out[HEADER..].iter().enumerate().all(|(number, octet)| *octet == number as u8));
        // Other streams, other kinds and what was ended stay apart.
        let apart = [
            frame(kind::DATA, 0, 1, b"a"),
            frame(kind::DATA, 0, 3, b"b"),
            frame(kind::DATA, flag::END_STREAM, 3, b"c"),
            frame(kind::DATA, 0, 3, b"d"),
            frame(8, 0, 3, &[0, 0, 0, 1]),
            frame(kind::DATA, 0, 3, b"e"),
            frame(kind::DATA, 0, 3, &[b'f'; SMALL + 1]),
            frame(kind::DATA, 0, 3, b"g"),
        ];
        assert_eq!(ready(Sender::Origin, &apart.concat(), 1 << 20).expect("few").1, 7);
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let head = frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x88]);
        let nothing = [
            frame(kind::DATA, 0, 1, &[]),
            frame(kind::PING, flag::ACK, 0, &[0; 8]),
            frame(99, 0, 0, &[1; 500]),
        ];
        for size in [1, 7, 1 << 20] {
            let all = [&head[..], &nothing.concat()].concat();
            assert_eq!(ready(Sender::Origin, &all, size).expect("few").1, 1, "{size}");
        }
    }

    #[test]
    fn what_the_crate_refuses_passes() {
        let cases = [
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[0x88]),
            frame(kind::HEADERS, flag::END_HEADERS, 0, &[0x88]),
            frame(kind::HEADERS, flag::END_HEADERS | flag::PADDED, 1, &[9, 0x88]),
            frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x88; PAYLOAD_MAX + 1]),
            frame(kind::DATA, 0, 0, b"a"),
        ];
        for case in cases {
            assert_eq!(ready(Sender::Client, &case, 1 << 20).expect("one").0, case);
        }
        let within = [frame(kind::HEADERS, 0, 1, &[0x88]), frame(kind::DATA, 0, 1, b"a")].concat();
        let (out, frames) = ready(Sender::Client, &within, 1 << 20).expect("few");
        assert_eq!((frames, &out[HEADER..]), (2, &within[HEADER + 1..]));
    }

    #[test]
    fn fields_of_all_streams_together_are_bounded_before_they_are_written() {
        // `:method: GET`, `:scheme: http`, `:path: /`, and an authority; then a field of 4,000 octets that goes
        // into the table, or one octet for each time that it is named.
        let request =
            [&[0x82, 0x86, 0x84, 0x01, 1, b'a'][..], &[0x40, 1, b'x', 0x7f, 0xa1, 0x1e], &[b'y'; 4000]];
        let named = [&[0x82, 0x86, 0x84, 0x01, 1, b'a'][..], &[0xbe; 14]].concat();
        let ends = flag::END_HEADERS | flag::END_STREAM;
        let first = frame(kind::HEADERS, ends, 1, &request.concat());
        let asks = |stream| frame(kind::HEADERS, ends, stream, &named);
        let requests: Vec<u8> = (1..100).flat_map(|number| asks(2 * number + 1)).collect();
        let (out, _) = ready(Sender::Client, &[&first[..], &requests].concat(), 1 << 20).expect("paid for");
        assert!(out.len() < (1 << 20) + 100 * 200, "{}", out.len());
        let of_refused = memchr::memmem::find_iter(&out, b"refused.invalid").count();
        assert!((80..85).contains(&of_refused), "{of_refused}");
        // Trailer fields count with the others.
        let posts = (1..100).flat_map(|number| {
            let head =
                frame(kind::HEADERS, flag::END_HEADERS, 2 * number + 1, &[0x83, 0x86, 0x84, 0x01, 1, b'a']);
            [head, frame(kind::HEADERS, ends, 2 * number + 1, &[0xbe; 14])].concat()
        });
        let posts: Vec<u8> = posts.collect();
        let (out, _) = ready(Sender::Client, &[&first[..], &posts].concat(), 1 << 20).expect("paid for");
        assert!(out.len() < (1 << 20) + 100 * 200, "{}", out.len());
    }

    #[test]
    fn nobody_pushes() {
        let promise = frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2, 0x82]);
        let within = [frame(kind::HEADERS, 0, 1, &[0x88]), promise.clone()].concat();
        for sender in [Sender::Client, Sender::Origin] {
            assert_eq!(ready(sender, &promise, 1 << 20), Err(Excess::Promise));
            assert_eq!(ready(sender, &within, 1 << 20), Err(Excess::Promise));
        }
    }

    #[test]
    fn no_octets_are_too_much_for_it() {
        // xorshift, so that a failure comes again.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..2000 {
            let mut octets = Vec::new();
            for _ in 0..random(12) {
                let payload: Vec<u8> = (0..random(60)).map(|_| random(256) as u8).collect();
                let kind = [0, 1, 1, 1, 9, 9, 3, 4, 6, 8, 99][random(11)];
                octets.extend(frame(kind, random(256) as u8, random(4) as u32, &payload));
            }
            let sender = if random(2) == 0 { Sender::Client } else { Sender::Origin };
            let size = 1 + random(40);
            // Whatever it says of them, it says the same of all at once.
            let pieces = ready(sender, &octets, size).map(|(out, _)| out.len() > 1 << 20);
            let whole = ready(sender, &octets, 1 << 20).map(|(out, _)| out.len() > 1 << 20);
            assert_eq!(pieces, whole);
        }
    }
}
