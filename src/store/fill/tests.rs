//! Fills: who sees what, in memory, on the way to disk, and beyond both.

use super::*;
use crate::store::Memory;

fn fill(limit: u64, expected: Option<u64>) -> FillWriter {
    FillWriter::new(Arc::new(Memory::new(limit, limit, 1)), expected, None).expect("within its limits")
}

async fn write(writer: &mut FillWriter, data: &[u8]) -> Result<(), Aborted> {
    writer.push(&[Bytes::copy_from_slice(data)]);
    writer.room().await
}

fn kept(writer: FillWriter) -> Vec<Bytes> {
    match writer.finish(Fields::default()) {
        Finished::Kept(StoredContent::Memory { pieces, .. }) => pieces.to_vec(),
        other => panic!("within its budget: {other:?}"),
    }
}

async fn read_all(mut reader: FillReader) -> Result<Vec<u8>, Aborted> {
    let (mut all, mut pieces) = (Vec::new(), Vec::new());
    loop {
        let done = reader.next(&mut pieces).await? == Arrived::Last;
        all.extend(std::mem::take(&mut pieces).concat());
        if done {
            return Ok(all);
        }
    }
}

#[tokio::test]
async fn readers_that_join_at_any_time_see_everything() {
    let mut writer = fill(1 << 30, None);
    let early = writer.fill().reader().expect("an open fill");
    for part in 0..100u8 {
        write(&mut writer, &[part; 1000]).await.expect("read");
    }
    let late = writer.fill().reader().expect("an open fill");
    let all = tokio::spawn(async move { (read_all(early).await, read_all(late).await) });
    let pieces = kept(writer);
    let (early, late) = all.await.expect("no panic");
    assert_eq!(pieces.concat().len(), 100_000);
    assert_eq!(early.as_deref(), Ok(&pieces.concat()[..]));
    assert_eq!(late, early);
}

#[tokio::test]
async fn a_dropped_writer_never_looks_complete() {
    let mut writer = fill(1 << 30, Some(10));
    let reader = writer.fill().reader().expect("an open fill");
    write(&mut writer, b"hello").await.expect("read");
    drop(writer);
    assert_eq!(read_all(reader).await, Err(Aborted));
}

#[tokio::test]
async fn beyond_the_budget_it_passes_within_a_window() {
    let mut writer = fill(64 * 1024, None);
    let reader = writer.fill().reader().expect("an open fill");
    let reading = tokio::spawn(read_all(reader));
    for _ in 0..64 {
        write(&mut writer, &[7; 128 * 1024]).await.expect("read");
        assert!(writer.fill().lock().held <= WINDOW + 128 * 1024);
    }
    assert!(writer.fill().reader().is_none(), "too late to join");
    assert!(matches!(writer.finish(Fields::default()), Finished::Passed(_)));
    assert_eq!(reading.await.expect("no panic").map(|all| all.len()), Ok(64 * 128 * 1024));
}

#[tokio::test]
async fn nobody_reading_ends_a_fill_unless_it_is_nearly_done() {
    let mut small = fill(1 << 30, Some(1000));
    drop(small.fill().reader());
    assert_eq!(write(&mut small, &[0; 10]).await, Ok(()));
    let mut large = fill(1 << 30, Some(100 << 20));
    drop(large.fill().reader());
    assert_eq!(write(&mut large, &[0; 10]).await, Err(Aborted));
}

#[tokio::test]
async fn nobody_joins_a_fill_that_is_given_up() {
    let mut large = fill(1 << 30, Some(100 << 20));
    drop(large.fill().reader());
    assert_eq!(write(&mut large, &[0; 10]).await, Err(Aborted));
    // The writer is there yet: a reader that joined now would be told that the origin has failed.
    assert!(large.fill().reader().is_none());
}

#[tokio::test]
async fn what_a_fill_reserves_comes_back() {
    let memory = Arc::new(Memory::new(1 << 20, 1 << 20, 1));
    let mut writer = FillWriter::new(memory.clone(), None, None).expect("no length is given");
    let reader = writer.fill().reader();
    write(&mut writer, &[0; 100_000]).await.expect("read");
    assert!(memory.usage().filling_bytes >= 100_000);
    drop((reader, writer));
    assert_eq!(memory.usage().filling_bytes, 0);
}

#[tokio::test]
async fn a_reader_that_holds_the_others_is_left_behind() {
    let mut writer = fill(64 * 1024, None);
    let (slow, quick) = (writer.fill().reader(), writer.fill().reader());
    let (mut slow, quick) = (slow.expect("an open fill"), quick.expect("an open fill"));
    let reading = tokio::spawn(read_all(quick));
    while writer.fill().lock().held <= WINDOW {
        writer.push(&[Bytes::from(vec![7; 128 * 1024])]);
        tokio::task::yield_now().await;
    }
    writer.leave_behind();
    writer.room().await.expect("the quick one reads on");
    writer.finish(Fields::default());
    assert!(reading.await.expect("no panic").is_ok());
    assert_eq!(slow.next(&mut Vec::new()).await, Err(Aborted));
}

#[tokio::test]
async fn what_may_have_no_end_waits_for_its_quickest_reader() {
    let mut writer = fill(1 << 30, None);
    let (slow, quick) = (writer.fill().reader(), writer.fill().reader());
    let (slow, mut quick) = (slow.expect("an open fill"), quick.expect("an open fill"));
    let mut pushed = 0;
    let has_room = loop {
        pushed += 128 * 1024;
        writer.push(&[Bytes::from(vec![7; 128 * 1024])]);
        tokio::select! {
            biased;
            room = writer.room() => room.expect("two readers"),
            () = std::future::ready(()) => break false,
        }
        if pushed > 4 * WINDOW {
            break true;
        }
    };
    assert!(!has_room && writer.waits_for_readers(), "{pushed} octets were taken for nobody");
    quick.next(&mut Vec::new()).await.expect("an open fill");
    writer.room().await.expect("the quick one has taken some");
    drop((quick, slow));
    assert_eq!(writer.room().await, Err(Aborted));
}

#[tokio::test]
async fn content_of_known_length_waits_for_nobody() {
    let mut writer = fill(1 << 30, Some(4 * WINDOW));
    let reader = writer.fill().reader();
    for _ in 0..4 {
        write(&mut writer, &vec![7; WINDOW as usize]).await.expect("read");
    }
    assert_eq!(kept(writer).concat().len() as u64, 4 * WINDOW);
    drop(reader);
}

#[tokio::test]
async fn many_tiny_pieces_are_accounted_for_and_stored_as_one() {
    let memory = Arc::new(Memory::new(1 << 20, 1 << 20, 1));
    let mut writer = FillWriter::new(memory.clone(), None, None).expect("no length is given");
    let reader = writer.fill().reader();
    for _ in 0..5_000 {
        write(&mut writer, b"x").await.expect("read");
    }
    assert!(memory.usage().filling_bytes >= 5_000 * size_of::<Bytes>() as u64);
    let pieces = kept(writer);
    assert_eq!((pieces.len(), pieces.concat().len()), (1, 5_000));
    drop(reader);
}
