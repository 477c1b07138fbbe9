//! A rotation that an earlier process began.

use crate::processes::{Step, Turn, wait_clock};
use crate::rules::Rule;
use crate::world::{Age, NONE, Note};

impl Turn<'_> {
    /// Whether the pending file of N is on this machine, so that its lock tells whether its process runs.
    fn is_lockable(&self) -> bool {
        let destination = self.model.destination(self.index);
        self.model.scenario.files && self.world.pending(self.process.token).destination == destination
    }

    pub(super) fn lock_pending(&mut self) {
        let id = self.process.token;
        let lockable = self.is_lockable();
        if lockable && self.world.pending(id).locked_by != NONE {
            self.end("another process is at it");
            return;
        }
        let locker = if self.rule(Rule::Lock) { self.index as u8 } else { NONE };
        let awaits = self.rule(Rule::AwaitLateWrites);
        let step = if awaits { Step::AwaitLateWrites } else { Step::ContinueSuccessor };
        let clock = wait_clock(self.index);
        let world = self.go("", step, id);
        if lockable {
            world.pending[usize::from(id)].locked_by = locker;
        }
        if awaits {
            world.start_clock(clock);
        }
    }

    /// A lock that is free means that its process has crashed, but its last write may still land: waits 60 s.
    pub(super) fn await_late_writes(&mut self) {
        if !self.world.precedes(wait_clock(self.index)) || !self.rule(Rule::Deadline) {
            self.go("60 s later", Step::ContinueSuccessor, self.process.token);
        }
    }

    /// Reads N, with its pending file locked.
    pub(super) fn continue_successor(&mut self) {
        let id = self.process.token;
        let token = self.token();
        let scenario = &self.model.scenario;
        let destination = self.model.destination(self.index);
        if !token.is_pending() || (!token.is_enabled() && token.used) {
            self.end("nothing to continue");
            return;
        }
        let pending = self.world.pending(id);
        let least_age = if scenario.take_over { Age::LeaseOver } else { Age::OverAnHour };
        if !self.is_lockable() && self.rule(Rule::MinimumAge) && token.age < least_age {
            self.end("too young");
            return;
        }
        let recoverable = scenario.files
            && ((pending.destination == destination && pending.delivered)
                || self.world.committed[usize::from(destination)] == id);
        if !token.is_enabled() {
            self.go("pending", Step::DeletePending, id);
        } else if recoverable {
            self.go("enabled, secret recovered", Step::VerifyDelivered, id);
        } else {
            self.go("enabled, secret lost", Step::MarkSuperseded, id);
        }
    }

    pub(super) fn await_superseded(&mut self) {
        match self.token().note {
            Note::Superseded if self.token().exists() => {}
            Note::SupersededSettled if self.token().exists() => {
                self.go("settled", Step::CreateSuccessor, NONE);
            }
            _ => {
                self.go("the mark is gone", Step::FindSuccessors, NONE);
            }
        }
    }
}
