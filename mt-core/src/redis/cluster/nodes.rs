//! The nodes of a cluster, and the known owner of each slot.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, Value};
use tokio::sync::Notify;

use super::slots::{Address, Range, SLOTS, ranges};
use crate::redis::connection::{self, RedisUrlError};

/// The shortest time between two refreshes of the map.
const PAUSE: Duration = Duration::from_secs(1);

/// The index of no node.
const NO_NODE: u16 = u16::MAX;

/// A node and the one connection to it.
pub(super) struct Node {
    address: Address,
    connection: ConnectionManager,
}

impl Node {
    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// Returns the owners of slots, as this node knows them.
    async fn ranges(&self) -> RedisResult<Vec<Range>> {
        let answer: Value =
            redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut self.connection()).await?;
        Ok(ranges(&answer, &self.address))
    }
}

/// The known nodes. No request waits for a refresh: a slot without a known owner is sent to a node from the
/// configuration, which redirects to the right one, while a task in the background refreshes the map.
pub(super) struct Nodes {
    /// The settings of a connection, without the address.
    settings: ConnectionInfo,
    named: Vec<Arc<Node>>,
    map: RwLock<Map>,
    /// Wakes the task that refreshes the map.
    stale: Arc<Notify>,
    refreshes: AtomicUsize,
}

struct Map {
    /// For each slot an index into `nodes`.
    owners: Vec<u16>,
    /// A node keeps its index while it has slots.
    nodes: Vec<Option<Arc<Node>>>,
}

impl Nodes {
    /// Creates the nodes without connecting.
    pub(super) fn lazy<'a>(
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<Arc<Self>, RedisUrlError> {
        let named = urls
            .into_iter()
            .map(IntoConnectionInfo::into_connection_info)
            .collect::<Result<Vec<_>, _>>()
            .map_err(RedisUrlError::of)?;
        let settings = named.first().cloned().ok_or_else(RedisUrlError::none)?;
        let named = named
            .into_iter()
            .map(|info| {
                let address = address_of(&info)?;
                Ok(Arc::new(Node { address, connection: connection::lazy(info)? }))
            })
            .collect::<Result<_, RedisUrlError>>()?;
        let map = Map { owners: vec![NO_NODE; usize::from(SLOTS)], nodes: Vec::new() };
        let nodes = Arc::new(Self {
            settings,
            named,
            map: RwLock::new(map),
            stale: Arc::new(Notify::new()),
            refreshes: AtomicUsize::new(0),
        });
        tokio::spawn(keep_refreshing(Arc::downgrade(&nodes), Arc::clone(&nodes.stale)));
        Ok(nodes)
    }

    /// Returns the index of the owner of `slot`; all slots without a known owner share one.
    pub(super) fn place(&self, slot: u16) -> usize {
        usize::from(self.map().owners[usize::from(slot)])
    }

    /// Returns the owner of `slot`, or a node that redirects to it.
    pub(super) fn owner(&self, slot: u16) -> Arc<Node> {
        let map = self.map();
        let owner = map.nodes.get(usize::from(map.owners[usize::from(slot)])).cloned().flatten();
        owner.unwrap_or_else(|| {
            self.stale.notify_one();
            // INVARIANT: `named` is not empty.
            Arc::clone(&self.named[0])
        })
    }

    /// Records that `slot` is at `address` now, and returns its new owner.
    pub(super) fn moved(&self, slot: u16, address: Address) -> Option<Arc<Node>> {
        let mut map = self.map_mut();
        let place = map.place(address, &self.settings)?;
        map.owners[usize::from(slot)] = place;
        map.nodes[usize::from(place)].clone()
    }

    /// Returns the node at `address`, which may have no slot yet.
    pub(super) fn at(&self, address: Address) -> Option<Arc<Node>> {
        let mut map = self.map_mut();
        let place = map.place(address, &self.settings)?;
        map.nodes[usize::from(place)].clone()
    }

    /// Returns a guard to hold during a call. If it is dropped without [`RefreshOnDrop::disarm`], because the
    /// call failed or was given up, the map is refreshed.
    pub(super) fn refresh_on_drop(&self) -> RefreshOnDrop<'_> {
        RefreshOnDrop(Some(&self.stale))
    }

    /// Returns every node with slots, or those of the configuration while none is known.
    pub(super) fn known(&self) -> Vec<Arc<Node>> {
        let known: Vec<_> = self.map().nodes.iter().flatten().cloned().collect();
        if known.is_empty() { self.named.clone() } else { known }
    }

    /// Asks one node after another, with a different first one each time, because a node that is cut off from
    /// the cluster has an old map.
    async fn refresh(&self) {
        let mut known = self.known();
        let turn = self.refreshes.fetch_add(1, Relaxed) % known.len().max(1);
        known.rotate_left(turn);
        for node in known.iter().chain(&self.named) {
            match node.ranges().await {
                Ok(ranges) if ranges.is_empty() => {
                    tracing::debug!(node = ?node.address, "a node of the cluster knows no slots");
                }
                Ok(ranges) => return self.map_mut().learn(ranges, &self.settings),
                Err(error) => tracing::debug!(
                    node = ?node.address,
                    cause = %error,
                    "a node of the cluster did not return its map of slots",
                ),
            }
        }
    }

    fn map(&self) -> RwLockReadGuard<'_, Map> {
        // A panic elsewhere leaves a map that is at worst out of date.
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_mut(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // The task finds that the nodes are gone, and ends.
        self.stale.notify_one();
    }
}

impl Map {
    fn learn(&mut self, ranges: Vec<Range>, settings: &ConnectionInfo) {
        for place in &mut self.nodes {
            place.take_if(|node| ranges.iter().all(|range| range.owner != node.address));
        }
        self.owners.fill(NO_NODE);
        for Range { slots: (first, last), owner } in ranges {
            let place = self.place(owner, settings).unwrap_or(NO_NODE);
            self.owners[usize::from(first)..=usize::from(last)].fill(place);
        }
    }

    /// Returns the index of the node at `address`, which is added if it is new.
    fn place(&mut self, address: Address, settings: &ConnectionInfo) -> Option<u16> {
        let has = |node: &Option<Arc<Node>>| node.as_ref().is_some_and(|n| n.address == address);
        if let Some(place) = self.nodes.iter().position(has) {
            return u16::try_from(place).ok();
        }
        let free = self.nodes.iter().position(Option::is_none).unwrap_or(self.nodes.len());
        let place = u16::try_from(free).ok().filter(|place| *place != NO_NODE)?;
        let connection = connection::lazy(info_of(&address, settings)).ok()?;
        let node = Some(Arc::new(Node { address, connection }));
        match self.nodes.get_mut(free) {
            Some(free) => *free = node,
            None => self.nodes.push(node),
        }
        Some(place)
    }
}

/// Refreshes the map of slots when it is dropped. See [`Nodes::refresh_on_drop`].
#[must_use = "if it is dropped at once, the map is refreshed for nothing"]
pub(super) struct RefreshOnDrop<'a>(Option<&'a Notify>);

impl RefreshOnDrop<'_> {
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for RefreshOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(stale) = self.0 {
            stale.notify_one();
        }
    }
}

async fn keep_refreshing(nodes: Weak<Nodes>, stale: Arc<Notify>) {
    loop {
        stale.notified().await;
        match nodes.upgrade() {
            Some(nodes) => nodes.refresh().await,
            None => return,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn address_of(info: &ConnectionInfo) -> Result<Address, RedisUrlError> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Ok(Address { host: host.clone(), port: *port })
        }
        _ => Err(RedisUrlError::socket()),
    }
}

fn info_of(Address { host, port }: &Address, settings: &ConnectionInfo) -> ConnectionInfo {
    let (host, port) = (host.clone(), *port);
    let addr = match settings.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            let (insecure, tls_params) = (*insecure, tls_params.clone());
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    settings.clone().set_addr(addr)
}
