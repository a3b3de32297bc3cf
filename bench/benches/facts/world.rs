//! A database with members, custom roles, API keys and service accounts.

use mt_core::auth::Principal;
use mt_core::id::{ApiKeyId, PrincipalId, ServiceAccountId, TenantId};
use mt_core::testing::TestDatabase;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

mt_core::model! {
    pub(crate) Notebook;
    roles Role { Owner = "owner" (owner), Editor = "editor" }
    plans Plan { Free = "free" (initial) }
    permissions Action {
        NotesRead = "notes.read" [yes yes] [yes] exempt read;
        NotesWrite = "notes.write" [yes yes] [yes] required write + NotesRead;
    }
}

/// The tenant and the member that are measured, of 1000 tenants with ten members each.
const TENANT: &str = "t500";
const MEMBER: &str = "u500-1";
/// A member with a custom role.
const CUSTOM: &str = "u500-2";
/// A key of the member, and one of the service account that acts on behalf of the member.
const KEY: &str = "k500";
const AGENTS_KEY: &str = "a500";
const AGENT: &str = "s500";

/// Each statement runs as a superuser.
const SETUP: &str = "create table public.notes (tenant_id uuid not null, id uuid not null default gen_random_uuid(), \
         text text not null, primary key (tenant_id, id)); \
     alter table public.notes owner to mt_owner; \
     select mt.isolate('public.notes'); \
     create table public.numbered as select md5('t' || n)::uuid as tenant, n from generate_series(1, 1000) n; \
     insert into mt.tenants (id, name) select tenant, 'Tenant ' || n from public.numbered; \
     insert into mt.users (id, email) select md5('u' || n || '-' || m)::uuid, n || '-' || m || '@example.org' \
         from public.numbered, generate_series(0, 9) m; \
     insert into mt.roles (tenant_id, id, name, based_on, permissions) \
         select tenant, md5('r' || n)::uuid, 'Reader', 'editor', '{notes.read}' from public.numbered; \
     insert into mt.memberships (tenant_id, principal_id, role, is_owner, role_id) \
         select tenant, md5('u' || n || '-' || m)::uuid, case m when 0 then 'owner' else 'editor' end, m = 0, \
             case m when 2 then md5('r' || n)::uuid end from public.numbered, generate_series(0, 9) m; \
     insert into mt.service_accounts (tenant_id, id, name, role, created_by) \
         select tenant, md5('s' || n)::uuid, 'Agent', 'editor', md5('u' || n || '-0')::uuid from public.numbered; \
     insert into mt.api_keys (tenant_id, id, user_id, service_account_id, name, digest, hint, series, created_by) \
         select tenant, md5(kind || n)::uuid, md5('u' || n || '-1')::uuid, \
             case kind when 'a' then md5('s' || n)::uuid end, 'A key', sha256((kind || n)::bytea), 'key', \
             md5(kind || n)::uuid, md5('u' || n || '-1')::uuid from public.numbered, unnest(array['k', 'a']) kind; \
     insert into public.notes (tenant_id, text) select tenant, 'Note ' || m from public.numbered, generate_series(1, 100) m; \
     vacuum analyze";

pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) tenant: TenantId,
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::create().await.expect("a database");
        for statement in SETUP.split("; ") {
            let sql = sqlx::raw_sql(AssertSqlSafe(statement));
            sql.execute(db.admin()).await.expect("a statement");
        }
        let tenant = TenantId::from_uuid(id(&db, TENANT).await);
        Self { db, tenant }
    }

    /// A member without a custom role.
    pub(crate) async fn member(&self) -> Principal {
        Principal::in_generation(PrincipalId::from_uuid(id(&self.db, MEMBER).await), 0)
    }

    pub(crate) async fn custom_member(&self) -> Principal {
        Principal::in_generation(PrincipalId::from_uuid(id(&self.db, CUSTOM).await), 0)
    }

    /// The member, by a key.
    pub(crate) async fn key(&self) -> Principal {
        let key = ApiKeyId::from_uuid(id(&self.db, KEY).await);
        self.member().await.by_key(key, self.tenant)
    }

    /// The member, by the key of the agent that acts on their behalf.
    pub(crate) async fn agent(&self) -> Principal {
        let key = ApiKeyId::from_uuid(id(&self.db, AGENTS_KEY).await);
        let agent = ServiceAccountId::from_uuid(id(&self.db, AGENT).await);
        self.member().await.by_key(key, self.tenant).acted_by(agent)
    }
}

/// The id of a name.
async fn id(db: &TestDatabase, name: &str) -> Uuid {
    let id = sqlx::query_scalar("select md5($1)::uuid").bind(name);
    id.fetch_one(db.admin()).await.expect("an id")
}
