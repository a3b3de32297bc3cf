//! The layer in axum, in hyper and in salvo's `.compat()`, each on a socket, under the same tests.
//! `layer/contract.rs` tests it in plain tower, without a socket.

mod axum;
mod client;
mod client_faults;
mod full_stack;
mod hyper;
mod paths;
mod readiness;
mod salvo;

use std::net::SocketAddr;

use mt_tower::Guard;
use mt_tower::resolve_tenant::RequestedTenant;
use tokio::task::JoinHandle;

use crate::support::Counter;

/// A framework that serves `POST /orgs/{org}/echo` behind a guard.
///
/// The handler counts its calls, returns the resolved tenant in `x-tenant` and the parameter that the router
/// captured in `x-param`, and streams the request's body back. Between guard and
/// handler is a service that must be ready before each call.
pub(crate) trait Framework {
    async fn serve<G: Guard>(guard: G, reached: Counter) -> Server;
}

/// A server on a free port. It is stopped when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the resolved tenant, as the handler reports it.
fn told(extensions: &http::Extensions) -> String {
    extensions.get().map_or(String::new(), |RequestedTenant(tenant)| tenant.to_string())
}
