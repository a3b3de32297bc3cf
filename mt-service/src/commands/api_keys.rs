//! Lists the API keys of a tenant, and revokes keys.

use std::collections::BTreeSet;
use std::io::Read as _;

use clap::{Args, Subcommand};
use mt_core::access::AccessModel;
use mt_core::auth::{AuthError, Authenticator as _};
use mt_core::id::{ApiKeyId, TenantId};
use mt_core::pg::api_keys::{ApiKey, ApiKeys, list_for_operator, revoke_for_operator};
use mt_core::pg::{Database, SystemReason};
use mt_core::text_enum::TextEnum;
use serde_json::{Value, json};

use super::program::{Program, TENANT, UNNAMED, tenant_id};
use super::table::{Table, time};
use crate::output::{CommandError, print, print_json};

const LIST: SystemReason = SystemReason::new("list API keys for an operator");
const REVOKE: SystemReason = SystemReason::new("revoke an API key for an operator");

/// The longest text that leaked keys are looked for in: a mebibyte.
const LONGEST_TEXT: u64 = 1 << 20;

/// Lists the API keys of a tenant, and revokes keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeysCommand {
    /// Lists the API keys of a tenant, newest first, without the keys themselves.
    List(ListArguments),
    /// Revokes an API key of a tenant.
    Revoke(RevokeArguments),
    /// Revokes each API key in the text on stdin, for keys that were found where they do not belong.
    RevokeLeaked(RevokeLeakedArguments),
}

/// The arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Id of the tenant.
    #[arg(value_name = TENANT, value_parser = tenant_id)]
    tenant: TenantId,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `revoke`.
#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// Id of the tenant.
    #[arg(value_name = TENANT, value_parser = tenant_id)]
    tenant: TenantId,
    /// Id of the key.
    #[arg(value_parser = key_id)]
    key: ApiKeyId,
    /// Name of the operator, for the audit log of the tenant.
    #[arg(long, default_value = UNNAMED)]
    operator: String,
}

/// The arguments of `revoke-leaked`.
#[derive(Debug, Args)]
pub struct RevokeLeakedArguments {
    /// Name of the operator, for the audit log of the tenant.
    #[arg(long, default_value = UNNAMED)]
    operator: String,
}

fn key_id(text: &str) -> Result<ApiKeyId, &'static str> {
    ApiKeyId::parse(text).ok_or("takes the id of an API key")
}

impl ApiKeysCommand {
    /// Runs the command on `database`. `keys` are those of the servers on it.
    ///
    /// # Errors
    ///
    /// When there is no such key, it has ended, or the database fails.
    pub async fn run<M: AccessModel>(
        self,
        program: &Program,
        database: &Database,
        keys: &ApiKeys,
    ) -> Result<(), CommandError> {
        match self {
            Self::List(arguments) => list::<M>(database, arguments).await,
            Self::Revoke(RevokeArguments { tenant, key, operator }) => {
                revoke::<M>(program, database, tenant, key, &operator).await
            }
            Self::RevokeLeaked(RevokeLeakedArguments { operator }) => {
                let mut text = Vec::new();
                std::io::stdin().take(LONGEST_TEXT + 1).read_to_end(&mut text)?;
                if text.len() as u64 > LONGEST_TEXT {
                    return Err(
                        "stdin holds more than a mebibyte: split it. Nothing was revoked".into()
                    );
                }
                let leaked = in_text(keys, &String::from_utf8_lossy(&text)).await?;
                if leaked.is_empty() {
                    return Err(
                        "stdin holds no API key that can be used; one that has ended, or that was \
                         issued with another secret, is not found"
                            .into(),
                    );
                }
                // One that cannot be revoked, such as one that has just ended, keeps no other alive.
                let mut done = Ok(());
                for (tenant, key) in leaked {
                    let revoked = revoke::<M>(program, database, tenant, key, &operator).await;
                    done = done.and(revoked);
                }
                done
            }
        }
    }
}

/// The keys in a text that can be used, each once.
async fn in_text(
    keys: &ApiKeys,
    text: &str,
) -> Result<BTreeSet<(TenantId, ApiKeyId)>, CommandError> {
    let mut found = BTreeSet::new();
    for word in text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_') {
        match keys.authenticate(word).await {
            Ok(key) => found.extend(key.tenant().zip(key.key())),
            Err(AuthError::Invalid(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

async fn list<M: AccessModel>(
    database: &Database,
    arguments: ListArguments,
) -> Result<(), CommandError> {
    let mut tx = database.system().begin(LIST).await?;
    let keys = list_for_operator::<M>(&mut tx, arguments.tenant).await?;
    tx.commit().await?;
    if arguments.json {
        return print_json(&keys.iter().map(view).collect::<Vec<_>>());
    }
    let head = [
        "KEY",
        "NAME",
        "HINT",
        "USER",
        "SERVICE ACCOUNT",
        "LIMIT",
        "CREATED",
        "USED",
        "ENDS",
        "REVOKED",
    ];
    let mut table = Table::new(&head);
    for key in &keys {
        let id = |id: Option<String>| id.unwrap_or_else(|| "-".to_owned());
        table.row([
            key.id.to_string(),
            key.name.clone(),
            key.hint.clone(),
            id(key.user.map(|id| id.to_string())),
            id(key.service_account.map(|id| id.to_string())),
            match limit(key) {
                None => "all that the holder may".to_owned(),
                Some(limit) if limit.is_empty() => "nothing".to_owned(),
                Some(limit) => limit.join(", "),
            },
            time(Some(key.created_at)),
            time(key.last_used_at),
            time(key.expires_at),
            time(key.revoked_at),
        ]);
    }
    print(&table.to_string())
}

fn limit<M: AccessModel>(key: &ApiKey<M>) -> Option<Vec<&'static str>> {
    key.permissions.map(|set| set.iter().map(TextEnum::as_str).collect())
}

fn view<M: AccessModel>(key: &ApiKey<M>) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "user_id": key.user,
        "service_account_id": key.service_account,
        "permissions": limit(key),
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    })
}

async fn revoke<M: AccessModel>(
    program: &Program,
    database: &Database,
    tenant: TenantId,
    key: ApiKeyId,
    operator: &str,
) -> Result<(), CommandError> {
    let mut tx = database.system().begin(REVOKE).await?;
    tx.act_as(program.actor(operator));
    let is_revoked = revoke_for_operator(&mut tx, tenant, key).await?;
    let all = list_for_operator::<M>(&mut tx, tenant).await?;
    tx.commit().await?;
    let Some(revoked) = all.iter().find(|one| is_revoked && one.id == key) else {
        return Err(format!("{key} is not a key of {tenant} that can be used").into());
    };
    let user = revoked.user.map(|id| format!(", of the user {id}")).unwrap_or_default();
    let account = revoked.service_account;
    let account = account.map(|id| format!(", of the service account {id}")).unwrap_or_default();
    print(&format!("revoked {key} `{}` of {tenant}{user}{account}\n", revoked.name))
}
