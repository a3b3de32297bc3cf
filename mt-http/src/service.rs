//! The endpoints as a service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Buf, Bytes};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use mt_core::access::{AccessModel, AccessSource as _};
use mt_core::auth::Principal;
use mt_core::pg::audit_log;
use mt_tower::load_access::RecentAccess;
use mt_tower::problem::Problem;
use mt_tower::request_id::{RequestId, X_REQUEST_ID};
use mt_tower::resolve_tenant::{PathParams, RequestedTenant};
use mt_tower::{RequestContext, ResponseHeaders, trace};

use crate::answer::Answer;
use crate::call::Call;
use crate::context::Context;
use crate::guards::{Guards, TenantText};
use crate::incoming::Incoming;
use crate::operation::{Decision, Operation};
use crate::refusal::Refusal;
use crate::router::{Route, Router};

/// Ready-made endpoints as a service from [`http::Request`] to [`http::Response`], whatever the framework.
///
/// It answers requests for paths that it does not have with 404, so a framework routes the paths of
/// [`routes`](Self::routes) to it; `mt-axum` and `mt-salvo` do that in one line. Cheap to clone.
///
/// Made by [`Endpoints::into_service`](crate::Endpoints::into_service).
pub struct EndpointService<M: AccessModel> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: AccessModel> {
    context: Context<M>,
    guards: Guards,
    router: Router<M>,
}

impl<M: AccessModel> EndpointService<M> {
    pub(crate) fn new(context: Context<M>, guards: Guards, router: Router<M>) -> Self {
        Self { shared: Arc::new(Shared { context, guards, router }) }
    }

    /// Returns the endpoints, in the order in which they were mounted.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.shared.router.routes()
    }

    /// Answers one request. Guards and endpoints leave the caller and the tenant in the extensions of `parts`, for logs
    /// and metrics; a refusal's [`Problem`] is in the extensions of the response.
    pub async fn respond<B>(&self, parts: &mut Parts, body: B) -> Response<Bytes>
    where
        B: http_body::Body<Data: Buf> + Send + 'static,
    {
        let id = match parts.extensions.get::<RequestId>() {
            Some(id) => id.clone(),
            None => {
                let id = RequestId::choose(&parts.headers);
                parts.extensions.insert(id.clone());
                id
            }
        };
        let body = Incoming::new(body);
        let mut added = ResponseHeaders::new();
        let answered = self.answer(parts, body, &mut added);
        let answer = audit_log::in_request(id.as_str(), answered).await;
        let mut response = answer.unwrap_or_else(|refusal| self.refused(&refusal.problem, parts));
        match parts.extensions.get_mut::<ResponseHeaders>() {
            // The outermost layer adds them, to whatever the answer becomes.
            Some(collector) => {
                added.into_iter().for_each(|(name, value)| collector.append(name, value));
            }
            None => added.append_to(response.headers_mut()),
        }
        response.headers_mut().insert(X_REQUEST_ID, id.to_header());
        response
    }

    async fn answer(
        &self,
        parts: &mut Parts,
        body: Incoming,
        added: &mut ResponseHeaders,
    ) -> Answer {
        let Shared { context, guards, router } = &*self.shared;
        let (operation, params) = router.find(&parts.method, parts.uri.path())?;
        if let Some(id) = params.value(&context.noun.id_name()) {
            parts.extensions.insert(TenantText(id.to_owned()));
        }
        parts.extensions.insert::<PathParams>(params);
        let checked = guards.check(operation.guarded, RequestContext::new(parts, added)).await;
        let mut answer = match checked {
            Ok(()) => (operation.handler)(Call { context, parts, body }).await,
            Err(problem) => Err(problem.into()),
        };
        if let Err(refusal) = &answer
            && comes_after_access(refusal)
            && let Err(decided) = decide(context, operation, parts).await
        {
            answer = Err(decided);
        }
        note_member(context, parts);
        answer
    }

    fn refused(&self, problem: &Problem, parts: &Parts) -> Response<Bytes> {
        let reject = &self.shared.context.options.reject;
        let mut response = reject.reject(problem, &parts.extensions);
        if response.extensions().get::<Problem>().is_none() {
            response.extensions_mut().insert(problem.clone());
        }
        response
    }
}

/// Whether a refusal says more than the decision on the caller's access would. Whether the caller is signed in, is a member
/// and may act is decided by the first message of the endpoint's transaction; a refusal can come before it, such as
/// a body that is not JSON.
fn comes_after_access(refusal: &Refusal) -> bool {
    let status = refusal.problem.status();
    !refusal.is_decision
        && status.is_client_error()
        && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS)
}

/// Decides on the caller's access, as the transaction of the endpoint would have done.
async fn decide<M: AccessModel>(
    context: &Context<M>,
    operation: &Operation<M>,
    parts: &Parts,
) -> Result<(), Refusal> {
    let Some(caller) = parts.extensions.get::<Principal>().copied() else { return Ok(()) };
    match (&operation.decision, parts.extensions.get::<RequestedTenant>()) {
        (Decision::Nothing, _) => Ok(()),
        (Decision::InTenant(check), Some(RequestedTenant(tenant))) => {
            let access = context.tenants.load_access(caller, *tenant).await;
            Ok(check(&access?)?)
        }
        (Decision::SignedIn | Decision::InTenant(_), _) => {
            Ok(context.principals.begin(caller).await?.commit().await?)
        }
    }
}

/// Tells metrics and the span of the tenant, if the transaction found a member.
fn note_member<M: AccessModel>(context: &Context<M>, parts: &mut Parts) {
    let extensions = &mut parts.extensions;
    if let Some(principal) = extensions.get::<Principal>()
        && let Some(RequestedTenant(tenant)) = extensions.get()
        && let Some(access) = context.tenants.recent(*principal, *tenant)
    {
        trace::record_tenant(extensions, access.tenant());
        extensions.insert(RecentAccess::<M>(access));
    }
}

impl<M: AccessModel, B> tower_service::Service<Request<B>> for EndpointService<M>
where
    B: http_body::Body<Data: Buf> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let endpoints = self.clone();
        let (mut parts, body) = request.into_parts();
        let answer = async move { endpoints.respond(&mut parts, body).await };
        ResponseFuture(Box::pin(answer))
    }
}

/// The future of a response.
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.0.as_mut().poll(cx));
        Poll::Ready(Ok(response.map(Full::new)))
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<M: AccessModel> Clone for EndpointService<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: AccessModel> fmt::Debug for EndpointService<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes()).finish()
    }
}
