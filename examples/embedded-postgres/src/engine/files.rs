//! The directories of an engine, and the locks on them.

mod owned;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use self::owned::{LockError, Owner, create_lock, existing_lock};
use super::super::EmbeddedError;

/// The permanent data directory, locked while this value lives.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Opens the directory, which must belong to `owner`, and creates it if needed.
    pub(super) fn open(path: PathBuf, owner: Owner) -> Result<Self, EmbeddedError> {
        match Self::prepare(&path, owner) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(LockError::Held) => Err(EmbeddedError::InUse { path }),
            Err(LockError::Io(source)) => Err(EmbeddedError::Directory { path, source }),
        }
    }

    fn prepare(path: &Path, owner: Owner) -> Result<File, LockError> {
        create_directory(path)?;
        // Checked before the mode is changed, for a link itself and for its target.
        if !owner.owns(&fs::symlink_metadata(path)?) || !owner.owns(&fs::metadata(path)?) {
            let problem = "it belongs to another user";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem).into());
        }
        close_to_others(path)?;
        create_lock(&path.join("lock"), owner, "")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }
}

/// A directory for sockets and temporary data. Removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    // Declared before the lock, so that the directory stays locked until it is removed.
    dir: TempDir,
    _lock: File,
    owner: Owner,
}

impl Scratch {
    const PREFIX: &str = "mt-server-";

    /// The name of the file that is locked while the directory is in use.
    const LOCK: &str = "scratch.lock";

    /// The content of that file. Only a directory with this mark is removed.
    const MARK: &str =
        "A directory of mt-server. It may be deleted while this file is not locked.\n";

    /// A younger directory may be created but not yet locked.
    const SETTLED: Duration = Duration::from_mins(1);

    pub(super) fn create() -> Result<Self, EmbeddedError> {
        let parent = std::env::temp_dir();
        let scratch = Self::create_in(&parent)
            .map_err(|source| EmbeddedError::Directory { path: parent.clone(), source })?;
        Self::sweep(&parent, Self::SETTLED, scratch.owner);
        Ok(scratch)
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(Self::PREFIX);
        // By default its mode would depend on the user's umask.
        #[cfg(unix)]
        builder.permissions(private());
        let dir = builder.tempdir_in(parent)?;
        let owner = Owner::of(&fs::symlink_metadata(dir.path())?);
        let lock = create_lock(&dir.path().join(Self::LOCK), owner, Self::MARK)?;
        Ok(Self { dir, _lock: lock, owner })
    }

    /// Removes the directories of crashed processes: they belong to `owner`, and their lock file is marked and not
    /// locked. A directory that cannot be removed is left alone.
    fn sweep(parent: &Path, settled: Duration, owner: Owner) {
        let Ok(entries) = fs::read_dir(parent) else { return };
        for entry in entries.flatten() {
            let is_named =
                entry.file_name().to_str().is_some_and(|name| name.starts_with(Self::PREFIX));
            // The metadata of an entry are those of a link itself.
            let is_ours = entry.metadata().is_ok_and(|found| {
                found.is_dir()
                    && owner.owns(&found)
                    && found.modified().is_ok_and(|at| age(at) >= settled)
            });
            if is_named && is_ours {
                let lock = existing_lock(&entry.path().join(Self::LOCK), owner, Self::MARK);
                if lock.is_ok() {
                    // Deletes links and does not follow them.
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The user that runs this process.
    pub(super) const fn owner(&self) -> Owner {
        self.owner
    }
}

/// Returns the age of a file. A time in the future (after the clock was set back) counts as now.
fn age(at: std::time::SystemTime) -> Duration {
    at.elapsed().unwrap_or_default()
}

#[cfg(unix)]
fn private() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o700)
}

#[cfg(unix)]
fn create_directory(path: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(DirBuilder::new().recursive(true), 0o700).create(path)
}

#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    // It may exist already, open to others.
    fs::set_permissions(path, private())
}

#[cfg(not(unix))]
fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

#[cfg(not(unix))]
fn close_to_others(_: &Path) -> io::Result<()> {
    // It is below the user's profile, whose permissions keep others out.
    Ok(())
}

#[cfg(test)]
mod tests;
