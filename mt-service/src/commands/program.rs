//! The program that has the commands.

use clap::builder::StyledStr;
use clap::{Arg, Command};
use mt_core::id::TenantId;
#[cfg(feature = "commands")]
use mt_core::pg::audit_log::Actor;
use mt_http::Noun;

/// The name of a tenant's id in the usage of a command.
pub(super) const TENANT: &str = "TENANT";

/// The operator's name in the audit log if none is given.
#[cfg(feature = "commands")]
pub(super) const UNNAMED: &str = "unnamed operator";

/// The program that has the commands, and what its service calls its tenants.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    #[cfg_attr(
        not(feature = "commands"),
        expect(dead_code, reason = "the command for jobs writes no audit entry")
    )]
    name: &'static str,
    noun: Noun,
}

impl Program {
    /// Creates a program. `name` is in audit entries, as in `name, operator`.
    #[must_use]
    pub const fn new(name: &'static str, noun: Noun) -> Self {
        Self { name, noun }
    }

    /// Returns what the service calls its tenants.
    #[must_use]
    pub const fn noun(&self) -> Noun {
        self.noun
    }

    /// Returns `command`, one of this module, with help in the service's words: what it calls its tenants instead of
    /// `tenant`.
    #[must_use]
    pub fn describe(self, command: Command) -> Command {
        let command = match command.get_about().map(|text| self.styled(text)) {
            Some(about) => command.about(about),
            None => command,
        };
        command
            .mut_args(|arg| self.describe_arg(arg))
            .mut_subcommands(|command| self.describe(command))
    }

    fn describe_arg(self, arg: Arg) -> Arg {
        let arg = match arg.get_help().map(|text| self.styled(text)) {
            Some(help) => arg.help(help),
            None => arg,
        };
        if arg.get_value_names().is_none_or(|names| names != [TENANT]) {
            return arg;
        }
        let (article, one) = (self.noun.article(), self.noun.one());
        let parse = move |text: &str| {
            TenantId::parse(text).ok_or_else(|| format!("takes {article} {one}'s id"))
        };
        // An option that is called `--tenant` has the service's word too.
        let arg = if arg.get_long() == Some("tenant") { arg.long(one) } else { arg };
        arg.value_name(one.to_ascii_uppercase()).value_parser(parse)
    }

    fn styled(self, text: &StyledStr) -> StyledStr {
        self.words(&text.to_string()).into()
    }

    /// Replaces the library's words for tenants.
    fn words(self, text: &str) -> String {
        let (article, one, many) = (self.noun.article(), self.noun.one(), self.noun.many());
        let text = replace_word(text, "a tenant", &format!("{article} {one}"));
        let text = replace_word(&text, "tenants", many);
        let text = replace_word(&text, "tenant", one);
        replace_word(&text, TENANT, &one.to_ascii_uppercase())
    }

    /// Returns the name of `operator` with that of the program.
    #[cfg(feature = "commands")]
    pub(super) fn operator(&self, operator: &str) -> String {
        format!("{}, {operator}", self.name)
    }

    /// Returns the operator as an actor of the audit log. An empty name counts as none.
    #[cfg(feature = "commands")]
    pub(super) fn actor(&self, operator: &str) -> Actor {
        let operator = Some(operator.trim()).filter(|operator| !operator.is_empty());
        Actor::operator(&self.operator(operator.unwrap_or(UNNAMED)))
    }
}

/// Reads a tenant's id. [`Program::describe`] replaces the text of its error.
pub(super) fn tenant_id(text: &str) -> Result<TenantId, &'static str> {
    TenantId::parse(text).ok_or("takes a tenant's id")
}

/// Replaces `word` where it is not a part of a longer one.
fn replace_word(text: &str, word: &str, with: &str) -> String {
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let is_whole =
            !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        replaced.push_str(before);
        replaced.push_str(if is_whole { with } else { word });
        rest = after;
    }
    replaced + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORGS: Program = Program::new("orgd", Noun::new("org", "orgs"));

    #[test]
    fn help_has_the_words_of_the_service() {
        for (text, shown) in [
            ("Deletes a tenant and all of its data", "Deletes an org and all of its data"),
            ("Lists the tenants that pay twice", "Lists the orgs that pay twice"),
            ("Default: `tenant-TENANT.tar`", "Default: `org-ORG.tar`"),
            ("subtenants are none", "subtenants are none"),
        ] {
            assert_eq!(ORGS.words(text), shown);
        }
    }

    #[test]
    fn arguments_are_named_and_read_in_the_words_of_the_service() {
        let id = Arg::new("tenant").value_name(TENANT).value_parser(tenant_id).required(true);
        let command = ORGS.describe(Command::new("delete").arg(id.help("Id of the tenant.")));
        let error = command.clone().try_get_matches_from(["delete", "x"]).unwrap_err();
        assert!(error.to_string().contains("'x' for '<ORG>': takes an org's id"), "{error}");
        let tenant = TenantId::generate();
        let matches = command.try_get_matches_from(["delete", &tenant.to_string()]).unwrap();
        assert_eq!(matches.get_one("tenant"), Some(&tenant));
        let option = Arg::new("tenant").long("tenant").value_name(TENANT).value_parser(tenant_id);
        let command = ORGS.describe(Command::new("list").arg(option));
        let matches = command.try_get_matches_from(["list", "--org", &tenant.to_string()]).unwrap();
        assert_eq!(matches.get_one("tenant"), Some(&tenant));
    }

    #[cfg(feature = "commands")]
    #[test]
    fn operators_without_a_name_are_unnamed() {
        assert_eq!(ORGS.actor(" "), ORGS.actor(UNNAMED));
        assert_eq!(ORGS.actor("ada"), Actor::operator("orgd, ada"));
    }
}
