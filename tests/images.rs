//! `dfmigrate images` over a tree, in all its forms, and what it fails on.
//! `SNAPSHOTS=overwrite` writes what comes out into `fixtures/images`; look at it.

use std::path::{Path, PathBuf};

use snapbox::cmd::{Command, cargo_bin};
use snapbox::{Data, assert_data_eq};

/// 2026-11-24.
const TODAY: &str = "1795478400";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images")
}

fn images(arguments: &[&str]) -> snapbox::cmd::OutputAssert {
    Command::new(cargo_bin!("dfmigrate"))
        .current_dir(fixtures())
        .env("SOURCE_DATE_EPOCH", TODAY)
        .arg("images")
        .args(arguments)
        .assert()
}

fn output(arguments: &[&str]) -> String {
    let done = images(arguments).code(0);
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

fn recorded(name: &str) -> Data {
    Data::read_from(&fixtures().join(name), None)
}

#[test]
fn all_forms_are_as_recorded() {
    for (arguments, name) in [
        (&["tree"] as &[&str], "table.txt"),
        (&["tree", "--all", "--output-format", "csv"], "all.csv"),
        (
            &[
                "tree",
                "--output-format",
                "markdown",
                "--as-of",
                "2020-05-20",
            ],
            "then.md",
        ),
        (&["tree/api", "--output-format", "json"], "api.json"),
    ] {
        assert_data_eq!(output(arguments), recorded(name).raw());
    }
}

#[test]
fn csv_and_json_say_the_same() {
    let csv = output(&["tree", "--all", "--output-format", "csv"]);
    let json = output(&["tree", "--all", "--output-format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let heads = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let objects = json["references"].as_array().unwrap();
    assert_eq!(rows.len(), objects.len());
    for (row, object) in rows.iter().zip(objects) {
        for (head, cell) in heads.iter().zip(row) {
            let told = match &object[head] {
                serde_json::Value::Null => continue,
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                _ => continue,
            };
            assert_eq!(cell, told, "{head}");
        }
    }
    let totals = &json["totals"];
    assert_eq!(totals["references"], 17);
    assert_eq!(
        (&totals["stages"], &totals["scratch"]),
        (&2.into(), &1.into())
    );
    let trust: u64 = totals["trust"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|n| n.as_u64())
        .sum();
    assert_eq!(trust, 17, "every reference has one class");
}

#[test]
fn fails_on_what_it_is_told_to() {
    for (what, path, code, said) in [
        ("untrusted", "tree/api", 0, ""),
        ("eol", "tree/api", 0, ""),
        ("floating,deprecated,unknown,policy", "tree/api", 0, ""),
        (
            "untrusted",
            "tree/web",
            1,
            "dfmigrate: 6 references are not known to be trusted, first tree/web/Dockerfile:1\n",
        ),
        (
            "eol",
            "tree/web",
            1,
            "dfmigrate: 5 references are past the end of life, first tree/web/Dockerfile:3\n",
        ),
        (
            "deprecated,deprecated",
            "tree/web",
            1,
            "dfmigrate: 1 reference is deprecated, first tree/web/Dockerfile:11\n",
        ),
        (
            "floating",
            "tree/web",
            1,
            "dfmigrate: 3 references are floating, first tree/web/Dockerfile:4\n",
        ),
        (
            "unknown",
            "tree/web",
            1,
            "dfmigrate: 4 references are not known, first tree/web/Dockerfile:9\n",
        ),
    ] {
        let done = images(&["--fail-on", what, path]).code(code);
        let error = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert_eq!(error, said, "{what} {path}");
    }
}

#[test]
fn a_policy_is_held() {
    let fails = |arguments: &[&str]| {
        let mut all = vec!["--fail-on", "policy"];
        all.extend(arguments);
        let code = images(&all).get_output().status.code();
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
        code == Some(1)
    };
    assert!(
        !fails(&["tree/web"]),
        "without a policy there is nothing against it"
    );
    assert!(!fails(&["tree/api", "--allow-class", "official"]));
    assert!(fails(&["tree/web", "--allow-class", "official"]));
    assert!(fails(&["tree/api", "--allow-registry", "ghcr.io"]));
    assert!(!fails(&[
        "tree/api",
        "--allow-registry",
        "ghcr.io",
        "--allow-image",
        "node"
    ]));
    images(&["tree/api", "--allow-class", "nonsense"]).code(2);
}

#[test]
fn odd_input_is_a_word_and_no_failure_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        let path = folder.path().join("Dockerfile");
        std::fs::write(&path, text).unwrap();
        images(&[path.to_str().unwrap(), "--output-format", "json"])
    };
    let out = |done: snapbox::cmd::OutputAssert| {
        serde_json::from_slice::<serde_json::Value>(&done.get_output().stdout).unwrap()
    };
    let json = out(run("ARG V\nFROM node:$V\n").code(0));
    assert_eq!(json["references"][0]["concerns"][0]["kind"], "unresolved");
    let json = out(run(
        "FROM node@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
    )
    .code(0));
    assert_eq!(json["references"][0]["tag"], serde_json::Value::Null);
    assert_eq!(json["references"][0]["pinned"], "digest");
    run("FROM node:20\nNONSENSE\n").code(4);
    images(&[folder.path().join("absent").to_str().unwrap()]).code(4);
    images(&["tree", "--as-of", "yesterday"]).code(2);
    let empty = tempfile::tempdir().unwrap();
    images(&[empty.path().to_str().unwrap()]).code(3);
    let formula = out(run("FROM \"=cmd|x\"\n").code(0));
    assert_eq!(formula["references"][0]["trust"], "unknown");
}

#[test]
fn a_clock_that_is_no_number_is_said() {
    let done = Command::new(cargo_bin!("dfmigrate"))
        .current_dir(fixtures())
        .env("SOURCE_DATE_EPOCH", "soon")
        .args(["images", "tree"])
        .assert()
        .code(2);
    let error = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(
        error.contains("SOURCE_DATE_EPOCH is no number of seconds"),
        "{error}"
    );
}

/// Git in a folder, with the day of its commits.
fn git(folder: &Path, day: &str, arguments: &[&str]) {
    let done = std::process::Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", "2001-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", format!("{day}T12:00:00Z"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn git_says_when_each_line_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Dockerfile");
    git(folder.path(), "2020-05-20", &["init", "-q"]);
    std::fs::write(&file, "FROM python:3\n").unwrap();
    git(folder.path(), "2020-05-20", &["add", "."]);
    git(folder.path(), "2020-05-20", &["commit", "-qm", "a"]);
    std::fs::write(&file, "FROM python:3\nFROM python:3-slim\n").unwrap();
    git(folder.path(), "2023-02-01", &["commit", "-qam", "b"]);
    std::fs::write(
        &file,
        "# New\nFROM python:3\nFROM python:3-slim\nFROM python:3-alpine\n",
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let done = Command::new(cargo_bin!("dfmigrate"))
            .current_dir(folder.path())
            .env("SOURCE_DATE_EPOCH", TODAY)
            .arg("images")
            .args(arguments)
            .assert()
            .code(0);
        let value: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
        value["references"].clone()
    };
    let rows = run(&["--as-of", "git", "--output-format", "json", "Dockerfile"]);
    assert_eq!(rows[0]["then"]["day"], "2020-05-20");
    assert_eq!(rows[0]["then"]["version"], "3.8.3");
    assert_eq!(rows[0]["then"]["base"], "debian:buster");
    assert_eq!(rows[1]["then"]["day"], "2023-02-01");
    assert_eq!(rows[1]["then"]["version"], "3.11.1");
    // Written since: nothing is said of the past.
    assert!(rows[2]["then"].is_null(), "{rows}");
    let never = run(&["--output-format", "json", "Dockerfile"]);
    assert!(never[0]["then"].is_null(), "{never}");
}

#[test]
fn a_file_without_history_is_said_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "FROM python:3\n").unwrap();
    let done = Command::new(cargo_bin!("dfmigrate"))
        .current_dir(folder.path())
        .args(["images", "--as-of", "git", "Dockerfile"])
        .assert()
        .code(0);
    let output = done.get_output();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("when its lines were written is not known: it is not in a git repository"),
        "{said}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("python:3"));
}
