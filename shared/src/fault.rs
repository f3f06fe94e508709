//! Named points at which a test may kill the process, to prove that nothing is lost there. In a
//! release build they do nothing.

/// Kills this process (SIGKILL) if the environment variable `SLUICE_KILL_AT` names this point:
/// `NAME` at the first passage, `NAME:3` at the third.
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    static POINT: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("SLUICE_KILL_AT").ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), nth.parse().ok()?))
    });

    static PASSED: AtomicU32 = AtomicU32::new(0);

    pub(super) fn pass(name: &str) {
        let Some((point, nth)) = POINT.as_ref() else { return };
        if point == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
            let me = rustix::process::getpid();
            // Nothing runs after this that could tidy up.
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
    }
}
