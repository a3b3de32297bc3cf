//! How many connections the server keeps open.

use std::num::NonZeroUsize;

use ipnet::IpNet;

/// The most connections by default, where the limit on open files allows more.
const MOST: usize = 10_000;
/// The fewest, however low that limit is.
const FEWEST: usize = 16;
/// Open files other than connections of clients and of the database: log, listening sockets, Redis, mail relay,
/// Stripe, the runtime's own.
const OTHER_FILES: usize = 64;

/// How many connections of clients the server keeps open at once.
///
/// At a limit the server closes the connection that has waited longest for its client's next request and
/// serves the new one. Where every connection is answering a request, a limit per address refuses the new
/// connection, and the limit in all lets it wait in the kernel's queue.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub total: NonZeroUsize,
    /// From one address; of IPv6, from one /64, and twice as many from one /48, within half of those in all. `None`:
    /// any number.
    pub per_address: Option<NonZeroUsize>,
    /// Networks of reverse proxies, for which there is no limit per address.
    pub proxies: Vec<IpNet>,
}

impl ConnectionLimits {
    /// As many connections as the process's limit on open files allows beside `reserved` files, at most
    /// 10 000, and half of them per address.
    #[must_use]
    pub fn of_process(reserved: usize) -> Self {
        Self::fitting(open_files(), reserved)
    }

    fn fitting(open_files: usize, reserved: usize) -> Self {
        let total = open_files.saturating_sub(reserved + OTHER_FILES).clamp(FEWEST, MOST);
        let total = NonZeroUsize::new(total).expect("at least the fewest");
        Self { total, per_address: None, proxies: Vec::new() }.halved()
    }

    /// The same total, half of it per address.
    fn halved(self) -> Self {
        Self { per_address: NonZeroUsize::new(self.total.get() / 2), ..self }
    }

    /// `total` in all and, unless the caller says otherwise, half of it per address.
    #[must_use]
    pub fn with_total(mut self, total: NonZeroUsize) -> Self {
        self.total = total;
        self.halved()
    }
}

impl Default for ConnectionLimits {
    /// [`of_process`](Self::of_process), with nothing reserved.
    fn default() -> Self {
        Self::of_process(0)
    }
}

#[cfg(unix)]
fn open_files() -> usize {
    let limit = rlimit::Resource::NOFILE.get_soft();
    // Without an answer, the limit that most shells set.
    limit.map_or(1024, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Windows has no such limit.
#[cfg(not(unix))]
fn open_files() -> usize {
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        let of = |files, reserved| ConnectionLimits::fitting(files, reserved).total.get();
        assert_eq!(of(512, 16), 512 - 16 - OTHER_FILES);
        assert_eq!(of(1 << 20, 16), MOST);
        assert_eq!(of(usize::MAX, 0), MOST);
        assert_eq!(of(64, 16), FEWEST);
    }

    #[test]
    fn one_address_has_half_of_the_connections() {
        let limits = ConnectionLimits::fitting(1064, 0);
        assert_eq!((limits.total.get(), limits.per_address.unwrap().get()), (1000, 500));
        let limits = limits.with_total(NonZeroUsize::MIN);
        assert_eq!((limits.total.get(), limits.per_address), (1, None));
    }
}
