//! Moving octets from socket to socket within the kernel: Linux only. Elsewhere the tunnel
//! copies to its end.

use std::io;

use tokio::net::TcpStream;

use super::tunnel::{Broken, Carried};

/// Whether [`until_end`] exists on this system.
pub(super) const AVAILABLE: bool = cfg!(target_os = "linux");

/// Splices through a pipe of 1 MiB until `from` ends.
#[cfg(target_os = "linux")]
pub(super) async fn until_end(from: &TcpStream, to: &TcpStream, carried: &Carried) -> Result<(), Broken> {
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::io::Interest;

    const PIPE: usize = 1024 * 1024;
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
    let (pipe_out, pipe_in) = pipe.map_err(|error| Broken::Read(error.into()))?;
    // An unprivileged user has a limit on pipe memory; a smaller pipe only takes more turns.
    let _kept_smaller = fcntl_setpipe_size(&pipe_in, PIPE);
    loop {
        let take = || splice(from, None, &pipe_in, None, PIPE, flags).map_err(io::Error::from);
        let mut left = from.async_io(Interest::READABLE, take).await.map_err(Broken::Read)?;
        if left == 0 {
            return Ok(());
        }
        while left > 0 {
            let give = || splice(&pipe_out, None, to, None, left, flags).map_err(io::Error::from);
            let given = to.async_io(Interest::WRITABLE, give).await.map_err(|_gone| Broken::Write)?;
            left -= given;
            carried.add(given);
        }
    }
}

/// Never called: [`AVAILABLE`] is false.
#[cfg(not(target_os = "linux"))]
pub(super) async fn until_end(_from: &TcpStream, _to: &TcpStream, _carried: &Carried) -> Result<(), Broken> {
    Err(Broken::Read(io::ErrorKind::Unsupported.into()))
}
