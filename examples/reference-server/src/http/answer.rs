//! Answers to requests that make or remove something.

use std::marker::PhantomData;

use salvo::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use salvo::http::{ResBody, StatusCode};
use salvo::prelude::*;
use serde::Serialize;

use super::etag::ETag;

/// What a POST makes.
pub trait Made: Serialize {
    /// Whether it can be changed under a condition, so that its entity tag is told.
    const TAGGED: bool = false;
}

/// 201 with what was made, where it is and, of what has one, its entity tag.
///
/// It is put together before it is sent, so that it can be kept and sent again.
#[derive(Debug)]
pub struct Created<T> {
    headers: Vec<(HeaderName, HeaderValue)>,
    json: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T: Made> Created<T> {
    /// Says that `made` was made and is at `path` from now on.
    ///
    /// # Panics
    ///
    /// When the path holds what no header may.
    pub fn new(path: &str, made: &T) -> Self {
        let json = super::to_json(made);
        let location = HeaderValue::from_str(path).expect("ids and words of the program");
        let mut headers = vec![(LOCATION, location)];
        if T::TAGGED {
            headers.push((ETAG, ETag::of_json(&json).to_header()));
        }
        Self { headers, json, of: PhantomData }
    }
}

impl<T> Created<T> {
    /// Says it again, as it was said before.
    #[must_use]
    pub const fn again(headers: Vec<(HeaderName, HeaderValue)>, json: Vec<u8>) -> Self {
        Self { headers, json, of: PhantomData }
    }

    /// The headers and the body of the answer.
    #[must_use]
    pub fn parts(&self) -> (&[(HeaderName, HeaderValue)], &[u8]) {
        (&self.headers, &self.json)
    }
}

impl<T> Scribe for Created<T> {
    fn render(self, res: &mut Response) {
        res.status_code(StatusCode::CREATED);
        res.headers_mut().extend(self.headers);
        json(res, self.json);
    }
}

/// 204: it is done, and there is nothing to say.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

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
