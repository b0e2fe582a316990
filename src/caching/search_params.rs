//! `No-Vary-Search`: which differences between two queries mean nothing to the origin.
//!
//! The field is a Dictionary with `key-order`, `params` and `except`. One that can't be read has no
//! effect: each query is a resource of its own then. Parameters are taken apart as
//! `application/x-www-form-urlencoded`, and compared as octets: what a lossy decoding to text would
//! merge stays apart.

use crate::http::structured::{BareItem, MemberValue, dictionary};
use crate::http::{Fields, TargetUri};

/// Parameters of one query; a query with more equals no other. Arbitrary.
const PARAMETERS_MAX: usize = 256;

/// What a response says of the queries that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoVarySearch {
    ignores_order: bool,
    params: Params,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Params {
    /// All but these are compared.
    Without(Vec<Vec<u8>>),
    /// These alone are compared.
    Only(Vec<Vec<u8>>),
}

impl NoVarySearch {
    /// What these fields say; `None` when nothing, or nothing that can be read.
    pub fn of(fields: &Fields) -> Option<NoVarySearch> {
        let mut lines = fields.all_named(b"No-Vary-Search").peekable();
        lines.peek()?;
        let members = dictionary(lines)?;
        let value = |key: &[u8]| members.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let ignores_order = match value(b"key-order") {
            None => false,
            Some(MemberValue::Item(BareItem::Boolean(ignored))) => *ignored,
            Some(_) => return None,
        };
        let excepted = value(b"except").map(names);
        let params = match (value(b"params"), excepted) {
            (None | Some(MemberValue::Item(BareItem::Boolean(false))), None) => Params::Without(Vec::new()),
            (Some(MemberValue::Item(BareItem::Boolean(true))), None) => Params::Only(Vec::new()),
            // Exceptions are from "all parameters", and mean nothing without it.
            (Some(MemberValue::Item(BareItem::Boolean(true))), Some(excepted)) => Params::Only(excepted?),
            (Some(list @ MemberValue::InnerList(_)), None) => Params::Without(names(list)?),
            _ => return None,
        };
        // What changes nothing is not worth a look.
        let is_default = !ignores_order && params == Params::Without(Vec::new());
        (!is_default).then_some(NoVarySearch { ignores_order, params })
    }

    /// Whether a response to `stored` that says this answers a request for `wanted`, too.
    pub fn equates(&self, stored: &TargetUri, wanted: &TargetUri) -> bool {
        if !stored.same_origin(wanted) || stored.path() != wanted.path() {
            return false;
        }
        match (self.compared(stored), self.compared(wanted)) {
            (Some(stored), Some(wanted)) => stored == wanted,
            _ => false,
        }
    }

    /// The parameters of a query that count.
    fn compared(&self, uri: &TargetUri) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut parameters = parameters(query(uri))?;
        parameters.retain(|(name, _)| match &self.params {
            Params::Without(names) => !names.contains(name),
            Params::Only(names) => names.contains(name),
        });
        if self.ignores_order {
            // Stable: the values of one name keep their order.
            parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        Some(parameters)
    }
}

fn names(value: &MemberValue) -> Option<Vec<Vec<u8>>> {
    let MemberValue::InnerList(items) = value else { return None };
    let name = |item: &BareItem| match item {
        BareItem::String(name) => Some(decoded(name)),
        _ => None,
    };
    items.iter().map(name).collect()
}

fn query(uri: &TargetUri) -> &[u8] {
    let mut parts = uri.path_and_query.splitn(2, |&byte| byte == b'?');
    parts.nth(1).unwrap_or_default()
}

/// Names and values in order; `None` when there are too many.
fn parameters(query: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut out = Vec::new();
    for part in query.split(|&byte| byte == b'&').filter(|part| !part.is_empty()) {
        if out.len() == PARAMETERS_MAX {
            return None;
        }
        let mut halves = part.splitn(2, |&byte| byte == b'=');
        let name = halves.next().unwrap_or_default();
        out.push((decoded(name), decoded(halves.next().unwrap_or_default())));
    }
    Some(out)
}

/// `+` is a space, and `%XX` an octet.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = behind;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(*first),
        }
    }
    out
}
