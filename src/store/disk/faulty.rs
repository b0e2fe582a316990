//! A file system of tests, which fails at what it is told to.
//!
//! A process that is killed is one for which everything fails from some operation on. Power cuts are
//! not played, so that nothing waits for the device.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::io::Errno;

use super::files::{File, Files, Lock, SystemFiles};

/// What is asked of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Lock,
    Create,
    Open,
    OpenToWrite,
    Rename,
    Remove,
    List,
    SyncFolder,
    /// Of so many octets.
    Read(usize),
    Write,
    Sync,
    SetLength,
}

impl Operation {
    /// Whether it leaves a trace on the device.
    pub fn changes(self) -> bool {
        !matches!(self, Operation::Lock | Operation::Open | Operation::List | Operation::Read(_))
    }
}

/// What becomes of an operation on a path. [`Errno::NOSPC`] has half of what is written written.
pub type Judge = dyn Fn(Operation, &Path) -> Result<(), Errno> + Send + Sync;

/// The machine's files, where the judge lets it.
#[derive(Clone)]
pub struct Faulty(pub Arc<Judge>);

impl Faulty {
    /// Files with this judge.
    pub fn files(
        judge: impl Fn(Operation, &Path) -> Result<(), Errno> + Send + Sync + 'static,
    ) -> Arc<dyn Files> {
        Arc::new(Faulty(Arc::new(judge)))
    }

    /// Files that never fail, and have `hook` called in front of each operation, by the thread that asks
    /// for it: what happens there happens between two operations.
    pub fn with_hook(hook: impl Fn(Operation, &Path) + Send + Sync + 'static) -> Arc<dyn Files> {
        Faulty::files(move |operation, path| {
            hook(operation, path);
            Ok(())
        })
    }

    fn judge(&self, operation: Operation, path: &Path) -> io::Result<()> {
        Ok((self.0)(operation, path)?)
    }

    fn file(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FaultyFile { faults: self.clone(), path: path.to_owned(), file })
    }
}

/// Files that fail after some operations that change something.
pub struct Failing {
    pub files: Arc<dyn Files>,
    left: Arc<AtomicI64>,
}

impl Failing {
    /// As a process that is killed: nothing is changed any more.
    pub fn killed_after(operations: i64) -> Failing {
        Failing::after(operations, |_operation, at| Err(if at == 0 { Errno::NOSPC } else { Errno::IO }))
    }

    /// As a disk that is full: files can still be renamed and removed.
    pub fn full_after(operations: i64) -> Failing {
        Failing::after(operations, |operation, _at| match operation {
            Operation::Create | Operation::Write => Err(Errno::NOSPC),
            _ => Ok(()),
        })
    }

    /// `then` judges what comes after so many, and is told how many came before that.
    pub fn after(
        operations: i64,
        then: impl Fn(Operation, i64) -> Result<(), Errno> + Send + Sync + 'static,
    ) -> Failing {
        let left = Arc::new(AtomicI64::new(operations));
        let counted = left.clone();
        let judge = move |operation: Operation, _path: &Path| {
            if !operation.changes() {
                return Ok(());
            }
            let left = counted.fetch_sub(1, Ordering::SeqCst);
            if left > 0 { Ok(()) } else { then(operation, -left) }
        };
        Failing { files: Faulty::files(judge), left }
    }

    /// Has the next operations succeed, so many of them.
    pub fn strike_after(&self, operations: i64) {
        self.left.store(operations, Ordering::SeqCst);
    }

    /// Whether something may have failed already.
    pub fn has_struck(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl Files for Faulty {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        SystemFiles.create_folder(path)
    }
    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Lock>> {
        self.judge(Operation::Lock, path)?;
        SystemFiles.lock(path, text)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.judge(Operation::Create, path)?;
        Ok(self.file(path, SystemFiles.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.judge(Operation::Open, path)?;
        Ok(self.file(path, SystemFiles.open(path)?))
    }
    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.judge(Operation::OpenToWrite, path)?;
        Ok(self.file(path, SystemFiles.open_to_write(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.judge(Operation::Rename, from)?;
        SystemFiles.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.judge(Operation::Remove, path)?;
        SystemFiles.remove(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.judge(Operation::List, folder)?;
        SystemFiles.list(folder)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.judge(Operation::SyncFolder, folder)
    }
}

#[derive(Debug)]
struct FaultyFile {
    faults: Faulty,
    path: PathBuf,
    file: Arc<dyn File>,
}

impl File for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn write_all_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        let judged = (self.faults.0)(Operation::Write, &self.path);
        if judged == Err(Errno::NOSPC) {
            // What a full disk does: a part is written.
            self.file.write_all_at(octets.get(..octets.len() / 2).unwrap_or_default(), at)?;
        }
        judged?;
        self.file.write_all_at(octets, at)
    }
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.faults.judge(Operation::Read(into.len()), &self.path)?;
        self.file.read_at(into, at)
    }
    fn sync(&self) -> io::Result<()> {
        self.faults.judge(Operation::Sync, &self.path)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.faults.judge(Operation::SetLength, &self.path)?;
        self.file.set_length(length)
    }
}
