//! How many documents are in work at once. Some of the room is kept for interactive ones, which may
//! use all of it.
//!
//! It must know nothing of queues.

use shared::document::Priority;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for the documents in work.
pub(super) struct Room {
    all: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    most: u32,
    most_bulk: u32,
}

/// The right to wait for room. Bulk documents get no more of these than they may have room.
pub(super) struct WaitPermit {
    _bulk: Option<OwnedSemaphorePermit>,
}

/// Permits one document to be in work, until it is dropped.
pub(super) struct Permit {
    _place: WaitPermit,
    _all: OwnedSemaphorePermit,
}

impl Room {
    /// For so many documents. So much of it is kept for interactive ones; one is always left for the
    /// others.
    pub(super) fn new(concurrency: u32, interactive_reserved: u32) -> Self {
        let most = concurrency.max(1);
        let most_bulk = most.saturating_sub(interactive_reserved).max(1);
        let semaphore = |permits: u32| Arc::new(Semaphore::new(permits as usize));
        Self { all: semaphore(most), bulk: semaphore(most_bulk), most, most_bulk }
    }

    /// The most that may have this priority.
    pub(super) fn most(&self, priority: Priority) -> u32 {
        match priority {
            Priority::Interactive => self.most,
            Priority::Bulk => self.most_bulk,
        }
    }

    /// How many could have room now, at least one.
    pub(super) fn free(&self, priority: Priority) -> u32 {
        let all = self.all.available_permits();
        let free = match priority {
            Priority::Interactive => all,
            // One is taken already.
            Priority::Bulk => all.min(self.bulk.available_permits().saturating_add(1)),
        };
        u32::try_from(free).unwrap_or(u32::MAX).max(1)
    }

    /// Waits until one more of this priority may wait for room; never none.
    pub(super) async fn wait_permit(&self, priority: Priority) -> Option<WaitPermit> {
        let bulk = match priority {
            Priority::Interactive => None,
            Priority::Bulk => Some(Arc::clone(&self.bulk).acquire_owned().await.ok()?),
        };
        Some(WaitPermit { _bulk: bulk })
    }

    /// Waits for the room of one document; never none.
    pub(super) async fn enter(&self, place: WaitPermit) -> Option<Permit> {
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit { _place: place, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn enter(room: &Room, priority: Priority) -> Option<Permit> {
        let place = room.wait_permit(priority).now_or_never().flatten()?;
        room.enter(place).now_or_never().flatten()
    }

    #[test]
    fn bulk_leaves_room_for_interactive_and_interactive_may_use_all() {
        use Priority::{Bulk, Interactive};
        // Concurrency and what is reserved, and then how many of each enter.
        for (concurrency, reserved, bulk, interactive) in
            [(8, 2, 6, 2), (4, 0, 4, 0), (1, 1, 1, 0), (3, 9, 1, 2)]
        {
            let room = Room::new(concurrency, reserved);
            let first: Vec<_> = std::iter::from_fn(|| enter(&room, Bulk)).collect();
            let second: Vec<_> = std::iter::from_fn(|| enter(&room, Interactive)).collect();
            assert_eq!((first.len(), second.len()), (bulk, interactive), "{concurrency}");
            drop((first, second));
            let all: Vec<_> = std::iter::from_fn(|| enter(&room, Interactive)).collect();
            assert_eq!(all.len(), concurrency as usize);
            assert!(enter(&room, Bulk).is_none());
        }
    }

    #[test]
    fn a_wait_permit_alone_takes_no_room_from_others() {
        let room = Room::new(1, 0);
        let place = room.wait_permit(Priority::Bulk).now_or_never().flatten();
        assert!(place.is_some() && enter(&room, Priority::Interactive).is_some());
    }
}
