//! `[[cache.rule]]`: rules as typed, and what is said about those that can't be meant.

use super::{diagnosis, parsed};
use crate::caching::Ignorable;

#[test]
fn a_rule_with_every_key() {
    let config = parsed(
        r#"
        [cache]
        offline = true
        targeted = ["CDN-Cache-Control", "Larder-Cache-Control"]
        no_vary_search = false
        [[cache.rule]]
        name = "everything"
        host = ["a.example", "*.b.example"]
        path = ["/docs/*", "^/v[0-9]"]
        type = "image/*"
        status = [200, "5xx", "301-308"]
        method = "GET"
        never = false
        fresh = { min = "1h", max = "2w" }
        negative = 30
        stale_if_error = "7d"
        stale_while_revalidate = "5m"
        serve_stale_after = "500ms"
        ignore = ["no-store", "request-no-cache"]
        [[cache.rule]]
        drop_query = ["utm_*", "fbclid"]
        key = { from = 'http://[^/]+/debian/(.*)', to = "http://debian.example/$1" }
        [[cache.rule]]
        fresh_for = "1d"
        "#,
    );
    let [first, second, third] = &config.cache.rules[..] else { panic!("{:?}", config.cache.rules) };
    assert_eq!(first.name.as_str(), "everything");
    assert_eq!((first.when.hosts.len(), first.when.paths.len(), first.when.statuses.len()), (2, 2, 3));
    assert_eq!(first.then.fresh, Some((Some(3600), Some(14 * 86_400))));
    assert_eq!((first.then.negative, first.then.stale_if_error), (Some(30), Some(7 * 86_400)));
    assert_eq!((first.then.stale_while_revalidate, first.then.serve_stale_after), (Some(300), Some(500)));
    let ignored = first.then.ignore.expect("some are ignored");
    assert!(ignored.has(Ignorable::NoStore) && ignored.has(Ignorable::RequestNoCache));
    assert!(!ignored.has(Ignorable::Private));
    assert!(second.then.drop_query.is_some() && second.then.key.is_some());
    assert_eq!((second.name.as_str(), third.name.as_str()), ("rule-2", "rule-3"));
    assert_eq!(third.then.fresh, Some((Some(86_400), Some(86_400))));
    assert!(config.cache.offline && !config.cache.no_vary_search);
}

#[test]
fn errors_name_the_line_and_the_key() {
    type Case<'a> = (&'a str, usize, &'a str, &'a str, Option<&'a str>);
    let cases: &[Case<'_>] = &[
        ("hots = 'a'", 3, "cache.rule.hots", "there is no such key", Some("`host`")),
        ("fresh = { mim = 1 }", 3, "cache.rule.fresh.mim", "there is no such key", None),
        ("memory = 1", 3, "cache.rule.memory", "no such key", Some("`memory` in the table [cache]")),
        ("host = 'a b'", 3, "cache.rule.host", "\"a b\": the host has", None),
        ("host = []", 3, "cache.rule.host", "the list is empty", None),
        ("host = [\n'a.example',\n'*']", 5, "cache.rule.host", "\"*\"", None),
        ("path = 'docs'", 3, "cache.rule.path", "a path is written as", None),
        ("path = '^('", 3, "cache.rule.path", "unclosed group", None),
        ("type = 'html'", 3, "cache.rule.type", "a media type is written as", None),
        ("status = 99", 3, "cache.rule.status", "a status is written as", None),
        ("method = 'POST'", 3, "cache.rule.method", "GET or HEAD", None),
        ("fresh_for = '1y'", 3, "cache.rule.fresh_for", "a time is written as", None),
        ("fresh_for = '100000w'", 3, "cache.rule.fresh_for", "at most 2147483648 seconds", None),
        ("ignore = ['no-stor']", 3, "cache.rule.ignore", "what can be ignored is", None),
        ("name = 'a b'\nnever = true", 3, "cache.rule.name", "a rule's name has", None),
        ("host = 'a.example'", 2, "cache.rule", "the rule does nothing", None),
        ("fresh = { min = 2, max = 1 }", 2, "cache.rule", "longer than the longest", None),
        ("fresh_for = 1\nfresh = { min = 1 }", 2, "cache.rule", "twice", None),
        ("type = 'a/b'\ndrop_query = 'x'", 2, "cache.rule", "host and path alone", None),
        ("drop_query = 'a&b'", 2, "cache.rule", "parameters are names", None),
        ("key = { from = 'x', to = 'y' }", 2, "cache.rule", "begins with http", None),
        ("key = { from = 'x' }", 3, "cache.rule.key", "missing field `to`", None),
        ("key = { from = '(', to = 'http://a/' }", 2, "cache.rule", "unclosed group", None),
        ("never = true\n[[cache.rule]]\nname = 'rule-1'\nnever = true", 2, "cache.rule", "two rules", None),
    ];
    for (rule, line, key, message, suggestion) in cases {
        let found = diagnosis(&format!("\n[[cache.rule]]\n{rule}"));
        assert_eq!((found.line, found.key.as_deref()), (*line, Some(*key)), "{rule}: {found}");
        assert!(found.message.contains(message), "{rule}: {found}");
        assert_eq!(found.suggestion.as_deref(), *suggestion, "{rule}: {found}");
    }
    let found = diagnosis("[cache]\ntargeted = ['Cache-Control']");
    assert_eq!((found.line, found.key.as_deref()), (2, Some("cache.targeted")), "{found}");
}
