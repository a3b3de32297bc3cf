//! The tenant named by the path, for services without a router.

use mt_core::id::TenantId;

use super::normal_path::is_normal_path;
use super::{Resolver, parse};
use crate::guard::RequestContext;
use crate::problem::Problem;

/// Resolver for a path that begins like this template, as in `/orgs/{tenant}`.
///
/// Segments are compared with the path as the client sent it, without decoding; `{tenant}` captures one
/// segment and any other name in braces skips one. The template matches a prefix of the path. A path
/// that matches and is not in its [normal form](super::is_normal_path) is refused.
#[derive(Clone, Debug)]
pub struct PathTemplate {
    // INVARIANT: exactly one is `Tenant`.
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Any,
    Literal(String),
    Tenant,
}

impl PathTemplate {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// [`PathTemplateError`] unless it begins with `/` and has the segment `{tenant}` once.
    pub fn new(template: &str) -> Result<Self, PathTemplateError> {
        let refused = || PathTemplateError(template.to_owned());
        let segments: Vec<_> = template
            .strip_prefix('/')
            .ok_or_else(refused)?
            .split('/')
            .map(|segment| match segment {
                "{tenant}" => Segment::Tenant,
                named if named.starts_with('{') && named.ends_with('}') => Segment::Any,
                literal => Segment::Literal(literal.to_owned()),
            })
            .collect();
        match segments.iter().filter(|segment| **segment == Segment::Tenant).count() {
            1 => Ok(Self { segments }),
            _ => Err(refused()),
        }
    }

    /// Returns the segment in the place of `{tenant}` if the path matches.
    fn capture<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut given = Segments(Some(path.strip_prefix('/')?));
        let mut captured = None;
        for expected in &self.segments {
            let segment = given.next()?;
            match expected {
                Segment::Any => {}
                Segment::Literal(literal) if literal == segment => {}
                Segment::Literal(_) => return None,
                Segment::Tenant => captured = Some(segment),
            }
        }
        captured
    }
}

/// The segments of a path. A plain loop, because segments are too short for a search by words to pay off.
struct Segments<'p>(Option<&'p str>);

impl<'p> Iterator for Segments<'p> {
    type Item = &'p str;

    fn next(&mut self) -> Option<&'p str> {
        let text = self.0.take()?;
        let Some(end) = text.bytes().position(|byte| byte == b'/') else { return Some(text) };
        self.0 = Some(&text[end + 1..]);
        Some(&text[..end])
    }
}

impl Resolver for PathTemplate {
    async fn resolve<'a>(
        &'a self,
        request: &'a RequestContext<'_>,
    ) -> Result<Option<TenantId>, Problem> {
        let path = request.uri.path();
        match self.capture(path) {
            None => Ok(None),
            Some(_) if !is_normal_path(path) => Err(Problem::NOT_FOUND),
            Some(id) => parse(id),
        }
    }
}

/// The text is not a path template.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a path template: it begins with `/` and has the segment `{{tenant}}` once")]
pub struct PathTemplateError(String);
