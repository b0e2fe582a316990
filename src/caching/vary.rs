//! Which stored response a request selects (RFC 9111 §4.1).
//!
//! The values that a response was selected by are kept as received and normalised. Two values
//! match when they are equal as received, which costs nothing, or equal when normalised.
//! Normalising never merges what an origin may tell apart: whitespace around list commas and the
//! division into lines mean nothing in any list, case and order mean nothing in the two weighted
//! lists treated here (RFC 9110 §12.5.3, §12.5.4).

use std::hash::{Hash as _, Hasher};

use bytes::Bytes;

use super::secret::{HIDDEN, SecretFields, is_hidden};
use crate::http::grammar::{Members, Split, is_token, saturating_decimal, trim};
use crate::http::{FieldName, Fields};

/// One name of `Vary` and what the original request had under it.
#[derive(Clone, Debug)]
pub(super) struct Selecting {
    id: FieldName,
    pub name: Bytes,
    /// The request's lines, joined; `None` when it had none.
    pub value: Option<Bytes>,
    normal: Option<Bytes>,
    is_unknown: bool,
    /// The value is a secret, of which the hash is there, made with the key of these.
    hidden: Option<SecretFields>,
}

/// A value that a stored response was selected by, beside the one that a request presents.
#[derive(Clone, Debug)]
pub(super) struct Compared<'a> {
    pub name: &'a [u8],
    pub stored: Option<&'a [u8]>,
    pub presented: Option<Bytes>,
    pub matches: bool,
}

impl Selecting {
    pub fn new(name: Bytes, value: Option<Bytes>) -> Selecting {
        let id = FieldName::of(&name);
        let hidden = value.as_deref().is_some_and(is_hidden).then(SecretFields::default);
        let normal = value.as_ref().filter(|_| hidden.is_none()).map(|value| normalise(id, value));
        // What is not a field name may have been meant as any of them: it matches nothing.
        let is_unknown = !is_token(&name);
        Selecting { id, name, value, normal, is_unknown, hidden }
    }

    /// All names of `Vary`, which a later response has brought, with what is known of the original
    /// request: that is what it had under the names that were there before. Of a name that is new nobody
    /// knows: whoever had the response validated is not who had it stored, and to remember all fields of
    /// each request would cost every stored response more memory than its head, and write down what
    /// clients say of themselves. So it is had anew, once: an origin that sends `Vary` with a 304 sends it
    /// with the 200, too.
    pub fn renamed(response: &Fields, known: &[Selecting]) -> Box<[Selecting]> {
        let selecting = |name: &[u8]| {
            let known = known.iter().find(|known| known.name.eq_ignore_ascii_case(name)).cloned();
            known.unwrap_or_else(|| {
                let name = Bytes::from(name.to_ascii_lowercase());
                Selecting { is_unknown: true, ..Selecting::new(name, None) }
            })
        };
        response.members(FieldName::Vary).map(selecting).collect()
    }

    /// Whether nobody knows what the original request had under this name, so that nothing matches it.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// The same with the hash of the value in its place, if it is a secret.
    pub fn hiding(self, secrets: &SecretFields) -> Selecting {
        let Selecting { id, name, value, normal, is_unknown, hidden } = self;
        if hidden.is_none() && secrets.has(&name) {
            let value = normal.map(|normal| secrets.hash(&name, &normal));
            return Selecting { id, name, value, normal: None, is_unknown, hidden: Some(secrets.clone()) };
        }
        Selecting { id, name, value, normal, is_unknown, hidden: hidden.map(|_without_key| secrets.clone()) }
    }

    /// The stored value, as it may be shown.
    pub fn shown(&self) -> Option<&[u8]> {
        if self.hidden.is_some() { Some(HIDDEN.as_bytes()) } else { self.value.as_deref() }
    }

    /// What a request presents, as it may be shown.
    pub fn shown_of(&self, request: &Fields) -> Option<Bytes> {
        let presented = self.presented(request);
        match &self.hidden {
            Some(_) => presented.map(|_secret| Bytes::from_static(HIDDEN.as_bytes())),
            None => presented,
        }
    }

    /// All names of `Vary` with their values in `request`.
    pub fn all(response: &Fields, request: &Fields) -> Box<[Selecting]> {
        let selecting = |name: &[u8]| {
            let name = Bytes::from(name.to_ascii_lowercase());
            let value = joined(request, FieldName::of(&name), &name);
            Selecting::new(name, value)
        };
        response.members(FieldName::Vary).map(selecting).collect()
    }

    /// The request's lines under this name, joined; `None` when it has none.
    pub fn presented(&self, request: &Fields) -> Option<Bytes> {
        joined(request, self.id, &self.name)
    }

    /// Adds the name, and what a request has under it, in its normal form.
    pub fn hash_presented(&self, request: &Fields, hasher: &mut impl Hasher) {
        self.name.hash(hasher);
        self.presented(request).map(|value| normalise(self.id, &value)).hash(hasher);
    }

    // RFC 9111 §4.1: "The header fields from two requests are defined to match if and only if
    // those in the first request can be transformed to those in the second request by applying
    // any of […] adding or removing whitespace […] combining multiple header field lines […]
    // normalizing both header field values in a way that is known to have identical semantics".
    /// Whether `request` has the same value; `language` is the stored content's, if it is one.
    pub fn matches(&self, request: &Fields, language: Option<&[u8]>) -> bool {
        if self.is_unknown {
            return false;
        }
        let mut lines = lines(request, self.id, &self.name);
        let Some(value) = &self.value else {
            // "If (after any normalization that might take place) a header field is absent from
            // a request, it can only match another request if it is also absent there."
            return lines.next().is_none();
        };
        if let Some(secrets) = &self.hidden {
            let presented = self.presented(request);
            let hash = presented.map(|presented| secrets.hash(&self.name, &normalise(self.id, &presented)));
            return hash.as_ref() == Some(value);
        }
        if lines.next() == Some(&value[..]) && lines.next().is_none() {
            return true;
        }
        // In one line, as the stored value is: a quoted string that is opened in one line may be
        // closed in another.
        let Some(presented) = self.presented(request) else { return false };
        if self.normal.as_ref().is_some_and(|normal| *normal == normalise(self.id, &presented)) {
            return true;
        }
        // "When a nominated request header field has a known mechanism for ranking preference
        // (e.g., qvalues on Accept and similar request header fields), that mechanism MAY be
        // used to choose a preferred response." Only where no other language could be preferred.
        self.id == FieldName::AcceptLanguage
            && language.is_some_and(|language| prefers_alone(&presented, language))
    }

    pub fn memory_bytes(&self) -> usize {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        size_of::<Selecting>() + self.name.len() + len(&self.value) + len(&self.normal)
    }
}

fn joined(request: &Fields, id: FieldName, name: &[u8]) -> Option<Bytes> {
    let lines: Vec<&[u8]> = lines(request, id, name).collect();
    (!lines.is_empty()).then(|| Bytes::from(lines.join(&b", "[..])))
}

/// The values of all lines with this name. `name` counts only where it is not a listed one.
fn lines<'a>(fields: &'a Fields, id: FieldName, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
    fields
        .iter()
        .filter(move |field| field.id == id && (id != FieldName::Other || field.is_named(name)))
        .map(|field| field.value)
}

fn normalise(id: FieldName, value: &[u8]) -> Bytes {
    let members = Members::of(value);
    match id {
        FieldName::AcceptLanguage | FieldName::AcceptEncoding => {
            let mut weighted: Vec<Vec<u8>> = members.map(|member| normalise_weighted(id, member)).collect();
            weighted.sort_unstable();
            weighted.join(&b',').into()
        }
        _ => members.collect::<Vec<_>>().join(&b',').into(),
    }
}

fn normalise_weighted(id: FieldName, member: &[u8]) -> Vec<u8> {
    let (range, weight) = weighted(member);
    let mut out = range.to_ascii_lowercase();
    // RFC 9110 §8.4.1.3: "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"."
    if id == FieldName::AcceptEncoding && out == b"x-gzip" {
        out.drain(..2);
    }
    match weight {
        Some(WEIGHT_MAX) => {}
        Some(weight) => out.extend_from_slice(format!(";q={weight}").as_bytes()),
        // What can't be read is compared by its text.
        None => out = member.to_vec(),
    }
    out
}

/// A weight of 1, in thousandths.
const WEIGHT_MAX: u64 = 1000;

/// A member of a weighted list: what it is about, and its weight in thousandths (RFC 9110
/// §12.4.2). No weight when there is none that can be read.
fn weighted(member: &[u8]) -> (&[u8], Option<u64>) {
    let mut parts = Split::of(member, b';');
    let range = parts.next().unwrap_or_default();
    match (parts.next(), parts.next()) {
        (None, _) => (range, Some(WEIGHT_MAX)),
        (Some(parameter), None) => (range, weight(parameter)),
        _ => (range, None),
    }
}

fn weight(parameter: &[u8]) -> Option<u64> {
    let text = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(dot) => (text.get(..dot)?, text.get(dot + 1..)?),
        None => (text, &b""[..]),
    };
    if fraction.len() > 3 {
        return None;
    }
    let mut thousandths = [b'0'; 3];
    thousandths.get_mut(..fraction.len())?.copy_from_slice(fraction);
    let weight =
        saturating_decimal(whole)?.checked_mul(WEIGHT_MAX)?.checked_add(saturating_decimal(&thousandths)?)?;
    (weight <= WEIGHT_MAX).then_some(weight)
}

/// Whether a client that accepts these languages prefers `language` to every other.
fn prefers_alone(value: &[u8], language: &[u8]) -> bool {
    let (mut wanted, mut others) = (0, 0);
    for member in Members::of(value) {
        match weighted(member) {
            (_, None) => return false,
            (range, Some(weight)) if trim(range).eq_ignore_ascii_case(language) => wanted = weight,
            (_, Some(weight)) => others = others.max(weight),
        }
    }
    wanted > others
}
