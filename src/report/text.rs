//! The formats for a terminal: the review, a line for each rewrite, the patch.

use std::fmt::Write as _;

use super::review::paragraph;
use super::{
    Counts, FileReport, Mode, Outcome, Proof, Renderer, Run, one_line, patch, review, review_diff,
    style,
};

/// The explained review.
pub(super) struct Full(Run);

impl Full {
    pub(super) fn new(run: Run) -> Self {
        Self(run)
    }
}

impl Renderer for Full {
    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        let run = &self.0;
        let Outcome::Planned(plan) = file.outcome else {
            return Vec::new();
        };
        if run.quiet || !plan.errors().is_empty() {
            return Vec::new();
        }
        let mut out = review(file.shown, plan, run.all, run.width);
        if let Some(proof) = file.proof {
            proved(&mut out, file.shown, proof, run.width);
        }
        out.into_bytes()
    }

    fn tail(&mut self, counts: &Counts) -> String {
        match self.0.quiet {
            true => String::new(),
            false => summary(counts, self.0.mode),
        }
    }

    fn styled(&self) -> bool {
        true
    }
}

/// A line for each rewrite, `path:line:column: [rule, grade] title`; what is
/// held and left alone with `-v`.
pub(super) struct Concise(Run);

impl Concise {
    pub(super) fn new(run: Run) -> Self {
        Self(run)
    }
}

impl Renderer for Concise {
    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        let Outcome::Planned(plan) = file.outcome else {
            return Vec::new();
        };
        let mut out = String::new();
        let path = one_line(file.shown);
        let mut row = |at: crate::text::Span, rule: &str, grade: &str, text: &str| {
            let (line, column) = plan.before.lines().position(at.start);
            let _ = writeln!(
                out,
                "{path}:{line}:{column}: [{rule}, {grade}] {}",
                one_line(text)
            );
        };
        for it in &plan.chosen {
            row(it.at, it.rule, it.safety().name(), &it.title);
        }
        if let Some(proof) = file.proof {
            let start = crate::text::Span::default();
            let mut text = format!("{}: {} ({})", proof.in_short(), proof.says, proof.builder);
            for why in &proof.problems {
                let _ = write!(text, "; {why}");
            }
            row(start, "verify", proof.verdict, &text);
        }
        for it in &plan.unused {
            row(it.at, "dfmigrate: ignore", "unused", &it.why);
        }
        if self.0.all {
            for held in &plan.held {
                let it = &held.rewrite;
                let text = format!("{} (held back: {})", it.title, held.reason);
                row(it.at, it.rule, "held", &text);
            }
            for it in &plan.refusals {
                row(it.at, it.rule, "left alone", &it.why);
            }
        }
        out.into_bytes()
    }
}

/// The patch; for people where standard output is a terminal.
pub(super) struct Patch(Run);

impl Patch {
    pub(super) fn new(run: Run) -> Self {
        Self(run)
    }
}

impl Renderer for Patch {
    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        let Outcome::Planned(plan) = file.outcome else {
            return Vec::new();
        };
        let before = plan.before.source();
        if self.0.terminal {
            return review_diff(file.shown, before, &plan.after).into_bytes();
        }
        patch(file.patch_name, before, &plan.after)
    }

    fn styled(&self) -> bool {
        self.0.terminal
    }

    fn patches(&self) -> bool {
        true
    }
}

/// The names of the files that would change, for `--check`.
pub(super) struct Names(Run);

impl Names {
    pub(super) fn new(run: Run) -> Self {
        Self(run)
    }
}

impl Renderer for Names {
    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        match file.outcome {
            Outcome::Planned(plan) if plan.changes() && !self.0.quiet => {
                format!("would change {}\n", one_line(file.shown)).into_bytes()
            }
            _ => Vec::new(),
        }
    }

    fn tail(&mut self, counts: &Counts) -> String {
        match self.0.quiet {
            true => String::new(),
            false => summary(counts, self.0.mode),
        }
    }

    fn styled(&self) -> bool {
        true
    }
}

/// What building a file has shown, below its review.
fn proved(out: &mut String, shown: &str, proof: &Proof, width: super::Width) {
    let (path, dim, doubt) = (style::PATH, style::DIM, style::DOUBT);
    let colour = if proof.holds { style::NEW } else { doubt };
    if out.is_empty() {
        let _ = writeln!(out, "{path}{}{path:#}", one_line(shown));
    } else {
        // Below the diff, in the place of the blank line that ends a review.
        out.truncate(out.trim_end_matches('\n').len());
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "  {colour}{}{colour:#}  {dim}{}, {}, {:.1} s{dim:#}",
        one_line(&proof.says),
        one_line(&proof.builder),
        plural(proof.builds, "rewrite was built", "rewrites were built"),
        proof.seconds
    );
    for line in proof.lines() {
        paragraph(out, width, "      ", 8, &line);
    }
    for line in &proof.log {
        let _ = writeln!(out, "        {dim}|{dim:#} {}", one_line(line));
    }
    out.push('\n');
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The last lines of a review.
fn summary(total: &Counts, mode: Mode) -> String {
    let dim = style::DIM;
    let files = plural(total.files, "file", "files");
    let rewrites = total.safe + total.review;
    let mut text = if total.changed == 0 {
        // A check prints names, not reasons.
        let left = if total.left > 0 && mode != Mode::Check {
            format!(
                "; {} left alone, for the reasons above",
                plural(total.left, "thing was", "things were")
            )
        } else {
            String::new()
        };
        format!("{files}: nothing to do{left}")
    } else if mode == Mode::Apply {
        format!(
            "{files}: {} written",
            plural(total.changed, "file", "files")
        )
    } else {
        format!(
            "{files}: {} would change, by {} ({} safe, {} to review)",
            total.changed,
            plural(rewrites, "rewrite", "rewrites"),
            total.safe,
            total.review
        )
    };
    if total.failed > 0 {
        text.push_str(&format!("; {} failed", total.failed));
    }
    if mode == Mode::Review && total.changed > 0 {
        text.push_str(&format!(
            "\n{dim}Nothing was written: --apply writes these changes, --diff prints them as a patch.{dim:#}"
        ));
    }
    text.push('\n');
    text
}
