//! Tables of the values that are no plain numbers.

use std::time::Duration;

use super::{diagnosis, parsed};
use crate::config::{Admin, DiskSize, parse_duration, parse_listen, parse_size};

#[test]
fn sizes() {
    let cases: &[(&str, Option<u64>)] = &[
        ("0", Some(0)),
        ("1024", Some(1024)),
        ("1B", Some(1)),
        ("1KiB", Some(1024)),
        ("1 kB", Some(1000)),
        ("256MiB", Some(256 << 20)),
        ("256M", Some(256 << 20)),
        ("1gb", Some(1_000_000_000)),
        ("2TiB", Some(2 << 40)),
        ("", None),
        ("MiB", None),
        ("1.5GiB", None),
        ("-1", None),
        ("1XB", None),
        ("99999999TiB", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_size(text).ok(), *expected, "{text:?}");
    }
    let disk = |text: &str| text.parse::<DiskSize>().ok().map(|disk| disk.resolve(50 << 30));
    assert_eq!(disk("auto"), Some(5 << 30));
    assert_eq!(DiskSize::Auto.resolve(1 << 40), 10 << 30);
    assert_eq!(disk("20GiB"), Some(20 << 30));
    assert_eq!(disk("10%"), Some(5 << 30));
    assert_eq!(disk("101%"), None);
    assert_eq!(disk("%"), None);
}

#[test]
fn durations() {
    let cases: &[(&str, Option<Duration>)] = &[
        ("10", Some(Duration::from_secs(10))),
        ("10s", Some(Duration::from_secs(10))),
        ("250 ms", Some(Duration::from_millis(250))),
        ("5m", Some(Duration::from_secs(300))),
        ("24h", Some(Duration::from_secs(86_400))),
        ("25h", None),
        ("-1s", None),
        ("s", None),
        ("1d", None),
        ("99999999999999999999", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_duration(text).ok(), *expected, "{text:?}");
    }
}

#[test]
fn one_value_stands_for_a_list_of_one() {
    let cases = [
        ("server", "listen", "'3128'"),
        ("server", "listen", "3128"),
        ("cache", "targeted", "'Larder-Cache-Control'"),
        ("cache", "disks", "{ dir = '/d', size = '1GiB' }"),
        ("access", "clients", "'10.0.0.0/8'"),
        ("access", "block", "'ads.example'"),
        ("access", "block_clients", "'10.0.0.1'"),
        ("access", "allow_destinations", "'10.0.0.0/8'"),
        ("access", "lists", "'blocklist.txt'"),
        ("access", "connect_ports", "443"),
        ("access", "connect_ports", "'default'"),
        ("intercept", "except", "'*.bank.example'"),
        ("intercept", "name_constraints", "'office.example'"),
    ];
    for (table, key, value) in cases {
        let one = parsed(&format!("[{table}]\n{key} = {value}"));
        assert_eq!(one, parsed(&format!("[{table}]\n{key} = [{value}]")), "{key} = {value}");
    }
    let found = diagnosis("[access]\nblock = 'a b'");
    assert_eq!((found.line, found.column, found.key.as_deref()), (2, 9, Some("access.block")), "{found}");
    assert!(diagnosis("[server]\nlisten = true").message.contains("a list, or one member of it"));
}

#[test]
fn listen_addresses() {
    let cases: &[(&str, Option<&str>)] = &[
        ("8080", Some("127.0.0.1:8080")),
        ("0", Some("127.0.0.1:0")),
        ("localhost:8080", Some("127.0.0.1:8080")),
        ("192.168.1.5", Some("192.168.1.5:3128")),
        ("0.0.0.0:3128", Some("0.0.0.0:3128")),
        ("[::]:3128", Some("[::]:3128")),
        ("[::1]", Some("[::1]:3128")),
        ("::1", Some("[::1]:3128")),
        ("http://127.0.0.1:3128", Some("127.0.0.1:3128")),
        ("https://127.0.0.1:3130", Some("https://127.0.0.1:3130")),
        ("https://8443", Some("https://127.0.0.1:8443")),
        ("https://[::1]", Some("https://[::1]:3128")),
        ("https://a.example", None),
        ("https://127.0.0.1:3130/", None),
        ("ftp://127.0.0.1", None),
        ("", None),
        (":8080", None),
        ("65536", None),
        ("127.0.0.1:", None),
        ("127.0.0.1:x", None),
        ("127.1", None),
        ("a.example:80", None),
    ];
    for (text, expected) in cases {
        let found = parse_listen(text).ok().map(|address| address.to_string());
        assert_eq!(found.as_deref(), *expected, "{text:?}");
    }
    assert_eq!("off".parse(), Ok(Admin::Off));
    assert_eq!("3129".parse(), Ok(Admin::At(([127, 0, 0, 1], 3129).into())));
    assert!("127.0.0.1".parse::<Admin>().is_err());
}
