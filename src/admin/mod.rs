//! How a running Larder is looked at and told what to do.
//!
//! Looked at: the admin listener, whose pages anybody who reaches it can read, and which change
//! nothing (`docs/admin.md`). Told: the control socket, for the machine's own user, with the
//! folder's and the file's mode as the access control. Not here: a way to change anything over
//! TCP.

pub mod cache;
pub mod control;
pub mod explain;
mod exposition;
mod listen;
pub mod logged;
pub mod messages;
mod metrics;
pub mod numbers;
mod pac;
mod page;
mod routes;
pub mod socket;
mod status;

pub use listen::{AdminError, AdminListener, bind_admin};
pub use status::Status;

#[cfg(test)]
mod tests;
