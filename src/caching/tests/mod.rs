//! Tables for the questions of this room. Moments are seconds around [`NOW`], written as such in
//! the tables: `{+10}` in a field value becomes that moment's HTTP date.

mod explain;
mod extensions;
mod freshening;
mod freshness;
mod hostile;
mod parts;
mod requests;
mod reuse;
mod rules;
mod selection;
mod storing;

use bytes::Bytes;

use super::*;
use crate::http::{BodyLength, Fields, Method, Request, Response, Target, TargetUri, Timestamp, Version};

/// When every response of these tables is received.
const NOW: Timestamp = Timestamp(1_700_000_000);

/// Request sent and response received at [`NOW`].
const TIMES: Times = Times { request_time: NOW, response_time: NOW };

/// Field lines from `Name: value` lines; `{-5}` and `{+5}` are dates around [`NOW`].
fn fields(text: &str) -> Fields {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| line.split_once(':').expect("a colon"))
        .map(|(name, value)| (name, dates(value.trim())))
        .collect()
}

fn dates(value: &str) -> String {
    let Some((before, rest)) = value.split_once('{') else {
        return value.to_owned();
    };
    let (seconds, after) = rest.split_once('}').expect("a closing brace");
    let moment = NOW.0.checked_add_signed(seconds.parse().expect("seconds")).expect("after 1970");
    format!("{before}{}{}", Timestamp(moment).to_http_date(), dates(after))
}

/// `GET`, or the method that the text starts with, for `http://a.example/x`, then field lines.
fn request(text: &str) -> Request {
    let (method, lines) = match text.split_once('\n') {
        Some((method, lines)) if !method.contains(':') => (method, lines),
        None if !text.contains(':') => (text, ""),
        _ => ("GET", text),
    };
    let method = if method.is_empty() { "GET" } else { method };
    Request {
        method: Method::of(Bytes::copy_from_slice(method.as_bytes())),
        target: Target::Absolute(uri("http://a.example/x")),
        version: Version::Http11,
        fields: fields(lines),
        length: BodyLength::None,
        head_bytes: 0,
    }
}

/// A response with this status and these field lines.
fn response(status: u16, lines: &str) -> Response {
    Response {
        status,
        reason: Bytes::new(),
        version: Version::Http11,
        fields: fields(lines),
        length: BodyLength::Chunked,
        head_bytes: 0,
        keep_alive: true,
    }
}

/// A stored 200 with these field lines, received at [`NOW`].
fn stored(lines: &str) -> StoredHead {
    StoredHead::new(&request(""), &response(200, lines), TIMES)
}

fn uri(text: &str) -> TargetUri {
    TargetUri::parse_absolute(&Bytes::copy_from_slice(text.as_bytes())).expect("an absolute URI")
}

fn text(fields: &Fields) -> String {
    let line = |name: &[u8], value: &[u8]| {
        format!("{}: {}\n", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
    };
    fields.iter().map(|field| line(field.name, field.value)).collect()
}
