//! What any message that leaves the proxy has to look like, whatever came in.

use crate::support::{Body, Head};

/// Fields that end at the proxy (RFC 9110 §7.6.1), beside those that begin with `Proxy-`.
const CONNECTION_SPECIFIC: &[&str] =
    &["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "HTTP2-Settings"];

/// Fields that `Connection` cannot take away: somebody who names them wants the origin to
/// see another request than the proxy did.
const PROTECTED: &[&str] = &["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Cookie"];

/// Trailer fields that must not leave (RFC 9110 §6.5.1), as far as the vectors have them.
const FORBIDDEN_TRAILERS: &[&str] = &[
    "Content-Length",
    "Transfer-Encoding",
    "Host",
    "Authorization",
    "Set-Cookie",
    "Cookie",
    "Trailer",
    "Content-Type",
    "Connection",
    "Cache-Control",
];

/// Checks a head's lines: one CRLF each, no folding, no control character, no whitespace in
/// front of a colon, and one way to read where its content ends.
pub fn head_is_unambiguous(head: &Head) -> Result<(), String> {
    let lines = head.raw.strip_suffix(b"\r\n\r\n").ok_or("no empty line at the end")?;
    let text: String = lines.iter().map(|&byte| char::from(byte)).collect();
    for line in text.split("\r\n") {
        let bad = |c: char| (c.is_ascii_control() && c != '\t') || c == '\u{7f}';
        require(!line.contains(bad), || format!("a control character in {line:?}"))?;
        require(!line.starts_with([' ', '\t']), || format!("a folded line {line:?}"))?;
    }
    for (name, _) in &head.fields {
        let token = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':');
        require(token, || format!("a field named {name:?}"))?;
    }
    let (lengths, codings) = (head.all("Content-Length"), head.all("Transfer-Encoding"));
    require(lengths.len() + codings.len() <= 1, || format!("framed by {lengths:?} and {codings:?}"))?;
    if let [length] = lengths[..] {
        let exact = length.parse::<u64>().is_ok_and(|number| number.to_string() == length);
        require(exact, || format!("Content-Length: {length:?}"))?;
    }
    require(codings.iter().all(|coding| *coding == "chunked"), || format!("codings {codings:?}"))
}

/// Checks that no forbidden field stands in a trailer section.
pub fn trailers_are_allowed(body: &Body) -> Result<(), String> {
    let forbidden = |name: &&String| FORBIDDEN_TRAILERS.iter().any(|other| other.eq_ignore_ascii_case(name));
    match body.trailers.iter().map(|(name, _)| name).find(forbidden) {
        Some(name) => Err(format!("the trailer {name}")),
        None => Ok(()),
    }
}

/// Whether a field of this name may pass, given the message that it came in.
pub fn ends_at_proxy(name: &str, received: &Head) -> bool {
    let same = |other: &&str| other.trim().eq_ignore_ascii_case(name);
    let named = received.all("Connection").iter().any(|value| value.split(',').any(|option| same(&option)));
    let protected = PROTECTED.iter().any(same);
    // A name that servers behind the origin take for another one.
    let disguised = name.contains('_')
        && ["Transfer-Encoding", "Content-Length"]
            .iter()
            .any(|other| other.eq_ignore_ascii_case(&name.replace('_', "-")));
    disguised || (named && !protected) || CONNECTION_SPECIFIC.iter().any(same) || starts_with_proxy(name)
}

fn starts_with_proxy(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("proxy-"))
}

/// `Err` with the reason where something does not hold.
pub fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}
