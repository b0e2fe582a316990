//! Changing a running Larder: `block`, `unblock`, `blocked`, `reload` and SIGHUP.

use rustix::process::Signal;

use crate::support::{Ended, Folder, Process, eventually, larder};

/// Whether the proxy refuses a name by a rule. A name that is not blocked does not exist.
fn refuses(process: &Process, host: &str) -> bool {
    let response = process.client().get(&format!("http://{host}/"));
    assert!(matches!(response.status(), 403 | 502 | 504), "{}", response.text());
    response.status() == 403
}

fn done(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    &ended.out
}

fn run(folder: &Folder, arguments: &[&str]) -> Ended {
    larder(folder, arguments, &[])
}

/// A running Larder with a configuration file that blocks `old.invalid`.
fn configured(folder: &Folder) -> Process {
    let file = folder.write("larder.toml", "[access]\nblock = ['old.invalid']\n");
    Process::start_in(folder, &["--config", &file])
}

#[test]
fn a_block_is_in_force_at_once_and_gone_at_once() {
    let folder = Folder::new();
    let process = Process::start_in(&folder, &[]);
    assert!(!refuses(&process, "ads.invalid"));
    assert!(done(&run(&folder, &["block", "ads.invalid", "203.0.113.0/24"])).contains("ads.invalid"));
    assert!(refuses(&process, "ads.invalid") && refuses(&process, "www.ads.invalid"));
    assert!(refuses(&process, "203.0.113.7"));
    assert_eq!(done(&run(&folder, &["blocked"])), "203.0.113.0/24\nads.invalid\n");
    done(&run(&folder, &["unblock", "ads.invalid"]));
    assert!(!refuses(&process, "ads.invalid"));
    assert_eq!(done(&run(&folder, &["blocked"])), "203.0.113.0/24\n");
}

#[test]
fn a_block_survives_a_restart() {
    let folder = Folder::new();
    let first = Process::start_in(&folder, &[]);
    done(&run(&folder, &["block", "ads.invalid"]));
    first.into_said();
    let second = Process::start_in(&folder, &[]);
    assert!(refuses(&second, "ads.invalid"));
    assert_eq!(done(&run(&folder, &["blocked"])), "ads.invalid\n");
}

#[test]
fn a_block_survives_a_kill() {
    let folder = Folder::new();
    let mut first = Process::start_in(&folder, &[]);
    done(&run(&folder, &["block", "ads.invalid"]));
    first.signal(Signal::KILL);
    first.wait();
    let second = Process::start_in(&folder, &[]);
    assert!(refuses(&second, "ads.invalid"));
}

#[test]
fn blocking_twice_says_that_there_is_nothing_to_do() {
    let folder = Folder::new();
    let _process = Process::start_in(&folder, &[]);
    done(&run(&folder, &["block", "ads.invalid"]));
    assert!(done(&run(&folder, &["block", "ADS.invalid."])).contains("already blocked"));
    done(&run(&folder, &["unblock", "ads.invalid"]));
    assert!(done(&run(&folder, &["unblock", "ads.invalid"])).contains("already unblocked"));
    assert_eq!(done(&run(&folder, &["blocked"])), "");
}

#[test]
fn a_bad_pattern_is_bad_usage() {
    let folder = Folder::new();
    let process = Process::start_in(&folder, &[]);
    for pattern in ["a b", "203.0.113.0/33", "http://(", "ads.invalid/x"] {
        assert_eq!(run(&folder, &["block", "good.invalid", pattern]).code, Some(2), "{pattern}");
    }
    assert!(!refuses(&process, "good.invalid"));
}

#[test]
fn without_a_running_larder_the_commands_say_so() {
    let folder = Folder::new();
    for arguments in [&["block", "ads.invalid"][..], &["unblock", "ads.invalid"], &["blocked"], &["reload"]] {
        let ended = run(&folder, arguments);
        assert_eq!((ended.code, ended.err.lines().count()), (Some(1), 1), "{}", ended.err);
        assert!(ended.err.contains("no larder is running"), "{}", ended.err);
    }
}

#[test]
fn reload_takes_the_new_rules() {
    let folder = Folder::new();
    let process = configured(&folder);
    assert!(refuses(&process, "old.invalid") && !refuses(&process, "new.invalid"));
    folder.write("list.txt", "listed.invalid\n");
    folder.write("larder.toml", "[access]\nblock = ['new.invalid']\nlists = ['list.txt']\n");
    assert!(done(&run(&folder, &["reload"])).contains("reloaded: 2 block rules"));
    assert!(refuses(&process, "new.invalid") && refuses(&process, "listed.invalid"));
    assert!(!refuses(&process, "old.invalid"));
}

#[test]
fn sighup_takes_the_new_rules() {
    let folder = Folder::new();
    let process = configured(&folder);
    folder.write("larder.toml", "[access]\nblock = ['new.invalid']\n");
    process.signal(Signal::HUP);
    eventually("the new rule is in force", || refuses(&process, "new.invalid"));
    assert!(!refuses(&process, "old.invalid"));
}

#[test]
fn a_bad_file_leaves_the_old_rules_in_force() {
    let folder = Folder::new();
    let process = configured(&folder);
    folder.write("larder.toml", "[access]\nblok = ['new.invalid']\n");
    let ended = run(&folder, &["reload"]);
    assert_eq!(ended.code, Some(1));
    for told in ["old configuration stays", "larder.toml:2", "access.blok", "did you mean `block`?"] {
        assert!(ended.err.contains(told), "{told}: {}", ended.err);
    }
    process.signal(Signal::HUP);
    process.says("old configuration stays");
    assert!(refuses(&process, "old.invalid") && !refuses(&process, "new.invalid"));
}

#[test]
fn a_reload_keeps_what_was_blocked_at_run_time() {
    let folder = Folder::new();
    let process = configured(&folder);
    done(&run(&folder, &["block", "ads.invalid"]));
    folder.write("larder.toml", "");
    done(&run(&folder, &["reload"]));
    assert!(refuses(&process, "ads.invalid") && !refuses(&process, "old.invalid"));
}

#[test]
fn a_reload_says_what_has_to_wait_for_a_restart() {
    let folder = Folder::new();
    let _process = configured(&folder);
    folder.write("larder.toml", "[cache]\nmemory = '64MiB'\n");
    let ended = run(&folder, &["reload"]);
    assert!(done(&ended).contains("[cache] take effect at the next start"), "{}", ended.out);
}
