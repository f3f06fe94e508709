//! Who is served next.
//!
//! Interactive calls go before bulk. Within bulk, tenants share by weight (start-time fair
//! queueing, see [`Times`]), each in the order of asking. A call that its provider rejected for want
//! of room comes back to the front of its band, without paying again. It must know nothing of
//! deployments, the clock or the network.

mod times;

pub(super) use times::Times;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use times::step;

/// A place in the order, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TicketId(u64);

/// Who waits, and for how much.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ticket {
    /// Who pays with its turn.
    pub(super) tenant: Arc<str>,
    /// How much of bulk the tenant should get, beside the weights of the others.
    pub(super) weight: f64,
    /// What the call takes of the quota, in tokens.
    pub(super) cost: f64,
    /// Whether somebody waits for the answer.
    pub(super) interactive: bool,
    /// Whether it was served before and found no room.
    pub(super) returned: bool,
}

/// The lines that go before the tenants' own, first to last; each in the order of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    InteractiveReturned,
    Interactive,
    BulkReturned,
}

/// When a tenant is served: its clock, then who asked first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    clock: f64,
    number: u64,
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.clock.total_cmp(&other.clock).then(self.number.cmp(&other.number))
    }
}

/// One tenant's own line, and the turn under which it stands among the others.
#[derive(Debug)]
struct Queue {
    turn: Turn,
    numbers: BTreeSet<u64>,
}

/// All who wait for the deployments of one model.
#[derive(Debug, Default)]
pub(super) struct Order {
    tickets: HashMap<u64, Ticket>,
    lines: BTreeSet<(Line, u64)>,
    queues: HashMap<Arc<str>, Queue>,
    turns: BTreeMap<Turn, Arc<str>>,
    times: Times,
    number: u64,
    /// How many clocks stayed when the outdated ones were last forgotten.
    swept: usize,
}

/// Below so many clocks nothing is forgotten for its own sake.
const CLOCKS_MIN: usize = 64;

impl Order {
    /// Queues up: behind its tenant's others, or before its whole band when it came back.
    pub(super) fn enter(&mut self, ticket: Ticket) -> TicketId {
        self.number += 1;
        let number = self.number;
        match line(&ticket) {
            Some(line) => {
                self.lines.insert((line, number));
            }
            None => self.queue(&ticket.tenant, number),
        }
        self.tickets.insert(number, ticket);
        TicketId(number)
    }

    /// Takes a ticket out to serve it: its tenant pays, unless it paid before.
    pub(super) fn serve(&mut self, id: TicketId) -> Option<Ticket> {
        // What the one most behind has reached is where the next newcomer starts. That holds also
        // when somebody else is served because the head waits for another deployment.
        if let Some((turn, _)) = self.turns.first_key_value() {
            self.times.reach(turn.clock);
        }
        let ticket = self.tickets.get(&id.0)?.clone();
        if line(&ticket).is_none() {
            self.times.charge(&ticket.tenant, ticket.cost, ticket.weight);
        }
        self.sweep();
        self.take(id)
    }

    /// Takes a ticket out that is not served: nothing is left of it.
    pub(super) fn cancel(&mut self, id: TicketId) -> Option<Ticket> {
        self.take(id)
    }

    /// What a ticket was served came back unused: its tenant has not paid.
    pub(super) fn refund(&mut self, ticket: &Ticket) {
        if line(ticket).is_none() {
            self.times.refund(&ticket.tenant, ticket.cost, ticket.weight);
            self.settle(&ticket.tenant);
        }
    }

    /// Who is served next.
    pub(super) fn head(&self) -> Option<TicketId> {
        let line = self.lines.first().map(|(_, number)| *number);
        let number = line.or_else(|| {
            let (_, tenant) = self.turns.first_key_value()?;
            self.queues.get(tenant)?.numbers.first().copied()
        });
        number.map(TicketId)
    }

    /// All in the order in which they would be served now.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (TicketId, &Ticket)> {
        let mut turns: BTreeMap<Turn, _> = BTreeMap::new();
        for queue in self.queues.values() {
            turns.insert(queue.turn, queue.numbers.iter().peekable());
        }
        let bulk = std::iter::from_fn(move || {
            let (turn, mut numbers) = turns.pop_first()?;
            let number = *numbers.next()?;
            if let Some(&&next) = numbers.peek() {
                let paid = self.tickets.get(&number).map(|one| step(one.cost, one.weight));
                let clock = turn.clock + paid.unwrap_or_default();
                turns.insert(Turn { clock, number: next }, numbers);
            }
            Some(number)
        });
        let lines = self.lines.iter().map(|(_, number)| *number);
        let ticket = |number| Some((TicketId(number), self.tickets.get(&number)?));
        lines.chain(bulk).filter_map(ticket)
    }

    /// The place of a ticket, from 1, were all served in the order of now.
    pub(super) fn position(&self, id: TicketId) -> Option<usize> {
        Some(self.in_order().position(|(other, _)| other == id)? + 1)
    }

    /// Who has this ticket.
    pub(super) fn get(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.get(&id.0)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// What was served so far, to be shared with others.
    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    /// Goes on from what others have served, too.
    pub(super) fn adopt(&mut self, times: Times) {
        self.times = times;
        let tenants: Vec<Arc<str>> = self.queues.keys().cloned().collect();
        for tenant in tenants {
            self.settle(&tenant);
        }
    }

    fn queue(&mut self, tenant: &Arc<str>, number: u64) {
        if let Some(queue) = self.queues.get_mut(tenant) {
            // Numbers grow: the head, and with it the turn, stays.
            queue.numbers.insert(number);
            return;
        }
        let turn = Turn { clock: self.times.begin(tenant), number };
        self.turns.insert(turn, Arc::clone(tenant));
        self.queues.insert(Arc::clone(tenant), Queue { turn, numbers: [number].into() });
    }

    fn take(&mut self, id: TicketId) -> Option<Ticket> {
        let ticket = self.tickets.remove(&id.0)?;
        match line(&ticket) {
            Some(line) => {
                self.lines.remove(&(line, id.0));
            }
            None => {
                if let Some(queue) = self.queues.get_mut(&ticket.tenant) {
                    queue.numbers.remove(&id.0);
                }
                self.settle(&ticket.tenant);
            }
        }
        Some(ticket)
    }

    /// Forgets the clocks that time has caught up with, now and then.
    fn sweep(&mut self) {
        if self.times.clocks.len() > 2 * self.swept.max(CLOCKS_MIN) {
            self.times.keep(|tenant| self.queues.contains_key(tenant));
            self.swept = self.times.clocks.len();
        }
    }

    /// Puts a tenant where its clock and its first ticket belong.
    fn settle(&mut self, tenant: &Arc<str>) {
        let clock = self.times.of(tenant);
        let Some(queue) = self.queues.get_mut(tenant) else {
            self.times.end(tenant);
            return;
        };
        self.turns.remove(&queue.turn);
        match queue.numbers.first() {
            Some(&number) => {
                queue.turn = Turn { clock, number };
                self.turns.insert(queue.turn, Arc::clone(tenant));
            }
            None => {
                self.queues.remove(tenant);
                self.times.end(tenant);
                if self.queues.is_empty() {
                    self.times.rest();
                }
            }
        }
    }
}

/// The line that a ticket stands in, unless it is its tenant's own.
fn line(ticket: &Ticket) -> Option<Line> {
    match (ticket.interactive, ticket.returned) {
        (true, true) => Some(Line::InteractiveReturned),
        (true, false) => Some(Line::Interactive),
        (false, true) => Some(Line::BulkReturned),
        (false, false) => None,
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
