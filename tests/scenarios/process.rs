//! The real binary: signals, exit codes, and too few file descriptors.

use std::net::TcpStream;

use rustix::process::Signal;

use crate::support::{Answer, End, Gate, Origin, Process, Wire, eventually, request, temporary};

/// A process, and a client of it that waits for the rest of a response.
fn waiting_client(gate: &Gate, arguments: &[&str]) -> (Process, Origin, crate::support::Client) {
    let (process, origin) = (Process::start(arguments), Origin::start());
    let answer = Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    origin.on_path("/", answer.wait(gate).send("world"));
    let mut client = process.client();
    client.send(request("GET", &origin.url("/"), &[], ""));
    assert_eq!(client.head().status(), 200);
    (process, origin, client)
}

fn is_gone(process: &Process) -> bool {
    TcpStream::connect(process.address()).is_err()
}

#[test]
fn sigterm_lets_a_running_response_finish() {
    let gate = Gate::new();
    let (mut process, _origin, mut client) = waiting_client(&gate, &[]);
    process.signal(Signal::TERM);
    eventually("nobody new is let in", || is_gone(&process));
    gate.open();
    let body = client.wire.exactly(10);
    assert_eq!((&body.bytes[..], body.end), (&b"helloworld"[..], End::Clean));
    assert!(client.is_closed());
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_at_once_and_what_it_cut_off_is_logged() {
    let gate = Gate::new();
    let log = temporary("log");
    let arguments = ["--access-log", log.to_str().expect("text"), "--log-format", "json"];
    let (mut process, origin, mut client) = waiting_client(&gate, &arguments);
    process.signal(Signal::TERM);
    eventually("nobody new is let in", || is_gone(&process));
    process.signal(Signal::TERM);
    assert!(process.wait().code().is_some(), "it ends by itself, not by the signal");
    assert_ne!(client.wire.exactly(10).end, End::Clean);
    gate.open();
    let line = std::fs::read_to_string(&log).expect("a log");
    assert!(line.contains(&origin.url("/")) && line.contains("\"aborted\""), "{line}");
    std::fs::remove_file(&log).expect("the log is there");
}

#[test]
fn a_tunnel_outlives_the_first_sigterm_and_not_the_second() {
    let (mut process, far) = (Process::start(&[]), std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let target = far.local_addr().unwrap();
    let mut client = process.client();
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    let mut far = Wire::new(far.accept().unwrap().0);
    process.signal(Signal::TERM);
    eventually("nobody new is let in", || is_gone(&process));
    client.send("still here");
    assert_eq!(far.exactly(10).bytes, b"still here");
    process.signal(Signal::TERM);
    assert!(process.wait().code().is_some(), "it ends by itself, not by the signal");
    assert!(client.is_closed() && far.is_closed());
}

#[test]
fn sigterm_is_heard_as_soon_as_clients_are() {
    for _ in 0..10 {
        let mut process = Process::start(&[]);
        process.client().settle();
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), Some(0), "it ends by itself, not by the signal");
    }
}

#[test]
fn sigterm_closes_idle_clients_at_once() {
    let (mut process, origin) = (Process::start(&[]), Origin::start());
    origin.on_path("/", Answer::ok("hello"));
    let mut client = process.client();
    assert_eq!(client.get(&origin.url("/")).text(), "hello");
    process.signal(Signal::TERM);
    assert!(client.is_closed());
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn too_few_descriptors_turn_clients_away_and_are_survived() {
    let (process, origin) = (Process::start_with_descriptors(100, &[]), Origin::start());
    origin.otherwise(Answer::ok("hello"));
    let mut clients: Vec<_> = (0..200).map(|_| process.client()).collect();
    for client in &mut clients {
        client.send(request("GET", &origin.url("/"), &[], ""));
    }
    // Each is served, told that there are too many, or closed: none is left waiting.
    let statuses: Vec<_> =
        clients.iter_mut().map(|client| client.wire.head().map_or(0, |head| head.status())).collect();
    assert!(statuses.iter().all(|status| [0, 200, 502, 503].contains(status)), "{statuses:?}");
    assert!(!statuses.iter().all(|status| *status == 200), "there were descriptors for all");
    drop(clients);
    eventually("clients are served again", || {
        let mut client = process.client();
        client.send(request("GET", &origin.url("/"), &[], ""));
        client.wire.head().is_ok_and(|head| head.status() == 200)
    });
}
