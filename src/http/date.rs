//! HTTP dates (RFC 9110 §5.6.7) and the wall clock's unit.
//!
//! Total: any octets have an answer, and what is not exactly one of the three formats is no date.

use std::time::{Duration, SystemTime};

/// A moment of the wall clock in whole seconds since 1970, which is all that HTTP speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Seconds from `earlier` to this moment; 0 when it is not later.
    pub const fn seconds_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and so many seconds.
    pub const fn plus(self, seconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds))
    }

    /// Parses IMF-fixdate, the RFC 850 format or asctime.
    pub fn parse_http_date(text: &[u8]) -> Option<Timestamp> {
        // The parser behind this trims; a date with anything around it is no date.
        if !text.first()?.is_ascii_alphabetic() || !text.last()?.is_ascii_alphanumeric() {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Timestamp(since.as_secs()))
    }

    /// The moment as IMF-fixdate. Years past 9999 have no such form and become its last second.
    pub fn to_http_date(self) -> String {
        const LAST: u64 = 253_402_300_799;
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.min(LAST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let cases: &[(&str, Option<u64>)] = &[
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Sun, 06 Nov 1994 08:49:37 EST", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("S000 00 0000", None),
            ("0", None),
            ("-1", None),
            ("", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT\r", None),
        ];
        for &(text, expected) in cases {
            assert_eq!(Timestamp::parse_http_date(text.as_bytes()).map(|t| t.0), expected, "{text:?}");
        }
        assert_eq!(Timestamp(784_111_777).to_http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(Timestamp(u64::MAX).to_http_date().contains("9999"));
    }
}
