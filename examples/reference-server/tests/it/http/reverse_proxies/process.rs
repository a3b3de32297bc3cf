//! A reverse proxy process for one test.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::raw_http::within;

/// A kind of proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
}

/// A running proxy.
pub(crate) struct Proxy {
    child: Child,
    directory: TempDir,
    /// Where it listens: each with a configuration of its own.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Kind {
    /// Returns the program. Where it is not installed, returns `None` and says so.
    #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
    fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let found = directories.map(|directory| directory.join(name)).find(|file| file.is_file());
        if found.is_none() {
            eprintln!("SKIPPED: there is no {name} on this machine");
        }
        found
    }

    fn configuration(self, directory: &Path, ports: [u16; 2], upstream: SocketAddr) -> String {
        let (directory, [one, other]) = (directory.display(), ports);
        match self {
            // The first keeps a body until it is complete, the second sends it on as it comes.
            Self::Nginx => format!(
                "daemon off; master_process off; pid {directory}/pid; error_log {directory}/log;
                 events {{ worker_connections 512; }}
                 http {{
                   access_log off;
                   client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
                   fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d;
                   scgi_temp_path {directory}/e;
                   keepalive_requests 100000;
                   upstream server {{ server {upstream}; keepalive 8; keepalive_requests 100000; }}
                   proxy_http_version 1.1;
                   proxy_set_header Connection '';
                   proxy_set_header Host x;
                   server {{ listen 127.0.0.1:{one}; location / {{ proxy_pass http://server; }} }}
                   server {{
                     listen 127.0.0.1:{other};
                     location / {{ proxy_pass http://server; proxy_request_buffering off; }}
                   }}
                 }}"
            ),
            // The first waits for the body, the second sends it on as it comes.
            Self::HaProxy => format!(
                "global\n  maxconn 512\n\
                 defaults\n  mode http\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n\
                 frontend whole\n  bind 127.0.0.1:{one}\n  option http-buffer-request\n  \
                   default_backend server\n\
                 frontend streamed\n  bind 127.0.0.1:{other}\n  default_backend server\n\
                 backend server\n  http-reuse always\n  server one {upstream} pool-max-conn 8\n"
            ),
        }
    }
}

impl Proxy {
    /// Starts a proxy in front of `upstream` that keeps its connections to it; `None` if there is none to
    /// start.
    pub(crate) async fn start(kind: Kind, upstream: SocketAddr) -> Option<Self> {
        let program = kind.program()?;
        let mut said = String::new();
        // Another process may take a port between its choice and its use.
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let ports = free_ports();
            let file = directory.path().join("configuration");
            std::fs::write(&file, kind.configuration(directory.path(), ports, upstream)).unwrap();
            let mut command = Command::new(&program);
            match kind {
                Kind::Nginx => command.arg("-c").arg(&file).arg("-p").arg(directory.path()),
                Kind::HaProxy => command.arg("-db").arg("-f").arg(&file),
            };
            let log = std::fs::File::create(directory.path().join("stderr")).unwrap();
            let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
            let addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).to_vec();
            let mut proxy = Self { child, directory, addresses };
            if within(proxy.listens()).await {
                return Some(proxy);
            }
            said = proxy.log();
        }
        panic!("{kind:?} did not start:\n{said}");
    }

    /// Whether it accepts connections before it ends.
    async fn listens(&mut self) -> bool {
        for address in self.addresses.clone() {
            while TcpStream::connect(address).await.is_err() {
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        true
    }

    /// Returns the log of the proxy.
    pub(crate) fn log(&self) -> String {
        let read =
            |name| std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        read("stderr") + &read("log")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both may have ended by themselves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two ports that are free at this moment.
fn free_ports() -> [u16; 2] {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}
