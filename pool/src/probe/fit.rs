//! From what responses said of limits to what kind of limiter that is and what it charges
//! (the questions that no document answers; only a real deployment does).
//!
//! Pure: numbers in, findings out. It must know nothing of calls.

use super::plan::{self, OUTPUT, Sizes, Trial};
use crate::config::{DeploymentConfig, Provider};
use crate::limiter::LimiterKind;
use crate::provider::headers::RateLimits;
use crate::typed::usage::Usage;
use serde::Serialize;

/// How long a sliding window remembers, in seconds.
const WINDOW: f64 = 60.0;

/// What a quarter of a token is a quarter of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Unicode scalar values.
    Characters,
    /// UTF-16 code units.
    Utf16,
    /// UTF-8 bytes.
    Bytes,
    /// The tokens of the model itself.
    Tokens,
}

/// One answered call of the probe.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) trial: Trial,
    /// When it was sent, in seconds.
    pub(super) at: f64,
    pub(super) limits: RateLimits,
    pub(super) usage: Usage,
}

impl Seen {
    /// Tokens of the question and of the answer.
    fn used(&self) -> f64 {
        (self.usage.tokens_input + self.usage.tokens_output) as f64
    }
}

/// What a probe has found; none where it cannot be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// The kind of limiter.
    pub limiter: Option<LimiterKind>,
    /// Whether the room for the answer is charged at admission.
    pub charge_output: Option<bool>,
    /// How many characters of the question are charged as a token.
    pub charge_characters_per_token: Option<f64>,
    /// Whether the real use replaces the charge when the answer is complete.
    pub charge_settled: Option<bool>,
    /// What is counted as a character.
    pub counted_in: Option<Unit>,
    /// Whether the characters of a schema are charged.
    pub schema_is_charged: Option<bool>,
    /// Whether the characters of tools are charged.
    pub tools_are_charged: Option<bool>,
    /// The window of the requests, in seconds.
    pub requests_window_seconds: Option<u32>,
    /// The quota that its headers name: tokens a minute.
    pub tokens_per_minute: Option<u64>,
    /// The quota that its headers name: requests a minute.
    pub requests_per_minute: Option<u64>,
    /// The same question cost more than once more than the other time: somebody else calls.
    pub is_disturbed: bool,
}

/// The kind of limiter that one response shows.
pub(super) fn recognise(limits: &RateLimits, deployment: &DeploymentConfig) -> Option<LimiterKind> {
    if limits.utilisation.is_some() {
        return Some(LimiterKind::Ptu);
    }
    if limits.tokens_limit.is_some() || limits.requests_limit.is_some() {
        return Some(LimiterKind::Bucket);
    }
    let left = match (limits.requests_left, limits.tokens_left) {
        (Some(left), _) => left,
        (None, Some(_)) => return Some(LimiterKind::Window),
        // Other servers simply have no limits.
        (None, None) => {
            return (deployment.provider == Provider::Azure).then_some(LimiterKind::Ptu);
        }
    };
    // The older kind counts ten seconds.
    match left <= plan::quota(deployment).1.div_ceil(6) {
        true => Some(LimiterKind::Window),
        false => Some(LimiterKind::Bucket),
    }
}

/// How long a bucket takes, in seconds, to be full again after a call.
pub(super) fn refill(seen: &Seen, tokens_per_minute: u64) -> f64 {
    let limit = seen.limits.tokens_limit.unwrap_or(tokens_per_minute) as f64;
    let missing = seen.limits.tokens_left.map_or(0.0, |left| limit - left as f64);
    let used = seen.used();
    (missing.max(0.0) + used) / limit.max(1.0) * 60.0
}

/// What the calls of a probe show together.
pub(super) fn fit(seen: &[Seen], sizes: &Sizes, deployment: &DeploymentConfig) -> Findings {
    let Some(first) = seen.first() else { return Findings::default() };
    let mut found = Findings {
        limiter: recognise(&first.limits, deployment),
        requests_window_seconds: requests_window(&first.limits, deployment),
        tokens_per_minute: first.limits.tokens_limit,
        requests_per_minute: first.limits.requests_limit,
        ..Findings::default()
    };
    let remaining = |seen: &Seen| seen.limits.tokens_left.map(|left| left as f64);
    let left = |trial| seen.iter().find(|seen| seen.trial == trial).and_then(remaining);
    let (Some(base), Some(again)) = (left(Trial::Base), left(Trial::Again)) else { return found };
    // Before every call there was time to refill: what does not, slides.
    let slides = base - again > 0.5 * f64::from(OUTPUT);
    found.limiter = Some(if slides { LimiterKind::Window } else { LimiterKind::Bucket });
    let limit = first.limits.tokens_limit.unwrap_or(plan::quota(deployment).0) as f64;
    let charges = if slides { sliding(seen) } else { filling(seen, limit) };
    let charge = |trial| charges.iter().find(|(of, _)| *of == trial).map(|(_, charge)| *charge);
    let (once, twice) = (charge(Trial::Base), charge(Trial::Again));
    let Some(base) = once.into_iter().chain(twice).reduce(f64::min) else { return found };
    if let (Some(once), Some(twice)) = (once, twice) {
        found.is_disturbed = (once - twice).abs() > 2.0 + 0.2 * base.abs();
    }
    let more = |trial| charge(trial).map(|charge| charge - base);
    found.charge_output = more(Trial::Room).map(|more| more > 0.5 * f64::from(sizes.room));
    let long = f64::from(sizes.long_chars);
    let Some(characters) = more(Trial::Long).filter(|more| *more > long / 20.0).map(|m| long / m)
    else {
        return found;
    };
    found.charge_characters_per_token = Some((characters * 100.0).round() / 100.0);
    found.counted_in =
        more(Trial::Wide).and_then(|more| unit(more * characters / f64::from(sizes.wide_chars)));
    let expected = f64::from(sizes.schema_chars) / characters;
    let counts = |trial| more(trial).map(|more| more > 0.5 * expected);
    found.schema_is_charged = counts(Trial::Schema);
    found.tools_are_charged = counts(Trial::Tool);
    let costly = seen.iter().find(|seen| seen.trial == Trial::Costly);
    if let (Some(costly), Some(charged)) = (costly, charge(Trial::Costly)) {
        let used = costly.used();
        let refills = if slides { 0.0 } else { limit / 60.0 };
        let after = seen.iter().find(|seen| seen.trial == Trial::After);
        // No pause was made before the last call: what a bucket still misses of the call before it
        // is not what that call cost in the end.
        let missing = match (slides, after) {
            (false, Some(after)) => (charged - refills * (after.at - costly.at)).max(0.0),
            _ => 0.0,
        };
        found.charge_settled = more(Trial::After)
            .and_then(|more| settled(used - charged, more - missing, base, refills));
    }
    found
}

/// Whether an answer that used so much more than was charged shows in the charge of the next call.
/// In the quarter of a second between them at most a bucket gets a little back, which may hide it;
/// and a bucket that is full already cannot show what it got back.
fn settled(difference: f64, more: f64, base: f64, refills_a_second: f64) -> Option<bool> {
    let hidden = refills_a_second * 0.25;
    let is_visible = difference.abs() > 2.0 * hidden + 0.2 * base + 4.0;
    if !is_visible || (difference < 0.0 && refills_a_second > 0.0) {
        return None;
    }
    Some(more / difference > 0.3)
}

fn unit(per_character: f64) -> Option<Unit> {
    match per_character {
        ..0.7 => None,
        0.7..1.4 => Some(Unit::Characters),
        1.7..2.5 => Some(Unit::Utf16),
        3.5..4.5 => Some(Unit::Bytes),
        _ => Some(Unit::Tokens),
    }
}

/// What each call took of a bucket that was full before it.
fn filling(seen: &[Seen], limit: f64) -> Vec<(Trial, f64)> {
    let left = |seen: &Seen| Some((seen.trial, limit - seen.limits.tokens_left? as f64));
    seen.iter().filter_map(left).collect()
}

/// What each call but the first added to a window, from which older calls leave meanwhile.
fn sliding(seen: &[Seen]) -> Vec<(Trial, f64)> {
    let mut charges: Vec<(Trial, f64)> = Vec::new();
    let mut log: Vec<(f64, f64)> = Vec::new();
    for pair in seen.windows(2) {
        let [before, now] = pair else { continue };
        let (Some(was), Some(is)) = (before.limits.tokens_left, now.limits.tokens_left) else {
            continue;
        };
        let leaves = |at: f64| at + WINDOW > before.at && at + WINDOW <= now.at;
        let gone: f64 = log.iter().filter(|(at, _)| leaves(*at)).map(|(_, charge)| charge).sum();
        let charge = was as f64 - is as f64 + gone;
        if log.is_empty() && before.trial == Trial::Base {
            // What the first call cost cannot be seen; the second was the same.
            log.push((before.at, charge));
        }
        log.push((now.at, charge));
        charges.push((now.trial, charge));
    }
    charges
}

/// What part of a minute's requests there was at first says how long their window is.
fn requests_window(limits: &RateLimits, deployment: &DeploymentConfig) -> Option<u32> {
    let most = limits.requests_left? as f64 + 1.0;
    let minute = limits.requests_limit.unwrap_or_else(|| plan::quota(deployment).1) as f64;
    match most / minute.max(1.0) {
        0.12..0.25 => Some(10),
        0.75..1.3 => Some(60),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 60_000;

    fn deployment() -> DeploymentConfig {
        DeploymentConfig {
            provider: Provider::Azure,
            tokens_per_minute: Some(LIMIT),
            requests_per_minute: Some(360),
            ..DeploymentConfig::default()
        }
    }

    /// The calls of a probe of a service that charges so for each trial.
    fn calls(slides: bool, charge: impl Fn(Trial) -> i64, after: i64) -> Vec<Seen> {
        let mut left = LIMIT as i64;
        let all = Trial::ALL.into_iter().enumerate();
        let seen = all.map(|(index, trial)| {
            if !slides {
                left = LIMIT as i64;
            }
            left -= charge(trial) + if trial == Trial::After { after } else { 0 };
            let limits = RateLimits {
                tokens_limit: (!slides).then_some(LIMIT),
                requests_limit: (!slides).then_some(360),
                tokens_left: Some(left as u64),
                requests_left: Some(if slides { 59 } else { 359 }),
                ..RateLimits::default()
            };
            let (tokens_input, tokens_output) =
                if trial == Trial::Costly { (1700, 300) } else { (160, 2) };
            let usage = Usage { tokens_input, tokens_output, ..Usage::default() };
            Seen { trial, at: index as f64, limits, usage }
        });
        seen.collect()
    }

    fn characters(trial: Trial) -> i64 {
        match trial {
            Trial::Long => 1101,
            Trial::Costly => 1020,
            Trial::Wide => 351,
            _ => 101,
        }
    }

    #[test]
    fn a_bucket_that_charges_the_question_is_found() {
        let sizes = Sizes::of(LIMIT);
        let found = fit(&calls(false, characters, 0), &sizes, &deployment());
        let expected = Findings {
            limiter: Some(LimiterKind::Bucket),
            charge_output: Some(false),
            charge_characters_per_token: Some(4.0),
            charge_settled: Some(false),
            counted_in: Some(Unit::Characters),
            schema_is_charged: Some(false),
            tools_are_charged: Some(false),
            requests_window_seconds: Some(60),
            tokens_per_minute: Some(LIMIT),
            requests_per_minute: Some(360),
            is_disturbed: false,
        };
        assert_eq!(found, expected);
        let settles = fit(&calls(false, characters, 950), &sizes, &deployment());
        assert_eq!(settles.charge_settled, Some(true));
    }

    #[test]
    fn a_window_that_charges_the_room_is_found() {
        let sizes = Sizes::of(LIMIT);
        let charge = |trial| {
            let room = match trial {
                Trial::Room => OUTPUT + sizes.room,
                Trial::Costly => sizes.answer,
                _ => OUTPUT,
            };
            let schema = if trial == Trial::Schema { 520 } else { 0 };
            let wide = if trial == Trial::Wide { 250 } else { 0 };
            characters(trial) + i64::from(room) + schema + wide
        };
        let mut seen = calls(true, charge, 0);
        let found = fit(&seen, &sizes, &deployment());
        assert_eq!((found.limiter, found.charge_output), (Some(LimiterKind::Window), Some(true)));
        assert_eq!(found.charge_characters_per_token, Some(4.0));
        assert_eq!((found.counted_in, found.charge_settled), (Some(Unit::Utf16), Some(false)));
        assert_eq!((found.schema_is_charged, found.tools_are_charged), (Some(true), Some(false)));
        assert_eq!(found.requests_window_seconds, Some(10));
        // The first call leaves the window before the last one.
        if let Some(last) = seen.last_mut() {
            last.at = 60.5;
            last.limits.tokens_left = last.limits.tokens_left.map(|left| left + 165);
        }
        assert_eq!(fit(&seen, &sizes, &deployment()), found);
    }

    #[test]
    fn one_response_shows_a_kind() {
        let check = |limits: RateLimits, expected| {
            assert_eq!(recognise(&limits, &deployment()), expected, "{limits:?}");
        };
        let left = |left| RateLimits { requests_left: Some(left), ..RateLimits::default() };
        check(left(59), Some(LimiterKind::Window));
        check(left(359), Some(LimiterKind::Bucket));
        check(RateLimits { tokens_limit: Some(1), ..left(59) }, Some(LimiterKind::Bucket));
        check(RateLimits::default(), Some(LimiterKind::Ptu));
        let other = DeploymentConfig { provider: Provider::Compatible, ..deployment() };
        assert_eq!(recognise(&RateLimits::default(), &other), None);
        assert!(fit(&[], &Sizes::of(1), &other) == Findings::default());
    }

    #[test]
    fn a_bucket_that_has_not_filled_up_is_not_taken_for_one_that_settles() {
        let check = |settles: u64, expected| {
            let mut seen = calls(false, characters, 0);
            let last = seen.last_mut().unwrap();
            // 60 ms after a call of 1020 tokens, of which 60 are back.
            last.at -= 0.94;
            last.limits.tokens_left = Some(LIMIT - 1020 + 60 - settles - 101);
            let found = fit(&seen, &Sizes::of(LIMIT), &deployment());
            assert_eq!(found.charge_settled, Some(expected), "{settles}");
        };
        check(0, false);
        check(980, true);
    }

    #[test]
    fn a_stranger_is_noticed() {
        let mut seen = calls(false, characters, 0);
        seen[0].limits.tokens_left = Some(LIMIT - 500);
        seen[1].limits.tokens_left = Some(LIMIT - 101);
        let found = fit(&seen, &Sizes::of(LIMIT), &deployment());
        assert!(found.is_disturbed);
    }

    #[test]
    fn what_cannot_be_seen_is_not_claimed() {
        assert_eq!(settled(100.0, 0.0, 101.0, 16_667.0), None);
        assert_eq!(settled(-500.0, 0.0, 101.0, 1000.0), None);
        assert_eq!(settled(-500.0, -490.0, 101.0, 0.0), Some(true));
        assert_eq!(unit(0.1), None);
    }
}
