//! How long an origin keeps its connection open behind a response (RFC 9112 §9.3), in the words of
//! `Connection` and of `Keep-Alive`.

use std::time::Duration;

use super::grammar::{Members, exact_decimal, unquote};
use super::{FieldName, Response};

/// How long an origin keeps its connection open behind a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    Closes,
    /// For so long it is certain that a request arrives, as far as the origin says.
    Open(Option<Duration>),
}

impl Persistence {
    /// What a response says. `Keep-Alive` stands in RFC 2068 §19.7.1.1 and nowhere later; servers
    /// send it, and close when its time is over.
    pub fn of(response: &Response) -> Persistence {
        if !response.keep_alive {
            return Persistence::Closes;
        }
        let mut open_max: Option<Duration> = None;
        for parameter in response.fields.all(FieldName::KeepAlive).flat_map(Members::of) {
            let mut parts = parameter.splitn(2, |&octet| octet == b'=');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let value = parts.next().map(<[u8]>::trim_ascii).and_then(unquote);
            let Some(number) = value.and_then(|value| exact_decimal(&value)) else { continue };
            let is_timeout = name.eq_ignore_ascii_case(b"timeout");
            if number == 0 && (is_timeout || name.eq_ignore_ascii_case(b"max")) {
                return Persistence::Closes;
            }
            if is_timeout {
                // The origin's time began when it sent this and ends before it sees the next request:
                // a second is for the way, or half of the time where that is less.
                let told = Duration::from_secs(number);
                let certain = told - (told / 2).min(Duration::from_secs(1));
                open_max = Some(open_max.map_or(certain, |other| other.min(certain)));
            }
        }
        Persistence::Open(open_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{BodyLength, Version};

    #[test]
    fn an_origin_says_how_long_it_keeps_its_connection() {
        let response = |keep_alive: bool, value: &str| Response {
            status: 200,
            reason: bytes::Bytes::new(),
            version: Version::Http11,
            fields: [("Keep-Alive", value)].into_iter().collect(),
            length: BodyLength::None,
            head_bytes: 0,
            keep_alive,
        };
        let millis = |number| Persistence::Open(Some(Duration::from_millis(number)));
        let cases = [
            ("timeout=5", millis(4000)),
            ("timeout=5, max=100", millis(4000)),
            ("max=100,Timeout = \"2\"", millis(1000)),
            ("timeout=1", millis(500)),
            ("timeout=9, timeout=5", millis(4000)),
            ("timeout=0", Persistence::Closes),
            ("timeout=5, max=0", Persistence::Closes),
            ("timeout=x", Persistence::Open(None)),
            ("300", Persistence::Open(None)),
            ("", Persistence::Open(None)),
        ];
        for (value, expected) in cases {
            assert_eq!(Persistence::of(&response(true, value)), expected, "{value:?}");
            assert_eq!(Persistence::of(&response(false, value)), Persistence::Closes, "{value:?}");
        }
    }
}
