//! `larder run`: a command whose requests go through a larder that looks into HTTPS.
//!
//! The larder is a process of its own, so that commands which run side by side share one, and one
//! that is there already is used. Each `larder run` holds a lock on a file in the cache folder with
//! the others; the last one, who gets it alone, ends the larder that one of them has started.

#![expect(clippy::disallowed_methods, reason = "a command of the user's, not a request")]

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::args::RunArgs;
use super::cache::counted;
use super::commands::bad_config;
use super::control_client::ask_status;
use super::environment::variables;
use super::serve::make_folder;
use crate::admin::control::{Counts, RunningStatus, SOCKET_NAME};
use crate::admin::numbers::Size;
use crate::config::Settings;

/// Held by each `larder run` of a cache folder.
const LOCK_NAME: &str = "run.lock";
/// What a larder that was started here says.
const LOG_NAME: &str = "run.log";
/// How long a larder may take to start or to end. Reading an index of many millions takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// `larder run`: the command's exit code; 128 and the signal if one has ended it; 126 or 127 if it
/// can't be run, as shells have it.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let settings = match args.client.settings() {
        Ok(settings) => settings,
        Err(error) => return Ok(bad_config(&error)),
    };
    let folder = &settings.cache_dir;
    make_folder(folder).with_context(|| format!("the cache folder {} can't be used", folder.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let lock = Lock::shared(folder)?;
        let before = find_or_start(&settings, args.client.config.as_deref()).await?;
        let ended = run_command(args, &settings, &before).await;
        // A larder that has ended meanwhile has nothing to say any more.
        if let Some(after) = ask_status(folder).ok().filter(|_| !args.quiet) {
            summarise(&after.counts.since(&before.counts), &after);
        }
        if let Err(error) = lock.release(folder).await {
            // What the command has come to is not lost for it.
            let _unwritable = writeln!(io::stderr(), "larder: {error:#}");
        }
        ended
    })
}

/// One of those who use the larder of a cache folder for a command.
struct Lock(File);

impl Lock {
    /// Waits while the last of those before ends their larder.
    fn shared(folder: &Path) -> anyhow::Result<Lock> {
        let path = folder.join(LOCK_NAME);
        let open = || -> io::Result<File> {
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock_shared()?;
            Ok(file)
        };
        Ok(Lock(open().with_context(|| path.display().to_string())?))
    }

    /// The last one ends the larder that was started for them.
    async fn release(self, folder: &Path) -> anyhow::Result<()> {
        if self.0.try_lock().is_err() {
            return Ok(());
        }
        let Ok(status) = ask_status(folder) else { return Ok(()) };
        if status.is_for_run {
            stop(&status, folder).await?;
        }
        Ok(())
    }
}

async fn stop(status: &RunningStatus, folder: &Path) -> anyhow::Result<()> {
    let pid = i32::try_from(status.pid).ok().and_then(Pid::from_raw).context("the larder has no number")?;
    // Who has ended by itself need not be told.
    let _gone = kill_process(pid, Signal::TERM);
    tokio::time::timeout(PATIENCE, async {
        while ask_status(folder).is_ok() {
            tokio::time::sleep(POLL).await;
        }
    })
    .await
    .context("the larder does not end")
}

/// The larder of this cache folder; one is started if none is running.
async fn find_or_start(settings: &Settings, config: Option<&Path>) -> anyhow::Result<RunningStatus> {
    let folder = &settings.cache_dir;
    let status = match ask_status(folder) {
        Ok(status) => status,
        Err(_not_running) => start(folder, config).await?,
    };
    if status.ca_dir.is_none() {
        bail!(
            "the larder that is running with the cache folder {} does not look into HTTPS: start it with \
             --intercept, or name another folder (--cache-dir)",
            folder.display()
        );
    }
    Ok(status)
}

async fn start(folder: &Path, config: Option<&Path>) -> anyhow::Result<RunningStatus> {
    let log = folder.join(LOG_NAME);
    let stderr = File::create(&log).with_context(|| log.display().to_string())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "serve",
        "--for-run",
        "--intercept",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--cache-dir",
    ]);
    command.arg(folder);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    // A group of its own: what the terminal tells the command is not for the proxy.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).process_group(0);
    let mut larder = command.spawn().context("larder can't be started")?;
    let started = tokio::time::timeout(PATIENCE, async {
        loop {
            let ended = larder.try_wait()?;
            match ask_status(folder) {
                Ok(status) => return Ok(status),
                // Another one may have been quicker, but then it would have answered.
                Err(_) if ended.is_some() => bail!("larder has not started:\n{}", tail(&log)),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    });
    started
        .await
        .with_context(|| format!("larder does not answer on {}", folder.join(SOCKET_NAME).display()))?
}

/// The end of what a larder has said.
fn tail(log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(5)).copied().collect::<Vec<_>>().join("\n")
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

/// One line on what went through the proxy.
fn summarise(counts: &Counts, larder: &RunningStatus) {
    let Counts { requests, hits, denied, bytes_to_clients, bytes_from_origins, .. } = *counts;
    let share = (hits * 100).checked_div(requests).unwrap_or(0);
    let whose = if larder.is_for_run { "" } else { ", those of others included" };
    let line = format!(
        "larder: {}, {hits} of them hits ({share} %), {} of which {} came from origins, \
         {denied} refused{whose}",
        counted(requests, "request"),
        Size(bytes_to_clients),
        Size(bytes_from_origins),
    );
    // Where the standard error is closed there is nobody to tell.
    let _unread = writeln!(io::stderr(), "{line}");
}
