//! Holds the allocator of the GNU C library to few arenas.
//!
//! Memory that is freed stays in the arena of the thread that asked for it, and there may be eight for
//! each processor: after long documents a worker holds three times what it needs. Another C library is
//! left alone. This crate is apart because it alone has an `unsafe` line.

/// Two: threads seldom wait for each other here, and a second one costs little memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS_MAX: i32 = 2;

/// Allows two arenas, unless `MALLOC_ARENA_MAX` says how many. To be called before threads are started.
///
/// Source: mallopt(3), `M_ARENA_MAX`. Where it is refused all stays as it was.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn limit_arenas() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_some() {
        return;
    }
    #[expect(unsafe_code, reason = "a call of C")]
    // SAFETY: mallopt takes two numbers and keeps no pointer; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
    }
}

/// There is nothing to limit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn limit_arenas() {}
