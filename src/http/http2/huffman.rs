//! The Huffman code of HPACK, decoded (RFC 7541 §5.2, Appendix B).
//!
//! The code is canonical: codes of one length are consecutive numbers in the order of their symbols, so
//! that the lengths alone are the table. Larder encodes nothing with it.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Octets that this decodes to; `None` for what is not an encoding of any.
pub(super) fn decode(encoded: &[u8]) -> Option<Bytes> {
    // The shortest code has five bits.
    let mut out = BytesMut::with_capacity(encoded.len() * 8 / 5);
    let (mut code, mut length) = (0u32, 0usize);
    for octet in encoded {
        for at in (0..8).rev() {
            code = code << 1 | u32::from(octet >> at & 1);
            length += 1;
            match symbol(code, length) {
                Some(END) => return None,
                Some(symbol) => {
                    out.put_u8(u8::try_from(symbol).ok()?);
                    (code, length) = (0, 0);
                }
                None if length > LENGTH_MAX => return None,
                None => {}
            }
        }
    }
    // "A padding strictly longer than 7 bits MUST be treated as a decoding error. A padding not
    // corresponding to the most significant bits of the code for the EOS symbol MUST be treated as a
    // decoding error." That code is all ones.
    let is_padding = length < 8 && code == (1 << length) - 1;
    // What is decoded may stay in a table, which counts its octets and not those that long codes left free.
    let is_loose = out.capacity() > 2 * out.len();
    is_padding.then(|| if is_loose { Bytes::copy_from_slice(&out) } else { out.freeze() })
}

/// The symbol with this code, if there is one of this length.
fn symbol(code: u32, length: usize) -> Option<u16> {
    let of_length = CODES.get(length)?;
    let at = code.checked_sub(of_length.first).filter(|at| *at < of_length.count)?;
    SYMBOLS.get(of_length.at + at as usize).copied()
}

/// The end of a string, which is never written.
const END: u16 = 256;
const LENGTH_MAX: usize = 30;
const COUNT: usize = 257;

/// The codes of one length.
#[derive(Clone, Copy)]
struct OfLength {
    first: u32,
    count: u32,
    /// Where their symbols begin in [`SYMBOLS`].
    at: usize,
}

const CODES: [OfLength; LENGTH_MAX + 1] = codes();
const SYMBOLS: [u16; COUNT] = symbols();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn codes() -> [OfLength; LENGTH_MAX + 1] {
    let mut out = [OfLength { first: 0, count: 0, at: 0 }; LENGTH_MAX + 1];
    let (mut code, mut at, mut length) = (0, 0, 1);
    while length <= LENGTH_MAX {
        code <<= 1;
        let mut count = 0;
        let mut symbol = 0;
        while symbol < COUNT {
            if LENGTHS[symbol] as usize == length {
                count += 1;
            }
            symbol += 1;
        }
        out[length] = OfLength { first: code, count, at };
        code += count;
        at += count as usize;
        length += 1;
    }
    out
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn symbols() -> [u16; COUNT] {
    let mut out = [0; COUNT];
    let (mut at, mut length) = (0, 1);
    while length <= LENGTH_MAX {
        let mut symbol = 0;
        while symbol < COUNT {
            if LENGTHS[symbol] as usize == length {
                out[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    out
}

/// Bits of each symbol's code; the last is that of the end.
#[rustfmt::skip]
const LENGTHS: [u8; COUNT] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_decoded() {
        // RFC 7541 §C.4 and §C.6.
        let cases: [(&[u8], &str); 5] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x64, 0x02], "302"),
            (&[], ""),
        ];
        for (encoded, expected) in cases {
            assert_eq!(decode(encoded).as_deref(), Some(expected.as_bytes()));
        }
    }

    #[test]
    fn what_is_not_a_code_is_refused() {
        // The end itself; padding of zeros; padding of a whole octet; half a code.
        for encoded in [&[0xff, 0xff, 0xff, 0xff][..], &[0x00], &[0x1f, 0xff], &[0xff, 0xff, 0xfe]] {
            assert_eq!(decode(encoded), None, "{encoded:x?}");
        }
    }

    #[test]
    fn what_is_decoded_holds_no_more_than_it_counts() {
        // The code of 2 has 28 bits: its encoding could be of six times as many octets.
        let encoded = [0xff, 0xff, 0xfe, 0x2f, 0xff, 0xff, 0xe2].repeat(100);
        let decoded = decode(&encoded).expect("two octets, again and again");
        assert_eq!(decoded[..], [2; 200]);
        let held = decoded.try_into_mut().expect("nobody else's").capacity();
        assert!(held <= 400, "{held}");
    }
}
