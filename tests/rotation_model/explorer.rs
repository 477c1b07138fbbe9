//! A breadth-first search over all states.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::processes::Next;
use crate::world::World;

/// Multiplies and rotates: the states are small, and their hashes are not exposed to an attacker.
#[derive(Default)]
pub(crate) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0xf135_7aea_2e62_a9c5);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_usize(number.cast_unsigned());
    }
}

pub(crate) type Worlds = HashSet<World, BuildHasherDefault<FastHasher>>;

/// The states that were reached, in the order of their distance from the first ones.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) states: Vec<World>,
    /// The state from which each state was reached first; the first states have themselves.
    parents: Vec<u32>,
    positions: HashMap<World, u32, BuildHasherDefault<FastHasher>>,
}

impl Graph {
    /// Adds a state, unless it is known. Returns its position.
    fn add(&mut self, state: World, parent: Option<u32>) -> u32 {
        let next = self.states.len() as u32;
        match self.positions.entry(state) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                new.insert(next);
                self.states.push(state);
                self.parents.push(parent.unwrap_or(next));
                next
            }
        }
    }

    /// Explores all that can be reached from `first`. Calls `visit` with the positions of each step, and stops
    /// when it returns false.
    pub(crate) fn explore(
        first: impl IntoIterator<Item = World>,
        mut steps: impl FnMut(&World, &mut Vec<Next>),
        mut visit: impl FnMut(&Graph, u32, u32) -> bool,
    ) -> Graph {
        let mut graph = Graph::default();
        for state in first {
            graph.add(state, None);
        }
        let mut next = Vec::new();
        let mut position = 0;
        while let Some(state) = graph.states.get(position as usize).copied() {
            steps(&state, &mut next);
            for (_, state) in next.drain(..) {
                let target = graph.add(state, Some(position));
                if !visit(&graph, position, target) {
                    return graph;
                }
            }
            position += 1;
        }
        graph
    }

    /// The shortest way to a state.
    pub(crate) fn path(&self, mut position: u32) -> Vec<u32> {
        let mut path = vec![position];
        while self.parents[position as usize] != position {
            position = self.parents[position as usize];
            path.push(position);
        }
        path.reverse();
        path
    }
}
