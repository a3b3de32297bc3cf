//! A small access model, and services that record whether a request reached them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::{BodyExt as _, Full};
use mt_core::access::{
    Access, AccessModel, Billing, Facts, Permission, PermissionSet, Suspension, Unaudited, Writes,
};
use mt_core::auth::Principal;
use mt_core::billing::Standing;
use mt_core::id::{PrincipalId, TenantId};
use mt_tower::layer::GuardLayer;
use mt_tower::problem::{Problem, Reject};
use mt_tower::{Guard, RequestContext};
use serde_json::Value;
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;

mt_core::text_enum! {
    pub(crate) enum Role {
        Editor = "editor",
        Viewer = "viewer",
    }
}

mt_core::text_enum! {
    pub(crate) enum Plan {
        Free = "free",
        Pro = "pro",
    }
}

mt_core::text_enum! {
    pub(crate) enum Perm {
        TasksWrite = "tasks.write",
    }
}

pub(crate) struct Acme;

impl AccessModel for Acme {
    type Role = Role;
    type Plan = Plan;
    type Permission = Perm;
    type Auditing = Unaudited;
    const INITIAL_PLAN: Plan = Plan::Free;

    fn role_grants(role: Role, permission: Perm) -> bool {
        match permission {
            Perm::TasksWrite => role == Role::Editor,
        }
    }

    fn plan_includes(plan: Plan, permission: Perm) -> bool {
        match (plan, permission) {
            (Plan::Free | Plan::Pro, Perm::TasksWrite) => true,
        }
    }
}

pub(crate) struct TasksWrite;

impl Permission for TasksWrite {
    type Model = Acme;
    type Effect = Writes;
    const KEY: Perm = Perm::TasksWrite;
    const BILLING: Billing = Billing::Required;
}

pub(crate) const EDITOR: Facts<Acme> = Facts {
    role: Role::Editor,
    custom_role: None,
    plan: Plan::Free,
    standing: Standing::Good,
    suspension: Suspension::None,
    actor_role: None,
    limit: PermissionSet::all(),
};

pub(crate) fn access(facts: Facts<Acme>) -> Access<Acme> {
    Access::assertion(TenantId::generate(), Principal::new(PrincipalId::generate()), facts)
}

/// Lets every request pass.
pub(crate) struct Open;

impl Guard for Open {
    async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
        Ok(())
    }
}

/// Refuses every request.
pub(crate) struct Closed(pub(crate) Problem);

impl Guard for Closed {
    async fn check<'a>(&'a self, _: RequestContext<'a>) -> Result<(), Problem> {
        Err(self.0.clone())
    }
}

/// The result of one request.
pub(crate) struct Outcome {
    pub(crate) answer: Response<Bytes>,
    /// Extensions as the inner service saw them; none when it was not reached.
    pub(crate) reached: Option<Extensions>,
}

impl Outcome {
    pub(crate) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    /// Returns the values of a header, in order.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.answer.headers().get_all(name).iter().map(|v| v.to_str().unwrap()).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.answer.body()).unwrap()
    }

    /// Returns the code of a refusal, after checking status, body and extensions.
    #[track_caller]
    pub(crate) fn refused(&self) -> &'static str {
        assert!(self.reached.is_none(), "the inner service was called");
        let problem = self.answer.extensions().get::<Problem>().expect("the reason rides along");
        assert_eq!(self.answer.status(), problem.status());
        assert_eq!(self.json()["code"], problem.code());
        problem.code()
    }

    /// Returns the extension that the guard set for the inner service.
    #[track_caller]
    pub(crate) fn left<T: Clone + Send + Sync + 'static>(&self) -> T {
        let extensions = self.reached.as_ref().expect("the inner service is reached");
        extensions.get::<T>().expect("the guard left it").clone()
    }
}

/// Sends one request through a layer to a service that answers 200.
pub(crate) async fn send<G, J>(layer: &GuardLayer<G, J>, request: Request<Full<Bytes>>) -> Outcome
where
    G: Guard,
    J: Reject<Full<Bytes>>,
{
    let seen = Arc::new(std::sync::Mutex::new(None));
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<Full<Bytes>>| {
            *seen.lock().unwrap() = Some(request.into_parts().0.extensions);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        })
    };
    let (parts, body) = layer.layer(inner).oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let reached = seen.lock().unwrap().take();
    Outcome { answer: Response::from_parts(parts, body), reached }
}

/// A request without a body, with extensions that earlier layers would have set.
pub(crate) fn request(uri: &str, fill: impl FnOnce(&mut Extensions)) -> Request<Full<Bytes>> {
    let mut request = Request::get(uri).body(Full::default()).unwrap();
    fill(request.extensions_mut());
    request
}

/// Returns a function for [`request`] that inserts the extension `value`.
pub(crate) fn having<T: Clone + Send + Sync + 'static>(value: T) -> impl FnOnce(&mut Extensions) {
    move |extensions| {
        extensions.insert(value);
    }
}

/// A counter that several services share.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU32>);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(crate) fn value(&self) -> u32 {
        self.0.load(SeqCst)
    }
}
