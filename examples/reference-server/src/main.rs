//! The binary: see [`reference_server::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A request allocates a few hundred small values on one thread and frees them on another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    reference_server::cli::run()
}
