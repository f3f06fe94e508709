//! What a process gives up for good before it reads a hostile file: files, network, other programs
//! and other processes. What is left is to read its input, to compute, and to write its answer.
//!
//! It must know nothing of documents, and of the parent only its process id.

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, getppid, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf, thread};

/// Open files: the three standard streams. Nothing that is read can open another.
const FILES_MAX: u64 = 3;

/// Nested objects are read by recursion; this much of it is allowed.
const STACK_BYTES: usize = 64 << 20;

/// How a process is confined.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Confinement {
    /// The process that started it, and with which it ends.
    pub(super) parent: u32,
    /// Its address space.
    pub(super) memory_bytes_max: u64,
    /// Whether it may work where the kernel lacks Landlock or seccomp, with what is left.
    pub(super) allow_missing: bool,
}

/// Open files of a program that was not made for a sandbox.
const PROGRAM_FILES_MAX: u64 = 64;

/// Where programs, their libraries and data are installed.
const INSTALLED: [&str; 8] =
    ["/usr", "/bin", "/lib", "/lib64", "/opt", "/nix/store", "/etc/ld.so.cache", "/dev/null"];

/// How a process is confined that becomes another program.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ProgramConfinement {
    /// The process that started it, and with which it ends.
    pub(super) parent: u32,
    /// Its address space.
    pub(super) memory_bytes_max: u64,
    /// Its processor time.
    pub(super) cpu_seconds_max: u64,
    /// As [`Confinement::allow_missing`].
    pub(super) allow_missing: bool,
}

/// Why a process may not read hostile files.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("the process that started it is gone")]
    Orphan,
    #[error("it could not limit itself: {0}")]
    Limit(#[from] io::Error),
    #[error(
        "a hostile file cannot be locked in here: {0}; or set text.allow_unsandboxed = true to read \
         documents without this lock"
    )]
    Missing(String),
    #[error("it broke")]
    Broken,
}

/// Runs `work` in a thread with a large stack, after every thread of this process is confined for
/// good. `work` is told which locks this kernel lacks.
///
/// # Errors
/// When the process cannot be confined; `work` did not run. A lock that the kernel lacks is such a
/// case unless it is allowed to be missing.
pub(super) fn run<T: Send + 'static>(
    confinement: Confinement,
    work: impl FnOnce(Vec<String>) -> T + Send + 'static,
) -> Result<T, SandboxError> {
    // gVisor gives zero for the session, which rustix takes for impossible.
    nix::unistd::setsid().map_err(io::Error::from)?;
    depend_on(confinement.parent)?;
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from)?;
    let mut missing = Vec::new();
    let mut note = move |lock: Result<(), String>| match lock {
        Ok(()) => Ok(missing.clone()),
        Err(lack) if confinement.allow_missing => {
            missing.push(lack);
            Ok(missing.clone())
        }
        Err(lack) => Err(SandboxError::Missing(lack)),
    };
    // A thread inherits this from the one that starts it.
    note(restrict(Vec::new()))?;
    limit(confinement.memory_bytes_max, FILES_MAX)?;
    // The filter comes last and from within: after it no thread can be started.
    let confined = move || Ok(work(note(deny_system_calls())?));
    let working = thread::Builder::new().stack_size(STACK_BYTES).spawn(confined)?;
    working.join().unwrap_or(Err(SandboxError::Broken))
}

/// Confines this process, and the program that it will become, for good: it reads what is installed
/// and these paths, writes to no file, and reaches no network and no other process.
///
/// # Errors
/// When the process cannot be confined.
pub(super) fn confine_program<'a>(
    confinement: &ProgramConfinement,
    readable: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), SandboxError> {
    nix::unistd::setsid().map_err(io::Error::from)?;
    depend_on(confinement.parent)?;
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from)?;
    let readable = INSTALLED.map(PathBuf::from).into_iter().chain(readable.cloned()).collect();
    for lock in [restrict(readable), deny_network()] {
        if let Err(lack) = lock
            && !confinement.allow_missing
        {
            return Err(SandboxError::Missing(lack));
        }
    }
    limit(confinement.memory_bytes_max, PROGRAM_FILES_MAX)?;
    // The program ends with the signal of the lower limit.
    let seconds = confinement.cpu_seconds_max;
    let time = Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) };
    Ok(setrlimit(Resource::Cpu, time).map_err(io::Error::from)?)
}

/// The kernel ends this process with the thread that started it (prctl(2), `PR_SET_PDEATHSIG`).
fn depend_on(parent: u32) -> Result<(), SandboxError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)?;
    // A parent that died before the line above sends nothing.
    let is_there =
        getppid().is_some_and(|now| now.as_raw_nonzero().get().cast_unsigned() == parent);
    if is_there { Ok(()) } else { Err(SandboxError::Orphan) }
}

fn limit(memory_bytes_max: u64, files_max: u64) -> io::Result<()> {
    let set =
        |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    set(Resource::As, memory_bytes_max)?;
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    set(Resource::Nofile, files_max)?;
    Ok(())
}

/// Landlock (landlock(7)): no path but these to be read, no TCP port, no abstract socket and no process
/// outside may be reached. Of these, kernels before 6.12 deny only some; the filter of system calls denies all.
fn restrict(readable: Vec<PathBuf>) -> Result<(), String> {
    let deny = move || -> Result<_, RulesetError> {
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V6))?
            .handle_access(AccessNet::from_all(ABI::V6))?
            .scope(Scope::from_all(ABI::V6))?;
        let readable = path_beneath_rules(readable, AccessFs::from_read(ABI::V6));
        rules.create()?.add_rules(readable)?.restrict_self()
    };
    let status = deny().map_err(|error| format!("{} refuses Landlock: {error}", kernel()))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced, _) => Ok(()),
        (_, LandlockStatus::NotEnabled) => Err(format!(
            "Landlock is turned off in {}: add landlock to the lsm= parameter of the kernel",
            kernel()
        )),
        _ => Err(format!(
            "{} has no Landlock, as gVisor has none, or the container's seccomp profile forbids it: \
             use Linux 5.13 or newer, and a container engine of 2022 or newer",
            kernel()
        )),
    }
}

/// A seccomp filter (seccomp(2)) for all threads: a system call that is not on the list fails with
/// EPERM.
fn deny_system_calls() -> Result<(), String> {
    let filter = filter(getpid()).map_err(|error| refused(&error))?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|error| refused(&error))
}

/// The same for a program that was not made for a sandbox: what reaches out of it fails with EPERM.
fn deny_network() -> Result<(), String> {
    let denied = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_io_uring_setup,
        libc::SYS_userfaultfd,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
    ];
    let apply = || -> Result<(), Box<dyn std::error::Error>> {
        let rules = denied.map(|call| (call, Vec::new())).into_iter().collect();
        let refusal = SeccompAction::Errno(libc::EPERM.cast_unsigned());
        let architecture = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture)?;
        let filter: BpfProgram = filter.try_into()?;
        Ok(seccompiler::apply_filter(&filter)?)
    };
    apply().map_err(|error| refused(&error))
}

fn refused(error: &dyn std::fmt::Display) -> String {
    format!("{} does not filter system calls with seccomp: {error}", kernel())
}

fn kernel() -> String {
    let name = rustix::system::uname();
    format!(
        "this kernel ({} {})",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy()
    )
}

/// What `process` may still ask of the kernel: to read standard input, to write to the other two
/// standard streams, memory that holds no code, time, random numbers, and its own end.
fn filter(process: Pid) -> Result<BpfProgram, seccompiler::BackendError> {
    let number = |number: i32| u64::from(number.cast_unsigned());
    let is = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    let masked = |argument, mask: i32, value: i32| {
        let mask = SeccompCmpOp::MaskedEq(number(mask));
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, mask, number(value))
    };
    let rule = SeccompRule::new;
    let no_code = masked(2, libc::PROT_EXEC, 0)?;
    let no_file = masked(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS)?;
    let output = || Ok(vec![rule(vec![is(0, 1)?])?, rule(vec![is(0, 2)?])?]);
    // Rust and the C library tell a stack overflow from other faults, and abort.
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT];
    let faults = faults.map(|signal| rule(vec![is(0, number(signal))?]));
    let itself = is(0, number(process.as_raw_nonzero().get()))?;
    let limited = [
        (libc::SYS_read, vec![rule(vec![is(0, 0)?])?]),
        (libc::SYS_write, output()?),
        (libc::SYS_writev, output()?),
        (libc::SYS_mmap, vec![rule(vec![no_code.clone(), no_file])?]),
        (libc::SYS_mprotect, vec![rule(vec![no_code])?]),
        (libc::SYS_rt_sigaction, faults.into_iter().collect::<Result<_, _>>()?),
        (libc::SYS_tgkill, vec![rule(vec![itself, is(2, number(libc::SIGABRT))?])?]),
        // Each file is allowed its processor time.
        (libc::SYS_prlimit64, vec![rule(vec![is(0, 0)?, is(1, u64::from(libc::RLIMIT_CPU))?])?]),
    ];
    let free = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_gettimeofday,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ];
    let rules = limited.into_iter().chain(free.map(|call| (call, Vec::new()))).collect();
    let refusal = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, refusal, SeccompAction::Allow, architecture)?.try_into()
}
