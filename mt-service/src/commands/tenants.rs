//! Exports a tenant to a file, imports a file as a new tenant, deletes a tenant, and shows its roles.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mt_core::id::TenantId;
use mt_core::member_policy::MemberPolicy;
use mt_core::pg::audit_log::TENANT_EXPORTED;
use mt_core::pg::portable::archive::{ArchiveWriter, CheckedArchive, ReadError, import};
use mt_core::pg::portable::{Contents, Inventory, Snapshot, delete};
use mt_core::pg::{Database, System, SystemReason};
use mt_http::fields::Line;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use super::program::{Program, TENANT, UNNAMED, tenant_id};
use super::progress::progress;
use super::table::Table;
use super::tenant_roles::RolesArguments;
use crate::output::{CommandError, print, print_json};

const DELETE: SystemReason = SystemReason::new("delete a tenant for an operator");
const EXPORT: SystemReason = SystemReason::new("export a tenant for an operator");

/// Exports, imports and deletes whole tenants, and shows the roles of one.
///
/// Each command is one transaction. All but `roles` fail at the start if the inventory does not cover every table.
#[derive(Debug, Subcommand)]
pub enum TenantsCommand {
    /// Deletes a tenant and all of its data.
    Delete(DeleteArguments),
    /// Writes all data of a tenant into a tar archive.
    Export(ExportArguments),
    /// Creates a new tenant from an archive. Members are matched with users by email address.
    Import(ImportArguments),
    /// Prints what each role of a tenant may do, and how its custom roles differ from the built-in ones.
    Roles(RolesArguments),
}

impl TenantsCommand {
    /// Returns an error for arguments that exclude each other, which the command line reports as wrong usage.
    #[must_use]
    pub fn conflict(&self) -> Option<&'static str> {
        match self {
            Self::Export(ExportArguments { output, common, .. })
                if common.json && is_stdout(output.as_deref()) =>
            {
                Some("`--json` and an archive cannot both be on stdout")
            }
            _ => None,
        }
    }

    /// Runs the command on `database`, whose tables are those of `inventory`.
    ///
    /// # Errors
    ///
    /// When the inventory does not match the database, there is no such tenant, the file cannot be read or written, or
    /// the archive is refused. Nothing has changed then, but for an audit entry of an export.
    pub async fn run<M: MemberPolicy>(
        self,
        program: &Program,
        database: &Database,
        inventory: Inventory,
    ) -> Result<(), CommandError> {
        let work = async || {
            let contents = inventory.take(database).await?;
            Ok::<_, CommandError>(Work { program, system: database.system(), contents })
        };
        match self {
            Self::Delete(arguments) => work().await?.delete(&arguments).await,
            Self::Export(arguments) => work().await?.export(&arguments).await,
            Self::Import(arguments) => work().await?.import::<M>(arguments).await,
            Self::Roles(arguments) => arguments.run::<M>(program, database).await,
        }
    }
}

fn is_stdout(output: Option<&Path>) -> bool {
    output == Some(Path::new("-"))
}

/// The arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// Id of the tenant.
    #[arg(value_name = TENANT, value_parser = tenant_id)]
    tenant: TenantId,
    /// Confirms the deletion. Only an export made before can restore the tenant.
    #[arg(long, required = true)]
    yes: bool,
    #[command(flatten)]
    common: Common,
}

/// The arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Id of the tenant.
    #[arg(value_name = TENANT, value_parser = tenant_id)]
    tenant: TenantId,
    /// Output file; `-` for stdout. An existing file is not overwritten. Default: `tenant-TENANT.tar` in the current
    /// directory.
    #[arg(long, short)]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// The arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The archive.
    file: PathBuf,
    /// Name of the new tenant. Default: the name of the exported tenant.
    #[arg(long, value_parser = name)]
    name: Option<Line>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Name of the operator, for the audit log of the tenant.
    #[arg(long, env = "USER", default_value = UNNAMED)]
    actor: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn name(text: &str) -> Result<Line, String> {
    Line::parse(text).map_err(|error| error.to_string())
}

/// What a command works with.
struct Work<'a> {
    program: &'a Program,
    system: System,
    contents: Contents,
}

impl Work<'_> {
    fn no_such(&self, tenant: TenantId) -> CommandError {
        format!("there is no {} `{tenant}`", self.program.noun().one()).into()
    }

    async fn delete(&self, arguments: &DeleteArguments) -> Result<(), CommandError> {
        let DeleteArguments { tenant, yes: _, common } = arguments;
        let actor = self.program.actor(&common.actor);
        let deleted = delete(&self.system, DELETE, actor, &self.contents, *tenant).await?;
        let deleted = deleted.ok_or_else(|| self.no_such(*tenant))?;
        if common.json {
            let rows = deleted.rows.into_iter().map(|(name, rows)| (name, Value::from(rows)));
            let rows: Map<String, Value> = rows.collect();
            let id = self.program.noun().id_name();
            return print_json(&json!({id: tenant.to_string(), "deleted": rows}));
        }
        let mut shown = Table::new(&["TABLE", "ROWS"]);
        for (name, rows) in &deleted.rows {
            shown.row([name.clone(), rows.to_string()]);
        }
        print(&shown.to_string())
    }

    async fn export(&self, arguments: &ExportArguments) -> Result<(), CommandError> {
        let ExportArguments { tenant, output, common } = arguments;
        let noun = self.program.noun();
        let to_stdout = is_stdout(output.as_deref());
        let path = output.clone();
        let path = path.unwrap_or_else(|| PathBuf::from(format!("{}-{tenant}.tar", noun.one())));
        if !to_stdout && path.exists() {
            return Err(there_already(&path));
        }
        // A database may have one connection, so the existence check, the audit entry and the export use it in turn.
        let found = self.snapshot(*tenant).await?;
        found.close().await?;
        let mut tx = self.system.begin(EXPORT).await?;
        tx.act_as(self.program.actor(&common.actor));
        tx.record(*tenant, TENANT_EXPORTED.on(tenant.as_uuid()));
        tx.commit().await?;
        let mut archive = ArchiveWriter::new(self.snapshot(*tenant).await?, &self.contents).await?;
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
                noun.id_name(): tenant.to_string(), "file": path, "bytes": archive.length(), "rows": rows,
            }));
        }
        print(&format!("{}: {rows} rows, {} bytes\n", path.display(), archive.length()))
    }

    async fn snapshot(&self, tenant: TenantId) -> Result<Snapshot, CommandError> {
        let snapshot = self.system.snapshot(EXPORT, tenant).await?;
        snapshot.ok_or_else(|| self.no_such(tenant))
    }

    async fn import<M: MemberPolicy>(
        &self,
        arguments: ImportArguments,
    ) -> Result<(), CommandError> {
        let ImportArguments { file, name, common } = arguments;
        let name = name.map(Line::into_string);
        let shown = file.display().to_string();
        let archive = spawn_blocking(move || CheckedArchive::open(&file)).await?;
        let archive = archive.map_err(|error| NotRead { file: shown, error })?;
        let rows = archive.manifest().tables.iter().map(|table| table.rows).sum();
        let progress = progress(rows, "{pos}/{len} rows")?;
        let seen = |rows| progress.inc(rows);
        let actor = self.program.actor(&common.actor);
        let imported = import::<M>(&self.system, &self.contents, archive, name, actor, seen).await;
        progress.finish_and_clear();
        let imported = imported?;
        let (noun, tenant) = (self.program.noun(), imported.tenant.to_string());
        if common.json {
            return print_json(&json!({noun.id_name(): tenant, "rows": imported.rows}));
        }
        print(&format!("{} {tenant}: {} rows\n", noun.one(), imported.rows))
    }
}

fn there_already(path: &Path) -> CommandError {
    format!("`{}` exists already, and nothing is overwritten", path.display()).into()
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

/// The error of an archive that cannot be imported, with its file name.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` cannot be imported")]
struct NotRead {
    file: String,
    #[source]
    error: ReadError,
}
