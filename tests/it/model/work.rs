//! What a worker does, one step at a time, and how it dies, sleeps or drops what it does.

use super::{
    next::Next,
    rules::{Acknowledge, Rules},
    state::{COPIES_MAX, Content, DOCUMENTS, Lease, Row, State, Step, WORKERS, Worker},
    world::{claim, forgive, ring_arrives},
};

pub(crate) const PAID_WITHOUT_REASON: &str = "a second payment that nothing excuses";
pub(crate) const CAP_PASSED: &str = "more payments than calls_max";
pub(crate) const ASKED_AGAIN: &str = "a call although the reply was saved";
pub(crate) const FAILED_WITH_REPLY: &str = "given up although the reply was saved";
pub(crate) const GIVEN_UP_UNASKED: &str =
    "given up although nothing was asked since it was accepted";
pub(crate) const GIVEN_UP_UNPAID: &str = "given up although nothing was sent and nobody died";
pub(crate) const STALE_WRITE: &str = "a write with an old fence changed a row";

/// Everything that may happen next to the workers.
pub(crate) fn steps(state: &State, rules: &Rules, next: &mut Vec<Next>) {
    for worker in 0..WORKERS {
        let mut at = At { state, rules, worker, next: &mut *next };
        if state.workers[worker].step == Step::Idle {
            // Two idle workers are one and the same.
            if worker == 0 || state.workers[0].step != Step::Idle {
                at.deliveries();
            }
            continue;
        }
        at.step();
        at.misfortune();
    }
}

/// A worker in a state of the world.
struct At<'a> {
    state: &'a State,
    rules: &'a Rules,
    worker: usize,
    next: &'a mut Vec<Next>,
}

impl At<'_> {
    fn job(&self) -> &Worker {
        &self.state.workers[self.worker]
    }

    fn document(&self) -> usize {
        usize::from(self.job().document)
    }

    fn push(
        &mut self,
        document: usize,
        what: &'static str,
        good: bool,
        change: impl FnOnce(&mut State) -> Option<&'static str>,
    ) {
        let mut state = *self.state;
        let broken = change(&mut state);
        let worker = Some(self.worker);
        self.next.push(Next { what, worker, document, good, state, broken });
    }

    /// A step of the job in hand.
    fn to(&mut self, what: &'static str, good: bool, change: impl FnOnce(&mut Scene<'_>)) {
        let (document, worker, rules) = (self.document(), self.worker, self.rules);
        self.push(document, what, good, |state| {
            let mut scene = Scene { state, rules, worker, document, broken: None };
            change(&mut scene);
            scene.broken
        });
    }

    fn deliveries(&mut self) {
        let (worker, rules) = (self.worker, self.rules);
        for document in 0..DOCUMENTS {
            if self.state.documents[document].messages == 0 {
                continue;
            }
            if rules.acknowledge == Acknowledge::OnDelivery {
                self.push(document, "takes the message and acknowledges it", true, |s| {
                    s.documents[document].messages -= 1;
                    let job = &mut s.workers[worker];
                    (job.step, job.document) = (Step::Delivered, document as u8);
                    None
                });
                continue;
            }
            self.push(document, "takes the message and claims the row", true, |s| {
                s.documents[document].messages -= 1;
                claim(s, rules, worker, document);
                None
            });
        }
    }

    fn step(&mut self) {
        match self.job().step {
            Step::Idle => {}
            Step::Delivered => self.to("claims the row", true, |s| {
                claim(s.state, s.rules, s.worker, s.document);
            }),
            Step::Look => self.to("looks for the saved reply", true, |s| s.look()),
            Step::Intent => self.to("asks the ledger", true, |s| s.intent()),
            Step::LookBeforeCall => {
                self.to("looks again before the call", true, |s| s.look_again())
            }
            Step::LookBeforeFail => {
                self.to("looks again before it fails", true, |s| s.look_again())
            }
            Step::Reserved => self.reserved(),
            Step::InFlight => self.outcomes(),
            Step::Answered => self.to("saves the reply", true, |s| s.save()),
            Step::Saved => self.to("closes the call: answered", true, |s| {
                s.answered();
                s.job().step = Step::Replied;
            }),
            Step::EndUnbilled => self.to("closes the call: unbilled", true, |s| s.unbilled()),
            Step::EndUnknown => self.to("closes the call: unknown", true, |s| {
                s.free();
                s.again();
            }),
            Step::Replied => self.to("saves the result", true, |s| s.result()),
            Step::ResultSaved => self.to("finishes", true, |s| s.finish()),
            Step::Fail => self.to("fails the document", true, |s| {
                s.end(|row| (row.row, row.lease) = (Row::Failed, Lease::None));
            }),
            Step::Release => self.to("gives the document back", true, |s| {
                s.end(|row| {
                    (row.row, row.lease) = (Row::Queued, Lease::None);
                    row.outbox = (row.outbox + 1).min(COPIES_MAX);
                });
            }),
            Step::Ack => self.to("acknowledges", true, |s| *s.job() = Worker::default()),
        }
    }

    fn reserved(&mut self) {
        self.to("its time has come: calls", true, |s| s.go());
        if self.state.left.voids > 0 {
            self.to("its reservation is void: gives the call back", false, |s| {
                s.state.left.voids -= 1;
                if s.rules.void_gives_back {
                    s.unbilled();
                } else {
                    s.free();
                    s.again();
                }
            });
        }
    }

    fn outcomes(&mut self) {
        if self.state.left.hedges > 0 && self.may_hedge() {
            self.to("makes the call a second time", false, |s| {
                s.state.left.hedges -= 1;
                if s.rules.hedge_in_ledger {
                    s.ledger().calls += 1;
                }
                // One of the two will be given up, and is paid.
                s.pay();
            });
        }
        self.to("the model answers", true, |s| {
            s.pay();
            let answers = &mut s.reply().answers;
            *answers += 1;
            let reply = *answers;
            (s.job().reply, s.job().step) = (reply, Step::Answered);
        });
        if self.state.left.unbilled > 0 {
            self.to("the call fails, unbilled", false, |s| {
                s.state.left.unbilled -= 1;
                s.job().step = Step::EndUnbilled;
            });
        }
        if self.state.left.unknown > 0 {
            self.to("the call fails, paid and unknown", false, |s| {
                s.state.left.unknown -= 1;
                s.pay();
                s.job().step = Step::EndUnknown;
            });
        }
    }

    /// Whether the ledger lets a call be made beside the one under way.
    fn may_hedge(&self) -> bool {
        let row = self.state.documents[self.document()];
        let ledger = self.state.ledgers[self.rules.ledger(self.document())];
        let ours = self.job().newest && row.row == Row::Processing && row.lease == Lease::Live;
        let has_room = ledger.calls < self.rules.calls_max || !self.rules.hedge_in_ledger;
        ours && !ledger.answered && has_room
    }

    fn misfortune(&mut self) {
        let (job, left) = (*self.job(), self.state.left);
        let row = self.state.documents[self.document()];
        if left.crashes > 0 {
            self.to("dies", false, |s| {
                s.state.left.crashes -= 1;
                s.abandon();
                if job.holds {
                    ring_arrives(s.state, s.document);
                }
                *s.job() = Worker::default();
            });
        }
        if !job.step.is_held() {
            return;
        }
        let ours = job.newest && row.row == Row::Processing;
        if ours && row.lease == Lease::Expired {
            self.to("its heartbeat prolongs the lease", true, |s| {
                let row = &mut s.state.documents[s.document];
                (row.lease, row.rung) = (Lease::Live, false);
            });
        }
        if !ours {
            self.to("its heartbeat is refused: stops", true, |s| {
                s.abandon();
                s.job().after_call(Step::Ack);
            });
        }
        if ours && left.stops > 0 {
            self.to("is stopped: hands back", false, |s| {
                s.state.left.stops -= 1;
                s.abandon();
                s.job().after_call(Step::Release);
            });
        }
    }
}

/// A job in a state that is being made.
struct Scene<'a> {
    state: &'a mut State,
    rules: &'a Rules,
    worker: usize,
    document: usize,
    broken: Option<&'static str>,
}

impl Scene<'_> {
    fn job(&mut self) -> &mut Worker {
        &mut self.state.workers[self.worker]
    }

    fn ledger(&mut self) -> &mut super::state::Ledger {
        &mut self.state.ledgers[self.rules.ledger(self.document)]
    }

    fn reply(&mut self) -> &mut super::state::Reply {
        &mut self.state.replies[self.rules.reply(self.document)]
    }

    fn look(&mut self) {
        match self.reply().saved {
            Some(reply) => self.replay(reply),
            None => self.job().step = Step::Intent,
        }
    }

    /// The saved reply is used. It may have been saved by somebody who died before saying so.
    fn replay(&mut self, reply: u8) {
        self.answered();
        let job = self.job();
        job.after_call(Step::Replied);
        (job.reply, job.replayed) = (reply, true);
    }

    fn intent(&mut self) {
        let row = self.state.documents[self.document];
        let live = row.lease == Lease::Live || !self.rules.lease_on_intent;
        if !(self.job().newest && row.row == Row::Processing && live) {
            return self.job().step = Step::Ack;
        }
        let known = *self.ledger();
        let saved = self.reply().saved;
        if known.answered {
            match saved {
                Some(reply) if !self.rules.look_before => return self.replay(reply),
                _ => return self.job().step = Step::Look,
            }
        }
        let busy = known.owner.map(usize::from).filter(|owner| *owner != self.document);
        let busy = busy.map(|owner| self.state.documents[owner]);
        if busy.is_some_and(|row| row.row == Row::Processing && row.lease == Lease::Live) {
            return self.again();
        }
        self.job().late = saved.is_some();
        if known.calls >= self.rules.calls_max && row.fresh && self.rules.upload_allows {
            forgive(self.state, self.rules, self.document);
        }
        let known = *self.ledger();
        if known.calls >= self.rules.calls_max {
            let is_unpaid = known.paid == 0 && !known.lost && !self.somebody_calls();
            let is_unasked = row.fresh.then_some(GIVEN_UP_UNASKED);
            self.broken = is_unasked.or(is_unpaid.then_some(GIVEN_UP_UNPAID));
            self.job().step = Step::LookBeforeFail;
        } else {
            self.state.documents[self.document].asked = true;
            let ledger = self.rules.ledger(self.document);
            for (number, row) in self.state.documents.iter_mut().enumerate() {
                row.fresh &= self.rules.ledger(number) != ledger;
            }
            let owner = self.document as u8;
            let ledger = self.ledger();
            (ledger.calls, ledger.owner) = (ledger.calls + 1, Some(owner));
            self.job().open = true;
            self.job().step = Step::LookBeforeCall;
        }
        if !self.rules.look_after {
            self.go();
        }
    }

    fn look_again(&mut self) {
        let saved = self.reply().saved;
        match saved {
            Some(reply) => {
                if self.job().step == Step::LookBeforeCall {
                    self.give_back();
                }
                self.replay(reply);
            }
            None if self.job().step == Step::LookBeforeCall => self.job().step = Step::Reserved,
            None => self.go(),
        }
    }

    /// Calls or fails: nothing is looked at any more.
    fn go(&mut self) {
        let late = self.job().late;
        if self.job().step == Step::LookBeforeFail {
            self.broken = late.then_some(FAILED_WITH_REPLY);
            self.job().after_call(Step::Fail);
        } else {
            self.broken = late.then_some(ASKED_AGAIN);
            self.job().step = Step::InFlight;
        }
    }

    fn pay(&mut self) {
        if !self.job().forgiven {
            let calls_max = self.rules.calls_max;
            let ledger = self.ledger();
            ledger.paid += 1;
            if ledger.paid > calls_max {
                self.broken = Some(CAP_PASSED);
            }
        }
    }

    /// Whether some worker has a call of this question open or under way.
    fn somebody_calls(&self) -> bool {
        let ledger = self.rules.ledger(self.document);
        let mut workers = self.state.workers.iter();
        workers.any(|worker| {
            worker.step.is_in_call() && self.rules.ledger(usize::from(worker.document)) == ledger
        })
    }

    /// What is being asked is left alone: the provider goes on, and is paid. An intent that was not
    /// sent stays counted.
    fn abandon(&mut self) {
        let step = self.job().step;
        match step {
            Step::InFlight => self.pay(),
            Step::LookBeforeCall | Step::Reserved | Step::EndUnbilled => self.lose(),
            _ => {}
        }
    }

    /// The ledger goes on counting a call that was not paid.
    fn lose(&mut self) {
        if !self.job().forgiven {
            self.ledger().lost = true;
        }
    }

    fn save(&mut self) {
        let (mine, excused, once) = (self.job().reply, self.job().excused, self.rules.reply_once);
        let reply = self.reply();
        let saved = match reply.saved {
            Some(first) if once => first,
            _ => mine,
        };
        reply.saved = Some(saved);
        reply.clean += u8::from(!excused);
        if reply.clean > 1 {
            self.broken = Some(PAID_WITHOUT_REASON);
        }
        self.job().after_call(Step::Saved);
        self.job().reply = saved;
    }

    fn answered(&mut self) {
        let ledger = self.ledger();
        (ledger.answered, ledger.owner) = (true, None);
    }

    fn unbilled(&mut self) {
        self.give_back();
        self.again();
    }

    fn give_back(&mut self) {
        if self.job().open {
            let owner_frees = self.rules.owner_frees;
            let ledger = self.ledger();
            ledger.calls = ledger.calls.saturating_sub(1);
            if !owner_frees {
                ledger.owner = None;
            }
        } else {
            // A later claim has closed it as unknown.
            self.lose();
        }
        self.free();
    }

    fn free(&mut self) {
        let (document, newest) = (self.document as u8, self.job().newest);
        let may = newest || !self.rules.owner_frees;
        let ledger = self.ledger();
        if may && ledger.owner == Some(document) {
            ledger.owner = None;
        }
    }

    fn again(&mut self) {
        let first = if self.rules.look_before { Step::Look } else { Step::Intent };
        self.job().after_call(first);
    }

    fn result(&mut self) {
        let job = *self.job();
        let content = Content { reply: job.reply, replayed: job.replayed };
        let result = &mut self.state.documents[self.document].results[usize::from(job.run)];
        if result.is_none() || !self.rules.result_once {
            *result = Some(content);
        }
        self.job().step = Step::ResultSaved;
    }

    fn finish(&mut self) {
        let run = self.job().run;
        let row = &mut self.state.documents[self.document];
        if row.run == run && row.row.is_open() {
            (row.row, row.lease) = (Row::Succeeded, Lease::None);
            row.seen = row.results[usize::from(run)];
        }
        self.job().step = Step::Ack;
    }

    /// An end without a result, or none yet: only the newest claim may write it.
    fn end(&mut self, write: impl FnOnce(&mut super::state::Document)) {
        let newest = self.job().newest;
        let row = &mut self.state.documents[self.document];
        let may = newest || !self.rules.fence_on_end;
        if may && row.row == Row::Processing {
            write(row);
            self.broken = (!newest).then_some(STALE_WRITE);
        }
        self.job().step = Step::Ack;
    }
}
