//! `inspect`, `catalog`, `rules`, `explain`, `--help`.

use serde_json::{Value, json};
use snapbox::{Data, file};

use super::{Scratch, dfmigrate, stderr, stdout};

#[test]
fn inspect_prints_one_line_for_each_file_in_the_order_given() {
    let scratch = Scratch::new();
    scratch
        .put(
            "b/Dockerfile",
            "# escape=`\nFROM --platform=linux/amd64 node:20 AS Build\n\
             COPY <<-\"E\" <<F /x/\n\ta\nE\nb\nF\nONBUILD RUN x\nCMD [`\n \"a\"]\n",
        )
        .put("a/Dockerfile", "FROM a b c\nRUNN x\n")
        .put("list", "b/Dockerfile\na/Dockerfile\ngone\n");
    let assert = scratch.run(["inspect", "--files-from", "list"]).code(4);
    assert_eq!(
        stderr(&assert),
        "dfmigrate: gone: there is no such file or folder; check the path\n"
    );
    let text = stdout(&assert);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines[0],
        json!({
            "path": "b/Dockerfile", "ok": true, "errors": [], "escape": "`",
            "stages": [{"name": "build", "base": "node:20", "platform": "linux/amd64", "line": 2}],
            "instructions": [
                {"cmd": "FROM", "start_line": 2, "end_line": 2, "flags": ["--platform=linux/amd64"],
                 "json": false, "heredocs": [], "sub": null},
                {"cmd": "COPY", "start_line": 3, "end_line": 7, "flags": [], "json": false,
                 "heredocs": [{"name": "E", "expand": false, "chomp": true},
                              {"name": "F", "expand": true, "chomp": false}], "sub": null},
                {"cmd": "ONBUILD", "start_line": 8, "end_line": 8, "flags": [], "json": false,
                 "heredocs": [], "sub": "RUN"},
                {"cmd": "CMD", "start_line": 9, "end_line": 10, "flags": [], "json": true,
                 "heredocs": [], "sub": null},
            ],
        })
    );
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["path"], "a/Dockerfile");
    assert_eq!(lines[1]["ok"], false);
    assert_eq!(lines[1]["errors"][0]["line"], 1);
    // A folder in path order; standard input; the list from standard input.
    let names = |assert: &snapbox::cmd::OutputAssert| -> Vec<String> {
        let text = stdout(assert);
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| row["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(&scratch.run(["inspect"]).success()),
        ["a/Dockerfile", "b/Dockerfile"]
    );
    let input = |arguments: &[&str], text: &str| {
        let command = dfmigrate(scratch.path()).args(arguments);
        command.stdin(Data::text(text)).assert().success()
    };
    assert_eq!(names(&input(&["inspect", "-"], "FROM x\n")), ["-"]);
    assert_eq!(
        names(&input(
            &["inspect", "--files-from", "-"],
            "b/Dockerfile\0a/Dockerfile"
        )),
        ["b/Dockerfile", "a/Dockerfile"]
    );
}

#[test]
fn catalog_says_what_is_known_of_a_tag() {
    let scratch = Scratch::new();
    scratch
        .run(["catalog", "node:20"])
        .success()
        .stdout_eq(file!["../../fixtures/cli/catalog-node-20.txt"].raw())
        .stderr_eq("");
    let latest = stdout(
        &scratch
            .run(["catalog", "docker.io/library/python"])
            .success(),
    );
    assert!(latest.starts_with("image      python:latest\n"), "{latest}");
    for (image, why) in [
        (
            "example.com/x:1",
            "example.com/x is no Docker Official Image",
        ),
        ("node:99", "the official image node has no tag 99"),
        ("Node:20", "is no image reference"),
    ] {
        let text = stderr(&scratch.run(["catalog", image]).code(2));
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn rules_and_explain_say_what_the_rules_do() {
    let scratch = Scratch::new();
    let list = stdout(&scratch.run(["rules"]).success());
    for rule in dfmigrate::rules::all() {
        let meta = rule.meta();
        let line = list.lines().find(|line| line.starts_with(meta.id));
        let line = line.unwrap_or_else(|| panic!("{} is not in\n{list}", meta.id));
        assert!(line.contains(meta.summary), "{line}");
        let text = stdout(&scratch.run(["explain", meta.id]).success());
        assert!(text.contains(meta.docs), "{text}");
        for part in ["What it does:", "Why:", "When it holds back:", "Safety:"] {
            assert!(text.contains(part), "{} doesn't say {part}", meta.id);
        }
    }
    let text = stderr(&scratch.run(["explain", "nonsense"]).code(2));
    assert!(text.contains("there is no rule \"nonsense\""), "{text}");
}

#[test]
fn help_says_the_exit_codes() {
    let scratch = Scratch::new();
    let help = stdout(&scratch.run(["--help"]).success());
    for code in 0..=4 {
        assert!(help.contains(&format!("\n  {code}  ")), "{help}");
    }
    let version = stdout(&scratch.run(["--version"]).success());
    assert_eq!(
        version,
        format!("dfmigrate {}\n", env!("CARGO_PKG_VERSION"))
    );
}
