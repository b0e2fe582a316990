//! `larder` run to its end, and folders for it.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::HANG_GUARD;
use super::world::temporary;

/// A folder of the test's own, removed at its end.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder.
    pub fn new() -> Folder {
        let path = temporary("folder");
        std::fs::create_dir_all(&path).expect("a writable folder for temporary files");
        Folder(path)
    }

    /// The path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// As [`Folder::path`], as text for an argument.
    pub fn text_of_path(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file, and gives its path as text.
    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("a writable folder");
        self.text_of_path(name)
    }

    /// What a file says; empty when there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the folder is there");
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs `larder` with these arguments and variables to its end. The folder stands in for all
/// folders of the user: its cache is `cache` there, unless an argument says otherwise.
pub fn larder(folder: &Folder, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments).env_clear();
    command.env("HOME", folder.path("")).env("XDG_CACHE_HOME", folder.path("xdg"));
    // The admin pages have a port by default; tests run side by side.
    command.env("LARDER_CACHE_DIR", folder.path("cache")).env("LARDER_ADMIN", "off");
    command.envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary is built");
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (send, ended) = std::sync::mpsc::channel();
    let id = rustix::process::Pid::from_child(&child);
    let waiting = std::thread::spawn(move || {
        let (mut out, mut err) = (String::new(), String::new());
        stdout.expect("it is piped").read_to_string(&mut out).expect("text");
        stderr.expect("it is piped").read_to_string(&mut err).expect("text");
        let code = child.wait().expect("a child of ours").code();
        // Nobody listens any more when it took too long.
        drop(send.send(Ended { code, out, err }));
    });
    let result = ended.recv_timeout(HANG_GUARD);
    if result.is_err() {
        rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it runs");
    }
    waiting.join().expect("its words are text");
    result.unwrap_or_else(|_too_late| panic!("larder {arguments:?} does not end"))
}
