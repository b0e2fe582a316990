//! Content of up to a chunk of which only some octets are there, in memory.
//!
//! Invariant: spans are in order and neither overlap nor touch, and there are at most
//! [`SPANS_MAX`] of them: what comes in beyond that costs the smallest one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::disk::extent::Extent;
use crate::budget::Charge;
use crate::caching::ByteRange;

/// Arbitrary: more than a player leaves behind that jumps about, and few enough to look through.
pub const SPANS_MAX: usize = 16;

/// A part of a content, as it can be sent.
#[derive(Clone, Debug)]
pub enum Part {
    Bytes(Bytes),
    /// Octets on disk, and the place of the first of them in the content.
    Extent(Extent, u64),
    /// Octets that are not stored: the origin has them.
    Missing(ByteRange),
}

impl Part {
    /// Octets.
    pub fn length(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::Extent(extent, _) => extent.length(),
            Part::Missing(range) => range.length(),
        }
    }
}

/// Octets of a content that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The place of the first one.
    pub first: u64,
    pub octets: Bytes,
}

impl Span {
    /// Behind the last octet.
    pub fn end(&self) -> u64 {
        self.first + self.octets.len() as u64
    }

    fn touches(&self, other: &Span) -> bool {
        self.first <= other.end() && other.first <= self.end()
    }

    /// Octets `from` to `to`, the latter not included, as far as they are here.
    fn within(&self, from: u64, to: u64) -> Bytes {
        let (from, to) = (from.max(self.first), to.min(self.end()));
        // Both lie within the span, whose length is a usize.
        if from < to {
            self.octets.slice((from - self.first) as usize..(to - self.first) as usize)
        } else {
            Bytes::new()
        }
    }
}

/// All that is there of a content.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    all: Arc<[Span]>,
    /// For all of them, once they are stored.
    charge: Option<Arc<Charge>>,
}

impl Spans {
    /// These, in any order. Where they overlap the later ones count.
    pub fn of(spans: impl IntoIterator<Item = Span>) -> Spans {
        spans.into_iter().fold(Spans::default(), |all, span| all.with(span))
    }

    /// With the octets of `new`, too, which are the same where both have them.
    #[must_use]
    pub fn with(&self, new: Span) -> Spans {
        if new.octets.is_empty() {
            return self.clone();
        }
        let (touching, mut all): (Vec<&Span>, Vec<&Span>) =
            self.all.iter().partition(|old| old.touches(&new));
        // What touches lies around the new one: one of them before it and one behind, at most.
        let before = touching.iter().map(|old| (old.first, old.within(0, new.first)));
        let before = before.filter(|(_, octets)| !octets.is_empty()).min_by_key(|(first, _)| *first);
        let mut behind = touching.iter().map(|old| old.within(new.end(), u64::MAX));
        let behind = behind.rfind(|octets| !octets.is_empty());
        let joined = match (before, behind) {
            (None, None) => new,
            (before, behind) => {
                let (first, front) = before.unwrap_or((new.first, Bytes::new()));
                let back = behind.unwrap_or_default();
                let mut octets = BytesMut::with_capacity(front.len() + new.octets.len() + back.len());
                [front, new.octets, back].iter().for_each(|part| octets.extend_from_slice(part));
                Span { first, octets: octets.freeze() }
            }
        };
        if all.len() == SPANS_MAX {
            let smallest = all.iter().enumerate().min_by_key(|(_, span)| span.octets.len());
            if let Some((at, _)) = smallest {
                all.remove(at);
            }
        }
        all.push(&joined);
        all.sort_by_key(|span| span.first);
        Spans { all: all.into_iter().cloned().collect(), charge: None }
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Span> {
        self.all.iter()
    }

    /// The same, charged.
    pub(super) fn charged(self, charge: Arc<Charge>) -> Spans {
        Spans { charge: Some(charge), ..self }
    }

    pub(super) fn charge(&self) -> Option<&Arc<Charge>> {
        self.charge.as_ref()
    }

    /// Octets that are there.
    pub fn held(&self) -> u64 {
        self.iter().map(|span| span.octets.len() as u64).sum()
    }

    /// The whole content of `length` octets, if it is there.
    pub fn whole(&self, length: u64) -> Option<Bytes> {
        self.iter().find(|span| span.first == 0 && span.end() == length).map(|span| span.octets.clone())
    }

    /// The parts of a range of the content, in order.
    pub fn parts(&self, range: ByteRange) -> Vec<Part> {
        let (mut parts, mut at, end) = (Vec::new(), range.first, range.last + 1);
        for span in self.iter() {
            let octets = span.within(at, end);
            if octets.is_empty() {
                continue;
            }
            let first = at.max(span.first);
            if at < first {
                parts.push(Part::Missing(ByteRange { first: at, last: first - 1 }));
            }
            at = first + octets.len() as u64;
            parts.push(Part::Bytes(octets));
        }
        if at < end {
            parts.push(Part::Missing(ByteRange { first: at, last: range.last }));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, octets: &str) -> Span {
        Span { first, octets: Bytes::copy_from_slice(octets.as_bytes()) }
    }

    fn text(spans: &Spans) -> String {
        let one = |span: &Span| format!("{}:{}", span.first, String::from_utf8_lossy(&span.octets));
        spans.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_touches_is_joined() {
        let cases: &[(&[(u64, &str)], &str)] = &[
            (&[(4, "45"), (0, "01")], "0:01 4:45"),
            (&[(0, "01"), (2, "23")], "0:0123"),
            (&[(2, "23"), (0, "01")], "0:0123"),
            (&[(0, "01"), (4, "45"), (2, "23")], "0:012345"),
            (&[(0, "0123"), (1, "12")], "0:0123"),
            (&[(1, "12"), (0, "0123")], "0:0123"),
            (&[(0, "012"), (2, "234")], "0:01234"),
            (&[(0, "01"), (3, "34"), (6, "67"), (1, "123456")], "0:01234567"),
            (&[(3, "")], ""),
        ];
        for (given, expected) in cases {
            let spans = Spans::of(given.iter().map(|(first, octets)| span(*first, octets)));
            assert_eq!(text(&spans), *expected, "{given:?}");
        }
    }

    #[test]
    fn there_are_never_more_than_a_few() {
        let spans = Spans::of((0..40).map(|at| span(at * 10, &"x".repeat(1 + at as usize % 5))));
        assert_eq!(spans.iter().count(), SPANS_MAX);
        assert!(spans.iter().zip(spans.iter().skip(1)).all(|(one, next)| one.end() < next.first));
    }

    #[test]
    fn parts_name_what_is_missing() {
        let spans = Spans::of([span(2, "23"), span(6, "67")]);
        let parts = |first, last| {
            let one = |part| match part {
                Part::Bytes(octets) => String::from_utf8_lossy(&octets).into_owned(),
                Part::Missing(range) => format!("-{}..{}", range.first, range.last),
                Part::Extent(..) => "on disk".to_owned(),
            };
            spans.parts(ByteRange { first, last }).into_iter().map(one).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(parts(0, 9), "-0..1 23 -4..5 67 -8..9");
        assert_eq!(parts(2, 3), "23");
        assert_eq!(parts(3, 6), "3 -4..5 6");
        assert_eq!(parts(4, 5), "-4..5");
        assert_eq!((spans.held(), spans.whole(8)), (4, None));
        assert_eq!(Spans::of([span(0, "01")]).whole(2).as_deref(), Some(&b"01"[..]));
    }
}
