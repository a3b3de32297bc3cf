//! The database of the test, and the checks of its final state.

use std::collections::BTreeSet;

use mt_core::billing::Flag;
use mt_core::pg::SystemReason;
use mt_core::pg::billing;
use mt_core::testing::TestDatabase;
use mt_stripe::PROVIDER;
use sqlx::{AssertSqlSafe, Row as _};
use test_support::postgres::{PostgresServer, Shutdown};

use super::workload::Workload;

const LINK: SystemReason = SystemReason::new("wake the events of late customers");

pub(super) struct TestServer {
    db: TestDatabase,
    /// Present where Postgres is installed.
    server: Option<PostgresServer>,
}

impl TestServer {
    #[expect(clippy::print_stderr, reason = "what is left out is said")]
    pub(super) async fn start() -> Self {
        let server = PostgresServer::start().await;
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

    /// Crashes Postgres and restarts it. Returns `false` if the server does not belong to this test.
    pub(super) async fn crash(&mut self) -> bool {
        match &mut self.server {
            Some(server) => {
                server.stop(Shutdown::Immediate).await;
                server.restart().await;
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

    /// Creates the counter, the tenants, and the links of customers that are not late.
    pub(super) async fn prepare(&self, workload: &Workload) {
        self.run(
            "create table public.effect_counter (n bigint not null); \
             insert into public.effect_counter values (0); \
             grant select, update on public.effect_counter to mt_system"
                .to_owned(),
        )
        .await;
        for (customer, tenant) in &workload.customers {
            self.run(format!(
                "insert into mt.tenants (id, name) values ('{tenant}', '{customer}')"
            ))
            .await;
        }
        self.link(workload, false).await;
    }

    async fn link(&self, workload: &Workload, late: bool) {
        for (customer, tenant) in &workload.customers {
            if workload.is_late(customer) == late {
                self.run(format!(
                    "insert into mt.billing_customers (tenant_id, provider, customer_id) \
                     values ('{tenant}', 'stripe', '{customer}')"
                ))
                .await;
            }
        }
    }

    /// Links the late customers and wakes their events.
    pub(super) async fn link_late_customers(&self, workload: &Workload) {
        self.link(workload, true).await;
        let database = self.db.connect(1).await.unwrap();
        for (customer, _) in workload.customers.iter().filter(|(name, _)| workload.is_late(name)) {
            let mut tx = database.system().begin(LINK).await.unwrap();
            billing::wake(&mut tx, PROVIDER, customer).await.unwrap();
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

    /// The events that are not finished, and why.
    pub(super) async fn left_over(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select concat_ws(' ', event_id, status, attempts, last_error, lease_until) \
             from mt.webhook_events where status not in ('processed', 'ignored') limit 20",
        )
        .fetch_all(self.db.admin())
        .await
        .unwrap()
    }

    /// Each event is one row with all of its deliveries and one successful attempt.
    pub(super) async fn check_rows(&self, workload: &Workload, copies: usize) {
        let events = i64::try_from(workload.events.len()).unwrap();
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
        let expected_messages = workload.expected_messages();
        assert!(
            expected_messages.iter().all(|key| told.contains(key)),
            "{expected_messages:?} are to be told, and {told:?} are"
        );
    }

    /// Each tenant has the state that a pure function computes from the events.
    pub(super) async fn check_projection(&self, workload: &Workload) {
        for (tenant, expected) in workload.expected_states() {
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
