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
                disk.remove(key(number));
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
            disk.remove(key(3));
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
    disk.remove(key(2));
    let queued = disk.append(Record { head: Bytes::from(vec![7; 2000]), ..removal(key(2)) });
    drop(held);
    assert!(queued.is_ok_and(|queued| disk.wait(queued)));
    assert!(disk.is_read_only() && disk.read(key(1)).is_some());
    assert!(disk.read(key(2)).is_none(), "it is gone while this process lives, too");
}
