//! The nodes of a cluster, and which of them has which slot, as far as is known.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, Value};
use tokio::sync::Notify;

use super::slots::{Address, Range, SLOTS, ranges};
use crate::redis::connection::{self, RedisUrlError};

/// How long one look at the cluster is good for, whatever is heard meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// The place of no node.
const NOBODY: u16 = u16::MAX;

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

    /// Which slots are whose, as this node has it.
    async fn ranges(&self) -> RedisResult<Vec<Range>> {
        let answer: Value =
            redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut self.connection()).await?;
        Ok(ranges(&answer, &self.address))
    }
}

/// The nodes that are known. Nobody waits for what is not: a slot without an owner is asked for at a
/// node that was named at the start, which points at the right one, while a task in the background looks
/// at the whole.
pub(super) struct Nodes {
    /// How to connect to a node, but for its address.
    settings: ConnectionInfo,
    named: Vec<Arc<Node>>,
    map: RwLock<Map>,
    /// Wakes the task that looks at the cluster.
    stale: Arc<Notify>,
    looks: AtomicUsize,
}

struct Map {
    /// For each slot a place in `nodes`.
    owners: Vec<u16>,
    /// A node keeps its place for as long as it has slots.
    nodes: Vec<Option<Arc<Node>>>,
}

impl Nodes {
    /// Connects to nobody yet.
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
        let map = Map { owners: vec![NOBODY; usize::from(SLOTS)], nodes: Vec::new() };
        let nodes = Arc::new(Self {
            settings,
            named,
            map: RwLock::new(map),
            stale: Arc::new(Notify::new()),
            looks: AtomicUsize::new(0),
        });
        tokio::spawn(keep_looking(Arc::downgrade(&nodes), Arc::clone(&nodes.stale)));
        Ok(nodes)
    }

    /// A number for the node that has `slot`; all slots that nobody is known to have share one.
    pub(super) fn place(&self, slot: u16) -> usize {
        usize::from(self.map().owners[usize::from(slot)])
    }

    /// Who counts the keys of `slot`, or knows better.
    pub(super) fn owner(&self, slot: u16) -> Arc<Node> {
        let map = self.map();
        let owner = map.nodes.get(usize::from(map.owners[usize::from(slot)])).cloned().flatten();
        owner.unwrap_or_else(|| {
            self.stale.notify_one();
            // INVARIANT: `named` is not empty.
            Arc::clone(&self.named[0])
        })
    }

    /// Takes note that `slot` is at `address` now, and gives its new owner.
    pub(super) fn moved(&self, slot: u16, address: Address) -> Option<Arc<Node>> {
        let mut map = self.map_mut();
        let place = map.place(address, &self.settings)?;
        map.owners[usize::from(slot)] = place;
        map.nodes[usize::from(place)].clone()
    }

    /// The node at `address`, which may have no slot yet.
    pub(super) fn at(&self, address: Address) -> Option<Arc<Node>> {
        let mut map = self.map_mut();
        let place = map.place(address, &self.settings)?;
        map.nodes[usize::from(place)].clone()
    }

    /// To be held while a node is asked. Dropped without [`Doubt::dispel`], and be it because nobody
    /// waits any longer, it has the cluster looked at.
    pub(super) fn doubt(&self) -> Doubt<'_> {
        Doubt(Some(&self.stale))
    }

    /// Every node with slots, or those that were named while none is known.
    pub(super) fn known(&self) -> Vec<Arc<Node>> {
        let known: Vec<_> = self.map().nodes.iter().flatten().cloned().collect();
        if known.is_empty() { self.named.clone() } else { known }
    }

    /// Asks one node after another, beginning with another each time: what one knows may be old, of a
    /// cluster that it is cut off from.
    async fn look(&self) {
        let mut known = self.known();
        let turn = self.looks.fetch_add(1, Relaxed) % known.len().max(1);
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
                    "a node of the cluster does not say who has which slot",
                ),
            }
        }
    }

    fn map(&self) -> RwLockReadGuard<'_, Map> {
        // A panic elsewhere leaves a map that is as good as an old one.
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_mut(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // The task finds nobody, and ends.
        self.stale.notify_one();
    }
}

impl Map {
    fn learn(&mut self, ranges: Vec<Range>, settings: &ConnectionInfo) {
        for place in &mut self.nodes {
            place.take_if(|node| ranges.iter().all(|range| range.owner != node.address));
        }
        self.owners.fill(NOBODY);
        for Range { slots: (first, last), owner } in ranges {
            let place = self.place(owner, settings).unwrap_or(NOBODY);
            self.owners[usize::from(first)..=usize::from(last)].fill(place);
        }
    }

    /// The place of the node at `address`, who is given one.
    fn place(&mut self, address: Address, settings: &ConnectionInfo) -> Option<u16> {
        let has = |node: &Option<Arc<Node>>| node.as_ref().is_some_and(|n| n.address == address);
        if let Some(place) = self.nodes.iter().position(has) {
            return u16::try_from(place).ok();
        }
        let free = self.nodes.iter().position(Option::is_none).unwrap_or(self.nodes.len());
        let place = u16::try_from(free).ok().filter(|place| *place != NOBODY)?;
        let connection = connection::lazy(info_of(&address, settings)).ok()?;
        let node = Some(Arc::new(Node { address, connection }));
        match self.nodes.get_mut(free) {
            Some(free) => *free = node,
            None => self.nodes.push(node),
        }
        Some(place)
    }
}

/// See [`Nodes::doubt`].
#[must_use = "dropped at once, it has the cluster looked at for nothing"]
pub(super) struct Doubt<'a>(Option<&'a Notify>);

impl Doubt<'_> {
    pub(super) fn dispel(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(stale) = self.0 {
            stale.notify_one();
        }
    }
}

async fn keep_looking(nodes: Weak<Nodes>, stale: Arc<Notify>) {
    loop {
        stale.notified().await;
        match nodes.upgrade() {
            Some(nodes) => nodes.look().await,
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
