//! The database of a storm, and what is looked for in it at the end.

use std::collections::BTreeSet;

use mt_core::pg::SystemReason;
use mt_core::testing::TestDatabase;
use mt_stripe::link;
use mt_stripe::projection::Flag;
use sqlx::{AssertSqlSafe, Row as _};

use super::plot::Plot;
use super::server::Server;

const LINK: SystemReason = SystemReason::new("wake the events of late customers");

pub(super) struct Cluster {
    db: TestDatabase,
    /// One of the storm's own, where there are binaries for it.
    server: Option<Server>,
}

impl Cluster {
    #[expect(clippy::print_stderr, reason = "what is left out is said")]
    pub(super) async fn start() -> Self {
        let server = Server::start().await;
        let db = match &server {
            Some(server) => TestDatabase::create_on(server.superuser(), &[]).await,
            None => {
                eprintln!("SKIPPED: crashes of Postgres, for there are no binaries to start one");
                TestDatabase::create().await
            }
        };
        Self { db: db.unwrap(), server }
    }

    pub(super) fn login_url(&self) -> String {
        self.db.login_url()
    }

    /// Kills Postgres in the middle of whatever it does, and starts it again. `false`: it is not ours.
    pub(super) async fn crash(&mut self) -> bool {
        match &mut self.server {
            Some(server) => {
                server.stop("QUIT").await;
                server.start_again().await;
                true
            }
            None => false,
        }
    }

    async fn run(&self, sql: String) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.db.admin()).await.unwrap();
    }

    pub(super) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.unwrap()
    }

    /// The counter, the tenants, and the links of those who are not late.
    pub(super) async fn prepare(&self, plot: &Plot) {
        self.run(
            "create table public.storm_counter (n bigint not null); \
             insert into public.storm_counter values (0); \
             grant select, update on public.storm_counter to mt_system"
                .to_owned(),
        )
        .await;
        for (customer, tenant) in &plot.customers {
            self.run(format!(
                "insert into mt.tenants (id, name) values ('{tenant}', '{customer}')"
            ))
            .await;
        }
        self.link(plot, false).await;
    }

    async fn link(&self, plot: &Plot, late: bool) {
        for (customer, tenant) in &plot.customers {
            if plot.is_late(customer) == late {
                self.run(format!(
                    "insert into mt.billing_customers (tenant_id, provider, customer_id) \
                     values ('{tenant}', 'stripe', '{customer}')"
                ))
                .await;
            }
        }
    }

    /// Links the late customers, whose events wait for that.
    pub(super) async fn link_the_late(&self, plot: &Plot) {
        self.link(plot, true).await;
        let database = self.db.connect(1).await.unwrap();
        for (customer, _) in plot.customers.iter().filter(|(name, _)| plot.is_late(name)) {
            let mut tx = database.system().begin(LINK).await.unwrap();
            link::wake(&mut tx, customer).await.unwrap();
            tx.commit().await.unwrap();
        }
        database.close().await;
    }

    pub(super) async fn is_drained(&self) -> bool {
        self.number(
            "select count(*) from mt.webhook_events \
             where status in ('received', 'processing', 'failed')",
        )
        .await
            == 0
    }

    /// What has not come to its end, and why.
    pub(super) async fn left_over(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select concat_ws(' ', event_id, status, attempts, last_error, lease_until) \
             from mt.webhook_events where status not in ('processed', 'ignored') limit 20",
        )
        .fetch_all(self.db.admin())
        .await
        .unwrap()
    }

    /// Each event is one row, with each of its deliveries and one attempt that was its last.
    pub(super) async fn check_rows(&self, plot: &Plot, copies: usize) {
        let events = i64::try_from(plot.events.len()).unwrap();
        let rows = "select count(*) from mt.webhook_events where status = 'processed' \
             and lease_token is null and deliveries >= ";
        assert_eq!(
            self.number(&format!("{rows}{copies}")).await,
            events,
            "{:?}",
            self.left_over().await
        );
        assert_eq!(self.number("select count(*) from mt.webhook_events").await, events);
        let once = "select count(*) from (select 1 from mt.webhook_attempts \
             where outcome = 'processed' group by event having count(*) = 1) once";
        assert_eq!(self.number(once).await, events);
        let keys: Vec<String> = sqlx::query_scalar("select dedupe_key from mt.outbox")
            .fetch_all(self.db.admin())
            .await
            .unwrap();
        let told: BTreeSet<&String> = keys.iter().collect();
        assert_eq!(told.len(), keys.len(), "something is told twice");
        let owed = plot.owed();
        assert!(
            owed.iter().all(|key| told.contains(key)),
            "{owed:?} are to be told, and {told:?} are"
        );
    }

    /// Each tenant has what the events come to, by a function that knows no database.
    pub(super) async fn check_projection(&self, plot: &Plot) {
        for (tenant, expected) in plot.oracle() {
            let row = sqlx::query(
                "select t.plan, t.subscription_status, t.past_due_since, t.current_period_end, \
                     t.cancel_at_period_end, c.flags \
                 from mt.tenants t join mt.billing_customers c on c.tenant_id = t.id where t.id = $1",
            )
            .bind(tenant)
            .fetch_one(self.db.admin())
            .await
            .unwrap();
            let flags: Vec<&str> = expected.flags.iter().copied().map(Flag::as_str).collect();
            assert_eq!(row.get::<String, _>(0), expected.plan, "{tenant}");
            assert_eq!(row.get::<String, _>(1), expected.status.as_str(), "{tenant}");
            assert_eq!(
                row.get::<Option<chrono::DateTime<chrono::Utc>>, _>(2),
                expected.past_due_since,
                "{tenant}"
            );
            assert_eq!(
                row.get::<Option<chrono::DateTime<chrono::Utc>>, _>(3),
                expected.current_period_end,
                "{tenant}"
            );
            assert_eq!(row.get::<bool, _>(4), expected.cancel_at_period_end, "{tenant}");
            assert_eq!(row.get::<Vec<String>, _>(5), flags, "{tenant}");
        }
    }
}
