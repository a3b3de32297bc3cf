//! The substitute for the engine in a binary built without it.

use std::convert::Infallible;

use sqlx::postgres::PgConnectOptions;

use super::{DataDir, EmbeddedError};

/// An engine that cannot be created.
#[derive(Debug)]
pub(super) struct Engine(Infallible);

impl Engine {
    pub(super) fn start(_: DataDir) -> Result<Self, EmbeddedError> {
        Err(EmbeddedError::NotBuiltIn)
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        match self.0 {}
    }

    pub(super) fn stop(self) -> Result<(), EmbeddedError> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_that_the_engine_is_not_built_in() {
        let refused = Engine::start(DataDir::Temporary).unwrap_err().to_string();
        assert!(refused.contains("built without"), "{refused}");
        assert!(refused.contains("DATABASE_URL=postgres://"), "{refused}");
    }
}
