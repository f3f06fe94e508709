//! What a confined process can still reach, tried from inside; and what is said where the kernel
//! cannot confine it.

use crate::{
    Children, Engine, Limits, Scanning, TextReader,
    sandbox::{Confinement, run},
    tests::{children_of_the_binary, good},
};
use rustix::process::{
    Pid, Resource, Rlimit, getpid, getppid, getrlimit, setrlimit, test_kill_process,
};
use seccompiler::{SeccompAction, SeccompFilter};
use std::{
    fs::File,
    io::{self, Read},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    thread,
};

/// Says that this process is to try, and whether confined.
const TRY: &str = "SLUICE_TEST_TRY";

/// What a process may have from before it was confined.
struct Before {
    open: File,
    parent: Pid,
    memory: Rlimit,
}

/// What a hostile file would do, by name. Outside of the sandbox the kernel does each, or says that
/// there is no such process.
fn attempts(before: Before) -> Vec<(&'static str, io::Result<()>)> {
    let pid = |pid: Pid| nix::unistd::Pid::from_raw(pid.as_raw_nonzero().get());
    let nobody = nix::unistd::Pid::from_raw(i32::MAX);
    let Before { open, parent, memory } = before;
    let mut bytes = [0];
    let remote = [nix::sys::uio::RemoteIoVec { base: 0, len: 1 }];
    let mut local = [io::IoSliceMut::new(&mut bytes)];
    vec![
        ("read a file", File::open("/proc/self/status").map(drop)),
        ("read a folder", std::fs::read_dir("/").map(drop)),
        ("write a file", File::options().write(true).open("/dev/null").map(drop)),
        ("look at a file", std::fs::metadata("/").map(drop)),
        ("read an inherited file", (&open).read(&mut [0]).map(drop)),
        ("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("connect", TcpStream::connect("127.0.0.1:1").map(drop)),
        ("send a datagram", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("a local socket", UnixDatagram::unbound().map(drop)),
        ("run a program", Command::new("/bin/true").stdin(Stdio::null()).status().map(drop)),
        ("start a thread", thread::Builder::new().spawn(|| ()).map(drop)),
        ("signal its parent", test_kill_process(parent).map_err(Into::into)),
        ("signal itself", test_kill_process(getpid()).map_err(Into::into)),
        ("trace", nix::sys::ptrace::detach(pid(getpid()), None).map_err(Into::into)),
        (
            "read another process",
            nix::sys::uio::process_vm_readv(nobody, &mut local, &remote)
                .map(drop)
                .map_err(Into::into),
        ),
        ("raise its limits", setrlimit(Resource::As, memory).map_err(Into::into)),
    ]
}

/// Runs in a process of its own, which [`nothing_else_is_within_reach`] starts.
#[test]
#[ignore = "locks the whole process in: run by another test"]
fn inside() {
    let Ok(mode) = std::env::var(TRY) else { return };
    let before = Before {
        open: File::open("/proc/self/status").unwrap(),
        parent: getppid().unwrap(),
        memory: getrlimit(Resource::As),
    };
    let report = |before| {
        for (name, result) in attempts(before) {
            let is_refused =
                matches!(&result, Err(e) if e.kind() == io::ErrorKind::PermissionDenied);
            println!("{}: {name}: {result:?}", if is_refused { "refused" } else { "reached" });
        }
    };
    match mode.as_str() {
        "confined" => run(confinement(), move |missing| {
            assert_eq!(missing, [""; 0]);
            report(before);
        })
        .unwrap(),
        _ => report(before),
    }
}

fn confinement() -> Confinement {
    let parent = getppid().unwrap().as_raw_nonzero().get().cast_unsigned();
    Confinement { parent, memory_bytes_max: 1 << 30, allow_missing: false }
}

#[test]
fn nothing_else_is_within_reach() {
    let tried = |mode: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["sandbox_tests::inside", "--exact", "--ignored", "--nocapture"]);
        let output = command.env(TRY, mode).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (free, confined) = (tried("free"), tried("confined"));
    println!("{free}\n{confined}");
    let count = |text: &str, what: &str| text.lines().filter(|line| line.contains(what)).count();
    // Outside, each gets further than a refusal: what is refused inside is so by the sandbox.
    assert_eq!((count(&free, "reached: "), count(&free, "refused: ")), (16, 0));
    assert_eq!((count(&confined, "reached: "), count(&confined, "refused: ")), (0, 16));
}

/// The end of a first child where the kernel answers this system call as if it did not know it.
fn without(call: i64, allow_unsandboxed: bool) -> Result<Vec<String>, String> {
    let blind = move || {
        let rules = [(call, Vec::new())].into_iter().collect();
        let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        let filter =
            SeccompFilter::new(rules, SeccompAction::Allow, unknown, architecture).unwrap();
        let filter: seccompiler::BpfProgram = filter.try_into().unwrap();
        // Of this thread, of those that it starts, and of their children.
        seccompiler::apply_filter(&filter).unwrap();
        let children = Children { allow_unsandboxed, ..children_of_the_binary() };
        let reader =
            TextReader::new(children, Engine::Hayro, Limits::default(), Scanning::default())
                .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let missing = reader.check().await.map_err(|error| error.to_string())?;
            good(&reader).await;
            Ok(missing)
        })
    };
    thread::spawn(blind).join().unwrap()
}

#[test]
fn a_kernel_without_locks_is_refused_unless_it_is_allowed() {
    let check = |call: i64, what: &str| {
        let refused = without(call, false).unwrap_err();
        let kernel = rustix::system::uname();
        for part in [what, "text.allow_unsandboxed = true", kernel.release().to_str().unwrap()] {
            assert!(refused.contains(part), "{refused}");
        }
        let missing = without(call, true).unwrap();
        assert!(missing.len() == 1 && missing[0].contains(what), "{missing:?}");
    };
    check(libc::SYS_landlock_create_ruleset, "has no Landlock");
    check(libc::SYS_seccomp, "does not filter system calls");
}
