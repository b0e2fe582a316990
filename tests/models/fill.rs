//! The fill: no wake-up is lost, nobody sees a clean end after an abort, and whoever sees one has
//! seen every octet in order.
//!
//! tokio's `Notify` works as it is, a switch before each call and each call one step. The wakers
//! that it calls are those of shuttle's executor, so that a reader that sleeps and is never woken
//! is a deadlock that shuttle reports.

use bytes::Bytes;
use larder::http::Fields;
use larder::store::{Aborted, Fill, FillReader, FillWriter, Store, StoreSettings};
use shuttle::future::{block_on, spawn};
use shuttle::sync::Arc;

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
    let settings = StoreSettings { memory, object_max: memory };
    Store::new(settings, [1, 2, 3]).fill(None).expect("no length is given")
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
            Ok(true) => return (Ok(()), seen),
            Ok(false) => {}
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
