//! 7: what people are told: the admin pages, and documents that a test can hold to their word.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use crate::support::{Answer, Client, Folder, Origin, Process, World, larder};

/// The documents for users that have commands and configurations in them.
const DOCUMENTS: [&str; 4] = ["README.md", "docs/configuration.md", "docs/https.md", "docs/admin.md"];

fn document(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("text")
}

/// The blocks of code in a document with this word behind their fence.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(word), None) => {
                inside = Some(word == language);
                if word == language {
                    found.push(String::new());
                }
            }
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => found.last_mut().expect("one was begun").extend([line, "\n"]),
            (None, _) => {}
        }
    }
    found
}

/// The port of the admin pages of a process that was started with them.
fn admin_port(process: &Process) -> u16 {
    let line = process.says("  admin   ");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// Asks for an admin page at this address: the whole response.
fn page(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the admin pages");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("an open connection");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("text");
    response
}

/// An address of this machine that others reach; `None` where it has no network. Nothing is sent.
fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[test]
fn case_7_2_the_pac_file_names_an_address_that_the_asker_reaches() {
    let folder = Folder::new();
    let mut asked: Vec<IpAddr> = vec!["127.0.0.1".parse().expect("an address")];
    asked.extend(lan_address());
    let clients: Vec<String> = asked.iter().map(|ip| format!("'{ip}'")).collect();
    let file = folder.write("larder.toml", &format!("[access]\nclients = [{}]\n", clients.join(", ")));
    let process = Process::start_at(&folder, "0.0.0.0:0", &["--config", &file, "--admin", "0.0.0.0:0"]);
    for ip in asked {
        for path in ["/proxy.pac", "/wpad.dat"] {
            let script = page(SocketAddr::new(ip, admin_port(&process)), path);
            let expected = SocketAddr::new(ip, process.address().port());
            assert!(script.contains(&format!("\"PROXY {expected}\"")), "{path} at {ip}: {script}");
            let proof = Client::connect(expected).get("http://larder.proxy/");
            assert!(proof.text().contains("Larder works"), "{}", proof.text());
        }
    }
}

#[test]
fn case_7_2_others_are_never_told_of_a_loopback_address() {
    let Some(ip) = lan_address() else {
        return;
    };
    let process = Process::start(&["--admin", "0.0.0.0:0"]);
    let port = admin_port(&process);
    let refused = page(SocketAddr::new(ip, port), "/proxy.pac");
    assert!(refused.starts_with("HTTP/1.1 404 "), "{refused}");
    assert!(refused.contains(&format!("--listen {ip}")) && !refused.contains("PROXY"), "{refused}");
    let own = page(SocketAddr::from(([127, 0, 0, 1], port)), "/proxy.pac");
    assert!(own.contains(&format!("\"PROXY {}\"", process.address())), "{own}");
}

#[test]
fn case_7_9_configurations_in_the_documents_can_be_used() {
    let folder = Folder::new();
    folder.write("blocklist.txt", "ads.example\n");
    let mut seen = 0;
    for path in DOCUMENTS {
        for block in blocks(&document(path), "toml") {
            let file = folder.write("larder.toml", &block);
            let ended = larder(&folder, &["check", "--config", &file], &[]);
            assert_eq!(ended.code, Some(0), "{path}:\n{block}{}", ended.err);
            seen += 1;
        }
    }
    assert!(seen >= 8, "they have examples: {seen}");
}

#[test]
fn case_7_9_the_documents_have_every_metric_and_no_other() {
    let folder = Folder::new();
    let rule = "[[cache.rule]]\nname = 'a'\nfresh_for = '1d'\n";
    let file = folder.write("larder.toml", rule);
    let arguments = ["--config", &file, "--admin", "127.0.0.1:0", "--disk", "1GiB"];
    let process = Process::start_in(&folder, &arguments);
    let text = page(SocketAddr::from(([127, 0, 0, 1], admin_port(&process))), "/metrics");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let served: BTreeSet<String> = types.map(str::to_owned).collect();
    let admin = document("docs/admin.md");
    let rows = admin.lines().filter_map(|line| line.strip_prefix("| `larder_")?.split(['`', '{']).next());
    let documented: BTreeSet<String> = rows.map(|name| format!("larder_{name}")).collect();
    // One for a folder that was left out is served where there is such a folder.
    let only_sometimes = ["larder_disk_left_out"];
    let differ: Vec<_> = served.symmetric_difference(&documented).collect();
    assert!(differ.iter().all(|name| only_sometimes.contains(&name.as_str())), "{differ:?}");
}

#[test]
fn case_7_10_commands_and_flags_in_the_documents_exist() {
    let folder = Folder::new();
    let mut seen = 0;
    for path in DOCUMENTS {
        for line in blocks(&document(path), "").iter().flat_map(|block| block.lines()) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let Some(command) = line.strip_prefix("larder ") else {
                continue;
            };
            // What comes behind `--` or `#` is another program's, or a remark.
            let words = command.split(" #").next().unwrap_or_default().split_whitespace();
            let words: Vec<&str> = words.take_while(|word| !["--", "&", "|"].contains(word)).collect();
            let flags = words.iter().filter(|word| word.starts_with("--"));
            let names: Vec<&str> = words.iter().copied().take_while(|word| is_name(word)).collect();
            let help = help_of(&folder, &names);
            for flag in flags {
                assert!(help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")), "{line}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 15, "they have commands: {seen}");
}

fn is_name(word: &str) -> bool {
    word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The help of the command that these words begin with.
fn help_of(folder: &Folder, names: &[&str]) -> String {
    for count in (0..=names.len().min(2)).rev() {
        let mut arguments = names[..count].to_vec();
        // A word behind the command would be an argument: help is for what is known as a command.
        arguments.push("--help");
        let ended = larder(folder, &arguments, &[]);
        let usage = ["larder"].iter().chain(&names[..count]).copied().collect::<Vec<_>>().join(" ");
        if ended.code == Some(0) && ended.out.contains(&format!("Usage: {usage}")) {
            return ended.out;
        }
    }
    panic!("no command is called {names:?}");
}

#[test]
fn case_7_10_the_exit_codes_of_readme() {
    let folder = Folder::new();
    let readme = document("README.md");
    let wrong = folder.write("larder.toml", "[cache]\nmemry = '1GiB'\n");
    for (code, arguments) in [
        (0, &["check"][..]),
        (1, &["reload"]),
        (2, &["--no-such-flag"]),
        (78, &["check", "--config", &wrong]),
    ] {
        assert_eq!(larder(&folder, arguments, &[]).code, Some(code), "{arguments:?}");
        assert!(readme.contains(&format!("\n| {code} | ")), "README.md has the exit code {code}");
    }
}

#[test]
fn case_7_10_cache_status_is_where_readme_says() {
    let world = World::new();
    world.origin.on_path("/a", Answer::cached("max-age=60"));
    let far = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let authority = far.local_addr().expect("it is bound").to_string();
    for _ in 0..2 {
        assert!(world.get("/a").cache_status().starts_with("larder; "));
    }
    for own in ["http://larder.proxy/", "http://127.0.0.1:1024/", "ftp://a.example/"] {
        assert!(world.client().get(own).cache_status().starts_with("larder"), "{own}");
    }
    let ask = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let opened = world.client().send(ask).response_to("CONNECT");
    assert_eq!((opened.status(), opened.cache_status()), (200, ""));
}

#[test]
fn case_7_12_the_admin_page_is_short_and_counts_failures_apart() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/a", Answer::cached("max-age=60"));
    let process = Process::start_in(&folder, &["--admin", "127.0.0.1:0", "--disk", "1GiB"]);
    let mut client = process.client();
    for url in [origin.url("/a"), origin.url("/a"), "http://127.0.0.1:1024/".to_owned()] {
        client.get(&url);
    }
    client.settle();
    let admin = SocketAddr::from(([127, 0, 0, 1], admin_port(&process)));
    let shown = page(admin, "/");
    assert!(shown.contains("<b>50 %</b><span>from the cache</span>"), "a failure is no miss: {shown}");
    assert!(shown.contains("<th scope=row>Failed<small>no whole response for the client</small></th><td>1<"));
    let path = folder.text_of_path("cache");
    assert!(!shown.contains(&path) && shown.contains("/cache"), "a folder has its last names: {shown}");
}
