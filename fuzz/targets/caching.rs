//! Freshness, directives, entity tags and the decision, by what must hold whatever the fields are.

use larder::caching::{CachePolicy, DELTA_SECONDS_MAX, Decision, ETag, StoredHead, decide, may_store};
use larder::http::{Fields, Method, Timestamp};

use super::input::{Input, NOW, fields, joined, request, response, seed, stored, times, values};

fn has(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// Any lines of `Cache-Control`: a line that restricts is never undone by another one.
pub fn cache_control(data: &[u8]) {
    let policy = CachePolicy::default();
    let get = |fields: Fields| request(Method::Get, fields);
    let with = |more: &[&str]| values("Cache-Control", data, more);
    let store =
        |fields: Fields| may_store(&get(Fields::default()), &response(200, fields), times(0, 0), &policy);
    let _either = store(with(&[]));
    // §5.2.2.3 lets must-understand undo no-store.
    assert!(has(data, "must-understand") || store(with(&["no-store"])).is_err(), "no-store is stored");
    assert!(store(with(&["private"])).is_err(), "private is stored");
    let head = stored(with(&["max-age=0"]));
    let lifetime = head.freshness_lifetime(&policy).seconds();
    assert!(lifetime == 0 || has(data, "s-maxage"), "the least of several lifetimes");
    let now = Timestamp(NOW);
    let head = stored(with(&["no-cache"]));
    let reused = decide(&get(Fields::default()), &[&head], now, &policy);
    assert!(!matches!(reused, Decision::Reuse { .. }), "no-cache is reused: {reused:?}");
    let fresh = stored(values("Cache-Control", b"max-age=600", &[]));
    let reused = decide(&get(with(&["no-cache"])), &[&fresh], now, &policy);
    assert!(!matches!(reused, Decision::Reuse { .. }), "a reload is reused: {reused:?}");
    let asked = decide(&get(with(&["only-if-cached"])), &[&fresh], now, &policy);
    assert!(
        matches!(asked, Decision::Reuse { .. } | Decision::GatewayTimeout),
        "the origin is asked: {asked:?}"
    );
}

pub fn cache_control_seeds() -> Vec<Vec<u8>> {
    let lines = "public, max-age=600, s-maxage=7\nno-cache=\"set-cookie, x\"\nstale-if-error=60";
    [
        lines,
        "private=\"x\", must-understand, max-stale",
        "max-age=\"5\", no-store=\"",
        "min-fresh=5, max-stale=9",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Any fields of time, at two moments: nothing grows younger, and nothing exceeds 2^31.
pub fn age_and_dates(data: &[u8]) {
    let mut input = Input(data);
    let times = times(input.number::<4>(), input.number::<2>());
    let (first, later) = (NOW + input.number::<4>(), input.number::<6>());
    let lines = input.rest();
    let head =
        StoredHead::new(&request(Method::Get, Fields::default()), &response(200, fields(lines)), times);
    let ages = [first, first + later].map(|now| head.current_age(Timestamp(now)));
    // Before it was received, by a clock that was set back, its age is not known: that of the oldest.
    let is_known = first >= times.response_time.0;
    assert!((ages[0] <= ages[1] || !is_known) && ages[1] <= DELTA_SECONDS_MAX, "{ages:?}");
    let resident = Timestamp(first).seconds_since(times.response_time);
    assert!(ages[0] >= resident.min(DELTA_SECONDS_MAX), "younger than it has been here");
    assert!(head.freshness_lifetime(&CachePolicy::default()).seconds() <= DELTA_SECONDS_MAX);
    let again = StoredHead::from_parts(head.to_parts());
    assert_eq!(format!("{again:?}"), format!("{head:?}"), "written down and read again");
    for line in lines.split(|octet| *octet == b'\n') {
        if let Some(time) = Timestamp::parse_http_date(line) {
            assert_eq!(Timestamp::parse_http_date(time.to_http_date().as_bytes()), Some(time));
        }
    }
}

pub fn age_and_dates_seeds() -> Vec<Vec<u8>> {
    [
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\nAge: 7\nExpires: Sun, 06 Nov 2094 08:49:37 GMT",
        "Date: Sunday, 06-Nov-94 08:49:37 GMT\nLast-Modified: Sun Nov  6 08:49:37 1994\nAge: 99999999999, 1",
        "Sun, 06 Nov 1994 08:49:37 GMT\nExpires: 0\nCache-Control: max-age=600",
    ]
    .map(|text| seed(&[0, 0, 0, 9, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 60], text))
    .to_vec()
}

/// Two texts as entity tags, and lists of them.
pub fn etag(data: &[u8]) {
    let mut lines = data.split(|octet| *octet == b'\n');
    let (one, other) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Some(tag) = ETag::parse(one) else { return };
    assert_eq!(tag.as_bytes(), one);
    let _either = tag.is_weakly_in(other);
    assert!(tag.is_weakly_in(one) && tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.is_weak());
    let Some(other) = ETag::parse(other) else { return };
    assert_eq!((tag.strong_eq(&other), tag.weak_eq(&other)), (other.strong_eq(&tag), other.weak_eq(&tag)));
    assert!(tag.weak_eq(&other) || !tag.strong_eq(&other), "equal strongly and not weakly");
    let list = [b", \"?\" ,", other.as_bytes(), b","].concat();
    assert_eq!(tag.is_weakly_in(&list), tag.weak_eq(&other) || tag.is_weakly_in(b"\"?\""));
}

pub fn etag_seeds() -> Vec<Vec<u8>> {
    ["\"a\"\nW/\"a\"", "W/\"a,b\"\n\"a,b\"", "\"a\\\"\n\"b\", \"a\\\"", "\"\"\n\"\""]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

/// A request and up to three stored responses: what is reused may be.
pub fn decision(data: &[u8]) {
    let mut input = Input(data);
    let now = Timestamp(NOW + input.number::<3>());
    let later = now.plus(input.number::<2>());
    let method = if input.number::<1>() % 8 == 0 { Method::Head } else { Method::Get };
    let lines = input.block();
    let asked = request(method, fields(lines));
    let policy = CachePolicy::default();
    let (mut heads, mut received) = (Vec::new(), Vec::new());
    while heads.len() < 3 && !input.0.is_empty() {
        let times = times(input.number::<2>(), input.number::<1>());
        received.push(times.response_time);
        let block = input.block();
        // The second request of each has the fields of the first in another order: variants.
        heads.push(StoredHead::new(&asked, &response(200, fields(block)), times));
    }
    let stored: Vec<&StoredHead> = heads.iter().collect();
    let decided = decide(&asked, &stored, now, &policy);
    if let Decision::Reuse { index, age, ttl } = decided {
        let head = stored[index];
        assert_eq!(age, head.current_age(now));
        assert!(ttl > 0 || has(lines, "max-stale"), "stale without the client's leave: {ttl}");
        assert!(head.selects(&asked.fields));
        // Before it was received, by a clock that was set back, its age is not known: that of the oldest.
        assert!(now < received[index] || head.current_age(later) >= age, "younger later");
    }
    let forwarded = joined(&asked.fields, &values("Cache-Control", b"no-cache", &[]));
    let reloaded = decide(&request(Method::Get, forwarded), &stored, now, &policy);
    assert!(!matches!(reloaded, Decision::Reuse { .. }), "a reload is reused");
}

pub fn decision_seeds() -> Vec<Vec<u8>> {
    let heads =
        "\n\n\0\0\0Cache-Control: max-age=600\nETag: \"a\"\n\n\0\x01\0Cache-Control: max-age=1\nVary: Accept";
    ["Accept: x", "Cache-Control: max-stale=60, max-age=900", "Cache-Control: only-if-cached, min-fresh=5"]
        .map(|text| seed(&[0, 0, 9, 0, 60, 1], &format!("{text}{heads}")))
        .to_vec()
}
