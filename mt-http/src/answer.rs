//! Responses of endpoints.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use mt_core::pg::idempotency::StoredResponse;
use mt_tower::problem::Problem;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use crate::refusal::Refusal;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// What an endpoint answers.
pub(crate) type Answer = Result<Response<Bytes>, Refusal>;

/// 200 with `value`.
pub(crate) fn json<T: Serialize>(value: &T) -> Response<Bytes> {
    with_status(StatusCode::OK, value)
}

/// 202 with `value`: the server will do it.
pub(crate) fn accepted<T: Serialize>(value: &T) -> Response<Bytes> {
    with_status(StatusCode::ACCEPTED, value)
}

/// 201 with the new resource, which is at `path`.
pub(crate) fn created<T: Serialize>(path: &str, made: &T) -> Response<Bytes> {
    let mut response = with_status(StatusCode::CREATED, made);
    let location =
        HeaderValue::from_str(path).expect("paths consist of ids and words of the program");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// 204: done.
pub(crate) fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn with_status<T: Serialize>(status: StatusCode, value: &T) -> Response<Bytes> {
    let body = serde_json::to_vec(value).expect("text, numbers and times serialize");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Returns a response as it is stored, without its content type.
pub(crate) fn to_stored(response: &Response<Bytes>) -> Result<StoredResponse, Problem> {
    let headers = response.headers().iter().filter(|(name, _)| *name != CONTENT_TYPE);
    let headers = headers.map(|(name, value)| {
        let value = value.to_str().map_err(|error| Problem::internal(&error))?;
        Ok((name.as_str().to_owned(), value.to_owned()))
    });
    Ok(StoredResponse {
        status: response.status().as_u16(),
        headers: headers.collect::<Result<_, Problem>>()?,
        body: response.body().to_vec(),
    })
}

/// Returns a stored response, to be sent again.
pub(crate) fn from_stored(stored: StoredResponse) -> Result<Response<Bytes>, Problem> {
    let mut response = Response::new(Bytes::from(stored.body));
    *response.status_mut() =
        StatusCode::from_u16(stored.status).map_err(|error| Problem::internal(&error))?;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    for (name, value) in stored.headers {
        let name = HeaderName::try_from(name).map_err(|error| Problem::internal(&error))?;
        let value = HeaderValue::try_from(value).map_err(|error| Problem::internal(&error))?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// A JSON object whose members are named at run time, such as `org_id`. It keeps their order.
#[derive(Debug, Default)]
pub(crate) struct Object(Vec<(Cow<'static, str>, Member)>);

/// The value of a member.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Member {
    /// A text, a number, a list.
    Value(Value),
    /// An object, whose members keep their order too.
    Object(Object),
}

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Value>,
    ) -> Self {
        self.0.push((name.into(), Member::Value(value.into())));
        self
    }

    pub(crate) fn with_object(mut self, name: impl Into<Cow<'static, str>>, object: Self) -> Self {
        self.0.push((name.into(), Member::Object(object)));
        self
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_response_comes_back_as_it_was() {
        let answer = created("/orgs/1", &Object::new().with("b", 1).with("a", 2));
        let again = from_stored(to_stored(&answer).unwrap()).unwrap();
        assert_eq!(again.status(), StatusCode::CREATED);
        assert_eq!(again.headers(), answer.headers());
        assert_eq!(again.body(), r#"{"b":1,"a":2}"#);
    }
}
