//! `dfmigrate explain --file`: the ledger as a person reads it, and as JSON.

use std::path::Path;
use std::process::{Command, Output};

fn explain(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .arg("explain")
        .args(args)
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_command_its_effect_and_its_verdict() {
    let out = explain(&["--file", "fixtures/example/node/Dockerfile"]);
    assert!(out.status.success());
    let expected = "\
fixtures/example/node/Dockerfile: the last stage, on node:20

    5  COPY . .
       copies files: below /app
       → copied: /app
    6  RUN npm install
       installs the project's Node.js packages, those of development too: below /app
       → copied: /app
    7  RUN npm run build → node build.js
       writes files: below /app
       → copied: /app

  at run time
   10  CMD → npm start
   10  CMD → package.json start → node server.js

";
    let printed = text(&out.stdout);
    assert!(printed.starts_with(expected), "{printed}");
}

#[test]
fn json_holds_packages_verdicts_and_demands() {
    let out = explain(&["--json", "--file", "fixtures/lab/native-cmake/Dockerfile"]);
    assert!(out.status.success());
    let value: serde_json::Value = serde_json::from_slice(&out.stdout).expect("it is JSON");
    let effects = value["effects"].as_array().expect("a list");
    let row = |part: &str| {
        let mut rows = effects.iter();
        rows.find(|row| row["command"].as_str().is_some_and(|c| c.contains(part)))
            .unwrap_or_else(|| panic!("no effect has {part}"))
    };
    let install = row("apt-get install");
    assert_eq!(install["verdict"], "replayed");
    assert_eq!(install["why"], "libsqlite3-0");
    assert_eq!(row("rm -rf")["verdict"], "nothing");
    assert_eq!(row("cmake --build")["certainty"], "bounded");
    assert_eq!(value["demands"][0]["command"], "sums");
    assert_eq!(value["rewrites"][0]["rule"], "multi-stage");
}

#[test]
fn bad_input_is_said_and_fails() {
    let out = explain(&["--file", "fixtures/lab/no-such-case/Dockerfile"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(
        text(&out.stderr).contains("no-such-case/Dockerfile"),
        "{}",
        text(&out.stderr)
    );
    let out = explain(&[]);
    assert_eq!(out.status.code(), Some(2));
    let out = explain(&["no-such-rule"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(
        text(&out.stderr).contains("multi-stage"),
        "it names those there are"
    );
}

/// A template of the user's own, and what is wrong with one that would lose
/// instructions.
#[test]
fn a_template_of_ones_own_is_used_and_checked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let original = std::fs::read_to_string(root.join("templates/node.Dockerfile")).unwrap();
    let own = original.replace("{{before}}", "LABEL made.by=us\n{{before}}");
    std::fs::write(dir.path().join("node.Dockerfile"), &own).unwrap();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
            .current_dir(root)
            .arg("--templates")
            .arg(dir.path())
            .args(["--diff", "fixtures/example/node/Dockerfile"])
            .output()
            .expect("it runs")
    };
    let out = run();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let label = "+FROM node:20-bookworm-slim\n+LABEL made.by=us\n+WORKDIR /app\n";
    assert!(text(&out.stdout).contains(label), "{}", text(&out.stdout));
    std::fs::write(
        dir.path().join("node.Dockerfile"),
        own.replace("{{after}}", ""),
    )
    .unwrap();
    let out = run();
    assert_eq!(out.status.code(), Some(2));
    assert!(
        text(&out.stderr).contains("it lacks {{after}}"),
        "{}",
        text(&out.stderr)
    );
}
