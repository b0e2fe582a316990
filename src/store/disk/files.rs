//! The seam to the file system: what the disk tier asks of it, and the system's own answer.
//!
//! Tests put files behind it that fail. Nothing here knows what is written.

use std::fmt::Debug;
use std::fs::{DirBuilder, File as SystemFile, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

/// A file system, as far as the disk tier needs one.
pub trait Files: Send + Sync + Debug {
    /// Makes a folder that only its owner may enter, and those above it.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Holds the file `path` for this process alone until the result is dropped, and notes `text`
    /// in it. [`io::ErrorKind::WouldBlock`] when another process holds it.
    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Lock>>;

    /// Makes a file that must not be there yet, to read and write, for its owner alone.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading past the page cache. An error where that can't be done.
    fn open_past_cache(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let _path = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens a file for reading and writing.
    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Puts a file in the place of another one, at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; its octets stay until the last who has it open is done.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Makes the names in a folder outlast a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A held lock.
pub trait Lock: Send + Sync + Debug {}

/// An open file, for any number of threads at once.
pub trait File: Send + Sync + Debug {
    /// Octets.
    fn length(&self) -> io::Result<u64>;

    /// Writes all of `octets` at the place `at`.
    fn write_all_at(&self, octets: &[u8], at: u64) -> io::Result<()>;

    /// Reads until `into` is full or the file ends; says how much. Waits for the device.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Reads up to `into.len()` octets that need not be waited for; [`io::ErrorKind::WouldBlock`]
    /// when the device has to be asked, or when that can't be told.
    fn read_at_once(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let (_, _) = (into, at);
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The descriptor, for calls that send octets from file to socket; `None` where there is none.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Says that these octets are not needed in memory: a hint, which may do nothing.
    fn forget(&self, at: u64, length: u64) {
        let (_, _) = (at, length);
    }

    /// Makes what was written outlast a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Sets the length, cutting what is behind.
    fn set_length(&self, length: u64) -> io::Result<()>;
}

/// The file system of the machine. A link in the place of a file is not followed, and a file of another
/// user is not used: nobody else decides what is stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

#[derive(Debug)]
struct SystemLock(#[expect(dead_code, reason = "held open, for the lock is the descriptor's")] SystemFile);

impl Lock for SystemLock {}

#[expect(clippy::disallowed_methods, reason = "this is the store's way to files")]
impl Files for SystemFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Lock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = open_own(&mut options, path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.set_len(0)?;
        File::write_all_at(&file, text.as_bytes(), 0)?;
        Ok(Box::new(SystemLock(file)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(open_own(OpenOptions::new().read(true), path)?))
    }

    #[cfg(target_os = "linux")]
    fn open_past_cache(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let direct = rustix::fs::OFlags::DIRECT.union(rustix::fs::OFlags::NOFOLLOW).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(direct).open(path)?;
        Ok(Arc::new(super::direct::Direct::of(file)?))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(open_own(OpenOptions::new().read(true).write(true), path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string()));
        // A name that is no text is none of ours.
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().filter_map(Result::ok).collect())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemFile::open(folder)?.sync_all()
    }
}

/// Opens a file that is not a link, and belongs to whom its folder belongs to.
#[expect(clippy::disallowed_methods, reason = "this is the store's way to files")]
fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<SystemFile> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = options.custom_flags(no_link).open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_link { io::Error::other(format!("{} is a symbolic link", path.display())) } else { error }
    })?;
    let owner = file.metadata()?.uid();
    // Whose the folder is was looked at when it was taken.
    let folder = path.parent().map(std::fs::metadata).transpose()?;
    if folder.is_some_and(|folder| folder.uid() != owner) {
        return Err(io::Error::other(format!(
            "{} belongs to user {owner}, and its folder does not",
            path.display()
        )));
    }
    Ok(file)
}

impl File for SystemFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn write_all_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, octets, at)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        read_fully(into, |rest, done| std::os::unix::fs::FileExt::read_at(self, rest, at + done))
    }

    #[cfg(target_os = "linux")]
    fn read_at_once(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut into = [io::IoSliceMut::new(into)];
        Ok(rustix::io::preadv2(self, &mut into, at, rustix::io::ReadWriteFlags::NOWAIT)?)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }

    #[cfg(target_os = "linux")]
    fn forget(&self, at: u64, length: u64) {
        use rustix::fs::{Advice, fadvise};
        // A hint: what comes of it is the kernel's business.
        let _ignored = fadvise(self, at, std::num::NonZeroU64::new(length), Advice::DontNeed);
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Calls `read` with what is left of `into` and how much is done, until all is or nothing comes.
fn read_fully(
    into: &mut [u8],
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        let Some(rest) = into.get_mut(done..) else { break };
        match read(rest, done as u64) {
            Ok(0) => break,
            Ok(octets) => done += octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
