//! HTTP messages: types, field grammar, and the HTTP/1 codec (RFC 9110, RFC 9112).
//!
//! Bytes from the network enter Larder here, and whatever leaves these functions is well-formed:
//! the rest of the house never sees a head that two recipients could read differently.

mod date;
mod fields;
pub mod grammar;
mod host;
mod message;
mod name;
mod uri;

pub use date::Timestamp;
pub use fields::{Field, Fields, FieldsBuilder};
pub use host::{Host, HostError};
pub use message::{BodyLength, Method, Request, Response, Version, reason_phrase};
pub use name::FieldName;
pub use uri::{Authority, HostField, Scheme, Target, TargetError, TargetUri};
