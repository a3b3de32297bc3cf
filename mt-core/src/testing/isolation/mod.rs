//! Whether an application shows one tenant's data to another: checks to point at one's own routes
//! and tables.
//!
//! Two tenants are set up, `a` with a *canary* in everything that it stores: a text that occurs
//! nowhere else. Then everybody in `b` calls every route with every mix of ids, `a`'s, `b`'s and
//! made-up ones, and
//!
//! * no answer holds the canary, whatever its status;
//! * nothing that `a` has stored is changed;
//! * an id of `a`'s is answered with the same bytes as one that does not exist.
//!
//! [`Routes::check`] drives an application through a closure, so it fits any framework;
//! [`check_tables`] asks Postgres itself, past the application. Both fail as well when they cannot
//! have shown anything: when `a` does not see its own canary, or a table holds no rows of both.
//!
//! # Example
//!
//! For an axum router:
//!
//! ```
//! use mt_core::testing::isolation::{Answer, Call, Party, Routes};
//! use mt_core::testing::TestDatabase;
//! # async fn send(_: Call) -> Answer { unreachable!() }
//!
//! async fn nothing_leaks(db: &TestDatabase, a: Party, b: Party) {
//!     Routes::new()
//!         .route("GET", "/workspaces/{tenant}/notes", None)
//!         .route("POST", "/workspaces/{tenant}/notes", Some(r#"{"text":"x"}"#))
//!         .ignoring_header("x-request-id")
//!         .check(db, &a, &b, async |call| send(call).await)
//!         .await
//!         .assert_none();
//! }
//! ```

mod call;
mod findings;
mod fingerprint;
mod mix;
mod routes;
mod tables;

pub use self::call::{Answer, Call, Party};
pub use self::findings::Findings;
pub use self::fingerprint::fingerprint;
pub use self::routes::Routes;
pub use self::tables::check_tables;
