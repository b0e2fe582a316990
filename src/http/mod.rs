//! HTTP messages: types, field grammar, and the HTTP/1 codec (RFC 9110, RFC 9112).
//!
//! Bytes from the network enter Larder here, and whatever leaves these functions is well-formed:
//! the rest of the house never sees a head that two recipients could read differently.

pub mod accept;
mod base64;
mod chunked;
mod connection_fields;
mod content;
mod date;
mod fields;
mod framing;
pub mod grammar;
mod head;
mod host;
mod http2;
mod lenient;
mod message;
mod method;
mod name;
mod never_indexed;
mod persistence;
mod presence;
mod scan;
mod stream;
pub mod structured;
#[cfg(test)]
mod tests;
mod uri;
mod userinfo;
pub mod write;

pub use chunked::{ChunkError, ChunkLimits};
pub use connection_fields::{ConnectionOptions, is_forbidden_trailer};
pub use content::{Content, ContentError, ReadHeadError, Reader, Source};
pub use date::Timestamp;
pub use fields::{Field, Fields, FieldsBuilder};
pub use host::{Host, HostError};
pub use http2::{
    Excess, Gate, GivenUp, Http2Reader, Http2Writer, Malformed, RequestFields, SECTION_MAX, Usage, Watch,
    ask, is_unprocessed, is_violation, request_of,
};
pub use lenient::Reading;
pub use message::{BodyLength, Request, Response, Version, reason_phrase};
pub use method::Method;
pub use name::FieldName;
pub use never_indexed::NeverIndexed;
pub use persistence::Persistence;
pub use presence::Presence;
pub use scan::{FIELDS_MAX, HeadError, HeadLimits, RESPONSE_FIELDS_MAX};
pub use stream::{ReadHalf, Resumed, Stream, WriteHalf};
pub use uri::{Authority, HostField, Scheme, Target, TargetError, TargetUri, UrlError};
