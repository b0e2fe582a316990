//! The real binary listens within TLS, with its own certificate or the operator's.

use std::net::SocketAddr;

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::support::{Certificates, Client, Folder, Process, larder};

/// A client that trusts this root and goes by the system's clock.
fn trusting(root: CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

fn is_served(at: SocketAddr, root: CertificateDer<'static>, name: &str) -> bool {
    let mut client = Client::connect(at).within_tls(trusting(root), name);
    client.send("OPTIONS * HTTP/1.1\r\nHost: larder.proxy\r\n\r\n");
    client.wire.head().is_ok_and(|head| head.status() == 200)
}

#[test]
fn one_command_makes_an_authority_and_listens_within_tls() {
    let folder = Folder::new();
    let config = folder.write("larder.toml", "[intercept]\nca_dir = 'ca'\n");
    let process = Process::start(&["--config", &config, "--listen", "https://127.0.0.1:0"]);
    let root = || CertificateDer::from_pem_file(folder.path("ca/ca.pem")).expect("for people");
    assert!(is_served(process.within_tls(), root(), "127.0.0.1"));
    assert!(is_served(process.within_tls(), root(), "localhost"));
    assert!(!is_served(process.within_tls(), root(), "other.example"));
    process.client().settle();
}

#[test]
fn a_certificate_of_the_operators_is_exchanged_by_a_reload() {
    let (folder, certificates) = (Folder::new(), Certificates::new());
    let write = |name: &str| {
        let (chain, key) = certificates.leaf_pem(name);
        folder.write("proxy.pem", &chain);
        folder.write("proxy.key", &key);
    };
    write("one.example");
    let text = "[tls]\ncertificate = 'proxy.pem'\nkey = 'proxy.key'\n";
    let config = folder.write("larder.toml", text);
    let process = Process::start(&["--config", &config, "--listen", "https://127.0.0.1:0"]);
    assert!(is_served(process.within_tls(), certificates.root(), "one.example"));
    write("two.example");
    process.signal(Signal::HUP);
    process.says("reloaded: 0 block rules");
    assert!(is_served(process.within_tls(), certificates.root(), "two.example"));
    assert!(!is_served(process.within_tls(), certificates.root(), "one.example"));
    // What can't be used changes nothing.
    folder.write("proxy.key", "no key");
    process.signal(Signal::HUP);
    process.says("it contains no PEM private key");
    assert!(is_served(process.within_tls(), certificates.root(), "two.example"));
}

#[test]
fn a_certificate_that_cannot_be_used_is_no_start() {
    let folder = Folder::new();
    let config = folder.write("larder.toml", "[tls]\ncertificate = 'no.pem'\nkey = 'no.key'\n");
    let listen = ["--listen", "https://127.0.0.1:0", "--admin", "off"];
    let ended = larder(&folder, &[&["--config", &config], &listen[..]].concat(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("no.pem"), "{ended:?}");
}
