//! The explained review of one file.

use std::fmt::Write as _;

use super::{one_line, review_diff, style};
use crate::plan::{Plan, Reason};
use crate::rules::{Rewrite, Safety};

/// What a run found, over its files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Files that were looked at.
    pub files: usize,
    /// Files that would change, or did.
    pub changed: usize,
    /// Chosen rewrites that are safe.
    pub safe: usize,
    /// Chosen rewrites to review.
    pub review: usize,
    /// Rewrites held back.
    pub held: usize,
    /// What was looked at and left alone.
    pub left: usize,
    /// Files that could not be read, parsed or written.
    pub failed: usize,
}

impl Counts {
    /// Adds what a plan holds.
    pub fn add(&mut self, plan: &Plan) {
        self.files += 1;
        self.changed += usize::from(plan.changes());
        for rewrite in &plan.chosen {
            match rewrite.safety() {
                Safety::Safe => self.safe += 1,
                _ => self.review += 1,
            }
        }
        self.held += plan.held.len();
        self.left += plan.refusals.len();
    }

    /// Adds the counts of another part of the run.
    pub fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.changed += other.changed;
        self.safe += other.safe;
        self.review += other.review;
        self.held += other.held;
        self.left += other.left;
        self.failed += other.failed;
    }
}

fn grade(safety: Safety) -> (anstyle::Style, &'static str) {
    let style = match safety {
        Safety::Safe => style::NEW,
        Safety::Review => style::DOUBT,
        Safety::Manual => style::OLD,
    };
    (style, safety.name())
}

/// How wide the lines are, where they go to a terminal.
pub type Width = Option<usize>;

/// A line behind `first`, which may have styles; where it is too long for the
/// terminal it goes on in lines that are indented by `indent`.
pub(super) fn paragraph(out: &mut String, width: Width, first: &str, indent: usize, text: &str) {
    let text = one_line(text);
    let Some(width) = width else {
        let _ = writeln!(out, "{first}{text}");
        return;
    };
    let indent = " ".repeat(indent.min(width / 2));
    let options = textwrap::Options::new(width.max(20))
        .initial_indent(first)
        .subsequent_indent(&indent)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let _ = writeln!(out, "{}", textwrap::fill(&text, options));
}

fn rewrite_lines(out: &mut String, shown: &str, plan: &Plan, rewrite: &Rewrite, width: Width) {
    let line = plan.before.lines().line(rewrite.at.start);
    let (colour, name) = grade(rewrite.safety());
    let bold = style::PATH;
    let dim = style::DIM;
    let doubt = style::DOUBT;
    let label = format!(
        "{dim}[{}, {dim:#}{colour}{name}{colour:#}{dim}]{dim:#}  {}:{line}",
        rewrite.rule,
        one_line(shown)
    );
    let title = one_line(&rewrite.title);
    if width.is_some() {
        paragraph(out, width, &format!("  {bold}"), 2, &title);
        let _ = writeln!(out, "{bold:#}  {label}");
    } else {
        let _ = writeln!(out, "  {bold}{title}{bold:#} {label}");
    }
    for reason in &rewrite.because {
        paragraph(out, width, "      because ", 8, reason);
    }
    for caveat in rewrite.caveats() {
        let first = format!("      {doubt}but{doubt:#} ");
        paragraph(out, width, &first, 8, caveat);
    }
}

/// What there is to say of one rewrite of a file.
#[must_use]
pub fn review_rewrite(shown: &str, plan: &Plan, rewrite: &Rewrite, width: Width) -> String {
    let mut out = String::new();
    rewrite_lines(&mut out, shown, plan, rewrite, width);
    out
}

/// The review of one file for a terminal; empty when there is nothing to say.
/// `all` also says what was looked at and left alone in files without changes.
#[must_use]
pub fn review(shown: &str, plan: &Plan, all: bool, width: Width) -> String {
    let mut out = String::new();
    let path = style::PATH;
    let silent = |reason: &Reason| matches!(reason, Reason::Conflict(_));
    let held: Vec<_> = plan
        .held
        .iter()
        .filter(|held| all || !silent(&held.reason))
        .collect();
    let says =
        plan.changes() || !held.is_empty() || !plan.refusals.is_empty() || !plan.unused.is_empty();
    if !says {
        return out;
    }
    let _ = writeln!(out, "{path}{}{path:#}", one_line(shown));
    for rewrite in &plan.chosen {
        rewrite_lines(&mut out, shown, plan, rewrite, width);
    }
    for held in held {
        rewrite_lines(&mut out, shown, plan, &held.rewrite, width);
        let reason = held.reason.to_string();
        paragraph(&mut out, width, "      held back: ", 8, &reason);
    }
    for refusal in &plan.refusals {
        if plan.supersedes(refusal) && !all {
            continue;
        }
        let line = plan.before.lines().line(refusal.at.start);
        let dim = style::DIM;
        let _ = writeln!(
            out,
            "  left alone {dim}[{}]{dim:#}  {}:{line}",
            refusal.rule,
            one_line(shown)
        );
        paragraph(&mut out, width, "      ", 6, &refusal.why);
        if let Some(remedy) = &refusal.remedy {
            paragraph(&mut out, width, "      to have it: ", 8, remedy);
        }
    }
    for unused in &plan.unused {
        let line = plan.before.lines().line(unused.at.start);
        let dim = style::DIM;
        let _ = writeln!(
            out,
            "  unused {dim}[dfmigrate: ignore]{dim:#}  {}:{line}",
            one_line(shown)
        );
        paragraph(&mut out, width, "      ", 6, &unused.why);
    }
    if plan.changes() {
        out.push('\n');
        out.push_str(&review_diff(shown, plan.before.source(), &plan.after));
    }
    out.push('\n');
    out
}
