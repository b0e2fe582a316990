//! Tables of the policy as a whole: what each kind of rule refuses, and what it leaves alone.

mod destinations;

use std::net::IpAddr;

use bytes::Bytes;

use crate::error::{ErrorType, Failure};
use crate::http::{Target, TargetUri};

use super::ListenerScope::{Loopback, Open};
use super::{Config, ListenerScope, Pattern, Policy, Refusal, Warning};

fn policy(config: Config, list: &str) -> (Policy, Vec<Warning>) {
    Policy::build(&config, vec![("list.txt".to_owned(), list.to_owned())], &[]).expect("rules that compile")
}

fn blocking(patterns: &[&str]) -> Policy {
    let block = patterns.iter().map(|pattern| pattern.parse().expect("a valid pattern")).collect();
    policy(Config { block, ..Config::default() }, "").0
}

/// The rule that refuses a URI, or a `host:port` as the target of CONNECT.
fn judge(policy: &Policy, target: &str) -> Option<String> {
    let raw = Bytes::copy_from_slice(target.as_bytes());
    let judged = if target.contains("://") {
        policy.judge_target(&TargetUri::parse_absolute(&raw).expect("a valid URI"))
    } else {
        let Ok(Target::Authority(authority)) = Target::parse_connect(&raw) else { panic!("{target}") };
        policy.judge_connect(&authority)
    };
    judged.err().map(|refusal| refusal.rule)
}

fn network<T: std::str::FromStr<Err = super::PatternError>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().expect("a valid network")).collect()
}

#[test]
fn patterns_block_what_they_say() {
    // pattern, target, refused
    let cases: &[(&str, &str, bool)] = &[
        ("ads.example", "http://ads.example/", true),
        ("ads.example", "http://ADS.example.:8080/x", true),
        ("ads.example", "http://a.b.ads.example/", true),
        ("ads.example", "ads.example:443", true),
        ("ads.example", "a.ads.example:8443", true),
        ("ads.example", "http://badads.example/", false),
        ("ads.example", "http://example/", false),
        ("ads.example", "http://ads.example.org/", false),
        ("ads.example", "http://other.example/?u=http://ads.example/", false),
        ("bücher.example", "http://xn--bcher-kva.example/", true),
        ("*.ads.example", "http://a.ads.example/", true),
        ("*.ads.example", "http://b.a.ads.example/", true),
        ("*.ads.example", "http://ads.example/", false),
        ("*.ads.example", "http://badads.example/", false),
        ("ad?.*.example", "http://ad1.x.example/", true),
        ("ad?.*.example", "http://ad1.x.y.example/", true),
        ("ad?.*.example", "http://ad.x.example/", false),
        ("ad?.*.example", "http://ad12.x.example/", false),
        ("ad?.*.example", "http://ad1.example/", false),
        ("ad?.*.example", "http://x.ad1.x.example/", false),
        ("*tracker*", "http://a.my-tracker.example/", true),
        ("*", "http://127.0.0.1/", true),
        ("://ads\\.example/banner", "http://ads.example/banner/1", true),
        ("://ads\\.example/banner", "http://ads.example/other", false),
        ("://ads\\.example/banner", "http://ads.example/%62anner", true),
        ("://ads\\.example/banner", "http://ads.example/x/%2e%2E/banner", true),
        ("://ads\\.example/banner", "http://ads.example//banner", false),
        ("://ads\\.example/a%2Fb", "http://ads.example/a%2Fb", true),
        ("^https://ads\\.example/", "ads.example:443", true),
        ("^https://ads\\.example:8443/", "ads.example:8443", true),
        ("^http://ads\\.example/", "ads.example:80", true),
        ("^http://ads\\.example/", "ads.example:443", false),
        ("203.0.113.0/24", "http://203.0.113.7/", true),
        ("203.0.113.0/24", "http://[::ffff:203.0.113.7]/", true),
        ("203.0.113.0/24", "http://[2002:cb00:7107::]/", true),
        ("203.0.113.0/24", "203.0.113.7:443", true),
        ("203.0.113.0/24", "http://203.0.114.7/", false),
        ("2001:db8::/32", "http://[2001:db8::1]/", true),
        ("0.0.0.1", "http://10.0.0.1/", false),
    ];
    for (pattern, target, refused) in cases {
        assert_eq!(judge(&blocking(&[pattern]), target).is_some(), *refused, "{pattern} {target}");
    }
}

#[test]
fn refusals_name_the_rule_and_its_place() {
    let config = Config { block: network(&["config.example"]), ..Config::default() };
    let (policy, _) = policy(config, "\n*.listed.example\n0.0.0.0 a.example b.example\n");
    let runtime = ["runtime.example".to_owned(), "not a pattern".to_owned()];
    let (policy, warnings) = policy.with_runtime(&runtime).expect("valid");
    assert_eq!(warnings.len(), 1);
    let cases: &[(&str, &str, &str)] = &[
        ("x.config.example", "config.example", "[access] block"),
        ("x.listed.example", "*.listed.example", "list.txt:2"),
        ("b.example", "b.example", "list.txt:3"),
        ("runtime.example", "runtime.example", "larder block"),
    ];
    for (host, rule, list) in cases {
        let target = TargetUri::parse_absolute(&format!("http://{host}/").into()).expect("a valid URI");
        let refusal = policy.judge_target(&target).expect_err(host);
        assert_eq!((refusal.rule.as_str(), refusal.list.as_deref()), (*rule, Some(*list)), "{host}");
    }
    let (unblocked, _) = policy.with_runtime(&[]).expect("valid");
    assert_eq!(judge(&unblocked, "http://runtime.example/"), None);
    assert!(judge(&unblocked, "http://b.example/").is_some());
}

#[test]
fn lists_of_both_formats() {
    let text = "\u{feff}# hosts\r\n! adblock comment\r\n127.0.0.1 localhost ip6-localhost\r\n0.0.0.0 0.0.0.0\r\n\
                0.0.0.0 ads.example other.example # comment\r\n::1\tsix.example\r\nplain.example # comment\r\n\
                *.wild.example\nhttps?://url\\.example/x\n198.51.100.0/24\n203.0.113.9\n\n   \n\
                two words\n||adblock.example^\nhttp://(\nLAST.example";
    let (policy, warnings) = policy(Config::default(), text);
    let refused = [
        "ads.example",
        "other.example",
        "six.example",
        "plain.example",
        "a.wild.example",
        "www.adblock.example",
        "last.example",
    ];
    for host in refused {
        assert!(judge(&policy, &format!("http://{host}/")).is_some(), "{host}");
    }
    for target in ["http://url.example/x", "http://198.51.100.1/", "http://203.0.113.9/"] {
        assert!(judge(&policy, target).is_some(), "{target}");
    }
    for host in ["localhost", "0.0.0.0", "127.0.0.1", "words", "wild.example"] {
        assert_eq!(judge(&policy, &format!("http://{host}/")), None, "{host}");
    }
    let places: Vec<&str> = warnings.iter().map(|warning| warning.place.as_str()).collect();
    assert_eq!(places, ["list.txt:14", "list.txt:16"]);
    assert_eq!(policy.rule_count(), 10);
}

/// A line, what of it is blocked, what must not be, and whether the line is reported.
#[test]
fn a_line_blocks_what_it_says_or_less() {
    let cases: &[(&str, &[&str], &[&str], bool)] = &[
        // Cosmetic filters: hosts, and an element of their pages.
        ("example.com##.banner", &[], &["example.com"], false),
        ("good.test#@#.x", &[], &["good.test"], false),
        ("example.com#?#div:has(.ad)", &[], &["example.com"], false),
        ("example.com#$#body { color: red }", &[], &["example.com"], false),
        ("example.com#@$?#.x", &[], &["example.com"], false),
        ("example.com#%#//scriptlet('x', 'https://y/')", &[], &["example.com"], false),
        ("example.com$$script[src=\"x\"]", &[], &["example.com"], false),
        ("example.com$@$div", &[], &["example.com"], false),
        ("a.test,b.test##.ad", &[], &["a.test", "b.test"], false),
        ("a.test,~b.a.test###ad", &[], &["a.test"], false),
        ("a.test ##.ad", &[], &["a.test"], false),
        ("0.0.0.0 a.test##.ad", &[], &["a.test"], false),
        ("##.ad", &[], &["ad"], false),
        ("[Adblock Plus 2.0]", &[], &[], false),
        // Comments.
        ("ads.test # why", &["ads.test"], &["why"], false),
        ("ads.test\t## why", &["ads.test"], &["why"], false),
        ("ads.test ### a.test##b", &["ads.test"], &["a.test"], false),
        ("0.0.0.0 ads.test  #why", &["ads.test"], &["why"], false),
        ("ads.test#why", &[], &["ads.test"], true),
        ("  ! a.test", &[], &["a.test"], false),
        // Network filters.
        ("||ads.test^", &["ads.test", "www.ads.test"], &["bads.test"], false),
        ("||*.ads.test^", &["www.ads.test"], &["ads.test"], false),
        ("||203.0.113.9^", &["203.0.113.9"], &[], false),
        ("||ads.test^ # why", &["ads.test"], &[], false),
        ("||a.test^$third-party", &[], &["a.test"], true),
        ("||a.test^$~script,domain=b.test", &[], &["a.test", "b.test"], true),
        ("||a.test/banner", &[], &["a.test"], true),
        ("||a.test/^", &[], &["a.test"], true),
        ("||a.test:8080^", &[], &["a.test"], true),
        ("||a.test", &[], &["a.test"], true),
        ("|http://a.test/", &[], &["a.test", "b.test"], true),
        ("|https://a.test/ads|", &[], &["a.test", "b.test"], true),
        ("https://a.test^$popup", &[], &["a.test"], true),
        ("a.test$third-party", &[], &["a.test"], true),
        ("a.test^", &[], &["a.test"], true),
        ("@@||a.test^", &[], &["a.test"], true),
        ("@@https://a.test/", &[], &["a.test"], true),
        ("/a.test/banner/", &[], &["a.test"], true),
        // Larder's own patterns keep their meaning.
        ("^https?://ads[.]test/$", &["ads.test"], &["www.ads.test"], false),
        ("[2001:db8::1]", &["[2001:db8::1]"], &[], false),
    ];
    for (line, blocked, open, is_reported) in cases {
        let (policy, warnings) = policy(Config::default(), &format!("# first\n{line}\n"));
        for host in *blocked {
            let rule = judge(&policy, &format!("http://{host}/"));
            assert!(rule.is_some(), "{line}: {host} is open");
        }
        for host in *open {
            assert_eq!(judge(&policy, &format!("http://{host}/")), None, "{line}: {host}");
        }
        let places: Vec<&str> = warnings.iter().map(|warning| warning.place.as_str()).collect();
        assert_eq!(places, if *is_reported { &["list.txt:2"][..] } else { &[] }, "{line}: {warnings:?}");
    }
}

#[test]
fn many_bad_lines_are_a_number() {
    let (_, warnings) = policy(Config::default(), &"a b\n".repeat(1000));
    assert_eq!(warnings.len(), 11);
    assert_eq!(warnings.last().map(|last| last.message.as_str()), Some("990 more bad lines"));
}

#[test]
fn what_covers_a_pattern() {
    let text =
        "ads.example\n*.below.example\nad?.*.example\nhttps?://url/x\n10.0.0.0/8\n10.1.0.0/16\n10.1.2.3";
    let (policy, _) = policy(Config::default(), text);
    let cases = [
        ("ads.example", Some("list.txt:1")),
        ("www.ads.example", Some("list.txt:1")),
        ("*.ads.example", Some("list.txt:1")),
        ("below.example", None),
        ("*.below.example", Some("list.txt:2")),
        ("x.below.example", Some("list.txt:2")),
        ("ad1.eu.example", Some("list.txt:3")),
        ("ad?.*.example", Some("list.txt:3")),
        ("ad*.example", None),
        ("https?://url/x", Some("list.txt:4")),
        ("https?://url/", None),
        ("10.1.2.3", Some("list.txt:7")),
        ("10.1.2.0/24", Some("list.txt:6")),
        ("10.2.0.0/16", Some("list.txt:5")),
        ("10.0.0.0/7", None),
        ("other.example", None),
    ];
    for (pattern, expected) in cases {
        let pattern: Pattern = pattern.parse().expect("a pattern");
        let found = policy.blocks(&pattern).and_then(|refusal| refusal.list);
        assert_eq!(found.as_deref(), expected, "{pattern}");
    }
}

#[test]
fn a_large_list_is_quick() {
    // Nothing is measured here: work that grew with the square of it would never end.
    let list: String = (0..200_000).map(|n| format!("0.0.0.0 host{n}.ads{}.example\n", n % 977)).collect();
    let (policy, warnings) = policy(Config::default(), &list);
    for n in 0..20_000 {
        assert!(judge(&policy, &format!("http://a.host{n}.ads{}.example/", n % 977)).is_some());
    }
    assert!(warnings.is_empty());
    assert_eq!(policy.rule_count(), 200_000);
}

#[test]
fn clients() {
    // listener, clients, block_clients, client, admitted
    type Case<'a> = (ListenerScope, Option<&'a [&'a str]>, &'a [&'a str], &'a str, bool);
    let cases: &[Case<'_>] = &[
        (Loopback, None, &[], "127.0.0.1", true),
        (Loopback, None, &[], "::1", true),
        (Loopback, None, &[], "::ffff:127.0.0.1", true),
        (Loopback, None, &[], "192.168.1.2", false),
        (Open, None, &[], "127.0.0.1", true),
        (Open, None, &[], "192.168.1.2", true),
        (Open, None, &[], "10.1.2.3", true),
        (Open, None, &[], "172.31.0.1", true),
        (Open, None, &[], "::ffff:192.168.1.2", true),
        (Open, None, &[], "fd00::1", true),
        (Open, None, &[], "fe80::1", true),
        (Open, None, &[], "100.64.0.1", false),
        (Open, None, &[], "198.51.100.1", false),
        (Open, None, &[], "2001:db8::1", false),
        (Open, None, &["192.168.1.2"], "192.168.1.2", false),
        (Open, None, &["192.168.1.2"], "::ffff:192.168.1.2", false),
        (Open, None, &["192.168.1.2"], "192.168.1.3", true),
        (Open, Some(&["198.51.100.0/24"]), &[], "198.51.100.1", true),
        (Open, Some(&["198.51.100.0/24"]), &["198.51.100.1"], "198.51.100.1", false),
        (Open, Some(&["198.51.100.0/24"]), &[], "192.168.1.2", false),
        (Loopback, Some(&["198.51.100.0/24"]), &[], "127.0.0.1", false),
        (Open, Some(&[]), &[], "127.0.0.1", false),
    ];
    for (listener, clients, block_clients, client, admitted) in cases {
        let config = Config {
            clients: clients.map(network),
            block_clients: network(block_clients),
            ..Config::default()
        };
        let client: IpAddr = client.parse().expect("an address");
        let judged = policy(config, "").0.admit_client(client, *listener);
        assert_eq!(judged.is_ok(), *admitted, "{listener:?} {clients:?} {client}");
    }
}

#[test]
fn connect_ports() {
    let policy = blocking(&["ads.example"]);
    assert_eq!(judge(&policy, "a.example:443"), None);
    assert_eq!(judge(&policy, "a.example:8080"), None);
    assert_eq!(judge(&policy, "a.example:25").as_deref(), Some("connect-port"));
    assert_eq!(judge(&policy, "a.example:3306").as_deref(), Some("connect-port"));
    assert_eq!(judge(&policy, "ads.example:25").as_deref(), Some("ads.example"));
}

#[test]
fn a_refusal_becomes_a_403_that_tells_the_client_the_rule_and_no_place() {
    let refuse = |result: Result<(), Refusal>| Failure::from(result.expect_err("refused"));
    let (policy, _) = policy(Config::default(), "ads.example\n");
    let target = TargetUri::parse_absolute(&Bytes::from_static(b"http://ads.example/")).expect("valid");
    let failure = refuse(policy.judge_target(&target));
    assert_eq!((failure.status, failure.error), (403, ErrorType::HttpRequestDenied));
    assert_eq!(failure.rule.as_deref(), Some("ads.example"));
    assert!(failure.internal.contains("list.txt:1") && !failure.public.contains("list.txt"));
    let address = "10.0.0.1:80".parse().expect("an address");
    let failure = refuse(policy.judge_address(address, Open, &[]));
    assert_eq!((failure.status, failure.error), (403, ErrorType::DestinationIpProhibited));
    assert!(!failure.public.contains("10.") && !failure.rule.unwrap_or_default().contains("10."));
}
