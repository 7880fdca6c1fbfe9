//! Markdown: the body of a pull request.
//!
//! The summary stands first, so the pieces are kept until the end. GitHub takes
//! at most 65,536 characters: past [`LIMIT`] details are left out, and that is
//! said.

use std::fmt::Write as _;

use super::html::escape;
use super::{Counts, FileReport, Mode, Outcome, Proof, Renderer, Run, one_line, patch, visible};
use crate::plan::{Plan, Reason};
use crate::rules::Rewrite;
use crate::text::Span;

/// The most bytes of details.
const LIMIT: usize = 60_000;

pub(super) struct Markdown {
    run: Run,
    details: Vec<u8>,
    left_out: usize,
    problems: String,
}

impl Markdown {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            details: Vec::new(),
            left_out: 0,
            problems: String::new(),
        }
    }
}

/// Text of nobody's trust within a line of Markdown: no markup, no HTML, no
/// link, and nothing that a forge makes a mention or a reference of.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let text = one_line(text);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Forges look for these in what was rendered, where a backslash is
            // gone: an empty comment splits the word.
            '@' | '#' => {
                out.push(c);
                out.push_str("<!-- -->");
            }
            ':' if text[at..].starts_with("://") => out.push_str(":<!-- -->"),
            '.' if text[..at].to_ascii_lowercase().ends_with("www") => {
                out.push_str("<!-- -->.");
            }
            '-' if before.is_ascii_alphanumeric() => out.push(c),
            '.' | '/' | ',' | ':' | ';' | '\'' | '"' | '(' | ')' | '=' | '%' | '?' => out.push(c),
            c if c.is_ascii_punctuation() => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// A code block: its fence is longer than every run of backticks in it.
fn fenced(language: &str, text: &str) -> String {
    let text = visible(text);
    let mut longest = 2;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    format!(
        "{fence}{language}\n{}\n{fence}\n",
        text.trim_end_matches('\n')
    )
}

fn rewrite_lines(out: &mut String, plan: &Plan, it: &Rewrite) {
    let line = plan.before.lines().line(it.at.start);
    let _ = writeln!(
        out,
        "- **{}** ({}, {}, line {line})",
        inline(&it.title),
        it.rule,
        it.safety().name()
    );
    for reason in &it.because {
        let _ = writeln!(out, "  - because {}", inline(reason));
    }
    for caveat in it.caveats() {
        let _ = writeln!(out, "  - **but** {}", inline(caveat));
    }
}

fn left_lines(
    out: &mut String,
    plan: &Plan,
    rule: &str,
    at: Span,
    why: &str,
    remedy: Option<&str>,
) {
    let line = plan.before.lines().line(at.start);
    let _ = writeln!(out, "- left alone ({rule}, line {line}): {}", inline(why));
    if let Some(remedy) = remedy {
        let _ = writeln!(out, "  - to have it: {}", inline(remedy));
    }
}

fn proved(out: &mut String, proof: &Proof) {
    let _ = writeln!(
        out,
        "- **built before and after** ({}, {:.1} s): {}",
        inline(&proof.builder),
        proof.seconds,
        inline(&proof.says)
    );
    for line in proof.lines() {
        let _ = writeln!(out, "  - {}", inline(&line));
    }
    if !proof.log.is_empty() {
        out.push('\n');
        out.push_str(&fenced("text", &proof.log.join("\n")));
    }
}

fn details(file: &FileReport<'_>, plan: &Plan, all: bool) -> String {
    let mut body = String::new();
    for it in &plan.chosen {
        rewrite_lines(&mut body, plan, it);
    }
    for held in &plan.held {
        if matches!(held.reason, Reason::Conflict(_)) && !all {
            continue;
        }
        rewrite_lines(&mut body, plan, &held.rewrite);
        let _ = writeln!(
            body,
            "  - **held back:** {}",
            inline(&held.reason.to_string())
        );
    }
    for it in &plan.refusals {
        if !plan.supersedes(it) || all {
            left_lines(
                &mut body,
                plan,
                it.rule,
                it.at,
                &it.why,
                it.remedy.as_deref(),
            );
        }
    }
    if let Some(proof) = file.proof {
        proved(&mut body, proof);
    }
    if body.is_empty() {
        return body;
    }
    if plan.changes() {
        let diff = patch(file.patch_name, plan.before.source(), &plan.after);
        let diff = String::from_utf8_lossy(&diff);
        // The two headers are in the summary line.
        let hunks = diff.find("\n@@").map_or(&*diff, |at| &diff[at + 1..]);
        body.push('\n');
        body.push_str(&fenced("diff", hunks));
    }
    let what = match (plan.changes(), plan.chosen.len()) {
        (false, _) => "left as it is".to_owned(),
        (true, 1) => "1 rewrite".to_owned(),
        (true, many) => format!("{many} rewrites"),
    };
    let what = match file.proof {
        Some(proof) => format!("{what}, {}", proof.in_short()),
        None => what,
    };
    let path = one_line(file.shown);
    format!(
        "<details><summary><code>{}</code>: {what}</summary>\n\n{body}\n</details>\n\n",
        escape(&path)
    )
}

impl Renderer for Markdown {
    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        if let Some(why) = file.failure() {
            let path = inline(file.shown);
            return format!("- {path}: {}\n\n", inline(&why)).into_bytes();
        }
        match file.outcome {
            Outcome::Planned(plan) => details(file, plan, self.run.all).into_bytes(),
            Outcome::Failed(_) => Vec::new(),
        }
    }

    fn next(&mut self, piece: Vec<u8>) -> Vec<u8> {
        if self.details.len() + piece.len() <= LIMIT {
            self.details.extend(piece);
        } else {
            self.left_out += 1;
        }
        Vec::new()
    }

    fn problem(&mut self, shown: &str, message: &str) {
        if self.problems.len() < LIMIT / 10 {
            let _ = writeln!(self.problems, "- {}: {}", inline(shown), inline(message));
        }
    }

    fn tail(&mut self, counts: &Counts) -> String {
        let rewrites = counts.safe + counts.review;
        let plural =
            |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let verb = match self.run.mode {
            Mode::Apply => "changed",
            _ => "would change",
        };
        let mut out = format!(
            "## {} {verb}, by {}\n\n| | |\n|---|---:|\n",
            plural(counts.changed, "Dockerfile", "Dockerfiles"),
            plural(rewrites, "rewrite", "rewrites"),
        );
        for (what, count) in [
            ("files looked at", counts.files),
            ("rewrites proven safe", counts.safe),
            ("rewrites to review", counts.review),
            ("rewrites held back", counts.held),
            ("things left alone", counts.left),
            ("files failed", counts.failed),
        ] {
            let _ = writeln!(out, "| {what} | {count} |");
        }
        out.push('\n');
        if !self.problems.is_empty() {
            let _ = writeln!(out, "{}", self.problems);
        }
        out.push_str(&String::from_utf8_lossy(&self.details));
        if self.left_out > 0 {
            let _ = writeln!(
                out,
                "{} more are left out: a pull request takes no more text.\n",
                plural(self.left_out, "file", "files")
            );
        }
        let _ = writeln!(
            out,
            "Made by dfmigrate {}; official images as of {}.",
            self.run.version, self.run.as_of
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_mentions_are_text() {
        assert_eq!(
            inline("[x](javascript:a) <b> `c` @me #1 | *d* http://e www.f _g_ - h"),
            "\\[x\\](javascript:a) &lt;b&gt; \\`c\\` @<!-- -->me #<!-- -->1 \\| \\*d\\* http:<!-- -->//e www<!-- -->.f \\_g\\_ \\- h"
        );
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fenced("", "a\n````\nb\n"), "`````\na\n````\nb\n`````\n");
        assert_eq!(fenced("diff", "a"), "```diff\na\n```\n");
    }
}
