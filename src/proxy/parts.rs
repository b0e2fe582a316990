//! Sending stored content by its parts: pieces out of memory, octets of files, and what only the
//! origin has.
//!
//! Invariant: the event loop never waits for the disk. What is not in the page cache, or was not
//! checked yet, is read on a thread that may wait, one part ahead of what is being sent.

use std::io;

use bytes::Bytes;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Interrupted;
use super::partial::Completion;
use super::render::Framing;
use super::sender::{More, Sender};
use crate::caching::ByteRange;
use crate::http::Fields;
use crate::http::write::chunk_size_line;
use crate::store::{Extent, Part};

/// A part whose octets are being made ready.
type Ahead = JoinHandle<bool>;

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
    let mut ahead: Option<Ahead> = None;
    for (at, part) in parts.iter().enumerate() {
        let is_there = match (part, ahead.take()) {
            (Part::Extent(..), Some(ready)) => ready.await.unwrap_or(false),
            (Part::Extent(extent, _), None) => extent.is_ready() || make_ready(extent).await.unwrap_or(false),
            (Part::Bytes(_), _) => true,
            (Part::Missing(_), _) => false,
        };
        ahead = match parts.get(at + 1) {
            Some(Part::Extent(next, _)) if !next.is_ready() => Some(make_ready(next)),
            _ => None,
        };
        match part {
            Part::Bytes(bytes) => {
                sender.send(&mut vec![bytes.clone()], More::Yes, &Fields::default()).await?;
            }
            Part::Extent(extent, _) if is_there => sender.send_extent(extent).await?,
            Part::Extent(extent, first) => {
                let range = ByteRange { first: *first, last: first + extent.length() - 1 };
                complete(sender, &mut completion, range).await?;
            }
            Part::Missing(range) => complete(sender, &mut completion, *range).await?,
        }
    }
    Ok(())
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

/// Has a thread that may wait check the octets, and bring them into the page cache.
fn make_ready(extent: &Extent) -> Ahead {
    let extent = extent.clone();
    spawn_blocking(move || extent.check())
}

impl Sender<'_> {
    /// Sends octets of a file, from there to the socket within the kernel where that is possible.
    async fn send_extent(&mut self, extent: &Extent) -> Result<(), Interrupted> {
        let is_chunked = self.framing == Framing::Chunked;
        if is_chunked {
            chunk_size_line(self.front, extent.length());
        }
        self.flush_front().await?;
        let mut sent = 0;
        while sent < extent.length() {
            let sending = send_some(self.writer, extent, sent);
            match self.clock.timeout(self.idle, sending).await {
                Ok(Ok(0)) => return Err(self.broken("a file on disk has become shorter")),
                Ok(Ok(octets)) => {
                    self.record.sent(octets);
                    sent += octets;
                }
                Ok(Err(error)) => return Err(Interrupted::ClientGone(error)),
                Err(_timed_out) => return Err(Interrupted::ClientGone(io::ErrorKind::TimedOut.into())),
            }
        }
        if is_chunked {
            self.front.extend_from_slice(b"\r\n");
            self.flush_front().await?;
        }
        Ok(())
    }
}

/// Sends what the socket takes of an extent from its octet `sent` on.
#[cfg(target_os = "linux")]
async fn send_some(writer: &mut OwnedWriteHalf, extent: &Extent, sent: u64) -> io::Result<u64> {
    use tokio::io::Interest;
    let Some(file) = extent.descriptor() else { return copy_some(writer, extent, sent).await };
    let stream: &tokio::net::TcpStream = (*writer).as_ref();
    let mut at = extent.at() + sent;
    // What is asked for lies within one record.
    let length = (extent.length() - sent) as usize;
    let give = || rustix::fs::sendfile(stream, file, Some(&mut at), length).map_err(io::Error::from);
    Ok(stream.async_io(Interest::WRITABLE, give).await? as u64)
}

#[cfg(not(target_os = "linux"))]
async fn send_some(writer: &mut OwnedWriteHalf, extent: &Extent, sent: u64) -> io::Result<u64> {
    copy_some(writer, extent, sent).await
}

/// The same through memory.
async fn copy_some(writer: &mut OwnedWriteHalf, extent: &Extent, sent: u64) -> io::Result<u64> {
    const COPIED_AT_ONCE: u64 = 128 * 1024;
    let reading = extent.clone();
    let read = spawn_blocking(move || reading.read(sent, COPIED_AT_ONCE)).await;
    let octets: Bytes = read.map_err(io::Error::other)??;
    crate::http::write::write_all(writer, &[], std::slice::from_ref(&octets)).await?;
    Ok(octets.len() as u64)
}
