//! The command line through the real binary. What it prints is held by plain
//! files in `fixtures/cli`; `SNAPSHOTS=overwrite cargo test --test cli` writes
//! what comes out; look at it.

mod commands;
mod inputs;
mod patches;
mod review;
mod stream;
mod writing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use snapbox::cmd::{Command, OutputAssert};

/// Two services: one of Node.js, one of Python.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/example");

/// The program, in a folder.
fn dfmigrate(folder: impl AsRef<Path>) -> Command {
    Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .current_dir(folder)
        .env_remove("CLICOLOR_FORCE")
        .env("NO_COLOR", "1")
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
}

fn stdout(assert: &OutputAssert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("it prints UTF-8")
}

fn stderr(assert: &OutputAssert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("it prints UTF-8")
}

/// A temporary folder to work in.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// One with a copy of the example.
    fn example() -> Self {
        let scratch = Self::new();
        copy(Path::new(EXAMPLE), scratch.path());
        scratch
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("it is made");
        fs::write(path, bytes).expect("it is written");
        self
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).expect("it is read")
    }

    /// The program in this folder, with arguments.
    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> OutputAssert {
        dfmigrate(self.path()).args(arguments).assert()
    }

    /// Makes the folder a repository with all of it committed.
    fn commit(&self) -> &Self {
        self.git(&["init", "-q"]);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "x"]);
        self
    }

    fn git(&self, arguments: &[&str]) {
        let status = Process::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .status()
            .expect("git is there");
        assert!(status.success(), "git {arguments:?}");
    }

    /// Every file below with its bytes, without git's own.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut todo = vec![self.path().to_owned()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(folder).expect("it is listed") {
                let path = entry.expect("it is there").path();
                if path.is_dir() && !path.is_symlink() {
                    if !path.ends_with(".git") {
                        todo.push(path);
                    }
                } else {
                    let bytes = fs::read(&path).unwrap_or_default();
                    found.push((path, bytes));
                }
            }
        }
        found.sort();
        found
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is made");
    for entry in fs::read_dir(from).expect("it is listed") {
        let entry = entry.expect("it is there").path();
        let target = to.join(entry.file_name().expect("it has a name"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).expect("it is copied");
        }
    }
}
