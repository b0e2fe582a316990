//! What keys may be used for (RFC 5280 §4.2.1.3, §4.2.1.12).

use rcgen::{ExtendedKeyUsagePurpose as Purpose, KeyUsagePurpose as Usage};

use super::chain::Ca;
use super::world::Client;

#[test]
fn certificates_for_something_else() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "it, or one above it, is not for servers";
    for purpose in [Purpose::ClientAuth, Purpose::CodeSigning, Purpose::EmailProtection, Purpose::Any] {
        let what = format!("{purpose:?}");
        let leaf =
            root.leaf_with(&["a.example"], |params| params.extended_key_usages = vec![purpose.clone()]);
        client.ask("a.example", leaf.with(&[])).is_refused(&what, reason);
        let middle = root.authority_with("middle", |params| params.extended_key_usages = vec![purpose]);
        let shown = middle.leaf(&["a.example"]).with(&[middle.der()]);
        client.ask("a.example", shown).is_refused(&format!("{what} of the authority"), reason);
    }
}

#[test]
fn keys_that_may_not_sign_handshakes() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    for usages in [
        vec![Usage::KeyEncipherment],
        vec![Usage::KeyAgreement],
        vec![Usage::KeyCertSign],
        vec![Usage::ContentCommitment],
    ] {
        let what = format!("{usages:?}");
        let leaf = root.leaf_with(&["a.example"], |params| params.key_usages = usages);
        client.ask("a.example", leaf.with(&[])).is_refused(&what, "its key may not be used for TLS");
    }
}

#[test]
fn keys_that_may_not_sign_certificates() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let reason = "it is signed with a key that may not sign certificates";
    for usages in [vec![Usage::CrlSign], vec![Usage::DigitalSignature, Usage::KeyEncipherment]] {
        let what = format!("{usages:?}");
        let middle = root.authority_with("middle", |params| params.key_usages = usages);
        let shown = middle.leaf(&["a.example"]).with(&[middle.der()]);
        client.ask("a.example", shown).is_refused(&what, reason);
        let lower = middle.authority("lower");
        let shown = lower.leaf(&["a.example"]).with(&[lower.der(), middle.der()]);
        client.ask("a.example", shown).is_refused(&format!("{what}, further up"), reason);
    }
}

#[test]
fn what_is_not_said_is_not_forbidden() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let leaf = root.leaf_with(&["a.example"], |params| {
        params.key_usages.clear();
        params.extended_key_usages.clear();
    });
    client.ask("a.example", leaf.with(&[])).is_accepted("a leaf without usages");
    let middle = root.authority_with("middle", |params| params.key_usages.clear());
    let shown = middle.leaf(&["a.example"]).with(&[middle.der()]);
    client.ask("a.example", shown).is_accepted("an authority without usages");
    let purposes = vec![Purpose::ClientAuth, Purpose::ServerAuth];
    let leaf = root.leaf_with(&["a.example"], |params| params.extended_key_usages = purposes);
    client.ask("a.example", leaf.with(&[])).is_accepted("several purposes");
}
