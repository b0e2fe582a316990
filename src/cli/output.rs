//! What commands print: lines and failures.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config::EXIT_BAD_CONFIG;

/// Says what is wrong with the configuration; the exit code for it.
pub fn bad_config(error: &(impl std::error::Error + ?Sized)) -> ExitCode {
    // Where the standard error can't be written to, the exit code has to do.
    let _unwritable = writeln!(io::stderr(), "larder: bad configuration: {error}").is_err();
    ExitCode::from(EXIT_BAD_CONFIG)
}

/// Says what has failed; the exit code for it.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let _unwritable = writeln!(io::stderr(), "larder: {error:#}").is_err();
    ExitCode::FAILURE
}

/// Prints lines. A reader that has seen enough (`larder blocked | head`) is no failure.
pub(super) fn print(lines: &[String]) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
