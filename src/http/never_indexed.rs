//! Fields that no compression table may hold, on their way from one peer to the next (RFC 7541 §6.2.3,
//! §7.1.3): whoever can have both sent over one connection could guess at what is in its table.
//!
//! The `h2` crate loses what a peer has said of a field. So the gate puts the names of such fields into a
//! field of its own, [`FIELD`], which is taken off behind the crate; what a peer itself sends under that
//! name goes no further than the gate. Pseudo-fields are left out: the crate has no way to send them so.

use http::{HeaderMap, HeaderName};

use super::FieldName;

/// The field between the gate and those who read what comes out of the crate.
pub(super) const FIELD: &str = "larder-never-indexed";

/// The names of such fields of one message, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeverIndexed(Option<Box<[u8]>>);

impl NeverIndexed {
    /// Takes off the fields of a message what the gate has put there.
    pub(super) fn take(fields: &mut HeaderMap) -> NeverIndexed {
        let listed = fields.remove(HeaderName::from_static(FIELD));
        NeverIndexed(listed.map(|names| names.as_bytes().into()))
    }

    /// Adds the names of another head of the same message.
    pub fn add(&mut self, other: &NeverIndexed) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (Some(own), Some(more)) => *own = [own, &b","[..], more].concat().into(),
            (own, more) => own.clone_from(more),
        }
    }

    /// Bytes of memory that the names take.
    pub fn memory_bytes(&self) -> usize {
        self.0.as_deref().map_or(0, <[u8]>::len)
    }

    /// Whether a field with this name is sent so: one that came so, and credentials and cookies in any case,
    /// which a client of HTTP/1 can't mark.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        use FieldName::{Authorization, Cookie, ProxyAuthorization, SetCookie};
        matches!(FieldName::of(name), Authorization | Cookie | ProxyAuthorization | SetCookie)
            || self.0.as_deref().is_some_and(|names| {
                names.split(|&octet| octet == b',').any(|listed| listed.eq_ignore_ascii_case(name))
            })
    }
}
