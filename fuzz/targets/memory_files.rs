//! The store's seam to the file system, in memory: a folder is a map of names. Clones of it share
//! nothing, and opening the same folder in many ways costs no system call.
//!
//! It also watches the amounts: nobody may ask for more octets at once than the largest window or
//! record has, whatever the folder says.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use larder::store::disk::files::{File, Files, Lock};

/// The most that is read with one call: [`larder::store::disk::segment::scan`] reads 4 MiB at once.
const READ_MAX: usize = 4 << 20;

/// A folder.
#[derive(Debug, Default)]
pub struct MemoryFiles(Mutex<BTreeMap<String, Arc<MemoryFile>>>);

/// A file.
#[derive(Debug, Default)]
pub struct MemoryFile(Mutex<Vec<u8>>);

#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl MemoryFile {
    /// A file with these octets.
    pub fn new(octets: &[u8]) -> Arc<MemoryFile> {
        Arc::new(MemoryFile(Mutex::new(octets.to_vec())))
    }

    /// Its octets.
    pub fn octets(&self) -> Vec<u8> {
        lock(&self.0).clone()
    }
}

impl MemoryFiles {
    /// A folder with these files.
    pub fn new(files: &BTreeMap<String, Vec<u8>>) -> Arc<MemoryFiles> {
        let files = files.iter().map(|(name, octets)| (name.clone(), MemoryFile::new(octets)));
        Arc::new(MemoryFiles(Mutex::new(files.collect())))
    }

    /// What is in it.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.0).iter().map(|(name, file)| (name.clone(), file.octets())).collect()
    }

    fn find(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let found = lock(&self.0).get(&name(path)).cloned();
        Ok(found.ok_or(io::ErrorKind::NotFound)?)
    }
}

impl Files for MemoryFiles {
    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _path: &Path, _text: &str) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(NoLock))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut files = lock(&self.0);
        if files.contains_key(&name(path)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(MemoryFile::default());
        files.insert(name(path), file.clone());
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.find(path)
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.find(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.remove(&name(from)).ok_or(io::ErrorKind::NotFound)?;
        files.insert(name(to), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        lock(&self.0).remove(&name(path)).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _folder: &Path) -> io::Result<Vec<String>> {
        Ok(lock(&self.0).keys().cloned().collect())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl File for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn write_all_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        let mut file = lock(&self.0);
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let end = at + octets.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[at..end].copy_from_slice(octets);
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        assert!(into.len() <= READ_MAX, "{} octets are asked for at once", into.len());
        let file = lock(&self.0);
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(file.len());
        let length = into.len().min(file.len() - at);
        into[..length].copy_from_slice(&file[at..at + length]);
        Ok(length)
    }

    fn read_at_once(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.read_at(into, at)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        lock(&self.0).resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        Ok(())
    }
}
