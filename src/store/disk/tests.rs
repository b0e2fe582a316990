//! The disk tier against an oracle: restarts, crashes, damage; and in `failing`, full disks.

mod contained;
mod failing;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use super::extent::Wanted;
use super::faulty::{Faulty, Operation};
use super::files::{File, SystemFiles};
use super::purges::PurgeScope;
use super::record::Kind;
use super::segment::{Entry, seal};
use super::*;

const SMALL: DiskSettings = DiskSettings { size: 1 << 20, segment_size: 1 << 20 };

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("larder-disk-{}-{number}", std::process::id())))
    }

    fn open(&self, settings: DiskSettings) -> Disk {
        Disk::open(&self.0, settings, Arc::new(SystemFiles), Clock::system(), [1, 2])
            .expect("a usable folder")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let names = SystemFiles.list(&self.0).expect("a folder");
        let mut names: Vec<_> = names.into_iter().filter(|name| name.starts_with("seg-")).collect();
        names.sort();
        names.into_iter().map(|name| self.0.join(name)).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own folder")]
impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A record whose octets follow from its key and generation.
fn record(key: u128, generation: u64, length: usize) -> Record {
    let octets = |seed: u64, length: usize| -> Bytes {
        (0..length as u64).map(|at| ((seed ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
    };
    let seed = key as u64 ^ generation << 32;
    let (head, body) = (octets(!seed, 40), vec![octets(seed, length)]);
    Record { key, kind: Kind::Object, seq: generation, generation, part: 0, first: 0, head, body }
}

fn removal(key: u128) -> Record {
    Record { kind: Kind::Tombstone, head: Bytes::new(), body: Vec::new(), ..record(key, 0, 0) }
}

/// Spread over the index's partitions.
fn key(number: u64) -> u128 {
    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

fn write(disk: &Disk, record: Record) -> bool {
    disk.append(record).is_ok_and(|queued| disk.wait(queued))
}

/// Whether what is read, if anything, is what was written for this key and its generation.
fn generation_of(read: &Record) -> u64 {
    let length = read.body_length();
    let expected = record(read.key, read.generation, length);
    assert_eq!((&read.head, read.body.concat()), (&expected.head, expected.body.concat()), "wrong octets");
    read.generation
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = Folder::new();
    let disk = folder.open(SMALL);
    for number in 0..100 {
        assert!(write(&disk, record(key(number), 1, number as usize * 37)));
    }
    assert!(write(&disk, record(key(7), 2, 500)));
    assert!(write(&disk, removal(key(8))));
    let before = disk.next_seq();
    drop(disk);
    let disk = folder.open(SMALL);
    assert!(disk.next_seq() > before);
    assert_eq!(disk.usage().records, 99);
    assert_eq!(disk.read(key(7)).map(|read| generation_of(&read)), Some(2));
    assert!(disk.read(key(8)).is_none());
    for number in (0..100).filter(|number| ![7, 8].contains(number)) {
        let read = disk.read(key(number)).expect("kept");
        assert_eq!((generation_of(&read), read.body_length()), (1, number as usize * 37));
    }
}

#[test]
fn one_larder_at_a_time_and_one_format() {
    let folder = Folder::new();
    let disk = folder.open(SMALL);
    let second = Disk::open(&folder.0, SMALL, Arc::new(SystemFiles), Clock::system(), [1, 2]);
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    drop(disk);
    let file = SystemFiles.open_to_write(&folder.0.join("superblock")).expect("it is there");
    File::write_all_at(&*file, &2u32.to_le_bytes(), 8).expect("writable");
    let other = Disk::open(&folder.0, SMALL, Arc::new(SystemFiles), Clock::system(), [1, 2])
        .expect_err("another format");
    assert!(other.to_string().contains("it has format 2, and this larder reads format 1"), "{other}");
}

#[test]
fn no_cut_and_no_flipped_octet_yields_anything_wrong() {
    let folder = Folder::new();
    let disk = folder.open(SMALL);
    for number in 0..8 {
        assert!(write(&disk, record(key(number % 5), number, 100 + number as usize * 10)));
    }
    assert!(write(&disk, removal(key(4))));
    drop(disk);
    // With a saved index the lists would not be read.
    let forget_index = || drop(SystemFiles.remove(&folder.0.join("index")));
    let segment = folder.segments().remove(0);
    let file = SystemFiles.open_to_write(&segment).expect("it is there");
    let mut whole = vec![0; file.length().expect("a length") as usize];
    file.read_at(&mut whole, 0).expect("readable");
    let check = |octets: &[u8], what: &str| {
        // With the index that was saved for other octets, and then without.
        for has_index in [true, false] {
            if !has_index {
                forget_index();
            }
            file.set_length(0).expect("writable");
            File::write_all_at(&*file, octets, 0).expect("writable");
            let disk = folder.open(SMALL);
            for number in 0..5 {
                if let Some(read) = disk.read(key(number)) {
                    // A torn tail may take the newest with it: what is left is whole.
                    assert_eq!(generation_of(&read) % 5, number, "{what}");
                }
            }
        }
    };
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        check(&flipped, &format!("octet {at} flipped"));
        check(&whole[..at], &format!("cut at {at}"));
    }
}

#[test]
fn reclaim_keeps_what_is_used_and_never_revives() {
    let folder = Folder::new();
    let settings = DiskSettings { size: 512 << 10, segment_size: 64 << 10 };
    let mut disk = folder.open(settings);
    let mut newest: HashMap<u64, u64> = HashMap::new();
    let mut random = 1u64;
    let mut misses = 0;
    for step in 1..6000u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (random >> 33) % 400;
        match (random >> 20) % 10 {
            0 => {
                newest.insert(number, 0);
                assert!(write(&disk, removal(key(number))));
            }
            1..5 => {
                newest.insert(number, step);
                assert!(write(&disk, record(key(number), step, 200 + (random >> 50) as usize % 3000)));
            }
            _ => {}
        }
        if step % 20 == 0 {
            let is_there = disk.read(key(1000)).is_some();
            misses += u32::from(!is_there);
            assert!(is_there || write(&disk, record(key(1000), 1, 700)));
        }
        if let Some(read) = disk.read(key(number)) {
            assert_eq!(Some(&generation_of(&read)), newest.get(&number), "step {step}");
        }
        if step % 500 == 0 {
            drop(disk);
            disk = folder.open(settings);
            for (number, generation) in &newest {
                let read = disk.read(key(*number)).map(|read| generation_of(&read));
                assert!(read.is_none_or(|read| read == *generation), "{number} after step {step}");
            }
        }
        assert!(disk.usage().used_bytes <= settings.size + settings.segment_size);
    }
    assert!(disk.usage().segments > 2);
    // 4 MiB went through half of one. Uses are forgotten at each of the twelve restarts.
    assert!(misses <= 1 + 4, "what is used is given a second chance: {misses}");
}

#[test]
fn a_full_disk_takes_what_is_asked_for_twice() {
    let folder = Folder::new();
    let disk = folder.open(DiskSettings { size: 256 << 10, segment_size: 16 << 10 });
    let octets = Some(900);
    assert!(disk.admits(key(1), octets) && disk.admits(key(1), octets), "an empty one takes anything");
    for number in 0..400 {
        assert!(write(&disk, record(key(number), 1, 900)));
    }
    assert!(disk.usage().used_bytes > 210 << 10);
    assert!(disk.admits(key(7776), Some(256 << 10)), "the budget of a day has room for it");
    assert!(!disk.admits(key(7777), octets), "for the first time");
    assert!(disk.admits(key(7777), octets), "for the second time");
    assert!(!disk.admits(key(7777), octets), "the note is used up");
    // What had to go is known, too.
    let gone = (0..400).find(|number| !disk.contains(key(*number))).expect("more than fits");
    assert!(disk.admits(key(gone), octets));
}

/// Copies a folder as a crash leaves it, with its saved index or without.
fn copy(folder: &Folder, with_index: bool) -> Folder {
    copy_of(&folder.0, with_index)
}

#[expect(clippy::disallowed_methods, reason = "the test's own folders")]
fn copy_of(folder: &Path, with_index: bool) -> Folder {
    let copied = Folder::new();
    std::fs::create_dir_all(&copied.0).expect("a folder");
    for name in SystemFiles.list(folder).expect("a folder") {
        if name != "lock" && (with_index || name != "index") {
            std::fs::copy(folder.join(&name), copied.0.join(&name)).expect("copied");
        }
    }
    copied
}

/// The generation of each key that is there.
fn contents(folder: &Folder, settings: DiskSettings, keys: u64) -> Vec<Option<u64>> {
    let disk = folder.open(settings);
    (0..keys).map(|number| disk.read(key(number)).map(|read| generation_of(&read))).collect()
}

#[test]
fn a_saved_index_of_any_age_says_what_the_log_says() {
    const KEYS: u64 = 60;
    // Two segments or three: the saved index soon points at some that are gone.
    let settings = DiskSettings { size: 3 << 20, segment_size: 1 << 20 };
    let mut random = 12_345u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    for _round in 0..6 {
        let folder = Folder::new();
        let mut disk = folder.open(settings);
        for generation in 1..400 {
            let chosen = key(next(KEYS));
            match next(10) {
                0 => {
                    assert!(write(&disk, removal(chosen)));
                }
                1..3 => drop(disk.read(chosen)),
                _ => assert!(write(&disk, record(chosen, generation, next(60_000) as usize))),
            }
            if generation % 97 == 0 {
                // Ends in order, which saves the index; what follows it does not know.
                drop(disk);
                disk = folder.open(settings);
            }
            if next(20) == 0 {
                let with_index = contents(&copy(&folder, true), settings, KEYS);
                assert_eq!(with_index, contents(&copy(&folder, false), settings, KEYS));
            }
        }
    }
}

#[test]
fn a_damaged_index_is_none() {
    let folder = Folder::new();
    let disk = folder.open(SMALL);
    for number in 0..20 {
        assert!(write(&disk, record(key(number), 1, 100)));
    }
    let purge = PurgeScope::Host("a.example".to_owned());
    disk.purges().merge(purge.clone(), 77).expect("room for one");
    drop(disk);
    let path = folder.0.join("index");
    let file = SystemFiles.open_to_write(&path).expect("it was saved");
    let mut whole = vec![0; file.length().expect("a length") as usize];
    file.read_at(&mut whole, 0).expect("readable");
    let disk = folder.open(SMALL);
    assert!(disk.purges().all().iter().any(|kept| kept.scope == purge && kept.seq == 77));
    drop(disk);
    let expected = vec![Some(1); 20];
    for at in (0..whole.len()).step_by(7) {
        let mut octets = whole.clone();
        octets[at] ^= 1 << (at % 8);
        File::write_all_at(&*SystemFiles.open_to_write(&path).expect("it is there"), &octets, 0)
            .expect("writable");
        assert_eq!(contents(&folder, SMALL, 20), expected, "octet {at}");
        let file = SystemFiles.open_to_write(&path).expect("it is there");
        File::write_all_at(&*file, &whole, 0).expect("writable");
        file.set_length(at as u64).expect("it can be cut");
        assert_eq!(contents(&folder, SMALL, 20), expected, "cut at {at}");
    }
}

/// Flips a bit of the octet at `at` of a file.
fn flip(path: &Path, at: u64) {
    let file = SystemFiles.open_to_write(path).expect("a segment");
    let mut octet = [0];
    assert_eq!(file.read_at(&mut octet, at).expect("an octet"), 1);
    file.write_all_at(&[octet[0] ^ 1], at).expect("an octet to write");
}

#[test]
fn scrubbing_finds_what_nobody_has_asked_for() {
    let folder = Folder::new();
    let disk = folder.open(DiskSettings { size: 1 << 20, segment_size: 16 << 10 });
    for number in 0..200 {
        assert!(write(&disk, record(key(number), 1, 900)));
    }
    disk.scrub();
    let clean = disk.usage();
    assert_eq!((clean.scrub.passes, clean.scrub.damaged), (1, 0));
    assert!(clean.scrub.read_bytes > clean.used_bytes / 2 && clean.scrub.last_pass.is_some());
    // One in each of three segments, and one in the last, which is being written.
    let segments = folder.segments();
    for (number, record) in [(0, 0), (1, 3), (2, 5), (segments.len() - 1, 0)] {
        flip(&segments[number], record * 1024 + 300);
    }
    disk.scrub();
    let damaged = disk.usage();
    assert_eq!((damaged.scrub.passes, damaged.scrub.damaged, damaged.damaged), (2, 3, 3));
    assert_eq!(damaged.records, clean.records - 3);
    let read = (0..200).filter_map(|number| disk.read(key(number)));
    // Each that is there is right, and the fourth is found when it is read.
    assert_eq!(read.map(|record| generation_of(&record)).sum::<u64>(), 196);
}

#[test]
fn scrubbing_leaves_the_page_cache_as_it_was() {
    let settings = DiskSettings { size: 1 << 20, segment_size: 64 << 10 };
    // Past the cache where the file system can do that, and as everybody reads where it can't.
    let kinds: [Arc<dyn Files>; 2] = [Arc::new(SystemFiles), Faulty::files(|_operation, _path| Ok(()))];
    for (number, files) in kinds.into_iter().enumerate() {
        let folder = Folder::new();
        let disk = Disk::open(&folder.0, settings, files, Clock::system(), [1, 2]).expect("a usable folder");
        for number in 0..200 {
            assert!(write(&disk, record(key(number), 1, 900 + number as usize * 10)));
        }
        let full = folder.segments();
        let full: Vec<_> =
            full.iter().rev().skip(1).map(|path| (path, SystemFiles.open(path).expect("a file"))).collect();
        for (_path, file) in &full {
            file.forget(0, file.length().expect("a length"));
        }
        disk.scrub();
        assert_eq!((disk.usage().scrub.passes, disk.usage().damaged), (1, 0));
        assert!(disk.usage().scrub.read_bytes > 200 * 1000);
        // One look at each: it may have the kernel read what is behind.
        let in_memory =
            || full.iter().filter(|(_, file)| file.read_at_once(&mut [0], 20_000).is_ok()).count();
        if number == 0 && SystemFiles.open_past_cache(full[0].0).is_ok() {
            assert_eq!(in_memory(), 0);
        }
    }
}

#[test]
fn what_is_read_past_the_cache_is_what_the_file_has() {
    let folder = Folder::new();
    SystemFiles.create_folder(&folder.0).expect("a temporary folder");
    let path = folder.0.join("file");
    let file = SystemFiles.create(&path).expect("a file");
    let octets: Vec<u8> = (0..2_700_001u64).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    file.write_all_at(&octets, 0).expect("writable");
    // Not every file system can do it.
    let Ok(direct) = SystemFiles.open_past_cache(&path) else { return };
    assert_eq!(direct.length().expect("a length"), octets.len() as u64);
    let end = octets.len();
    let places =
        [(0, 64), (1, 5000), (4095, 2), (1 << 20, 1), ((1 << 20) - 1, 2), (5, 2 << 20), (0, end + 9)];
    for (at, count) in places.into_iter().chain([(end - 3, 9), (end, 1), (end + 5000, 1), (100, 64)]) {
        let mut into = vec![0; count];
        let read = direct.read_at(&mut into, at as u64).expect("readable");
        assert_eq!(
            Some(&into[..read]),
            octets.get(at.min(end)..(at + count).min(end).max(at.min(end))),
            "{at}"
        );
    }
}

#[test]
fn a_scrub_under_way_ends_when_the_disk_is_closed_and_harms_no_reclaim() {
    let folder = Folder::new();
    let disk = folder.open(DiskSettings { size: 128 << 10, segment_size: 16 << 10 });
    disk.scrub_every(std::time::Duration::from_secs(86_400)).expect("a thread");
    std::thread::scope(|scope| {
        let scrubbing = scope.spawn(|| (0..20).for_each(|_| disk.scrub()));
        for number in 0..2_000 {
            assert!(write(&disk, record(key(number), 1, 900)));
        }
        scrubbing.join().expect("no panic");
    });
    let usage = disk.usage();
    assert!(usage.reclaimed_bytes > 1 << 20 && usage.damaged == 0, "{usage:?}");
    // A day is not waited for.
    disk.close();
}

#[test]
fn no_more_is_read_than_a_record_can_have() {
    let folder = Folder::new();
    drop(folder.open(SMALL));
    // One record, and its segment's list far behind it: between the two lies a hole.
    let file = SystemFiles.create(&folder.0.join("seg-00000001")).expect("a file");
    let mut octets = Vec::new();
    record(key(1), 1, 500).encode(0, &mut octets).expect("small enough");
    file.write_all_at(&octets, 0).expect("writable");
    let entry = Entry { key: key(1), seq: 1, offset: 0, kind: Kind::Object };
    seal(&*file, &[entry], 3 << 30).expect("writable");
    let longest = Arc::new(AtomicU64::new(0));
    let seen = longest.clone();
    let files = Faulty::files(move |operation, _path| {
        if let Operation::Read(octets) = operation {
            seen.fetch_max(octets as u64, Ordering::SeqCst);
        }
        Ok(())
    });
    let disk = Disk::open(&folder.0, SMALL, files, Clock::system(), [1, 2]).expect("a usable folder");
    assert_eq!(disk.read(key(1)).map(|read| generation_of(&read)), Some(1));
    assert!(longest.load(Ordering::SeqCst) < 2 << 20, "{longest:?}");
}

#[test]
fn an_extent_is_of_the_very_record_that_is_wanted() {
    let folder = Folder::new();
    let disk = folder.open(SMALL);
    let body = 70_000;
    let chunk = |key| Record { kind: Kind::Chunk, part: 2, ..record(key, 5, body) };
    let right = |key| Wanted {
        key,
        kind: Kind::Chunk,
        generation: 5,
        part: 2,
        head_length: 40,
        body_length: body as u32,
    };
    type Change = fn(&mut Wanted);
    let cases: [(&str, Change); 6] = [
        ("the one", |_wanted| {}),
        ("another generation", |wanted| wanted.generation = 4),
        ("another number", |wanted| wanted.part = 1),
        ("another kind", |wanted| wanted.kind = Kind::Object),
        ("a shorter head", |wanted| wanted.head_length = 16),
        ("a longer body", |wanted| wanted.body_length += 1),
    ];
    for (number, (what, change)) in (0..).zip(cases) {
        assert!(write(&disk, chunk(key(number))));
        let mut wanted = right(key(number));
        change(&mut wanted);
        let extent = disk.extent(wanted, (10, 70_000)).expect("there is a record of the key");
        let is_it = wanted == right(key(number));
        assert!(is_it || !extent.as_checked().is_ready(), "{what}");
        assert_eq!(extent.check(), is_it, "{what}");
        assert_eq!(disk.extent(right(key(number)), (0, 1)).is_some(), is_it, "{what}: it is forgotten");
    }
}
