//! A small DNS server (RFC 1035) over UDP and TCP that follows a script and remembers its questions.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Gate;

/// The types of questions.
pub const A: u16 = 1;
pub const AAAA: u16 = 28;
const CNAME: u16 = 5;

/// An answer to one question.
#[derive(Clone)]
pub enum Reply {
    /// These addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// This alias, with an address of its target.
    Alias(String, IpAddr),
    /// A response code without any record: 0 is NODATA.
    Code(u8),
    /// Nothing at all.
    Silence,
    /// Cut off over UDP, whole over TCP.
    Truncated(Vec<IpAddr>),
    /// Octets that are no message, behind the number of the question.
    Garbage,
    /// Another reply, once the gate is open.
    After(Gate, Box<Reply>),
}

/// A running server.
pub struct NameServer {
    address: SocketAddr,
    script: Arc<Script>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Script {
    replies: Mutex<HashMap<(String, u16), Reply>>,
    asked: Mutex<Vec<(String, u16, &'static str)>>,
    stopped: std::sync::atomic::AtomicBool,
}

impl NameServer {
    /// Starts on a port of its own, and knows no name.
    pub fn start() -> NameServer {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().unwrap();
        let script = Arc::new(Script::default());
        let threads = vec![
            std::thread::spawn({
                let script = script.clone();
                move || script.serve_udp(&udp)
            }),
            std::thread::spawn({
                let script = script.clone();
                move || script.serve_tcp(&tcp)
            }),
        ];
        NameServer { address, script, threads }
    }

    /// Its line in resolv.conf.
    pub fn line(&self) -> String {
        format!("nameserver [{}]:{}\n", self.address.ip(), self.address.port())
    }

    /// Answers questions of this type for a name.
    pub fn on(&self, name: &str, kind: u16, reply: Reply) -> &NameServer {
        self.script.replies.lock().unwrap().insert((name.to_owned(), kind), reply);
        self
    }

    /// Gives a name one IPv4 address, and no other.
    pub fn host(&self, name: &str, address: &str) -> &NameServer {
        self.on(name, A, Reply::Addresses(vec![address.parse().unwrap()], 60)).on(name, AAAA, Reply::Code(0))
    }

    /// The names that were asked for, each once, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.asked().into_iter().map(|(name, ..)| name).collect();
        names.dedup();
        names
    }

    /// All questions: name, type and transport.
    pub fn asked(&self) -> Vec<(String, u16, &'static str)> {
        self.script.asked.lock().unwrap().clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.script.stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        drop(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().send_to(&[], self.address));
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "a thread of the name server has panicked");
        }
    }
}

/// Two sockets on one port.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

impl Script {
    fn has_stopped(&self) -> bool {
        self.stopped.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn serve_udp(self: Arc<Script>, socket: &UdpSocket) {
        let mut room = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut room).unwrap();
            if self.has_stopped() {
                return;
            }
            let (script, question, socket) =
                (self.clone(), room[..length].to_vec(), socket.try_clone().unwrap());
            // Each on its own, because one may wait at a gate.
            std::thread::spawn(move || {
                if let Some(answer) = script.answer(&question, "udp") {
                    drop(socket.send_to(&answer, from));
                }
            });
        }
    }

    fn serve_tcp(self: Arc<Script>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.has_stopped() {
                return;
            }
            let (script, mut stream) = (self.clone(), stream.unwrap());
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            std::thread::spawn(move || {
                let mut length = [0; 2];
                while stream.read_exact(&mut length).is_ok() {
                    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                    if stream.read_exact(&mut question).is_err() {
                        return;
                    }
                    let Some(answer) = script.answer(&question, "tcp") else { return };
                    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                    drop(stream.write_all(&[&length[..], &answer].concat()));
                }
            });
        }
    }

    fn answer(&self, question: &[u8], transport: &'static str) -> Option<Vec<u8>> {
        let (name, end) = name_at(question, 12);
        let kind = u16::from_be_bytes([question[end], question[end + 1]]);
        self.asked.lock().unwrap().push((name.clone(), kind, transport));
        let reply = self.replies.lock().unwrap().get(&(name.to_ascii_lowercase(), kind)).cloned();
        let mut reply = reply.unwrap_or(Reply::Code(3));
        while let Reply::After(gate, then) = reply {
            gate.pass();
            reply = *then;
        }
        let question_end = end + 4;
        let message = |code: u8, flags: u8, records: Vec<Vec<u8>>| {
            let count = u16::try_from(records.len()).unwrap().to_be_bytes();
            let head =
                [question[0], question[1], 0x81 | flags, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0];
            [&head[..], &question[12..question_end], &records.concat()].concat()
        };
        // 0xc00c points to the name of the question.
        let all = |addresses: &[IpAddr], ttl| {
            addresses.iter().map(|address| record(&[0xc0, 0x0c], ttl, &address_record(*address))).collect()
        };
        Some(match reply {
            Reply::Addresses(addresses, ttl) => message(0, 0, all(&addresses, ttl)),
            Reply::Alias(target, address) => {
                let target = name_octets(&target);
                let alias = record(&[0xc0, 0x0c], 60, &(CNAME, target.clone()));
                message(0, 0, vec![alias, record(&target, 60, &address_record(address))])
            }
            Reply::Code(code) => message(code, 0, Vec::new()),
            Reply::Silence => return None,
            Reply::Truncated(_) if transport == "udp" => message(0, 0x02, Vec::new()),
            Reply::Truncated(addresses) => message(0, 0, all(&addresses, 60)),
            Reply::Garbage => [&question[..2], b"\x81\x80 garbage"].concat(),
            // Taken apart above.
            Reply::After(..) => return None,
        })
    }
}

fn address_record(address: IpAddr) -> (u16, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (A, address.octets().to_vec()),
        IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
    }
}

fn record(name: &[u8], ttl: u32, (kind, data): &(u16, Vec<u8>)) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [name, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

fn name_octets(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// The name at a place, with dots between its labels, and where it ends.
fn name_at(message: &[u8], mut at: usize) -> (String, usize) {
    let mut labels = Vec::new();
    while message[at] != 0 {
        let length = usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..=at + length]).into_owned());
        at += length + 1;
    }
    (labels.join("."), at + 1)
}
