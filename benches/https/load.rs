//! The other two ends of the comparison over HTTPS: the origin, which has a certificate for each
//! address, and the load.
//!
//! ```text
//! tls_load authority FOLDER                           writes root.pem and root.key
//! tls_load origin PORT FOLDER FIRST LAST              serves on 127.0.0.1 and on the addresses of these hosts
//! tls_load handshakes VIA TARGET COUNT                each event: connect, full handshake, one GET, close
//! tls_load hosts VIA PORT FIRST COUNT CLIENT          as before, each to another host, from one client address
//! tls_load kept VIA TARGET MILLISECONDS CONNECTIONS   GETs on connections that stay
//! ```
//!
//! `VIA` is a proxy's address, or `-` for none. The last line is `RESULT events=… failed=…`. The load
//! looks at status and length, and at no certificate: that would be its own time.
#![allow(clippy::disallowed_methods, reason = "a benchmark blocks and reads the clock")]
#![allow(clippy::print_stdout, reason = "its result")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a benchmark that can't run ends")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Octets of each response's content.
const LENGTH: usize = 1024;
/// Events at a time.
const AT_ONCE: usize = 8;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match words[..] {
            ["authority", folder] => authority(folder),
            ["origin", port, folder, first, last] => {
                origin(port.parse()?, folder, first.parse()?..last.parse()?).await
            }
            ["handshakes", via, target, count] => {
                let target: SocketAddr = target.parse()?;
                report(events(via, count.parse()?, None, move |_| target).await);
                Ok(())
            }
            ["hosts", via, port, first, count, client] => {
                let (port, first): (u16, u32) = (port.parse()?, first.parse()?);
                let target = move |number: u32| SocketAddr::from((host(first + number), port));
                report(events(via, count.parse()?, Some(client.parse()?), target).await);
                Ok(())
            }
            ["kept", via, target, milliseconds, connections] => {
                let time = Duration::from_millis(milliseconds.parse()?);
                report(kept(via, target.parse()?, time, connections.parse()?).await);
                Ok(())
            }
            _ => Err("see the head of load.rs".into()),
        }
    })
}

fn report((events, failed): (u64, u64)) {
    println!("RESULT events={events} failed={failed}");
}

/// The address of a host of this number.
fn host(number: u32) -> Ipv4Addr {
    let [_, _, high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

fn authority(folder: &str) -> Result<(), Failure> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "authority of a benchmark");
    std::fs::write(format!("{folder}/root.pem"), params.self_signed(&key)?.pem())?;
    std::fs::write(format!("{folder}/root.key"), key.serialize_pem())?;
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?
        .signed_by(&leaf_key, &Issuer::new(params, key))?;
    // For servers that are given a certificate.
    std::fs::write(format!("{folder}/leaf.pem"), leaf.pem())?;
    std::fs::write(format!("{folder}/leaf.key"), leaf_key.serialize_pem())?;
    Ok(())
}

/// What stands in the certificate of an address. Squid finds addresses in the common name alone.
fn leaf(address: Ipv4Addr) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(vec![address.to_string()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, address.to_string());
    Ok(params)
}

async fn origin(port: u16, folder: &str, hosts: std::ops::Range<u32>) -> Result<(), Failure> {
    let pem = std::fs::read_to_string(format!("{folder}/root.pem"))?;
    let key = KeyPair::from_pem(&std::fs::read_to_string(format!("{folder}/root.key"))?)?;
    let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
    let mut serving = Vec::new();
    for address in hosts.map(host).chain([Ipv4Addr::LOCALHOST]) {
        let key = KeyPair::generate()?;
        let leaf = leaf(address)?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.into()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((address, port)).await?;
        serving.push(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let _ended = answer(acceptor, stream).await;
                });
            }
        }));
    }
    println!("READY");
    for one in serving {
        one.await?;
    }
    Ok(())
}

/// Answers each request on a connection with a response that may be stored for an hour.
async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let response = format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nCache-Control: max-age=3600\r\nContent-Length: {LENGTH}\r\n\r\n{}",
        "x".repeat(LENGTH)
    );
    let mut buffer = Vec::new();
    loop {
        read_head(&mut stream, &mut buffer).await?;
        stream.write_all(response.as_bytes()).await?;
        stream.flush().await?;
    }
}

/// Reads a head and takes it off the buffer.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<String, Failure> {
    loop {
        if let Some(at) = buffer.windows(4).position(|octets| octets == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..at + 4).collect();
            return Ok(String::from_utf8(head)?);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection has ended".into());
        }
    }
}

async fn events(
    via: &str,
    count: u32,
    client: Option<Ipv4Addr>,
    target: impl Fn(u32) -> SocketAddr + Send + Sync + 'static,
) -> (u64, u64) {
    let connector = connector();
    let (mut tasks, mut ended) = (tokio::task::JoinSet::new(), (0, 0));
    let target = Arc::new(target);
    for number in 0..count {
        if tasks.len() >= AT_ONCE {
            count_one(&mut ended, tasks.join_next().await);
        }
        let (connector, via, target) = (connector.clone(), via.to_owned(), target.clone());
        tasks.spawn(async move {
            let mut connection = connect(&connector, &via, target(number), client).await?;
            connection.get().await
        });
    }
    while let Some(one) = tasks.join_next().await {
        count_one(&mut ended, Some(one));
    }
    ended
}

fn count_one(ended: &mut (u64, u64), one: Option<Result<Result<(), Failure>, tokio::task::JoinError>>) {
    match one {
        Some(Ok(Ok(()))) => ended.0 += 1,
        Some(Ok(Err(failure))) => {
            println!("{failure}");
            ended.1 += 1;
        }
        _ => ended.1 += 1,
    }
}

async fn kept(via: &str, target: SocketAddr, time: Duration, connections: usize) -> (u64, u64) {
    let connector = connector();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (connector, via) = (connector.clone(), via.to_owned());
        tasks.spawn(async move {
            let mut connection = connect(&connector, &via, target, None).await?;
            let (began, mut events) = (Instant::now(), 0);
            while began.elapsed() < time {
                connection.get().await?;
                events += 1;
            }
            Ok::<u64, Failure>(events)
        });
    }
    let mut all = (0, 0);
    while let Some(one) = tasks.join_next().await {
        match one {
            Ok(Ok(events)) => all.0 += events,
            Ok(Err(failure)) => {
                println!("{failure}");
                all.1 += 1;
            }
            Err(_panicked) => all.1 += 1,
        }
    }
    all
}

struct Connection<Stream> {
    stream: Stream,
    buffer: Vec<u8>,
    request: String,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Connection<Stream> {
    async fn get(&mut self) -> Result<(), Failure> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.stream.flush().await?;
        let head = read_head(&mut self.stream, &mut self.buffer).await?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("answered with {}", head.lines().next().unwrap_or_default()).into());
        }
        while self.buffer.len() < LENGTH {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the content is cut".into());
            }
        }
        self.buffer.drain(..LENGTH);
        Ok(())
    }
}

async fn connect(
    connector: &TlsConnector,
    via: &str,
    target: SocketAddr,
    client: Option<Ipv4Addr>,
) -> Result<Connection<impl AsyncRead + AsyncWrite + Unpin + use<>>, Failure> {
    let socket = TcpSocket::new_v4()?;
    if let Some(client) = client {
        socket.bind((client, 0).into())?;
    }
    let mut stream = socket.connect(if via == "-" { target } else { via.parse()? }).await?;
    stream.set_nodelay(true)?;
    if via != "-" {
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await?;
        let head = read_head(&mut stream, &mut Vec::new()).await?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("CONNECT {target}: {}", head.lines().next().unwrap_or_default()).into());
        }
    }
    let stream = connector.connect(ServerName::from(target.ip()), stream).await?;
    let request = format!("GET /kept HTTP/1.1\r\nHost: {target}\r\n\r\n");
    Ok(Connection { stream, buffer: Vec::new(), request })
}

/// Full handshakes, and no look at certificates.
fn connector() -> TlsConnector {
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
