//! Which database, and which schemas of the application's.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use mt_service::output::CommandError;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;

/// The application's schemas.
#[derive(Args, Debug)]
pub(crate) struct Schemas {
    /// A schema of your own and the folder of its migrations, such as `shop=migrations`. May be given several times.
    #[arg(long = "schema", value_name = "NAME=FOLDER")]
    schemas: Vec<SchemaArgument>,
}

#[derive(Clone, Debug)]
struct SchemaArgument {
    name: String,
    folder: PathBuf,
}

impl FromStr for SchemaArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, folder)) if is_name(name) && !folder.is_empty() => {
                Ok(Self { name: name.to_owned(), folder: folder.into() })
            }
            _ => Err("expected NAME=FOLDER, with a name of lower-case letters, digits and `_`"
                .to_owned()),
        }
    }
}

/// Returns whether a text is a name that needs no quotes in SQL and Rust.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && text.len() <= 40
}

impl Schemas {
    /// Reads the migrations.
    pub(crate) async fn read(&self) -> Result<Vec<(String, Migrator)>, CommandError> {
        let mut read = Vec::new();
        for SchemaArgument { name, folder } in &self.schemas {
            read.push((name.clone(), migrator(folder).await?));
        }
        Ok(read)
    }

    /// The names of the schemas.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.schemas.iter().map(|schema| schema.name.as_str())
    }
}

async fn migrator(folder: &Path) -> Result<Migrator, CommandError> {
    if !folder.is_dir() {
        return Err(format!("`{}` is not a folder of migrations", folder.display()).into());
    }
    let read = Migrator::new(folder).await;
    read.map_err(|error| {
        format!("cannot read the migrations in `{}`: {error}", folder.display()).into()
    })
}

/// Parses the URL of a login, without showing it in the error: it holds a password.
pub(crate) fn login(name: &str, url: &str) -> Result<PgConnectOptions, CommandError> {
    url.parse().map_err(|_| {
        format!("`{name}` is not a URL of Postgres such as postgres://user@host/database").into()
    })
}
