//! A rotation from the search for successors to the marker on the new token.

use crate::processes::{Step, Turn};
use crate::rules::Rule;
use crate::world::{Age, BYSTANDER, NONE, Note, Pending, Write};

impl Turn<'_> {
    /// Lists the tokens of the owner, which may not show the newest ones, and finds the first that takes part.
    pub(super) fn find_successors(&mut self) {
        for shown in BYSTANDER..=self.newest() {
            for listed in [false, true] {
                if listed && self.rule(Rule::ReadListed) {
                    continue;
                }
                match self.model.lowest_that_takes_part(self.world, shown, listed) {
                    Some(id) => self.go("takes part", Step::ReadOld, id),
                    None => self.go("none takes part", Step::ReadOld, NONE),
                };
            }
        }
    }

    pub(super) fn read_old(&mut self) {
        let id = self.process.token;
        if !self.world.old_is_untouched() {
            self.end("O is replaced, disabled or gone");
        } else if id == NONE {
            self.go("enabled", Step::CreateSuccessor, NONE);
        } else if self.world.token(id).note == Note::Unchecked {
            self.go("enabled", Step::ReadBeforeMark, id);
        } else {
            self.go("enabled", Step::LockPending, id);
        }
    }

    /// The pending file and its lock come first, then the POST.
    pub(super) fn create_successor(&mut self) {
        let Some(id) = self.world.next_id(self.model) else {
            self.end("out of ids");
            return;
        };
        let mut world = *self.world;
        world.land(Write::Create, self.index, self.model);
        if self.model.scenario.files && self.rule(Rule::Lock) {
            world.pending[usize::from(id)].locked_by = self.index as u8;
        }
        self.process.token = id;
        self.go_from(world, "", Step::Elect, id);
    }

    /// Waits until the list shows N, and compares it with the older ones.
    pub(super) fn elect(&mut self) {
        let id = self.process.token;
        if !self.token().is_pending() {
            self.end_and_discard("N was taken away");
            return;
        }
        let first_shown = if self.rule(Rule::WaitForList) { id - 1 } else { BYSTANDER };
        for shown in first_shown..id {
            for listed in [false, true] {
                if listed && self.rule(Rule::ReadListed) {
                    continue;
                }
                let older = self.model.lowest_that_takes_part(self.world, shown, listed);
                if older.is_some() && self.rule(Rule::Election) {
                    self.go("an older one takes part", Step::Withdraw, id);
                } else {
                    let step = if self.rule(Rule::ConfirmOld) { Step::ConfirmOld } else { Step::Deliver };
                    self.go("wins", step, id);
                }
            }
        }
    }

    pub(super) fn confirm_old(&mut self) {
        let id = self.process.token;
        if self.world.old_is_untouched() {
            self.go("still enabled", Step::Deliver, id);
        } else if self.token().is_unused_pending() {
            self.go("replaced, disabled or gone", Step::Withdraw, id);
        } else {
            self.end_and_discard("replaced, disabled or gone");
        }
    }

    pub(super) fn deliver(&mut self) {
        let id = self.process.token;
        let locked_by = self.world.pending(id).locked_by;
        let destination = self.model.destination(self.index);
        let pending = Pending { destination, delivered: true, locked_by };
        self.go("", Step::ReadBeforeEnable, id).pending[usize::from(id)] = pending;
    }

    pub(super) fn read_before_enable(&mut self) {
        let id = self.process.token;
        let token = self.token();
        if !token.is_pending() || (token.is_enabled() && !self.rule(Rule::ResumeEnabled)) {
            self.end_and_discard("N was taken away");
        } else if token.is_enabled() {
            self.go("an earlier attempt has enabled it", Step::VerifyDelivered, id);
        } else if token.age > Age::InsideLease && self.rule(Rule::Lease) {
            self.go("the lease is over", Step::Withdraw, id);
        } else {
            self.go("pending", Step::EnableSuccessor, id);
        }
    }

    pub(super) fn enable_successor(&mut self) {
        let id = self.process.token;
        if self.sendable().is_none() {
            self.go("the lease is over", Step::ReadBeforeEnable, id);
            return;
        }
        let mut world = *self.world;
        if world.land(Write::Enable(id), self.index, self.model) {
            self.go_from(world, "", Step::VerifyDelivered, id);
        } else {
            self.end_and_discard("not found");
        }
    }

    /// Signs with the secret that the destination returns, which may fail for reasons of the destination.
    pub(super) fn verify_delivered(&mut self) {
        let id = self.process.token;
        let token = self.token();
        let destination = usize::from(self.model.destination(self.index));
        if token.is_enabled() {
            let step = if self.rule(Rule::ReadBeforeCommit) { Step::ReadBeforeCommit } else { Step::Commit };
            self.go("authenticated", step, id).token_mut(id).used = token.is_pending();
        }
        if self.world.committed[destination] == id && self.rule(Rule::KeepCommitted) {
            self.end("rejected after its commit, stops");
        } else if token.is_pending() {
            self.go("rejected", Step::DisableRejected, id);
        } else {
            self.end_and_discard("rejected, and N was taken away");
        }
    }

    pub(super) fn read_before_commit(&mut self) {
        let id = self.process.token;
        if self.token().is_pending() && self.token().is_enabled() {
            self.go("enabled", Step::Commit, id);
        } else if self.token().is_enabled() {
            self.end("N was marked by others, and its secret is kept");
        } else {
            self.end_and_discard("N was taken away");
        }
    }

    /// The caller checks N, and then N is read.
    pub(super) fn read_before_mark(&mut self) {
        let id = self.process.token;
        let token = self.token();
        if !token.is_enabled() || !matches!(token.note, Note::Tag | Note::Unchecked) {
            self.end("N was taken away");
            return;
        }
        self.go("enabled", Step::MarkReplaces, id);
        if self.model.scenario.check {
            if token.note == Note::Tag {
                self.go("the check fails", Step::MarkUnchecked, id);
            } else {
                self.end("the check fails again");
            }
        }
    }

    pub(super) fn find_leftovers(&mut self) {
        match self.leftover() {
            Some(id) => self.go("enabled", Step::DisableLeftover, id),
            None => self.end("none"),
        };
    }
}
