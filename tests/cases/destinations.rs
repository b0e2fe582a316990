//! Destinations: metadata services, ports, special-purpose addresses, and what stands behind a refused
//! CONNECT (rows S9, S10, S11 and S13).

use crate::support::{Answer, Client, Response, World, request};

fn open_world() -> World {
    World::with(|setup| setup.listen = "0.0.0.0:0".parse().unwrap())
}

fn connect(client: &mut Client, authority: &str, behind: &[u8]) -> Response {
    let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    client.send([head.as_bytes(), behind].concat());
    client.response_to("CONNECT")
}

/// Checks that GET and CONNECT to this address are refused by the rule with this name.
fn refuses(world: &World, address: &str, rule: &str) {
    let tunnel = connect(&mut world.client(), &format!("{address}:80"), b"");
    for response in [world.client().get(&format!("http://{address}/")), tunnel] {
        assert_eq!(
            (response.status(), response.proxy_error()),
            (403, "destination_ip_prohibited"),
            "{address}"
        );
        assert!(response.text().contains(&format!("Rule: {rule}\n")), "{address}: {}", response.text());
    }
}

#[test]
fn case_s9_nothing_behind_a_refused_connect_is_a_request() {
    let world = World::with(|setup| setup.access_toml("block = ['blocked.example']"));
    world.origin.otherwise(Answer::ok("reached"));
    let behind = request("GET", &world.url("/smuggled"), &[], "");
    let port = world.origin.address().port();
    // By port, by rule, by address, for Larder's own name, for a name that does not exist, for a port
    // where nobody listens, and for a target that is none.
    let refused = [
        ("127.0.0.1:25".to_owned(), 403),
        (format!("blocked.example:{port}"), 403),
        ("169.254.169.254:80".to_owned(), 403),
        ("larder.proxy:443".to_owned(), 404),
        ("nowhere.example:443".to_owned(), 502),
        ("127.0.0.1:1024".to_owned(), 502),
        ("127.0.0.1".to_owned(), 400),
    ];
    for (authority, status) in refused {
        let mut client = world.client();
        let response = connect(&mut client, &authority, &behind);
        assert_eq!(response.status(), status, "{authority}");
        assert_eq!(response.field("Connection"), Some("close"), "{authority}");
        assert!(client.is_closed(), "{authority}");
    }
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_s9_nor_is_what_comes_later() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(connect(&mut client, "127.0.0.1:25", b"").status(), 403);
    client.send(request("GET", &world.url("/later"), &[], ""));
    assert!(client.is_closed());
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_s10_metadata_services_are_never_destinations() {
    let everything = "allow_destinations = ['0.0.0.0/0', '::/0']";
    let worlds = [World::new(), open_world(), World::with(|setup| setup.access_toml(everything))];
    let services = [
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "[fd00:ec2::254]",
        "[fd00:c1::a9fe:a9fe]",
        "[fd00:42::42]",
        "[fd20:ce::254]",
        // What carries them.
        "[::ffff:168.63.129.16]",
        "[::ffff:0:100.100.100.200]",
        "[64:ff9b::192.0.0.192]",
        "[2002:a83f:8110::1]",
        "[2606:4700::5efe:a9fe:a9fe]",
    ];
    for world in &worlds {
        for address in services {
            refuses(world, address, "metadata-address");
        }
    }
}

#[test]
fn case_s10_nor_are_link_local_addresses_that_nobody_has_opened() {
    for world in [World::new(), open_world()] {
        for address in ["169.254.1.1", "[fe80::1]", "[::ffff:169.254.1.1]"] {
            refuses(&world, address, "private-destination");
        }
    }
}

#[test]
fn case_s11_a_port_of_mail_or_of_a_database_is_closed_to_every_method() {
    let world = World::with(|setup| setup.host("pub.test", &["127.0.0.1"]));
    for port in [1, 22, 25, 465, 587, 993, 3306, 5432, 6379, 11211, 27017] {
        for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS", "PURGE"] {
            let content = if method == "POST" { "HELO a" } else { "" };
            let url = format!("http://pub.test:{port}/");
            let mut client = world.client();
            client.send(request(method, &url, &[], content));
            let response = client.response_to(method);
            let found = (response.status(), response.proxy_error());
            assert_eq!(found, (403, "http_request_denied"), "{method} {port}");
            assert!(response.field("Proxy-Status").unwrap().contains("rule port"), "{response:?}");
            assert!(method == "HEAD" || response.text().contains("Requests to this port"), "{response:?}");
        }
    }
}

#[test]
fn case_s11_what_is_open_is_the_operators_choice() {
    let world = World::with(|setup| setup.access_toml("ports = ['default', 25]\nconnect_ports = [443]"));
    world.origin.otherwise(Answer::ok("reached"));
    assert_eq!(world.get("/").text(), "reached");
    // Nobody listens there; it is dialled.
    assert_eq!(world.client().get("http://127.0.0.1:25/").proxy_error(), "connection_refused");
    assert_eq!(connect(&mut world.client(), "127.0.0.1:25", b"").status(), 403);
    let world = World::with(|setup| setup.access_toml("ports = [80]"));
    assert_eq!(world.get("/").status(), 403);
}

#[test]
fn case_s13_an_open_listener_refuses_what_the_registries_call_special() {
    let world = open_world();
    let special = [
        "[::ffff:0:10.1.2.3]",
        "[::ffff:0:127.0.0.1]",
        "[2606:4700::5efe:10.1.2.3]",
        "[2606:4700:1:2:200:5efe:192.168.1.1]",
        "[100::1]",
        "[100:0:0:1::1]",
        "[2001:2::1]",
        "[2001:10::1]",
        "[2001:20::1]",
        "[3fff::1]",
        "[3fff:fff::1]",
        "[5f00::1]",
        "[2001:db8::1]",
        "[2001:0:7f00:1::]",
        "[2002:a00:1::]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::10.0.0.1]",
        "192.0.0.9",
        "192.88.99.2",
        "198.18.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    for address in special {
        refuses(&world, address, "private-destination");
    }
}

#[test]
fn case_s13_whatever_name_leads_there() {
    let world = World::with(|setup| {
        setup.listen = "0.0.0.0:0".parse().unwrap();
        setup.host("siit.example", &["::ffff:0:10.1.2.3"]);
        setup.host("isatap.example", &["2606:4700::5efe:a00:1", "5f00::1"]);
    });
    for name in ["siit.example", "isatap.example"] {
        refuses(&world, name, "private-destination");
    }
}
