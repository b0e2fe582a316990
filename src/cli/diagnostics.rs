//! Where diagnostics go, and how many there may be.
//!
//! Libraries say errors only, since a peer decides how often they warn. What one place of the code has to
//! say is limited per second, so that a peer can't fill a disk either. `debug` and `trace` tell every
//! request's story, and have no limit.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

use crate::clock::Clock;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

/// Lines of one place in a second; arbitrary.
const LINES_PER_SECOND: u32 = 20;

/// Begins to write diagnostics to the standard error.
pub(super) fn begin(level: &str) {
    // RUST_LOG says otherwise.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(directives(level)));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    let limited = lines.with_filter(Limited { clock: Clock::system(), seen: Mutex::default() });
    tracing_subscriber::registry().with(filter).with(limited).init();
}

/// Larder at the level asked for, libraries at errors; `off` is off for all.
fn directives(level: &str) -> String {
    match level {
        "off" => "off".to_owned(),
        level => format!("error,larder={level}"),
    }
}

/// Lets so many lines of each place pass in a second.
struct Limited {
    clock: Clock,
    seen: Mutex<HashMap<Identifier, Seen>>,
}

#[derive(Default)]
struct Seen {
    second: u64,
    lines: u32,
}

impl Limited {
    fn admits(&self, place: Identifier) -> bool {
        let second = self.clock.monotonic_ms() / 1000;
        // Two numbers that belong together; nothing panics between them.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(place).or_default();
        if seen.second != second {
            *seen = Seen { second, lines: 0 };
        }
        seen.lines = seen.lines.saturating_add(1);
        seen.lines <= LINES_PER_SECOND
    }
}

impl<S: Subscriber> Filter<S> for Limited {
    fn enabled(&self, _metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        *metadata.level() > Level::INFO || self.admits(metadata.callsite())
    }
}

#[cfg(test)]
mod tests {
    use crate::http::Timestamp;

    use super::*;

    #[test]
    fn off_is_off_and_libraries_say_errors_alone() {
        assert_eq!(directives("off"), "off");
        assert_eq!(directives("info"), "error,larder=info");
    }

    #[test]
    fn what_is_said_again_and_again_is_limited() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        #[derive(Clone, Default)]
        struct Counted(Arc<AtomicUsize>);
        impl io::Write for Counted {
            fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
                self.0.fetch_add(octets.iter().filter(|octet| **octet == b'\n').count(), Ordering::Relaxed);
                Ok(octets.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let clock = Clock::manual(Timestamp(1000));
        let counted = Counted::default();
        let writer = counted.clone();
        let lines = fmt::layer().with_writer(move || writer.clone());
        let limited = lines.with_filter(Limited { clock: clock.clone(), seen: Mutex::default() });
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(limited));
        let says = || (0..100).for_each(|_| tracing::warn!("again"));
        says();
        assert_eq!(counted.0.load(Ordering::Relaxed), 20);
        tracing::warn!("something else");
        clock.advance(std::time::Duration::from_secs(1));
        says();
        assert_eq!(counted.0.load(Ordering::Relaxed), 41);
        (0..100).for_each(|_| tracing::debug!("a story"));
        assert_eq!(counted.0.load(Ordering::Relaxed), 141);
    }
}
