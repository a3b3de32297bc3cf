//! Routes, one module for each part of the API.

pub mod health;
pub mod problems;
