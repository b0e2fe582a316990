//! How long is it fresh, and how old is it?

use super::*;

fn lifetime(status: u16, lines: &str) -> Lifetime {
    StoredHead::new(&request(""), &response(status, lines), TIMES).freshness_lifetime(&CachePolicy::default())
}

#[test]
fn explicit() {
    let cases: &[(&str, u64)] = &[
        ("Cache-Control: max-age=60", 60),
        ("Cache-Control: MaX-aGe=60", 60),
        ("Cache-Control: foobar, max-age=60,", 60),
        ("Cache-Control: max-age=\"60\"", 60),
        ("Cache-Control: max-age=0060", 60),
        ("Cache-Control: max-age=2147483647", 2_147_483_647),
        ("Cache-Control: max-age=2147483648", 2_147_483_648),
        ("Cache-Control: max-age=2147483649", 2_147_483_648),
        ("Cache-Control: max-age=99999999999999999999999", 2_147_483_648),
        // Malformed: stale.
        ("Cache-Control: max-age=-60", 0),
        ("Cache-Control: max-age='60'", 0),
        ("Cache-Control: max-age=60.0", 0),
        ("Cache-Control: max-age=60a", 0),
        ("Cache-Control: max-age=", 0),
        ("Cache-Control: max-age", 0),
        ("Cache-Control: max-age =60", 0),
        ("Cache-Control: max-age= 60", 0),
        ("Cache-Control: max-age=\"60\"x", 0),
        // Repeated: the least.
        ("Cache-Control: max-age=60, max-age=10", 10),
        ("Cache-Control: max-age=10\nCache-Control: max-age=60", 10),
        ("Cache-Control: max-age=60, max-age=x", 0),
        ("Expires: {+60}\nExpires: {+10}", 10),
        // Inside a quoted string there is no directive.
        ("Cache-Control: extension=\"max-age=60\", max-age=1", 1),
        ("Cache-Control: max-age=1, extension=\"a, max-age=60\"", 1),
        ("Cache-Control: extension=\"\\\", max-age=60\", max-age=\"1\"", 1),
        // Precedence.
        ("Cache-Control: max-age=1, s-maxage=60", 60),
        ("Cache-Control: s-maxage=1\nCache-Control: max-age=60", 1),
        ("Cache-Control: max-age=60, s-maxage=x", 0),
        ("Cache-Control: max-age=60\nExpires: {-60}", 60),
        ("Cache-Control: max-age=60\nExpires: 0", 60),
        ("Cache-Control: max-age=0\nExpires: {+60}", 0),
        // Expires counts from Date.
        ("Expires: {+60}", 60),
        ("Expires: {+60}\nDate: {+0}", 60),
        ("Expires: {+60}\nDate: {-40}", 100),
        ("Expires: {+60}\nDate: {+20}", 40),
        ("Expires: {+60}\nDate: {+80}", 0),
        ("Expires: {+60}\nDate: nonsense", 60),
        ("Expires: {+60}\nDate: {-1}\nDate: {-2}", 60),
        ("Expires: {+0}", 0),
        ("Expires: 0", 0),
        ("Expires: ", 0),
        ("Expires: Thu, 18 Aug 2050 02:01:18 UTC", 0),
        ("Expires: Thu 18 Aug 2050 02:01:18 GMT", 0),
        ("Expires: THU, 18 AUG 2050 02:01:18 gMT", 844_400_878),
        ("Expires: thursday, 18-aug-50 02:01:18 gmt", 844_400_878),
        ("Expires: thu aug 18 02:01:18 2050", 844_400_878),
        ("Expires: thu, 18 aug 2050 02:01:18 utc", 0),
        // The day of the week need not be the right one, but one.
        ("Expires: Mon, 18 Aug 2050 02:01:18 GMT", 844_400_878),
        ("Expires: Monday, 18-Aug-50 02:01:18 GMT", 844_400_878),
        ("Expires: Mon Aug 18 02:01:18 2050", 844_400_878),
        ("Expires: Mondy, 18-Aug-50 02:01:18 GMT", 0),
        ("Expires: Foo, 18 Aug 2050 02:01:18 GMT", 0),
        // Two digits of a year are at most fifty years ahead of when it was received.
        ("Expires: Tuesday, 14-Nov-73 22:13:20 GMT", 1_577_923_200),
        ("Expires: Tuesday, 14-Nov-73 22:13:21 GMT", 0),
        ("Expires: tuesday, 14-nov-73 22:13:20 gmt", 1_577_923_200),
        ("Expires: Monday, 01-Jan-73 00:00:00 GMT", 1_550_454_400),
        ("Expires: Monday, 01-Jan-74 00:00:00 GMT", 0),
        ("Expires: Mon, 32 Aug 2050 02:01:18 GMT", 0),
        ("Expires: Mon, 31 Feb 2050 02:01:18 GMT", 0),
        ("Expires: Fri, 31 Dec 9999 23:59:59 GMT", 2_147_483_648),
    ];
    for &(lines, expected) in cases {
        assert_eq!(lifetime(200, lines), Lifetime::Explicit(expected), "{lines:?}");
    }
}

#[test]
fn heuristic() {
    let cases: &[(u16, &str, Lifetime)] = &[
        (200, "Last-Modified: {-1000}", Lifetime::Heuristic(100)),
        (200, "Last-Modified: {-1000}\nDate: {-500}", Lifetime::Heuristic(50)),
        (200, "Last-Modified: {-9}", Lifetime::Heuristic(0)),
        (200, "Last-Modified: {+1000}", Lifetime::Heuristic(0)),
        (200, "Last-Modified: {-100000000}", Lifetime::Heuristic(86_400)),
        (200, "Last-Modified: {-1000}\nExpires: {+7}", Lifetime::Explicit(7)),
        (200, "Last-Modified: {-1000}\nExpires: 0", Lifetime::Explicit(0)),
        (200, "ETag: \"a\"", Lifetime::None),
        (200, "Last-Modified: 0", Lifetime::None),
        (403, "Last-Modified: {-1000}", Lifetime::None),
        (403, "Last-Modified: {-1000}\nCache-Control: public", Lifetime::Heuristic(100)),
    ];
    for &(status, lines, expected) in cases {
        assert_eq!(lifetime(status, lines), expected, "{status} {lines:?}");
    }
    let off = CachePolicy { heuristic_percent: 0, ..CachePolicy::default() };
    assert_eq!(stored("Last-Modified: {-1000}").freshness_lifetime(&off), Lifetime::Heuristic(0));
}

/// The age at `now` of a response that was asked for at `sent` and came at `came`, in seconds
/// around [`NOW`].
#[track_caller]
fn check_age(lines: &str, sent: i64, came: i64, now: i64, expected: u64) {
    let at = |seconds| Timestamp(NOW.0.checked_add_signed(seconds).expect("after 1970"));
    let times = Times { request_time: at(sent), response_time: at(came) };
    let head = StoredHead::new(&request(""), &response(200, lines), times);
    assert_eq!(head.current_age(at(now)), expected, "{lines:?} {sent} {came} {now}");
    assert!(!head.fields.contains(crate::http::FieldName::Age));
}

#[test]
fn age() {
    check_age("", 0, 0, 0, 0);
    check_age("", 0, 0, 5, 5);
    check_age("Date: {-30}", 0, 0, 5, 35);
    check_age("Date: {+30}", 0, 0, 5, 5);
    check_age("Date: nonsense", 0, 0, 5, 5);
    check_age("Age: 20", 0, 0, 5, 25);
    check_age("Age: 20\nDate: {-30}", 0, 0, 5, 35);
    check_age("Age: 40\nDate: {-30}", 0, 0, 5, 45);
    // The response delay counts.
    check_age("Date: {+0}", 0, 4, 4, 4);
    check_age("Age: 20\nDate: {+0}", 0, 4, 5, 25);
    // Lists: the first member; no number: none.
    for (value, expected) in
        [("7200,0", 7200), ("0, 7200", 0), (", 7", 7), ("abc", 0), ("-7200", 0), ("7200.0", 0), ("7;a=b", 0)]
    {
        check_age(&format!("Age: {value}"), 0, 0, 0, expected);
    }
    check_age("Age: 7200\nAge: 0", 0, 0, 0, 7200);
    check_age("Age: 0\nAge: 7200", 0, 0, 0, 0);
    // The extremes.
    check_age("Age: 2147483647", 0, 0, 5, DELTA_SECONDS_MAX);
    check_age("Age: 99999999999999999999999999", 0, 0, 5, DELTA_SECONDS_MAX);
    check_age("Date: Thu, 01 Jan 1970 00:00:00 GMT", 0, 0, 5, 1_700_000_005);
    check_age("", 0, 0, i64::from(u32::MAX), DELTA_SECONDS_MAX);
    // Clocks that jump back: between request and response, and afterwards.
    check_age("Date: {+0}", 100, 0, 5, 5);
    check_age("Age: 20", 0, 0, -100, 20);
    check_age("Age: 20", 0, 0, -300, 20);
    check_age("Age: 20", 0, 0, -301, DELTA_SECONDS_MAX);
    check_age("", 0, 0, -100_000_000, DELTA_SECONDS_MAX);
    // And forward: in the exchange, and afterwards.
    check_age("Date: {+0}", 0, 1_000_000, 1_000_005, 1_000_005);
    check_age("Age: 20", 0, 0, 1_000_000, 1_000_020);
    // A Date in the future makes nothing younger than it is.
    check_age("Date: {+1000000}", 0, 4, 10, 10);
    check_age("Date: {+1000000}\nAge: 20", 0, 4, 10, 30);
    check_age("Date: Fri, 31 Dec 9999 23:59:59 GMT", 0, 0, 5, 5);
    // Nor does one that is there twice.
    check_age("Date: {-30}\nDate: {-10}", 0, 0, 5, 5);
}
