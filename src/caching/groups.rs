//! Cache groups (RFC 9875): responses of one origin that become invalid together.
//!
//! A group belongs to its origin: the store knows it by a tag in which both stand, and which no
//! response can have of its own making.

use super::StoredHead;
use crate::http::structured::{BareItem, MemberValue, list};
use crate::http::{Fields, Method, Response, TargetUri};

/// Groups of one response or one invalidation that count. RFC 9875 asks for support of at least
/// 32 with 32 characters each; what is beyond is ignored.
const GROUPS_MAX: usize = 128;
/// Octets of a group's name; a longer one is ignored.
const GROUP_OCTETS_MAX: usize = 128;

/// The tags of the groups that a stored response of `uri` is in (§2).
pub fn group_tags(uri: &TargetUri, fields: &Fields) -> Vec<Vec<u8>> {
    tags(uri, fields, b"Cache-Groups")
}

// §3: "A cache that receives a Cache-Group-Invalidation header field on a response to an unsafe
// request MAY invalidate any stored responses that share groups (per Section 2.1) with any of the
// listed groups." "The Cache-Group-Invalidation header field MUST be ignored on responses to
// requests that have a safe method". An error has changed nothing, as in RFC 9111 §4.4.
/// The tags of the groups that `response` to a request with `method` for `target` invalidates.
pub fn invalidated_groups(method: &Method, target: &TargetUri, response: &Response) -> Vec<Vec<u8>> {
    if method.is_safe() || !(200..400).contains(&response.status) {
        return Vec::new();
    }
    tags(target, &response.fields, b"Cache-Group-Invalidation")
}

// §2.2.1: "A cache that invalidates a stored response MAY invalidate any stored responses that
// share groups (per Section 2.1) with that response."
/// The tags of the groups that go with these stored responses of `uri`.
pub fn groups_of<'a>(uri: &TargetUri, stored: impl Iterator<Item = &'a StoredHead>) -> Vec<Vec<u8>> {
    let mut tags: Vec<_> = stored.flat_map(|head| group_tags(uri, &head.fields)).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

// §2, §3: Lists of Strings (RFC 9651); what is not one is ignored whole.
fn tags(uri: &TargetUri, fields: &Fields, name: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = fields.all_named(name).peekable();
    if lines.peek().is_none() {
        return Vec::new();
    }
    let members = list(lines).unwrap_or_default();
    let group = |member: &MemberValue| match member {
        MemberValue::Item(BareItem::String(group)) => Some(group.clone()),
        _ => None,
    };
    let Some(groups) = members.iter().map(group).collect::<Option<Vec<_>>>() else { return Vec::new() };
    let is_short = |group: &Vec<u8>| group.len() <= GROUP_OCTETS_MAX;
    groups.iter().filter(|group| is_short(group)).take(GROUPS_MAX).map(|group| tag(uri, group)).collect()
}

// §2.1: both have "the same String" in the field, compared "character by character", and "share
// the same URI origin". No field value has a NUL, so that no `Cache-Tag` reads like this.
fn tag(uri: &TargetUri, group: &[u8]) -> Vec<u8> {
    let origin = format!("\0group\0{}://{}\0", uri.scheme.as_str(), uri.authority);
    [origin.as_bytes(), group].concat()
}
