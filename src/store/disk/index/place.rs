//! Where a record lies, in one word.
//!
//! ```text
//!  63        44 43       26 25              10 9         7 6     0
//! ┌────────────┬───────────┬──────────────────┬───────────┬───────┐
//! │ slot 20    │ offset 18 │ length 16        │ frequency │ flags │
//! │            │ 256 B     │ exp. 6 │ mant.10 │ 3         │ 7     │
//! └────────────┴───────────┴──────────────────┴───────────┴───────┘
//! ```
//!
//! The length is `mantissa << exponent` octets, with the smallest exponent that can hold it, and
//! rounded up: never below the true length, above it by at most 1/512. A word of zero is no place,
//! since a place always has [`Place::LIVE`].

/// Where a record lies, and how often it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's id mod 2^20.
    pub slot: u32,
    /// Where the record starts in its segment, in units of 256 octets; below 2^18.
    pub offset: u32,
    /// Octets that the record takes at most: its length, rounded up. `u32::MAX` stands for more.
    pub length_max: u32,
    /// Uses since it was put here, up to [`Place::FREQUENCY_MAX`].
    pub frequency: u8,
    /// Of the constants below; [`Place::LIVE`] is set in each that the index gives out.
    pub flags: u8,
}

impl Place {
    /// There is a record: what tells a place from an empty slot.
    pub const LIVE: u8 = 1;
    /// This process has checked the content, or written it. Not kept in a checkpoint.
    pub const VERIFIED: u8 = 2;
    /// It lies in a main segment.
    pub const MAIN: u8 = 4;
    /// Where counting ends.
    pub const FREQUENCY_MAX: u8 = 7;

    /// Whether both are the same record: what they count and say of it may differ.
    pub fn is_at(&self, slot: u32, offset: u32) -> bool {
        self.slot == slot && self.offset == offset
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The word; what exceeds its field is cut off, and the length rounded up.
    pub(super) fn encode(&self) -> u64 {
        u64::from(self.slot) << SLOT_AT
            | (u64::from(self.offset) & OFFSET) << OFFSET_AT
            | encode_length(self.length_max) << LENGTH_AT
            | u64::from(self.frequency.min(Place::FREQUENCY_MAX)) << FREQUENCY_AT
            | u64::from(self.flags | Place::LIVE) & FLAGS
    }

    /// The place in a word, of any value; `None` in an empty slot's.
    pub(super) fn decode(word: u64) -> Option<Place> {
        let place = Place {
            slot: (word >> SLOT_AT) as u32,
            offset: (word >> OFFSET_AT & OFFSET) as u32,
            length_max: decode_length(word >> LENGTH_AT & LENGTH),
            frequency: (word >> FREQUENCY_AT) as u8 & Place::FREQUENCY_MAX,
            flags: (word & FLAGS) as u8,
        };
        place.has(Place::LIVE).then_some(place)
    }
}

const FLAGS: u64 = (1 << 7) - 1;
const FREQUENCY_AT: u32 = 7;
const LENGTH_AT: u32 = 10;
const LENGTH: u64 = (1 << 16) - 1;
const OFFSET_AT: u32 = 26;
const OFFSET: u64 = (1 << 18) - 1;
const SLOT_AT: u32 = 44;
const MANTISSA_BITS: u32 = 10;
const MANTISSA_END: u64 = 1 << MANTISSA_BITS;

fn encode_length(length: u32) -> u64 {
    let length = u64::from(length);
    let bits = u64::BITS - length.leading_zeros();
    let exponent = bits.saturating_sub(MANTISSA_BITS);
    let mantissa = length.div_ceil(1 << exponent);
    // Rounding up may have filled the mantissa: then half of it with the next exponent is as much.
    if mantissa == MANTISSA_END {
        return u64::from(exponent + 1) << MANTISSA_BITS | mantissa >> 1;
    }
    u64::from(exponent) << MANTISSA_BITS | mantissa
}

/// What no 32 bits can hold becomes the most that they can: an exponent of 63 is no panic.
fn decode_length(encoded: u64) -> u32 {
    let (exponent, mantissa) = (encoded >> MANTISSA_BITS, encoded & (MANTISSA_END - 1));
    let length = u128::from(mantissa) << (exponent & 63);
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(slot: u32, offset: u32, length_max: u32, frequency: u8, flags: u8) -> Place {
        Place { slot, offset, length_max, frequency, flags }
    }

    #[test]
    fn each_field_keeps_its_extremes() {
        for slot in [0, 1, (1 << 20) - 1] {
            for offset in [0, 1, (1 << 18) - 1] {
                for length in [0, 256, u32::MAX] {
                    for (frequency, flags) in [(0, 1), (7, 1), (0, 127), (7, 127)] {
                        let place = place(slot, offset, length, frequency, flags);
                        assert_eq!(Place::decode(place.encode()), Some(place));
                    }
                }
            }
        }
    }

    #[test]
    fn a_place_is_live_and_what_is_not_is_none() {
        assert_eq!(Place::decode(place(0, 0, 0, 0, 0).encode()), Some(place(0, 0, 0, 0, Place::LIVE)));
        for word in [0, 2, u64::MAX - 1] {
            assert_eq!(Place::decode(word), None);
        }
        // What is too large is cut off, and touches no other field.
        assert_eq!(Place::decode(place(1 << 20, 1 << 18, 0, 8, 255).encode()), Some(place(0, 0, 0, 7, 127)));
        assert!(Place::decode(u64::MAX).is_some());
    }

    #[test]
    fn lengths_are_never_too_short_and_hardly_too_long() {
        // All up to 4 MiB, which is more than a record; then around each step there is.
        let steps = (0..32).flat_map(|bits| {
            (0..=1024u32).flat_map(move |mantissa| {
                let at = (1u64 << bits) + (u64::from(mantissa) << bits >> 10);
                [at.saturating_sub(1), at, at + 1]
            })
        });
        let lengths = (0..=4 << 20).chain(steps.filter_map(|length| u32::try_from(length).ok()));
        let mut last = (0, 0);
        for length in lengths {
            let encoded = encode_length(length);
            assert_eq!(encoded & !LENGTH, 0, "{length} leaves its field");
            let decoded = decode_length(encoded);
            let too_long = u64::from(decoded) - u64::from(length);
            assert!(decoded >= length && too_long * 512 < u64::from(length).max(1), "{length}: {decoded}");
            assert_eq!(encode_length(decoded), encoded, "{length} changes when it is written again");
            // Longer is never encoded as less.
            if length > last.0 {
                assert!(decoded >= last.1, "{length}");
                last = (length, decoded);
            }
        }
    }

    #[test]
    fn every_encoded_length_has_a_meaning() {
        for encoded in 0..=LENGTH {
            let exact = u128::from(encoded & 1023) << (encoded >> 10);
            assert_eq!(u128::from(decode_length(encoded)), exact.min(u128::from(u32::MAX)), "{encoded:#x}");
        }
    }
}
