//! Starting and stopping the real binary: what it says, and how it ends.

use rustix::process::Signal;

use crate::support::{Answer, Folder, Origin, Process, larder};

/// Checks that serving with these arguments fails at once, with this code and one line that says
/// all this.
fn fails(folder: &Folder, arguments: &[&str], told: &[&str]) {
    let base = ["serve", "--listen", "127.0.0.1:0"];
    let ended = larder(folder, &[&base, arguments].concat(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let lines: Vec<_> = ended.err.lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with("larder: "), "one clear line: {}", ended.err);
    for told in told {
        assert!(lines[0].contains(told), "{told}: {}", lines[0]);
    }
}

#[test]
fn without_configuration_it_says_where_it_listens_and_how_to_use_it() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/", Answer::ok("hello"));
    let process = Process::start_in(&folder, &[]);
    let address = process.address();
    process.says(&format!("curl -x http://{address} "));
    process.says(&format!("export http_proxy=http://{address} https_proxy=http://{address}"));
    assert_eq!(process.client().get(&origin.url("/")).text(), "hello");
}

#[test]
fn sigterm_and_sigint_end_it_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let mut process = Process::start_in(&folder, &[]);
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(0));
    }
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let folder = Folder::new();
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let ended = larder(&folder, &["--listen", &address], &[]);
    assert_eq!((ended.code, ended.err.lines().count()), (Some(1), 1), "{}", ended.err);
    assert!(ended.err.contains(&format!("{address} is in use")), "{}", ended.err);
    assert!(ended.err.contains("--listen"), "it says what to do: {}", ended.err);
}

#[test]
fn the_port_of_another_larder_is_in_use_too() {
    let (first, second) = (Folder::new(), Folder::new());
    let process = Process::start_in(&first, &[]);
    let ended = larder(&second, &["--listen", &process.address().to_string()], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("is in use"), "{}", ended.err);
}

#[test]
fn a_cache_folder_that_is_a_file_is_one_clear_line() {
    let folder = Folder::new();
    let file = folder.write("file", "precious");
    fails(&folder, &["--cache-dir", &file], &["cache folder", &file, "not a folder"]);
    assert_eq!(folder.read("file"), "precious");
}

#[test]
fn a_cache_folder_that_cannot_be_made_is_one_clear_line() {
    let folder = Folder::new();
    // Nobody makes a folder there, not even root.
    fails(&folder, &["--cache-dir", "/proc/larder"], &["cache folder", "/proc/larder"]);
}

#[test]
fn an_access_log_that_cannot_be_opened_is_one_clear_line() {
    let folder = Folder::new();
    let path = folder.text_of_path("missing/access.log");
    fails(&folder, &["--access-log", &path], &["access log", &path]);
}

#[test]
fn two_larders_do_not_share_a_cache_folder() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/", Answer::ok("hello"));
    let first = Process::start_in(&folder, &[]);
    fails(&folder, &[], &["another larder", "cache folder"]);
    assert_eq!(first.client().get(&origin.url("/")).text(), "hello");
    assert_eq!(larder(&folder, &["blocked"], &[]).code, Some(0), "the first one still answers");
}

#[test]
fn a_folder_whose_larder_was_killed_can_be_used_again() {
    let folder = Folder::new();
    let mut first = Process::start_in(&folder, &[]);
    first.signal(Signal::KILL);
    first.wait();
    let second = Process::start_in(&folder, &[]);
    assert_eq!(larder(&folder, &["blocked"], &[]).code, Some(0));
    drop(second);
}

#[test]
fn bad_usage_ends_with_2() {
    let folder = Folder::new();
    let cases: &[&[&str]] =
        &[&["--listn", "80"], &["--listen", "nowhere:x"], &["--memory", "many"], &["blok"], &["block"]];
    for arguments in cases {
        let ended = larder(&folder, arguments, &[]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.err.starts_with("error: "), "{}", ended.err);
    }
}

#[test]
fn help_and_version_are_no_failure() {
    let folder = Folder::new();
    let version = larder(&folder, &["--version"], &[]);
    assert_eq!((version.code, version.out), (Some(0), format!("larder {}\n", env!("CARGO_PKG_VERSION"))));
    let help = larder(&folder, &["--help"], &[]);
    assert_eq!(help.code, Some(0));
    for command in ["serve", "check", "reload", "block", "unblock", "blocked", "--listen", "curl -x"] {
        assert!(help.out.contains(command), "{command}");
    }
}
