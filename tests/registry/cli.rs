//! The program itself: its flags, its lock file, and what it does not do.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::fake::{Fake, Reply};
use crate::{good, sha256, usual_index};

/// A folder to run in, with two services on one image.
fn folder(fake: &Fake) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for service in ["a", "b"] {
        let path = folder.path().join(service);
        std::fs::create_dir(&path).unwrap();
        let text = format!("FROM {}/app:1\nRUN true\n", fake.host());
        std::fs::write(path.join("Dockerfile"), text).unwrap();
    }
    folder
}

pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dfmigrate"));
    quiet_home(&mut command, folder);
    command
}

/// Nothing of the user's own comes in.
fn quiet_home(command: &mut Command, folder: &Path) {
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_CACHE_HOME", folder.join(".cache"));
    for name in [
        "DOCKER_CONFIG",
        "DOCKER_AUTH_CONFIG",
        "REGISTRY_AUTH_FILE",
        "XDG_CONFIG_HOME",
    ] {
        command.env_remove(name);
    }
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
}

fn run(folder: &Path, args: &[&str]) -> Output {
    program(folder).args(args).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pinned(fake: &Fake) -> String {
    let digest = sha256(usual_index().as_bytes());
    format!("FROM {}/app:1@{digest}\nRUN true\n", fake.host())
}

#[test]
fn two_files_that_name_a_tag_cost_one_request_in_review_and_apply_together() {
    let fake = Fake::start(good);
    let folder = folder(&fake);
    let host = fake.host();
    let args = ["--select", "pin-digest", "--insecure-registry", &host];
    let review = run(folder.path(), &[&args[..], &["--diff"]].concat());
    assert!(review.status.success(), "{}", text(&review.stderr));
    let patch = text(&review.stdout);
    assert_eq!(
        patch.matches(pinned(&fake).lines().next().unwrap()).count(),
        2,
        "{patch}"
    );
    let said = text(&review.stderr);
    assert!(said.contains("image references: 1 resolved"), "{said}");
    let apply = run(
        folder.path(),
        &[&args[..], &["--apply", "--allow-dirty"]].concat(),
    );
    let said = text(&apply.stderr);
    assert!(said.contains("1 from earlier answers"), "{said}");
    for service in ["a", "b"] {
        let path = folder.path().join(service).join("Dockerfile");
        assert_eq!(std::fs::read_to_string(path).unwrap(), pinned(&fake));
    }
    assert_eq!(fake.requests().len(), 1);
    let again = run(folder.path(), &[&args[..], &["--check"]].concat());
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stdout));
    assert!(
        !folder.path().join("dfmigrate.lock").exists(),
        "nobody asked for a lock file"
    );
}

#[test]
fn the_lock_file_stands_in_for_the_registry() {
    let fake = Fake::start(good);
    let folder = folder(&fake);
    let host = fake.host();
    let lock = folder.path().join("dfmigrate.lock");
    let with_lock = [
        "--select",
        "pin-digest",
        "--insecure-registry",
        &host,
        "--lock",
        "--diff",
    ];
    let first = run(folder.path(), &with_lock);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let locked = std::fs::read_to_string(&lock).unwrap();
    assert_eq!(locked.lines().count(), 2, "{locked}");
    std::fs::remove_dir_all(folder.path().join(".cache")).unwrap();
    let asked = fake.requests().len();
    // Without a word of any host: the lock file is enough.
    let offline = run(
        folder.path(),
        &["--locked", "--select", "pin-digest", "--diff"],
    );
    assert!(offline.status.success(), "{}", text(&offline.stderr));
    assert_eq!(offline.stdout, first.stdout);
    assert_eq!(fake.requests().len(), asked);
    // What it does not know fails the run, with exit code 2.
    std::fs::write(folder.path().join("Dockerfile"), "FROM alpine:3.22\n").unwrap();
    let more = run(
        folder.path(),
        &["--locked", "--select", "pin-digest", "--diff"],
    );
    assert_eq!(more.status.code(), Some(2));
    let said = text(&more.stderr);
    assert!(
        said.contains("docker.io/library/alpine:3.22 is not locked"),
        "{said}"
    );
    assert!(
        said.contains("write it anew with --online --lock"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), locked);
    // So does a registry that says something else now.
    std::fs::remove_file(folder.path().join("Dockerfile")).unwrap();
    let other = locked.replace(&sha256(usual_index().as_bytes()), &sha256(b"old"));
    std::fs::write(&lock, &other).unwrap();
    let compare = [
        "--online",
        "--locked",
        "--select",
        "pin-digest",
        "--insecure-registry",
        &host,
    ];
    let moved = run(folder.path(), &compare);
    assert_eq!(moved.status.code(), Some(2));
    assert!(
        text(&moved.stderr).contains("; locked: is sha256:"),
        "{}",
        text(&moved.stderr)
    );
    std::fs::write(&lock, "nonsense\n").unwrap();
    let broken = run(folder.path(), &["--locked"]);
    assert_eq!(broken.status.code(), Some(2));
    assert!(
        text(&broken.stderr).contains("dfmigrate.lock:1: this is no line"),
        "{}",
        text(&broken.stderr)
    );
}

#[test]
fn a_host_that_is_not_asked_is_said_once_with_how_to_allow_it() {
    let fake = Fake::start(good);
    let folder = folder(&fake);
    let out = run(folder.path(), &["--select", "pin-digest"]);
    assert!(out.status.success());
    let said = text(&out.stderr);
    let how = format!("--ask-registry {} allows it", fake.host());
    assert_eq!(said.matches(&how).count(), 1, "{said}");
    assert!(
        text(&out.stdout).contains("is not contacted"),
        "{}",
        text(&out.stdout)
    );
    assert_eq!(fake.connections(), 0);
}

#[test]
fn flags_that_make_no_sense_are_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    for (args, part) in [
        (
            &["--insecure-registry", "http://x", "--online"][..],
            "is no registry",
        ),
        (
            &["--registry-mirror", "docker.io", "--online"],
            "wants REGISTRY=HOST",
        ),
        (&["--min-age", "soon"], "such as 3d"),
        (&["--lock"], "--lock has nothing to note"),
        (&["--online", "--offline"], "cannot be used with"),
    ] {
        let out = run(folder.path(), args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(
            text(&out.stderr).contains(part),
            "{args:?}: {}",
            text(&out.stderr)
        );
    }
}

/// Whether there is an strace; in CI it is fetched where it is missing, and what
/// can't be traced there is an error.
fn strace() -> bool {
    let there = || Command::new("strace").arg("-V").output().is_ok();
    if there() {
        return true;
    }
    if std::env::var_os("CI").is_none_or(|ci| ci != "true") {
        eprintln!("SKIPPED: strace is not there: that no socket is opened was NOT proven");
        return false;
    }
    for args in [
        &["update", "-qq"][..],
        &["install", "-y", "-qq", "--no-install-recommends", "strace"],
    ] {
        let done = Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(args)
            .output();
        assert!(
            done.is_ok_and(|done| done.status.success()),
            "apt-get {args:?}"
        );
    }
    assert!(there(), "strace is not there after its installation");
    true
}

/// The lines of a trace that open or use a socket; `None` where there is no
/// strace.
fn sockets(folder: &Path, args: &[&str]) -> Option<Vec<String>> {
    if !strace() {
        return None;
    }
    let trace = folder.join("trace");
    let mut command = Command::new("strace");
    quiet_home(&mut command, folder);
    command.args(["-f", "-e", "trace=socket,connect,sendto,execve", "-o"]);
    command
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_dfmigrate"))
        .args(args);
    let out = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    out.unwrap();
    let text = std::fs::read_to_string(&trace).unwrap();
    assert!(text.contains("execve("), "nothing was traced: {text}");
    let used = text.lines().filter(|line| !line.contains("execve("));
    let used = used.filter(|line| {
        line.contains("socket(") || line.contains("connect(") || line.contains("sendto(")
    });
    Some(used.map(str::to_owned).collect())
}

#[test]
fn offline_opens_no_socket_whatever_is_selected() {
    let fake = Fake::start(good);
    let folder = folder(&fake);
    std::fs::write(
        folder.path().join("Dockerfile"),
        "FROM node:20\nFROM node:20@sha256:\n",
    )
    .unwrap();
    let host = fake.host();
    let everything = [
        "--insecure-registry",
        &host,
        "--select",
        "pin-digest,refresh-digest,pin-codename",
    ];
    for args in [
        &[][..],
        &["--offline"],
        &[&everything[..], &["--offline"]].concat(),
        &[&everything[..], &["--locked"]].concat(),
    ] {
        let Some(used) = sockets(folder.path(), args) else {
            return;
        };
        assert_eq!(used, Vec::<String>::new(), "{args:?}");
    }
    // The trace sees sockets where there are some.
    let used = sockets(folder.path(), &everything).unwrap();
    assert!(!used.is_empty());
    assert!(fake.connections() > 0);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing_half_done() {
    let fake = Fake::start(|_| {
        Reply::raw(|_| {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        })
    });
    let folder = folder(&fake);
    let host = fake.host();
    let mut child = program(folder.path())
        .args([
            "--select",
            "pin-digest",
            "--insecure-registry",
            &host,
            "--apply",
            "--allow-dirty",
            "--lock",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while fake.requests().is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert!(!child.wait().unwrap().success());
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    let left = std::fs::read_to_string(folder.path().join("a/Dockerfile")).unwrap();
    assert_eq!(left, format!("FROM {host}/app:1\nRUN true\n"));
}

/// The most memory of a run, in KiB.
#[cfg(target_os = "linux")]
fn peak(fake: &Fake, args: &[&str]) -> u64 {
    let folder = folder(fake);
    let host = fake.host();
    let mut child = program(folder.path())
        .args([
            "--select",
            "pin-digest,refresh-digest",
            "--insecure-registry",
            &host,
        ])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    peak
}

/// What the programs' own code takes: more in a build for debugging.
#[cfg(target_os = "linux")]
const CODE: u64 = if cfg!(debug_assertions) { 16 << 10 } else { 0 };

/// A body that never ends, after that head.
fn endless(head: &'static str) -> impl Fn(&crate::fake::Request) -> Reply + Send + Sync {
    move |_| {
        Reply::raw(move |out| {
            out.write_all(head.as_bytes())?;
            let piece = [b'x'; 1 << 16];
            loop {
                out.write_all(&piece)?;
            }
        })
    }
}

#[cfg(target_os = "linux")]
#[test]
fn hostile_answers_cost_less_than_32_mb() {
    let index = |body: Vec<u8>| {
        Fake::start(move |request| {
            let reply = Reply::status(200).with("Content-Type", crate::OCI_INDEX);
            match request.method.as_str() {
                "HEAD" => reply,
                _ => reply.body(body.clone()),
            }
        })
    };
    let nearly = (4 << 20) - 100;
    let small_entries = format!("{{\"manifests\":[{}1]}}", "{},".repeat(nearly / 3 - 10));
    let small_keys = format!(
        "{{\"a\":[{}1],\"manifests\":[]}}",
        "0,".repeat(nearly / 2 - 20)
    );
    let challenge = |request: &crate::fake::Request| {
        let host = request.header("host").unwrap_or_default().to_owned();
        let realm = format!("Bearer realm=\"http://{host}/token\",service=\"x\"");
        Reply::status(401).with("WWW-Authenticate", realm)
    };
    let token = |body: Vec<u8>| {
        Fake::start(move |request| match request.target.starts_with("/token") {
            true => Reply::json(body.clone()),
            false => challenge(request),
        })
    };
    let cases = [
        ("as usual", index(usual_index().into_bytes())),
        ("blanks up to the cap", index(b" ".repeat(nearly))),
        ("16 MB of blanks", index(b" ".repeat(16 << 20))),
        (
            "100 MB announced",
            Fake::start(endless(
                "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\n\r\n",
            )),
        ),
        ("a million small entries", index(small_entries.into_bytes())),
        ("two million small values", index(small_keys.into_bytes())),
        ("a nest of four million arrays", index(b"[".repeat(nearly))),
        (
            "a body without end",
            Fake::start(endless(
                "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\n\r\n",
            )),
        ),
        (
            "an error text without end",
            Fake::start(endless("HTTP/1.1 403 No\r\n\r\n")),
        ),
        (
            "headers without end",
            Fake::start(endless("HTTP/1.1 200 OK\r\nX-A: ")),
        ),
        (
            "a compressed body",
            Fake::start(endless(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f",
            )),
        ),
        (
            "a token of 8 MB",
            token(format!("{{\"token\":\"{}\"}}", "x".repeat(8 << 20)).into_bytes()),
        ),
        (
            "a token without end",
            Fake::start(move |request| match request.target.starts_with("/token") {
                true => {
                    endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")(request)
                }
                false => challenge(request),
            }),
        ),
    ];
    for (name, fake) in &cases {
        let peak = peak(fake, &["--platform", "linux/amd64"]);
        eprintln!("{peak:6} KiB at most: {name}");
        assert!(peak > 0, "{name}: not measured");
        assert!(peak < (32 << 10) + CODE, "{name}: {peak} KiB");
    }
}
