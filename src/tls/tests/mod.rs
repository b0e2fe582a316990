//! Tables of this room, and handshakes between its two sides without a socket. Chains that must
//! be refused are in `tests/tls`, over loopback.

mod authority;
mod client_hello;
mod handshakes;
mod leaves;
mod listener;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Clock;
use crate::http::{Host, Timestamp};

use super::{Authority, Leaves, NameConstraints};

/// A day in 2026, long after 1970 and before any end.
const START: Timestamp = Timestamp(1_790_000_000);

/// A folder of one test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("larder-tls-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    #[expect(clippy::disallowed_methods, reason = "what the test has made")]
    fn drop(&mut self) {
        // Not every test gets as far as to make it.
        let _removed = std::fs::remove_dir_all(&self.0).is_ok();
    }
}

fn host(text: &str) -> Host {
    Host::parse_text(text).expect("a valid host")
}

fn authority(folder: &Folder, clock: &Clock) -> Authority {
    Authority::open(&folder.0, &NameConstraints::default(), clock).expect("a new authority")
}

fn leaves(clock: &Clock) -> Leaves {
    Leaves::new(authority(&Folder::new(), clock), clock.clone()).expect("a key")
}
