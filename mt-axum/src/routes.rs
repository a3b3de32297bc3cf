//! Routes that know their permission.

use std::fmt;
use std::marker::PhantomData;

use axum::Router;
use axum::extract::FromRef;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use http::Method;
use mt_core::access::{AccessModel, Permission};
use mt_core::auth::Authenticator;
use mt_core::pg::Tenants;
use mt_core::text_enum::TextEnum as _;
use mt_tower::Guard;
use mt_tower::authenticate::Authenticate;
use mt_tower::bulkhead::Bulkhead;
use mt_tower::resolve_tenant::{PathParam, ResolveTenant};

use crate::{Tenant, guarded};

/// The routes of a tenant. The first argument of each handler is a [`Tenant<P>`](Tenant), which says what permission the
/// route asks for; a handler without one does not compile here.
///
/// ```compile_fail,E0277
/// # mt_core::model! {
/// #     pub Notebook;
/// #     roles Role { Owner = "owner" (owner) }
/// #     plans Plan { Free = "free" (initial) }
/// #     permissions Action { NotesRead = "notes.read" [yes] [yes] exempt read; }
/// # }
/// async fn notes() -> &'static str {
///     "anybody's"
/// }
///
/// let routes = mt_axum::Routes::<Notebook>::under("/notebooks/{notebook_id}").get("/notes", notes);
/// ```
///
/// `S` is the state of the handlers: a [`Tenants`], or a type that has one ([`FromRef`]).
///
/// # Panics
///
/// As [`Router::route`] does, for a path that is not one or a route that is there already.
#[must_use = "routes are served by the router that they become"]
pub struct Routes<M: AccessModel, S = Tenants<M>> {
    router: Router<S>,
    prefix: &'static str,
    parameter: &'static str,
    all: Vec<Route>,
    model: PhantomData<fn() -> M>,
}

/// A route and its permission.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: String,
    /// The permission that its handler asks for, as text.
    pub permission: &'static str,
}

impl<M, S> Routes<M, S>
where
    M: AccessModel,
    Tenants<M>: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    /// Creates an empty list of routes below `prefix`, a path with one parameter: the tenant's id.
    ///
    /// # Panics
    ///
    /// If the path does not have exactly one parameter.
    pub fn under(prefix: &'static str) -> Self {
        let parameter = only_parameter(prefix).unwrap_or_else(|| {
            panic!("`{prefix}` needs one parameter, the tenant's id, as in `/shops/{{shop_id}}`")
        });
        Self { router: Router::new(), prefix, parameter, all: Vec::new(), model: PhantomData }
    }

    /// Adds a route for `DELETE`. `path` continues the prefix.
    pub fn delete<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: FirstArgument<M> + 'static,
    {
        self.route::<T>(Method::DELETE, path, routing::delete(handler))
    }

    /// Adds a route for `GET`.
    pub fn get<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: FirstArgument<M> + 'static,
    {
        self.route::<T>(Method::GET, path, routing::get(handler))
    }

    /// Adds a route for `PATCH`.
    pub fn patch<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: FirstArgument<M> + 'static,
    {
        self.route::<T>(Method::PATCH, path, routing::patch(handler))
    }

    /// Adds a route for `POST`.
    pub fn post<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: FirstArgument<M> + 'static,
    {
        self.route::<T>(Method::POST, path, routing::post(handler))
    }

    /// Adds a route for `PUT`.
    pub fn put<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: FirstArgument<M> + 'static,
    {
        self.route::<T>(Method::PUT, path, routing::put(handler))
    }

    /// Adds the routes of another list below the same prefix.
    ///
    /// # Panics
    ///
    /// If the prefixes differ, or both have the same route.
    pub fn merge(mut self, other: Self) -> Self {
        assert_eq!(self.prefix, other.prefix, "lists of routes are merged below one prefix");
        self.all.extend(other.all);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Returns the routes, for tests.
    #[must_use]
    pub fn list(&self) -> &[Route] {
        &self.all
    }

    #[cfg(feature = "service")]
    pub(crate) const fn prefix(&self) -> &'static str {
        self.prefix
    }

    #[cfg(feature = "testing")]
    pub(crate) const fn parameter(&self) -> &'static str {
        self.parameter
    }

    /// Returns a router with the routes behind the usual guards: who the caller is, which tenant is meant, and whether
    /// there is a connection to be had soon.
    pub fn into_router(self, state: S, tokens: impl Authenticator) -> Router {
        let tenants = Tenants::from_ref(&state);
        let guards = (
            Authenticate::new(tokens),
            ResolveTenant::new(PathParam(self.parameter)),
            Bulkhead::<M, _>::new(tenants.shares().clone(), tenants),
        );
        self.into_router_behind(guards, state)
    }

    /// Returns a router with the routes behind guards of your own. They have to leave a principal and a requested tenant,
    /// as [`Authenticate`] and [`ResolveTenant`] do; otherwise all requests fail with 500.
    pub fn into_router_behind(self, guards: impl Guard, state: S) -> Router {
        guarded(self.router, guards).with_state(state)
    }

    fn route<T: FirstArgument<M>>(
        mut self,
        method: Method,
        path: &str,
        handler: MethodRouter<S>,
    ) -> Self {
        let path = format!("{}{path}", self.prefix);
        let permission = <T::Permission as Permission>::KEY.as_str();
        let router = self.router.route(&path, handler);
        self.all.push(Route { method, path, permission });
        Self { router, ..self }
    }
}

/// Returns the name of the parameter, if the path has exactly one.
fn only_parameter(path: &'static str) -> Option<&'static str> {
    let mut parameters = path.split('/').filter_map(|segment| {
        segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'))
    });
    let first = parameters.next().filter(|name| !name.is_empty() && !name.starts_with('*'));
    first.filter(|_| parameters.next().is_none())
}

/// The arguments of a handler whose first is a [`Tenant`]. Implemented for up to eight arguments.
#[diagnostic::on_unimplemented(
    message = "the first argument of a handler in `Routes` has to be a `Tenant<P>`, with a permission `P` of their model",
    label = "this handler names no permission",
    note = "a route outside of tenants goes into a `Router`, with `Caller` as its argument and `guarded` around it"
)]
pub trait FirstArgument<M: AccessModel> {
    /// The permission of the [`Tenant`].
    type Permission: Permission<Model = M>;
}

macro_rules! first_argument {
    ($($other:ident)*) => {
        // axum describes a handler by a marker and its arguments.
        impl<K, P: Permission, $($other),*> FirstArgument<P::Model> for (K, Tenant<P>, $($other,)*) {
            type Permission = P;
        }
    };
}

first_argument!();
first_argument!(A);
first_argument!(A B);
first_argument!(A B C);
first_argument!(A B C D);
first_argument!(A B C D E);
first_argument!(A B C D E F);
first_argument!(A B C D E F G);

impl<M: AccessModel, S> fmt::Debug for Routes<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.all).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::only_parameter;

    #[test]
    fn a_prefix_has_one_parameter() {
        assert_eq!(only_parameter("/shops/{shop_id}"), Some("shop_id"));
        assert_eq!(only_parameter("/v1/shops/{shop}/x"), Some("shop"));
        for other in ["/shops", "/shops/{}", "/shops/{*rest}", "/shops/{a}/{b}"] {
            assert_eq!(only_parameter(other), None, "{other}");
        }
    }
}
