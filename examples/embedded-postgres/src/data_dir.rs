//! The data directory of the embedded database.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::EmbeddedError;

/// The data directory of the embedded Postgres.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DataDir {
    /// A permanent directory. It is created if needed, closed to other users (mode 0700) and locked while in use, so
    /// that two processes never share it. A directory of another user is refused.
    Persistent(PathBuf),
    /// A temporary directory that is removed when the engine stops. A later start removes the directory of a crashed
    /// process: one of this user that is marked and not locked.
    Temporary,
}

impl DataDir {
    /// Returns the user's own directory, by the convention of the operating system:
    ///
    /// | | |
    /// | --- | --- |
    /// | Linux and others | `$XDG_DATA_HOME/mt-server/postgres`, else `~/.local/share/…` |
    /// | macOS | `~/Library/Application Support/mt-server/postgres` |
    /// | Windows | `%LOCALAPPDATA%\mt-server\postgres` |
    ///
    /// `var` returns the value of an environment variable.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::NoDataHome`] when the environment names no home directory.
    pub fn of_user(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, EmbeddedError> {
        let home = Platform::CURRENT.data_home(var)?;
        Ok(Self::Persistent(home.join("mt-server").join("postgres")))
    }
}

/// The platform, which determines where user data belongs.
#[derive(Clone, Copy)]
enum Platform {
    MacOs,
    Windows,
    Xdg,
}

impl Platform {
    const CURRENT: Self = if cfg!(target_os = "macos") {
        Self::MacOs
    } else if cfg!(windows) {
        Self::Windows
    } else {
        Self::Xdg
    };

    fn data_home(self, var: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, EmbeddedError> {
        // The XDG specification requires relative paths to be ignored; on the other platforms they would depend on
        // the working directory as well.
        let absolute = |name: &'static str| {
            var(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .ok_or(EmbeddedError::NoDataHome { variable: name })
        };
        let under_home = |path: &str| absolute("HOME").map(|home| home.join(Path::new(path)));
        match self {
            Self::MacOs => under_home("Library/Application Support"),
            Self::Windows => absolute("LOCALAPPDATA"),
            Self::Xdg => absolute("XDG_DATA_HOME").or_else(|_| under_home(".local/share")),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn home(platform: Platform, vars: &[(&str, &str)]) -> Result<PathBuf, String> {
        let var = |name: &str| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        platform.data_home(var).map_err(|error| error.to_string())
    }

    #[test]
    fn follows_the_convention_of_the_platform() {
        for (platform, vars, path) in [
            (Platform::Xdg, [("XDG_DATA_HOME", "/data"), ("HOME", "/people/ada")], "/data"),
            (
                Platform::Xdg,
                [("XDG_DATA_HOME", ""), ("HOME", "/people/ada")],
                "/people/ada/.local/share",
            ),
            (Platform::Xdg, [("XDG_DATA_HOME", "rel"), ("HOME", "/h")], "/h/.local/share"),
            (
                Platform::MacOs,
                [("XDG_DATA_HOME", "/data"), ("HOME", "/people/ada")],
                "/people/ada/Library/Application Support",
            ),
            (Platform::Windows, [("LOCALAPPDATA", "/local"), ("HOME", "/h")], "/local"),
        ] {
            assert_eq!(home(platform, &vars), Ok(PathBuf::from(path)));
        }
    }

    #[test]
    fn names_the_variable_that_is_missing() {
        for (platform, variable) in [
            (Platform::MacOs, "HOME"),
            (Platform::Windows, "LOCALAPPDATA"),
            (Platform::Xdg, "HOME"),
        ] {
            let refused = home(platform, &[]).unwrap_err();
            assert!(refused.contains(&format!("`{variable}` is not set")), "{refused}");
            assert!(refused.contains("DATABASE_URL=postgres://"), "{refused}");
        }
    }
}
