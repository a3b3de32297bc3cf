//! Requests and responses, independent of a web framework.

/// A request to the application under test.
#[derive(Clone, Debug)]
pub struct TestRequest {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The path and query, with all slots filled.
    pub path: String,
    /// Header names in lower case, and values. They include `authorization` and, with a body, `content-type`, so send
    /// all of them and nothing else.
    pub headers: Vec<(String, String)>,
    /// The JSON body.
    pub body: Option<String>,
}

impl TestRequest {
    /// Returns the bearer token in `authorization`; `None` for an anonymous caller.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let header = self.headers.iter().find(|(name, _)| name == "authorization");
        header.and_then(|(_, value)| value.strip_prefix("Bearer "))
    }

    /// Returns path, header values and body as one text.
    pub(super) fn text(&self) -> String {
        let mut text = self.path.clone();
        for (_, value) in &self.headers {
            text.push('\n');
            text.push_str(value);
        }
        text.push('\n');
        text.push_str(self.body.as_deref().unwrap_or_default());
        text
    }
}

/// A response of the application.
#[derive(Clone, Debug)]
pub struct TestResponse {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

impl TestResponse {
    /// Returns whether the status is a success or a redirect.
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=399)
    }
}
