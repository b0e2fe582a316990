//! User information in a request target (`http://user:password@host/`): some programs send it to a
//! proxy as it was typed.
//!
//! RFC 9110 §4.2.4 has senders leave it out and recipients treat it with distrust, because it serves to
//! disguise an authority. So it is read by the grammar of RFC 3986 §3.2.1 alone, becomes credentials
//! (RFC 7617), and the target goes on without it: no host, rule, key or log line contains it.

use bytes::Bytes;

use super::TargetError;
use super::base64::base64;

/// A target without its user information, and that as the value of `Authorization`, if it had any.
/// Only plain `http` has it: https URIs and CONNECT targets with an `@` are refused where they are parsed.
pub(super) fn split(raw: &Bytes) -> Result<(Bytes, Option<Vec<u8>>), TargetError> {
    const SCHEME: &[u8] = b"http://";
    let has_scheme = raw.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME));
    let rest = raw.get(SCHEME.len()..).filter(|_| has_scheme).unwrap_or_default();
    let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let mut parts = authority.split(|&octet| octet == b'@');
    let (userinfo, host) = match (parts.next(), parts.next(), parts.next()) {
        (Some(userinfo), Some(host), None) => (userinfo, host),
        // With several of them, nobody knows where the host begins.
        (Some(_), Some(_), Some(_)) => return Err(TargetError::UserInformation),
        _ => return Ok((raw.clone(), None)),
    };
    let credentials = credentials(userinfo)?;
    let value = (!credentials.is_empty()).then(|| [b"Basic ", &base64(&credentials)[..]].concat());
    Ok(([SCHEME, host, behind].concat().into(), value))
}

/// `userinfo = *( unreserved / pct-encoded / sub-delims / ":" )`, decoded, with a colon behind the user.
fn credentials(userinfo: &[u8]) -> Result<Vec<u8>, TargetError> {
    // A colon that was encoded belongs to the user, and RFC 7617 §2 has no way to say so.
    let user = userinfo.split(|&octet| octet == b':').next().unwrap_or_default();
    if user.to_ascii_lowercase().windows(3).any(|octets| octets == b"%3a") {
        return Err(TargetError::UserInformation);
    }
    let mut out = Vec::with_capacity(userinfo.len() + 1);
    let mut octets = userinfo.iter();
    while let Some(&octet) = octets.next() {
        let decoded = match octet {
            b'%' => hex(octets.next()).zip(hex(octets.next())).map(|(high, low)| high << 4 | low),
            b':' | b'-' | b'.' | b'_' | b'~' => Some(octet),
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => Some(octet),
            _ => octet.is_ascii_alphanumeric().then_some(octet),
        };
        // RFC 7617 §2: "The user-id and password MUST NOT contain any control characters".
        out.push(decoded.filter(|octet| !octet.is_ascii_control()).ok_or(TargetError::UserInformation)?);
    }
    if !userinfo.is_empty() && !userinfo.contains(&b':') {
        out.push(b':');
    }
    Ok(out)
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_target() {
        // The target; what is left of it, and the credentials before base64.
        type Case<'a> = (&'a str, Option<(&'a str, Option<&'a str>)>);
        let cases: &[Case<'_>] = &[
            ("http://h/u", Some(("http://h/u", None))),
            ("http://us:pw@h/u", Some(("http://h/u", Some("us:pw")))),
            ("HTTP://us:pw@h:81/u?a=b@c", Some(("http://h:81/u?a=b@c", Some("us:pw")))),
            ("http://us@h", Some(("http://h", Some("us:")))),
            ("http://us:@h", Some(("http://h", Some("us:")))),
            ("http://:@h", Some(("http://h", Some(":")))),
            ("http://@h/", Some(("http://h/", None))),
            ("http://us:p:w@h/", Some(("http://h/", Some("us:p:w")))),
            ("http://u%40x:p%2Fw%3a@h/", Some(("http://h/", Some("u@x:p/w:")))),
            ("http://us:pw@h?x", Some(("http://h?x", Some("us:pw")))),
            ("http://us:pw@[::1]:81/", Some(("http://[::1]:81/", Some("us:pw")))),
            ("http://h/x@y", Some(("http://h/x@y", None))),
            ("http://h?x@y", Some(("http://h?x@y", None))),
            ("http://h#x@y", Some(("http://h#x@y", None))),
            // Elsewhere it is for others to refuse.
            ("https://us:pw@h/", Some(("https://us:pw@h/", None))),
            ("/us:pw@h/", Some(("/us:pw@h/", None))),
            ("http://a@b@c/", None),
            ("http://127.0.0.1\\@h/", None),
            ("http://us:%0d%0aX@h/", None),
            ("http://us:%00@h/", None),
            ("http://us:%zz@h/", None),
            ("http://us:%4@h/", None),
            ("http://u%3As:pw@h/", None),
            ("http://[::1]@h/", None),
            ("http://us:pü@h/", None),
            ("http://us:p\"w@h/", None),
        ];
        for (target, expected) in cases {
            let found = split(&Bytes::copy_from_slice(target.as_bytes())).ok();
            let expected = expected.map(|(left, credentials)| {
                let value = credentials.map(|text| [b"Basic ", &base64(text.as_bytes())[..]].concat());
                (Bytes::from(left), value)
            });
            assert_eq!(found, expected, "{target:?}");
        }
    }
}
