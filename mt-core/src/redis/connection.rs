//! How a server is connected to: lazily, once, and never waited for.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo};

/// A connection that is made with its first use, and again after it was lost. An attempt is given 100 ms,
/// an answer 25 ms, and nothing is tried twice: the next check is the retry.
pub(super) fn lazy(server: impl IntoConnectionInfo) -> Result<ConnectionManager, RedisUrlError> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(Duration::from_millis(25)))
        .set_connection_timeout(Some(Duration::from_millis(100)))
        .set_number_of_retries(0)
        .set_pipeline_buffer_size(256);
    let server = server.into_connection_info().map_err(RedisUrlError::of)?;
    let tcp = tcp(server.tcp_settings().clone());
    let client = Client::open(server.set_tcp_settings(tcp)).map_err(RedisUrlError::of)?;
    ConnectionManager::new_lazy_with_config(client, config).map_err(RedisUrlError::of)
}

fn tcp(settings: TcpSettings) -> TcpSettings {
    // Else the second of two counts waits until the first is answered.
    let settings = settings.set_nodelay(true);
    // A host that lost its power says nothing, and of a host that is back a connection from before hears
    // with its next attempt to send again, which comes ever later: after 40 s, 14 s later.
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
    // No `From`: which version of the client is used is nobody else's business.
    #[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
    pub(super) fn of(error: redis::RedisError) -> Self {
        Self { category: error.category().to_owned() }
    }
}
