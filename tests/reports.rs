//! The formats of `--output-format`, through the program: each is read back by
//! what reads it, holds what the others hold, and neutralises hostile files.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn dfmigrate(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the program starts");
    String::from_utf8(output.stdout).expect("reports are UTF-8")
}

/// The report on the project's own fixtures, in a format.
fn fixtures(format: &str) -> String {
    let folders = ["fixtures/example", "fixtures/lab", "fixtures/rules"];
    let args = [&folders[..], &["--output-format", format]].concat();
    dfmigrate(Path::new(ROOT), &args)
}

/// What a hostile author may try, in the name of the file and in its text.
const ATTACKS: &[&str] = &[
    "\u{1b}[2K\u{1b}[1A",
    "\u{1b}]8;;http://evil.example\u{7}",
    "\u{9b}31m",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{e0041}",
    "\r",
];

/// A tree of hostile files: names and texts that reach every part of a report.
fn hostile_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().expect("a folder");
    let html = "<img src=x onerror=alert(1)></script><script>alert(2)</script>";
    let workflow = "\n::error file=x::forged%0A::set-output name=a::b";
    let markdown = "[x](javascript:alert(1)) `|` @everyone #1 ``` </details>";
    let all = ATTACKS.concat();
    let put = |name: &str, text: String| {
        std::fs::write(tree.path().join(name), text).expect("it is written");
    };
    let slashless = html.replace('/', "\u{2215}");
    put(
        &format!("a{all}{slashless}{workflow}{markdown}.Dockerfile").replace('/', "_"),
        format!(
            "FROM node:20\n# {all}{html}{markdown}\nRUN \"{all}{html}{markdown}\"\nRUN echo '{all}{html}' \\\n  x\nCMD [\"node\"]\n"
        ),
    );
    // Chosen, with the text in the diff, the title and the reasons.
    put(
        "Dockerfile",
        format!(
            "FROM python:3.12\n# {all}{html}{markdown}\n# dfmigrate: ignore[slim-base] {all}{html}{markdown}\nCMD [\"python\", \"{html}{markdown}\"]\n"
        ),
    );
    put(
        "held.Dockerfile",
        format!("# dfmigrate: file-ignore {all}{html}{markdown}\nFROM node:20\nCMD [\"node\"]\n"),
    );
    put(
        "broken.Dockerfile",
        format!("FROM node:20\nNOPE {all}{html}{markdown}\n"),
    );
    put(
        "image.Dockerfile",
        format!("FROM node:20{html}{markdown}{all}\nRUN true\n"),
    );
    std::fs::write(
        tree.path().join("latin.Dockerfile"),
        b"FROM node:20\n# caf\xe9\nCMD x\n",
    )
    .expect("it is written");
    tree
}

fn hostile(c: char) -> bool {
    ATTACKS
        .iter()
        .flat_map(|attack| attack.chars())
        .any(|bad| bad == c && !bad.is_ascii_graphic())
}

/// A schema under which a property that it does not describe is an error.
fn strict(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => {
            if map.contains_key("properties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            for value in map.values_mut() {
                *value = strict(value.take());
            }
        }
        Value::Array(list) => {
            for value in list {
                *value = strict(value.take());
            }
        }
        _ => {}
    }
    schema
}

/// The schema that the program prints.
fn schema(args: &[&str]) -> Value {
    let schema = json(&dfmigrate(Path::new(ROOT), args));
    jsonschema::meta::validate(&schema).expect("it is a schema");
    schema
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::validator_for(schema).expect("the schema is usable")
}

fn valid(validator: &jsonschema::Validator, value: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("the report is JSON")
}

#[test]
fn json_is_what_its_schema_says() {
    let schema = validator(&strict(schema(&["generate", "report-schema"])));
    let report = json(&fixtures("json"));
    valid(&schema, &report);
    let files = report["files"].as_array().unwrap();
    assert!(files.len() > 70, "only {} files", files.len());
    assert_eq!(report["summary"]["files"], files.len());
    let changed = files.iter().filter(|file| file["changes"] == true);
    assert_eq!(report["summary"]["changed"], changed.count());

    let tree = hostile_tree();
    let args = [".", "missing", "--output-format", "json"];
    let report = json(&dfmigrate(tree.path(), &args));
    valid(&schema, &report);
    assert_eq!(report["problems"][0]["path"], "missing");
    let empty = json(&dfmigrate(
        tree.path(),
        &["missing", "--output-format", "json"],
    ));
    valid(&schema, &empty);
    assert_eq!(empty["files"], json("[]"));
    // A schema that takes everything would prove nothing.
    let mut wrong = report;
    wrong["files"][0]["surprise"] = Value::Null;
    assert!(!schema.is_valid(&wrong));
}

#[test]
fn answers_of_the_stream_are_what_their_schema_says() {
    let schema = validator(&strict(schema(&["generate", "report-schema", "--stream"])));
    let texts = [
        "FROM node:20\nRUN apt-get install x\nCMD [\"node\", \"a.js\"]\n",
        "RUN x\n",
        "FROM node:20 # dfmigrate: ignore\n",
    ];
    let mut lines: Vec<String> = texts
        .iter()
        .map(|text| serde_json::json!({"id": [1, {"a": null}], "text": text}).to_string())
        .collect();
    lines.push("?".to_owned());
    let output = snapbox::cmd::Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .arg("stream")
        .stdin(lines.join("\n"))
        .assert()
        .success();
    let text = String::from_utf8(output.get_output().stdout.clone()).expect("it prints UTF-8");
    let answers: Vec<Value> = text.lines().map(json).collect();
    assert_eq!(answers.len(), 4);
    for answer in &answers {
        valid(&schema, answer);
    }
    let mut wrong = answers[0].clone();
    wrong["after"] = Value::from(7);
    assert!(!schema.is_valid(&wrong));
}

#[test]
fn json_lines_are_the_same_as_json() {
    // Not strict: each line is a named part and its type beside it.
    let schema = validator(&schema(&["generate", "report-schema", "--lines"]));
    let lines: Vec<Value> = fixtures("jsonl").lines().map(json).collect();
    for line in &lines {
        valid(&schema, line);
    }
    let report = json(&fixtures("json"));
    let untyped = |line: &Value| {
        let mut map = line.as_object().expect("an object").clone();
        map.remove("type");
        map
    };
    let (start, end) = (untyped(&lines[0]), untyped(lines.last().unwrap()));
    for (key, value) in start.iter().chain(&end) {
        assert_eq!(&report[key], value, "{key}");
    }
    let files: Vec<Value> = lines[1..lines.len() - 1]
        .iter()
        .map(|line| Value::Object(untyped(line)))
        .collect();
    assert_eq!(report["files"], Value::Array(files));
}

#[test]
fn the_edits_and_the_diff_of_json_make_what_apply_writes() {
    let report = json(&fixtures("json"));
    let mut tried = 0;
    for file in report["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let before = std::fs::read(Path::new(ROOT).join(path)).unwrap();
        // The edits of the chosen rewrites: equal ones are one.
        let mut edits: Vec<(usize, usize, &str)> = Vec::new();
        for rewrite in file["rewrites"].as_array().unwrap() {
            for edit in rewrite["edits"].as_array().unwrap() {
                let at = |side: &str| {
                    let position = &edit["location"][side];
                    let offset = position["offset"].as_u64().unwrap() as usize;
                    let text = String::from_utf8_lossy(&before[..offset]);
                    let line = text.matches('\n').count() + 1;
                    let column = text.rsplit('\n').next().unwrap().chars().count() + 1;
                    assert_eq!(position["line"], line, "{path}");
                    assert_eq!(position["column"], column, "{path}");
                    offset
                };
                edits.push((
                    at("start"),
                    at("end"),
                    edit["replacement"].as_str().unwrap(),
                ));
            }
        }
        edits.sort_unstable();
        edits.dedup();
        let mut after = before.clone();
        for (start, end, text) in edits.into_iter().rev() {
            after.splice(start..end, text.bytes());
        }
        let tree = tempfile::tempdir().unwrap();
        let copy = tree.path().join(path);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::write(&copy, &before).unwrap();
        if let Some(diff) = file["diff"].as_str() {
            std::fs::write(tree.path().join("p.patch"), diff).unwrap();
            let applied = Command::new("git")
                .args(["apply", "p.patch"])
                .current_dir(tree.path())
                .status()
                .unwrap();
            assert!(applied.success(), "{path}");
            tried += 1;
        }
        assert_eq!(std::fs::read(&copy).unwrap(), after, "{path}");
        assert_eq!(file["changes"], before != after);
    }
    assert!(tried > 40, "only {tried} diffs");
}

#[test]
fn hostile_files_are_neutralised_in_json() {
    let tree = hostile_tree();
    for format in ["json", "jsonl"] {
        let text = dfmigrate(tree.path(), &[".", "--output-format", format]);
        assert!(!text.contains(hostile), "{format}: {text:?}");
        let raw = text.lines().last().unwrap();
        assert!(raw.contains("summary"), "{raw}");
    }
    // And it is the same text behind the escapes.
    let report = json(&dfmigrate(tree.path(), &[".", "--output-format", "json"]));
    let name = std::fs::read_dir(tree.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.contains('\u{1b}'))
        .unwrap();
    let files = report["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == name.as_str()));
    let diff = files
        .iter()
        .find(|file| file["path"] == "Dockerfile")
        .unwrap();
    assert!(diff["diff"].as_str().unwrap().contains(ATTACKS[0]));
    let latin = files
        .iter()
        .find(|f| f["path"] == "latin.Dockerfile")
        .unwrap();
    assert_eq!(latin["utf8"], false);
}

#[test]
fn hostile_files_are_neutralised_for_a_terminal() {
    let tree = hostile_tree();
    for args in [
        &["."][..],
        &[".", "-v"],
        &[".", "--output-format", "concise", "-v"],
        &[".", "--check"],
    ] {
        let text = dfmigrate(tree.path(), args);
        assert!(!text.contains(hostile), "{args:?}: {text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("::error")),
            "{text}"
        );
        assert!(text.contains("\\u{1b}[2K"), "{text}");
    }
}

#[test]
fn sarif_is_what_its_schema_says_and_its_fixes_are_the_rewrites() {
    let path = Path::new(ROOT).join("fixtures/sarif/sarif-schema-2.1.0.json");
    let text = std::fs::read_to_string(path).expect("the schema is there");
    // As published, one pattern is no regular expression: a stray bracket.
    let stray = "^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$";
    assert!(text.contains(stray));
    let schema = validator(&json(&text.replace(stray, "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$")));
    let report = json(&fixtures("sarif"));
    valid(&schema, &report);
    let run = &report["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let mut fixes = 0;
    for result in run["results"].as_array().unwrap() {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        if result["suppressions"].is_null() {
            fixes += result["fixes"].as_array().map_or(0, Vec::len);
        }
    }
    let plain = json(&fixtures("json"));
    let files = plain["files"].as_array().unwrap();
    let rewrites = files
        .iter()
        .map(|file| file["rewrites"].as_array().unwrap().len());
    assert_eq!(fixes, rewrites.sum::<usize>());
    assert!(fixes > 50, "only {fixes}");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);

    let tree = hostile_tree();
    let text = dfmigrate(
        tree.path(),
        &[".", "missing", "-v", "--output-format", "sarif"],
    );
    assert!(!text.contains(hostile), "{text:?}");
    let report = json(&text);
    valid(&schema, &report);
    let run = &report["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let notes = run["invocations"][0]["toolExecutionNotifications"]
        .as_array()
        .unwrap();
    assert!(notes.len() >= 2, "{notes:?}");
    let suppressed = |result: &&Value| result["suppressions"][0]["kind"] == "inSource";
    let results = run["results"].as_array().unwrap();
    assert!(results.iter().any(|result| suppressed(&result)));
    let empty = dfmigrate(tree.path(), &["missing", "--output-format", "sarif"]);
    valid(&schema, &json(&empty));
}

#[test]
fn github_annotations_are_one_command_a_line_whatever_the_file() {
    let tree = hostile_tree();
    let text = dfmigrate(
        tree.path(),
        &[".", "missing", "-v", "--output-format", "github"],
    );
    assert!(!text.contains(hostile), "{text:?}");
    assert!(!text.contains("##["), "{text}");
    let mut levels = std::collections::BTreeSet::new();
    for line in text.lines() {
        let (head, message) = line
            .strip_prefix("::")
            .and_then(|line| line.split_once("::"))
            .unwrap_or_else(|| panic!("no command: {line}"));
        let (level, properties) = head.split_once(' ').expect("properties");
        levels.insert(level);
        for property in properties.split(',') {
            let (name, _) = property.split_once('=').expect("a value");
            assert!(
                ["file", "line", "endLine", "title"].contains(&name),
                "{line}"
            );
        }
        assert!(!message.is_empty());
    }
    assert_eq!(Vec::from_iter(levels), ["error", "notice", "warning"]);
}

/// What a Markdown reader of the GitHub kind makes of a text, as HTML.
fn rendered(markdown: &str) -> String {
    use pulldown_cmark::{Options, Parser, html};
    let mut out = String::new();
    html::push_html(
        &mut out,
        Parser::new_ext(markdown, Options::ENABLE_GFM | Options::ENABLE_TABLES),
    );
    out
}

#[test]
fn markdown_is_a_summary_and_details_whatever_the_file() {
    let text = fixtures("markdown");
    assert!(text.starts_with("## "), "{text}");
    assert!(text.len() < 65_536, "{}", text.len());
    assert!(
        text.contains("more are left out"),
        "the fixtures are more than a pull request takes"
    );

    let tree = hostile_tree();
    let text = dfmigrate(
        tree.path(),
        &[".", "missing", "-v", "--output-format", "markdown"],
    );
    assert!(!text.contains(hostile), "{text:?}");
    let html = rendered(&text);
    // Only our own elements, and what was meant as code is in code.
    let mut rest = html.as_str();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if rest.starts_with("!-- -->") {
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '/')
            .unwrap();
        seen.insert(rest[..end].trim_matches('/'));
    }
    let ours = [
        "code", "details", "h2", "li", "p", "pre", "strong", "summary", "table", "tbody", "td",
        "th", "thead", "tr", "ul",
    ];
    assert!(
        seen.iter().all(|name| ours.contains(name)),
        "{seen:?} in {html}"
    );
    // A forge makes no mention of what is in code.
    for text in html.split("<code") {
        let text = text.rsplit("</code>").next().unwrap();
        assert!(!text.contains("@everyone"), "{text}");
    }
    assert_eq!(
        html.matches("<details>").count(),
        html.matches("</details>").count()
    );
}
