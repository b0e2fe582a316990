//! A folder that an earlier Larder has left: this one reads it, and still writes the same octets.
//!
//! `tests/fixtures/store-1` is such a folder. It was used three times: once in order, with all
//! kinds of records; once more in order, so that a saved index knows two segments; and once by a
//! process that was killed, which leaves a segment without a list and a record that is cut.
//! `cargo test --test old_format -- --ignored` writes it again: see docs/store-format.md for when.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::indexing_slicing, clippy::disallowed_methods, reason = "the test's own files")]
#![allow(unreachable_pub, dead_code, reason = "the files in memory are also fuzz/'s")]

#[path = "../fuzz/targets/memory_files.rs"]
mod memory_files;
#[path = "old_format/story.rs"]
mod story;
#[path = "old_format/told.rs"]
mod told;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::store::disk::checkpoint::{Checkpoint, identity};
use larder::store::disk::files::{Files, SystemFiles};
use larder::store::disk::index::Index;
use larder::store::disk::record::Kind;
use larder::store::disk::segment::{read_footer, scan};
use larder::store::disk::superblock::{Right, Superblock, VERSION};
use story::{HASH_KEY, open, purges, store_of};

type Contents = BTreeMap<String, Vec<u8>>;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-{VERSION}"))
}

fn contents() -> Contents {
    let folder = fixture();
    let entries = std::fs::read_dir(&folder);
    let entries = entries.unwrap_or_else(|error| {
        panic!(
            "format {VERSION} has no fixture in {}: {error}; write it with `cargo test --test old_format -- --ignored`, \
             and keep those of the formats that Larder still reads",
            folder.display()
        )
    });
    let read = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a name of ours");
        (name, std::fs::read(entry.path()).expect("readable"))
    };
    entries.map(|entry| read(entry.expect("readable"))).collect()
}

/// A copy of the fixture, removed when dropped.
struct Copied(PathBuf);

impl Copied {
    fn new(name: &str) -> Copied {
        let folder = std::env::temp_dir().join(format!("larder-old-format-{name}-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, octets) in contents() {
            std::fs::write(folder.join(name), octets).expect("writable");
        }
        Copied(folder)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_files_are_those_of_a_folder_after_a_kill() {
    let copied = Copied::new("files");
    let names: Vec<String> = contents().into_keys().collect();
    assert_eq!(names, ["index", "seg-00000001", "seg-00000002", "seg-00000003", "superblock"]);
    let superblock = Superblock::load(&SystemFiles, &copied.0).expect("readable").expect("it is there");
    let (superblock, right) = superblock.expect("this format");
    assert_eq!((superblock.hash_key, superblock.epoch, right), (HASH_KEY, 3, Right::Kept));
    assert_eq!(superblock.open_with, [superblock.member], "alone");
    let loaded = Checkpoint::load(&Index::new(), &SystemFiles, &copied.0, identity(HASH_KEY));
    let saved = loaded.expect("readable").expect("whole");
    assert_eq!(saved.segment, 3, "the saved index knows the segments before this one");
    assert_eq!(saved.purges.iter().map(|purge| purge.scope.clone()).collect::<Vec<_>>(), purges());
    let open = |name: &str| SystemFiles.open(&copied.0.join(name)).expect("it is there");
    let listed = |name: &str| read_footer(&*open(name)).expect("readable");
    for name in ["seg-00000001", "seg-00000002"] {
        assert_eq!(scan(&*open(name)).expect("readable").0, listed(name).expect("a list"), "{name}");
    }
    assert_eq!(listed("seg-00000003"), None, "the kill came before its list");
    let (entries, end) = scan(&*open("seg-00000003")).expect("readable");
    assert_eq!(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [Kind::Object]);
    assert!(end < open("seg-00000003").length().expect("a length"), "a record is cut");
    // Each kind is there.
    let all: Vec<Kind> = listed("seg-00000001").expect("a list").iter().map(|entry| entry.kind).collect();
    for kind in Kind::ALL {
        assert!(all.contains(&kind), "{kind:?}");
    }
}

#[tokio::test]
async fn all_that_is_in_it_is_read_again() {
    for (name, is_index_there) in [("read", true), ("scanned", false)] {
        let copied = Copied::new(name);
        if !is_index_there {
            SystemFiles.remove(&copied.0.join("index")).expect("it is there");
        }
        let store = store_of(open(&copied.0, Arc::new(SystemFiles)).expect("this Larder reads the folder"));
        told::check(&store).await;
        store.close();
    }
}

/// A change of the format shows in the octets: it needs a number of its own, unless older Larders
/// and this one read each other's folders all the same.
#[tokio::test]
async fn the_same_octets_are_written_today() {
    let (stored, written) = (contents(), story::write().await);
    let names = |contents: &Contents| contents.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&written), names(&stored));
    for (name, octets) in &written {
        let stored = &stored[name];
        let at = octets.iter().zip(stored).position(|(one, other)| one != other);
        let at = at.unwrap_or(octets.len().min(stored.len()));
        assert!(
            octets == stored,
            "{name} of format {VERSION} differs from {} at octet {at} ({} octets, and {} there). If a folder of either \
             can't be read by the other Larder, raise VERSION in src/store/disk/superblock.rs; if it can, say so in \
             docs/store-format.md. Then `cargo test --test old_format -- --ignored` writes the fixture.",
            fixture().display(),
            octets.len(),
            stored.len()
        );
    }
}

/// Writes the fixture: `cargo test --test old_format -- --ignored`.
#[tokio::test]
#[ignore = "it writes into the checkout"]
async fn write_the_fixture() {
    let folder = fixture();
    let _old = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("writable");
    for (name, octets) in story::write().await {
        std::fs::write(folder.join(name), octets).expect("writable");
    }
}
