//! Who did what to whom in which tenant: `mt.audit_log`.
//!
//! An [`Entry`] is written by the transaction that made the change, in the message that commits it. So
//! there is no change without its entry and no entry without its change, and it costs no round trip.
//!
//! ```
//! use mt_core::pg::audit_log::Action;
//! # use mt_core::access::{Implies, Permission};
//! # use mt_core::pg::{PgError, TenantTx};
//! # use uuid::Uuid;
//!
//! /// Beside the words of the application, each with the kind of thing that it is done to.
//! const NOTE_DELETED: Action = Action::new("note.deleted", "note");
//!
//! async fn delete<Q: Permission, P: Implies<Q>>(tx: &mut TenantTx<P>, id: Uuid) -> Result<bool, PgError> {
//!     let tenant = tx.tenant().as_uuid();
//!     let deleted = sqlx::query("delete from app.notes where tenant_id = $1 and id = $2")
//!         .bind(tenant)
//!         .bind(id)
//!         // Recorded if it finds one to delete.
//!         .execute(tx.execute::<Q>(NOTE_DELETED.on(id)))
//!         .await?;
//!     Ok(deleted.rows_affected() > 0)
//! }
//! ```
//!
//! # How a change is not forgotten
//!
//! In a model that is [`Audited`](crate::access::Audited), changes need an entry:
//! [`TenantTx::query`](crate::pg::TenantTx::query) does not compile for a permission that writes, and
//! [`TenantTx::execute`](crate::pg::TenantTx::execute) asks for the entry. Under a permission that reads, Postgres refuses
//! every change. A change that is not worth an entry goes by
//! [`TenantTx::execute_unaudited`](crate::pg::TenantTx::execute_unaudited). The library's own changes have entries in every
//! model ([`ACTIONS`]).
//!
//! # Who
//!
//! In a transaction of a tenant it is the caller. In one across tenants it is the principal that it was
//! opened for, or else the reason for it, unless [`SystemTx::act_as`](crate::pg::SystemTx::act_as) sets another.
//! The request is set once, around all of its work: [`in_request`].
//!
//! # What is not in it
//!
//! Text that users have typed: a [`Fact`] is a word, an id or a number, so names, bodies and addresses do not fit. And
//! entries of deleted tenants: their audit log goes with them, and the log of the process has who deleted them.

mod action;
mod actor;
mod entry;
mod journal;
mod purge;
mod read;
mod request;

pub use self::action::{
    ACTIONS, API_KEY_CREATED, API_KEY_NARROWED, API_KEY_REVOKED, API_KEY_ROTATED, Action,
    DOMAIN_CLAIMED, DOMAIN_LOST, DOMAIN_REMOVED, DOMAIN_VERIFIED, INVITE_CREATED, INVITE_RENEWED,
    INVITE_REVOKED, JOB_CANCELLED, JOB_RETRIED, MEMBER_JOINED, MEMBER_LEFT, MEMBER_REMOVED,
    MEMBER_ROLE_CHANGED, ROLE_CHANGED, ROLE_CREATED, ROLE_DELETED, SERVICE_ACCOUNT_CREATED,
    SERVICE_ACCOUNT_DELETED, SERVICE_ACCOUNT_ROLE_CHANGED, TENANT_CREATED, TENANT_DELETED,
    TENANT_EXPORTED, TENANT_IMPORTED, TENANT_PLAN_CHANGED, TENANT_RENAMED, TENANT_SLUG_CHANGED,
    TENANT_SUSPENSION_CHANGED,
};
pub use self::actor::{Actor, ActorKind};
pub use self::entry::{Fact, NewEntry};
pub(super) use self::journal::{Journal, Line};
pub use self::purge::purge;
pub use self::read::{Entry, Filter, list};
pub use self::request::in_request;
pub(super) use self::request::{current as current_request, same_request};
