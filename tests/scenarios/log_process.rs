//! The log files and diagnostics of the real binary: secrets, stories and rotation.

use rustix::process::Signal;

use crate::support::{Answer, Folder, Origin, Process, eventually, request};

/// A word that no log may have.
const SECRET: &str = "geheim";

/// Requests with the secret in every place where one may be.
fn tell_secrets(process: &Process, origin: &Origin) {
    let answer = Answer::cached("max-age=60").field("Set-Cookie", "id=geheim-1").body("hello");
    origin.on_path("/", answer).on_path("/down", Answer::nothing().close());
    let fields = [
        ("Authorization", "Basic geheim-2"),
        ("Proxy-Authorization", "Basic geheim-3"),
        ("Cookie", "id=geheim-4"),
        ("Referer", "http://user:geheim-5@from.example/"),
    ];
    for path in ["/", "/down"] {
        process.client().get_with(&origin.url(path), &fields);
    }
    let userinfo = format!("http://user:geheim-6@{}/", origin.authority());
    process.client().send(request("GET", &userinfo, &fields, "")).response();
    process.client().send("CONNECT user:geheim-7@ads.example:443 HTTP/1.1\r\n\r\n").response();
    process.client().send(format!("GET user:geheim-8@{}/ HTTP/1.1\r\n\r\n", origin.authority())).response();
    process.client().get_with("http://ads.example/", &fields);
    process.client().send("GET http://x/ HTTP/1.1\r\nCookie: geheim-9\r\n folded\r\n\r\n").response();
}

#[test]
fn no_secret_is_in_any_log() {
    for format in ["squid", "common", "combined", "json"] {
        let (folder, origin) = (Folder::new(), Origin::start());
        let config = folder.write("larder.toml", "[access]\nblock = ['ads.example']\n");
        let log = folder.text_of_path("access.log");
        let arguments =
            ["--log-level", "debug", "--access-log", &log, "--log-format", format, "--config", &config];
        let process = Process::start_in(&folder, &arguments);
        tell_secrets(&process, &origin);
        let said = process.into_said();
        let lines = folder.read("access.log");
        assert_eq!(lines.lines().count(), 7, "{lines}");
        assert!(!lines.contains(SECRET), "{format}: {lines}");
        let told: Vec<_> = said.iter().filter(|line| line.contains(SECRET)).collect();
        assert!(told.is_empty(), "{told:#?}");
        assert!(said.iter().any(|line| line.contains("DEBUG")), "the diagnostics say something");
    }
}

/// The steps that one request told, in order: what stands behind its number.
fn story(said: &[String], url: &str) -> Vec<String> {
    let steps = |line: &String| {
        let (_, told) = line.split_once("DEBUG ")?;
        let (id, step) = told.trim_start().split_once(' ')?;
        (id.len() == 16).then(|| (id.to_owned(), step.to_owned()))
    };
    let told: Vec<_> = said.iter().filter_map(steps).collect();
    let first = told.iter().find(|(_, step)| step.contains(&format!("GET {url} from")));
    let id = first.expect("the request is told of").0.clone();
    told.into_iter().filter(|(of, _)| *of == id).map(|(_, step)| step).collect()
}

/// Checks that each step begins like this, and that there are no others.
fn reads(story: &[String], expected: &[&str]) {
    let as_expected = story.iter().zip(expected).all(|(step, expected)| step.starts_with(expected));
    assert!(as_expected && story.len() == expected.len(), "{story:#?}\n{expected:#?}");
}

/// What a process told of one request for each of these paths.
fn told(origin: &Origin, paths: &[&str]) -> Vec<Vec<String>> {
    let folder = Folder::new();
    let config = folder.write("larder.toml", "[access]\nblock = ['://[^/]*/blocked']\n");
    let process = Process::start_in(&folder, &["--log-level", "debug", "--config", &config]);
    let mut client = process.client();
    for path in paths {
        client.get(&origin.url(path));
        client.settle();
    }
    drop(client);
    let said = process.into_said();
    paths.iter().map(|path| story(&said, &origin.url(path))).collect()
}

#[test]
fn a_miss_tells_its_story_in_order() {
    let origin = Origin::start();
    origin.on_path("/x", Answer::fresh(60, "hello"));
    let stories = told(&origin, &["/x"]);
    let stores = format!("store: stores {} with Explicit(60)", origin.url("/x"));
    let expected = [
        &format!("request: GET {} from 127.0.0.1:", origin.url("/x")),
        "policy: admitted",
        &format!("key: {}, variants stored: 0", origin.url("/x")),
        "reuse: nothing to reuse: uri-miss",
        &format!("origin: asks {} over a new connection", origin.authority()),
        &stores,
        "response: 200, Cache-Status: larder; fwd=uri-miss; stored; ttl=60",
        "store: stored, 5 octets",
        "end: ",
    ];
    reads(&stories[0], &expected);
}

#[test]
fn what_is_not_stored_says_why() {
    let origin = Origin::start();
    origin.on_path("/x", Answer::cached("no-store").body("hello"));
    let stories = told(&origin, &["/x"]);
    assert!(stories[0].contains(&"store: not stored: no-store".to_owned()), "{:#?}", stories[0]);
}

#[test]
fn a_hit_tells_its_story_in_order() {
    let origin = Origin::start();
    origin.on_path("/x", Answer::fresh(10_000, "hello"));
    let folder = Folder::new();
    let process = Process::start_in(&folder, &["--log-level", "debug"]);
    for _ in 0..2 {
        let mut client = process.client();
        client.get(&origin.url("/x"));
        client.settle();
    }
    let mut said = process.into_said();
    // The second request is the one whose number is not the first's.
    let last = said.iter().rposition(|line| line.contains("request: GET")).expect("two requests");
    let hit = story(&said.split_off(last), &origin.url("/x"));
    let expected =
        ["request: GET ", "policy: admitted", "key: ", "reuse: a hit: age ", "response: 200, ", "end: "];
    reads(&hit, &expected);
}

#[test]
fn a_block_names_its_rule() {
    let origin = Origin::start();
    let stories = told(&origin, &["/blocked"]);
    let expected = ["request: GET ", "refused: http_request_denied: ", "response: 403, ", "end: "];
    reads(&stories[0], &expected);
    assert!(stories[0][1].contains("blocked-url by ://[^/]*/blocked ([access] block)"), "{}", stories[0][1]);
}

#[test]
fn sigusr1_opens_the_access_log_anew() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.otherwise(Answer::ok("hello"));
    let log = folder.text_of_path("access.log");
    let process = Process::start_in(&folder, &["--access-log", &log]);
    process.client().get(&origin.url("/before"));
    eventually("the line is written", || folder.read("access.log").contains("/before"));
    std::fs::rename(folder.path("access.log"), folder.path("access.log.1")).unwrap();
    process.signal(Signal::USR1);
    eventually("the file is there again", || folder.path("access.log").exists());
    process.client().get(&origin.url("/after"));
    eventually("the line is written", || folder.read("access.log").contains("/after"));
    assert!(!folder.read("access.log").contains("/before"));
    assert!(!folder.read("access.log.1").contains("/after"));
}
