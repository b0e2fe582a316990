//! The access log: one line for each exchange, in four formats.

use larder::log::Format;

use crate::support::{Answer, Gate, Wire, World, request};

/// What every format is told of: a miss, a hit, a block, a tunnel and a response that its client
/// left. Gives the lines and the origin's authority.
fn five_exchanges(format: Format) -> (Vec<String>, String) {
    let world = World::with(|setup| {
        setup.access_log = Some(format);
        setup.access_toml("block = ['ads.example']");
    });
    let gate = Gate::new();
    world
        .origin
        .on_path("/", Answer::cached("max-age=60").field("Content-Type", "text/plain; q=1").body("hello"));
    let half = Answer::cached("no-store").field("Content-Length", "10").end_of_head().send("hello");
    world.origin.on_path("/left", half.wait(&gate).send("world"));
    for exchanges in 1..=2 {
        world.get_with("/", &[("User-Agent", "test/1 \"x\""), ("Referer", "http://from.example/")]);
        world.has_served(exchanges);
    }
    world.client().get("http://www.ads.example/x y".split(' ').next().unwrap());
    world.has_served(3);
    tunnel(&world);
    world.has_served(4);
    let mut leaving = world.client();
    leaving.send(request("GET", &world.url("/left"), &[], ""));
    leaving.head();
    leaving.wire.exactly(5);
    leaving.reset();
    gate.open();
    world.has_served(5);
    let authority = world.origin.authority();
    (world.into_log(), authority)
}

/// A tunnel that carries `ping` up and nothing down.
fn tunnel(world: &World) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = world.client();
    client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\nping"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    let mut far = Wire::new(listener.accept().unwrap().0);
    assert_eq!(far.exactly(4).bytes, b"ping");
    client.half_close();
    far.half_close();
    assert!(client.is_closed());
}

#[test]
fn squids_format() {
    let (lines, origin) = five_exchanges(Format::Squid);
    let columns: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
    let codes: Vec<_> = columns.iter().map(|column| column[3]).collect();
    let expected =
        ["TCP_MISS/200", "TCP_MEM_HIT/200", "TCP_DENIED/403", "TCP_TUNNEL/200", "TCP_MISS_ABORTED/200"];
    assert_eq!(codes, expected);
    assert!(columns.iter().all(|column| column.len() == 10));
    assert_eq!(columns[0][..3], ["1717315200.000", "0", "127.0.0.1"]);
    assert_eq!(
        columns[0][5..],
        ["GET", &format!("http://{origin}/"), "-", "HIER_DIRECT/127.0.0.1", "text/plain"]
    );
    assert_eq!(columns[1][5..], ["GET", &format!("http://{origin}/"), "-", "HIER_NONE/-", "text/plain"]);
    assert_eq!(columns[2][6], "http://www.ads.example/x");
    assert_eq!(columns[3][5], "CONNECT");
    assert!(columns[3][6].starts_with("127.0.0.1:"));
}

#[test]
fn the_common_format() {
    let (lines, origin) = five_exchanges(Format::Common);
    let front = "127.0.0.1 - - [02/Jun/2024:08:00:00 +0000]";
    let expected = [
        format!("{front} \"GET http://{origin}/ HTTP/1.1\" 200 "),
        format!("{front} \"GET http://{origin}/ HTTP/1.1\" 200 "),
        format!("{front} \"GET http://www.ads.example/x HTTP/1.1\" 403 "),
        format!("{front} \"CONNECT 127.0.0.1:"),
        format!("{front} \"GET http://{origin}/left HTTP/1.1\" 200 "),
    ];
    assert_eq!(lines.len(), 5);
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
        let octets = line.rsplit(' ').next().unwrap();
        assert!(octets.parse::<u64>().is_ok_and(|octets| octets > 0), "{line}");
    }
}

#[test]
fn the_combined_format() {
    let (lines, origin) = five_exchanges(Format::Combined);
    assert_eq!(lines.len(), 5);
    assert!(lines[1].contains(&format!("\"GET http://{origin}/ HTTP/1.1\" 200 ")), "{}", lines[1]);
    assert!(lines[1].ends_with(r#" "http://from.example/" "test/1 \"x\"""#), "{}", lines[1]);
    assert!(lines[3].ends_with(" \"-\" \"-\""), "{}", lines[3]);
}

#[test]
fn the_json_format() {
    let (lines, origin) = five_exchanges(Format::Json);
    let lines: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let of = |member: &str| lines.iter().map(|line| line[member].clone()).collect::<Vec<_>>();
    assert_eq!(of("v"), [1, 1, 1, 1, 1]);
    assert_eq!(of("status"), [200, 200, 403, 200, 200]);
    let codes = ["TCP_MISS", "TCP_MEM_HIT", "TCP_DENIED", "TCP_TUNNEL", "TCP_MISS"];
    assert_eq!(of("cache_code"), codes);
    assert_eq!(of("ending"), ["complete", "complete", "complete", "complete", "aborted"]);
    assert_eq!(lines[0]["url"], format!("http://{origin}/"));
    assert_eq!(lines[0]["cache_status"], "larder; fwd=uri-miss; stored; ttl=60");
    assert_eq!(lines[1]["cache_status"], "larder; hit; ttl=60");
    assert_eq!((&lines[0]["origin"], &lines[1]["origin"]), (&"127.0.0.1".into(), &serde_json::Value::Null));
    assert_eq!(
        (&lines[2]["rule"], &lines[2]["error"]),
        (&"ads.example".into(), &"http_request_denied".into())
    );
    assert_eq!(lines[0]["time"], "2024-06-02T08:00:00.000Z");
    assert_eq!(lines[1]["user_agent"], "test/1 \"x\"");
}

#[test]
fn a_request_that_could_not_be_read_has_a_line_too() {
    let world = World::with(|setup| setup.access_log = Some(Format::Squid));
    assert_eq!(world.client().send("GET\r\n\r\n").response().status(), 400);
    world.has_served(1);
    let lines = world.into_log();
    let columns: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!((lines.len(), columns[3], columns[6]), (1, "NONE_NONE/400", "error:invalid-request"));
}

#[test]
fn what_took_its_time_is_told() {
    let world = World::with(|setup| setup.access_log = Some(Format::Json));
    let gate = Gate::new();
    world.origin.on_path("/", Answer::ok("hello").after(&gate));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    world.origin.has_requests(1);
    world.advance(3);
    gate.open();
    client.response();
    world.has_served(1);
    let line: serde_json::Value = serde_json::from_str(&world.into_log()[0]).unwrap();
    assert_eq!((&line["duration_ms"], &line["time"]), (&3000.into(), &"2024-06-02T08:00:03.000Z".into()));
}

#[test]
fn validations_and_stale_responses_have_codes_of_their_own() {
    let world = World::with(|setup| setup.access_log = Some(Format::Squid));
    world.origin.on_path("/", Answer::cached("max-age=60").field("ETag", "\"one\"").body("old"));
    world.origin.on_path("/", Answer::status(304).end_of_head()).on_path("/", Answer::status(503).body(""));
    world.origin.on_path("/", Answer::fresh(60, "new"));
    for exchanges in 1..=4 {
        world.get("/");
        world.has_served(exchanges);
        world.advance(61);
    }
    let lines = world.into_log();
    let codes: Vec<_> = lines.iter().filter_map(|line| line.split_whitespace().nth(3)).collect();
    let expected = [
        "TCP_MISS/200",
        "TCP_REFRESH_UNMODIFIED/200",
        "TCP_REFRESH_FAIL_OLD/200",
        "TCP_REFRESH_MODIFIED/200",
    ];
    assert_eq!(codes, expected);
}

#[test]
fn a_shared_exchange_has_a_code_of_its_own() {
    let world = World::with(|setup| setup.access_log = Some(Format::Squid));
    let gate = Gate::new();
    world.origin.on_path("/", Answer::fresh(60, "hello").after(&gate));
    let mut clients = [world.client(), world.client()];
    for client in &mut clients {
        client.send(request("GET", &world.url("/"), &[], ""));
        world.catch_up();
    }
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "hello"));
    world.has_served(8);
    let lines = world.into_log();
    let mut codes: Vec<_> = lines.iter().filter_map(|line| line.split_whitespace().nth(3)).collect();
    codes.retain(|code| !code.starts_with("NONE_NONE"));
    codes.sort_unstable();
    assert_eq!(codes, ["TCP_CF_HIT/200", "TCP_MISS/200"]);
}
