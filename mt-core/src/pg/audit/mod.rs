//! An audit of the catalogue for tenant isolation.
//!
//! Policies depend on their table, the roles that they apply to, and the views and functions around them. [`Audit`]
//! reads the catalogue and reports violations. It changes nothing and needs no privileges, so a server can run it at
//! start with its own login.
//!
//! ```no_run
//! use mt_core::pg::audit::{Audit, Rule};
//! use mt_core::pg::{Database, PgError};
//!
//! async fn refuse_to_serve_what_leaks(database: &Database) -> Result<(), Box<dyn std::error::Error>> {
//!     let report = Audit::library()
//!         .schema("app")
//!         .except(Rule::TenantMissing, "app.countries", "the same for everybody")
//!         .run(database)
//!         .await?;
//!     if report.is_clean() { Ok(()) } else { Err(report.to_string().into()) }
//! }
//! ```
//!
//! # Scope
//!
//! Views, functions, tables and sequences are checked in every schema that the roles of transactions reach, and views
//! through the views that they use. Policies of an application are compared with the condition that `mt.isolate`
//! creates. Policies, privileges, functions, triggers and owners in the library's schema are compared with those that
//! the migrations create. The roles are those of transactions, the login, and every other login that may connect to
//! the database.
//!
//! # Limits
//!
//! It does not check queries: tests show that each filters by tenant (`testing::isolation`, feature `testing`). It
//! does not check the bodies of functions, nor what superusers may do.

mod library;
mod policy;
mod report;
mod rule;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Postgres};

use self::policy::Policy;
pub use self::report::{Finding, Report};
pub use self::rule::Rule;
use crate::pg::PgError;
use crate::pg::connection::database::Database;
use crate::pg::connection::logins::Login;
use crate::pg::connection::roles::{APP_ROLE, AUTHORITY_ROLE, SYSTEM_ROLE};
use crate::pg::migrate::migration;
use crate::pg::transaction::decode::variant;
use crate::pg::transaction::open_tx::{End, OpenTx};

/// A query of the audit; all begin with the facts about schemas, roles and tables.
macro_rules! subject {
    ($file:literal) => {
        concat!(include_str!("sql/known.sql"), include_str!(concat!("sql/", $file, ".sql")))
    };
}

/// Queries that return (rule, object, detail).
const SUBJECTS: [&str; 6] = [
    subject!("tables"),
    subject!("views"),
    subject!("roles"),
    subject!("privileges"),
    subject!("keys"),
    subject!("notes"),
];
const POLICIES: &str = subject!("policies");
const LIBRARY: &str = include_str!("sql/library.sql");

/// The scope of an audit and its exceptions.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Audit {
    schemas: Vec<String>,
    roles: Vec<String>,
    logins: Vec<String>,
    exceptions: Vec<Exception>,
}

/// A reviewed exception.
#[derive(Clone, Debug)]
struct Exception {
    rule: Rule,
    object: String,
    /// The policy, constraint or privilege, if an object can break a rule in several ways.
    detail: Option<String>,
}

impl Audit {
    /// Creates an audit of the library's schema `mt` and the roles of its transactions.
    pub fn library() -> Self {
        Self::default()
            .schema("mt")
            .role(APP_ROLE)
            .role(SYSTEM_ROLE)
            .role(AUTHORITY_ROLE)
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.billing_customers",
                "billing_customers_customer_key",
                "each customer pays for one tenant, and the provider generates the ids at random",
            )
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.checkout_sessions",
                "checkout_sessions_session_key",
                "each session buys for one tenant, and the provider generates the ids at random",
            )
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.outbox",
                "outbox_pkey",
                "the library generates the ids at random, and callers cannot choose one",
            )
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.tenants",
                "tenants_slug_key",
                "a slug is a public name: whether one is taken shows in every URL with it",
            )
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.domains",
                "domains_verified_key",
                "a domain has one owner, and tenants' transactions cannot verify one and so not try it",
            )
            .except(Rule::TenantNullable, "mt.outbox", "a request for a link has no tenant yet")
            .except(Rule::TenantMissing, "mt.users", "people are in several tenants")
            .except(Rule::TenantMissing, "mt.identities", "of a user, over all tenants")
            .except(Rule::TenantMissing, "mt.magic_links", "a link has no tenant")
            .except(Rule::TenantMissing, "mt.sign_in_networks", "of an address, over all tenants")
            .except(Rule::TenantMissing, "mt.job_schedules", "how far schedules have come")
            .except(Rule::TenantMissing, "mt.sweeps", "of a service, over all tenants")
            .except(Rule::TenantMissing, "mt.webhook_events", "the tenant is resolved later")
            .except(Rule::TenantMissing, "mt.webhook_attempts", "goes with the event")
            .except(Rule::TenantMissing, "mt.subscriptions", "keyed by customer, as events are")
            .except(Rule::TenantMissing, "mt.invoices", "keyed by customer, as events are")
            .except(Rule::TenantMissing, "mt.former_customers", "they no longer belong to a tenant")
            .except(
                Rule::TenantMissing,
                "mt.principal_idempotency_keys",
                "requests that are in no tenant",
            )
            .except(Rule::TenantMissing, "mt.schema_migrations", "the applied migrations")
    }

    /// Adds an application's schema, with all of its tables. In other schemas, objects that the roles of transactions
    /// reach are checked.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schemas.push(name.into());
        self
    }

    /// Adds a role that transactions run as.
    pub fn role(mut self, name: impl Into<String>) -> Self {
        self.roles.push(name.into());
        self
    }

    /// Adds a login of the service, such as the next one in a rotation. It is checked like the login of the audit,
    /// and is not reported as [`Rule::OtherLogin`].
    pub fn login(mut self, name: impl Into<String>) -> Self {
        self.logins.push(name.into());
        self
    }

    /// Accepts that `object`, named with its schema, violates `rule`. `reason` is for readers of the code. An
    /// exception that matches nothing is a finding itself.
    pub fn except(mut self, rule: Rule, object: impl Into<String>, reason: &'static str) -> Self {
        debug_assert!(!reason.is_empty(), "state the reason of the exception");
        self.exceptions.push(Exception { rule, object: object.into(), detail: None });
        self
    }

    /// Accepts a violation by one policy, constraint or privilege of `object`.
    pub fn except_one(
        self,
        rule: Rule,
        object: impl Into<String>,
        detail: impl Into<String>,
        reason: &'static str,
    ) -> Self {
        let mut audit = self.except(rule, object, reason);
        if let Some(last) = audit.exceptions.last_mut() {
            last.detail = Some(detail.into());
        }
        audit
    }

    /// Reads the catalogue in one transaction and returns the findings.
    ///
    /// # Errors
    ///
    /// [`PgError`] when a query fails.
    pub async fn run(&self, database: &Database) -> Result<Report, PgError> {
        let mut tx = database.begin_looking(Login::App).await?;
        // Postgres prints names without their schema if the schema is in this path.
        sqlx::query("select set_config('search_path', 'pg_catalog', true)")
            .execute(tx.conn())
            .await?;
        let mut logins = self.logins.clone();
        logins.push(database.pools().of(Login::System).name().to_owned());
        let mut found = Vec::new();
        for subject in SUBJECTS {
            let rows: Vec<(String, String, Option<String>)> =
                self.asked(subject, &logins).fetch_all(tx.conn()).await?;
            for (rule, object, detail) in rows {
                found.push(Finding { rule: variant("rule", &rule)?, object, detail });
            }
        }
        let policies: Vec<Policy> = self.asked(POLICIES, &logins).fetch_all(tx.conn()).await?;
        found.extend(policies.iter().flat_map(|policy| policy.breaches(&self.roles)));
        if self.schemas.iter().any(|schema| schema == "mt") {
            let library = sqlx::query_as(LIBRARY).fetch_all(tx.conn()).await?;
            let newest = newest_migration(&mut tx).await?;
            found.extend(match newest {
                Some(version) if version > migration::newest_version() => vec![Finding {
                    rule: Rule::SchemaNewer,
                    object: "mt".to_owned(),
                    detail: Some(format!("migration {version:04}")),
                }],
                _ => library::differences(&library),
            });
            found.retain(|finding| {
                !(matches!(finding.rule, Rule::DefinerExecutable | Rule::DefinerUnpinned)
                    && library::has_definer(&finding.object))
            });
        }
        tx.end(End::Commit).await?;
        Ok(self.without_exceptions(found))
    }

    fn asked<'a, R>(
        &'a self,
        sql: &'static str,
        logins: &'a [String],
    ) -> QueryAs<'a, Postgres, R, PgArguments>
    where
        R: for<'r> FromRow<'r, PgRow>,
    {
        let query = sqlx::query_as(sql).bind(&self.schemas).bind(&self.roles);
        query.bind(SYSTEM_ROLE).bind(logins)
    }

    fn without_exceptions(&self, found: Vec<Finding>) -> Report {
        let is_newer = found.iter().any(|finding| finding.rule == Rule::SchemaNewer);
        let mut unused: Vec<&Exception> = self.exceptions.iter().collect();
        let mut findings = Vec::new();
        for finding in found {
            match self.exceptions.iter().find(|exception| exception.covers(&finding)) {
                Some(known) => unused.retain(|exception| !std::ptr::eq(*exception, known)),
                None if is_newer && may_be_excepted(&finding) => {}
                None => findings.push(finding),
            }
        }
        findings.extend(unused.into_iter().map(|exception| Finding {
            rule: Rule::ExceptionUnused,
            object: exception.object.clone(),
            detail: exception.detail.clone(),
        }));
        Report::of(findings)
    }
}

/// Returns whether a newer version may have added what the finding is about, with an exception and a reason. An old
/// server has to start on the schema of the new one during a rollout.
fn may_be_excepted(finding: &Finding) -> bool {
    let has_exceptions = matches!(
        finding.rule,
        Rule::TenantMissing | Rule::TenantNullable | Rule::UniqueOmitsTenant
    );
    has_exceptions && finding.object.starts_with("mt.")
}

/// Returns the newest applied migration of the library. Roles of transactions may read the record, logins may not.
async fn newest_migration(tx: &mut OpenTx) -> Result<Option<i64>, sqlx::Error> {
    let readable: bool = sqlx::query_scalar(
        "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = 'mt' and c.relname = 'schema_migrations' \
                 and has_schema_privilege($1, n.oid, 'usage') and has_table_privilege($1, c.oid, 'select'))",
    )
    .bind(APP_ROLE)
    .fetch_one(tx.conn())
    .await?;
    if !readable {
        return Ok(None);
    }
    let sql = "select set_config('role', $1, true)";
    sqlx::query(sql).bind(APP_ROLE).execute(tx.conn()).await?;
    let newest = sqlx::query_scalar("select max(version) from mt.schema_migrations where success")
        .fetch_one(tx.conn())
        .await?;
    sqlx::query("select set_config('role', 'none', true)").execute(tx.conn()).await?;
    Ok(newest)
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.object == finding.object
            && (self.detail.is_none() || self.detail == finding.detail)
    }
}
