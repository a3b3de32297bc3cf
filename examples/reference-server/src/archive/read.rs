//! An archive in a file, checked before anything is made of it.
//!
//! Reading blocks: call it where that does no harm.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use mt_core::pg::portable::{Manifest, Table, TableManifest};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{MANIFEST, file_of};

/// A manifest that is longer is none.
const LONGEST_MANIFEST: u64 = 1024 * 1024;
/// A row that is longer is none: bodies of requests are shorter.
const LONGEST_LINE: u64 = 1024 * 1024;
/// Rows that are read at a time.
const AT_A_TIME: usize = 100;

/// An archive whose files are what its manifest says.
#[derive(Debug)]
pub struct CheckedArchive {
    file: File,
    manifest: Manifest,
    /// Where in the file the rows of each table are.
    places: HashMap<String, u64>,
}

impl CheckedArchive {
    /// Opens an archive and reads it through once.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path)?;
        let (mut manifest, mut places, mut found) = (None, HashMap::new(), HashMap::new());
        for entry in tar::Archive::new(&file).entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !entry.header().entry_type().is_file() || found.contains_key(&name) {
                return Err(ReadError::Unexpected(name));
            }
            if name == MANIFEST && manifest.is_none() {
                let mut json = Vec::new();
                entry.by_ref().take(LONGEST_MANIFEST).read_to_end(&mut json)?;
                manifest = Some(serde_json::from_slice(&json)?);
            } else {
                places.insert(name.clone(), entry.raw_file_position());
                found.insert(name, sum(&mut entry)?);
            }
        }
        let manifest: Manifest = manifest.ok_or(ReadError::NoManifest)?;
        for table in &manifest.tables {
            let file = file_of(&table.name);
            let sum = found.remove(&file).ok_or_else(|| ReadError::Missing(file.clone()))?;
            if !sum.is_of(table) {
                return Err(ReadError::Altered(file));
            }
        }
        match found.into_keys().next() {
            Some(name) => Err(ReadError::Unexpected(name)),
            None => Ok(Self { file, manifest, places }),
        }
    }

    /// What is in it.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Gives `take` the rows of a table, some at a time, until it wants no more. A table that the archive
    /// does not have has no rows.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn rows(
        &self,
        table: &Table,
        mut take: impl FnMut(Vec<Value>) -> bool,
    ) -> Result<(), ReadError> {
        let named = |named: &&TableManifest| named.name == table.name();
        let Some(of) = self.manifest.tables.iter().find(named) else { return Ok(()) };
        let file = file_of(table.name());
        let Some(place) = self.places.get(&file) else { return Err(ReadError::Missing(file)) };
        (&self.file).seek(SeekFrom::Start(*place))?;
        let mut lines = BufReader::new((&self.file).take(of.bytes));
        loop {
            let mut rows = Vec::with_capacity(AT_A_TIME);
            while rows.len() < AT_A_TIME {
                let mut line = Vec::new();
                if lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                rows.push(serde_json::from_slice(&line)?);
            }
            let at_end = rows.len() < AT_A_TIME;
            if (!rows.is_empty() && !take(rows)) || at_end {
                return Ok(());
            }
        }
    }
}

/// What a file is, by what a manifest says of it.
struct Sum {
    rows: u64,
    bytes: u64,
    sha256: String,
}

impl Sum {
    fn is_of(&self, table: &TableManifest) -> bool {
        (self.rows, self.bytes, &self.sha256) == (table.rows, table.bytes, &table.sha256)
    }
}

fn sum(file: &mut impl Read) -> io::Result<Sum> {
    let (mut digest, mut rows, mut bytes) = (Sha256::new(), 0, 0);
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(Sum { rows, bytes, sha256: hex::encode(digest.finalize()) });
        }
        let read = &buffer[..length];
        digest.update(read);
        bytes += u64::try_from(length).unwrap_or_default();
        rows += read.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    }
}

/// Why an archive was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file is not what the manifest says.
    #[error("`{0}` is not what the manifest says: rows, length or digest differ")]
    Altered(String),
    /// It cannot be read, or is no tar archive, or ends too early.
    #[error("the archive could not be read")]
    Io(#[from] io::Error),
    /// Something in it is not JSON, or no manifest.
    #[error("the archive holds something that is not as the format says")]
    Json(#[from] serde_json::Error),
    /// A file of the manifest is not there.
    #[error("the archive lacks `{0}`")]
    Missing(String),
    /// It is another archive, or was cut short.
    #[error("the archive has no `{MANIFEST}`: it is of something else, or was cut short")]
    NoManifest,
    /// A file is there twice, is no plain file, or is not in the manifest.
    #[error("the archive has `{0}`, which does not belong there")]
    Unexpected(String),
}
