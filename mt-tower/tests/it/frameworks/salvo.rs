//! salvo: the layers as they are, by `.compat()`, all in one hop.

use http_body_util::BodyDataStream;
use mt_tower::Guard;
use mt_tower::layer::GuardLayer;
use mt_tower::resolve_tenant::PathParams;
use salvo::conn::Acceptor as _;
use salvo::conn::tcp::TcpListener;
use salvo::prelude::{
    Depot, FlowCtrl, Handler, Listener as _, Request, Response, Router, Server as SalvoServer,
    TowerLayerCompat as _, async_trait, handler,
};

use super::readiness::StrictLayer;
use super::{Framework, Server, told};
use crate::support::Counter;

pub(super) struct Salvo;

/// Salvo keeps its parameters where tower layers do not see them.
#[handler]
async fn bridge(req: &mut Request) {
    let params = req.params().iter().map(|(name, value)| (name.clone(), value.clone()));
    let params: PathParams = params.collect();
    req.extensions_mut().insert(params);
}

struct Echo(Counter);

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, req: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        self.0.add();
        res.add_header("x-tenant", told(req.extensions()), true).unwrap();
        let param = req.params().get("org").map(|param| param.escape_default().to_string());
        res.add_header("x-param", param.unwrap_or_default(), true).unwrap();
        res.stream(BodyDataStream::new(req.take_body()));
    }
}

impl Framework for Salvo {
    async fn serve<G: Guard>(guard: G, reached: Counter) -> Server {
        let layers = (GuardLayer::new(guard), StrictLayer);
        let router = Router::with_path("orgs/{org}/echo")
            .hoop(bridge)
            .hoop(layers.compat())
            .post(Echo(reached));
        let acceptor = TcpListener::new("127.0.0.1:0").bind().await;
        let address = acceptor.holdings()[0].local_addr.clone().into_std().unwrap();
        let task = tokio::spawn(SalvoServer::new(acceptor).serve(router));
        Server { address, task }
    }
}
