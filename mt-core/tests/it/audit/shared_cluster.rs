//! Two services in one cluster: what keeps the login of one out of the other's database.

use mt_core::pg::audit::{Audit, Report, Rule};
use mt_core::pg::{Database, DatabaseOptions, Migration, ServerLogin};
use mt_core::testing::TestDatabase;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// A database as an operator makes it, with a login that serves it and another service's.
struct Cluster {
    /// For its superuser.
    db: TestDatabase,
    name: String,
    server: String,
    other: String,
}

impl Cluster {
    async fn new(privileges: &str) -> Self {
        let db = TestDatabase::create().await.unwrap();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let name = format!("mt_c_{id}");
        let [server, other] = [format!("{name}_server"), format!("{name}_other")];
        let made = Self { db, name, server, other };
        for sql in [
            "create role {server} login noinherit password 'x'",
            "create role {other} login noinherit password 'x' in role mt_app, mt_system, mt_authority",
            "create role {name}_migrator login createrole password 'x'",
            "grant mt_owner, mt_app, mt_system, mt_authority to {name}_migrator with admin option",
            "create database {name}",
            privileges,
        ] {
            made.run(sql).await;
        }
        made
    }

    async fn run(&self, sql: &str) {
        let sql = sql
            .replace("{server}", &self.server)
            .replace("{other}", &self.other)
            .replace("{name}", &self.name);
        for sql in sql.split(';').filter(|sql| !sql.trim().is_empty()) {
            self.db.admin().execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
        }
    }

    fn superuser(&self) -> PgConnectOptions {
        (*self.db.admin().connect_options()).clone().database(&self.name)
    }

    fn login(&self, name: &str) -> PgConnectOptions {
        self.db.login().database(&self.name).username(name).password("x")
    }

    async fn migrate(&self, connect: PgConnectOptions) {
        let login = ServerLogin::Existing(&self.server);
        Migration::library().for_login(login).run(&connect).await.unwrap();
    }

    async fn report(&self) -> Report {
        let options = DatabaseOptions::new(self.login(&self.server)).max_connections(1);
        let database = Database::connect(options).await.unwrap();
        let report = Audit::library().run(&database).await.unwrap();
        database.close().await;
        report
    }

    /// How many tenants the other service's login sees here.
    async fn seen_by_the_other(&self) -> Result<i64, sqlx::Error> {
        let mut conn = PgConnection::connect_with(&self.login(&self.other)).await?;
        conn.execute("begin; set local role mt_system").await?;
        let seen = sqlx::query_scalar("select count(*) from mt.tenants").fetch_one(&mut conn).await;
        conn.close().await?;
        seen
    }

    async fn put_two_tenants(&self) {
        let mut conn = PgConnection::connect_with(&self.superuser()).await.unwrap();
        conn.execute("insert into mt.tenants (id, name) values (gen_random_uuid(), 'a'), (gen_random_uuid(), 'b')")
            .await
            .unwrap();
        conn.close().await.unwrap();
    }

    async fn drop(self) {
        self.run(
            "drop database {name} with (force); drop role {server}; drop role {other}; \
             drop role {name}_migrator",
        )
        .await;
    }
}

#[tokio::test]
async fn migration_of_the_owner_closes_the_database_to_other_services() {
    let cluster = Cluster::new("").await;
    cluster.migrate(cluster.superuser()).await;
    cluster.put_two_tenants().await;
    let report = cluster.report().await;
    assert!(report.is_clean(), "{report}");
    assert!(cluster.seen_by_the_other().await.is_err());

    // The negative control: what a migration takes away lets the other service read.
    cluster.run("grant connect on database {name} to public").await;
    assert_eq!(cluster.seen_by_the_other().await.unwrap(), 2);
    let report = cluster.report().await;
    assert!(report.names(Rule::ConnectOfPublic, &cluster.name), "{report}");
    assert!(report.names(Rule::OtherLogin, &cluster.other), "{report}");
    assert!(!report.names(Rule::OtherLogin, &cluster.server), "{report}");
    // It may make no schemas here, so that it is another service's migrator.
    assert!(report.names(Rule::OtherLogin, &format!("{}_migrator", cluster.name)), "{report}");

    // And again closed by the next migration, with a login that was let in by name.
    cluster.migrate(cluster.superuser()).await;
    cluster.run("grant connect on database {name} to {other}").await;
    assert_eq!(cluster.seen_by_the_other().await.unwrap(), 2);
    let report = cluster.report().await;
    assert!(!report.names(Rule::ConnectOfPublic, &cluster.name), "{report}");
    assert!(report.names(Rule::OtherLogin, &cluster.other), "{report}");
    // Unless it is told of as one of the service's own, which is looked at as this one is.
    cluster.run("alter role {other} createdb").await;
    let options = DatabaseOptions::new(cluster.login(&cluster.server)).max_connections(1);
    let database = Database::connect(options).await.unwrap();
    let report = Audit::library().login(&cluster.other).run(&database).await.unwrap();
    database.close().await;
    assert!(report.names(Rule::RoleMakesRoles, &cluster.other), "{report}");
    assert_eq!(report.findings.len(), 1, "{report}");
    cluster.run("revoke connect on database {name} from {other}").await;
    assert!(cluster.report().await.is_clean());
    cluster.drop().await;
}

/// A migrator that may not revoke goes on, and the audit says the statements that the owner is to run.
#[tokio::test]
async fn migrator_that_does_not_own_the_database_leaves_the_statements_to_the_owner() {
    let cluster = Cluster::new("grant create on database {name} to {name}_migrator").await;
    let migrator = cluster.login(&format!("{}_migrator", cluster.name));
    cluster.migrate(migrator.clone()).await;
    cluster.put_two_tenants().await;
    assert_eq!(cluster.seen_by_the_other().await.unwrap(), 2);
    let report = cluster.report().await;
    for rule in [Rule::ConnectOfPublic, Rule::TemporaryTables] {
        assert!(report.names(rule, &cluster.name), "{report}");
    }
    for finding in report.findings.iter().filter(|finding| finding.object == cluster.name) {
        cluster.run(finding.detail.as_deref().unwrap()).await;
    }
    assert!(cluster.seen_by_the_other().await.is_err());
    let report = cluster.report().await;
    assert!(report.is_clean(), "{report}");
    // The migrator, who may make schemas here, was not locked out, and is none of another service.
    cluster.migrate(migrator).await;
    cluster.drop().await;
}

/// The owner of the database that migrates it keeps its own way in, and the server's login gets one.
#[tokio::test]
async fn owner_without_superuser_closes_the_database_as_well() {
    let cluster = Cluster::new("alter database {name} owner to {name}_migrator").await;
    let migrator = cluster.login(&format!("{}_migrator", cluster.name));
    cluster.migrate(migrator.clone()).await;
    cluster.migrate(migrator).await;
    assert!(cluster.seen_by_the_other().await.is_err());
    let report = cluster.report().await;
    assert!(report.is_clean(), "{report}");
    cluster.drop().await;
}

/// Without a login that is told of, no login is locked out.
#[tokio::test]
async fn migration_without_a_login_revokes_temporary_tables_alone() {
    let cluster = Cluster::new("").await;
    Migration::library().run(&cluster.superuser()).await.unwrap();
    cluster.run("grant mt_app, mt_system, mt_authority to {server}").await;
    let report = cluster.report().await;
    assert!(report.names(Rule::ConnectOfPublic, &cluster.name), "{report}");
    assert!(!report.names(Rule::TemporaryTables, &cluster.name), "{report}");
    cluster.drop().await;
}
