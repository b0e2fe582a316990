//! Cache keys (RFC 9111 §2) and the keys derived from them under which a response's parts lie on
//! disk, so that no record has to point at another one.
//!
//! Both are keyed hashes: who knows the URIs can't pick two that meet. Invariant: no two
//! different (URI, purpose, generation, number) are one string of octets to the hash.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use crate::http::TargetUri;

/// A cache key: the target URI, hashed once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub uri: &'a TargetUri,
    /// Keyed and 128 bits wide: tables beside the store may take it for the key.
    pub hash: u128,
}

/// The secret of a store's hashes: who could compute them could fill one bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashKey(pub [u64; 2]);

/// What a derived key is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Derived {
    /// One of several variants of a URI.
    Variant,
    /// A freshened head.
    Meta,
    /// The chunk of content with this number.
    Chunk(u32),
}

impl HashKey {
    /// The hash of a cache key.
    pub fn of_uri(self, uri: &TargetUri) -> u128 {
        let mut hasher = self.hasher();
        let host = uri.authority.host.as_str().as_bytes();
        // Lengths in front, so that no two keys are one string of octets.
        hasher.write_u32((uri.scheme as u32) << 24 | u32::from(uri.authority.port));
        hasher.write_usize(host.len());
        hasher.write(host);
        hasher.write(&uri.path_and_query);
        hasher.finish128().as_u128()
    }

    /// A key derived from a cache key's hash, for what belongs to the object of `generation`.
    pub fn derived(self, key: u128, generation: u64, what: Derived) -> u128 {
        let (purpose, number) = match what {
            Derived::Variant => (1, 0),
            Derived::Meta => (2, 0),
            Derived::Chunk(number) => (3, number),
        };
        let mut hasher = self.hasher();
        // No URI's octets begin so: its scheme is 0 or 1.
        hasher.write_u32(0xff00_0000 | purpose);
        hasher.write_u128(key);
        hasher.write_u64(generation);
        hasher.write_u32(number);
        hasher.finish128().as_u128()
    }

    fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

/// The keys are keyed hashes already: hashing them again would only cost time.
#[derive(Debug, Default)]
pub struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn uri(text: &str) -> TargetUri {
        TargetUri::parse_absolute(&Bytes::copy_from_slice(text.as_bytes())).expect("an absolute URI")
    }

    #[test]
    fn one_key_has_one_hash_and_another_has_another() {
        let key = HashKey([1, 2]);
        let same = [
            ("http://a.example/x", "HTTP://A.Example:80/x"),
            ("http://a.example/x", "http://a.example./x"),
            ("https://a.example/x", "https://a.example:443/x"),
            ("http://a.example", "http://a.example/"),
        ];
        for (one, other) in same.map(|(one, other)| (uri(one), uri(other))) {
            assert_eq!((&one, key.of_uri(&one)), (&other, key.of_uri(&other)));
        }
        let different = [
            "http://a.example/x",
            "https://a.example/x",
            "http://a.example:443/x",
            "http://a.example:8080/x",
            "http://a.example/X",
            "http://a.example/%78",
            "http://a.example/x?",
            "http://a.example/x/",
            "http://a.example//x",
            "http://b.example/x",
            "http://a.exampl/e/x",
        ];
        let different = different.map(uri);
        for (at, one) in different.iter().enumerate() {
            for other in different.iter().skip(at + 1) {
                assert!(one != other && key.of_uri(one) != key.of_uri(other), "{one} {other}");
            }
            assert_ne!(key.of_uri(one), HashKey([1, 3]).of_uri(one), "the hash has a secret");
        }
    }
}
