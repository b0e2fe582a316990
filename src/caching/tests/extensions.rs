//! Extensions of RFC 9111: targeted cache control, groups, immutable, No-Vary-Search.

use super::*;

fn policy(targets: &[&str]) -> CachePolicy {
    CachePolicy { targets: Targets::new(targets), ..CachePolicy::default() }
}

const OWN: &[&str] = &["Larder-Cache-Control"];

#[test]
fn a_targeted_field_governs_alone() {
    use NotStored::*;
    let both = &["Larder-Cache-Control", "CDN-Cache-Control"];
    let cases: &[(&[&str], &str, Result<u64, NotStored>)] = &[
        (OWN, "Larder-Cache-Control: max-age=60", Ok(60)),
        (OWN, "larder-cache-control: max-age=60\nCache-Control: no-store", Ok(60)),
        (OWN, "Larder-Cache-Control: max-age=60\nCache-Control: max-age=1, private\nExpires: 0", Ok(60)),
        (OWN, "Larder-Cache-Control: no-store\nCache-Control: max-age=60", Err(NoStore)),
        (OWN, "Larder-Cache-Control: private\nCache-Control: max-age=60", Err(Private)),
        (OWN, "Larder-Cache-Control: max-age=60, max-age=5", Ok(5)),
        (OWN, "Larder-Cache-Control: max-age=60\nLarder-Cache-Control: no-store", Err(NoStore)),
        (OWN, "Larder-Cache-Control: x\nExpires: {+60}", Err(NoFreshness)),
        (OWN, "Larder-Cache-Control: max-age=60, s-maxage=9", Ok(9)),
        // Types: a lifetime is an Integer, and what restricts does so whatever its value.
        (OWN, "Larder-Cache-Control: max-age=\"60\"\nETag: \"a\"", Ok(0)),
        (OWN, "Larder-Cache-Control: max-age=60.5\nETag: \"a\"", Ok(0)),
        (OWN, "Larder-Cache-Control: max-age=-5\nETag: \"a\"", Ok(0)),
        (OWN, "Larder-Cache-Control: max-age=abc\nETag: \"a\"", Ok(0)),
        (OWN, "Larder-Cache-Control: max-age=60, no-store=1", Err(NoStore)),
        (OWN, "Larder-Cache-Control: max-age=60, no-store=?0", Ok(60)),
        (OWN, "Larder-Cache-Control: max-age=60, private=(\"a\")", Err(Private)),
        (OWN, "Larder-Cache-Control: max-age=60, private=\"a\"", Ok(60)),
        (OWN, "Larder-Cache-Control: max-age=60, no-store, must-understand=\"x\"", Err(NoStore)),
        (OWN, "Larder-Cache-Control: max-age=60;x=y", Ok(60)),
        // Empty or no Dictionary: as if it were not there.
        (OWN, "Larder-Cache-Control: \nCache-Control: max-age=7", Ok(7)),
        (OWN, "Larder-Cache-Control: max-age=60,\nCache-Control: max-age=7", Ok(7)),
        (OWN, "Larder-Cache-Control: Max-Age=60\nCache-Control: max-age=7", Ok(7)),
        (OWN, "Larder-Cache-Control: max-age = 60\nCache-Control: no-store", Err(NoStore)),
        (OWN, "Larder-Cache-Control: &\nExpires: {+7}", Ok(7)),
        // The target list, in its order.
        (OWN, "CDN-Cache-Control: max-age=60\nCache-Control: max-age=7", Ok(7)),
        (both, "CDN-Cache-Control: max-age=60\nCache-Control: max-age=7", Ok(60)),
        (both, "CDN-Cache-Control: max-age=60\nLarder-Cache-Control: max-age=9", Ok(9)),
        (both, "CDN-Cache-Control: max-age=60\nLarder-Cache-Control: ,", Ok(60)),
        (&[], "Larder-Cache-Control: max-age=60\nCache-Control: max-age=7", Ok(7)),
    ];
    for &(targets, lines, expected) in cases {
        let (policy, response) = (policy(targets), response(200, lines));
        let stored = may_store(&request(""), &response, TIMES, &policy);
        let head = StoredHead::with_targets(&request(""), &response, TIMES, &policy.targets);
        let found = stored.map(|()| head.freshness_lifetime(&policy).seconds());
        assert_eq!(found, expected, "{targets:?} {lines:?}");
    }
}

#[test]
fn what_a_targeted_field_withholds_is_not_stored_and_a_304_keeps_to_the_list() {
    let lines = "Larder-Cache-Control: max-age=60, private=\"X-User\"\nX-User: me\nX-All: us";
    let head = stored(lines);
    assert!(head.fields.all_named(b"X-User").next().is_none());
    assert!(head.fields.all_named(b"X-All").next().is_some());
    let answer = response(304, "Larder-Cache-Control: max-age=9\nCache-Control: max-age=500");
    let fresh = head.freshen(&answer, TIMES);
    assert_eq!(fresh.freshness_lifetime(&CachePolicy::default()).seconds(), 9);
    let again = StoredHead::from_parts(fresh.to_parts());
    assert_eq!(again.freshness_lifetime(&CachePolicy::default()).seconds(), 9);
}

#[test]
fn immutable_is_validated_when_the_client_says_so_or_when_stale() {
    let lines = "Cache-Control: max-age=60, immutable\nETag: \"a\"";
    let validate = |reason| Decision::Validate { index: 0, reason };
    let cases = [
        // What the client says counts (case 4.9).
        (lines, "Cache-Control: max-age=10", 10, Decision::Reuse { index: 0, age: 10, ttl: 50 }),
        (lines, "Cache-Control: max-age=9", 10, validate(ForwardReason::Request)),
        (lines, "Cache-Control: min-fresh=50", 10, Decision::Reuse { index: 0, age: 10, ttl: 50 }),
        (lines, "Cache-Control: min-fresh=51", 10, validate(ForwardReason::Request)),
        (lines, "If-None-Match: \"a\"", 10, Decision::Reuse { index: 0, age: 10, ttl: 50 }),
        (lines, "Cache-Control: max-age=0", 10, validate(ForwardReason::Request)),
        (lines, "Cache-Control: no-cache", 10, validate(ForwardReason::Request)),
        (lines, "Pragma: no-cache", 10, validate(ForwardReason::Request)),
        (lines, "Cache-Control: max-age=5", 60, validate(ForwardReason::Stale)),
        (
            "Cache-Control: max-age=60, immutable, no-cache\nETag: \"a\"",
            "",
            1,
            validate(ForwardReason::Stale),
        ),
        (
            "Cache-Control: max-age=60\nETag: \"a\"",
            "Cache-Control: max-age=5",
            10,
            validate(ForwardReason::Request),
        ),
    ];
    for (lines, asked, seconds, expected) in cases {
        let found = decide(&request(asked), &[&stored(lines)], NOW.plus(seconds), &CachePolicy::default());
        assert_eq!(found, expected, "{lines:?} {asked:?} after {seconds}");
    }
}

#[test]
fn groups_are_strings_of_one_origin() {
    let long = "x".repeat(129);
    let many = (0..200).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("Cache-Groups: \"a\", \"B\"", &["a", "B"]),
        ("Cache-Groups: \"a\"\nCache-Groups: \"b\";x=1", &["a", "b"]),
        ("Cache-Groups: \"\"", &[""]),
        ("Cache-Groups: a", &[]),
        ("Cache-Groups: \"a\", b", &[]),
        ("Cache-Groups: \"a\", (\"b\")", &[]),
        ("Cache-Groups: \"a\",", &[]),
        (&format!("Cache-Groups: \"{long}\", \"b\""), &["b"]),
    ];
    let shown = |tags: Vec<Vec<u8>>| {
        let name =
            |tag: &Vec<u8>| String::from_utf8_lossy(tag).rsplit('\0').next().unwrap_or_default().to_owned();
        tags.iter().map(name).collect::<Vec<_>>()
    };
    let a = uri("http://a.example/x");
    for (lines, expected) in cases {
        assert_eq!(shown(group_tags(&a, &fields(lines))), *expected, "{lines:?}");
    }
    assert_eq!(group_tags(&a, &fields(&format!("Cache-Groups: {many}"))).len(), 128);
    let tag = |text: &str| group_tags(&uri(text), &fields("Cache-Groups: \"g\""));
    assert_eq!(tag("http://a.example/x"), tag("http://A.example:80/y?z"));
    for other in ["http://b.example/x", "https://a.example/x", "http://a.example:81/x"] {
        assert_ne!(tag("http://a.example/x"), tag(other), "{other}");
    }
    let heads = [stored("Cache-Groups: \"b\", \"a\""), stored("Cache-Groups: \"a\"")];
    assert_eq!(shown(groups_of(&a, heads.iter())), ["a", "b"]);
}

#[test]
fn only_an_unsafe_method_that_succeeds_invalidates_groups() {
    let cases = [
        ("POST", 200, 1),
        ("DELETE", 303, 1),
        ("UNKNOWN", 204, 1),
        ("GET", 200, 0),
        ("HEAD", 200, 0),
        ("OPTIONS", 200, 0),
        ("POST", 404, 0),
        ("POST", 500, 0),
    ];
    let target = uri("http://a.example/x");
    for (method, status, expected) in cases {
        let response = response(status, "Cache-Group-Invalidation: \"g\"\nCache-Groups: \"h\"");
        let method = Method::of(Bytes::copy_from_slice(method.as_bytes()));
        let found = invalidated_groups(&method, &target, &response);
        assert_eq!(found.len(), expected, "{method:?} {status}");
        let same_group = group_tags(&target, &fields("Cache-Groups: \"g\""));
        assert!(found.iter().all(|tag| same_group.contains(tag)));
    }
}

#[test]
fn queries_that_mean_the_same() {
    let order = "No-Vary-Search: key-order";
    let utm = "No-Vary-Search: params=(\"utm\" \"f g\")";
    let only = "No-Vary-Search: params, except=(\"id\")";
    let all = "No-Vary-Search: params";
    let cases: &[(&str, &str, &str, bool)] = &[
        (order, "/x?a=1&b=2", "/x?b=2&a=1", true),
        (order, "/x?a=1&a=2", "/x?a=2&a=1", false),
        (order, "/x?b=3&a=1&a=2", "/x?a=1&b=3&a=2", true),
        (order, "/x?a=1", "/x?a=2", false),
        (order, "/x?a=1", "/x", false),
        (utm, "/x?a=1&utm=z", "/x?a=1", true),
        (utm, "/x?a=1&utm=z&utm", "/x?utm=y&a=1", true),
        (utm, "/x?f+g=1", "/x?f%20g=2", true),
        (utm, "/x?a=1&b=2", "/x?b=2&a=1", false),
        (utm, "/x?UTM=1", "/x", false),
        (only, "/x?id=1&q=2", "/x?z=9&id=1", true),
        (only, "/x?id=1", "/x?id=2", false),
        (only, "/x?id=1", "/x", false),
        (all, "/x?a=1", "/x", true),
        (all, "/x?a=1", "/y?a=1", false),
        (all, "/x?a=1", "/x/?a=1", false),
        ("No-Vary-Search: params=(\"a\"), key-order", "/x?a=1&c=3&b=2", "/x?b=2&c=3", true),
        // The spelling of what is compared means nothing then, its octets do.
        (utm, "/x?a=%41+b", "/x?a=A%20b", true),
        (utm, "/x?a=%ff", "/x?a=%fe", false),
        (utm, "/x?a=%", "/x?a=%25", true),
        (utm, "/x?a=%zz", "/x?a=%z", false),
        (utm, "/x?a", "/x?a=&&", true),
        (utm, "/x?a=1&utm=2#", "/x?a=1#", false),
        (all, "/x?a=1", "//x?a=1", false),
    ];
    for &(lines, stored, wanted, expected) in cases {
        let said = NoVarySearch::of(&fields(lines)).expect("it can be read");
        let at = |path: &str| uri(&format!("http://a.example{path}"));
        assert_eq!(said.equates(&at(stored), &at(wanted)), expected, "{lines} {stored} {wanted}");
        assert_eq!(said.equates(&at(wanted), &at(stored)), expected, "{lines} {wanted} {stored}");
        assert!(!said.equates(&at(stored), &uri(&format!("https://a.example{wanted}"))));
        assert!(!said.equates(&at(stored), &uri(&format!("http://b.example{wanted}"))));
    }
    let many = format!("http://a.example/x?{}", "a&".repeat(300));
    let said = NoVarySearch::of(&fields(all)).expect("it can be read");
    assert!(!said.equates(&uri(&many), &uri("http://a.example/x")));
}

#[test]
fn a_no_vary_search_that_cannot_be_read_says_nothing() {
    for lines in [
        "",
        "No-Vary-Search: ",
        "No-Vary-Search: key-order=?0",
        "No-Vary-Search: params=?0",
        "No-Vary-Search: params=()",
        "No-Vary-Search: unknown",
        "No-Vary-Search: key-order=1",
        "No-Vary-Search: key-order=\"x\", params",
        "No-Vary-Search: params=utm",
        "No-Vary-Search: params=\"utm\"",
        "No-Vary-Search: params=(utm)",
        "No-Vary-Search: params=(1)",
        "No-Vary-Search: except=(\"a\")",
        "No-Vary-Search: key-order, except=(\"a\")",
        "No-Vary-Search: params=?0, except=(\"a\")",
        "No-Vary-Search: params=(\"a\"), except=(\"b\")",
        "No-Vary-Search: params, except",
        "No-Vary-Search: params, except=(a)",
        "No-Vary-Search: params,",
        "No-Vary-Search: PARAMS",
    ] {
        assert_eq!(NoVarySearch::of(&fields(lines)), None, "{lines:?}");
    }
}
