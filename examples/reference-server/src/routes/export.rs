//! The export of an org.

use std::error::Error as _;
use std::time::Duration;

use mt_core::pg::portable::archive::{ExportError, SpoolError, WriteError};
use salvo::http::HeaderValue;
use salvo::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use salvo::prelude::*;
use salvo_oapi::endpoint;

use crate::app::App;
use crate::http::caller::InOrg;
use crate::http::problem::ApiError;
use crate::http::problems::{self, Conflict};
use crate::model::OrgExport;
use crate::refusals::internal;

/// How long a client is asked to wait for another export to end.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// `/orgs/{org_id}/export`.
pub(super) fn routes() -> Router {
    Router::with_path("export").post(export)
}

/// Exports an org as an archive.
///
/// One export of an org, and one of a caller, can run at a time. Another one is refused until the first was sent or
/// has timed out.
#[endpoint(
    tags("orgs"),
    responses(
        Conflict,
        (status_code = 200, description = "A tar archive.", content_type = "application/x-tar", body = String)
    )
)]
async fn export(
    org: InOrg<OrgExport>,
    depot: &mut Depot,
    res: &mut Response,
) -> Result<(), ApiError> {
    let app = App::of(depot);
    let archive = app.exports.export(&app.tenants, org.0).await?;
    let headers = res.headers_mut();
    let file = format!(r#"attachment; filename="org-{}.tar""#, org.0.tenant());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(archive.length()));
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    res.stream(archive.into_stream());
    Ok(())
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Begin(error) => error.into(),
            ExportError::Pg(error)
            | ExportError::Spool(SpoolError::Write(WriteError::Pg(error))) => error.into(),
            ExportError::UnderWay => problems::CONFLICT
                .problem()
                .with_retry_after(RETRY_AFTER)
                .with_detail("another export of the org or of the caller is under way")
                .into(),
            ExportError::Deadline => {
                tracing::warn!("an export was not written within `EXPORT_MAX_SECONDS`");
                busy("the org could not be read out in time")
            }
            ExportError::TooMany => busy("as many exports are being written as may be at once"),
            ExportError::DiskSpace => {
                busy("other exports take the space that there is for archives")
            }
            ExportError::TooLarge { .. } => {
                tracing::warn!("an org is too large to be exported over HTTP: {error}");
                problems::CONFLICT
                    .problem()
                    .with_detail(
                        "the org is too large to be exported here; the operator can export it",
                    )
                    .into()
            }
            ExportError::Spool(error @ SpoolError::Io(_)) => {
                tracing::error!(cause = error.source(), "{error}");
                busy("the server cannot write the archive at present")
            }
            error => internal(&error),
        }
    }
}

fn busy(why: &'static str) -> ApiError {
    problems::UNAVAILABLE.problem().with_retry_after(RETRY_AFTER).with_detail(why).into()
}
