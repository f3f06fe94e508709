//! Finds out what a real deployment's limiter is and what it charges, with a handful of calls one
//! after another, and a burst where that is allowed.

use super::{
    burst::{self, Burst},
    fit::{self, Findings, Seen, Unit},
    plan::{Sizes, Step},
    remedy::{self, Problem},
    wire::{Answer, Wire},
};
use crate::end::End;
use pool::LimiterKind;
use serde::Serialize;
use shared::config::Deployment;
use std::{
    io::{IsTerminal, Write},
    time::Duration,
};
use tokio::time::Instant;

/// How often a call that finds no room is made again.
const TRIES_MAX: u32 = 3;

/// The longest pause in which a bucket may fill.
const REFILL_MAX: Duration = Duration::from_secs(20);

/// What a probe has found and what it cost.
#[derive(Debug, Serialize)]
pub(super) struct Probed {
    pub(super) deployment: String,
    #[serde(flatten)]
    pub(super) found: Findings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) burst: Option<Burst>,
    pub(super) calls: u32,
    pub(super) tokens_input: u64,
    pub(super) tokens_output: u64,
    pub(super) notes: Vec<String>,
}

/// Says what a probe will use, and asks whether it may where nobody has said so.
pub(super) fn agree(deployment: &Deployment, with_burst: bool, yes: bool) -> Result<(), End> {
    let sizes = Sizes::of(deployment.tokens_per_minute);
    let (mut calls, mut tokens) = (Step::ALL.len() as u64, sizes.tokens());
    if with_burst {
        calls += u64::from(burst::CALLS_MAX);
        tokens += burst::tokens();
    }
    let mut out = std::io::stderr();
    writeln!(
        out,
        "this makes about {calls} calls of {:?} and uses at most about {tokens} tokens of its \
         quota; nothing else should call it meanwhile",
        deployment.name
    )?;
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(End::Usage("nobody can be asked whether to begin: add --yes".to_owned()));
    }
    write!(out, "begin? [y/N] ")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(End::Usage("nothing was sent".to_owned())),
    }
}

/// A probe at work.
pub(super) struct Probe<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) wire: Wire,
    /// Where its key comes from, in words.
    pub(super) key: String,
    begun: Instant,
    sizes: Sizes,
    seen: Vec<Seen>,
    pub(super) calls: u32,
    pub(super) tokens: (u64, u64),
    notes: Vec<String>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(deployment: &'a Deployment, wire: Wire, key: String) -> Self {
        let sizes = Sizes::of(deployment.tokens_per_minute);
        let (seen, notes) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        Self { deployment, wire, key, begun, sizes, seen, calls: 0, tokens: (0, 0), notes }
    }

    /// Makes the calls and says what they show.
    pub(super) async fn run(mut self, with_burst: bool) -> Result<Probed, Problem> {
        let all = Step::ALL.len();
        for (index, step) in Step::ALL.into_iter().enumerate() {
            self.progress(&format!("call {} of {all}", index + 1));
            if step != Step::After {
                self.let_it_fill().await;
            }
            match self.ask(step).await? {
                Some(answer) => self.note(step, answer),
                None => self.notes.push(format!("it does not take {}", named(step))),
            }
            // Without figures in the headers no further call shows anything.
            if step == Step::Again && !self.shows() {
                let told = "its responses name no limits: what it charges cannot be seen in them";
                self.notes.push(told.to_owned());
                break;
            }
        }
        let mut found = fit::fit(&self.seen, &self.sizes, self.deployment);
        if found.is_disturbed {
            // What somebody else has used would be taken for a charge.
            let kind = found.limiter;
            found = Findings { limiter: kind, is_disturbed: true, ..Findings::default() };
            let told = "something else calls this deployment: its charge is not to be seen so; \
                        run the probe again when it is idle";
            self.notes.push(told.to_owned());
        }
        let burst = match (with_burst, self.seen.first().cloned()) {
            (true, Some(first)) => burst::burst(&mut self, &first, &mut found).await?,
            _ => None,
        };
        self.notes.extend(burst.iter().filter_map(|burst| burst.note.clone()));
        if found.limiter == Some(LimiterKind::Ptu) && burst.is_none() {
            let told = "provisioned throughput shows its charge only in a burst: add --burst";
            self.notes.push(told.to_owned());
        }
        Ok(Probed {
            deployment: self.deployment.name.clone(),
            found,
            burst,
            calls: self.calls,
            tokens_input: self.tokens.0,
            tokens_output: self.tokens.1,
            notes: self.notes,
        })
    }

    /// One answered call; none where the deployment does not take such a question.
    async fn ask(&mut self, step: Step) -> Result<Option<Answer>, Problem> {
        let (fields, room) = self.sizes.question(step);
        for _ in 0..TRIES_MAX {
            let answer = self.call(&fields, room).await?;
            let optional = matches!(step, Step::Schema | Step::Tool);
            match answer.status {
                200 => return Ok(Some(answer)),
                429 => {
                    let wait = answer.limits.retry_after.unwrap_or(Duration::from_secs(1));
                    self.progress(&format!("it has no room for {} s", wait.as_secs().max(1)));
                    tokio::time::sleep(wait).await;
                }
                400 | 422 | 500 | 501 if optional => return Ok(None),
                status => {
                    let said = answer.message();
                    return Err(remedy::refused(self.deployment, status, &said, &self.key));
                }
            }
        }
        let said = format!("no room {TRIES_MAX} times, each after the wait that it had asked for");
        Err(remedy::refused(self.deployment, 429, &said, &self.key))
    }

    /// One call, counted.
    pub(super) async fn call(
        &mut self,
        fields: &serde_json::Value,
        room: u32,
    ) -> Result<Answer, Problem> {
        self.calls += 1;
        let answer = self.wire.call(fields, room).await;
        let answer = answer.map_err(|silence| remedy::silent(&silence))?;
        self.count(&answer);
        Ok(answer)
    }

    /// Counts what an answer has cost.
    pub(super) fn count(&mut self, answer: &Answer) {
        let (input, output) = answer.tokens();
        self.tokens = (self.tokens.0 + input, self.tokens.1 + output);
    }

    fn note(&mut self, step: Step, answer: Answer) {
        let at = answer.sent.saturating_duration_since(self.begun).as_secs_f64();
        let used = answer.tokens();
        self.seen.push(Seen { step, at, limits: answer.limits, used });
    }

    fn shows(&self) -> bool {
        self.seen.iter().all(|seen| seen.limits.remaining_tokens.is_some())
    }

    /// Waits as long as a bucket would take to be full again.
    async fn let_it_fill(&self) {
        let Some(last) = self.seen.last() else { return };
        let seconds = fit::refill(last, self.deployment.tokens_per_minute) * 1.1 + 0.1;
        tokio::time::sleep(Duration::from_secs_f64(seconds.min(3600.0)).min(REFILL_MAX)).await;
    }

    pub(super) fn progress(&self, what: &str) {
        // Who closes stderr does not want to know.
        let _ = writeln!(std::io::stderr(), "{}: {what}", self.deployment.name);
    }
}

fn named(step: Step) -> &'static str {
    match step {
        Step::Schema => "a schema",
        Step::Tool => "tools",
        _ => "this question",
    }
}

/// The findings for people.
pub(super) fn report(probed: &Probed) -> String {
    let found = &probed.found;
    let yes = |known: Option<bool>| match known {
        Some(true) => "yes",
        Some(false) => "no",
        None => "cannot be told",
    };
    let number = |known: Option<u64>| known.map_or("not named".to_owned(), |n| n.to_string());
    let counted = match found.counted_in {
        Some(Unit::Characters) => "characters (Unicode scalar values)",
        Some(Unit::Utf16) => "UTF-16 code units",
        Some(Unit::Bytes) => "UTF-8 bytes",
        Some(Unit::Tokens) => "the model's own tokens",
        None => "cannot be told",
    };
    let characters = found.charge_characters_per_token;
    let characters = characters.map_or("cannot be told".to_owned(), |n| n.to_string());
    let window = found.requests_window_seconds;
    let window = window.map_or("cannot be told".to_owned(), |seconds| format!("{seconds} s"));
    let rows = [
        ("limiter", found.limiter.map_or("cannot be told", LimiterKind::name).to_owned()),
        ("max_tokens is charged", yes(found.charge_output).to_owned()),
        ("characters charged as one token", characters),
        ("characters are counted in", counted.to_owned()),
        ("a schema is charged", yes(found.schema_is_charged).to_owned()),
        ("tools are charged", yes(found.tools_are_charged).to_owned()),
        ("the real use counts in the end", yes(found.charge_settled).to_owned()),
        ("window of the requests", window),
        ("tokens a minute, by its headers", number(found.tokens_per_minute)),
        ("requests a minute, by its headers", number(found.requests_per_minute)),
    ];
    let mut text = String::new();
    for (what, value) in rows {
        text.push_str(&format!("{what:<34}  {value}\n"));
    }
    if let Some(burst) = probed.burst.as_ref().filter(|burst| burst.calls > 0) {
        let Burst { calls, admitted, .. } = burst;
        text.push_str(&format!("{:<34}  {admitted} of {calls} admitted\n", "burst"));
        if let Some(seconds) = burst.seconds {
            let what = "burst, in seconds of its rate";
            text.push_str(&format!("{what:<34}  about {seconds:.1}\n"));
        }
    }
    let (input, output) = (probed.tokens_input, probed.tokens_output);
    let used = format!("{} calls, {input} tokens in, {output} out", probed.calls);
    text.push_str(&format!("{:<34}  {used}\n", "the probe used"));
    for note in &probed.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}
