//! The access log: one line for each finished request, in one of four formats.
//!
//! Invariants: a request never waits for a log; one record is one line whatever bytes a client or
//! an origin put into it; no secret has a place here (there is no field for Authorization, Cookie
//! or Proxy-Authorization, and user information is cut out of every URL). Not here: diagnostics,
//! which are `tracing`'s, and the clock: a record carries its time. The formats and the versioned
//! list of JSON fields are documented in `docs/access-log.md`.

mod calendar;
mod escape;
mod json;
mod lines;
mod queue;
mod record;
mod writer;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

pub use queue::LogCounters;
use queue::Queue;
pub use record::{AccessRecord, CacheCode, Ending, Hierarchy, LoggedUrl};

/// What the access log is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where the lines go.
    pub access: Target,
    /// How a line looks.
    pub format: Format,
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere: records are not even formatted.
    None,
    /// To standard output.
    Stdout,
    /// Appended to; created with mode 0640 where it does not exist, since URLs are private.
    File(PathBuf),
    /// As a file, and once it has this many bytes it becomes `NAME.1`, in the place of the last one.
    Bounded(PathBuf, u64),
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Squid's native layout.
    Squid,
    /// The NCSA common log format.
    Common,
    /// The common log format, referrer and user agent.
    Combined,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// The format with this name in the configuration.
    pub fn of(name: &str) -> Option<Format> {
        [Format::Squid, Format::Common, Format::Combined, Format::Json]
            .into_iter()
            .find(|format| format.as_str() == name)
    }

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Squid => "squid",
            Format::Common => "common",
            Format::Combined => "combined",
            Format::Json => "json",
        }
    }

    /// Appends the record's line, with its newline.
    fn put(self, line: &mut Vec<u8>, record: &AccessRecord<'_>) {
        match self {
            Format::Squid => lines::put_squid(line, record),
            Format::Common => lines::put_common(line, record),
            Format::Combined => lines::put_combined(line, record),
            Format::Json => json::put_json(line, record),
        }
    }
}

/// Why an access log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file could not be opened for appending.
    #[error("the access log {} can't be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Standard output is closed.
    #[error("the access log can't be written to standard output: {0}")]
    Stdout(std::io::Error),
    /// The system has no thread left.
    #[error("the access log's thread can't be started: {0}")]
    Thread(std::io::Error),
}

/// An access log in use. One of them serves all threads; dropping it closes it.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    /// `None` when nothing is logged.
    queue: Option<Arc<Queue>>,
}

thread_local! {
    /// Each thread's line buffer, so that a record costs no allocation.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer that one huge line has grown beyond this is given back: arbitrary, far above the
/// usual 200 to 500 bytes.
const LINE_BYTES_KEPT_MAX: usize = 16 * 1024;

impl AccessLog {
    /// Opens the log. Fails where a file can't be opened, so that start-up can say so.
    pub fn open(settings: &LogSettings) -> Result<AccessLog, LogError> {
        let queue = match writer::Sink::open(&settings.access)? {
            None => None,
            Some(sink) => {
                let queue = Arc::new(Queue::new(queue::BYTES_MAX));
                writer::start(Arc::clone(&queue), sink).map_err(LogError::Thread)?;
                Some(queue)
            }
        };
        Ok(AccessLog { format: settings.format, queue })
    }

    /// Whether records go anywhere; a caller may skip making them where they don't.
    pub fn is_enabled(&self) -> bool {
        self.queue.is_some()
    }

    /// Queues the line of a finished request, or drops and counts it when the queue is full.
    ///
    /// Formatting happens here, on the request's thread: it takes a few hundred nanoseconds and
    /// reads borrowed text, where handing the record over would mean to copy its strings into
    /// allocations of their own, which costs more. Only the finished bytes are copied under the
    /// lock.
    pub fn write(&self, record: &AccessRecord<'_>) {
        let Some(queue) = &self.queue else { return };
        let mut line = LINE.take();
        line.clear();
        self.format.put(&mut line, record);
        queue.push(&line, record.finished);
        if line.capacity() <= LINE_BYTES_KEPT_MAX {
            LINE.set(line);
        }
    }

    /// Opens the file anew under its path, for log rotation: lines queued before this call go to
    /// the old file, lines after it to the new one. Returns at once.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen();
        }
    }

    /// Writes out what is queued and ends the writer. Waits for that, but not without end: a
    /// full pipe that nobody reads must not keep the proxy from stopping.
    pub fn close(&self) {
        if let Some(queue) = &self.queue {
            queue.close(queue::CLOSE_WAIT);
        }
    }

    /// What was written and what was lost since the start.
    pub fn counters(&self) -> LogCounters {
        self.queue.as_ref().map(|queue| queue.counters()).unwrap_or_default()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
