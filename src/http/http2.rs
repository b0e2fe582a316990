//! HTTP/2 (RFC 9113) as a way to carry the messages of this room. Frames, streams and field
//! compression are the `h2` crate's; what a message is, and which are refused, is decided here.

mod asking;
mod frames;
mod gate;
mod halves;
mod heads;
mod hpack;
mod huffman;
mod incoming;
mod meter;
mod request;
mod section;
mod usage;
mod watch;

pub use asking::ask;
pub use gate::Gate;
pub use halves::{Http2Reader, Http2Writer, is_unprocessed, is_violation};
pub use meter::Excess;
pub use request::{Malformed, request_of};
pub use section::SECTION_MAX;
pub use usage::Usage;
pub use watch::{GivenUp, RequestFields, Watch};
