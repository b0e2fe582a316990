//! Explanations: the facts of each kind of response, and that they are those of the decision.

use super::*;

fn texts(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{} [{}]\n", line.text, line.clause)).collect()
}

#[test]
fn each_fact_stands_with_its_clause() {
    let cases: &[(&str, &str, i64, &str)] = &[
        (
            "Cache-Control: s-maxage=5, max-age=9",
            "",
            0,
            "freshness_lifetime = 5 s: s-maxage [RFC 9111 §5.2.2.10]",
        ),
        ("Cache-Control: s-maxage=5", "", 0, "s-maxage: never used stale [RFC 9111 §5.2.2.10]"),
        ("Cache-Control: max-age=9", "", 3, "fresh: 9 > 3, for 6 s more [RFC 9111 §4.2]"),
        ("Cache-Control: max-age=9", "", 12, "stale: 9 <= 12, since 3 s [RFC 9111 §4.2]"),
        ("Date: {+0}\nExpires: {+7}", "", 0, "freshness_lifetime = 7 s: Expires ("),
        (
            "Expires: soon",
            "",
            0,
            "freshness_lifetime = 0 s: Expires (soon) is not a date, which means in the past [RFC 9111 §5.3]",
        ),
        ("Last-Modified: {-1000}", "", 0, "freshness_lifetime = 100 s, estimated: 10 % of the 1000 s"),
        ("X: y", "", 0, "freshness_lifetime = 0 s: nothing says how long it is fresh [RFC 9111 §4.2.1]"),
        (
            "Cache-Control: max-age=9, must-revalidate",
            "",
            0,
            "must-revalidate: never used stale [RFC 9111 §5.2.2.2]",
        ),
        (
            "Cache-Control: no-cache\nETag: \"x\"",
            "",
            0,
            "no-cache: each use is validated [RFC 9111 §5.2.2.4]",
        ),
        (
            "Cache-Control: max-age=9, stale-while-revalidate=20",
            "",
            14,
            "20 s past its freshness, 15 s of them left [RFC 5861 §3]",
        ),
        (
            "Cache-Control: max-age=9, stale-if-error=20",
            "",
            0,
            "stale if the origin fails: 20 s past its freshness, 20 s of them left [RFC 5861 §4]",
        ),
        (
            "Cache-Control: max-age=9",
            "Cache-Control: max-age=2",
            3,
            "age 3 s is NOT within the request's max-age=2 [RFC 9111 §5.2.1.1]",
        ),
        (
            "Cache-Control: max-age=9",
            "Cache-Control: min-fresh=7",
            3,
            "6 s of freshness are NOT enough for min-fresh=7 [RFC 9111 §5.2.1.3]",
        ),
        ("Cache-Control: max-age=9", "", 0, "no validator: it can only be fetched anew [RFC 9111 §4.3.1]"),
        ("Age: 4\nCache-Control: max-age=9", "", 3, "current_age = 7 s [RFC 9111 §4.2.3]"),
        (
            "Cache-Control: max-age=9",
            "",
            -300,
            "the clock was set back a little: it is 300 s behind that moment [RFC 9111 §4.2.3]",
        ),
        (
            "Cache-Control: max-age=9",
            "",
            -301,
            "the clock was set back: it is 301 s behind that moment, so that nobody knows the age, and it counts as stale [RFC 9111 §4.2.3]",
        ),
    ];
    for &(response, fields, seconds, expected) in cases {
        let now = Timestamp(NOW.0.checked_add_signed(seconds).expect("after 1970"));
        let (request, head) = (request(fields), stored(response));
        let policy = CachePolicy::default();
        let explanation = explain(&request, &[&head], now, &policy);
        let lines = texts(&explanation.variants[0].lines);
        assert!(lines.contains(expected), "{response:?} {fields:?}: {expected} in\n{lines}");
        assert_eq!(explanation.decision, decide(&request, &[&head], now, &policy));
    }
}

#[test]
fn the_reasons_for_not_storing_are_all_explained_and_found_by_their_tokens() {
    let mut tokens: Vec<&str> = NotStored::ALL.iter().map(|reason| reason.as_str()).collect();
    for reason in NotStored::ALL {
        let (text, clause) = reason.because();
        assert!(!text.is_empty() && !clause.is_empty(), "{reason}");
        assert_eq!(NotStored::of_token(reason.as_str()), Some(reason));
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), NotStored::ALL.len());
    assert_eq!(NotStored::of_token("nonsense"), None);
}
