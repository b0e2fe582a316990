//! The formats as tables, and the log as a whole against real files.
#![expect(clippy::disallowed_methods, reason = "what is on the disk is what is tested")]

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::error::ErrorType;
use crate::http::{Authority, TargetUri, Timestamp, Version};

const FORMATS: [Format; 4] = [Format::Squid, Format::Common, Format::Combined, Format::Json];

fn uri(text: &str) -> TargetUri {
    TargetUri::parse_absolute(&Bytes::copy_from_slice(text.as_bytes())).expect("a valid URI")
}

/// A miss: 45 ms into a second, after 87 ms.
fn miss(url: LoggedUrl<'_>) -> AccessRecord<'_> {
    AccessRecord {
        finished: Timestamp(1_795_420_933),
        finished_millis: 45,
        duration_ms: 87,
        client: "192.0.2.7:50123".parse().expect("an address"),
        user: None,
        method: "GET",
        url,
        version: Some(Version::Http11),
        status: 200,
        bytes_to_client: 1592,
        bytes_from_client: 310,
        bytes_from_origin: 1570,
        cache_status: "larder; fwd=uri-miss; stored",
        code: CacheCode::Miss,
        ending: Ending::Complete,
        hierarchy: Hierarchy::Direct("203.0.113.4".parse().expect("an address")),
        content_type: Some(b"text/html; charset=utf-8"),
        referer: None,
        user_agent: Some(b"curl/8.14"),
        request_id: 0x2a,
        rule: None,
        error: None,
        detail: None,
    }
}

fn line(format: Format, record: &AccessRecord<'_>) -> String {
    let mut line = Vec::new();
    format.put(&mut line, record);
    let line = String::from_utf8(line).expect("ASCII");
    line.strip_suffix('\n').expect("a newline").to_owned()
}

#[test]
fn squid() {
    let uri = uri("http://a.example/x?q=1");
    let connect = Authority::parse(&Bytes::from_static(b"a.example:443"), None).expect("valid");
    let miss = miss(LoggedUrl::Uri(&uri));
    let none = Hierarchy::None;
    let cases = [
        (
            miss,
            "1795420933.045     87 192.0.2.7 TCP_MISS/200 1592 GET http://a.example/x?q=1 - HIER_DIRECT/203.0.113.4 text/html",
        ),
        (
            AccessRecord { code: CacheCode::MemHit, hierarchy: none, duration_ms: 0, ..miss },
            "1795420933.045      0 192.0.2.7 TCP_MEM_HIT/200 1592 GET http://a.example/x?q=1 - HIER_NONE/- text/html",
        ),
        (
            AccessRecord {
                method: "CONNECT",
                url: LoggedUrl::Authority(&connect),
                code: CacheCode::Tunnel,
                duration_ms: 12_345_678,
                content_type: None,
                ..miss
            },
            "1795420933.045 12345678 192.0.2.7 TCP_TUNNEL/200 1592 CONNECT a.example:443 - HIER_DIRECT/203.0.113.4 -",
        ),
        (
            AccessRecord {
                code: CacheCode::Denied,
                hierarchy: none,
                status: 403,
                user: Some("jo e"),
                ..miss
            },
            "1795420933.045     87 192.0.2.7 TCP_DENIED/403 1592 GET http://a.example/x?q=1 jo%20e HIER_NONE/- text/html",
        ),
        (
            AccessRecord {
                method: "",
                url: LoggedUrl::Unknown,
                version: None,
                status: 0,
                code: CacheCode::None,
                ending: Ending::Aborted,
                hierarchy: none,
                bytes_to_client: 0,
                content_type: Some(b""),
                client: "[2001:db8::1]:1".parse().expect("an address"),
                ..miss
            },
            "1795420933.045     87 2001:db8::1 NONE_NONE_ABORTED/000 0 - error:invalid-request - HIER_NONE/- -",
        ),
        (
            AccessRecord {
                client: "[::ffff:192.0.2.9]:1".parse().expect("an address"),
                ending: Ending::TimedOut,
                ..miss
            },
            "1795420933.045     87 192.0.2.9 TCP_MISS_TIMEDOUT/200 1592 GET http://a.example/x?q=1 - HIER_DIRECT/203.0.113.4 text/html",
        ),
    ];
    for (record, expected) in cases {
        assert_eq!(line(Format::Squid, &record), expected);
    }
}

#[test]
fn common_and_combined() {
    let uri = uri("https://a.example:8443/x");
    let miss = miss(LoggedUrl::Uri(&uri));
    let cases = [
        (
            miss,
            r#"192.0.2.7 - - [23/Nov/2026:08:02:12 +0000] "GET https://a.example:8443/x HTTP/1.1" 200 1592"#,
            r#""-" "curl/8.14""#,
        ),
        (
            AccessRecord {
                user: Some("joe"),
                bytes_to_client: 0,
                referer: Some(b"http://u:secret@b.example/?q=1"),
                user_agent: Some(b""),
                duration_ms: 45,
                version: Some(Version::Http10),
                ..miss
            },
            r#"192.0.2.7 - joe [23/Nov/2026:08:02:13 +0000] "GET https://a.example:8443/x HTTP/1.0" 200 -"#,
            r#""http://b.example/?q=1" "-""#,
        ),
        (
            AccessRecord {
                method: "",
                url: LoggedUrl::Unknown,
                version: None,
                status: 400,
                user_agent: None,
                ..miss
            },
            r#"192.0.2.7 - - [23/Nov/2026:08:02:12 +0000] "-" 400 1592"#,
            r#""-" "-""#,
        ),
    ];
    for (record, common, rest) in cases {
        assert_eq!(line(Format::Common, &record), common);
        assert_eq!(line(Format::Combined, &record), format!("{common} {rest}"));
    }
}

#[test]
fn json() {
    let uri = uri("http://[2001:db8::1]:81/x");
    let miss = miss(LoggedUrl::Uri(&uri));
    let expected = concat!(
        r#"{"v":1,"time":"2026-11-23T08:02:13.045Z","id":"000000000000002a","client":"192.0.2.7","client_port":50123,"#,
        r#""method":"GET","url":"http://[2001:db8::1]:81/x","version":"1.1","status":200,"duration_ms":87,"#,
        r#""bytes_to_client":1592,"bytes_from_client":310,"bytes_from_origin":1570,"#,
        r#""cache_status":"larder; fwd=uri-miss; stored","cache_code":"TCP_MISS","ending":"complete","#,
        r#""origin":"203.0.113.4","content_type":"text/html; charset=utf-8","user_agent":"curl/8.14"}"#,
    );
    assert_eq!(line(Format::Json, &miss), expected);

    let refused = AccessRecord {
        user: Some("joe"),
        referer: Some(b"http://u:secret@b.example/"),
        rule: Some("office-hours"),
        error: Some(ErrorType::HttpRequestDenied),
        detail: Some("a \"quote\""),
        hierarchy: Hierarchy::None,
        url: LoggedUrl::Unknown,
        version: None,
        ..miss
    };
    let json: serde_json::Value = serde_json::from_str(&line(Format::Json, &refused)).expect("JSON");
    let member = |name: &str| json.get(name).cloned();
    assert_eq!(member("user"), Some("joe".into()));
    assert_eq!(member("referer"), Some("http://b.example/".into()));
    assert_eq!(member("rule"), Some("office-hours".into()));
    assert_eq!(member("error"), Some("http_request_denied".into()));
    assert_eq!(member("detail"), Some("a \"quote\"".into()));
    for absent in ["url", "version", "origin"] {
        assert_eq!(member(absent), None, "{absent}");
    }
}

/// Every member that a line can have is in the documentation, and the other way round.
#[test]
fn json_members_are_documented() {
    let uri = uri("http://a.example/");
    let all = AccessRecord {
        user: Some("joe"),
        referer: Some(b"http://b.example/"),
        rule: Some("r"),
        error: Some(ErrorType::DnsError),
        detail: Some("d"),
        ..miss(LoggedUrl::Uri(&uri))
    };
    let json: serde_json::Value = serde_json::from_str(&line(Format::Json, &all)).expect("JSON");
    let mut written: Vec<String> = json.as_object().expect("an object").keys().cloned().collect();
    written.sort();
    let docs = include_str!("../../docs/access-log.md");
    let list = docs.split_once("## json").expect("the section").1;
    let rows = list.lines().filter_map(|row| row.strip_prefix("| `"));
    let mut documented: Vec<String> =
        rows.filter_map(|row| row.split_once('`')).map(|(name, _)| name.to_owned()).collect();
    documented.sort();
    assert_eq!(written, documented);
}

/// Whatever stands in a text, a line stays one line with its columns, and JSON stays JSON.
#[test]
fn nothing_can_be_injected() {
    let attacks: &[&[u8]] = &[
        b"x\r\n1795420933.045 0 10.0.0.1 TCP_MEM_HIT/200 1 GET http://evil.example/ - HIER_NONE/- -",
        b"x\" 200 1 \"-\" \"-\"\n",
        b"\\\" \\\\\" \\",
        b"\",\"status\":200,\"x\":\"",
        b"\x1b]0;title\x07\x1b[2J",
        b"a b\tc\x0bd\x0ce\x85f",
        "\u{2028}\u{2029}\u{85}\u{202e}".as_bytes(),
        b"\xff\xfe\x00",
    ];
    for attack in attacks {
        let text = String::from_utf8_lossy(attack);
        let record = AccessRecord {
            user: Some(&text),
            method: &text,
            content_type: Some(attack),
            referer: Some(attack),
            user_agent: Some(attack),
            cache_status: &text,
            rule: Some(&text),
            detail: Some(&text),
            ..miss(LoggedUrl::Text(attack))
        };
        for format in FORMATS {
            let line = line(format, &record);
            assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{format:?}: {line}");
        }
        assert_eq!(line(Format::Squid, &record).split_ascii_whitespace().count(), 10);
        assert_eq!(unescaped_quotes(&line(Format::Common, &record)), 2);
        assert_eq!(unescaped_quotes(&line(Format::Combined, &record)), 6);
        let json: serde_json::Value = serde_json::from_str(&line(Format::Json, &record)).expect("JSON");
        assert_eq!(json.get("status"), Some(&200.into()));
        assert_eq!(json.get("detail"), Some(&text.into()));
    }
}

fn unescaped_quotes(line: &str) -> usize {
    let mut escaped = false;
    let mut count = 0;
    for byte in line.bytes() {
        count += usize::from(byte == b'"' && !escaped);
        escaped = byte == b'\\' && !escaped;
    }
    count
}

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("larder-log-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder can be removed");
    }
}

fn open(path: PathBuf) -> AccessLog {
    AccessLog::open(&LogSettings { access: Target::File(path), format: Format::Json }).expect("a log")
}

fn ids(text: &str) -> Vec<u64> {
    let id = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        u64::from_str_radix(json.get("id")?.as_str()?, 16).ok()
    };
    text.lines().map(|line| id(line).expect("an id")).collect()
}

#[test]
fn lines_arrive_in_order_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("order");
    let log = open(folder.path("access.log"));
    for request_id in 0..1_000 {
        log.write(&AccessRecord { request_id, ..miss(LoggedUrl::Unknown) });
    }
    log.close();
    let text = fs::read_to_string(folder.path("access.log")).expect("the log");
    assert_eq!(ids(&text), (0..1_000).collect::<Vec<u64>>());
    assert_eq!(log.counters(), LogCounters { written: 1_000, dropped: 0, failed: 0 });
    let mode = fs::metadata(folder.path("access.log")).expect("the log").permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn reopening_keeps_lines_apart() {
    let folder = Folder::new("reopen");
    let log = open(folder.path("access.log"));
    for turn in 0..20 {
        log.write(&AccessRecord { request_id: turn, ..miss(LoggedUrl::Unknown) });
        if turn == 9 {
            fs::rename(folder.path("access.log"), folder.path("access.log.1")).expect("a rename");
            log.reopen();
        }
    }
    log.close();
    let read = |name: &str| ids(&fs::read_to_string(folder.path(name)).expect("a log"));
    assert_eq!(read("access.log.1"), (0..10).collect::<Vec<u64>>());
    assert_eq!(read("access.log"), (10..20).collect::<Vec<u64>>());
}

#[test]
fn a_file_that_can_not_be_reopened_stays_in_use() {
    let folder = Folder::new("stays");
    fs::create_dir(folder.path("in")).expect("a folder");
    let log = open(folder.path("in/access.log"));
    fs::rename(folder.path("in"), folder.path("out")).expect("a rename");
    log.reopen();
    log.write(&miss(LoggedUrl::Unknown));
    log.close();
    assert_eq!(ids(&fs::read_to_string(folder.path("out/access.log")).expect("a log")), [0x2a]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_loses_lines_and_nothing_else() {
    let log = open(PathBuf::from("/dev/full"));
    for _ in 0..10 {
        log.write(&miss(LoggedUrl::Unknown));
    }
    log.close();
    assert_eq!(log.counters(), LogCounters { written: 0, dropped: 0, failed: 10 });
}

/// A reader that does not read: requests go on, and what is read at last is whole lines.
#[test]
#[cfg(target_os = "linux")]
fn a_stalled_reader_makes_lines_drop() {
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open as open_raw};
    let folder = Folder::new("stalled");
    let path = folder.path("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let reader = open_raw(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("the pipe");
    let log = open(path);
    let agent = [b'a'; 4_000];
    for _ in 0..2_000 {
        log.write(&AccessRecord { user_agent: Some(&agent), ..miss(LoggedUrl::Unknown) });
    }
    let dropped = log.counters().dropped;
    assert!((500..1_500).contains(&dropped), "{dropped} of 2,000 lines of 4 KiB into 4 MiB and a pipe");

    rustix::io::ioctl_fionbio(&reader, false).expect("blocking mode");
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        fs::File::from(reader).read_to_string(&mut text).map(|_| text)
    });
    drop(log);
    let text = reading.join().expect("the reader").expect("text");
    assert_eq!(ids(&text).len() as u64, 2_000 - dropped);
}

#[test]
fn no_log_and_a_bad_path() {
    let none = AccessLog::open(&LogSettings { access: Target::None, format: Format::Squid }).expect("no log");
    assert!(!none.is_enabled());
    none.write(&miss(LoggedUrl::Unknown));
    none.reopen();
    none.close();
    assert_eq!(none.counters(), LogCounters::default());

    let folder = Folder::new("bad");
    let settings = LogSettings { access: Target::File(folder.path("no/access.log")), format: Format::Squid };
    let error = AccessLog::open(&settings).expect_err("there is no such folder").to_string();
    assert!(error.contains("no/access.log") && error.contains("No such file"), "{error}");
}

#[test]
fn formats_have_names() {
    for format in FORMATS {
        assert_eq!(Format::of(format.as_str()), Some(format));
    }
    assert_eq!(Format::of("Squid"), None);
}
