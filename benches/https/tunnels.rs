//! The ends of tunnels in the comparison, and the least that a relay can do.
//!
//! ```text
//! tunnel_load origin PORT                    gives each connection what its first 8 octets ask for
//! tunnel_load relay PORT ORIGIN_PORT         moves octets by splice and knows nothing of what they are
//! tunnel_load short VIA TARGET COUNT         tunnels in which 100 octets come and go
//! tunnel_load bulk VIA TARGET MEGABYTES N    N tunnels at once, with so many megabytes each to the client
//! ```
//!
//! `VIA` is a proxy's address, or `-` for none. The last line is `RESULT events=… failed=…`; for bulk, an event is a
//! megabyte.
#![allow(clippy::disallowed_methods, reason = "a benchmark blocks")]
#![allow(clippy::print_stdout, reason = "its result")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MEGABYTE: u64 = 1 << 20;
/// Octets that come and go in a short tunnel.
const SHORT: u64 = 100;
/// Short tunnels at a time.
const AT_ONCE: u64 = 8;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["origin", port] => serve(port.parse()?, give),
        ["relay", port, origin] => {
            let origin: u16 = origin.parse()?;
            serve(port.parse()?, move |client| relay(client, TcpStream::connect(("127.0.0.1", origin))?))
        }
        ["short", via, target, count] => {
            let each = count.parse::<u64>()?.div_ceil(AT_ONCE);
            report(&at_once(AT_ONCE, || (0..each).map(|_| fetch(via, target, SHORT)).sum()), 1);
            Ok(())
        }
        ["bulk", via, target, megabytes, streams] => {
            let megabytes: u64 = megabytes.parse()?;
            report(&at_once(streams.parse()?, || fetch(via, target, megabytes * MEGABYTE)), megabytes);
            Ok(())
        }
        _ => Err("see the head of tunnels.rs".into()),
    }
}

fn serve(
    port: u16,
    each: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let each = each.clone();
        thread::spawn(move || each(stream));
    }
}

/// So many octets as the client's first ones say.
fn give(mut client: TcpStream) -> io::Result<()> {
    let mut asked = [0; 8];
    client.read_exact(&mut asked)?;
    let (mut left, piece) = (u64::from_be_bytes(asked), vec![b'x'; MEGABYTE as usize]);
    while left > 0 {
        let some = left.min(MEGABYTE);
        client.write_all(piece.get(..some as usize).unwrap_or_default())?;
        left -= some;
    }
    Ok(())
}

fn relay(client: TcpStream, origin: TcpStream) -> io::Result<()> {
    origin.set_nodelay(true)?;
    let (from, to) = (client.try_clone()?, origin.try_clone()?);
    let upwards = thread::spawn(move || move_all(&from, &to));
    let downwards = move_all(&origin, &client);
    upwards.join().map_err(|_panicked| io::Error::other("a thread has panicked"))?.and(downwards)
}

fn move_all(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (out, into) = pipe()?;
    fcntl_setpipe_size(&into, MEGABYTE as usize)?;
    loop {
        let mut held = splice(from, None, &into, None, MEGABYTE as usize, SpliceFlags::MOVE)?;
        if held == 0 {
            return to.shutdown(Shutdown::Write);
        }
        while held > 0 {
            held -= splice(&out, None, to, None, held, SpliceFlags::MOVE)?;
        }
    }
}

/// What went well and what did not.
struct Ended {
    well: u64,
    badly: u64,
}

impl std::iter::Sum for Ended {
    fn sum<All: Iterator<Item = Ended>>(all: All) -> Ended {
        all.fold(Ended { well: 0, badly: 0 }, |one, other| Ended {
            well: one.well + other.well,
            badly: one.badly + other.badly,
        })
    }
}

fn at_once(count: u64, one: impl Fn() -> Ended + Sync) -> Ended {
    thread::scope(|scope| {
        let running: Vec<_> = (0..count).map(|_| scope.spawn(&one)).collect();
        running.into_iter().map(|one| one.join().unwrap_or(Ended { well: 0, badly: 1 })).sum()
    })
}

fn report(ended: &Ended, each: u64) {
    println!("RESULT events={} failed={}", ended.well * each, ended.badly);
}

fn fetch(via: &str, target: &str, octets: u64) -> Ended {
    match try_to_fetch(via, target, octets) {
        Ok(()) => Ended { well: 1, badly: 0 },
        Err(failure) => {
            println!("{failure}");
            Ended { well: 0, badly: 1 }
        }
    }
}

fn try_to_fetch(via: &str, target: &str, octets: u64) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(if via == "-" { target } else { via })?;
    stream.set_nodelay(true)?;
    if via != "-" {
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet)?;
            head.extend(octet);
        }
        if !head.starts_with(b"HTTP/1.1 200") {
            return Err(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().into());
        }
    }
    stream.write_all(&octets.to_be_bytes())?;
    let mut buffer = vec![0; 256 * 1024];
    let mut left = octets;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err("the content is cut".into()),
            some => left -= some as u64,
        }
    }
    Ok(())
}
