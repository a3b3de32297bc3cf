//! Random histories of making, changing, assigning, inviting, accepting and removing: no member ever gains a permission
//! that the one who gave it did not hold.
//!
//! The same histories run on a model, which is what a reader believes the library does, and on a database. Both are asked
//! for the invariant, and their answers are compared.

mod model;
mod real;

use mt_core::access::PermissionSet;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use self::model::{Belief, Model, Step, history};
use self::real::Real;
use super::Shop;

const PEOPLE: usize = 4;
const ROLES: usize = 3;

/// What each person holds; `None` for one who is not a member.
type Held = [Option<PermissionSet<Shop>>; PEOPLE];

/// The invariant: what a step adds to a member, the one who gave it held before.
fn is_within(step: &Step, giver: Option<usize>, before: &Held, after: &Held) -> Result<(), String> {
    let none = PermissionSet::empty();
    let of_giver = giver.and_then(|giver| before[giver]).unwrap_or(none);
    for (who, (before, after)) in before.iter().zip(after).enumerate() {
        let gained = after.unwrap_or(none).difference(before.unwrap_or(none));
        if !gained.is_subset_of(of_giver) {
            return Err(format!("{step:?}: {who} gained {gained:?} of {giver:?}, {of_giver:?}"));
        }
    }
    Ok(())
}

fn runner(cases: u32, seed_is_fixed: bool) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    if seed_is_fixed {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    } else {
        TestRunner::new(config)
    }
}

/// Plays histories on the model alone.
fn play(belief: Belief, cases: u32, seed_is_fixed: bool) -> Result<(), TestError<Vec<Step>>> {
    runner(cases, seed_is_fixed).run(&history(60), |steps| {
        let mut model = Model::new(belief);
        for step in &steps {
            let (before, giver) = (model.held(), model.giver(step));
            model.take(step);
            is_within(step, giver, &before, &model.held()).map_err(TestCaseError::fail)?;
        }
        Ok(())
    })
}

/// Plays histories on a database, until it differs from the model or breaks the invariant.
fn compare(belief: Belief, cases: u32, seed_is_fixed: bool) -> Result<(), TestError<Vec<Step>>> {
    let runtime = Runtime::new().unwrap();
    let real = Mutex::new(runtime.block_on(Real::new()));
    let played = runner(cases, seed_is_fixed).run(&history(40), |steps| {
        runtime.block_on(async {
            let mut model = Model::new(belief);
            let mut real = real.lock().await;
            let mut real = real.shop().await;
            for (number, step) in steps.iter().enumerate() {
                let (before, giver) = (real.held().await, model.giver(step));
                let (told, expected) = (real.take(step).await, model.take(step));
                let after = real.held().await;
                is_within(step, giver, &before, &after).map_err(TestCaseError::fail)?;
                if told != expected || after != model.held() {
                    let wrong = format!("step {number}, {step:?}: {told:?}, expected {expected:?}");
                    return Err(TestCaseError::fail(wrong));
                }
            }
            Ok(())
        })
    });
    drop(real);
    played
}

#[test]
fn no_history_of_the_model_gives_more_than_its_giver_held() {
    if let Err(wrong) = play(Belief::Right, 2000, false) {
        panic!("{wrong}");
    }
}

/// The controls: without one of the checks, a history breaks the invariant.
#[test]
fn without_a_check_a_history_of_the_model_gives_more() {
    for belief in [Belief::ChangesToAnySet, Belief::AssignsAnyRole, Belief::AcceptsAnyInvite] {
        assert!(play(belief, 2000, true).is_err(), "{belief:?} was not noticed");
    }
}

#[test]
fn random_histories_on_a_database_match_the_model() {
    if let Err(wrong) = compare(Belief::Right, 32, false) {
        panic!("{wrong}");
    }
}

/// The controls: a model without one of the checks is told apart, so the histories reach each of them.
#[test]
fn a_model_without_a_check_is_told_apart() {
    for belief in [
        Belief::MakesAnyRole,
        Belief::ChangesToAnySet,
        Belief::ChangesAnyRole,
        Belief::DeletesAnyRole,
        Belief::AssignsAnyRole,
        Belief::TakesAnyRoleAway,
        Belief::InvitesAsAnyRole,
        Belief::AcceptsAnyInvite,
    ] {
        assert!(compare(belief, 200, true).is_err(), "{belief:?} was not noticed");
    }
}
