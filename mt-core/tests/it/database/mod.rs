//! The schema: migrations, extensions, and the deletion of old rows.

mod extensions;
mod migrations;
mod retention;
mod script;
