//! What a response's headers say of limits and waits (docs/limiters.md).
//!
//! It must know nothing of statuses, bodies or clocks: a date is read against the `date` header.

use crate::limiter::LimiterHints;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// No wait is shorter.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(10);
/// No wait is longer: providers have been seen to ask for a day.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);
/// What is waited when nothing usable is said.
pub(crate) const WAIT_DEFAULT: Duration = Duration::from_secs(1);

/// What a response says of its deployment's limiter; none where it says nothing or nonsense.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RateLimits {
    /// `x-ratelimit-limit-tokens`, above 0.
    pub(crate) tokens_limit: Option<u64>,
    /// `x-ratelimit-limit-requests`, above 0.
    pub(crate) requests_limit: Option<u64>,
    /// `x-ratelimit-remaining-tokens`; an account that is overdrawn says -1, which is none.
    pub(crate) tokens_left: Option<u64>,
    /// `x-ratelimit-remaining-requests`, likewise.
    pub(crate) requests_left: Option<u64>,
    /// Whether it is a bucket that refills all the time: only those name a renewal period.
    pub(crate) renews: bool,
    /// `azure-openai-deployment-utilization`, of provisioned throughput: 1 is all of it.
    pub(crate) utilisation: Option<f64>,
    /// Whether it said to the millisecond when to come back.
    pub(crate) waits_exactly: bool,
    /// The wait that it asks for (`retry-after-ms`, or `retry-after` in seconds or as a date), between
    /// [`WAIT_MIN`] and [`WAIT_MAX`].
    pub(crate) retry_after: Option<Duration>,
}

impl RateLimits {
    /// Reads what the headers say.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let limit = |name| count(headers, name).filter(|&limit| limit > 0);
        // A response with `-1` for its limit knows nothing of what remains either.
        let left = |limit: &str, name| match text(headers, limit) {
            Some(limit) if limit.parse::<u64>().is_err() => None,
            _ => count(headers, name),
        };
        let renewals = ["x-ratelimit-renewalperiod-tokens", "x-ratelimit-renewalperiod-requests"];
        Self {
            tokens_limit: limit("x-ratelimit-limit-tokens"),
            requests_limit: limit("x-ratelimit-limit-requests"),
            tokens_left: left("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"),
            requests_left: left("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
            renews: renewals.into_iter().any(|name| count(headers, name).is_some()),
            utilisation: text(headers, "azure-openai-deployment-utilization").and_then(percentage),
            waits_exactly: count(headers, "retry-after-ms").is_some(),
            retry_after: asked_wait(headers).map(bounded),
        }
    }

    /// What a limiter learns from it.
    pub(crate) fn hints(&self) -> LimiterHints {
        let number = |count: Option<u64>| count.map(|count| count as f64);
        LimiterHints {
            tokens_limit: number(self.tokens_limit),
            requests_limit: number(self.requests_limit),
            tokens_left: number(self.tokens_left),
            requests_left: number(self.requests_left),
            renews: self.renews,
            // Provisioned deployments name no limits, and say in milliseconds when they have room.
            exact: self.utilisation.is_some() || self.waits_exactly,
            wait_ms: self.retry_after.map(|wait| wait.as_secs_f64() * 1_000.0),
        }
    }
}

fn count(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// `12.3%` as 0.123.
fn percentage(value: &str) -> Option<f64> {
    let percent = value.trim_end_matches('%').trim().parse::<f64>().ok()?;
    (percent.is_finite() && percent >= 0.0).then_some(percent / 100.0)
}

/// How long a rejected call should wait: what is said, or [`WAIT_DEFAULT`].
pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    named_retry_after(headers).unwrap_or(WAIT_DEFAULT)
}

/// The wait that a response names: between [`WAIT_MIN`] and [`WAIT_MAX`]; none where it names none.
pub(crate) fn named_retry_after(headers: &HeaderMap) -> Option<Duration> {
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
    asked_wait(headers).or_else(resets).map(bounded)
}

/// The seconds that a response asks for in so many words.
fn asked_wait(headers: &HeaderMap) -> Option<f64> {
    let milliseconds = text(headers, "retry-after-ms").and_then(number).map(|ms| ms / 1000.0);
    milliseconds
        .or_else(|| text(headers, "retry-after").and_then(|value| seconds_or_date(value, headers)))
}

fn bounded(seconds: f64) -> Duration {
    // Capped before it becomes a duration: a huge number would not fit one.
    Duration::from_secs_f64(seconds.min(86_400.0)).clamp(WAIT_MIN, WAIT_MAX)
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
        type Row<'a> = (&'a [(&'static str, &'a str)], RateLimits);
        let none = RateLimits::default();
        let table: &[Row<'_>] = &[
            (&[], none),
            // The older limiter names only what remains.
            (
                &[("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-remaining-tokens", "352")],
                RateLimits { tokens_left: Some(352), requests_left: Some(9), ..none },
            ),
            // The newer one names everything.
            (
                &[
                    ("x-ratelimit-limit-tokens", "250000"),
                    ("x-ratelimit-limit-requests", "2500"),
                    ("x-ratelimit-remaining-tokens", "249993"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-renewalperiod-tokens", "60"),
                ],
                RateLimits {
                    tokens_limit: Some(250_000),
                    requests_limit: Some(2500),
                    tokens_left: Some(249_993),
                    requests_left: Some(0),
                    renews: true,
                    ..none
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
            ),
            (&[("x-ratelimit-limit-tokens", "-1"), ("x-ratelimit-remaining-tokens", "5")], none),
            // Overdrawn: the limit is still to be believed.
            (
                &[("x-ratelimit-limit-requests", "1"), ("x-ratelimit-remaining-requests", "-1")],
                RateLimits { requests_limit: Some(1), ..none },
            ),
            (&[("x-ratelimit-limit-requests", "0")], none),
            (
                &[("azure-openai-deployment-utilization", "12.5%")],
                RateLimits { utilisation: Some(0.125), ..none },
            ),
            (&[("azure-openai-deployment-utilization", "-1")], none),
            (
                &[("retry-after-ms", "43")],
                RateLimits {
                    waits_exactly: true,
                    retry_after: Some(Duration::from_millis(43)),
                    ..none
                },
            ),
        ];
        for (pairs, expected) in table {
            assert_eq!(RateLimits::read(&headers(pairs)), *expected, "{pairs:?}");
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
