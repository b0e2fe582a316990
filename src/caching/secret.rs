//! Request fields whose values are secrets, and what is kept of such a value that a response was
//! selected by (RFC 9111 §4.1): a keyed hash, which another request's value can be compared with.
//!
//! Invariant: what is written down or shown of a secret value is [`HIDDEN`] or such a hash. A hash
//! stands where the value would: in front of it is an octet that no field value can have.

use std::hash::Hasher as _;
use std::sync::Arc;

use bytes::Bytes;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// What is shown in the place of a secret value.
pub const HIDDEN: &str = "(hidden)";

/// In front of a hash.
const MARK: &[u8] = b"\0hidden:";

/// Names that have one of these in them are of secrets.
const PARTS: [&str; 12] = [
    "token",
    "secret",
    "session",
    "passw",
    "csrf",
    "xsrf",
    "cookie",
    "credential",
    "apikey",
    "jwt",
    "authoriz",
    "signature",
];
/// Names of which one word is one of these are of secrets. Words are parted by `-` and `_`.
const WORDS: [&str; 8] = ["auth", "authentication", "key", "sid", "otp", "pin", "pass", "sso"];

/// Which names are of secrets, and the secret of the hashes.
#[derive(Clone, Default)]
pub struct SecretFields {
    /// In lower case, beside those that are always secret.
    names: Arc<[Box<[u8]>]>,
    key: [u64; 2],
}

impl std::fmt::Debug for SecretFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFields").field("names", &self.names.len()).finish_non_exhaustive()
    }
}

impl SecretFields {
    /// These names, and those that are always secret. `key` is the store's secret.
    pub fn new(names: &[impl AsRef<str>], key: [u64; 2]) -> SecretFields {
        let lower = |name: &str| name.to_ascii_lowercase().into_bytes().into_boxed_slice();
        SecretFields { names: names.iter().map(|name| lower(name.as_ref())).collect(), key }
    }

    /// Whether the value of a field with this name is a secret.
    pub fn has(&self, name: &[u8]) -> bool {
        let name = name.to_ascii_lowercase();
        let text = String::from_utf8_lossy(&name);
        let mut words = text.split(['-', '_', '.']);
        PARTS.iter().any(|part| text.contains(part))
            || words.any(|word| WORDS.contains(&word))
            || self.names.iter().any(|own| **own == *name)
    }

    /// The hash of a value, as it is written down.
    pub(super) fn hash(&self, name: &[u8], value: &[u8]) -> Bytes {
        let mut hasher = SipHasher13::new_with_keys(self.key[0], self.key[1]);
        // No key of a stored response is made of octets that begin so: `store/key.rs`.
        hasher.write_u32(0xfe00_0000);
        hasher.write_usize(name.len());
        hasher.write(&name.to_ascii_lowercase());
        hasher.write(value);
        [MARK, &hasher.finish128().as_u128().to_le_bytes()].concat().into()
    }
}

/// Whether this stands for a value that is hidden.
pub fn is_hidden(value: &[u8]) -> bool {
    value.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_by_their_family() {
        let secrets = SecretFields::new(&["X-Tenant"], [1, 2]);
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "X-Api-Key",
            "X-API-KEY",
            "Api_Key",
            "X-Auth-Token",
            "X-Auth",
            "X-Amz-Security-Token",
            "X-CSRF-Token",
            "X-XSRF-TOKEN",
            "X-Session-Id",
            "X-Password",
            "X-Client-Secret",
            "PRIVATE-TOKEN",
            "X-Goog-Api-Key",
            "Ocp-Apim-Subscription-Key",
            "X-ApiKey",
            "X-Access-Key",
            "X-Hub-Signature-256",
            "X-Tenant",
            "x-tenant",
        ] {
            assert!(secrets.has(name.as_bytes()), "{name}");
        }
        for name in
            ["Accept", "Accept-Encoding", "Accept-Language", "Origin", "User-Agent", "X-Author", "X-Keyboard"]
        {
            assert!(!secrets.has(name.as_bytes()), "{name}");
        }
        assert!(!SecretFields::default().has(b"X-Tenant"));
    }

    #[test]
    fn a_hash_is_of_its_name_value_and_key() {
        let of = |key, name: &str, value: &str| {
            SecretFields::new(&[""; 0], key).hash(name.as_bytes(), value.as_bytes())
        };
        let one = of([1, 2], "X-Api-Key", "k");
        assert!(is_hidden(&one) && !is_hidden(b"k") && !one.windows(2).any(|pair| pair == b"k="));
        assert_eq!(one, of([1, 2], "x-api-key", "k"));
        for other in
            [of([1, 3], "X-Api-Key", "k"), of([1, 2], "X-Api-Kex", "k"), of([1, 2], "X-Api-Key", "l")]
        {
            assert_ne!(one, other);
        }
    }
}
