//! Our own authority in an origin's hands, and keys that are pinned.

use std::path::PathBuf;
use std::sync::Arc;

use larder::clock::Clock;
use larder::tls::{Alpn, Authority, Leaves, MintRequest, NameConstraints, Pin};
use rustls::ServerConnection;

use super::chain::{Ca, Leaf, NOW, valid};
use super::world::{Client, Outcome, host};

const REASON: &str = "it is signed by this Larder's own authority";

/// A folder of one test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        Folder(std::env::temp_dir().join(format!("larder-tls-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the authority is in it");
    }
}

/// Asks an origin that is served with this authority's leaf for `a.example`.
fn ask(client: &Client, authority: Authority, clock: &Clock) -> Outcome {
    let leaves = Leaves::new(authority, clock.clone()).expect("a key");
    let (host, peer) = (host("a.example"), [192, 0, 2, 1].into());
    let request = MintRequest { host: &host, alpn: Alpn::Http1, client: peer, origin_not_after: None };
    let config = leaves.server_config(&request).expect("a leaf");
    client.ask_server("a.example", move |stream| {
        let connection = ServerConnection::new(config).expect("a server");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut received = Vec::new();
        let _end = std::io::Read::read_to_end(&mut stream, &mut received);
        received
    })
}

#[test]
fn our_own_authority_as_an_origins() {
    let (folder, clock) = (Folder::new("own"), Clock::manual(NOW));
    let none = NameConstraints::default();
    let open = || Authority::open(&folder.0, &none, &clock).expect("an authority");
    let (own, other) = (open(), Ca::root("other"));
    let own_root = own.certificate().clone();
    let client = Client::trusting(&[other.der()]).owning(own.own_roots());
    ask(&client, open(), &clock).is_refused("a leaf of ours", REASON);
    let installed = Client::trusting(&[other.der(), own_root.clone()]).owning(own.own_roots());
    ask(&installed, open(), &clock).is_refused("and the root is installed", REASON);
    let mut leaf = other.leaf(&["a.example"]);
    let shown = leaf.with(std::slice::from_ref(&own_root));
    client.ask("a.example", shown).is_refused("our root, shown above another's leaf", REASON);
    leaf.certificate = own_root;
    client.ask("a.example", leaf.with(&[])).is_refused("our root itself", REASON);
    // Who doesn't know that it is ours would accept it: the refusal is what keeps it out.
    let unaware = Client::trusting(&[own.certificate().clone()]);
    ask(&unaware, open(), &clock).is_accepted("somebody else's client");
    let (new, _) = Authority::rotate(&folder.0, &none, &clock).expect("another one");
    let client = Client::trusting(&[other.der(), own.certificate().clone()]).owning(new.own_roots());
    ask(&client, own, &clock).is_refused("the one before", REASON);
}

fn pin_of(leaf: &Leaf) -> Pin {
    let client = Client::trusting(&[Ca::root("root").der()]).pinning("a.example", zero());
    let failure = client.ask("a.example", leaf.with(&[])).result.expect_err("another key");
    let text = failure.public.split("its key is ").nth(1).expect("it says which").split(',').next();
    text.expect("the key").parse().expect("as it is configured")
}

fn zero() -> Pin {
    format!("sha256:{}", "0".repeat(64)).parse().expect("a pin")
}

#[test]
fn a_pin_is_one_key_of_one_host() {
    let root = Ca::root("root");
    let trusting = || Client::trusting(&[root.der()]);
    let expired = Leaf::self_signed(|params| valid(params, -10_000, -1));
    let client = trusting().pinning("a.example", pin_of(&expired));
    client.ask("a.example", expired.with(&[])).is_accepted("self-signed, expired and pinned");
    let reason = "which is not the one that is pinned for this host";
    let another = Leaf::self_signed(|_| ());
    client.ask("a.example", another.with(&[])).is_refused("another key", reason);
    let good = root.leaf(&["a.example"]);
    client.ask("a.example", good.with(&[])).is_refused("even with a good certificate", reason);
    client.ask("b.example", expired.with(&[])).is_refused("at another host", "it has expired on ");
    client.ask("b.example", root.leaf(&["b.example"]).with(&[])).is_accepted("others are as before");
    // The key must be there, not only its certificate.
    let mut stolen = expired;
    stolen.key = Arc::clone(&another.key);
    client.ask("a.example", stolen.with(&[])).is_refused("without the key", "can't show that");
}
