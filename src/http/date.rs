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

    /// Parses IMF-fixdate, the RFC 850 format or asctime, at the moment `now`, by which the two
    /// digits that RFC 850 has of a year become one.
    pub fn parse_http_date_at(text: &[u8], now: Timestamp) -> Option<Timestamp> {
        match Rfc850::of(text) {
            Some(date) => Timestamp::parse_http_date(&date.as_imf_fixdate(now)),
            None => Timestamp::parse_http_date(text),
        }
    }

    /// Parses IMF-fixdate, the RFC 850 format or asctime, whenever that is: two digits of a year are
    /// one from 1970 to 2069. Who acts on a date of somebody else's takes
    /// [`Timestamp::parse_http_date_at`].
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

/// The parts of `Sunday, 06-Nov-94 08:49:37 GMT`: what has its shape, date or not.
struct Rfc850<'a> {
    day_name: &'a [u8],
    day: &'a [u8],
    month: &'a [u8],
    year: u64,
    time: &'a [u8],
}

impl<'a> Rfc850<'a> {
    fn of(text: &'a [u8]) -> Option<Rfc850<'a>> {
        const DAYS: [&[u8]; 7] =
            [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"];
        let day_name = DAYS.into_iter().find(|day| text.starts_with(day))?;
        let (day_name, rest) = text.split_at_checked(day_name.len())?;
        let date = rest.strip_prefix(b", ")?;
        let [d0, d1, b'-', m0, m1, m2, b'-', y0, y1, b' ', ..] = date else { return None };
        let digit = |octet: &u8| char::from(*octet).to_digit(10).map(u64::from);
        let _all_there = (d0, d1, m0, m1, m2);
        Some(Rfc850 {
            day_name: day_name.get(..3)?,
            day: date.get(..2)?,
            month: date.get(3..6)?,
            year: digit(y0)? * 10 + digit(y1)?,
            time: date.get(10..)?,
        })
    }

    // §5.6.7: "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year,
    // MUST interpret a timestamp that appears to be more than 50 years in the future as
    // representing the most recent year in the past that had the same last two digits."
    fn as_imf_fixdate(&self, now: Timestamp) -> Vec<u8> {
        let now = now.to_http_date();
        let part = |range| now.as_bytes().get::<std::ops::Range<usize>>(range).unwrap_or_default();
        // `Sun, 06 Nov 1994 08:49:37 GMT`
        let year_now = part(12..16).iter().fold(0, |year, digit| year * 10 + u64::from(digit - b'0'));
        let latest = (year_now + 50, month_number(part(8..11)), part(5..7), part(17..29));
        let mut year = (year_now + 50) / 100 * 100 + self.year;
        if (year, month_number(self.month), self.day, self.time) > latest {
            year -= 100;
        }
        let [day_name, day, month, time] = [self.day_name, self.day, self.month, self.time];
        [day_name, b", ", day, b" ", month, b" ", format!("{year:04}").as_bytes(), b" ", time].concat()
    }
}

/// The place of a month in the year; what is none comes first.
fn month_number(name: &[u8]) -> usize {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    MONTHS.chunks(3).position(|month| month == name).map_or(0, |place| place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_of_a_year_are_at_most_fifty_years_ahead() {
        let at = |text: &str| Timestamp::parse_http_date(text.as_bytes()).expect("a date");
        let cases: &[(&str, &str, Option<&str>)] = &[
            // now, the date, what it is
            (
                "Thu, 26 Nov 2026 12:00:00 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            ),
            (
                "Thu, 26 Nov 2026 12:00:00 GMT",
                "Friday, 06-Nov-26 08:49:37 GMT",
                Some("Fri, 06 Nov 2026 08:49:37 GMT"),
            ),
            // Fifty years ahead to the second, and a second, a day, a month, a year further.
            (
                "Thu, 26 Nov 2026 12:00:00 GMT",
                "Thursday, 26-Nov-76 12:00:00 GMT",
                Some("Thu, 26 Nov 2076 12:00:00 GMT"),
            ),
            (
                "Thu, 26 Nov 2026 12:00:00 GMT",
                "Friday, 26-Nov-76 12:00:01 GMT",
                Some("Fri, 26 Nov 1976 12:00:01 GMT"),
            ),
            (
                "Thu, 26 Nov 2026 12:00:00 GMT",
                "Saturday, 27-Nov-76 00:00:00 GMT",
                Some("Sat, 27 Nov 1976 00:00:00 GMT"),
            ),
            (
                "Thu, 26 Nov 2026 12:00:00 GMT",
                "Wednesday, 01-Dec-76 00:00:00 GMT",
                Some("Wed, 01 Dec 1976 00:00:00 GMT"),
            ),
            (
                "Thu, 26 Nov 2026 12:00:00 GMT",
                "Saturday, 01-Jan-77 00:00:00 GMT",
                Some("Sat, 01 Jan 1977 00:00:00 GMT"),
            ),
            // Dates that no fixed window has right.
            ("Wed, 01 Jan 2070 00:00:00 GMT", "Thursday, 01-Jan-70 00:00:00 GMT", None),
            (
                "Wed, 01 Jan 2070 00:00:00 GMT",
                "Wednesday, 01-Jan-70 00:00:00 GMT",
                Some("Wed, 01 Jan 2070 00:00:00 GMT"),
            ),
            ("Wed, 01 Jan 2070 00:00:00 GMT", "Friday, 01-Jan-10 00:00:00 GMT", None),
            (
                "Wed, 01 Jan 2070 00:00:00 GMT",
                "Wednesday, 01-Jan-10 00:00:00 GMT",
                Some("Wed, 01 Jan 2110 00:00:00 GMT"),
            ),
            (
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "Wednesday, 01-Jan-20 00:00:00 GMT",
                Some("Wed, 01 Jan 2020 00:00:00 GMT"),
            ),
            // Before 1970, which is before every moment that there is.
            ("Thu, 01 Jan 1970 00:00:00 GMT", "Friday, 01-Jan-21 00:00:00 GMT", None),
            ("Thu, 26 Nov 2026 12:00:00 GMT", "Sunday, 32-Nov-94 08:49:37 GMT", None),
            ("Thu, 26 Nov 2026 12:00:00 GMT", "Sunday, 06-Nov-9x 08:49:37 GMT", None),
            ("Thu, 26 Nov 2026 12:00:00 GMT", "Sunday, 06-Nov-94", None),
            ("Thu, 26 Nov 2026 12:00:00 GMT", "Sunday, ", None),
            // Four digits say it.
            (
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "Fri, 01 Jan 2100 00:00:00 GMT",
                Some("Fri, 01 Jan 2100 00:00:00 GMT"),
            ),
            (
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "Fri Jan  1 00:00:00 2100",
                Some("Fri, 01 Jan 2100 00:00:00 GMT"),
            ),
        ];
        for &(now, text, expected) in cases {
            let date = Timestamp::parse_http_date_at(text.as_bytes(), at(now));
            assert_eq!(date, expected.map(at), "{text:?} at {now}");
        }
        // As far as a clock goes.
        let last = Timestamp::parse_http_date_at(b"Friday, 31-Dec-99 23:59:59 GMT", Timestamp(u64::MAX));
        assert_eq!(last.map(|date| date.to_http_date()), Some("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()));
    }

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
