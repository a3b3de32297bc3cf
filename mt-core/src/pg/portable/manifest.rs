//! The contents of an archive, and whether they fit a database.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Contents;

/// The name of the format.
const FORMAT: &str = "mt-tenant";
/// The version of the format.
const VERSION: u32 = 1;
/// The tables that every archive has.
const NEEDED: [&str; 3] = ["mt.tenants", "mt.users", "mt.memberships"];

/// The contents of an archive of a tenant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u32,
    /// When the snapshot was opened.
    pub exported_at: DateTime<Utc>,
    /// The tenant that was exported.
    pub tenant: Uuid,
    /// The name of the tenant.
    pub name: String,
    /// The versions of the schemas at the export.
    pub schema: BTreeMap<String, i64>,
    /// The contents of each table.
    pub tables: Vec<TableManifest>,
}

/// The contents of a table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableManifest {
    /// The table, with its schema.
    pub name: String,
    /// The columns of each row.
    pub columns: Vec<String>,
    /// The number of rows.
    pub rows: u64,
    /// The length of the lines in bytes.
    pub bytes: u64,
    /// The SHA-256 of all lines, each with its line feed, in hex.
    pub sha256: String,
}

impl Manifest {
    /// Creates the manifest of an export from a database with these `contents`.
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

    /// Checks that the rows can be imported into a database with these `contents`: of the same or a newer version,
    /// with all exported columns and without further required ones.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] with the first problem.
    pub fn fits(&self, contents: &Contents) -> Result<(), ManifestError> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(ManifestError::Format(format!("{} {}", self.format, self.version)));
        }
        for (schema, theirs) in &self.schema {
            let ours = contents.versions().iter().find(|(name, _)| name == schema);
            match ours {
                None => return Err(ManifestError::UnknownSchema(schema.clone())),
                Some((_, ours)) if ours < theirs => {
                    let (schema, theirs, ours) = (schema.clone(), *theirs, *ours);
                    return Err(ManifestError::Newer { schema, theirs, ours });
                }
                Some(_) => {}
            }
        }
        let mut seen = BTreeSet::new();
        for table in &self.tables {
            let name = || table.name.clone();
            if !seen.insert(table.name.as_str()) {
                return Err(ManifestError::Twice(name()));
            }
            let Some(ours) = contents.exported().find(|ours| ours.name() == table.name) else {
                return Err(ManifestError::UnknownTable(name()));
            };
            let theirs: BTreeSet<&str> = table.columns.iter().map(String::as_str).collect();
            let known: BTreeSet<&str> = ours.columns().collect();
            if let Some(column) = theirs.difference(&known).next() {
                return Err(ManifestError::UnknownColumn(format!("{}.{column}", table.name)));
            }
            let mut needed = ours.columns.iter().filter(|column| column.is_needed);
            if let Some(column) = needed.find(|column| !theirs.contains(column.name.as_str())) {
                return Err(ManifestError::NoColumn(format!("{}.{}", table.name, column.name)));
            }
        }
        match NEEDED.into_iter().find(|needed| !seen.contains(needed)) {
            Some(needed) => Err(ManifestError::Missing(needed)),
            None => Ok(()),
        }
    }
}

/// The error when an archive does not fit a database.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It has another format, or a newer version of the format.
    #[error("the archive's format is `{0}`, and not `{FORMAT} {VERSION}`")]
    Format(String),
    /// A required table is missing.
    #[error("the archive has no `{0}`")]
    Missing(&'static str),
    /// It is from a newer version.
    #[error(
        "the archive is from version {theirs} of schema `{schema}`, and this is {ours}: migrate first"
    )]
    Newer {
        /// The schema.
        schema: String,
        /// The version of the archive.
        theirs: i64,
        /// The version of the database.
        ours: i64,
    },
    /// A required column is missing.
    #[error("the archive has no column `{0}`, which is required here")]
    NoColumn(String),
    /// A table is named twice.
    #[error("the archive names table `{0}` twice")]
    Twice(String),
    /// A column does not exist here, or is not imported.
    #[error("the archive has a column `{0}`, which is not imported here")]
    UnknownColumn(String),
    /// It is from another application.
    #[error("the archive has a schema `{0}` that does not exist here")]
    UnknownSchema(String),
    /// A table does not exist here, or is not imported.
    #[error("the archive has rows of `{0}`, which are not imported here")]
    UnknownTable(String),
}
