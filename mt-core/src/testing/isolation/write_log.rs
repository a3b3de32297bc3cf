//! Records which tables were written, with statement triggers.

use sqlx::{AssertSqlSafe, Executor as _, PgPool};

use crate::testing::TestDatabase;

/// The log and its trigger function. Statements of every role reach it; no role can access it directly.
const LOG: &str = "\
    create schema if not exists mt_testing; \
    create table if not exists mt_testing.write_log ( \
        command text not null, of text not null, primary key (command, of)); \
    create or replace function mt_testing.note() returns trigger language plpgsql security definer \
        set search_path = pg_catalog, pg_temp as $$ \
    begin \
        if exists (select from rows_of_statement) then \
            insert into mt_testing.write_log values \
                (lower(tg_op), format('%I.%I', tg_table_schema, tg_table_name)) on conflict do nothing; \
        end if; \
        return null; \
    end $$; \
    revoke execute on function mt_testing.note() from public";

const TABLES: &str = "\
    select format('%I.%I', n.nspname, c.relname) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'p') and not c.relispartition \
        and n.nspname !~ '^(pg_|information_schema$|mt_testing$)' \
    order by 1";

/// The tables that committed transactions have written.
#[derive(Debug)]
pub(super) struct WriteLog<'d> {
    admin: &'d PgPool,
}

impl<'d> WriteLog<'d> {
    /// Creates the triggers on every table.
    pub(super) async fn new(db: &'d TestDatabase) -> Self {
        let admin = db.admin();
        admin.execute(LOG).await.expect("a superuser may make a schema");
        let tables: Vec<String> =
            sqlx::query_scalar(TABLES).fetch_all(admin).await.expect("the catalogue can be read");
        for table in tables {
            for (command, rows) in [("insert", "new"), ("update", "new"), ("delete", "old")] {
                // A statement without affected rows is not recorded.
                let sql = format!(
                    "create or replace trigger mt_testing_{command} after {command} on {table} \
                     referencing {rows} table as rows_of_statement \
                     for each statement execute function mt_testing.note()"
                );
                admin.execute(AssertSqlSafe(sql)).await.expect("a superuser may watch any table");
            }
        }
        Self { admin }
    }

    /// Clears the log.
    pub(super) async fn clear(&self) {
        self.admin.execute("delete from mt_testing.write_log").await.expect("the log is there");
    }

    /// Returns the commands and tables, sorted.
    pub(super) async fn all(&self) -> Vec<(String, String)> {
        let sql = "select command, of from mt_testing.write_log order by command, of";
        sqlx::query_as(sql).fetch_all(self.admin).await.expect("the log is there")
    }
}
