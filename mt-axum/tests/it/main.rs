//! Routes, extractors and the test kit, on a database.

mod kit;
mod notebook;
mod outside;
mod request_id;
mod serve;
mod service;
mod writes;
