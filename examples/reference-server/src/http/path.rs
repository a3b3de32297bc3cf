//! Ids and names in paths.

use mt_core::id::InviteId;
use salvo::extract::{Extractible, Metadata};
use salvo::prelude::*;
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn};
use uuid::Uuid;

use super::openapi::describe::{id, may, takes, text};
use super::problem::ApiError;
use super::problems;

/// The id in the path that is named like the argument: `project_id: PathId` is `{project_id}`.
///
/// One hyphenated UUID, in either case. Any other text is answered like an unknown id; so that the two cannot
/// be told apart, take it after the body.
#[derive(Clone, Copy, Debug)]
pub struct PathId(pub Uuid);

/// The text in the path that is named like the argument.
#[derive(Clone, Debug)]
pub struct PathText(pub String);

/// Returns the parameter that the router has captured.
fn captured<'a>(req: &'a Request, name: &str) -> Result<&'a str, ApiError> {
    req.params().get(name).map(String::as_str).ok_or_else(|| {
        tracing::error!(name, "the path has no such parameter");
        ApiError::new(&problems::INTERNAL)
    })
}

impl PathId {
    fn read(req: &Request, name: &str) -> Result<Self, ApiError> {
        // All ids have one form; the type of any of them parses it.
        let id = InviteId::parse(captured(req, name)?);
        id.map(|id| Self(id.as_uuid())).ok_or_else(ApiError::not_found)
    }
}

impl PathText {
    fn read(req: &Request, name: &str) -> Result<Self, ApiError> {
        captured(req, name).map(|text| Self(text.to_owned()))
    }
}

/// Describes a parameter by its name: `project_id` is "The id of the project."
fn description(name: &str) -> String {
    match name.strip_suffix("_id") {
        Some(thing) => format!("The id of the {thing}."),
        None => format!("The {name}."),
    }
}

impl EndpointArgRegister for PathId {
    fn register(_: &mut Components, operation: &mut Operation, name: &str) {
        takes(operation, ParameterIn::Path, name, &description(name), id());
        may(operation, &[&problems::NOT_FOUND]);
    }
}

impl EndpointArgRegister for PathText {
    fn register(_: &mut Components, operation: &mut Operation, name: &str) {
        takes(operation, ParameterIn::Path, name, &description(name), text());
        may(operation, &[&problems::NOT_FOUND]);
    }
}

macro_rules! from_path {
    ($of:ident) => {
        impl<'ex> Extractible<'ex> for $of {
            fn metadata() -> &'static Metadata {
                static METADATA: Metadata = Metadata::new(stringify!($of));
                &METADATA
            }

            #[expect(refining_impl_trait, reason = "the server has one kind of error")]
            async fn extract(_: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
                tracing::error!("what is taken from the path is an argument and has its name");
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
    };
}

from_path!(PathId);
from_path!(PathText);
