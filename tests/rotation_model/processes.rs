//! The processes: each step reads, or sends one write.

mod cancel;
mod finish;
mod resume;
mod rotate;
mod sweep;

use std::fmt;

use crate::rules::{Actor, Model, Rule};
use crate::world::{Age, BYSTANDER, Consumer, Id, NONE, Note, Process, Status, TOKENS, Token, World, Write};

/// A function of the rotation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Step {
    // rotate
    FindSuccessors,
    ReadOld,
    LockPending,
    AwaitLateWrites,
    ContinueSuccessor,
    CreateSuccessor,
    Elect,
    Withdraw,
    ConfirmOld,
    Deliver,
    ReadBeforeEnable,
    EnableSuccessor,
    VerifyDelivered,
    DisableRejected,
    DeleteRejected,
    ReadBeforeCommit,
    Commit,
    ReadBeforeMark,
    MarkUnchecked,
    MarkReplaces,
    FindLeftovers,
    DeletePending,
    MarkSuperseded,
    AwaitSuperseded,
    // cancel
    Cancel,
    MarkCancelled,
    CheckOld,
    AwaitCancelled,
    RecheckOld,
    KeepSuccessor,
    DisableCancelled,
    // finish
    Finish,
    ReadBeforeDisable,
    DisableOld,
    ConfirmSuccessor,
    ReadBeforeDelete,
    DeleteOld,
    ClearMarker,
    // cancel and finish
    RestoreOld,
    // rotate and finish
    DisableLeftover,
    // sweep
    Sweep,
    DeleteOrphan,
    // not ours
    Administer,
    // events
    End,
    Crashes,
    LosesResponse,
    LateWriteLands,
    Time,
}

impl Step {
    /// Whether the step sends a write, for which the read was an earlier step.
    pub(crate) fn writes(self) -> bool {
        self.write(NONE).is_some()
    }

    /// Whether the step sends a write, or is the second of two reads before a write. The write must land within
    /// 60 s of the first of them.
    pub(crate) fn has_deadline(self) -> bool {
        self.writes() || matches!(self, Step::ReadBeforeDisable | Step::ReadBeforeDelete)
    }

    pub(crate) fn write(self, token: Id) -> Option<Write> {
        Some(match self {
            Step::CreateSuccessor => Write::Create,
            Step::Withdraw | Step::DeletePending | Step::DeleteRejected | Step::DeleteOrphan => {
                Write::Delete(token)
            }
            Step::EnableSuccessor => Write::Enable(token),
            Step::DisableRejected | Step::DisableLeftover | Step::DisableCancelled => Write::Disable(token),
            Step::Commit => Write::Commit(token),
            Step::MarkUnchecked => Write::Mark(token, Note::Unchecked),
            Step::MarkReplaces => Write::Mark(token, Note::Replaces),
            Step::MarkSuperseded => Write::Mark(token, Note::Superseded),
            Step::MarkCancelled => Write::Mark(token, Note::Cancelled),
            Step::KeepSuccessor | Step::ClearMarker => Write::Mark(token, Note::Final),
            Step::DisableOld => Write::DisableOld(token),
            Step::RestoreOld => Write::RestoreOld,
            Step::DeleteOld => Write::DeleteOld,
            _ => return None,
        })
    }
}

/// What happened between two states.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) process: usize,
    pub(crate) step: Step,
    pub(crate) token: Id,
    pub(crate) outcome: &'static str,
}

impl fmt::Display for Event {
    /// The step as the function's name, then the token, then what came of it.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        for (position, character) in format!("{:?}", self.step).char_indices() {
            if character.is_uppercase() && position > 0 {
                write!(formatter, "_")?;
            }
            write!(formatter, "{}", character.to_ascii_lowercase())?;
        }
        if self.token != NONE {
            write!(formatter, " N{}", self.token)?;
        }
        if !self.outcome.is_empty() {
            write!(formatter, ": {}", self.outcome)?;
        }
        Ok(())
    }
}

pub(crate) type Next = (Event, World);

/// The next step of one process: collects what can come of it.
struct Turn<'a> {
    model: &'a Model,
    world: &'a World,
    index: usize,
    process: Process,
    next: &'a mut Vec<Next>,
}

impl Model {
    /// Collects all that can happen next.
    pub(crate) fn steps(&self, world: &World, next: &mut Vec<Next>) {
        self.time(world, next);
        for index in 0..self.scenario.actors.len() {
            self.steps_of(world, index, next);
        }
    }

    /// Collects what one process can do next, and what its late write can do.
    pub(crate) fn steps_of(&self, world: &World, index: usize, next: &mut Vec<Next>) {
        let process = world.processes[index];
        let mut turn = Turn { model: self, world, index, process, next };
        if process.late.is_some() {
            turn.late_write_lands();
        }
        if process.step == Step::End {
            return;
        }
        turn.step();
        if process.faults > 0 && process.step != self.scenario.actors[index].start() {
            turn.crashes();
        }
    }

    /// Time that passes, and the program that uses O. Each event may happen whenever it is possible, or never.
    pub(crate) fn time(&self, world: &World, next: &mut Vec<Next>) {
        let mut pass = |outcome, token, change: &dyn Fn(&mut World)| {
            let mut later = *world;
            change(&mut later);
            next.push((Event { process: usize::MAX, step: Step::Time, token, outcome }, later));
        };
        for (id, token) in world.successors() {
            if token.note == Note::Tag
                && token.age < Age::OverAnHour
                && world.successors().all(|(older, other)| older >= id || other.age > token.age)
                // An enabling write was sent inside the lease, so it lands long before the next age.
                && !world.processes.iter().any(|process| process.late == Some(Write::Enable(id)))
            {
                let age = if token.age == Age::InsideLease { Age::LeaseOver } else { Age::OverAnHour };
                pass("older", id, &|later| later.token_mut(id).age = age);
            }
            if token.note == Note::Replaces {
                pass("T reached", id, &|later| {
                    let token = later.token_mut(id);
                    token.note = Note::ReplacesDue;
                    if !self.lists_decide() {
                        token.listed = Note::ReplacesDue;
                    }
                });
            }
            let settles = |note: Note| note.settled() != note;
            let waits_for_writes = self.has(Rule::Deadline) && world.precedes(1 << id);
            if (settles(token.note) || settles(token.listed)) && !waits_for_writes {
                pass("60 s since the mark", id, &|later| {
                    let token = later.token_mut(id);
                    token.note = token.note.settled();
                    token.listed = token.listed.settled();
                });
            }
        }
        let old = world.old;
        // At any time: a finisher may also be told that the quarantine is 0.
        if old.status == Status::Disabled && old.replaced_by != NONE && !old.quarantine_over {
            pass("T2 reached", NONE, &|later| later.old.quarantine_over = true);
        }
        if old.consumer == Consumer::UsesOld && world.token(world.committed[0]).is_enabled() {
            pass("the program of O reads the new secret", NONE, &|later| {
                later.old.consumer = Consumer::UsedOldRecently;
            });
        }
        let due = world.successors().any(|(_, token)| token.note == Note::ReplacesDue);
        if old.consumer == Consumer::UsedOldRecently && (self.has(Rule::RecentUse) || !due) {
            pass("half the overlap since the last use of O", NONE, &|later| {
                later.old.consumer = Consumer::UsesNew;
            });
        }
    }

    /// Whether a token competes to replace O, by the note that was read or listed.
    pub(crate) fn takes_part(&self, token: Token, note: Note) -> bool {
        token.exists()
            && match note {
                Note::Tag | Note::Unchecked | Note::Replaces | Note::ReplacesDue => true,
                Note::Superseded | Note::Cancelled => self.has(Rule::Settle),
                Note::SupersededSettled | Note::CancelledSettled | Note::Final => false,
            }
    }

    /// The bystander counts only if notes are not bound to their tokens.
    fn first_that_counts(&self) -> Id {
        if self.has(Rule::Bind) { 1 } else { BYSTANDER }
    }

    fn lowest_that_takes_part(&self, world: &World, shown: Id, listed: bool) -> Option<Id> {
        (self.first_that_counts()..=shown).find(|&id| {
            let token = world.token(id);
            self.takes_part(token, if listed { token.listed } else { token.note })
        })
    }
}

/// The clock of a process that waits 60 s. Those of marks are the bits of their tokens.
fn wait_clock(process: usize) -> u16 {
    1 << (TOKENS + process)
}

impl Turn<'_> {
    /// Adds an outcome: the process goes to `step` with `token`. Returns the new state for further changes.
    fn go(&mut self, outcome: &'static str, step: Step, token: Id) -> &mut World {
        self.go_from(*self.world, outcome, step, token)
    }

    fn go_from(&mut self, mut world: World, outcome: &'static str, step: Step, token: Id) -> &mut World {
        let process = &mut world.processes[self.index];
        let written = self.process.step.writes();
        process.step = step;
        process.token = if step == Step::End { NONE } else { token };
        // The second of two reads or writes has the deadline of the first.
        if !(self.process.step.has_deadline() && step.has_deadline()) {
            process.outdated = 0;
        }
        if step == Step::End {
            world.unlock(self.index);
        }
        if self.process.step == Step::AwaitLateWrites {
            world.stop_clock(wait_clock(self.index));
        }
        let shown = if token == NONE || written { self.process.token } else { token };
        let event = Event { process: self.index, step: self.process.step, token: shown, outcome };
        self.next.push((event, world));
        let last = self.next.len() - 1;
        &mut self.next[last].1
    }

    fn end(&mut self, outcome: &'static str) -> &mut World {
        self.go(outcome, Step::End, NONE)
    }

    fn end_and_discard(&mut self, outcome: &'static str) {
        let id = self.process.token;
        self.end(outcome).discard(id);
    }

    /// The number of the newest successor.
    fn newest(&self) -> Id {
        self.world.created().last().map_or(BYSTANDER, |(id, _)| id)
    }

    fn token(&self) -> Token {
        self.world.token(self.process.token)
    }

    fn rule(&self, rule: Rule) -> bool {
        self.model.has(rule)
    }

    fn event(&self, step: Step, outcome: &'static str) -> Event {
        Event { process: self.index, step, token: self.process.token, outcome }
    }

    fn late_write_lands(&mut self) {
        let mut world = *self.world;
        let process = &mut world.processes[self.index];
        process.late_outdated = 0;
        let Some(write) = process.late.take() else { return };
        world.land(write, self.index, self.model);
        let token = match write {
            Write::Enable(id)
            | Write::Disable(id)
            | Write::Delete(id)
            | Write::Mark(id, _)
            | Write::Commit(id)
            | Write::DisableOld(id) => id,
            Write::Create | Write::RestoreOld | Write::DeleteOld => NONE,
        };
        let outcome = match write {
            Write::Create => "create",
            Write::Enable(_) => "enable",
            Write::Disable(_) => "disable",
            Write::Delete(_) => "delete",
            Write::Mark(..) => "mark",
            Write::Commit(_) => "commit",
            Write::DisableOld(_) => "disable O",
            Write::RestoreOld => "restore O",
            Write::DeleteOld => "delete O",
        };
        self.next.push((Event { token, ..self.event(Step::LateWriteLands, outcome) }, world));
    }

    /// The write that the process is about to send, if it still may.
    fn sendable(&self) -> Option<Write> {
        let write = self.process.step.write(self.process.token)?;
        let too_late = matches!(write, Write::Enable(_))
            && self.rule(Rule::Lease)
            && self.token().age > Age::InsideLease;
        (!too_late).then_some(write)
    }

    /// The process crashes and starts again. A write that it sent may land later.
    fn crashes(&mut self) {
        let mut world = *self.world;
        world.unlock(self.index);
        world.stop_clock(wait_clock(self.index));
        let start = self.model.scenario.actors[self.index].start();
        let process = &mut world.processes[self.index];
        *process = Process {
            late: process.late,
            late_outdated: process.late_outdated,
            ..Process::starting(start, process.faults - 1)
        };
        self.next.push((self.event(Step::Crashes, ""), world));
        // A file is renamed by its own process, which cannot do so after a crash.
        let Some(write) = self.sendable() else { return };
        if self.process.late.is_some() || (self.model.scenario.files && matches!(write, Write::Commit(_))) {
            return;
        }
        let process = &mut world.processes[self.index];
        process.late = Some(write);
        process.late_outdated = self.process.outdated;
        self.next.push((self.event(Step::Crashes, "its write is on the way"), world));
        // A create is not repeated, and a commit is local.
        if !matches!(write, Write::Create | Write::Commit(_)) {
            let mut world = *self.world;
            let process = &mut world.processes[self.index];
            process.faults -= 1;
            process.late = Some(write);
            process.late_outdated = process.outdated;
            self.next.push((self.event(Step::LosesResponse, "will send the write again"), world));
        }
    }

    fn step(&mut self) {
        match self.process.step {
            Step::FindSuccessors => self.find_successors(),
            Step::ReadOld => self.read_old(),
            Step::LockPending => self.lock_pending(),
            Step::AwaitLateWrites => self.await_late_writes(),
            Step::ContinueSuccessor => self.continue_successor(),
            Step::CreateSuccessor => self.create_successor(),
            Step::Elect => self.elect(),
            Step::ConfirmOld => self.confirm_old(),
            Step::Deliver => self.deliver(),
            Step::ReadBeforeEnable => self.read_before_enable(),
            Step::EnableSuccessor => self.enable_successor(),
            Step::VerifyDelivered => self.verify_delivered(),
            Step::ReadBeforeCommit => self.read_before_commit(),
            Step::ReadBeforeMark => self.read_before_mark(),
            Step::FindLeftovers => self.find_leftovers(),
            Step::AwaitSuperseded => self.await_superseded(),
            Step::Cancel => self.cancel(),
            Step::CheckOld => self.check_old(Step::AwaitCancelled),
            Step::AwaitCancelled => self.await_cancelled(),
            Step::RecheckOld => self.check_old(Step::DisableCancelled),
            Step::Finish => self.finish(),
            Step::ReadBeforeDisable => self.read_before_disable(),
            Step::ReadBeforeDelete => self.read_before_delete(),
            Step::ConfirmSuccessor => self.confirm_successor(),
            Step::Sweep => self.sweep(),
            Step::Administer => self.administer(),
            _ => self.send(),
        }
    }

    /// Sends the write of the step, which lands and is answered.
    fn send(&mut self) {
        let Some(write) = self.sendable() else { return };
        let id = self.process.token;
        let mut world = *self.world;
        let found = world.land(write, self.index, self.model);
        let finishes = self.model.scenario.actors[self.index] == Actor::Finisher;
        let (step, token) = match self.process.step {
            Step::Commit => (Step::ReadBeforeMark, id),
            Step::DisableRejected if found => (Step::DeleteRejected, id),
            Step::MarkReplaces if found => (Step::FindLeftovers, NONE),
            Step::MarkSuperseded if found && self.rule(Rule::Settle) => (Step::AwaitSuperseded, id),
            Step::DeletePending => (Step::CreateSuccessor, NONE),
            Step::MarkSuperseded if found => (Step::CreateSuccessor, NONE),
            Step::MarkCancelled if found => (Step::CheckOld, id),
            Step::RestoreOld if !finishes && found => (Step::AwaitCancelled, id),
            Step::RestoreOld if !finishes => (Step::CheckOld, id),
            Step::DisableOld => (Step::ConfirmSuccessor, id),
            Step::DisableLeftover if !finishes => (Step::FindLeftovers, NONE),
            Step::DisableLeftover | Step::RestoreOld | Step::DeleteOld | Step::ClearMarker => {
                (Step::Finish, NONE)
            }
            Step::DeleteOrphan => (Step::Sweep, NONE),
            Step::DisableCancelled => (Step::Cancel, NONE),
            _ => (Step::End, NONE),
        };
        // The secret of a token is discarded once the token is deleted, or is not there.
        let mine = id != NONE && world.pending(id).destination == self.model.destination(self.index);
        let discards = match self.process.step {
            Step::Withdraw | Step::DeletePending | Step::DeleteRejected => true,
            Step::DisableRejected => !found,
            _ => false,
        };
        if discards && mine {
            world.discard(id);
        }
        self.go_from(world, if found { "" } else { "not found" }, step, token);
    }

    /// A person acts on O or N. A person who acts between a read and its write cannot be noticed, except after
    /// O was disabled.
    fn administer(&mut self) {
        let unnoticed = |process: &Process| {
            (process.step.writes() && process.step != Step::DisableOld)
                || process.late.is_some_and(|write| !matches!(write, Write::DisableOld(_)))
        };
        if self.world.processes.iter().any(unnoticed) {
            return;
        }
        match self.world.old.status {
            Status::Disabled => self.end("enables O").old.status = Status::Enabled,
            Status::Enabled => {
                for (id, token) in self.world.successors() {
                    if token.is_enabled() {
                        self.go("disables N", Step::End, id).token_mut(id).status = Status::Disabled;
                    }
                }
            }
            Status::NotCreated | Status::Deleted => {}
        }
    }
}
