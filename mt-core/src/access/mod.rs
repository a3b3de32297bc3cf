//! Who may do what in a tenant, and whether the tenant has paid for it.
//!
//! An embedder describes its own roles, plans and permissions with one [`AccessModel`] and one
//! marker type per [`Permission`]. The decision itself is a pure function of facts loaded
//! beforehand (role, plan, [`Standing`], [`Suspension`]), so the whole policy can be printed as a
//! table and tested without a database.
//!
//! The decision is remembered in the type system:
//!
//! ```text
//! AccessRequest<P> --pg::Tenants::begin--> TenantTx<P> --query::<Q>()--> rows
//! Access<M> --authorize::<P>()--> Grant<P>               for data outside of the database
//! ```
//!
//! A transaction opens only if the check succeeds, and `Grant` has no public constructor. So a function that takes
//! `&mut TenantTx<ProjectsRead>` or `Grant<ProjectsRead>` cannot be reached on a path that skipped the check: that path
//! does not compile.
//!
//! # Example
//!
//! ```
//! use mt_core::access::{Access, AccessModel, Billing, Denied, Facts, Permission, Unaudited, Writes};
//! use mt_core::auth::Principal;
//! use mt_core::billing::Standing;
//! use mt_core::id::{PrincipalId, TenantId};
//! use mt_core::text_enum;
//!
//! text_enum! { enum Role { Viewer = "viewer", Editor = "editor" } }
//! text_enum! { enum Plan { Free = "free", Team = "team" } }
//! text_enum! { enum Perm { ProjectsRead = "projects.read", ProjectsWrite = "projects.write" } }
//!
//! struct Acme;
//! impl AccessModel for Acme {
//!     type Role = Role;
//!     type Plan = Plan;
//!     type Permission = Perm;
//!     type Auditing = Unaudited;
//!     const INITIAL_PLAN: Plan = Plan::Free;
//!     fn role_grants(role: Role, permission: Perm) -> bool {
//!         match permission {
//!             Perm::ProjectsRead => true,
//!             Perm::ProjectsWrite => role == Role::Editor,
//!         }
//!     }
//!     fn plan_includes(_: Plan, _: Perm) -> bool { true }
//! }
//!
//! struct ProjectsWrite;
//! impl Permission for ProjectsWrite {
//!     type Model = Acme;
//!     type Effect = Writes;
//!     const KEY: Perm = Perm::ProjectsWrite;
//!     const BILLING: Billing = Billing::Required;
//! }
//!
//! let viewer = Access::<Acme>::assertion(
//!     TenantId::generate(),
//!     Principal::new(PrincipalId::generate()),
//!     Facts::new(Role::Viewer, Plan::Team, Standing::Good),
//! );
//! assert_eq!(viewer.authorize::<ProjectsWrite>().unwrap_err(), Denied::Forbidden);
//! ```

mod auditing;
mod decision;
mod effect;
mod grant;
mod model;
mod permission_set;
mod policy;
mod request;
mod service;
mod source;

pub use self::auditing::{Audited, Auditing, NeedsNoEntry, Unaudited};
pub use self::decision::{Access, Denied, Facts, Suspension};
pub use self::effect::{Effect, PermissionEffect, Reads, Writes};
pub use self::grant::Grant;
pub use self::model::{AccessModel, Billing, Implies, Permission};
pub use self::permission_set::PermissionSet;
pub use self::policy::Policy;
pub use self::request::AccessRequest;
pub use self::service::{DeclaredWith, Service, ServiceAccess};
pub use self::source::{AccessError, AccessSource};
#[cfg(doc)]
use crate::billing::Standing;
