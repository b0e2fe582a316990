//! Patterns, rules and list files beside a second reading of what the documentation says of them
//! (docs/configuration.md, "Patterns"). A list is the union of its lines.

use std::net::IpAddr;

use bytes::Bytes;
use larder::http::{Host, TargetUri};
use larder::policy::{Config, Pattern, Policy};

use super::input::{Input, seed};

/// Patterns that are compiled at once: an expression takes its time.
const PATTERNS_MAX: usize = 8;

fn lines(text: &[u8]) -> impl Iterator<Item = String> + '_ {
    text.split(|octet| *octet == b'\n').map(|line| String::from_utf8_lossy(line).into_owned())
}

fn uri(host: &Host) -> Option<TargetUri> {
    let text = match host.ip() {
        Some(IpAddr::V6(ip)) => format!("http://[{ip}]/x"),
        _ => format!("http://{}/x", host.as_str()),
    };
    TargetUri::parse_absolute(&Bytes::from(text)).ok()
}

/// First the hosts that are asked for, then the patterns that block.
pub fn rules(data: &[u8]) {
    let mut input = Input(data);
    let hosts: Vec<TargetUri> =
        lines(input.block()).filter_map(|line| uri(&Host::parse_text(&line).ok()?)).take(4).collect();
    let typed: Vec<String> = lines(input.rest()).take(PATTERNS_MAX).collect();
    let patterns: Vec<Pattern> = typed.iter().filter_map(|text| text.parse().ok()).collect();
    for pattern in &patterns {
        let text = pattern.to_string();
        assert_eq!(text.parse().as_ref(), Ok(pattern), "{text:?} is another pattern");
    }
    let config = Config { block: patterns.clone(), ..Config::default() };
    let Ok((policy, warnings)) = Policy::build(&config, Vec::new(), &[]) else { return };
    assert!(warnings.is_empty(), "{warnings:?}");
    // What is blocked at run time is blocked as by the configuration.
    let (empty, _) = Policy::build(&Config::default(), Vec::new(), &[]).expect("nothing is wrong in nothing");
    let written: Vec<String> = patterns.iter().map(Pattern::to_string).collect();
    let (at_run_time, warnings) = empty.with_runtime(&written).expect("it was compiled before");
    assert!(warnings.is_empty(), "{warnings:?}");
    for target in &hosts {
        assert!(empty.judge_target(target).is_ok());
        let judged = policy.judge_target(target);
        assert_eq!(at_run_time.judge_target(target).is_err(), judged.is_err(), "{target:?}");
        if let Err(refusal) = &judged {
            assert!(written.contains(&refusal.rule), "{} is no pattern of {written:?}", refusal.rule);
        }
        let readings: Vec<_> = written.iter().map(|text| matches(text, &target.authority.host)).collect();
        let host = target.authority.host.as_str();
        match judged.is_err() {
            true => {
                assert!(readings.iter().any(|reading| *reading != Some(false)), "{written:?} block {host}")
            }
            false => assert!(!readings.contains(&Some(true)), "{written:?} do not block {host}"),
        }
    }
}

/// Whether a pattern, in its canonical spelling, blocks a host; `None` where this reading can't tell.
fn matches(pattern: &str, host: &Host) -> Option<bool> {
    if pattern.contains("://") {
        return None;
    }
    let name = host.as_str();
    if let Some(domain) = pattern.strip_prefix("*.").filter(|domain| !domain.contains(['*', '?'])) {
        return Some(host.ip().is_none() && name.ends_with(&format!(".{domain}")));
    }
    if pattern.contains(['*', '?']) {
        return Some(glob(pattern.as_bytes(), name.as_bytes()));
    }
    if pattern.contains(['/', ':']) || pattern.parse::<IpAddr>().is_ok() {
        // Another form of an address that is within counts, too: only what is plainly within is told here.
        let is_same = pattern.parse::<IpAddr>().ok().is_some_and(|ip| host.ip() == Some(ip));
        return if is_same { Some(true) } else { host.ip().is_none().then_some(false) };
    }
    Some(host.ip().is_none() && (name == pattern || name.ends_with(&format!(".{pattern}"))))
}

/// `*` is any run of characters, dots included, `?` any one character but a dot.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|at| glob_once(rest, &name[at..])),
        Some((b'?', rest)) => {
            name.split_first().is_some_and(|(first, name)| *first != b'.' && glob(rest, name))
        }
        Some((one, rest)) => name.split_first().is_some_and(|(first, name)| first == one && glob(rest, name)),
    }
}

/// Several stars in a row are one, without which this would take for ever.
fn glob_once(pattern: &[u8], name: &[u8]) -> bool {
    let stars = pattern.iter().take_while(|octet| **octet == b'*').count();
    if stars > 0 && pattern.len() == stars {
        return true;
    }
    // More than four stars: not worth the time.
    pattern.iter().filter(|octet| **octet == b'*').count() > 4 || glob(&pattern[stars..], name)
}

pub fn rules_seeds() -> Vec<Vec<u8>> {
    [
        "ads.example\nx.ads.example\nexample\n\nads.example\n*.ads.example\n203.0.113.0/24",
        "a.tracker.test\n10.0.0.1\n[2001:db8::1]\n\nad?.*.test\n*\n10.0.0.0/8\n2001:db8::/32\n.tracker.test",
        "b\u{fc}cher.example\nxn--bcher-kva.example\n\nB\u{dc}CHER.example.\nhttps?://.*example/x\n*cher*",
        "under_score.test\n127.0.0.1\n\n*_score.test\n::ffff:127.0.0.1\n[::1]",
    ]
    .map(|text| seed(&[], text))
    .to_vec()
}

/// A list file; its hosts are those that its words name.
pub fn list_file(data: &[u8]) {
    let mut text: Vec<String> = lines(data).take(PATTERNS_MAX).collect();
    // A return in the middle ends no line; one at its end does, together with its feed.
    text.iter_mut().for_each(|line| *line = line.replace('\r', ""));
    let built = |lines: &[String]| {
        let list = ("list".to_owned(), lines.join("\n"));
        Policy::build(&Config::default(), vec![list], &[])
    };
    let Ok((whole, warnings)) = built(&text) else { return };
    // A mark of the byte order is one at the beginning of the file alone.
    let alone =
        text.iter().enumerate().map(|(at, line)| if at == 0 { line.clone() } else { format!("\n{line}") });
    let alone: Vec<_> = alone.filter_map(|line| built(&[line]).ok()).collect();
    assert_eq!(alone.len(), text.len(), "what can be compiled together can be alone");
    // A line that is bad costs no other, and each is reported with its number.
    let bad: Vec<usize> = (0..alone.len()).filter(|at| !alone[*at].1.is_empty()).map(|at| at + 1).collect();
    let reported: Vec<String> = bad.iter().map(|line| format!("list:{line}")).collect();
    assert_eq!(warnings.iter().map(|warning| warning.place.clone()).collect::<Vec<_>>(), reported);
    let words = text.iter().flat_map(|line| line.split_whitespace());
    for target in words.filter_map(|word| uri(&Host::parse_text(word).ok()?)).take(6) {
        let together = whole.judge_target(&target);
        let any = alone.iter().any(|(policy, _)| policy.judge_target(&target).is_err());
        assert_eq!(together.is_err(), any, "{target:?} by {text:?}");
        if let Err(refusal) = together {
            let place = refusal.list.expect("a list file says where");
            let line: usize =
                place.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).expect("FILE:LINE");
            assert!(
                alone[line - 1].0.judge_target(&target).is_err(),
                "line {line} does not block {target:?}"
            );
        }
    }
}

pub fn list_file_seeds() -> Vec<Vec<u8>> {
    [
        "# a comment\nads.example\n0.0.0.0 tracker.example b.example # two\n203.0.113.0/24\n! another",
        "0.0.0.0 localhost\n127.0.0.1 0.0.0.0\n::1 ip6-localhost\n*.wild.example\nnot a pattern",
        "\u{feff}ads.example\nads.example##.banner\n||ads.example^\n@@||good.example^\na.example b.example",
        "http://ads\\.example/x\nads.example/banner\n10.0.0.0/33\n\n \t\nEND.",
    ]
    .map(|text| seed(&[], text))
    .to_vec()
}
