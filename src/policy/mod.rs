//! Who may use Larder, and what may be reached through it.
//!
//! A [`Policy`] is immutable and built whole; whoever holds it swaps it for another on a reload
//! or a run-time block. It sees the very objects that are used: the canonical host, the target
//! URI, and the address that is dialled. Rules by time, user or method are deliberately not here
//! yet, and nothing in this room but `runtime.rs` touches a file.

mod address;
mod config;
mod host_set;
mod judge;
mod list;
mod networks;
mod pattern;
mod pattern_error;
mod ports;
mod reach;
mod refusal;
mod rules;
mod runtime;
mod special;
#[cfg(test)]
mod tests;
mod typed;

pub use config::Config;
pub use host_set::HostSet;
pub use judge::{ListenerScope, Policy, PortOf};
pub use networks::Network;
pub use pattern::Pattern;
pub use pattern_error::PatternError;
pub use ports::{Ports, PortsError};
pub use refusal::{Refusal, RefusalReason};
pub use rules::PolicyError;
pub use runtime::{RuntimeBlocks, RuntimeError};
pub use typed::one_or_many;

/// Something in a list that is ignored, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `FILE:LINE`, or what else a person needs to find it.
    pub place: String,
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
