//! Disks that are full, fail, and are online again: what was removed stays removed.

use std::sync::atomic::AtomicBool;

use rustix::io::Errno;

use super::*;
use crate::store::disk::faulty::{Failing, Faulty, Operation};

#[test]
fn a_disk_that_fails_at_any_operation_is_read_only_and_right() {
    let settings = DiskSettings { size: 64 << 10, segment_size: 16 << 10 };
    for operations in 0..60 {
        let folder = Folder::new();
        let files = Failing::killed_after(operations).files;
        let Ok(disk) = Disk::open(&folder.0, settings, files, Clock::system(), [1, 2]) else {
            continue;
        };
        let mut written: HashMap<u64, u64> = HashMap::new();
        for step in 0..100 {
            let number = step % 30;
            if write(&disk, record(key(number), step, 1000)) {
                written.insert(number, step);
            }
        }
        assert!(disk.usage().read_only.is_some(), "after {operations} operations");
        for (number, generation) in &written {
            let read = disk.read(key(*number)).map(|read| generation_of(&read));
            assert!(read.is_none_or(|read| read == *generation));
        }
        drop(disk);
        let disk = folder.open(settings);
        for (number, generation) in &written {
            let read = disk.read(key(*number)).map(|read| generation_of(&read));
            // The record that failed may have been written whole all the same.
            assert!(read.is_none_or(|read| read >= *generation), "after {operations} operations");
        }
    }
}

#[test]
fn a_removal_that_a_full_disk_cant_write_outlasts_a_restart() {
    let settings = DiskSettings { size: 64 << 10, segment_size: 16 << 10 };
    let mut came_back_without = 0;
    for operations in 5..60 {
        let folder = Folder::new();
        let full = Failing::full_after(operations);
        let opened = Disk::open(&folder.0, settings, full.files.clone(), Clock::system(), [1, 2]);
        let Ok(disk) = opened else { continue };
        let mut removed = HashMap::new();
        for step in 0..60 {
            let number = step % 20;
            if step % 4 == 3 {
                assert!(write(&disk, removal(key(number))), "{step} after {operations}");
                removed.insert(number, step);
                assert!(disk.read(key(number)).is_none());
            } else {
                write(&disk, record(key(number), step, 1000));
            }
        }
        assert!(disk.usage().read_only.is_some());
        let is_open = (0..20).filter(|number| disk.contains(key(*number))).count();
        drop(disk);
        let disk = folder.open(settings);
        for number in 0..20 {
            let read = disk.read(key(number)).map(|read| generation_of(&read));
            assert!(read.is_none_or(|read| removed.get(&number).is_none_or(|step| read > *step)));
        }
        came_back_without += usize::from(is_open > 0 && disk.usage().records == 0);
    }
    assert!(came_back_without > 30, "what is there is not trusted: {came_back_without}");
}

#[test]
fn a_disk_that_is_online_again_keeps_both_what_it_has_and_what_was_removed() {
    let settings = DiskSettings { size: 1 << 20, segment_size: 64 << 10 };
    for is_killed in [false, true] {
        let mut struck = 0;
        for operations in 0.. {
            let folder = Folder::new();
            let killed = Arc::new(AtomicBool::new(false));
            let kills = killed.clone();
            let failing = Failing::after(30, move |operation, _at| match operation {
                _ if kills.load(Ordering::SeqCst) => Err(Errno::IO),
                Operation::Create | Operation::Write => Err(Errno::NOSPC),
                _ => Ok(()),
            });
            let disk = Disk::open(&folder.0, settings, failing.files.clone(), Clock::system(), [1, 2])
                .expect("a usable folder");
            let written: Vec<u64> =
                (0..40).filter(|number| write(&disk, record(key(*number), 1, 1000))).collect();
            assert!(written.len() > 10 && disk.is_read_only());
            assert!(write(&disk, removal(key(3))));
            // Full again, or killed, at some operation from then on.
            killed.store(is_killed, Ordering::SeqCst);
            failing.strike_after(operations);
            let _is_online = disk.online();
            let was_removed = write(&disk, removal(key(4)));
            assert!(was_removed || is_killed);
            drop(disk);
            let disk = folder.open(settings);
            assert!(disk.read(key(3)).is_none(), "after {operations} operations");
            assert!(!was_removed || disk.read(key(4)).is_none(), "after {operations} operations");
            if !failing.has_struck() {
                assert_eq!(disk.usage().records, written.len() as u64 - 2);
                break;
            }
            struck += 1;
        }
        assert!(struck > 10, "{struck}");
    }
}

#[test]
fn a_removal_that_a_failed_sync_may_have_lost_does_not_come_back() {
    let folder = Folder::new();
    let failing = Failing::after(40, |operation, _at| match operation {
        Operation::Sync => Err(Errno::IO),
        _ => Ok(()),
    });
    let clock = Clock::system();
    let disk = Disk::open(&folder.0, SMALL, failing.files.clone(), clock.clone(), [1, 2]);
    let disk = disk.expect("a usable folder");
    for number in 0..30 {
        assert!(write(&disk, record(key(number), 1, 100)));
    }
    let before = copy(&folder, true);
    assert!(write(&disk, removal(key(3))));
    for number in 100..110 {
        write(&disk, record(key(number), 1, 100));
    }
    // It can't be closed: the sync at its end fails.
    drop(disk);
    // The kernel may have lost what was not synced: the segment as it was before.
    for segment in before.segments() {
        let to = folder.0.join(segment.file_name().expect("a name"));
        SystemFiles.rename(&segment, &to).expect("a file in the place of another");
    }
    assert!(folder.open(SMALL).read(key(3)).is_none());
}

#[test]
fn what_lies_in_front_of_a_removal_that_fails_is_removed_all_the_same() {
    let folder = Folder::new();
    let settings = DiskSettings { size: 64 << 10, segment_size: 16 << 10 };
    let gate = Arc::new(Mutex::new(()));
    let (closed, creates) = (gate.clone(), AtomicU64::new(0));
    let files = Faulty::files(move |operation, path| {
        let is_segment = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-"));
        match operation {
            Operation::Write if is_segment => drop(closed.lock()),
            // There is no room for a second segment.
            Operation::Create if is_segment && creates.fetch_add(1, Ordering::SeqCst) > 0 => {
                return Err(Errno::NOSPC);
            }
            _ => {}
        }
        Ok(())
    });
    let disk = Disk::open(&folder.0, settings, files, Clock::system(), [1, 2]).expect("a usable folder");
    let held = gate.lock().expect("no panic");
    disk.append(record(key(1), 1, 100)).expect("room");
    // Behind it: what fits into the segment, and a removal that does not.
    while !disk.inner.lock_queue().records.is_empty() {
        std::thread::yield_now();
    }
    disk.append(record(key(2), 1, 15_000)).expect("room");
    let queued = disk.append(Record { head: Bytes::from(vec![7; 2000]), ..removal(key(2)) });
    drop(held);
    assert!(queued.is_ok_and(|queued| disk.wait(queued)));
    assert!(disk.is_read_only() && disk.read(key(1)).is_some());
    assert!(disk.read(key(2)).is_none(), "it is gone while this process lives, too");
}

/// Files in which the device can't do this in this segment.
fn unreadable(segment: &str, fails: fn(Operation) -> bool) -> Arc<dyn Files> {
    let segment = segment.to_owned();
    Faulty::files(move |operation, path| match fails(operation) && path.ends_with(&segment) {
        true => Err(Errno::IO),
        false => Ok(()),
    })
}

#[test]
fn a_segment_that_cant_be_read_at_the_start_goes_with_all_that_is_older() {
    let settings = DiskSettings { size: 1 << 20, segment_size: 16 << 10 };
    // The keys 0 to 9 in one segment, their removal in the next, others in the third.
    let folder = Folder::new();
    for turn in 0..3 {
        let disk = folder.open(settings);
        for number in 0..10 {
            let written = match turn {
                0 => record(key(number), 1, 500),
                1 => removal(key(number)),
                _ => record(key(number + 10), 1, 500),
            };
            assert!(write(&disk, written));
        }
    }
    let count = |disk: &Disk, from: u64| (from..from + 10).filter(|n| disk.read(key(*n)).is_some()).count();
    let segments: Vec<String> = folder.segments().iter().map(|path| path.to_string_lossy().into()).collect();
    let names: Vec<&str> = segments.iter().filter_map(|path| path.rsplit('/').next()).collect();
    assert_eq!(names.len(), 3);
    let is_open: fn(Operation) -> bool = |operation| operation == Operation::Open;
    let is_read: fn(Operation) -> bool = |operation| matches!(operation, Operation::Read(_));
    for (name, left, others) in [(names[0], 2, 10), (names[1], 1, 10), (names[2], 0, 0)] {
        for (has_index, fails) in [(true, is_open), (false, is_open), (false, is_read)] {
            let folder = copy(&folder, has_index);
            let open = |files| Disk::open(&folder.0, settings, files, Clock::system(), [1, 2]);
            let disk = open(unreadable(name, fails)).expect("a usable folder");
            assert_eq!((count(&disk, 0), count(&disk, 10)), (0, others), "{name}");
            assert_eq!(disk.usage().segments, left, "{name}");
            drop(disk);
            let disk = folder.open(settings);
            assert_eq!((count(&disk, 0), count(&disk, 10)), (0, others), "{name}: it does not come back");
        }
        // One that can't be removed: the folder is left out, and all is there another time.
        let folder = copy(&folder, false);
        let files = unreadable(name, |operation| matches!(operation, Operation::Open | Operation::Remove));
        let opened = Disk::open(&folder.0, settings, files, Clock::system(), [1, 2]);
        assert!(matches!(opened, Err(OpenError::Io(..))), "{opened:?}");
        assert_eq!((count(&folder.open(settings), 0)), 0);
    }
}

#[test]
fn a_record_that_could_not_be_read_does_not_come_back() {
    let folder = Folder::new();
    let settings = DiskSettings { size: 64 << 10, segment_size: 16 << 10 };
    let disk = folder.open(settings);
    for number in 0..3 {
        assert!(write(&disk, record(key(number), 1, 500)));
    }
    drop(disk);
    let fails = Arc::new(AtomicBool::new(false));
    let failing = fails.clone();
    let files = Faulty::files(move |operation, _path| match operation {
        Operation::Read(_) if failing.load(Ordering::SeqCst) => Err(Errno::IO),
        _ => Ok(()),
    });
    let disk = Disk::open(&folder.0, settings, files, Clock::system(), [1, 2]).expect("a usable folder");
    fails.store(true, Ordering::SeqCst);
    assert!(disk.read(key(1)).is_none() && disk.usage().read_errors == 1);
    fails.store(false, Ordering::SeqCst);
    // Nobody who removes the key now has anything to remove.
    assert!(disk.inner.index.find(key(1)).is_none());
    drop(disk);
    for has_index in [true, false] {
        let disk = copy(&folder, has_index).open(settings);
        assert!(disk.read(key(1)).is_none(), "index: {has_index}");
        assert!(disk.read(key(0)).is_some() && disk.read(key(2)).is_some());
    }
}
