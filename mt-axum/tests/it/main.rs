//! Routes, extractors and the test kit, on a database.

mod kit;
mod notebook;
mod outside;
mod service;
mod writes;
