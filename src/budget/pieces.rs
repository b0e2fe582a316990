//! Full pieces of content that nobody holds any more, kept for the next content that arrives.
//!
//! An allocator with an arena for each thread keeps what is freed for the thread that allocated it. What one
//! worker's fills evict of another's would then stay as free memory beside the new content, so that the
//! process would be about twice as large as its cache.
//!
//! Invariant: at most [`KEPT_MAX`] pieces are kept, whatever comes back. They are not counted in the budget,
//! as other free memory of the allocator is not.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

/// Octets of a full piece.
pub const PIECE: usize = 1024 * 1024;
/// Arbitrary: as many as readers that leave at once may give back.
const KEPT_MAX: usize = 16;

/// Pieces that are free, for all workers.
#[derive(Debug, Default)]
pub struct Pieces(Mutex<Vec<BytesMut>>);

impl Pieces {
    /// An empty buffer for [`PIECE`] octets.
    pub fn take(&self) -> BytesMut {
        // One push or pop under the lock, which can't leave the list half-changed.
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| BytesMut::with_capacity(PIECE))
    }

    /// Keeps the buffer that these octets are a part of, if it is a full piece and nobody else holds any of it.
    pub(super) fn give_back(&self, octets: Bytes) {
        let Ok(mut piece) = octets.try_into_mut() else { return };
        piece.clear();
        if !piece.try_reclaim(PIECE) || piece.capacity() != PIECE {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(pieces: &Pieces) -> usize {
        pieces.0.lock().expect("no panic").len()
    }

    #[test]
    fn a_full_piece_comes_back_with_its_last_part() {
        let pieces = Pieces::default();
        let mut buffer = pieces.take();
        let at = buffer.as_ptr();
        let parts: Vec<Bytes> = [100, PIECE - 100]
            .map(|length| {
                buffer.resize(length, b'x');
                buffer.split().freeze()
            })
            .into();
        drop(buffer);
        let reader = parts[1].clone();
        parts.into_iter().for_each(|part| pieces.give_back(part));
        assert_eq!(len(&pieces), 0, "somebody reads it");
        pieces.give_back(reader);
        assert_eq!(len(&pieces), 1);
        let again = pieces.take();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (at, 0, PIECE));
    }

    #[test]
    fn few_are_kept_and_none_of_another_size() {
        let pieces = Pieces::default();
        pieces.give_back(Bytes::from(vec![b'x'; 100]));
        pieces.give_back(Bytes::from(vec![b'x'; PIECE * 2]));
        assert_eq!(len(&pieces), 0);
        (0..KEPT_MAX + 3).for_each(|_| pieces.give_back(Bytes::from(vec![b'x'; PIECE])));
        assert_eq!(len(&pieces), KEPT_MAX);
    }
}
