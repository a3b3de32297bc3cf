//! pgbench, with the statements that the library sends.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use mt_core::pg::{Database, DatabaseOptions};
use mt_core::testing::Relay;
use mt_stripe::{Stripe, VerifiedEvent};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;

use super::world::{World, body};
use super::{AT_ONCE, PART};

/// Values that are known before the row exists, so that every statement can name it.
const ID: &str = "md5(:n::text)::uuid";
const TOKEN: &str = "md5('token' || :n::text)::uuid";
const TENANT: &str = "md5('t' || :c::text)::uuid";
const CUSTOMER: &str = "('cus_' || :c::text)";
const SUBSCRIPTION: &str = "('sub_cus_' || :c::text)";

/// How many events one transaction inserts: half as many as the ledger's, for pgbench takes 255 arguments.
const BATCH: usize = 32;

pub(crate) struct Pgbench {
    url: String,
    insert: PathBuf,
    batch: PathBuf,
    both: PathBuf,
}

impl Pgbench {
    /// Records one event on the wire, and makes scripts from its statements.
    pub(crate) async fn overhear(world: &World) -> Self {
        let relay = Relay::start(&world.db.login()).await.expect("a relay");
        let options = DatabaseOptions::new(relay.through(world.db.login())).max_connections(1);
        let database = Database::connect(options).await.expect("a pool");
        let ledger = Stripe::ledger(database.system(), World::config());
        drop(relay.take_round_trips());
        let bytes = body(0);
        let event = VerifiedEvent::insecure_unsigned(bytes.clone()).expect("an event");
        ledger.receive(event).await.expect("stored");
        let heard = in_order(relay.take_round_trips());
        let state = world.text("select state::text from mt.subscriptions").await;
        let values = Values { body: &bytes, state: &state, rows: 1 };

        let insert = heard.iter().find(|sql| sql.starts_with("insert into mt.webhook_events"));
        let insert = insert.expect("an insert");
        let batch = Values { rows: BATCH, ..values }.fill(insert);
        let insert = values.fill(insert);
        // Without the audit entry, which is prepared on its connection.
        let spelled =
            heard.iter().filter(|sql| !sql.starts_with("prepare ") && !sql.starts_with("execute "));
        let both: String = spelled.map(|sql| values.fill(sql) + ";\n").collect();
        let head = "\\set n random(1, 1000000000000000)\n\\set c random(1, 1000)\n";
        let database = world.db.login();
        let database = database.get_database().unwrap_or_default();
        let server = std::env::var("MT_TEST_DATABASE_URL").expect("it was looked for before");
        let admin = PgConnectOptions::from_str(&server).expect("a URL").database(database);
        let script = |name: &str, text: &str| {
            let file = std::env::temp_dir().join(format!("{database}_{name}.sql"));
            std::fs::write(&file, format!("{head}{text}")).expect("a script");
            file
        };
        // libpq does not know the parameters that only sqlx has.
        let mut url = admin.to_url_lossy();
        url.set_query(None);
        Self {
            url: url.to_string(),
            insert: script("insert", &(insert + ";\n")),
            batch: script("batch", &(batch + ";\n")),
            both: script("both", &both),
        }
    }

    pub(crate) async fn insert(&self, world: &World) -> f64 {
        let rate = self.run(&self.insert, AT_ONCE).await;
        assert!(world.count("select count(*) from mt.webhook_events").await > 0);
        rate
    }

    /// Returns the events a second that one client inserts, [`BATCH`] of them in each transaction.
    pub(crate) async fn insert_batches(&self) -> f64 {
        let rows = u32::try_from(BATCH).map_or(0.0, f64::from);
        self.run(&self.batch, 1).await * rows
    }

    pub(crate) async fn insert_and_effect(&self, world: &World) -> f64 {
        let rate = self.run(&self.both, AT_ONCE).await;
        assert!(world.applied().await > 0);
        rate
    }

    /// Runs pgbench, and returns the transactions a second that it reports.
    async fn run(&self, script: &Path, clients: usize) -> f64 {
        let output = Command::new("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=1"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", PART.as_secs()))
            .arg(format!("--file={}", script.display()))
            .arg(&self.url)
            .output()
            .await
            .expect("`pgbench`, which comes with Postgres");
        let said = String::from_utf8_lossy(&output.stdout);
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !wrong.contains("ERROR"), "{said}{wrong}");
        let rate = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.expect("pgbench says how many")
    }
}

impl Drop for Pgbench {
    fn drop(&mut self) {
        for script in [&self.insert, &self.batch, &self.both] {
            let _ = std::fs::remove_file(script);
        }
    }
}

/// Returns each statement once: prepared statements were recorded twice, and messages of several statements are
/// split.
fn in_order(heard: Vec<String>) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    for message in heard {
        for statement in message.split("; ") {
            let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
            if statements.last() != Some(&statement) {
                statements.push(statement);
            }
        }
    }
    statements
}

/// The values for the parameters of a statement.
#[derive(Clone, Copy)]
struct Values<'v> {
    body: &'v [u8],
    state: &'v str,
    /// The number of rows of an insert of events.
    rows: usize,
}

impl Values<'_> {
    fn fill(&self, sql: &str) -> String {
        let text = |text: &str| format!("'{text}'");
        // Each row has a number of its own.
        let array = |value: &str| {
            let value = |row| value.replace(":n::", &format!("(:n::bigint + {row})::"));
            let values: Vec<String> = (0..self.rows).map(value).collect();
            format!("array[{}]", values.join(","))
        };
        let event = "('evt_' || :n::text)";
        let parameters: Vec<String> = if sql.starts_with("insert into mt.webhook_events") {
            let mut body = String::from("'\\x");
            for byte in self.body {
                _ = write!(body, "{byte:02x}");
            }
            vec![
                text("stripe"),
                "30.0".to_owned(),
                array(ID),
                array(event),
                array("'customer.subscription.updated'"),
                array("''"),
                array("false"),
                array("'2026-10-28.endive'"),
                array("now()"),
                array(SUBSCRIPTION),
                array(CUSTOMER),
                array(&format!("{body}'::bytea")),
                array(TOKEN),
            ]
        } else if sql.starts_with("select tenant_id from mt.billing_customers") {
            vec![text("stripe"), text(""), CUSTOMER.to_owned()]
        } else if sql.contains("from mt.tenants where id = $1") {
            vec![TENANT.to_owned()]
        } else if sql.starts_with("insert into mt.subscriptions") {
            let state = format!("'{}'::jsonb", self.state);
            let (subscription, customer) = (SUBSCRIPTION.to_owned(), CUSTOMER.to_owned());
            vec![text("stripe"), text(""), "false".to_owned(), subscription, customer, state]
        } else if sql.contains("as kind") {
            vec![text("stripe"), text(""), CUSTOMER.to_owned()]
        } else if sql.starts_with("with told as") {
            let until = "to_timestamp(1798041600)".to_owned();
            vec![
                text("stripe"),
                text(""),
                CUSTOMER.to_owned(),
                array(SUBSCRIPTION),
                array("'active'"),
                array("false"),
                array("false"),
                TENANT.to_owned(),
                "'{}'::text[]".to_owned(),
                text(&World::config().prices.fingerprint()),
                text("pro"),
                text("active"),
                "null::timestamptz".to_owned(),
                until,
                "false".to_owned(),
            ]
        } else if sql.starts_with("with settled as") {
            let none = "null::text".to_owned();
            let (id, token) = (ID.to_owned(), TOKEN.to_owned());
            vec![
                id,
                token,
                "'processed'::text".to_owned(),
                none.clone(),
                none,
                "0".to_owned(),
                "0.0".to_owned(),
            ]
        } else {
            Vec::new()
        };
        let mut filled = String::new();
        let mut rest = sql;
        while let Some(at) = rest.find('$') {
            filled += &rest[..at];
            let digits: String = rest[at + 1..].chars().take_while(char::is_ascii_digit).collect();
            let place: usize = digits.parse().expect("a parameter");
            filled += parameters.get(place - 1).unwrap_or_else(|| panic!("${place} of {sql}"));
            rest = &rest[at + 1 + digits.len()..];
        }
        filled += rest;
        named(&filled)
    }
}

/// Replaces the recorded event's ids with those of the row.
fn named(sql: &str) -> String {
    let mut sql = sql.to_owned();
    for (before, name) in [("where id = '", ID), ("lease_token = '", TOKEN)] {
        while let Some(at) = sql.find(before) {
            let from = at + before.len() - 1;
            sql.replace_range(from..from + "'00000000-0000-0000-0000-000000000000'".len(), name);
        }
    }
    sql
}
