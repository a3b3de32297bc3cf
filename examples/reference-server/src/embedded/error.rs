//! Why there is no embedded database, in one line each, with what to set instead.

use std::io;
use std::path::PathBuf;

/// Why there is no embedded Postgres. Each text is one line that says what failed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The data directory could not be made or opened.
    #[error(
        "the embedded Postgres cannot use `{}`: {source}; set `DATABASE_URL=postgres://…` to use a \
         Postgres server instead",
        path.display()
    )]
    Directory {
        /// Which directory or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process works on the same data.
    #[error(
        "the embedded Postgres in `{}` is in use by another `mt-server`; stop that one, or set \
         `DATABASE_URL=postgres://…` to use a Postgres server instead",
        path.display()
    )]
    InUse {
        /// Which directory.
        path: PathBuf,
    },
    /// The environment does not say where a user's data belongs.
    #[error(
        "no place for the data of the embedded Postgres: `{variable}` is not set; set it, or set \
         `DATABASE_URL=postgres://…` to use a Postgres server instead"
    )]
    NoDataHome {
        /// The variable that would say it.
        variable: &'static str,
    },
    /// The binary holds no engine.
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
        /// What the engine said.
        cause: String,
    },
    /// The engine did not stop as it should. What was committed is on disk all the same.
    #[error("the embedded Postgres did not stop cleanly: {cause}")]
    Stop {
        /// What the engine said.
        cause: String,
    },
}
