//! What a response's headers say of limits and waits (POOL.md 1.3).
//!
//! It must know nothing of statuses, bodies or clocks: a date is read against the `date` header.

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// No wait is shorter.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(10);
/// No wait is longer: providers have been seen to ask for a day.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);
/// What is waited when nothing usable is said.
pub(crate) const WAIT_DEFAULT: Duration = Duration::from_secs(1);

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meter {
    /// Tokens.
    Tokens,
    /// Requests.
    Requests,
}

/// The limits that a response names; none where it names none or nonsense (`-1`, `0`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamedLimits {
    /// `x-ratelimit-limit-tokens`.
    pub(crate) tokens: Option<u64>,
    /// `x-ratelimit-limit-requests`.
    pub(crate) requests: Option<u64>,
}

/// What else a response says of its deployment's limiter; none where it says nothing or nonsense.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Remaining {
    /// `x-ratelimit-remaining-tokens`; an account that is overdrawn says -1, which is not told.
    pub(crate) tokens_left: Option<u64>,
    /// `x-ratelimit-remaining-requests`, likewise.
    pub(crate) requests_left: Option<u64>,
    /// Whether it is a bucket that refills all the time: only those name a renewal period.
    pub(crate) renews: bool,
    /// `x-ratelimit-type`: which limit a rejection is about.
    pub(crate) rejected_by: Option<Meter>,
    /// `azure-openai-deployment-utilization`, of provisioned throughput: 1 is all of it.
    pub(crate) utilisation: Option<f64>,
    /// Whether it said to the millisecond when to come back.
    pub(crate) waits_exactly: bool,
}

/// Reads the limits.
pub(crate) fn limits(headers: &HeaderMap) -> NamedLimits {
    let limit = |name| count(headers, name).filter(|&limit| limit > 0);
    NamedLimits {
        tokens: limit("x-ratelimit-limit-tokens"),
        requests: limit("x-ratelimit-limit-requests"),
    }
}

/// Reads what else is said of the limiter.
pub(crate) fn remaining(headers: &HeaderMap) -> Remaining {
    // A response with `-1` for its limit knows nothing of what remains either.
    let left = |limit: &str, name| match text(headers, limit) {
        Some(limit) if limit.parse::<u64>().is_err() => None,
        _ => count(headers, name),
    };
    let renewals = ["x-ratelimit-renewalperiod-tokens", "x-ratelimit-renewalperiod-requests"];
    Remaining {
        tokens_left: left("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"),
        requests_left: left("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
        renews: renewals.into_iter().any(|name| count(headers, name).is_some()),
        rejected_by: text(headers, "x-ratelimit-type").and_then(meter),
        utilisation: text(headers, "azure-openai-deployment-utilization").and_then(percentage),
        waits_exactly: count(headers, "retry-after-ms").is_some(),
    }
}

fn count(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

fn meter(value: &str) -> Option<Meter> {
    match value.to_ascii_lowercase().as_str() {
        "tokens" => Some(Meter::Tokens),
        "requests" => Some(Meter::Requests),
        _ => None,
    }
}

/// `12.3%` as 0.123.
fn percentage(value: &str) -> Option<f64> {
    let percent = value.trim_end_matches('%').trim().parse::<f64>().ok()?;
    (percent.is_finite() && percent >= 0.0).then_some(percent / 100.0)
}

/// How long a rejected call should wait: between [`WAIT_MIN`] and [`WAIT_MAX`].
pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    let milliseconds = text(headers, "retry-after-ms").and_then(number).map(|ms| ms / 1000.0);
    let seconds = || text(headers, "retry-after").and_then(|value| seconds_or_date(value, headers));
    let resets = || {
        let names = [
            "x-ratelimit-reset-tokens",
            "x-ratelimit-reset-requests",
            "x-rate-limit-reset-tokens",
            "x-rate-limit-reset-requests",
        ];
        // Their unit is not reliable: as seconds they are believed only when they can be.
        let reset = |name| text(headers, name).and_then(number).filter(|&s| s <= 60.0);
        names.into_iter().filter_map(reset).reduce(f64::max)
    };
    let wait = milliseconds.or_else(seconds).or_else(resets);
    // Capped before it becomes a duration: a huge number would not fit one.
    let wait = wait.map_or(WAIT_DEFAULT, |s| Duration::from_secs_f64(s.min(86_400.0)));
    wait.clamp(WAIT_MIN, WAIT_MAX)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A finite number above zero.
fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0)
}

fn seconds_or_date(value: &str, headers: &HeaderMap) -> Option<f64> {
    number(value).or_else(|| {
        let seconds = date(value)?.duration_since(date(text(headers, "date")?)?).as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    })
}

fn date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderName;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn waits_follow_the_parser_rules() {
        let table: &[(&[(&str, &str)], u64)] = &[
            (&[], 1000),
            (&[("retry-after-ms", "43"), ("retry-after", "1")], 43),
            (&[("retry-after-ms", "0"), ("retry-after", "7")], 7000),
            (&[("retry-after-ms", "3")], 10),
            (&[("retry-after", "2.5")], 2500),
            (&[("retry-after", "0")], 1000),
            (&[("retry-after", "-1")], 1000),
            (&[("retry-after", "86400")], 60_000),
            (&[("retry-after-ms", "-1"), ("retry-after", "-1")], 1000),
            (&[("retry-after-ms", "86400000")], 60_000),
            (&[("retry-after", "-1"), ("x-ratelimit-reset-tokens", "4")], 4000),
            (&[("retry-after", "1e300")], 60_000),
            (&[("retry-after", "nan")], 1000),
            (&[("retry-after", "soon")], 1000),
            (&[("x-rate-limit-reset-tokens", "55")], 55_000),
            (&[("x-ratelimit-reset-tokens", "3"), ("x-ratelimit-reset-requests", "9")], 9000),
            (&[("x-ratelimit-reset-tokens", "600")], 1000),
            (&[("x-ratelimit-reset-tokens", "-1")], 1000),
            (&[("x-ratelimit-reset-tokens", "6m0s")], 1000),
            (
                &[
                    ("retry-after", "Wed, 21 Oct 2015 07:28:05 GMT"),
                    ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
                ],
                5000,
            ),
            (&[("retry-after", "Wed, 21 Oct 2015 07:28:05 GMT")], 1000),
        ];
        for (pairs, expected) in table {
            let wait = retry_after(&headers(pairs));
            assert_eq!(wait, Duration::from_millis(*expected), "{pairs:?}");
        }
    }

    #[test]
    fn what_a_response_says_of_limits() {
        type Row<'a> = (&'a [(&'static str, &'a str)], NamedLimits, Remaining);
        let (none, nothing) = (NamedLimits::default(), Remaining::default());
        let table: &[Row<'_>] = &[
            (&[], none, nothing),
            // The older limiter names only what remains.
            (
                &[("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-remaining-tokens", "352")],
                none,
                Remaining { tokens_left: Some(352), requests_left: Some(9), ..nothing },
            ),
            // The newer one names everything.
            (
                &[
                    ("x-ratelimit-limit-tokens", "250000"),
                    ("x-ratelimit-limit-requests", "2500"),
                    ("x-ratelimit-remaining-tokens", "249993"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-renewalperiod-tokens", "60"),
                    ("x-ratelimit-type", "Requests"),
                ],
                NamedLimits { tokens: Some(250_000), requests: Some(2500) },
                Remaining {
                    tokens_left: Some(249_993),
                    requests_left: Some(0),
                    renews: true,
                    rejected_by: Some(Meter::Requests),
                    utilisation: None,
                    waits_exactly: false,
                },
            ),
            // Seen in 2025: -1 of -1.
            (
                &[
                    ("x-ratelimit-limit-tokens", "-1"),
                    ("x-ratelimit-remaining-tokens", "-1"),
                    ("x-ratelimit-reset-tokens", "0"),
                ],
                none,
                nothing,
            ),
            (
                &[("x-ratelimit-limit-tokens", "-1"), ("x-ratelimit-remaining-tokens", "5")],
                none,
                nothing,
            ),
            // Overdrawn: the limit is still to be believed.
            (
                &[("x-ratelimit-limit-requests", "1"), ("x-ratelimit-remaining-requests", "-1")],
                NamedLimits { requests: Some(1), ..none },
                nothing,
            ),
            (&[("x-ratelimit-limit-requests", "0")], none, nothing),
            (
                &[("x-ratelimit-type", "tokens")],
                none,
                Remaining { rejected_by: Some(Meter::Tokens), ..nothing },
            ),
            (&[("x-ratelimit-type", "-1")], none, nothing),
            (
                &[("azure-openai-deployment-utilization", "12.5%")],
                none,
                Remaining { utilisation: Some(0.125), ..nothing },
            ),
            (&[("azure-openai-deployment-utilization", "-1")], none, nothing),
            (&[("retry-after-ms", "43")], none, Remaining { waits_exactly: true, ..nothing }),
        ];
        for (pairs, named, stood) in table {
            let headers = headers(pairs);
            assert_eq!((limits(&headers), remaining(&headers)), (*named, *stood), "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_wait(value in "[ -~]{0,40}", ms in "[ -~]{0,12}") {
            let headers = headers(&[("retry-after", &value), ("retry-after-ms", &ms)]);
            let wait = retry_after(&headers);
            prop_assert!((WAIT_MIN..=WAIT_MAX).contains(&wait));
        }
    }
}
