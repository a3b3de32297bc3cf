//! Lock files in directories that other users may have prepared. They are opened without following links or waiting
//! for a FIFO, and must be regular files of this user.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// A user of this machine. On platforms without file owners all users are equal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct Owner {
    #[cfg(unix)]
    uid: u32,
}

impl Owner {
    /// Returns the owner of a file. A file that the process has just created belongs to the user who runs it.
    pub(super) fn of(metadata: &Metadata) -> Self {
        #[cfg(not(unix))]
        let _ = metadata;
        Self {
            #[cfg(unix)]
            uid: std::os::unix::fs::MetadataExt::uid(metadata),
        }
    }

    pub(super) fn owns(self, metadata: &Metadata) -> bool {
        self == Self::of(metadata)
    }
}

/// The error when a lock could not be taken.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another process holds it.
    Held,
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LockError> for io::Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held => io::ErrorKind::WouldBlock.into(),
            LockError::Io(error) => error,
        }
    }
}

/// Creates the file at `path` if needed, and locks it. A new file contains `mark`.
///
/// The operating system releases the lock when the process ends in any way.
pub(super) fn create_lock(path: &Path, owner: Owner, mark: &str) -> Result<File, LockError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = locked(open(&mut options, path)?, owner)?;
    if file.metadata()?.len() == 0 {
        file.write_all(mark.as_bytes())?;
    }
    Ok(file)
}

/// Locks the file at `path`, which must exist and contain `mark`.
pub(super) fn existing_lock(path: &Path, owner: Owner, mark: &str) -> Result<File, LockError> {
    let file = locked(open(OpenOptions::new().read(true), path)?, owner)?;
    let mut content = String::new();
    (&file).take(mark.len() as u64 + 1).read_to_string(&mut content)?;
    if content == mark {
        Ok(file)
    } else {
        Err(io::Error::other("its lock file does not have the mark of this server").into())
    }
}

fn locked(file: File, owner: Owner) -> Result<File, LockError> {
    let found = file.metadata()?;
    if !found.is_file() || !owner.owns(&found) {
        return Err(io::Error::other("its lock is not a file of this user").into());
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Held),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

#[cfg(unix)]
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    // Opening a link fails; opening a FIFO returns instead of waiting for its other end.
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}
