//! Targeted cache control (RFC 9213): a response field that speaks to one kind of cache alone.
//!
//! Which fields speak to Larder is a list, in order of precedence. The default is its own name;
//! `CDN-Cache-Control` is for caches that act for an origin, and Larder acts for its clients, so
//! that an operator has to list it.

use std::sync::Arc;

use super::directives::{Argument, ResponseDirectives};
use crate::http::Fields;
use crate::http::structured::{BareItem, MemberValue, dictionary};

/// The field that speaks to Larder.
const OWN_NAME: &[u8] = b"Larder-Cache-Control";

/// The names of the targeted fields that are honoured, in order of precedence: the target list
/// of RFC 9213 §2.2. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(Option<Arc<[Box<[u8]>]>>);

impl Targets {
    /// These names; the default is Larder's own.
    pub fn new<N: AsRef<[u8]>>(names: impl IntoIterator<Item = N>) -> Targets {
        let mut names: Vec<Box<[u8]>> = names.into_iter().map(|name| Box::from(name.as_ref())).collect();
        if names.is_empty() {
            // No field has this name, and a list that is written down is told from the default.
            names.push(Box::default());
        }
        let is_default = matches!(&names[..], [only] if only.eq_ignore_ascii_case(OWN_NAME));
        Targets((!is_default).then(|| names.into()))
    }

    /// Whether it is Larder's own name alone.
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let own = self.is_default().then_some(OWN_NAME);
        own.into_iter().chain(self.0.iter().flat_map(|names| names.iter().map(|name| &**name)))
    }

    // RFC 9213 §2.2: "When a cache that implements this specification receives a response with one
    // or more of the header field names on its target list, the cache MUST select the first (in
    // target list order) field with a valid, non-empty value and use its value to determine the
    // caching policy for the response, and it MUST ignore the Cache-Control and Expires header
    // fields in that response, unless no valid, non-empty value is available".
    /// The directives that govern a response with these fields.
    pub(super) fn directives(&self, fields: &Fields) -> ResponseDirectives {
        self.names()
            .find_map(|name| directives_of(fields, name))
            .unwrap_or_else(|| ResponseDirectives::of(fields))
    }
}

// §2.1: "Targeted fields are Dictionary Structured Fields […]. Each member of the Dictionary is an
// HTTP cache response directive".
fn directives_of(fields: &Fields, name: &[u8]) -> Option<ResponseDirectives> {
    let mut lines = fields.all_named(name).peekable();
    lines.peek()?;
    let members = dictionary(lines).filter(|members| !members.is_empty())?;
    let mut found = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
    for (name, value) in members {
        let argument = match value {
            // A directive that is said not to be there.
            MemberValue::Item(BareItem::Boolean(false)) => continue,
            MemberValue::Item(BareItem::Boolean(true)) => Argument::Absent,
            // Seconds below zero are none.
            MemberValue::Item(BareItem::Integer(number)) => {
                Argument::Text(number.max(0).to_string().into_bytes().into())
            }
            MemberValue::Item(BareItem::String(text)) if !is_seconds(&name) => Argument::Text(text.into()),
            // §2.1: consumers should take no values of other types. What restricts stays in force
            // whatever its value, and a lifetime that can't be read is none, as in Cache-Control.
            _ if is_permissive(&name) => continue,
            _ => Argument::Malformed,
        };
        if is_permissive(&name) && !matches!(argument, Argument::Absent) {
            continue;
        }
        found.apply(&name, &argument);
    }
    Some(found)
}

fn is_seconds(name: &[u8]) -> bool {
    matches!(name, b"max-age" | b"s-maxage" | b"stale-while-revalidate" | b"stale-if-error")
}

fn is_permissive(name: &[u8]) -> bool {
    matches!(name, b"public" | b"must-understand")
}
