//! What was read out, and whether it fits a database.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Contents;

/// What the format is called.
const FORMAT: &str = "mt-tenant";
/// The version that this is.
const VERSION: u32 = 1;
/// Without rows of these there is no tenant.
const NEEDED: [&str; 3] = ["mt.tenants", "mt.users", "mt.memberships"];

/// What an archive of a tenant holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u32,
    /// When the snapshot was opened.
    pub exported_at: DateTime<Utc>,
    /// Whose rows they are.
    pub tenant: Uuid,
    /// What its members called it.
    pub name: String,
    /// The versions of the schemas that they are from.
    pub schema: BTreeMap<String, i64>,
    /// What there is of each table.
    pub tables: Vec<TableManifest>,
}

/// What there is of a table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableManifest {
    /// The table, with its schema.
    pub name: String,
    /// The columns of each row.
    pub columns: Vec<String>,
    /// How many rows.
    pub rows: u64,
    /// How long they are, as lines.
    pub bytes: u64,
    /// The SHA-256 of all lines, each with its line feed, in hex digits.
    pub sha256: String,
}

impl Manifest {
    /// Of rows that are read out of a database with these `contents`.
    #[must_use]
    pub fn new(
        contents: &Contents,
        (tenant, name): (Uuid, String),
        exported_at: DateTime<Utc>,
        tables: Vec<TableManifest>,
    ) -> Self {
        let schema = contents.versions().iter().cloned().collect();
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            exported_at,
            tenant,
            name,
            schema,
            tables,
        }
    }

    /// Whether the rows can be made again in a database with these `contents`: of this version or a newer
    /// one, as long as it has what they have, and asks for no more.
    ///
    /// # Errors
    ///
    /// [`Misfit`], for the first thing that does not fit.
    pub fn fits(&self, contents: &Contents) -> Result<(), Misfit> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(Misfit::Format(format!("{} {}", self.format, self.version)));
        }
        for (schema, theirs) in &self.schema {
            let ours = contents.versions().iter().find(|(name, _)| name == schema);
            match ours {
                None => return Err(Misfit::UnknownSchema(schema.clone())),
                Some((_, ours)) if ours < theirs => {
                    let (schema, theirs, ours) = (schema.clone(), *theirs, *ours);
                    return Err(Misfit::Newer { schema, theirs, ours });
                }
                Some(_) => {}
            }
        }
        let mut seen = BTreeSet::new();
        for table in &self.tables {
            let name = || table.name.clone();
            if !seen.insert(table.name.as_str()) {
                return Err(Misfit::Twice(name()));
            }
            let Some(ours) = contents.travelling().find(|ours| ours.name() == table.name) else {
                return Err(Misfit::UnknownTable(name()));
            };
            let theirs: BTreeSet<&str> = table.columns.iter().map(String::as_str).collect();
            let known: BTreeSet<&str> = ours.columns().collect();
            if let Some(column) = theirs.difference(&known).next() {
                return Err(Misfit::UnknownColumn(format!("{}.{column}", table.name)));
            }
            let mut needed = ours.columns.iter().filter(|column| column.is_needed);
            if let Some(column) = needed.find(|column| !theirs.contains(column.name.as_str())) {
                return Err(Misfit::NoColumn(format!("{}.{}", table.name, column.name)));
            }
        }
        match NEEDED.into_iter().find(|needed| !seen.contains(needed)) {
            Some(needed) => Err(Misfit::Missing(needed)),
            None => Ok(()),
        }
    }
}

/// Why an archive does not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// It is of another format, or a later version of it.
    #[error("the archive's format is `{0}`, and not `{FORMAT} {VERSION}`")]
    Format(String),
    /// Without this table it is no tenant.
    #[error("the archive has no `{0}`")]
    Missing(&'static str),
    /// It is from a later version.
    #[error(
        "the archive is from version {theirs} of schema `{schema}`, and this is {ours}: migrate first"
    )]
    Newer {
        /// Which schema.
        schema: String,
        /// The archive's version.
        theirs: i64,
        /// The database's.
        ours: i64,
    },
    /// A row cannot be written without this column.
    #[error("the archive has no column `{0}`, and here there is no row without it")]
    NoColumn(String),
    /// A table is named twice.
    #[error("the archive names table `{0}` twice")]
    Twice(String),
    /// A column is not known here, or does not travel.
    #[error("the archive has a column `{0}`, which does not travel here")]
    UnknownColumn(String),
    /// It is another application's.
    #[error("the archive has a schema `{0}` that is not known here")]
    UnknownSchema(String),
    /// A table is not known here, or does not travel.
    #[error("the archive has rows of `{0}`, which do not travel here")]
    UnknownTable(String),
}
