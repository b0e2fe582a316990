//! S0: large content that has left memory and the disk before a client had it. A reader that is behind a
//! fill finds its chunks on disk; they go when their segment is reclaimed, since nothing says yet that
//! they are of any use, or with their file. The origin is healthy in each of these stories: nobody may
//! be told that it has failed.

use std::fs::OpenOptions;

use crate::support::{
    Answer, Client, End, Folder, Gate, Head, Origin, Process, Response, World, eventually, noise, request,
};

const MIB: usize = 1 << 20;
/// What arrives before the gate: more than sockets hold, so that a client that reads nothing is behind.
const BEGUN: usize = 17 * MIB;
const LENGTH: usize = 20 * MIB;

/// How the response says how long it is, and what it is validated by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Length,
    /// Nothing: it is chunked.
    Nothing,
}

/// The beginning of a response, and the rest behind a gate.
fn begun(body: &[u8], told: Told, tag: Option<&str>, gate: &Gate) -> Answer {
    let head = Answer::cached("max-age=600");
    let head = tag.map_or(head.clone(), |tag| head.field("ETag", tag));
    match told {
        Told::Length => {
            let head = head.field("Content-Length", &body.len().to_string()).end_of_head();
            head.send(&body[..BEGUN]).wait(gate).send(&body[BEGUN..])
        }
        Told::Nothing => {
            let head = head.field("Transfer-Encoding", "chunked").end_of_head();
            let head = head.send(format!("{BEGUN:x}\r\n")).send(&body[..BEGUN]).send("\r\n").wait(gate);
            let rest = body.len() - BEGUN;
            head.send(format!("{rest:x}\r\n")).send(&body[BEGUN..]).send("\r\n0\r\n\r\n")
        }
    }
}

/// An origin that has this representation now: whole, or the range that is asked for under its tag.
fn now(body: &[u8], tag: Option<&str>) -> Answer {
    let (body, tag) = (body.to_vec(), tag.map(str::to_owned));
    Answer::made_by(move |head: &Head| {
        let mut fields = String::from("Cache-Control: max-age=600\r\n");
        if let Some(tag) = &tag {
            fields += &format!("ETag: {tag}\r\n");
        }
        let range = head.field("Range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let is_same = head.field("If-Range").is_none_or(|known| Some(known) == tag.as_deref());
        let (start, octets) = match range.filter(|_| is_same) {
            Some((first, last)) => {
                let first: usize = first.parse().unwrap();
                let last = last.parse().unwrap_or(body.len() - 1);
                fields += &format!("Content-Range: bytes {first}-{last}/{}\r\n", body.len());
                ("206 Part", &body[first..=last])
            }
            None => ("200 OK", &body[..]),
        };
        let head = format!("HTTP/1.1 {start}\r\n{fields}Content-Length: {}\r\n\r\n", octets.len());
        [head.as_bytes(), octets].concat()
    })
}

fn segments(folder: &Folder) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.path("cache/store")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("seg-")).collect()
}

/// Takes away what has come to the disk of the content that is on its way, when all whole chunks have.
fn tear(folder: &Folder) {
    let octets =
        || segments(folder).iter().map(|path| path.metadata().unwrap().len() as usize).sum::<usize>();
    eventually("what has arrived is on disk", || octets() >= BEGUN);
    for path in segments(folder) {
        OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    }
}

fn start(folder: &Folder) -> Process {
    Process::start_in(folder, &["--disk", "128MiB", "--memory", "8MiB"])
}

fn ask(process: &Process, url: &str) -> Client {
    let mut client = process.client();
    client.send(request("GET", url, &[], ""));
    client
}

fn assert_same(what: &str, response: &Response, body: &[u8]) {
    let octets = &response.body.bytes;
    let differs = octets.iter().zip(body).position(|(one, other)| one != other);
    let told = (response.status(), response.cache_status());
    assert_eq!((octets.len(), differs), (body.len(), None), "{what}: {told:?}");
}

#[test]
fn case_s0_who_joins_a_fill_whose_beginning_is_gone_gets_it_from_the_origin() {
    let (body, newer) = (noise(LENGTH), noise(LENGTH - 5));
    let (same, changed) = (("\"a\"", &body), ("\"b\"", &newer));
    // Of the response under way, and of what the origin has when it is asked again.
    let cases = [
        (Told::Length, Some("\"a\""), Some(same.0), same.1),
        (Told::Length, Some("\"a\""), Some(changed.0), changed.1),
        (Told::Length, Some("W/\"a\""), Some("W/\"a\""), &body),
        (Told::Length, None, None, &newer),
        (Told::Nothing, Some("\"a\""), Some(same.0), same.1),
        (Told::Nothing, Some("\"a\""), Some(changed.0), changed.1),
        (Told::Nothing, None, None, &newer),
    ];
    for (told, tag, tag_now, body_now) in cases {
        let what = format!("{told:?} {tag:?}, then {tag_now:?}");
        let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
        origin.on_path("/", begun(&body, told, tag, &gate)).on_path("/", now(body_now, tag_now));
        let (process, url) = (start(&folder), origin.url("/"));
        let mut first = ask(&process, &url);
        tear(&folder);
        let mut second = ask(&process, &url);
        origin.has_requests(2);
        gate.open();
        let response = second.response();
        assert_eq!(response.status(), 200, "{what}: {:?}", response.field("Proxy-Status"));
        assert_same(&what, &response, body_now);
        // The one before it has its head: it is cut where nothing else can be put behind that.
        let head = first.head();
        let is_whole = first.body(&head).end == End::Clean;
        assert!(is_whole || tag != tag_now || tag.is_none_or(|tag| tag.starts_with('W')), "{what}");
    }
}

#[test]
fn case_s0_who_reads_slowly_gets_the_rest_from_the_origin() {
    for told in [Told::Length, Told::Nothing] {
        let body = noise(LENGTH);
        let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
        origin.on_path("/", begun(&body, told, Some("\"a\""), &gate)).on_path("/", now(&body, Some("\"a\"")));
        let (process, url) = (start(&folder), origin.url("/"));
        let mut client = ask(&process, &url);
        tear(&folder);
        gate.open();
        assert_same(&format!("{told:?}"), &client.response(), &body);
        let ranges = origin.requests("/");
        assert!(ranges.len() > 1, "nothing was gone");
        assert!(
            ranges[1..]
                .iter()
                .all(|seen| seen.head.has("Range") && seen.head.field("If-Range") == Some("\"a\""))
        );
    }
}

/// What was seen: chunks of a fill under way have no record yet that they belong to, so that a reclaim
/// writes none of them again.
#[test]
fn case_s0_a_fill_goes_on_whose_chunks_are_reclaimed() {
    let (body, other) = (noise(6 * MIB), noise(3 * MIB));
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let head = Answer::cached("max-age=600").field("ETag", "\"a\"");
    let head = head.field("Content-Length", &body.len().to_string()).end_of_head();
    origin.on_path("/", head.send(&body[..5 * MIB]).wait(&gate).send(&body[5 * MIB..]));
    origin.on_path("/", now(&body, Some("\"a\"")));
    origin.otherwise(now(&other, Some("\"o\"")));
    let process = Process::start_in(&folder, &["--disk", "24MiB", "--memory", "4MiB"]);
    let mut first = ask(&process, &origin.url("/"));
    let octets =
        || segments(&folder).iter().map(|path| path.metadata().unwrap().len() as usize).sum::<usize>();
    eventually("what has arrived is on disk", || octets() >= 5 * MIB);
    let begun = segments(&folder);
    for number in 0..100 {
        if begun.iter().all(|path| !path.exists()) {
            break;
        }
        // What is asked for twice is let in.
        for _again in 0..2 {
            assert_eq!(process.client().get(&origin.url(&format!("/{number}"))).status(), 200);
        }
    }
    assert!(begun.iter().all(|path| !path.exists()), "they are not reclaimed");
    let mut second = ask(&process, &origin.url("/"));
    gate.open();
    for client in [&mut first, &mut second] {
        let response = client.response();
        assert_eq!(response.status(), 200, "{:?}", response.field("Proxy-Status"));
        assert_same("reclaimed", &response, &body);
    }
}

/// A connection that an origin closes while it is idle says nothing of the origin: what is missing of a
/// stored response is asked for on another one.
#[test]
fn case_s0_a_missing_part_is_asked_for_again_when_an_idle_connection_ends() {
    let part = |first: usize, last: usize| {
        let range = format!("bytes {first}-{last}/10");
        let answer = Answer::status(206).field("Cache-Control", "max-age=60").field("ETag", "\"a\"");
        answer.field("Content-Range", &range).body(&"0123456789"[first..=last])
    };
    let world = World::new();
    world.origin.on_path("/", part(0, 4)).on_path("/", Answer::raw("").close()).on_path("/", part(5, 9));
    assert_eq!(world.get_with("/", &[("Range", "bytes=0-4")]).status(), 206);
    let whole = world.get("/");
    assert_eq!((whole.status(), whole.text()), (200, "0123456789"));
    let ranges: Vec<_> =
        world.origin.requests("/").iter().map(|seen| seen.head.field("Range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["bytes=0-4", "bytes=5-9", "bytes=5-9"].map(|range| Some(range.to_owned())));
}
