//! Whether the schema can be spread over machines by tenant, as Citus does it.
//!
//! Citus refuses a unique constraint of a distributed table that does not hold the distribution column, and a
//! foreign key between two distributed tables that does not hold it on both sides; a key to a table that is
//! on every node is fine, the other way around is not
//! (<https://docs.citusdata.com/en/stable/develop/reference_ddl.html>). The layout is that of `docs/scaling.md`.

use std::collections::BTreeMap;

use mt_core::testing::TestDatabase;
use reference_server::schema;
use sqlx::AssertSqlSafe;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Spread by this column, rows of one tenant together.
    By(&'static str),
    /// Whole on every node.
    Everywhere,
    /// On the coordinator alone: what belongs to nobody yet, and the ledger, whose order is one.
    Coordinator,
}
use Place::{By, Coordinator, Everywhere};

const LAYOUT: [(&str, Place); 19] = [
    ("app.projects", By("tenant_id")),
    ("app.schema_migrations", Coordinator),
    ("app.tasks", By("tenant_id")),
    ("mt.audit_log", By("tenant_id")),
    ("mt.billing_customers", Coordinator),
    ("mt.checkout_sessions", Coordinator),
    ("mt.idempotency_keys", By("tenant_id")),
    ("mt.invites", By("tenant_id")),
    ("mt.invoices", Coordinator),
    ("mt.magic_links", Coordinator),
    ("mt.memberships", By("tenant_id")),
    ("mt.outbox", Coordinator),
    ("mt.principal_idempotency_keys", Coordinator),
    ("mt.schema_migrations", Coordinator),
    ("mt.subscriptions", Coordinator),
    ("mt.tenants", By("id")),
    ("mt.users", Everywhere),
    ("mt.webhook_attempts", Coordinator),
    ("mt.webhook_events", Coordinator),
];

/// What has to go before the tables are spread, and why it may.
const DROPPED: [(&str, &str); 3] = [
    // A customer or a session outlives its tenant by a moment then; the library looks for both by tenant.
    ("billing_customers_tenant_id_fkey", "from the coordinator to a distributed table"),
    ("checkout_sessions_tenant_id_fkey", "from the coordinator to a distributed table"),
    ("outbox_tenant_id_fkey", "from the coordinator to a distributed table"),
];

/// Its name, from where to where, and the columns on both sides.
type ForeignKey = (String, String, String, Vec<String>, Vec<String>);

/// What stands in the way, as `constraint: why`.
async fn obstacles(db: &TestDatabase) -> BTreeMap<String, String> {
    let layout = BTreeMap::from(LAYOUT);
    let mut found = BTreeMap::new();
    let unique: Vec<(String, String, Vec<String>)> = sqlx::query_as(
        "select i.indrelid::regclass::text, c.relname::text, array( \
             select a.attname::text from unnest(i.indkey[0:i.indnkeyatts - 1]) k \
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k) \
         from pg_index i join pg_class c on c.oid = i.indexrelid \
         join pg_namespace n on n.oid = c.relnamespace \
         where i.indisunique and n.nspname in ('mt', 'app')",
    )
    .fetch_all(db.admin())
    .await
    .unwrap();
    for (table, index, columns) in unique {
        if let By(column) = layout[table.as_str()]
            && !columns.iter().any(|one| one == column)
        {
            found.insert(index, "a unique index without the distribution column".to_owned());
        }
    }
    let keys: Vec<ForeignKey> = sqlx::query_as(
        "select k.conname::text, k.conrelid::regclass::text, k.confrelid::regclass::text, \
             array(select a.attname::text from unnest(k.conkey) with ordinality n (at, place) \
                 join pg_attribute a on a.attrelid = k.conrelid and a.attnum = n.at order by place), \
             array(select a.attname::text from unnest(k.confkey) with ordinality n (at, place) \
                 join pg_attribute a on a.attrelid = k.confrelid and a.attnum = n.at order by place) \
         from pg_constraint k join pg_namespace n on n.oid = k.connamespace \
         where k.contype = 'f' and n.nspname in ('mt', 'app')",
    )
    .fetch_all(db.admin())
    .await
    .unwrap();
    for (key, from, to, columns, targets) in keys {
        let why = match (layout[from.as_str()], layout[to.as_str()]) {
            (By(here), By(there)) => {
                let mut pairs = columns.iter().zip(&targets);
                (!pairs.any(|pair| (pair.0.as_str(), pair.1.as_str()) == (here, there)))
                    .then_some("between distributed tables, without the distribution column")
            }
            (_, Everywhere) | (Coordinator, Coordinator) => None,
            (Coordinator, By(_)) => Some("from the coordinator to a distributed table"),
            (Everywhere, _) => Some("from a table on every node"),
            (By(_), Coordinator) => Some("from a distributed table to the coordinator"),
        };
        if let Some(why) = why {
            found.insert(key, why.to_owned());
        }
    }
    found
}

#[tokio::test]
async fn the_schema_can_be_spread_by_tenant() {
    let db = TestDatabase::create_with(&[schema::product()]).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p') and n.nspname in ('mt', 'app') order by 1",
    )
    .fetch_all(db.admin())
    .await
    .unwrap();
    assert_eq!(tables, LAYOUT.map(|(table, _)| table), "each table has its place");
    let document = include_str!("../../../../docs/scaling.md");
    for (table, _) in LAYOUT {
        let name = format!("`{}`", table.trim_start_matches("mt."));
        assert!(document.contains(&name), "docs/scaling.md does not say where {table} goes");
    }

    let expected: BTreeMap<_, _> =
        DROPPED.iter().map(|(key, why)| ((*key).to_owned(), (*why).to_owned())).collect();
    assert_eq!(obstacles(&db).await, expected);

    // The control: a key that forgets the tenant is found, and so is a unique index.
    for spoil in [
        "create unique index spoilt on app.projects (name)",
        "alter table app.projects add constraint one unique (id); \
         alter table app.tasks add constraint spoilt foreign key (project_id) references app.projects (id)",
    ] {
        let mut found = obstacles(&db).await.len();
        sqlx::raw_sql(AssertSqlSafe(spoil)).execute(db.admin()).await.unwrap();
        let after = obstacles(&db).await;
        found = after.len() - found;
        assert!(found > 0 && after.contains_key("spoilt"), "{after:?}");
    }
}
