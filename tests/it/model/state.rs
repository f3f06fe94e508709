//! What the model knows of the world: rows, rings, messages, objects, and what workers have in
//! their memory. Plain data, small enough that every state within the bounds can be kept.
//!
//! Fences are not numbers here: all that a fence decides is whether a claim is the newest one, so
//! that is what a job remembers.

pub(crate) const DOCUMENTS: usize = 2;
pub(crate) const WORKERS: usize = 2;

/// No more than so many equal rings or messages are told apart.
pub(crate) const COPIES_MAX: u8 = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Upload {
    /// There is no such document in this scenario, or its uploader died before it was accepted.
    #[default]
    Never,
    Coming,
    Stored,
    /// The row is there and the message is not: only where there is no outbox.
    Committed,
    Over,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Row {
    #[default]
    Absent,
    Queued,
    Processing,
    Succeeded,
    Failed,
    Cancelled,
}

impl Row {
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Processing)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lease {
    #[default]
    None,
    Live,
    Expired,
}

/// What tells two results of one document apart: the reply behind it, and its account of payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Content {
    pub(crate) reply: u8,
    pub(crate) replayed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Document {
    pub(crate) upload: Upload,
    pub(crate) row: Row,
    pub(crate) lease: Lease,
    /// The sweep has rung since the lease ran out.
    pub(crate) rung: bool,
    /// 0, or 1 once a user asked for another run.
    pub(crate) run: u8,
    pub(crate) attempts: u8,
    /// The ledger has a call of this document.
    pub(crate) asked: bool,
    /// No call of its question was begun since it was accepted, or asked for again.
    pub(crate) fresh: bool,
    pub(crate) outbox: u8,
    pub(crate) messages: u8,
    /// The result object of each run.
    pub(crate) results: [Option<Content>; 2],
    /// What a reader saw when the document succeeded.
    pub(crate) seen: Option<Content>,
}

/// The row of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ledger {
    pub(crate) calls: u8,
    /// The document whose newest claim is asking.
    pub(crate) owner: Option<u8>,
    pub(crate) answered: bool,
    /// Payments since a user last allowed more. Not in the database: the truth that it bounds.
    pub(crate) paid: u8,
    /// Noted: an intent stays counted that was never sent, since its worker died or was stopped.
    pub(crate) lost: bool,
}

/// What exists outside of the database for one question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Reply {
    pub(crate) saved: Option<u8>,
    /// How many answers a model has given.
    pub(crate) answers: u8,
    /// Payments that no crash, no lost claim and no unknown outcome excuses.
    pub(crate) clean: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    #[default]
    Idle,
    /// A message is in hand and the row was not looked at: only where that comes after the
    /// acknowledgement.
    Delivered,
    Look,
    Intent,
    /// The ledger has the call, nothing was sent.
    LookBeforeCall,
    /// The ledger has the call and there is no reply: it waits for the time of its reservation.
    Reserved,
    /// The ledger says that the cap is reached.
    LookBeforeFail,
    InFlight,
    /// The answer is in memory only.
    Answered,
    EndUnbilled,
    EndUnknown,
    /// The reply is in storage, the ledger does not know.
    Saved,
    Replied,
    ResultSaved,
    Fail,
    Release,
    Ack,
}

impl Step {
    /// A call is in the ledger, and its answer is not in storage.
    pub(crate) fn is_in_call(self) -> bool {
        matches!(
            self,
            Self::LookBeforeCall
                | Self::Reserved
                | Self::InFlight
                | Self::Answered
                | Self::EndUnbilled
                | Self::EndUnknown
        )
    }

    /// Somebody works on a claim, and a heartbeat goes with it.
    pub(crate) fn is_held(self) -> bool {
        !matches!(self, Self::Idle | Self::Delivered | Self::Fail | Self::Release | Self::Ack)
    }
}

/// What a worker remembers. All of it is lost in a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Worker {
    pub(crate) step: Step,
    pub(crate) document: u8,
    /// Its message is not acknowledged.
    pub(crate) holds: bool,
    /// Its claim is the newest of the document.
    pub(crate) newest: bool,
    pub(crate) run: u8,
    pub(crate) reply: u8,
    pub(crate) replayed: bool,
    /// Its call is open in the ledger.
    pub(crate) open: bool,
    /// Not remembered but noted: its claim was not live all the time since the intent.
    pub(crate) excused: bool,
    /// Noted: a user allowed more calls since the intent.
    pub(crate) forgiven: bool,
    /// Noted: the reply was in storage when the intent was answered.
    pub(crate) late: bool,
}

impl Worker {
    /// The call is over: what was noted about it is forgotten.
    pub(crate) fn after_call(&mut self, step: Step) {
        self.step = step;
        (self.open, self.excused, self.forgiven, self.late) = (false, false, false, false);
    }
}

/// How much may still go wrong, and how often a user may still interfere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Budget {
    pub(crate) crashes: u8,
    /// Leases that run out although their worker goes on.
    pub(crate) lapses: u8,
    pub(crate) doubles: u8,
    pub(crate) losses: u8,
    /// Calls that fail, and it is certain that they were not paid.
    pub(crate) unbilled: u8,
    /// Calls that fail, and nobody knows whether they were paid (they were).
    pub(crate) unknown: u8,
    /// Reservations that come to nothing after the intent: the deployment closes, or the worker
    /// slept.
    pub(crate) voids: u8,
    /// Late calls that are made a second time.
    pub(crate) hedges: u8,
    /// Work that is dropped in the middle and handed back: a deadline, a shutdown.
    pub(crate) stops: u8,
    pub(crate) cancels: u8,
    pub(crate) retries: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct State {
    pub(crate) documents: [Document; DOCUMENTS],
    pub(crate) ledgers: [Ledger; DOCUMENTS],
    pub(crate) replies: [Reply; DOCUMENTS],
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) left: Budget,
    /// The queue has lost a message.
    pub(crate) lost: bool,
}

impl State {
    /// The same state as it is told when workers and documents change names: of all of them one
    /// stands for the others.
    pub(crate) fn canonical(mut self, shared_ledger: bool, shared_reply: bool) -> Self {
        let mut other = self;
        other.documents.swap(0, 1);
        if !shared_ledger {
            other.ledgers.swap(0, 1);
        }
        if !shared_reply {
            other.replies.swap(0, 1);
        }
        for ledger in &mut other.ledgers {
            ledger.owner = ledger.owner.map(|owner| 1 - owner);
        }
        for worker in &mut other.workers {
            if worker.step != Step::Idle {
                worker.document = 1 - worker.document;
            }
        }
        self.workers.sort_unstable();
        other.workers.sort_unstable();
        self.min(other)
    }
}
