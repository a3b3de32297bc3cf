//! Links that carry a token.

use mt_core::token::SecretToken;

/// Returns the link to `path` below `base_url` that carries `token`.
///
/// The token travels in the *fragment* of the link (`…/auth/magic#token=…`). Browsers do not send fragments, so it
/// reaches no access log and no `Referer` header: the page at `path` reads it by a script.
///
/// `base_url` must be a setting of the service and never the host of a request, which the client chooses. It may have
/// a path of its own, and `path` begins with a slash.
///
/// ```
/// use mt_core::token::SecretToken;
/// use mt_mail::token_link;
///
/// let token = SecretToken::generate();
/// let link = token_link("https://notes.example/", "/sign-in", &token);
/// assert_eq!(link, format!("https://notes.example/sign-in#token={}", token.reveal()));
/// ```
#[must_use]
pub fn token_link(base_url: &str, path: &str, token: &SecretToken) -> String {
    format!("{}{path}#token={}", base_url.trim_end_matches('/'), token.reveal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_built_on_the_base_url() {
        let token = SecretToken::generate();
        let expected = format!("https://mt.example/app/auth/magic#token={}", token.reveal());
        for base in ["https://mt.example/app", "https://mt.example/app/"] {
            assert_eq!(token_link(base, "/auth/magic", &token), expected);
        }
    }
}
