//! Several calls at once on purpose, so that some find no room: what provisioned throughput charges,
//! and how long the window of the requests is, shows only then.

use super::caller::ProbeResponse;
use super::fit::{Findings, Seen};
use super::plan::{self, small};
use super::problem::{self, Problem};
use super::session::Probe;
use crate::limiter::LimiterKind;
use serde::Serialize;
use std::time::Duration;

/// The most calls of all bursts of one probe.
pub(super) const CALLS_MAX: u32 = 40;

/// The calls of one burst against provisioned throughput.
const PTU_CALLS: u32 = 12;

/// How many calls of such a burst are to fill ten seconds of its rate.
const PTU_FILL: u64 = 4;

/// The room for the answer of a call that is to cost little.
const ROOM: u32 = 16;

/// What a burst has shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Burst {
    /// How many calls were made at once.
    pub calls: u32,
    /// How many of them were let in.
    pub admitted: u32,
    /// The wait that the others were told, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// How many seconds of its rate came through at once.
    pub seconds: Option<f64>,
    #[serde(skip)]
    pub(super) note: Option<String>,
}

/// About how many tokens all bursts use at most: short questions with short answers.
pub(super) fn tokens() -> u64 {
    u64::from(CALLS_MAX) * 200
}

/// The burst that fits the kind of limiter; adds to what was found.
pub(super) async fn burst(
    probe: &mut Probe<'_>,
    first: &Seen,
    found: &mut Findings,
) -> Result<Option<Burst>, Problem> {
    match found.limiter {
        Some(LimiterKind::Ptu) => provisioned(probe, found).await.map(Some),
        Some(LimiterKind::Window | LimiterKind::FixedWindow | LimiterKind::Bucket) => {
            requests(probe, first).await.map(Some)
        }
        Some(LimiterKind::Auto) | None => Ok(None),
    }
}

/// Twice as many calls as fit, with little room and with much: if only the latter find no room, room
/// is charged.
async fn provisioned(probe: &mut Probe<'_>, found: &mut Findings) -> Result<Burst, Problem> {
    let little = at_once(probe, PTU_CALLS, ROOM).await?;
    if little.admitted < little.calls {
        let note = "it has no room even for small calls: run the probe again when it is idle";
        return Ok(Burst { note: Some(note.to_owned()), ..little });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rate = plan::quota(probe.deployment).0 as f64 / 60.0;
    let weight = probe.output_weight();
    let room = rate * 10.0 / (PTU_FILL as f64 * weight);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
    let room = room.clamp(64.0, 4096.0) as u32;
    let mut much = at_once(probe, PTU_CALLS, room).await?;
    if much.admitted < much.calls {
        found.charge_output = Some(true);
        let charged = f64::from(much.admitted) * (f64::from(room) * weight + 100.0);
        // The wait is the time until what is above the brim has drained.
        let above = much.retry_after_ms.unwrap_or_default() as f64 / 1000.0;
        much.seconds = Some((charged / rate - above).max(0.0));
    } else {
        let note = format!(
            "{PTU_CALLS} calls with a room of {room} tokens each were let in at once: room is not \
             charged, or the burst is longer than it was taken for"
        );
        much.note = Some(note);
    }
    Ok(much)
}

/// More small calls at once than the window of the requests takes, where that is a handful.
async fn requests(probe: &mut Probe<'_>, first: &Seen) -> Result<Burst, Problem> {
    let most = first.limits.requests_left.unwrap_or(u64::MAX).saturating_add(4);
    match u32::try_from(most) {
        Ok(most) if most <= CALLS_MAX => {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let burst = at_once(probe, most, ROOM).await?;
            let note = match burst.admitted < burst.calls {
                true => None,
                false => Some("every call of the burst was let in".to_owned()),
            };
            Ok(Burst { note, ..burst })
        }
        _ => {
            let note = "its requests are too many for a burst to reach the limit";
            Ok(Burst { note: Some(note.to_owned()), ..Burst::default() })
        }
    }
}

async fn at_once(probe: &mut Probe<'_>, calls: u32, room: u32) -> Result<Burst, Problem> {
    probe.progress(&format!("{calls} calls at once, with room for {room} tokens each"));
    probe.calls += calls;
    let (fields, room) = small(room);
    let caller = &probe.caller;
    let all = (0..calls).map(|_| caller.call(&fields, room));
    let all = futures::future::join_all(all).await;
    let mut burst = Burst { calls, ..Burst::default() };
    for answer in all {
        let answer: ProbeResponse = answer.map_err(problem::silent)?;
        probe.count(&answer);
        match answer.status {
            200 => burst.admitted += 1,
            429 => {
                let wait = answer.retry_after.map(|wait| wait.as_millis());
                let wait = wait.and_then(|wait| u64::try_from(wait).ok());
                burst.retry_after_ms = burst.retry_after_ms.max(wait);
            }
            status => {
                return Err(probe.refused(status, &answer.message));
            }
        }
    }
    Ok(burst)
}
