//! What the model remembers: the portal, the destinations and the processes.

use crate::processes::Step;
use crate::rules::{Model, Rule};

/// Tokens besides O: the bystander and the successors.
pub(crate) const TOKENS: usize = 6;
pub(crate) const PROCESSES: usize = 5;
pub(crate) const BYSTANDER: Id = 0;
/// No token, no process or no destination.
pub(crate) const NONE: u8 = u8::MAX;

/// The number of a successor, in the order of creation. O is older than all of them and has no number.
pub(crate) type Id = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Status {
    NotCreated,
    Disabled,
    Enabled,
    Deleted,
}

/// What the note of a successor says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Note {
    /// A tag that names O: pending.
    Tag,
    /// "replaces O", without a time: the caller's check has failed.
    Unchecked,
    /// "replaces O after T", before T.
    Replaces,
    /// The same, after T.
    ReplacesDue,
    /// Without a tag or marker of ours.
    Final,
    Superseded,
    /// Superseded for 60 s.
    SupersededSettled,
    Cancelled,
    /// Cancelled for 60 s.
    CancelledSettled,
}

impl Note {
    /// "replaces O", with or without a time.
    pub(crate) fn replaces(self) -> bool {
        matches!(self, Note::Unchecked | Note::Replaces | Note::ReplacesDue)
    }

    pub(crate) fn is_cancelled(self) -> bool {
        matches!(self, Note::Cancelled | Note::CancelledSettled)
    }

    pub(crate) fn is_superseded(self) -> bool {
        matches!(self, Note::Superseded | Note::SupersededSettled)
    }

    /// Cancelled or superseded.
    pub(crate) fn is_out(self) -> bool {
        self.is_cancelled() || self.is_superseded()
    }

    /// Cancelled or superseded for 60 s.
    pub(crate) fn is_out_settled(self) -> bool {
        matches!(self, Note::SupersededSettled | Note::CancelledSettled)
    }

    /// This note 60 s later.
    pub(crate) fn settled(self) -> Note {
        match self {
            Note::Superseded => Note::SupersededSettled,
            Note::Cancelled => Note::CancelledSettled,
            other => other,
        }
    }
}

/// How long ago a pending token was created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Age {
    /// It may be enabled.
    InsideLease,
    /// The lease and its margin are over.
    LeaseOver,
    OverAnHour,
}

/// A token that names O, or the bystander.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Token {
    pub(crate) status: Status,
    pub(crate) note: Note,
    /// The note that a list may still show, if a process decides by it; else `note`.
    pub(crate) listed: Note,
    pub(crate) age: Age,
    pub(crate) used: bool,
    /// The caller's check has succeeded, or cannot fail.
    pub(crate) checked: bool,
}

impl Token {
    pub(crate) const NOT_CREATED: Token = Token {
        status: Status::NotCreated,
        note: Note::Final,
        listed: Note::Final,
        age: Age::OverAnHour,
        used: false,
        checked: false,
    };

    pub(crate) fn exists(self) -> bool {
        matches!(self.status, Status::Disabled | Status::Enabled)
    }

    pub(crate) fn is_enabled(self) -> bool {
        self.status == Status::Enabled
    }

    pub(crate) fn is_pending(self) -> bool {
        self.exists() && self.note == Note::Tag
    }

    /// Created and not yet enabled; the guards of sweep allow to delete it once it is old enough.
    pub(crate) fn is_unused_pending(self) -> bool {
        self.status == Status::Disabled && self.note == Note::Tag && !self.used
    }

    /// Enabled, tagged or marked by us, and neither cancelled nor superseded.
    pub(crate) fn is_live(self) -> bool {
        self.is_enabled() && !self.note.is_out()
    }
}

/// A program that signs with O until it has read the new secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Consumer {
    UsesOld,
    /// It uses the new secret, but used O within half the overlap before now, as `lastUsedOn` shows.
    UsedOldRecently,
    UsesNew,
}

/// Token O, which is to be replaced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Old {
    pub(crate) status: Status,
    /// The successor that the marker on O names.
    pub(crate) replaced_by: Id,
    /// T2, after which O is deleted, has been reached, or a finisher ends the quarantine.
    pub(crate) quarantine_over: bool,
    /// The secret of O is still stored where its program reads it, or beside.
    pub(crate) secret_kept: bool,
    pub(crate) consumer: Consumer,
}

/// `PATH.<tag>.pending`, or what a callable has been given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Pending {
    pub(crate) destination: u8,
    /// The secret is in it.
    pub(crate) delivered: bool,
    pub(crate) locked_by: u8,
}

impl Pending {
    pub(crate) const NONE: Pending = Pending { destination: NONE, delivered: false, locked_by: NONE };
}

/// One change: a request to the portal, or the commit at a destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Write {
    Create,
    Enable(Id),
    Disable(Id),
    Delete(Id),
    Mark(Id, Note),
    Commit(Id),
    DisableOld(Id),
    RestoreOld,
    DeleteOld,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Process {
    pub(crate) step: Step,
    pub(crate) token: Id,
    /// How often it may still crash, or lose a response.
    pub(crate) faults: u8,
    /// The clocks that were started since the read that allows this process its next write.
    pub(crate) outdated: u16,
    /// A write that was sent and may still land, though its sender crashed or repeated it.
    pub(crate) late: Option<Write>,
    pub(crate) late_outdated: u16,
}

impl Process {
    pub(crate) const ABSENT: Process = Process::starting(Step::End, 0);

    pub(crate) const fn starting(step: Step, faults: u8) -> Process {
        Process { step, token: NONE, faults, outdated: 0, late: None, late_outdated: 0 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct World {
    pub(crate) old: Old,
    pub(crate) tokens: [Token; TOKENS],
    pub(crate) pending: [Pending; TOKENS],
    /// Whose secret each destination holds.
    pub(crate) committed: [Id; 2],
    pub(crate) processes: [Process; PROCESSES],
}

impl World {
    pub(crate) fn token(&self, id: Id) -> Token {
        self.tokens.get(usize::from(id)).copied().unwrap_or(Token::NOT_CREATED)
    }

    pub(crate) fn token_mut(&mut self, id: Id) -> &mut Token {
        &mut self.tokens[usize::from(id)]
    }

    pub(crate) fn pending(&self, id: Id) -> Pending {
        self.pending[usize::from(id)]
    }

    /// The successors that were created, including those that were deleted, in the order of their numbers.
    pub(crate) fn created(&self) -> impl Iterator<Item = (Id, Token)> + use<> {
        let tokens = self.tokens;
        (0..).zip(tokens).skip(1).filter(|(_, token)| token.status != Status::NotCreated)
    }

    /// The successors that exist.
    pub(crate) fn successors(&self) -> impl Iterator<Item = (Id, Token)> + use<> {
        self.created().filter(|(_, token)| token.exists())
    }

    /// Whether the secret of a successor is stored at a destination.
    pub(crate) fn is_held(&self, id: Id) -> bool {
        self.committed.contains(&id) || self.pending(id).delivered
    }

    pub(crate) fn old_is_untouched(&self) -> bool {
        self.old.status == Status::Enabled && self.old.replaced_by == NONE
    }

    pub(crate) fn old_is_replaced_by(&self, id: Id) -> bool {
        self.old.status == Status::Disabled && self.old.replaced_by == id
    }

    pub(crate) fn discard(&mut self, id: Id) {
        self.pending[usize::from(id)] = Pending::NONE;
    }

    /// The end of a process frees its locks.
    pub(crate) fn unlock(&mut self, process: usize) {
        for pending in &mut self.pending {
            if usize::from(pending.locked_by) == process {
                pending.locked_by = NONE;
            }
        }
    }

    fn set_note(&mut self, id: Id, note: Note, model: &Model) {
        let token = self.token_mut(id);
        token.listed = if model.lists_decide() { token.note } else { note };
        token.note = note;
        // Only a pending token is judged by its age and use.
        token.age = Age::OverAnHour;
        token.used = false;
        token.checked |= note == Note::Replaces;
        if note.is_out() {
            self.start_clock(1 << id);
        } else {
            self.stop_clock(1 << id);
        }
    }

    /// Begins to count 60 s: all writes whose reads have been done will land before the 60 s are over.
    pub(crate) fn start_clock(&mut self, clock: u16) {
        for process in &mut self.processes {
            if process.step.has_deadline() {
                process.outdated |= clock;
            }
            if process.late.is_some() {
                process.late_outdated |= clock;
            }
        }
    }

    /// Forgets a clock that is not looked at any more.
    pub(crate) fn stop_clock(&mut self, clock: u16) {
        for process in &mut self.processes {
            process.outdated &= !clock;
            process.late_outdated &= !clock;
        }
    }

    /// Whether a write has not landed whose read precedes the start of a clock.
    pub(crate) fn precedes(&self, clock: u16) -> bool {
        self.processes.iter().any(|process| (process.outdated | process.late_outdated) & clock != 0)
    }

    /// Applies a write of a process. Returns whether its token was there.
    pub(crate) fn land(&mut self, write: Write, process: usize, model: &Model) -> bool {
        let destination = model.destination(process);
        match write {
            Write::Create => {
                let Some(id) = self.next_id(model) else { return false };
                *self.token_mut(id) = Token {
                    status: Status::Disabled,
                    note: Note::Tag,
                    listed: Note::Tag,
                    age: Age::InsideLease,
                    used: false,
                    checked: !model.scenario.check,
                };
                self.pending[usize::from(id)] = Pending { destination, delivered: false, locked_by: NONE };
                true
            }
            Write::Enable(id) | Write::Disable(id) | Write::Delete(id) | Write::Mark(id, _) => {
                if !self.token(id).exists() {
                    return false;
                }
                match write {
                    Write::Enable(_) => self.token_mut(id).status = Status::Enabled,
                    Write::Disable(_) => self.token_mut(id).status = Status::Disabled,
                    Write::Mark(_, note) => self.set_note(id, note, model),
                    _ => {
                        *self.token_mut(id) = Token { status: Status::Deleted, ..Token::NOT_CREATED };
                        self.stop_clock(1 << id);
                    }
                }
                true
            }
            Write::Commit(id) => {
                self.committed[usize::from(destination)] = id;
                self.discard(id);
                if model.scenario.files && destination == 0 && !model.has(Rule::KeepPrevious) {
                    self.old.secret_kept = false;
                }
                true
            }
            Write::DisableOld(_) | Write::RestoreOld | Write::DeleteOld => {
                if self.old.status == Status::Deleted {
                    return false;
                }
                (self.old.status, self.old.replaced_by) = match write {
                    Write::DisableOld(id) => (Status::Disabled, id),
                    Write::RestoreOld => (Status::Enabled, NONE),
                    _ => (Status::Deleted, NONE),
                };
                self.old.quarantine_over = false;
                true
            }
        }
    }

    /// The number of the next successor, unless the scenario is out of numbers.
    pub(crate) fn next_id(&self, model: &Model) -> Option<Id> {
        let id = (1..).zip(&self.tokens[1..]).find(|(_, token)| token.status == Status::NotCreated)?.0;
        (id <= model.scenario.ids).then_some(id)
    }
}
