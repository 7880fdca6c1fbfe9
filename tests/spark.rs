//! `docs/spark.py` on a cluster of two workers on this machine: the same set of
//! answers as one process gives, and no success when processes are killed.
//!
//! It wants a Python with pyspark (`DFMIGRATE_PYTHON` names another than
//! `python3`) and Java 17, and is skipped, and says so, where they are not there.
//! `DFMIGRATE_SPARK_LINES=200000` is the long run.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

const BIN: &str = env!("CARGO_BIN_EXE_dfmigrate");

fn python() -> String {
    std::env::var("DFMIGRATE_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A corpus: Dockerfiles of several kinds, and now and then a line that is wrong.
fn corpus(lines: usize) -> String {
    let images = [
        "node:20",
        "python:3.12",
        "golang:1.22",
        "ruby:3.3",
        "debian",
        "php:8.2-cli",
    ];
    let mut text = String::new();
    for id in 0..lines {
        let image = images[id % images.len()];
        if id % 97 == 96 {
            writeln!(text, "{{\"id\": {id}, \"txt\": 1}}").unwrap();
        } else {
            let body = format!("FROM {image}\\nWORKDIR /app\\nCOPY . .\\nRUN echo {id}\\n");
            writeln!(text, "{{\"id\": {id}, \"text\": \"{body}\"}}").unwrap();
        }
    }
    text
}

fn spark(input: &Path, output: &Path, program: &Path, failures: u32) -> Output {
    let options = format!(
        "--master local-cluster[2,1,700] --conf spark.executor.memory=600m --conf \
         spark.task.maxFailures={failures} --conf spark.ui.enabled=false pyspark-shell"
    );
    Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/spark.py"))
        .args([input, output])
        .arg("--program")
        .arg(program)
        .args(["--partitions", "8"])
        .env("PYSPARK_SUBMIT_ARGS", options)
        .env("PYSPARK_PYTHON", python())
        .env("SPARK_LOCAL_IP", "127.0.0.1")
        .stdin(Stdio::null())
        .output()
        .expect("Python starts")
}

/// An answer without the number of the line that was wrong: it counts the lines
/// of one process.
fn anywhere(answer: &str) -> String {
    match answer.split_once("\"error\":\"line ") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{before}\"error\":\"line{rest}")
        }
        None => answer.to_owned(),
    }
}

/// The answers in a folder that Spark wrote, sorted.
fn answers(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("part-")) {
            let text = fs::read_to_string(path).expect("UTF-8");
            lines.extend(text.lines().map(anywhere));
        }
    }
    lines.sort_unstable();
    lines
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

#[test]
fn spark_gives_what_one_process_gives_or_fails() {
    let probe = Command::new(python())
        .args(["-c", "import pyspark"])
        .stderr(Stdio::null())
        .status();
    let java = Command::new("java")
        .arg("-version")
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) || !java.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: there is no {} with pyspark, or no Java", python());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let lines = std::env::var("DFMIGRATE_SPARK_LINES")
        .map_or(3000, |text| text.parse().expect("it is a number"));
    fs::write(at("in.jsonl"), corpus(lines)).expect("written");

    let start = Instant::now();
    let one = Command::new(BIN)
        .args(["stream", "--expect-count", &lines.to_string()])
        .stdin(fs::File::open(at("in.jsonl")).expect("it is there"))
        .output()
        .expect("it starts");
    assert!(one.status.success());
    let alone = start.elapsed();
    let text = String::from_utf8(one.stdout).expect("UTF-8");
    let mut expected: Vec<String> = text.lines().map(anywhere).collect();
    expected.sort_unstable();
    assert_eq!(expected.len(), lines);

    let start = Instant::now();
    let output = spark(&at("in.jsonl"), &at("out"), Path::new(BIN), 1);
    let cluster = start.elapsed();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(answers(&at("out")) == expected, "the same set");
    eprintln!("{lines} lines: one process {alone:?}, two workers {cluster:?}");

    // One process is killed amid its work, once: its task is done again.
    let once = format!(
        "#!/bin/sh\nif mkdir '{}' 2>/dev/null; then head -n 20 | '{BIN}' \"$@\"; kill -9 $$; fi\nexec '{BIN}' \"$@\"\n",
        at("killed").display()
    );
    let once = script(folder.path(), "once", &once);
    let output = spark(&at("in.jsonl"), &at("again"), &once, 4);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(at("killed").exists(), "a process was killed");
    assert!(
        answers(&at("again")) == expected,
        "the same set after a kill"
    );

    // Each process is killed: the job fails.
    let always = format!("#!/bin/sh\nhead -n 20 | '{BIN}' \"$@\"\nkill -9 $$\n");
    let always = script(folder.path(), "always", &always);
    let output = spark(&at("in.jsonl"), &at("never"), &always, 1);
    assert!(!output.status.success(), "a job whose processes died fails");
    assert!(!at("never/_SUCCESS").exists());
}
