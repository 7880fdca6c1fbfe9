//! `dfmigrate verify` through the real program, with a builder of paper: a
//! script called `docker` that answers as it is told. What real builders do is
//! held by `tests/lab`; here are the ends that a real one seldom comes to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Answers for the roles `before`, `after` and `base` from files beside it:
/// `once-ROLE` is printed and ends the first build (and what `then-base` holds the
/// next one of a base), `log-ROLE` is printed, `hang-ROLE` and `fail-ROLE` say how it ends.
/// A file in which a line of `fail-if` stands does not build.
const DOCKER: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
role() { case "$1" in *-before) echo before ;; *-base-*) echo base ;; *) echo after ;; esac; }
last() { for x; do :; done; echo "$x"; }
case "$1 $2" in
  "version "*)
    [ ! -f "$here/down" ] || { echo "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?" >&2; exit 1; }
    echo 99.1 ;;
  "buildx version") echo "github.com/docker/buildx v0.99 x" ;;
  "buildx build")
    while [ $# -gt 0 ]; do case $1 in --tag) tag=$2 ;; --file) file=$2 ;; esac; shift; done
    if [ -f "$here/fail-if" ] && grep -qFf "$here/fail-if" "$file"; then echo "ERROR: process did not complete" >&2; exit 1; fi
    r=$(role "$tag")
    [ ! -f "$here/log-$r" ] || cat "$here/log-$r" >&2
    if [ -f "$here/once-$r" ]; then cat "$here/once-$r" >&2; rm "$here/once-$r"; [ ! -f "$here/then-base" ] || mv "$here/then-base" "$here/once-base"; exit 1; fi
    if [ -f "$here/hang-$r" ]; then echo $$ > "$here/hanging"; sleep 600; fi
    [ ! -f "$here/fail-$r" ] ;;
  "image inspect") cat "$here/$(role "$(last "$@")").id" ;;
  "image rm") ;;
  "save "*)
    [ ! -f "$here/full" ] || { head -c 700 "$here/$(role "$2").tar"; echo "write /y: no space left on device" >&2; exit 1; }
    cat "$here/$(role "$2").tar" ;;
  "ps "* | "rm "*) ;;
  "run "*) echo started ;;
  "inspect "*) echo "false 0" ;;
  "logs "*) echo "it ran" ;;
  *) echo "not known: $*" >&2; exit 1 ;;
esac
"#;

const DOCKERFILE: &str = "FROM python:3.13\nWORKDIR /app\nCOPY . .\nRUN pip install flask\nCMD [\"python\", \"app.py\"]\n";

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, body) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(body.len() as u64);
        tar.append_data(&mut header, path, *body).expect("a file");
    }
    tar.into_inner().expect("an archive")
}

fn digest(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The script, written once and before any test starts a program: a file that
/// is still open for writing in some process can't be executed.
fn script() -> &'static Path {
    static SCRIPT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SCRIPT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker");
        fs::write(&path, DOCKER).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        (folder, path)
    });
    path
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        std::os::unix::fs::symlink(script(), bench.at("docker")).expect("a link");
        fs::create_dir(bench.at("work")).expect("a folder");
        bench.put("work/Dockerfile", DOCKERFILE.as_bytes());
        bench.put("work/app.py", b"import flask\n");
        let base: &[(&str, &[u8])] = &[("usr/local/bin/python", b"x"), ("bin/sh", b"x")];
        bench.image("base", r#""Env":["PATH=/usr/local/bin:/bin"]"#, &[base]);
        let app: &[(&str, &[u8])] = &[("app/app.py", b"import flask\n")];
        let config =
            r#""Env":["PATH=/usr/local/bin:/bin"],"Cmd":["python","app.py"],"WorkingDir":"/app""#;
        bench.image(
            "before",
            config,
            &[base, app, &[("usr/lib/big", &[0; 500_000])]],
        );
        bench.image("after", config, &[base, app]);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at(name), bytes).expect("written");
    }

    /// An image of these layers, as `docker save` writes it.
    fn image(&self, role: &str, config: &str, layers: &[&[(&str, &[u8])]]) {
        let layers: Vec<Vec<u8>> = layers.iter().map(|files| tar_of(files)).collect();
        let ids: Vec<String> = layers
            .iter()
            .map(|l| format!("\"sha256:{}\"", digest(l)))
            .collect();
        let config = format!(
            r#"{{"config":{{{config}}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            ids.join(",")
        );
        let names: Vec<String> = layers
            .iter()
            .map(|l| format!("blobs/sha256/{}", digest(l)))
            .collect();
        let mut files: Vec<(&str, &[u8])> = names
            .iter()
            .zip(&layers)
            .map(|(n, l)| (n.as_str(), l.as_slice()))
            .collect();
        files.push(("config.json", config.as_bytes()));
        files.push((
            "manifest.json",
            br#"[{"Config":"config.json","Layers":[]}]"#,
        ));
        self.put(&format!("{role}.tar"), &tar_of(&files));
        let id = digest(config.as_bytes());
        self.put(&format!("{role}.id"), format!("sha256:{id}\n").as_bytes());
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfmigrate"));
        command
            .arg("verify")
            .arg("--builder")
            .arg(self.at("docker"))
            .args(["--cache-dir"])
            .arg(self.at("cache"))
            .args(args)
            .arg("Dockerfile")
            .current_dir(self.at("work"));
        command
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code(), text(stdout), text(stderr))
    }

    /// `dfmigrate --verified`, which finds its builder by itself.
    fn verified(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
            .arg("--verified")
            .args(args)
            .arg("Dockerfile")
            .current_dir(self.at("work"))
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .env("XDG_CACHE_HOME", self.at("cache"))
            .output()
            .expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.at("calls")).unwrap_or_default()
    }

    fn unchanged(&self) -> bool {
        fs::read_to_string(self.at("work/Dockerfile")).is_ok_and(|text| text == DOCKERFILE)
    }
}

#[test]
fn what_holds_is_said_and_written_and_every_image_is_taken_away() {
    let bench = Bench::new();
    let (code, out, err) = bench.run(&[]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("verified"), "{out}");
    assert!(out.contains("/usr/lib"), "the table of folders: {out}");
    assert!(bench.unchanged(), "only --apply writes");
    let built = bench.calls().matches("buildx build").count();
    let gone = bench.calls().matches("image rm").count();
    assert!(built >= 3 && built == gone, "{}", bench.calls());

    let (code, out, _) = bench.run(&["--apply", "--allow-dirty", "--output-format", "json"]);
    assert_eq!(code, Some(0), "{out}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["files"][0]["verdict"], "verified");
    assert_eq!(report["files"][0]["written"], true);
    assert!(
        report["builder"]
            .as_str()
            .is_some_and(|b| b.contains("99.1"))
    );
    assert!(!bench.unchanged());
    let text = fs::read_to_string(bench.at("work/Dockerfile")).expect("it is there");
    assert!(text.contains("AS build"), "{text}");
    let reads = bench.calls().matches("save ").count();
    assert_eq!(
        reads,
        3,
        "the second run reads no image again: {}",
        bench.calls()
    );
}

#[test]
fn what_differs_is_said_with_exit_status_1_and_not_written() {
    let bench = Bench::new();
    let base: &[(&str, &[u8])] = &[("usr/local/bin/python", b"x"), ("bin/sh", b"x")];
    bench.image("after", r#""Cmd":["other"],"User":"app""#, &[base]);
    let junit = bench.at("junit.xml");
    let (code, out, err) = bench.run(&[
        "--apply",
        "--allow-dirty",
        "--junit",
        &junit.to_string_lossy(),
    ]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(
        out.contains(r#"CMD was ["python","app.py"] and is ["other"]"#),
        "{out}"
    );
    assert!(
        out.contains("USER is app, and /etc/passwd has no such user"),
        "{out}"
    );
    assert!(bench.unchanged());
    let xml = fs::read_to_string(junit).expect("a report");
    assert!(xml.contains("<failure") && xml.contains("CMD was"), "{xml}");
}

#[test]
fn repair_steps_down_and_gives_up_when_nothing_holds() {
    let bench = Bench::new();
    let base: &[(&str, &[u8])] = &[("usr/local/bin/python", b"x"), ("bin/sh", b"x")];
    bench.image("after", r#""Cmd":["other"]"#, &[base]);
    let (code, out, err) = bench.run(&["--repair", "--apply", "--allow-dirty"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("given up"), "{out}");
    assert!(out.contains("build 2"), "a smaller plan was tried: {out}");
    assert!(bench.unchanged());
}

#[test]
fn a_file_that_does_not_build_as_it_is_is_not_our_fault() {
    let bench = Bench::new();
    bench.put("fail-before", b"");
    bench.put(
        "log-before",
        b"#7 [3/4] RUN pip install flask\n------\n > [3/4] RUN pip install flask:\n1.0 no such option\n------\nERROR: failed to solve\n",
    );
    let (code, out, _) = bench.run(&["--apply", "--allow-dirty", "--repair"]);
    assert_eq!(code, Some(4), "{out}");
    assert!(out.contains("does not build as it is"), "{out}");
    assert!(
        out.contains("[3/4] RUN pip install flask") && out.contains("no such option"),
        "{out}"
    );
    assert!(bench.unchanged());
}

#[test]
fn troubles_of_the_machine_are_clear_lines_with_exit_status_2() {
    let down = Bench::new();
    down.put("down", b"");
    let (code, _, err) = down.run(&[]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("does not answer") && err.contains("DOCKER_HOST"),
        "{err}"
    );

    let full = Bench::new();
    full.put("fail-after", b"");
    full.put("log-after", b"write /x: no space left on device\n");
    let (code, out, _) = full.run(&["--repair"]);
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("the disk is full"), "{out}");

    let cut = Bench::new();
    cut.put("full", b"");
    let (code, out, _) = cut.run(&[]);
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("the disk is full"), "{out}");

    let mut missing = Command::new(env!("CARGO_BIN_EXE_dfmigrate"));
    missing
        .args(["verify", "Dockerfile"])
        .current_dir(full.at("work"));
    let output = missing.env("PATH", "/nowhere").output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("no builder was found"), "{err}");
}

#[test]
fn a_build_that_hangs_is_ended() {
    let bench = Bench::new();
    bench.put("hang-after", b"");
    let start = Instant::now();
    let (code, out, _) = bench.run(&["--timeout", "2"]);
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("took longer than 2 s"), "{out}");
    assert!(gone(&bench), "what was started lives on");
}

#[test]
fn an_interrupt_ends_everything() {
    let bench = Bench::new();
    bench.put("hang-before", b"");
    let child = bench
        .command(&[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let until = Instant::now() + Duration::from_secs(60);
    while !bench.at("hanging").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.is_ok_and(|status| status.success()));
    let output = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("stopped"), "{err}");
    assert!(gone(&bench), "what was started lives on");
    assert!(bench.unchanged());
}

/// Whether the hanging builder is gone.
fn gone(bench: &Bench) -> bool {
    let process = fs::read_to_string(bench.at("hanging")).expect("it has hung");
    let place = Path::new("/proc").join(process.trim());
    let until = Instant::now() + Duration::from_secs(10);
    while place.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    !place.exists()
}

#[test]
fn secrets_stand_in_no_log_and_no_report() {
    let bench = Bench::new();
    bench.put("secret", b"tok-4711-very-secret\n");
    bench.put("fail-before", b"");
    bench.put(
        "log-before",
        b"#5 [2/4] RUN echo tok-4711-very-secret\nhunter2222 is refused\n",
    );
    let secret = format!("id=npm,src={}", bench.at("secret").display());
    for format in ["text", "json"] {
        let (_, out, err) = bench.run(&[
            "--secret",
            &secret,
            "--build-arg",
            "NPM_TOKEN=hunter2222",
            "--progress",
            "plain",
            "--output-format",
            format,
        ]);
        let all = out + &err;
        assert!(all.contains("***"), "{all}");
        assert!(
            !all.contains("tok-4711") && !all.contains("hunter2222"),
            "{all}"
        );
    }
}

#[test]
fn a_file_made_by_hand_is_compared_as_well() {
    let bench = Bench::new();
    bench.put(
        "by-hand",
        b"FROM python:3.13-slim\nCMD [\"python\", \"app.py\"]\n",
    );
    let (code, out, err) = bench.run(&["--against", "../by-hand"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("verified"), "{out}");
}

#[test]
fn a_base_that_cant_be_had_gives_way_to_a_smaller_plan() {
    for (said, shown) in [
        (
            "ERROR: failed to do request: Head \"https://registry-1.docker.io/v2/\": no such host\n",
            "could not be built",
        ),
        (
            "ERROR: failed to solve: python:3.13-slim-trixie: not found\n",
            "does not build",
        ),
    ] {
        let bench = Bench::new();
        bench.put("once-after", said.as_bytes());
        // The image to read for it is not there either.
        if said.contains("not found") {
            bench.put("then-base", said.as_bytes());
        }
        let (code, out, err) = bench.run(&["--repair", "--apply", "--allow-dirty"]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.contains(shown), "{out}");
        assert!(!bench.unchanged(), "{out}");
    }
}

#[test]
fn what_could_not_be_tried_is_not_refuted() {
    let bench = Bench::new();
    bench.put("fail-after", b"");
    bench.put("log-after", b"ERROR: failed to do request: no such host\n");
    let (code, out, err) = bench.run(&["--repair"]);
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(out.contains("could not be verified"), "{out}");
    assert!(out.contains("could not be asked"), "{out}");
}

#[test]
fn a_section_for_a_pull_request_says_verdict_and_size() {
    let bench = Bench::new();
    let (code, out, err) = bench.run(&["--output-format", "markdown"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.starts_with("## Proof by building\n"), "{out}");
    assert!(out.contains("| Dockerfile | verified | "), "{out}");
}

#[test]
fn the_page_draws_what_was_measured() {
    let bench = Bench::new();
    let (code, out, err) = bench.run(&["--output-format", "json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    bench.put("measured.json", out.as_bytes());
    let page = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .args(["Dockerfile", "--output-format", "html", "--measured"])
        .arg(bench.at("measured.json"))
        .current_dir(bench.at("work"))
        .output()
        .expect("it runs");
    let page = String::from_utf8(page.stdout).expect("text");
    assert!(page.contains("0.5 → 0.0 MB (-100 %), verified"), "{page}");
    assert!(page.contains("built with docker 99.1"), "{page}");
}

#[test]
fn read_only_files_are_written_only_when_that_is_asked() {
    let bench = Bench::new();
    let file = bench.at("work/Dockerfile");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("it is ours");
    let (code, out, err) = bench.run(&["--apply", "--allow-dirty"]);
    assert_eq!(code, Some(4), "{out}{err}");
    assert!(bench.unchanged(), "{err}");
    let (code, out, err) = bench.run(&["--apply", "--allow-dirty", "--allow-read-only"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!bench.unchanged());
}

#[test]
fn every_report_of_a_review_says_what_was_proven() {
    let bench = Bench::new();
    for (format, said) in [
        ("full", "verified: it builds"),
        (
            "json",
            r#""verdict":"verified","says":"verified: it builds"#,
        ),
        (
            "jsonl",
            r#""verdict":"verified","says":"verified: it builds"#,
        ),
        ("sarif", "built before and after: verified"),
        ("markdown", "2 rewrites, verified, 0.5 → 0.0 MB"),
        ("html", r#"<p class="proof"><b>verified</b>"#),
        (
            "github",
            "title=verify (verified)::built before and after: verified",
        ),
        (
            "concise",
            "Dockerfile:1:1: [verify, verified] verified, 0.5 → 0.0 MB: verified",
        ),
    ] {
        let (code, out, err) = bench.verified(&["--output-format", format]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.contains(said), "{format}: {out}");
        assert!(out.contains("docker 99.1"), "{format}: {out}");
    }
    assert!(bench.unchanged(), "only --apply writes");
    let (_, shown, _) = bench.verified(&["--output-format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let proof = &report["files"][0]["verification"];
    assert_eq!(proof["holds"], true);
    assert!(proof["bytes"][0].as_u64() > proof["bytes"][1].as_u64());

    let (code, _, err) = bench.verified(&["--check"]);
    assert_eq!(code, Some(1), "{err}");
    let (code, patch, err) = bench.verified(&["--diff"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = bench.verified(&["--apply", "--allow-dirty"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let text = fs::read_to_string(bench.at("work/Dockerfile")).expect("it is there");
    for line in text.lines().filter(|line| !DOCKERFILE.contains(line)) {
        assert!(patch.contains(&format!("+{line}")), "{line} in {patch}");
    }
}

#[test]
fn what_does_not_hold_is_held_back_in_every_report_and_not_written() {
    let bench = Bench::new();
    let base: &[(&str, &[u8])] = &[("usr/local/bin/python", b"x"), ("bin/sh", b"x")];
    bench.image("after", r#""Cmd":["other"]"#, &[base]);
    let why = r#"CMD was ["python","app.py"] and is ["other"]"#;
    for format in [
        "full", "concise", "json", "jsonl", "sarif", "github", "markdown", "html",
    ] {
        let (code, out, err) =
            bench.verified(&["--apply", "--allow-dirty", "--output-format", format]);
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(out.contains("given up, best left alone"), "{format}: {out}");
        let plain = out.replace(['\\', '"'], "").replace("&quot;", "");
        assert!(plain.contains(&why.replace('"', "")), "{format}: {out}");
    }
    assert!(bench.unchanged());
    let (_, out, _) = bench.verified(&["--output-format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let file = &report["files"][0];
    assert_eq!(file["changes"], false);
    assert_eq!(file["rewrites"].as_array().map(Vec::len), Some(0));
    let held = file["held"].as_array().expect("a list");
    let unproven = |rule: &str| {
        let mut held = held.iter();
        held.any(|it| it["rule"] == rule && it["held_because"]["kind"] == "unproven")
    };
    assert!(unproven("multi-stage") && unproven("pin-codename"), "{out}");

    let (code, out, _) = bench.verified(&["--diff"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
}

#[test]
fn a_file_that_does_not_build_is_counted_and_left() {
    let bench = Bench::new();
    bench.put("fail-before", b"");
    bench.put(
        "log-before",
        b"#7 [3/4] RUN pip install flask\nno such option\n",
    );
    let (code, out, err) = bench.verified(&["--apply", "--allow-dirty", "--output-format", "json"]);
    assert_eq!(code, Some(4), "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        report["files"][0]["verification"]["verdict"],
        "before-fails"
    );
    assert_eq!(report["summary"]["failed"], 1);
    assert!(out.contains("no such option"), "{out}");
    assert!(bench.unchanged());
}

#[test]
fn what_was_left_out_without_fault_is_proposed_again() {
    let bench = Bench::new();
    let text = format!("FROM node:20 AS tools\nRUN node --version\n\n{DOCKERFILE}");
    bench.put("work/Dockerfile", text.as_bytes());
    // The pin alone is at fault, and the surest of all: it is left out last.
    bench.put("fail-if", b"node:20-bookworm\n");
    let (code, out, err) = bench.run(&["--repair", "--output-format", "json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let file = &report["files"][0];
    assert_eq!(file["verdict"], "stepped-down", "{out}");
    assert_eq!(
        file["left_out"],
        serde_json::json!(["pin-codename"]),
        "{out}"
    );
    let rules = file["rules"].as_array().expect("a list");
    assert!(rules.iter().any(|rule| rule == "multi-stage"), "{out}");
}

#[test]
fn what_a_rewrite_says_of_the_entry_point_is_no_difference() {
    let bench = Bench::new();
    let text = "FROM node:22-bookworm\nRUN apt-get update && apt-get install -y tini\nCOPY package.json package-lock.json app.js ./\nENTRYPOINT [\"/usr/bin/tini\", \"--\"]\nCMD [\"node\", \"app.js\"]\n";
    bench.put("work/Dockerfile", text.as_bytes());
    bench.put("work/app.js", b"");
    bench.put("work/package.json", br#"{"name":"a","version":"1.0.0"}"#);
    bench.put(
        "work/package-lock.json",
        br#"{"name":"a","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"a","version":"1.0.0"}}}"#,
    );
    let config = |tini: &str| {
        format!(
            r#""Entrypoint":["{tini}","--"],"Cmd":["node","app.js"],"Env":["PATH=/bin:/usr/bin"]"#
        )
    };
    let node: (&str, &[u8]) = ("bin/node", b"x");
    let rest: (&str, &[u8]) = ("usr/lib/big", &[0; 500_000]);
    bench.image(
        "before",
        &config("/usr/bin/tini"),
        &[&[node, ("usr/bin/tini", b"x"), rest]],
    );
    bench.image(
        "after",
        &config("/sbin/tini"),
        &[&[node, ("sbin/tini", b"x")]],
    );
    let args = ["--prefer=alpine", "--select", "alpine-base"];
    let (code, out, err) = bench.run(&args);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("as the rewrite says"), "it is said: {out}");
    // Something else than the rewrite says is a difference as before.
    bench.image(
        "after",
        &config("/sbin/gone"),
        &[&[node, ("sbin/tini", b"x")]],
    );
    let (code, out, _) = bench.run(&args);
    assert_eq!(code, Some(1), "{out}");
}
