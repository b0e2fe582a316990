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
use super::watch::Watch;

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
            kind::RST_STREAM => self.watch.ends(header.stream),
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

    fn section(&mut self, section: Section, ready: &mut BytesMut, now_ms: u64) -> Result<(), Excess> {
        self.watch.meter.borrow_mut().decoded(section.size, now_ms)?;
        let (stream, begins, is_end) = (section.stream, section.begins_message(), section.is_end);
        let judged = section.write(self.sender, ready);
        if self.sender == Sender::Client && begins && judged != Judged::Malformed {
            self.watch.begins(stream);
            if judged == Judged::TooLarge {
                self.watch.refuses_fields(stream);
            }
        }
        if is_end {
            self.watch.ends_sending(stream);
        }
        Ok(())
    }
}
