//! Invites that a service account has made.

use std::time::Duration;

use mt_core::access::AccessRequest;
use mt_core::billing::StandingPolicy;
use mt_core::pg::api_keys::KeyHolder;
use mt_core::pg::invites::{self, AcceptError, InviteTerms};
use mt_core::token::TokenHasher;
use sqlx::Executor as _;

use super::{account, caller, owner};
use crate::support::{Acme, NotesWrite, Role, SETUP, Seats, World, email};

/// An invite is worth what its maker holds when it is accepted, whether a member or a service account has made it.
#[tokio::test]
async fn an_invite_of_a_service_account_is_accepted_while_its_role_may_invite() {
    let world = World::new(2).await;
    let (ada, acme) = owner(&world).await;
    let guest = world.user("guest").await;
    let hasher = TokenHasher::new(b"a secret of these tests, 32 bytes");
    let standing = StandingPolicy::default();
    for (change, is_good) in [
        ("update mt.service_accounts set role = 'viewer'", false),
        ("delete from mt.service_accounts", false),
        ("select 1", true),
    ] {
        let editor = account(&world, ada, acme, Role::Editor).await;
        let (_, key) = caller(&world, ada, acme, KeyHolder::ServiceAccount(editor)).await;
        let request = AccessRequest::<NotesWrite>::new(key, acme);
        let begin = world.tenants.begin(request).exclusive().capped::<Seats>();
        let (mut tx, cap) = begin.await.unwrap();
        let terms = InviteTerms { ttl: Duration::from_hours(1), mail_interval: None };
        let (to, role) = (email("guest"), Role::Viewer);
        let made = invites::invite(&mut tx, cap, &hasher, &to, role, terms).await.unwrap();
        tx.commit().await.unwrap();

        world.db.admin().execute(change).await.unwrap();
        let mut tx = world.database.system().begin_for(guest, SETUP).await.unwrap();
        let token = made.token.reveal();
        let joined = invites::accept::<Acme, Seats>(&mut tx, &hasher, &standing, guest, token);
        match joined.await {
            Ok(joined) => assert!(is_good && joined.role == Role::Viewer, "{change}"),
            Err(error) => {
                assert!(!is_good && matches!(error, AcceptError::Invalid), "{change}: {error}");
            }
        }
        tx.rollback().await.unwrap();
    }
}
