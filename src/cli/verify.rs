//! `larder cache verify`: all of a cache folder is read, and each checksum compared.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::args::VerifyArgs;
use super::output::print;
use crate::admin::numbers::{Size, counted};
use crate::store::disk::files::SystemFiles;
use crate::store::disk::verify::verify as read_all;

/// Cells of the bar.
const BAR: u64 = 40;

/// `larder cache verify`: 0 when all is whole, 1 when something is not.
pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let mut is_whole = true;
    for dir in &args.dir {
        if args.dir.len() > 1 {
            print(&[dir.display().to_string()])?;
        }
        is_whole &= is_folder_whole(dir)?;
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_folder_whole(dir: &Path) -> anyhow::Result<bool> {
    let store = dir.join("store");
    let folder = if store.is_dir() { store } else { dir.to_owned() };
    let is_terminal = io::stderr().is_terminal();
    let mut drawn = u64::MAX;
    let verified = read_all(&folder, &SystemFiles, &mut |done, all| {
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        if is_terminal && percent != drawn {
            drawn = percent;
            let cells = (percent * BAR / 100) as usize;
            let bar = "#".repeat(cells) + &" ".repeat(BAR as usize - cells);
            // A bar that can't be drawn is no failure.
            let _undrawn = write!(io::stderr(), "\r[{bar}] {percent:>3} % of {}", Size(all));
        }
    });
    if drawn != u64::MAX {
        let _undrawn = writeln!(io::stderr());
    }
    let verified = verified?;
    let mut lines = verified.damages.clone();
    let hidden = verified.damaged.saturating_sub(lines.len() as u64);
    if hidden > 0 {
        lines.push(format!("and {hidden} more"));
    }
    let (segments, size) = (counted(verified.segments, "segment"), Size(verified.bytes));
    lines.push(format!("{} in {segments}, {size}", counted(verified.records, "whole record")));
    if verified.cut_bytes > 0 {
        let cut = Size(verified.cut_bytes);
        lines.push(format!("{cut} behind the last record, which was being written: no damage"));
    }
    lines.push(format!("damaged: {}", verified.damaged));
    print(&lines)?;
    Ok(verified.damaged == 0)
}
