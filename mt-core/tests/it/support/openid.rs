//! A local identity provider: keys that were made for these tests, and an HTTP server on this machine.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use mt_core::auth::openid::{Fetch, FetchError, OpenIdConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) const RSA_A: &str = include_str!("keys/rsa_a.pem");
pub(crate) const RSA_B: &str = include_str!("keys/rsa_b.pem");
pub(crate) const P256: &str = include_str!("keys/p256.pem");
pub(crate) const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIE0Jrhr+sjjYKyV7wV45khp5TMQ+FEmtxdYrbcQZn0c2
-----END PRIVATE KEY-----
";

/// A signing key of a provider.
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn rsa(id: &str, pem: &str) -> Self {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        Self { id: id.to_owned(), algorithm: Algorithm::RS256, key }
    }

    /// A key for the algorithm of this name.
    pub(crate) fn of(algorithm: &str, id: &str) -> Self {
        let id = id.to_owned();
        match algorithm {
            "RS256" => Self::rsa(&id, RSA_A),
            "ES256" => {
                let key = EncodingKey::from_ec_pem(P256.as_bytes()).unwrap();
                Self { id, algorithm: Algorithm::ES256, key }
            }
            "EdDSA" => {
                let key = EncodingKey::from_ed_pem(ED25519.as_bytes()).unwrap();
                Self { id, algorithm: Algorithm::EdDSA, key }
            }
            other => panic!("no key for {other}"),
        }
    }

    /// The public key, as the provider publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token with the header of the key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm, "typ": "JWT", "kid": self.id });
        self.token_with(&header, claims)
    }

    /// A token with any header.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm);
        format!("{message}.{}", signature.unwrap())
    }
}

pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

/// A key set that is fetched without HTTP.
pub(crate) struct InMemory(pub(crate) Value);

impl InMemory {
    pub(crate) fn keys(keys: &[Value]) -> Self {
        Self(json!({ "keys": keys }))
    }
}

impl Fetch for InMemory {
    async fn fetch(&self, _: &str) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.to_string().into_bytes())
    }
}

/// How the server answers.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    Healthy,
    Status(u16),
    RedirectTo(String),
    Body(String),
    /// More than the longest document.
    Oversize,
    /// Half a document, and the end of the connection.
    BreaksOff,
    /// Nothing, while the connection stays open.
    Silent,
}

struct State {
    address: SocketAddr,
    behaviour: Mutex<Behaviour>,
    keys: Mutex<Vec<Value>>,
    requests: Mutex<HashMap<String, usize>>,
}

/// An HTTP server with a discovery document and a key set.
pub(crate) struct Provider {
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start(keys: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State {
            address: listener.local_addr().unwrap(),
            behaviour: Mutex::new(Behaviour::Healthy),
            keys: Mutex::new(keys.iter().map(|key| key.jwk()).collect()),
            requests: Mutex::default(),
        });
        Self { server: tokio::spawn(serve(listener, Arc::clone(&state))), state }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.state.address)
    }

    /// A configuration that accepts its tokens for `api`.
    pub(crate) fn config(&self) -> OpenIdConfig {
        OpenIdConfig::new(self.issuer()).accept_audience("api").allow_http_on_loopback()
    }

    pub(crate) fn publish(&self, keys: &[&Signer]) {
        *self.state.keys.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// Closes the port: connections are refused.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// How often each path was requested: the discovery document, and the key set.
    pub(crate) fn requests(&self) -> (usize, usize) {
        let requests = self.state.requests.lock().unwrap();
        let of = |path: &str| requests.get(path).copied().unwrap_or(0);
        (of("/.well-known/openid-configuration"), of("/keys"))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(answer(stream, Arc::clone(&state)));
    }
}

async fn answer(mut stream: TcpStream, state: Arc<State>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    *state.requests.lock().unwrap().entry(path.clone()).or_default() += 1;
    let behaviour = state.behaviour.lock().unwrap().clone();
    let issuer = format!("http://{}", state.address);
    let document = match path.as_str() {
        "/.well-known/openid-configuration" => {
            json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") })
        }
        _ => json!({ "keys": *state.keys.lock().unwrap() }),
    };
    let (status, location, body) = match behaviour {
        Behaviour::Healthy => (200, None, document.to_string()),
        Behaviour::Status(status) => (status, None, document.to_string()),
        Behaviour::RedirectTo(to) => (302, Some(to), document.to_string()),
        Behaviour::Body(body) => (200, None, body),
        Behaviour::Oversize => (200, None, " ".repeat(300 * 1024) + &document.to_string()),
        Behaviour::BreaksOff => {
            let body = document.to_string();
            let half = &body[..body.len() / 2];
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{half}", body.len());
            let _ = stream.write_all(head.as_bytes()).await;
            return;
        }
        Behaviour::Silent => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            return;
        }
    };
    let location = location.map_or_else(String::new, |to| format!("location: {to}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} x\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
}
