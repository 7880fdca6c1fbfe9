//! What other programs take from this repository: the hooks of pre-commit, the
//! GitHub Action, and the recipe for GitLab's code quality.

use std::path::Path;
use std::process::{Command, Output};

use saphyr::{LoadableYamlNode as _, Yaml};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).expect("it is there")
}

/// A folder with one Dockerfile that changes.
fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().expect("a folder");
    std::fs::write(tree.path().join("Dockerfile"), "FROM node:20\n").expect("written");
    tree
}

/// A line of bash in a folder, with the program on the path.
fn bash(folder: &Path, line: &str, environment: &[(&str, &str)]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_dfmigrate"));
    let mut path = std::ffi::OsString::from(program.parent().expect("a folder"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .envs(environment.iter().copied())
        .output()
        .expect("bash starts")
}

#[test]
fn the_hooks_check_and_apply() {
    let text = text(".pre-commit-hooks.yaml");
    let documents = Yaml::load_from_str(&text).expect("YAML");
    let hooks = documents[0].as_sequence().expect("a list");
    let entry = |id: &str| {
        let hook = hooks.iter().find(|hook| hook["id"].as_str() == Some(id));
        hook.and_then(|hook| hook["entry"].as_str())
            .expect("a hook")
            .to_owned()
    };
    let tree = tree();
    let run = |id: &str| {
        let output = bash(tree.path(), &format!("{} Dockerfile", entry(id)), &[]);
        output.status.code()
    };
    assert_eq!(run("dfmigrate"), Some(1));
    assert_eq!(run("dfmigrate-apply"), Some(0));
    let now = std::fs::read_to_string(tree.path().join("Dockerfile")).expect("it is there");
    assert_eq!(now, "FROM node:20-bookworm\n");
    assert_eq!(run("dfmigrate"), Some(0));
}

#[test]
fn the_action_annotates_and_fails() {
    let text = text("action.yml");
    let documents = Yaml::load_from_str(&text).expect("YAML");
    let steps = documents[0]["runs"]["steps"].as_sequence().expect("steps");
    let review = steps.last().expect("a step");
    let script = review["run"].as_str().expect("a script");
    assert!(
        !script.contains("${{"),
        "no value of a workflow becomes a command"
    );
    let tree = tree();
    let run = |args: &str, paths: &str, fail: &str| {
        let environment = [
            ("DFMIGRATE_ARGS", args),
            ("DFMIGRATE_PATHS", paths),
            ("DFMIGRATE_FAIL", fail),
        ];
        let output = bash(tree.path(), script, &environment);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), out)
    };
    let (code, out) = run("", ".", "true");
    assert_eq!(code, Some(1));
    assert!(out.contains("file=Dockerfile,line=1"), "{out}");
    assert_eq!(run("", ".", "false").0, Some(0));
    assert_eq!(
        run("--grade safe --ignore pin-codename", ".", "true").0,
        Some(0)
    );
    let (code, _) = run("", "$(touch x)", "true");
    assert_eq!((code, tree.path().join("x").exists()), (Some(4), false));
}

#[test]
fn code_quality_has_a_row_for_each_rewrite() {
    if !Command::new("jq")
        .arg("--version")
        .output()
        .is_ok_and(|jq| jq.status.success())
    {
        eprintln!("SKIPPED: jq is not there");
        return;
    }
    let page = text("docs/scripts.md");
    let (_, recipe) = page
        .split_once("## GitLab code quality")
        .expect("the recipe");
    let (_, recipe) = recipe.split_once("```bash\n").expect("a block");
    let (recipe, _) = recipe.split_once("```").expect("its end");
    let tree = tree();
    let output = bash(tree.path(), recipe, &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let report = std::fs::read(tree.path().join("gl-code-quality-report.json")).expect("a report");
    let rows: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let rows = rows.as_array().expect("a list");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["check_name"], "pin-codename");
    assert_eq!(rows[0]["severity"], "info");
    assert_eq!(rows[0]["location"]["path"], "Dockerfile");
    assert_eq!(rows[0]["location"]["lines"]["begin"], 1);
    assert!(
        rows[0]["fingerprint"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
}
