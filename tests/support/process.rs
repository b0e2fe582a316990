//! The real binary as a child process: for signals, exit codes and limits of a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::world::temporary;
use super::{Client, HANG_GUARD};

/// A running `larder serve` on a port of its own, with a cache folder of its own.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Process {
    /// Starts it with these arguments beyond the address and the folder.
    pub fn start(arguments: &[&str]) -> Process {
        Process::spawn(Command::new(env!("CARGO_BIN_EXE_larder")), arguments)
    }

    /// Starts it with at most so many file descriptors.
    pub fn start_with_descriptors(descriptors: usize, arguments: &[&str]) -> Process {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_larder")]);
        Process::spawn(shell, arguments)
    }

    fn spawn(mut command: Command, arguments: &[&str]) -> Process {
        let folder = temporary("cache");
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--cache-dir"]);
        command.arg(&folder).args(arguments);
        // Nothing of the machine's own configuration may reach the test.
        command.env_clear().env("HOME", &folder).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary is built");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = lines.by_ref().find_map(|line| listens_on(&line.expect("text")));
        // A pipe that nobody reads would stop it one day.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.expect("it says where it listens");
        Process { child, address, folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new client connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).expect("it runs");
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        const STEP: Duration = Duration::from_millis(5);
        for _ in 0..HANG_GUARD.as_millis() / STEP.as_millis() {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            // The standard library has no wait with a deadline; nothing depends on the time.
            std::thread::park_timeout(STEP);
        }
        panic!("larder has not ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and may not have got as far as making the folder.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn listens_on(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once(" listens on ")?;
    address.trim().parse().ok()
}
