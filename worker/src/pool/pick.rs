//! Which deployment takes a call.
//!
//! It must know nothing but what each candidate says of itself.

use tokio::time::Instant;

/// When a candidate could take the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Now.
    Now,
    /// From this time on.
    At(Instant),
    /// When one of its calls has ended, which is expected at this time.
    Full(Instant),
    /// It refuses calls; one will try it again at this time.
    Denied(Instant),
    /// Never: the call is too large for it.
    Never,
}

/// A deployment that serves the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Which one it is.
    pub(super) index: usize,
    /// Lower tiers go first.
    pub(super) tier: u32,
    /// When it could take the call.
    pub(super) ready: Ready,
    /// How much of it is in use: 0 is idle.
    pub(super) load: f64,
}

/// The choice among the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one, now.
    Now(usize),
    /// This one, not before this time.
    Later(usize, Instant),
    /// All that could ever take it refuse calls.
    Denied,
    /// It is too large for every one.
    TooLong,
    /// There is no candidate.
    Nobody,
}

/// Chooses: of those that may send now the lowest tier, there the least loaded; when none may send
/// now, the one that may first.
pub(super) fn pick(candidates: &[Candidate]) -> Choice {
    let now = candidates.iter().filter(|candidate| candidate.ready == Ready::Now);
    let best = now.min_by(|a, b| {
        a.tier.cmp(&b.tier).then(a.load.total_cmp(&b.load)).then(a.index.cmp(&b.index))
    });
    if let Some(best) = best {
        return Choice::Now(best.index);
    }
    let later = candidates.iter().filter_map(|candidate| match candidate.ready {
        Ready::At(at) | Ready::Full(at) => Some((at, candidate.tier, candidate.index)),
        _ => None,
    });
    match later.min() {
        Some((at, _, index)) => Choice::Later(index, at),
        None if candidates.is_empty() => Choice::Nobody,
        None if candidates.iter().all(|candidate| candidate.ready == Ready::Never) => {
            Choice::TooLong
        }
        None => Choice::Denied,
    }
}

/// The next time at which the choice may differ without anything being given back.
pub(super) fn alarm(candidates: &[Candidate]) -> Option<Instant> {
    let times = candidates.iter().filter_map(|candidate| match candidate.ready {
        Ready::At(at) | Ready::Denied(at) => Some(at),
        _ => None,
    });
    times.min()
}
