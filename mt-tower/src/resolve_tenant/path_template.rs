//! The tenant named by the path, for services without a router.

use std::borrow::Cow;

use mt_core::id::TenantId;

use super::normal_path::is_normal;
use super::{NameSource, Resolver, parse};
use crate::guard::View;
use crate::problem::Problem;

/// Reads the tenant from a path that begins as this template does, as in `/orgs/{tenant}`.
///
/// Segments are compared with the path as it came, without decoding; `{tenant}` captures one and any
/// other name in braces skips one. What follows the template is ignored, but for this: a path that fits
/// and is not in the [normal form](super#one-reading-of-a-path) is refused.
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
    /// Reads a template.
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

    /// The segment at the place of `{tenant}`, if the path has the template's form.
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

/// What lies between slashes. For the few bytes of a segment a search for one by words takes longer.
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

impl NameSource for PathTemplate {
    fn name<'v>(&self, view: &'v View<'_>) -> Result<Option<Cow<'v, str>>, Problem> {
        let path = view.uri.path();
        match self.capture(path) {
            Some(_) if !is_normal(path) => Err(Problem::NOT_FOUND),
            captured => Ok(captured.map(Cow::Borrowed)),
        }
    }
}

impl Resolver for PathTemplate {
    const NEVER_WAITS: bool = true;

    async fn resolve<'a>(&'a self, view: &'a View<'_>) -> Result<Option<TenantId>, Problem> {
        self.name(view)?.map_or(Ok(None), |name| parse(&name))
    }
}

/// The text is no template.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no path template: it begins with `/` and has the segment `{{tenant}}` once")]
pub struct PathTemplateError(String);
