//! Moving octets within the kernel, from socket to socket and from file to socket: Linux only.
//! Elsewhere they are copied.
//!
//! Invariant: what is in a pipe belongs to the one transfer that put it there; a pipe that is left
//! with octets in it is thrown away with them.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use tokio::net::TcpStream;
#[cfg(target_os = "linux")]
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use super::lease::Lease;
use super::sender::More;

/// Whether there is anything here on this system.
pub(super) const AVAILABLE: bool = cfg!(target_os = "linux");

/// Octets that a pipe should hold: the fewer turns the better, and a pipe's user has a limit.
#[cfg(target_os = "linux")]
const PIPE: usize = 1024 * 1024;

/// Which side of a direction has failed.
pub(super) enum Broken {
    Read(io::Error),
    Write,
}

/// What one direction has carried.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    pub(super) octets: Cell<u64>,
    lease: &'a Lease<'a>,
}

impl<'a> Carried<'a> {
    pub(super) fn new(lease: &'a Lease<'a>) -> Carried<'a> {
        Carried { octets: Cell::new(0), lease }
    }

    pub(super) fn add(&self, octets: usize) {
        self.octets.set(self.octets.get() + octets as u64);
        self.lease.moved(octets);
    }
}

/// A pipe that octets go through without being copied.
#[derive(Debug)]
#[cfg(target_os = "linux")]
pub(super) struct Pipe {
    out: std::os::fd::OwnedFd,
    into: std::os::fd::OwnedFd,
    /// Octets in it.
    held: usize,
    _place: OwnedSemaphorePermit,
}

#[cfg(target_os = "linux")]
impl Pipe {
    /// An empty pipe, if there may be one more.
    pub(super) fn new(places: &Arc<Semaphore>) -> io::Result<Pipe> {
        let place = places.clone().try_acquire_owned().map_err(io::Error::other)?;
        use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // An unprivileged user has a limit on pipe memory; a smaller pipe only takes more turns.
        let _kept_smaller = fcntl_setpipe_size(&into, PIPE);
        Ok(Pipe { out, into, held: 0, _place: place })
    }

    /// Sends octets of a file, of which `length` are left from `at` on; waits until the socket
    /// takes some. 0: the file is shorter than that, or can't be read.
    pub(super) async fn file_to_socket(
        &mut self,
        file: Option<BorrowedFd<'_>>,
        (at, length): (u64, u64),
        to: &TcpStream,
        more: More,
    ) -> io::Result<u64> {
        use rustix::pipe::{SpliceFlags, splice};
        let Some(file) = file else { return Err(io::ErrorKind::Unsupported.into()) };
        let left = usize::try_from(length).unwrap_or(usize::MAX);
        if self.held == 0 {
            let mut at = at;
            let spliced = splice(file, Some(&mut at), &self.into, None, left.min(PIPE), SpliceFlags::MOVE);
            self.held = spliced.unwrap_or(0);
        }
        if self.held == 0 {
            return Ok(0);
        }
        Ok(self.give(to, more).await? as u64)
    }

    async fn take(&mut self, from: &TcpStream) -> io::Result<usize> {
        use rustix::pipe::{SpliceFlags, splice};
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let take = || splice(from, None, &self.into, None, PIPE, flags).map_err(io::Error::from);
        self.held += from.async_io(tokio::io::Interest::READABLE, take).await?;
        Ok(self.held)
    }

    /// Sends what is in the pipe, as much as the socket takes. `more` says that more follows at once.
    async fn give(&mut self, to: &TcpStream, more: More) -> io::Result<usize> {
        use rustix::pipe::{SpliceFlags, splice};
        let mut flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        // Full segments while more follows: far fewer wake-ups of the receiver.
        flags.set(SpliceFlags::MORE, matches!(more, More::Yes));
        let give = || splice(&self.out, None, to, None, self.held, flags).map_err(io::Error::from);
        let given = to.async_io(tokio::io::Interest::WRITABLE, give).await?;
        self.held -= given;
        Ok(given)
    }
}

/// Splices through a pipe until `from` ends.
#[cfg(target_os = "linux")]
pub(super) async fn until_end(
    mut pipe: Pipe,
    from: &TcpStream,
    to: &TcpStream,
    carried: &Carried<'_>,
) -> Result<(), Broken> {
    while pipe.take(from).await.map_err(Broken::Read)? > 0 {
        while pipe.held > 0 {
            carried.add(pipe.give(to, More::No).await.map_err(|_gone| Broken::Write)?);
        }
    }
    Ok(())
}

/// Never made: [`AVAILABLE`] is false.
#[derive(Debug)]
#[cfg(not(target_os = "linux"))]
pub(super) struct Pipe;

#[cfg(not(target_os = "linux"))]
impl Pipe {
    pub(super) fn new(_places: &Arc<Semaphore>) -> io::Result<Pipe> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) async fn file_to_socket(
        &mut self,
        _file: Option<BorrowedFd<'_>>,
        _from: (u64, u64),
        _to: &TcpStream,
        _more: More,
    ) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Never called: [`AVAILABLE`] is false.
#[cfg(not(target_os = "linux"))]
pub(super) async fn until_end(
    _pipe: Pipe,
    _from: &TcpStream,
    _to: &TcpStream,
    _carried: &Carried<'_>,
) -> Result<(), Broken> {
    Err(Broken::Read(io::ErrorKind::Unsupported.into()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_pipes_and_no_more() {
        let places = Arc::new(Semaphore::new(2));
        let both = [Pipe::new(&places).expect("the first"), Pipe::new(&places).expect("the last")];
        assert!(Pipe::new(&places).is_err());
        drop(both);
        Pipe::new(&places).expect("one that is free again");
    }
}
