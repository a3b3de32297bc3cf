//! The directories of an engine, and the locks on them.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::super::EmbeddedError;

/// The directory of data that last, locked while this value lives.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    pub(super) fn open(path: PathBuf) -> Result<Self, EmbeddedError> {
        let failed = |source| EmbeddedError::Directory { path: path.clone(), source };
        create_private(&path).map_err(failed)?;
        match lock(&path) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { path }),
            Err(TryLockError::Error(source)) => Err(EmbeddedError::Directory { path, source }),
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }
}

/// A directory for sockets, and for data that need not last. Removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    // Before the lock, so that nobody finds the directory unlocked while it is taken away.
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    const PREFIX: &str = "mt-server-";

    /// A directory younger than this may be between its making and its locking.
    const SETTLED: Duration = Duration::from_mins(1);

    pub(super) fn create() -> Result<Self, EmbeddedError> {
        let parent = std::env::temp_dir();
        Self::sweep(&parent, Self::SETTLED);
        Self::create_in(&parent).map_err(|source| EmbeddedError::Directory { path: parent, source })
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(Self::PREFIX);
        // Left to itself it makes the directory as open as the user's umask lets it.
        #[cfg(unix)]
        builder.permissions(private());
        let dir = builder.tempdir_in(parent)?;
        let lock = lock(dir.path())?;
        Ok(Self { dir, _lock: lock })
    }

    /// Takes away what crashed processes left behind: those directories that nobody has locked.
    /// Nothing depends on it, so what cannot be taken away is left alone.
    fn sweep(parent: &Path, settled: Duration) {
        let Ok(entries) = fs::read_dir(parent) else { return };
        for entry in entries.flatten() {
            let ours =
                entry.file_name().to_str().is_some_and(|name| name.starts_with(Self::PREFIX));
            let old = entry.metadata().is_ok_and(|found| {
                found.is_dir() && found.modified().is_ok_and(|at| age(at) >= settled)
            });
            if ours && old && lock(&entry.path()).is_ok() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

/// A time in the future, by a clock that was set back, counts as now.
fn age(at: std::time::SystemTime) -> Duration {
    at.elapsed().unwrap_or_default()
}

/// The operating system lets go of the lock when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, TryLockError> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("lock"))
        .map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

#[cfg(unix)]
fn private() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o700)
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // It may have been there already, and open to others.
    fs::set_permissions(path, private())
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    // Below the user's profile, whose permissions keep others out.
    DirBuilder::new().recursive(true).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a").join("b");
        let first = Home::open(path.clone()).unwrap();
        let refused = Home::open(path.clone()).unwrap_err();
        assert!(matches!(refused, EmbeddedError::InUse { .. }), "{refused}");
        drop(first);
        Home::open(path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;

        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("postgres");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let _home = Home::open(path.clone()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = Home::open(file.path().into()).unwrap_err().to_string();
        assert!(refused.contains(&*file.path().to_string_lossy()), "{refused}");
        assert!(refused.contains("DATABASE_URL=postgres://"), "{refused}");
    }

    #[test]
    fn what_a_crash_left_is_swept_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Scratch::create_in(parent.path()).unwrap();
        let dead = parent.path().join("mt-server-dead");
        let other = parent.path().join("other");
        for dir in [&dead, &other] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("file"), "").unwrap();
        }

        Scratch::sweep(parent.path(), Duration::from_mins(1));
        assert!(dead.exists(), "it may be about to be locked");

        Scratch::sweep(parent.path(), Duration::ZERO);
        assert!(!dead.exists());
        assert!(other.exists());
        assert!(alive.path().exists());
    }
}
