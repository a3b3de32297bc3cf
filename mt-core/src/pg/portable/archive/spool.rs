//! Buffers an archive in a temporary file, so that a slow client does not keep a database connection.

use std::io::{self, SeekFrom};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::Instant;

use super::write::{ArchiveWriter, WriteError};

/// The size of a chunk that is read from the file.
const CHUNK: usize = 64 * 1024;

/// An archive in the temporary directory. The file has no name there, so it is removed however the process ends.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    length: u64,
}

impl Spool {
    /// Writes `archive` to a temporary file and ends its transaction.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] when the file cannot be written or the database fails.
    pub(super) async fn write(mut archive: ArchiveWriter) -> Result<Self, SpoolError> {
        let length = archive.length();
        let file = spawn_blocking(tempfile::tempfile).await;
        let file = file.map_err(|error| SpoolError::Thread(error.into()))??;
        let mut file = BufWriter::with_capacity(CHUNK, File::from_std(file));
        while let Some(bytes) = archive.next().await? {
            file.write_all(&bytes).await?;
        }
        archive.close().await.map_err(WriteError::from)?;
        file.flush().await?;
        let mut file = file.into_inner();
        file.seek(SeekFrom::Start(0)).await?;
        Ok(Self { file, length })
    }

    /// Returns the exact length in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the archive as a stream. The file is closed and `held` is dropped before the last chunk is sent, when
    /// the stream is dropped, and at `deadline` even if the client reads nothing.
    pub(super) fn into_stream<H: Send + 'static>(
        self,
        held: H,
        deadline: Instant,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<H> {
        let open = Arc::new(Mutex::new(Some((self.file, held))));
        let weak = Arc::downgrade(&open);
        let closing = tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            if let Some(open) = weak.upgrade() {
                open.lock().await.take();
            }
        });
        let state = (open, AbortOnDrop(closing.abort_handle()), self.length);
        stream::try_unfold(state, |(open, closing, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut bytes = BytesMut::with_capacity(CHUNK);
            let mut file = open.lock().await;
            let Some((reading, _)) = &mut *file else {
                tracing::warn!("an export was aborted: the client was too slow");
                return Err(io::ErrorKind::TimedOut.into());
            };
            if reading.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if left == 0 {
                // A client that has received everything may start the next export.
                file.take();
            }
            drop(file);
            Ok(Some((bytes.freeze(), (open, closing, left))))
        })
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The error when an archive could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The file could not be created or written.
    #[error("the temporary directory is not writable; set `TMPDIR` to another one")]
    Io(#[from] io::Error),
    /// The thread that creates the file was stopped.
    #[error("creating the file was interrupted")]
    Thread(#[source] io::Error),
    /// The tenant could not be read.
    #[error(transparent)]
    Write(#[from] WriteError),
}
