//! Writes an archive as a stream of bytes.
//!
//! A tar header holds the length of its file, so each table is measured first, in the same snapshot. The length of
//! the whole archive is thus known before its first byte: an HTTP response can declare it, and a client notices a
//! truncated archive.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use sha2::{Digest as _, Sha256};

use super::{BLOCK, MANIFEST, file_of};
use crate::pg::PgError;
use crate::pg::portable::{Contents, Manifest, Snapshot, Table, TableManifest};

/// An archive that is being written.
#[derive(Debug)]
pub struct ArchiveWriter {
    snapshot: Snapshot,
    /// The tables that are not started yet.
    waiting: VecDeque<Table>,
    current: Option<Current>,
    /// The manifest, with the digests of finished tables.
    manifest: Manifest,
    done: usize,
    ended: bool,
    length: u64,
}

/// The table that is being written.
#[derive(Debug)]
struct Current {
    digest: Sha256,
    bytes: u64,
}

/// A placeholder of the same length for a digest that is not known yet.
const NO_DIGEST: [u8; 32] = [0; 32];

impl ArchiveWriter {
    /// Measures the rows of `snapshot` and prepares the archive.
    ///
    /// # Errors
    ///
    /// [`PgError`] when a query fails.
    pub async fn new(mut snapshot: Snapshot, contents: &Contents) -> Result<Self, PgError> {
        let waiting: VecDeque<Table> = contents.exported().cloned().collect();
        let (name, opened_at) = snapshot.name_and_time().await?;
        let mut tables = Vec::with_capacity(waiting.len());
        let mut length = 2 * BLOCK;
        for table in &waiting {
            let measure = snapshot.measure(table).await?;
            length += in_tar(measure.bytes);
            tables.push(TableManifest {
                name: table.name().to_owned(),
                columns: table.columns().map(str::to_owned).collect(),
                rows: measure.rows,
                bytes: measure.bytes,
                sha256: hex::encode(NO_DIGEST),
            });
        }
        let of = (snapshot.tenant().as_uuid(), name);
        let manifest = Manifest::new(contents, of, opened_at, tables);
        length += in_tar(length_of(&as_json(&manifest)));
        Ok(Self { snapshot, waiting, current: None, manifest, done: 0, ended: false, length })
    }

    /// Returns the exact length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the manifest. The digests of tables that were not read yet are zero.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`WriteError`] when reading fails. The archive is unusable then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, WriteError> {
        if self.current.is_some() {
            return self.some_lines().await.map(Some);
        }
        if let Some(table) = self.waiting.pop_front() {
            self.snapshot.open_lines(&table).await?;
            self.current = Some(Current { digest: Sha256::new(), bytes: 0 });
            let bytes = self.manifest.tables[self.done].bytes;
            return Ok(Some(header(&file_of(table.name()), bytes, &self.manifest).into()));
        }
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        let json = as_json(&self.manifest);
        let mut last = header(MANIFEST, length_of(&json), &self.manifest);
        last.extend_from_slice(&json);
        last.extend_from_slice(&padding(length_of(&json)));
        // Two empty blocks end a tar archive.
        last.resize(last.len() + 1024, 0);
        Ok(Some(last.into()))
    }

    /// Ends the transaction of the snapshot.
    ///
    /// # Errors
    ///
    /// [`PgError`] when the connection fails.
    pub async fn close(self) -> Result<(), PgError> {
        self.snapshot.close().await
    }

    async fn some_lines(&mut self) -> Result<Bytes, WriteError> {
        let Some(current) = &mut self.current else { return Ok(Bytes::new()) };
        let mut lines = self.snapshot.next_lines().await?;
        if !lines.is_empty() {
            for line in &mut lines {
                line.push('\n');
            }
            let lines = lines.concat().into_bytes();
            current.digest.update(&lines);
            current.bytes += length_of(&lines);
            return Ok(lines.into());
        }
        let table = &mut self.manifest.tables[self.done];
        if current.bytes != table.bytes {
            let (table, read, measured) = (table.name.clone(), current.bytes, table.bytes);
            return Err(WriteError::Length { table, read, measured });
        }
        table.sha256 = hex::encode(current.digest.finalize_reset());
        self.done += 1;
        let padding = padding(current.bytes);
        self.current = None;
        Ok(padding.into())
    }

    /// Returns the whole archive as a stream. Dropping it ends the snapshot.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, WriteError>> + Send {
        stream::try_unfold(self, |mut archive| async move {
            let next = archive.next().await?;
            Ok(next.map(|bytes| (bytes, archive)))
        })
    }
}

/// Returns the header of a file in the ustar format.
fn header(name: &str, bytes: u64, manifest: &Manifest) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).expect("a name of a table is short");
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(manifest.exported_at.timestamp()).unwrap_or_default());
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Returns the padding that fills the last block of a file.
fn padding(bytes: u64) -> Vec<u8> {
    let over = bytes % BLOCK;
    let fill = if over == 0 { 0 } else { BLOCK - over };
    vec![0; usize::try_from(fill).expect("less than a block")]
}

/// Returns the space that a file of this length takes in the archive.
const fn in_tar(bytes: u64) -> u64 {
    BLOCK + bytes.div_ceil(BLOCK) * BLOCK
}

fn as_json(manifest: &Manifest) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(manifest).expect("a manifest is JSON");
    json.push(b'\n');
    json
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("memory is smaller")
}

/// The error when an archive could not be completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A table's length differs from its length when it was measured.
    #[error("`{table}` was measured as {measured} bytes and read as {read}")]
    Length {
        /// The table.
        table: String,
        /// The length when it was read.
        read: u64,
        /// The length when it was measured.
        measured: u64,
    },
    /// A database error.
    #[error(transparent)]
    Pg(#[from] PgError),
}
