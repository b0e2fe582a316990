//! The formats on disk. Any octets are read without harm; a checksum that the fuzzer can't guess is
//! put right for it, so that it gets behind it; and what is written is read again.

use std::path::Path;

use bytes::Bytes;
use larder::store::disk::checkpoint::Checkpoint;
use larder::store::disk::files::{File, Files};
use larder::store::disk::index::{Index, Place};
use larder::store::disk::purges::{Purge, PurgeScope};
use larder::store::disk::record::{ALIGNMENT, HEADER_LENGTH, Kind, Record};
use larder::store::disk::segment::{Entry, has_damaged_list, read_footer, read_record, scan, seal};
use larder::store::disk::superblock::{MEMBERS_MAX, Right, Superblock};

use super::input::{Input, seed};
use super::memory_files::{MemoryFile, MemoryFiles};

/// The folder of these tests: files in memory have names alone.
const FOLDER: &str = "/store";

/// Writes the checksum of some octets of a header where it belongs.
fn put_crc(octets: &mut [u8], covered: std::ops::Range<usize>, at: usize) {
    let Some(crc) = octets.get(covered).map(crc32c::crc32c) else { return };
    if let Some(place) = octets.get_mut(at..at + 4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

/// A record out of an input.
fn record_of(input: &mut Input<'_>) -> Record {
    let kind = Kind::ALL[input.below(Kind::ALL.len())];
    let (key, seq, generation) =
        (u128::from(input.number::<8>()) << 64, input.number::<8>(), input.number::<4>());
    let head = input.below(300);
    let head = Bytes::copy_from_slice(input.take(head));
    let body = if input.number::<1>() == 255 { vec![7; 70_000] } else { input.rest().to_vec() };
    Record { key, kind, seq, generation, part: 0, first: 0, head, body: vec![body.into()] }
}

/// A record at any place: decoded from any octets, and written and read again.
pub fn record(data: &[u8]) {
    let mut input = Input(data);
    let at = input.number::<2>() * ALIGNMENT;
    let mut octets = input.clone().rest().to_vec();
    let read = |octets: &[u8]| {
        let Ok((header, record)) = Record::decode(&Bytes::copy_from_slice(octets), at) else { return };
        let mut again = Vec::new();
        assert_eq!(record.encode(at, &mut again), Ok(header), "what was read is written as it was");
        assert_eq!(again.len() as u64, header.stored_length(at));
    };
    read(&octets);
    if let Some(magic) = octets.get_mut(..4) {
        magic.copy_from_slice(b"LRec");
    }
    put_crc(&mut octets, 8..HEADER_LENGTH, 4);
    read(&octets);

    let cut = input.number::<2>() as usize;
    let flipped = input.number::<2>() as usize;
    let written = record_of(&mut input);
    let mut octets = Vec::new();
    let header = written.encode(at, &mut octets).expect("within the limits");
    let (read, decoded) = Record::decode(&Bytes::copy_from_slice(&octets), at).expect("whole");
    assert_eq!((read, decoded.head, decoded.body.concat()), (header, written.head, written.body.concat()));
    let end = header.body_at(at) as usize - at as usize + header.body_length as usize;
    let cut = cut % end;
    assert!(Record::decode(&Bytes::copy_from_slice(&octets[..cut]), at).is_err(), "cut at {cut}");
    let front = HEADER_LENGTH + header.head_length as usize;
    octets[flipped % front] ^= 1 << (flipped % 8);
    assert!(Record::decode(&Bytes::from(octets), at).is_err(), "a flipped bit");
}

pub fn record_seeds() -> Vec<Vec<u8>> {
    let octets = |body: usize| {
        let mut out = vec![0, 1];
        let (head, body) = (Bytes::from_static(b"\x02\x01\0\0\0a"), vec![Bytes::from(vec![b'x'; body])]);
        let record =
            Record { key: 7, kind: Kind::Object, seq: 1, generation: 2, part: 0, first: 0, head, body };
        record.encode(ALIGNMENT, &mut out).expect("within the limits");
        out
    };
    vec![octets(0), octets(100), seed(&[0; 8], "a head and a body")]
}

/// A segment: its list from any octets, what reading it record by record finds, and a list written
/// and read again.
pub fn footer(data: &[u8]) {
    let mut input = Input(data);
    let entries = input.below(20);
    let mut octets = input.clone().rest().to_vec();
    let look = |octets: &[u8]| {
        let file = MemoryFile::new(octets);
        let listed = read_footer(&*file).expect("memory can be read");
        has_damaged_list(&*file).expect("memory can be read");
        let (scanned, end) = scan(&*file).expect("memory can be read");
        assert!(end.is_multiple_of(ALIGNMENT) || end >= octets.len() as u64);
        for entry in listed.unwrap_or_default().iter().chain(&scanned) {
            let _either =
                read_record(&*file, u64::from(entry.offset) * ALIGNMENT).expect("memory can be read");
        }
        for entry in scanned {
            let record =
                read_record(&*file, u64::from(entry.offset) * ALIGNMENT).expect("memory can be read");
            assert_eq!(record.map(|(header, _)| (header.key, header.seq)), Ok((entry.key, entry.seq)));
        }
    };
    look(&octets);
    // A trailer with the right checksums in front of whatever list there is.
    let length = octets.len();
    if let Some(trailer) = length.checked_sub(24) {
        let list = (entries * 32).min(trailer);
        octets[trailer..trailer + 8].copy_from_slice(b"LarderSg");
        octets[trailer + 8..trailer + 12].copy_from_slice(&(list as u32 / 32).to_le_bytes());
        put_crc(&mut octets, trailer - list..trailer, trailer + 12);
        put_crc(&mut octets, trailer..trailer + 20, trailer + 20);
        look(&octets);
    }
    // Records written by us, each followed by the next, and their list.
    let (file, mut at, mut written) = (MemoryFile::new(&[]), 0, Vec::new());
    for _ in 0..entries {
        let length = input.below(700);
        let mut piece = Input(input.take(length));
        let (record, mut octets) = (record_of(&mut piece), Vec::new());
        record.encode(at, &mut octets).expect("within the limits");
        file.write_all_at(&octets, at).expect("memory can be written");
        written.push(Entry {
            key: record.key,
            seq: record.seq,
            offset: (at / ALIGNMENT) as u32,
            kind: record.kind,
        });
        at += octets.len() as u64;
    }
    assert_eq!(scan(&*file).expect("memory can be read"), (written.clone(), at));
    seal(&*file, &written, at).expect("memory can be written");
    assert_eq!(read_footer(&*file).expect("memory can be read"), Some(written));
}

pub fn footer_seeds() -> Vec<Vec<u8>> {
    let file = MemoryFile::new(&record_seeds()[1][2..]);
    let (entries, end) = scan(&*file).expect("memory can be read");
    seal(&*file, &entries, end).expect("memory can be written");
    let whole = file.octets();
    vec![[&[0, 0, 0, 1][..], &whole].concat(), seed(&[0, 0, 0, 3], &"x".repeat(600))]
}

/// A saved index: from any octets, and one that was saved loads as it was.
pub fn checkpoint(data: &[u8]) {
    let mut input = Input(data);
    let identity = input.number::<4>() as u32;
    let segment = input.number::<1>();
    let octets = input.clone().rest();
    let load = |files: &dyn Files| {
        let index = Index::new();
        let loaded =
            Checkpoint::load(&index, files, Path::new(FOLDER), identity).expect("memory can be read");
        loaded.map(|checkpoint| (checkpoint, index))
    };
    for is_put_right in [false, true] {
        let mut octets = octets.to_vec();
        if is_put_right && octets.len() > 36 {
            octets[..8].copy_from_slice(b"LarderIx");
            octets[8..12].copy_from_slice(&1u32.to_le_bytes());
            octets[12..16].copy_from_slice(&identity.to_le_bytes());
            put_crc(&mut octets, 0..32, 32);
        }
        let files = MemoryFiles::new(&[("index".to_owned(), octets)].into());
        load(&*files);
    }
    // Partitions of any octets, too.
    for partition in octets.chunks(100) {
        let _either = Index::new().load_partition(0, partition);
    }
    let index = Index::new();
    let purges = vec![Purge { scope: PurgeScope::Tag(Bytes::copy_from_slice(input.take(9))), seq: segment }];
    while !input.0.is_empty() {
        let key = u128::from(input.number::<8>()) << 64 | u128::from(input.number::<2>());
        let (offset, length) = (input.number::<2>() as u32, input.number::<3>() as u32);
        index.set(key, Place { slot: 1, offset, length_max: length, frequency: 1, flags: Place::LIVE });
    }
    let files = MemoryFiles::new(&[].into());
    let saved = Checkpoint { identity, segment, purges };
    saved.store(&index, &*files, Path::new(FOLDER)).expect("memory can be written");
    let (loaded, read) = load(&*files).expect("it was saved whole");
    assert_eq!((loaded.segment, loaded.purges), (saved.segment, saved.purges));
    let all = |index: &Index| {
        let mut all = Vec::new();
        index.for_each(|number, print, place| all.push((number, print, format!("{place:?}"))));
        all.sort();
        all
    };
    assert_eq!(all(&read), all(&index));
}

pub fn checkpoint_seeds() -> Vec<Vec<u8>> {
    vec![seed(&[0, 0, 0, 1, 3], "LarderIx"), seed(&[0; 5], &"0123456789abcdef".repeat(6))]
}

/// A superblock from any octets, and one that was written.
pub fn superblock(data: &[u8]) {
    let folder = Path::new(FOLDER);
    let mut octets = data.to_vec();
    for is_put_right in [false, true] {
        if is_put_right && octets.len() >= 48 {
            octets[..12].copy_from_slice(b"LarderSt\x01\0\0\0");
            // As many members as there is room for.
            let members = ((octets.len() - 48) / 8).min(MEMBERS_MAX);
            octets.truncate(48 + members * 8);
            octets[40..44].copy_from_slice(&(members as u32).to_le_bytes());
            let crc = octets.len() - 4;
            put_crc(&mut octets, 0..crc, crc);
        }
        let files = MemoryFiles::new(&[("superblock".to_owned(), octets.clone())].into());
        let found = Superblock::load(&*files, folder).expect("memory can be read");
        assert!(!is_put_right || octets.len() < 48 || matches!(found, Some(Ok(_))), "{found:?}");
        if let Some(Ok((read, _right))) = found {
            read.store(&*files, folder).expect("memory can be written");
            let again = Superblock::load(&*files, folder).expect("memory can be read");
            assert_eq!(again, Some(Ok((read, Right::Kept))));
        }
    }
}

pub fn superblock_seeds() -> Vec<Vec<u8>> {
    let files = MemoryFiles::new(&[].into());
    let written = Superblock { epoch: 7, hash_key: [1, 2], member: 3, open_with: vec![3, 4] };
    written.store(&*files, Path::new(FOLDER)).expect("memory can be written");
    vec![files.contents()["superblock"].clone()]
}
