//! Schemathesis generates valid and invalid requests from the OpenAPI document and compares the responses
//! with it. All of its checks are on.
//!
//! A short run by default; `make fuzz` sets `MT_FUZZ_SECONDS`.

use std::path::Path;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use test_support::packages::{pypi, skip};
use tokio::process::Command;

use crate::openapi::conformance::document;
use crate::support::Server;

const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const VALIDATOR: &str = "openapi-spec-validator==0.9.0";

/// `program` of a package that was installed at `packages`.
fn python(packages: &Path, program: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", program]).env("PYTHONPATH", packages).kill_on_drop(true);
    command
}

fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

async fn call(server: &Server, method: Method, path: &str, token: &str) -> Value {
    let answer = server.send(method, path, Some(token), None).await;
    assert!(answer.status < 300, "{path}: {answer:?}");
    answer.json()
}

/// A server without limits in the way and with a paying org, and Schemathesis set up for it.
async fn fuzzer(packages: &Path) -> (Server, Command) {
    let server = Server::start_with(&[
        ("STRIPE_WEBHOOK_SECRET", ""),
        ("RATE_LIMIT_WEBHOOKS_PER_MIN", "0"),
        ("ADMIN_TOKEN", "dev-admin"),
    ])
    .await;
    let (owner, passer_by) = (server.sign_in("owner").await, server.sign_in("passer-by").await);
    let (org, doomed) = (server.org(&owner).await, server.org(&owner).await);
    let checkout = format!("{org}/billing/checkout");
    let page = call(&server, Method::POST, &checkout, &owner.token).await;
    let pay = format!("/dev/checkout/{}", page["session_id"].as_str().unwrap());
    call(&server, Method::POST, &pay, &owner.token).await;
    let project = server.make(&format!("{org}/projects"), &owner, json!({"name": "One"})).await;
    server.make(&format!("{org}/projects/{project}/tasks"), &owner, json!({"title": "One"})).await;

    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/schemathesis.toml");
    let mut schemathesis =
        python(packages, "from schemathesis.cli import schemathesis as run; run()");
    let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    schemathesis
        .env("FUZZ_OWNER", &owner.token)
        .env("FUZZ_PASSER_BY", &passer_by.token)
        .env("FUZZ_ORG", id(&org))
        .env("FUZZ_DOOMED_ORG", id(&doomed))
        .arg("--config-file")
        .arg(config)
        .args(["run", "--checks", "all", "--url", &server.base_url(), "--no-color"]);
    (server, schemathesis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_gets_an_undocumented_response() {
    let packages = match pypi(SCHEMATHESIS) {
        Ok(packages) => packages,
        Err(why) => return skip("Schemathesis", &why),
    };
    let (server, mut schemathesis) = fuzzer(&packages).await;
    schemathesis.arg(format!("{}/openapi.json", server.base_url()));
    match std::env::var("MT_FUZZ_SECONDS") {
        Ok(seconds) => schemathesis.args(["--max-time", &seconds, "--continue-on-failure"]),
        Err(_) => schemathesis.args(["--max-examples", "10", "--seed", "1", "--no-shrink"]),
    };
    let output = schemathesis.output().await.unwrap();
    let told = told(&output);
    assert!(output.status.success(), "{told}");
    let summary = told.lines().skip_while(|line| !line.contains("SUMMARY"));
    println!("{}", summary.collect::<Vec<_>>().join("\n"));
    server.stop().await;
}

/// The control: a document that is not true of the server is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_document_is_detected() {
    let packages = match pypi(SCHEMATHESIS) {
        Ok(packages) => packages,
        Err(why) => return skip("Schemathesis", &why),
    };
    let mut untrue = document().0.clone();
    untrue["components"]["schemas"]["Health"]["properties"]["status"]["type"] = json!("integer");
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), untrue.to_string()).unwrap();
    let (server, mut schemathesis) = fuzzer(&packages).await;
    schemathesis.arg(file.path()).args(["--include-path", "/health", "--max-examples", "2"]);
    let output = schemathesis.output().await.unwrap();
    let told = told(&output);
    assert!(!output.status.success() && told.contains("schema"), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn the_document_is_an_openapi_document() {
    let packages = match pypi(VALIDATOR) {
        Ok(packages) => packages,
        Err(why) => return skip("the validator of OpenAPI documents", &why),
    };
    let validate = async |document: &Value| {
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        std::fs::write(file.path(), document.to_string()).unwrap();
        let run = "from openapi_spec_validator.__main__ import main; main()";
        python(&packages, run).arg(file.path()).output().await.unwrap()
    };
    let output = validate(&document().0).await;
    assert!(output.status.success(), "{}", told(&output));
    let mut broken = document().0.clone();
    broken["paths"]["/health"]["get"]["responses"]["200"]
        .as_object_mut()
        .unwrap()
        .remove("description");
    assert!(!validate(&broken).await.status.success(), "the control");
}
