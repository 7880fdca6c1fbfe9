//! SARIF 2.1.0, with each rewrite as a fix.
//!
//! A rewrite that is made is a `fail` result with a fix; what is held or left
//! alone is `informational`; what a comment suppresses is a suppressed result.
//! Files that could not be worked on are notifications of the tool.

use serde_json::{Value, json};

use super::json::{At, Position, line};
use super::{Counts, FileReport, Outcome, Proof, Renderer, Run};
use crate::plan::{Plan, Reason};
use crate::rules::{self, Rewrite};
use crate::text::Span;

/// The first byte of a piece that is a notification and no list of results.
const NOTIFICATION: u8 = b'!';

pub(super) struct Sarif {
    run: Run,
    notifications: Vec<String>,
    first: bool,
}

impl Sarif {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            notifications: Vec::new(),
            first: true,
        }
    }
}

/// A path as a URI reference, relative where the path is.
fn uri(path: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const PATH: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let encoded = utf8_percent_encode(path, PATH).to_string();
    match path.starts_with('/') {
        true => format!("file://{encoded}"),
        false => encoded,
    }
}

fn artifact(path: &str) -> Value {
    json!({ "uri": uri(path) })
}

fn region(at: &At<'_>, span: Span) -> Value {
    let (start, end): (Position, Position) = (at.position(span.start), at.position(span.end));
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

fn location(path: &str, at: &At<'_>, span: Span) -> Value {
    json!([{
        "physicalLocation": { "artifactLocation": artifact(path), "region": region(at, span) }
    }])
}

fn rule_index(id: &str) -> Option<usize> {
    rules::all().iter().position(|rule| rule.meta().id == id)
}

/// The text of a rewrite's message.
fn message(rewrite: &Rewrite) -> String {
    let mut text = rewrite.title.clone();
    for reason in &rewrite.because {
        text.push_str(&format!("\nbecause {reason}"));
    }
    for caveat in rewrite.caveats() {
        text.push_str(&format!("\nbut {caveat}"));
    }
    text
}

/// The parts of a result that every kind has.
fn result(rule: &str, kind: &str, level: &str, text: String, locations: Value) -> Value {
    let mut result = json!({
        "ruleId": rule,
        "kind": kind,
        "level": level,
        "message": { "text": text },
        "locations": locations,
    });
    if let Some(index) = rule_index(rule) {
        result["ruleIndex"] = index.into();
    }
    result
}

fn rewrite_result(path: &str, at: &At<'_>, rewrite: &Rewrite) -> Value {
    let locations = location(path, at, rewrite.at);
    let mut result = result(rewrite.rule, "fail", "warning", message(rewrite), locations);
    let replacements: Vec<Value> = rewrite
        .edits
        .iter()
        .map(|edit| {
            json!({
                "deletedRegion": region(at, edit.span),
                "insertedContent": { "text": &*edit.text },
            })
        })
        .collect();
    result["fixes"] = json!([{
        "description": { "text": rewrite.title },
        "artifactChanges": [{
            "artifactLocation": artifact(path),
            "replacements": replacements,
        }],
    }]);
    result["properties"] = json!({
        "grade": rewrite.safety().name(),
        "because": rewrite.because,
        "caveats": rewrite.caveats(),
    });
    result
}

fn results(path: &str, plan: &Plan, all: bool) -> Vec<Value> {
    let at = At::of(plan);
    let chosen = plan.chosen.iter();
    let mut found: Vec<Value> = chosen.map(|it| rewrite_result(path, &at, it)).collect();
    for held in &plan.held {
        if matches!(held.reason, Reason::Conflict(_)) && !all {
            continue;
        }
        let mut row = rewrite_result(path, &at, &held.rewrite);
        row["properties"]["heldBecause"] = held.reason.to_string().into();
        match &held.reason {
            Reason::Suppressed(why) => {
                row["suppressions"] = json!([{ "kind": "inSource", "justification": why }]);
            }
            reason => {
                row["kind"] = "informational".into();
                row["level"] = "none".into();
                row["message"]["text"] =
                    format!("{}\nheld back: {reason}", message(&held.rewrite)).into();
                // It is not proposed to be applied.
                if let Some(row) = row.as_object_mut() {
                    row.remove("fixes");
                }
            }
        }
        found.push(row);
    }
    for refusal in &plan.refusals {
        if plan.supersedes(refusal) && !all {
            continue;
        }
        let mut text = format!("left alone: {}", refusal.why);
        if let Some(remedy) = &refusal.remedy {
            text.push_str(&format!("\nto have it: {remedy}"));
        }
        let locations = location(path, &at, refusal.at);
        found.push(result(
            refusal.rule,
            "informational",
            "none",
            text,
            locations,
        ));
    }
    found
}

/// What building a file has shown, as a result of its own: each rewrite says what
/// came of it, this one of the file.
fn proof_result(path: &str, proof: &Proof) -> Value {
    let mut text = format!("built before and after: {}", proof.says);
    for line in proof.lines().iter().chain(&proof.log) {
        text.push_str(&format!("\n{line}"));
    }
    let locations = json!([{ "physicalLocation": { "artifactLocation": artifact(path) } }]);
    let kind = if proof.holds { "pass" } else { "informational" };
    let mut result = result("verification", kind, "none", text, locations);
    result["properties"] = json!({ "verification": proof });
    result
}

fn notification(path: &str, text: &str) -> String {
    line(&json!({
        "level": "error",
        "message": { "text": text },
        "locations": [{ "physicalLocation": { "artifactLocation": artifact(path) } }],
    }))
}

impl Renderer for Sarif {
    fn head(&mut self) -> String {
        let rules: Vec<Value> = rules::all()
            .iter()
            .map(|rule| {
                let meta = rule.meta();
                json!({
                    "id": meta.id,
                    "shortDescription": { "text": meta.summary },
                    "fullDescription": { "text": meta.docs },
                    "help": { "text": meta.docs },
                    "defaultConfiguration": { "level": "warning" },
                    "properties": { "bestGrade": meta.best.name() },
                })
            })
            .collect();
        let driver = line(&json!({
            "name": "dfmigrate",
            "semanticVersion": self.run.version,
            "version": self.run.version,
            "rules": rules,
            "properties": {
                "catalogAsOf": self.run.as_of,
                "catalogCommit": self.run.commit,
            },
        }));
        // The results go on where the head ends.
        format!(
            "{{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\
             \"runs\":[{{\"tool\":{{\"driver\":{driver}}},\
             \"columnKind\":\"unicodeCodePoints\",\"results\":["
        )
    }

    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        // A relative path in normal form, as tools look it up from the root.
        let path = match file.shown.starts_with('/') {
            true => file.shown,
            false => file.path,
        };
        if let Some(why) = file.failure() {
            let mut piece = notification(path, &why).into_bytes();
            piece.insert(0, NOTIFICATION);
            return piece;
        }
        let Outcome::Planned(plan) = file.outcome else {
            return Vec::new();
        };
        let mut results = results(path, plan, self.run.all);
        results.extend(file.proof.map(|proof| proof_result(path, proof)));
        let rows: Vec<String> = results.iter().map(line).collect();
        rows.join(",\n").into_bytes()
    }

    fn next(&mut self, piece: Vec<u8>) -> Vec<u8> {
        match piece.split_first() {
            None => Vec::new(),
            Some((&NOTIFICATION, text)) => {
                let text = String::from_utf8_lossy(text).into_owned();
                self.notifications.push(text);
                Vec::new()
            }
            Some(_) => {
                let separator: &[u8] = if self.first { b"\n" } else { b",\n" };
                self.first = false;
                [separator, &piece].concat()
            }
        }
    }

    fn problem(&mut self, shown: &str, message: &str) {
        self.notifications.push(notification(shown, message));
    }

    fn tail(&mut self, counts: &Counts) -> String {
        format!(
            "\n],\"invocations\":[{{\"executionSuccessful\":{},\"toolExecutionNotifications\":[{}]}}]}}]}}\n",
            counts.failed == 0,
            self.notifications.join(",\n")
        )
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_uri_references() {
        assert_eq!(super::uri("a/b c/Docker%file"), "a/b%20c/Docker%25file");
        assert_eq!(super::uri("/x/é"), "file:///x/%C3%A9");
        // A colon in the first part would make the rest a scheme's.
        assert_eq!(super::uri("javascript:x"), "javascript%3Ax");
    }
}
