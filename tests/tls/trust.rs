//! Dates, signatures, and who has signed.

use rcgen::{BasicConstraints, IsCa};

use super::chain::{Ca, DAY, Leaf, NOW, replace, valid};
use super::world::{Client, ONE_VERSION_EACH};

const D: i64 = 86_400;

#[test]
fn certificates_out_of_their_time() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let cases = [
        ("expired", -30 * D, -D, "it has expired on Sun, 20 Sep 2026 14:13:20 GMT"),
        ("expired a second ago", -30 * D, -1, "it has expired on "),
        ("not yet valid", D, 30 * D, "it is not valid before Tue, 22 Sep 2026 14:13:20 GMT"),
        ("an end before its beginning", D, -D, "it is malformed"),
    ];
    for (what, from, to, reason) in cases {
        let leaf = root.leaf_with(&["a.example"], |params| valid(params, from, to));
        client.ask("a.example", leaf.with(&[])).is_refused(what, reason);
    }
    let old = root.authority_with("old", |params| valid(params, -30 * D, -D));
    let shown = old.leaf(&["a.example"]).with(&[old.der()]);
    client
        .ask("a.example", shown)
        .is_refused("an expired authority", "an authority above it has expired on ");
    let new = root.authority_with("new", |params| valid(params, D, 2 * D));
    let shown = new.leaf(&["a.example"]).with(&[new.der()]);
    client
        .ask("a.example", shown)
        .is_refused("an early authority", "an authority above it is not valid before ");
    // The clock decides: the same chains at another time.
    let leaf = root.leaf(&["a.example"]);
    client.ask("a.example", leaf.with(&[])).is_accepted("now");
    let later = Client::trusting(&[root.der()]).at(NOW.plus(30 * DAY + 1));
    later.ask("a.example", leaf.with(&[])).is_refused("later", "it has expired on ");
}

#[test]
fn unknown_and_missing_authorities() {
    let (root, other) = (Ca::root("root"), Ca::root("other"));
    let client = Client::trusting(&[root.der()]);
    let unknown = other.leaf(&["a.example"]);
    let reason = "it is signed by an unknown authority (other)";
    client.ask("a.example", unknown.with(&[])).is_refused("an unknown root", reason);
    client.ask("a.example", unknown.with(&[other.der()])).is_refused("an unknown root that is shown", reason);
    let middle = root.authority("middle");
    let leaf = middle.leaf(&["a.example"]);
    let reason = "unknown authority (middle), or a certificate between is missing";
    client.ask("a.example", leaf.with(&[])).is_refused("an incomplete chain", reason);
    let unrelated = other.authority("unrelated");
    let shown = leaf.with(&[unrelated.der()]);
    client.ask("a.example", shown).is_refused("another chain's authority", reason);
    client.ask("a.example", leaf.with(&[middle.der()])).is_accepted("all of it");
}

#[test]
fn certificates_that_sign_themselves() {
    let client = Client::trusting(&[Ca::root("root").der()]);
    let reason = "it is signed by itself, and not pinned";
    client.ask("a.example", Leaf::self_signed(|_| ()).with(&[])).is_refused("self-signed", reason);
    let ca = Leaf::self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    client.ask("a.example", ca.with(&[])).is_refused("a self-signed authority", reason);
}

#[test]
fn wrong_signatures() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "a signature on it, or on one above it, is wrong";
    let forged = root.impostor().leaf(&["a.example"]);
    client.ask("a.example", forged.with(&[])).is_refused("another key under the root's name", reason);
    let renamed = root.leaf(&["b.example"]).changed(|octets| replace(octets, b"b.example", b"a.example"));
    client.ask("a.example", renamed.with(&[])).is_refused("a changed name", reason);
    let cut = root.leaf(&["a.example"]).changed(|octets| *octets.last_mut().unwrap() ^= 1);
    client.ask("a.example", cut.with(&[])).is_refused("a changed signature", reason);
    let middle = root.authority("middle");
    let mut changed = middle.der().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let shown = middle.leaf(&["a.example"]).with(&[changed.into()]);
    client.ask("a.example", shown).is_refused("a changed authority", reason);
    let mut impostor = root.impostor().authority("middle");
    let shown = impostor.leaf(&["a.example"]).with(&[impostor.der()]);
    client.ask("a.example", shown).is_refused("an authority by the impostor", reason);
    impostor = middle.impostor();
    let shown = impostor.leaf(&["a.example"]).with(&[middle.der()]);
    client.ask("a.example", shown).is_refused("an impostor of the middle", reason);
}

#[test]
fn octets_that_are_no_certificate() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let leaf = root.leaf(&["a.example"]);
    type Case<'a> = (&'a str, fn(&mut Vec<u8>));
    let cases: [Case<'_>; 4] = [
        ("cut off", |octets| octets.truncate(octets.len() - 10)),
        ("with more behind", |octets| octets.push(0)),
        ("nothing of the kind", |octets| *octets = b"certificate".to_vec()),
        ("an endless length", |octets| octets[1..4].copy_from_slice(&[0x83, 0xff, 0xff])),
    ];
    for (what, change) in cases {
        let shown = leaf.clone().changed(change).with(&[]);
        client.ask("a.example", shown).is_refused(what, "it is malformed");
    }
    let middle = root.authority("middle");
    let shown = middle.leaf(&["a.example"]).with(&[b"certificate".to_vec().into()]);
    client.ask("a.example", shown).is_refused("a malformed authority", "it is malformed");
}

#[test]
fn a_certificate_that_is_good_and_another_ones() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let (mut stolen, thief) = (root.leaf(&["a.example"]), root.leaf(&["b.example"]));
    stolen.key = thief.key;
    for versions in ONE_VERSION_EACH {
        let outcome = client.ask_with("a.example", stolen.with(&[]), versions);
        outcome.is_refused("no key", "a.example can't show that its certificate is its own");
    }
}
