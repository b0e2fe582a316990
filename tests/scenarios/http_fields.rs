//! Fields that go through: what is added to them, and what is not (RFC 9110 §5 to §7, §14.4, §15.3.7;
//! RFC 9211 §2).

use crate::support::{Answer, World};

#[test]
fn cache_status_goes_behind_that_of_others() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").field("Cache-Status", "other; hit").body("hello"));
    for own in ["larder; fwd=uri-miss", "larder; hit"] {
        let response = world.get("/");
        let members = response.head.all("Cache-Status").join(", ");
        assert!(members.starts_with(&format!("other; hit, {own}")), "{members}");
    }
}

#[test]
fn what_a_request_does_not_have_is_not_added() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    client.request("OPTIONS", &world.url("/"), &[], "");
    let seen = world.origin.request("/");
    for name in ["Max-Forwards", "Cache-Control", "Range", "If-None-Match", "Transfer-Encoding", "TE"] {
        assert_eq!(seen.head.field(name), None, "{name}");
    }
}

#[test]
fn fields_that_mean_nothing_for_a_method_go_on() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").field("ETag", "\"a\"").body("hello"));
    assert_eq!(world.get("/").status(), 200);
    let hit = world.get_with("/", &[("Content-Range", "bytes 0-1/5")]);
    assert_eq!((hit.status(), hit.text(), hit.is_hit()), (200, "hello", true));
    let asked = [("If-None-Match", "\"a\""), ("Content-Range", "bytes 0-1/5")];
    let mut client = world.client();
    let response = client.request("OPTIONS", &world.url("/"), &asked, "");
    assert_eq!((response.status(), response.text()), (200, "hello"));
    let seen = &world.origin.requests("/")[1];
    assert_eq!(asked.map(|(name, _)| seen.head.field(name)), asked.map(|(_, value)| Some(value)));
}

#[test]
fn path_and_query_reach_the_origin_octet_by_octet() {
    let world = World::new();
    let path = "/a/../%7Eb//c;d=%2f?q=a+b&&%zz='\"|";
    world.origin.on_path(path, Answer::ok("hello"));
    assert_eq!(world.get(path).text(), "hello");
    assert_eq!(world.origin.all_requests()[0].head.part(1), path);
}

#[test]
fn a_response_without_date_gets_the_time_at_which_it_came() {
    let world = World::new();
    for caching in ["no-store", "max-age=60"] {
        let path = format!("/{caching}");
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: {caching}\r\nContent-Length: 5\r\n\r\nhello");
        world.origin.on_path(&path, Answer::raw(&head));
        let date = world.date(0);
        assert_eq!(world.get(&path).head.all("Date"), [&date], "{caching}");
    }
    let came = world.date(0);
    world.advance(9);
    assert_eq!(world.get("/max-age=60").head.all("Date"), [&came]);
}

#[test]
fn a_206_has_the_fields_that_a_200_would_have_had() {
    let world = World::new();
    let fields = [
        ("ETag", "\"a\""),
        ("Expires", "Sun, 02 Jun 2024 07:00:00 GMT"),
        ("Content-Location", "/there"),
        ("Vary", "Accept"),
        ("Content-Type", "text/plain"),
        ("Last-Modified", "Sun, 02 Jun 2024 07:00:00 GMT"),
    ];
    let answer =
        fields.iter().fold(Answer::cached("max-age=60"), |answer, (name, value)| answer.field(name, value));
    world.origin.on_path("/", answer.body("hello"));
    world.get("/");
    let response = world.get_with("/", &[("Range", "bytes=1-2")]);
    assert_eq!((response.status(), response.text(), response.is_hit()), (206, "el", true));
    for (name, value) in fields.into_iter().chain([("Cache-Control", "max-age=60")]) {
        assert_eq!(response.field(name), Some(value), "{name}");
    }
    assert!(response.has("Date"));
}

#[test]
fn a_304_describes_no_content() {
    let world = World::new();
    let answer = Answer::cached("max-age=60").field("ETag", "\"a\"").field("Content-Type", "text/plain");
    world.origin.on_path("/", answer.field("Content-Language", "en").field("Vary", "Accept").body("hello"));
    world.get("/");
    let response = world.get_with("/", &[("If-None-Match", "\"a\"")]);
    assert_eq!((response.status(), response.is_hit()), (304, true));
    assert_eq!((response.field("ETag"), response.field("Vary")), (Some("\"a\""), Some("Accept")));
    for name in ["Content-Type", "Content-Length", "Transfer-Encoding"] {
        assert!(!response.has(name), "{name}");
    }
}

#[test]
fn an_expectation_of_an_http_1_0_client_is_ignored() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    let head =
        format!("POST {} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", world.url("/"));
    let response = client.send(head + "four").response();
    assert_eq!((response.status(), response.text(), response.interim.len()), (200, "hello", 0));
    assert_eq!(world.origin.request("/").text(), "four");
}
