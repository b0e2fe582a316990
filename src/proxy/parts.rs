//! Sending stored content by its parts: pieces out of memory, octets of files, and what only the
//! origin has.
//!
//! Invariant: the event loop never waits for the disk. What is not in the page cache, or was not
//! checked yet, is read on a thread that may wait, one part ahead of what is being sent.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use super::partial::Completion;
use super::render::Framing;
use super::sender::{More, Patience, Sender};
use super::splice::Pipe;
use super::{Interrupted, splice};
use crate::caching::ByteRange;
use crate::http::write::chunk_size_line;
use crate::http::{Fields, WriteHalf};
use crate::store::{Extent, Part};

/// A part whose octets are ready, or are being made so.
enum Ahead {
    Ready,
    Making(JoinHandle<bool>),
}

impl Ahead {
    fn of(part: &Part) -> Option<Ahead> {
        let Part::Extent(extent, _) = part else { return None };
        Some(if extent.is_ready() { Ahead::Ready } else { Ahead::Making(make_ready(extent)) })
    }

    async fn wait(self) -> bool {
        match self {
            Ahead::Ready => true,
            Ahead::Making(ready) => ready.await.unwrap_or(false),
        }
    }
}

/// Makes the first part ready before anything is sent: if it is damaged, it is missing.
pub(super) async fn prepare(parts: &mut [Part]) {
    let Some(part) = parts.first_mut() else { return };
    let Part::Extent(extent, first) = part else { return };
    if !extent.is_ready() {
        *part = match make_ready(extent).await {
            Ok(true) => Part::Extent(extent.as_checked(), *first),
            _ => Part::Missing(ByteRange { first: *first, last: *first + extent.length() - 1 }),
        };
    }
}

/// Sends parts in order. `completion` gets what is missing; without it, nothing may be.
pub(super) async fn send(
    sender: &mut Sender<'_>,
    parts: &[Part],
    mut completion: Option<&mut Completion<'_>>,
) -> Result<(), Interrupted> {
    let mut ahead = parts.first().and_then(Ahead::of);
    let mut pipe = None;
    for (at, part) in parts.iter().enumerate() {
        let is_there = match ahead.take() {
            Some(ahead) => ahead.wait().await,
            None => false,
        };
        ahead = parts.get(at + 1).and_then(Ahead::of);
        match part {
            Part::Bytes(bytes) => {
                sender.send(&mut vec![bytes.clone()], More::Yes, &Fields::default()).await?;
            }
            Part::Extent(extent, first) if is_there => {
                let more = if parts.get(at + 1).is_some_and(is_on_disk) { More::Yes } else { More::No };
                let sent = sender.send_extent(extent, more, &mut pipe).await?;
                if sent < extent.length() {
                    // Its file has gone, or the device fails, after it was found right.
                    let range = ByteRange { first: first + sent, last: first + extent.length() - 1 };
                    rest_of_chunk(sender, &mut completion, range).await?;
                }
                sender.end_chunk().await?;
            }
            Part::Extent(extent, first) => {
                let range = ByteRange { first: *first, last: first + extent.length() - 1 };
                complete(sender, &mut completion, range).await?;
            }
            Part::Missing(range) => complete(sender, &mut completion, *range).await?,
        }
    }
    Ok(())
}

fn is_on_disk(part: &Part) -> bool {
    matches!(part, Part::Extent(..))
}

async fn complete(
    sender: &mut Sender<'_>,
    completion: &mut Option<&mut Completion<'_>>,
    range: ByteRange,
) -> Result<(), Interrupted> {
    match completion {
        Some(completion) => completion.pass(sender, range).await,
        None => Err(sender.broken("octets on disk are damaged or gone")),
    }
}

/// Completes an extent that was begun: the size of its chunk, if it is one, was sent already.
async fn rest_of_chunk(
    sender: &mut Sender<'_>,
    completion: &mut Option<&mut Completion<'_>>,
    range: ByteRange,
) -> Result<(), Interrupted> {
    let framing = std::mem::replace(&mut sender.framing, Framing::UntilClose);
    let completed = complete(sender, completion, range).await;
    sender.framing = framing;
    completed
}

/// Has a thread that may wait check the octets, and bring them into the page cache.
fn make_ready(extent: &Extent) -> JoinHandle<bool> {
    let extent = extent.clone();
    spawn_blocking(move || extent.check())
}

impl Sender<'_> {
    /// Sends octets of a file, from there to the socket within the kernel where that is possible; as
    /// many as can be read.
    async fn send_extent(
        &mut self,
        extent: &Extent,
        more: More,
        pipe: &mut Option<Pipe>,
    ) -> Result<u64, Interrupted> {
        if self.framing == Framing::Chunked {
            chunk_size_line(self.front, extent.length());
        }
        self.flush_front().await?;
        let mut moving = Moving { extent, sent: 0, more, pipe, pipes: &self.shared.pipes };
        while moving.sent < extent.length() {
            // What is in a file takes no memory; through TLS or HTTP/2 it is copied in parts.
            let open_end = self.open_end.as_ref();
            let patience = Patience::of(self.shared, self.idle, COPIED_AT_ONCE, open_end);
            match patience.wait(&mut self.pace, moving.some(self.writer), |octets| *octets).await? {
                0 => break,
                octets => {
                    self.record.sent(octets);
                    moving.sent += octets;
                }
            }
        }
        Ok(moving.sent)
    }

    /// Ends the chunk that an extent is in a chunked message.
    async fn end_chunk(&mut self) -> Result<(), Interrupted> {
        if self.framing != Framing::Chunked {
            return Ok(());
        }
        self.front.extend_from_slice(b"\r\n");
        self.flush_front().await
    }
}

/// Octets of a file that go through memory at a time.
const COPIED_AT_ONCE: u64 = 128 * 1024;

/// An extent on its way to a socket.
struct Moving<'a> {
    extent: &'a Extent,
    /// Octets that have left.
    sent: u64,
    more: More,
    pipe: &'a mut Option<Pipe>,
    /// Those that there may be.
    pipes: &'a Arc<Semaphore>,
}

impl Moving<'_> {
    /// Sends what the socket takes at once; waits until it takes something. 0: the file can't be read.
    async fn some(&mut self, writer: &mut WriteHalf) -> io::Result<u64> {
        if let Some(to) = writer.tcp().filter(|_| splice::AVAILABLE && self.extent.descriptor().is_some()) {
            if self.pipe.is_none() {
                *self.pipe = Pipe::new(self.pipes).ok();
            }
            if let Some(pipe) = self.pipe {
                let from = (self.extent.at() + self.sent, self.extent.length() - self.sent);
                return pipe.file_to_socket(self.extent.descriptor(), from, to, self.more).await;
            }
        }
        self.copied(writer).await
    }

    /// The same through memory.
    async fn copied(&self, writer: &mut WriteHalf) -> io::Result<u64> {
        let (extent, sent) = (self.extent.clone(), self.sent);
        let read = spawn_blocking(move || extent.read(sent, COPIED_AT_ONCE)).await;
        let Ok(octets) = read.map_err(io::Error::other)? else { return Ok(0) };
        let length = octets.len() as u64;
        writer.write_bytes(octets).await?;
        Ok(length)
    }
}
