//! The deployments in the course of an exchange: which are left, and which of them is preferred.
//!
//! It must know nothing of limiters or of who goes first.

use super::Waiter;
use crate::limiter::{Size, Terms};
use crate::strategy::{Candidate, Strategy, pick, turn};
use std::sync::Arc;

/// A deployment as a worker knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeploymentView {
    /// The same for all who use the same deployment, whatever they call it.
    pub address: Arc<str>,
    /// What is configured of its quota.
    pub terms: Terms,
    /// How many more calls this worker may have there at the same time.
    pub room: u32,
    /// How many it has.
    pub in_flight: u32,
    /// Until when this worker sends nothing there, unless it may now.
    pub closed_until: Option<f64>,
    /// Lower tiers go first.
    pub tier: u32,
    /// Whether its quota is paid for whether it is used or not.
    pub provisioned: bool,
    /// What a token of input and one of output cost.
    pub prices: Option<(f64, f64)>,
    /// How long it took lately, failures included, in seconds.
    pub latency: Option<f64>,
    /// From 0, which is broken, to 1.
    pub health: f64,
    /// How much it should get beside the others, where they are used by weight.
    pub weight: f64,
    /// How far its turn is, where they are used in turn.
    pub turn: f64,
    /// How long nearly all answers take at most.
    pub answer_ms: f64,
    /// Whether it takes images.
    pub sees: bool,
}

/// A deployment that could take a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) view: usize,
    pub(super) at: f64,
    pub(super) load: f64,
}

/// What changes about the views in the course of an exchange.
pub(super) struct Selection<'a> {
    pub(super) all: &'a [DeploymentView],
    pub(super) rooms: Vec<u32>,
    /// Somebody waits for it: whoever comes later must not delay that, but may use the others.
    claimed: Vec<bool>,
    pub(super) turns: Vec<f64>,
    strategy: Strategy,
}

impl<'a> Selection<'a> {
    pub(super) fn new(all: &'a [DeploymentView], strategy: Strategy) -> Self {
        Self {
            all,
            rooms: all.iter().map(|view| view.room).collect(),
            claimed: vec![false; all.len()],
            turns: all.iter().map(|view| view.turn).collect(),
            strategy,
        }
    }

    pub(super) fn is_open(&self, view: usize) -> bool {
        let has_room = self.rooms.get(view).is_some_and(|room| *room > 0);
        has_room && !self.claimed.get(view).copied().unwrap_or(true)
    }

    pub(super) fn are_taken(&self) -> bool {
        !(0..self.all.len()).any(|view| self.is_open(view))
    }

    pub(super) fn claim(&mut self, view: usize) {
        if let Some(claimed) = self.claimed.get_mut(view) {
            *claimed = true;
        }
    }

    pub(super) fn enter(&mut self, view: usize) {
        if let Some(room) = self.rooms.get_mut(view) {
            *room -= 1;
        }
        let may_send = (0..).zip(self.all).filter(|(_, view)| view.closed_until.is_none());
        let candidates: Vec<_> =
            may_send.filter_map(|(view, _)| self.candidate(view, 0.0, None)).collect();
        let next = turn(self.strategy, &candidates, view);
        if let Some(turn) = self.turns.get_mut(view) {
            *turn = next;
        }
    }

    pub(super) fn choose(&self, ask: &Waiter, offers: &[Offer]) -> Option<usize> {
        if let [only] = offers {
            return Some(only.view);
        }
        let candidate = |offer: &Offer| self.candidate(offer.view, offer.load, Some(&ask.size));
        let candidates: Vec<_> = offers.iter().filter_map(candidate).collect();
        pick(self.strategy, &candidates)
    }

    pub(super) fn candidate(
        &self,
        index: usize,
        load: f64,
        size: Option<&Size>,
    ) -> Option<Candidate> {
        let view = self.all.get(index)?;
        let exchanged = view.room.saturating_sub(*self.rooms.get(index)?);
        let price = |(input, output): (f64, f64)| {
            size.map(|size| size.input_real * input + size.output_max * output)
        };
        Some(Candidate {
            provisioned: view.provisioned,
            load,
            in_flight: view.in_flight + exchanged,
            price: view.prices.and_then(price),
            latency: view.latency,
            health: view.health,
            weight: view.weight,
            turn: *self.turns.get(index)?,
            ..Candidate::new(index, view.tier)
        })
    }
}
