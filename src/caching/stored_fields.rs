//! Which fields of a response are stored (RFC 9111 §3.1), and how newer ones replace them (§3.2).
//!
//! Order and spelling stay the origin's; a field that is replaced keeps its place.

use super::Targets;
use super::freshness::date_value;
use crate::http::grammar::exact_decimal;
use crate::http::{Field, FieldName, Fields, FieldsBuilder, Timestamp};

/// The fields that may be stored (RFC 9111 §3.1), with a `Date`, without `Age`.
pub(super) fn storable_fields(fields: &Fields, received: Timestamp, targets: &Targets) -> Fields {
    let withheld = targets.directives(fields).withheld;
    let has_date = date_value(fields, received).is_some();
    let has_length = fields.only(FieldName::ContentLength).is_some_and(|text| exact_decimal(text).is_some())
        && !fields.contains(FieldName::TransferEncoding);
    let mut kept = fields.without(|field| {
        is_unstorable(field.id)
            // "The Connection header field and fields whose names are listed in it".
            || !field.id.is_protected()
                && fields.members(FieldName::Connection).any(|option| field.is_named(option))
            || withheld.iter().any(|name| field.is_named(name))
            || field.id == FieldName::Date && !has_date
            || field.id == FieldName::ContentLength && !has_length
    });
    // RFC 9110 §6.6.1: "A recipient with a clock that receives a response message without a Date
    // header field MUST record the time it was received and append a corresponding Date header
    // field […] if it is cached"; an invalid one MAY be replaced likewise.
    if !has_date {
        kept.add(FieldName::Date, received.to_http_date());
    }
    kept.build()
}

// §5.2.2.4: with field names, no-cache is "limited to the listed fields": what they say goes to who asked,
// and so does what private keeps from shared caches (§5.2.2.7).
/// The fields that a response keeps from being stored, and that its client gets all the same.
pub fn withheld_fields(fields: &Fields, targets: &Targets) -> Fields {
    let withheld = targets.directives(fields).withheld;
    let ends_here = |field: &Field<'_>| {
        is_unstorable(field.id) || fields.members(FieldName::Connection).any(|option| field.is_named(option))
    };
    let is_for_client =
        |field: &Field<'_>| !ends_here(field) && withheld.iter().any(|name| field.is_named(name));
    fields.without(|field| !is_for_client(field)).build()
}

const fn is_unstorable(id: FieldName) -> bool {
    id.is_connection_specific()
        || matches!(
            id,
            // "Header fields that are specific to the proxy that a cache uses […] Proxy-Authenticate,
            // Proxy-Authentication-Info, and Proxy-Authorization."
            FieldName::ProxyAuthenticate
                | FieldName::ProxyAuthenticationInfo
                | FieldName::ProxyAuthorization
                | FieldName::Age
                // It would lead clients around the proxy.
                | FieldName::AltSvc
        )
}

/// `stored` with the lines of `updates` in place of those with their names.
pub(super) fn merge(stored: &Fields, updates: &Fields) -> Fields {
    let updated = |field: &Field<'_>| {
        !describes_stored_content(field) && updates.iter().any(|new| same_name(&new, field))
    };
    let push_all = |out: &mut FieldsBuilder, of: &Field<'_>| {
        for field in updates.iter().filter(|new| same_name(new, of)) {
            out.push(field.name, field.value);
        }
    };
    let mut out = Fields::builder();
    for (at, field) in stored.iter().enumerate() {
        if !updated(&field) {
            out.push(field.name, field.value);
        } else if !stored.iter().take(at).any(|earlier| same_name(&earlier, &field)) {
            push_all(&mut out, &field);
        }
    }
    for field in updates.iter().filter(|new| !describes_stored_content(new)) {
        if !stored.iter().any(|known| same_name(&known, &field)) {
            out.push(field.name, field.value);
        }
    }
    out.build()
}

// §3.2 excepts Content-Length and lets Content-Range be omitted, and other "fields necessary to
// assure integrity of the stored response": those that say how the stored octets are encoded and
// what they digest to.
fn describes_stored_content(field: &Field<'_>) -> bool {
    match field.id {
        FieldName::ContentLength | FieldName::ContentEncoding | FieldName::ContentRange => true,
        FieldName::Other => [&b"Content-MD5"[..], b"Content-Digest", b"Repr-Digest", b"Digest"]
            .iter()
            .any(|name| field.is_named(name)),
        _ => false,
    }
}

fn same_name(a: &Field<'_>, b: &Field<'_>) -> bool {
    a.id == b.id && (a.id != FieldName::Other || a.is_named(b.name))
}
