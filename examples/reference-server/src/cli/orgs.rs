//! `mt-server orgs`: exports an org to a file, imports a file as a new org, and deletes an org.
//!
//! It works on the database, whether or not a server is running. Each command is one transaction, and fails at the
//! start if the inventory does not cover every table. Exit codes: 0 success; 1 failure, and nothing has changed; 2
//! wrong usage.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use mt_core::id::TenantId;
use mt_core::pg::audit_log::{Actor, TENANT_EXPORTED};
use mt_core::pg::portable::archive::{ArchiveWriter, CheckedArchive, ReadError, import};
use mt_core::pg::portable::{Contents, delete};
use mt_core::pg::{System, SystemReason};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use super::CommandError;
use super::output::{print, print_json};
use super::table::{lines, table};
use crate::config::Config;
use crate::http::fields::Name;
use crate::inventory::inventory;
use crate::model::Product;
use crate::server::Embedded;
use crate::server::database;

const DELETE: SystemReason = SystemReason::new("delete an org for an operator");
const EXPORT: SystemReason = SystemReason::new("export an org for an operator");

/// The operator's name in the audit log if none is given.
const UNNAMED: &str = "unnamed operator";

/// The subcommands of `orgs`.
#[derive(Debug, Subcommand)]
pub(super) enum Arguments {
    /// Deletes an org and all of its data.
    Delete(DeleteArguments),
    /// Writes all data of an org into a tar archive.
    Export(ExportArguments),
    /// Creates a new org from an archive. Members are matched with users by email address.
    Import(ImportArguments),
}

impl Arguments {
    /// Returns an error for arguments that exclude each other.
    pub(super) fn conflict(&self) -> Option<&'static str> {
        match self {
            Self::Export(ExportArguments { output, common, .. })
                if common.json && is_stdout(output.as_deref()) =>
            {
                Some("`--json` and an archive cannot both be on stdout")
            }
            _ => None,
        }
    }
}

fn is_stdout(output: Option<&Path>) -> bool {
    output == Some(Path::new("-"))
}

#[derive(Debug, Args)]
pub(super) struct DeleteArguments {
    /// Id of the org.
    #[arg(value_name = "ORG", value_parser = org)]
    org: TenantId,
    /// Confirms the deletion. Only an export made before can restore the org.
    #[arg(long, required = true)]
    yes: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Id of the org.
    #[arg(value_name = "ORG", value_parser = org)]
    org: TenantId,
    /// Output file; `-` for stdout. An existing file is not overwritten. Default: `org-ORG.tar` in the current
    /// directory.
    #[arg(long, short)]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The archive.
    file: PathBuf,
    /// Name of the new org. Default: the name of the exported org.
    #[arg(long, value_parser = name)]
    name: Option<Name>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Name of the operator, for the audit log of the org.
    #[arg(long, env = "USER", default_value = UNNAMED)]
    actor: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Common {
    fn actor(&self) -> Actor {
        // An empty value counts as unset.
        let who = Some(self.actor.trim()).filter(|who| !who.is_empty());
        Actor::operator(&format!("mt-server, {}", who.unwrap_or(UNNAMED)))
    }
}

fn org(text: &str) -> Result<TenantId, &'static str> {
    TenantId::parse(text).ok_or("takes an org's id")
}

fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CommandError> {
    let (database, embedded) = database::open(config, Embedded::Persistent).await?;
    let system = database.system();
    let done = match inventory().take(&database).await {
        Err(error) => Err(error.into()),
        Ok(contents) => match arguments {
            Arguments::Delete(arguments) => delete_org(&system, &contents, &arguments).await,
            Arguments::Export(arguments) => export_org(&system, &contents, &arguments).await,
            Arguments::Import(arguments) => import_org(&system, &contents, arguments).await,
        },
    };
    database.close().await;
    if let Some(embedded) = embedded {
        embedded.stop().await?;
    }
    done
}

fn no_such(org: TenantId) -> CommandError {
    format!("there is no org `{org}`").into()
}

fn there_already(path: &Path) -> CommandError {
    format!("`{}` exists already, and nothing is overwritten", path.display()).into()
}

async fn delete_org(
    system: &System,
    contents: &Contents,
    DeleteArguments { org, yes: _, common }: &DeleteArguments,
) -> Result<(), CommandError> {
    let deleted = delete(system, DELETE, common.actor(), contents, *org).await?;
    let deleted = deleted.ok_or_else(|| no_such(*org))?;
    if common.json {
        let rows = deleted.rows.into_iter().map(|(name, rows)| (name, Value::from(rows)));
        let rows: Map<String, Value> = rows.collect();
        return print_json(&json!({"org_id": org.to_string(), "deleted": rows}));
    }
    let mut shown = table(&["TABLE", "ROWS"]);
    for (name, rows) in &deleted.rows {
        shown.add_row([name.clone(), rows.to_string()]);
    }
    print(&lines(shown));
    Ok(())
}

async fn export_org(
    system: &System,
    contents: &Contents,
    ExportArguments { org, output, common }: &ExportArguments,
) -> Result<(), CommandError> {
    let to_stdout = is_stdout(output.as_deref());
    let path = output.clone().unwrap_or_else(|| PathBuf::from(format!("org-{org}.tar")));
    if !to_stdout && path.exists() {
        return Err(there_already(&path));
    }
    // The embedded engine has one connection, so the existence check, the audit entry and the export use it in turn.
    let found = system.snapshot(EXPORT, *org).await?.ok_or_else(|| no_such(*org))?;
    found.close().await?;
    let mut tx = system.begin(EXPORT).await?;
    tx.act_as(common.actor());
    tx.record(*org, TENANT_EXPORTED.on(org.as_uuid()));
    tx.commit().await?;
    let snapshot = system.snapshot(EXPORT, *org).await?.ok_or_else(|| no_such(*org))?;
    let mut archive = ArchiveWriter::new(snapshot, contents).await?;
    if to_stdout {
        return write(&mut archive, &mut std::io::stdout().lock()).await;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // The file gets its name when it is complete.
    let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    write(&mut archive, file.as_file_mut()).await?;
    file.as_file().sync_all()?;
    file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => there_already(&path),
        _ => error.error.into(),
    })?;
    let rows: u64 = archive.manifest().tables.iter().map(|table| table.rows).sum();
    if common.json {
        return print_json(&json!({
            "org_id": org.to_string(), "file": path, "bytes": archive.length(), "rows": rows,
        }));
    }
    print(&format!("{}: {rows} rows, {} bytes\n", path.display(), archive.length()));
    Ok(())
}

async fn write(
    archive: &mut ArchiveWriter,
    to: &mut impl std::io::Write,
) -> Result<(), CommandError> {
    let progress = progress(archive.length(), "{bytes}/{total_bytes}")?;
    let written = async {
        while let Some(bytes) = archive.next().await? {
            to.write_all(&bytes)?;
            progress.inc(u64::try_from(bytes.len())?);
        }
        Ok(to.flush()?)
    };
    let written = written.await;
    progress.finish_and_clear();
    written
}

/// Shows a progress bar on stderr if that is a terminal.
fn progress(length: u64, done: &str) -> Result<ProgressBar, CommandError> {
    let progress = ProgressBar::new(length);
    let template = format!("{{bar:40}} {done}, {{eta}} left");
    progress.set_style(ProgressStyle::with_template(&template)?);
    Ok(progress)
}

async fn import_org(
    system: &System,
    contents: &Contents,
    ImportArguments { file, name, common }: ImportArguments,
) -> Result<(), CommandError> {
    let name = name.map(Name::into_string);
    let shown = file.display().to_string();
    let archive = spawn_blocking(move || CheckedArchive::open(&file)).await?;
    let archive = archive.map_err(|error| NotRead { file: shown, error })?;
    let rows = archive.manifest().tables.iter().map(|table| table.rows).sum();
    let progress = progress(rows, "{pos}/{len} rows")?;
    let seen = |rows| progress.inc(rows);
    let imported = import::<Product>(system, contents, archive, name, common.actor(), seen).await;
    progress.finish_and_clear();
    let imported = imported?;
    let org = imported.tenant.to_string();
    if common.json {
        return print_json(&json!({"org_id": org, "rows": imported.rows}));
    }
    print(&format!("org {org}: {} rows\n", imported.rows));
    Ok(())
}

/// The error of an archive that cannot be imported, with its file name.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` cannot be imported")]
struct NotRead {
    file: String,
    #[source]
    error: ReadError,
}
