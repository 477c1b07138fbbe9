//! A rotation from the end of the overlap to the deletion of O.

use crate::processes::{Step, Turn};
use crate::rules::Rule;
use crate::world::{Consumer, Id, NONE, Note, Status, Token};

impl Turn<'_> {
    /// Lists the tokens that name O, reads O, and decides what is due.
    pub(super) fn finish(&mut self) {
        let old = self.world.old;
        let leftover = self.leftover();
        for id in self.model.first_that_counts()..=self.newest() {
            let token = self.world.token(id);
            let marked = token.is_enabled() && token.note.replaces();
            let leftovers = self
                .world
                .successors()
                .any(|(other, token)| other != id && token.is_enabled() && token.note.is_out());
            if self.world.old_is_untouched()
                && token.exists()
                && self.is_due(token.listed)
                && !(leftovers && self.rule(Rule::DisableLeftovers))
                && !(old.consumer != Consumer::UsesNew && self.rule(Rule::InUse))
            {
                self.go("due", Step::ReadBeforeDisable, id);
            }
            if self.world.old_is_replaced_by(id) {
                let intact = token.is_enabled() && (marked || token.note == Note::Final);
                if token.note.is_cancelled()
                    || !token.exists()
                    || (!intact && self.rule(Rule::ConfirmSuccessor))
                {
                    self.go("not as it was", Step::RestoreOld, id);
                }
                if old.quarantine_over {
                    self.go("the quarantine is over", Step::ReadBeforeDelete, id);
                }
                if marked && !self.rule(Rule::KeepMarker) {
                    self.go("marked", Step::ClearMarker, id);
                }
            }
            if marked && old.status == Status::Deleted {
                self.go("O is gone", Step::ClearMarker, id);
            }
            if leftover == Some(id) && self.rule(Rule::DisableLeftovers) {
                self.go("left over", Step::DisableLeftover, id);
            }
        }
    }

    /// Whether a successor with this note may take the place of O.
    fn is_due(&self, note: Note) -> bool {
        note == Note::ReplacesDue || (note == Note::Unchecked && !self.rule(Rule::AwaitCheck))
    }

    pub(super) fn read_before_disable(&mut self) {
        let id = self.process.token;
        let intact = self.token().is_enabled() && self.is_due(self.token().note);
        if intact || !self.rule(Rule::ReadBeforeDisable) {
            self.go("enabled and marked", Step::DisableOld, id);
        } else {
            self.go("not as it was", Step::Finish, NONE);
        }
    }

    pub(super) fn read_before_delete(&mut self) {
        let id = self.process.token;
        let intact = self.token().is_enabled() && self.token().note.replaces();
        if intact || !self.rule(Rule::KeepMarker) {
            self.go("enabled and marked", Step::DeleteOld, id);
        } else {
            self.go("not as it was", Step::Finish, NONE);
        }
    }

    /// An enabled successor that is out, while another one is enabled and marked, or O works and is not to be replaced.
    pub(super) fn leftover(&self) -> Option<Id> {
        let replaced = self.world.successors().any(|(_, token)| token.is_enabled() && token.note.replaces());
        let takes_part =
            |(_, token): (Id, Token)| token.exists() && (token.note == Note::Tag || token.note.replaces());
        let given_up = self.world.old_is_untouched() && !self.world.created().any(takes_part);
        let mut successors = self.world.successors();
        let (id, _) = successors.find(|&(id, token)| {
            token.is_enabled() && token.note.is_out_settled() && self.world.old.replaced_by != id
        })?;
        (replaced || given_up).then_some(id)
    }

    pub(super) fn confirm_successor(&mut self) {
        let id = self.process.token;
        let token = self.token();
        let replaces = token.exists() && (token.note.replaces() || token.note == Note::Final);
        if !replaces || (!token.is_enabled() && self.rule(Rule::ConfirmSuccessor)) {
            self.go("not as it was", Step::RestoreOld, id);
        } else if self.rule(Rule::KeepMarker) {
            self.go("enabled and marked", Step::Finish, NONE);
        } else {
            self.go("enabled and marked", Step::ClearMarker, id);
        }
    }
}
