//! The JSON layout: one object a line, version 1.
//!
//! Members may be added within a version; none is renamed, removed or given another meaning or
//! type without a new one. A member without a value is left out. `docs/access-log.md` lists them.

use super::calendar::{put_number, put_rfc3339};
use super::escape::{Place, put_id, without_user_information};
use super::lines::{put_address, put_client, put_url};
use super::record::{AccessRecord, Hierarchy, LoggedUrl};

/// Appends the record as one object.
pub(super) fn put_json(line: &mut Vec<u8>, record: &AccessRecord<'_>) {
    line.extend_from_slice(b"{\"v\":1,\"time\":\"");
    put_rfc3339(line, record.finished, record.finished_millis);
    line.extend_from_slice(b"\",\"id\":\"");
    put_id(line, record.request_id);
    line.extend_from_slice(b"\",\"client\":\"");
    put_client(line, record.client);
    line.push(b'"');
    member_number(line, "client_port", record.client.port().into());
    member_text(line, "user", record.user.unwrap_or_default().as_bytes());
    member_text(line, "method", record.method.as_bytes());
    if !matches!(record.url, LoggedUrl::Unknown) {
        member(line, "url");
        line.push(b'"');
        put_url(line, record.url, Place::Json);
        line.push(b'"');
    }
    member_text(line, "version", record.version.map_or("", |version| version.as_str()).as_bytes());
    member_number(line, "status", record.status.into());
    member_number(line, "duration_ms", record.duration_ms);
    member_number(line, "bytes_to_client", record.bytes_to_client);
    member_number(line, "bytes_from_client", record.bytes_from_client);
    member_number(line, "bytes_from_origin", record.bytes_from_origin);
    member_text(line, "cache_status", record.cache_status.as_bytes());
    member_text(line, "cache_code", record.code.as_str().as_bytes());
    member_text(line, "ending", record.ending.as_str().as_bytes());
    if let Hierarchy::Direct(address) = record.hierarchy {
        member(line, "origin");
        line.push(b'"');
        put_address(line, address);
        line.push(b'"');
    }
    member_text(line, "content_type", record.content_type.unwrap_or_default());
    put_referer(line, record.referer.unwrap_or_default());
    member_text(line, "user_agent", record.user_agent.unwrap_or_default());
    member_text(line, "rule", record.rule.unwrap_or_default().as_bytes());
    member_text(line, "error", record.error.map_or("", |error| error.as_str()).as_bytes());
    member_text(line, "detail", record.detail.unwrap_or_default().as_bytes());
    line.extend_from_slice(b"}\n");
}

fn put_referer(line: &mut Vec<u8>, referer: &[u8]) {
    if referer.is_empty() {
        return;
    }
    let (front, back) = without_user_information(referer);
    member(line, "referer");
    line.push(b'"');
    Place::Json.put(line, front);
    Place::Json.put(line, back);
    line.push(b'"');
}

/// Appends a member; nothing when the text is empty.
fn member_text(line: &mut Vec<u8>, name: &str, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    member(line, name);
    line.push(b'"');
    Place::Json.put(line, text);
    line.push(b'"');
}

fn member_number(line: &mut Vec<u8>, name: &str, value: u64) {
    member(line, name);
    put_number(line, value);
}

/// Appends `,"name":`. The names are ours and need no escaping.
fn member(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}
