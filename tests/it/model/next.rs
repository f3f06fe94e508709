//! One thing that may happen next, and what the world is like then.

use super::state::State;

#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) what: &'static str,
    pub(crate) worker: Option<usize>,
    pub(crate) document: usize,
    /// It happens by itself as long as nothing fails: the way to the end may count on it.
    pub(crate) good: bool,
    pub(crate) state: State,
    /// The property that this very step breaks.
    pub(crate) broken: Option<&'static str>,
}

impl Next {
    pub(crate) fn of(
        state: &State,
        document: usize,
        what: &'static str,
        good: bool,
        change: &dyn Fn(&mut State),
    ) -> Self {
        let mut state = *state;
        change(&mut state);
        Self { what, worker: None, document, good, state, broken: None }
    }
}
