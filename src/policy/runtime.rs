//! What `larder block` added: an ordered set of patterns, one a line in `blocked.txt` of the
//! cache folder, so that it survives a restart. The one file of this room that touches the disk.
//!
//! The file is replaced and never written in place: a crash leaves the old set or the new one.

#![expect(clippy::disallowed_methods, reason = "run-time blocks are kept in a file, and only here")]

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Warning;
use super::pattern::Pattern;
use super::pattern_error::PatternError;

/// More run-time patterns belong into a list file; the number is arbitrary.
const PATTERNS_MAX: usize = 100_000;

/// The file in the cache folder.
const FILE_NAME: &str = "blocked.txt";

/// The patterns blocked at run time, each in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeBlocks {
    path: PathBuf,
    patterns: BTreeSet<String>,
}

/// Why run-time blocks could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("{pattern:?}: {error}")]
    Pattern { pattern: String, error: PatternError },
    #[error("more than {PATTERNS_MAX} patterns are blocked at run time; put them into a list file")]
    TooMany,
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
}

impl RuntimeBlocks {
    /// Loads the set of a cache folder. No file is an empty set; a line that is no pattern is
    /// reported and left out.
    pub fn load(cache_dir: &Path) -> Result<(RuntimeBlocks, Vec<Warning>), RuntimeError> {
        let path = cache_dir.join(FILE_NAME);
        let mut bytes = Vec::new();
        let read =
            open(OpenOptions::new().read(true), &path).and_then(|mut file| file.read_to_end(&mut bytes));
        match read {
            Ok(_octets) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(RuntimeError::File { path, error }),
        }
        let mut patterns = BTreeSet::new();
        let mut warnings = Vec::new();
        for (line, number) in String::from_utf8_lossy(&bytes).lines().zip(1usize..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.parse::<Pattern>() {
                Ok(pattern) if patterns.len() < PATTERNS_MAX => drop(patterns.insert(pattern.to_string())),
                Ok(_) => warnings.push(warning(&path, number, RuntimeError::TooMany)),
                Err(error) => warnings.push(warning(&path, number, error)),
            }
        }
        Ok((RuntimeBlocks { path, patterns }, warnings))
    }

    /// The patterns in order, for `larder blocked` and for the policy.
    pub fn patterns(&self) -> Vec<String> {
        self.patterns.iter().cloned().collect()
    }

    /// Adds patterns, all or none; the canonical spellings of those that are new.
    pub fn block(&mut self, patterns: &[String]) -> Result<Vec<String>, RuntimeError> {
        let patterns = canonical(patterns)?;
        let mut added: Vec<String> =
            patterns.into_iter().filter(|pattern| !self.patterns.contains(pattern)).collect();
        added.sort();
        added.dedup();
        if self.patterns.len() + added.len() > PATTERNS_MAX {
            return Err(RuntimeError::TooMany);
        }
        self.patterns.extend(added.iter().cloned());
        Ok(added)
    }

    /// Removes patterns; the canonical spellings of those that were there.
    pub fn unblock(&mut self, patterns: &[String]) -> Result<Vec<String>, RuntimeError> {
        let patterns = canonical(patterns)?;
        Ok(patterns.into_iter().filter(|pattern| self.patterns.remove(pattern)).collect())
    }

    /// Writes the set: a new file beside the old one, flushed to the disk, then renamed over it.
    pub fn save(&self) -> Result<(), RuntimeError> {
        self.replace_file().map_err(|error| RuntimeError::File { path: self.path.clone(), error })
    }

    fn replace_file(&self) -> io::Result<()> {
        let mut text = String::new();
        for pattern in &self.patterns {
            text.push_str(pattern);
            text.push('\n');
        }
        let beside = self.path.with_extension("txt.new");
        // Who is blocked here is nobody else's business: 0600.
        let mut options = OpenOptions::new();
        let mut file = open(options.write(true).create(true).truncate(true).mode(0o600), &beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        // The rename itself is durable once its folder is.
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Opens a file that is not a link: what is blocked is decided in this folder alone.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    options.custom_flags(no_link).open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_link { io::Error::other("it is a symbolic link, which is not followed") } else { error }
    })
}

fn canonical(patterns: &[String]) -> Result<Vec<String>, RuntimeError> {
    let parse = |pattern: &String| match pattern.parse::<Pattern>() {
        Ok(valid) => Ok(valid.to_string()),
        Err(error) => Err(RuntimeError::Pattern { pattern: pattern.clone(), error }),
    };
    patterns.iter().map(parse).collect()
}

fn warning(path: &Path, line: usize, error: impl std::error::Error) -> Warning {
    Warning { place: format!("{}:{line}", path.display()), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("larder-runtime-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a temporary folder");
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("the folder is there");
        }
    }

    fn texts(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|&pattern| pattern.to_owned()).collect()
    }

    #[test]
    fn blocks_survive_a_restart() {
        let folder = Folder::new("restart");
        let (mut blocks, warnings) = RuntimeBlocks::load(&folder.0).expect("an empty folder");
        assert!(blocks.patterns().is_empty() && warnings.is_empty());
        let added = blocks.block(&texts(&["b.example", "A.Example.", "a.example", "10.0.0.1/8"]));
        assert_eq!(added.expect("valid"), ["10.0.0.0/8", "a.example", "b.example"]);
        assert!(blocks.block(&texts(&["a.example"])).expect("valid").is_empty());
        blocks.save().expect("a writable folder");
        assert_eq!(blocks.unblock(&texts(&["B.example", "c.example"])).expect("valid"), ["b.example"]);
        blocks.save().expect("a writable folder");
        let (loaded, warnings) = RuntimeBlocks::load(&folder.0).expect("the saved file");
        assert_eq!(loaded, blocks);
        assert_eq!(loaded.patterns(), ["10.0.0.0/8", "a.example"]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn one_bad_pattern_adds_none() {
        let folder = Folder::new("bad");
        let (mut blocks, _) = RuntimeBlocks::load(&folder.0).expect("an empty folder");
        assert!(blocks.block(&texts(&["a.example", "a b"])).is_err());
        assert!(blocks.patterns().is_empty());
    }

    #[test]
    fn a_damaged_file_loads_as_far_as_it_is_good() {
        let folder = Folder::new("damaged");
        fs::write(folder.0.join(FILE_NAME), b"a.example\n# by hand\n\nb b\n\xff\xfe\nc.exa")
            .expect("writable");
        let (blocks, warnings) = RuntimeBlocks::load(&folder.0).expect("readable");
        assert_eq!(blocks.patterns(), ["a.example", "c.exa"]);
        let lines: Vec<&str> =
            warnings.iter().filter_map(|warning| warning.place.rsplit(':').next()).collect();
        assert_eq!(lines, ["4", "5"]);
    }
}
