//! What a response's headers say of limits and waits (POOL.md 1.3).
//!
//! It must know nothing of statuses, bodies or clocks: a date is read against the `date` header.

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// No wait is shorter.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(10);
/// No wait is longer: providers have been seen to ask for a day.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);
/// What is waited when nothing usable is said.
pub(super) const WAIT_DEFAULT: Duration = Duration::from_secs(1);

/// The limits that a response names; none where it names none or nonsense (`-1`, `0`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// `x-ratelimit-limit-tokens`.
    pub(super) tokens: Option<u64>,
    /// `x-ratelimit-limit-requests`.
    pub(super) requests: Option<u64>,
}

/// Reads the limits.
pub(super) fn limits(headers: &HeaderMap) -> Limits {
    let limit = |name| text(headers, name)?.parse::<u64>().ok().filter(|&limit| limit > 0);
    Limits {
        tokens: limit("x-ratelimit-limit-tokens"),
        requests: limit("x-ratelimit-limit-requests"),
    }
}

/// How long a rejected call should wait: between [`WAIT_MIN`] and [`WAIT_MAX`].
pub(super) fn retry_after(headers: &HeaderMap) -> Duration {
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
    fn nonsense_is_no_limit() {
        let both = headers(&[
            ("x-ratelimit-limit-tokens", "250000"),
            ("x-ratelimit-limit-requests", "2500"),
        ]);
        assert_eq!(limits(&both), Limits { tokens: Some(250_000), requests: Some(2500) });
        let broken =
            headers(&[("x-ratelimit-limit-tokens", "-1"), ("x-ratelimit-limit-requests", "0")]);
        assert_eq!(limits(&broken), Limits::default());
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
