//! What `run` has the store do: makes the trace, and replays it through the tiers.
//!
//! A replay prints a line per cache size: the policy, the size, and the shares of requests and of octets that were
//! hits, and the octets written to disk for fetched responses and for moved records. What the peers do with the same
//! file is `peers.py`.

mod disk;
mod generate;
mod ram;
mod sparse;
mod trace;

use std::io::{Error, Result, Write};
use std::path::Path;

use ram::Responses;
use trace::{Footprint, Request};

const USAGE: &str =
    "usage: replay generate REQUESTS SEED FILE | replay footprint FILE | replay ram|disk FILE BYTES…";

/// What a replay has served from the cache.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hits {
    requests: u64,
    bytes: u64,
    hits: u64,
    hit_bytes: u64,
}

impl Hits {
    /// A request for `size` octets, of which the cache had `had`.
    fn count(&mut self, size: u32, had: u32) {
        self.requests += 1;
        self.bytes += u64::from(size);
        self.hits += u64::from(had == size);
        self.hit_bytes += u64::from(had);
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<&str>>().as_slice() {
        ["generate", requests, seed, file] => generate_to(number(requests)?, number(seed)?, Path::new(file)),
        ["disk", file, sizes @ ..] => disk(&trace::read(Path::new(file))?, sizes),
        ["footprint", file] => footprint(Path::new(file)),
        ["ram", file, sizes @ ..] => ram(&trace::read(Path::new(file))?, sizes),
        _ => Err(Error::other(USAGE)),
    }
}

fn generate_to(requests: u64, seed: u64, file: &Path) -> Result<()> {
    trace::write(file, &generate::generate(requests as usize, seed))
}

/// Prints as assignments what a shell script wants to know of a trace.
fn footprint(file: &Path) -> Result<()> {
    let Footprint { requests, objects, once, bytes, asked_bytes } = trace::footprint(&trace::read(file)?);
    writeln!(
        std::io::stdout(),
        "requests={requests} objects={objects} once={once} bytes={bytes} asked_bytes={asked_bytes}"
    )
}

fn ram(trace: &[Request], sizes: &[&str]) -> Result<()> {
    let largest = trace.iter().map(|request| request.size).max().unwrap_or_default();
    let responses = Responses::new(largest as usize);
    for size in sizes {
        let size = number(size)?;
        report("Larder RAM", size, ram::replay(trace, size, &responses), None)?;
    }
    Ok(())
}

fn disk(trace: &[Request], sizes: &[&str]) -> Result<()> {
    for size in sizes {
        let size = number(size)?;
        if let Some(outcome) = disk::replay(trace, size)? {
            report("Larder disk", size, outcome.hits, Some((outcome.admitted, outcome.moved)))?;
        }
    }
    Ok(())
}

/// A line of the report. `written` is what went to disk: for fetched responses, and for moved records.
fn report(policy: &str, size: u64, hits: Hits, written: Option<(u64, u64)>) -> Result<()> {
    let Hits { requests, bytes, hits, hit_bytes } = hits;
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let (objects, octets) = (share(hits, requests), share(hit_bytes, bytes));
    let (admitted, moved) = written.unwrap_or_default();
    writeln!(std::io::stdout(), "{policy}\t{size}\t{objects:.6}\t{octets:.6}\t{admitted}\t{moved}")
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|error| Error::other(format!("{text}: {error}; {USAGE}")))
}
