//! Hosts that name a tenant, and hosts that do not.

use std::sync::atomic::{AtomicBool, Ordering};

use http::Request;
use http_body_util::Full;
use mt_core::id::TenantId;
use mt_tower::layer::GuardLayer;
use mt_tower::resolve_tenant::{
    Directory, DirectoryError, RequestedTenant, ResolveTenant, Resolver, Subdomain,
};

use crate::support::{Outcome, send};

const ACME: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20";
const OTHER: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b21";

/// Knows four names.
#[derive(Debug, Default)]
struct Names {
    away: AtomicBool,
}

impl Directory for Names {
    async fn find<'a>(&'a self, name: &'a str) -> Result<Option<TenantId>, DirectoryError> {
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
async fn one_label_before_the_apex_is_a_name_in_any_spelling() {
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
async fn other_hosts_name_no_tenant() {
    for hosts in [
        &["unknown.example.org"][..],
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
async fn unavailable_directory_answers_503() {
    let names = Names::default();
    names.away.store(true, Ordering::Relaxed);
    let resolver = Subdomain::of("example.org", names).unwrap();
    assert_eq!(at(resolver, "/", &["acme.example.org"]).await.refused(), "unavailable");
}
