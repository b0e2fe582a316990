//! Unix sockets at paths of any length. The kernel takes about a hundred octets for a socket's path,
//! and a cache folder may have more.
//!
//! A path that is too long is given to the kernel as `/proc/self/fd/N/NAME`, with N the open folder:
//! there is no second place that servers and clients would have to agree on, or that another user
//! could take. Where there is no `/proc`, the system's own error says that the path is too long.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// `sun_path` has 104 octets on BSDs and 108 on Linux, and ends in a NUL.
const LENGTH_MAX: usize = 103;

/// A socket's path as the kernel takes it, for as long as this lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// Holds the folder open that `path` goes through.
    _folder: Option<OwnedFd>,
}

impl SocketPath {
    /// That of the socket `path`, whose folder has to be there.
    pub fn of(path: &Path) -> io::Result<SocketPath> {
        let is_short = path.as_os_str().len() <= LENGTH_MAX;
        let (Some(folder), Some(name), false) = (path.parent(), path.file_name(), is_short) else {
            return Ok(SocketPath { path: path.to_owned(), _folder: None });
        };
        let folder = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(SocketPath { path, _folder: Some(folder) })
    }

    /// As the kernel takes it.
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}
