//! `/problems/{code}`: what a problem's `type` points to.

use salvo::writing::Json;
use salvo::{Request, Router, handler};
use serde::Serialize;

use crate::http::problem::ApiError;
use crate::http::problems::Kind;

/// The route of this module. Open to all.
#[must_use]
pub fn routes() -> Router {
    Router::with_path("problems/{code}").get(explain)
}

#[derive(Serialize)]
struct Explanation {
    code: &'static str,
    status: u16,
    title: &'static str,
    #[serde(rename = "explanation")]
    text: &'static str,
}

#[handler]
async fn explain(req: &mut Request) -> Result<Json<Explanation>, ApiError> {
    let code = req.params().get("code").map(String::as_str);
    let kind = code.and_then(Kind::find).ok_or_else(ApiError::not_found)?;
    Ok(Json(Explanation {
        code: kind.code,
        status: kind.status.as_u16(),
        title: kind.title,
        text: kind.explanation,
    }))
}
