//! Paths with unusual spellings, as routers and as the resolvers read them.
//!
//! The law: a handler is reached for the tenant that its router has read, or not at all.

use mt_tower::Guard;
use mt_tower::resolve_tenant::{PathParam, PathTemplate, ResolveTenant};

use super::Framework;
use super::axum::Axum;
use super::client::post;
use super::salvo::Salvo;
use crate::support::{Counter, Open};

const A: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20";
const B: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b21";

/// Spellings of `/orgs/{A}/echo`, and paths that resemble it.
fn crooked() -> Vec<String> {
    let encoded = A.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let upper = A.to_uppercase();
    vec![
        format!("/orgs/{upper}/echo"),
        format!("/orgs//{A}/echo"),
        format!("//orgs/{A}/echo"),
        format!("/orgs/{A}//echo"),
        format!("/orgs/{A}/echo/"),
        format!("/orgs/{A}/echo//"),
        format!("/orgs/./{A}/echo"),
        format!("/orgs/{A}/./echo"),
        format!("/orgs/{A}/../{B}/echo"),
        format!("/orgs/{A}/echo/../../{B}/echo"),
        format!("/orgs/{A}/%2e%2e/{B}/echo"),
        format!("/orgs/{A}%2f..%2f{B}/echo"),
        format!("/orgs/{A}%2F/echo"),
        format!("/orgs/{A}%2fecho"),
        format!("/orgs%2f{A}/echo"),
        format!("/orgs/%2f{A}/echo"),
        format!("/orgs/{A}\\..\\{B}/echo"),
        format!("/orgs/{A}%5c..%5c{B}/echo"),
        format!("/orgs/{A};{B}/echo"),
        format!("/orgs/{A}/..;/{B}/echo"),
        format!("/orgs/%30{}/echo", &A[1..]),
        format!("/orgs/{encoded}/echo"),
        format!("/%6frgs/{A}/echo"),
        format!("/orgs/{A}/%65cho"),
        format!("/ORGS/{A}/echo"),
        format!("/orgs/%20{A}/echo"),
        format!("/orgs/{A}%20/echo"),
        format!("/orgs/{A}%00/echo"),
        format!("/orgs/{A}%/echo"),
        format!("/orgs/{{{A}}}/echo"),
        format!("/orgs/urn:uuid:{A}/echo"),
        format!("/orgs/{}/echo", A.replace('-', "")),
    ]
}

/// Sends every path, and returns for those that reached the handler: the
/// path, the tenant and the router's parameter.
async fn reached<F: Framework, G: Guard>(guard: G) -> Vec<(String, String, String)> {
    let server = F::serve(guard, Counter::default()).await;
    let mut reached = Vec::new();
    for path in crooked() {
        // The client does not send text that is not a URI.
        if path.parse::<http::Uri>().is_err() {
            continue;
        }
        let answer = post(&server, &path).await.unwrap();
        if answer.status() == 200 {
            let told = |name| answer.headers()[name].to_str().unwrap().to_owned();
            reached.push((path, told("x-tenant"), told("x-param")));
        } else {
            assert!([400, 404].contains(&answer.status().as_u16()), "{path}: {answer:?}");
        }
    }
    reached
}

async fn the_law_holds<F: Framework>() {
    let template = || PathTemplate::new("/orgs/{tenant}").unwrap();
    for reached in [
        reached::<F, _>(ResolveTenant::new(PathParam("org"))).await,
        reached::<F, _>(ResolveTenant::new(template())).await,
    ] {
        for (path, tenant, param) in &reached {
            assert_eq!(tenant, &param.to_lowercase(), "{path}");
            assert_eq!(tenant, A, "{path}");
        }
        // An id in upper case is the same id, and there is no other crooked way to it than
        // a slash that ends the path.
        let paths: Vec<_> = reached.iter().map(|(path, ..)| path.as_str()).collect();
        assert!(paths.contains(&format!("/orgs/{}/echo", A.to_uppercase()).as_str()), "{paths:?}");
        for path in paths {
            assert!(
                path.eq_ignore_ascii_case(&format!("/orgs/{A}/echo")) || path.ends_with("/echo/")
            );
        }
    }
}

#[tokio::test]
async fn in_axum() {
    the_law_holds::<Axum>().await;
}

#[tokio::test]
async fn in_salvo() {
    the_law_holds::<Salvo>().await;
}

/// The control: without a resolver, salvo's router takes many of these paths for the same route, and
/// reads the tenant in some of them that a comparison of the path as it came does not.
#[tokio::test]
async fn routers_alone_accept_several_spellings() {
    let by_salvo = reached::<Salvo, _>(Open).await;
    let decoded = by_salvo.iter().filter(|(path, _, param)| !path.contains(A) && param == A);
    assert!(decoded.count() > 0, "{by_salvo:?}");
    let merged = by_salvo.iter().filter(|(path, _, param)| path.contains("//") && param == A);
    assert!(merged.count() > 0, "{by_salvo:?}");
    let by_axum = reached::<Axum, _>(Open).await;
    let decoded = by_axum.iter().filter(|(path, _, param)| !path.contains(A) && param == A);
    assert!(decoded.count() > 0, "{by_axum:?}");
}
