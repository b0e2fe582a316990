//! The cache folder: made for the user that Larder runs as, and refused where others could change
//! what is in it. Whoever can write there decides what Larder serves, what it blocks, and which
//! socket its commands go to.
//!
//! A folder that others can read is accepted: the files in it are for their owner alone.

#![expect(clippy::disallowed_methods, reason = "before anything is served")]

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a folder")]
    NotAFolder,
    #[error(
        "{} can be written to by others (its mode is {mode:04o}), who could change what is served: \
         run `chmod go-w {}`, or use another folder (cache.dir)", path.display(), path.display()
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error(
        "{} belongs to user {owner}, and Larder runs as user {user}: use another folder (cache.dir), or \
         `chown` it if you know what is in it", path.display()
    )]
    Foreign { path: PathBuf, owner: u32, user: u32 },
    #[error(
        "{} is a symbolic link: remove it, and name the folder that is meant in the configuration (cache.dir)",
        path.display()
    )]
    Link { path: PathBuf },
    #[error(
        "{} is in {}, which others can write to (its mode is {mode:04o}, without the sticky bit), who could \
         put another folder in its place: use another one (cache.dir)", path.display(), parent.display()
    )]
    Parent { path: PathBuf, parent: PathBuf, mode: u32 },
    #[error(
        "{} is in {}, which belongs to user {owner}, who could put another folder in its place: use another \
         one (cache.dir)", path.display(), parent.display()
    )]
    ForeignParent { path: PathBuf, parent: PathBuf, owner: u32 },
}

impl FolderError {
    /// Whether the folder could be used, but should not be.
    pub fn is_unsafe(&self) -> bool {
        !matches!(self, FolderError::Io(_) | FolderError::NotAFolder)
    }
}

/// Who owns what is not mapped into this user namespace: those above decide about it anyway.
const UNMAPPED: u32 = 65_534;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o022;

/// Makes a folder for this user alone, with those above it, or checks the one that is there; and the
/// folder of the store in it, if there is one.
pub(super) fn make_folder(folder: &Path) -> Result<(), FolderError> {
    if folder.exists() && !folder.is_dir() {
        return Err(FolderError::NotAFolder);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(folder, access).map_err(io::Error::from)?;
    is_own(folder, &fs::metadata(folder)?)?;
    let link = fs::symlink_metadata(folder)?;
    if link.is_symlink() && link.uid() != 0 {
        is_owned(folder, &link)?;
    }
    // As it is named, and as it is where links lead.
    check_parents(folder, &std::path::absolute(folder)?)?;
    check_parents(folder, &fs::canonicalize(folder)?)?;
    check_store(&folder.join("store"))
}

fn check_store(store: &Path) -> Result<(), FolderError> {
    let found = match fs::symlink_metadata(store) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if found.is_symlink() {
        return Err(FolderError::Link { path: store.to_owned() });
    }
    if !found.is_dir() {
        return Err(io::Error::other(format!("{} is not a folder", store.display())).into());
    }
    is_own(store, &found)
}

fn is_own(path: &Path, found: &Metadata) -> Result<(), FolderError> {
    is_owned(path, found)?;
    let mode = found.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(FolderError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

fn is_owned(path: &Path, found: &Metadata) -> Result<(), FolderError> {
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(FolderError::Foreign { path: path.to_owned(), owner: found.uid(), user });
    }
    Ok(())
}

/// Whether nobody else can rename the folder, or one that it is in. A group that is this user's own may
/// write above it: many systems have a group for each user.
fn check_parents(folder: &Path, named: &Path) -> Result<(), FolderError> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    for parent in named.ancestors().skip(1) {
        let found = fs::metadata(parent)?;
        let mode = found.mode() & 0o7777;
        let owner = found.uid();
        if owner != user && owner != 0 && owner != UNMAPPED {
            let (path, parent) = (folder.to_owned(), parent.to_owned());
            return Err(FolderError::ForeignParent { path, parent, owner });
        }
        let own_group = found.gid() == group || found.gid() == 0;
        let others = if own_group { 0o002 } else { OTHERS_WRITE };
        if mode & others != 0 && mode & STICKY == 0 {
            return Err(FolderError::Parent { path: folder.to_owned(), parent: parent.to_owned(), mode });
        }
    }
    Ok(())
}
