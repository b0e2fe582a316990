//! Session tickets of one host (RFC 8446 §4.6.1): what a client's session is resumed with, sealed
//! under keys that are in memory alone and change every six hours.
//!
//! rustls has such tickets, too, but their keys change by the system's wall clock, which panics before
//! 1970 and can jump. These go by Larder's monotonic time.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::clock::Clock;

use super::random;

/// How long a key seals; it opens for as long again. Half of what clients are told.
const KEY_MS: u64 = 6 * 3600 * 1000;

const NAME_LEN: usize = 8;
const KEY_LEN: usize = 32;

/// Makes and opens the tickets of one host.
pub(super) struct Tickets {
    clock: Clock,
    keys: Mutex<Keys>,
}

struct Keys {
    current: TicketKey,
    previous: Option<TicketKey>,
}

struct TicketKey {
    /// Random; tells which key has sealed a ticket.
    name: [u8; NAME_LEN],
    key: RandomizedNonceKey,
    made_ms: u64,
}

impl Tickets {
    pub(super) fn new(clock: Clock) -> Result<Tickets, Unspecified> {
        let current = TicketKey::generate(clock.monotonic_ms())?;
        Ok(Tickets { clock, keys: Mutex::new(Keys { current, previous: None }) })
    }

    /// Acts on the keys that are good now.
    fn with_keys<T>(&self, act: impl FnOnce(&Keys) -> Option<T>) -> Option<T> {
        let now_ms = self.clock.monotonic_ms();
        // Keys are changed in one step, without a panic in between.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let age_ms = now_ms.saturating_sub(keys.current.made_ms);
        if age_ms >= KEY_MS {
            // Without random octets there are no tickets.
            let next = TicketKey::generate(now_ms).ok()?;
            let current = std::mem::replace(&mut keys.current, next);
            keys.previous = (age_ms < 2 * KEY_MS).then_some(current);
        }
        act(&keys)
    }
}

impl TicketKey {
    fn generate(made_ms: u64) -> Result<TicketKey, Unspecified> {
        let secret = Zeroizing::new(random::<KEY_LEN>()?);
        let key = RandomizedNonceKey::new(&AES_256_GCM, &secret[..])?;
        Ok(TicketKey { name: random()?, key, made_ms })
    }

    /// ```text
    /// name (8) | nonce (12) | sealed session | tag (16)
    /// ```
    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = session.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(self.name), &mut sealed).ok()?;
        Some([&self.name[..], nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *name != self.name {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.key.open_in_place(nonce, Aad::from(self.name), &mut sealed).ok().map(|session| session.to_vec())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(2 * KEY_MS / 1000).unwrap_or_default()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.with_keys(|keys| keys.current.seal(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.with_keys(|keys| {
            [Some(&keys.current), keys.previous.as_ref()]
                .into_iter()
                .flatten()
                .find_map(|key| key.open(cipher))
        })
    }
}

impl std::fmt::Debug for Tickets {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::Timestamp;

    #[test]
    fn a_ticket_is_good_for_its_key_and_one_more() {
        // As long ago as a clock can be that was never set.
        let clock = Clock::manual(Timestamp(0));
        let tickets = Tickets::new(clock.clone()).expect("random octets");
        let first = tickets.encrypt(b"session").expect("a ticket");
        assert_ne!(first, tickets.encrypt(b"session").expect("another"), "each has a nonce of its own");
        assert_eq!(tickets.decrypt(&first).as_deref(), Some(&b"session"[..]));
        clock.advance(Duration::from_hours(7));
        assert_eq!(tickets.decrypt(&first).as_deref(), Some(&b"session"[..]));
        let second = tickets.encrypt(b"session").expect("a ticket");
        clock.advance(Duration::from_hours(7));
        assert_eq!(tickets.decrypt(&first), None);
        assert_eq!(tickets.decrypt(&second).as_deref(), Some(&b"session"[..]));
        clock.advance(Duration::from_hours(100));
        assert_eq!(tickets.decrypt(&second), None);
    }

    #[test]
    fn what_is_not_a_ticket_opens_nothing() {
        let clock = Clock::manual(Timestamp(0));
        let tickets = Tickets::new(clock.clone()).expect("random octets");
        let ticket = tickets.encrypt(b"session").expect("a ticket");
        let other = Tickets::new(clock).expect("random octets");
        assert_eq!(other.decrypt(&ticket), None, "another host's");
        for length in 0..ticket.len() {
            assert_eq!(tickets.decrypt(&ticket[..length]), None, "{length}");
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{at}");
        }
    }
}
