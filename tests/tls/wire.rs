//! Servers that speak no TLS that is safe, or none at all, octet by octet.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use larder::error::ErrorType;

use super::chain::Ca;
use super::world::{Client, Outcome};

/// A server that reads a whole ClientHello, says this, and reads on to the end.
fn says(octets: Vec<u8>) -> Outcome {
    let client = Client::trusting(&[Ca::root("root").der()]);
    client.ask_server("a.example", move |mut stream: TcpStream| {
        let mut header = [0; 5];
        stream.read_exact(&mut header).expect("a record");
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        stream.read_exact(&mut hello).expect("a ClientHello");
        stream.write_all(&octets).expect("it listens");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut rest = Vec::new();
        // A client that closes with octets of ours unread resets the connection.
        let _end = stream.read_to_end(&mut rest);
        records_of_data(&rest)
    })
}

/// What of these records is application data (23).
fn records_of_data(mut records: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = records {
        let (fragment, rest) = rest.split_at(rest.len().min(u16::from_be_bytes([*high, *low]).into()));
        if *kind == 23 {
            data.extend_from_slice(fragment);
        }
        records = rest;
    }
    data
}

fn record(kind: u8, version: [u8; 2], fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).expect("short").to_be_bytes();
    [&[kind][..], &version, &length, fragment].concat()
}

/// A ServerHello of this version with this suite, without extensions.
fn server_hello(version: [u8; 2], suite: [u8; 2]) -> Vec<u8> {
    let body = [&version[..], &[7; 32], &[0], &suite, &[0]].concat();
    let length = u8::try_from(body.len()).expect("short");
    record(22, version, &[&[2, 0, 0, length][..], &body].concat())
}

#[test]
fn old_versions() {
    let public = "a.example does not speak TLS 1.2 or later";
    // TLS_RSA_WITH_AES_128_CBC_SHA and TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, as of old.
    for suite in [[0x00, 0x2f], [0xc0, 0x13]] {
        for (what, version) in [("SSL 3.0", [3, 0]), ("TLS 1.0", [3, 1]), ("TLS 1.1", [3, 2])] {
            says(server_hello(version, suite)).fails(what, ErrorType::TlsProtocolError, public);
        }
    }
}

#[test]
fn alerts() {
    let cases = [
        (70, "a.example does not speak TLS 1.2 or later (alert 70)"),
        (40, "a.example has refused the TLS handshake (alert 40)"),
        (112, "a.example does not know itself by that name (alert 112)"),
        (116, "a.example wants a certificate of the client's (alert 116)"),
        (200, "a.example has refused the TLS handshake (alert 200)"),
    ];
    for (alert, public) in cases {
        says(record(21, [3, 3], &[2, alert])).fails(public, ErrorType::TlsAlertReceived, public);
    }
}

#[test]
fn suites_that_were_not_offered() {
    for (what, suite) in [
        ("without encryption", [0x00, 0x02]),
        ("RC4", [0x00, 0x05]),
        ("3DES", [0x00, 0x0a]),
        ("export", [0x00, 0x03]),
        ("CBC", [0xc0, 0x13]),
        ("without a key exchange", [0x00, 0x9c]),
        ("finite-field Diffie-Hellman", [0x00, 0x9e]),
        ("that does not exist", [0xff, 0xff]),
    ] {
        says(server_hello([3, 3], suite)).fails(what, ErrorType::TlsProtocolError, "a.example ");
    }
}

#[test]
fn what_is_not_tls() {
    let public = "a.example does not speak TLS as it should";
    let cases = [
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("data first", record(23, [3, 3], b"hello")),
        ("a wrong message", record(22, [3, 3], &[11, 0, 0, 3, 0, 0, 0])),
    ];
    for (what, octets) in cases {
        says(octets).fails(what, ErrorType::TlsProtocolError, public);
    }
    let public = "a.example has closed the connection during the TLS handshake";
    says(Vec::new()).fails("nothing", ErrorType::ConnectionTerminated, public);
    says(server_hello([3, 3], [0xc0, 0x2b])[..20].to_vec()).fails(
        "half a message",
        ErrorType::ConnectionTerminated,
        public,
    );
}
