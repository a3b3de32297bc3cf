//! Placeholder docs, replaced by the next commit.
