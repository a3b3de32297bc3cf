//! What a service calls its tenants.

/// What a service calls its tenants: in paths (`/shops/{shop_id}`), in members of JSON (`shop_id`) and in pages.
///
/// ```
/// use mt_http::Noun;
///
/// let noun = Noun::new("company", "companies");
/// assert_eq!(noun.id_name(), "company_id");
/// assert_eq!(noun.item_path(), "/companies/{company_id}");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Noun {
    one: &'static str,
    many: &'static str,
}

impl Noun {
    /// Creates a noun from its singular and its plural.
    ///
    /// # Panics
    ///
    /// If one of them is not a word of lower-case ASCII letters; in a constant, that is a compile error.
    #[must_use]
    pub const fn new(one: &'static str, many: &'static str) -> Self {
        assert!(is_word(one) && is_word(many), "a noun has lower-case ASCII letters");
        Self { one, many }
    }

    /// Returns the singular.
    #[must_use]
    pub const fn one(self) -> &'static str {
        self.one
    }

    /// Returns the plural.
    #[must_use]
    pub const fn many(self) -> &'static str {
        self.many
    }

    /// Returns the name of a tenant's id in paths and in JSON.
    #[must_use]
    pub fn id_name(self) -> String {
        format!("{}_id", self.one)
    }

    /// Returns the path of all tenants.
    #[must_use]
    pub fn list_path(self) -> String {
        format!("/{}", self.many)
    }

    /// Returns the path of one tenant, with the id as a parameter.
    #[must_use]
    pub fn item_path(self) -> String {
        format!("/{}/{{{}}}", self.many, self.id_name())
    }

    /// Returns the singular with a capital letter, for names of schemas.
    pub(crate) fn title(self) -> String {
        let (first, rest) = self.one.split_at(1);
        first.to_ascii_uppercase() + rest
    }

    /// Returns the article before the singular: `an` before a vowel.
    #[must_use]
    pub fn article(self) -> &'static str {
        if self.one.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
    }

    /// Returns a word of the library in the service's words: `tenant.renamed` is `org.renamed`.
    pub(crate) fn shown(self, word: &str) -> String {
        match word.strip_prefix("tenant") {
            Some(rest) => format!("{}{rest}", self.one),
            None => word.to_owned(),
        }
    }
}

impl Default for Noun {
    /// `tenant`, `tenants`.
    fn default() -> Self {
        Self::new("tenant", "tenants")
    }
}

const fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_lowercase() {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_library_are_shown_in_those_of_the_service() {
        let org = Noun::new("org", "orgs");
        assert_eq!(org.shown("tenant.renamed"), "org.renamed");
        assert_eq!(org.shown("task.created"), "task.created");
        assert_eq!(org.title(), "Org");
    }

    #[test]
    #[should_panic(expected = "lower-case ASCII letters")]
    fn a_noun_is_a_word() {
        let _ = Noun::new("my org", "orgs");
    }
}
