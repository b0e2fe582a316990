//! Group 2: names as the system resolves them. The name server is the tests' own.

use std::time::Duration;

use larder::origin::NameFiles;

use crate::support::name_server::{A, AAAA, NameServer, Reply};
use crate::support::{Answer, Client, Folder, Gate, Response, Setup, World, request};

/// A name server, the two files of a machine that asks it, and a proxy on that machine.
struct Net {
    world: World,
    server: NameServer,
    folder: Folder,
}

impl Net {
    fn new(hosts: &str, more_of_resolv_conf: &str) -> Net {
        Net::with(hosts, |server| server.line() + more_of_resolv_conf, |_| {})
    }

    fn with(
        hosts: &str,
        resolv_conf: impl FnOnce(&NameServer) -> String,
        change: impl FnOnce(&mut Setup),
    ) -> Net {
        let (folder, server) = (Folder::new(), NameServer::start());
        folder.write("hosts", hosts);
        folder.write("resolv.conf", &resolv_conf(&server));
        let world = World::with(|setup| {
            setup.names = Some(NameFiles::new(folder.path("hosts"), folder.path("resolv.conf")));
            change(setup);
        });
        world.origin.otherwise(Answer::ok("hello").close());
        Net { world, server, folder }
    }

    fn url(&self, name: &str) -> String {
        format!("http://{name}:{}/", self.world.origin.address().port())
    }

    /// The client that asks for a name, whose answer has still to come.
    fn ask(&self, name: &str) -> Client {
        let mut client = self.world.client();
        client.send(request("GET", &self.url(name), &[], ""));
        client
    }

    fn get(&self, name: &str) -> Response {
        self.ask(name).response()
    }

    /// Checks that a name leads to the origin.
    fn reaches(&self, name: &str) {
        let response = self.get(name);
        assert_eq!((response.status(), response.text()), (200, "hello"), "{name}");
    }
}

#[test]
fn case_2_1_octets_of_a_name_go_as_they_are() {
    let net = Net::new("", "");
    let names = [
        "under_score.test",
        "my_service",
        "foo_bar.s3.test",
        "_dmarc.test",
        "xn--zzzz.test",
        "xn--a.test",
        "-a-.test",
        "a--b.test",
        "1e100.test",
        "x.1a",
    ];
    for name in names {
        net.server.host(name, "127.0.0.1");
        net.reaches(name);
        assert!(net.server.names().contains(&name.to_owned()), "{name}: {:?}", net.server.names());
    }
    // In canonical form: one name has one spelling.
    for (name, asked) in
        [("UNDER_Score.TEST.", "under_score.test"), ("b\u{fc}cher_1.test", "xn--bcher_1-n2a.test")]
    {
        net.server.host(asked, "127.0.0.1");
        net.reaches(name);
    }
}

#[test]
fn case_2_1_what_can_be_no_host_is_not_asked_for() {
    let net = Net::new("", "");
    for name in
        ["a b.test", "a%2fb.test", "a\\b.test", "a..test", ".test", "a\u{1}.test", "a/b@c@d", "0x7f.1", "a.0"]
    {
        let response = net.get(name);
        assert!(response.status() == 400 || name == "a/b@c@d", "{name} {response:?}");
    }
    assert!(net.server.names().iter().all(|name| name == "a"), "{:?}", net.server.names());
}

#[test]
fn case_2_2_a_name_in_the_hosts_file_is_answered_by_it_alone() {
    let net = Net::new("127.0.0.1 both.test alias.test # mine\n::1 six.test\n127.0.0.1 dev.localhost\n", "");
    for name in ["both.test", "alias.test", "six.test", "dev.localhost"] {
        net.server.on(name, AAAA, Reply::Addresses(vec!["2001:db8::1".parse().unwrap()], 60));
        net.server.on(name, A, Reply::Addresses(vec!["192.0.2.1".parse().unwrap()], 60));
    }
    for name in ["both.test", "BOTH.test.", "alias.test", "dev.localhost", "localhost"] {
        net.reaches(name);
    }
    // The name server's IPv4 address is not asked for, whatever becomes of the IPv6 one.
    assert_eq!(net.get("six.test").status(), 502);
    assert!(net.server.asked().is_empty(), "{:?}", net.server.asked());
}

#[test]
fn case_2_2_all_its_addresses_count() {
    // Nobody listens at the first one; the next is tried at once.
    let net = Net::new("127.0.0.2 two.test\n127.0.0.1 two.test\n", "");
    net.reaches("two.test");
}

#[test]
fn case_2_3_without_a_name_server_the_hosts_file_works() {
    for resolv_conf in ["", "search corp.test\noptions ndots:2\n", "nameserver nonsense\n"] {
        let net = Net::with("127.0.0.1 known.test\n", |_| resolv_conf.to_owned(), |_| {});
        for name in ["known.test", "localhost", "127.0.0.1"] {
            net.reaches(name);
        }
        let response = net.get("other.test");
        assert_eq!((response.status(), response.proxy_error()), (502, "dns_error"), "{resolv_conf:?}");
        assert!(response.text().contains("No name server is configured"), "{}", response.text());
    }
}

#[test]
fn case_2_3_nor_does_a_machine_without_the_files_stop() {
    let net = Net::new("", "");
    std::fs::remove_file(net.folder.path("hosts")).unwrap();
    std::fs::remove_file(net.folder.path("resolv.conf")).unwrap();
    net.reaches("127.0.0.1");
    net.reaches("localhost");
    assert!(net.get("a.test").text().contains("No name server is configured"));
}

#[test]
fn case_2_4_a_hosts_file_that_changes_is_seen() {
    let net = Net::new("", "");
    assert_eq!(net.get("new.test").status(), 502);
    net.folder.write("hosts", "127.0.0.1 new.test\n");
    net.world.advance(1);
    net.reaches("new.test");
    net.folder.write("hosts", "");
    net.world.advance(1);
    assert_eq!(net.get("new.test").status(), 502);
}

#[test]
fn case_2_4_so_is_another_name_server() {
    let net = Net::new("", "");
    let vpn = NameServer::start();
    vpn.host("inside.test", "127.0.0.1");
    assert_eq!(net.get("inside.test").status(), 502);
    net.folder.write("resolv.conf", &vpn.line());
    net.world.advance(1);
    // What the other one said of it is forgotten.
    net.reaches("inside.test");
    std::fs::remove_file(net.folder.path("resolv.conf")).unwrap();
    net.world.advance(1);
    assert!(net.get("inside.test").text().contains("No name server is configured"));
}

#[test]
fn case_2_4_a_kept_connection_does_not_outlive_what_the_files_said() {
    let net = Net::new("127.0.0.1 moved.test other.test\n", "");
    net.world.origin.otherwise(Answer::ok("hello"));
    net.reaches("moved.test");
    net.reaches("moved.test");
    assert_eq!(net.world.origin.connection_count(), 1);
    // Rewritten with the same names, the file changes nothing.
    net.folder.write("hosts", "127.0.0.1  moved.test\tother.test # as before\n");
    net.world.advance(1);
    net.reaches("moved.test");
    assert_eq!(net.world.origin.connection_count(), 1);
    net.folder.write("hosts", "127.0.0.2 moved.test\n127.0.0.1 other.test\n");
    net.world.advance(1);
    assert_eq!(net.get("moved.test").proxy_error(), "connection_refused");
    net.reaches("other.test");
    assert_eq!(net.world.origin.connection_count(), 2);
}

#[test]
fn case_2_5_a_silent_family_costs_50_ms() {
    for (silent, other) in [(AAAA, A), (A, AAAA)] {
        let net = Net::new("", "");
        let address = if other == A { "127.0.0.1" } else { "::ffff:127.0.0.1" };
        net.server.on("half.test", silent, Reply::Silence);
        net.server.on("half.test", other, Reply::Addresses(vec![address.parse().unwrap()], 60));
        let mut client = net.ask("half.test");
        net.world.advance_until_heard(Duration::from_millis(50), &mut client);
        assert_eq!(client.response().status(), 200, "type {silent} is silent");
    }
}

#[test]
fn case_2_5_a_failed_family_is_no_failure() {
    for code in [0, 1, 2, 3, 4, 5] {
        for failing in [AAAA, A] {
            let net = Net::new("", "");
            let (other, address) =
                if failing == AAAA { (A, "127.0.0.1") } else { (AAAA, "::ffff:127.0.0.1") };
            net.server.on("half.test", failing, Reply::Code(code));
            net.server.on("half.test", other, Reply::Addresses(vec![address.parse().unwrap()], 60));
            let mut client = net.ask("half.test");
            net.world.advance_until_heard(Duration::from_millis(50), &mut client);
            assert_eq!(client.response().status(), 200, "type {failing} gets {code}");
        }
    }
}

#[test]
fn case_2_5_addresses_that_come_later_are_dialled_too() {
    let net = Net::new("", "");
    let gate = Gate::new();
    // Documentation: nobody answers there.
    net.server.on("late.test", AAAA, Reply::Addresses(vec!["2001:db8::1".parse().unwrap()], 60));
    let address = Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 60);
    net.server.on("late.test", A, Reply::After(gate.clone(), Box::new(address)));
    let mut client = net.ask("late.test");
    net.world.catch_up();
    gate.open();
    net.world.advance_until_heard(Duration::from_millis(250), &mut client);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn case_2_5_an_address_that_does_not_answer_holds_for_250_ms() {
    let net = Net::new("", "");
    let addresses = ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().unwrap());
    net.server.on("slow.test", A, Reply::Addresses(addresses.to_vec(), 60)).on(
        "slow.test",
        AAAA,
        Reply::Code(0),
    );
    let mut client = net.ask("slow.test");
    net.world.advance_until_heard(Duration::from_millis(250), &mut client);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn case_2_5_each_address_is_judged_before_it_is_dialled() {
    let net = Net::with("", NameServer::line, |setup| setup.listen = "0.0.0.0:0".parse().unwrap());
    net.server.on("inside.test", A, Reply::Addresses(vec!["10.1.2.3".parse().unwrap()], 60));
    net.server.on("inside.test", AAAA, Reply::Addresses(vec!["fd00::1".parse().unwrap()], 60));
    let response = net.get("inside.test");
    assert_eq!((response.status(), response.proxy_error()), (403, "destination_ip_prohibited"));
}

#[test]
fn case_2_6_what_is_wrong_with_a_name_is_said() {
    let net = Net::new("", "");
    let cases = [
        (0, "NOERROR", "exists, but has no address"),
        (3, "NXDOMAIN", "does not exist"),
        (2, "SERVFAIL", "could not resolve"),
        (5, "REFUSED", "refuses to resolve"),
        (1, "FORMERR", "answered with an error"),
        (4, "NOTIMP", "answered with an error"),
        (9, "RCODE9", "answered with an error"),
    ];
    for (code, rcode, text) in cases {
        let name = format!("code-{code}.test");
        net.server.on(&name, A, Reply::Code(code)).on(&name, AAAA, Reply::Code(code));
        let response = net.get(&name);
        assert_eq!((response.status(), response.proxy_error()), (502, "dns_error"), "{rcode}");
        assert!(response.text().contains(text), "{rcode}: {}", response.text());
        let status = response.field("Proxy-Status").unwrap();
        assert!(status.contains(&format!("rcode=\"{rcode}\"")), "{rcode}: {status}");
    }
    // An alias of what has no address has none.
    net.server.on("alias.test", A, Reply::Code(0)).on("alias.test", AAAA, Reply::Code(3));
    assert!(net.get("alias.test").text().contains("does not exist"));
}

#[test]
fn case_2_6_silence_is_a_time_out() {
    let net = Net::new("", "");
    net.server.on("silent.test", A, Reply::Silence).on("silent.test", AAAA, Reply::Silence);
    let mut client = net.ask("silent.test");
    net.world.advance_until_heard(Duration::from_secs(5), &mut client);
    let response = client.response();
    assert_eq!((response.status(), response.proxy_error()), (504, "dns_timeout"));
    assert!(response.text().contains("No name server answered"), "{}", response.text());
}

#[test]
fn case_2_6_an_answer_that_is_no_message_is_malformed() {
    let net = Net::new("", "");
    net.server.on("garbage.test", A, Reply::Garbage).on("garbage.test", AAAA, Reply::Garbage);
    let response = net.get("garbage.test");
    assert_eq!((response.status(), response.proxy_error()), (502, "dns_error"));
    assert!(response.text().contains("answer is malformed"), "{}", response.text());
}

#[test]
fn case_2_6_a_name_server_that_is_gone_is_not_a_missing_name() {
    // Nobody listens at that port.
    let net = Net::with("", |_| "nameserver [127.0.0.1]:1\n".to_owned(), |_| {});
    let response = net.get("a.test");
    let said = response.text();
    assert!(matches!(response.proxy_error(), "dns_error" | "dns_timeout"), "{response:?}");
    assert!(said.contains("can't be reached") || said.contains("No name server answered"), "{said}");
}

#[test]
fn case_2_1_aliases_are_followed_and_truncated_answers_asked_for_by_tcp() {
    let net = Net::new("", "");
    net.server.on("alias.test", A, Reply::Alias("target.cdn.test".into(), "127.0.0.1".parse().unwrap()));
    net.server.on("alias.test", AAAA, Reply::Code(0));
    net.reaches("alias.test");
    net.server.on("large.test", A, Reply::Truncated(vec!["127.0.0.1".parse().unwrap()]));
    net.server.on("large.test", AAAA, Reply::Code(0));
    net.reaches("large.test");
    let by_tcp = |(name, kind, by): &(String, u16, &str)| name == "large.test" && *kind == A && *by == "tcp";
    assert!(net.server.asked().iter().any(by_tcp), "{:?}", net.server.asked());
}

#[test]
fn case_2_4_an_answer_without_a_lifetime_is_not_kept() {
    let net = Net::new("", "");
    net.server.on("brief.test", A, Reply::Addresses(vec!["127.0.0.1".parse().unwrap()], 0));
    net.server.on("brief.test", AAAA, Reply::Code(0));
    net.reaches("brief.test");
    net.server.on("brief.test", A, Reply::Code(2)).on("brief.test", AAAA, Reply::Code(2));
    assert_eq!(net.get("brief.test").status(), 502);
}

#[test]
fn case_2_5_a_name_server_that_is_gone_holds_nobody() {
    let silent = NameServer::start();
    for name in ["a.test", "b.test"] {
        silent.on(name, A, Reply::Silence).on(name, AAAA, Reply::Silence);
    }
    for first in [silent.line(), "nameserver [127.0.0.1]:1\n".to_owned()] {
        let net = Net::with("", |server| first + &server.line(), |_| {});
        for name in ["a.test", "b.test"] {
            net.server.host(name, "127.0.0.1");
            net.reaches(name);
        }
    }
}

#[test]
fn case_2_1_short_names_are_looked_for_in_the_search_domains() {
    let net = Net::new("", "search corp.test lab.test\n");
    net.server.host("intranet.corp.test", "127.0.0.1").host("bench.lab.test", "127.0.0.1");
    net.server.host("plain", "127.0.0.1").host("a.test", "127.0.0.1");
    for name in ["intranet", "bench", "plain", "a.test"] {
        net.reaches(name);
    }
    // A name with dots enough is what it is: a misspelled one must not lead into the company.
    assert_eq!(net.get("typo.example").status(), 502);
    assert!(!net.server.names().contains(&"typo.example.corp.test".to_owned()));
    let net = Net::new("", "search corp.test\noptions ndots:2\n");
    net.server.host("api.default.corp.test", "127.0.0.1");
    net.reaches("api.default");
}

#[test]
fn case_2_1_rules_see_what_a_short_name_is_short_for() {
    let net = Net::with(
        "",
        |server| server.line() + "search corp.test\n",
        |setup| {
            setup.access_toml("block = ['secret.corp.test']");
        },
    );
    net.server.host("secret.corp.test", "127.0.0.1");
    for name in ["secret", "secret.corp.test", "SECRET."] {
        let response = net.get(name);
        assert_eq!(response.status(), 403, "{name}");
        assert!(response.text().contains("Rule: secret.corp.test\n"), "{}", response.text());
    }
}

#[test]
fn case_2_1_rules_for_urls_see_what_a_short_name_is_short_for() {
    let net = Net::with(
        "",
        |server| server.line() + "search corp.test\n",
        |setup| setup.access_toml("block = ['^http://wiki\\.corp\\.test(:[0-9]+)?/secret']"),
    );
    net.world.origin.otherwise(Answer::ok("hello"));
    net.server.host("wiki.corp.test", "127.0.0.1");
    let get = |path: &str| net.world.client().get(&format!("{}{path}", net.url("wiki"))).status();
    assert_eq!((get("secret"), get("open")), (403, 200));
    // The connection is kept now, and its name is judged again.
    assert_eq!((get("secret"), get("open")), (403, 200));
    net.world.swap_access("block = ['wiki.corp.test']");
    assert_eq!(get("open"), 403);
}
