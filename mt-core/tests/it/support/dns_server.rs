//! A DNS server on a port of this machine, which answers for the zone `test`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::proto::rr::rdata::{CNAME, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType, RrKey};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use mt_core::pg::domains::DnsResolver;
use tokio::net::{TcpListener, UdpSocket};

/// A port that is free for both protocols. One that is free for the first may be taken for the second.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        match TcpListener::bind(udp.local_addr().unwrap()).await {
            Ok(tcp) => return (udp, tcp),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The server, which ends when it is dropped.
pub(crate) struct DnsServer {
    zone: Arc<InMemoryZoneHandler>,
    address: SocketAddr,
    _server: Server<Catalog>,
}

impl DnsServer {
    pub(crate) async fn start() -> Self {
        let zone = InMemoryZoneHandler::empty(name("test"), ZoneType::Primary, AxfrPolicy::Deny);
        let zone = Arc::new(zone);
        let soa = SOA::new(name("ns.test"), name("admin.test"), 1, 60, 60, 60, 60);
        zone.upsert(Record::from_rdata(name("test"), 60, RData::SOA(soa)), 0).await;
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::from(name("test")), vec![zone.clone()]);
        let mut server = Server::new(catalog);
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 16);
        Self { zone, address, _server: server }
    }

    /// A resolver that asks this server.
    pub(crate) fn resolver(&self) -> DnsResolver {
        DnsResolver::asking(&[self.address]).unwrap()
    }

    /// Adds a TXT record of these strings.
    pub(crate) async fn add_txt(&self, owner: &str, strings: &[&str]) {
        let txt = TXT::new(strings.iter().map(|text| (*text).to_owned()).collect());
        self.zone.upsert(Record::from_rdata(name(owner), 60, RData::TXT(txt)), 0).await;
    }

    /// Makes `owner` an alias of `target`.
    pub(crate) async fn add_alias(&self, owner: &str, target: &str) {
        let alias = RData::CNAME(CNAME(name(target)));
        self.zone.upsert(Record::from_rdata(name(owner), 60, alias), 0).await;
    }

    /// Removes the TXT records of `owner`.
    pub(crate) async fn remove_txt(&self, owner: &str) {
        let key = RrKey::new(name(owner).into(), RecordType::TXT);
        assert!(self.zone.records_mut().await.remove(&key).is_some(), "{owner} had none");
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}
