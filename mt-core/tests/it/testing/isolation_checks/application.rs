//! A small application over `public.notes` with one fault.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use mt_core::id::{PrincipalId, TenantId};
use mt_core::testing::TestDatabase;
use mt_core::testing::isolation::{TenantFixture, TestRequest, TestResponse};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::support::World;

/// A fault that an application may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Shows whatever tenant the path names.
    ShowsAnyTenant,
    /// Puts the other's data into a header.
    ShowsInAHeader,
    /// Lists ids of all tenants.
    ShowsAnId,
    /// Asks for no credential.
    ShowsAnonymousCallers,
    /// Says 403 where it should say 404.
    TellsThereIsSomething,
    /// Has another header when the tenant exists.
    TellsByAHeader,
    /// Deletes by the id of the row alone.
    DeletesAnyTenants,
    /// Deletes what no condition keeps it from.
    DeletesEverything,
    /// Answers reads with nothing.
    ShowsNothing,
    AlwaysFails,
    RefusesMembers,
    /// Takes no body that there is.
    TakesNoBody,
    /// Says that it has made a note, and has not.
    ChangesNothing,
    CountsAllTenants,
    /// Tells the creator how many notes there are.
    NumbersAllTenants,
    /// Answers with the number of the request.
    Varies,
    /// Caches the first list for all callers.
    CachesLists,
    /// Caches the first list of a caller, in any tenant.
    CachesByCaller,
    TakesTheTenantOfAHeader,
    TakesTheTenantOfTheBody,
    /// Stores the newest note of all with each new one.
    CopiesRows,
    /// Leaves it to row-level security which notes are listed.
    OmitsTheTenant,
    LetsViewersDelete,
    TouchesAnotherTable,
    SeedsNoCanaries,
}

const ABSENT: &str = r#"{"code":"not-found","request_id":"<id>"}"#;

pub(crate) struct Application {
    world: World,
    fault: Fault,
    /// Runs a query of the application as `mt_app` in a sealed transaction.
    pool: PgPool,
    asked: AtomicU32,
    cache: Mutex<HashMap<String, String>>,
}

impl Application {
    pub(crate) async fn new(fault: Fault) -> Self {
        let world = World::new(1).await;
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
        let login = world.db.admin().connect_options().as_ref().clone();
        let pool = pool.connect_with(login).await.unwrap();
        Self { world, fault, pool, asked: AtomicU32::new(0), cache: Mutex::default() }
    }

    pub(crate) fn db(&self) -> &TestDatabase {
        &self.world.db
    }

    fn admin(&self) -> &PgPool {
        self.world.db.admin()
    }

    /// A tenant with an owner, a viewer and a note.
    pub(crate) async fn seed(&self, canary: String) -> TenantFixture {
        let (tenant, note) = (TenantId::generate(), Uuid::now_v7());
        let [owner, viewer] = [PrincipalId::generate(), PrincipalId::generate()];
        let name = if self.fault == Fault::SeedsNoCanaries { "unnamed" } else { &canary };
        let sql = format!(
            "insert into mt.users (id, email) values \
                 ('{owner}', 'owner-{name}-{owner}@example.org'), \
                 ('{viewer}', 'viewer-{name}-{viewer}@example.org'); \
             insert into mt.tenants (id, name) values ('{tenant}', '{name}'); \
             insert into mt.memberships (tenant_id, principal_id, role, is_owner) values \
                 ('{tenant}', '{owner}', 'owner', true), ('{tenant}', '{viewer}', 'viewer', false); \
             insert into public.notes (tenant_id, id, text) values ('{tenant}', '{note}', '{canary}')"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.admin()).await.unwrap();
        let party = TenantFixture::new(tenant).id("note", note);
        party.member("owner", owner.to_string()).member("viewer", viewer.to_string())
    }

    fn answer_with(&self, status: u16, body: &str) -> TestResponse {
        let id = format!("request-{}", self.asked.fetch_add(1, Ordering::Relaxed));
        TestResponse {
            status,
            body: body.replace("<id>", &id).into_bytes(),
            headers: vec![("x-request-id".to_owned(), id)],
        }
    }

    async fn text(&self, sql: &str) -> Option<String> {
        let text = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        text.fetch_one(self.admin()).await.unwrap()
    }

    /// The notes that a statement of the tenant's transaction sees, joined.
    async fn notes(&self, tenant: &str, condition: &str) -> Option<String> {
        let mut tx = self.pool.acquire().await.unwrap();
        let open = format!("begin; call mt.seal('{tenant}', '', ''); set local role mt_app");
        sqlx::raw_sql(AssertSqlSafe(open)).execute(&mut *tx).await.unwrap();
        let sql =
            format!("select string_agg(text, ' ' order by id) from public.notes where {condition}");
        let notes = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *tx).await;
        sqlx::raw_sql("rollback").execute(&mut *tx).await.unwrap();
        notes.unwrap()
    }

    /// The role of the caller in the tenant.
    async fn role(&self, call: &TestRequest, tenant: &str) -> Option<String> {
        let caller = call.bearer()?;
        self.text(&format!(
            "select max(role) from mt.memberships \
             where tenant_id = '{tenant}' and principal_id = '{caller}'"
        ))
        .await
    }

    pub(crate) async fn answer(&self, call: TestRequest) -> TestResponse {
        let fault = self.fault;
        let path = call.path.split('?').next().unwrap();
        let mut path = path.split('/').skip(1);
        let (mut tenant, what, note) =
            (path.next().unwrap().to_owned(), path.next().unwrap_or_default(), path.next());
        let named = format!("select max(name) from mt.tenants where id = '{tenant}'");
        let exists = self.text(&named).await.is_some();
        let role = self.role(&call, &tenant).await;
        let role = match fault {
            Fault::RefusesMembers => None,
            Fault::ShowsAnyTenant if exists => Some("owner".to_owned()),
            Fault::ShowsAnonymousCallers if exists && call.bearer().is_none() => {
                Some("viewer".to_owned())
            }
            _ => role,
        };
        let Some(role) = role else { return self.refused(&tenant, exists).await };
        if fault == Fault::AlwaysFails {
            return self.answer_with(500, "");
        }
        let named = call.headers.iter().find(|(name, _)| name == "x-shop-id");
        if let (Fault::TakesTheTenantOfAHeader, Some((_, named))) = (fault, named) {
            tenant.clone_from(named);
        }
        match (call.method.as_str(), what, note) {
            ("GET", "notes", None) => self.list(&call, &tenant).await,
            ("GET", "notes", Some(note)) => self.find(&tenant, note).await,
            ("GET", "count", None) => self.count(&tenant).await,
            ("POST", "notes", None) if role == "owner" => self.create(&call, tenant).await,
            ("DELETE", "notes", Some(note))
                if role == "owner" || fault == Fault::LetsViewersDelete =>
            {
                self.delete(&tenant, note).await
            }
            _ => self.answer_with(404, ABSENT),
        }
    }

    async fn refused(&self, tenant: &str, exists: bool) -> TestResponse {
        let mut absent = self.answer_with(404, ABSENT);
        if exists && self.fault == Fault::TellsThereIsSomething {
            absent.status = 403;
        }
        if exists && self.fault == Fault::TellsByAHeader {
            absent.headers.push(("etag".to_owned(), "1".to_owned()));
        }
        if exists && self.fault == Fault::ShowsInAHeader {
            let name = format!("select name from mt.tenants where id = '{tenant}'");
            absent.headers.push(("x-name".to_owned(), self.text(&name).await.unwrap()));
        }
        absent
    }

    async fn list(&self, call: &TestRequest, tenant: &str) -> TestResponse {
        let own = format!("tenant_id = '{tenant}'");
        let condition = if self.fault == Fault::OmitsTheTenant { "true" } else { &own };
        let mut list = self.notes(tenant, condition).await.unwrap_or_default();
        let key = match self.fault {
            Fault::CachesLists => Some(String::new()),
            Fault::CachesByCaller => call.bearer().map(str::to_owned),
            _ => None,
        };
        if let Some(key) = key {
            let mut cache = self.cache.lock().unwrap();
            let cached = cache.entry(key).or_insert_with(|| list.clone());
            list.clone_from(cached);
        }
        match self.fault {
            Fault::ShowsNothing => list.clear(),
            Fault::Varies => list += &self.asked.load(Ordering::Relaxed).to_string(),
            Fault::ShowsAnId => {
                let ids = "select string_agg(id::text, ' ' order by id) from public.notes";
                list += &self.text(ids).await.unwrap_or_default();
            }
            _ => {}
        }
        self.answer_with(200, &list)
    }

    async fn find(&self, tenant: &str, note: &str) -> TestResponse {
        let found = format!("tenant_id = '{tenant}' and id = '{note}'");
        match self.notes(tenant, &found).await {
            Some(note) if self.fault != Fault::ShowsNothing => self.answer_with(200, &note),
            Some(_) => self.answer_with(200, ""),
            None => self.answer_with(404, ABSENT),
        }
    }

    async fn count(&self, tenant: &str) -> TestResponse {
        let counted = match self.fault {
            Fault::CountsAllTenants => "true".to_owned(),
            _ => format!("tenant_id = '{tenant}'"),
        };
        let sql = format!("select count(*)::text from public.notes where {counted}");
        self.answer_with(200, &self.text(&sql).await.unwrap())
    }

    async fn create(&self, call: &TestRequest, mut tenant: String) -> TestResponse {
        let body = call.body.as_deref().unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let Some(text) = body["text"].as_str().filter(|_| self.fault != Fault::TakesNoBody) else {
            return self.answer_with(422, "");
        };
        if let (Fault::TakesTheTenantOfTheBody, Some(named)) =
            (self.fault, body["shop_id"].as_str())
        {
            named.clone_into(&mut tenant);
        }
        let mut text = text.to_owned();
        if self.fault == Fault::CopiesRows {
            text = self.text("select text from public.notes order by id limit 1").await.unwrap();
        }
        if self.fault != Fault::ChangesNothing {
            let sql = "insert into public.notes (tenant_id, text) values ($1, $2)";
            let tenant: Uuid = tenant.parse().unwrap();
            sqlx::query(sql).bind(tenant).bind(text).execute(self.admin()).await.unwrap();
        }
        if self.fault == Fault::TouchesAnotherTable {
            let sql = format!("update mt.tenants set updated_at = now() where id = '{tenant}'");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.admin()).await.unwrap();
        }
        let number = match self.fault {
            Fault::NumbersAllTenants => "select count(*)::text from public.notes".to_owned(),
            _ => format!("select count(*)::text from public.notes where tenant_id = '{tenant}'"),
        };
        let number = self.text(&number).await.unwrap();
        self.answer_with(201, &format!(r#"{{"number":{number}}}"#))
    }

    async fn delete(&self, tenant: &str, note: &str) -> TestResponse {
        let deleted = match self.fault {
            Fault::DeletesAnyTenants => format!("id = '{note}'"),
            Fault::DeletesEverything => "true".to_owned(),
            _ => format!("tenant_id = '{tenant}' and id = '{note}'"),
        };
        let sql = format!("delete from public.notes where {deleted}");
        let deleted = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.admin()).await.unwrap();
        match deleted.rows_affected() {
            0 => self.answer_with(404, ABSENT),
            _ => self.answer_with(204, ""),
        }
    }
}
