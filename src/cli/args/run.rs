//! The arguments of `larder run` and `larder env`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::ClientArgs;
use crate::cli::environment::{EnvFormat, ProxyAddress};

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  larder run -- npm ci
  larder run -- cargo build
  larder run --no-proxy registry.internal -- ./build.sh";

pub(super) const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(larder env)\"
  larder env --format fish | source
  larder env --format github >> \"$GITHUB_ENV\"
  larder env --format apt > /etc/apt/apt.conf.d/80larder
  larder env --proxy http://larder.example:3128 --ca larder-ca.pem";

/// What to run.
#[derive(Clone, Debug, clap::Args)]
#[command(override_usage = "larder run [OPTIONS] [--] <COMMAND> [ARGUMENTS]...")]
pub struct RunArgs {
    /// Hosts that are asked without the proxy, with commas [default: NO_PROXY, else this machine]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    /// Say nothing at the end
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub client: ClientArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// For whom to print variables.
#[derive(Clone, Debug, clap::Args)]
pub struct EnvArgs {
    /// Who reads them
    #[arg(long, value_name = "FORMAT", default_value = "sh")]
    pub format: EnvFormat,
    /// Hosts that are asked without the proxy, with commas [default: NO_PROXY, else this machine]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    /// Address of a Larder on another machine: HOST:PORT or a URL
    #[arg(long, value_name = "URL")]
    pub proxy: Option<ProxyAddress>,
    /// Certificate of its authority (PEM), which its page larder.proxy offers
    #[arg(long, value_name = "FILE", requires = "proxy")]
    pub ca: Option<PathBuf>,
    #[command(flatten)]
    pub client: ClientArgs,
}
