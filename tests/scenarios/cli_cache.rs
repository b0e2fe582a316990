//! `larder cache`: a running cache looked at and purged, and a folder verified.

use rustix::process::Signal;

use crate::support::{Answer, Ended, Folder, Origin, Process, eventually, larder};

/// Runs `larder cache` with the folder that the process runs with.
fn cache(folder: &Folder, arguments: &[&str]) -> Ended {
    larder(folder, &[&["cache"], arguments].concat(), &[])
}

/// The number under this path of keys in JSON.
fn number(json: &str, path: &[&str]) -> u64 {
    let mut value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    for key in path {
        value = match key.parse::<usize>() {
            Ok(at) => value[at].take(),
            Err(_) => value[*key].take(),
        };
    }
    value.as_u64().unwrap_or_else(|| panic!("{path:?}: {value}"))
}

fn disk(json: &str, path: &[&str]) -> u64 {
    number(json, &[&["disks", "0"], path].concat())
}

#[test]
fn what_is_stored_is_counted_listed_and_shown() {
    let (folder, origin) = (Folder::new(), Origin::start());
    for path in ["/a/1", "/a/2", "/b/1"] {
        origin.on_path(path, Answer::cached("max-age=600").field("ETag", "\"x\"").body(path));
    }
    origin.on_path("/large", Answer::cached("max-age=600").body(vec![7; 3 << 20]));
    let process = Process::start_in(&folder, &[]);
    for path in ["/a/1", "/a/2", "/b/1", "/large"] {
        process.client().get(&origin.url(path));
    }
    eventually("all is on disk", || {
        disk(&cache(&folder, &["stats", "--json"]).out, &["responses", "records"]) == 7
    });
    let stats = cache(&folder, &["stats", "--json"]).out;
    let parts = ["responses", "heads", "removals", "dead"].map(|part| disk(&stats, &[part, "bytes"]));
    let sum = parts.iter().sum::<u64>() + disk(&stats, &["rest_bytes"]);
    assert_eq!(sum, disk(&stats, &["used_bytes"]));
    assert_eq!(number(&stats, &["memory", "objects"]), 4);
    let text = cache(&folder, &["stats"]).out;
    assert!(text.contains("memory") && text.contains("online"), "{text}");

    let below = cache(&folder, &["ls", "--prefix", &origin.url("/a/")]);
    let lines: Vec<&str> = below.out.lines().skip(1).collect();
    assert_eq!(lines.len(), 2, "{}", below.out);
    assert!(lines[0].ends_with(&origin.url("/a/1")) && lines[0].contains("memory+disk"), "{}", lines[0]);
    let few = cache(&folder, &["ls", "--limit", "1"]);
    assert_eq!((few.out.lines().count(), few.err.contains("3 more")), (2, true), "{}", few.err);

    let shown = cache(&folder, &["show", &origin.url("/a/1")]).out;
    for part in ["200", "600 s, as the response says", "ETag: \"x\"", "seg-"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(cache(&folder, &["show", &origin.url("/none")]).code, Some(1));
}

#[test]
fn purges_are_in_force_at_once_and_after_a_kill() {
    let (folder, origin) = (Folder::new(), Origin::start());
    for path in ["/a/1", "/a/2", "/b/1", "/c"] {
        origin.on_path(path, Answer::cached("max-age=600").field("Cache-Tag", "red, blue").body(path));
    }
    origin.on_path("/untagged", Answer::cached("max-age=600").body("x"));
    let mut process = Process::start_in(&folder, &[]);
    let host = origin.address().ip().to_string();
    let (url, below) = (origin.url("/a/1"), origin.url("/a/"));
    let cases: [(&[&str], &[&str]); 5] = [
        (&[&url], &["/a/1"]),
        (&["--prefix", &below], &["/a/1", "/a/2"]),
        (&["--tag", "blue"], &["/a/1", "/a/2", "/b/1", "/c"]),
        (&["--host", &host], &["/a/1", "/a/2", "/b/1", "/c", "/untagged"]),
        (&["--all"], &["/a/1", "/a/2", "/b/1", "/c", "/untagged"]),
    ];
    let all = ["/a/1", "/a/2", "/b/1", "/c", "/untagged"];
    for (arguments, gone) in cases {
        all.iter().for_each(|path| drop(process.client().get(&origin.url(path))));
        eventually("all is on disk", || {
            let stats = cache(&folder, &["stats", "--json"]).out;
            disk(&stats, &["responses", "records"]) >= 5
        });
        let purged = cache(&folder, &[&["purge"], arguments].concat());
        assert_eq!(purged.code, Some(0), "{}", purged.err);
        assert!(purged.out.contains("purged"), "{}", purged.out);
        let only_stored = [("Cache-Control", "only-if-cached")];
        for killed in [false, true] {
            if killed {
                process.signal(Signal::KILL);
                process.wait();
                process = Process::start_in(&folder, &[]);
            }
            for path in all {
                let response = process.client().get_with(&origin.url(path), &only_stored);
                let expected = if gone.contains(&path) { 504 } else { 200 };
                assert_eq!(response.status(), expected, "{path} after {arguments:?}, killed: {killed}");
            }
        }
    }
}

#[test]
fn urls_are_fetched_ahead() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/a", Answer::fresh(600, "a")).on_path("/b", Answer::fresh(600, "b"));
    let process = Process::start_in(&folder, &[]);
    process.client().get(&origin.url("/b"));
    let urls =
        format!("# two\n{}\n\n{}\n{}\nnonsense\n", origin.url("/a"), origin.url("/b"), origin.url("/none"));
    let warmed = cache(&folder, &["warm", &folder.write("urls", &urls)]);
    assert_eq!(warmed.out.trim(), "1 fetched (2 bytes), 1 were stored already, 2 failed");
    assert_eq!(warmed.code, Some(1));
    assert!(warmed.err.contains("answered with 404") && warmed.err.contains("nonsense"), "{}", warmed.err);
    assert!(process.client().get(&origin.url("/a")).is_hit());
}

#[test]
fn a_folder_is_verified() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/", Answer::fresh(600, "hello, disk"));
    let mut process = Process::start_in(&folder, &[]);
    process.client().get(&origin.url("/"));
    let dir = folder.path("cache");
    let verify = || cache(&folder, &["verify", &folder.text_of_path("cache")]);
    let in_use = verify();
    assert!(in_use.code == Some(1) && in_use.err.contains("in use"), "{}", in_use.err);
    process.signal(Signal::TERM);
    process.wait();
    let whole = verify();
    assert_eq!((whole.code, whole.out.contains("damaged: 0")), (Some(0), true), "{}", whole.out);
    for file in std::fs::read_dir(dir.join("store")).expect("a store").flatten() {
        let mut octets = std::fs::read(file.path()).expect("readable");
        if let Some(at) = octets.windows(5).position(|window| window == b"hello") {
            octets[at] ^= 1;
            std::fs::write(file.path(), octets).expect("writable");
        }
    }
    let damaged = verify();
    assert_eq!((damaged.code, damaged.out.contains("damaged: 1")), (Some(1), true), "{}", damaged.out);
    assert!(damaged.out.contains("seg-"), "{}", damaged.out);
    let nowhere = cache(&folder, &["verify", "/nowhere"]);
    assert_eq!((nowhere.code, nowhere.err.contains("no store")), (Some(1), true), "{}", nowhere.err);
}

#[test]
fn errors_say_what_to_do() {
    let (folder, origin) = (Folder::new(), Origin::start());
    std::fs::create_dir_all(folder.path("cache")).expect("a folder");
    assert!(cache(&folder, &["stats"]).err.contains("no larder is running"));
    let _process = Process::start_in(&folder, &[]);
    for (arguments, part) in [
        (vec!["purge", "a.example"], "does not begin with http://"),
        (vec!["show", "ftp://a.example/"], "is not a URL"),
        (vec!["purge", "--prefix", "a.example/x"], "a prefix is written as"),
        (vec!["purge", "--tag", "two words"], "a tag is a word"),
        (vec!["ls", "--limit", "100000"], "at most"),
    ] {
        let ended = cache(&folder, &arguments);
        assert!(ended.code == Some(1) && ended.err.contains(part), "{arguments:?}: {}", ended.err);
    }
    assert!(cache(&folder, &["online"]).out.contains("online, as before"));
    assert!(cache(&folder, &["purge", &origin.url("/")]).out.contains("nothing was stored"));
}

#[test]
fn a_folder_that_cant_be_used_is_named_with_the_reason() {
    let folder = Folder::new();
    let config = folder.write(
        "disks.toml",
        "[[cache.disks]]\ndir = \"one\"\nsize = \"64MiB\"\n\
         [[cache.disks]]\ndir = \"two\"\nsize = \"64MiB\"\n\
         [[cache.disks]]\ndir = \"three\"\nsize = \"64MiB\"\n",
    );
    // Files are where the folders should be.
    folder.write("two", "");
    std::fs::create_dir(folder.text_of_path("three")).expect("a folder");
    folder.write("three/store", "");
    let _process = Process::start_in(&folder, &["--config", &config]);
    let text = cache(&folder, &["stats"]).out;
    assert!(text.contains("/one/store, online\n"), "{text}");
    assert!(text.contains("/two/store, left out: ") && text.contains("/three/store, left out: "), "{text}");
    let stats: serde_json::Value =
        serde_json::from_str(&cache(&folder, &["stats", "--json"]).out).expect("JSON");
    assert_eq!(stats["disks"].as_array().map(Vec::len), Some(1), "{stats}");
    assert_eq!(stats["left_out"].as_array().map(Vec::len), Some(2), "{stats}");
}
