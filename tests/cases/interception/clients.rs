//! 6.11 and S19: many new hosts at once, and a machine whose clock was never set.

use std::process::Command;

use super::get;
use crate::support::{Certificates, Folder, Process, World};

#[test]
fn case_6_11_a_client_may_open_tunnels_to_many_new_hosts() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    // As over one connection, so that the test does not wait for a thousand.
    for number in 0..1200 {
        let mut client = world.client();
        let authority = format!("host-{number}.example:443");
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(client.response_to("CONNECT").status(), 200, "{authority}");
    }
}

#[test]
fn case_6_11_one_that_asks_for_more_than_that_waits() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.hosts.insert("127.0.0.1".to_owned(), vec![]);
    });
    let ask = |number: usize| {
        let mut client = world.client();
        let authority = format!("host-{number}.example:443");
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        client
    };
    let mut number = 0;
    let mut waiting = loop {
        let mut client = ask(number);
        world.catch_up();
        if !client.wire.is_answered() {
            break client;
        }
        assert_eq!(client.response_to("CONNECT").status(), 200);
        number += 1;
        assert!(number < 3000, "there is a limit");
    };
    // Its turn comes.
    world.advance_until_heard(std::time::Duration::from_millis(50), &mut waiting);
    assert_eq!(waiting.response_to("CONNECT").status(), 200);
}

/// Has a program take the wall clock for one that stands at a second before 1970.
const SHIM: &str = r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME) { time->tv_sec = -1; }
    return (int) result;
}
";

#[test]
fn case_s19_a_clock_before_1970_is_an_error_and_no_panic() {
    let folder = Folder::new();
    let (source, shim) = (folder.write("shim.c", SHIM), folder.text_of_path("shim.so"));
    // What builds Larder has a C compiler.
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o", &shim, &source]).status();
    assert!(built.expect("a C compiler").success());
    let certificates = Certificates::new();
    folder.write("roots.pem", &certificates.root_pem());
    let config = folder.write("larder.toml", "[intercept]\nca_dir = 'ca'\nroots = 'roots.pem'\n");
    let origin = crate::support::Origin::start_tls(certificates.server("localhost").into());
    let mut process = Command::new("env");
    process.args([&format!("LD_PRELOAD={shim}"), env!("CARGO_BIN_EXE_larder")]);
    let process =
        Process::run(process, &["--config", &config, "--intercept", "--listen", "https://127.0.0.1:0"]);
    let authority = format!("localhost:{}", origin.address().port());
    for _ in 0..3 {
        let mut client = process.client();
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(client.response_to("CONNECT").status(), 200);
        let mut client = client.within_tls(crate::support::trusting_anybody(), "localhost");
        // A certificate from after 1970 is not valid yet, for this connection.
        let response = get(&mut client, &authority, "/");
        assert_eq!((response.status(), response.proxy_error()), (502, "tls_certificate_error"));
        assert!(response.text().contains("not valid before"), "{}", response.text());
    }
    let said = process.into_said();
    let count = |text: &str| said.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("before 1970"), count("panicked"), count("defect")), (1, 0, 0), "{said:#?}");
}
