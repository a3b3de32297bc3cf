//! A server, workspaces with members, and clients.

use std::num::NonZeroU32;

use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::StandingPolicy;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::Quota;
use mt_core::pg::{Database, Tenants};
use mt_core::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Request;
use tonic::transport::Endpoint;
use tonic_service::Notebook;
use tonic_service::pb::AddNoteRequest;
use tonic_service::pb::notes_client::NotesClient;

pub(crate) type Client = NotesClient<tonic::transport::Channel>;

/// A quota that no test uses up.
pub(crate) const PLENTY: u32 = 10_000;

pub(crate) fn tokens() -> JwtAuthenticator {
    let key = JwtKey::hs256("a secret of the tests, 32 bytes or more").unwrap();
    JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap()
}

pub(crate) fn per_minute(limit: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(limit).unwrap())
}

/// Returns a listening socket and its address.
pub(crate) async fn socket() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, Endpoint::from_shared(format!("http://{address}")).unwrap())
}

/// The example on a test database.
pub(crate) struct Server {
    pub(crate) db: TestDatabase,
    pub(crate) endpoint: Endpoint,
    database: Database,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Server {
    pub(crate) async fn start(quota: u32) -> Self {
        let db = TestDatabase::create_with(&[tonic_service::schema()]).await.unwrap();
        let database = db.connect(4).await.unwrap();
        let tenants = database.tenants(StandingPolicy::default());
        let (listener, endpoint) = socket().await;
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let served = tonic_service::serve(listener, tenants, tokens(), per_minute(quota), stopped);
        Self { db, endpoint, database, stop, served: tokio::spawn(served) }
    }

    pub(crate) fn tenants(&self) -> Tenants<Notebook> {
        self.database.tenants(StandingPolicy::default())
    }

    pub(crate) async fn client(&self) -> Client {
        Client::new(self.endpoint.connect().await.unwrap())
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }

    pub(crate) async fn sql(&self, sql: String) {
        self.db.admin().execute(AssertSqlSafe(sql)).await.unwrap();
    }

    /// Creates a workspace with an editor and a reader.
    pub(crate) async fn workspace(&self) -> Workspace {
        let id = TenantId::generate();
        let [editor, reader] = [PrincipalId::generate(), PrincipalId::generate()];
        self.sql(format!(
            "insert into mt.users (id, email) values \
                 ('{editor}', '{editor}@example.org'), ('{reader}', '{reader}@example.org'); \
             insert into mt.tenants (id, name) values ('{id}', 'A workspace'); \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) values \
                 ('{id}', '{editor}', 'editor', true), ('{id}', '{reader}', 'reader', false)"
        ))
        .await;
        Workspace { id, editor, reader }
    }
}

/// A workspace and its members.
pub(crate) struct Workspace {
    pub(crate) id: TenantId,
    pub(crate) editor: PrincipalId,
    pub(crate) reader: PrincipalId,
}

/// Returns a request with the metadata of a caller.
pub(crate) fn call<T>(who: PrincipalId, workspace: TenantId, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = tokens().issue(who, 0).unwrap().token;
    let metadata = request.metadata_mut();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    metadata.insert("x-tenant-id", workspace.to_string().parse().unwrap());
    request
}

pub(crate) fn note(text: &str) -> AddNoteRequest {
    AddNoteRequest { text: text.to_owned() }
}
