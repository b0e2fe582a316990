//! The real binary intercepts HTTPS when it is told to.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::support::{Answer, Certificates, Folder, Origin, Process};

#[test]
fn a_start_makes_an_authority_and_serves_https_with_it() {
    let (folder, certificates) = (Folder::new(), Certificates::new());
    folder.write("roots.pem", &certificates.root_pem());
    let config = folder.write("larder.toml", "[intercept]\nca_dir = 'ca'\nroots = 'roots.pem'\n");
    let origin = Origin::start_tls(Arc::new(certificates.server("localhost")));
    origin.otherwise(Answer::fresh(60, "hello"));
    let process = Process::start(&["--config", &config, "--intercept"]);
    process.says("HTTPS is intercepted");

    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(folder.path("ca/ca.pem")).expect("a certificate for people");
    roots.add(root).expect("a root");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let authority = format!("localhost:{}", origin.address().port());
    let mut client = process.client();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    let mut client = client.within_tls(config, "localhost");
    for is_hit in [false, true] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.text(), response.is_hit()), ("hello", is_hit));
    }
}
