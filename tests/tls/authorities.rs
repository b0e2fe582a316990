//! Who may sign for whom (RFC 5280 §4.2.1.9, §4.2.1.10).

use rcgen::{BasicConstraints, CidrSubnet, GeneralSubtree, IsCa, NameConstraints};

use super::chain::{Ca, unknown_critical};
use super::world::Client;

fn dns(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.to_owned())
}

fn network(octets: [u8; 4], prefix: u8) -> GeneralSubtree {
    GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(octets, prefix))
}

#[test]
fn signers_that_are_no_authorities() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "it is signed by a certificate that is not an authority's";
    for (what, is_ca) in [("no basicConstraints", IsCa::NoCa), ("cA false", IsCa::ExplicitNoCa)] {
        let middle = root.authority_with("middle", |params| params.is_ca = is_ca);
        client.ask("a.example", middle.leaf(&["a.example"]).with(&[middle.der()])).is_refused(what, reason);
    }
    let shown = root.authority("not a host").as_leaf().with(&[]);
    client.ask("a.example", shown).is_refused("an authority as a leaf", "an authority's certificate");
}

#[test]
fn paths_that_are_too_long() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "there are more authorities above it than one of them permits";
    let limited = |length| {
        root.authority_with("limited", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length))
        })
    };
    for length in [0, 1] {
        let upper = limited(length);
        let mut chain = vec![upper.der()];
        let mut lowest = upper;
        for _ in 0..length {
            lowest = lowest.authority("between");
            chain.insert(0, lowest.der());
        }
        client.ask("a.example", lowest.leaf(&["a.example"]).with(&chain)).is_accepted("exactly as long");
        let one_more = lowest.authority("one more");
        chain.insert(0, one_more.der());
        client.ask("a.example", one_more.leaf(&["a.example"]).with(&chain)).is_refused("one more", reason);
    }
    let mut chain = Vec::new();
    let mut lowest = root.authority("0");
    for number in 1..10 {
        chain.insert(0, lowest.der());
        lowest = lowest.authority(&number.to_string());
    }
    chain.insert(0, lowest.der());
    client.ask("a.example", lowest.leaf(&["a.example"]).with(&chain)).is_refused("ten", reason);
}

#[test]
fn names_that_an_authority_may_not_sign_for() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "an authority above it may not sign for such a name";
    let constrained = |permitted: &[GeneralSubtree], excluded: &[GeneralSubtree]| {
        let (permitted_subtrees, excluded_subtrees) = (permitted.to_vec(), excluded.to_vec());
        root.authority_with("constrained", |params| {
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        })
    };
    let cases = [
        ("not permitted", constrained(&[dns("b.example")], &[]), "a.example", false),
        ("permitted", constrained(&[dns("example")], &[]), "a.example", true),
        ("excluded", constrained(&[], &[dns("a.example")]), "a.example", false),
        ("below what is excluded", constrained(&[], &[dns("example")]), "a.example", false),
        ("beside what is excluded", constrained(&[], &[dns("b.example")]), "a.example", true),
        ("an address not permitted", constrained(&[network([10, 0, 0, 0], 8)], &[]), "192.0.2.1", false),
        ("an address permitted", constrained(&[network([192, 0, 2, 0], 24)], &[]), "192.0.2.1", true),
        ("an address excluded", constrained(&[], &[network([192, 0, 2, 0], 24)]), "192.0.2.1", false),
        ("all addresses excluded", constrained(&[], &[network([0, 0, 0, 0], 0)]), "192.0.2.1", false),
    ];
    for (what, middle, name, is_good) in cases {
        let outcome = client.ask(name, middle.leaf(&[name]).with(&[middle.der()]));
        if is_good { outcome.is_accepted(what) } else { outcome.is_refused(what, reason) }
    }
    // All names count, not the one that was asked for.
    let middle = constrained(&[dns("a.example")], &[]);
    let shown = middle.leaf(&["a.example", "b.example"]).with(&[middle.der()]);
    client.ask("a.example", shown).is_refused("one of two names", reason);
    // And all authorities up to the root.
    let lower = middle.authority("lower");
    let shown = lower.leaf(&["b.example"]).with(&[lower.der(), middle.der()]);
    client.ask("b.example", shown).is_refused("further up", reason);
    let root = Ca::root_with("constrained root", |params| {
        let permitted_subtrees = vec![dns("b.example")];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    let client = Client::trusting(&[root.der()]);
    client.ask("a.example", root.leaf(&["a.example"]).with(&[])).is_refused("by the root", reason);
}

#[test]
fn critical_extensions_that_nobody_knows() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "a critical extension that is not understood";
    let leaf = root.leaf_with(&["a.example"], |params| params.custom_extensions.push(unknown_critical()));
    client.ask("a.example", leaf.with(&[])).is_refused("the leaf's", reason);
    let middle = root.authority_with("middle", |params| params.custom_extensions.push(unknown_critical()));
    let shown = middle.leaf(&["a.example"]).with(&[middle.der()]);
    client.ask("a.example", shown).is_refused("the authority's", reason);
}
