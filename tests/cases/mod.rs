//! BuildKit's recorded answers: a part is committed, all 5,000 lie beside the
//! checkout where the team's shared data does.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The committed cases.
pub fn committed() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/syntax/cases.jsonl");
    let text = std::fs::read_to_string(path).expect("the committed cases are read");
    text.lines().map(case).collect()
}

/// All recorded cases; the place where they should be, if they are not there.
pub fn shared() -> Result<Vec<Value>, PathBuf> {
    use std::io::BufRead as _;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/syntax.jsonl.xz");
    let Ok(file) = std::fs::File::open(&path) else {
        return Err(path);
    };
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut std::io::BufReader::new(file), &mut text).expect("it is xz");
    let lines = text.lines().map(|line| case(&line.expect("it is text")));
    Ok(lines.collect())
}

fn case(line: &str) -> Value {
    serde_json::from_str(line).expect("a case is JSON")
}

/// The bytes of a case's Dockerfile.
pub fn text_of(case: &Value) -> Vec<u8> {
    match case["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64(case["base64"].as_str().expect("a case has text or base64")),
    }
}

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
