//! The page that says so: in the form that the client prefers, with the rule's name, and
//! without anything that is nobody's business (RFC 9457, RFC 9209).

use crate::support::{Answer, Response, World};

const URL: &str = "http://www.ads.example/a/path?token=geheim";

fn refused(world: &World, accept: &str) -> Response {
    let response = world.client().get_with(URL, &[("Accept", accept), ("Authorization", "Basic Z2VoZWlt")]);
    assert_eq!(response.status(), 403);
    response
}

fn world() -> World {
    World::with(|setup| setup.access_toml("block = ['ads.example']"))
}

#[test]
fn its_form_is_the_one_that_the_client_prefers() {
    let world = world();
    let cases = [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/problem+json", "application/problem+json"),
        ("application/json", "application/problem+json"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
        ("image/png", "text/plain; charset=utf-8"),
        ("text/html;q=0.5, application/json", "application/problem+json"),
        ("text/html;q=0, */*", "text/plain; charset=utf-8"),
    ];
    for (accept, kind) in cases {
        assert_eq!(refused(&world, accept).field("Content-Type"), Some(kind), "{accept}");
    }
}

#[test]
fn it_names_the_site_the_rule_and_the_request() {
    let world = world();
    for accept in ["text/html", "application/json", "text/plain"] {
        let response = refused(&world, accept);
        for told in ["Blocked", "This site is blocked.", "www.ads.example", "ads.example", "403"] {
            assert!(response.text().contains(told), "{accept}: {told}");
        }
    }
    let problem: serde_json::Value =
        serde_json::from_str(refused(&world, "application/json").text()).unwrap();
    assert_eq!((&problem["status"], &problem["rule"]), (&403.into(), &"ads.example".into()));
    assert_eq!(problem["host"], "www.ads.example");
    assert_eq!(problem["error"], "http_request_denied");
    assert_eq!(problem["request"].as_str().map(str::len), Some(16));
}

#[test]
fn its_head_says_who_refused_and_that_nobody_may_keep_it() {
    let response = refused(&world(), "*/*");
    let expected = "larder; error=http_request_denied; details=\"rule ads.example\"";
    assert_eq!(response.field("Proxy-Status"), Some(expected));
    assert_eq!(response.field("Cache-Control"), Some("no-store"));
    assert_eq!(response.cache_status(), "larder");
    assert!(response.has("Date") && response.has("Via"));
}

#[test]
fn a_refused_tunnel_gets_the_page_too() {
    let world = world();
    let asked = "CONNECT www.ads.example:443 HTTP/1.1\r\nHost: www.ads.example:443\r\n\r\n";
    let response = world.client().send(asked).response_to("CONNECT");
    assert_eq!(response.status(), 403);
    assert!(response.text().contains("Rule: ads.example"), "{}", response.text());
    assert!(response.has("Proxy-Status"));
}

#[test]
fn head_gets_the_head_of_the_page() {
    let world = world();
    let mut client = world.client();
    let response = client.request("HEAD", URL, &[], "");
    assert_eq!(response.status(), 403);
    assert_ne!(response.field("Content-Length"), Some("0"));
    // The next response on the connection shows that no content came.
    assert_eq!(client.get(URL).status(), 403);
}

#[test]
fn it_repeats_no_secret_of_the_request() {
    let world = world();
    for accept in ["text/html", "application/json", "text/plain"] {
        let response = refused(&world, accept);
        for secret in ["geheim", "Z2VoZWlt", "token"] {
            assert!(!response.text().contains(secret), "{accept}: {secret}");
        }
    }
}

#[test]
fn it_shows_no_address_and_no_file_of_the_inside() {
    let world = World::with(|setup| {
        setup.listen = "0.0.0.0:0".parse().unwrap();
        setup.host("intranet.example", &["10.20.30.40"]);
        setup.lists.push(("/etc/secret-list.txt".to_owned(), "ads.example".to_owned()));
    });
    for url in ["http://intranet.example/", URL] {
        let response = world.client().get_with(url, &[("Accept", "text/html")]);
        assert_eq!(response.status(), 403);
        let all = format!("{:?} {}", response.head, response.text());
        for inside in ["10.20.30.40", "10.0.0.0", "secret-list", "127.0.0.1"] {
            assert!(!all.contains(inside), "{url}: {inside} in {all}");
        }
    }
}

#[test]
fn what_a_rule_is_called_is_escaped() {
    let world = World::with(|setup| {
        setup.access_toml(r#"block = ['://[^/]*/(<script>|a|"b")']"#);
    });
    let response = refused(&world, "text/html");
    assert!(!response.text().contains("<script>"));
    assert!(response.text().contains("&lt;script&gt;|a|&quot;b&quot;"));
    let status = response.field("Proxy-Status").unwrap();
    assert!(status.contains(r#"(<script>|a|\"b\")"#), "{status}");
    let problem = refused(&world, "application/json");
    let problem: serde_json::Value = serde_json::from_str(problem.text()).unwrap();
    assert_eq!(problem["rule"], r#"://[^/]*/(<script>|a|"b")"#);
}

#[test]
fn after_a_refusal_the_connection_goes_on() {
    let world = world();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    assert_eq!(client.get(URL).status(), 403);
    assert_eq!(client.get(&world.url("/")).text(), "hello");
    assert_eq!(world.count(|counters| &counters.denied), 1);
}
