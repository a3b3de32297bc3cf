//! The client's address, where the rate limit looks for it.

use mt_tower::problem::Problem;
use mt_tower::rate_limit::PeerAddr;
use mt_tower::{Guard, View};
use tonic::transport::server::TcpConnectInfo;

/// Copies what tonic knows of the connection. It refuses nobody; a limit that finds no address does.
pub(crate) struct Peer;

impl Guard for Peer {
    const NEVER_WAITS: bool = true;

    async fn check<'a>(&'a self, view: View<'a>) -> Result<(), Problem> {
        let peer = view.extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        if let Some(peer) = peer {
            view.extensions.insert(PeerAddr(peer));
        }
        Ok(())
    }
}
