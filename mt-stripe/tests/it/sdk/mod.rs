//! The signature verifier, compared with Stripe's libraries for Node and Python.
//!
//! What they sign is accepted here, and what is signed here is accepted there. On thousands of twisted
//! headers both must say the same, but for the differences that are meant; each of those has a name, is
//! looked for in the input and not in the answer, and must turn up, or it goes from the list.

mod localstripe;
mod mutations;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use chrono::DateTime;
use mt_stripe::signature::{Verifier, sign};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use self::mutations::{Case, NOW, SECRET, case};
use test_support::packages::{npm, pypi, skip};

/// One of Stripe's libraries, installed.
struct Sdk {
    name: &'static str,
    program: &'static str,
    script: PathBuf,
    packages: PathBuf,
}

/// The versions that the recorded cases were recorded from.
fn sdk(name: &'static str) -> Result<Sdk, String> {
    let (program, script, packages) = match name {
        "stripe-node" => ("node", "verify.mjs", npm("stripe@23.1.0")),
        "stripe-python" => ("python3", "verify.py", pypi("stripe==16.1.0")),
        other => panic!("`{other}` is not a library of Stripe's"),
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(script);
    Ok(Sdk { name, program, script, packages: packages? })
}

impl Sdk {
    /// One answer to each question, in order.
    fn ask(&self, questions: &[Value]) -> Vec<Value> {
        let file = format!("questions-{}-{}", self.name, std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        let lines: Vec<String> = questions.iter().map(Value::to_string).collect();
        fs::write(&file, lines.join("\n")).unwrap();
        let output = Command::new(self.program)
            .arg(&self.script)
            .arg(&self.packages)
            .stdin(File::open(&file).unwrap())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        fs::remove_file(&file).unwrap();
        assert!(output.status.success(), "{} ended with {}", self.program, output.status);
        let answers = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<Value> =
            answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), questions.len());
        answers
    }
}

fn question(op: &str, case: &Case) -> Value {
    let body = base64::engine::general_purpose::STANDARD.encode(&case.body);
    json!({"op": op, "secret": case.secret, "body": body, "header": case.header, "at": case.now})
}

/// Verifies a case with this crate.
fn accepts(case: &Case) -> bool {
    let verifier = Verifier::new([&case.secret]).unwrap();
    let now = DateTime::from_timestamp(case.now, 0).unwrap();
    verifier.check_signature(&[case.header.as_bytes()], &case.body, now).is_ok()
}

fn samples<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Random bodies and secrets, signed there and here.
fn sign_alike(sdk: &Sdk) {
    let bodies = ("\\PC{1,300}", "whsec_[0-9A-Za-z]{1,40}", 1..4_000_000_000_i64);
    let cases: Vec<Case> = samples(&bodies, 500)
        .into_iter()
        .map(|(body, secret, now)| {
            let at = DateTime::from_timestamp(now, 0).unwrap();
            let header = sign(&secret, body.as_bytes(), at);
            Case { secret, header, body: body.into_bytes(), now }
        })
        .collect();
    let ask = |op| sdk.ask(&cases.iter().map(|case| question(op, case)).collect::<Vec<_>>());
    for ((case, signed), verified) in cases.iter().zip(ask("sign")).zip(ask("verify")) {
        assert_eq!(signed["header"], json!(case.header), "{case:?}");
        assert_eq!(verified["accepts"], json!(true), "{case:?}: {verified}");
        assert!(accepts(case), "{case:?}");
    }
}

/// Twisted headers: the same verdict, or a difference that is meant. `meant` are those that this library
/// shows.
#[expect(
    clippy::print_stdout,
    reason = "how much was compared, and how much agrees, is the result"
)]
fn judge_alike(sdk: &Sdk, meant: &[&str]) {
    let cases = samples(&case(), 6000);
    let questions: Vec<Value> = cases.iter().map(|case| question("verify", case)).collect();
    let (mut accepted, mut agreed) = (0, 0);
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for (case, answer) in cases.iter().zip(sdk.ask(&questions)) {
        let (theirs, ours) = (answer["accepts"] == json!(true), accepts(case));
        accepted += usize::from(ours);
        if theirs == ours {
            agreed += 1;
            continue;
        }
        let reasons = case.meant_differences(ours);
        let known: Vec<&str> =
            reasons.iter().copied().filter(|reason| meant.contains(reason)).collect();
        match known.as_slice() {
            [] => unexplained.push(format!("ours {ours}, theirs {answer}, {reasons:?}: {case:?}")),
            // Of several, none is to blame for sure.
            [one] => *found.entry(one).or_default() += 1,
            _ => {}
        }
    }
    println!(
        "{}: {agreed} of {} agree, {accepted} accepted here; meant: {found:?}",
        sdk.name,
        cases.len()
    );
    assert!(unexplained.is_empty(), "{} cases:\n{}", unexplained.len(), unexplained.join("\n"));
    // Not vacuous: both verdicts are common, and so is agreement.
    assert!(accepted * 10 > cases.len() && accepted * 10 < cases.len() * 9, "{accepted} accepted");
    assert!(agreed * 2 > cases.len(), "{agreed} agree");
    let found: BTreeSet<&str> = found.into_keys().collect();
    assert_eq!(found, meant.iter().copied().collect(), "an unknown difference");
}

/// The difference in the vocabulary of both lists.
const EVERYBODY: [&str; 6] =
    ["another `=`", "empty body", "from the future", "not plain decimal", "too much", "two `t`"];

#[test]
fn node() {
    match sdk("stripe-node") {
        Err(why) => skip("stripe-node", &why),
        Ok(sdk) => {
            sign_alike(&sdk);
            judge_alike(&sdk, &[&EVERYBODY[..], &["no text", "no tag beside a good one"]].concat());
        }
    }
}

#[test]
fn python() {
    match sdk("stripe-python") {
        Err(why) => skip("stripe-python", &why),
        Ok(sdk) => {
            sign_alike(&sdk);
            judge_alike(&sdk, &[&EVERYBODY[..], &["no text", "no tag beside a good one"]].concat());
        }
    }
}

/// The control: a verifier with another idea of the scheme is found out by the same questions.
#[test]
fn control_with_another_signature_scheme_disagrees() {
    match sdk("stripe-python") {
        Err(why) => skip("stripe-python", &why),
        Ok(sdk) => {
            // The key without its prefix, as Standard Webhooks has it.
            let at = DateTime::from_timestamp(NOW, 0).unwrap();
            let header = sign(SECRET.trim_start_matches("whsec_"), b"{}", at);
            let case = Case { secret: SECRET.to_owned(), header, body: b"{}".to_vec(), now: NOW };
            assert_eq!(sdk.ask(&[question("verify", &case)])[0]["accepts"], json!(false));
        }
    }
}
