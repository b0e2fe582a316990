//! Which folders keep what they hold, in any order of openings and whatever fails meanwhile; and
//! where keys lie.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use rustix::io::Errno;

use super::super::faulty::{Failing, Faulty};
use super::super::files::SystemFiles;
use super::super::record::{Kind, Record};
use super::*;

/// Folders of their own, named by letters; removed when dropped.
struct Folders(PathBuf);

const SETTINGS: DiskSettings = DiskSettings { size: 64 << 10, segment_size: 16 << 10 };

impl Folders {
    fn new() -> Folders {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Folders(std::env::temp_dir().join(format!("larder-members-{}-{number}", std::process::id())))
    }

    fn system(&self, letters: &str) -> Result<Opened, OpenError> {
        self.open(letters, &Faulty::files(|_operation, _path| Ok(())))
    }

    fn open(&self, letters: &str, files: &Arc<dyn Files>) -> Result<Opened, OpenError> {
        let folders: Vec<_> = letters.chars().map(|letter| (self.folder(letter), SETTINGS)).collect();
        static RANDOM: AtomicU64 = AtomicU64::new(1);
        let number = || RANDOM.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        super::open(&folders, files, &Clock::system(), || [number(), number()])
    }

    fn folder(&self, letter: char) -> PathBuf {
        self.0.join(letter.to_string())
    }

    /// Opens these folders, and writes something into each.
    fn turn(&self, letters: &str) {
        let opened = self.system(letters).expect("a set");
        assert!(opened.left_out.is_empty(), "{:?}", opened.left_out);
        for disk in &opened.disks {
            let seq = disk.next_seq();
            // More than one segment.
            for number in 0..20u64 {
                let (head, body) = (Bytes::from_static(b"head"), vec![Bytes::from(vec![7; 1000])]);
                let key = u128::from(number) << 120 | u128::from(seq);
                let kind = Kind::Object;
                let record = Record { key, kind, seq, generation: seq, part: 0, first: 0, head, body };
                assert!(disk.append(record).is_ok_and(|queued| disk.wait(queued)));
            }
        }
    }

    /// Those of the folders that hold something, when these are opened.
    fn full(&self, letters: &str) -> String {
        let opened = self.system(letters).expect("a set");
        assert!(opened.left_out.is_empty(), "{:?}", opened.left_out);
        let disks = letters.chars().zip(&opened.disks);
        disks.filter(|(_, disk)| disk.usage().records > 0).map(|(letter, _)| letter).collect()
    }

    /// All that lies in the folders, but for the locks.
    #[expect(clippy::disallowed_methods, reason = "the test's own folders")]
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        for folder in std::fs::read_dir(&self.0).expect("a folder").flatten() {
            for file in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
                if file.file_name() != "lock" {
                    all.insert(file.path(), std::fs::read(file.path()).expect("a file"));
                }
            }
        }
        all
    }

    /// The same folders elsewhere.
    #[expect(clippy::disallowed_methods, reason = "the test's own folders")]
    fn copy(&self) -> Folders {
        let copied = Folders::new();
        for (path, octets) in self.contents() {
            let path = copied.0.join(path.strip_prefix(&self.0).expect("a path within"));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, octets).expect("a file");
        }
        copied
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own folders")]
impl Drop for Folders {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_keeps_what_it_holds_if_it_was_there_whenever_the_others_were() {
    // The openings in order, and which folders hold something from before at the last one.
    let cases = [
        ("AB AB", "AB"),
        ("AB BA", "BA"),
        ("A AB", "A"),
        ("A AB AB", "AB"),
        ("AB A AB", "A"),
        ("AB B AB", "B"),
        ("AB A A AB", "A"),
        ("AB A B AB", ""),
        ("AB A A B B AB", ""),
        ("AB A AB AB", "AB"),
        ("ABC ABC", "ABC"),
        ("AB ABC", "AB"),
        ("ABC AB ABC", "AB"),
        ("ABC AB AC", "A"),
        ("ABC AB BC", "B"),
        ("ABC AB C ABC", ""),
        ("ABC AB C AC", ""),
        ("ABC A B C ABC", ""),
        ("ABC A B AC", "A"),
        ("ABC A AB ABC", "AB"),
        // C has seen all when it comes back, but A has not seen that.
        ("ABC AB BC ABC", "B"),
        ("ABC AB BC AB", "B"),
        ("ABC AB BC BC", "BC"),
        // Alone it can't know what was removed while it was away.
        ("ABC AB C", "C"),
    ];
    for (openings, expected) in cases {
        let folders = Folders::new();
        let (before, last) = openings.rsplit_once(' ').expect("two openings");
        before.split(' ').for_each(|letters| folders.turn(letters));
        assert_eq!(folders.full(last), expected, "{openings}");
    }
}

#[test]
fn copies_of_one_folder_and_one_without_a_superblock_begin_empty() {
    let folders = Folders::new();
    folders.turn("AB");
    let contents = folders.contents();
    for (path, octets) in &contents {
        if let Ok(name) = path.strip_prefix(folders.folder('A')) {
            SystemFiles.create_folder(&folders.folder('C')).expect("a folder");
            let file = SystemFiles.create(&folders.folder('C').join(name)).expect("a file");
            file.write_all_at(octets, 0).expect("writable");
        }
    }
    assert_eq!(folders.full("ABC"), "B");
    folders.turn("ABC");
    assert_eq!(folders.full("ABC"), "ABC", "they are three from now on");
    SystemFiles.remove(&folders.folder('A').join("superblock")).expect("it is there");
    assert_eq!(folders.full("ABC"), "BC");
}

#[test]
fn a_start_that_ends_with_an_error_has_changed_nothing() {
    let folders = Folders::new();
    folders.turn("ABC");
    folders.turn("AC");
    folders.turn("S");
    let held = folders.system("C").expect("a folder");
    let before = folders.contents();
    // B would begin empty, and A would be open without it.
    assert!(
        matches!(folders.system("ABS"), Err(OpenError::Stranger(folder)) if folder == folders.folder('S'))
    );
    assert!(
        matches!(folders.system("SBA"), Err(OpenError::Stranger(folder)) if folder == folders.folder('B'))
    );
    assert!(matches!(folders.system("ABC"), Err(OpenError::InUse(folder)) if folder == folders.folder('C')));
    assert_eq!(folders.contents(), before);
    drop(held);
    let path = folders.folder('C').join("superblock");
    let file = SystemFiles.open_to_write(&path).expect("it is there");
    file.write_all_at(&[0], 30).expect("writable");
    let before = folders.contents();
    assert!(
        matches!(folders.system("ABC"), Err(OpenError::Format(folder, _)) if folder == folders.folder('C'))
    );
    assert_eq!(folders.contents(), before);
}

#[test]
fn a_removal_on_a_disk_that_permits_nothing_is_known_to_its_companions() {
    // Those whose device permits nothing any more, whether a removal from B is kept, and what is
    // left of all at the next start.
    for (failing, is_kept, expected) in [("B", true, "AC"), ("BC", false, "AC"), ("ABC", false, "ABC")] {
        let folders = Folders::new();
        folders.turn("ABC");
        let fails = Arc::new(AtomicBool::new(false));
        let failing_folders: Vec<PathBuf> = failing.chars().map(|letter| folders.folder(letter)).collect();
        let failed = fails.clone();
        let files = Faulty::files(move |operation, path| {
            let is_failing = failed.load(Ordering::SeqCst) && operation.changes();
            match is_failing && failing_folders.iter().any(|folder| path.starts_with(folder)) {
                true => Err(Errno::ROFS),
                false => Ok(()),
            }
        });
        let opened = folders.open("ABC", &files).expect("a set");
        fails.store(true, Ordering::SeqCst);
        let (kind, head) = (Kind::Tombstone, Bytes::new());
        let gone = Record { key: 7, kind, seq: 1, generation: 0, part: 0, first: 0, head, body: Vec::new() };
        let disk = &opened.disks[1];
        assert_eq!(disk.append(gone).is_ok_and(|queued| disk.wait(queued)), is_kept, "{failing}");
        drop(opened);
        assert_eq!(folders.full("ABC"), expected, "{failing}");
    }
}

/// Folders of which A keeps what it holds, B begins empty, and C is new.
fn one_of_each() -> Folders {
    let folders = Folders::new();
    folders.turn("AB");
    folders.turn("A");
    folders
}

#[test]
fn a_start_that_is_killed_at_any_operation_brings_nothing_back_and_loses_nothing() {
    let template = one_of_each();
    let mut killed = 0;
    for operations in 0.. {
        let folders = template.copy();
        let killed_then = Failing::killed_after(operations);
        // What is written when it is closed fails, too.
        drop(folders.open("ABC", &killed_then.files));
        let next = ["AB", "AC", "ABC", "A"][operations as usize % 4];
        assert_eq!(folders.full(next), "A", "{next} after {operations} operations");
        assert_eq!(folders.full("ABC"), "A", "{next} and all after {operations} operations");
        if !killed_then.has_struck() {
            break;
        }
        killed += 1;
    }
    assert!(killed > 20, "{killed}");
}

#[test]
fn a_folder_that_fails_at_any_operation_costs_itself_alone() {
    for failing in ['A', 'B', 'C'] {
        let template = one_of_each();
        let mut failures = 0;
        for operations in 0.. {
            let folders = template.copy();
            let (left, folder) = (AtomicI64::new(operations), folders.folder(failing));
            let files = Faulty::files(move |_operation, path| {
                let is_left = !path.starts_with(&folder) || left.fetch_sub(1, Ordering::SeqCst) > 0;
                if is_left { Ok(()) } else { Err(Errno::IO) }
            });
            let opened = folders.open("ABC", &files).expect("two of them");
            let is_left_out = opened.left_out.iter().any(|one| one.folder == folders.folder(failing));
            assert_eq!(opened.disks.len(), 3 - usize::from(is_left_out), "{:?}", opened.left_out);
            let held: u64 = opened.disks.iter().map(|disk| disk.usage().records).sum();
            assert!(held > 0 || failing == 'A', "{failing} after {operations}");
            drop(opened);
            // Others were used without it, if there are others that hold something.
            let expected = if is_left_out && failing == 'A' { "" } else { "A" };
            assert_eq!(folders.full("ABC"), expected, "{failing} after {operations}");
            if !is_left_out {
                break;
            }
            failures += 1;
        }
        assert!(failures > 8, "{failing}: {failures}");
    }
}

/// Spread as hashes are.
fn key(number: u64) -> u128 {
    u128::from(mix(number)) << 64 | u128::from(mix(number ^ 0x5555))
}

const DISKS: [(u64, u64); 3] = [(11, 100), (22, 200), (33, 700)];

#[test]
fn keys_are_spread_by_weight() {
    let mut counts = [0; 3];
    (0..100_000).for_each(|number| counts[place_of(key(number), DISKS.into_iter())] += 1);
    for (count, (_, weight)) in counts.into_iter().zip(DISKS) {
        let expected = weight as i64 * 100;
        assert!((count - expected).abs() < 600, "{count} of {expected}");
    }
}

#[test]
fn a_disk_that_comes_or_goes_moves_its_own_share_only() {
    let without = |gone: usize| {
        DISKS.into_iter().enumerate().filter(move |(place, _)| *place != gone).map(|(_, disk)| disk)
    };
    for number in 0..10_000 {
        let before = DISKS[place_of(key(number), DISKS.into_iter())];
        for (gone, disk) in DISKS.into_iter().enumerate() {
            let after = without(gone).nth(place_of(key(number), without(gone)));
            assert!(disk == before || after == Some(before), "{number} without {gone}");
        }
    }
    assert_eq!(place_of(key(1), std::iter::empty()), 0);
}
