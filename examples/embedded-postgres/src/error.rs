//! Errors of the embedded database.

use std::io;
use std::path::PathBuf;

/// The error when there is no embedded Postgres. Each text is one line that says what failed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The data directory could not be created or opened.
    #[error(
        "the embedded Postgres cannot use `{}`: {source}; set `DATABASE_URL=postgres://…` to use a \
         Postgres server instead",
        path.display()
    )]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process uses the same data.
    #[error(
        "the embedded Postgres in `{}` is in use by another `mt-server`; stop that one, or set \
         `DATABASE_URL=postgres://…` to use a Postgres server instead",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The environment does not define where user data belongs.
    #[error(
        "no place for the data of the embedded Postgres: `{variable}` is not set; set it, or set \
         `DATABASE_URL=postgres://…` to use a Postgres server instead"
    )]
    NoDataHome {
        /// The variable to set.
        variable: &'static str,
    },
    /// The binary was built without the engine.
    #[error(
        "`DATABASE_URL` is not set and this binary was built without the embedded Postgres; set \
         `DATABASE_URL=postgres://…`, or build with the feature `embedded`"
    )]
    NotBuiltIn,
    /// The engine did not start.
    #[error(
        "the embedded Postgres did not start: {cause}; set `DATABASE_URL=postgres://…` to use a \
         Postgres server instead"
    )]
    Start {
        /// The error of the engine.
        cause: String,
    },
    /// The engine did not stop cleanly. Committed data is on disk nevertheless.
    #[error("the embedded Postgres did not stop cleanly: {cause}")]
    Stop {
        /// The error of the engine.
        cause: String,
    },
}
