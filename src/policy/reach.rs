//! Which hosts patterns for URLs are about: whether some URL of a host could match one of them.
//!
//! Exact but for one thing: a match begins in front of the path. One that begins
//! in the path would make `https?://ads\\.example/` a pattern about all hosts, of which any may have
//! that URL in a query. What is too large to be computed is taken for a pattern about all hosts.

use regex_automata::Input;
use regex_automata::MatchKind;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::{start, syntax};

/// Octets of states that one question may build; arbitrary.
const CACHE_OCTETS: usize = 4 << 20;

/// All patterns in one automaton, of which states are built as they are met.
#[derive(Clone, Debug)]
pub(super) struct Reach(Option<DFA>);

impl Reach {
    /// Of these expressions.
    pub(super) fn of(expressions: impl Iterator<Item = impl AsRef<str>>) -> Reach {
        let expressions: Vec<String> = expressions.map(|text| text.as_ref().to_owned()).collect();
        let config = DFA::config().match_kind(MatchKind::All).cache_capacity(CACHE_OCTETS);
        let dfa = DFA::builder()
            .configure(config.skip_cache_capacity_check(true))
            // As in `pattern.rs`: octets, not characters.
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(thompson::Config::new().utf8(false))
            .build_many(&expressions);
        Reach(dfa.ok())
    }

    /// Whether a URL that begins with `start`, which ends with the slash behind its authority, could
    /// match.
    pub(super) fn may_match(&self, start: &[u8]) -> bool {
        let Some(dfa) = &self.0 else { return true };
        let mut cache = dfa.create_cache();
        (0..start.len().saturating_sub(1)).any(|from| lives(dfa, &mut cache, start, from).unwrap_or(true))
    }
}

/// Whether a match that begins at `from` may still come, or has come, when all of `start` is read.
/// `None` where that is not known.
fn lives(dfa: &DFA, cache: &mut Cache, start: &[u8], from: usize) -> Option<bool> {
    let anchored = start::Config::new().anchored(regex_automata::Anchored::Yes);
    let before = from.checked_sub(1).and_then(|at| start.get(at).copied());
    let mut state = dfa.start_state(cache, &anchored.look_behind(before)).ok()?;
    for &octet in Input::new(start).range(from..).haystack().get(from..)? {
        state = dfa.next_state(cache, state, octet).ok()?;
        if state.is_dead() {
            return Some(false);
        }
        if state.is_match() || state.is_quit() {
            return Some(true);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_the_hosts_that_they_are_about() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                r"https?://ads\.example/banner",
                &["https://ads.example/", "http://ads.example/"],
                &["https://a.example/", "https://ads.example:8443/"],
            ),
            (
                r"^https://origin\.example:[0-9]+/secret",
                &["https://origin.example:8443/"],
                &["https://origin.example/", "http://origin.example:8443/"],
            ),
            (
                r"://ads\.example",
                &["https://ads.example/", "https://ads.example:1/"],
                &["https://a.example/"],
            ),
            (r"s://a\.example/x", &["https://a.example/"], &["http://a.example/"]),
            (r"://[^/]*ads[^/]*/", &["https://my.ads.example/"], &["https://a.example/"]),
            (r".*://.*/ads", &["https://a.example/"], &[]),
            (r"https://[^/]+/ads\?", &["https://a.example/", "https://b.example:1/"], &["http://a.example/"]),
            (r"(?i)https://ADS\.example/", &["https://ads.example/"], &["https://a.example/"]),
            (r"https://a\.example$", &[], &["https://a.example/", "https://a.example.org/"]),
            (r"\bhttps://a\.example/", &["https://a.example/"], &["https://b.example/"]),
            (
                r"(://|\.)ads\.example(:[0-9]+)?/x",
                &["https://ads.example/", "http://my.ads.example:81/"],
                &["https://bads.example/", "https://ads.example.org/"],
            ),
            (r"(https?://)?\bads\.example/x", &["https://my.ads.example/"], &["https://ads.example.org/"]),
        ];
        for (pattern, about, others) in cases {
            let reach = Reach::of([pattern].into_iter());
            for url in *about {
                assert!(reach.may_match(url.as_bytes()), "{pattern} is about {url}");
            }
            for url in *others {
                assert!(!reach.may_match(url.as_bytes()), "{pattern} is not about {url}");
            }
        }
        let both = Reach::of(["https://a\\.example/x", "https://b\\.example/x"].into_iter());
        assert!(both.may_match(b"https://b.example/") && !both.may_match(b"https://c.example/"));
    }
}
