//! The tasks behind a service, on a database.

mod background_jobs;
