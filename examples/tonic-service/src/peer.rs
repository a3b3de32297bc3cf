//! The client's address, where the rate limit looks for it.

use mt_tower::problem::Problem;
use mt_tower::rate_limit::PeerAddr;
use mt_tower::{Guard, RequestContext};
use tonic::transport::server::TcpConnectInfo;

/// Guard that copies the peer's address from tonic's connection info. It refuses no request; a rate limit
/// without an address does.
pub(crate) struct Peer;

impl Guard for Peer {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let peer = request.extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        if let Some(peer) = peer {
            request.extensions.insert(PeerAddr(peer));
        }
        Ok(())
    }
}
