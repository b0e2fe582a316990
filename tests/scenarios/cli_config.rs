//! The configuration file of the real binary: what is wrong with it, and what goes before it.

use crate::support::{Answer, Ended, Folder, Origin, Process, larder};

/// Checks a file with this text.
fn check(folder: &Folder, text: &str) -> Ended {
    let file = folder.write("larder.toml", text);
    larder(folder, &["check", "--config", &file], &[])
}

/// Checks that a file with this text is refused, by `check` and by `serve`, with all this told.
fn refuses(text: &str, told: &[&str]) {
    let folder = Folder::new();
    let file = folder.write("larder.toml", text);
    for command in ["check", "serve"] {
        let ended = larder(&folder, &[command, "--config", &file], &[]);
        assert_eq!(ended.code, Some(78), "{command}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(&file), "the file: {}", ended.err);
        for told in told {
            assert!(ended.err.contains(told), "{told}: {}", ended.err);
        }
    }
}

#[test]
fn a_good_file_is_ok() {
    let folder = Folder::new();
    let ended = check(
        &folder,
        "[server]\nlisten = [8080]\n[cache]\nmemory = \"64MiB\"\n[access]\nblock = [\"a.example\"]\n",
    );
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(ended.out.starts_with("ok\n"), "{}", ended.out);
    for told in ["127.0.0.1:8080", "64 MiB", "block rules    1", "larder.toml"] {
        assert!(ended.out.contains(told), "{told}: {}", ended.out);
    }
}

#[test]
fn no_file_is_ok() {
    let folder = Folder::new();
    let ended = larder(&folder, &["check"], &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("127.0.0.1:3128"), "{}", ended.out);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
    refuses(
        "[cache]\nmemroy = \"64MiB\"\n",
        &["larder.toml:2:1", "cache.memroy", "no such key", "did you mean `memory`?"],
    );
    refuses("[cahce]\nmemory = \"64MiB\"\n", &["larder.toml:1", "cahce", "did you mean [cache]?"]);
    refuses("[server]\nblock = ['a.example']\n", &["larder.toml:2", "server.block", "in the table [access]"]);
}

#[test]
fn a_bad_value_is_named_with_its_line() {
    refuses("[server]\nlisten = ['nowhere']\n", &["larder.toml:2", "server.listen"]);
    refuses("[cache]\nmemory = 'many'\n", &["larder.toml:2", "cache.memory"]);
    refuses("\n\n[access]\nblock = ['a b']\n", &["larder.toml:4", "access.block"]);
    refuses("[access]\nblock = ['http://(']\n", &["larder.toml:2", "regular expression"]);
    refuses("[server]\nidle_timeout = 0\n", &["larder.toml:2", "server.idle_timeout"]);
}

#[test]
fn what_is_not_toml_is_named_with_its_line() {
    refuses("[server]\nlisten = [\n", &["larder.toml:"]);
    refuses("[server\n", &["larder.toml:1"]);
}

#[test]
fn a_list_that_cannot_be_read_is_named() {
    refuses("[access]\nlists = ['missing.txt']\n", &["larder.toml:2", "access.lists", "missing.txt"]);
}

#[test]
fn a_file_that_is_not_there_is_a_bad_configuration() {
    let folder = Folder::new();
    for command in ["check", "serve"] {
        let ended = larder(&folder, &[command, "--config", "missing.toml"], &[]);
        assert_eq!(ended.code, Some(78));
        assert!(ended.err.contains("missing.toml"), "{}", ended.err);
    }
}

#[test]
fn a_bad_line_of_a_list_is_a_warning() {
    let folder = Folder::new();
    folder.write("list.txt", "good.example\nbad example\n");
    let ended = check(&folder, "[access]\nlists = ['list.txt']\n");
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("list.txt:2"), "{}", ended.err);
    assert!(ended.out.contains("block rules    1"), "{}", ended.out);
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let folder = Folder::new();
    let file = folder.write("larder.toml", "[server]\nlisten = [1111]\n[cache]\nmemory = '11MiB'\n");
    let by_file: &[&str] = &["check", "--config", &file];
    let by_flag = [by_file, &["--listen", "3333", "--memory", "33MiB"]].concat();
    let variables = [("LARDER_LISTEN", "2222"), ("LARDER_MEMORY", "22MiB")];
    let (unset, set) = (&variables[..0], &variables[..]);
    let cases = [
        (by_file, unset, "127.0.0.1:1111", "11 MiB"),
        (by_file, set, "127.0.0.1:2222", "22 MiB"),
        (&by_flag, set, "127.0.0.1:3333", "33 MiB"),
        (&by_flag, unset, "127.0.0.1:3333", "33 MiB"),
    ];
    for (arguments, variables, listen, memory) in cases {
        let ended = larder(&folder, arguments, variables);
        assert!(ended.out.contains(listen) && ended.out.contains(memory), "{}{}", ended.out, ended.err);
    }
}

#[test]
fn the_environment_may_name_the_file() {
    let folder = Folder::new();
    let file = folder.write("larder.toml", "[server]\nlisten = [1111]\n");
    let ended = larder(&folder, &["check"], &[("LARDER_CONFIG", &file)]);
    assert!(ended.out.contains("127.0.0.1:1111"), "{}", ended.out);
}

#[test]
fn a_bad_variable_is_bad_usage() {
    let ended = larder(&Folder::new(), &["check"], &[("LARDER_MEMORY", "many")]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("--memory"), "{}", ended.err);
}

#[test]
fn what_the_file_says_is_done() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.otherwise(Answer::cached("max-age=60").field("Set-Cookie", "id=1").body("hello"));
    folder.write("list.txt", "0.0.0.0 listed.example\n");
    let text = "[cache]\nset_cookie = 'rfc'\n[log]\naccess = 'access.log'\nformat = 'json'\n\
                [access]\nblock = ['blocked.example']\nlists = ['list.txt']\n";
    let file = folder.write("larder.toml", text);
    let process = Process::start_in(&folder, &["--config", &file]);
    let mut client = process.client();
    assert_eq!(client.get("http://blocked.example/").status(), 403);
    assert_eq!(client.get("http://www.listed.example/").status(), 403);
    client.get(&origin.url("/"));
    assert!(client.get(&origin.url("/")).is_hit());
    drop(process.into_said());
    assert_eq!(folder.read("access.log").lines().filter(|line| line.starts_with("{\"v\":1,")).count(), 4);
}
