//! An org, to take along.

use std::error::Error as _;
use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use mt_core::pg::SystemReason;
use mt_core::pg::audit_log::TENANT_EXPORTED;
use salvo::http::HeaderValue;
use salvo::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use salvo::prelude::*;
use salvo_oapi::endpoint;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::archive::write::Archive;
use crate::http::authorized::Authorized;
use crate::http::problem::ApiError;
use crate::http::problems;
use crate::model::OrgExport;
use crate::refusals::internal;

const RECORD: SystemReason = SystemReason::new("record that an org is exported");

/// `/orgs/{org_id}/export`.
pub(super) fn routes() -> Router {
    Router::with_path("export").post(export)
}

/// Sends an org as an archive, to take along.
#[endpoint(
    tags("orgs"),
    responses((status_code = 200, description = "A tar.", content_type = "application/x-tar", body = String))
)]
async fn export(
    grant: Authorized<OrgExport>,
    depot: &mut Depot,
    res: &mut Response,
) -> Result<(), ApiError> {
    let app = App::of(depot);
    // It is read at the client's pace and holds a connection meanwhile: so there are few at once.
    let permit = app.exports.try_begin().ok_or_else(|| {
        ApiError::new(&problems::UNAVAILABLE)
            .header(RETRY_AFTER, HeaderValue::from_static("10"))
            .detail("as many exports are under way as may be at once")
    })?;
    let contents = app.exports.contents().await.map_err(|error| internal(&error))?;
    let (org, principal) = (grant.0.tenant(), grant.0.principal());
    // Decided on the facts of the moment, then said, then done. It is the system that says so: an org that is
    // stopped can still be taken along.
    let tx = app.tenants.begin(grant.0).await?;
    let grant = tx.access().authorize::<OrgExport>()?;
    tx.commit().await?;
    let mut tx = app.system.begin_for(principal, RECORD).await?;
    tx.record(org, TENANT_EXPORTED.on(org.as_uuid()));
    tx.commit().await?;
    let archive = Archive::new(app.tenants.snapshot(grant).await?, contents).await?;
    let headers = res.headers_mut();
    let file = format!(r#"attachment; filename="org-{org}.tar""#);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(archive.length()));
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    res.stream(until_the_end(archive, permit));
    Ok(())
}

/// The archive's bytes. The permit goes back with the last of them, or when the client hangs up.
fn until_the_end(
    archive: Archive,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    archive.into_stream().map(move |bytes| {
        let _held = &permit;
        bytes.map_err(|error| {
            tracing::error!(cause = error.source(), "an export was cut short: {error}");
            io::Error::other(error)
        })
    })
}
