//! A certified OpenID provider in a process of its own, end to end: npm package `oidc-provider`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mt_core::auth::Authenticator as _;
use mt_core::auth::openid::{
    FirstSight, HttpFetch, OpenIdAuthenticator, OpenIdConfig, OpenIdVerifier,
};
use mt_core::pg::{BeginError, Identity, User};
use serde_json::Value;
use test_support::packages::{npm, skip};

use super::reason;
use crate::support::{SETUP, World};

const PACKAGE: &str = "oidc-provider@9.13.3";

/// The running provider. It stops when it is dropped.
struct Running {
    process: Child,
    issuer: String,
    tokens: Value,
}

impl Running {
    fn start(packages: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openid/provider.mjs");
        let mut process = Command::new("node")
            .arg(script)
            .arg(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It may write other lines before.
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said =
            lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
        let said: Value = said.next().expect("the provider says where it is");
        let issuer = said["issuer"].as_str().unwrap().to_owned();
        Self { process, issuer, tokens: said["tokens"].clone() }
    }

    fn token(&self, name: &str) -> &str {
        self.tokens[name].as_str().unwrap()
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test]
async fn certified_provider_signs_a_service_in_until_it_is_signed_out() {
    let what = "tokens of a certified provider";
    let packages = match npm(PACKAGE) {
        Ok(packages) => packages,
        Err(why) => return skip(what, &why),
    };
    let mut provider = Running::start(&packages);
    let config = OpenIdConfig::new(&provider.issuer)
        .accept_audience("https://api.acme.example/rs")
        .accept_audience("https://api.acme.example/es")
        .accept_authorized_party("nightly-job")
        .allow_http_on_loopback();
    let verifier = OpenIdVerifier::new(config, HttpFetch::new().unwrap()).unwrap();
    verifier.load_keys().await.unwrap();
    for name in ["rs", "es"] {
        assert_eq!(verifier.verify(provider.token(name)).await.unwrap().subject(), "nightly-job");
    }
    let refused = reason(verifier.verify(provider.token("ed")).await);
    assert!(
        refused.contains("`aud`"),
        "the signature verifies, and the audience is another: {refused}"
    );

    let world = World::new(2).await;
    let service = world.user("nightly-job").await;
    let tenant = world.tenant(service).await;
    let tokens = OpenIdAuthenticator::new(world.database.identities())
        .accept(verifier, FirstSight::Refuse)
        .unwrap();
    assert!(tokens.authenticate(provider.token("es")).await.is_err(), "not linked yet");
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    Identity::link(&mut tx, service.id(), &provider.issuer, "nightly-job").await.unwrap();
    tx.commit().await.unwrap();

    // The provider is gone, and the service stays signed in.
    provider.stop();
    let principal = tokens.authenticate(provider.token("es")).await.unwrap();
    world.access(principal, tenant).await;
    let mut tx = world.database.system().begin(SETUP).await.unwrap();
    User::sign_out(&mut tx, service.id()).await.unwrap();
    tx.commit().await.unwrap();
    let principal = tokens.authenticate(provider.token("rs")).await.unwrap();
    let refused = world.database.principals().begin(principal).await.unwrap_err();
    assert!(matches!(refused, BeginError::SignedOut), "{refused:?}");
}
