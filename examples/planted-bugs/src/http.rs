//! Requests and refusals.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mt_core::access::{Grant, Permission};
use mt_core::pg::invites::InviteError;
use mt_core::pg::{BeginError, PgError};
use mt_tower::authorize::authorize;
use mt_tower::problem::Problem;
use mt_tower::resolve_tenant::PathParams;
use serde_json::json;

/// Permission `P`, as an argument of a handler.
pub(crate) struct Authorized<P: Permission>(pub(crate) Grant<P>);

impl<P: Permission, S: Sync> FromRequestParts<S> for Authorized<P> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let grant = authorize(&parts.extensions);
        grant.map(Self).map_err(|problem| Refusal(Box::new(problem.into_response::<Body>(None))))
    }
}

/// Leaves axum's path parameters where the guards look for them.
pub(crate) async fn export_params(
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(PathParams::from_iter(&params));
    next.run(request).await
}

/// Why a request failed, in an answer's extensions: what a log would hold.
#[derive(Clone, Debug)]
pub struct Failure(pub String);

/// An answer with an error status.
pub(crate) struct Refusal(Box<Response>);

impl Refusal {
    pub(crate) fn not_found() -> Self {
        Self(Box::new(Problem::NOT_FOUND.into_response::<Body>(None)))
    }

    pub(crate) fn forbidden() -> Self {
        Self(Box::new(Problem::FORBIDDEN.into_response::<Body>(None)))
    }

    pub(crate) fn conflict(detail: &str) -> Self {
        Self(Box::new((StatusCode::CONFLICT, Json(json!({"detail": detail}))).into_response()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<BeginError> for Refusal {
    fn from(error: BeginError) -> Self {
        let cause = chain(&error);
        let mut response = Problem::from(error).into_response::<Body>(None);
        if response.status().is_server_error() {
            response.extensions_mut().insert(Failure(cause));
        }
        Self(Box::new(response))
    }
}

impl From<PgError> for Refusal {
    fn from(error: PgError) -> Self {
        BeginError::from(error).into()
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        PgError::from(error).into()
    }
}

impl From<InviteError> for Refusal {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::Forbidden => Self::forbidden(),
            InviteError::Pg(error) => error.into(),
            other => Self::conflict(&other.to_string()),
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
