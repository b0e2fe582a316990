//! Tables of the configuration: values, errors with their places, precedence, and documentation.

#![expect(clippy::disallowed_methods, reason = "what is read is written here first")]

mod limits;
mod rules;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::Host;
use crate::tls::NameConstraints;

use super::{
    AccessLog, Admin, BlockPage, Config, ConfigError, Diagnosis, DiskSize, Folders, KNOWN_KEYS, LogFormat,
    LogLevel, Overrides, RULE_KEYS, Settings, load, parse,
};

fn parsed(text: &str) -> Config {
    parse(Path::new("larder.toml"), text).expect("a valid configuration")
}

fn diagnosis(text: &str) -> Diagnosis {
    match parse(Path::new("larder.toml"), text) {
        Err(ConfigError::Place(diagnosis)) => *diagnosis,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_file_with_every_kind_of_value() {
    let config = parsed(
        r#"
        [server]
        listen = [8080, "192.168.1.5", "https://127.0.0.1:3130"]
        admin = "off"
        idle_timeout = 30
        connect_timeout = "250ms"
        [limits]
        head = "32KiB"
        uri = 4096
        [cache]
        memory = "1GiB"
        disk = "10%"
        dir = "cache"
        max_object = "50MB"
        set_cookie = "never"
        [log]
        access = "-"
        format = "json"
        level = "debug"
        [access]
        clients = ["10.0.0.0/8", "::1"]
        block = ["ads.example", "https?://x/"]
        lists = ["a.txt", "/b.txt"]
        connect_ports = [443, "8000-9000", "default"]
        [intercept]
        enabled = false
        except = ["*.bank.example", "192.0.2.0/24"]
        ca_dir = "ca"
        roots = "/etc/roots.pem"
        pins = { "Git.Office.Example" = "sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF" }
        name_constraints = ["office.example", "10.0.0.0/8"]
        block_page = "intercept"
        [tls]
        certificate = "proxy.pem"
        key = "/etc/proxy.key"
        "#,
    );
    let listen: Vec<String> = config.server.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:8080", "192.168.1.5:3128", "https://127.0.0.1:3130"]);
    let tls = &config.tls;
    assert_eq!(tls.certificate.as_deref(), Some(Path::new("proxy.pem")));
    assert_eq!(tls.key.as_deref(), Some(Path::new("/etc/proxy.key")));
    assert_eq!(config.server.admin, Admin::Off);
    assert_eq!(config.server.idle_timeout, Duration::from_secs(30));
    assert_eq!(config.server.connect_timeout, Duration::from_millis(250));
    assert_eq!((config.limits.head, config.limits.uri, config.limits.fields), (32 << 10, 4096, 128));
    assert_eq!((config.cache.memory, config.cache.disk), (1 << 30, DiskSize::Percent(10)));
    assert_eq!(config.cache.max_object, Some(50_000_000));
    assert_eq!(config.log.access, AccessLog::Stdout);
    assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LogLevel::Debug));
    assert_eq!(config.access.block.len(), 2);
    assert_eq!(config.access.connect_ports.len(), 3);
    assert_eq!(config.intercept.except.len(), 2);
    assert_eq!(config.intercept.pins.len(), 1);
    let pinned = Host::parse_text("git.office.example").expect("a host");
    let pin = config.intercept.pins.get(&pinned).map(ToString::to_string);
    let half = "00112233445566778899aabbccddeeff";
    assert_eq!(pin, Some(format!("sha256:{half}{half}")));
    assert_eq!(
        NameConstraints::parse(&["office.example", "10.0.0.0/8"]),
        Ok(config.intercept.name_constraints)
    );
    assert_eq!(config.intercept.block_page, BlockPage::Intercept);
}

#[test]
fn errors_name_line_column_key_and_suggestion() {
    type Case<'a> = (&'a str, usize, usize, Option<&'a str>, &'a str, Option<&'a str>);
    let cases: &[Case<'_>] = &[
        ("[cache]\nmemroy = 1", 2, 1, Some("cache.memroy"), "there is no such key", Some("`memory`")),
        ("\n[cahce]\nmemory = 1", 2, 2, Some("cahce"), "there is no such table", Some("[cache]")),
        (
            "[server]\nmemory = 1",
            2,
            1,
            Some("server.memory"),
            "no such key",
            Some("`memory` in the table [cache]"),
        ),
        ("memory = 1", 1, 1, Some("memory"), "no such table", Some("`memory` in the table [cache]")),
        (
            "[server]\nidle_timeout_s = 1",
            2,
            1,
            Some("server.idle_timeout_s"),
            "now called server.idle_timeout, and takes a duration",
            Some("`idle_timeout`"),
        ),
        ("[[rule]]\nname = \"x\"", 1, 3, Some("rule"), "no such table", Some("[[cache.rule]]")),
        ("[cache]\nmemory = \"12XB\"", 2, 10, Some("cache.memory"), "a size is written as", None),
        ("[cache]\n  disk = -1", 2, 10, Some("cache.disk"), "a size is written as", None),
        ("[server]\nlisten = [\n  \"a b\"]", 3, 3, Some("server.listen"), "an address to listen on", None),
        ("[tls]\ncertificate = 'a'", 2, 15, Some("tls.certificate"), "its key is missing", None),
        ("[tls]\nkey = 'a'", 2, 7, Some("tls.key"), "its certificate is missing", None),
        (
            "[server]\nlisten = ['127.0.0.1:1', 'https://127.0.0.1:1']",
            2,
            10,
            Some("server.listen"),
            "is listed twice",
            None,
        ),
        ("[server]\nlisten = []", 2, 10, Some("server.listen"), "no address", None),
        ("[server]\nidle_timeout = 0", 2, 16, Some("server.idle_timeout"), "longer than 0", None),
        (
            "[access]\nclients = [\"::1\", \"10.0.0.0/33\"]",
            2,
            19,
            Some("access.clients"),
            "not an address or a",
            None,
        ),
        ("[access]\nblock = [\"http://(\"]", 2, 10, Some("access.block"), "unclosed group", None),
        ("access.block = [\"a b\"]", 1, 17, Some("access.block"), "\"a b\": the host has", None),
        ("[access]\nconnect_ports = [0]", 2, 18, Some("access.connect_ports"), "ports are written", None),
        ("[log]\nformat = \"apache\"", 2, 10, Some("log.format"), "unknown variant `apache`", None),
        ("[limits]\nuri = \"32KiB\"", 2, 7, Some("limits.uri"), "the limit of a line", None),
        ("[limits]\nhead = \"2MiB\"", 2, 8, Some("limits.head"), "1KiB to 1MiB", None),
        ("[intercept]\nenabled = 1", 2, 11, Some("intercept.enabled"), "expected a boolean", None),
        (
            "[intercept]\nexcept = [\"https://a.example/\"]",
            2,
            10,
            Some("intercept.except"),
            "a host and no URL",
            None,
        ),
        (
            "[intercept]\npins = { \"a.example\" = \"sha256:12\" }",
            2,
            8,
            Some("intercept.pins"),
            "64 hex",
            None,
        ),
        (
            "[intercept]\nname_constraints = [\"a..b\"]",
            2,
            20,
            Some("intercept.name_constraints"),
            "empty label",
            None,
        ),
        ("[intercept]\nblock_page = \"yes\"", 2, 14, Some("intercept.block_page"), "unknown variant", None),
        ("[cache\nmemory = 1", 1, 7, None, "", None),
        ("[cache]\nmemory = ", 2, 10, None, "", None),
        ("[cache]\nmemory = 1\nmemory = 2", 3, 1, None, "duplicate key", None),
        // Errors at the end of a line that ends with CRLF: the place is behind the last character.
        ("\"\r\nmemory", 1, 2, None, "", None),
        ("[cache]\r\nmemory =\r\nkeep = 1", 2, 9, None, "", None),
    ];
    for (text, line, column, key, message, suggestion) in cases {
        let found = diagnosis(text);
        assert_eq!((found.line, found.column), (*line, *column), "{text:?}: {found}");
        assert_eq!(found.key.as_deref(), *key, "{text:?}: {found}");
        assert!(found.message.contains(message), "{text:?}: {found}");
        assert_eq!(found.suggestion.as_deref(), *suggestion, "{text:?}: {found}");
    }
}

#[test]
fn an_error_is_drawn_with_its_line() {
    let expected = "larder.toml:2:3: cache.memroy: there is no such key\n  \
                    2 |   memroy = \"1GiB\"\n    |   ^^^^^^\n  did you mean `memory`?";
    assert_eq!(diagnosis("[cache]\n  memroy = \"1GiB\"\n").to_string(), expected);
    let expected = "larder.toml:2:2: cache.memroy: there is no such key\n  \
                    2 | \tmemroy = \"1GiB\"\n    | \t^^^^^^\n  did you mean `memory`?";
    assert_eq!(diagnosis("[cache]\n\tmemroy = \"1GiB\"\n").to_string(), expected);
}

/// A folder of one test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("larder-config-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("etc/larder")).expect("a temporary folder");
        fs::create_dir_all(path.join("home/.config/larder")).expect("a temporary folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a writable folder");
        path
    }

    fn load(&self, file: Option<&Path>, overrides: &Overrides) -> Result<Settings, ConfigError> {
        let folders =
            Folders { home: Some(self.0.join("home")), etc: self.0.join("etc"), ..Folders::default() };
        load(file, overrides, &folders)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder is there");
    }
}

#[test]
fn flags_beat_the_file_beats_the_default() {
    let folder = Folder::new("precedence");
    let none = Overrides::default();
    let settings = folder.load(None, &none).expect("the defaults");
    assert_eq!(settings.server.admin, Admin::At(([127, 0, 0, 1], 3129).into()));
    assert_eq!(settings.file, None);
    assert_eq!(settings.cache_dir, folder.0.join("home/.cache/larder"));
    assert_eq!(settings.cache.memory, 256 << 20);
    assert_eq!(settings.ca_dir, folder.0.join("home/.local/share/larder/ca"));

    folder.write(
        "home/.config/larder/larder.toml",
        "[cache]\nmemory = 1\ndir = \"kept\"\n[intercept]\nca_dir = \"ca\"",
    );
    let settings = folder.load(None, &none).expect("the user's file");
    assert_eq!(settings.cache.memory, 1);
    assert_eq!(settings.cache_dir, folder.0.join("home/.config/larder/kept"));
    assert_eq!(settings.ca_dir, folder.0.join("home/.config/larder/ca"));

    folder.write("etc/larder/larder.toml", "[cache]\nmemory = 2");
    assert_eq!(folder.load(None, &none).expect("the machine's file").cache.memory, 2);

    let named = folder.write("named.toml", "[cache]\nmemory = 3\n[log]\nlevel = \"warn\"");
    assert_eq!(folder.load(Some(&named), &none).expect("the named file").cache.memory, 3);

    let overrides = Overrides { memory: Some(4), cache_dir: Some("/x".into()), ..Overrides::default() };
    let settings = folder.load(Some(&named), &overrides).expect("the named file");
    assert_eq!((settings.cache.memory, settings.log.level), (4, LogLevel::Warn));
    assert_eq!(settings.cache_dir, Path::new("/x"));

    assert!(matches!(folder.load(Some(&folder.0.join("none.toml")), &none), Err(ConfigError::Read { .. })));
    let intercept = Overrides { intercept: true, ..Overrides::default() };
    assert!(folder.load(None, &intercept).expect("an authority is made at the start").intercept.enabled);
}

#[test]
fn list_files_are_read_with_the_configuration() {
    let folder = Folder::new("lists");
    let file = folder.write("larder.toml", "[access]\nlists = [\"block.txt\"]");
    let error = folder.load(Some(&file), &Overrides::default()).expect_err("no such list");
    assert!(matches!(&error, ConfigError::Place(place) if place.line == 2), "{error}");
    assert!(error.to_string().contains("block.txt"), "{error}");
    folder.write("block.txt", "ads.example\n");
    let settings = folder.load(Some(&file), &Overrides::default()).expect("a list");
    assert_eq!(
        settings.lists,
        [(folder.0.join("block.txt").display().to_string(), "ads.example\n".to_owned())]
    );
}

#[test]
fn known_keys_are_the_keys_there_are() {
    // An unknown key's error lists the known ones of its table.
    let tables: Vec<&str> = KNOWN_KEYS.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let mut found = Vec::new();
    for table in expected(&toml::from_str::<Config>("x = 1").expect_err("unknown").to_string()) {
        assert!(tables.contains(&table.as_str()), "{table}");
        let error = toml::from_str::<Config>(&format!("[{table}]\nx = 1")).expect_err("unknown").to_string();
        found.extend(expected(&error).map(|key| format!("{table}.{key}")));
    }
    assert_eq!(found, KNOWN_KEYS);
}

fn expected(message: &str) -> impl Iterator<Item = String> {
    let names = message.rsplit("expected ").next().unwrap_or_default();
    names.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The keys of the tables of docs/configuration.md, each with its default.
fn documented() -> Vec<(&'static str, &'static str)> {
    let rows = include_str!("../../../docs/configuration.md").lines();
    let row = |line: &'static str| {
        let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (default, _) = rest.split_once(" | ")?;
        let is_key = key.contains('.')
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte));
        is_key.then_some((key, default))
    };
    // Patterns have a table, too: a host reads like a key.
    rows.filter_map(row).filter(|(key, _)| !key.ends_with(".example")).collect()
}

#[test]
fn every_key_is_documented_once_and_every_documented_key_is_there() {
    let mut documented: Vec<&str> = documented().into_iter().map(|(key, _)| key).collect();
    let mut known: Vec<&str> = KNOWN_KEYS.iter().chain(RULE_KEYS).copied().collect();
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
}

#[test]
fn documented_defaults_are_the_defaults() {
    let mut compared = 0;
    for (key, default) in documented() {
        let (table, name) = key.rsplit_once('.').expect("a table");
        // `none`, a path that depends on the user, or a sentence.
        let Some(value) = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else { continue };
        if table == "cache.rule" || value.contains('`') {
            continue;
        }
        let found = parse(Path::new("larder.toml"), &format!("[{table}]\n{name} = {value}\n"));
        assert_eq!(found.expect("a value"), Config::default(), "{key} = {value}");
        compared += 1;
    }
    assert!(compared > 30, "{compared} defaults were found");
}
