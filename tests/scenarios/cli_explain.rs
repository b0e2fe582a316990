//! `larder explain`: what the next request would meet, and what became of a past one.

use serde_json::Value;

use crate::support::{Answer, Ended, Folder, Origin, Process, eventually, larder};

fn explain(folder: &Folder, arguments: &[&str]) -> Ended {
    larder(folder, &[&["explain"], arguments].concat(), &[])
}

fn explained(folder: &Folder, arguments: &[&str]) -> Value {
    let ended = explain(folder, &[&["--json"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

fn decision(folder: &Folder, arguments: &[&str]) -> String {
    explained(folder, arguments)["next"]["decision"].as_str().expect("a word").to_owned()
}

#[test]
fn a_stored_response_is_reckoned_line_by_line_with_the_clauses() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let answer = Answer::cached("max-age=600").field("Age", "100").field("ETag", "\"x\"");
    origin.on_path("/a", answer.field("Vary", "Accept-Language").body("x"));
    let process = Process::start_in(&folder, &[]);
    let url = origin.url("/a");
    process.client().get_with(&url, &[("Accept-Language", "de")]);

    let german = ["--header", "Accept-Language: de", &url];
    let text = explain(&folder, &german).out;
    for (fact, clause) in [
        ("a hit: the stored response answers, 1", "RFC 9111 §4"),
        ("cache key ", "RFC 9111 §2"),
        ("Vary: accept-language matches: stored for \"de\", presented \"de\"", "RFC 9111 §4.1"),
        ("freshness_lifetime = 600 s: max-age", "RFC 9111 §5.2.2.1"),
        ("corrected_initial_age = 100 s", "RFC 9111 §4.2.3"),
        ("current_age = 10", "RFC 9111 §4.2.3"),
        ("fresh: 600 > 10", "RFC 9111 §4.2"),
        ("a validation asks with If-None-Match: \"x\"", "RFC 9111 §4.3.1"),
    ] {
        let line = text.lines().find(|line| line.trim_start().starts_with(fact));
        assert!(line.is_some_and(|line| line.ends_with(clause)), "{fact}: {line:?} in {text}");
    }
    assert_eq!(decision(&folder, &german), "hit");
    assert_eq!(decision(&folder, &["-H", "Accept-Language: fr", &url]), "miss");
    assert_eq!(decision(&folder, &[&["-H", "Cache-Control: no-cache"], &german[..]].concat()), "validation");
    assert_eq!(decision(&folder, &["-H", "Cache-Control: only-if-cached", &url]), "504");
    assert_eq!(decision(&folder, &["--method", "POST", &url]), "forward");
    // Looking has asked nobody and used nothing.
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn what_was_not_stored_says_why_and_a_request_is_found_by_its_number() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/secret", Answer::cached("no-store").body("x"));
    let process = Process::start_in(&folder, &[]);
    let url = origin.url("/secret");
    process.client().get(&url);
    let next = explained(&folder, &[&url])["next"].take();
    assert_eq!(next["decision"], "miss");
    let past = &next["not_stored"];
    assert_eq!(past["cache_status"], "larder; fwd=uri-miss; detail=no-store");
    let why = |past: &Value, part: &str| past["why"].to_string().contains(part);
    assert!(why(past, "the response says no-store") && why(past, "RFC 9111 §5.2.2.5"), "{past}");

    let number = past["request"].as_str().expect("a number");
    let of_number = explained(&folder, &[number]);
    assert_eq!(of_number["past"], *past);
    assert_eq!(of_number["next"]["url"], url);
    let text = explain(&folder, &[number]).out;
    assert!(text.starts_with(&format!("request {number}: GET {url}\n")), "{text}");
    assert!(text.contains("If it came again now:"), "{text}");
}

#[test]
fn a_block_is_named_and_questions_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    let process = Process::start_in(&folder, &[]);
    assert_eq!(larder(&folder, &["block", "ads.example"], &[]).code, Some(0));
    let url = "http://ads.example/banner";
    process.client().get(url);
    let next = explained(&folder, &[url])["next"].take();
    assert_eq!(next["decision"], "blocked");
    assert!(next["verdict"]["text"].as_str().expect("a text").contains("ads.example"), "{next}");
    for (arguments, part) in [
        (vec!["0123456789abcdef"], "no request 0123456789abcdef"),
        (vec!["a.example"], "is not a URL"),
        (vec!["--method", "G T", "http://a.example/"], "is not a method"),
        (vec!["-H", "nonsense", "http://a.example/"], "is not a field line"),
    ] {
        let ended = explain(&folder, &arguments);
        assert!(ended.code == Some(1) && ended.err.contains(part), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn the_rules_that_apply_are_named_with_what_they_overrule() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let rules = "[[cache.rule]]\nname = 'builds'\npath = '/builds/*'\nignore = ['no-store', 'private']\n\
                 [[cache.rule]]\nname = 'html'\ntype = 'text/html'\nfresh = { min = '10m' }\n\
                 [[cache.rule]]\nname = 'tracking'\ndrop_query = 'utm_*'\n\
                 [[cache.rule]]\nname = 'live'\npath = '/live/*'\nnever = true\n";
    let config = folder.path("larder.toml");
    std::fs::write(&config, rules).expect("a file");
    let config = config.to_str().expect("text");
    origin.on_path("/builds/a", Answer::cached("no-store, max-age=60").body("x"));
    let process = Process::start_in(&folder, &["--config", config]);
    let url = origin.url("/builds/a");
    process.client().get(&url);
    let asked = format!("{url}?utm_source=mail");
    let next = explained(&folder, &[&asked])["next"].take();
    assert_eq!(next["decision"], "hit");
    let says = |lines: &Value, text: &str| {
        let lines = lines.as_array().expect("lines");
        assert!(
            lines.iter().any(|line| line["text"].as_str().expect("a text").starts_with(text)),
            "{text}: {lines:?}"
        );
    };
    says(&next["request"], "rule tracking: the key is not that of ");
    says(&next["request"], "rule builds: is about this request");
    says(&next["request"], "rule html: is about this request, if the response is of its kind");
    says(&next["stored"][0]["lines"], "rule builds: not heard: no-store");
    says(&next["stored"][0]["lines"], "rule builds: would not be heard, and is not said: private");
    let live = explained(&folder, &[&origin.url("/live/a")])["next"].take();
    assert_eq!(live["decision"], "forward");
    says(&live["request"], "rule live: neither stored nor reused");
    let text = explain(&folder, &[&asked]).out;
    assert!(text.contains("rule builds: not heard: no-store"), "{text}");

    // An answer that was not stored, by a rule.
    origin.on_path("/live/a", Answer::fresh(60, "x"));
    let answer = process.client().get(&origin.url("/live/a"));
    assert_eq!(answer.cache_status(), "larder; fwd=bypass; detail=rule:live");
    let past = explained(&folder, &[&origin.url("/live/a")])["next"]["not_stored"].take();
    says(&past["why"], "rule live made the difference");
}

#[test]
fn gaps_of_a_stored_response_are_named_and_whether_the_request_meets_them() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let part = Answer::status(206).field("Cache-Control", "max-age=600").field("ETag", "\"x\"");
    origin.on_path("/a", part.field("Content-Range", "bytes 2-5/10").body("2345"));
    let process = Process::start_in(&folder, &[]);
    let url = origin.url("/a");
    process.client().get_with(&url, &[("Range", "bytes=2-5")]);
    eventually("the part", || explained(&folder, &[&url])["next"]["stored"][0].is_object());
    let next = explained(&folder, &[&url])["next"].take();
    assert_eq!(next["decision"], "partial");
    assert_eq!(
        next["stored"][0]["missing"],
        serde_json::json!([{"first": 0, "last": 1}, {"first": 6, "last": 9}])
    );
    for (range, decided) in [("2-5", "hit"), ("3-4", "hit"), ("2-6", "partial"), ("0-0", "partial")] {
        let range = format!("Range: bytes={range}");
        assert_eq!(decision(&folder, &["-H", &range, &url]), decided, "{range}");
    }
    assert_eq!(decision(&folder, &["--method", "HEAD", &url]), "hit");
    assert_eq!(decision(&folder, &["-H", "If-None-Match: \"x\"", &url]), "hit");
    let text = explain(&folder, &[&url]).out;
    let line = text.lines().find(|line| line.contains("4 of 10 octets are there; missing are 0-1, 6-9"));
    assert!(line.is_some_and(|line| line.ends_with("RFC 9111 §3.3")), "{text}");
    assert!(text.contains("a hit with gaps: what is there answers"), "{text}");
}
