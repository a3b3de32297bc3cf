//! Placeholder
pub mod event;
pub mod invoice;
mod json;
pub mod order;
pub mod projection;
pub mod signature;
pub mod subscription;
