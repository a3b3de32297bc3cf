//! The export of an org.

use std::error::Error as _;
use std::time::Duration;

use mt_core::access::AccessRequest;
use mt_core::pg::SystemReason;
use mt_core::pg::audit_log::TENANT_EXPORTED;
use salvo::http::HeaderValue;
use salvo::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use salvo::prelude::*;
use salvo_oapi::endpoint;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::archive::NoRoom;
use crate::archive::spool::{Spool, SpoolError};
use crate::archive::write::{Archive, WriteError};
use crate::http::caller::InOrg;
use crate::http::problem::ApiError;
use crate::http::problems::{self, Conflict};
use crate::model::OrgExport;
use crate::refusals::internal;

/// How long a client is asked to wait for another export to end.
const RETRY_AFTER: Duration = Duration::from_secs(10);

const RECORD: SystemReason = SystemReason::new("record that an org is exported");

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
    // Before it takes a slot, of which the org has one.
    app.tenants.begin(org.0).await?.commit().await?;
    let (request, org, principal) = (org.0, org.0.tenant(), org.0.principal().id());
    let slot = app.exports.begin(org, principal).ok_or_else(|| {
        problems::CONFLICT
            .problem()
            .with_retry_after(RETRY_AFTER)
            .with_detail("another export of the org or of the caller is under way")
    })?;
    let deadline = slot.deadline();
    let written = tokio::time::timeout_at(deadline, write(&app, request)).await;
    let (spool, room) = written.unwrap_or_else(|_| {
        tracing::warn!("an export was not written within `EXPORT_MAX_SECONDS`");
        Err(busy("the org could not be read out in time"))
    })?;
    let headers = res.headers_mut();
    let file = format!(r#"attachment; filename="org-{org}.tar""#);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(spool.length()));
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    res.stream(spool.into_stream((room, slot), deadline));
    Ok(())
}

/// Writes the archive to a file, for which space is set aside. No connection and no transaction is left when it returns: how long the client takes
/// to read it concerns the file alone.
async fn write(
    app: &App,
    request: AccessRequest<OrgExport>,
) -> Result<(Spool, OwnedSemaphorePermit), ApiError> {
    let contents = app.exports.contents().await.map_err(|error| internal(&error))?;
    let _turn = app
        .exports
        .turn()
        .await
        .ok_or_else(|| busy("as many exports are being written as may be at once"))?;
    let (org, principal) = (request.tenant(), request.principal());
    // Decided on the facts of the moment, then said, then done. It is the system that says so: an org that is
    // stopped can still be taken along.
    app.tenants.begin(request).await?.commit().await?;
    let mut tx = app.system.begin_for(principal, RECORD).await?;
    tx.record(org, TENANT_EXPORTED.on(org.as_uuid()));
    tx.commit().await?;
    let archive = Archive::new(app.tenants.snapshot(request).await?, contents).await?;
    let room = app.exports.room(archive.length())?;
    Ok((Spool::write(archive).await?, room))
}

fn busy(why: &'static str) -> ApiError {
    problems::UNAVAILABLE.problem().with_retry_after(RETRY_AFTER).with_detail(why).into()
}

impl From<NoRoom> for ApiError {
    fn from(error: NoRoom) -> Self {
        match error {
            NoRoom::AtPresent => busy("other exports take the space that there is for archives"),
            NoRoom::Ever { .. } => {
                tracing::warn!("an org is too large to be exported over HTTP: {error}");
                problems::CONFLICT
                    .problem()
                    .with_detail(
                        "the org is too large to be exported here; the operator can export it",
                    )
                    .into()
            }
        }
    }
}

impl From<SpoolError> for ApiError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Write(WriteError::Pg(error)) => error.into(),
            SpoolError::Io(_) => {
                tracing::error!(cause = error.source(), "{error}");
                busy("the server cannot write the archive at present")
            }
            error => internal(&error),
        }
    }
}
