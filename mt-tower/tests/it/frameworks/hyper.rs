//! hyper: a service without a framework and without a router.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mt_tower::Guard;
use mt_tower::layer::GuardLayer;
use mt_tower::problem::Problem;
use tower::{ServiceBuilder, service_fn};

use super::readiness::StrictLayer;
use super::{Framework, Server, told};
use crate::support::Counter;

pub(super) struct Hyper;

type Body = Either<Full<Bytes>, Incoming>;

/// hyper has no default body type, so the refusal names one.
fn reject(problem: &Problem, _: &Extensions) -> Response<Body> {
    problem.clone().into_response::<Full<Bytes>>(None).map(Either::Left)
}

impl Framework for Hyper {
    async fn serve<G: Guard>(guard: G, reached: Counter) -> Server {
        let echo = service_fn(move |request: Request<Incoming>| {
            reached.add();
            let answer = Response::builder()
                .header("x-tenant", told(request.extensions()))
                .body(Either::Right(request.into_body()));
            std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        let service = ServiceBuilder::new()
            .layer(GuardLayer::with_reject(guard, reject))
            .layer(StrictLayer)
            .service(echo);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Server { address, task }
    }
}
