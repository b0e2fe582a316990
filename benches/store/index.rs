//! The disk tier by itself, for benches/store: fills a folder, and opens it.
//!
//!     index fill FOLDER RECORDS LENGTH     writes so many records of so many octets, says what they
//!                                          cost, and waits to be killed
//!     index open FOLDER RECORD             opens it, reads one record, and says how long that took
//!                                          and what memory it needs
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of its own, beside nothing")]

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use larder::clock::Clock;
use larder::store::disk::files::SystemFiles;
use larder::store::disk::record::{Kind, Record};
use larder::store::disk::{Disk, DiskSettings, SEGMENT_SIZE};

/// Spread as hashes are.
fn key(number: u64) -> u128 {
    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

fn record(number: u64, generation: u64, length: usize, kind: Kind) -> Record {
    let body = if length == 0 { Vec::new() } else { vec![Bytes::from(vec![number as u8; length])] };
    let head = Bytes::from(vec![0; 100]);
    Record { key: key(number), kind, seq: generation, generation, part: 0, first: 0, head, body }
}

fn open(folder: &Path) -> anyhow::Result<Disk> {
    let settings = DiskSettings { size: 1 << 40, segment_size: SEGMENT_SIZE };
    Ok(Disk::open(folder, settings, Arc::new(SystemFiles), Clock::system(), [1, 2])?)
}

/// Octets of memory that are in use, and not of files.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    Ok(kib.parse::<u64>()? * 1024)
}

fn fill(folder: &Path, records: u64, length: usize) -> anyhow::Result<()> {
    let disk = open(folder)?;
    let mut last = None;
    for number in 0..records {
        loop {
            match disk.append(record(number, 1, length, Kind::Object)) {
                Ok(queued) => {
                    last = Some(queued);
                    break;
                }
                // The queue is full: the writer is a little behind.
                Err(_) => std::thread::yield_now(),
            }
        }
    }
    last.map(|queued| disk.wait(queued));
    let written = disk.usage().written_bytes;
    let freshened = disk.append(record(records, 1, 0, Kind::Meta))?;
    disk.wait(freshened);
    let a_304 = disk.usage().written_bytes - written;
    println!("{written} {a_304}");
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match texts.as_slice() {
        ["fill", folder, records, length] => fill(Path::new(folder), records.parse()?, length.parse()?),
        ["open", folder, number] => {
            let before = resident()?;
            let began = Instant::now();
            let disk = open(Path::new(folder))?;
            let found = disk.read(key(number.parse()?));
            let seconds = began.elapsed().as_secs_f64();
            anyhow::ensure!(found.is_some(), "the record is not there");
            let memory = resident()?.saturating_sub(before);
            println!("{seconds:.4} {memory} {}", disk.usage().records);
            Ok(())
        }
        _ => anyhow::bail!("index fill FOLDER RECORDS LENGTH | index open FOLDER RECORD"),
    }
}
