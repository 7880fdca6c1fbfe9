//! `dfmigrate stream`: exactly one line out for each line in.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command as Process, Stdio};

use serde_json::{Value, json};
use snapbox::Data;
use snapbox::cmd::OutputAssert;

use super::{EXAMPLE, Scratch, dfmigrate, stderr, stdout};

fn stream(arguments: &[&str], input: impl Into<Vec<u8>>) -> OutputAssert {
    let scratch = Scratch::new();
    dfmigrate(scratch.path())
        .arg("stream")
        .args(arguments)
        .stdin(Data::binary(input.into()))
        .assert()
}

fn answers(assert: &OutputAssert) -> Vec<Value> {
    let text = stdout(assert);
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"));
    lines.collect()
}

#[test]
fn each_line_is_answered_in_order_and_errors_stand_in_the_answer() {
    let lines = [
        json!({"id": 1, "path": "a/Dockerfile", "text": "FROM node:20\n"}).to_string(),
        json!({"id": {"any": [1]}, "text": "FROM node:20\nRUNN x\n"}).to_string(),
        "no JSON".to_owned(),
        String::new(),
        json!({"id": "u", "text": "FROM a", "unknown": 1}).to_string(),
        json!({"id": "n"}).to_string(),
        json!({"id": "b", "text": "FROM a", "base64": "RlJPTQ=="}).to_string(),
        json!({"id": "l", "base64": "IyDp/wpGUk9NIG5vZGU6MjAK"}).to_string(),
        json!({"id": "m", "base64": "%%"}).to_string(),
        json!({"id": "p", "text": "FROM a", "files": {"../x": ""}}).to_string(),
        json!({"text": "FROM node:20-bookworm"}).to_string(),
    ];
    let assert = stream(&[], lines.join("\n")).code(0);
    assert_eq!(stderr(&assert), "");
    let answers = answers(&assert);
    assert_eq!(answers.len(), lines.len());
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    let null = Value::Null;
    assert_eq!(
        ids,
        [
            &json!(1),
            &json!({"any": [1]}),
            &null,
            &null,
            &json!("u"),
            &json!("n"),
            &json!("b"),
            &json!("l"),
            &json!("m"),
            &json!("p"),
            &null
        ]
    );
    assert_eq!(answers[0]["path"], "a/Dockerfile");
    assert_eq!(answers[0]["changes"], true);
    assert_eq!(answers[0]["error"], null);
    assert_eq!(answers[0]["after"], "FROM node:20-bookworm\n");
    assert_eq!(answers[0]["rewrites"][0]["rule"], "pin-codename");
    assert!(
        answers[0]["diff"]
            .as_str()
            .unwrap()
            .starts_with("--- a/a/Dockerfile\n")
    );
    assert_eq!(answers[1]["syntax_errors"][0]["line"], 2);
    assert_eq!(answers[1]["after"], null);
    for (at, why) in [
        (2, "line 3 is no request"),
        (3, "line 4 is no request"),
        (4, "unknown field `unknown`"),
        (5, "neither `text` nor `base64`"),
        (6, "both `text` and `base64`"),
        (8, "`base64` is not that"),
        (9, "\"../x\" is no path"),
    ] {
        let error = answers[at]["error"].as_str().unwrap();
        assert!(error.contains(why), "{error}");
        assert_eq!(answers[at]["changes"], false);
    }
    // Bytes that are not UTF-8 come back as they came in.
    assert_eq!(answers[7]["after"], null);
    assert_eq!(
        answers[7]["after_base64"],
        "IyDp/wpGUk9NIG5vZGU6MjAtYm9va3dvcm0K"
    );
    assert_eq!(answers[10]["changes"], false);
}

#[test]
fn what_is_given_of_the_build_context_is_used() {
    let read = |name: &str| std::fs::read_to_string(format!("{EXAMPLE}/node/{name}")).unwrap();
    let names = ["package.json", "server.js", "build.js"];
    let files: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), read(name).into()))
        .collect();
    let after = |request: Value| {
        let assert = stream(&[], request.to_string()).success();
        answers(&assert)[0]["after"].as_str().unwrap().to_owned()
    };
    let text = read("Dockerfile");
    let bare = after(json!({"text": text}));
    assert!(!bare.contains("npm prune"), "{bare}");
    let whole = after(json!({"text": text, "files": files, "complete": true}));
    assert!(whole.contains("RUN npm prune --omit=dev\n"), "{whole}");
}

#[test]
fn empty_input_is_fine_and_the_count_is_held() {
    assert_eq!(stdout(&stream(&[], "").success()), "");
    let two = "{\"text\":\"FROM a\"}\n{\"text\":\"FROM b\"}\n";
    stream(&["--expect-count", "2"], two).code(0);
    let assert = stream(&["--expect-count", "3"], two).code(2);
    assert_eq!(answers(&assert).len(), 2);
    assert!(stderr(&assert).contains("2 lines came in, and not 3"));
    stream(&["--expect-count", "0"], "").code(0);
    stream(&["--select", "nonsense"], two).code(2);
    let assert = stream(
        &["--ignore", "pin-codename,slim-base"],
        "{\"text\":\"FROM node:20\"}",
    );
    assert_eq!(answers(&assert)[0]["changes"], false);
}

/// The order and bytes don't depend on the threads.
#[test]
fn many_threads_answer_as_one_does() {
    // Long and short work side by side.
    let lines: Vec<String> = (0..1000)
        .map(|number| {
            let text = match number % 40 {
                0 => format!("FROM node:20\nENV A={number}\nCMD [\"node\", \"{number}.js\"]\n"),
                _ => format!("RUN {number}\n"),
            };
            json!({"id": number, "text": text}).to_string()
        })
        .collect();
    let one = stream(&["-j", "1"], lines.join("\n")).success();
    let many = stream(&["-j", "5"], lines.join("\n")).success();
    assert!(one.get_output().stdout == many.get_output().stdout);
    let answers = answers(&one);
    assert!(
        answers
            .iter()
            .enumerate()
            .all(|(at, answer)| answer["id"] == at)
    );
    assert_eq!(answers.len(), 1000);
}

/// A line is answered when it has come: who waits for the answer before the
/// next line does not wait for ever.
#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let mut child = Process::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .arg("stream")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for number in 0..3 {
        writeln!(input, "{{\"id\":{number},\"text\":\"FROM a\"}}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], number);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// A line of any length takes no more memory than is read of one.
#[test]
fn a_line_that_is_too_long_is_said_and_the_next_one_done() {
    let mut input = vec![b'x'; 40 << 20];
    input.extend_from_slice(b"\n{\"id\":7,\"text\":\"FROM a\"}\n");
    let answers = answers(&stream(&[], input).success());
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["error"], "line 1 has over 33554432 bytes");
    assert_eq!(answers[1]["id"], 7);
}
