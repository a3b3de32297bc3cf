//! Starts the example on a socket and talks HTTP/1.1 to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_minimal::{Shops, serve, service};
use mt_core::auth::jwt::{JwtAuthenticator, JwtConfig, JwtKey};
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_core::limit::Quota;
use mt_service::serve::RequestBody;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tower::{Service, ServiceExt as _, service_fn};

/// A server on a port of its own.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start<S>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<Full<Bytes>>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let served = tokio::spawn(serve(listener, service, stopped));
        Self { address, stop, served }
    }
}

fn tokens() -> JwtAuthenticator {
    let key = JwtKey::hs256("a secret of the tests, 32 bytes or more").unwrap();
    JwtAuthenticator::new(JwtConfig::new("mt", "mt", key)).unwrap()
}

fn per_minute(limit: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(limit).unwrap())
}

/// A mall, and one of its shopkeepers as a client.
struct Mall {
    shops: Arc<Shops>,
    server: Server,
    keeper: PrincipalId,
    client: reqwest::Client,
}

impl Mall {
    async fn open(quota: Quota) -> Self {
        let shops = Arc::new(Shops::default());
        let server = Server::start(service(Arc::clone(&shops), tokens(), quota)).await;
        Self { shops, server, keeper: PrincipalId::generate(), client: reqwest::Client::new() }
    }

    fn shop(&self, standing: Standing) -> TenantId {
        self.shops.open(self.keeper, standing)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let token = tokens().issue(self.keeper, 0).unwrap().token;
        self.client
            .request(method, format!("http://{}{path}", self.server.address))
            .bearer_auth(token)
    }

    async fn text(&self, method: Method, shop: TenantId) -> (StatusCode, String) {
        let answer = self.request(method, &format!("/shops/{shop}")).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn keeper_counts_the_visitors_of_a_shop() {
    let mall = Mall::open(per_minute(100)).await;
    let (shop, other) = (mall.shop(Standing::Good), mall.shop(Standing::Good));
    for (method, of, expected) in [
        (Method::GET, shop, "0\n"),
        (Method::POST, shop, "1\n"),
        (Method::POST, shop, "2\n"),
        (Method::GET, shop, "2\n"),
        (Method::HEAD, shop, ""),
        (Method::GET, other, "0\n"),
    ] {
        assert_eq!(mall.text(method, of).await, (StatusCode::OK, expected.to_owned()));
    }
}

#[tokio::test]
async fn other_callers_are_refused_with_a_page() {
    let mall = Mall::open(per_minute(100)).await;
    let shop = mall.shop(Standing::Good);
    let foreign = mall.shops.open(PrincipalId::generate(), Standing::Good);
    let unknown = TenantId::generate();
    for (method, path, status, title) in [
        (Method::GET, format!("/shops/{foreign}"), StatusCode::NOT_FOUND, "Not found"),
        (Method::GET, format!("/shops/{unknown}"), StatusCode::NOT_FOUND, "Not found"),
        (Method::GET, "/shops/corner".to_owned(), StatusCode::NOT_FOUND, "Not found"),
        (Method::GET, "/".to_owned(), StatusCode::NOT_FOUND, "Not found"),
        (Method::GET, format!("/shops/{shop}/till"), StatusCode::NOT_FOUND, "Not found"),
        (Method::GET, format!("/shops//{shop}"), StatusCode::NOT_FOUND, "Not found"),
        (
            Method::PUT,
            format!("/shops/{shop}"),
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
        ),
    ] {
        let answer = mall.request(method, &path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let page = answer.text().await.unwrap();
        assert_eq!(page, format!("<!doctype html><title>{title}</title><h1>{title}</h1>\n"));
    }
    assert_eq!(mall.text(Method::GET, shop).await.1, "0\n");
}

#[tokio::test]
async fn call_without_a_credential_is_unauthenticated() {
    let mall = Mall::open(per_minute(100)).await;
    let path = format!("http://{}/shops/{}", mall.server.address, mall.shop(Standing::Good));
    let answer = mall.client.get(&path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    let answer = mall.client.get(&path).bearer_auth("forged").send().await.unwrap();
    assert_eq!(answer.headers()["www-authenticate"], r#"Bearer error="invalid_token""#);
}

#[tokio::test]
async fn lapsed_shop_reads_and_does_not_count() {
    let mall = Mall::open(per_minute(100)).await;
    let lapsed = mall.shop(Standing::Lapsed);
    assert_eq!(mall.text(Method::POST, lapsed).await.0, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(mall.text(Method::GET, lapsed).await, (StatusCode::OK, "0\n".to_owned()));
}

#[tokio::test]
async fn rate_limited_client_gets_retry_after() {
    let mall = Mall::open(per_minute(2)).await;
    let shop = mall.shop(Standing::Good);
    let mut last = None;
    // Whatever they claim to be, they are the address that they call from.
    for claimed in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        let request = mall.request(Method::GET, &format!("/shops/{shop}"));
        last = Some(request.header("x-forwarded-for", claimed).send().await.unwrap());
    }
    let answer = last.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["ratelimit-policy"], r#""address";q=2;w=60"#);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

/// The control: the address comes from `serve`, and no request passes without one.
#[tokio::test]
async fn request_without_a_client_address_is_refused() {
    let shops = Arc::new(Shops::default());
    let keeper = PrincipalId::generate();
    let path = format!("/shops/{}", shops.open(keeper, Standing::Good));
    let token = tokens().issue(keeper, 0).unwrap().token;
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let service = service(shops, tokens(), per_minute(100));
    let answer = service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn shutdown_finishes_running_requests_and_accepts_no_others() {
    let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (begun, finish) = (Arc::clone(&begun), Arc::clone(&finish));
        service_fn(move |_: Request<RequestBody>| {
            let (begun, finish) = (Arc::clone(&begun), Arc::clone(&finish));
            async move {
                begun.notify_one();
                finish.notified().await;
                Ok(Response::new(Full::from("done")))
            }
        })
    };
    let Server { address, stop, served } = Server::start(slow).await;
    let request = tokio::spawn(reqwest::get(format!("http://{address}/")));
    begun.notified().await;
    stop.send(()).unwrap();
    // The socket closes before the request has its answer.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    finish.notify_one();
    let answer = request.await.unwrap().unwrap();
    assert_eq!(answer.text().await.unwrap(), "done");
    served.await.unwrap();
}
