//! The source of the settings: the environment of the process, and a `.env` file in the current directory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::Path;

use super::{ConfigErrors, dotenv};

/// The name of the file, which is read from the current directory only.
const FILE: &str = ".env";
/// The maximum size of the file. A larger file is refused.
const MOST_BYTES: u64 = 1024 * 1024;

/// The variables of a process and of a `.env` file. A variable of the process overrides the file.
///
/// An empty variable of the process overrides the file too, and means that the setting is unset.
#[derive(Debug)]
pub struct Environment {
    process: BTreeMap<String, OsString>,
    file: BTreeMap<String, String>,
    /// The names that were read as settings.
    asked: RefCell<BTreeSet<String>>,
}

impl Environment {
    /// Takes the variables of a process, and reads `.env` in `directory` if it exists.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError::Unreadable`] when the file cannot be read, [`EnvironmentError::Malformed`] when lines of
    /// it do not parse.
    pub fn new(
        process: impl IntoIterator<Item = (OsString, OsString)>,
        directory: &Path,
    ) -> Result<Self, EnvironmentError> {
        let file = match read(&directory.join(FILE)).map_err(EnvironmentError::Unreadable)? {
            Some(bytes) => dotenv::parse(&bytes).map_err(|bad| {
                EnvironmentError::Malformed(bad.iter().map(ToString::to_string).collect())
            })?,
            None => BTreeMap::new(),
        };
        // No setting has a name that is not UTF-8.
        let named = |(name, value): (OsString, _)| Some((name.into_string().ok()?, value));
        let process = process.into_iter().filter_map(named).collect();
        Ok(Self { process, file, asked: RefCell::default() })
    }

    /// Returns the value of a variable, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self.process.get(name) {
            Some(value) => value.to_string_lossy().into_owned(),
            None => self.file.get(name)?.clone(),
        };
        Some(value).filter(|value| !value.is_empty())
    }

    /// Returns the names and values of the file.
    pub fn file(&self) -> impl Iterator<Item = (&str, &str)> {
        self.file.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads the settings by `read`, which is given the function that returns the value of a variable.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError::NotText`] when a variable is not UTF-8, [`EnvironmentError::Wrong`] when settings are
    /// invalid.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Result<T, ConfigErrors>,
    ) -> Result<T, EnvironmentError> {
        let settings = read(&|name| {
            self.asked.borrow_mut().insert(name.to_owned());
            self.get(name)
        });
        let is_not_text =
            |name: &&String| self.process.get(*name).is_some_and(|v| v.to_str().is_none());
        if let Some(name) = self.asked.borrow().iter().find(is_not_text) {
            return Err(EnvironmentError::NotText(name.clone()));
        }
        settings.map_err(EnvironmentError::Wrong)
    }

    /// Returns the names in the file that no setting has, after the settings were read: settings of other programs,
    /// or misspelt ones. Names with lower-case letters are left out, because the line of a key that ends with `=`
    /// looks like one.
    #[must_use]
    pub fn unknown(&self) -> Vec<&str> {
        let asked = self.asked.borrow();
        let is_unknown = |name: &&str| {
            !asked.contains(*name) && !name.contains(|char: char| char.is_ascii_lowercase())
        };
        self.file.keys().map(String::as_str).filter(is_unknown).collect()
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        // A dangling symbolic link is an error, not an absent file.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it has more than 1 MiB"));
    }
    Ok(Some(bytes))
}

/// The error when the settings cannot be read. Its text has one line for each problem and no value that may be
/// secret; the process should exit with code 2.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// `.env` exists and cannot be read.
    #[error("`.env` in the current directory cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Lines of `.env` do not parse.
    #[error("{}", in_file(.0))]
    Malformed(Vec<String>),
    /// A variable of the process is not UTF-8.
    #[error("`{0}` is not UTF-8")]
    NotText(String),
    /// Settings are invalid.
    #[error(transparent)]
    Wrong(ConfigErrors),
}

fn in_file(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| format!("`.env`, {line}")).collect();
    lines.join("\n")
}
