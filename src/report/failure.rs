//! Why a file could not be worked on.

use super::{one_line, visible};
use crate::plan::Plan;

/// What a file is that is no Dockerfile at all, where that can be seen.
fn no_dockerfile(plan: &Plan) -> Option<&'static str> {
    let source = plan.before.source();
    if source.iter().all(u8::is_ascii_whitespace) {
        return Some("is empty: there is nothing in it to rewrite");
    }
    if source.contains(&0) {
        return Some("is a binary file, not a Dockerfile: leave it out");
    }
    let at_fault = |signs: &[&[u8]]| {
        plan.errors().iter().any(|error| {
            let line = &source[plan.before.lines().range(error.line)];
            signs
                .iter()
                .any(|sign| line.trim_ascii_start().starts_with(sign))
        })
    };
    if at_fault(&[b"{{", b"{%", b"<%", b"#{", b"@@"]) {
        return Some("is a template of another program: rewrite what it is rendered to");
    }
    if at_fault(&[b"<<<<<<<", b"=======", b">>>>>>>"]) {
        return Some("has unresolved merge markers: resolve them first");
    }
    None
}

/// Why a plan with syntax errors is empty, in one line to stand behind the
/// path.
pub(super) fn reason(plan: &Plan) -> String {
    if let Some(what) = no_dockerfile(plan) {
        return what.to_owned();
    }
    plan.errors().first().map_or_else(String::new, |error| {
        format!("line {}: {}", error.line, error.message)
    })
}

/// The same for standard error, with the lines themselves; ends with a line
/// end.
#[must_use]
pub fn syntax_errors(shown: &str, plan: &Plan) -> String {
    let shown = one_line(shown);
    if let Some(what) = no_dockerfile(plan) {
        return format!("dfmigrate: {shown}: {what}; it was left as it is\n");
    }
    let mut text = String::new();
    for error in plan.errors().iter().take(5) {
        let range = plan.before.lines().range(error.line);
        let excerpt = String::from_utf8_lossy(&plan.before.source()[range]).into_owned();
        let excerpt: String = excerpt.trim_end().chars().take(100).collect();
        text.push_str(&format!(
            "dfmigrate: {shown}:{}: {}\n    {}\n",
            error.line,
            one_line(&error.message),
            visible(&excerpt)
        ));
    }
    if let Some(rest) = plan.errors().len().checked_sub(6) {
        text.push_str(&format!("    and {} more\n", rest + 1));
    }
    text.push_str(&format!(
        "    {shown} was left as it is: a builder would refuse it\n"
    ));
    text
}
