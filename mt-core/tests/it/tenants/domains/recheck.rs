//! Verified domains whose record goes away.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mt_core::clock::{Clock as _, SystemClock};
use mt_core::pg::domains::{self, Domain, Rechecked, TxtResolver};

use super::{claimed, found, owner, prove, unavailable, verified};
use crate::support::dns_server::DnsServer;
use crate::support::{SETUP, World};

const WEEK: Duration = Duration::from_hours(7 * 24);

async fn rechecked(
    world: &World,
    dns: &impl TxtResolver,
    domain: &Domain,
    now: DateTime<Utc>,
) -> Rechecked {
    domains::recheck(&world.database.system(), dns, domain, now, WEEK).await.unwrap()
}

async fn due(world: &World, before: DateTime<Utc>) -> Vec<Domain> {
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    domains::due_for_recheck(&mut tx, before, 10).await.unwrap()
}

#[tokio::test]
async fn domain_is_lost_when_its_record_was_missing_for_the_grace_period() {
    let (world, dns) = (World::new(2).await, DnsServer::start().await);
    let resolver = dns.resolver();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (of_ada, of_bob) = (world.tenant(ada).await, world.tenant(bob).await);
    let domain = claimed(&world, ada, of_ada).await;
    let name = domain.challenge.record_name();
    let (now, day) = (SystemClock.now(), TimeDelta::days(1));
    assert_eq!(rechecked(&world, &resolver, &domain, now).await, Rechecked::NotVerified);
    prove(&dns, &domain).await;
    verified(&world, &resolver, ada, &domain).await.unwrap();
    assert_eq!(rechecked(&world, &resolver, &domain, now).await, Rechecked::Proved);

    dns.remove_txt(name).await;
    let since = now + day;
    assert_eq!(rechecked(&world, &resolver, &domain, since).await, Rechecked::Missing { since });
    let stored = found(&world, ada, of_ada).await.unwrap().missing_since.unwrap();
    assert_eq!(stored.timestamp(), since.timestamp());
    assert_eq!(owner(&world).await, Some(of_ada), "within the grace period");
    // An outage of DNS proves nothing, however long it lasts.
    let away = unavailable().await;
    assert_eq!(rechecked(&world, &away, &domain, now + day * 30).await, Rechecked::Unavailable);
    assert_eq!(owner(&world).await, Some(of_ada));

    // The record is there again, and goes again: the grace period starts anew.
    prove(&dns, &domain).await;
    assert_eq!(rechecked(&world, &resolver, &domain, now + day * 8).await, Rechecked::Proved);
    dns.remove_txt(name).await;
    let missing = rechecked(&world, &resolver, &domain, now + day * 9).await;
    assert!(matches!(missing, Rechecked::Missing { .. }), "{missing:?}");
    let missing = rechecked(&world, &resolver, &domain, now + day * 15).await;
    assert!(matches!(missing, Rechecked::Missing { .. }), "{missing:?}");
    assert_eq!(rechecked(&world, &resolver, &domain, now + day * 17).await, Rechecked::Lost);
    assert_eq!(owner(&world).await, None);
    let left = found(&world, ada, of_ada).await.unwrap();
    assert_eq!((left.verified_at, left.missing_since), (None, None), "the claim stays");
    assert_eq!(rechecked(&world, &resolver, &domain, now + day * 18).await, Rechecked::NotVerified);
    let entries = "select count(*) from mt.audit_log where action = 'domain.lost' \
         and actor_kind = 'system' and actor_name = 'recheck a domain'";
    assert_eq!(world.count(entries).await, 1);

    let his = claimed(&world, bob, of_bob).await;
    prove(&dns, &his).await;
    verified(&world, &resolver, bob, &his).await.unwrap();
    assert_eq!(owner(&world).await, Some(of_bob));
}

#[tokio::test]
async fn verified_domains_are_due_once_each_and_an_outage_of_dns_does_not_repeat_them() {
    let (world, dns) = (World::new(2).await, DnsServer::start().await);
    let ada = world.user("ada").await;
    let domain = claimed(&world, ada, world.tenant(ada).await).await;
    let now = SystemClock.now() + TimeDelta::days(2);
    assert_eq!(due(&world, now).await, [], "a claim is not");
    prove(&dns, &domain).await;
    verified(&world, &dns.resolver(), ada, &domain).await.unwrap();
    assert_eq!(due(&world, now - TimeDelta::days(3)).await, [], "verified since");
    for resolver in [dns.resolver(), unavailable().await] {
        let listed = due(&world, now).await;
        assert_eq!(listed.iter().map(|domain| domain.id).collect::<Vec<_>>(), [domain.id]);
        rechecked(&world, &resolver, &listed[0], now + TimeDelta::days(1)).await;
        assert_eq!(due(&world, now).await, []);
        sqlx::query("update mt.domains set checked_at = now()")
            .execute(world.db.admin())
            .await
            .unwrap();
    }
}
