//! A pin: the one exception from the verification of origins. It names the public key of one
//! host, and that key is accepted whatever certificate it stands in, and no other.

use std::str::FromStr;

use super::certificate::hex;

/// SHA-256 of a SubjectPublicKeyInfo, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(pub(super) [u8; 32]);

/// A text that is no pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin is written as sha256: and the 64 hexadecimal digits of a public key's SHA-256")]
pub struct PinError;

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Pin, PinError> {
        let digits = text.strip_prefix("sha256:").ok_or(PinError)?.as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else { return Err(PinError) };
        let mut hash = [0; 32];
        if pairs.len() != hash.len() {
            return Err(PinError);
        }
        for (octet, &[high, low]) in hash.iter_mut().zip(pairs) {
            *octet = digit(high).ok_or(PinError)? << 4 | digit(low).ok_or(PinError)?;
        }
        Ok(Pin(hash))
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
