//! Results of checks as SARIF 2.1.0, the format of findings that CI systems read.

use mt_core::pg::audit::{Finding, Rule};
use mt_core::text_enum::TextEnum as _;
use serde_json::{Value, json};

use super::{Check, Health};

/// Returns a document with a result for each finding and note of the audit, and for each other check that is not
/// `ok`.
///
/// See the [specification](https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).
#[must_use]
pub fn sarif(checks: &[Check], tool: &str, version: &str) -> Value {
    let others: Vec<&Check> = checks.iter().filter(|check| check.report.is_none()).collect();
    let rules = Rule::ALL.iter().map(|rule| {
        json!({
            "id": rule.as_str(),
            "shortDescription": { "text": rule.explanation() },
            "defaultConfiguration": { "level": level(*rule) },
        })
    });
    // The other checks are rules too, listed after those of the audit.
    let rules = rules.chain(others.iter().map(|check| {
        json!({
            "id": check.name,
            "shortDescription": { "text": format!("The result of `doctor` for {}.", check.name) },
        })
    }));
    let reports = checks.iter().filter_map(|check| check.report.as_ref());
    let found = reports.flat_map(|report| report.findings.iter().chain(&report.notes));
    let results = found.map(of_finding);
    let results = results.chain(others.iter().enumerate().filter_map(|(number, check)| {
        let level = match check.health {
            Health::Ok => return None,
            Health::Warning => "warning",
            Health::Failed => "error",
        };
        let rule = (check.name, Rule::ALL.len() + number);
        Some(result(rule, level, &check.details.join("\n"), check.name))
    }));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": tool,
                    "version": version,
                    "rules": rules.collect::<Vec<_>>(),
                },
            },
            "invocations": [{ "executionSuccessful": true }],
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

const fn level(rule: Rule) -> &'static str {
    if rule.is_note() { "note" } else { "error" }
}

fn of_finding(finding: &Finding) -> Value {
    let index = Rule::ALL.iter().position(|rule| *rule == finding.rule).unwrap_or_default();
    let rule = (finding.rule.as_str(), index);
    result(rule, level(finding.rule), &finding.to_string(), &finding.object)
}

/// Returns a result. Its location is the name of a table, a role or a check, because there is no file.
fn result((id, index): (&str, usize), level: &str, message: &str, object: &str) -> Value {
    json!({
        "ruleId": id,
        "ruleIndex": index,
        "level": level,
        "message": { "text": message },
        "locations": [{ "logicalLocations": [{ "fullyQualifiedName": object }] }],
    })
}
