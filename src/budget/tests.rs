//! Shares, charges and slow readers.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::*;

#[test]
fn a_share_is_given_back() {
    let budget = Budget::new(100);
    let mut share = budget.take(Use::Fields, 60).expect("it fits");
    let spent = budget.take(Use::Streams, 41).expect_err("it does not fit");
    assert_eq!(spent, Spent { purpose: Use::Streams, bytes: 41, limit: 100 });
    assert_eq!((budget.total(), budget.refusals(Use::Streams)), (60, 1));
    share.grow(40).expect("all of it");
    assert_eq!(share.grow(1).map_err(|spent| spent.bytes), Err(1));
    share.resize(10).expect("less");
    share.becomes(Use::Pinned);
    assert_eq!((budget.used(Use::Fields), budget.used(Use::Pinned), budget.total()), (0, 10, 10));
    share.shrink(11);
    assert_eq!(budget.total(), 0);
    share.merge(budget.count(Use::Fills, 1000));
    assert_eq!((budget.used(Use::Pinned), budget.is_short(), budget.is_over()), (1000, true, true));
    drop(share);
    assert_eq!((budget.total(), budget.used(Use::Pinned)), (0, 0));
}

#[test]
fn room_is_made_before_anything_is_refused() {
    let budget = Budget::new(100);
    let stored = std::sync::Mutex::new(Some(budget.count(Use::Stored, 90)));
    budget.on_spent(Box::new(move |_bytes| drop(stored.lock().expect("not poisoned").take())));
    let taken = budget.take(Use::Fills, 80).expect("what was stored has gone");
    assert_eq!((budget.used(Use::Stored), taken.bytes()), (0, 80));
    assert!(budget.take(Use::Fills, 21).is_err());
}

#[test]
fn content_counts_until_its_last_reader_lets_go() {
    let budget = Budget::new(100);
    let charge = Charge::new(&budget, Use::Fills);
    charge.take(50).expect("it fits");
    let piece = charge.cover(Bytes::from_static(b"0123456789"), 40);
    charge.becomes(Use::Stored);
    let held = piece.slice(9..);
    drop(piece);
    charge.becomes(Use::Pinned);
    drop(charge);
    assert_eq!((budget.used(Use::Pinned), &held[..]), (50, &b"9"[..]));
    drop(held);
    assert_eq!(budget.total(), 0);
}

#[tokio::test]
async fn the_slowest_reader_goes_first() {
    let budget = Budget::new(10);
    let readers = budget.readers();
    let (small, large) = (readers.wait(1, 0), readers.wait(5, 0));
    let (late, left) = (readers.wait(5, 900), readers.wait(100, 1000));
    drop(left);
    let is_told = async |reader: &Reading<'_>| {
        let told = AtomicBool::new(false);
        tokio::select! { biased; () = reader.cut() => told.store(true, Ordering::Relaxed), () = async {} => {} }
        told.into_inner()
    };
    readers.cut(3);
    assert_eq!((is_told(&small).await, is_told(&large).await, is_told(&late).await), (false, true, false));
    readers.cut(6);
    assert_eq!((is_told(&small).await, is_told(&late).await, readers.cuts()), (true, true, 3));
}
