//! Changing a running Larder: `block`, `unblock`, `blocked`, `reload` and SIGHUP.

use rustix::process::Signal;

use crate::support::{Ended, Folder, Process, eventually, larder};

/// Whether the proxy refuses a host by a rule. Names below `localhost` need no name server, and on
/// this port nobody listens.
fn refuses(process: &Process, host: &str) -> bool {
    let response = process.client().get(&format!("http://{host}:1024/"));
    assert!(matches!(response.status(), 403 | 502), "{}", response.text());
    response.status() == 403
}

fn done(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    &ended.out
}

fn run(folder: &Folder, arguments: &[&str]) -> Ended {
    larder(folder, arguments, &[])
}

/// A running Larder with a configuration file that blocks `old.localhost`.
fn configured(folder: &Folder) -> Process {
    let file = folder.write("larder.toml", "[access]\nblock = ['old.localhost']\n");
    Process::start_in(folder, &["--config", &file])
}

#[test]
fn a_block_is_in_force_at_once_and_gone_at_once() {
    let folder = Folder::new();
    let process = Process::start_in(&folder, &[]);
    assert!(!refuses(&process, "ads.localhost"));
    assert!(done(&run(&folder, &["block", "ads.localhost", "203.0.113.0/24"])).contains("ads.localhost"));
    assert!(refuses(&process, "ads.localhost") && refuses(&process, "www.ads.localhost"));
    assert!(refuses(&process, "203.0.113.7"));
    assert_eq!(done(&run(&folder, &["blocked"])), "203.0.113.0/24\nads.localhost\n");
    done(&run(&folder, &["unblock", "ads.localhost"]));
    assert!(!refuses(&process, "ads.localhost"));
    assert_eq!(done(&run(&folder, &["blocked"])), "203.0.113.0/24\n");
}

#[test]
fn a_block_survives_a_restart() {
    let folder = Folder::new();
    let first = Process::start_in(&folder, &[]);
    done(&run(&folder, &["block", "ads.localhost"]));
    first.into_said();
    let second = Process::start_in(&folder, &[]);
    assert!(refuses(&second, "ads.localhost"));
    assert_eq!(done(&run(&folder, &["blocked"])), "ads.localhost\n");
}

#[test]
fn a_block_survives_a_kill() {
    let folder = Folder::new();
    let mut first = Process::start_in(&folder, &[]);
    done(&run(&folder, &["block", "ads.localhost"]));
    first.signal(Signal::KILL);
    first.wait();
    let second = Process::start_in(&folder, &[]);
    assert!(refuses(&second, "ads.localhost"));
}

#[test]
fn blocking_twice_says_that_there_is_nothing_to_do() {
    let folder = Folder::new();
    let _process = Process::start_in(&folder, &[]);
    done(&run(&folder, &["block", "ads.localhost"]));
    assert!(done(&run(&folder, &["block", "ADS.localhost."])).contains("already blocked"));
    done(&run(&folder, &["unblock", "ads.localhost"]));
    assert!(
        done(&run(&folder, &["unblock", "ads.localhost"])).contains("not blocked at run time: ads.localhost")
    );
    assert_eq!(done(&run(&folder, &["blocked"])), "");
}

#[test]
fn a_bad_pattern_is_bad_usage() {
    let folder = Folder::new();
    let process = Process::start_in(&folder, &[]);
    for pattern in ["a b", "203.0.113.0/33", "http://(", "ads.localhost/x"] {
        assert_eq!(run(&folder, &["block", "good.localhost", pattern]).code, Some(2), "{pattern}");
    }
    assert!(!refuses(&process, "good.localhost"));
}

#[test]
fn without_a_running_larder_the_commands_say_so() {
    let folder = Folder::new();
    for arguments in
        [&["block", "ads.localhost"][..], &["unblock", "ads.localhost"], &["blocked"], &["reload"]]
    {
        let ended = run(&folder, arguments);
        assert_eq!((ended.code, ended.err.lines().count()), (Some(1), 1), "{}", ended.err);
        assert!(ended.err.contains("no larder is running"), "{}", ended.err);
    }
}

#[test]
fn reload_takes_the_new_rules() {
    let folder = Folder::new();
    let process = configured(&folder);
    assert!(refuses(&process, "old.localhost") && !refuses(&process, "new.localhost"));
    folder.write("list.txt", "listed.localhost\n");
    folder.write("larder.toml", "[access]\nblock = ['new.localhost']\nlists = ['list.txt']\n");
    assert!(done(&run(&folder, &["reload"])).contains("reloaded: 2 block rules"));
    assert!(refuses(&process, "new.localhost") && refuses(&process, "listed.localhost"));
    assert!(!refuses(&process, "old.localhost"));
}

#[test]
fn sighup_takes_the_new_rules() {
    let folder = Folder::new();
    let process = configured(&folder);
    folder.write("larder.toml", "[access]\nblock = ['new.localhost']\n");
    process.signal(Signal::HUP);
    process.says("reloaded: 1 block rule");
    eventually("the new rule is in force", || refuses(&process, "new.localhost"));
    assert!(!refuses(&process, "old.localhost"));
}

#[test]
fn a_bad_file_leaves_the_old_rules_in_force() {
    let folder = Folder::new();
    let process = configured(&folder);
    folder.write("larder.toml", "[access]\nblok = ['new.localhost']\n");
    let ended = run(&folder, &["reload"]);
    assert_eq!(ended.code, Some(1));
    for told in ["old configuration stays", "larder.toml:2", "access.blok", "did you mean `block`?"] {
        assert!(ended.err.contains(told), "{told}: {}", ended.err);
    }
    process.signal(Signal::HUP);
    process.says("old configuration stays");
    assert!(refuses(&process, "old.localhost") && !refuses(&process, "new.localhost"));
}

#[test]
fn a_reload_keeps_what_was_blocked_at_run_time() {
    let folder = Folder::new();
    let process = configured(&folder);
    done(&run(&folder, &["block", "ads.localhost"]));
    folder.write("larder.toml", "");
    done(&run(&folder, &["reload"]));
    assert!(refuses(&process, "ads.localhost") && !refuses(&process, "old.localhost"));
}

#[test]
fn a_reload_says_what_has_to_wait_for_a_restart() {
    let folder = Folder::new();
    let _process = configured(&folder);
    folder.write("larder.toml", "[cache]\nmemory = '64MiB'\n");
    let ended = run(&folder, &["reload"]);
    assert!(done(&ended).contains("[cache] take effect at the next start"), "{}", ended.out);
}
