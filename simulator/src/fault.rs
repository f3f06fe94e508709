//! Faults made on purpose: what goes wrong, when, and how often. Which faults apply to a call is
//! decided here from the call and the time alone; what a fault does to an answer is not known.

use crate::request::Mode;
use anyhow::ensure;
use serde::Deserialize;
use std::time::Duration;

/// One thing that goes wrong; all conditions that are set must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// From this many seconds after the start or the last reset.
    #[serde(default)]
    pub from_seconds: f64,
    /// Until this many seconds after the start or the last reset.
    pub to_seconds: Option<f64>,
    /// Only every n-th of the calls for which the other conditions hold.
    pub every: Option<u32>,
    /// Only when the prompt contains this text.
    pub when_text: Option<String>,
    /// Only when JSON is asked for in this way.
    pub when_mode: Option<Mode>,
    /// At most so many times.
    pub times: Option<u32>,
    /// `no_capacity`: only calls charged more tokens than this.
    pub above_tokens: Option<u64>,
    /// `limit_lowered`, `external_load`: by how many percent of the limit.
    pub percent: Option<f64>,
    /// `unavailable`, `no_capacity`: the retry-after (none unless set). `hang`: answer after so
    /// long instead of never. `first_schema_latency`: the delay (5 unless set).
    /// `retry_after_day`: another value than 86400.
    pub seconds: Option<f64>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 503.
    Unavailable,
    /// 500.
    ServerError,
    /// No answer until the client gives up.
    Hang,
    /// The connection is closed in the middle of the answer.
    Reset,
    /// 429 with the body of an overloaded region.
    NoCapacity,
    /// The limits are lower for a while.
    LimitLowered,
    /// Somebody else uses a part of the limits.
    ExternalLoad,
    /// The limiter's 429 says nothing about when to come back.
    RetryAfterMissing,
    /// The limiter's 429 says to come back tomorrow.
    RetryAfterDay,
    /// 400: the prompt was filtered.
    ContentFilter,
    /// 200: the output was filtered.
    ContentFilterOutput,
    /// 200: the output was cut.
    Length,
    /// 200: the model refuses.
    Refusal,
    /// 200: there is no choice at all.
    EmptyChoices,
    /// 200: the content is null, and no reason is given.
    NullContent,
    /// 200: the content is not JSON.
    InvalidJson,
    /// 200: the content is JSON that does not fit the schema.
    InvalidReply,
    /// 200: the content is the right JSON, between fences, and no tool is called.
    Fenced,
    /// 200: the schema is seen only where it stands in the prompt; the content is between fences.
    FormatIgnored,
    /// 401.
    Unauthorized,
    /// 404, the deployment is gone.
    NotFound,
    /// The first call with a new schema takes longer.
    FirstSchemaLatency,
}

impl FaultKind {
    /// The name in the configuration and in the statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::ServerError => "server_error",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::NoCapacity => "no_capacity",
            Self::LimitLowered => "limit_lowered",
            Self::ExternalLoad => "external_load",
            Self::RetryAfterMissing => "retry_after_missing",
            Self::RetryAfterDay => "retry_after_day",
            Self::ContentFilter => "content_filter",
            Self::ContentFilterOutput => "content_filter_output",
            Self::Length => "length",
            Self::Refusal => "refusal",
            Self::EmptyChoices => "empty_choices",
            Self::NullContent => "null_content",
            Self::InvalidJson => "invalid_json",
            Self::InvalidReply => "invalid_reply",
            Self::Fenced => "fenced",
            Self::FormatIgnored => "format_ignored",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::FirstSchemaLatency => "first_schema_latency",
        }
    }

    /// When in the life of a call it applies.
    pub fn stage(self) -> Stage {
        match self {
            Self::LimitLowered | Self::ExternalLoad => Stage::Terms,
            Self::Unavailable
            | Self::ServerError
            | Self::NoCapacity
            | Self::Unauthorized
            | Self::NotFound => Stage::BeforeLimiter,
            Self::RetryAfterMissing | Self::RetryAfterDay => Stage::Rejection,
            Self::FirstSchemaLatency => Stage::Delay,
            Self::Hang
            | Self::Reset
            | Self::ContentFilter
            | Self::ContentFilterOutput
            | Self::Length
            | Self::Refusal
            | Self::EmptyChoices
            | Self::NullContent
            | Self::InvalidJson
            | Self::InvalidReply
            | Self::Fenced
            | Self::FormatIgnored => Stage::Answer,
        }
    }
}

/// When in the life of a call a fault applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the limiter: the call is not billed.
    BeforeLimiter,
    /// All the time: the limits differ.
    Terms,
    /// After the limiter said no.
    Rejection,
    /// After admission, before the answer: only time is lost.
    Delay,
    /// After admission: the call is or may be billed.
    Answer,
}

impl Fault {
    /// A fault that applies to every call.
    pub fn always(kind: FaultKind) -> Self {
        Self {
            kind,
            from_seconds: 0.0,
            to_seconds: None,
            every: None,
            when_text: None,
            when_mode: None,
            times: None,
            above_tokens: None,
            percent: None,
            seconds: None,
        }
    }

    /// Says which key has an impossible value.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.from_seconds.is_finite() && self.from_seconds >= 0.0,
            "`from_seconds` must be 0 or more"
        );
        if let Some(to) = self.to_seconds {
            ensure!(to.is_finite() && to > self.from_seconds, "`to_seconds` must follow the start");
        }
        ensure!(self.every != Some(0), "`every` must be 1 or more");
        if self.kind.stage() == Stage::Terms {
            let percent = self.percent.unwrap_or(0.0);
            ensure!(
                percent > 0.0 && percent < 100.0,
                "`percent` must be above 0 and below 100 for this kind"
            );
        }
        if let Some(seconds) = self.seconds {
            ensure!((0.0..=1e9).contains(&seconds), "`seconds` must be 0 or more");
        }
        Ok(())
    }

    fn is_on(&self, at: Duration) -> bool {
        let seconds = at.as_secs_f64();
        seconds >= self.from_seconds && self.to_seconds.is_none_or(|to| seconds < to)
    }

    fn matches(&self, call: &Call<'_>) -> bool {
        self.is_on(call.at)
            && self.when_text.as_ref().is_none_or(|text| call.text.contains(text.as_str()))
            && self.when_mode.is_none_or(|mode| call.mode == Some(mode))
            && self.above_tokens.is_none_or(|tokens| call.tokens > tokens)
            // A model that is shown its mistake repairs it, unless a number of failures is asked.
            && !(call.is_repair && self.times.is_none() && self.is_cured_by_repair())
    }

    fn is_cured_by_repair(&self) -> bool {
        matches!(self.kind, FaultKind::InvalidJson | FaultKind::InvalidReply)
    }
}

/// What of a call decides whether a fault applies to it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The time since the start or the last reset.
    pub at: Duration,
    /// All text of the prompt.
    pub text: &'a str,
    /// The tokens it is charged.
    pub tokens: u64,
    /// The way in which JSON is asked for, if it is.
    pub mode: Option<Mode>,
    /// Whether the model is asked to repair an earlier answer.
    pub is_repair: bool,
}

/// How the limits differ from the configured ones at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// The part of the configured limit that is in force.
    pub limit: f64,
    /// The part of that limit which others leave over.
    pub share: f64,
}

impl Terms {
    /// The configured limits, with nobody else about.
    pub const FULL: Self = Self { limit: 1.0, share: 1.0 };
}

/// The faults of one deployment and how often each was triggered.
#[derive(Debug)]
pub struct FaultPlan {
    faults: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    fault: Fault,
    seen: u32,
    fired: u32,
}

impl FaultPlan {
    /// A plan of which no fault was triggered yet.
    pub fn new(faults: &[Fault]) -> Self {
        let counted = |fault: &Fault| Counted { fault: fault.clone(), seen: 0, fired: 0 };
        Self { faults: faults.iter().map(counted).collect() }
    }

    /// The first fault of a stage that applies to this call, counted as triggered.
    pub fn trigger(&mut self, stage: Stage, call: &Call<'_>) -> Option<&Fault> {
        let triggered = self.faults.iter_mut().find_map(|counted| {
            let fault = &counted.fault;
            if fault.kind.stage() != stage || !fault.matches(call) {
                return None;
            }
            counted.seen += 1;
            let turn = fault.every.is_none_or(|every| counted.seen.is_multiple_of(every));
            let left = fault.times.is_none_or(|times| counted.fired < times);
            (turn && left).then_some(counted)
        })?;
        triggered.fired += 1;
        Some(&triggered.fault)
    }

    /// The limits in force at a moment.
    pub fn terms(&self, at: Duration) -> Terms {
        let mut terms = Terms::FULL;
        for Counted { fault, .. } in self.faults.iter().filter(|counted| counted.fault.is_on(at)) {
            let left = 1.0 - fault.percent.unwrap_or(0.0) / 100.0;
            match fault.kind {
                FaultKind::LimitLowered => terms.limit *= left,
                FaultKind::ExternalLoad => terms.share *= left,
                _ => {}
            }
        }
        terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(seconds: u64) -> Call<'static> {
        Call {
            at: Duration::from_secs(seconds),
            text: "a bill",
            tokens: 10,
            mode: None,
            is_repair: false,
        }
    }

    fn triggers(fault: Fault, calls: &[Call<'_>]) -> Vec<bool> {
        let mut plan = FaultPlan::new(std::slice::from_ref(&fault));
        calls.iter().map(|call| plan.trigger(fault.kind.stage(), call).is_some()).collect()
    }

    #[test]
    fn every_condition_must_hold() {
        let fault = || Fault::always(FaultKind::Unavailable);
        let timed = Fault { from_seconds: 1.0, to_seconds: Some(2.0), ..fault() };
        assert_eq!(triggers(timed, &[call(0), call(1), call(2)]), [false, true, false]);
        let third = Fault { every: Some(3), times: Some(1), ..fault() };
        let six = [call(0); 6];
        assert_eq!(triggers(third, &six), [false, false, true, false, false, false]);
        let text = Fault { when_text: Some("bill".to_owned()), ..fault() };
        assert_eq!(triggers(text, &[call(0), Call { text: "x", ..call(0) }]), [true, false]);
        let tool = Fault { when_mode: Some(Mode::Tool), ..fault() };
        let modes = [None, Some(Mode::JsonSchema), Some(Mode::Tool)];
        let modes = modes.map(|mode| Call { mode, ..call(0) });
        assert_eq!(triggers(tool, &modes), [false, false, true]);
        let big = Fault { above_tokens: Some(10), ..Fault::always(FaultKind::NoCapacity) };
        assert_eq!(triggers(big, &[call(0), Call { tokens: 11, ..call(0) }]), [false, true]);
    }

    #[test]
    fn a_repair_mends_a_bad_answer_unless_times_says_otherwise() {
        let calls = [call(0), Call { is_repair: true, ..call(0) }];
        let bad = Fault::always(FaultKind::InvalidReply);
        assert_eq!(triggers(bad.clone(), &calls), [true, false]);
        assert_eq!(triggers(Fault { times: Some(2), ..bad }, &calls), [true, true]);
        assert_eq!(triggers(Fault::always(FaultKind::Refusal), &calls), [true, true]);
    }

    #[test]
    fn terms_multiply() {
        let lowered = Fault {
            percent: Some(50.0),
            to_seconds: Some(5.0),
            ..Fault::always(FaultKind::LimitLowered)
        };
        let external_load = Fault { percent: Some(25.0), ..Fault::always(FaultKind::ExternalLoad) };
        let plan = FaultPlan::new(&[lowered, external_load]);
        assert_eq!(plan.terms(Duration::ZERO), Terms { limit: 0.5, share: 0.75 });
        assert_eq!(plan.terms(Duration::from_secs(6)), Terms { limit: 1.0, share: 0.75 });
    }
}
