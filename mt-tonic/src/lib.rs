//! mt in [tonic](https://docs.rs/tonic).
//!
//! Guards stand before services as a tower layer of `mt-tower`. A refusal of theirs is rendered by
//! [`GrpcStatus`]. Two parts need tonic itself: [`Peer`] and [`refused`].
//!
//! ```
//! use mt_tonic::{Peer, refused};
//! use mt_tower::Guard;
//! use mt_tower::authenticate::Authenticate;
//! use mt_tower::authorize::access_request;
//! use mt_tower::layer::GuardLayer;
//! use mt_tower::problem::GrpcStatus;
//! use mt_tower::resolve_tenant::{ResolveTenant, TenantHeader};
//! use tonic::{Request, Response, Status};
//!
//! fn guards(tokens: impl mt_core::auth::Authenticator) -> GuardLayer<impl Guard, GrpcStatus> {
//!     let tenant = ResolveTenant::new(TenantHeader::chosen_by_client("x-tenant-id"));
//!     GuardLayer::with_reject((Peer, Authenticate::new(tokens), tenant), GrpcStatus)
//! }
//!
//! async fn method<P: mt_core::access::Permission>(request: Request<()>) -> Result<Response<()>, Status> {
//!     let request = access_request::<P>(request.extensions()).map_err(refused)?;
//!     // A transaction that is opened with `request` decides; its errors are `refused` as well.
//!     # let _ = request;
//!     Ok(Response::new(()))
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

use http::{Extensions, Response};
use mt_tower::problem::{GrpcStatus, Problem, Reject as _};
use mt_tower::rate_limit::PeerAddr;
use mt_tower::{Guard, RequestContext};
use tonic::Status;
use tonic::transport::server::TcpConnectInfo;

/// Returns the status of a problem, or of an error that becomes one, such as those of `mt_core::pg` with the feature
/// `postgres` of `mt-tower`. See [`GrpcStatus`] for which status that is.
#[must_use]
pub fn refused(problem: impl Into<Problem>) -> Status {
    let answer: Response<()> = GrpcStatus.reject(&problem.into(), &Extensions::new());
    Status::from_header_map(answer.headers()).expect("a refusal has a status")
}

/// Guard that copies the address of the peer from tonic's connection info to where other guards look for it
/// ([`PeerAddr`]). It refuses no request; a rate limit without an address does.
#[derive(Clone, Copy, Debug)]
pub struct Peer;

impl Guard for Peer {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let peer = request.extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        if let Some(peer) = peer {
            request.extensions.insert(PeerAddr(peer));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_problem_becomes_its_status() {
        let status = refused(Problem::FORBIDDEN.with_detail("not yours"));
        assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "not yours"));
        assert_eq!(status.metadata().get("problem-code").unwrap(), "forbidden");
        assert_eq!(refused(Problem::NOT_FOUND).code(), Code::NotFound);
        assert_eq!(refused(Problem::unavailable()).code(), Code::Unavailable);
    }
}
