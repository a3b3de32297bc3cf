//! Each planted bug is found by its tool, and the helpdesk without bugs passes all tools.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use planted_bugs::{Bug, Tool, audit};

use crate::report;
use crate::support::{TestHelpdesk, routes};

const MATRIX: &str = "tests/it/matrix.txt";

/// The lines of a matrix, each below the name of its route.
fn cells(matrix: &str) -> Vec<String> {
    let mut route = "";
    let mut cells = Vec::new();
    for line in matrix.lines() {
        if line.starts_with(' ') {
            cells.push(format!("{route}: {}", line.trim_start()));
        } else {
            route = line;
        }
    }
    cells
}

/// Cells of a matrix that are not as they are kept.
fn news(matrix: &str, kept: &str) -> Vec<String> {
    let kept = cells(kept);
    cells(matrix).into_iter().filter(|cell| !kept.contains(cell)).collect()
}

/// Runs the tool of the bug on the helpdesk with the bug, and returns its findings.
async fn said(bug: Bug) -> Vec<String> {
    let (helpdesk, changed) = TestHelpdesk::new(Some(bug)).await;
    if bug.tool() != Tool::RunTime {
        changed.as_ref().unwrap_or_else(|error| panic!("{bug:?} cannot be planted: {error}"));
    }
    let (world, routes) = (helpdesk.world(), routes(bug.operations()));
    match bug.tool() {
        Tool::Audit => {
            let report = audit().run(&helpdesk.database).await.unwrap();
            report.findings.iter().map(ToString::to_string).collect()
        }
        Tool::Isolation | Tool::Completeness => world.check(routes).await.all().to_vec(),
        Tool::WithoutPolicies => world.without_policies().check(routes).await.all().to_vec(),
        Tool::Matrix => {
            let matrix = world.matrix(routes).await.to_string();
            news(&matrix, &std::fs::read_to_string(MATRIX).unwrap_or_default())
        }
        Tool::RunTime => match changed {
            Err(error) => vec![error.to_string()],
            Ok(()) => {
                let findings = world.check(routes).await;
                let fails =
                    findings.all().iter().any(|said| said.contains("the application fails"));
                assert!(fails, "{bug:?} runs: {findings}");
                helpdesk.failures()
            }
        },
    }
}

/// Runs every bug, each in a database of its own, on as many threads as there are cores.
fn run_all() -> Vec<(Bug, Vec<String>)> {
    let waiting = Mutex::new(Bug::ALL.iter().rev().copied().collect::<Vec<_>>());
    let done = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(bug) = { waiting.lock().unwrap().pop() } {
                    // A runtime each: databases go with the thread, and connections before it.
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let runtime = runtime.unwrap();
                    let run = AssertUnwindSafe(|| runtime.block_on(said(bug)));
                    let said = catch_unwind(run).unwrap_or_else(|_| vec!["a panic".to_owned()]);
                    done.lock().unwrap().push((bug, said));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(bug, _)| Bug::ALL.iter().position(|one| one == bug));
    done
}

#[test]
fn every_bug_is_found_by_its_tool() {
    let all = run_all();
    assert_eq!(all.len(), Bug::ALL.len());
    let table: Vec<(Bug, Option<&String>)> = all
        .iter()
        .map(|(bug, said)| (*bug, said.iter().find(|line| line.contains(bug.says()))))
        .collect();
    let missed: Vec<String> = all
        .iter()
        .zip(&table)
        .filter(|(_, (_, found))| found.is_none())
        .map(|((bug, said), _)| format!("{bug:?}: {} says: {said:#?}", bug.tool()))
        .collect();
    assert!(
        missed.is_empty(),
        "{} of {} not found:\n{}",
        missed.len(),
        all.len(),
        missed.join("\n")
    );
    report::compare(&table);
}

/// The control: without a bug every tool is content, so that what they say is about the bug.
#[tokio::test]
async fn audit_of_the_helpdesk_without_bugs_is_clean() {
    let (helpdesk, changed) = TestHelpdesk::new(None).await;
    changed.unwrap();
    let report = audit().run(&helpdesk.database).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

/// The checks of the testing kit find nothing.
#[tokio::test]
async fn helpdesk_without_bugs_passes_every_check() {
    let (helpdesk, _) = TestHelpdesk::new(None).await;
    let world = helpdesk.world();
    world.check(routes("")).await.assert_none();
    world.without_policies().check(routes("")).await.assert_none();
    world.matrix(routes("")).await.assert_file(MATRIX);
    assert_eq!(helpdesk.failures(), Vec::<String>::new());
}

/// The matrix of shops on a plan shows which operations the plan includes.
#[tokio::test]
async fn free_plan_may_not_export() {
    let (helpdesk, _) = TestHelpdesk::new(None).await;
    helpdesk.go_free();
    let export = routes("GET /shops/{shop}/export");
    let matrix = helpdesk.world().matrix(export).await.to_string();
    assert!(matrix.contains("owner      402"), "{matrix}");
}
