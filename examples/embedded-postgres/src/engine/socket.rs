//! The addresses of the engine and of its clients: Unix sockets in a private directory, or loopback ports on
//! platforms without them.

use std::io;
use std::path::Path;

use pglite_oxide::{PgliteServer, PgliteServerBuilder};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

#[cfg(not(unix))]
pub(super) use std::net::{TcpListener as Listener, TcpStream as Stream};
#[cfg(unix)]
pub(super) use std::os::unix::net::{UnixListener as Listener, UnixStream as Stream};

/// The default database of a new cluster.
pub(super) const DATABASE: &str = "postgres";

/// The only login of the engine, a superuser.
const SUPERUSER: &str = "postgres";

/// An address to connect to.
#[derive(Clone, Debug)]
pub(super) struct Address {
    #[cfg(unix)]
    path: std::path::PathBuf,
    #[cfg(not(unix))]
    addr: std::net::SocketAddr,
}

#[cfg(unix)]
mod imp {
    use super::{
        Address, Listener, Path, PgConnectOptions, PgliteServer, PgliteServerBuilder, Stream, io,
    };

    /// Postgres clients take a directory and a port, and open this file.
    const PORT: u16 = 5432;
    const CLIENTS: &str = ".s.PGSQL.5432";
    const ENGINE: &str = "engine.sock";

    pub(in super::super) fn listen_privately(
        builder: PgliteServerBuilder,
        dir: &Path,
    ) -> PgliteServerBuilder {
        builder.unix(dir.join(ENGINE))
    }

    impl Address {
        pub(in super::super) fn of(server: &PgliteServer) -> Self {
            let path = server.socket_path().expect("`listen_privately` names a socket");
            Self { path: path.to_owned() }
        }

        pub(in super::super) fn bind(dir: &Path) -> io::Result<(Listener, Self)> {
            let path = dir.join(CLIENTS);
            Ok((Listener::bind(&path)?, Self { path }))
        }

        pub(in super::super) fn connect(&self) -> io::Result<Stream> {
            Stream::connect(&self.path)
        }

        pub(super) fn place(&self, options: PgConnectOptions) -> PgConnectOptions {
            options.socket(self.path.parent().unwrap_or(Path::new("/"))).port(PORT)
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use super::{
        Address, Listener, Path, PgConnectOptions, PgliteServer, PgliteServerBuilder, Stream, io,
    };

    pub(in super::super) fn listen_privately(
        builder: PgliteServerBuilder,
        _: &Path,
    ) -> PgliteServerBuilder {
        builder
    }

    impl Address {
        pub(in super::super) fn of(server: &PgliteServer) -> Self {
            Self { addr: server.tcp_addr().expect("the engine listens on TCP by default") }
        }

        pub(in super::super) fn bind(_: &Path) -> io::Result<(Listener, Self)> {
            let listener = Listener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
            let addr = listener.local_addr()?;
            Ok((listener, Self { addr }))
        }

        pub(in super::super) fn connect(&self) -> io::Result<Stream> {
            Stream::connect(self.addr)
        }

        pub(super) fn place(&self, options: PgConnectOptions) -> PgConnectOptions {
            options.host(&self.addr.ip().to_string()).port(self.addr.port())
        }
    }
}

pub(super) use self::imp::listen_privately;

impl Address {
    /// Returns how a client connects.
    pub(super) fn options(&self) -> PgConnectOptions {
        self.place(PgConnectOptions::new_without_pgpass())
            .username(SUPERUSER)
            .database(DATABASE)
            .ssl_mode(PgSslMode::Disable)
    }
}
