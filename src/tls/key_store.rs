//! The folder of the authority: the only place that reads or writes its key.
//!
//! ```text
//! ca/                   0700, of the user that Larder runs as
//!   authority.pem       0600: key and certificate in one file, so that they can't disagree
//!   ca.pem              the certificate alone, for clients: written again from the one above
//!   previous.pem        certificates of authorities that were replaced; their keys are gone
//! ```
//!
//! A file appears whole or not at all: it is written under another name, synced, and then linked
//! or renamed. What others can read is not used, because a key that was readable is not secret.

#![expect(clippy::disallowed_methods, reason = "this is the authority's folder, read at the start")]

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::certificate::hex;
use super::random;

/// Far above what a key, a certificate or a history of them takes; the number is arbitrary.
const FILE_SIZE_MAX: u64 = 1 << 20;

const KEY_FILE: &str = "authority.pem";
const CERTIFICATE_FILE: &str = "ca.pem";
const PREVIOUS_FILE: &str = "previous.pem";

/// Why the folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "{path} can be read by others (its mode is {mode:04o}), so what is in it is no secret: make a new \
         authority in another folder, or `chmod {wanted:o}` it if you know that nobody has"
    )]
    Open { path: PathBuf, mode: u32, wanted: u32 },
    #[error("{path} belongs to user {owner}, and Larder runs as user {user}")]
    Foreign { path: PathBuf, owner: u32, user: u32 },
    #[error("{path} is too large to be an authority")]
    TooLarge { path: PathBuf },
}

/// The folder of an authority.
#[derive(Clone, Debug)]
pub(super) struct KeyStore {
    folder: PathBuf,
}

/// What came of writing an authority that must be the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Created {
    New,
    /// Another process was faster: its authority is the one.
    ThereAlready,
}

impl KeyStore {
    pub(super) fn new(folder: &Path) -> KeyStore {
        KeyStore { folder: folder.to_path_buf() }
    }

    /// The certificate's file, for people.
    pub(super) fn certificate_path(&self) -> PathBuf {
        self.folder.join(CERTIFICATE_FILE)
    }

    /// Key and certificate in PEM; `None` when there are none yet.
    pub(super) fn read(&self) -> Result<Option<Zeroizing<String>>, KeyStoreError> {
        let path = self.folder.join(KEY_FILE);
        let folder = match fs::metadata(&self.folder) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&self.folder)(error)),
        };
        is_private(&self.folder, &folder, 0o700)?;
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let metadata = file.metadata().map_err(at(&path))?;
        is_private(&path, &metadata, 0o600)?;
        if metadata.len() > FILE_SIZE_MAX {
            return Err(KeyStoreError::TooLarge { path });
        }
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let length = usize::try_from(metadata.len()).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(length + 1));
        file.read_to_string(&mut text).map_err(at(&path))?;
        Ok(Some(text))
    }

    /// Writes the first authority of this folder.
    pub(super) fn create(&self, pem: &Zeroizing<String>) -> Result<Created, KeyStoreError> {
        self.make_folder()?;
        let path = self.folder.join(KEY_FILE);
        let new = self.write_aside(KEY_FILE, pem.as_bytes(), 0o600)?;
        // A link, unlike a rename, does not replace what is there.
        let linked = fs::hard_link(&new, &path);
        fs::remove_file(&new).map_err(at(&new))?;
        match linked {
            Ok(()) => self.sync().map(|()| Created::New),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::ThereAlready),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Puts another authority in the place of the one with this certificate, which is remembered.
    pub(super) fn replace(
        &self,
        pem: &Zeroizing<String>,
        previous_certificate: &str,
    ) -> Result<(), KeyStoreError> {
        let mut previous = self.previous()?;
        if !previous.contains(previous_certificate) {
            previous.push_str(previous_certificate);
            self.put(PREVIOUS_FILE, previous.as_bytes(), 0o644)?;
        }
        self.put(KEY_FILE, pem.as_bytes(), 0o600)
    }

    /// Writes the certificate for people, unless it stands there already.
    pub(super) fn publish(&self, certificate: &str) -> Result<(), KeyStoreError> {
        let path = self.certificate_path();
        match read_text(&path)? {
            Some(there) if there == certificate => Ok(()),
            _ => self.put(CERTIFICATE_FILE, certificate.as_bytes(), 0o644),
        }
    }

    /// Certificates of earlier authorities in PEM, the oldest first.
    pub(super) fn previous(&self) -> Result<String, KeyStoreError> {
        Ok(read_text(&self.folder.join(PREVIOUS_FILE))?.unwrap_or_default())
    }

    fn make_folder(&self) -> Result<(), KeyStoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(at(&self.folder))?;
        let metadata = fs::metadata(&self.folder).map_err(at(&self.folder))?;
        is_private(&self.folder, &metadata, 0o700)
    }

    fn put(&self, name: &str, octets: &[u8], mode: u32) -> Result<(), KeyStoreError> {
        let new = self.write_aside(name, octets, mode)?;
        let path = self.folder.join(name);
        fs::rename(&new, &path).map_err(at(&path))?;
        self.sync()
    }

    /// Writes octets under a name that nobody else has. If this process is killed before it is
    /// renamed, a key that has signed nothing stays behind.
    fn write_aside(&self, name: &str, octets: &[u8], mode: u32) -> Result<PathBuf, KeyStoreError> {
        let digits = random::<6>().map_err(|_none| at(&self.folder)(io::Error::other("no random octets")))?;
        let path = self.folder.join(format!("{name}.{}.new", hex(&digits)));
        let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let mut file = open.map_err(at(&path))?;
        file.write_all(octets).and_then(|()| file.sync_all()).map_err(at(&path))?;
        Ok(path)
    }

    fn sync(&self) -> Result<(), KeyStoreError> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(at(&self.folder))
    }
}

/// Whether nobody but the user that Larder runs as can get at it.
fn is_private(path: &Path, metadata: &Metadata, wanted: u32) -> Result<(), KeyStoreError> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(KeyStoreError::Foreign { path: path.to_path_buf(), owner: metadata.uid(), user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyStoreError::Open { path: path.to_path_buf(), mode, wanted });
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<Option<String>, KeyStoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let mut text = String::new();
    file.take(FILE_SIZE_MAX).read_to_string(&mut text).map_err(at(path))?;
    Ok(Some(text))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyStoreError {
    let path = path.to_path_buf();
    |error| KeyStoreError::Io { path, error }
}
