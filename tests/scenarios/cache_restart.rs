//! A cache that outlives its process: ended in order, killed, and with its files damaged.

use rustix::process::Signal;

use crate::support::{Answer, Folder, Origin, Process, eventually, larder};

/// Octets in the store's segments.
fn written(folder: &Folder) -> u64 {
    let store = folder.path("cache").join("store");
    let files = std::fs::read_dir(store).into_iter().flatten().flatten();
    let segments = files.filter(|file| file.file_name().to_string_lossy().starts_with("seg-"));
    segments.map(|file| file.metadata().map_or(0, |file| file.len())).sum()
}

/// Ends the process with this signal and starts it anew with the same folder.
fn restart(process: Process, folder: &Folder, signal: Signal) -> Process {
    restart_with(process, signal, &|| Process::start_in(folder, &[]))
}

fn restart_with(mut process: Process, signal: Signal, start: &dyn Fn() -> Process) -> Process {
    process.signal(signal);
    process.wait();
    drop(process);
    start()
}

#[test]
fn what_was_stored_is_a_hit_after_any_end() {
    for signal in [Signal::TERM, Signal::KILL] {
        let (folder, origin) = (Folder::new(), Origin::start());
        let long = "x".repeat(300_000);
        origin.on_path("/small", Answer::cached("max-age=600").field("ETag", "\"a\"").body("hello"));
        origin.on_path("/large", Answer::cached("max-age=600").body(&long));
        for language in ["de", "en"] {
            let answer = Answer::cached("max-age=600").field("Vary", "Accept-Language").body(language);
            origin.now_on_path("/varies", answer);
            let process = Process::start_in(&folder, &[]);
            let asked = [("Accept-Language", language)];
            assert_eq!(process.client().get_with(&origin.url("/varies"), &asked).text(), language);
            process.client().get(&origin.url("/small"));
            process.client().get(&origin.url("/large"));
            eventually("it is written", || written(&folder) > 300_000);
            drop(restart(process, &folder, Signal::TERM));
        }
        let process = restart(Process::start_in(&folder, &[]), &folder, signal);
        let asked = origin.request_count();
        for (path, body) in [("/small", "hello"), ("/large", long.as_str())] {
            let response = process.client().get(&origin.url(path));
            assert!(response.is_hit(), "{path} after {signal:?}: {}", response.cache_status());
            assert_eq!(response.text(), body);
            assert!(response.has("via"));
        }
        for language in ["de", "en"] {
            let response =
                process.client().get_with(&origin.url("/varies"), &[("Accept-Language", language)]);
            assert!(response.is_hit(), "{language}");
            assert_eq!(response.text(), language);
        }
        let ranged = process.client().get_with(&origin.url("/small"), &[("Range", "bytes=1-3")]);
        assert_eq!((ranged.status(), ranged.text()), (206, "ell"));
        assert_eq!(origin.request_count(), asked, "the origin is not asked");
    }
}

#[test]
fn what_an_unsafe_method_has_removed_stays_removed_after_a_kill() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/", Answer::cached("max-age=600").body("old"));
    let process = Process::start_in(&folder, &[]);
    process.client().get(&origin.url("/"));
    eventually("it is written", || written(&folder) > 0);
    let process = restart(process, &folder, Signal::TERM);
    assert!(process.client().get(&origin.url("/")).is_hit());
    process.client().request("DELETE", &origin.url("/"), &[], "");
    origin.now_on_path("/", Answer::cached("max-age=600").body("new"));
    let process = restart(process, &folder, Signal::KILL);
    let response = process.client().get(&origin.url("/"));
    assert!(!response.is_hit());
    assert_eq!(response.text(), "new");
}

#[test]
fn a_freshened_head_is_kept_and_a_damaged_object_is_fetched_anew() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let answer =
        |control| Answer::cached(control).field("ETag", "\"a\"").field("X-Seen", control).body("hello");
    origin.on_path("/", answer("max-age=0"));
    let process = Process::start_in(&folder, &[]);
    process.client().get(&origin.url("/"));
    eventually("it is written", || written(&folder) > 0);
    let before = written(&folder);
    let unmodified = Answer::status(304).field("ETag", "\"a\"").field("Cache-Control", "max-age=600");
    origin.now_on_path("/", unmodified.field("X-Seen", "later"));
    assert_eq!(process.client().get(&origin.url("/")).text(), "hello");
    eventually("the new head is written", || written(&folder) > before);
    assert!(written(&folder) - before <= 1024, "a 304 costs little");
    let process = restart(process, &folder, Signal::KILL);
    let response = process.client().get(&origin.url("/"));
    assert!(response.is_hit(), "{}", response.cache_status());
    assert_eq!((response.field("x-seen"), response.text()), (Some("later"), "hello"));

    // A flipped bit in the content, while nobody looks.
    drop(restart(process, &folder, Signal::TERM));
    for file in std::fs::read_dir(folder.path("cache").join("store")).expect("a store").flatten() {
        let mut octets = std::fs::read(file.path()).expect("readable");
        if let Some(at) = octets.windows(5).position(|window| window == b"hello") {
            octets[at] ^= 1;
            std::fs::write(file.path(), octets).expect("writable");
        }
    }
    origin.now_on_path("/", answer("max-age=600"));
    let process = Process::start_in(&folder, &[]);
    let response = process.client().get(&origin.url("/"));
    assert!(!response.is_hit());
    assert_eq!(response.text(), "hello");
}

#[test]
fn two_disks_keep_what_they_have_over_restarts_and_one_purge_reaches_both() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let config = folder.write(
        "two.toml",
        "[[cache.disks]]\ndir = \"one\"\nsize = \"64MiB\"\n\
         [[cache.disks]]\ndir = \"two\"\nsize = \"64MiB\"\n",
    );
    let paths: Vec<String> = (0..40).map(|number| format!("/{number}")).collect();
    for path in &paths {
        origin.on_path(path, Answer::cached("max-age=600").body(path));
    }
    let asked = |process: &Process| -> usize {
        let get = |path: &String| process.client().get(&origin.url(path));
        paths.iter().map(get).filter(|response| response.is_hit()).count()
    };
    let larder_cache = |arguments: &[&str]| larder(&folder, &[&["cache"], arguments].concat(), &[]);
    let start = || Process::start_in(&folder, &["--config", &config]);
    let process = start();
    assert_eq!(asked(&process), 0);
    eventually("all is a hit", || asked(&process) == paths.len());
    let stats = larder_cache(&["stats"]).out;
    assert!(stats.contains("/one/store, online") && stats.contains("/two/store, online"), "{stats}");
    let process = restart_with(process, Signal::KILL, &start);
    assert_eq!(asked(&process), paths.len());
    assert_eq!(larder_cache(&["purge", "--all"]).code, Some(0));
    let process = restart_with(process, Signal::KILL, &start);
    assert_eq!(asked(&process), 0);
    drop(process);
    let (one, two) = (folder.text_of_path("one"), folder.text_of_path("two"));
    let verified = larder_cache(&["verify", &one, &two]);
    assert_eq!((verified.code, verified.out.matches("damaged: 0").count()), (Some(0), 2), "{}", verified.out);
}
