//! The fields of spans.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mt_core::access::{Access, AccessError, AccessSource};
use mt_core::auth::{AuthError, Authenticator, Principal};
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::authenticate::Authenticate;
use mt_tower::layer::GuardLayer;
use mt_tower::load_access::LoadAccess;
use mt_tower::resolve_tenant::{PathTemplate, ResolveTenant};
use mt_tower::trace::SpanLayer;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::support::{Acme, EDITOR};

const ADA: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b20";
const ACME: &str = "01931b66-7d50-7c2e-8f3a-5d1c9a7e4b21";

type Fields = BTreeMap<&'static str, String>;

/// Keeps the fields of each span, by its name and the order of their making.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<u64, (&'static str, Fields)>>>);

struct Keep<'f>(&'f mut Fields);

impl Visit for Keep<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Keep(&mut fields));
        let name = attributes.metadata().name();
        self.0.lock().unwrap().insert(id.into_u64(), (name, fields));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        record.record(&mut Keep(&mut spans.get_mut(&id.into_u64()).unwrap().1));
    }
}

struct Known;

impl Authenticator for Known {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthError> {
        match credential {
            "ada" => Ok(Principal::new(PrincipalId::parse(ADA).unwrap())),
            _ => Err(AuthError::Invalid("unknown".to_owned())),
        }
    }
}

impl AccessSource<Acme> for Known {
    async fn access(
        &self,
        principal: Principal,
        tenant: TenantId,
    ) -> Result<Access<Acme>, AccessError> {
        match tenant.to_string().as_str() {
            ACME => Ok(Access::assertion(tenant, principal, EDITOR)),
            _ => Err(AccessError::NotAMember),
        }
    }
}

fn guards() -> impl mt_tower::Guard {
    (
        Authenticate::new(Known),
        ResolveTenant::new(PathTemplate::new("/orgs/{tenant}").unwrap()),
        LoadAccess::<Acme, _>::new(Known),
    )
}

/// The fields of the one span called `name`, after a request through `service`.
async fn fields<S>(name: &str, service: S, path: &str, token: &str) -> Fields
where
    S: tower::Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    service.oneshot(request.body(Full::default()).unwrap()).await.unwrap();
    let spans = spans.0.lock().unwrap();
    let mut found = spans.values().filter(|(of, _)| *of == name).map(|(_, fields)| fields.clone());
    let (fields, None) = (found.next().unwrap(), found.next()) else { panic!("two spans") };
    fields
}

async fn ok(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::default())
}

async fn traced(path: &str, token: &str) -> Fields {
    let service = ServiceBuilder::new()
        .layer(SpanLayer::new())
        .layer(GuardLayer::new(guards()))
        .service(service_fn(ok));
    fields("request", service, path, token).await
}

fn expected(fields: &[(&'static str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[tokio::test]
async fn span_names_principal_and_tenant() {
    assert_eq!(
        traced(&format!("/orgs/{ACME}/tasks"), "ada").await,
        expected(&[
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("principal.id", ADA),
            ("tenant.id", ACME),
        ])
    );
}

#[tokio::test]
async fn client_supplied_values_are_not_in_the_span() {
    let unknown = TenantId::generate();
    assert_eq!(
        traced(&format!("/orgs/{unknown}/tasks"), "ada").await,
        expected(&[
            ("http.request.method", "GET"),
            ("http.response.status_code", "404"),
            ("principal.id", ADA),
            ("problem.code", "not-found"),
        ])
    );
    assert_eq!(
        traced(&format!("/orgs/{ACME}/tasks"), "secret").await,
        expected(&[
            ("http.request.method", "GET"),
            ("http.response.status_code", "401"),
            ("problem.code", "unauthenticated"),
        ])
    );
}

#[tokio::test]
async fn custom_span_gets_the_fields_that_it_declares() {
    let service = service_fn(async |request: Request<Full<Bytes>>| {
        use tracing::Instrument as _;
        let span = tracing::info_span!("mine", tenant.id = tracing::field::Empty);
        let inner = ServiceBuilder::new().layer(GuardLayer::new(guards())).service(service_fn(ok));
        inner.oneshot(request).instrument(span).await
    });
    let fields = fields("mine", service, &format!("/orgs/{ACME}/tasks"), "ada").await;
    assert_eq!(fields, expected(&[("tenant.id", ACME)]));
}
