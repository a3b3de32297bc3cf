//! One layer, unchanged, in axum, in hyper and in salvo's `.compat()`, each on a socket and under the same
//! rough treatment. `layer.rs` does the same in plain tower, without a socket.

mod adversities;
mod axum;
mod client;
mod hyper;
mod paths;
mod salvo;
mod strict;

use std::net::SocketAddr;

use mt_tower::Guard;
use mt_tower::resolve_tenant::RequestedTenant;
use tokio::task::JoinHandle;

use crate::support::Counter;

/// A way to serve `POST /orgs/{org}/echo` behind a guard.
///
/// The handler counts that it was reached, says in `x-tenant` which tenant was resolved and in `x-param`
/// what the router has captured, and sends the request's body back while it comes in. Between guard and
/// handler lies a service that has to be made ready before each call.
pub(crate) trait Framework {
    async fn serve<G: Guard>(guard: G, reached: Counter) -> Server;
}

/// A server on a port of its own, stopped when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the handler says of the request in its answer.
fn told(extensions: &http::Extensions) -> String {
    extensions.get().map_or(String::new(), |RequestedTenant(tenant)| tenant.to_string())
}
