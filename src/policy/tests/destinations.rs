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
        "[::ffff:0:10.0.0.1]",
        "[2606:4700::5efe:10.0.0.1]",
        "[2606:4700::200:5efe:127.0.0.1]",
        "[100::1]",
        "[100:0:0:1::1]",
        "[2001:1::1]",
        "[2001:2::1]",
        "[2001:10::1]",
        "[2001:20::1]",
        "[2001:30::1]",
        "[3fff::1]",
        "[5f00::1]",
    ];
    let policy = blocking(&[]);
    for ip in refused {
        assert_eq!(
            dial(&policy, &format!("{ip}:80"), Open, &[]).as_deref(),
            Some("private-destination"),
            "{ip}"
        );
        // A local user may go anywhere but to where metadata services are.
        let from_loopback = dial(&policy, &format!("{ip}:80"), Loopback, &[]);
        let is_link_local = ip.starts_with("169.254.") || ip.starts_with("[fe80:");
        assert_eq!(from_loopback.is_some(), is_link_local, "{ip}");
    }
    let reached = [
        "8.8.8.8",
        "[2606:4700::1111]",
        "[::ffff:8.8.8.8]",
        "[64:ff9b::8.8.8.8]",
        "[64:ff9b:1::8.8.8.8]",
        "[2002:808:808::]",
        "[2001:0:808:808::f7f7:f7f7]",
        "[::ffff:0:8.8.8.8]",
        "[2606:4700::5efe:8.8.8.8]",
        "[2001:200::1]",
        "[2620:4f:8000::1]",
        "192.175.48.1",
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
        ("169.254.1.1:80", Some("private-destination")),
    ];
    for (address, rule) in cases {
        assert_eq!(dial(&policy, address, Open, &["[::]:3128"]).as_deref(), *rule, "{address}");
    }
}

#[test]
fn link_local_addresses_are_opened_by_name_alone() {
    let config = Config { allow_destinations: network(&["169.254.8.0/24"]), ..Config::default() };
    let (policy, _) = policy(config, "");
    for listener in [Loopback, Open] {
        assert_eq!(dial(&policy, "169.254.8.1:80", listener, &[]), None, "{listener:?}");
        assert!(dial(&policy, "169.254.9.1:80", listener, &[]).is_some(), "{listener:?}");
    }
}

#[test]
fn metadata_is_never_a_destination() {
    let config = Config { allow_destinations: network(&["0.0.0.0/0", "::/0"]), ..Config::default() };
    let (policy, _) = policy(config, "");
    let disguised = ["[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[::ffff:0:168.63.129.16]"];
    let services = ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]"];
    let others =
        ["[fd00:c1::a9fe:a9fe]", "[fd00:42::42]", "[fd20:ce::254]", "169.254.170.2", "169.254.170.23"];
    for ip in disguised.iter().chain(&services).chain(&others) {
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
