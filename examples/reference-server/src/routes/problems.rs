//! `/problems/{code}`: what a problem's `type` points to.

use salvo::Router;
use salvo::writing::{Json, Writer as _};
use salvo_oapi::{ToSchema, endpoint};
use serde::Serialize;

use crate::http::path::PathText;
use crate::http::problem::ApiError;
use crate::http::problems::Kind;

/// The route of this module. Open to all.
#[must_use]
pub fn routes() -> Router {
    Router::with_path("problems/{code}").get(explain)
}

#[derive(Serialize, ToSchema)]
struct Explanation {
    code: &'static str,
    status: u16,
    title: &'static str,
    #[serde(rename = "explanation")]
    text: &'static str,
}

/// Explains a kind of problem.
#[endpoint(tags("meta"))]
async fn explain(code: PathText) -> Result<Json<Explanation>, ApiError> {
    let kind = Kind::find(&code.0).ok_or_else(ApiError::not_found)?;
    Ok(Json(Explanation {
        code: kind.code,
        status: kind.status.as_u16(),
        title: kind.title,
        text: kind.explanation,
    }))
}
