//! Blocking by rule: hosts, wildcards, expressions, addresses, clients and list files, for HTTP
//! and CONNECT alike.

use crate::support::{Answer, Setup, World};

/// A world with these blocks, in which all names below are the origin.
fn blocking(table: &str) -> World {
    World::with(|setup| {
        setup.access_toml(table);
        names(setup);
    })
}

fn names(setup: &mut Setup) {
    for name in ["ads.example", "www.ads.example", "a.b.ads.example", "badads.example", "ads.example.test"] {
        setup.host(name, &["127.0.0.1"]);
    }
}

/// What came of a GET: the status, and the error of a refusal.
fn get(world: &World, host: &str, path: &str) -> (u16, String) {
    let response = world.client().get(&format!("http://{host}:{}{path}", world.origin.address().port()));
    (response.status(), response.proxy_error().to_owned())
}

/// What came of a CONNECT.
fn connect(world: &World, host: &str) -> (u16, String) {
    let authority = format!("{host}:{}", world.origin.address().port());
    let asked = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let response = world.client().send(asked).response_to("CONNECT");
    (response.status(), response.proxy_error().to_owned())
}

/// Checks that GET and CONNECT to these hosts are refused with this error, and those to the
/// others are not.
fn refuses(world: &World, error: &str, refused: &[&str], others: &[&str]) {
    world.origin.otherwise(Answer::ok("hello"));
    let expected = (403, error.to_owned());
    for host in refused {
        assert_eq!(get(world, host, "/"), expected, "GET {host}");
        assert_eq!(connect(world, host), expected, "CONNECT {host}");
    }
    assert_eq!(world.origin.connection_count(), 0);
    for host in others {
        assert_eq!(get(world, host, "/"), (200, String::new()), "GET {host}");
        assert_eq!(connect(world, host), (200, String::new()), "CONNECT {host}");
    }
}

const DENIED: &str = "http_request_denied";
const PROHIBITED: &str = "destination_ip_prohibited";

#[test]
fn a_host_is_blocked_with_all_names_below_it() {
    let world = blocking("block = ['ads.example']");
    let refused = ["ads.example", "www.ads.example", "a.b.ads.example", "ADS.Example", "ads.example."];
    refuses(&world, DENIED, &refused, &["badads.example", "ads.example.test"]);
}

#[test]
fn a_wildcard_blocks_the_names_below() {
    let world = blocking("block = ['*.ads.example']");
    refuses(&world, DENIED, &["www.ads.example", "a.b.ads.example"], &["ads.example", "badads.example"]);
}

#[test]
fn a_wildcard_stands_anywhere() {
    let world = blocking("block = ['*ads.ex?mple']");
    refuses(&world, DENIED, &["badads.example", "www.ads.example"], &["ads.example.test"]);
}

#[test]
fn an_expression_is_found_in_the_uri() {
    let world = blocking(r"block = ['https?://[^/]*/banner\d+\.gif']");
    world.origin.otherwise(Answer::ok("hello"));
    assert_eq!(get(&world, "ads.example", "/banner12.gif"), (403, DENIED.to_owned()));
    assert_eq!(get(&world, "ads.example", "/banner12.gif?x=1"), (403, DENIED.to_owned()));
    assert_eq!(get(&world, "ads.example", "/x/banner12.gif").0, 200);
    assert_eq!(get(&world, "ads.example", "/banner.gif").0, 200);
}

#[test]
fn an_expression_sees_through_percent_encoding() {
    let world = blocking("block = ['https?://[^/]*/banner']");
    world.origin.otherwise(Answer::ok("hello"));
    for path in ["/banner", "/%62anner", "/%62%61%6e%6E%65%72", "/x/../banner"] {
        assert_eq!(get(&world, "ads.example", path), (403, DENIED.to_owned()), "{path}");
    }
    assert!(world.origin.is_not_asked());
}

#[test]
fn an_expression_over_the_host_covers_tunnels() {
    let world = blocking(r"block = ['https?://[^/]*\.ads\.example']");
    refuses(&world, DENIED, &["www.ads.example"], &["ads.example"]);
}

#[test]
fn an_address_is_blocked_as_it_stands_in_the_uri() {
    for rule in ["127.0.0.1", "127.0.0.0/8"] {
        let world = blocking(&format!("block = ['{rule}']"));
        refuses(&world, PROHIBITED, &["127.0.0.1", "[::ffff:127.0.0.1]"], &[]);
    }
}

#[test]
fn no_name_smuggles_a_blocked_address() {
    let world = blocking("block = ['127.0.0.0/8', '::1']");
    refuses(&world, PROHIBITED, &["ads.example", "badads.example", "localhost"], &[]);
}

#[test]
fn each_address_of_a_name_is_judged() {
    let world = World::with(|setup| {
        setup.access_toml("block = ['127.0.0.2', '127.0.0.3']");
        setup.host("two.example", &["127.0.0.2", "127.0.0.1"]);
        setup.host("none.example", &["127.0.0.2", "127.0.0.3"]);
    });
    let refused = std::net::TcpListener::bind(("127.0.0.2", world.origin.address().port())).unwrap();
    world.origin.otherwise(Answer::ok("hello"));
    assert_eq!(get(&world, "none.example", "/"), (403, PROHIBITED.to_owned()));
    assert_eq!(get(&world, "two.example", "/"), (200, String::new()));
    refused.set_nonblocking(true).unwrap();
    assert!(refused.accept().is_err(), "the refused address is not dialled");
}

#[test]
fn a_client_is_refused_by_its_address() {
    for table in ["block_clients = ['127.0.0.0/8']", "clients = ['10.0.0.0/8', '::1']"] {
        let world = blocking(table);
        refuses(&world, DENIED, &["ads.example"], &[]);
    }
    let world = blocking("clients = ['127.0.0.1']");
    refuses(&world, DENIED, &[], &["ads.example"]);
}

#[test]
fn list_files_block_in_both_formats() {
    let world = World::with(|setup| {
        names(setup);
        let hosts = "127.0.0.1 localhost\n0.0.0.0 ads.example # shop\n0.0.0.0 badads.example other.example\n";
        setup.lists.push(("hosts.txt".to_owned(), hosts.to_owned()));
        setup.lists.push(("plain.txt".to_owned(), "# comment\n! another\n\nads.example.test\r\n".to_owned()));
    });
    let refused = ["ads.example", "www.ads.example", "badads.example", "ads.example.test"];
    refuses(&world, DENIED, &refused, &["localhost"]);
}

#[test]
fn a_tunnel_goes_to_open_ports_alone() {
    let world = World::new();
    for port in [22, 25, 110, 465, 3306, 5432, 6379, 27017] {
        let asked = format!("CONNECT origin.example:{port} HTTP/1.1\r\nHost: origin.example:{port}\r\n\r\n");
        let response = world.client().send(asked).response_to("CONNECT");
        assert_eq!((response.status(), response.proxy_error()), (403, DENIED), "{port}");
        assert!(response.text().contains("connect-port"));
    }
}

#[test]
fn a_rule_in_force_between_two_requests_holds_for_the_second() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    let url = format!("http://origin.example:{}/", world.origin.address().port());
    assert_eq!(client.get(&url).status(), 200);
    world.swap_access("block = ['origin.example']");
    assert_eq!(client.get(&url).status(), 403);
    world.swap_access("");
    assert_eq!(client.get(&url).status(), 200);
}

#[test]
fn a_pooled_connection_to_a_blocked_address_is_not_used() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    assert_eq!(world.get("/").status(), 200);
    world.swap_access("block = ['127.0.0.1']");
    assert_eq!(world.get("/").status(), 403);
    assert_eq!(world.origin.request_count(), 1);
}
