//! The one thread that writes: batches of whole lines to a file or to standard output.
//!
//! Whatever happens to the file, the thread goes on and says so once, through `tracing`: lines
//! that can't be written are counted and given up, and the next batch is tried again. It reads no
//! clock: warnings are spaced by the times of the records.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::queue::{Batch, Queue};
use super::{LogError, Target};
use crate::http::Timestamp;

/// Seconds between two warnings about dropped lines.
const WARNING_INTERVAL: u64 = 60;
/// A batch buffer that a burst has grown beyond this is given back.
const BATCH_BYTES_KEPT_MAX: usize = 256 * 1024;

/// Where the lines go.
pub(super) struct Sink {
    /// `None` for what has no name to be opened by again.
    path: Option<PathBuf>,
    out: Box<dyn Write + Send>,
    /// How large the file is, and how large it may become.
    bound: Option<(u64, u64)>,
}

impl Sink {
    /// Opens the target; `None` where nothing is to be logged.
    pub(super) fn open(target: &Target) -> Result<Option<Sink>, LogError> {
        match target {
            Target::None => Ok(None),
            Target::Stdout => {
                let out = stdout().map_err(LogError::Stdout)?;
                Ok(Some(Sink { path: None, out, bound: None }))
            }
            Target::File(path) => Sink::of_file(path, None).map(Some),
            Target::Bounded(path, bytes_max) => Sink::of_file(path, Some(*bytes_max)).map(Some),
        }
    }

    fn of_file(path: &Path, bytes_max: Option<u64>) -> Result<Sink, LogError> {
        let open = || {
            let file = open_file(path)?;
            Ok((file.metadata()?.len(), file))
        };
        let opened = open().map_err(|source| LogError::Open { path: path.to_owned(), source });
        let (length, file) = opened?;
        let bound = bytes_max.map(|max| (length, max));
        Ok(Sink { path: Some(path.to_owned()), out: Box::new(file), bound })
    }

    /// Begins the file anew where it is as large as it may become.
    #[expect(clippy::disallowed_methods, reason = "called on the writer's own thread")]
    fn bound(&mut self, written: usize) -> io::Result<()> {
        let (Some((length, max)), Some(path)) = (&mut self.bound, &self.path) else { return Ok(()) };
        *length += written as u64;
        if *length < *max {
            return Ok(());
        }
        let mut before = path.clone().into_os_string();
        before.push(".1");
        *length = 0;
        std::fs::rename(path, before)?;
        self.reopen()
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.out = Box::new(open_file(path)?);
        }
        Ok(())
    }
}

/// Starts the thread. It ends when the queue is closed and written out.
pub(super) fn start(queue: Arc<Queue>, sink: Sink) -> io::Result<()> {
    let writer = Writer::new(sink);
    let thread = std::thread::Builder::new().name("access-log".to_owned());
    // Not joined: closing waits for the queue's last word, and not without end.
    thread.spawn(move || writer.run(&queue)).map(drop)
}

struct Writer {
    sink: Sink,
    /// Whether a failure cut the last line of the file.
    torn: bool,
    /// Whether the last write failed, which was told then.
    failing: bool,
    /// Dropped lines that were told of.
    dropped_told: u64,
    /// When that was.
    told_at: Option<Timestamp>,
}

impl Writer {
    fn new(sink: Sink) -> Writer {
        Writer { sink, torn: false, failing: false, dropped_told: 0, told_at: None }
    }

    fn run(mut self, queue: &Queue) {
        let mut spare = Vec::new();
        while let Some(batch) = queue.take(spare) {
            let failed = self.write_batch(&batch);
            queue.taken_is_written(batch.count.saturating_sub(failed), failed);
            if !self.failing {
                self.tell_dropped(batch.dropped, batch.latest);
            }
            // One that can't be renamed goes on where it is.
            if let Err(error) = self.sink.bound(batch.lines.len()) {
                tracing::warn!(%error, "the access log can't begin anew");
            }
            spare = batch.lines;
            spare.clear();
            spare.shrink_to(BATCH_BYTES_KEPT_MAX);
        }
        self.told_at = None;
        self.tell_dropped(queue.counters().dropped, Timestamp(0));
        queue.closed();
    }

    /// Writes the batch and counts the lines that could not be written.
    fn write_batch(&mut self, batch: &Batch) -> u64 {
        let Some(at) = batch.reopen_at else { return self.write_lines(&batch.lines) };
        let (before, behind) = batch.lines.split_at_checked(at).unwrap_or((&batch.lines, b""));
        let failed = self.write_lines(before);
        match self.sink.reopen() {
            Ok(()) => self.torn = false,
            Err(error) => {
                tracing::warn!(%error, "the access log can't be reopened; the old file stays in use");
            }
        }
        failed + self.write_lines(behind)
    }

    fn write_lines(&mut self, lines: &[u8]) -> u64 {
        let mut done = 0;
        while let Some(rest) = lines.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_some(rest) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.torn |= done > 0 && lines.get(done - 1) != Some(&b'\n');
                    self.tell_failing(&error);
                    return count_lines(rest);
                }
            }
        }
        if self.failing && done > 0 {
            self.failing = false;
            tracing::info!("the access log can be written again");
        }
        0
    }

    /// Writes the front of `lines`, apart from a line that an earlier failure has cut.
    fn write_some(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.torn {
            self.sink.out.write_all(b"\n")?;
            self.torn = false;
        }
        match self.sink.out.write(lines)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }

    fn tell_failing(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            tracing::warn!(%error, "the access log can't be written; its lines are lost for now");
        }
    }

    fn tell_dropped(&mut self, dropped: u64, now: Timestamp) {
        let lines = dropped.saturating_sub(self.dropped_told);
        let recently = self.told_at.is_some_and(|told_at| now.seconds_since(told_at) < WARNING_INTERVAL);
        if lines > 0 && !recently {
            self.told_at = Some(now);
            self.dropped_told = dropped;
            tracing::warn!(lines, "the access log was written too slowly; lines were dropped");
        }
    }
}

/// A line cut by a failure counts with what is left of it: every line ends in one newline.
fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |count, &byte| count + u64::from(byte == b'\n'))
}

/// Standard output without the library's buffer, so that what a failed write left out is known.
#[cfg(unix)]
fn stdout() -> io::Result<Box<dyn Write + Send>> {
    use std::os::fd::AsFd;
    Ok(Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

#[cfg(not(unix))]
fn stdout() -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(io::stdout()))
}

#[expect(clippy::disallowed_methods, reason = "called at start-up and on the writer's own thread")]
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A disk that takes so many bytes in each write in turn; 0 is a failure.
    struct Disk {
        takes: Vec<usize>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let take = if self.takes.is_empty() { bytes.len() } else { self.takes.remove(0) };
            if take == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let bytes = &bytes[..take.min(bytes.len())];
            self.text.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        // What the disk takes; what is on it after two batches of two lines; lines lost.
        let cases: &[(&[usize], &str, u64)] = &[
            (&[], "one\ntwo\nthree\nfour\n", 0),
            (&[2, 3, 1], "one\ntwo\nthree\nfour\n", 0),
            (&[0], "three\nfour\n", 2),
            (&[4, 0], "one\nthree\nfour\n", 1),
            (&[2, 0], "on\nthree\nfour\n", 2),
            (&[6, 0], "one\ntw\nthree\nfour\n", 1),
            (&[6, 0, 1, 2, 1, 3], "one\ntw\nthree\nfour\n", 1),
            (&[6, 0, 0], "one\ntw", 3),
        ];
        for (takes, expected, lost) in cases {
            let text = Arc::new(Mutex::new(Vec::new()));
            let out = Box::new(Disk { takes: takes.to_vec(), text: Arc::clone(&text) });
            let mut writer = Writer::new(Sink { path: None, out, bound: None });
            let failed = writer.write_lines(b"one\ntwo\n") + writer.write_lines(b"three\nfour\n");
            let text = text.lock().expect("not poisoned");
            assert_eq!((&*String::from_utf8_lossy(&text), failed), (*expected, *lost), "{takes:?}");
        }
    }
}
