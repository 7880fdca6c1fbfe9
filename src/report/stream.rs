//! The answers of `dfmigrate stream`: one line of JSON for each line that came
//! in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::json::{File, line, schema};
use super::{FileReport, Outcome};

/// The answer to one line.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "dfmigrate stream answer")]
struct Answer<'a> {
    /// The `id` of the line that it answers; null where that had none.
    id: &'a Value,
    #[serde(flatten)]
    file: File,
    /// The file after the rewrites; null where it does not change or is not
    /// UTF-8.
    after: Option<String>,
    /// The same in base64, where it changes and is not UTF-8; else null.
    after_base64: Option<String>,
}

/// The answer to a line with this `id`, without a line end.
#[must_use]
pub fn stream_line(id: &Value, file: &FileReport<'_>) -> String {
    let after = match file.outcome {
        Outcome::Planned(plan) if plan.changes() => Some(&plan.after),
        _ => None,
    };
    let text = after.and_then(|after| std::str::from_utf8(after).ok());
    line(&Answer {
        id,
        file: File::of(file),
        after: text.map(str::to_owned),
        after_base64: after
            .filter(|_| text.is_none())
            .map(|after| STANDARD.encode(after)),
    })
}

/// The JSON Schema (draft 2020-12) of an answer of `dfmigrate stream`.
#[must_use]
pub fn stream_schema() -> String {
    schema::<Answer<'_>>()
}
