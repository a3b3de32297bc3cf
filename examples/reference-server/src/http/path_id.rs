//! Ids in paths.

use mt_core::id::InviteId;
use salvo::extract::{Extractible, Metadata};
use salvo::prelude::*;
use uuid::Uuid;

use super::problem::ApiError;
use super::problems;

/// The id in the path that is named like the argument: `project_id: PathId` is `{project_id}`.
///
/// One hyphenated UUID, in either case; anything else is as unknown as an unknown one. So that it is not
/// told apart, take it after the body.
#[derive(Clone, Copy, Debug)]
pub struct PathId(pub Uuid);

impl PathId {
    fn read(req: &Request, name: &str) -> Result<Self, ApiError> {
        let Some(text) = req.params().get(name) else {
            tracing::error!(name, "the path has no such parameter");
            return Err(ApiError::new(&problems::INTERNAL));
        };
        // All ids have one form; which thing it identifies is said by where it is used.
        InviteId::parse(text).map(|id| Self(id.as_uuid())).ok_or_else(ApiError::not_found)
    }
}

impl<'ex> Extractible<'ex> for PathId {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("PathId");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(_: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        tracing::error!("an id of the path is an argument and has its name");
        Err(ApiError::new(&problems::INTERNAL))
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract_with_arg(
        req: &'ex mut Request,
        _: &'ex mut Depot,
        name: &str,
    ) -> Result<Self, ApiError> {
        Self::read(req, name)
    }
}
