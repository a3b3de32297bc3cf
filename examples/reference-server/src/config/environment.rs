//! Where settings come from: the environment of the process, and a `.env` beside it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::Path;

use super::{Config, ConfigErrors, dotenv};

/// The file that is read, in the current directory and no other.
const FILE: &str = ".env";
/// A longer file is not one of settings.
const MOST_BYTES: u64 = 1024 * 1024;

/// The variables of a process, and those of a `.env`, which count where the process has none of that name.
///
/// A variable that is empty is one: it hides that of the file, and means that the setting is unset.
#[derive(Debug)]
pub struct Environment {
    process: BTreeMap<String, OsString>,
    file: BTreeMap<String, String>,
    /// The names that the settings have.
    asked: RefCell<BTreeSet<String>>,
}

impl Environment {
    /// Takes the variables of a process, and reads `.env` in `directory` if there is one.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError::Unreadable`], [`EnvironmentError::Malformed`].
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
        // A name that is no text is none of ours.
        let named = |(name, value): (OsString, _)| Some((name.into_string().ok()?, value));
        let process = process.into_iter().filter_map(named).collect();
        Ok(Self { process, file, asked: RefCell::default() })
    }

    /// The value of a variable, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self.process.get(name) {
            Some(value) => value.to_string_lossy().into_owned(),
            None => self.file.get(name)?.clone(),
        };
        Some(value).filter(|value| !value.is_empty())
    }

    /// The names and values in the file.
    pub fn file(&self) -> impl Iterator<Item = (&str, &str)> {
        self.file.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError::NotText`], [`EnvironmentError::Wrong`].
    pub fn config(&self) -> Result<Config, EnvironmentError> {
        let config = Config::from_vars(|name| {
            self.asked.borrow_mut().insert(name.to_owned());
            self.get(name)
        });
        let is_no_text =
            |name: &&String| self.process.get(*name).is_some_and(|v| v.to_str().is_none());
        if let Some(name) = self.asked.borrow().iter().find(is_no_text) {
            return Err(EnvironmentError::NotText(name.clone()));
        }
        config.map_err(EnvironmentError::Wrong)
    }

    /// The names in the file that belong to no setting, once the settings were read: those of other
    /// programs that read it, or misspelt ones. Names with small letters are left out: the line of a key that
    /// ends with `=` looks like one.
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
        // A link that leads nowhere is not the same as no file.
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

/// Why there are no settings. One line for each problem when shown, without any value that may be secret;
/// the process should exit with code 2.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// There is a `.env`, and it cannot be read.
    #[error("`.env` in the current directory cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Lines of `.env` do not parse.
    #[error("{}", in_file(.0))]
    Malformed(Vec<String>),
    /// A variable of the process is not UTF-8.
    #[error("`{0}` is not UTF-8")]
    NotText(String),
    /// Values are not what the settings take.
    #[error(transparent)]
    Wrong(ConfigErrors),
}

fn in_file(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| format!("`.env`, {line}")).collect();
    lines.join("\n")
}
