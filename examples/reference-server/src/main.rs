//! The binary: see [`reference_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    reference_server::cli::run()
}
