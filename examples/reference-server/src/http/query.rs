//! Query parameters. Each may be given once; unknown ones are ignored.

use mt_core::text_enum::TextEnum;
use salvo::extract::{Extractible, Metadata};
use salvo::prelude::*;
use salvo_oapi::{Components, EndpointArgRegister, Operation, ParameterIn};

use super::openapi::describe::{may, takes, words};
use super::problem::ApiError;
use super::problems;

/// The value of a query parameter.
///
/// # Errors
///
/// `invalid-request` when it is given twice.
pub fn single<'a>(req: &'a Request, name: &str) -> Result<Option<&'a str>, ApiError> {
    match req.queries().get_vec(name).map(Vec::as_slice) {
        None | Some([]) => Ok(None),
        Some([value]) => Ok(Some(value)),
        Some(_) => Err(ApiError::invalid_parameter(name, "may be given once")),
    }
}

/// One of a closed set of words, in the query parameter that is named like the argument.
#[derive(Clone, Copy, Debug)]
pub struct Choice<W>(pub Option<W>);

impl<W: TextEnum> Choice<W> {
    fn read(req: &Request, name: &str) -> Result<Self, ApiError> {
        let Some(word) = single(req, name)? else { return Ok(Self(None)) };
        W::parse(word).map(|word| Self(Some(word))).map_err(|_unknown| {
            let words: Vec<_> = W::ALL.iter().map(|word| format!("`{}`", word.as_str())).collect();
            ApiError::invalid_parameter(name, format!("takes one of {}", words.join(", ")))
        })
    }
}

impl<'ex, W: TextEnum> Extractible<'ex> for Choice<W> {
    fn metadata() -> &'static Metadata {
        static METADATA: Metadata = Metadata::new("Choice");
        &METADATA
    }

    #[expect(refining_impl_trait, reason = "the server has one kind of error")]
    async fn extract(_: &'ex mut Request, _: &'ex mut Depot) -> Result<Self, ApiError> {
        Ok(Self(None))
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

impl<W: TextEnum> EndpointArgRegister for Choice<W> {
    fn register(_: &mut Components, operation: &mut Operation, name: &str) {
        takes(
            operation,
            ParameterIn::Query,
            name,
            "Lists only items with this value.",
            words::<W>(),
        );
        may(operation, &[&problems::INVALID_REQUEST]);
    }
}
