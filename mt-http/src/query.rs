//! Query parameters. Each may be given once; unknown ones are ignored.

use std::borrow::Cow;

use http::Uri;
use mt_core::text_enum::TextEnum;
use mt_tower::problem::Problem;

use crate::problems::invalid_parameter;

/// Returns the value of a query parameter.
///
/// # Errors
///
/// `invalid-request` when it is given twice.
pub(crate) fn single<'a>(uri: &'a Uri, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
    let query = uri.query().unwrap_or_default();
    let mut values = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(known, value)| (known == name).then_some(value));
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(invalid_parameter(name, "may be given once")),
    }
}

/// Returns one of a closed set of words.
///
/// # Errors
///
/// `invalid-request` that lists the words.
pub(crate) fn choice<W: TextEnum>(uri: &Uri, name: &str) -> Result<Option<W>, Problem> {
    let Some(word) = single(uri, name)? else { return Ok(None) };
    W::parse(&word).map(Some).map_err(|_unknown| {
        let words: Vec<_> = W::ALL.iter().map(|word| format!("`{}`", word.as_str())).collect();
        invalid_parameter(name, format!("takes one of {}", words.join(", ")))
    })
}
