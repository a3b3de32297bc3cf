//! A product whose tenants are shops, with all endpoints mounted.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::{PriceTable, StandingPolicy};
use mt_core::pg::audit_log::Action;
use mt_core::pg::{self, Database};
use mt_core::testing::TestDatabase;
use mt_core::token::TokenHasher;
use mt_http::{
    ApiKeys, AuditLog, Billing, EndpointOptions, EndpointService, Endpoints, Guards, Invites, Jobs,
    Members, Noun, Operators, Roles, ServiceAccounts, SignIn, Tenants, WebhookEvents, Webhooks,
};
use mt_stripe::StripeConfig;
use mt_stripe::billing::{BillingConfig, Simulation, StripeBilling};
use mt_tower::rate_limit::PeerAddr;
use serde_json::Value;
use tower::ServiceExt as _;

mt_core::model! {
    /// Shops with clerks.
    pub Shops: audited;
    roles Role { Owner = "owner" (owner), Clerk = "clerk", Guest = "guest" }
    plans Plan { Basic = "basic" (initial), Plus = "plus" }
    permissions Right {
        //                                 Owner Clerk Guest  Basic Plus
        AccountsManage = "accounts.manage" [yes  no    no]    [yes  yes] exempt   write;
        AuditRead = "audit.read"          [yes   no    no]    [yes  yes] exempt   read;
        BillingManage = "billing.manage"  [yes   no    no]    [yes  yes] exempt   write + BillingRead;
        BillingRead = "billing.read"      [yes   yes   no]    [yes  yes] exempt   read;
        InvitesCreate = "invites.create"  [yes   no    no]    [yes  yes] required write;
        InvitesRead = "invites.read"      [yes   no    no]    [yes  yes] exempt   read;
        InvitesRevoke = "invites.revoke"  [yes   no    no]    [yes  yes] exempt   write;
        KeysManage = "keys.manage"        [yes   yes   no]    [yes  yes] exempt   write;
        KeysRead = "keys.read"            [yes   yes   no]    [yes  yes] exempt   read;
        MembersAssign = "members.assign"  [yes   no    no]    [yes  yes] required write;
        MembersRead = "members.read"      [yes   yes   no]    [yes  yes] exempt   read;
        MembersRemove = "members.remove"  [yes   yes   no]    [yes  yes] exempt   write;
        ShopDelete = "shop.delete"        [yes   no    no]    [yes  yes] exempt   write;
        ShopRead = "shop.read"            [yes   yes   no]    [yes  yes] exempt   read;
        ShopUpdate = "shop.update"        [yes   no    no]    [yes  yes] required write + ShopRead;
    }
    caps {
        Seats of members { Basic: 3, Plus: none }
        Keys of api_keys { Basic: 3, Plus: none }
    }
}

/// The operators' token.
pub(crate) const OPERATOR: &str = "the-token-of-operators";

/// A secret of this run.
static SECRET: LazyLock<String> =
    LazyLock::new(|| format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4()));
const ACTIONS: &[Action] = &[Action::new("till.opened", "till")];

/// Returns all endpoints.
pub(crate) fn endpoints() -> Endpoints<Shops> {
    Endpoints::new(Noun::new("shop", "shops"))
        .mount(SignIn)
        .mount(Tenants {
            read: ShopRead,
            update: ShopUpdate,
            delete: ShopDelete,
            usage: Shops::usage(),
        })
        .mount(Members { read: MembersRead, assign: MembersAssign, remove: MembersRemove })
        .mount(Roles { read: MembersRead, write: MembersAssign })
        .mount(Invites {
            read: InvitesRead,
            create: InvitesCreate,
            revoke: InvitesRevoke,
            seats: Seats,
        })
        .mount(ServiceAccounts { read: KeysRead, manage: AccountsManage })
        .mount(ApiKeys { read: KeysRead, manage: KeysManage, keys: Keys })
        .mount(AuditLog { read: AuditRead, actions: ACTIONS })
        .mount(Billing { read: BillingRead, manage: BillingManage })
        .mount(Webhooks)
        .mount(Operators)
        .mount(Jobs)
        .mount(WebhookEvents)
}

/// The service on a database of the test.
pub(crate) struct World {
    /// Removed with the world.
    _db: TestDatabase,
    pub(crate) database: Database,
    pub(crate) service: EndpointService<Shops>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Returns the body as JSON; `null` if there is none.
    pub(crate) fn json(&self) -> Value {
        if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body).unwrap() }
    }

    /// Returns the text of a member of the body.
    pub(crate) fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {self:?}")).to_owned()
    }
}

/// Returns what signs and checks access tokens.
pub(crate) fn tokens() -> Arc<JwtAuthenticator> {
    let key = JwtKey::hs256(&SECRET).unwrap();
    Arc::new(JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap())
}

/// Returns what makes and checks API keys.
pub(crate) fn keys(database: &Database) -> pg::api_keys::ApiKeys {
    database.api_keys("shop", TokenHasher::new(SECRET.as_bytes()))
}

/// Returns the settings, without mail: answers show the tokens of links.
pub(crate) fn options(database: &Database) -> EndpointOptions {
    let events =
        StripeConfig::new(PriceTable::new("basic").plan("plus", ["price_plus".to_owned()]));
    let page = "https://shops.example/billing?shop={tenant}";
    let config = BillingConfig {
        simulation: Some(Simulation {
            checkout_page: "https://shops.example/checkout/{session}".to_owned(),
        }),
        ..BillingConfig::new(events, "price_plus", page)
    };
    EndpointOptions::new(SECRET.as_bytes(), "https://shops.example")
        .tokens(tokens())
        .api_keys(keys(database))
        .stripe(StripeBilling::new(database.system(), config))
        .insecure_reveal_tokens(true)
}

/// Returns the guards, without limits by address.
pub(crate) fn guards(database: &Database) -> Guards {
    let tenants = database.tenants::<Shops>(StandingPolicy::default());
    Guards::new(&tenants, keys(database).or(tokens())).operator_token(OPERATOR)
}

/// Makes a service of `endpoints`.
pub(crate) fn serve(
    database: &Database,
    endpoints: Endpoints<Shops>,
    guards: Guards,
    options: EndpointOptions,
) -> EndpointService<Shops> {
    let tenants = database.tenants(StandingPolicy::default());
    endpoints.into_service(database, tenants, guards, options)
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::create().await.unwrap();
        let database = db.connect(8).await.unwrap();
        let service = serve(&database, endpoints(), guards(&database), options(&database));
        Self { _db: db, database, service }
    }

    /// Sends a request; `body` is sent as JSON.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        self.send_raw(request.body(Full::new(body)).unwrap()).await
    }

    /// Sends a request from one address, unless it names another.
    pub(crate) async fn send_raw(&self, mut request: Request<Full<Bytes>>) -> Reply {
        let peer = SocketAddr::from(([192, 0, 2, 7], 1));
        request.extensions_mut().get_or_insert_with(|| PeerAddr(peer));
        send_to(&self.service, request).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Reply {
        self.send(Method::GET, path, Some(token), None).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(token), Some(body)).await
    }

    /// Signs in by a link, and returns an access token.
    pub(crate) async fn sign_in(&self, email: &str) -> String {
        let wanted = Some(serde_json::json!({"email": email}));
        let link = self.send(Method::POST, "/auth/request-link", None, wanted).await;
        assert_eq!(link.status, 202, "{link:?}");
        let token = Some(serde_json::json!({"token": link.text("token")}));
        let signed_in = self.send(Method::POST, "/auth/redeem", None, token).await;
        assert_eq!(signed_in.status, 200, "{signed_in:?}");
        signed_in.text("access_token")
    }

    /// Makes a shop, and returns its path.
    pub(crate) async fn shop(&self, owner: &str) -> String {
        let made = self.post("/shops", owner, serde_json::json!({"name": "Acme"})).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.headers["location"].to_str().unwrap().to_owned()
    }

    /// Has a user join by an invite, and returns their access token.
    pub(crate) async fn member(&self, shop: &str, owner: &str, email: &str, role: &str) -> String {
        let body = serde_json::json!({"email": email, "role": role});
        let invite = self.post(&format!("{shop}/invites"), owner, body).await;
        assert_eq!(invite.status, 201, "{invite:?}");
        let member = self.sign_in(email).await;
        let token = serde_json::json!({"token": invite.text("token")});
        let joined = self.post("/invites/accept", &member, token).await;
        assert_eq!(joined.status, 200, "{joined:?}");
        member
    }
}

/// Sends `request` to `service`.
pub(crate) async fn send_to(
    service: &EndpointService<Shops>,
    request: Request<Full<Bytes>>,
) -> Reply {
    use http_body_util::BodyExt as _;

    let response = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply { status: parts.status, headers: parts.headers, body }
}
