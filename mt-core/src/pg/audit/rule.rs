//! What the audit looks for.

use crate::word::Word;

macro_rules! rules {
    ($($name:ident = $key:literal: $explanation:literal,)+) => {
        /// Something in the catalogue that keeps tenants apart, and can be missing.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = $explanation] $name,)+
        }

        impl Rule {
            /// What is wrong when the rule is broken, in a sentence.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)+ }
            }
        }

        impl Word for Rule {
            const ALL: &'static [Self] = &[$(Self::$name,)+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$name => $key,)+ }
            }
        }
    };
}

rules! {
    CommandWithoutPolicy = "command-without-policy":
        "A granted command has no policy, so it fails or finds nothing.",
    DefinerExecutable = "definer-executable":
        "A function with its owner's rights can be called past the caller's policies.",
    DefinerUnpinned = "definer-unpinned":
        "A function with its owner's rights has no `search_path` of its own, so a caller can hijack it.",
    ExceptionUnused = "exception-unused":
        "An exception that matches nothing should go, or it will hide what comes later.",
    ForeignKeyOmitsTenant = "foreign-key-omits-tenant":
        "Foreign keys are checked past policies: a row can point into another tenant.",
    IndexMissing = "index-missing":
        "No index begins with the tenant, so each query reads every tenant's rows.",
    LoginInherits = "login-inherits":
        "The login has the rights of the role that sees all tenants without taking it on.",
    MaterializedView = "materialized-view":
        "A materialized view holds rows of all tenants and has no policies.",
    PolicyAlwaysTrue = "policy-always-true":
        "Permissive policies add up: one that is always true shows, or takes, every row.",
    PolicyForEverybody = "policy-for-everybody":
        "A permissive policy is for every role, those to come included.",
    PolicyIgnoresTenant = "policy-ignores-tenant":
        "A permissive policy does not ask for the tenant of the transaction.",
    PolicyMissing = "policy-missing":
        "A policy of the library's own is gone, and what it let through no longer is.",
    PolicyPerRow = "policy-per-row":
        "A policy reads its setting for each row; `(select …)` around it reads it once.",
    PrivilegeOfPublic = "privilege-of-public":
        "Everybody who can log in has a privilege on the table.",
    PrivilegePastPolicies = "privilege-past-policies":
        "TRUNCATE, TRIGGER and REFERENCES are not subject to policies.",
    RlsDisabled = "rls-disabled":
        "Row-level security is off: every tenant's rows show.",
    RlsNotForced = "rls-not-forced":
        "Row-level security does not bind the table's owner.",
    RoleCreates = "role-creates":
        "A role of transactions may make objects in the schema, and shadow others.",
    RoleMakesRoles = "role-makes-roles":
        "A role of transactions may make roles or databases.",
    RoleOwns = "role-owns":
        "A role of transactions owns the table, or can become who does, and can switch policies off.",
    RoleSkipsPolicies = "role-skips-policies":
        "A role of transactions is a superuser or has BYPASSRLS: no policy applies to it.",
    ServerOutdated = "server-outdated":
        "The server is older than the fixes of CVE-2026-120154 and CVE-2026-14666, which show hidden rows.",
    TenantMissing = "tenant-missing":
        "The table can be reached and has no `tenant_id`: either it is one tenant's or everybody's.",
    TenantNullable = "tenant-nullable":
        "`tenant_id` may be null: such a row is nobody's.",
    UniqueOmitsTenant = "unique-omits-tenant":
        "A unique index without the tenant tells one tenant which values another has.",
    ViewOfItsOwner = "view-of-its-owner":
        "A view without `security_invoker` reads with its owner's rights.",
}
