//! Rules of the operator: what they are about, what they do, and which of them is named.

use super::*;

fn rule(name: &str, hosts: &[&str], then: Actions) -> Rule {
    let hosts = hosts.iter().map(|host| host.parse().expect("a host")).collect();
    Rule { name: name.parse().expect("a name"), when: Conditions { hosts, ..Conditions::default() }, then }
}

fn set(rules: Vec<Rule>) -> RuleSet {
    RuleSet::new(rules, &RuleSet::default())
}

fn never() -> Actions {
    Actions { never: Some(true), ..Actions::default() }
}

fn ignoring(names: &[&str]) -> Actions {
    let ignored = names.iter().map(|name| name.parse::<Ignorable>().expect("a name")).collect();
    Actions { ignore: Some(ignored), ..Actions::default() }
}

fn facts<'a>(uri: &'a TargetUri, method: &'a Method, status: u16, content_type: &'a str) -> Facts<'a> {
    Facts { uri, method, status, content_type: Some(content_type.as_bytes()) }
}

fn applied(actions: Actions, status: u16) -> Applied {
    let (uri, method) = (uri("http://a.example/x"), Method::Get);
    set(vec![rule("r", &[], actions)]).applied(&facts(&uri, &method, status, "")).expect("it applies")
}

#[test]
fn hosts() {
    let cases: &[(&str, &str, bool)] = &[
        ("a.example", "http://a.example/", true),
        ("A.Example.", "http://a.example:8080/", true),
        ("a.example", "http://b.a.example/", false),
        ("a.example", "http://xa.example/", false),
        ("*.a.example", "http://b.a.example/", true),
        ("*.a.example", "http://c.b.a.example/", true),
        ("*.a.example", "http://a.example/", false),
        ("*.a.example", "http://xa.example/", false),
        ("192.0.2.1", "http://192.0.2.1/", true),
        ("192.0.2.1", "http://192.0.2.11/", false),
    ];
    for &(pattern, target, expected) in cases {
        let rules = set(vec![rule("r", &["other.example", pattern], never())]);
        assert_eq!(rules.never(&uri(target), &Method::Get).is_some(), expected, "{pattern} {target}");
    }
    for wrong in ["", "*", "*.", "a b", "*.192.0.2.1", "a.*", "http://a.example", "a.example/x"] {
        assert!(wrong.parse::<HostPattern>().is_err(), "{wrong:?}");
    }
}

#[test]
fn paths_types_and_statuses() {
    let paths: &[(&str, &str, bool)] = &[
        ("/docs/*", "/docs/", true),
        ("/docs/*", "/docs/a/b?c", true),
        ("/docs/*", "/docs", false),
        ("*.deb", "/pool/a.deb?x", true),
        ("*.deb", "/pool/a.deb.asc", false),
        ("/a*b*c", "/axxbxbxc", true),
        ("/a*b*c", "/axxbxbx", false),
        ("/*", "/x", true),
        ("/", "/", true),
        ("^/v[0-9]+/", "/v12/x", true),
        ("^/v[0-9]+/", "/x/v12/", false),
        ("^/x$", "/x?y", true),
    ];
    for &(pattern, path, expected) in paths {
        let pattern: PathPattern = pattern.parse().expect("a path");
        let mut one = rule("r", &[], never());
        one.when.paths = vec![pattern.clone()];
        let target = uri(&format!("http://a.example{path}"));
        assert_eq!(set(vec![one]).never(&target, &Method::Get).is_some(), expected, "{pattern:?} {path}");
    }
    let types: &[(&str, &str, bool)] = &[
        ("text/html", "text/html", true),
        ("text/html", "Text/HTML ; charset=utf-8", true),
        ("text/html", "text/htmlx", false),
        ("image/*", "IMAGE/png", true),
        ("image/*", "imagex/png", false),
        ("image/*", "", false),
    ];
    let target = uri("http://a.example/x");
    for &(pattern, content_type, expected) in types {
        let mut one = rule("r", &[], never());
        one.when.types = vec![pattern.parse().expect("a type")];
        let found = set(vec![one]).applied(&facts(&target, &Method::Get, 200, content_type)).is_some();
        assert_eq!(found, expected, "{pattern} {content_type}");
    }
    let statuses: &[(&str, u16, bool)] = &[
        ("404", 404, true),
        ("404", 405, false),
        ("5xx", 599, true),
        ("5xx", 499, false),
        ("301-308", 307, true),
    ];
    for &(pattern, status, expected) in statuses {
        let mut one = rule("r", &[], never());
        one.when.statuses = vec![pattern.parse().expect("a status")];
        let found = set(vec![one]).applied(&facts(&target, &Method::Get, status, "")).is_some();
        assert_eq!(found, expected, "{pattern} {status}");
    }
    assert!(["", "x", "docs/*", "^("].iter().all(|wrong| wrong.parse::<PathPattern>().is_err()));
    assert!(
        ["", "text", "*/*", "text/h*", "te xt/html"]
            .iter()
            .all(|wrong| wrong.parse::<TypePattern>().is_err())
    );
    let wrong = ["", "1xx", "199", "600", "6xx", "4040", "404-", "500-404", "04", "+404"];
    assert!(wrong.iter().all(|wrong| wrong.parse::<StatusRange>().is_err()));
    assert!(["", "a b", "ü", &"x".repeat(32)].iter().all(|wrong| wrong.parse::<RuleName>().is_err()));
}

#[test]
fn methods_and_what_a_request_alone_cannot_tell() {
    let target = uri("http://a.example/x");
    let mut one = rule("r", &[], never());
    one.when.methods = vec!["HEAD".to_owned()];
    assert!(set(vec![one.clone()]).never(&target, &Method::Head).is_some());
    assert!(set(vec![one.clone()]).never(&target, &Method::Get).is_none());
    let mut typed = rule("typed", &[], never());
    typed.when.statuses = vec!["404".parse().expect("a status")];
    let allowed = rule("allowed", &["a.example"], Actions { never: Some(false), ..Actions::default() });
    assert!(set(vec![typed.clone(), rule("r", &[], never())]).never(&target, &Method::Get).is_none());
    assert!(set(vec![allowed, rule("r", &[], never())]).never(&target, &Method::Get).is_none());
}

#[test]
fn of_each_aspect_the_first_rule_decides() {
    let fresh = |least| Actions { fresh: Some((Some(least), None)), ..Actions::default() };
    let rules = set(vec![
        rule("one", &["a.example"], fresh(100)),
        rule("two", &["*.example"], Actions { negative: Some(7), ..fresh(200) }),
        rule("three", &[], Actions { negative: Some(9), ..Actions::default() }),
    ]);
    let (target, method) = (uri("http://a.example/x"), Method::Get);
    let applied = rules.applied(&facts(&target, &method, 404, "")).expect("they apply");
    let overrides = applied.policy(&CachePolicy::default()).overrides;
    assert_eq!((overrides.fresh_min, overrides.negative), (Some(100), Some(7)));
    let lifetime = |policy: &CachePolicy| {
        let head = StoredHead::new(&request(""), &response(404, "Cache-Control: max-age=1"), TIMES);
        head.freshness_lifetime(policy).seconds()
    };
    let (seconds, by) = applied.decide(&CachePolicy::default(), lifetime);
    assert_eq!((seconds, by.map(|name| name.to_string()).as_deref()), (100, Some("one")));
    assert!(set(Vec::new()).applied(&facts(&target, &method, 200, "")).is_none());
}

#[test]
fn lifetimes() {
    let fresh = |least, most| Actions { fresh: Some((least, most)), ..Actions::default() };
    let negative = || Actions { negative: Some(30), ..Actions::default() };
    let cases: &[(Actions, u16, &str, Lifetime)] = &[
        (fresh(Some(100), None), 200, "Cache-Control: max-age=60", Lifetime::Rule(100)),
        (fresh(Some(100), None), 200, "Cache-Control: max-age=160", Lifetime::Explicit(160)),
        (fresh(Some(100), None), 200, "", Lifetime::Rule(100)),
        (fresh(Some(100), None), 200, "Last-Modified: {-100}", Lifetime::Rule(100)),
        (fresh(None, Some(50)), 200, "Cache-Control: max-age=60", Lifetime::Rule(50)),
        (fresh(None, Some(50)), 200, "", Lifetime::None),
        (fresh(None, Some(0)), 200, "Cache-Control: max-age=60", Lifetime::Rule(0)),
        (fresh(Some(70), Some(70)), 200, "Cache-Control: max-age=60", Lifetime::Rule(70)),
        (fresh(Some(70), Some(70)), 200, "Cache-Control: max-age=80", Lifetime::Rule(70)),
        (fresh(Some(70), Some(70)), 200, "Cache-Control: max-age=70", Lifetime::Explicit(70)),
        (negative(), 404, "", Lifetime::Rule(30)),
        (negative(), 503, "", Lifetime::Rule(30)),
        (negative(), 410, "Last-Modified: {-1000}", Lifetime::Rule(30)),
        (negative(), 404, "Cache-Control: max-age=5", Lifetime::Explicit(5)),
        (negative(), 404, "Expires: 0", Lifetime::Explicit(0)),
        (negative(), 200, "", Lifetime::None),
        (negative(), 403, "", Lifetime::None),
    ];
    for (actions, status, lines, expected) in cases {
        let policy = applied(actions.clone(), *status).policy(&CachePolicy::default());
        let head = StoredHead::new(&request(""), &response(*status, lines), TIMES);
        assert_eq!(head.freshness_lifetime(&policy), *expected, "{actions:?} {status} {lines:?}");
        let stored = may_store(&request(""), &response(*status, lines), TIMES, &policy);
        let has_validator = lines.contains("Last-Modified");
        assert_eq!(stored.is_ok(), expected.seconds() > 0 || has_validator, "{actions:?} {status} {lines:?}");
    }
}

#[test]
fn what_is_ignored_is_named_and_nothing_else_is() {
    use NotStored::*;
    let fresh = "Cache-Control: max-age=60";
    let cases: &[(&str, &str, &str, NotStored)] = &[
        ("no-store", "", "Cache-Control: max-age=60, no-store", NoStore),
        ("private", "", "Cache-Control: max-age=60, private", Private),
        ("no-cache", "", "Cache-Control: max-age=60, no-cache", NoValidator),
        ("set-cookie", "", "Cache-Control: max-age=60\nSet-Cookie: a=b", SetCookie),
        ("authorization", "Authorization: x", fresh, Authorization),
        ("request-no-store", "Cache-Control: no-store", fresh, RequestNoStore),
    ];
    for (ignored, asked, lines, reason) in cases {
        let ask = |policy: &CachePolicy| may_store(&request(asked), &response(200, lines), TIMES, policy);
        assert_eq!(ask(&CachePolicy::default()), Err(*reason), "{ignored}");
        for (name, _) in Ignorable::ALL {
            let (found, by) = applied(ignoring(&[name]), 200).decide(&CachePolicy::default(), ask);
            let expected = if name == *ignored { Ok(()) } else { Err(*reason) };
            assert_eq!((found, by.is_some()), (expected, name == *ignored), "{ignored} {name}");
        }
        let fresh = Actions { fresh: Some((Some(1000), None)), negative: Some(9), ..Actions::default() };
        assert_eq!(ask(&applied(fresh, 200).policy(&CachePolicy::default())), Err(*reason), "{ignored}");
    }
    // What no rule opens: the key does not cover it.
    let all: Vec<&str> = Ignorable::ALL.iter().map(|(name, _)| *name).collect();
    let policy = applied(ignoring(&all), 200).policy(&CachePolicy::default());
    for (asked, lines, reason) in [
        ("X-Forwarded-Host: evil", fresh, UnkeyedField),
        ("X-HTTP-Method-Override: PUT", fresh, MethodOverride),
        ("", "Cache-Control: max-age=60\nVary: *", VaryStar),
        ("", "Cache-Control: max-age=60\nVary: Cookie", VarySecret),
    ] {
        assert_eq!(may_store(&request(asked), &response(200, lines), TIMES, &policy), Err(reason));
    }
}

#[test]
fn reuse_as_rules_say() {
    let ask = |actions: Actions, asked: &str, lines: &str, seconds| {
        let head = stored(lines);
        applied(actions, 200).decide(&CachePolicy::default(), |policy| {
            decide(&request(asked), &[&head], NOW.plus(seconds), policy)
        })
    };
    let hit = |age, ttl| Decision::Reuse { index: 0, age, ttl };
    let fresh = "Cache-Control: max-age=60\nETag: \"a\"";
    let (found, by) = ask(ignoring(&["request-no-cache"]), "Cache-Control: no-cache", fresh, 1);
    assert_eq!((found, by.is_some()), (hit(1, 59), true));
    let (found, by) = ask(ignoring(&["request-no-cache"]), "Cache-Control: max-age=0", fresh, 1);
    assert_eq!((found, by.is_some()), (hit(1, 59), true));
    let (found, by) = ask(ignoring(&["request-no-cache"]), "", fresh, 1);
    assert_eq!((found, by), (hit(1, 59), None));
    let no_cache = "Cache-Control: max-age=60, no-cache\nETag: \"a\"";
    let (found, by) = ask(ignoring(&["no-cache"]), "", no_cache, 1);
    assert_eq!((found, by.is_some()), (hit(1, 59), true));
    let (found, by) = ask(never(), "", fresh, 1);
    assert_eq!((found, by.is_some()), (Decision::Forward(ForwardReason::Bypass), true));
    let longer = Actions { fresh: Some((Some(600), None)), ..Actions::default() };
    let (found, by) = ask(longer, "", fresh, 100);
    assert_eq!((found, by.is_some()), (hit(100, 500), true));
}

#[test]
fn stale_as_rules_say() {
    let stale = |actions: Actions, lines: &str, seconds: u64| {
        let policy = applied(actions, 200).policy(&CachePolicy::default());
        may_serve_stale_on_error(&request(""), &stored(lines), NOW.plus(60 + seconds), &policy)
    };
    let window = |seconds| Actions { stale_if_error: Some(seconds), ..Actions::default() };
    let plain = "Cache-Control: max-age=60";
    let strict = "Cache-Control: max-age=60, must-revalidate";
    assert!(stale(window(200_000), plain, 200_000) && !stale(window(200_000), plain, 200_001));
    assert!(!stale(window(0), "Cache-Control: max-age=60, stale-if-error=50", 1));
    assert!(!stale(window(100), strict, 1));
    assert!(stale(Actions { stale_if_error: Some(100), ..ignoring(&["must-revalidate"]) }, strict, 1));
}

#[test]
fn keys() {
    let drop = |names: &[&str]| {
        DropQuery::new(names.iter().map(|name| (*name).to_owned()).collect()).expect("names")
    };
    let utm = || Actions { drop_query: Some(drop(&["utm_*", "fbclid"])), ..Actions::default() };
    let mirror = |from: &str, to: &str| Actions {
        key: Some(KeyRewrite::new(from, to).expect("a rewrite")),
        ..Actions::default()
    };
    let rules = set(vec![
        rule(
            "mirrors",
            &["*.mirror.example"],
            mirror(r"https?://[^/]+/debian/(.*)", "http://debian.example/$1"),
        ),
        rule(
            "other",
            &["*.mirror.example"],
            mirror(r"http://[^/]+/(?P<rest>pypi/.*)", "http://x.example/${rest}"),
        ),
        rule("tracking", &[], utm()),
    ]);
    let cases: &[(&str, Option<&str>)] = &[
        ("http://a.example/x", None),
        ("http://a.example/x?a=1", None),
        ("http://a.example/x?utm_source=1", Some("http://a.example/x")),
        ("http://a.example/x?a=1&utm_source=1&fbclid=2&b", Some("http://a.example/x?a=1&b")),
        ("http://a.example/x?a=1&xutm_a=1", None),
        ("http://a.example/x?UTM_a=1", None),
        ("http://a.example/x?", None),
        ("http://de.mirror.example/debian/pool/a.deb", Some("http://debian.example/pool/a.deb")),
        ("http://us.mirror.example/debian/pool/a.deb?utm_x", Some("http://debian.example/pool/a.deb")),
        ("https://us.mirror.example/debian/a", Some("https://debian.example/a")),
        ("http://us.mirror.example/pypi/a?b", Some("http://x.example/pypi/a?b")),
        ("http://us.mirror.example/x/debian/a", None),
        ("http://mirror.example/debian/a", None),
    ];
    for (target, expected) in cases {
        let found = rules.key(&uri(target)).map(|key| key.to_string());
        assert_eq!(found.as_deref(), *expected, "{target}");
    }
    assert!(DropQuery::new(vec!["a&b".to_owned()]).is_err() && DropQuery::new(Vec::new()).is_err());
    for (from, to) in [("(", "http://a/"), ("x", "ftp://a/"), ("(x)", "http://a/$2"), ("(x)", "http://a/$1b")]
    {
        assert!(KeyRewrite::new(from, to).is_err(), "{from} {to}");
    }
    assert!(KeyRewrite::new("(x)", "http://a/${1}b$$c").is_ok());
}

#[test]
fn counts_go_on_when_rules_are_swapped() {
    let before = set(vec![rule("a", &[], never()), rule("b", &[], never())]);
    for name in ["a", "b", "b"] {
        before.count(name.parse().expect("a name"));
    }
    let after = RuleSet::new(vec![rule("b", &["x.example"], never()), rule("c", &[], never())], &before);
    let counts: Vec<_> = after.counts().into_iter().map(|(name, count)| (name.to_string(), count)).collect();
    assert_eq!(counts, [("b".to_owned(), 2), ("c".to_owned(), 0)]);
    assert_eq!((after.len(), after.is_empty(), RuleName::of_place(2).as_str()), (2, false, "rule-3"));
}

#[test]
fn what_a_rule_overrules_is_explained() {
    let fresh = |least, most| Actions { fresh: Some((least, most)), ..Actions::default() };
    let cases: &[(Actions, u16, &str, &str, &[&str])] = &[
        (never(), 200, "", "", &["rule r: neither stored nor reused [cache.rule.never]"]),
        (
            ignoring(&["no-store", "private", "authorization"]),
            200,
            "Cache-Control: no-store",
            "Authorization: Basic eDp5",
            &[
                "rule r: not heard: no-store, authorization [cache.rule.ignore]",
                "rule r: would not be heard, and is not said: private [cache.rule.ignore]",
            ],
        ),
        (
            ignoring(&["request-no-cache", "must-revalidate"]),
            200,
            "Cache-Control: s-maxage=3",
            "Cache-Control: max-age=0",
            &["rule r: not heard: must-revalidate, request-no-cache [cache.rule.ignore]"],
        ),
        (
            fresh(Some(600), None),
            200,
            "Cache-Control: max-age=60",
            "",
            &["rule r: fresh for 600 s at least, in place of 60 s [cache.rule.fresh]"],
        ),
        (
            fresh(None, Some(600)),
            200,
            "Cache-Control: max-age=60",
            "",
            &["rule r: fresh for 600 s at most, which it is without the rule [cache.rule.fresh]"],
        ),
        (
            fresh(Some(5), Some(5)),
            200,
            "",
            "",
            &["rule r: fresh for 5 s, in place of 0 s [cache.rule.fresh]"],
        ),
        (
            Actions { negative: Some(30), ..Actions::default() },
            404,
            "",
            "",
            &["rule r: fresh for 30 s, as an error of which the origin says nothing [cache.rule.negative]"],
        ),
        (
            Actions { negative: Some(30), ..Actions::default() },
            404,
            "Cache-Control: max-age=9",
            "",
            &["rule r: the 9 s of the origin go before its 30 s [cache.rule.negative]"],
        ),
        (Actions { negative: Some(30), ..Actions::default() }, 200, "", "", &[]),
        (
            Actions {
                stale_if_error: Some(7),
                stale_while_revalidate: Some(8),
                serve_stale_after: Some(9),
                ..Actions::default()
            },
            200,
            "Cache-Control: stale-while-revalidate=2",
            "",
            &[
                "rule r: 7 s stale if the origin fails, in place of the 86400 s of the default [cache.rule.stale_if_error]",
                "rule r: 8 s stale while it is validated, in place of the 2 s that the origin says [cache.rule.stale_while_revalidate]",
                "rule r: when stale, it answers after 9 ms without the origin's answer [cache.rule.serve_stale_after]",
            ],
        ),
    ];
    for (actions, status, said, asked, expected) in cases {
        let head = StoredHead::new(&request(asked), &response(*status, said), TIMES);
        let applied = applied(actions.clone(), *status);
        let lines = applied.explain(&request(asked), &head, &CachePolicy::default());
        let texts: Vec<_> = lines.iter().map(|line| format!("{} [{}]", line.text, line.clause)).collect();
        assert_eq!(texts, *expected, "{said:?} {asked:?}");
    }
}
