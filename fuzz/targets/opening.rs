//! What a client begins with in a tunnel. However its first octets are cut, they are the same, and what was
//! decided stays decided: a tunnel that has passed is not looked at again.

use larder::proxy::Opening;

use super::input::{Input, seed};

const LINE_MAX: usize = 16 << 10;
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// Where to put how many octets of what, and the octets as they come.
pub fn opening(data: &[u8]) {
    let mut input = Input(data);
    let (what, blocks) = (input.number::<1>() as u8, input.number::<1>() as usize % 20);
    let at = input.below(64);
    let mut octets = input.rest().to_vec();
    let at = at.min(octets.len());
    octets.splice(at..at, vec![what; blocks << 10]);
    check_prefixes(&octets);
}

fn check_prefixes(octets: &[u8]) {
    let mut decided: Option<(usize, String)> = None;
    let mut is_unlikely = None;
    let ends =
        (0..=octets.len()).filter(|end| *end < 600 || end.is_multiple_of(997) || end.abs_diff(LINE_MAX) < 3);
    for end in ends.chain([octets.len()]) {
        let prefix = &octets[..end];
        let now = Opening::read(prefix);
        if now.is_none() && !Opening::is_likely(prefix) {
            is_unlikely.get_or_insert(end);
        }
        if let Some(opening @ (Opening::Tls(_) | Opening::Http)) = &now {
            check_likely(octets, opening, is_unlikely);
        }
        let now = now.map(|opening| name(&opening));
        match (&decided, now) {
            (None, now) => decided = now.map(|now| (end, now)),
            (Some((first, before)), now) => {
                assert_eq!(now.as_ref(), Some(before), "decided after {first}, and otherwise after {end}");
            }
        }
    }
}

/// TLS, and requests that every server knows, are held until they are told.
fn check_likely(octets: &[u8], opening: &Opening, is_unlikely: Option<usize>) {
    let start = octets.trim_ascii_start();
    let word = start.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    if matches!(opening, Opening::Tls(_)) || METHODS.contains(&word) {
        assert_eq!(is_unlikely, None, "{opening:?} would have passed");
    }
}

/// What is decided; not why something can't be read.
fn name(opening: &Opening) -> String {
    match opening {
        Opening::UnreadableTls(_) => "unreadable TLS".to_owned(),
        Opening::Other(_) => "other".to_owned(),
        other => format!("{other:?}"),
    }
}

pub fn opening_seeds() -> Vec<Vec<u8>> {
    let plain = [0; 6];
    [
        seed(&plain, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        seed(&plain, "\r\n\tGET\thttp://a.example/ HTTP/1.1\r\n"),
        seed(&plain, "CONNECT a.example:443 HTTP/1.1\r\n\r\n"),
        seed(&plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        seed(&plain, "SSH-2.0-OpenSSH_9.2\r\n"),
        // Long ones: white space in front of the target, and a target.
        seed(&[b' ', 17, 0, 0, 0, 4], "GET / HTTP/1.1\r\n"),
        seed(&[b'x', 17, 0, 0, 0, 6], "GETS x HTTP/1.1\r\n"),
        [&plain[..], &[0x80, 0x2e, 1, 3, 1, 0, 0x15]].concat(),
        [&plain[..], &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]].concat(),
        [&plain[..], &[0x15, 3, 1, 0, 2, 2, 0x28]].concat(),
    ]
    .to_vec()
}
