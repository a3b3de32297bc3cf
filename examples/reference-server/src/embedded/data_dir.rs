//! Where an embedded database keeps its data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::EmbeddedError;

/// Where the embedded Postgres keeps its data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DataDir {
    /// In this directory, which outlives the process. It is made if need be, closed to other users
    /// (mode 0700) and locked while in use, so that two processes never share it.
    Persistent(PathBuf),
    /// In a directory of its own that goes when the engine stops. What a crash leaves behind is
    /// taken away by a later start.
    Temporary,
}

impl DataDir {
    /// The user's own directory, by the custom of the operating system:
    ///
    /// | | |
    /// | --- | --- |
    /// | Linux and others | `$XDG_DATA_HOME/mt-server/postgres`, else `~/.local/share/…` |
    /// | macOS | `~/Library/Application Support/mt-server/postgres` |
    /// | Windows | `%LOCALAPPDATA%\mt-server\postgres` |
    ///
    /// `var` looks an environment variable up.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::NoDataHome`], when the environment names no home.
    pub fn of_user(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, EmbeddedError> {
        let home = Platform::CURRENT.data_home(var)?;
        Ok(Self::Persistent(home.join("mt-server").join("postgres")))
    }
}

/// Where users' data belongs differs by platform.
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
        // The XDG specification has relative paths ignored; they would depend on the working
        // directory on the other platforms as well.
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
    fn follows_the_custom_of_the_platform() {
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
