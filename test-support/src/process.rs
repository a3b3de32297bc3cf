//! Helpers for processes that tests start: signals, free ports, and where a program is installed.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use uuid::Uuid;

/// Sends a signal, such as `TERM`, to processes. Returns `false` if one of them no longer exists.
#[must_use]
pub fn signal(signal: &str, processes: &[u32]) -> bool {
    let processes = processes.iter().map(u32::to_string);
    let sent =
        Command::new("kill").args(["-s", signal]).args(processes).stderr(Stdio::null()).status();
    sent.is_ok_and(|status| status.success())
}

/// Returns a port on which nothing listens, nor on the port 10000 above it, which a node of a Redis Cluster uses to
/// talk to the other nodes.
///
/// Both are below the range of outgoing connections, so that none of those takes the port before it is used.
///
/// # Panics
///
/// If no port is free.
#[must_use]
pub fn free_port() -> u16 {
    let start = Uuid::new_v4().as_u128();
    let ports = (0..12_000).map(|n| 10_000 + u16::try_from((start + n) % 12_000).unwrap());
    let is_free = |port: &u16| {
        [*port, *port + 10_000].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
    };
    ports.into_iter().find(is_free).expect("a port is free")
}

/// Finds a program on the search path or in `/usr/sbin`, where Debian installs servers.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}
