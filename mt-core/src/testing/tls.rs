//! Certificates and a Redis with TLS, for tests of encrypted connections.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// A certificate for `127.0.0.1` without a host name, and its own certification authority. `openssl` creates both;
/// they are valid for two days and deleted when this is dropped.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Creates the certificates; `None` without `openssl`.
    ///
    /// # Panics
    ///
    /// When `openssl` fails.
    #[must_use]
    pub fn make() -> Option<Self> {
        let name = Uuid::new_v4();
        let folder = std::env::temp_dir().join(format!("mt-certificates-{name}"));
        std::fs::create_dir(&folder).expect("the directory for temporary files is writable");
        let made = Self { folder };
        std::fs::write(made.folder.join("names"), "subjectAltName=IP:127.0.0.1\n").expect("a file");
        let ca = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem \
             -subj /CN={name} -days 2"
        );
        for arguments in [
            ca.as_str(),
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key \
             -out server.csr -subj /CN=server",
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 \
             -extfile names",
        ] {
            let run = Command::new("openssl")
                .args(arguments.split_whitespace())
                .current_dir(&made.folder)
                .stdin(Stdio::null())
                .output();
            let output = run.ok()?;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        // The server that uses them may run as another user.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let readable = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(made.folder.join("server.key"), readable).expect("ours");
        }
        Some(made)
    }

    /// Returns the path of the authority's certificate.
    #[must_use]
    pub fn ca(&self) -> String {
        self.file("ca.pem")
    }

    /// Returns the path of the server's certificate.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.file("server.pem")
    }

    /// Returns the path of the server's private key.
    #[must_use]
    pub fn key(&self) -> String {
        self.file("server.key")
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A Redis that listens on `127.0.0.1` with TLS only. Killed when dropped.
#[derive(Debug)]
pub struct TlsRedis {
    child: Child,
    port: u16,
}

impl TlsRedis {
    const PASSWORD: &str = "of-a-test";

    /// Starts a Redis with these additional arguments; `None` without `redis-server`, or if it lacks TLS.
    ///
    /// # Panics
    ///
    /// When it does not respond within 20 seconds.
    #[must_use]
    pub fn start(certificates: &Certificates, more: &[&str]) -> Option<Self> {
        let probe = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        // Below the range of outgoing connections, which could take the port.
        let port = 10_000 + probe.local_addr().expect("it is bound").port() % 10_000;
        let child = Command::new("redis-server")
            .args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--tls-cert-file", &certificates.certificate()])
            .args(["--tls-key-file", &certificates.key()])
            .args(["--tls-ca-cert-file", &certificates.ca(), "--tls-auth-clients", "no"])
            .args(["--requirepass", Self::PASSWORD, "--save", "", "--appendonly", "no"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut redis = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // It exits at once if it was built without TLS.
            if redis.child.try_wait().ok()?.is_some() {
                return None;
            }
            if redis.cli(certificates, "PING") == "PONG" {
                return Some(redis);
            }
            assert!(Instant::now() < deadline, "redis-server does not respond");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns its URL, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("rediss://:{}@127.0.0.1:{}", Self::PASSWORD, self.port)
    }

    /// Returns the response to a command, whose words are separated by spaces; empty if it does not respond.
    #[must_use]
    pub fn cli(&self, certificates: &Certificates, command: &str) -> String {
        let output = Command::new("redis-cli")
            .args(["--tls", "--cacert", &certificates.ca(), "-h", "127.0.0.1"])
            .args(["-p", &self.port.to_string(), "-a", Self::PASSWORD, "--no-auth-warning"])
            .args(command.split(' '))
            .stdin(Stdio::null())
            .output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    }
}

impl Drop for TlsRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
