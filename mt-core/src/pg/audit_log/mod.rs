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
//!         .execute(tx.change::<Q>(NOTE_DELETED.on(id)))
//!         .await?;
//!     Ok(deleted.rows_affected() > 0)
//! }
//! ```
//!
//! # How a change is not forgotten
//!
//! A model that says [`AUDITED`](crate::access::AccessModel::AUDITED) has no other place to change
//! something: [`TenantTx::under`](super::TenantTx::under) then does not compile for a permission that
//! writes, and [`TenantTx::change`](super::TenantTx::change) asks for the entry. What is not worth one says
//! so, by [`TenantTx::unrecorded`](super::TenantTx::unrecorded). The library's own changes record
//! themselves ([`ACTIONS`]), in every model.
//!
//! # Who
//!
//! In a transaction of a tenant it is the caller. In one across tenants it is the principal that it was
//! opened for, or else the reason for it, unless [`SystemTx::act_as`](super::SystemTx::act_as) says better.
//! Which request it was for is said once, around all of it: [`in_request`].
//!
//! # What is not in it
//!
//! Nothing that somebody has typed: a [`Fact`] is a word, an id or a number, so names, bodies and addresses
//! do not fit. And nothing of tenants that are gone: their log goes with them, and the
//! process's own log says who deleted them.

mod action;
mod actor;
mod entry;
mod journal;
mod read;
mod request;

pub use self::action::{
    ACTIONS, Action, INVITE_CREATED, INVITE_RENEWED, INVITE_REVOKED, MEMBER_JOINED, MEMBER_LEFT,
    MEMBER_REMOVED, MEMBER_ROLE_CHANGED, TENANT_CREATED, TENANT_DELETED, TENANT_EXPORTED,
    TENANT_IMPORTED, TENANT_RENAMED, TENANT_SUSPENSION_CHANGED,
};
pub use self::actor::{Actor, ActorKind};
pub use self::entry::{Entry, Fact};
pub(super) use self::journal::{Journal, Line};
pub use self::read::{Filter, Recorded, list};
pub use self::request::in_request;
pub(super) use self::request::same_request;
