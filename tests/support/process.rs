//! The real binary as a child process: for signals, exit codes and limits of a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::world::temporary;
use super::{Client, Folder, HANG_GUARD, eventually};

/// A running `larder serve` on a port of its own, with a cache folder of its own.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens: plain, and within TLS if it was told to.
    addresses: Vec<SocketAddr>,
    /// Its own, removed at its end; `None` when the test has it.
    folder: Option<PathBuf>,
    /// What it has said on the standard error so far.
    said: Arc<Mutex<Vec<String>>>,
    listening: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts it with these arguments beyond the address and the folder.
    pub fn start(arguments: &[&str]) -> Process {
        Process::spawn_alone(Command::new(env!("CARGO_BIN_EXE_larder")), arguments)
    }

    /// Starts it with `cache` of this folder as its own.
    pub fn start_in(folder: &Folder, arguments: &[&str]) -> Process {
        let command = Command::new(env!("CARGO_BIN_EXE_larder"));
        Process::spawn(command, &folder.path("cache"), arguments)
    }

    /// Starts it with at most so many file descriptors.
    pub fn start_with_descriptors(descriptors: usize, arguments: &[&str]) -> Process {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_larder")]);
        Process::spawn_alone(shell, arguments)
    }

    /// Starts it by this command, which is given the arguments.
    pub fn run(command: Command, arguments: &[&str]) -> Process {
        Process::spawn_alone(command, arguments)
    }

    /// Starts it with `cache` of this folder as its own, listening there alone.
    pub fn start_at(folder: &Folder, listen: &str, arguments: &[&str]) -> Process {
        let command = Command::new(env!("CARGO_BIN_EXE_larder"));
        Process::spawn_at(command, &folder.path("cache"), listen, arguments)
    }

    fn spawn_alone(command: Command, arguments: &[&str]) -> Process {
        let folder = temporary("cache");
        let mut process = Process::spawn(command, &folder, arguments);
        process.folder = Some(folder);
        process
    }

    fn spawn(command: Command, folder: &Path, arguments: &[&str]) -> Process {
        Process::spawn_at(command, folder, "127.0.0.1:0", arguments)
    }

    fn spawn_at(mut command: Command, folder: &Path, listen: &str, arguments: &[&str]) -> Process {
        command.args(["serve", "--listen", listen, "--cache-dir"]);
        command.arg(folder).args(arguments);
        // Nothing of the machine's own configuration may reach the test.
        command
            .env_clear()
            .env("HOME", folder)
            .env("LARDER_ADMIN", "off")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary is built");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let said = Arc::new(Mutex::new(Vec::new()));
        let listening = std::thread::spawn({
            let said = said.clone();
            move || stderr.lines().for_each(|line| said.lock().unwrap().push(line.expect("text")))
        });
        let mut process =
            Process { child, addresses: Vec::new(), folder: None, said, listening: Some(listening) };
        process.addresses = listens_on(&process.says(" listens on ")).expect("it says where it listens");
        process
    }

    /// Waits for a line on the standard error with this text in it.
    pub fn says(&self, text: &str) -> String {
        let find = || self.said.lock().unwrap().iter().find(|line| line.contains(text)).cloned();
        eventually(&format!("it says {text:?}"), || find().is_some());
        find().expect("it was there")
    }

    /// Ends it in order and gives all lines of its standard error.
    pub fn into_said(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        self.wait();
        self.listening.take().expect("once").join().expect("the standard error is text");
        std::mem::take(&mut self.said.lock().unwrap())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens within TLS.
    pub fn within_tls(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// A new client connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
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
        if let Some(folder) = &self.folder {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

fn listens_on(line: &str) -> Option<Vec<SocketAddr>> {
    let (_, addresses) = line.split_once(" listens on ")?;
    let address = |text: &str| text.trim().trim_start_matches("https://").parse().ok();
    addresses.split(',').map(address).collect()
}
