//! An org is stopped, let go on, read out, made again elsewhere and deleted.

mod archive;
mod crowd;
mod deletion;
mod scene;
mod suspension;
mod tampering;
