//! An exhaustive model of the rotation protocol: every order in which its processes can read and write, crash
//! and start again.
//!
//! Token O is to be replaced by a successor N. Each step of the model either reads or sends one write. In the files of
//! `src/lifecycle/`, a write and the reads that allow it are one function, with the name of the write:
//!
//! | file | functions that read | functions that write |
//! | --- | --- | --- |
//! | `rotate.rs` | `find_successors`, `read_old`, `elect`, `confirm_old`, `read_before_enable`, `verify_delivered`, `read_before_commit`, `read_before_mark`, `find_leftovers` | `create_successor`, `withdraw`, `delete_pending`, `deliver`, `enable_successor`, `disable_rejected`, `delete_rejected`, `commit`, `mark_unchecked`, `mark_replaces`, `disable_leftover` |
//! | `resume.rs` | `lock_pending`, `await_late_writes`, `continue_successor`, `await_superseded` | `mark_superseded` |
//! | `cancel.rs` | `cancel`, `check_old`, `await_cancelled`, `recheck_old` | `mark_cancelled`, `restore_old`, `disable_cancelled`, `keep_successor` |
//! | `finish.rs` | `finish`, `read_before_disable`, `confirm_successor`, `read_before_delete` | `disable_leftover`, `disable_old`, `restore_old`, `delete_old`, `clear_marker` |
//! | `sweep.rs` | `sweep` | `delete_orphan` |
//!
//! The model assumes that
//!
//! - a token that is read by its id is shown as it is;
//! - a list that shows a token shows all older ones, but may lack the newest ones and show old notes;
//! - a write lands within 60 s of the read that allows it or never, even if the process that sent it has crashed. A
//!   process therefore sends it early enough, and reads again otherwise;
//! - nothing else changes these tokens, except a person who enables O or disables N once.
//!
//! Simplified are reads of several tokens, which are one step. In an election this makes no difference, because
//! [`Invariant::OutStaysOut`] holds. Bearer tokens, expiry, an overlap that was changed and the use of a token that is
//! out are not modeled.
//!
//! The search is short enough to be written here. A model checker from a registry would add its own dependencies,
//! and would not replace the backward search of [`Recovery`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, and clippy.toml exempts only functions marked as tests"
)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "a model has fewer than 2^32 states and a handful of tokens"
)]
#![allow(clippy::print_stdout, reason = "--nocapture shows the number of states and the verdicts")]

mod explorer;
mod invariants;
mod processes;
mod rules;
mod world;

use explorer::{Graph, Worlds};
use invariants::{Invariant, Recovery};
use rules::{Actor, Model, Rule, Scenario};
use world::{Note, Status, Token, World};

/// A pending token with a tag that was copied from one of ours.
const COPIED_TAG: Token =
    Token { status: Status::Disabled, note: Note::Tag, listed: Note::Tag, ..Token::NOT_CREATED };
/// An enabled token with a marker that was copied from one of ours.
const COPIED_MARKER: Token =
    Token { status: Status::Enabled, note: Note::ReplacesDue, listed: Note::ReplacesDue, ..COPIED_TAG };

const R0: Actor = Actor::Rotator(0);
const R1: Actor = Actor::Rotator(1);
const C: Actor = Actor::Canceller;
const F: Actor = Actor::Finisher;
const S: Actor = Actor::Sweep;
const A: Actor = Actor::Administrator;

/// Processes that rotate to files, of which the first holds the secret of O. Each can crash once.
fn files(actors: &[Actor], ids: u8) -> Scenario {
    Scenario {
        actors: actors.to_vec(),
        ids,
        faults: 1,
        files: true,
        take_over: false,
        consumer: false,
        check: false,
        bystander: COPIED_TAG,
    }
}

/// Processes that rotate to a callable each, which cannot be locked or read.
fn callables(actors: &[Actor], ids: u8) -> Scenario {
    Scenario { files: false, ..files(actors, ids) }
}

fn take_over(actors: &[Actor], ids: u8) -> Scenario {
    Scenario { take_over: true, ..callables(actors, ids) }
}

fn with_consumer(actors: &[Actor], ids: u8) -> Scenario {
    Scenario { consumer: true, ..files(actors, ids) }
}

fn with_copied_marker(actors: &[Actor], ids: u8) -> Scenario {
    Scenario { bystander: COPIED_MARKER, ..files(actors, ids) }
}

fn with_check(actors: &[Actor], ids: u8) -> Scenario {
    Scenario { check: true, ..files(actors, ids) }
}

/// The same processes, without crashes and lost responses.
fn reliable(scenario: Scenario) -> Scenario {
    Scenario { faults: 0, ..scenario }
}

/// Explores a scenario until an invariant is violated. Prints what it found, and the steps to the violation.
fn explore(scenario: Scenario, dropped: Option<Rule>) -> Option<Invariant> {
    let model = Model { scenario, dropped };
    let mut violation = None;
    let mut checked = 0;
    let graph = Graph::explore(
        [model.start()],
        |world, next| model.steps(world, next),
        |graph, from, to| {
            let [before, after] = [from, to].map(|position| &graph.states[position as usize]);
            if to >= checked {
                checked = to + 1;
                violation = model.violated(after).map(|invariant| (invariant, to));
            }
            if dropped.is_none() && Model::comes_back(before, after) {
                violation = Some((Invariant::OutStaysOut, to));
            }
            violation.is_none()
        },
    );
    let mut recovery_states = 0;
    if violation.is_none() {
        let recovery = Recovery::new(&model);
        let at_rest = |world: &World| Recovery::applies_to(world).then(|| recovery.at_rest(world));
        let distinct: Worlds = graph.states.iter().filter_map(at_rest).collect();
        let (stuck, explored) = recovery.stuck(distinct);
        recovery_states = explored;
        if !stuck.is_empty() {
            let is_stuck = |world: &World| at_rest(world).is_some_and(|rest| stuck.contains(&rest));
            let position = graph.states.iter().position(is_stuck);
            violation = position.map(|position| (Invariant::Recoverable, position as u32));
        }
    }
    println!(
        "{}, {}: {} states, {recovery_states} of recovery: {}",
        model.scenario,
        dropped.map_or("all rules".to_owned(), |rule| format!("without {rule:?}")),
        graph.states.len(),
        violation.map_or("no violation".to_owned(), |(invariant, _)| invariant.to_string())
    );
    if let Some((_, position)) = violation {
        print_steps(&model, &graph, position);
    }
    violation.map(|(invariant, _)| invariant)
}

fn print_steps(model: &Model, graph: &Graph, position: u32) {
    let path = graph.path(position);
    for pair in path.windows(2) {
        let [before, after] = [pair[0], pair[1]].map(|position| &graph.states[position as usize]);
        let mut next = Vec::new();
        model.steps(before, &mut next);
        let (event, _) = next.iter().find(|(_, world)| world == after).unwrap();
        let process = match model.scenario.actors.get(event.process) {
            Some(actor) => format!("{} {actor}", event.process),
            None => "-".to_owned(),
        };
        println!("    {process}: {event}");
    }
}

/// One test for each scenario. Those after `large:` run only on demand.
macro_rules! all_rules_hold {
    (large: $($name:ident: $scenario:expr;)*) => {$(
        #[test]
        #[ignore = "explores for minutes, and may need 3 GB of memory"]
        fn $name() {
            assert_eq!(explore($scenario, None), None);
        }
    )*};
    ($($name:ident: $scenario:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(explore($scenario, None), None);
        }
    )*};
}

all_rules_hold! {
    two_rotators: files(&[R0, R0], 3);
    two_rotators_to_two_files: files(&[R0, R1], 2);
    two_rotators_to_callables: callables(&[R0, R1], 2);
    two_rotators_that_take_over: take_over(&[R0, R1], 2);
    two_rotators_and_canceller: reliable(files(&[R0, R0, C], 2));
    two_rotators_and_canceller_with_callables: reliable(callables(&[R0, R1, C], 2));
    two_rotators_and_finisher: reliable(files(&[R0, R1, F], 3));
    two_rotators_and_finisher_with_callables: reliable(callables(&[R0, R1, F], 3));
    two_finishers: files(&[R0, F, F], 3);
    canceller_finisher_and_sweep: files(&[R0, C, F, S], 2);
    canceller_finisher_and_administrator: reliable(files(&[R0, C, F, A], 3));
    finisher_and_administrator: files(&[R0, F, A], 3);
    two_cancellers_and_finisher: reliable(files(&[R0, C, C, F], 3));
    copied_marker: reliable(with_copied_marker(&[R0, C, F], 3));
    program_that_uses_the_old_token: with_consumer(&[R0, F], 3);
    check_that_may_fail: with_check(&[R0, F], 3);
    check_that_may_fail_for_two_rotators: reliable(with_check(&[R0, R1, C, F], 2));
}

mod large {
    use super::{
        A, C, F, R0, R1, S, callables, explore, files, take_over, with_check, with_consumer,
        with_copied_marker,
    };

    all_rules_hold! {
        large:
        two_rotators: files(&[R0, R0], 4);
        two_rotators_to_two_files: files(&[R0, R1], 3);
        two_rotators_and_finisher: files(&[R0, R0, F], 3);
        two_rotators_to_two_files_and_finisher: files(&[R0, R1, F], 2);
        two_rotators_and_sweep: files(&[R0, R0, S], 3);
        two_rotators_and_canceller: files(&[R0, R0, C], 2);
        canceller_finisher_and_sweep: files(&[R0, C, F, S], 4);
        canceller_finisher_and_administrator: files(&[R0, C, F, A], 3);
        two_rotators_to_callables_and_finisher: callables(&[R0, R1, F], 2);
        two_rotators_that_take_over_and_finisher: take_over(&[R0, R1, F], 2);
        copied_marker: with_copied_marker(&[R0, C, F, S], 3);
        program_that_uses_the_old_token: with_consumer(&[R0, F, F, S], 3);
        check_that_may_fail: with_check(&[R0, C, F], 2);
    }
}

/// Each rule, a scenario that shows why it is needed, and what is violated without it.
fn dropped_rules() -> Vec<(Rule, Scenario, Invariant)> {
    use Invariant::{
        BystanderIsUntouched, CheckPrecedesDisabling, ConsumerIsNotCutOff, LiveSuccessorIsHeld,
        OneLiveSuccessor, Recoverable, WorkingTokenIsHeld,
    };
    let cancel_and_finish = reliable(files(&[R0, C, F], 2));
    vec![
        (Rule::Election, reliable(files(&[R0, R0, C], 2)), OneLiveSuccessor),
        (Rule::WaitForList, reliable(files(&[R0, R0, C], 2)), OneLiveSuccessor),
        (Rule::ReadListed, reliable(files(&[R0, R0, C], 2)), OneLiveSuccessor),
        (Rule::ConfirmOld, files(&[R0, F], 2), OneLiveSuccessor),
        (Rule::Lock, files(&[R0, R0], 2), LiveSuccessorIsHeld),
        (Rule::AwaitLateWrites, files(&[R0, F], 2), WorkingTokenIsHeld),
        (Rule::MinimumAge, reliable(callables(&[R0, R1, F], 2)), WorkingTokenIsHeld),
        (Rule::Lease, reliable(callables(&[R0, R1, F], 2)), WorkingTokenIsHeld),
        (Rule::ResumeEnabled, files(&[R0], 2), LiveSuccessorIsHeld),
        (Rule::Bind, cancel_and_finish.clone(), BystanderIsUntouched),
        (Rule::Deadline, cancel_and_finish.clone(), WorkingTokenIsHeld),
        (Rule::Settle, cancel_and_finish.clone(), WorkingTokenIsHeld),
        (Rule::ReadBeforeCommit, callables(&[R0, R1], 2), LiveSuccessorIsHeld),
        (Rule::KeepCommitted, files(&[R0, R0], 2), LiveSuccessorIsHeld),
        (Rule::KeepPrevious, reliable(files(&[R0, C], 2)), WorkingTokenIsHeld),
        (Rule::ReadBeforeDisable, cancel_and_finish.clone(), WorkingTokenIsHeld),
        (Rule::DisableLeftovers, reliable(callables(&[R0, R1, F], 2)), Recoverable),
        (Rule::AwaitCheck, reliable(with_check(&[R0, F], 2)), CheckPrecedesDisabling),
        (Rule::InUse, with_consumer(&[R0, F], 2), ConsumerIsNotCutOff),
        (Rule::RecentUse, with_consumer(&[R0, F], 2), Recoverable),
        (Rule::ConfirmSuccessor, reliable(files(&[R0, C, F, A], 2)), WorkingTokenIsHeld),
        (Rule::KeepMarker, cancel_and_finish.clone(), WorkingTokenIsHeld),
        (Rule::RecheckOld, cancel_and_finish, WorkingTokenIsHeld),
    ]
}

#[test]
fn every_rule_is_needed() {
    let rows = dropped_rules();
    for (rule, scenario, violated) in &rows {
        assert_eq!(explore(scenario.clone(), Some(*rule)), Some(*violated), "without {rule:?}");
    }
    assert!(Rule::ALL.iter().all(|rule| rows.iter().any(|row| row.0 == *rule)), "a rule without a row");
}
