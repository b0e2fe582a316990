//! 7: what people read and type: the command line, its help, and what it says.

use std::io::{Read as _, Write as _};

use crate::support::{Answer, Ended, Folder, Origin, Process, World, larder};

fn run(folder: &Folder, arguments: &[&str]) -> Ended {
    larder(folder, arguments, &[])
}

/// What a command that has to go well prints.
fn done(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.out
}

#[test]
fn case_7_7_help_fits_80_columns() {
    let folder = Folder::new();
    let mut commands = vec![Vec::new()];
    let mut seen = 0;
    while let Some(command) = commands.pop() {
        for flag in ["--help", "-h"] {
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.push(flag);
            let help = done(run(&folder, &arguments));
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "larder {arguments:?}: {line}");
            }
            seen += 1;
            if flag == "-h" {
                continue;
            }
            let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
            let listed = listed.lines().take_while(|line| !line.is_empty());
            let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
            for name in names.filter(|name| !name.is_empty() && *name != "help") {
                commands.push([command.clone(), vec![name.to_owned()]].concat());
            }
        }
    }
    assert!(seen > 40, "all commands and theirs: {seen}");
}

#[test]
fn case_7_8_one_address_is_a_list_of_one() {
    let folder = Folder::new();
    for (listen, expected) in [
        ("\"3128\"", "listen         127.0.0.1:3128\n"),
        ("3128", "listen         127.0.0.1:3128\n"),
        ("\"https://127.0.0.1:3130\"", "listen         https://127.0.0.1:3130\n"),
    ] {
        let file = folder.write("larder.toml", &format!("[server]\nlisten = {listen}\n"));
        let out = done(run(&folder, &["check", "--config", &file]));
        assert!(out.contains(expected), "{listen}: {out}");
    }
}

#[test]
fn case_7_11_flags_before_a_command() {
    let folder = Folder::new();
    let file = folder.write("larder.toml", "[access]\nblock = 'old.localhost'\n");
    let cache = folder.text_of_path("cache");
    let _process = Process::start_in(&folder, &["--config", &file]);
    assert!(done(run(&folder, &["--config", &file, "reload"])).contains("reloaded: 1 block rule"));
    assert_eq!(done(run(&folder, &["--cache-dir", &cache, "block", "a.example"])), "blocked a.example\n");
    assert!(
        done(run(&folder, &["--cache-dir", &cache, "--config", &file, "cache", "stats"])).contains("memory")
    );
    assert!(done(run(&folder, &["--config", &file, "check"])).starts_with("ok\n"));
    // What only a server takes stays an error.
    assert_eq!(run(&folder, &["--memory", "1GiB", "reload"]).code, Some(2));
}

#[test]
fn case_7_11_the_old_names_of_durations_show_the_new_ones() {
    let folder = Folder::new();
    let file = folder.write("larder.toml", "[server]\ndrain_s = 5\n");
    let ended = run(&folder, &["check", "--config", &file]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.contains("now called server.drain,"), "{}", ended.err);
    for value in ["5", "\"5s\"", "\"5m\""] {
        let file = folder.write("larder.toml", &format!("[server]\ndrain = {value}\n"));
        done(run(&folder, &["check", "--config", &file]));
    }
}

/// Whether a running proxy refuses a host by a rule. Names below `localhost` need no name server, and
/// nobody listens on this port.
fn refuses(process: &Process, host: &str) -> bool {
    let response = process.client().get(&format!("http://{host}:1024/"));
    assert!(matches!(response.status(), 403 | 502), "{}", response.text());
    response.status() == 403
}

/// A running Larder that reads a list with these lines, which its configuration names.
fn with_list(folder: &Folder, lines: &str) -> Process {
    folder.write("blocklist.txt", lines);
    let file = folder.write("larder.toml", "[access]\nblock = 'config.localhost'\nlists = 'blocklist.txt'\n");
    Process::start_in(folder, &["--config", &file])
}

#[test]
fn case_7_1_a_cosmetic_line_blocks_no_site() {
    let folder = Folder::new();
    let lines = "[Adblock Plus 2.0]\na.localhost##.banner\nb.localhost#@#.x\nc.localhost#?#.x\n\
                 ||ads.localhost^\n||d.localhost^$third-party\n|http://e.localhost/|\nf.localhost # why\n";
    let process = with_list(&folder, lines);
    for open in ["a.localhost", "b.localhost", "c.localhost", "d.localhost", "e.localhost", "why.localhost"] {
        assert!(!refuses(&process, open), "{open}");
    }
    assert!(refuses(&process, "www.ads.localhost") && refuses(&process, "f.localhost"));
    let file = folder.text_of_path("larder.toml");
    let checked = run(&folder, &["check", "--config", &file]);
    assert_eq!(checked.err.lines().count(), 2, "{}", checked.err);
    for told in ["blocklist.txt:6: an ad blocker's options (third-party)", "blocklist.txt:7: "] {
        assert!(checked.err.contains(told), "{told}: {}", checked.err);
    }
}

#[test]
fn case_7_3_unblock_of_what_something_else_blocks_fails() {
    let folder = Folder::new();
    let process = with_list(&folder, "# 1\n# 2\n# 3\n# 4\n# 5\nads.localhost\n");
    let unblock = |pattern: &str| run(&folder, &["unblock", pattern]);
    for (pattern, told) in [
        ("ads.localhost", "ads.localhost is blocked by "),
        ("ads.localhost", "/blocklist.txt:6\n"),
        ("www.ads.localhost", "/blocklist.txt:6 (ads.localhost)\n"),
        ("config.localhost", "config.localhost is blocked by [access] block\n"),
    ] {
        let ended = unblock(pattern);
        assert_eq!(ended.code, Some(1), "{pattern}: {ended:?}");
        assert!(ended.err.contains(told), "{told}: {}", ended.err);
    }
    assert!(refuses(&process, "ads.localhost"));
    done(run(&folder, &["block", "ads.localhost", "run.localhost"]));
    let ended = unblock("ads.localhost");
    assert!(ended.code == Some(1) && ended.err.contains("unblocked ads.localhost; "), "{ended:?}");
    let ended = unblock("www.run.localhost");
    assert!(ended.code == Some(1) && ended.err.contains("larder block (run.localhost)"), "{ended:?}");
    assert_eq!(done(unblock("run.localhost")), "unblocked run.localhost\n");
    assert_eq!(done(unblock("run.localhost")), "not blocked at run time: run.localhost\n");
    assert!(!refuses(&process, "run.localhost"));
}

#[test]
fn case_7_4_tags_are_parted_by_commas_or_spaces() {
    for disk in ["0", "1GiB"] {
        let (folder, origin) = (Folder::new(), Origin::start());
        let fields = [
            ("/1", "Cache-Tag", "blue red"),
            ("/2", "Cache-Tag", "blue,red"),
            ("/3", "Cache-Tag", "red ,\tblue"),
            ("/4", "Surrogate-Key", "red blue"),
            ("/5", "Cache-Tag", "blueish"),
        ];
        for (path, name, value) in fields {
            origin.on_path(path, Answer::cached("max-age=600").field(name, value).body(path));
        }
        let process = Process::start_in(&folder, &["--disk", disk]);
        let hits = || fields.map(|(path, ..)| process.client().get(&origin.url(path)).is_hit());
        hits();
        assert_eq!(hits(), [true; 5]);
        let purge = |tag: &str| done(run(&folder, &["cache", "purge", "--tag", tag]));
        assert_eq!(purge("green"), "nothing with the tag green was stored\n", "{disk}");
        assert_eq!(purge("blue"), "purged all with the tag blue: 4 responses\n", "{disk}");
        assert_eq!(hits(), [false, false, false, false, true]);
    }
}

#[test]
fn case_7_11_an_empty_listing_says_so() {
    let folder = Folder::new();
    let _process = Process::start_in(&folder, &[]);
    for (arguments, told) in [
        (&["cache", "ls", "--host", "x.example"][..], "nothing of x.example is stored\n"),
        (&["cache", "ls", "--prefix", "http://x.example/"], "nothing below http://x.example/ is stored\n"),
        (&["cache", "ls"], "nothing is stored\n"),
    ] {
        let ended = run(&folder, arguments);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "", told));
    }
}

/// The colours of a style sheet by their names: by day, and by night.
fn colours(css: &str) -> Vec<(String, [[f64; 3]; 2])> {
    let colour = |text: &str| {
        let digits: String = match text.len() {
            3 => text.chars().flat_map(|digit| [digit, digit]).collect(),
            _ => text.to_owned(),
        };
        [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).expect("a colour")) / 255.0)
    };
    let line = |line: &str| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": light-dark(#")?;
        let (day, night) = value.trim_end_matches(");").split_once(", #")?;
        Some((name.to_owned(), [colour(day), colour(night)]))
    };
    css.lines().filter_map(line).collect()
}

/// WCAG 2.2: the ratio of two relative luminances.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
    let luminance = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn case_7_6_pages_have_contrast_by_day_and_by_night() {
    assert!((contrast([1.0; 3], [0.0; 3]) - 21.0).abs() < 0.001);
    let world = World::new();
    let page = world.client().get("http://larder.proxy/").text().to_owned();
    let error =
        world.client().get_with("http://127.0.0.1:1024/", &[("Accept", "text/html")]).text().to_owned();
    let admin = include_str!("../../src/admin/page.css").to_owned();
    for (css, grounds, inks) in [
        (page, &["ground"][..], &["text", "soft", "accent"][..]),
        (error, &["ground"], &["text", "soft", "accent"]),
        (admin, &["ground", "card"], &["text", "soft", "accent", "warn"]),
    ] {
        let colours = colours(&css);
        let of = |name: &str| colours.iter().find(|(found, _)| found == name).expect(name).1;
        assert!(css.contains("color-scheme: light dark;"), "of the root: {css}");
        for used in ["background: var(--ground); color: var(--text)", "a { color: var(--accent)"] {
            assert!(css.contains(used), "{used}: {css}");
        }
        for (ground, ink) in grounds.iter().flat_map(|ground| inks.iter().map(move |ink| (ground, ink))) {
            for night in [0, 1] {
                let ratio = contrast(of(ground)[night], of(ink)[night]);
                assert!(ratio >= 4.5, "{ink} on {ground}, night {night}: {ratio:.2}");
            }
        }
    }
}

/// The numbers as a scraper with this `Accept` gets them, and their type.
fn metrics(admin: &str, accept: &str) -> (String, String) {
    let mut stream = std::net::TcpStream::connect(admin).expect("the admin pages");
    let fields = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\n{fields}\r\n").expect("an open connection");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("text");
    let (head, content) = response.split_once("\r\n\r\n").expect("a head");
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).expect("a type");
    (kind.to_owned(), content.to_owned())
}

#[test]
fn case_7_5_metrics_come_in_the_format_that_is_asked_for() {
    let process = Process::start(&["--admin", "127.0.0.1:0"]);
    let line = process.says("admin ");
    let admin = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    for accept in
        ["text/plain;version=0.0.4", "", "*/*", "application/openmetrics-text;q=0.2, text/plain;q=0.3"]
    {
        let (kind, text) = metrics(admin, accept);
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8", "{accept}");
        assert!(text.contains("# TYPE larder_requests_total counter\nlarder_requests_total 0\n"), "{text}");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().expect("a name");
            assert!(text.contains(&format!("# TYPE {name} ")), "{name} has no type of its own");
        }
    }
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    let (kind, text) = metrics(admin, accept);
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.contains("# TYPE larder_requests counter\n") && text.ends_with("# EOF\n"), "{text}");
}
