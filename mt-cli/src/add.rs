//! `mt add`.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use mt_service::output::{CommandError, print};

use crate::database::is_name;

/// What to add.
#[derive(Debug, Subcommand)]
pub(crate) enum Arguments {
    /// Writes a migration with an isolated table.
    Table(Table),
}

/// The arguments of `mt add table`.
#[derive(Args, Debug)]
pub(crate) struct Table {
    /// The schema and the table, such as `shop.orders`.
    #[arg(value_name = "SCHEMA.TABLE", value_parser = qualified)]
    table: (String, String),
    /// The folder of the migrations.
    #[arg(long, default_value = "migrations", value_name = "FOLDER")]
    folder: PathBuf,
}

fn qualified(text: &str) -> Result<(String, String), String> {
    match text.split_once('.') {
        Some((schema, table)) if is_name(schema) && is_name(table) => {
            Ok((schema.to_owned(), table.to_owned()))
        }
        _ => Err("expected SCHEMA.TABLE, each of lower-case letters, digits and `_`".to_owned()),
    }
}

pub(crate) fn run(Arguments::Table(arguments): &Arguments) -> Result<(), CommandError> {
    let (schema, table) = &arguments.table;
    let folder = &arguments.folder;
    let files = fs::read_dir(folder)
        .map_err(|error| format!("cannot read the folder `{}`: {error}", folder.display()))?;
    let mut newest = 0;
    for file in files {
        let name = file?.file_name();
        let number =
            name.to_string_lossy().split('_').next().and_then(|number| number.parse().ok());
        newest = newest.max(number.unwrap_or(0_u64));
    }
    let path = folder.join(format!("{:04}_{table}.sql", newest + 1));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|error| format!("cannot create `{}`: {error}", path.display()))?;
    std::io::Write::write_all(&mut file, migration(schema, table).as_bytes())?;
    print(&format!(
        "created {}\n\
         The isolation tests need rows in it. Seed them where the tests make their application:\n\n    \
             .seed(\"{table}_id\", \"insert into {schema}.{table} (tenant_id, id, name) \\\n        \
                 values ($1, gen_random_uuid(), $2) returning id::text\")\n\n\
         $2 is a text that no other tenant may see. It belongs into each text of the row.\n",
        path.display()
    ))
}

fn migration(schema: &str, table: &str) -> String {
    format!(
        "-- Add your columns. Each key and index begins with the tenant. `mt.isolate` checks it, turns row-level security\n\
         -- on, and creates policies and grants.\n\
         \n\
         create table {schema}.{table} (\n    \
             tenant_id  uuid not null default mt.tenant_id(),\n    \
             id         uuid not null,\n    \
             name       text not null,\n    \
             created_at timestamptz not null default now(),\n    \
             primary key (tenant_id, id)\n\
         );\n\
         select mt.isolate('{schema}.{table}');\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_with_their_schema() {
        assert_eq!(qualified("shop.orders"), Ok(("shop".to_owned(), "orders".to_owned())));
        for other in ["orders", "shop.", ".orders", "shop.Orders", "shop.a;b", "a.b.c", "1.a"] {
            assert!(qualified(other).is_err(), "{other}");
        }
    }
}
