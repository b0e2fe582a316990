//! HTTP/2 (RFC 9113) as a way to carry the messages of this room. Frames, streams and field
//! compression are the `h2` crate's; what a message is, and which are refused, is decided here.

mod asking;
mod halves;
mod heads;
mod meter;
mod request;
mod usage;

pub use asking::ask;
pub use halves::{Http2Reader, Http2Writer, is_unprocessed, is_violation};
pub use meter::{Excess, Meter, Metered};
pub use request::{Malformed, request_of};
pub use usage::Usage;
