//! Reads and checks an archive in a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{MANIFEST, file_of};
use crate::pg::portable::{Manifest, Table, TableManifest};

/// The maximum length of a manifest.
const LONGEST_MANIFEST: u64 = 1024 * 1024;
/// The maximum length of a row: bodies of requests are shorter.
const LONGEST_LINE: u64 = 1024 * 1024;
/// The number of rows in a batch.
const AT_A_TIME: usize = 100;

/// An archive whose files match its manifest. Reading blocks the thread.
#[derive(Debug)]
pub struct CheckedArchive {
    file: File,
    manifest: Manifest,
    /// The offsets of each table's rows in the file.
    places: HashMap<String, u64>,
}

impl CheckedArchive {
    /// Opens an archive and reads it once to check it.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the file cannot be read or does not match its manifest.
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

    /// Returns the manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Calls `take` with batches of a table's rows until it returns false or there are no more. A table that is not
    /// in the archive has no rows.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the file cannot be read.
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

/// The rows, length and digest of a file, as a manifest lists them.
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

/// The error when an archive is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file does not match the manifest.
    #[error("`{0}` does not match the manifest: rows, length or digest differ")]
    Altered(String),
    /// The file cannot be read, is not a tar archive, or is truncated.
    #[error("the archive could not be read")]
    Io(#[from] io::Error),
    /// A file does not have the format of an archive.
    #[error("the archive does not have the expected format")]
    Json(#[from] serde_json::Error),
    /// A file in the manifest is missing.
    #[error("the archive lacks `{0}`")]
    Missing(String),
    /// The file is another kind of archive, or truncated.
    #[error("the archive has no `{MANIFEST}`: it is another kind of archive, or truncated")]
    NoManifest,
    /// A file occurs twice, is not a plain file, or is not in the manifest.
    #[error("the archive has `{0}`, which is not in the manifest, a duplicate or not a plain file")]
    Unexpected(String),
}
