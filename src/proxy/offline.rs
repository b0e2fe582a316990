//! Offline: the store answers, however old what it has is, and no origin is asked.
//!
//! The operator has said so, which goes before what a response says of being stale (RFC 9111
//! §4.2.4 forbids that to a cache by itself). `Age` and `Cache-Status` tell how old it is.
//!
//! Invariant: nothing is dialled and no name is resolved; whoever would asks [`Shared::online`] first.

use std::sync::atomic::Ordering;

use super::Shared;
use crate::caching::{Decision, StoredHead, selected};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::Request;

/// The detail of an outcome while offline.
pub(super) const OFFLINE: &str = "offline";

impl Shared {
    /// Whether no origin is asked.
    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Relaxed)
    }

    /// Goes offline, or online again. What is under way goes on.
    pub fn set_offline(&self, offline: bool) {
        self.offline.store(offline, Ordering::Relaxed);
    }

    /// Whether an origin may be asked.
    pub(super) fn online(&self) -> Result<(), Failure> {
        if !self.is_offline() {
            return Ok(());
        }
        let public =
            "Larder is offline: it answers with what it has stored, and has nothing that answers this";
        Err(Failure::new(ErrorType::DestinationUnavailable, Fault::Proxy, 504, public))
    }

    /// What is decided while offline: whatever a request selects answers it.
    pub fn decide_offline(&self, request: &Request, stored: &[&StoredHead]) -> Decision {
        let now = self.clock.now();
        let found = selected(request, stored).and_then(|index| Some((index, stored.get(index)?)));
        let Some((index, head)) = found else { return Decision::GatewayTimeout };
        let age = head.current_age(now);
        Decision::Reuse { index, age, ttl: head.ttl(now, &self.policy_for(request, head)) }
    }
}
