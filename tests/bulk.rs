//! `--apply` over many files while the process is killed, the system refuses,
//! other runs write, and symlinks are swapped in: each file is the old or the new
//! one, and what went wrong is said.
//!
//! `DFMIGRATE_KILLS=1000` and `DFMIGRATE_FAULTS=200` make the long runs of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A tree of Dockerfiles that all change.
struct Tree {
    folder: tempfile::TempDir,
    count: usize,
    state: tempfile::TempDir,
}

fn old(number: usize) -> String {
    format!("FROM node:20\nRUN echo {number}\n")
}

fn new(number: usize) -> String {
    format!("FROM node:20-bookworm\nRUN echo {number}\n")
}

impl Tree {
    fn new(count: usize) -> Self {
        let tree = Self {
            folder: tempfile::tempdir().unwrap(),
            count,
            state: tempfile::tempdir().unwrap(),
        };
        tree.reset();
        tree
    }

    fn file(&self, number: usize) -> PathBuf {
        let path = self.folder.path().join((number % 20).to_string());
        path.join(format!("{number}.Dockerfile"))
    }

    fn reset(&self) {
        for number in 0..self.count {
            let file = self.file(number);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, old(number)).unwrap();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.state.path())
            .stdin(Stdio::null());
        command
    }

    fn dfmigrate(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_dfmigrate"));
        command.args(arguments);
        command
    }

    /// How many files are new; each is the old or the new one.
    fn written(&self) -> usize {
        let mut written = 0;
        for number in 0..self.count {
            let text = fs::read_to_string(self.file(number)).unwrap();
            let is_new = text == new(number);
            assert!(is_new || text == old(number), "{number}: {text:?}");
            written += usize::from(is_new);
        }
        written
    }

    /// What lies in the folders besides the files.
    fn strays(&self) -> usize {
        let all: usize = (0..20)
            .filter_map(|at| fs::read_dir(self.folder.path().join(at.to_string())).ok())
            .map(Iterator::count)
            .sum();
        all - self.count
    }
}

const APPLY: [&str; 4] = ["--apply", "--select", "pin-codename", "-q"];

/// A number that an environment variable gives.
fn asked(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("it is a number"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_kill_leaves_each_file_old_or_new_and_undo_brings_all_back() {
    let tree = Tree::new(500);
    let start = Instant::now();
    assert!(tree.dfmigrate(&APPLY).status().unwrap().success());
    let whole = start.elapsed();
    assert_eq!(tree.written(), 500);
    let rounds = asked("DFMIGRATE_KILLS", 8);
    let (mut amid, mut strays) = (0, 0);
    for round in 0..rounds {
        tree.reset();
        let mut child = tree.dfmigrate(&APPLY).spawn().unwrap();
        // Spread over the run, in an order that repeats late.
        let part = (round * 389 % 1000) as u32;
        std::thread::sleep(whole * (200 + part) / 1200);
        child.kill().unwrap();
        child.wait().unwrap();
        let written = tree.written();
        amid += usize::from(written > 0 && written < 500);
        strays += tree.strays();
        if written > 0 {
            let undone = tree.dfmigrate(&["undo"]).output().unwrap();
            assert!(undone.status.success(), "{}", said(&undone));
            assert_eq!(tree.written(), 0);
        }
        if round % 8 != 0 {
            continue;
        }
        assert!(tree.dfmigrate(&APPLY).status().unwrap().success());
        assert_eq!((tree.written(), tree.strays()), (500, 0));
    }
    eprintln!("{rounds} kills, {amid} of them amid the writing; {strays} strays, none after a run");
}

#[test]
fn undo_brings_back_the_last_run_and_leaves_what_changed_since() {
    let tree = Tree::new(40);
    let undo = |flag: &[&str]| {
        let output = tree.dfmigrate(&["undo"]).args(flag).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), out, said(&output))
    };
    let (code, _, text) = undo(&[]);
    assert_eq!(code, Some(2));
    assert!(text.contains("there is no run to undo"), "{text}");
    // A review notes nothing.
    assert!(tree.dfmigrate(&["-q"]).status().unwrap().success());
    assert_eq!(undo(&[]).0, Some(2));

    // Two runs: one of a few files, one of the others.
    let few = tree.dfmigrate(&APPLY).arg("0").status();
    assert!(few.unwrap().success());
    assert_eq!(tree.written(), 2);
    assert!(tree.dfmigrate(&APPLY).status().unwrap().success());
    assert_eq!(tree.written(), 40);
    fs::write(tree.file(1), "FROM mine\n").unwrap();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("x");
    fs::write(&target, new(2)).unwrap();
    fs::remove_file(tree.file(2)).unwrap();
    symlink(&target, tree.file(2)).unwrap();
    fs::remove_file(tree.file(3)).unwrap();
    fs::write(tree.file(4), old(4)).unwrap();
    let aside = tree.folder.path().join("aside");
    fs::rename(tree.file(5).parent().unwrap(), &aside).unwrap();
    symlink(&aside, tree.file(5).parent().unwrap()).unwrap();
    let (code, out, text) = undo(&[]);
    assert_eq!(code, Some(4));
    for line in [
        "1/1.Dockerfile: was left as it is: it changed since",
        "2/2.Dockerfile: was left as it is: it is a symlink now",
        "3/3.Dockerfile: was left as it is: it is gone",
        "5/5.Dockerfile: was left as it is: its folder is gone, or a symlink",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let last = "32 files brought back, 5 files left alone; `undo --forget` forgets these\n";
    assert!(out.ends_with(last), "{out}");
    assert!(out.starts_with("1/21.Dockerfile\n"), "{out}");
    assert_eq!(fs::read_to_string(tree.file(1)).unwrap(), "FROM mine\n");
    assert_eq!(fs::read_to_string(&target).unwrap(), new(2));
    assert!(!tree.file(3).exists());
    // The run before is not touched, and comes next.
    assert_eq!(fs::read_to_string(tree.file(0)).unwrap(), new(0));
    for number in 6..20 {
        assert_eq!(fs::read_to_string(tree.file(number)).unwrap(), old(number));
    }

    // What was left can still be brought back, once it is as it was.
    fs::write(tree.file(1), new(1)).unwrap();
    fs::remove_file(tree.file(2)).unwrap();
    fs::write(tree.file(2), new(2)).unwrap();
    fs::write(tree.file(3), "FROM mine\n").unwrap();
    fs::remove_file(tree.file(5).parent().unwrap()).unwrap();
    fs::rename(&aside, tree.file(5).parent().unwrap()).unwrap();
    let (code, out, _) = undo(&[]);
    assert_eq!(code, Some(4));
    let last = "4 files brought back, 1 file left alone; `undo --forget` forgets these\n";
    assert!(out.ends_with(last), "{out}");
    let forgotten = "1 file forgotten; they stay as they are\n";
    assert_eq!(
        undo(&["--forget"]),
        (Some(0), forgotten.to_owned(), String::new())
    );
    fs::write(tree.file(3), old(3)).unwrap();
    assert_eq!(tree.written(), 2);
    let (code, out, _) = undo(&[]);
    assert_eq!(
        (code, out.as_str()),
        (
            Some(0),
            "0/0.Dockerfile\n0/20.Dockerfile\n2 files brought back\n"
        )
    );
    assert_eq!((tree.written(), tree.strays()), (0, 0));
    assert_eq!(undo(&[]).0, Some(2));
    assert_eq!(
        fs::read_dir(tree.state.path().join("dfmigrate"))
            .unwrap()
            .count(),
        0
    );
}

/// What a run can't note is said, and it writes all the same; a journal that
/// something else wrote is not believed.
#[test]
fn a_journal_that_cannot_be_written_or_read_is_said() {
    let tree = Tree::new(2);
    let folder = tree.state.path().join("dfmigrate");
    fs::write(&folder, "in the way").unwrap();
    let output = tree.dfmigrate(&APPLY).output().unwrap();
    assert!(output.status.success());
    assert!(
        said(&output).contains("will not bring back all of this run"),
        "{}",
        said(&output)
    );
    assert_eq!(tree.written(), 2);
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("run-00000000000000000001-1.jsonl"), "{}\n").unwrap();
    let output = tree.dfmigrate(&["undo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("is not as dfmigrate writes it"),
        "{}",
        said(&output)
    );
    assert_eq!(tree.written(), 2);
}

#[test]
fn two_runs_at_once_write_each_file_once() {
    let tree = Tree::new(100);
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let mut command = tree.dfmigrate(&APPLY);
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let text = said(&output);
        assert!([Some(0), Some(4)].contains(&output.status.code()), "{text}");
        for line in text.lines() {
            assert!(line.contains("changed since it was reviewed"), "{line}");
        }
    }
    assert!(tree.dfmigrate(&APPLY).status().unwrap().success());
    assert_eq!((tree.written(), tree.strays()), (100, 0));
}

/// A folder of the tree becomes a symlink to one outside and a folder again, as
/// fast as it goes.
#[test]
fn a_symlink_swapped_in_leads_no_write_outside() {
    let tree = Tree::new(40);
    let outside = tempfile::tempdir().unwrap();
    let inside = tree.folder.path().join("0");
    let aside = tree.folder.path().join("aside");
    for name in ["0", "20"] {
        fs::write(outside.path().join(format!("{name}.Dockerfile")), old(0)).unwrap();
    }
    let done = AtomicBool::new(false);
    let wanted = asked("DFMIGRATE_SWAPS", 500);
    let swaps = std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let mut swaps = 0;
            while swaps < wanted || !done.load(Ordering::Relaxed) {
                fs::rename(&inside, &aside).unwrap();
                symlink(outside.path(), &inside).unwrap();
                std::thread::yield_now();
                fs::remove_file(&inside).unwrap();
                fs::rename(&aside, &inside).unwrap();
                swaps += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            swaps
        });
        for _ in 0..5 {
            let code = tree
                .dfmigrate(&APPLY)
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .code();
            assert!([Some(0), Some(4)].contains(&code), "{code:?}");
        }
        done.store(true, Ordering::Relaxed);
        swapping.join().unwrap()
    });
    eprintln!("{swaps} swaps");
    for entry in fs::read_dir(outside.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            old(0),
            "{}",
            path.display()
        );
    }
    assert!(tree.dfmigrate(&APPLY).status().unwrap().success());
    assert_eq!((tree.written(), tree.strays()), (40, 0));
}

/// Whether strace is there and may trace.
fn traces() -> bool {
    let probe = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    probe.is_ok_and(|status| status.success())
}

/// What the system refuses at some call: each file is the old or the new one, and
/// a run that has not written all of them says so.
#[test]
fn what_the_system_refuses_is_said_and_no_file_is_torn() {
    if !traces() {
        eprintln!("SKIPPED: strace is not there, or may not trace");
        return;
    }
    let calls = [
        "write",
        "fsync",
        "renameat,rename,renameat2",
        "fchmod",
        "openat",
        "flock",
        "fstat",
        "newfstatat",
    ];
    let errors = ["EIO", "ENOSPC", "EACCES", "EROFS", "EINTR"];
    let wanted = asked("DFMIGRATE_FAULTS", 20);
    let tree = Tree::new(5);
    let mut refused = 0;
    for point in 0..wanted {
        tree.reset();
        let call = calls[point % calls.len()];
        let error = errors[point / calls.len() % errors.len()];
        // From the first call on, and at later ones of those that are frequent.
        let nth = match call {
            "openat" | "fstat" | "newfstatat" | "write" => 1 + point * 7 % 90,
            _ => 1 + point * 3 % 5,
        };
        let output = tree
            .command("strace")
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
                "-e",
            ])
            .arg(format!("inject={call}:error={error}:when={nth}"))
            .arg(env!("CARGO_BIN_EXE_dfmigrate"))
            .args(APPLY)
            .output()
            .unwrap();
        let what = format!("{call} {error} {nth}: {}", said(&output));
        if tree.written() < 5 {
            refused += 1;
            assert!(!output.status.success(), "{what}");
            assert!(!output.stderr.is_empty(), "{what}");
        }
        assert!(!said(&output).contains("panicked"), "{what}");
    }
    assert!(refused > 0, "the faults reach the writing");
    eprintln!("{wanted} faults, {refused} of them left a file as it was");
    tree.reset();
    assert!(tree.dfmigrate(&APPLY).status().unwrap().success());
    assert_eq!((tree.written(), tree.strays()), (5, 0));
}
