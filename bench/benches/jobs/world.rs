//! A database with tenants, and jobs that are ready in them.

use mt_core::testing::TestDatabase;
use sqlx::AssertSqlSafe;

mt_core::model! {
    pub(crate) Notebook;
    roles Role { Owner = "owner" (owner) }
    plans Plan { Free = "free" (initial) }
    permissions Action { NotesWrite = "notes.write" [yes] [yes] required write; }
}

/// How many tenants there are. Jobs are spread over some of them.
pub(crate) const TENANTS: u32 = 10_000;
/// How many jobs each part of a round begins with: more than it can run.
pub(crate) const JOBS: u32 = 10_000;

/// The text of a note.
pub(crate) const TEXT: &str = "A note that a job has written";

/// Creates `public.enter`, which does what `mt.enter` does, in any message of a transaction. pgbench sends each statement
/// in a message of its own, and `mt.enter` refuses that.
const ENTER: &str = "do $$ begin execute replace(replace( \
    pg_get_functiondef('mt.enter(text, text, text, integer, text)'::regprocedure), \
    'PROCEDURE mt.enter(', 'PROCEDURE public.enter('), \
    'statement_timestamp() <> transaction_timestamp()', 'false'); end $$";

pub(crate) struct World {
    pub(crate) db: TestDatabase,
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self { db: TestDatabase::create().await.expect("a database") };
        // Each tenant has its own owner, as whom its jobs run. pgbench cannot make tickets, so the table has one for each.
        world
            .run(&format!(
                "create table public.notes (tenant_id uuid not null, id uuid not null default gen_random_uuid(), \
                     text text not null, primary key (tenant_id, id)); \
                 alter table public.notes owner to mt_owner; \
                 select mt.isolate('public.notes'); \
                 create table public.numbered as select md5('t' || n)::uuid as tenant, md5('u' || n)::uuid as owner, n \
                     from generate_series(1, {TENANTS}) n; \
                 insert into mt.tenants (id, name) select tenant, 'Tenant ' || n from public.numbered; \
                 insert into mt.users (id, email) select owner, 'u' || n || '@example.org' from public.numbered; \
                 insert into mt.memberships (tenant_id, principal_id, role, is_owner) \
                     select tenant, owner, 'owner', true from public.numbered; \
                 alter table public.numbered add ticket text; \
                 update public.numbered set ticket = encode(sha256(mt.seal_key() \
                     || convert_to(format('enter 0 %s %s ', tenant, owner), 'UTF8')), 'hex'); \
                 analyze"
            ))
            .await;
        world.run(ENTER).await;
        world
    }

    /// Replaces all jobs by [`JOBS`] that are ready, of so many tenants in turn.
    ///
    /// A payload also holds the ticket with which pgbench opens the transaction of the job; the library ignores it.
    pub(crate) async fn fill(&self, tenants: u32) {
        self.empty().await;
        self.add(JOBS, tenants).await;
        self.run("vacuum analyze mt.jobs, public.notes").await;
    }

    pub(crate) async fn empty(&self) {
        self.run("truncate mt.jobs, public.notes; select setval('mt.job_clock', 0)").await;
    }

    /// Adds jobs of the first `tenants` tenants.
    pub(crate) async fn add(&self, jobs: u32, tenants: u32) {
        self.add_from(jobs, tenants, 1).await;
    }

    /// Adds jobs of `tenants` tenants from number `first` on, with ids in the order in which they are enqueued.
    pub(crate) async fn add_from(&self, jobs: u32, tenants: u32, first: u32) {
        self.run(&format!(
            "insert into mt.jobs (tenant_id, id, kind, payload, authority, principal_id, credential) \
                 select tenant, ('00000000-0000-7000-8000-' || lpad(to_hex(job), 12, '0'))::uuid, 'note', \
                     jsonb_build_object('text', '{TEXT}', 'ticket', ticket), 'principal', owner, '{{}}' \
                 from generate_series(0, {jobs} - 1) job join public.numbered on n = {first} + job % {tenants}"
        ))
        .await;
    }

    /// Runs statements as a superuser.
    pub(crate) async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(self.db.admin()).await.expect("a statement");
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.expect("a number")
    }
}
