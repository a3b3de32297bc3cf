//! The rules of the audit.

use crate::text_enum;

macro_rules! rules {
    ($($name:ident = $text:literal, $weight:ident: $explanation:literal,)+) => {
        text_enum! {
            /// A rule of the database audit: a property of the catalogue that keeps tenants apart.
            #[non_exhaustive]
            pub enum Rule {
                $(#[doc = $explanation] $name = $text,)+
            }
        }

        impl Rule {
            /// Returns what is wrong and what to do about it, in a sentence or two.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)+ }
            }

            /// Returns whether the rule only reports a fact and breaks nothing by itself: it is in
            /// [`Report::notes`](super::Report::notes).
            #[must_use]
            pub const fn is_note(self) -> bool {
                matches!(match self { $(Self::$name => Weight::$weight,)+ }, Weight::Note)
            }
        }
    };
}

enum Weight {
    Error,
    Note,
}

rules! {
    CommandWithoutPolicy = "command-without-policy", Error:
        "A granted command has no policy, so it fails or finds nothing. Run `mt.isolate` on the table, or revoke the \
         command.",
    ConnectOfPublic = "connect-of-public", Error:
        "Every login of the cluster may connect to the database, including those of other services. \
         Run the statements in brackets as the owner of the database.",
    DefaultPrivilege = "default-privilege", Error:
        "Roles of transactions may use future tables and schemas before these have policies. \
         Revoke it with `alter default privileges … revoke`.",
    DefinerExecutable = "definer-executable", Error:
        "A function with its owner's rights can be called and bypasses the caller's policies. Make it \
         `security invoker`, or revoke `execute`.",
    DefinerUnpinned = "definer-unpinned", Error:
        "A function with its owner's rights has no `search_path` of its own, so a caller can hijack it. Add `set \
         search_path = pg_catalog, pg_temp`.",
    ExceptionUnused = "exception-unused", Error:
        "An exception matches nothing. Remove it, or it may hide a later violation.",
    ForeignKeyOmitsTenant = "foreign-key-omits-tenant", Error:
        "Foreign keys bypass policies: a row can reference another tenant. Put `tenant_id` into the key on \
         both sides.",
    ForeignTable = "foreign-table", Error:
        "A foreign table has no policies and shows all rows of its server. Revoke the privilege.",
    FunctionSetsTenant = "function-sets-tenant", Note:
        "A function sets the setting that the tenant of a transaction is sealed in, so that statements after it fail.",
    IndexMissing = "index-missing", Error:
        "No index begins with the tenant, so each query reads the rows of every tenant. Create one.",
    LibraryDiffers = "library-differs", Error:
        "A function, a trigger or an owner in the library's schema differs from the migrations. \
         Restore it.",
    LoginInherits = "login-inherits", Error:
        "The login has the rights of the role that sees all tenants without setting it. Grant the role `with \
         inherit false`, or before Postgres 16 make the login `noinherit`.",
    LoginReachesSystem = "login-reaches-system", Note:
        "The login of the tenants' transactions may become the role that sees all tenants, so an SQL injection into \
         one of their statements may too. Use a separate login for work across tenants.",
    MaterializedView = "materialized-view", Error:
        "A materialized view holds rows of all tenants and has no policies. Revoke the privilege.",
    OtherLogin = "other-login", Error:
        "Another login may connect to the database and become a role of transactions or of migrations: it reads \
         every tenant. Revoke `connect` from it, or the role.",
    PolicyAlwaysTrue = "policy-always-true", Error:
        "Permissive policies add up: one that is always true shows or accepts every row. Drop it.",
    PolicyDiffers = "policy-differs", Error:
        "A policy in the library's schema differs from the migrations. Drop it, or restore it.",
    PolicyForEverybody = "policy-for-everybody", Error:
        "A permissive policy applies to every role, including future ones. Limit it with `to mt_app`.",
    PolicyForSystem = "policy-for-system", Error:
        "A permissive policy shows the role that sees all tenants the application's rows. Use a transaction of each tenant instead.",
    PolicyForUnknownRole = "policy-for-unknown-role", Error:
        "A permissive policy applies to a role that is not one of transactions and not known to the audit. Drop it, or add the role to the audit.",
    PolicyIgnoresTenant = "policy-ignores-tenant", Error:
        "A permissive policy lacks the condition that `mt.isolate` creates, or has it below an `or`. Connect it with \
         the others by `and`.",
    PolicyMissing = "policy-missing", Error:
        "A policy of the library is missing, so rows that it showed are hidden. Restore it as in the \
         migrations.",
    PolicyPerRow = "policy-per-row", Error:
        "A policy reads its setting for each row; `(select …)` around it reads it once.",
    PrivilegeOfPublic = "privilege-of-public", Error:
        "Every role has a privilege on the table or column, roles of transactions included. Revoke it from `public`.",
    PrivilegePastPolicies = "privilege-past-policies", Error:
        "TRUNCATE, TRIGGER and REFERENCES are not subject to policies, and Postgres's own catalogue has none. Revoke \
         the privilege.",
    PrivilegeUnexpected = "privilege-unexpected", Error:
        "A privilege in the library's schema is not granted by the migrations. Revoke it.",
    Published = "published", Error:
        "A publication sends every tenant's changes to its subscribers and bypasses all policies. Drop it, or remove the \
         table from it.",
    RlsDisabled = "rls-disabled", Error:
        "Row-level security is off: the rows of every tenant are visible. Run `mt.isolate` on the table.",
    RlsNotForced = "rls-not-forced", Error:
        "Row-level security does not bind the table's owner. Run `alter table … force row level security`.",
    RoleCreates = "role-creates", Error:
        "A role of transactions may make objects in the schema or database, and shadow others. Revoke `create`.",
    RoleMakesRoles = "role-makes-roles", Error:
        "The login or a role of transactions may make roles or databases, and gain more rights through them. Run `alter role \
         … nocreaterole nocreatedb`.",
    RoleMayBecome = "role-may-become", Error:
        "The login or a role of transactions is a member of a role that policies do not bind, directly or through \
         others. Revoke the membership.",
    RoleOwns = "role-owns", Error:
        "The login or a role of transactions owns the table, or can become its owner, and can switch policies off. \
         Make `mt_owner` the owner.",
    RoleSkipsPolicies = "role-skips-policies", Error:
        "No policy binds the login or a role of transactions: it is a superuser, has BYPASSRLS or may replicate. Use \
         a plain role.",
    SchemaNewer = "schema-newer", Note:
        "A newer version of the library has migrated the database. Its additions to the library's schema were \
         not checked; run the newer version's audit.",
    SequenceShared = "sequence-shared", Note:
        "Tenants share a sequence, so each can see how much the others do.",
    ServerOutdated = "server-outdated", Error:
        "The server is older than the fixes of CVE-2026-120154 and CVE-2026-14666, which show hidden rows. Update it.",
    TemporaryTables = "temporary-tables", Error:
        "A role of transactions may make temporary tables, which outlive a tenant's transaction and show its rows \
         to the next tenant of the connection. Run the statement in brackets.",
    TenantMissing = "tenant-missing", Error:
        "The table can be reached and has no `tenant_id`, so the rows of tenants cannot be distinguished. Add the \
         column, or revoke the privileges.",
    TenantNullable = "tenant-nullable", Error:
        "`tenant_id` may be null, and such a row belongs to no tenant. Set it `not null`.",
    UniqueOmitsTenant = "unique-omits-tenant", Error:
        "A unique index without the tenant reveals to one tenant which values another has. Put `tenant_id` into its key.",
    ViewOfItsOwner = "view-of-its-owner", Error:
        "A view without `security_invoker` reads with its owner's rights. Set `security_invoker = true`.",
}
