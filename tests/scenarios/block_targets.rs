//! Destinations that nobody may have: disguised addresses, metadata services, Larder itself, and
//! what is private where strangers may come in.

use std::net::SocketAddr;

use crate::support::{Answer, Response, World};

fn get(world: &World, url: &str) -> Response {
    world.client().get(url)
}

fn connect(world: &World, authority: &str) -> Response {
    let asked = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    world.client().send(asked).response_to("CONNECT")
}

/// Checks that GET and CONNECT to a host and port are refused by the rule with this name.
fn refuses(world: &World, host: &str, port: u16, rule: &str) {
    for response in [get(world, &format!("http://{host}:{port}/")), connect(world, &format!("{host}:{port}"))]
    {
        assert_eq!((response.status(), response.proxy_error()), (403, "destination_ip_prohibited"), "{host}");
        assert!(response.text().contains(&format!("Rule: {rule}\n")), "{host}: {}", response.text());
    }
}

fn open_world(table: &str) -> World {
    let world = World::with(|setup| {
        setup.listen = "0.0.0.0:0".parse().unwrap();
        setup.access_toml(table);
        setup.host("inside.example", &["10.1.2.3"]);
        setup.host("half.example", &["10.1.2.3", "127.0.0.1"]);
    });
    world.origin.otherwise(Answer::ok("hello"));
    world
}

#[test]
fn an_address_in_disguise_is_no_host() {
    let world = World::new();
    let port = world.origin.address().port();
    let disguises = [
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "127.0.0.01",
        "127.0.0.256",
        "127.0.0.1%00",
        "%31%32%37.0.0.1",
        "[::1%25lo]",
        "[::1",
        "1.2.3.4.5",
        "127.0.0.1.0x0",
    ];
    for host in disguises {
        for response in
            [get(&world, &format!("http://{host}:{port}/")), connect(&world, &format!("{host}:{port}"))]
        {
            assert_eq!(response.status(), 400, "{host}");
            assert_eq!(response.proxy_error(), "http_request_error", "{host}");
        }
    }
    assert_eq!(world.origin.connection_count(), 0);
}

#[test]
fn metadata_services_are_nobodys_destination() {
    let world = World::with(|setup| setup.host("metadata.example", &["169.254.169.254"]));
    let hosts = [
        "169.254.169.254",
        "metadata.example",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "169.254.170.2",
    ];
    for host in hosts {
        refuses(&world, host, 80, "metadata-address");
    }
}

#[test]
fn larder_itself_is_no_destination() {
    let world = World::with(|setup| setup.host("me.example", &["127.0.0.1"]));
    for host in ["127.0.0.1", "me.example", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        refuses(&world, host, world.proxy().port(), "own-address");
    }
}

#[test]
fn larder_on_all_addresses_is_no_destination_at_any() {
    let world = open_world("allow_destinations = ['127.0.0.0/8', '::1']");
    for host in ["127.0.0.1", "127.0.0.5", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        refuses(&world, host, world.proxy().port(), "own-address");
    }
}

#[test]
fn an_open_listener_refuses_private_destinations() {
    let world = open_world("");
    let hosts = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "inside.example",
        "half.example",
        "origin.example",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "[fc00::1]",
        "[fe80::1]",
        "0.0.0.0",
    ];
    for host in hosts {
        refuses(&world, host, world.origin.address().port(), "private-destination");
    }
    assert_eq!(world.origin.connection_count(), 0);
}

#[test]
fn the_configuration_opens_what_should_be_open() {
    let world = open_world("allow_destinations = ['127.0.0.0/8']");
    let port = world.origin.address().port();
    assert_eq!(get(&world, &format!("http://origin.example:{port}/")).text(), "hello");
    // Of the two addresses of this name one is open.
    assert_eq!(get(&world, &format!("http://half.example:{port}/")).text(), "hello");
    assert_eq!(connect(&world, &format!("127.0.0.1:{port}")).status(), 200);
    refuses(&world, "inside.example", port, "private-destination");
}

#[test]
fn what_is_opened_may_still_be_blocked() {
    let world = open_world("allow_destinations = ['127.0.0.0/8']\nblock = ['127.0.0.1']");
    refuses(&world, "127.0.0.1", world.origin.address().port(), "127.0.0.1");
}

#[test]
fn a_client_of_a_loopback_listener_may_go_to_its_own_network() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let SocketAddr::V4(origin) = world.origin.address() else { panic!("an IPv4 origin") };
    assert_eq!(get(&world, &format!("http://{origin}/")).text(), "hello");
}

#[test]
fn https_is_asked_for_through_a_tunnel() {
    let world = World::new();
    let response = get(&world, &format!("https://{}/", world.origin.authority()));
    assert_eq!((response.status(), response.proxy_error()), (501, "http_request_error"));
    assert!(response.text().contains("CONNECT"), "{}", response.text());
    assert!(world.origin.is_not_asked());
}

#[test]
fn a_name_that_does_not_exist_says_so() {
    let world = World::new();
    let response = get(&world, "http://missing.example/");
    assert_eq!((response.status(), response.proxy_error()), (502, "dns_error"));
}
