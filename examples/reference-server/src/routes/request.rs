//! What handlers ask a request for.

use mt_core::auth::Principal;
use mt_core::id::{InviteId, PrincipalId};
use salvo::http::HeaderValue;
use salvo::http::header::LOCATION;
use salvo::prelude::*;
use serde::Serialize;
use uuid::Uuid;

use crate::http::problem::ApiError;
use crate::http::problems;

/// The caller, as the authentication layer left them.
pub(super) fn principal(req: &Request) -> Result<Principal, ApiError> {
    // Absent means that the layers were put together wrongly: a failure, never a pass.
    req.extensions().get().copied().ok_or_else(|| missing("principal"))
}

/// An id of the path. Anything else than one hyphenated UUID is as unknown as an unknown one.
pub(super) fn id(req: &Request, name: &str) -> Result<Uuid, ApiError> {
    let text = req.params().get(name).ok_or_else(|| missing("path parameter"))?;
    // All ids have one form; which thing it identifies is said by where it is used.
    InviteId::parse(text).map(InviteId::as_uuid).ok_or_else(ApiError::not_found)
}

/// The user of the path.
pub(super) fn user_id(req: &Request) -> Result<PrincipalId, ApiError> {
    id(req, "user_id").map(PrincipalId::from_uuid)
}

/// Answers 201 with the thing made and where it is.
pub(super) fn created<T: Serialize + Send>(
    res: &mut Response,
    location: &str,
    made: T,
) -> Result<Json<T>, ApiError> {
    let location = HeaderValue::from_str(location).map_err(|_| missing("location"))?;
    res.status_code(StatusCode::CREATED);
    res.headers_mut().insert(LOCATION, location);
    Ok(Json(made))
}

/// Answers 204.
pub(super) fn no_content(res: &mut Response) {
    res.status_code(StatusCode::NO_CONTENT);
}

fn missing(what: &str) -> ApiError {
    tracing::error!("the {what} that a route needs was not set by the layers before it");
    ApiError::new(&problems::INTERNAL)
}
