//! The admin pages over real sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{AdminError, Status, bind_admin};
use crate::budget::{Budget, Place, Places, Use};
use crate::caching::CachePolicy;
use crate::clock::Clock;
use crate::http::{Authority, Host, Scheme, Timestamp};
use crate::log::{AccessLog, Format, LogSettings, Target};
use crate::origin::{Lending, OriginLimits};
use crate::policy::{Config, Policy};
use crate::proxy::{Limits, Parts, Shared};
use crate::server::{Listen, ServerPlaces};
use crate::store::{Store, StoreSettings};

const ON_ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn shared() -> Arc<Shared> {
    shared_with(Store::new(
        StoreSettings { memory: 1 << 20, object_max: 1 << 18, ..StoreSettings::default() },
        [1, 2, 3],
    ))
}

fn shared_with(store: Store) -> Arc<Shared> {
    let (policy, _warnings) = Policy::build(&Config::default(), Vec::new(), &[]).expect("no rules");
    Arc::new(Shared::new(Parts {
        clock: Clock::manual(Timestamp(1_000_000)),
        store,
        policy,
        cache_policy: CachePolicy::default(),
        log: AccessLog::open(&LogSettings { access: Target::None, format: Format::Squid }).expect("no file"),
        limits: Limits::default(),
        instance: 7,
        own: Vec::new(),
        origin_tls: None,
        intercept: None,
        listener_tls: None,
    }))
}

/// The places of a server, and so many connections that it has.
fn places(connections: usize) -> (ServerPlaces, Vec<Place<IpAddr>>) {
    let places = ServerPlaces {
        connections: Places::new(100, 100),
        streams: Places::new(1, 1),
        refusals: Places::new(1, 1),
        lending: Lending::new(&OriginLimits::default(), &Budget::unlimited(), &Clock::system()),
    };
    let client = ON_ANY_PORT.ip();
    let taken = (0..connections).map(|_| places.connections.take(&client).expect("enough of them"));
    let taken = taken.collect();
    (places, taken)
}

/// Admin pages of a proxy on `proxy`, and where they are.
async fn serving<T>(proxy: &str, story: impl AsyncFnOnce(SocketAddr, Arc<Shared>, Arc<Status>) -> T) -> T {
    let local = tokio::task::LocalSet::new();
    let shared = shared();
    let proxy = Listen::http(proxy.parse().expect("an address"));
    let (places, _connections) = places(3);
    let status = Arc::new(Status::new(shared.clone(), vec![proxy], 1 << 20, places));
    let listener = bind_admin(ON_ANY_PORT).expect("a free port");
    let address = listener.address();
    local.spawn_local(listener.serve(status.clone()));
    local.run_until(story(address, shared, status)).await
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a listener");
    stream.write_all(request.as_bytes()).await.expect("an open connection");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a whole response");
    response
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

fn status_of(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

fn content(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_head, content)| content)
}

#[tokio::test]
async fn paths_and_methods() {
    let cases = [
        ("GET", "/", "200", "content-type: text/html; charset=utf-8"),
        ("GET", "/healthz", "200", "content-type: text/plain; charset=utf-8"),
        ("GET", "/readyz?x", "200", ""),
        ("HEAD", "/metrics", "200", "content-type: text/plain; version=0.0.4; charset=utf-8"),
        ("GET", "/proxy.pac", "200", "content-type: application/x-ns-proxy-autoconfig"),
        ("GET", "/wpad.dat", "200", "content-type: application/x-ns-proxy-autoconfig"),
        ("GET", "/healthz/", "404", ""),
        ("GET", "/api/v1/", "404", ""),
        ("POST", "/metrics", "405", "allow: GET,HEAD"),
        ("DELETE", "/", "405", "allow: GET,HEAD"),
        ("OPTIONS", "/", "405", "allow: GET,HEAD"),
        ("CONNECT", "origin.example:443", "405", "allow: GET,HEAD"),
        ("OPTIONS", "*", "404", ""),
    ];
    serving("127.0.0.1:3128", async |address, _, _| {
        for (method, path, status, field) in cases {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            let response = exchange(address, &request).await;
            assert_eq!(status_of(&response), status, "{method} {path}: {response}");
            for field in [
                field,
                "cache-control: no-store",
                "x-content-type-options: nosniff",
                "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ] {
                assert!(response.contains(field), "{method} {path}: {field} in {response}");
            }
            assert!(!response.contains("access-control"), "{response}");
            assert_eq!(method == "HEAD", content(&response).is_empty() && status == "200", "{response}");
        }
    })
    .await;
}

#[tokio::test]
async fn only_an_address_and_localhost_are_this_host() {
    let cases = [
        ("/", "Host: 127.0.0.1", "200"),
        ("/", "Host: 127.0.0.1:3129", "200"),
        ("/", "Host: 192.0.2.1:80", "200"),
        ("/", "Host: [::1]:3129", "200"),
        ("/", "Host: LOCALHOST:9", "200"),
        ("/", "Host: localhost.", "200"),
        ("/", "Host: rebound.example", "421"),
        ("/", "Host: rebound.example:3129", "421"),
        ("/", "Host: 127.0.0.1.rebound.example", "421"),
        ("/", "Host: localhost.example", "421"),
        ("/", "Host: 0x7f.0.0.1", "400"),
        ("/", "Host: user@127.0.0.1", "400"),
        ("/", "Host: 127.0.0.1, rebound.example", "400"),
        ("/", "Host:", "400"),
        ("/", "X: no host", "400"),
        ("/", "Host: 127.0.0.1\r\nHost: 127.0.0.1", "400"),
        ("/missing", "Host: rebound.example", "421"),
        // An absolute-form target is what counts; a proxy's request is not for here.
        ("http://127.0.0.1:3129/", "Host: rebound.example", "200"),
        ("http://origin.example/", "Host: 127.0.0.1:3129", "421"),
        ("http://larder.proxy/", "Host: larder.proxy", "421"),
        ("/", "Host: 127.0.0.1\r\nVia: 1.1 larder-00000007", "421"),
        ("/", "Host: 127.0.0.1\r\nVia: 1.1 other", "200"),
        ("/", "Host: 127.0.0.1:3129\r\nOrigin: http://127.0.0.1:3129", "200"),
        ("/", "Host: 127.0.0.1:3129\r\nOrigin: http://origin.example", "403"),
        ("/", "Host: 127.0.0.1:3129\r\nOrigin: null", "403"),
    ];
    serving("127.0.0.1:3128", async |address, _, _| {
        for (target, fields, status) in cases {
            let response = exchange(address, &format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n")).await;
            assert_eq!(status_of(&response), status, "{target} {fields}: {response}");
            assert!(response.contains("cache-control: no-store"), "{response}");
        }
    })
    .await;
}

#[tokio::test]
async fn draining_is_not_ready_and_still_healthy() {
    serving("127.0.0.1:3128", async |address, _, status| {
        assert_eq!(content(&get(address, "/readyz").await), "ready\n");
        status.drain();
        let response = get(address, "/readyz").await;
        assert_eq!((status_of(&response), content(&response)), ("503", "draining\n"));
        assert_eq!(content(&get(address, "/healthz").await), "ok\n");
        assert!(get(address, "/").await.contains(">stopping<"));
    })
    .await;
}

#[tokio::test]
async fn the_numbers_are_those_of_the_proxy() {
    serving("127.0.0.1:3128", async |address, shared, _| {
        for (counter, value) in [
            (&shared.counters.requests, 12_345),
            (&shared.counters.hits, 3),
            (&shared.counters.forwarded, 1),
            (&shared.counters.denied, 5),
            (&shared.counters.bytes_to_clients, 2048),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n");
        let response =
            exchange(address, &format!("{request}Accept: application/openmetrics-text\r\n\r\n")).await;
        let version = env!("CARGO_PKG_VERSION");
        for line in [
            &format!("larder_build_info{{version=\"{version}\"}} 1"),
            "# UNIT larder_start_time_seconds seconds",
            "larder_start_time_seconds 1000000",
            "larder_requests_total 12345",
            "larder_request_outcomes_total{outcome=\"hit\"} 3",
            "larder_request_outcomes_total{outcome=\"denied\"} 5",
            "larder_request_outcomes_total{outcome=\"tunnel\"} 0",
            "larder_client_sent_bytes_total 2048",
            "larder_store_limit_bytes 1048576",
            "larder_connections 3",
            "larder_access_log_lines_total{result=\"dropped\"} 0",
            "# EOF",
        ] {
            assert!(content(&response).lines().any(|found| found == line), "{line} in {response}");
        }
        let page = get(address, "/").await;
        for text in ["12\u{202f}345", "75 %", "2 KiB", "of 1 MiB", "127.0.0.1:3128", "content=5"] {
            assert!(page.contains(text), "{text} in {page}");
        }
    })
    .await;
}

/// Takes places until one is refused; they are given back.
fn refuse_one<K: Eq + std::hash::Hash + Clone>(places: &Arc<Places<K>>, taker: &K) {
    let taken: Vec<_> = std::iter::from_fn(|| places.take(taker).ok()).collect();
    assert!(!taken.is_empty());
}

#[test]
fn each_refusal_is_counted_once_under_its_documented_name() {
    let budget = Budget::new(1 << 20);
    let settings = StoreSettings {
        memory: 1 << 18,
        object_max: 1 << 16,
        budget: budget.clone(),
        ..StoreSettings::default()
    };
    let shared = shared_with(Store::new(settings, [1, 2, 3]));
    let (places, _) = places(0);
    let client = ON_ANY_PORT.ip();
    for of_clients in [&places.connections, &places.streams, &places.lending.exchanges, &shared.unread_fills]
    {
        refuse_one(of_clients, &client);
    }
    let authority = Authority { host: Host::parse_text("origin.example").expect("a host"), port: 80 };
    refuse_one(&places.lending.connections, &(Scheme::Http, authority));
    let _reading = budget.readers().wait(1, 0);
    for purpose in Use::ALL {
        budget.take(purpose, 2 << 20).expect_err("more than there is");
    }
    let _endless = budget.open_ended().begin(client, 0);
    let full = Places::new(1, 1);
    let _only = budget.place(&full, &client, || 120_000);
    let text = super::metrics::text(Status::new(shared, Vec::new(), 1 << 20, places).read()).expect("text");
    let of_places = ["connections", "streams", "exchanges", "origin_connections", "unread_fills"]
        .map(|of| (format!("larder_places_refused_total{{of=\"{of}\"}}"), of));
    let of_memory = Use::ALL.map(|purpose| {
        (format!("larder_memory_refusals_total{{use=\"{}\"}}", purpose.as_str()), purpose.as_str())
    });
    let documented = include_str!("../../docs/admin.md");
    for (series, of) in of_places.iter().chain(&of_memory) {
        assert!(text.lines().any(|line| line == format!("{series} 1")), "{series} in {text}");
        assert!(documented.contains(&format!("`{of}`")), "{of}");
    }
    for series in ["larder_slow_readers_cut_total", "larder_open_ended_cut_total"] {
        assert!(text.lines().any(|line| line == format!("{series} 1")), "{series} in {text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        assert!(documented.contains(&format!("| `{name}")), "{name}");
    }
}

#[tokio::test]
async fn a_pac_file_names_the_host_that_it_was_asked_under() {
    serving("0.0.0.0:8080", async |address, _, _| {
        let request = "GET /proxy.pac HTTP/1.1\r\nHost: 192.0.2.7:3129\r\n\r\n";
        assert!(exchange(address, request).await.contains("\"PROXY 192.0.2.7:8080\""));
    })
    .await;
}

#[tokio::test]
async fn others_are_never_sent_to_a_loopback_address() {
    serving("127.0.0.1:8080", async |address, _, _| {
        for path in ["/proxy.pac", "/wpad.dat"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: 192.0.2.7:3129\r\n\r\n");
            let response = exchange(address, &request).await;
            assert_eq!(status_of(&response), "404", "{response}");
            assert!(response.contains("only on 127.0.0.1:8080") && response.contains("--listen 192.0.2.7"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_carries_one_request() {
    serving("127.0.0.1:3128", async |address, _, _| {
        let one = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let response = exchange(address, &format!("{one}{one}")).await;
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 1, "{response}");
        assert!(response.contains("connection: close"), "{response}");
    })
    .await;
}

#[tokio::test]
async fn a_port_in_use_is_said() {
    let held = bind_admin(ON_ANY_PORT).expect("a free port");
    let error = bind_admin(held.address()).expect_err("it is held");
    assert!(matches!(error, AdminError::InUse(_)), "{error}");
    assert!(error.to_string().contains("--admin off"), "{error}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test's own folder")]
fn the_tier_on_disk_is_told_of_where_there_is_one() {
    use crate::store::disk::{Disk, DiskSettings, files::SystemFiles, set::LeftOut};
    let reading = |shared| Status::new(shared, Vec::new(), 1 << 20, places(0).0).read();
    let without = super::metrics::text(reading(shared())).expect("text");
    assert!(!without.contains("larder_disk_"), "{without}");
    assert!(!super::page::html(&reading(shared()), &[]).contains("On disk"));
    let folder = std::env::temp_dir().join(format!("larder-metrics-{}", std::process::id()));
    let settings = DiskSettings { size: 8 << 20, segment_size: 4 << 20 };
    let disk = Disk::open(&folder, settings, Arc::new(SystemFiles), Clock::system(), [1, 2]);
    let disk = disk.expect("a usable folder");
    let store = Store::with_disks(StoreSettings::default(), vec![disk], crate::proxy::renderer(7), 3);
    let gone = LeftOut { folder: "/mnt/\"<b>\"".into(), why: "Input/output error".to_owned() };
    let reading = reading(shared_with(store.without(vec![gone])));
    let page = super::page::html(&reading, &[]);
    let with = super::metrics::text(reading).expect("text");
    let here = folder.display();
    for line in [
        format!("larder_disk_limit_bytes{{folder=\"{here}\"}} 8388608\n"),
        format!("larder_disk_used_bytes{{folder=\"{here}\"}} 0\n"),
        format!("larder_disk_read_only{{folder=\"{here}\"}} 0\n"),
        format!("larder_disk_read_errors_total{{folder=\"{here}\"}} 0\n"),
        format!("larder_disk_damaged_records_total{{folder=\"{here}\"}} 0\n"),
        format!("larder_disk_late_removals_total{{folder=\"{here}\"}} 0\n"),
        format!("larder_disk_scrubbed_bytes_total{{folder=\"{here}\"}} 0\n"),
        format!("larder_disk_left_out{{folder=\"{here}\"}} 0\n"),
        "larder_disk_left_out{folder=\"/mnt/\\\"<b>\\\"\"} 1\n".to_owned(),
    ] {
        assert!(with.contains(&line), "{line}: {with}");
    }
    assert_eq!(with.matches("# TYPE larder_disk_used_bytes gauge").count(), 1, "{with}");
    for part in [
        format!("larder-metrics-{}</th><td>0 bytes of 8 MiB</td>", std::process::id()),
        "/mnt/&quot;&lt;b&gt;&quot;<small>left out at the start: Input/output error</small>".to_owned(),
    ] {
        assert!(page.contains(&part), "{part}: {page}");
    }
    std::fs::remove_dir_all(&folder).expect("it is there");
}
