//! A file system in memory that keeps no octet that is zero: the disk tier writes gigabytes to it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use larder::store::disk::files::{File, Files, Lock};

/// What is kept or left out as a whole.
const BLOCK: u64 = 256;

/// The files by their paths.
#[derive(Debug, Default)]
pub struct SparseFiles(Mutex<BTreeMap<PathBuf, Arc<Sparse>>>);

/// One file.
#[derive(Debug, Default)]
pub struct Sparse {
    length: AtomicU64,
    blocks: Mutex<HashMap<u64, Box<[u8]>>>,
}

#[derive(Debug)]
struct Held;

impl Lock for Held {}

impl SparseFiles {
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<PathBuf, Arc<Sparse>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Files for SparseFiles {
    fn create_folder(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn lock(&self, _path: &Path, _text: &str) -> Result<Box<dyn Lock>> {
        Ok(Box::new(Held))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = Arc::new(Sparse::default());
        self.change(|files| files.insert(path.to_owned(), file.clone()));
        Ok(file)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = self.change(|files| files.get(path).cloned());
        Ok(file.ok_or(ErrorKind::NotFound)?)
    }

    fn open_to_write(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let moved = self.change(|files| files.remove(from).map(|file| files.insert(to.to_owned(), file)));
        moved.map(|_replaced| ()).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.change(|files| files.remove(path)).map(|_gone| ()).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn list(&self, _folder: &Path) -> Result<Vec<String>> {
        let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(self.change(|files| files.keys().filter_map(name).collect()))
    }

    fn sync_folder(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }
}

impl File for Sparse {
    fn length(&self) -> Result<u64> {
        Ok(self.length.load(Ordering::Relaxed))
    }

    fn write_all_at(&self, octets: &[u8], at: u64) -> Result<()> {
        if !at.is_multiple_of(BLOCK) {
            return Err(Error::other("the disk tier writes at multiples of a block"));
        }
        self.length.fetch_max(at + octets.len() as u64, Ordering::Relaxed);
        let mut blocks = self.blocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (number, block) in (at / BLOCK..).zip(octets.chunks(BLOCK as usize)) {
            if block.iter().any(|octet| *octet != 0) {
                blocks.insert(number, block.into());
            }
        }
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> Result<usize> {
        let left = usize::try_from(self.length()?.saturating_sub(at)).unwrap_or(usize::MAX);
        let length = into.len().min(left);
        let into = into.get_mut(..length).unwrap_or_default();
        into.fill(0);
        let blocks = self.blocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let end = at + length as u64;
        for number in at / BLOCK..end.div_ceil(BLOCK) {
            let Some(block) = blocks.get(&number) else { continue };
            let start = number * BLOCK;
            let (from, to) = (start.max(at), (start + block.len() as u64).min(end));
            if from >= to {
                continue;
            }
            // Both lie within the block and within what is asked for.
            let source = block.get((from - start) as usize..(to - start) as usize);
            let target = into.get_mut((from - at) as usize..(to - at) as usize);
            if let (Some(source), Some(target)) = (source, target) {
                target.copy_from_slice(source);
            }
        }
        Ok(length)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.length.store(length, Ordering::Relaxed);
        Ok(())
    }
}
