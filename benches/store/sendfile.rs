//! The ceiling of benches/store: a loop around `sendfile`, for one file and one client at a time.
//! Prints its port; ends with its parent's pipe.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own, beside nothing")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn serve(mut client: TcpStream, file: &File, length: u64) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut octets = [0; 4096];
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            match client.read(&mut octets)? {
                0 => return Ok(()),
                read => request.extend_from_slice(octets.get(..read).unwrap_or_default()),
            }
        }
        request.clear();
        write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
        let mut at = 0;
        while at < length {
            let left = usize::try_from(length - at).map_err(std::io::Error::other)?;
            rustix::fs::sendfile(&client, file, Some(&mut at), left)?;
        }
    }
}

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| std::io::Error::other("which file?"))?;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    for client in listener.incoming() {
        // A client that leaves is no failure of the loop's.
        let _left = serve(client?, &file, length);
    }
    Ok(())
}
