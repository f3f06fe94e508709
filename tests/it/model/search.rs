//! Every state within the bounds, breadth first, so that the first counterexample is a shortest
//! one; then backwards from the ends, to see that each state has a way there.

use super::{
    next::Next,
    rules::Rules,
    state::{Lease, Row, State, Step, Upload},
    work, world,
};
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

pub(crate) const RESULT_CHANGED: &str = "a visible result is not the one that was seen";
pub(crate) const NOBODY_COMES: &str = "an accepted document for which nobody will ring";
pub(crate) const NO_WAY_OUT: &str = "an accepted document that cannot end";

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// The property that does not hold, and the shortest way to where it does not.
    pub(crate) broken: Option<(&'static str, Vec<String>)>,
}

/// Looks at every state that the rules allow from `first` on.
pub(crate) fn search(first: State, rules: &Rules) -> Found {
    let canonical = |state: State| state.canonical(rules.shared_ledger(), rules.same_bytes);
    let mut graph = Graph::default();
    graph.add(canonical(first), None);
    let mut steps = 0;
    let mut next = Vec::new();
    // The way to the end uses only what happens while nothing fails: (to, from).
    let mut good: Vec<(u32, u32)> = Vec::new();
    let mut at = 0;
    while at < graph.states.len() {
        successors(&graph.states[at], rules, &mut next);
        steps += next.len();
        for step in next.drain(..) {
            let (place, is_new) = graph.add(canonical(step.state), Some(at));
            if step.good {
                good.push((place, at as u32));
            }
            let broken = step.broken.or_else(|| is_new.then(|| invariant(&step.state)).flatten());
            if let Some(property) = broken {
                let trace = graph.trace(first, at, Some(&step), rules);
                return Found {
                    states: graph.states.len(),
                    steps,
                    broken: Some((property, trace)),
                };
            }
        }
        at += 1;
    }
    let stuck = stuck(&graph.states, good);
    let broken = stuck.map(|at| (NO_WAY_OUT, graph.trace(first, at, None, rules)));
    Found { states: graph.states.len(), steps, broken }
}

fn successors(state: &State, rules: &Rules, next: &mut Vec<Next>) {
    next.clear();
    work::steps(state, rules, next);
    world::steps(state, rules, next);
}

/// What must be true of every state.
fn invariant(state: &State) -> Option<&'static str> {
    for (number, row) in state.documents.iter().enumerate() {
        let visible = row.results[usize::from(row.run)];
        if row.row == Row::Succeeded && (visible.is_none() || visible != row.seen) {
            return Some(RESULT_CHANGED);
        }
        let hands = state
            .workers
            .iter()
            .any(|worker| worker.step == Step::Delivered && usize::from(worker.document) == number);
        let somebody_comes = row.outbox > 0
            || row.messages > 0
            || row.lease == Lease::Live
            || (row.lease == Lease::Expired && !row.rung)
            || row.upload == Upload::Committed
            || hands
            || state.lost;
        if row.row.is_open() && !somebody_comes {
            return Some(NOBODY_COMES);
        }
    }
    None
}

fn is_end(state: &State) -> bool {
    let mut documents = state.documents.iter();
    documents.all(|row| match row.upload {
        Upload::Never => true,
        Upload::Over => !row.row.is_open(),
        Upload::Coming | Upload::Stored | Upload::Committed => false,
    })
}

/// A state from which no good steps lead to an end.
fn stuck(states: &[State], mut good: Vec<(u32, u32)>) -> Option<usize> {
    good.sort_unstable();
    let mut reached: Vec<bool> = states.iter().map(is_end).collect();
    let mut todo: Vec<u32> = (0..states.len() as u32).filter(|at| reached[*at as usize]).collect();
    while let Some(to) = todo.pop() {
        let start = good.partition_point(|(place, _)| *place < to);
        for (_, from) in good[start..].iter().take_while(|(place, _)| *place == to) {
            if !std::mem::replace(&mut reached[*from as usize], true) {
                todo.push(*from);
            }
        }
    }
    reached.iter().position(|reached| !reached)
}

#[derive(Default)]
struct Graph {
    states: Vec<State>,
    /// Where each state was first seen from.
    from: Vec<Option<usize>>,
    places: HashMap<State, u32, BuildHasherDefault<Fold>>,
}

impl Graph {
    fn add(&mut self, state: State, from: Option<usize>) -> (u32, bool) {
        match self.places.entry(state) {
            Entry::Occupied(place) => (*place.get(), false),
            Entry::Vacant(place) => {
                let number = self.states.len() as u32;
                place.insert(number);
                self.states.push(state);
                self.from.push(from);
                (number, true)
            }
        }
    }

    /// The way to a state, and one step further. States are kept under canonical names; here the
    /// documents and workers keep the names that they had at the start.
    fn trace(&self, first: State, at: usize, last: Option<&Next>, rules: &Rules) -> Vec<String> {
        let canonical = |state: State| state.canonical(rules.shared_ledger(), rules.same_bytes);
        let mut way = vec![at];
        while let Some(from) = self.from[way[way.len() - 1]] {
            way.push(from);
        }
        let mut goals: Vec<State> = way.iter().rev().skip(1).map(|at| self.states[*at]).collect();
        goals.extend(last.map(|step| canonical(step.state)));
        let (mut state, mut trace, mut next) = (first, Vec::new(), Vec::new());
        for (number, goal) in goals.iter().enumerate() {
            successors(&state, rules, &mut next);
            let is_last = last.is_some() && number + 1 == goals.len();
            let step = next.iter().find(|step| {
                canonical(step.state) == *goal && (!is_last || step.broken == last.unwrap().broken)
            });
            let step = step.expect("the way that was found can be gone again");
            let who = step.worker.map_or(String::new(), |worker| format!("worker {worker} "));
            trace.push(format!("{who}[document {}] {}", step.document, step.what));
            state = step.state;
        }
        trace
    }
}

/// A quick hash for small plain data; nobody chooses these keys to make it slow.
#[derive(Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
