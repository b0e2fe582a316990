//! The fill: no wake-up is lost, nobody sees a clean end after an abort, and whoever sees one has
//! seen every octet in order.
//!
//! tokio's `Notify` works as it is, a switch before each call and each call one step. The wakers
//! that it calls are those of shuttle's executor, so that a reader that sleeps and is never woken
//! is a deadlock that shuttle reports.

use bytes::Bytes;
use larder::http::Fields;
use larder::store::disk::Done;
use larder::store::{Aborted, Arrived, Chunks, Fill, FillReader, FillWriter, Finished, Memory};
use shuttle::future::{block_on, spawn};
use shuttle::sync::{Arc, Mutex};

use super::explore;

const PIECES: u8 = 3;
/// More small ones than a reader takes at once.
const SMALL_PIECES: u8 = 18;
const SMALL: usize = 8;
/// Two of them are more than the slowest reader may be behind.
const LARGE: usize = 700 * 1024;
/// Memory that keeps small pieces, and memory that keeps no large one.
const PLENTY: u64 = 1 << 30;
const SCARCE: u64 = 64 * 1024;

/// How a reader's content ended, and how many octets it saw.
type Seen = (Result<(), Aborted>, usize);

fn writer(memory: u64) -> FillWriter {
    FillWriter::new(Arc::new(Memory::new(memory, memory, 1)), None, None).expect("no length is given")
}

fn reader(fill: &Arc<Fill>) -> FillReader {
    fill.reader().expect("open, and nothing gone")
}

/// The octet at a place of the content: pieces of one octet each.
fn octet(at: usize, size: usize) -> u8 {
    (at / size) as u8
}

/// Writes pieces, and waits for readers as `room` demands. False when nobody reads any more.
async fn write(writer: &mut FillWriter, pieces: std::ops::Range<u8>, size: usize) -> bool {
    for piece in pieces {
        writer.push(&[Bytes::from(vec![piece; size])]);
        if writer.room().await.is_err() {
            return false;
        }
    }
    true
}

/// Reads up to the end, or until `octets_max` were taken, and checks all that comes.
async fn read(mut reader: FillReader, size: usize, octets_max: usize) -> Seen {
    let mut seen = 0;
    let mut pieces = Vec::new();
    while seen < octets_max {
        let next = reader.next(&mut pieces).await;
        for piece in pieces.drain(..) {
            // A piece of memory may end within a piece of content.
            let ends = [piece.first().copied(), piece.last().copied()];
            assert_eq!(ends, [seen, seen + piece.len() - 1].map(|at| Some(octet(at, size))), "out of order");
            seen += piece.len();
        }
        match next {
            Ok(Arrived::Last) => return (Ok(()), seen),
            Ok(Arrived::Pieces) => {}
            Ok(Arrived::OnDisk { .. }) => panic!("nothing goes to a disk here"),
            Err(aborted) => return (Err(aborted), seen),
        }
    }
    (Err(Aborted), seen)
}

const ALL: usize = usize::MAX;

#[test]
fn readers_that_join_at_any_time_see_everything() {
    explore(|| {
        block_on(async {
            let mut writer = writer(PLENTY);
            let early = spawn(read(reader(writer.fill()), SMALL, ALL));
            let fill = writer.fill().clone();
            let late = spawn(async move { read(reader(&fill), SMALL, ALL).await });
            let writing = spawn(async move {
                assert!(write(&mut writer, 0..SMALL_PIECES, SMALL).await);
                writer.finish(Fields::default());
            });
            let whole = (Ok(()), usize::from(SMALL_PIECES) * SMALL);
            assert_eq!(early.await.expect("no panic"), whole);
            assert_eq!(late.await.expect("no panic"), whole);
            writing.await.expect("no panic");
        });
    });
}

#[test]
fn an_abort_is_never_a_clean_end() {
    explore(|| {
        block_on(async {
            let mut writer = writer(PLENTY);
            let readers = [ALL, SMALL].map(|max| spawn(read(reader(writer.fill()), SMALL, max)));
            let fill = writer.fill().clone();
            let late = spawn(async move {
                // Nobody may join what has aborted.
                match fill.reader() {
                    Some(reader) => read(reader, SMALL, ALL).await,
                    None => (Err(Aborted), 0),
                }
            });
            let writing = spawn(async move {
                write(&mut writer, 0..PIECES - 1, SMALL).await;
                drop(writer);
            });
            for reader in readers.into_iter().chain([late]) {
                let (end, seen) = reader.await.expect("no panic");
                assert_eq!(end, Err(Aborted), "after {seen} octets");
            }
            writing.await.expect("no panic");
        });
    });
}

#[test]
fn what_only_passes_reaches_all_who_stay() {
    explore(|| {
        block_on(async {
            let mut writer = writer(SCARCE);
            let stays = spawn(read(reader(writer.fill()), LARGE, ALL));
            // Leaves in the middle, perhaps while the writer waits for it.
            let leaves = spawn(read(reader(writer.fill()), LARGE, LARGE));
            let writing = spawn(async move {
                assert!(write(&mut writer, 0..PIECES, LARGE).await);
                writer.finish(Fields::default());
            });
            assert_eq!(stays.await.expect("no panic"), (Ok(()), usize::from(PIECES) * LARGE));
            assert!(leaves.await.expect("no panic").1 >= LARGE);
            writing.await.expect("no panic");
        });
    });
}

#[test]
fn a_writer_that_everybody_leaves_is_told() {
    explore(|| {
        block_on(async {
            let mut writer = writer(SCARCE);
            let readers = [0, 1].map(|max| spawn(read(reader(writer.fill()), LARGE, max)));
            // While it waits for them, or at the latest when it asks again.
            let goes_on = write(&mut writer, 0..PIECES, LARGE).await;
            for reader in readers {
                assert_eq!(reader.await.expect("no panic").0, Err(Aborted));
            }
            assert!(!goes_on || !write(&mut writer, PIECES..PIECES + 1, LARGE).await, "it writes for nobody");
        });
    });
}

#[test]
fn who_is_left_behind_is_cut_off_and_the_others_see_everything() {
    explore(|| {
        block_on(async {
            let mut writer = writer(SCARCE);
            let sleeper = reader(writer.fill());
            let readers = [0, 1].map(|_| spawn(read(reader(writer.fill()), LARGE, ALL)));
            let writing = spawn(async move {
                for piece in 0..PIECES {
                    writer.push(&[Bytes::from(vec![piece; LARGE])]);
                    // A deadline has passed: whoever is behind now has lost.
                    writer.leave_behind();
                    if writer.room().await.is_err() {
                        return false;
                    }
                }
                writer.finish(Fields::default());
                true
            });
            let has_finished = writing.await.expect("no panic");
            let whole = usize::from(PIECES) * LARGE;
            for reader in readers {
                let (end, seen) = reader.await.expect("no panic");
                assert!(end == Err(Aborted) || has_finished && seen == whole, "{end:?} after {seen}");
            }
            // It never took anything, so that it was behind from the first piece on.
            assert_eq!(read(sleeper, LARGE, ALL).await, (Err(Aborted), 0));
        });
    });
}

/// A disk that is written to by somebody else, in order.
#[derive(Debug)]
struct ModelDisk {
    octets: Arc<Mutex<Vec<u8>>>,
    /// What waits to be written.
    queue: Arc<Mutex<Vec<(Vec<Bytes>, Done)>>>,
}

impl Chunks for ModelDisk {
    fn admits(&self, _octets: Option<u64>) -> Result<(), &'static str> {
        Ok(())
    }

    fn length_max(&self) -> u64 {
        u64::MAX
    }

    fn append(&self, _number: u32, body: Vec<Bytes>, done: Done) -> bool {
        self.queue.lock().expect("no panic").push((body, done));
        true
    }
}

/// Reads like [`read`], from memory and from the disk.
async fn read_both(mut reader: FillReader, disk: Arc<Mutex<Vec<u8>>>) -> Seen {
    let (mut seen, mut pieces) = (0, Vec::new());
    loop {
        let next = reader.next(&mut pieces).await;
        let mut octets: Vec<u8> = pieces.drain(..).collect::<Vec<Bytes>>().concat();
        match next {
            Err(aborted) => return (Err(aborted), seen),
            Ok(Arrived::OnDisk { range, length }) => {
                assert_eq!((range.first as usize, range.last < length), (seen, true), "a gap");
                octets = disk.lock().expect("no panic")[seen..=range.last as usize].to_vec();
            }
            Ok(Arrived::Pieces | Arrived::Last) => {}
        }
        let is_right = |(at, seen_octet): (usize, &u8)| *seen_octet == octet(seen + at, LARGE);
        // Every thousandth, for there are many.
        assert!(octets.iter().enumerate().step_by(997).all(is_right), "out of order");
        seen += octets.len();
        if next == Ok(Arrived::Last) {
            return (Ok(()), seen);
        }
    }
}

#[test]
fn what_goes_to_disk_is_read_from_memory_or_from_there() {
    explore(|| {
        let (octets, queue) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let disk = ModelDisk { octets: octets.clone(), queue: queue.clone() };
        let on_disk = disk.octets.clone();
        block_on(async move {
            let memory = Arc::new(Memory::new(PLENTY, PLENTY, 1));
            let mut writer = FillWriter::new(memory, None, Some(Box::new(disk))).expect("admitted");
            let fill = writer.fill().clone();
            let early = spawn(read_both(reader(&fill), on_disk.clone()));
            // The disk is done with what it has at any time.
            let writing = spawn(async move {
                let mut written = 0;
                while written < PIECES as usize * LARGE {
                    let waiting: Vec<_> = queue.lock().expect("no panic").drain(..).collect();
                    for (body, done) in waiting {
                        let body = body.concat();
                        written += body.len();
                        octets.lock().expect("no panic").extend_from_slice(&body);
                        (done.0)(true);
                    }
                    shuttle::future::yield_now().await;
                }
            });
            assert!(write(&mut writer, 0..PIECES, LARGE).await, "somebody reads");
            let late = spawn(read_both(reader(&fill), on_disk));
            let length = PIECES as u64 * LARGE as u64;
            assert!(matches!(writer.finish(Fields::default()), Finished::Chunks(all) if all == length));
            assert_eq!(fill.settled().await, length);
            writing.await.expect("no panic");
            for seen in [early.await.expect("no panic"), late.await.expect("no panic")] {
                assert_eq!(seen, (Ok(()), length as usize));
            }
        });
    });
}
