//! What the syntax tree says of a file, as one line of JSON.

use serde::Serialize;

use crate::syntax::{Dockerfile, Instruction};

#[derive(Serialize)]
struct Inspection<'a> {
    path: &'a str,
    ok: bool,
    errors: Vec<Error<'a>>,
    escape: String,
    stages: Vec<Stage>,
    instructions: Vec<Row>,
}

#[derive(Serialize)]
struct Error<'a> {
    line: usize,
    message: &'a str,
}

#[derive(Serialize)]
struct Stage {
    name: String,
    base: String,
    platform: String,
    line: usize,
}

#[derive(Serialize)]
struct Row {
    cmd: String,
    start_line: usize,
    end_line: usize,
    flags: Vec<String>,
    json: bool,
    heredocs: Vec<Heredoc>,
    sub: Option<String>,
}

#[derive(Serialize)]
struct Heredoc {
    name: String,
    expand: bool,
    chomp: bool,
}

fn name(it: &Instruction, source: &[u8]) -> String {
    let text = it.logical.text(source);
    String::from_utf8_lossy(&text[it.name.clone()]).into_owned()
}

/// The view of one file as a line of JSON, without a line end.
#[must_use]
pub fn inspect_line(path: &str, file: &Dockerfile) -> String {
    let source = file.source();
    let inspection = Inspection {
        path,
        ok: file.errors().is_empty(),
        errors: file
            .errors()
            .iter()
            .map(|error| Error {
                line: error.line,
                message: &error.message,
            })
            .collect(),
        escape: char::from(file.escape()).to_string(),
        stages: file
            .stage_headers()
            .into_iter()
            .map(|stage| Stage {
                name: stage.name,
                base: stage.base,
                platform: stage.platform,
                line: stage.line,
            })
            .collect(),
        instructions: file
            .instructions()
            .map(|it| Row {
                cmd: name(it, source),
                start_line: it.start_line,
                end_line: it.end_line,
                flags: it.flags.iter().map(|flag| flag.word.clone()).collect(),
                json: it.json.is_some(),
                heredocs: it
                    .heredocs
                    .iter()
                    .map(|doc| Heredoc {
                        name: doc.name.clone(),
                        expand: doc.expand,
                        chomp: doc.chomp,
                    })
                    .collect(),
                sub: it.sub.as_deref().map(|sub| name(sub, source)),
            })
            .collect(),
    };
    super::json::line(&inspection)
}
