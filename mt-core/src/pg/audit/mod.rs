//! An audit of everything in the catalogue that keeps tenants apart.
//!
//! Policies are only as good as the table that they are on, the roles that they bind, and the views
//! and functions around them. [`Audit`] reads the catalogue and names what is missing. It changes
//! nothing and needs no rights, so that a server can run it at its start, as its own login.
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
//! # What it does not see
//!
//! Queries: that each names its tenant is for tests to show
//! (`testing::isolation`, feature `testing`). And who may become which role outside of the roles
//! that it is told of.

mod report;
mod rule;

pub use self::report::{Finding, Report};
pub use self::rule::Rule;
use super::PgError;
use super::database::{APP_ROLE, AUTHORITY_ROLE, Database, SYSTEM_ROLE};
use super::decode::word;
use super::open_tx::End;

const AUDIT: &str = include_str!("audit.sql");

/// What to look at, and what has been looked at before.
#[derive(Clone, Debug)]
#[must_use]
pub struct Audit {
    schemas: Vec<String>,
    roles: Vec<String>,
    exceptions: Vec<Exception>,
}

/// A finding that somebody has reviewed.
#[derive(Clone, Debug)]
struct Exception {
    rule: Rule,
    object: String,
    /// Only of that name, where an object can break a rule in several ways.
    detail: Option<String>,
}

impl Audit {
    /// The library's own schema, `mt`, and the roles that its transactions run as.
    pub fn library() -> Self {
        Self { schemas: Vec::new(), roles: Vec::new(), exceptions: Vec::new() }
            .schema("mt")
            .role(APP_ROLE)
            .role(SYSTEM_ROLE)
            .role(AUTHORITY_ROLE)
            .except_one(
                Rule::PolicyIgnoresTenant,
                "mt.users",
                "authority",
                "the one row of whoever asks, whose generation is the same in every tenant",
            )
            .except_one(
                Rule::PolicyIgnoresTenant,
                "mt.users",
                "own",
                "one's own row, in any tenant",
            )
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.billing_customers",
                "billing_customers_customer_key",
                "nobody pays for two tenants, and the provider makes the ids up at random",
            )
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.checkout_sessions",
                "checkout_sessions_session_key",
                "nobody buys for two tenants at once, and the provider makes the ids up at random",
            )
            .except_one(
                Rule::UniqueOmitsTenant,
                "mt.outbox",
                "outbox_pkey",
                "the library makes the ids up, at random, and nobody else can name one",
            )
            .except(Rule::TenantNullable, "mt.outbox", "who asks for a link is nobody yet")
            .except(Rule::TenantMissing, "mt.users", "people are in several tenants")
            .except(Rule::TenantMissing, "mt.magic_links", "nobody is signed in yet")
            .except(Rule::TenantMissing, "mt.webhook_events", "the tenant is found out later")
            .except(Rule::TenantMissing, "mt.webhook_attempts", "goes with the event")
            .except(Rule::TenantMissing, "mt.subscriptions", "as events tell of them")
            .except(Rule::TenantMissing, "mt.invoices", "as events tell of them")
            .except(Rule::TenantMissing, "mt.former_customers", "they pay for no tenant any more")
            .except(
                Rule::TenantMissing,
                "mt.principal_idempotency_keys",
                "requests that are in no tenant",
            )
            .except(Rule::TenantMissing, "mt.schema_migrations", "which versions are applied")
    }

    /// With an application's schema.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schemas.push(name.into());
        self
    }

    /// With another role that transactions run as.
    pub fn role(mut self, name: impl Into<String>) -> Self {
        self.roles.push(name.into());
        self
    }

    /// Accepts that `object`, named with its schema, breaks `rule`. `reason` is for readers of the
    /// code. An exception that matches nothing is a finding itself.
    pub fn except(mut self, rule: Rule, object: impl Into<String>, reason: &'static str) -> Self {
        debug_assert!(!reason.is_empty(), "an exception has a reason");
        self.exceptions.push(Exception { rule, object: object.into(), detail: None });
        self
    }

    /// The same for one policy, constraint or privilege of `object`.
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

    /// Reads the catalogue, in one query.
    ///
    /// # Errors
    ///
    /// [`PgError`].
    pub async fn run(&self, database: &Database) -> Result<Report, PgError> {
        let mut tx = database.begin_looking().await?;
        let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(AUDIT)
            .bind(&self.schemas)
            .bind(&self.roles)
            .bind(SYSTEM_ROLE)
            .fetch_all(tx.conn())
            .await?;
        tx.end(End::Commit).await?;
        let findings = rows.into_iter().map(|(rule, object, detail)| {
            Ok(Finding { rule: word("rule", &rule)?, object, detail })
        });
        let findings = findings.collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok(self.without_exceptions(findings))
    }

    fn without_exceptions(&self, found: Vec<Finding>) -> Report {
        let mut unused: Vec<&Exception> = self.exceptions.iter().collect();
        let mut findings = Vec::new();
        for finding in found {
            match self.exceptions.iter().find(|exception| exception.covers(&finding)) {
                Some(known) => unused.retain(|exception| !std::ptr::eq(*exception, known)),
                None => findings.push(finding),
            }
        }
        findings.extend(unused.into_iter().map(|exception| Finding {
            rule: Rule::ExceptionUnused,
            object: exception.object.clone(),
            detail: exception.detail.clone(),
        }));
        Report { findings }
    }
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.object == finding.object
            && (self.detail.is_none() || self.detail == finding.detail)
    }
}
