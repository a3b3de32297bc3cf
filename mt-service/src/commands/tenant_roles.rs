//! Prints the roles of a tenant: the built-in ones, its custom ones, and the difference.

use clap::Args;
use mt_core::access::{AccessModel, PermissionSet};
use mt_core::id::TenantId;
use mt_core::pg::roles::{self, CustomRole};
use mt_core::pg::{Database, SystemReason};
use mt_core::text_enum::TextEnum;
use serde_json::{Value, json};

use super::program::{Program, TENANT, tenant_id};
use super::table::Table;
use crate::output::{CommandError, print, print_json};

const SHOW: SystemReason = SystemReason::new("show the roles of a tenant to an operator");

/// The arguments of `roles`.
#[derive(Debug, Args)]
pub struct RolesArguments {
    /// Id of the tenant.
    #[arg(value_name = TENANT, value_parser = tenant_id)]
    tenant: TenantId,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl RolesArguments {
    pub(super) async fn run<M: AccessModel>(
        self,
        program: &Program,
        database: &Database,
    ) -> Result<(), CommandError> {
        let Self { tenant, json } = self;
        let found = roles::of_tenant::<M>(&database.system(), SHOW, tenant).await?;
        let noun = program.noun();
        let custom = found.ok_or_else(|| format!("there is no {} `{tenant}`", noun.one()))?;
        if json {
            return print_json(&json!({
                noun.id_name(): tenant.to_string(),
                "roles": custom.iter().map(in_json).collect::<Vec<_>>(),
            }));
        }
        print(&shown(&custom))
    }
}

/// The built-in and the custom roles as one table, and below it what each custom role has more and less than the one
/// that it is based on.
fn shown<M: AccessModel>(custom: &[CustomRole<M>]) -> String {
    let built_in = M::Role::ALL.iter().map(|role| role.as_str());
    let names = custom.iter().map(|role| role.name.as_str());
    let head: Vec<_> = ["permission"].into_iter().chain(built_in).chain(names).collect();
    let mut table = Table::new(&head);
    let mark = |yes: bool| if yes { "yes" } else { "-" };
    for permission in M::Permission::ALL {
        let built_in = M::Role::ALL.iter().map(|role| M::role_grants(*role, *permission));
        let custom = custom.iter().map(|role| role.permissions.contains(*permission));
        table.row([permission.as_str()].into_iter().chain(built_in.chain(custom).map(mark)));
    }
    if custom.is_empty() {
        return table.to_string();
    }
    let mut differences = Table::new(&[]);
    for role in custom {
        let (more, less) = difference(role);
        let more = more.into_iter().map(|word| format!("+{word}"));
        let changes: Vec<_> = more.chain(less.into_iter().map(|word| format!("-{word}"))).collect();
        let changes = if changes.is_empty() { "the same".to_owned() } else { changes.join(" ") };
        let based_on = format!("based on {}", role.based_on.as_str());
        differences.row([role.name.clone(), based_on, changes]);
    }
    format!("{table}\n{differences}")
}

/// What the role has more and less than the one that it is based on.
fn difference<M: AccessModel>(role: &CustomRole<M>) -> (Vec<&'static str>, Vec<&'static str>) {
    let based_on = PermissionSet::<M>::of_role(role.based_on);
    let texts = |set: PermissionSet<M>| set.iter().map(TextEnum::as_str).collect();
    (texts(role.permissions.difference(based_on)), texts(based_on.difference(role.permissions)))
}

fn in_json<M: AccessModel>(role: &CustomRole<M>) -> Value {
    let (more, less) = difference(role);
    let permissions: Vec<_> = role.permissions.iter().map(TextEnum::as_str).collect();
    json!({
        "id": role.id.to_string(), "name": role.name, "based_on": role.based_on.as_str(),
        "permissions": permissions, "more": more, "less": less,
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use mt_core::id::RoleId;

    use super::*;

    mt_core::model! {
        Shop;
        roles Role { Owner = "owner" (owner), Clerk = "clerk" }
        plans Plan { Free = "free" (initial) }
        permissions Action {
            LogRead = "log.read"         [yes no]  [yes] exempt read;
            OrdersRead = "orders.read"   [yes yes] [yes] exempt read;
            OrdersWrite = "orders.write" [yes yes] [yes] exempt write;
        }
    }

    fn role(name: &str, words: &[&'static str]) -> CustomRole<Shop> {
        CustomRole {
            id: RoleId::generate(),
            name: name.to_owned(),
            based_on: Role::Clerk,
            permissions: PermissionSet::parse(words.iter().copied()).unwrap(),
            created_at: DateTime::<Utc>::UNIX_EPOCH,
            updated_at: DateTime::<Utc>::UNIX_EPOCH,
        }
    }

    #[test]
    fn custom_roles_stand_beside_the_built_in_ones_with_their_difference() {
        let roles = [
            role("Auditor", &["log.read", "orders.read"]),
            role("Seller", &["orders.read", "orders.write"]),
        ];
        assert_eq!(
            shown(&roles),
            "\
permission    owner  clerk  Auditor  Seller
log.read      yes    -      yes      -
orders.read   yes    yes    yes      yes
orders.write  yes    yes    -        yes

Auditor  based on clerk  +log.read -orders.write
Seller   based on clerk  the same
"
        );
        assert!(shown::<Shop>(&[]).ends_with("orders.write  yes    yes\n"));
    }
}
