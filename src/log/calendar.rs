//! Dates and times of day in UTC, and numbers, written straight into a line.
//!
//! There is no time zone here: a proxy's log is compared with other machines' logs. Only the
//! years 1970 to 9999 have a form; later moments are written as the last second of 9999.

use crate::http::Timestamp;

/// 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Appends `[23/Nov/2026:08:02:13 +0000]`.
pub(super) fn put_common_date(line: &mut Vec<u8>, time: Timestamp) {
    let date = Date::of(time);
    line.push(b'[');
    put_padded(line, date.day, 2);
    line.push(b'/');
    let month = MONTHS.get(date.month as usize - 1).copied().unwrap_or_default();
    line.extend_from_slice(month.as_bytes());
    line.push(b'/');
    put_padded(line, date.year, 4);
    line.push(b':');
    put_time_of_day(line, time);
    line.extend_from_slice(b" +0000]");
}

/// Appends `2026-11-23T08:02:13.045Z` (RFC 3339).
pub(super) fn put_rfc3339(line: &mut Vec<u8>, time: Timestamp, millis: u16) {
    let date = Date::of(time);
    put_padded(line, date.year, 4);
    line.push(b'-');
    put_padded(line, date.month, 2);
    line.push(b'-');
    put_padded(line, date.day, 2);
    line.push(b'T');
    put_time_of_day(line, time);
    line.push(b'.');
    put_padded(line, millis.into(), 3);
    line.push(b'Z');
}

/// Appends a number in decimal.
pub(super) fn put_number(line: &mut Vec<u8>, value: u64) {
    put_digits(line, value, 1, b'0');
}

/// Appends a number, with zeros in front up to this width.
pub(super) fn put_padded(line: &mut Vec<u8>, value: u64, width: usize) {
    put_digits(line, value, width, b'0');
}

/// Appends a number, with spaces in front up to this width.
pub(super) fn put_aligned(line: &mut Vec<u8>, value: u64, width: usize) {
    put_digits(line, value, width, b' ');
}

fn put_time_of_day(line: &mut Vec<u8>, time: Timestamp) {
    let second = time.0.min(LAST) % 86_400;
    put_padded(line, second / 3_600, 2);
    line.push(b':');
    put_padded(line, second / 60 % 60, 2);
    line.push(b':');
    put_padded(line, second % 60, 2);
}

/// The core library's own formatting costs several times as much per number, and a line has ten.
fn put_digits(line: &mut Vec<u8>, mut value: u64, width: usize, pad: u8) {
    // u64::MAX has 20 digits.
    let mut digits = [0; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    line.extend(std::iter::repeat_n(pad, width.saturating_sub(count)));
    line.extend_from_slice(digits.get(20 - count..).unwrap_or_default());
}

/// A day of the Gregorian calendar.
struct Date {
    year: u64,
    /// 1 to 12.
    month: u64,
    /// 1 to 31.
    day: u64,
}

impl Date {
    /// Counts in years that begin in March, so that the leap day is a year's last day and each
    /// month's first day is a linear function of its number (153 days in five months).
    fn of(time: Timestamp) -> Date {
        // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 are in 400 years.
        let days = time.0.min(LAST) / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Date { year, month, day }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(put: impl Fn(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        put(&mut line);
        String::from_utf8(line).expect("ASCII")
    }

    #[test]
    fn dates() {
        let cases = [
            (0, "1970-01-01T00:00:00.007Z", "[01/Jan/1970:00:00:00 +0000]"),
            (784_111_777, "1994-11-06T08:49:37.007Z", "[06/Nov/1994:08:49:37 +0000]"),
            (951_782_400, "2000-02-29T00:00:00.007Z", "[29/Feb/2000:00:00:00 +0000]"),
            (951_868_799, "2000-02-29T23:59:59.007Z", "[29/Feb/2000:23:59:59 +0000]"),
            (1_740_787_200, "2025-03-01T00:00:00.007Z", "[01/Mar/2025:00:00:00 +0000]"),
            (1_795_420_933, "2026-11-23T08:02:13.007Z", "[23/Nov/2026:08:02:13 +0000]"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z", "[01/Mar/2100:00:00:00 +0000]"),
            (u64::MAX, "9999-12-31T23:59:59.007Z", "[31/Dec/9999:23:59:59 +0000]"),
        ];
        for (time, rfc3339, common) in cases {
            assert_eq!(text(|line| put_rfc3339(line, Timestamp(time), 7)), rfc3339);
            assert_eq!(text(|line| put_common_date(line, Timestamp(time))), common);
        }
    }

    /// The calendar against the one that writes `Date` fields, once a day for the 400 years that repeat.
    #[test]
    fn agrees_with_http_dates() {
        for day in 0..146_097 {
            let time = Timestamp(day * 86_400 + day % 86_400);
            let ours = text(|line| put_common_date(line, time)).replace('/', " ").replacen(':', " ", 1);
            let http = time.to_http_date();
            let http = http.split_once(", ").expect("IMF-fixdate").1.replace("GMT", "+0000");
            assert_eq!(ours.trim_matches(['[', ']']), http);
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(text(|line| put_number(line, 0)), "0");
        assert_eq!(text(|line| put_number(line, u64::MAX)), u64::MAX.to_string());
        assert_eq!(text(|line| put_padded(line, 42, 3)), "042");
        assert_eq!(text(|line| put_aligned(line, 42, 6)), "    42");
        assert_eq!(text(|line| put_aligned(line, 12_345_678, 6)), "12345678");
    }
}
