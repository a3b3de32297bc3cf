//! Checks the expressions of policies on application tables.
//!
//! Mentioning the setting does not isolate tenants. So an expression is compared with the condition that `mt.isolate`
//! creates, as Postgres prints it. The condition must stand alone or be connected with others by `and`.

use sqlx::FromRow;

use super::{Finding, Rule};
use crate::pg::connection::roles::SYSTEM_ROLE;

/// The accepted right-hand sides of the tenant's condition, as Postgres prints them, without spaces.
const TENANTS: [&str; 2] = [
    "(SELECTmt.required_tenant_id()ASrequired_tenant_id)",
    "(SELECTmt.sealed_tenant_id()ASsealed_tenant_id)",
];

/// Right-hand sides without the `select`, which Postgres evaluates for each row.
const TENANTS_PER_ROW: [&str; 4] = [
    "mt.required_tenant_id()",
    "mt.sealed_tenant_id()",
    "(current_setting('mt.tenant_id'::text))::uuid",
    "(current_setting('mt.tenant_id'::text,true))::uuid",
];

/// A permissive policy, read by `sql/policies.sql`.
#[derive(Debug, FromRow)]
pub(super) struct Policy {
    table: String,
    name: String,
    /// The `using` expression: the rows that it shows, or lets statements change.
    sees: Option<String>,
    /// The `with check` expression: the rows that it accepts.
    writes: Option<String>,
    /// The column with the row's tenant.
    tenant: Option<String>,
    /// The roles, sorted. `public` stands for all roles.
    roles: Vec<String>,
}

/// The classification of one expression.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Condition {
    OfTheTenant,
    OfTheTenantPerRow,
    OfSomethingElse,
    None,
}

impl Policy {
    /// Returns the rules that it violates, if transactions run as `roles`.
    pub(super) fn breaches(&self, roles: &[String]) -> Vec<Finding> {
        let is_told_of = |role: &String| role == "public" || roles.contains(role);
        let is_of_system_alone = self.roles.iter().all(|role| role == SYSTEM_ROLE);
        let condition = [&self.sees, &self.writes]
            .into_iter()
            .flatten()
            .map(|expression| condition(expression, self.tenant.as_deref()))
            .max()
            .unwrap_or(Condition::OfTheTenant);
        let mut rules = Vec::new();
        if self.roles.iter().any(|role| role == "public") {
            rules.push(Rule::PolicyForEverybody);
        }
        if !self.roles.iter().all(is_told_of) {
            rules.push(Rule::PolicyForUnknownRole);
        }
        if condition > Condition::OfTheTenantPerRow
            && self.roles.iter().any(|role| role == SYSTEM_ROLE)
        {
            rules.push(Rule::PolicyForSystem);
        }
        rules.extend(match condition {
            Condition::OfTheTenantPerRow => Some(Rule::PolicyPerRow),
            Condition::OfSomethingElse if !is_of_system_alone => Some(Rule::PolicyIgnoresTenant),
            Condition::None if !is_of_system_alone => Some(Rule::PolicyAlwaysTrue),
            _ => None,
        });
        let finding =
            |rule| Finding { rule, object: self.table.clone(), detail: Some(self.name.clone()) };
        rules.into_iter().map(finding).collect()
    }
}

fn condition(expression: &str, tenant: Option<&str>) -> Condition {
    if without_spaces(expression) == "true" {
        return Condition::None;
    }
    let Some(tenant) = tenant else { return Condition::OfSomethingElse };
    let conditions: Vec<String> = conjuncts(expression).into_iter().map(without_spaces).collect();
    let has = |values: &[&str]| {
        let equals = |value: &&str| [format!("{tenant}={value}"), format!("{value}={tenant}")];
        values.iter().flat_map(equals).any(|equality| conditions.contains(&equality))
    };
    match (has(&TENANTS), has(&TENANTS_PER_ROW)) {
        (true, _) => Condition::OfTheTenant,
        (false, true) => Condition::OfTheTenantPerRow,
        (false, false) => Condition::OfSomethingElse,
    }
}

/// Returns the parts connected by `and`. Postgres prints each `and` and each `or` in parentheses of its own.
fn conjuncts(expression: &str) -> Vec<&str> {
    let expression = expression.trim();
    let within = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let Some(within) = within.filter(|_| end_of_first(expression) == Some(expression.len())) else {
        return vec![expression];
    };
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, depth) in outside_of_quotes(within) {
        if depth == 0 && at >= from && within[at..].starts_with(" AND ") {
            parts.push(&within[from..at]);
            from = at + " AND ".len();
        }
    }
    parts.push(&within[from..]);
    parts.into_iter().flat_map(conjuncts).collect()
}

/// Returns the position of the parenthesis that closes the first one.
fn end_of_first(expression: &str) -> Option<usize> {
    let mut places = outside_of_quotes(expression);
    places
        .find(|(at, depth)| *depth == 0 && expression[*at..].starts_with(')'))
        .map(|(at, _)| at + 1)
}

/// Returns each character outside of quotes with its position and depth of parentheses; a parenthesis itself has the
/// depth outside of it.
fn outside_of_quotes(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut depth = 0_usize;
    let mut quote = None;
    text.char_indices().filter_map(move |(at, c)| {
        match (quote, c) {
            (Some(open), c) => {
                // A doubled quote ends one text and begins the next.
                if open == c {
                    quote = None;
                }
                return None;
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                return None;
            }
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        let outer = depth;
        if c == '(' {
            depth += 1;
        }
        Some((at, outer))
    })
}

fn without_spaces(expression: &str) -> String {
    let mut quote = None;
    let keep = |c: &char| {
        match quote {
            Some(open) if open == *c => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(*c),
            _ => {}
        }
        quote.is_some() || !c.is_whitespace()
    };
    expression.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::{Condition, condition};

    const GUARD: &str = "(tenant_id = ( SELECT mt.required_tenant_id() AS required_tenant_id))";

    fn of(expression: &str) -> Condition {
        condition(&expression.replace("GUARD", GUARD), Some("tenant_id"))
    }

    #[test]
    fn the_tenants_condition_must_stand_alone_or_in_a_conjunction() {
        for guarded in [
            "GUARD",
            "(GUARD AND (plan = 'free'::text))",
            "((plan = 'a OR (b'::text) AND ((id IS NOT NULL) AND GUARD))",
            "(\"odd ' AND (\" AND GUARD)",
            "(( SELECT mt.required_tenant_id() AS required_tenant_id) = tenant_id)",
            "(tenant_id = ( SELECT mt.sealed_tenant_id() AS sealed_tenant_id))",
        ] {
            assert_eq!(of(guarded), Condition::OfTheTenant, "{guarded}");
        }
    }

    #[test]
    fn an_expression_that_only_mentions_the_setting_is_rejected() {
        for loose in [
            "(GUARD OR (plan = 'free'::text))",
            "(GUARD OR (true AND GUARD))",
            "(NOT GUARD)",
            "(NOT (GUARD AND true))",
            "(GUARD IS NOT NULL)",
            "(( SELECT current_setting('mt.tenant_id'::text, true) AS current_setting) IS NOT NULL)",
            "(tenant_id <> ( SELECT mt.sealed_tenant_id() AS sealed_tenant_id))",
            "(id = ( SELECT mt.sealed_tenant_id() AS sealed_tenant_id))",
            // Settings that any statement of a tenant can change.
            "(tenant_id = ( SELECT (NULLIF(current_setting('mt.tenant_id'::text, true), ''::text))::uuid \
                AS \"nullif\"))",
            "(tenant_id = ( SELECT mt.tenant_id() AS tenant_id))",
            "(note = 'x) AND (tenant_id = ( SELECT mt.sealed_tenant_id() AS sealed_tenant_id)) AND ('::text)",
            "CASE WHEN (true AND GUARD) THEN true ELSE true END",
            "(EXISTS ( SELECT 1 FROM app.t WHERE (GUARD AND true)))",
            "(tenant_id = public.mt_tenant())",
        ] {
            assert_eq!(of(loose), Condition::OfSomethingElse, "{loose}");
        }
        assert_eq!(of("true"), Condition::None);
        assert_eq!(condition(GUARD, None), Condition::OfSomethingElse);
    }

    #[test]
    fn a_setting_without_select_is_evaluated_per_row() {
        let per_row = "(tenant_id = (current_setting('mt.tenant_id'::text))::uuid)";
        assert_eq!(of(per_row), Condition::OfTheTenantPerRow);
    }
}
