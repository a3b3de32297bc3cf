//! Answers to requests that create or remove something.

use std::marker::PhantomData;

use salvo::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use salvo::http::{ResBody, StatusCode};
use salvo::prelude::*;
use salvo_oapi::{Components, ComposeSchema, EndpointOutRegister, Operation, ToSchema};
use serde::Serialize;

use super::etag::{self, ETag};
use super::openapi::describe::{gives, gives_json};
use super::page::Listing;

/// A resource that a POST creates.
pub trait Made: Serialize {
    /// Whether the answer has an entity tag, for changes under `If-Match`.
    const TAGGED: bool = false;
}

/// 201 with the new resource, its path and, if it has one, its entity tag.
///
/// It is rendered before it is sent, so that it can be stored and sent again.
#[derive(Debug)]
pub struct Created<T> {
    headers: Vec<(HeaderName, HeaderValue)>,
    json: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T: Made> Created<T> {
    /// Renders `made`, which is at `path`.
    ///
    /// # Panics
    ///
    /// If the path has characters that a header cannot have.
    pub fn new(path: &str, made: &T) -> Self {
        let json = super::to_json(made);
        let location =
            HeaderValue::from_str(path).expect("paths consist of ids and words of the program");
        let mut headers = vec![(LOCATION, location)];
        if T::TAGGED {
            headers.push((ETAG, ETag::of_json(&json).to_header()));
        }
        Self { headers, json, of: PhantomData }
    }
}

impl<T> Created<T> {
    /// Creates an answer from a stored one.
    #[must_use]
    pub const fn again(headers: Vec<(HeaderName, HeaderValue)>, json: Vec<u8>) -> Self {
        Self { headers, json, of: PhantomData }
    }

    /// Returns the headers and the body of the answer.
    #[must_use]
    pub fn parts(&self) -> (&[(HeaderName, HeaderValue)], &[u8]) {
        (&self.headers, &self.json)
    }
}

impl<T: Made + ToSchema> EndpointOutRegister for Created<T> {
    fn register(components: &mut Components, operation: &mut Operation) {
        let location = ("location", "The path of the new resource.");
        let headers = [location, etag::ETAG];
        let headers = if T::TAGGED { &headers[..] } else { &headers[..1] };
        gives_json::<T>(components, operation, "201", "Created.", headers);
    }
}

impl<T> Scribe for Created<T> {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::CREATED);
        res.headers_mut().extend(self.headers);
        json(res, self.json);
    }
}

/// 200 with a page of a list.
impl<T: ToSchema + ComposeSchema + 'static> EndpointOutRegister for Listing<T> {
    fn register(components: &mut Components, operation: &mut Operation) {
        gives_json::<Self>(components, operation, "200", "A page of the list.", &[]);
    }
}

impl<T: Serialize + Send> Scribe for Listing<T> {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::OK);
        json(res, super::to_json(&self));
    }
}

/// 202: the server will do it.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<T>(pub T);

impl<T: ToSchema> EndpointOutRegister for Accepted<T> {
    fn register(components: &mut Components, operation: &mut Operation) {
        gives_json::<T>(components, operation, "202", "Accepted: the server will do it.", &[]);
    }
}

impl<T: Serialize> Scribe for Accepted<T> {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::ACCEPTED);
        json(res, super::to_json(&self.0));
    }
}

/// 204: done, without a body.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl EndpointOutRegister for NoContent {
    fn register(_: &mut Components, operation: &mut Operation) {
        gives(operation, "204", salvo_oapi::Response::new("Done."), &[]);
    }
}

impl Scribe for NoContent {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::NO_CONTENT);
    }
}

/// Makes `json` the body of `res`.
pub(super) fn json(res: &mut Response, json: Vec<u8>) {
    const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
    res.headers_mut().insert(CONTENT_TYPE, JSON);
    res.replace_body(ResBody::Once(json.into()));
}
