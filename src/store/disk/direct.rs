//! Reading a file past the page cache (`O_DIRECT`), for who reads all of it once and must not push out
//! what others use.
//!
//! The kernel takes whole blocks then, at multiples of their length, in memory and in the file. Small
//! reads are served out of one large one.

use std::fs::File as SystemFile;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::File;

/// What places in the file and in memory are multiples of: no block of a device is larger.
const BLOCK: usize = 4096;
/// Octets that are read at once; arbitrary, a multiple of [`BLOCK`].
const WINDOW: usize = 1 << 20;

/// A file that was opened for this.
#[derive(Debug)]
pub(super) struct Direct {
    file: SystemFile,
    window: Mutex<Window>,
}

/// A part of the file in memory.
#[derive(Debug)]
struct Window {
    /// Where it begins in the file.
    start: u64,
    /// Octets of the file in it.
    length: usize,
    /// A block longer than the window, which begins at the first place in it that is a multiple.
    octets: Vec<u8>,
}

impl Direct {
    /// An error when the file system can't do it, although the file could be opened.
    pub fn of(file: SystemFile) -> io::Result<Direct> {
        let mut window = Window { start: 0, length: 0, octets: vec![0; WINDOW + BLOCK] };
        window.load(&file, 0)?;
        Ok(Direct { file, window: Mutex::new(window) })
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        // No code panics while it holds this lock.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn load(&mut self, file: &SystemFile, at: u64) -> io::Result<()> {
        self.start = at - at % BLOCK as u64;
        self.length = 0;
        let from = self.octets.as_ptr().align_offset(BLOCK);
        let into =
            self.octets.get_mut(from..from.saturating_add(WINDOW)).ok_or(io::ErrorKind::Unsupported)?;
        self.length = loop {
            match FileExt::read_at(file, into, self.start) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        Ok(())
    }

    /// What it has of the file from `at` on.
    fn from(&self, at: u64) -> &[u8] {
        let front = self.octets.as_ptr().align_offset(BLOCK);
        let within = at.checked_sub(self.start).and_then(|within| usize::try_from(within).ok());
        let place = within.filter(|within| *within < self.length).map(|within| front + within);
        place.and_then(|place| self.octets.get(place..front + self.length)).unwrap_or_default()
    }
}

impl File for Direct {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn write_all_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        // It was opened to be read, and the system says so.
        File::write_all_at(&self.file, octets, at)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut window = self.lock();
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = at + done as u64;
            if window.from(at).is_empty() {
                window.load(&self.file, at)?;
            }
            let octets = window.from(at);
            let count = octets.len().min(rest.len());
            if count == 0 {
                break;
            }
            if let (Some(into), Some(octets)) = (rest.get_mut(..count), octets.get(..count)) {
                into.copy_from_slice(octets);
            }
            done += count;
        }
        Ok(done)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }
}
