//! axum: `Router::layer`.

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::post;
use mt_tower::Guard;
use mt_tower::layer::GuardLayer;
use mt_tower::resolve_tenant::PathParams;
use tower::ServiceBuilder;

use super::readiness::StrictLayer;
use super::{Framework, Server, told};
use crate::support::Counter;

pub(super) struct Axum;

async fn bridge(params: RawPathParams, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(PathParams::from_iter(&params));
    next.run(request).await
}

impl Framework for Axum {
    async fn serve<G: Guard>(guard: G, reached: Counter) -> Server {
        let handler = post(async move |request: Request| {
            reached.add();
            let param =
                request.extensions().get().and_then(|params: &PathParams| params.value("org"));
            Response::builder()
                .header("x-tenant", told(request.extensions()))
                .header("x-param", param.unwrap_or_default().escape_default().to_string())
                .body(Body::new(request.into_body()))
                .unwrap()
        });
        let layers = ServiceBuilder::new()
            .layer(from_fn(bridge))
            .layer(GuardLayer::new(guard))
            .layer(StrictLayer);
        let app = Router::new().route("/orgs/{org}/echo", handler).route_layer(layers);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Server { address, task }
    }
}
