//! Settings of client connections.

use std::num::NonZeroU32;
#[cfg(feature = "serve")]
use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Reader, Setting};
#[cfg(feature = "serve")]
use crate::serve::ConnectionLimits;

/// Limits on client connections.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `HTTP_IDLE_SECONDS`: how long a connection may wait for its next request.
    pub idle: Duration,
    /// `HTTP_MAX_CONNECTIONS`; `None`: as many as the limit on open files allows.
    pub max_connections: Option<NonZeroU32>,
    /// `HTTP_MAX_CONNECTIONS_PER_ADDRESS`, 0 for unlimited; `None`: half of the total.
    pub max_connections_per_address: Option<u32>,
}

impl HttpConfig {
    /// Reads the variables.
    #[must_use]
    pub fn read(r: &mut Reader<'_>) -> Self {
        let most = "a whole number from 1 to 1000000";
        let per_address = "a whole number from 0 to 1000000";
        Self {
            idle: r.seconds("HTTP_IDLE_SECONDS", 75, 1..=3600),
            max_connections: r.optional("HTTP_MAX_CONNECTIONS", most, |value| {
                value.parse().ok().filter(|most: &NonZeroU32| most.get() <= 1_000_000)
            }),
            max_connections_per_address: r.optional(
                "HTTP_MAX_CONNECTIONS_PER_ADDRESS",
                per_address,
                |value| value.parse().ok().filter(|most| *most <= 1_000_000),
            ),
        }
    }

    /// Returns the variables with their values.
    #[must_use]
    pub fn shown(&self) -> [Setting; 3] {
        let Self { idle, max_connections, max_connections_per_address: per_address } = self;
        [
            Setting::seconds("HTTP_IDLE_SECONDS", *idle),
            Setting::optional("HTTP_MAX_CONNECTIONS", *max_connections),
            Setting::optional("HTTP_MAX_CONNECTIONS_PER_ADDRESS", *per_address),
        ]
    }
}

#[cfg(feature = "serve")]
impl HttpConfig {
    /// Returns the limits on connections of a process that keeps `reserved` files open beside them.
    #[must_use]
    pub fn limits(&self, reserved: usize, proxies: &[ipnet::IpNet]) -> ConnectionLimits {
        let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let mut limits = ConnectionLimits::of_process(reserved);
        if let Some(total) = self.max_connections {
            limits = limits.with_total(NonZeroUsize::try_from(total).unwrap_or(NonZeroUsize::MAX));
        }
        if let Some(per_address) = self.max_connections_per_address {
            limits.per_address = NonZeroUsize::new(size(per_address));
        }
        limits.proxies = proxies.to_vec();
        limits
    }
}
