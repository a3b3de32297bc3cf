//! Hosts that name a tenant, hosts that do not, and names that are remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use http::Request;
use http_body_util::Full;
use mt_core::clock::ManualClock;
use mt_core::id::TenantId;
use mt_tower::layer::GuardLayer;
use mt_tower::resolve_tenant::{
    CachedDirectory, Directory, DirectoryError, MustAgree, PathTemplate, RequestedTenant,
    ResolveTenant, Resolver, Subdomain,
};

use crate::support::{Outcome, send};

const ACME: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20";
const OTHER: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b21";

/// Knows four names, and counts how often it is asked.
#[derive(Debug, Default)]
struct Names {
    asked: AtomicUsize,
    away: AtomicBool,
}

impl Directory for Names {
    async fn find<'a>(&'a self, name: &'a str) -> Result<Option<TenantId>, DirectoryError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return Err(DirectoryError::new("switched off"));
        }
        Ok(match name {
            "acme" | "xn--bcher-kva" | "tasks.acme.com" => TenantId::parse(ACME),
            "other" => TenantId::parse(OTHER),
            _ => None,
        })
    }
}

async fn at<R: Resolver>(resolver: R, uri: &str, hosts: &[&str]) -> Outcome {
    let mut request = Request::get(uri);
    for host in hosts {
        request = request.header("host", *host);
    }
    let request = request.body(Full::default()).unwrap();
    send(&GuardLayer::new(ResolveTenant::new(resolver)), request).await
}

fn subdomain() -> Subdomain<Names> {
    Subdomain::of("Example.ORG.", Names::default()).unwrap()
}

#[track_caller]
fn resolved(outcome: &Outcome) -> String {
    let RequestedTenant(tenant) = outcome.left();
    tenant.to_string()
}

#[tokio::test]
async fn one_label_before_the_apex_is_a_name_however_it_is_spelled() {
    for host in [
        "acme.example.org",
        "ACME.Example.Org",
        "acme.example.org.",
        "acme.example.org:8443",
        "acme.example.org.:80",
        "xn--bcher-kva.example.org",
    ] {
        assert_eq!(resolved(&at(subdomain(), "/", &[host]).await), ACME, "{host}");
        let uri = format!("http://{host}/");
        assert_eq!(resolved(&at(subdomain(), &uri, &[]).await), ACME, "{uri}");
        assert_eq!(resolved(&at(subdomain(), &uri, &[host]).await), ACME, "{uri}");
    }
}

#[tokio::test]
async fn other_hosts_name_nobody() {
    for hosts in [
        &["nobody.example.org"][..],
        &["example.org"],
        &["a.acme.example.org"],
        &["acme.example.org.."],
        &["acme..example.org"],
        &[".example.org"],
        &["-acme.example.org"],
        &["acmeexample.org"],
        &["acme.example.org.evil.test"],
        &["evil.test"],
        &["tasks.acme.com"],
        &["acme_.example.org"],
        &["acme.example.org:x"],
        &["user@acme.example.org"],
        &["127.0.0.1"],
        &["[::1]:80"],
        &[""],
        &["b\u{fc}cher.example.org"],
        &["acme.example.org", "acme.example.org"],
        &[],
    ] {
        assert_eq!(at(subdomain(), "/", hosts).await.refused(), "not-found", "{hosts:?}");
    }
    // The request says one host in its line and another in its header.
    let two = at(subdomain(), "http://acme.example.org/", &["other.example.org"]).await;
    assert_eq!(two.refused(), "not-found");
    assert!(Subdomain::of("not a domain", Names::default()).is_err());
}

#[tokio::test]
async fn registered_domains_are_looked_up_whole_where_that_is_wanted() {
    let taking = || subdomain().with_domains();
    assert_eq!(resolved(&at(taking(), "/", &["Tasks.Acme.com:443"]).await), ACME);
    assert_eq!(resolved(&at(taking(), "/", &["acme.example.org"]).await), ACME);
    for host in ["example.org", "tasks.acme.com.evil.test", "a.acme.example.org", "10.0.0.1"] {
        assert_eq!(at(taking(), "/", &[host]).await.refused(), "not-found", "{host}");
    }
}

#[tokio::test]
async fn a_directory_that_is_away_answers_503() {
    let names = Names::default();
    names.away.store(true, Ordering::Relaxed);
    let resolver = Subdomain::of("example.org", names).unwrap();
    assert_eq!(at(resolver, "/", &["acme.example.org"]).await.refused(), "unavailable");
}

#[tokio::test]
async fn two_places_must_not_name_two_tenants() {
    let both = || MustAgree(subdomain(), PathTemplate::new("/orgs/{tenant}").unwrap());
    let path = format!("/orgs/{ACME}");
    assert_eq!(resolved(&at(both(), &path, &["acme.example.org"]).await), ACME);
    assert_eq!(resolved(&at(both(), "/", &["acme.example.org"]).await), ACME);
    assert_eq!(resolved(&at(both(), &path, &["example.org"]).await), ACME);
    assert_eq!(at(both(), &path, &["other.example.org"]).await.refused(), "not-found");
    assert_eq!(at(both(), "/", &["example.org"]).await.refused(), "not-found");
    assert_eq!(at(both(), "/orgs/x", &["acme.example.org"]).await.refused(), "not-found");
}

type Remembering = CachedDirectory<Arc<Names>, Arc<ManualClock>>;

fn remembering(capacity: usize) -> (Arc<Names>, Arc<ManualClock>, Remembering) {
    let names = Arc::new(Names::default());
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let (found, missing) = (Duration::from_mins(1), Duration::from_secs(5));
    let directory =
        CachedDirectory::with_clock(names.clone(), capacity, found, missing, clock.clone());
    (names, clock, directory)
}

#[tokio::test]
async fn finds_and_misses_are_remembered_for_their_time_and_outages_are_not() {
    let (names, clock, directory) = remembering(100);
    let asked = async |name: &str| {
        let before = names.asked.load(Ordering::Relaxed);
        let _ = directory.find(name).await;
        names.asked.load(Ordering::Relaxed) > before
    };
    assert!(asked("acme").await && asked("nobody").await);
    assert!(!asked("acme").await && !asked("nobody").await);
    assert_eq!(directory.find("acme").await.unwrap(), TenantId::parse(ACME));
    assert_eq!(directory.find("nobody").await.unwrap(), None);
    clock.advance(TimeDelta::seconds(5));
    assert!(!asked("acme").await && asked("nobody").await);
    clock.advance(TimeDelta::seconds(55));
    assert!(asked("acme").await);
    directory.forget("acme");
    assert!(asked("acme").await);
    clock.advance(TimeDelta::seconds(-1));
    assert!(asked("acme").await, "from the future");

    names.away.store(true, Ordering::Relaxed);
    assert!(directory.find("other").await.is_err());
    names.away.store(false, Ordering::Relaxed);
    assert_eq!(directory.find("other").await.unwrap(), TenantId::parse(OTHER));
}

#[tokio::test]
async fn a_flood_of_made_up_names_drives_out_no_real_one() {
    let (names, _, directory) = remembering(100);
    directory.find("acme").await.unwrap();
    for number in 0..10_000 {
        directory.find(&format!("made-up-{number}")).await.unwrap();
        let (found, missing) = directory.len();
        assert!(found == 1 && missing <= 128, "{found} {missing}");
    }
    let before = names.asked.load(Ordering::Relaxed);
    directory.find("acme").await.unwrap();
    assert_eq!(names.asked.load(Ordering::Relaxed), before);
}
