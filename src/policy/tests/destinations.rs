//! Tables of the addresses that may be dialled, after resolution.

use std::net::SocketAddr;

use super::super::Config;
use super::super::ListenerScope::{Loopback, Open};
use super::super::{ListenerScope, Policy};
use super::{blocking, network, policy};

fn dial(policy: &Policy, address: &str, listener: ListenerScope, own: &[&str]) -> Option<String> {
    let own: Vec<SocketAddr> = own.iter().map(|own| own.parse().expect("a valid address")).collect();
    let address = address.parse().expect("a valid address");
    policy.judge_address(address, listener, &own).err().map(|refusal| refusal.rule)
}

#[test]
fn open_listeners_reach_the_public_internet_alone() {
    let refused = [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[fc00::1]",
        "[fd00::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::10.0.0.1]",
        "[64:ff9b:1:a00:0:100::]",
        "[2002:c0a8:1::]",
        "[2001:0:7f00:1::]",
        "[2001:0:808:808::f5ff:fffe]",
    ];
    let policy = blocking(&[]);
    for ip in refused {
        assert_eq!(
            dial(&policy, &format!("{ip}:80"), Open, &[]).as_deref(),
            Some("private-destination"),
            "{ip}"
        );
        assert_eq!(dial(&policy, &format!("{ip}:80"), Loopback, &[]), None, "{ip}");
    }
    let reached = [
        "8.8.8.8",
        "[2606:4700::1111]",
        "[::ffff:8.8.8.8]",
        "[64:ff9b::8.8.8.8]",
        "[64:ff9b:1::8.8.8.8]",
        "[2002:808:808::]",
        "[2001:0:808:808::f7f7:f7f7]",
    ];
    for ip in reached {
        assert_eq!(dial(&policy, &format!("{ip}:80"), Open, &[]), None, "{ip}");
    }
}

#[test]
fn what_is_opened_is_open_and_no_more() {
    let config = Config { allow_destinations: network(&["10.0.0.0/8", "::1"]), ..Config::default() };
    let (policy, _) = policy(config, "10.9.0.0/16\n");
    let cases: &[(&str, Option<&str>)] = &[
        ("10.0.0.1:80", None),
        ("[::ffff:10.0.0.1]:80", None),
        ("[::1]:80", None),
        ("192.168.0.1:80", Some("private-destination")),
        ("127.0.0.1:80", Some("private-destination")),
        ("10.9.0.1:80", Some("10.9.0.0/16")),
        ("[::1]:3128", Some("own-address")),
    ];
    for (address, rule) in cases {
        assert_eq!(dial(&policy, address, Open, &["[::]:3128"]).as_deref(), *rule, "{address}");
    }
}

#[test]
fn metadata_is_never_a_destination() {
    let config = Config { allow_destinations: network(&["0.0.0.0/0", "::/0"]), ..Config::default() };
    let (policy, _) = policy(config, "");
    for ip in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]"] {
        for listener in [Loopback, Open] {
            let rule = dial(&policy, &format!("{ip}:80"), listener, &[]);
            assert_eq!(rule.as_deref(), Some("metadata-address"), "{ip} {listener:?}");
        }
    }
}

#[test]
fn larder_is_never_a_destination() {
    // own addresses, destination, refused
    let cases: &[(&[&str], &str, bool)] = &[
        (&["127.0.0.1:3128"], "127.0.0.1:3128", true),
        (&["127.0.0.1:3128"], "[::ffff:127.0.0.1]:3128", true),
        (&["127.0.0.1:3128"], "0.0.0.0:3128", true),
        (&["127.0.0.1:3128"], "127.0.0.1:3129", false),
        (&["127.0.0.1:3128"], "127.0.0.2:3128", false),
        (&["127.0.0.1:3128", "127.0.0.1:3129"], "127.0.0.1:3129", true),
        (&["0.0.0.0:3128"], "127.0.0.2:3128", true),
        (&["[::]:3128"], "127.0.0.1:3128", true),
        (&["[::]:3128"], "[::1]:3128", true),
        (&["0.0.0.0:3128", "192.168.1.5:0"], "192.168.1.5:3128", true),
        (&["0.0.0.0:3128", "192.168.1.5:3128"], "192.168.1.5:3128", true),
        (&["0.0.0.0:3128", "192.168.1.5:0"], "192.168.1.6:3128", false),
        (&["0.0.0.0:3128", "192.168.1.5:0"], "192.168.1.5:80", false),
        (&["[::ffff:192.168.1.5]:3128"], "192.168.1.5:3128", true),
    ];
    let policy = blocking(&[]);
    for (own, address, refused) in cases {
        let rule = dial(&policy, address, Loopback, own);
        assert_eq!(rule.as_deref(), refused.then_some("own-address"), "{own:?} {address}");
    }
}

#[test]
fn blocked_networks_bind_every_listener_after_resolution() {
    let policy = blocking(&["203.0.113.0/24", "10.1.0.0/16"]);
    for address in ["203.0.113.7:80", "[::ffff:203.0.113.7]:80", "[64:ff9b::203.0.113.7]:443", "10.1.0.1:80"]
    {
        for listener in [Loopback, Open] {
            let rule = dial(&policy, address, listener, &[]).unwrap_or_default();
            assert!(rule == "203.0.113.0/24" || rule == "10.1.0.0/16", "{address} {listener:?} {rule:?}");
        }
    }
}
