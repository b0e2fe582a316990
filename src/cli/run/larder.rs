//! Which Larder a command uses: one that serves and intercepts HTTPS, or one that is started for it.
//!
//! A Larder that is started is a process of its own, so that commands which run side by side share
//! it. Its folder is the cache folder; where a Larder without interception serves with that one, or
//! the user may not write to it, it is the folder `run` beside its store. Each `larder run` holds a lock on
//! a file of that folder with the others; the last one, who gets it alone, ends the Larder that one of them
//! has started.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::admin::control::SOCKET_NAME;
use crate::admin::messages::RunningStatus;
use crate::cli::cache_folder::make_folder;
use crate::cli::control_client::ask_status;
use crate::cli::environment::{named_by_user, of_machine};
use crate::config::{Environment, Folders, Settings};

/// Held by each `larder run` of a folder.
const LOCK_NAME: &str = "run.lock";
/// What a Larder that was started here says.
const DIAGNOSTICS_NAME: &str = "run.log";
/// Its access log.
pub(super) const ACCESS_NAME: &str = "run-access.log";
/// Its folder within a cache folder that is in use.
const FOLDER_NAME: &str = "run";
/// How long a Larder may take to start or to end. Reading an index of many millions takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// The Larder that a command uses.
pub(in crate::cli) struct Larder {
    pub(in crate::cli) folder: PathBuf,
    /// As it was when the command began.
    pub(in crate::cli) status: RunningStatus,
    /// `None` for one that serves anyhow.
    lock: Option<Lock>,
}

/// The access logs of Larders that were started for commands.
pub(in crate::cli) fn logs(settings: &Settings) -> Vec<PathBuf> {
    let names = [ACCESS_NAME.to_owned(), format!("{ACCESS_NAME}.1")];
    folders(settings).iter().flat_map(|folder| names.each_ref().map(|name| folder.join(name))).collect()
}

/// Whether a Larder was started for commands in this folder.
pub(in crate::cli) fn has_left(folder: &Path) -> bool {
    folder.join(LOCK_NAME).exists()
}

/// The folders in which Larders are started for commands, the likeliest first.
fn folders(settings: &Settings) -> Vec<PathBuf> {
    let cache = &settings.cache_dir;
    let of_user = Folders::of_process().cache_dir().ok().map(|folder| folder.join(FOLDER_NAME));
    [Some(cache.clone()), Some(cache.join(FOLDER_NAME)), of_user].into_iter().flatten().collect()
}

impl Larder {
    /// The Larder that serves with the cache folder if it intercepts HTTPS; else one for commands, which
    /// is started if there is none.
    pub(in crate::cli) async fn find_or_start(
        settings: &Settings,
        config: Option<&Path>,
        environment: &Environment,
    ) -> anyhow::Result<Larder> {
        let mut unusable = None;
        for folder in folders(settings) {
            match ask_status(&folder) {
                Ok(status) if !status.is_for_run && status.ca_dir.is_some() => {
                    return Ok(Larder { folder, status, lock: None });
                }
                Ok(status) if !status.is_for_run => continue,
                _ => {}
            }
            if let Err(error) = make_folder(&folder) {
                unusable.get_or_insert((folder, error));
                continue;
            }
            return Larder::in_folder(folder, settings, config, environment).await;
        }
        match unusable {
            Some((folder, error)) => {
                Err(error).with_context(|| format!("the cache folder {} can't be used", folder.display()))
            }
            None => bail!("other Larders use all of these folders: {:?}", folders(settings)),
        }
    }

    async fn in_folder(
        folder: PathBuf,
        settings: &Settings,
        config: Option<&Path>,
        environment: &Environment,
    ) -> anyhow::Result<Larder> {
        let lock = Some(Lock::shared(&folder)?);
        let status = match ask_status(&folder) {
            Ok(status) => status,
            Err(_not_running) => start(&folder, settings, config, environment).await?,
        };
        if status.ca_dir.is_none() {
            bail!("a Larder that does not intercept HTTPS was just started in {}", folder.display());
        }
        Ok(Larder { folder, status, lock })
    }

    /// The last one ends the Larder that was started for them.
    pub(in crate::cli) async fn release(self) -> anyhow::Result<()> {
        let Some(Lock(file)) = &self.lock else { return Ok(()) };
        if file.try_lock().is_err() {
            return Ok(());
        }
        let Ok(status) = ask_status(&self.folder) else { return Ok(()) };
        if status.is_for_run {
            stop(&status, &self.folder).await?;
        }
        Ok(())
    }
}

/// One of those who use the Larder of a folder for a command.
struct Lock(File);

impl Lock {
    /// Waits while the last of those before ends their Larder.
    fn shared(folder: &Path) -> anyhow::Result<Lock> {
        let path = folder.join(LOCK_NAME);
        let open = || -> io::Result<File> {
            let file = File::options().create(true).append(true).open(&path)?;
            file.lock_shared()?;
            Ok(file)
        };
        Ok(Lock(open().with_context(|| path.display().to_string())?))
    }
}

async fn stop(status: &RunningStatus, folder: &Path) -> anyhow::Result<()> {
    let pid = i32::try_from(status.pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("the running Larder reported no process ID")?;
    // Who has ended by itself need not be told.
    let _gone = kill_process(pid, Signal::TERM);
    tokio::time::timeout(PATIENCE, async {
        while ask_status(folder).is_ok() {
            tokio::time::sleep(POLL).await;
        }
    })
    .await
    .context("the Larder of this command does not stop")
}

async fn start(
    folder: &Path,
    settings: &Settings,
    config: Option<&Path>,
    environment: &Environment,
) -> anyhow::Result<RunningStatus> {
    let log = folder.join(DIAGNOSTICS_NAME);
    let stderr = File::create(&log).with_context(|| log.display().to_string())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--for-run", "--intercept", "--listen", "127.0.0.1:0", "--admin", "off"]);
    command.arg("--cache-dir").arg(folder).args(["--log-format", "json"]);
    command.arg("--access-log").arg(folder.join(ACCESS_NAME));
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    if !settings.cache.disks.is_empty() {
        // They belong to the Larder that serves.
        command.args(["--disk", "auto"]);
    }
    // What the user trusts is trusted besides what the machine does, not in its place.
    for roots in named_by_user(environment).iter().chain(&of_machine(environment)) {
        command.arg("--extra-roots").arg(std::path::absolute(roots)?);
    }
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    // A group of its own: what the terminal tells the command is not for the proxy.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).process_group(0);
    let mut larder = command.spawn().context("Larder can't be started")?;
    let started = tokio::time::timeout(PATIENCE, async {
        loop {
            let ended = larder.try_wait()?;
            match ask_status(folder) {
                Ok(status) => return Ok(status),
                // Another one may have been quicker, but then it would have answered.
                Err(_) if ended.is_some() => bail!("Larder has not started:\n{}", tail(&log)),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    });
    started
        .await
        .with_context(|| format!("Larder does not answer on {}", folder.join(SOCKET_NAME).display()))?
}

/// The end of what a Larder has said.
fn tail(log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(5)).copied().collect::<Vec<_>>().join("\n")
}
