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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_choice_follows_tier_then_load_then_time() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        type Row<'a> = (&'a [(u32, Ready, f64)], Choice);
        let table: &[Row] = &[
            (&[], Choice::Nobody),
            (&[(0, Ready::Now, 0.5), (0, Ready::Now, 0.1)], Choice::Now(1)),
            (&[(0, Ready::Now, 0.5), (0, Ready::Now, 0.5)], Choice::Now(0)),
            (&[(0, Ready::Now, 0.9), (1, Ready::Now, 0.0)], Choice::Now(0)),
            (&[(0, Ready::At(at(1)), 0.0), (1, Ready::Now, 0.0)], Choice::Now(1)),
            (&[(0, Ready::Full(at(1)), 0.0), (1, Ready::Now, 0.0)], Choice::Now(1)),
            (&[(0, Ready::At(at(9)), 0.0), (1, Ready::At(at(5)), 0.0)], Choice::Later(1, at(5))),
            (&[(1, Ready::At(at(5)), 0.0), (0, Ready::At(at(5)), 0.0)], Choice::Later(1, at(5))),
            (
                &[(0, Ready::Denied(at(1)), 0.0), (0, Ready::At(at(5)), 0.0)],
                Choice::Later(1, at(5)),
            ),
            (&[(0, Ready::Denied(at(1)), 0.0), (0, Ready::Never, 0.0)], Choice::Denied),
            (&[(0, Ready::Never, 0.0), (1, Ready::Never, 0.0)], Choice::TooLong),
            (&[(0, Ready::Never, 0.0), (1, Ready::Now, 0.0)], Choice::Now(1)),
        ];
        for (candidates, expected) in table {
            let candidates: Vec<_> = (0..)
                .zip(*candidates)
                .map(|(index, &(tier, ready, load))| Candidate { index, tier, ready, load })
                .collect();
            assert_eq!(pick(&candidates), *expected, "{candidates:?}");
        }
    }

    #[test]
    fn the_alarm_is_the_first_computed_time() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let of = |ready| Candidate { index: 0, tier: 0, ready, load: 0.0 };
        assert_eq!(alarm(&[of(Ready::Full(at(1))), of(Ready::Never)]), None);
        let some = [of(Ready::At(at(3))), of(Ready::Denied(at(2))), of(Ready::Full(at(1)))];
        assert_eq!(alarm(&some), Some(at(2)));
    }
}
