//! The binary: arguments to a command, the command's result to an exit code.

use std::process::ExitCode;

use larder::cli::{self, Args, Command};

fn main() -> ExitCode {
    let result = match Args::of_process().into_command() {
        Command::Serve(args) => cli::serve(&args),
        Command::Check(args) => cli::check(&args),
        Command::Reload(args) => cli::reload(&args),
        Command::Block(args) => cli::block(&args),
        Command::Unblock(args) => cli::unblock(&args),
        Command::Blocked(args) => cli::blocked(&args),
        Command::Cache(command) => cli::cache(&command),
        Command::Run(args) => cli::run(&args),
        Command::Env(args) => cli::env(&args),
        Command::Ca(command) => cli::ca(&command),
        Command::Explain(args) => cli::explain(&args),
    };
    result.unwrap_or_else(|error| cli::failed(&error))
}
