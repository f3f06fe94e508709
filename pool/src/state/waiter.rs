//! A call that waits for a slot, as its member knows it.

use crate::limiter::Size;
use std::sync::Arc;

/// Somebody who waits for a slot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waiter {
    /// Unique among the asks of a worker.
    pub id: u64,
    /// How large the call is.
    pub size: Size,
    /// Whether somebody waits for its answer.
    pub urgent: bool,
    /// Whether it was served before, and rejected: it goes first.
    pub returned: bool,
    /// For whom.
    pub tenant: Arc<str>,
    /// How much the tenant should get, beside the weights of the others.
    pub weight: f64,
    /// When an answer is of no use any more.
    pub deadline: Option<f64>,
    /// The only view that it may go through.
    pub only: Option<usize>,
    /// Whether it has images.
    pub has_images: bool,
}

impl Waiter {
    /// Whether it is the tenants' turns that decide.
    pub(super) fn goes_by_turn(&self) -> bool {
        !self.urgent && !self.returned
    }

    /// Whether it may go through the view of this index, which takes images or not.
    pub(super) fn may_use(&self, index: usize, sees: bool) -> bool {
        self.only.is_none_or(|only| only == index) && (sees || !self.has_images)
    }
}
