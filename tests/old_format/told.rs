//! What the fixture holds, as a person would tell it.

use bytes::Bytes;
use larder::caching::ByteRange;
use larder::store::disk::Disk;
use larder::store::disk::record::{ALIGNMENT, Kind, Record};
use larder::store::disk::segment::scan;
use larder::store::{Object, Part, Store, StoredContent};

use super::memory_files::MemoryFile;
use super::story::{purges, uri};

/// A record that says that a key is gone which nothing has.
pub fn no_record(disk: &Disk) -> Record {
    let (kind, seq, head) = (Kind::Tombstone, disk.next_seq(), Bytes::new());
    Record { key: 1, kind, seq, generation: 0, part: 0, first: 0, head, body: Vec::new() }
}

/// A place within the second record of a segment.
pub fn within_second_record(segment: &[u8]) -> usize {
    let (entries, _end) = scan(&*MemoryFile::new(segment)).expect("memory can be read");
    entries[1].offset as usize * ALIGNMENT as usize + 100
}

/// URIs, and the responses that are stored of each, the newest first.
const STORED: &[(&str, &[&[&str]])] = &[
    (
        "http://a.example/",
        &[&[
            r#"GET 200 "OK""#,
            "from 192.0.2.1:80 as Http11",
            "use 1, reading 13",
            "asked 1700000000, answered 1700000001, age 13",
            "Cache-Control: max-age=600",
            r#"ETag: "a""#,
            "X-Empty: ",
            "Date: Tue, 14 Nov 2023 22:13:21 GMT",
            "whole of 10",
            r#"octets "hellohello""#,
        ]],
    ),
    (
        "https://[2001:db8::7]:8443/x?y=%20z",
        &[&[
            r#"POST 203 "Almost OK""#,
            "from [2001:db8::1]:8443 as Http2",
            "use 1, reading 15",
            "asked 1700000020, answered 1700000023, age 915888246",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT",
            "Cache-Control: no-store",
            "CDN-Cache-Control: max-age=7",
            "Content-Location: https://[2001:db8::7]:8443/x?y=%20z",
            "Set-Cookie: a=b",
            "set-cookie: c=d",
            "target CDN-Cache-Control",
            "target Larder-Cache-Control",
            "whole of 0",
        ]],
    ),
    (
        "http://a.example/varied",
        &[
            &[
                r#"GET 200 "OK""#,
                "from 192.0.2.1:80 as Http10",
                "use 1, reading 20",
                "asked 1700000000, answered 1700000001, age 1",
                "Vary: Accept-Encoding, X-Absent",
                "Cache-Control: max-age=60",
                "Date: Tue, 14 Nov 2023 22:13:21 GMT",
                r#"selected by accept-encoding Some("")"#,
                "selected by x-absent None",
                "whole of 13",
                r#"octets "the other one""#,
            ],
            &[
                r#"GET 200 "OK""#,
                "from 192.0.2.1:80 as Http11",
                "use 1, reading 17",
                "asked 1700000000, answered 1700000001, age 1",
                "Vary: Accept-Encoding, X-Absent",
                "Cache-Control: max-age=60",
                "Date: Tue, 14 Nov 2023 22:13:21 GMT",
                r#"selected by accept-encoding Some("gzip, br")"#,
                "selected by x-absent None",
                "whole of 23",
                r#"octets "http://a.example/varied""#,
            ],
        ],
    ),
    (
        "http://a.example/freshened",
        &[&[
            r#"GET 200 "OK""#,
            "from 192.0.2.1:80 as Http10",
            "use 1, reading 23",
            "asked 1700000100, answered 1700000102, age 2",
            r#"ETag: "a""#,
            "Cache-Control: max-age=90",
            "X-Number: 2",
            "X-Kept: yes",
            "Date: Tue, 14 Nov 2023 22:15:02 GMT",
            "whole of 26",
            r#"octets "http://a.example/freshened""#,
        ]],
    ),
    (
        "http://a.example/large",
        &[&[
            r#"GET 200 "OK""#,
            "from 192.0.2.1:80 as Http11",
            "use 1, reading 29",
            "asked 1700000000, answered 1700000001, age 1",
            r#"ETag: "large""#,
            "Cache-Control: max-age=600",
            "Date: Tue, 14 Nov 2023 22:13:21 GMT",
            "chunks of 1048876",
            "missing 0 to 1048575",
            "on disk from 1048576: 300 times r",
        ]],
    ),
    (
        "http://a.example/part",
        &[&[
            r#"GET 200 "OK""#,
            "from 192.0.2.1:80 as Http11",
            "use 1, reading 32",
            "asked 1700000000, answered 1700000001, age 1",
            r#"ETag: "part""#,
            "Cache-Control: max-age=600",
            "Content-Length: 20",
            "Date: Tue, 14 Nov 2023 22:13:21 GMT",
            "spans of 20",
            "missing 0 to 1",
            r#"octets "cde""#,
            "missing 5 to 9",
            r#"octets "klmno""#,
            "missing 15 to 19",
        ]],
    ),
    (
        "http://a.example/second",
        &[&[
            r#"GET 200 "OK""#,
            "from 192.0.2.1:80 as Http11",
            "use 2, reading 1",
            "asked 1700000000, answered 1700000001, age 1",
            "Cache-Control: max-age=60",
            "Date: Tue, 14 Nov 2023 22:13:21 GMT",
            "whole of 23",
            r#"octets "http://a.example/second""#,
        ]],
    ),
    (
        "http://a.example/third",
        &[&[
            r#"GET 200 "OK""#,
            "from 192.0.2.1:80 as Http11",
            "use 3, reading 1",
            "asked 1700000000, answered 1700000001, age 1",
            "Cache-Control: max-age=60",
            "Date: Tue, 14 Nov 2023 22:13:21 GMT",
            "whole of 22",
            r#"octets "http://a.example/third""#,
        ]],
    ),
];

/// URIs of which nothing is left.
const GONE: &[&str] = &[
    "http://a.example/before",
    "http://purged.example/",
    "http://a.example/tagged",
    "http://a.example/purged/x",
    "http://a.example/removed",
    "http://a.example/cut",
];

/// Compares all that is in a store.
pub async fn check(store: &Store) {
    for (text, expected) in STORED {
        let uri = uri(text);
        let variants = store.look_up(store.key(&uri)).await;
        let variants = variants.unwrap_or_else(|| panic!("{text} is lost"));
        let told: Vec<Vec<String>> = variants.iter().map(|object| tell(store, text, object)).collect();
        assert_eq!(told, *expected, "{text}");
    }
    for text in GONE {
        assert!(store.look_up(store.key(&uri(text))).await.is_none(), "{text} is back");
    }
    let listing = store.list(&|_uri| true, 100);
    let stored: usize = STORED.iter().map(|(_, variants)| variants.len()).sum();
    assert_eq!(
        listing.total,
        stored as u64,
        "{:?}",
        listing.stored.iter().map(|one| &one.uri).collect::<Vec<_>>()
    );
    let disk = store.disks().next().expect("there is one");
    let in_effect: Vec<_> = disk.purges().all().into_iter().map(|purge| purge.scope).collect();
    assert_eq!(in_effect, purges());
    assert_eq!((disk.usage().damaged, disk.usage().read_errors), (0, 0));
}

/// All that is stored of a response.
fn tell(store: &Store, text: &str, object: &Object) -> Vec<String> {
    let parts = object.head.to_parts();
    let text_of = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut lines = vec![
        format!("{} {} {:?}", parts.method.as_str(), parts.status, text_of(&parts.reason)),
        format!("from {} as {:?}", object.origin, object.received),
        format!("use {}, reading {}", object.generation >> 40, object.generation & 0xff_ffff_ffff),
        format!(
            "asked {}, answered {}, age {}",
            parts.times.request_time.0, parts.times.response_time.0, parts.initial_age
        ),
    ];
    lines.extend(
        parts.fields.iter().map(|field| format!("{}: {}", text_of(field.name), text_of(field.value))),
    );
    let selecting = |(name, value): &(Bytes, Option<Bytes>)| {
        format!("selected by {} {:?}", text_of(name), value.as_deref().map(text_of))
    };
    lines.extend(parts.selecting.iter().map(selecting));
    if !parts.targets.is_default() {
        lines.extend(parts.targets.names().map(|name| format!("target {}", text_of(name))));
    }
    let length = object.content.length();
    let kind = match object.content {
        StoredContent::Memory { .. } => "whole",
        StoredContent::Partial { .. } => "spans",
        StoredContent::Chunks { .. } => "chunks",
    };
    lines.push(format!("{kind} of {length}"));
    if let Some(last) = length.checked_sub(1) {
        let uri = uri(text);
        let parts = store.parts(store.key(&uri), object, ByteRange { first: 0, last });
        lines.extend(parts.iter().map(tell_part));
    }
    lines
}

fn tell_part(part: &Part) -> String {
    match part {
        Part::Bytes(octets) => format!("octets {:?}", String::from_utf8_lossy(octets)),
        Part::Missing(range) => format!("missing {} to {}", range.first, range.last),
        Part::Extent(extent, first) => {
            assert!(extent.check(), "damaged");
            let octets = extent.read(0, u64::MAX).expect("readable");
            let is_all_r = octets.iter().all(|octet| *octet == b'r');
            assert!(is_all_r, "{octets:?}");
            format!("on disk from {first}: {} times r", octets.len())
        }
    }
}
