//! What the seal costs a statement: the same query under a policy that checks the seal and under one that trusts the
//! setting, in turn, on one Postgres backend. The limit is five microseconds.
//!
//! ```console
//! $ scripts/with-services cargo bench --profile dev --package mt-bench --bench seal
//! ```

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::error::Error;

use mt_core::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool};

const ROUNDS: usize = 9;
const STATEMENTS: u32 = 100_000;
const TENANT: &str = "01900000-0000-7000-8000-000000000001";
/// The most that the seal may add for each table of a statement, in microseconds.
const LIMIT: f64 = 5.0;

/// The expression by which a policy gets the tenant.
const POLICIES: [(&str, &str); 2] = [
    ("setting", "(select nullif(current_setting('mt.tenant_id', true), '')::uuid)"),
    ("sealed", "(select mt.sealed_tenant_id())"),
];

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let db = TestDatabase::create().await?;
    for (name, tenant) in POLICIES {
        make_table(db.admin(), name, tenant).await?;
    }
    let mut conn = db.admin().acquire().await?;
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for ((name, _), times) in POLICIES.iter().zip(&mut times) {
            times.push(time(&mut conn, name).await?);
        }
    }
    let [setting, sealed] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times
    });
    let middle = |times: &[f64]| times[times.len() / 2];
    let more = middle(&sealed) - middle(&setting);
    println!("policy  | µs a statement, median of {ROUNDS} (least to most)");
    for ((name, _), times) in POLICIES.iter().zip([&setting, &sealed]) {
        let (least, most) = (times[0], times[times.len() - 1]);
        println!("{name:8}| {:.2} ({least:.2} to {most:.2})", middle(times));
    }
    println!(
        "the seal: {more:.2} µs for a table of a statement, {:.2} of the limit of {LIMIT} µs",
        more / LIMIT
    );
    if more > LIMIT { Err("the seal costs more than its limit".into()) } else { Ok(()) }
}

/// Creates a small table of two tenants, in which one row is looked up by its key.
async fn make_table(admin: &PgPool, name: &str, tenant: &str) -> Result<(), sqlx::Error> {
    let sql = format!(
        "create table public.{name} (tenant_id uuid not null, id int not null, text text, primary key (tenant_id, id)); \
         insert into public.{name} select tenant, id, 'text' \
             from unnest(array['{TENANT}'::uuid, gen_random_uuid()]) tenant, generate_series(1, 100) id; \
         alter table public.{name} enable row level security; \
         create policy isolation on public.{name} to mt_app using (tenant_id = {tenant}); \
         grant select on public.{name} to mt_app; \
         analyze public.{name}"
    );
    admin.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

/// Measures one statement in microseconds, in a loop inside Postgres, without the network.
async fn time(conn: &mut PgConnection, name: &str) -> Result<f64, sqlx::Error> {
    let timed = format!(
        "begin; call mt.seal('{TENANT}', '', ''); set local role mt_app; \
         do $$ \
         declare begun timestamptz := clock_timestamp(); found_text text; \
         begin \
             for i in 1..{STATEMENTS} loop \
                 select text into strict found_text from public.{name} \
                     where tenant_id = '{TENANT}' and id = 50; \
             end loop; \
             perform set_config('bench.micros', (extract(epoch from clock_timestamp() - begun) * 1e6 / {STATEMENTS})::text, \
                 false); \
         end $$; \
         commit"
    );
    conn.execute(sqlx::raw_sql(AssertSqlSafe(timed))).await?;
    let micros: String =
        sqlx::query_scalar("select current_setting('bench.micros')").fetch_one(&mut *conn).await?;
    Ok(micros.parse().expect("Postgres prints a number"))
}
