//! `larder run` and `larder env` of the real binary: commands that use the proxy and know it.

use rustix::process::Signal;

use crate::support::{Certificates, Ended, Folder, Process, larder};

/// A user's folder with a configuration for interception, and what is typed there.
struct User {
    folder: Folder,
    config: String,
}

impl User {
    fn new() -> User {
        let folder = Folder::new();
        folder.write("roots.pem", &Certificates::new().root_pem());
        let config = folder.write("larder.toml", "[intercept]\nca_dir = 'ca'\nroots = 'roots.pem'\n");
        User { folder, config }
    }

    fn larder(&self, arguments: &[&str]) -> Ended {
        let variables = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LARDER", env!("CARGO_BIN_EXE_larder")),
            ("LARDER_CONFIG", &self.config),
        ];
        larder(&self.folder, arguments, &variables)
    }

    /// `larder run` of a script.
    fn run(&self, script: &str) -> Ended {
        self.larder(&["run", "--", "sh", "-c", script])
    }

    fn is_running(&self) -> bool {
        self.larder(&["cache", "stats"]).code == Some(0)
    }
}

#[test]
fn a_command_is_told_of_a_proxy_that_ends_with_it() {
    let user = User::new();
    let ended = user.run("echo $https_proxy $NO_PROXY; cat $SSL_CERT_FILE; exit 7");
    assert_eq!(ended.code, Some(7), "{ended:?}");
    let first = ended.out.lines().next().unwrap();
    assert!(first.starts_with("http://127.0.0.1:") && first.ends_with(" localhost,127.0.0.1,::1"), "{first}");
    assert!(ended.out.contains(user.folder.read("roots.pem").trim()), "the roots of the configuration");
    assert!(ended.out.contains(user.folder.read("ca/ca.pem").trim()), "the authority");
    assert!(ended.err.contains("0 requests, 0 of them hits"), "{}", ended.err);
    assert!(!user.is_running());
}

#[test]
fn what_becomes_of_the_command_becomes_of_the_run() {
    let user = User::new();
    let cases = [
        ("exit 0", 0),
        ("kill -KILL $$", 137),
        // To the run, which passes it on.
        ("trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.05; done", 9),
        ("trap 'exit 8' INT; kill -INT $PPID; while :; do sleep 0.05; done", 8),
    ];
    for (script, code) in cases {
        assert_eq!(user.run(script).code, Some(code), "{script}");
    }
    let ended = user.larder(&["run", "-q", "--", "no-such-program"]);
    assert_eq!(ended.code, Some(127));
    assert!(ended.err.contains("no-such-program") && !ended.err.contains("requests"), "{}", ended.err);
}

#[test]
fn commands_side_by_side_share_one_larder() {
    let user = User::new();
    let ended = user
        .run("echo $http_proxy; $LARDER run -q -- sh -c 'echo $http_proxy'; $LARDER cache stats > /dev/null");
    assert_eq!(ended.code, Some(0), "the inner run has left the larder to the outer one: {ended:?}");
    let lines: Vec<_> = ended.out.lines().collect();
    assert!(lines.len() == 2 && lines[0] == lines[1], "{lines:?}");
    assert!(!user.is_running());
}

#[test]
fn a_larder_that_a_killed_run_has_left_is_used_and_ended() {
    let user = User::new();
    let left = user.run("kill -KILL $PPID");
    assert_eq!(left.code, None);
    assert!(user.is_running());
    let ended = user.run("exit 0");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!user.is_running());
}

#[test]
fn a_larder_that_serves_anyhow_is_used_and_left() {
    let user = User::new();
    let mut process = Process::start_in(&user.folder, &["--config", &user.config, "--intercept"]);
    let ended = user.run("echo $http_proxy");
    assert_eq!(ended.out, format!("http://{}\n", process.address()));
    assert!(ended.err.contains("those of others included"), "{}", ended.err);
    assert!(user.is_running());
    process.signal(Signal::TERM);
    process.wait();
}

#[test]
fn without_interception_there_is_nothing_to_trust() {
    let user = User::new();
    let mut process = Process::start_in(&user.folder, &[]);
    let ended = user.larder(&["env"]);
    assert!(ended.out.contains("export https_proxy='http://127.0.0.1:"), "{}", ended.out);
    assert!(!ended.out.contains("SSL_CERT_FILE"), "nothing to trust: {}", ended.out);
    process.signal(Signal::TERM);
    process.wait();
}

#[test]
fn a_larder_that_does_not_start_says_why() {
    let user = User::new();
    user.folder.write("larder.toml", "[intercept]\nca_dir = 'ca'\nroots = 'no-such-file'\n");
    let ended = user.run("echo ran");
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("no-such-file"), "{}", ended.err);
}

#[test]
fn variables_are_printed_for_who_asks() {
    let user = User::new();
    let ended = user.larder(&["env"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("no larder is running"), "{}", ended.err);
    let process = Process::start_in(&user.folder, &["--config", &user.config, "--intercept"]);
    let bundle = user.folder.text_of_path("ca/clients/bundle.pem");
    let (host, port) = ("127.0.0.1", process.address().port());
    let cases = [
        ("sh", format!("export SSL_CERT_FILE='{bundle}'")),
        ("fish", format!("set -gx SSL_CERT_FILE '{bundle}'")),
        ("github", format!("SSL_CERT_FILE={bundle}")),
        ("docker", format!("SSL_CERT_FILE={bundle}")),
        ("gradle", format!("systemProp.https.proxyPort={port}")),
        ("maven", format!("<host>{host}</host><port>{port}</port>")),
        ("apt", format!("Acquire::https::CAInfo \"{bundle}\";")),
    ];
    for (format, expected) in cases {
        let ended = user.larder(&["env", "--format", format]);
        assert!(ended.code == Some(0) && ended.out.contains(&expected), "{format}: {ended:?}");
    }
    // What a shell is told, it can use.
    let shell =
        user.larder(&["run", "-q", "--", "sh", "-c", "eval \"$($LARDER env)\" && cat $CURL_CA_BUNDLE"]);
    assert!(shell.out.ends_with("-----END CERTIFICATE-----\n"));
    let exported = user.larder(&["ca", "export", "--bundle"]);
    assert!(exported.out == shell.out, "the same bundle, however often it is made");
}
