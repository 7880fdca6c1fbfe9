//! The tree against BuildKit's own parser: recorded answers, a part of which
//! is committed; all 5,000 where the team's shared data lies beside the checkout.

use std::io::BufRead;
use std::path::Path;

use dfmigrate::syntax::{self, Dockerfile};
use serde_json::Value;

fn base64(text: &str) -> Vec<u8> {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text
        .bytes()
        .filter(|b| *b != b'=')
        .map(|b| u32::from(digit(b)))
        .collect();
    let mut out = Vec::new();
    for chunk in digits.chunks(4) {
        let value = chunk.iter().fold(0, |v, d| v << 6 | d) << (6 * (4 - chunk.len()));
        let bytes = [(value >> 16) as u8, (value >> 8) as u8, value as u8];
        out.extend_from_slice(&bytes[..chunk.len() - 1]);
    }
    out
}

fn text_of(case: &Value) -> Vec<u8> {
    match case["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64(case["base64"].as_str().expect("a case has text or base64")),
    }
}

/// What differs, in words; empty when the case agrees.
fn differences(case: &Value) -> Vec<String> {
    let bytes = text_of(case);
    let file = syntax::parse(bytes.clone());
    let mut out = Vec::new();
    let mut at = 0;
    for item in file.items() {
        if item.span().start as usize != at {
            out.push(format!("items do not tile at byte {at}"));
        }
        at = item.span().end as usize;
    }
    if at != bytes.len() || file.source() != bytes {
        out.push("the tree lost bytes".to_owned());
    }
    let recorded_ok = case["ok"] == true;
    // 17 recordings are no verdict: the recorder's linter was nil and panicked
    // at a `# check=` comment, after BuildKit's parser had accepted the file.
    let crashed = case["err"].as_str().is_some_and(|e| e.starts_with("panic"));
    if crashed {
        assert_eq!(case["parse_ok"], true);
        structure(case, &file, &mut out);
        return out;
    }
    if file.errors().is_empty() != recorded_ok {
        out.push(format!("ok: {recorded_ok}, we say {:?}", file.errors()));
    }
    if !recorded_ok {
        if let Some(line) = case["err"].as_str().and_then(error_line)
            && !file.errors().iter().any(|error| error.line == line)
        {
            out.push(format!("error on line {line}, we say {:?}", file.errors()));
        }
        return out;
    }
    structure(case, &file, &mut out);
    let stages: Vec<Value> = file
        .stage_headers()
        .into_iter()
        .map(|s| serde_json::json!({"name": s.name, "base": s.base, "platform": s.platform, "line": s.line}))
        .collect();
    if Value::from(stages.clone()) != case["stages"] {
        out.push(format!("stages {stages:?}"));
    }
    out
}

fn error_line(error: &str) -> Option<usize> {
    let (_, rest) = error.split_once("on line ")?;
    rest.split(':').next()?.parse().ok()
}

fn structure(case: &Value, file: &Dockerfile, out: &mut Vec<String>) {
    let escape = char::from(file.escape()).to_string();
    if case["escape"] != escape {
        out.push(format!("escape {escape}"));
    }
    let recorded = case["instructions"].as_array().unwrap();
    let ours: Vec<_> = file.instructions().collect();
    if recorded.len() != ours.len() {
        out.push(format!(
            "{} instructions, not {}",
            ours.len(),
            recorded.len()
        ));
    }
    for (theirs, ours) in recorded.iter().zip(&ours) {
        let text = ours.logical.text(file.source());
        let name = String::from_utf8_lossy(&text[ours.name.clone()]).into_owned();
        let flags: Vec<&str> = ours.flags.iter().map(|flag| flag.word.as_str()).collect();
        let docs: Vec<Value> = ours
            .heredocs
            .iter()
            .map(|doc| {
                let content = String::from_utf8_lossy(doc.content.of(file.source()));
                serde_json::json!({"name": doc.name, "expand": doc.expand, "chomp": doc.chomp, "content": content})
            })
            .collect();
        let mut check = |what: &str, ours: Value| {
            let theirs = theirs.get(what).cloned().unwrap_or(Value::Null);
            if theirs != ours {
                out.push(format!("{what} of {name}: {theirs} recorded, {ours} read"));
            }
        };
        check("cmd", name.clone().into());
        check("start_line", ours.start_line.into());
        check("end_line", ours.end_line.into());
        check("flags", flags.into());
        check("json", ours.json.is_some().into());
        check("heredocs", docs.len().into());
        if !docs.is_empty() {
            check("docs", docs.into());
        }
        if theirs.get("sub").is_some() {
            let sub = ours.sub.as_deref().map_or(Value::Null, |sub| {
                let text = sub.logical.text(file.source());
                String::from_utf8_lossy(&text[sub.name.clone()]).into()
            });
            check("sub", sub);
        }
    }
}

fn run(cases: impl Iterator<Item = String>) -> usize {
    let mut count = 0;
    let mut failed = Vec::new();
    for line in cases {
        let case: Value = serde_json::from_str(&line).expect("a case is JSON");
        let differences = differences(&case);
        if !differences.is_empty() {
            failed.push(format!(
                "case {}: {}\n{:?}",
                case["id"],
                differences.join("; "),
                String::from_utf8_lossy(&text_of(&case))
            ));
        }
        count += 1;
    }
    let shown = failed
        .iter()
        .take(12)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n\n");
    assert!(
        failed.is_empty(),
        "{} of {count} differ:\n{shown}",
        failed.len()
    );
    count
}

#[test]
fn agrees_with_the_committed_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/syntax/cases.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let count = run(text.lines().map(str::to_owned));
    assert!(count >= 300, "only {count} cases are committed");
}

#[test]
fn agrees_with_all_shared_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/syntax.jsonl.xz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!(
            "SKIPPED: {} is not there; the committed cases ran",
            path.display()
        );
        return;
    };
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut std::io::BufReader::new(file), &mut text).unwrap();
    assert_eq!(run(text.lines().map(Result::unwrap)), 5000);
}
