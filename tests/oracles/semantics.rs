//! The library http-cache-semantics as a second oracle: may a response be stored and reused without
//! the origin, for random pairs of requests? Where it disagrees, one of the differences below must
//! be the cause, and each of them must be one somewhere, so that the list stays true.

use std::time::{Duration, SystemTime};

use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy as Library};
use larder::caching::{CachePolicy, Decision, StoredHead, Times, decide, may_store};
use larder::http::Timestamp;

use super::functions::{request, response};
use super::random::Random;
use super::reference::{Asked, Said, values};

/// A response to `first`, and `second` asking for the same some time later.
#[derive(Debug)]
struct Case {
    first: Asked,
    second: Asked,
    said: Said,
    age: u64,
}

const NOW: u64 = 1_700_000_000;

/// Who reuses what the other does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Larder,
    Library,
}

/// Where the two disagree, and why Larder stays as it is.
struct Difference {
    who: Who,
    reason: &'static str,
    applies: fn(&Case) -> bool,
}

fn said(case: &Case, word: &str) -> bool {
    values(&case.said.lines, "Cache-Control").iter().any(|value| value.contains(word))
}

fn wished(case: &Case, word: &str) -> bool {
    values(&case.second.lines, "Cache-Control").iter().any(|value| value.contains(word))
}

fn varies(case: &Case, name: &str) -> bool {
    values(&case.said.lines, "Vary").iter().any(|value| value.contains(name))
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        who: Who::Larder,
        reason: "RFC 9111 §3 lets a final status that is not known be stored with explicit freshness, or as public",
        applies: |case| [400, 403, 500, 503, 599].contains(&case.said.status),
    },
    Difference {
        who: Who::Larder,
        reason: "§5.2: a comma within a quoted string divides nothing",
        applies: |case| said(case, "ext=\"a, no-store, b\""),
    },
    Difference {
        who: Who::Larder,
        reason: "§5.2: the names of directives are case-insensitive",
        applies: |case| said(case, "MAX-AGE"),
    },
    Difference {
        who: Who::Larder,
        reason: "§5.2.2.8: proxy-revalidate is about responses that are stale",
        applies: |case| said(case, "proxy-revalidate"),
    },
    Difference {
        who: Who::Larder,
        reason: "§3.1: with names, no-cache and private keep these fields from being stored, and nothing else",
        applies: |case| said(case, "=\"X-Some\""),
    },
    Difference {
        who: Who::Larder,
        reason: "§5.2.2.3: must-understand goes before no-store where the status is understood",
        applies: |case| said(case, "must-understand") && said(case, "no-store"),
    },
    Difference {
        who: Who::Larder,
        reason: "§4.1: whitespace, and the order and case of codings, may be normalised",
        applies: |case| varies(case, "Accept-Encoding") || varies(case, "X-Kind"),
    },
    Difference {
        who: Who::Larder,
        reason: "RFC 5861 §3: the library has no stale-while-revalidate",
        applies: |case| said(case, "stale-while-revalidate"),
    },
    Difference {
        who: Who::Larder,
        reason: "§5.2.1.2: max-stale is met by no more than its seconds, the last of them included",
        applies: |case| wished(case, "max-stale"),
    },
    Difference {
        who: Who::Larder,
        reason: "§5.4: Pragma counts where Cache-Control is absent",
        applies: |case| !values(&case.second.lines, "Pragma").is_empty() && wished(case, ""),
    },
    Difference {
        who: Who::Library,
        reason: "§4.2.3: a Date in the past makes a response older",
        applies: |case| {
            let date = values(&case.said.lines, "Date")
                .first()
                .and_then(|text| httpdate::parse_http_date(text).ok());
            date.is_some_and(|date| date < SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
        },
    },
    Difference {
        who: Who::Library,
        reason: "§5.1: of a list in Age the first member counts",
        applies: |case| values(&case.said.lines, "Age").contains(&"30, 0"),
    },
    Difference {
        who: Who::Library,
        reason: "§4.2.1: of a repeated directive the least value counts, and not the first",
        applies: |case| {
            let all = values(&case.said.lines, "Cache-Control").join(",").to_lowercase();
            ["max-age=", "s-maxage="].iter().any(|name| all.matches(name).count() > 1)
        },
    },
    Difference {
        who: Who::Library,
        reason: "§5.2 and §4.2.2: a lifetime in capitals is explicit, and leaves nothing to be estimated",
        applies: |case| said(case, "MAX-AGE") && !values(&case.said.lines, "Last-Modified").is_empty(),
    },
    Difference {
        who: Who::Library,
        reason: "max-age=0 asks for a validation, also of what was made in this second",
        applies: |case| wished(case, "max-age=0") && case.age == 0,
    },
    Difference {
        who: Who::Library,
        reason: "a directive of a request that can't be read is taken for the strictest one, in any case of letters",
        applies: |case| {
            ["max-age=x", "max-stale=x", "min-fresh", "MAX-AGE"].iter().any(|word| wished(case, word))
        },
    },
    Difference {
        who: Who::Library,
        reason: "§4.2.4: no-cache, s-maxage and proxy-revalidate forbid stale responses, as must-revalidate does",
        applies: |case| {
            let forbids = |word: &&str| said(case, word);
            wished(case, "max-stale") && ["no-cache", "s-maxage", "proxy-revalidate"].iter().any(forbids)
        },
    },
    Difference {
        who: Who::Library,
        reason: "§4.2.1: an Expires before Date makes a lifetime below zero, from which max-stale counts",
        applies: |case| {
            let date = |name| {
                let dates = values(&case.said.lines, name);
                dates.iter().filter_map(|text| httpdate::parse_http_date(text).ok()).min()
            };
            let date_value = date("Date").unwrap_or(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
            wished(case, "max-stale") && date("Expires").is_some_and(|expires| expires < date_value)
        },
    },
    Difference {
        who: Who::Library,
        reason: "Larder's own: what varies by a credential has as many variants as users, and is not stored",
        applies: |case| varies(case, "Cookie"),
    },
    Difference {
        who: Who::Library,
        reason: "Larder's own: what is stale from its start, and can't be validated, is not stored for who takes any",
        applies: |case| {
            let is_said = |name| !values(&case.said.lines, name).is_empty();
            let can_be_validated = case.said.status < 400 && (is_said("ETag") || is_said("Last-Modified"));
            wished(case, "max-stale") && !can_be_validated
        },
    },
];

fn larder_reuses(case: &Case) -> bool {
    let (first, said, policy) = (request(&case.first), response(&case.said), CachePolicy::default());
    let times = Times { request_time: Timestamp(NOW), response_time: Timestamp(NOW) };
    if may_store(&first, &said, times, &policy).is_err() {
        return false;
    }
    let head = StoredHead::new(&first, &said, times);
    let decision = decide(&request(&case.second), &[&head], Timestamp(NOW + case.age), &policy);
    matches!(decision, Decision::Reuse { .. } | Decision::ReuseAndValidate { .. })
}

fn library_reuses(case: &Case) -> bool {
    let asked = |asked: &Asked| {
        let builder =
            http::Request::builder().method(asked.method).uri(format!("http://a.example{}", asked.target));
        asked.lines.iter().fold(builder, |builder, line| builder.header(&line.0, &line.1)).body(()).unwrap()
    };
    let builder = http::Response::builder().status(case.said.status);
    let said = case
        .said
        .lines
        .iter()
        .fold(builder, |builder, line| builder.header(&line.0, &line.1))
        .body(())
        .unwrap();
    let received = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let policy = Library::new_options(&asked(&case.first), &said, received, CacheOptions::default());
    let answer = policy.before_request(&asked(&case.second), received + Duration::from_secs(case.age));
    policy.is_storable() && matches!(answer, BeforeRequest::Fresh(_))
}

#[test]
fn disagreements_are_known_and_have_their_reasons() {
    let mut random = Random::new(1);
    let mut caused = vec![0; DIFFERENCES.len()];
    let (mut agreed, mut reused) = (0, 0);
    for number in 0..40_000 {
        let (mut first, mut second) = (random.asked(), random.asked());
        (first.method, second.method) = ("GET", "GET");
        second.target.clone_from(&first.target);
        let case = Case {
            first,
            second,
            said: random.said(NOW, number),
            age: random.of(&[0, 1, 5, 9, 20, 45, 70, 110]),
        };
        let (larder, library) = (larder_reuses(&case), library_reuses(&case));
        if larder == library {
            agreed += 1;
            reused += u32::from(larder);
            continue;
        }
        let who = if larder { Who::Larder } else { Who::Library };
        let is_cause = |difference: &Difference| difference.who == who && (difference.applies)(&case);
        let causes: Vec<_> = (0..DIFFERENCES.len()).filter(|&at| is_cause(&DIFFERENCES[at])).collect();
        assert!(
            !causes.is_empty(),
            "{}: {case:#?}",
            if larder { "Larder alone" } else { "the library alone" }
        );
        if let [only] = causes[..] {
            caused[only] += 1;
        }
    }
    let unused: Vec<_> = DIFFERENCES.iter().zip(&caused).filter(|(_, times)| **times == 0).collect();
    let unused: Vec<_> = unused.iter().map(|(difference, _)| difference.reason).collect();
    assert!(unused.is_empty(), "never the only cause of a disagreement: {unused:#?}");
    assert!(agreed > 25_000 && reused > 2_000, "{agreed} {reused}");
}
