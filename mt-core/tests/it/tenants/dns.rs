//! TXT records from a real DNS server.

use std::time::{Duration, Instant};

use mt_core::pg::domains::{DnsError, DnsResolver, TxtResolver as _};
use tokio::net::UdpSocket;

use crate::support::dns_server::DnsServer;

async fn txt(dns: &DnsServer, name: &str) -> Result<Vec<String>, DnsError> {
    let mut records = dns.resolver().txt_records(name).await?;
    records.sort();
    Ok(records)
}

#[tokio::test]
async fn txt_records_are_read_with_their_strings_joined() {
    let dns = DnsServer::start().await;
    dns.add_txt("one.test", &["a value"]).await;
    dns.add_txt("several.test", &["v=spf1 -all"]).await;
    dns.add_txt("several.test", &["mt-domain-", "verification=", "x"]).await;
    dns.add_txt("xn--bcher-kva.test", &["é"]).await;
    assert_eq!(txt(&dns, "one.test").await.unwrap(), ["a value"]);
    let several = ["mt-domain-verification=x", "v=spf1 -all"];
    assert_eq!(txt(&dns, "several.test").await.unwrap(), several);
    assert_eq!(txt(&dns, "xn--bcher-kva.test").await.unwrap(), ["é"]);
    assert_eq!(txt(&dns, "ONE.test").await.unwrap(), ["a value"], "case does not matter");
}

#[tokio::test]
async fn answer_that_is_too_long_for_udp_is_read_by_tcp() {
    let dns = DnsServer::start().await;
    let long = "x".repeat(250);
    for number in 10..50 {
        dns.add_txt("long.test", &[&format!("{number} {long}")]).await;
    }
    assert_eq!(txt(&dns, "long.test").await.unwrap().len(), 40);
}

#[tokio::test]
async fn alias_is_followed() {
    let dns = DnsServer::start().await;
    dns.add_txt("proofs.other.test", &["of acme"]).await;
    dns.add_alias("_mt-challenge.acme.test", "proofs.other.test").await;
    dns.add_alias("dangling.test", "nothing.test").await;
    assert_eq!(txt(&dns, "_mt-challenge.acme.test").await.unwrap(), ["of acme"]);
    assert_eq!(txt(&dns, "dangling.test").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn name_without_records_has_none_and_that_is_an_answer() {
    let dns = DnsServer::start().await;
    dns.add_txt("below.acme.test", &["x"]).await;
    for name in ["unknown.test", "acme.test"] {
        assert_eq!(txt(&dns, name).await.unwrap(), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn refused_or_unanswered_question_is_an_error_and_not_an_empty_answer() {
    let dns = DnsServer::start().await;
    // Of no zone that the server has.
    let refused = txt(&dns, "acme.example").await.unwrap_err();
    assert_eq!(refused.to_string(), "the domain's DNS did not answer");

    // A socket that reads nothing, and one that is closed.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), closed] {
        let deadline = Duration::from_millis(300);
        let resolver = DnsResolver::asking(&[address]).unwrap().deadline(deadline);
        let begun = Instant::now();
        resolver.txt_records("acme.test").await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    assert!(DnsResolver::asking(&[]).is_err());
}

#[tokio::test]
async fn record_that_was_just_added_is_seen_at_once() {
    let dns = DnsServer::start().await;
    let resolver = dns.resolver();
    assert_eq!(resolver.txt_records("acme.test").await.unwrap(), [""; 0]);
    dns.add_txt("acme.test", &["new"]).await;
    assert_eq!(resolver.txt_records("acme.test").await.unwrap(), ["new"]);
    dns.remove_txt("acme.test").await;
    assert_eq!(resolver.txt_records("acme.test").await.unwrap(), [""; 0]);
}
