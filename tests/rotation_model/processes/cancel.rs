//! The cancellation of a rotation.

use crate::processes::{Step, Turn};
use crate::rules::Rule;
use crate::world::{Note, Status};

impl Turn<'_> {
    /// Reads N, which the caller named, or which O or the list names.
    pub(super) fn cancel(&mut self) {
        let first = self.model.first_that_counts();
        for id in first..=self.newest() {
            let token = self.world.token(id);
            let replaces_old = self.world.old.replaced_by == id;
            let can_be_cancelled = match token.note {
                Note::Tag | Note::Unchecked | Note::Replaces | Note::ReplacesDue => true,
                Note::Cancelled | Note::CancelledSettled => token.is_enabled() || replaces_old,
                Note::Superseded | Note::SupersededSettled => token.is_enabled(),
                Note::Final => replaces_old,
            };
            if token.exists() && can_be_cancelled {
                self.go("", Step::MarkCancelled, id);
            }
        }
    }

    /// Reads O, before and after the 60 s.
    pub(super) fn check_old(&mut self, next: Step) {
        let id = self.process.token;
        if self.world.old.status == Status::Deleted {
            if self.rule(Rule::RecheckOld) && self.token().is_enabled() {
                self.go("gone, too late", Step::KeepSuccessor, id);
            } else {
                self.end("gone, too late");
            }
        } else if self.world.old.replaced_by == id {
            self.go("marked", Step::RestoreOld, id);
        } else {
            self.go("enabled", next, id);
        }
    }

    pub(super) fn await_cancelled(&mut self) {
        let id = self.process.token;
        let token = self.token();
        if !token.exists() {
            self.end("N is gone");
        } else if token.note == Note::CancelledSettled {
            let step = if self.rule(Rule::RecheckOld) { Step::RecheckOld } else { Step::DisableCancelled };
            self.go("settled", step, id);
        } else if token.note != Note::Cancelled {
            let step = if self.rule(Rule::Settle) { Step::MarkCancelled } else { Step::DisableCancelled };
            self.go("the mark was overwritten", step, id);
        }
    }
}
