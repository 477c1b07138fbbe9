//! The rules of the protocol, each of which can be dropped, and the scenarios to explore.

use std::fmt;

use crate::processes::Step;
use crate::world::{
    BYSTANDER, Consumer, NONE, Old, PROCESSES, Pending, Process, Status, TOKENS, Token, World,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// After the POST, the lowest id that takes part wins, and the others withdraw.
    Election,
    /// The election waits until the list shows N.
    WaitForList,
    /// A list tells which ids exist; the notes that decide are read token by token.
    ReadListed,
    /// The winner of an election reads O before it delivers.
    ConfirmOld,
    /// `to_file` holds a lock on its pending file until its process ends.
    Lock,
    /// Without a lock as proof, a pending N younger than an hour (`take_over`: the lease) is not continued.
    MinimumAge,
    /// A later run locks the pending file, waits 60 s and then reads N.
    AwaitLateWrites,
    /// N is not enabled after its lease.
    Lease,
    /// N that is enabled and tagged before this process enables it was enabled by an earlier attempt: it continues.
    ResumeEnabled,
    /// A tag or marker on a token that it does not name is ignored.
    Bind,
    /// No write lands later than 60 s after the read that allows it.
    Deadline,
    /// Cancelled and superseded take effect after 60 s, if the mark still stands then.
    Settle,
    /// N is read again right before the commit.
    ReadBeforeCommit,
    /// If N was committed and is rejected later, it is neither disabled nor deleted: the rotation stops.
    KeepCommitted,
    /// A commit over the secret of O keeps that secret beside until O is deleted.
    KeepPrevious,
    /// O is disabled only after a fresh read of N: enabled and marked.
    ReadBeforeDisable,
    /// O is disabled only after all cancelled and superseded successors.
    DisableLeftovers,
    /// O is not disabled before the caller's check of N has succeeded.
    AwaitCheck,
    /// O is not disabled while its program uses it.
    InUse,
    /// In use means a use within half the overlap before now, not after a fixed moment.
    RecentUse,
    /// After O was disabled, N is read again; if it is not enabled and marked, O is enabled again.
    ConfirmSuccessor,
    /// N keeps its marker until O is deleted, and is read before that.
    KeepMarker,
    /// Cancel reads O again after the 60 s, before it disables N; if O is gone, it keeps N.
    RecheckOld,
}

impl Rule {
    pub(crate) const ALL: [Rule; 23] = [
        Rule::Election,
        Rule::WaitForList,
        Rule::ReadListed,
        Rule::ConfirmOld,
        Rule::Lock,
        Rule::MinimumAge,
        Rule::AwaitLateWrites,
        Rule::Lease,
        Rule::ResumeEnabled,
        Rule::Bind,
        Rule::Deadline,
        Rule::Settle,
        Rule::ReadBeforeCommit,
        Rule::KeepCommitted,
        Rule::KeepPrevious,
        Rule::ReadBeforeDisable,
        Rule::DisableLeftovers,
        Rule::AwaitCheck,
        Rule::InUse,
        Rule::RecentUse,
        Rule::ConfirmSuccessor,
        Rule::KeepMarker,
        Rule::RecheckOld,
    ];
}

/// A process that takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Actor {
    /// `rotate_token` with one of the two destinations.
    Rotator(u8),
    /// `cancel_rotation`
    Canceller,
    /// `finish_rotations`, again and again.
    Finisher,
    /// `sweep_tokens`, again and again.
    Sweep,
    /// A person who enables O or disables a successor once.
    Administrator,
}

impl Actor {
    pub(crate) fn start(self) -> Step {
        match self {
            Actor::Rotator(_) => Step::FindSuccessors,
            Actor::Canceller => Step::Cancel,
            Actor::Finisher => Step::Finish,
            Actor::Sweep => Step::Sweep,
            Actor::Administrator => Step::Administer,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Actor::Rotator(destination) => write!(formatter, "rotator to {destination}"),
            Actor::Canceller => write!(formatter, "canceller"),
            Actor::Finisher => write!(formatter, "finisher"),
            Actor::Sweep => write!(formatter, "sweep"),
            Actor::Administrator => write!(formatter, "administrator"),
        }
    }
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Scenario {
    pub(crate) actors: Vec<Actor>,
    /// How many successors can be created.
    pub(crate) ids: u8,
    /// How often each rotator, canceller and finisher may crash or lose the response to a write.
    pub(crate) faults: u8,
    /// The destinations are files on one machine: they are locked, and their secrets can be read back. The first
    /// one holds the secret of O.
    pub(crate) files: bool,
    pub(crate) take_over: bool,
    /// A program uses O until it has read the new secret.
    pub(crate) consumer: bool,
    /// The caller checks N before O is disabled, and the check may fail.
    pub(crate) check: bool,
    /// A token of the same owner with a note copied from one of ours.
    pub(crate) bystander: Token,
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        for actor in &self.actors {
            write!(formatter, "{actor}, ")?;
        }
        let destinations = if self.files { "files" } else { "callables" };
        write!(formatter, "{destinations}, successors: {}, faults: {}", self.ids, self.faults)?;
        for (is_set, words) in [
            (self.take_over, ", take-over"),
            (self.consumer, ", a program that uses O"),
            (self.check, ", a check that may fail"),
            (self.bystander.is_enabled(), ", a copied marker"),
        ] {
            write!(formatter, "{}", if is_set { words } else { "" })?;
        }
        Ok(())
    }
}

pub(crate) struct Model {
    pub(crate) scenario: Scenario,
    pub(crate) dropped: Option<Rule>,
}

impl Model {
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.dropped != Some(rule)
    }

    /// Whether a process decides by what a list shows. Otherwise old lists need not be remembered.
    pub(crate) fn lists_decide(&self) -> bool {
        !self.has(Rule::ReadListed) || !self.has(Rule::ReadBeforeDisable)
    }

    pub(crate) fn destination(&self, process: usize) -> u8 {
        match self.scenario.actors.get(process) {
            Some(&Actor::Rotator(destination)) => destination,
            _ => NONE,
        }
    }

    pub(crate) fn start(&self) -> World {
        let mut tokens = [Token::NOT_CREATED; TOKENS];
        tokens[usize::from(BYSTANDER)] = self.scenario.bystander;
        World {
            old: Old {
                status: Status::Enabled,
                replaced_by: NONE,
                quarantine_over: false,
                secret_kept: true,
                consumer: if self.scenario.consumer { Consumer::UsesOld } else { Consumer::UsesNew },
            },
            tokens,
            pending: [Pending::NONE; TOKENS],
            committed: [NONE; 2],
            processes: self.starting_processes(),
        }
    }

    pub(crate) fn starting_processes(&self) -> [Process; PROCESSES] {
        let mut processes = [Process::ABSENT; PROCESSES];
        for (process, actor) in processes.iter_mut().zip(&self.scenario.actors) {
            let faults = match actor {
                Actor::Sweep | Actor::Administrator => 0,
                _ => self.scenario.faults,
            };
            *process = Process::starting(actor.start(), faults);
        }
        processes
    }
}
