//! Guards, extractors and refusals inside salvo, on a database.

use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::billing::StandingPolicy;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::pg::audit_log::Action;
use mt_core::pg::{Tenants, query_scalar};
use mt_core::testing::TestDatabase;
use mt_salvo::{Caller, GuardHandler, Refusal, Tenant};
use mt_tower::authenticate::Authenticate;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::{PathParam, ResolveTenant};
use mt_tower::{Guard, RequestContext, ResponseHeaders};
use salvo::http::{HeaderName, HeaderValue};
use salvo::prelude::*;
use salvo::test::{ResponseExt as _, TestClient};
use sqlx::Executor as _;
use uuid::Uuid;

mt_core::model! {
    Notebook: audited;
    roles Role { Owner = "owner" (owner), Reader = "reader" }
    plans Plan { Free = "free" (initial) }
    permissions Permission {
        //                        Owner Reader  Free
        NotesRead = "notes.read" [yes   yes]   [yes] exempt read;
        NotesAdd = "notes.add"   [yes   no]    [yes] required write;
    }
}

const NOTE_ADDED: Action = Action::new("note.added", "note");

#[handler]
async fn list(notebook: Tenant<NotesRead>) -> Result<Json<Vec<String>>, Refusal> {
    let texts = "select text from public.notes where tenant_id = mt.tenant_id() order by id";
    Ok(Json(notebook.fetch_all(query_scalar(texts)).await?))
}

#[handler]
async fn add(notebook: Tenant<NotesAdd>) -> Result<StatusCode, Refusal> {
    notebook
        .write(async |tx| {
            let id = Uuid::now_v7();
            sqlx::query("insert into public.notes (id, text) values ($1, 'new')")
                .bind(id)
                .execute(tx.execute::<NotesAdd>(NOTE_ADDED.on(id)))
                .await
                .map_err(mt_core::pg::PgError::from)?;
            Ok(())
        })
        .await?;
    Ok(StatusCode::CREATED)
}

/// A bearer token is the principal's id.
struct BearerIsPrincipal;

impl Authenticator for BearerIsPrincipal {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        let id = credential.parse().map_err(|_| AuthError::Invalid("not an id".to_owned()))?;
        Ok(Principal::new(PrincipalId::from_uuid(id)))
    }
}

fn routes() -> Router {
    let guards = (Authenticate::new(BearerIsPrincipal), ResolveTenant::new(PathParam("id")));
    Router::with_path("notebooks/{id}/notes").hoop(GuardHandler::new(guards)).get(list).post(add)
}

#[tokio::test]
async fn a_handler_gets_its_permission_in_the_tenant_of_the_path() {
    let db = TestDatabase::create().await.unwrap();
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let (owner, reader) = (PrincipalId::generate(), PrincipalId::generate());
    let setup = format!(
        "create table public.notes (tenant_id uuid not null default mt.tenant_id(), \
             id uuid not null, text text not null, primary key (tenant_id, id)); \
         select mt.isolate('public.notes'); \
         insert into mt.tenants (id, name) values ('{tenant}', 'a'), ('{other}', 'b'); \
         insert into mt.users (id, email) \
             values ('{owner}', 'owner@example.org'), ('{reader}', 'reader@example.org'); \
         insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
             values ('{tenant}', '{owner}', 'owner', true), ('{tenant}', '{reader}', 'reader', false)"
    );
    db.admin().execute(sqlx::AssertSqlSafe(setup)).await.unwrap();
    let database = db.connect(4).await.unwrap();
    let tenants: Tenants<Notebook> = database.tenants(StandingPolicy::default());
    let service = Service::new(Router::new().hoop(affix_state::inject(tenants)).push(routes()));
    let notes = |tenant| format!("http://server/notebooks/{tenant}/notes");

    for (tenant, caller, create, read) in [
        (tenant, Some(owner), 201, 200),
        (tenant, Some(reader), 403, 200),
        (other, Some(owner), 404, 404),
        (tenant, None, 401, 401),
    ] {
        let bearer = caller.map(|caller| format!("Bearer {caller}")).unwrap_or_default();
        let created = TestClient::post(notes(tenant)).add_header("authorization", &bearer, true);
        let created = created.send(&service).await;
        assert_eq!(created.status_code.unwrap(), create, "{caller:?} in {tenant}");
        let listed = TestClient::get(notes(tenant)).add_header("authorization", &bearer, true);
        let mut listed = listed.send(&service).await;
        assert_eq!(listed.status_code.unwrap(), read, "{caller:?} in {tenant}");
        let body = listed.take_string().await.unwrap();
        let expected = if read == 200 { r#"["new"]"# } else { r#"{"type":"/problems/"# };
        assert!(body.starts_with(expected), "{body}");
    }
}

#[tokio::test]
async fn what_is_missing_fails_and_never_passes() {
    let without_tenants = Service::new(routes());
    let path = format!("http://server/notebooks/{}/notes", TenantId::generate());
    let bearer = format!("Bearer {}", PrincipalId::generate());
    let asked = TestClient::get(&path).add_header("authorization", &bearer, true);
    assert_eq!(asked.send(&without_tenants).await.status_code.unwrap(), 500);

    #[handler]
    async fn me(caller: Caller) -> String {
        caller.0.id().to_string()
    }
    let unguarded = Service::new(Router::with_path("me").get(me));
    let asked = TestClient::get("http://server/me").send(&unguarded).await;
    assert_eq!(asked.status_code.unwrap(), 500);
}

/// Adds a header, and refuses a request with a query.
struct Announces;

impl Guard for Announces {
    async fn check<'a>(&'a self, request: RequestContext<'a>) -> Result<(), Problem> {
        let name = HeaderName::from_static("x-quota");
        request.response_headers.append(name, HeaderValue::from_static("7"));
        if request.uri.query().is_some() { Err(Problem::FORBIDDEN) } else { Ok(()) }
    }
}

#[handler]
async fn hello() -> &'static str {
    "hello"
}

#[tokio::test]
async fn headers_of_a_guard_are_added_or_left_for_an_outer_handler() {
    let guarded = || Router::with_path("a").hoop(GuardHandler::new(Announces)).get(hello);
    let service = Service::new(guarded());
    for (path, status) in [("http://server/a", 200), ("http://server/a?refuse", 403)] {
        let answer = TestClient::get(path).send(&service).await;
        assert_eq!(answer.status_code.unwrap(), status);
        assert_eq!(answer.headers()["x-quota"], "7");
    }

    /// Collects the headers of guards behind it, and says how many there are.
    #[handler]
    async fn collects(
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) {
        req.extensions_mut().insert(ResponseHeaders::new());
        ctrl.call_next(req, depot, res).await;
        assert!(res.headers().get("x-quota").is_none());
        let left = req.extensions_mut().remove::<ResponseHeaders>().unwrap();
        res.headers_mut().insert("x-left", HeaderValue::from(left.into_iter().count()));
    }
    let service = Service::new(Router::new().hoop(collects).push(guarded()));
    for path in ["http://server/a", "http://server/a?refuse"] {
        assert_eq!(TestClient::get(path).send(&service).await.headers()["x-left"], "1");
    }
}
