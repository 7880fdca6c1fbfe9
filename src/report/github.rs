//! Annotations of GitHub Actions: workflow commands on standard output.

use super::{Counts, FileReport, Outcome, Renderer, Run, one_line};
use crate::plan::{Plan, Reason};
use crate::rules::Rewrite;
use crate::text::Span;

pub(super) struct GitHub {
    all: bool,
    problems: String,
}

impl GitHub {
    pub(super) fn new(run: &Run) -> Self {
        Self {
            all: run.all,
            problems: String::new(),
        }
    }
}

/// Text behind the `::` of a command. Line feeds between the parts are ours.
fn data(parts: &[String]) -> String {
    let escaped: Vec<String> = parts
        .iter()
        .map(|part| one_line(part).replace('%', "%25"))
        .collect();
    escaped.join("%0A")
}

/// The value of a property of a command.
fn property(text: &str) -> String {
    one_line(text)
        .replace('%', "%25")
        .replace(':', "%3A")
        .replace(',', "%2C")
}

fn place(plan: &Plan, at: Span) -> String {
    let lines = plan.before.lines();
    let first = lines.line(at.start);
    // The end is exclusive: a span that ends with its line is on that line.
    let last = lines.line(at.end.max(at.start + 1) - 1);
    format!(",line={first},endLine={last}")
}

fn command(level: &str, path: &str, place: &str, title: &str, parts: &[String]) -> String {
    format!(
        "::{level} file={}{place},title={}::{}\n",
        property(path),
        property(title),
        data(parts)
    )
}

fn parts(rewrite: &Rewrite) -> Vec<String> {
    let mut parts = vec![rewrite.title.clone()];
    let because = rewrite.because.iter();
    parts.extend(because.map(|reason| format!("because {reason}")));
    let caveats = rewrite.caveats().iter();
    parts.extend(caveats.map(|doubt| format!("but {doubt}")));
    parts
}

impl Renderer for GitHub {
    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        let path = match file.shown.starts_with('/') {
            true => file.shown,
            false => file.path,
        };
        if let Some(why) = file.failure() {
            return command("error", path, "", "dfmigrate", &[why]).into_bytes();
        }
        let Outcome::Planned(plan) = file.outcome else {
            return Vec::new();
        };
        let mut out = String::new();
        for rewrite in &plan.chosen {
            let title = format!("{} ({})", rewrite.rule, rewrite.safety().name());
            let at = place(plan, rewrite.at);
            out.push_str(&command("warning", path, &at, &title, &parts(rewrite)));
        }
        if let Some(proof) = file.proof {
            let level = if proof.holds { "notice" } else { "warning" };
            let title = format!("verify ({})", proof.verdict);
            let mut parts = vec![format!(
                "built before and after: {} ({})",
                proof.says, proof.builder
            )];
            parts.extend(proof.lines());
            parts.extend(proof.log.iter().cloned());
            out.push_str(&command(level, path, "", &title, &parts));
        }
        for held in &plan.held {
            if !self.all && !matches!(held.reason, Reason::Breaks(_) | Reason::BelowGrade) {
                continue;
            }
            let title = format!("{} (held back)", held.rewrite.rule);
            let mut parts = parts(&held.rewrite);
            parts.push(format!("held back: {}", held.reason));
            let at = place(plan, held.rewrite.at);
            out.push_str(&command("notice", path, &at, &title, &parts));
        }
        for unused in &plan.unused {
            let at = place(plan, unused.at);
            let title = "unused dfmigrate: ignore";
            let why = std::slice::from_ref(&unused.why);
            out.push_str(&command("notice", path, &at, title, why));
        }
        // GitHub shows ten annotations of a level and step: what is left alone
        // would only hide what is to be done.
        for refusal in plan.refusals.iter().filter(|_| self.all) {
            let title = format!("{} (left alone)", refusal.rule);
            let mut parts = vec![refusal.why.clone()];
            let remedy = refusal.remedy.iter();
            parts.extend(remedy.map(|remedy| format!("to have it: {remedy}")));
            let at = place(plan, refusal.at);
            out.push_str(&command("notice", path, &at, &title, &parts));
        }
        out.into_bytes()
    }

    fn problem(&mut self, shown: &str, message: &str) {
        let text = command("error", shown, "", "dfmigrate", &[message.to_owned()]);
        self.problems.push_str(&text);
    }

    fn tail(&mut self, _: &Counts) -> String {
        std::mem::take(&mut self.problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_escaped() {
        let text = command(
            "warning",
            "a,b:c%\n::error::x",
            "",
            "t\r\n",
            &["100%\n::error::y".to_owned(), "##[error]z".to_owned()],
        );
        assert_eq!(
            text,
            "::warning file=a%2Cb%3Ac%25\\n%3A%3Aerror%3A%3Ax,title=t\\u{d}\\n::100%25\\n::error::y%0A#\\u{23}[error]z\n"
        );
    }
}
