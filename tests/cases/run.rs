//! 6.1–6.8: `larder run` and `larder env` where the world is odd: beside a running Larder, with roots and
//! proxies of the user's own, in long paths; and what is said afterwards.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::support::{Answer, Certificates, Client, Ended, Folder, Origin, Process, eventually, larder};

/// A user's folder: with roots that the machine has, and an authority of the installation's own.
struct User {
    folder: Folder,
    config: String,
    certificates: Certificates,
}

impl User {
    fn new() -> User {
        let (folder, certificates) = (Folder::new(), Certificates::new());
        folder.write("roots.pem", &certificates.root_pem());
        let config = folder.write("larder.toml", "[intercept]\nca_dir = 'ca'\nroots = 'roots.pem'\n");
        User { folder, config, certificates }
    }

    fn origin(&self) -> Origin {
        Origin::start_tls(Arc::new(self.certificates.server("localhost")))
    }

    fn variables(&self) -> [(&str, &str); 3] {
        [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LARDER", env!("CARGO_BIN_EXE_larder")),
            ("LARDER_CONFIG", &self.config),
        ]
    }

    fn larder_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ended {
        larder(&self.folder, arguments, &[&self.variables(), more].concat())
    }

    fn larder(&self, arguments: &[&str]) -> Ended {
        self.larder_with(arguments, &[])
    }

    fn run_with(&self, script: &str, more: &[(&str, &str)]) -> Ended {
        self.larder_with(&["run", "--", "sh", "-c", script], more)
    }

    fn run(&self, script: &str) -> Ended {
        self.run_with(script, &[])
    }

    /// Fetches a URL through the Larder of a run in this cache folder.
    fn fetch(&self, folder: &str, url: &str) -> String {
        format!("echo {url} | $LARDER cache warm --cache-dir {} -", self.folder.text_of_path(folder))
    }
}

/// `larder run` of a command that goes on until it is told.
struct Held {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    proxy: std::net::SocketAddr,
}

impl Held {
    fn start(user: &User) -> Held {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command.args(["run", "--", "sh", "-c", "echo ${https_proxy#http://}; read told"]);
        command.env_clear().envs(user.variables()).env("HOME", user.folder.path(""));
        command.env("LARDER_CACHE_DIR", user.folder.path("cache"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary is built");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("text");
        Held { child, out, proxy: line.trim().parse().expect("an address") }
    }

    /// What it says on the standard error until its end.
    fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
        self.out.read_to_string(&mut String::new()).expect("text");
        self.child.wait().expect("it ends");
        said
    }
}

#[test]
fn case_6_1_a_larder_that_only_tunnels_does_not_keep_a_command_from_running() {
    let user = User::new();
    let process = Process::start_in(&user.folder, &[]);
    let ended = user.run("echo ${http_proxy#http://}; $LARDER run -q -- sh -c 'echo ${http_proxy#http://}'; cat $SSL_CERT_FILE");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_ne!(lines[0], process.address().to_string(), "one of its own");
    assert_eq!(lines[0], lines[1], "the inner run shares the Larder of the outer one");
    assert!(ended.out.contains(user.folder.read("ca/ca.pem").trim()), "its authority is trusted");
    let own = user.folder.text_of_path("cache/run");
    assert_eq!(
        user.larder(&["cache", "stats", "--cache-dir", &own]).code,
        Some(1),
        "it ends with the command"
    );
    assert_eq!(user.larder(&["cache", "stats"]).code, Some(0), "the other one goes on");
    // What it has stored is there for the next command, and for questions.
    let origin = user.origin();
    origin.on_path("/x", Answer::cached("max-age=600").body("hello"));
    let url = origin.https_url("localhost", "/x");
    for _ in 0..2 {
        let ended = user.run(&user.fetch("cache/run", &url));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(origin.requests("/x").len(), 1);
    drop(process);
}

#[test]
fn case_6_1_the_disks_of_a_server_are_left_to_it() {
    let user = User::new();
    let text = "[cache]\ndisks = { dir = 'disk', size = '64MiB' }\n[intercept]\nca_dir = 'ca'\nroots = 'roots.pem'\n";
    user.folder.write("larder.toml", text);
    let _process = Process::start_in(&user.folder, &["--config", &user.config]);
    let ended = user.run("exit 3");
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[test]
fn case_6_2_aws_ca_bundle_is_set_only_where_the_user_has_set_it() {
    let user = User::new();
    assert_eq!(user.run("echo \"${AWS_CA_BUNDLE-unset}\"").out, "unset\n");
    let own = user.folder.write("own.pem", &Certificates::new().root_pem());
    let ended = user.run_with("echo $AWS_CA_BUNDLE; cat $AWS_CA_BUNDLE", &[("AWS_CA_BUNDLE", &own)]);
    assert!(ended.out.starts_with(&user.folder.text_of_path("ca/clients/bundle.pem")), "{}", ended.out);
    assert!(ended.out.contains(user.folder.read("own.pem").trim()));
}

#[test]
fn case_6_3_programs_with_variables_and_files_of_their_own() {
    let user = User::new();
    let script = "for name in ALL_PROXY all_proxy YARN_HTTP_PROXY YARN_HTTPS_PROXY; do eval test \\$$name = $http_proxy || echo $name; done
        for name in BUNDLE_SSL_CA_CERT HTTPLIB2_CA_CERTS; do eval test \\$$name = $SSL_CERT_FILE || echo $name; done
        cat ${PHP_INI_SCAN_DIR#:}/larder.ini ${HGRCPATH##*:}; echo $HGRCPATH";
    let out = user.run(script).out;
    let bundle = user.folder.text_of_path("ca/clients/bundle.pem");
    let home = user.folder.text_of_path("");
    let expected = [
        &format!("curl.cainfo = \"{bundle}\""),
        &format!("openssl.cafile = \"{bundle}\""),
        &format!("auto_prepend_file = \"{}\"", user.folder.text_of_path("ca/clients/php/larder.php")),
        "[web]",
        &format!("cacerts = {bundle}"),
    ];
    assert_eq!(out.lines().take(5).collect::<Vec<_>>(), expected);
    let path = out.lines().last().expect("HGRCPATH");
    assert!(path.starts_with("/etc/mercurial/hgrc:") && path.contains(&format!("{home}/.hgrc:")), "{path}");
}

#[test]
fn case_6_4_roots_of_the_users_own_stay_trusted() {
    let user = User::new();
    let corporate = Certificates::named("corporate");
    let origin = Origin::start_tls(Arc::new(corporate.server("localhost")));
    origin.on_path("/x", Answer::ok("hello"));
    let url = origin.https_url("localhost", "/x");
    let file = user.folder.write("corporate.pem", &corporate.root_pem());
    std::fs::create_dir(user.folder.path("certs")).expect("a folder");
    user.folder.write("certs/1.pem", &corporate.root_pem());
    let folder = user.folder.text_of_path("certs");
    let script = format!(
        "cat $CURL_CA_BUNDLE > bundle; cat $NODE_EXTRA_CA_CERTS > extra; {}",
        user.fetch("cache", &url)
    );
    let script = format!("cd {}; {script}", user.folder.text_of_path(""));
    for (name, value) in [
        ("REQUESTS_CA_BUNDLE", &file),
        ("NODE_EXTRA_CA_CERTS", &file),
        ("SSL_CERT_FILE", &file),
        ("CURL_CA_BUNDLE", &file),
        ("AWS_CA_BUNDLE", &file),
        ("SSL_CERT_DIR", &folder),
    ] {
        let ended = user.run_with(&script, &[(name, value)]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        for root in ["corporate.pem", "roots.pem", "ca/ca.pem"] {
            assert!(user.folder.read("bundle").contains(user.folder.read(root).trim()), "{name}: {root}");
        }
        assert!(user.folder.read("extra").contains(user.folder.read("ca/ca.pem").trim()), "{name}");
        let has_root = user.folder.read("extra").contains(user.folder.read("corporate.pem").trim());
        assert_eq!(has_root, name == "NODE_EXTRA_CA_CERTS", "{name}");
    }
    assert_eq!(user.run(&script).code, Some(1), "without a variable nobody trusts it");
}

#[test]
fn case_6_4_an_unknown_root_says_where_to_add_it() {
    let user = User::new();
    let corporate = Certificates::named("corporate");
    let origin = Origin::start_tls(Arc::new(corporate.server("localhost")));
    origin.on_path("/x", Answer::ok("hello"));
    let url = origin.https_url("localhost", "/x");
    let process = Process::start_in(&user.folder, &["--config", &user.config]);
    let refused = process.client().get(&url);
    assert_eq!(refused.status(), 502);
    assert!(refused.text().contains("[intercept] extra_roots"), "{}", refused.text());
    drop(process);
    user.folder.write("corporate.pem", &corporate.root_pem());
    let text = "[intercept]\nca_dir = 'ca'\nroots = 'roots.pem'\nextra_roots = 'corporate.pem'\n";
    user.folder.write("larder.toml", text);
    let process = Process::start_in(&user.folder, &["--config", &user.config]);
    assert_eq!(process.client().get(&url).text(), "hello");
}

#[test]
fn case_6_5_a_proxy_that_is_not_used_is_said() {
    let user = User::new();
    let proxy = ("HTTPS_PROXY", "http://us:secret@proxy.corp.test:8080");
    let ended = user.run_with("exit 0", &[proxy]);
    let lines: Vec<&str> = ended.err.lines().filter(|line| line.contains("proxy.corp.test")).collect();
    assert!(lines.len() == 1 && lines[0].contains("HTTPS_PROXY (http://proxy.corp.test:8080) is not used"));
    assert!(!ended.err.contains("secret"), "{}", ended.err);
    assert!(!user.run_with("exit 0", &[proxy, ("NO_PROXY", "*")]).err.contains("is not used"));
    assert!(!user.run("$LARDER run -- true").err.contains("is not used"), "nested");
}

#[test]
fn case_6_6_requests_inside_count_and_their_connects_do_not() {
    let user = User::new();
    let origin = user.origin();
    origin.on_path("/x", Answer::cached("max-age=600").body("hello"));
    let authority = format!("localhost:{}", origin.address().port());
    let fetch = |proxy| {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(user.folder.read("ca/ca.pem").as_bytes());
        roots.add(root.expect("a certificate")).expect("a root");
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut client = Client::connect(proxy);
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(client.response_to("CONNECT").status(), 200);
        let mut inside = client.within_tls(config, "localhost");
        inside.send(format!("GET /x HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"));
        assert_eq!(inside.response().text(), "hello");
    };
    for (hits, share) in [(0, 0), (1, 100)] {
        let held = Held::start(&user);
        fetch(held.proxy);
        let said = held.finish();
        let expected = format!("larder: 1 request, {hits} of them hits ({share} %), ");
        assert!(said.starts_with(&expected), "{said}");
        assert!(!said.contains("nothing went through"), "{said}");
    }
    let said = user.run("exit 0").err;
    assert!(said.contains("0 requests") && said.contains("nothing went through the proxy"), "{said}");
    assert!(said.contains("localhost,127.0.0.1,::1"), "{said}");
    let said = user.run_with("exit 0", &[("NO_PROXY", "corp.test")]).err;
    assert!(said.contains("(corp.test)"), "{said}");
}

#[test]
fn case_6_7_a_run_can_be_asked_about_afterwards() {
    let user = User::new();
    let origin = user.origin();
    origin.on_path("/kept", Answer::cached("max-age=600").body("hello"));
    origin.on_path("/private", Answer::cached("no-store").body("hello"));
    for served in [false, true] {
        let _process = served.then(|| Process::start_in(&user.folder, &[]));
        let folder = if served { "cache/run" } else { "cache" };
        let (kept, private) =
            (origin.https_url("localhost", "/kept"), origin.https_url("localhost", "/private"));
        let script = format!("{}; {}", user.fetch(folder, &kept), user.fetch(folder, &private));
        let said = user.run(&script).err;
        let log = user.folder.text_of_path(&format!("{folder}/run-access.log"));
        assert!(said.contains(&format!("larder: log in {log};")), "{said}");
        let lines = std::fs::read_to_string(&log).expect("a log");
        let line = lines.lines().rev().find(|line| line.contains("/private")).expect("a line");
        let id = line.split("\"id\":\"").nth(1).and_then(|rest| rest.get(..16)).expect("an id");
        let explained = user.larder(&["explain", id]);
        assert_eq!(explained.code, Some(0), "{explained:?}");
        assert!(explained.out.starts_with(&format!("request {id}: GET {private}\n")), "{}", explained.out);
        assert!(explained.out.contains("the answer was not stored"), "{}", explained.out);
        let folder = user.folder.text_of_path(folder);
        let explained = user.larder(&["explain", "--cache-dir", &folder, &kept]);
        assert!(explained.out.contains("a hit"), "{explained:?}");
        let unknown = user.larder(&["explain", "--cache-dir", &folder, "0123456789abcdef"]);
        assert_eq!(unknown.code, Some(1), "{unknown:?}");
    }
}

#[test]
fn case_6_8_a_long_path_holds_a_control_socket() {
    let user = User::new();
    let long = user.folder.path(&["directory-".repeat(9).as_str(); 3].join("/"));
    let long = long.to_str().expect("text");
    assert!(long.len() > 250);
    let in_long: &[(&str, &str)] = &[("LARDER_CACHE_DIR", long)];
    let script = "$LARDER cache stats > /dev/null && $LARDER block ads.example && $LARDER blocked";
    let ended = user.run_with(script, in_long);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "blocked ads.example\nads.example\n"),
        "{ended:?}"
    );
    let socket = std::fs::symlink_metadata(format!("{long}/control.sock")).expect("the socket");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&socket.permissions()) & 0o777, 0o600);
    // A second one is refused, and what a killed one has left is replaced.
    for _ in 0..2 {
        let ended = user.larder_with(&["run", "--", "sh", "-c", "$LARDER --listen 127.0.0.1:0"], in_long);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("this cache folder: it holds the store"), "{}", ended.err);
        assert_eq!(user.run_with("kill -KILL $PPID", in_long).code, None);
    }
    assert_eq!(user.run_with("exit 0", in_long).code, Some(0));
    for name in ["", "x", "xx"] {
        // Around the limit of a socket's name.
        let folder = user.folder.path(&"d".repeat(90 - user.folder.text_of_path("").len().min(80)));
        let folder = format!("{}{name}", folder.display());
        let ended = user.run_with("$LARDER blocked", &[("LARDER_CACHE_DIR", &folder)]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn larder_env_for_a_larder_on_another_machine() {
    let user = User::new();
    let certificate = user.folder.write("other.pem", &Certificates::new().root_pem());
    let arguments = ["env", "--proxy", "http://larder.example:8080", "--ca", &certificate];
    let ended = user.larder(&arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in ["export https_proxy='http://larder.example:8080'", "export WGETRC='"] {
        assert!(ended.out.contains(line), "{line}: {}", ended.out);
    }
    let bundle =
        ended.out.lines().find_map(|line| line.strip_prefix("export SSL_CERT_FILE='")).expect("a file");
    let bundle = std::fs::read_to_string(bundle.trim_end_matches('\'')).expect("it is made");
    assert!(bundle.contains(user.folder.read("other.pem").trim()), "the other authority");
    assert!(bundle.contains(user.folder.read("roots.pem").trim()), "what is trusted here");
    let without = user.larder(&["env", "--proxy", "larder.example"]).out;
    assert!(
        without.contains("export HTTP_PROXY='http://larder.example:3128'") && !without.contains("SSL_CERT")
    );
    let maven = user.larder(&["env", "--proxy", "http://[2001:db8::5]:8080", "--format", "maven"]).out;
    assert!(maven.contains("<host>2001:db8::5</host><port>8080</port>"), "{maven}");
    assert_eq!(user.larder(&["env", "--ca", &certificate]).code, Some(2));
    assert_eq!(user.larder(&["env", "--proxy", "ftp://x"]).code, Some(2));
    let empty = user.folder.write("empty.pem", "nothing\n");
    let ended = user.larder(&["env", "--proxy", "larder.example", "--ca", &empty]);
    assert!(ended.code == Some(1) && ended.err.contains("no certificate"), "{ended:?}");
    eventually("nothing was started", || user.larder(&["cache", "stats"]).code == Some(1));
}
