//! The three textual layouts: Squid's native one, and NCSA's common and combined.
//!
//! Existing analysers read these by position, so that columns and their order are fixed for good;
//! whatever else is to be told goes into the JSON format.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::calendar::{put_aligned, put_common_date, put_number, put_padded};
use super::escape::{Place, without_user_information};
use super::record::{AccessRecord, Hierarchy, LoggedUrl};
use crate::http::{Host, TargetUri, Timestamp};

/// `1795420933.045     87 192.0.2.7 TCP_MISS/200 1592 GET http://a.example/ - HIER_DIRECT/203.0.113.4 text/html`
///
/// The eight columns before the last: end of the request, duration in ms, client, cache code and
/// status, bytes sent, method, URL, user.
pub(super) fn put_squid(line: &mut Vec<u8>, record: &AccessRecord<'_>) {
    put_number(line, record.finished.0);
    line.push(b'.');
    put_padded(line, record.finished_millis.into(), 3);
    line.push(b' ');
    put_aligned(line, record.duration_ms, 6);
    line.push(b' ');
    put_client(line, record.client);
    line.push(b' ');
    line.extend_from_slice(record.code.as_str().as_bytes());
    line.extend_from_slice(record.ending.suffix().as_bytes());
    line.push(b'/');
    put_padded(line, record.status.into(), 3);
    line.push(b' ');
    put_number(line, record.bytes_to_client);
    line.push(b' ');
    put_column(line, record.method.as_bytes());
    line.push(b' ');
    put_url_column(line, record.url);
    line.push(b' ');
    put_column(line, record.user.unwrap_or_default().as_bytes());
    line.push(b' ');
    line.extend_from_slice(record.hierarchy.as_str().as_bytes());
    line.push(b'/');
    match record.hierarchy {
        Hierarchy::None => line.push(b'-'),
        Hierarchy::Direct(address) => put_address(line, address),
    }
    line.push(b' ');
    put_column(line, media_type(record.content_type.unwrap_or_default()));
    line.push(b'\n');
}

/// `192.0.2.7 - - [23/Nov/2026:08:02:12 +0000] "GET http://a.example/ HTTP/1.1" 200 1592`
pub(super) fn put_common(line: &mut Vec<u8>, record: &AccessRecord<'_>) {
    put_ncsa(line, record);
    line.push(b'\n');
}

/// The common layout and then `"referrer" "user agent"`.
pub(super) fn put_combined(line: &mut Vec<u8>, record: &AccessRecord<'_>) {
    put_ncsa(line, record);
    let (front, back) = without_user_information(record.referer.unwrap_or_default());
    line.extend_from_slice(b" \"");
    Place::Quoted.put(line, front);
    Place::Quoted.put(line, back);
    if front.is_empty() && back.is_empty() {
        line.push(b'-');
    }
    line.extend_from_slice(b"\" \"");
    Place::Quoted.put(line, record.user_agent.filter(|text| !text.is_empty()).unwrap_or(b"-"));
    line.extend_from_slice(b"\"\n");
}

fn put_ncsa(line: &mut Vec<u8>, record: &AccessRecord<'_>) {
    put_client(line, record.client);
    line.extend_from_slice(b" - ");
    put_column(line, record.user.unwrap_or_default().as_bytes());
    line.push(b' ');
    // These layouts hold the moment when the request came, where Squid's has its end.
    let began_ms = (record.finished.0.saturating_mul(1_000).saturating_add(record.finished_millis.into()))
        .saturating_sub(record.duration_ms);
    put_common_date(line, Timestamp(began_ms / 1_000));
    line.extend_from_slice(b" \"");
    put_request_line(line, record);
    line.extend_from_slice(b"\" ");
    put_padded(line, record.status.into(), 3);
    line.push(b' ');
    match record.bytes_to_client {
        0 => line.push(b'-'),
        bytes => put_number(line, bytes),
    }
}

fn put_request_line(line: &mut Vec<u8>, record: &AccessRecord<'_>) {
    if record.method.is_empty() {
        line.push(b'-');
        return;
    }
    Place::Quoted.put(line, record.method.as_bytes());
    line.push(b' ');
    put_url(line, record.url, Place::Quoted);
    if let Some(version) = record.version {
        line.extend_from_slice(b" HTTP/");
        line.extend_from_slice(version.as_str().as_bytes());
    }
}

/// Appends the URL; nothing when there is none.
pub(super) fn put_url(line: &mut Vec<u8>, url: LoggedUrl<'_>, place: Place) {
    match url {
        LoggedUrl::Uri(uri) => put_target_uri(line, uri, place),
        LoggedUrl::Authority(authority) => {
            put_host(line, &authority.host);
            line.push(b':');
            put_number(line, authority.port.into());
        }
        LoggedUrl::Text(text) => {
            let (front, back) = without_user_information(text);
            place.put(line, front);
            place.put(line, back);
        }
        LoggedUrl::Unknown => {}
    }
}

/// Appends the client's address without its port; an IPv4 client of an IPv6 socket as IPv4.
pub(super) fn put_client(line: &mut Vec<u8>, client: SocketAddr) {
    put_address(line, client.ip().to_canonical());
}

/// Appends an address.
pub(super) fn put_address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            put_number(line, a.into());
            for octet in [b, c, d] {
                line.push(b'.');
                put_number(line, octet.into());
            }
        }
        IpAddr::V6(address) => {
            // Writing to memory does not fail.
            let _written = write!(line, "{address}");
        }
    }
}

fn put_target_uri(line: &mut Vec<u8>, uri: &TargetUri, place: Place) {
    line.extend_from_slice(uri.scheme.as_str().as_bytes());
    line.extend_from_slice(b"://");
    put_host(line, &uri.authority.host);
    if uri.authority.port != uri.scheme.default_port() {
        line.push(b':');
        put_number(line, uri.authority.port.into());
    }
    // OPTIONS on the server as a whole: such a URI has no path (RFC 9112 §3.2.4).
    if uri.path_and_query != b"*"[..] {
        place.put(line, &uri.path_and_query);
    }
}

/// A host is canonical: letters, digits, `-`, `_`, `.` or an address.
fn put_host(line: &mut Vec<u8>, host: &Host) {
    match host.ip() {
        Some(IpAddr::V6(address)) => {
            line.push(b'[');
            put_address(line, IpAddr::V6(address));
            line.push(b']');
        }
        _ => line.extend_from_slice(host.as_str().as_bytes()),
    }
}

fn put_url_column(line: &mut Vec<u8>, url: LoggedUrl<'_>) {
    let start = line.len();
    put_url(line, url, Place::Column);
    if line.len() == start {
        line.extend_from_slice(b"error:invalid-request");
    }
}

fn put_column(line: &mut Vec<u8>, text: &[u8]) {
    Place::Column.put(line, if text.is_empty() { b"-" } else { text });
}

/// `text/html` of `text/html; charset=utf-8`: parameters have spaces, columns have none.
fn media_type(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}
