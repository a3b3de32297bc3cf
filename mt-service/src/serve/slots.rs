//! The connections that are open, and which of them has to go when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use mt_tower::rate_limit::ClientAddress;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::ConnectionLimits;
use super::state::Connection;

/// How often the log says that connections are refused or closed for room.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Room for connections. Clones share it.
#[derive(Clone)]
pub(super) struct Slots(Arc<Shared>);

struct Shared {
    limits: ConnectionLimits,
    table: Mutex<Table>,
    /// More connections are open than there may be, so the server accepts no other.
    full: AtomicBool,
    changed: Notify,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Entry>,
    by_client: HashMap<IpNet, usize>,
    refused: u64,
    evicted: u64,
    warned: Option<Instant>,
}

struct Entry {
    clients: Clients,
    connection: Arc<Connection>,
}

/// What a connection is counted by, each with the most connections of it. Empty for a proxy.
type Clients = [Option<(IpNet, usize)>; 2];

/// A connection's place among those that may be open. It is free again once this is dropped.
pub(super) struct Slot {
    shared: Arc<Shared>,
    number: u64,
    connection: Arc<Connection>,
}

impl Slots {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            table: Mutex::default(),
            full: AtomicBool::new(false),
            changed: Notify::new(),
        }))
    }

    /// Returns once another connection may be accepted, after closing those that wait for their clients.
    pub(super) async fn room(&self) {
        while !self.0.table().has_room(self.0.limits.total.get()) {
            self.0.full.store(true, Ordering::SeqCst);
            // Again, since a connection may have ended before it saw that its end is waited for.
            if self.0.table().has_room(self.0.limits.total.get()) {
                break;
            }
            self.0.changed.notified().await;
        }
        self.0.full.store(false, Ordering::SeqCst);
    }

    /// A slot for a connection from `peer`; `None` if that address has as many as it may have, and all of
    /// them are answering requests.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Slot> {
        let limits = &self.0.limits;
        let peer = peer.to_canonical();
        let is_proxy = limits.proxies.iter().any(|network| network.contains(&peer));
        let clients = match limits.per_address {
            Some(most) if !is_proxy => clients_of(peer, most, limits.total),
            _ => [None; 2],
        };
        let mut table = self.0.table();
        for (client, most) in clients.into_iter().flatten() {
            if !table.has_room_for(client, most) {
                return None;
            }
        }
        for (client, _) in clients.into_iter().flatten() {
            *table.by_client.entry(client).or_default() += 1;
        }
        table.last += 1;
        let number = table.last;
        let connection = Arc::new(Connection::open());
        let entry = Entry { clients, connection: Arc::clone(&connection) };
        table.open.insert(number, entry);
        Some(Slot { shared: Arc::clone(&self.0), number, connection })
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing is done under it that may panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something ended that the accept loop may wait for.
    fn tell(&self) {
        if self.full.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }
}

impl Table {
    /// Whether another connection may be accepted. With `total` open one more may, so that the server closes
    /// none as long as no client needs the room.
    fn has_room(&mut self, total: usize) -> bool {
        if self.open.len() <= total {
            return true;
        }
        if self.open.len() - self.closing(|_| true) > total {
            let newest = self.last;
            self.evict(|number, _| number != newest);
        }
        false
    }

    /// How many are about to end.
    fn closing(&self, among: impl Fn(&Entry) -> bool) -> usize {
        let closing = |entry: &&Entry| {
            entry.connection.is_closing() && entry.connection.waiting_since().is_some()
        };
        self.open.values().filter(|entry| among(entry)).filter(closing).count()
    }

    /// Closes the connection that has waited longest for its client, of those that `among` names. False if
    /// none waits.
    fn evict(&mut self, among: impl Fn(u64, &Entry) -> bool) -> bool {
        let longest = self
            .open
            .iter()
            .filter(|(number, entry)| among(**number, entry) && !entry.connection.is_closing())
            .filter_map(|(_, entry)| Some((entry.connection.waiting_since()?, &entry.connection)))
            .min_by_key(|(since, _)| *since);
        let Some((_, connection)) = longest else { return false };
        connection.close();
        self.evicted += 1;
        self.warn();
        true
    }

    /// Whether `client`, which may have `most` connections, may have another one. Closes one for it where
    /// it has to.
    fn has_room_for(&mut self, client: IpNet, most: usize) -> bool {
        let of_client = |entry: &Entry| entry.clients.contains(&Some((client, most)));
        let open = self.by_client.get(&client).copied().unwrap_or(0);
        if open < most || open - self.closing(of_client) < most {
            return true;
        }
        if self.evict(|_, entry| of_client(entry)) {
            return true;
        }
        self.refused += 1;
        self.warn();
        false
    }

    fn warn(&mut self) {
        if self.warned.is_some_and(|warned| warned.elapsed() < WARNING_INTERVAL) {
            return;
        }
        self.warned = Some(Instant::now());
        tracing::warn!(
            open = self.open.len(),
            closed = self.evicted,
            refused = self.refused,
            "too many connections: the server closes waiting ones or refuses new ones"
        );
    }
}

impl Slot {
    /// A request of this connection is answered.
    pub(super) fn end_exchange(&self) {
        self.connection.end_exchange();
        self.shared.tell();
    }
}

impl Deref for Slot {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        let clients = table.open.remove(&self.number).map(|entry| entry.clients);
        for (client, _) in clients.into_iter().flatten().flatten() {
            if let Some(open) = table.by_client.get_mut(&client) {
                *open -= 1;
                if *open == 0 {
                    table.by_client.remove(&client);
                }
            }
        }
        drop(table);
        self.shared.tell();
    }
}

/// What a client is counted by: its address, of IPv6 the /64, since a client usually has all of one. A site has up to
/// a /48 of them, so that is counted as well: it has twice as many, but no more than half of those in all where one
/// address has no more than that either.
fn clients_of(address: IpAddr, most: NonZeroUsize, total: NonZeroUsize) -> Clients {
    let most = most.get();
    let site = most.saturating_mul(2).min(most.max(total.get() / 2));
    let network = |length| IpNet::new(address, length).map(|network| network.trunc()).ok();
    match address {
        IpAddr::V4(_) => [network(32).map(|network| (network, most)), None],
        IpAddr::V6(_) => {
            [network(64).map(|network| (network, most)), Some((ClientAddress::site(address), site))]
        }
    }
}

#[cfg(test)]
mod tests;
