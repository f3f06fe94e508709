//! A probe on the command line: whether it may begin, and its findings for people.

use crate::end::End;
use pool::probe::{self, Burst, Cost, Probed, Unit};
use pool::{DeploymentConfig, LimiterKind};
use std::io::{IsTerminal, Write};

/// Says what a probe will use, and asks whether it may where nobody has said so.
pub(super) fn agree(deployment: &DeploymentConfig, with_burst: bool, yes: bool) -> Result<(), End> {
    let Cost { calls, tokens } = probe::cost(deployment, with_burst);
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
    if found.limiter == Some(LimiterKind::Ptu) && probed.burst.is_none() {
        text.push_str("note: add --burst to see what it charges\n");
    }
    for note in &probed.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}
