//! mt before a gRPC service: notes of workspaces, in Postgres, without interceptors.
//!
//! | call | needs |
//! | --- | --- |
//! | `notes.v1.Notes/AddNote` | an editor, of a workspace that has paid |
//! | `notes.v1.Notes/ListNotes` | a member |
//!
//! An interceptor sees metadata and is not asynchronous. The guards are a tower layer: they see the
//! request's head, ask the database, and answer by themselves, with [`GrpcStatus`]. They pass streams
//! untouched in both directions, for they never look at a body.
//!
//! The workspace is named by the metadata `x-tenant-id`, the caller by a bearer token. What the guards
//! find out rides in the request's extensions, which tonic hands on to the method: [`NoteService`] takes
//! its request for access from there. By then tonic has decoded the message. So a member who may not call learns first
//! that it is malformed, if it is; a stranger learns nothing, for [`LoadAccess`] refuses before any message is read. That
//! costs a query for each call, which the transaction alone would not need.
//!
//! # Deployment
//!
//! gRPC balancers route by path, so nothing in front sees whose call it is; see [`TenantHeader`]. All calls
//! are `POST`: a billing gate by method would take each for a write, which is why payment is asked for by
//! the permission. A layer on the server stands before every service; one that needs no tenant, as
//! `grpc.health.v1`, is left out by putting the layer on the others alone (`LayerExt::named_layer`).

mod model;
mod note;
mod service;

use std::time::Duration;

use mt_core::auth::jwt::JwtAuthenticator;
use mt_core::limit::{InProcessLimiter, Quota};
use mt_core::pg::{ProductSchema, Tenants};
use mt_tonic::Peer;
use mt_tower::Guard;
use mt_tower::authenticate::Authenticate;
use mt_tower::bulkhead::Bulkhead;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::problem::GrpcStatus;
use mt_tower::rate_limit::{ClientAddress, RateLimit};
use mt_tower::resolve_tenant::{ResolveTenant, TenantHeader};
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub use self::model::Notebook;
pub use self::service::NoteService;

/// What `proto/notes.proto` says, in Rust.
#[expect(
    clippy::allow_attributes,
    clippy::pedantic,
    unused_qualifications,
    reason = "made by tonic-prost-build, which writes in its own way"
)]
pub mod pb {
    tonic::include_proto!("notes.v1");
}

/// A client that is silent for so long is asked for a sign of life, and has so long to give it.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(10);
/// Calls of one connection at once.
const MAX_STREAMS: u32 = 64;
/// How old a connection gets, and how long its calls may still take then: one that is idle, or whose client
/// reads no answer, does not stay for ever.
const MAX_AGE: Duration = Duration::from_mins(10);
const MAX_AGE_GRACE: Duration = Duration::from_mins(1);

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The notes' table.
#[must_use]
pub fn schema() -> ProductSchema<'static> {
    ProductSchema { name: "notebook", migrator: &MIGRATIONS }
}

/// What a call has to pass before it reaches a method. No client may make more calls than `quota`.
pub fn guards(
    tenants: Tenants<Notebook>,
    tokens: JwtAuthenticator,
    quota: Quota,
) -> GuardLayer<impl Guard, GrpcStatus> {
    let bulkhead = Bulkhead::<Notebook, _>::new(tenants.shares().clone(), tenants.clone());
    let guards = (
        Peer,
        RateLimit::new("calls", InProcessLimiter::new(), ClientAddress::direct(), quota),
        Authenticate::new(tokens),
        ResolveTenant::new(TenantHeader::chosen_by_client("x-tenant-id")),
        LoadAccess::new(tenants),
        bulkhead,
    );
    GuardLayer::with_reject(guards, GrpcStatus)
}

/// Serves the notes of all workspaces until `stop` is ready and the calls under way are done.
///
/// # Errors
///
/// When the server cannot serve.
pub async fn serve(
    listener: TcpListener,
    tenants: Tenants<Notebook>,
    tokens: JwtAuthenticator,
    quota: Quota,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .http2_keepalive_interval(Some(PING_AFTER))
        .http2_keepalive_timeout(Some(PING_WITHIN))
        .max_concurrent_streams(MAX_STREAMS)
        .max_connection_age(MAX_AGE)
        .max_connection_age_grace(MAX_AGE_GRACE)
        .layer(guards(tenants.clone(), tokens, quota))
        .add_service(pb::notes_server::NotesServer::new(NoteService::new(tenants)))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop)
        .await
}
