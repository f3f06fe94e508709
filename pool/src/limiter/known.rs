//! What responses have taught of a deployment, and how one limiter tells it another.
//!
//! It must know nothing of how it was learned.

use super::{Limiter, LimiterKind};

/// What was learned from responses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feedback {
    /// What the provider counts for what we count.
    pub ratio: f64,
    /// Tokens of a window that external_load use, or by which its limit has fallen without a word.
    pub external_load: f64,
    /// The part of the limit that is used since the last rejections.
    pub trim: f64,
    /// The part of a bucket that is left.
    pub level: f64,
    /// What provisioned throughput is taken to let through at once, in milliseconds at its rate.
    pub ceiling_ms: f64,
}

/// All that responses have taught of a deployment, whoever sent what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knowledge {
    kind: LimiterKind,
    told_tokens: Option<f64>,
    told_requests: Option<f64>,
    feedback: Feedback,
    ratios: u32,
    ceiling_known_ms: f64,
    pace: f64,
    output: Option<f64>,
}

impl Limiter {
    /// What responses have taught; none before the first.
    pub fn knowledge(&self) -> Option<Knowledge> {
        self.output?;
        let &Self { kind, told_tokens, told_requests, ratios, .. } = self;
        let &Self { ceiling_known_ms, pace, output, .. } = self;
        let feedback = self.feedback();
        Some(Knowledge {
            kind,
            told_tokens,
            told_requests,
            feedback,
            ratios,
            ceiling_known_ms,
            pace,
            output,
        })
    }

    /// Learns from what another limiter of the same deployment was taught: all of it where there
    /// was no response yet, and otherwise what makes it more careful.
    pub fn adopt(&mut self, known: &Knowledge) {
        if self.kind == LimiterKind::Auto {
            self.kind = known.kind;
        }
        let Feedback { ratio, external_load, trim, level, ceiling_ms } = known.feedback;
        if self.output.is_none() {
            (self.told_tokens, self.told_requests) = (known.told_tokens, known.told_requests);
            (self.ratio, self.level, self.pace) = (ratio, level, known.pace);
            (self.ratios, self.output) = (known.ratios, known.output);
        }
        self.external_load = self.external_load.max(external_load);
        self.trim = self.trim.min(trim);
        self.ceiling_ms = self.ceiling_ms.min(ceiling_ms);
        self.ceiling_known_ms = self.ceiling_known_ms.min(known.ceiling_known_ms);
    }

    /// What was learned from responses.
    pub fn feedback(&self) -> Feedback {
        let &Self { ratio, external_load, trim, level, ceiling_ms, .. } = self;
        Feedback { ratio, external_load, trim, level, ceiling_ms }
    }
}
