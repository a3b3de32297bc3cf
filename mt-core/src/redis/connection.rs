//! Connections to a server, which are made lazily and never waited for.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// Returns a connection that is made at its first use, and again after it was lost. An attempt may take 100 ms and an
/// answer 25 ms. Nothing is tried twice: the next check is the retry.
pub(super) fn lazy(server: impl IntoConnectionInfo) -> Result<ConnectionManager, RedisUrlError> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(Duration::from_millis(25)))
        .set_connection_timeout(Some(Duration::from_millis(100)))
        .set_number_of_retries(0)
        .set_pipeline_buffer_size(256);
    let server = checked(server)?;
    let tcp = tcp(server.tcp_settings().clone());
    let client = Client::open(server.set_tcp_settings(tcp)).map_err(RedisUrlError::of)?;
    ConnectionManager::new_lazy_with_config(client, config).map_err(RedisUrlError::of)
}

/// What `server` says, if it can be connected to.
pub(super) fn checked(server: impl IntoConnectionInfo) -> Result<ConnectionInfo, RedisUrlError> {
    let server = server.into_connection_info().map_err(RedisUrlError::of)?;
    match server.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => Err(RedisUrlError::insecure()),
        _ => Ok(server),
    }
}

fn tcp(settings: TcpSettings) -> TcpSettings {
    // Otherwise the second of two counts waits until the first is answered.
    let settings = settings.set_nodelay(true);
    // A host that lost its power closes no connection. Once it is back, an old connection notices at its next
    // retransmission, and these come at growing intervals: after 40 s, 14 s later.
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    settings
}

/// The URL does not name a Redis server. The URL itself is not shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not a usable Redis URL: {category}")]
pub struct RedisUrlError {
    category: String,
}

#[cfg(feature = "redis-cluster")]
impl RedisUrlError {
    pub(super) fn none() -> Self {
        Self { category: "none is given".to_owned() }
    }

    pub(super) fn socket() -> Self {
        Self { category: "the nodes of a cluster are reached by TCP".to_owned() }
    }
}

impl RedisUrlError {
    fn insecure() -> Self {
        Self {
            category: "certificates are always verified, so `#insecure` cannot be had".to_owned(),
        }
    }

    // No `From`, so that the version of the client is not part of the API.
    #[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
    pub(super) fn of(error: redis::RedisError) -> Self {
        Self { category: error.category().to_owned() }
    }
}
