//! One step of an installation: taken, or shown as the shell would take it.

use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Step {
    /// Writes `text` to a file that everybody may read; `from` is where the same text is.
    Copy {
        from: PathBuf,
        text: String,
        to: PathBuf,
    },
    MakeFolder(PathBuf),
    Remove(PathBuf),
    Run {
        program: PathBuf,
        arguments: Vec<String>,
    },
}

impl Step {
    pub(super) fn run(program: &Path, arguments: &[&str]) -> Step {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Step::Run { program: program.to_path_buf(), arguments }
    }

    /// Takes the step.
    pub(in crate::cli) fn take(&self) -> anyhow::Result<()> {
        match self {
            Step::Copy { text, to, .. } => {
                fs::write(to, text).with_context(|| to.display().to_string())?;
                // The umask of whoever runs this may be a narrow one.
                fs::set_permissions(to, Permissions::from_mode(0o644))?;
                Ok(())
            }
            Step::MakeFolder(path) => fs::create_dir_all(path).with_context(|| path.display().to_string()),
            Step::Remove(path) => fs::remove_file(path).with_context(|| path.display().to_string()),
            Step::Run { program, arguments } => run(program, arguments),
        }
    }
}

impl fmt::Display for Step {
    /// As a line for the shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Copy { from, to, .. } => write!(f, "cp {} {}", quoted(from), quoted(to)),
            Step::MakeFolder(path) => write!(f, "mkdir -p {}", quoted(path)),
            Step::Remove(path) => write!(f, "rm {}", quoted(path)),
            Step::Run { program, arguments } => {
                f.write_str(&quoted(program))?;
                arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(Path::new(argument))))
            }
        }
    }
}

/// Whether a command that only asks says yes.
pub(super) fn says_yes(program: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(program: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let name = program.display();
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| name.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    bail!("{name}: {}", lines.last().copied().unwrap_or("it has failed"));
}

/// A word as the shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-:=+,@%".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
