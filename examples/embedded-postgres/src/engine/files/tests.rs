use super::*;

fn here() -> Owner {
    let file = tempfile::NamedTempFile::new().unwrap();
    Owner::of(&file.as_file().metadata().unwrap())
}

/// A directory as a crashed process leaves it: marked, and not locked any more.
fn dead(parent: &Path, name: &str) -> PathBuf {
    let dir = parent.join(name);
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(Scratch::LOCK), Scratch::MARK).unwrap();
    fs::write(dir.join("file"), "").unwrap();
    dir
}

/// Sweeps, and makes sure that the sweep has taken a directory away that it may.
fn sweep(parent: &Path) {
    let control = dead(parent, "mt-server-control");
    Scratch::sweep(parent, Duration::ZERO, here());
    assert!(!control.exists(), "the sweep takes nothing away");
}

#[test]
fn a_directory_has_one_user() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a").join("b");
    let first = Home::open(path.clone(), here()).unwrap();
    let refused = Home::open(path.clone(), here()).unwrap_err();
    assert!(matches!(refused, EmbeddedError::InUse { .. }), "{refused}");
    drop(first);
    Home::open(path, here()).unwrap();
}

#[test]
fn a_file_in_the_way_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = Home::open(file.path().into(), here()).unwrap_err().to_string();
    assert!(refused.contains(&*file.path().to_string_lossy()), "{refused}");
    assert!(refused.contains("DATABASE_URL=postgres://"), "{refused}");
}

#[test]
fn a_crashed_processes_directory_is_swept_and_no_other() {
    let parent = tempfile::tempdir().unwrap();
    let alive = Scratch::create_in(parent.path()).unwrap();
    let crashed = dead(parent.path(), "mt-server-dead");
    let other = dead(parent.path(), "other");
    Scratch::sweep(parent.path(), Duration::from_mins(1), here());
    assert!(crashed.exists(), "it may be about to be locked");

    sweep(parent.path());
    assert!(!crashed.exists());
    assert!(other.exists());
    assert!(alive.path().exists());
    // Its lock gone, it is swept: what is made here is what is swept there.
    let Scratch { dir, _lock: lock, .. } = alive;
    let left = dir.keep();
    drop(lock);
    sweep(parent.path());
    assert!(!left.exists());
}

#[test]
fn a_directory_without_the_mark_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let unmarked = parent.path().join("mt-server-backups");
    fs::create_dir(&unmarked).unwrap();
    let of_others = dead(parent.path(), "mt-server-of-others");
    fs::write(of_others.join(Scratch::LOCK), "a lock of another program").unwrap();
    let more = dead(parent.path(), "mt-server-more");
    fs::write(more.join(Scratch::LOCK), format!("{}and more", Scratch::MARK)).unwrap();
    sweep(parent.path());
    for dir in [unmarked, of_others, more] {
        assert!(dir.exists(), "{}", dir.display());
        assert!(!dir.join("lock").exists(), "nothing is made in it");
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::process::Command;

    use super::*;

    fn make_fifo(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// The uid of another user.
    const ANOTHER: u32 = 65534;

    /// Gives `path` to another user, which root alone may.
    fn is_given_away(path: &Path) -> bool {
        let given = chown(path, Some(ANOTHER), Some(ANOTHER)).is_ok();
        if !given {
            eprintln!("not checked: directories of another user, which root alone can make");
        }
        given
    }

    #[test]
    fn a_directory_is_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("postgres");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let _home = Home::open(path.clone(), here()).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn links_are_not_followed() {
        let (parent, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = dead(elsewhere.path(), "mt-server-target");
        // In place of the directory, of its lock, and inside it.
        let link = parent.path().join("mt-server-link");
        symlink(&target, &link).unwrap();
        let linked_lock = dead(parent.path(), "mt-server-linked-lock");
        fs::remove_file(linked_lock.join(Scratch::LOCK)).unwrap();
        symlink(target.join(Scratch::LOCK), linked_lock.join(Scratch::LOCK)).unwrap();
        let holding = dead(parent.path(), "mt-server-holding");
        symlink(&target, holding.join("data")).unwrap();
        sweep(parent.path());
        assert!(link.is_symlink() && linked_lock.exists());
        assert!(!holding.exists());
        assert!(target.join("file").exists(), "nothing behind a link is deleted");
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let parent = tempfile::tempdir().unwrap();
        let swept = dead(parent.path(), "mt-server-fifo");
        fs::remove_file(swept.join(Scratch::LOCK)).unwrap();
        make_fifo(&swept.join(Scratch::LOCK));
        let home = parent.path().join("postgres");
        fs::create_dir(&home).unwrap();
        make_fifo(&home.join("lock"));
        let (tell, told) = std::sync::mpsc::channel();
        let (parent_path, home_path) = (parent.path().to_owned(), home.clone());
        std::thread::spawn(move || {
            sweep(&parent_path);
            tell.send(Home::open(home_path, here()).map(drop)).unwrap();
        });
        let refused = told.recv_timeout(Duration::from_secs(20)).expect("it blocks").unwrap_err();
        assert!(refused.to_string().contains("not a file of this user"), "{refused}");
        assert!(swept.exists());
        // The control: without the FIFO it opens.
        fs::remove_file(home.join("lock")).unwrap();
        Home::open(home, here()).unwrap();
    }

    #[test]
    fn a_lock_that_is_a_link_is_refused_and_its_target_untouched() {
        let parent = tempfile::tempdir().unwrap();
        let home = parent.path().join("postgres");
        fs::create_dir(&home).unwrap();
        let target = parent.path().join("target");
        symlink(&target, home.join("lock")).unwrap();
        Home::open(home.clone(), here()).unwrap_err();
        assert!(!target.exists());
        fs::remove_file(home.join("lock")).unwrap();
        Home::open(home, here()).unwrap();
    }

    #[test]
    fn directories_of_another_user_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let foreign = dead(parent.path(), "mt-server-foreign");
        let foreign_lock = dead(parent.path(), "mt-server-foreign-lock");
        let home = parent.path().join("postgres");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        if !is_given_away(&foreign) {
            return;
        }
        assert!(is_given_away(&foreign_lock.join(Scratch::LOCK)) && is_given_away(&home));
        sweep(parent.path());
        assert!(foreign.exists() && foreign_lock.exists());
        let refused = Home::open(home.clone(), here()).unwrap_err();
        assert!(refused.to_string().contains("belongs to another user"), "{refused}");
        assert_eq!(mode(&home), 0o755, "its mode is not changed");
        // Nor by a link of this user's that leads there.
        let link = parent.path().join("link");
        symlink(&home, &link).unwrap();
        Home::open(link, here()).unwrap_err();
        assert_eq!(mode(&home), 0o755);
    }
}
