//! `larder run`: a command whose requests go through a Larder that intercepts HTTPS.
//!
//! Which Larder that is, and when it ends, is `larder.rs`; what is said before and after the command,
//! `report.rs`.

#![expect(clippy::disallowed_methods, reason = "a command of the user's, not a request")]

mod larder;
mod report;

use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::args::RunArgs;
use super::control_client::ask_status;
use super::environment::variables;
use super::output::bad_config;
use crate::admin::messages::RunningStatus;
use crate::config::{Environment, Settings};

pub(super) use larder::{Larder, has_left, logs};

/// `larder run`: the command's exit code; 128 and the signal if one has ended it; 126 or 127 if it
/// can't be run, as shells have it.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let settings = match args.client.settings() {
        Ok(settings) => settings,
        Err(error) => return Ok(bad_config(&error)),
    };
    let environment = Environment::of_process();
    if let Some(dropped) = report::dropped_proxy(&environment) {
        say(&dropped);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let larder = Larder::find_or_start(&settings, args.client.config.as_deref(), &environment).await?;
        let ended = run_command(args, &settings, &larder.status).await;
        let after = if args.quiet { None } else { counted_status(&larder.folder).await };
        // A Larder that has ended meanwhile has nothing to say any more.
        if let Some(after) = after {
            let no_proxy = args.no_proxy.as_deref().or(environment.no_proxy.as_deref());
            report::summary(&larder, &after, &settings, no_proxy).iter().for_each(|line| say(line));
        }
        if let Err(error) = larder.release().await {
            // What the command has come to is not lost for it.
            say(&format!("larder: {error:#}"));
        }
        ended
    })
}

/// How long a request of the command may take to be counted after the command has ended; arbitrary.
const COUNTED_MS_MAX: u64 = 1000;
const STEP_MS: u64 = 10;

/// What Larder says when the connections of a command that has ended are closed, so that their requests
/// are counted. Others may use that Larder, too, and what the command has left in the background: nobody
/// waits long for them.
async fn counted_status(folder: &Path) -> Option<RunningStatus> {
    let mut status = ask_status(folder).ok()?;
    for _ in 0..COUNTED_MS_MAX / STEP_MS {
        if status.connections == 0 || !status.is_for_run {
            break;
        }
        tokio::time::sleep(Duration::from_millis(STEP_MS)).await;
        status = ask_status(folder).ok()?;
    }
    Some(status)
}

/// Says a line to the user. Where the standard error is closed there is nobody to tell.
fn say(line: &str) {
    let _unread = writeln!(io::stderr(), "{line}");
}

async fn run_command(
    args: &RunArgs,
    settings: &Settings,
    larder: &RunningStatus,
) -> anyhow::Result<ExitCode> {
    let variables =
        variables(&larder.addresses, larder.ca_dir.as_deref(), settings, args.no_proxy.as_deref())?;
    let (program, arguments) = args.command.split_first().context("no command")?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).envs(variables.list());
    let mut signals = Signals::new()?;
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _unwritable = writeln!(io::stderr(), "larder: {}: {error}", program.display());
            return Ok(ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }));
        }
    };
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            signal = signals.next() => {
                // One that has just ended is about to be seen.
                let _gone = pid.map(|pid| kill_process(pid, signal));
            }
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Signals that are the command's.
struct Signals(Vec<(tokio::signal::unix::Signal, Option<Signal>)>);

impl Signals {
    fn new() -> io::Result<Signals> {
        // What is typed at a terminal, the terminal tells the command, too.
        let typed = |signal| (!io::stdin().is_terminal()).then_some(signal);
        let table = [
            (SignalKind::terminate(), Some(Signal::TERM)),
            (SignalKind::hangup(), Some(Signal::HUP)),
            (SignalKind::user_defined1(), Some(Signal::USR1)),
            (SignalKind::user_defined2(), Some(Signal::USR2)),
            (SignalKind::interrupt(), typed(Signal::INT)),
            (SignalKind::quit(), typed(Signal::QUIT)),
        ];
        table
            .into_iter()
            .map(|(kind, passed)| Ok((signal(kind)?, passed)))
            .collect::<io::Result<_>>()
            .map(Signals)
    }

    /// The next one that has to be passed on.
    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, passed) in &mut self.0 {
                while let std::task::Poll::Ready(Some(())) = signal.poll_recv(context) {
                    if let Some(passed) = passed {
                        return std::task::Poll::Ready(*passed);
                    }
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
