//! Machine-readable findings: JSON and SARIF.

use serde_json::{Value, json};
use sqlx::Executor as _;

use super::{database, doctor, examined, with_two_logins};

/// A finding and a note, in each form.
#[tokio::test]
async fn findings_are_written_as_json_and_as_sarif() {
    let db = database().await;
    let settings = with_two_logins(vec![("APP_ENV", "dev".to_owned())], &db);
    let clean = examined(&settings).check("isolation");
    assert_eq!((clean["findings"].clone(), clean["notes"].clone()), (json!([]), json!([])));
    db.admin()
        .execute(
            "create sequence app.numbers; grant usage on sequence app.numbers to mt_app; \
             alter table app.tasks disable row level security",
        )
        .await
        .unwrap();
    let found = examined(&settings);
    assert_eq!(found.code, 1);
    let isolation = found.check("isolation");
    let [finding] = &isolation["findings"].as_array().unwrap()[..] else { panic!("{isolation}") };
    assert_eq!(finding["rule"], "rls-disabled");
    assert_eq!(finding["object"], "app.tasks");
    assert_eq!((&finding["severity"], &finding["detail"]), (&json!("error"), &Value::Null));
    assert!(!finding["explanation"].as_str().unwrap().is_empty());
    let [note] = &isolation["notes"].as_array().unwrap()[..] else { panic!("{isolation}") };
    assert_eq!((&note["rule"], &note["severity"]), (&json!("sequence-shared"), &json!("note")));

    let written = doctor(&["--sarif"], &settings);
    assert_eq!(written.code, 1);
    let document = written.json();
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    let said: Vec<(&str, &str, &str)> = results
        .iter()
        .map(|result| {
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[rule]["id"], result["ruleId"]);
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let [place] = &result["locations"].as_array().unwrap()[..] else { panic!("{result}") };
            let place = &place["logicalLocations"][0]["fullyQualifiedName"];
            let word = |value: &'static str| result[value].as_str().unwrap();
            (word("ruleId"), word("level"), place.as_str().unwrap())
        })
        .filter(|(rule, ..)| rule.contains('-'))
        .collect();
    let expected =
        [("rls-disabled", "error", "app.tasks"), ("sequence-shared", "note", "app.numbers")];
    assert_eq!(said, expected, "{document}");
    assert_eq!(doctor(&["--json", "--sarif"], &settings).code, 2);

    // The document also has findings that are not about the catalogue.
    let away = [("DATABASE_URL", "postgres://x@127.0.0.1:1/mt".to_owned())];
    let written = doctor(&["--sarif"], &away);
    let document = written.json();
    let results = document["runs"][0]["results"].as_array().unwrap();
    let is_said = results.iter().any(|result| {
        (&result["ruleId"], &result["level"]) == (&json!("postgres"), &json!("error"))
    });
    assert!(is_said && written.code == 1, "{document}");
}
