//! The arguments of `larder ca`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::trust::StoreKind;
use crate::config::{ConfigError, Folders, Overrides, Settings, load_without_lists};

pub(super) const CA_EXAMPLES: &str = "\
Examples:
  larder ca init
  larder ca install --dry-run
  larder ca install --only nss,java
  larder ca export --out larder.pem
  larder ca rotate";

/// What can be done with the authority.
#[derive(Clone, Debug, Subcommand)]
pub enum CaCommand {
    /// Create the authority if there is none, and describe it
    Init(CaArgs),
    /// Print its certificate (PEM), or write it to a file
    Export(ExportArgs),
    /// Make this machine trust it: system, Firefox, Chromium, Java
    Install(InstallArgs),
    /// Undo `larder ca install`, also for replaced authorities
    Uninstall(UninstallArgs),
    /// Print the path of its certificate
    Path(CaArgs),
    /// Replace the authority with a new one
    Rotate(CaArgs),
}

/// Which authority.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CaArgs {
    /// Configuration file that names ca_dir and name_constraints
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What to export.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Add everything that this machine trusts, for programs that read only one file
    #[arg(long)]
    pub bundle: bool,
    #[command(flatten)]
    pub ca: CaArgs,
}

/// Where to install.
#[derive(Clone, Debug, clap::Args)]
pub struct InstallArgs {
    /// Only these stores [default: all that are found]
    #[arg(long, value_name = "STORE", value_delimiter = ',')]
    pub only: Vec<StoreKind>,
    /// Print the steps without taking them
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub ca: CaArgs,
}

/// What to uninstall, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct UninstallArgs {
    /// Only authorities that have been replaced
    #[arg(long)]
    pub previous: bool,
    #[command(flatten)]
    pub install: InstallArgs,
}

impl CaArgs {
    /// The settings that say where the authority is.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        load_without_lists(self.config.as_deref(), &Overrides::default(), &Folders::of_process())
    }
}
