//! The rules of the protocol. Each can be broken, to see that the properties notice.

/// How the protocol goes. [`Rules::SLUICE`] is what the code does; every other value is a mistake
/// that somebody could make (or, where it says so, that the code once made).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Payments at most for one question.
    pub(crate) calls_max: u8,
    /// How often a document is taken up; 0 for "without end".
    pub(crate) attempts_max: u8,
    /// Both documents have the same bytes: they ask the same question.
    pub(crate) same_bytes: bool,
    pub(crate) acknowledge: Acknowledge,
    /// Row and ring are one transaction, and a relay publishes.
    pub(crate) outbox: bool,
    /// `fail` and `release` ask for the newest fence.
    pub(crate) fence_on_end: bool,
    /// The intent asks for a live lease.
    pub(crate) lease_on_intent: bool,
    /// The saved reply is looked for before the intent.
    pub(crate) look_before: bool,
    /// The saved reply is looked for again after the intent. The code once did not.
    pub(crate) look_after: bool,
    /// An intent whose reservation came to nothing is given back without counting.
    pub(crate) void_gives_back: bool,
    /// The result object is put only if there is none.
    pub(crate) result_once: bool,
    /// The reply object is put only if there is none.
    pub(crate) reply_once: bool,
    /// Calls are counted per question, not per document.
    pub(crate) ledger_per_question: bool,
    /// The end of a call frees its question only where its own claim is the owner. The code once
    /// let any call of the document do so, and any call that was not paid.
    pub(crate) owner_frees: bool,
    /// A retry closes open calls in the ledger, so that none gives back what was forgiven. The
    /// code once did not.
    pub(crate) retry_closes: bool,
    /// An upload after the last call of its question allows as many calls anew.
    pub(crate) upload_allows: bool,
    /// A second call is an intent of its own.
    pub(crate) hedge_in_ledger: bool,
    /// The sweep rings for leases that ran out.
    pub(crate) sweep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// Before the row is looked at.
    OnDelivery,
    /// As soon as the row is claimed.
    OnClaim,
    /// When the end is written.
    Last,
}

impl Rules {
    pub(crate) const SLUICE: Self = Self {
        calls_max: 2,
        attempts_max: 0,
        same_bytes: true,
        acknowledge: Acknowledge::Last,
        outbox: true,
        fence_on_end: true,
        lease_on_intent: true,
        look_before: true,
        look_after: true,
        void_gives_back: true,
        result_once: true,
        reply_once: true,
        ledger_per_question: true,
        owner_frees: true,
        retry_closes: true,
        upload_allows: true,
        hedge_in_ledger: true,
        sweep: true,
    };

    pub(crate) fn shared_ledger(&self) -> bool {
        self.same_bytes && self.ledger_per_question
    }

    /// Which row of the ledger counts the calls of a document.
    pub(crate) fn ledger(&self, document: usize) -> usize {
        if self.shared_ledger() { 0 } else { document }
    }

    /// Which reply answers a document.
    pub(crate) fn reply(&self, document: usize) -> usize {
        if self.same_bytes { 0 } else { document }
    }
}
