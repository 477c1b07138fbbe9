//! What must hold in every state, and that every state can be recovered from.

use std::fmt;

use crate::explorer::{Graph, Worlds};
use crate::processes::{Next, Step};
use crate::rules::{Actor, Model, Scenario};
use crate::world::{Consumer, Id, NONE, Note, PROCESSES, Pending, Process, Status, TOKENS, Token, World};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Invariant {
    OneLiveSuccessor,
    LiveSuccessorIsHeld,
    WorkingTokenIsHeld,
    BystanderIsUntouched,
    ConsumerIsNotCutOff,
    CheckPrecedesDisabling,
    /// What allows to read several tokens one after another: a token that is out, or deleted, stays so.
    OutStaysOut,
    Recoverable,
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Invariant::OneLiveSuccessor => "two live successors",
            Invariant::LiveSuccessorIsHeld => "a live successor without a holder",
            Invariant::WorkingTokenIsHeld => "no working token with a holder",
            Invariant::BystanderIsUntouched => "a bystander was changed",
            Invariant::ConsumerIsNotCutOff => "O was disabled while its program uses it",
            Invariant::CheckPrecedesDisabling => "O was disabled before the check of N succeeded",
            Invariant::OutStaysOut => "a token takes part again",
            Invariant::Recoverable => "the rotation cannot be brought to an end",
        })
    }
}

impl Model {
    /// The invariant that a state violates.
    pub(crate) fn violated(&self, world: &World) -> Option<Invariant> {
        let mut live = 0;
        let mut held = false;
        for (id, token) in world.successors() {
            if token.is_live() {
                live += 1;
                if !world.is_held(id) {
                    return Some(Invariant::LiveSuccessorIsHeld);
                }
            }
            held |= token.is_enabled() && world.is_held(id);
        }
        if live > 1 {
            return Some(Invariant::OneLiveSuccessor);
        }
        held |= world.old.status == Status::Enabled && world.old.secret_kept;
        if !held && !self.is_excused(world) {
            return Some(Invariant::WorkingTokenIsHeld);
        }
        if world.tokens[0] != self.scenario.bystander {
            return Some(Invariant::BystanderIsUntouched);
        }
        if world.old.status != Status::Enabled && world.old.consumer == Consumer::UsesOld {
            return Some(Invariant::ConsumerIsNotCutOff);
        }
        let new = world.token(world.old.replaced_by);
        if world.old.status == Status::Disabled && new.exists() && !new.checked {
            return Some(Invariant::CheckPrecedesDisabling);
        }
        None
    }

    /// The administrator disabled N while a process disables O: the process, or the next one, notices it.
    fn is_excused(&self, world: &World) -> bool {
        self.scenario
            .actors
            .iter()
            .zip(&world.processes)
            .any(|(actor, process)| *actor == Actor::Administrator && process.step == Step::End)
            && self.scenario.actors.iter().zip(&world.processes).any(|(actor, process)| {
                *actor == Actor::Finisher
                    && (process.step != Step::Finish || process.faults < self.scenario.faults)
            })
    }

    /// Whether a token is pending or marked after a step, although it was out or deleted before.
    pub(crate) fn comes_back(before: &World, after: &World) -> bool {
        before.created().any(|(id, token)| {
            let later = after.token(id).note;
            (!token.exists() || token.note.is_out_settled()) && (later == Note::Tag || later.replaces())
        })
    }

    /// Whether a rotation is over: O works and no successor does, or O is gone and one held successor works.
    fn is_clean(&self, world: &World) -> bool {
        let mut enabled = world.successors().filter(|(_, token)| token.is_enabled());
        let only = enabled.next();
        let unfinished = |(_, token): (Id, Token)| {
            token.note == Note::Tag
                || token.note.replaces()
                || (token.note == Note::Final && !token.is_enabled())
        };
        if enabled.next().is_some() || world.successors().any(unfinished) {
            return false;
        }
        match only {
            None => world.old_is_untouched() && !self.scenario.consumer,
            Some((id, token)) => {
                world.old.status == Status::Deleted && token.note == Note::Final && world.is_held(id)
            }
        }
    }
}

/// Processes that run one after another, without a fault, once all others have ended.
pub(crate) struct Recovery {
    model: Model,
}

impl Recovery {
    pub(crate) fn new(model: &Model) -> Recovery {
        let mut actors = vec![Actor::Finisher, Actor::Sweep];
        // Once the program of O uses the new secret, the rotation must be finished: cancelling it does not count.
        if !model.scenario.consumer {
            actors.push(Actor::Canceller);
        }
        actors.extend(model.scenario.actors.iter().filter(|actor| matches!(actor, Actor::Rotator(_))));
        let scenario = Scenario { actors, ids: TOKENS as u8 - 1, faults: 0, ..model.scenario.clone() };
        Recovery { model: Model { scenario, dropped: model.dropped } }
    }

    /// Whether a rotation must be recoverable from a state. While a program uses O, it need not be.
    pub(crate) fn applies_to(world: &World) -> bool {
        world.old.consumer != Consumer::UsesOld
    }

    /// What is left of a state when its processes have ended. Tokens that can no longer matter are left out, and
    /// the others are numbered anew.
    pub(crate) fn at_rest(&self, world: &World) -> World {
        let mut rest = World {
            tokens: [Token::NOT_CREATED; TOKENS],
            pending: [Pending::NONE; TOKENS],
            committed: [NONE; 2],
            processes: self.model.starting_processes(),
            ..*world
        };
        rest.tokens[0] = world.tokens[0];
        let mut next = 1;
        for (id, token) in world.created() {
            let inert = !token.exists() || (!token.is_enabled() && token.note.is_out_settled());
            let named = world.old.replaced_by == id;
            if inert && !named {
                continue;
            }
            let position = usize::from(next);
            rest.tokens[position] = token;
            if named {
                rest.old.replaced_by = next;
            }
            if !inert {
                rest.pending[position] = Pending { locked_by: NONE, ..world.pending(id) };
                for (new, old) in rest.committed.iter_mut().zip(world.committed) {
                    if old == id {
                        *new = next;
                    }
                }
            }
            next += 1;
        }
        rest
    }

    fn steps(&self, world: &World, next: &mut Vec<Next>) {
        let starts = self.model.starting_processes();
        let is_active = |index: usize, process: &Process| *process != starts[index];
        let active = world.processes.iter().enumerate().find(|(index, process)| is_active(*index, process));
        self.model.time(world, next);
        match active {
            Some((index, _)) => self.model.steps_of(world, index, next),
            None => {
                for index in 0..self.model.scenario.actors.len() {
                    self.model.steps_of(world, index, next);
                }
            }
        }
        for (_, state) in next {
            let rests = (0..PROCESSES).all(|index| {
                state.processes[index].step == Step::End || !is_active(index, &state.processes[index])
            });
            if rests {
                *state = self.at_rest(state);
            }
        }
    }

    /// Finds states from which no clean end can be reached, and the number of states that were explored.
    pub(crate) fn stuck(&self, first: impl IntoIterator<Item = World>) -> (Worlds, usize) {
        let mut edges = Vec::new();
        let first: Vec<World> = first.into_iter().collect();
        let graph = Graph::explore(
            first.iter().copied(),
            |world, next| self.steps(world, next),
            |_, from, to| {
                edges.push((to, from));
                true
            },
        );
        edges.sort_unstable();
        let starts = self.model.starting_processes();
        let mut good: Vec<bool> = graph
            .states
            .iter()
            .map(|world| world.processes == starts && self.model.is_clean(world))
            .collect();
        let mut todo: Vec<u32> = (0..).zip(&good).filter(|(_, good)| **good).map(|(at, _)| at).collect();
        while let Some(at) = todo.pop() {
            let begin = edges.partition_point(|&(to, _)| to < at);
            for &(_, from) in edges[begin..].iter().take_while(|&&(to, _)| to == at) {
                if !std::mem::replace(&mut good[from as usize], true) {
                    todo.push(from);
                }
            }
        }
        // The first states come first in the graph.
        let distinct = graph.states.iter().zip(good).take(first.len());
        let stuck = distinct.filter(|(_, good)| !good).map(|(world, _)| *world).collect();
        (stuck, graph.states.len())
    }
}
