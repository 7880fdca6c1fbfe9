//! How a verification is shown: to a person, as Markdown, and as JUnit for CI.

use std::fmt::Write as _;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::behaviour::Compared;
use super::size::{Folder, Weight};
use super::{Outcome, Round, Seen, Verdict};
use crate::report::{LeftOut, Proof, Repair, cell, style, visible};
use crate::rules::Missing;

/// How many folders and layers a person is shown.
const SHOWN: usize = 8;

/// How wide a bar is, in characters.
const BAR: usize = 24;

/// A file with what came of it.
#[derive(Debug)]
pub struct File<'a> {
    /// Its path as reports print it.
    pub shown: &'a str,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// Whether the proven plan was written.
    pub written: bool,
}

pub(super) fn missing(what: &Missing) -> String {
    match what {
        Missing::Package(name) => format!("package {name}"),
        Missing::Path(path) => format!("path {path}"),
        Missing::LoaderCache => "loader cache".to_owned(),
    }
}

/// What came of a file, as the reports of reviews have it.
#[must_use]
pub fn proof(builder: &str, outcome: &Outcome) -> Proof {
    let seen = outcome.rounds.iter().rev().find_map(|r| r.seen.as_ref());
    let last = outcome.rounds.last();
    let mut problems: Vec<String> = Vec::new();
    let mut log = Vec::new();
    if !outcome.verdict.holds() {
        problems.extend(outcome.failure.as_ref().map(ToString::to_string));
        if let Some(last) = last {
            problems.extend(last.problems.iter().cloned());
            log.clone_from(&last.log);
        }
    } else if let Some(first) = outcome.refuted.first() {
        log.clone_from(&first.log);
    }
    Proof {
        verdict: outcome.verdict.name(),
        says: headline(outcome),
        holds: outcome.verdict.holds(),
        builder: builder.to_owned(),
        bytes: seen.map(|seen| seen.bytes().into()),
        compressed: seen.map(|seen| seen.compressed().into()),
        repaired: outcome
            .mends
            .iter()
            .map(|mend| Repair {
                what: missing(&mend.what),
                why: mend.why.clone(),
            })
            .collect(),
        left_out: outcome
            .refuted
            .iter()
            .map(|it| LeftOut {
                rule: it.rewrite.rule.to_owned(),
                why: it.why.clone(),
            })
            .collect(),
        problems,
        notes: last.map(|last| last.notes.clone()).unwrap_or_default(),
        log,
        builds: outcome.rounds.len(),
        seconds: outcome.took.as_secs_f64(),
    }
}

/// The run as a JUnit report: a test case for each file.
///
/// # Errors
/// The report can't be written as XML.
pub fn junit(files: &[File<'_>]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Junit::new("dfmigrate verify");
    let mut suite = TestSuite::new("dfmigrate verify");
    for file in files {
        let outcome = file.outcome;
        let text = plain(file);
        let status = match outcome.verdict {
            Verdict::Verified | Verdict::Mended | Verdict::SteppedDown => TestCaseStatus::success(),
            Verdict::Unchanged => TestCaseStatus::skipped(),
            Verdict::Differs | Verdict::GaveUp => failed(NonSuccessKind::Failure, file),
            Verdict::BeforeFails | Verdict::Invalid | Verdict::Failed => {
                failed(NonSuccessKind::Error, file)
            }
        };
        let mut case = TestCase::new(file.shown, status);
        case.set_time(outcome.took).set_system_out(text);
        suite.add_test_case(case);
    }
    report.add_test_suite(suite);
    report.to_string()
}

fn failed(kind: NonSuccessKind, file: &File<'_>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(headline(file.outcome));
    status
}

/// The report of one file without colours.
fn plain(file: &File<'_>) -> String {
    anstream::adapter::strip_str(&text(file)).to_string()
}

/// The verdict in a few words.
#[must_use]
pub fn headline(outcome: &Outcome) -> String {
    let first = outcome.rounds.first().and_then(|r| r.problems.first());
    let first = first.map_or("", String::as_str);
    match outcome.verdict {
        Verdict::Verified => "verified: it builds, and what runs is all there".to_owned(),
        Verdict::Mended => format!(
            "mended in {} builds: the plan that holds is not the first one",
            outcome.rounds.len()
        ),
        Verdict::SteppedDown => format!("a smaller rewrite holds, the first one does not: {first}"),
        Verdict::Differs => format!("not verified: {first}"),
        Verdict::GaveUp => format!("given up, best left alone: {first}"),
        Verdict::BeforeFails => {
            "it does not build as it is: nothing of ours, and nothing was written".to_owned()
        }
        Verdict::Unchanged => "nothing would change: nothing was built".to_owned(),
        Verdict::Invalid => "it can't be parsed: a builder would refuse it".to_owned(),
        Verdict::Failed => "could not be verified".to_owned(),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn less(before: u64, after: u64) -> String {
    if before == 0 {
        return String::new();
    }
    let part = (after as f64 - before as f64) * 100.0 / before as f64;
    format!("{part:+.0} %")
}

/// A bar as long as `before` is of `most`; filled as far as `after` reaches.
fn bar(before: u64, after: u64, most: u64) -> String {
    let scale = |bytes: u64| {
        let part = bytes as f64 / most.max(1) as f64 * BAR as f64;
        (part.round() as usize).min(BAR)
    };
    let (old, new) = (scale(before), scale(after));
    let (dim, full) = (style::DIM, style::NEW);
    let gone = old.saturating_sub(new);
    format!(
        "{full}{}{full:#}{dim}{}{dim:#}",
        "█".repeat(new),
        "░".repeat(gone)
    )
}

/// The report of one file for a person.
#[must_use]
pub fn text(file: &File<'_>) -> String {
    let outcome = file.outcome;
    let (path, dim) = (style::PATH, style::DIM);
    let colour = match outcome.verdict {
        Verdict::Verified | Verdict::Mended | Verdict::SteppedDown => style::NEW,
        Verdict::Unchanged => style::DIM,
        Verdict::BeforeFails => style::DOUBT,
        _ => style::OLD,
    };
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{path}{}{path:#}\n  {colour}{}{colour:#}  {dim}{:.1} s{dim:#}",
        visible(file.shown),
        visible(&headline(outcome)),
        outcome.took.as_secs_f64(),
    );
    if let Some(failure) = &outcome.failure {
        let _ = writeln!(
            out,
            "      {}",
            visible(&failure.to_string()).replace('\n', "\n  ")
        );
    }
    if outcome.verdict == Verdict::Unchanged {
        for refusal in &outcome.plan.refusals {
            let _ = writeln!(
                out,
                "      {dim}[{}]{dim:#} {}",
                refusal.rule,
                visible(&refusal.why)
            );
        }
    }
    let many = outcome.rounds.len() > 1;
    for (at, round) in outcome.rounds.iter().enumerate() {
        rounds(&mut out, at + 1, many, round);
    }
    let last = outcome.rounds.iter().rev().find_map(|r| r.seen.as_ref());
    if let Some(seen) = last {
        sizes(&mut out, seen);
    }
    if file.written {
        let _ = writeln!(out, "  written");
    } else if outcome.verdict.holds() {
        let _ = writeln!(out, "  {dim}not written: --apply writes it{dim:#}");
    }
    if !outcome.dropped.is_empty() {
        let rules = outcome.dropped.join(",");
        let _ = writeln!(
            out,
            "  {dim}left out:{dim:#} {rules}; `# dfmigrate: file-ignore[{rules}] REASON` in the file keeps reviews from proposing it again"
        );
    }
    for tag in &outcome.kept {
        let _ = writeln!(out, "  {dim}kept{dim:#} {tag}");
    }
    out
}

/// The reports of all files as a section in Markdown, for the body of a pull
/// request.
#[must_use]
pub fn markdown(builder: &str, files: &[File<'_>]) -> String {
    let mut out = format!(
        "## Proof by building\n\nBuilt before and after with {}.\n\n",
        cell(builder)
    );
    out.push_str("| file | verdict | size | what |\n| --- | --- | --- | --- |\n");
    for file in files {
        let last = file
            .outcome
            .rounds
            .iter()
            .rev()
            .find_map(|r| r.seen.as_ref());
        let size = last.map_or_else(String::new, |seen| {
            let (was, is) = seen.bytes();
            format!(
                "{} → {} MB ({})",
                megabytes(was),
                megabytes(is),
                less(was, is)
            )
        });
        let _ = writeln!(
            out,
            "| {} | {} | {size} | {} |",
            cell(file.shown),
            file.outcome.verdict.name(),
            cell(&headline(file.outcome)),
        );
    }
    for file in files {
        let rounds = file.outcome.rounds.iter();
        let told: Vec<&Round> = rounds
            .filter(|r| !(r.problems.is_empty() && r.mends.is_empty() && r.notes.is_empty()))
            .collect();
        if told.is_empty() && file.outcome.failure.is_none() {
            continue;
        }
        let _ = writeln!(out, "\n### {}\n", cell(file.shown));
        if let Some(failure) = &file.outcome.failure {
            let _ = writeln!(out, "- {}", cell(&failure.to_string()));
        }
        for round in told {
            for mend in &round.mends {
                let _ = writeln!(
                    out,
                    "- added: {} ({})",
                    cell(&missing(&mend.what)),
                    cell(&mend.why)
                );
            }
            for line in &round.problems {
                let _ = writeln!(out, "- does not hold: {}", cell(line));
            }
            for line in &round.notes {
                let _ = writeln!(out, "- {}", cell(line));
            }
            if !round.log.is_empty() {
                out.push('\n');
                for line in &round.log {
                    let _ = writeln!(out, "      {}", visible(line));
                }
                out.push('\n');
            }
        }
    }
    out
}

fn rounds(out: &mut String, number: usize, many: bool, round: &Round) {
    let (dim, old, doubt) = (style::DIM, style::OLD, style::DOUBT);
    if many {
        let holds = if round.problems.is_empty() {
            "holds"
        } else {
            "does not hold"
        };
        let _ = writeln!(out, "  {dim}build {number}{dim:#} {holds}");
    }
    for title in &round.plan {
        let _ = writeln!(out, "      {}", visible(title));
    }
    for mend in &round.mends {
        let what = missing(&mend.what);
        let _ = writeln!(out, "      with {}: {}", visible(&what), visible(&mend.why));
    }
    for problem in &round.problems {
        let _ = writeln!(out, "      {old}but{old:#} {}", visible(problem));
    }
    for line in &round.log {
        let _ = writeln!(out, "        {dim}|{dim:#} {}", visible(line));
    }
    for note in &round.notes {
        let _ = writeln!(out, "      {doubt}note{doubt:#} {}", visible(note));
    }
    let Some(seen) = &round.seen else { return };
    if round.problems.is_empty() {
        let _ = writeln!(
            out,
            "      configuration: the same; closure: every program, library, script, link and user is there"
        );
        if let Some(it) = &seen.behaviour {
            let how = match &it.compared {
                Compared::Same => "the same answer",
                _ => "the same but for text that varies by itself",
            };
            let _ = writeln!(
                out,
                "      behaviour: {}: {how} ({})",
                visible(&it.asked),
                visible(&it.after.firm.join(", "))
            );
        }
    }
}

fn sizes(out: &mut String, seen: &Seen) {
    let dim = style::DIM;
    let (was, is) = seen.bytes();
    let (packed_was, packed_is) = seen.compressed();
    let _ = writeln!(
        out,
        "      {dim}{:<24} {:>9} {:>9} MB{dim:#}",
        "size", "before", "after"
    );
    for (name, was, is) in [
        ("on disk", was, is),
        ("compressed (gzip -1)", packed_was, packed_is),
    ] {
        let _ = writeln!(
            out,
            "      {name:<24} {:>9} {:>9} {:>6}  {}",
            megabytes(was),
            megabytes(is),
            less(was, is),
            bar(was, is, was.max(is)),
        );
    }
    let most = seen
        .folders
        .iter()
        .map(|f| f.before.max(f.after))
        .max()
        .unwrap_or(1);
    let changed = |f: &&Folder| f.before.abs_diff(f.after) >= 100_000;
    for folder in seen.folders.iter().filter(changed).take(SHOWN) {
        let _ = writeln!(
            out,
            "        {:<22} {:>9} {:>9} {:>6}  {}",
            visible(&folder.path),
            megabytes(folder.before),
            megabytes(folder.after),
            less(folder.before, folder.after),
            bar(folder.before, folder.after, most),
        );
    }
    layers(out, "layers before", &seen.layers.0);
    layers(out, "layers after", &seen.layers.1);
}

fn layers(out: &mut String, name: &str, layers: &[Weight]) {
    let dim = style::DIM;
    let of_base: Vec<&Weight> = layers.iter().filter(|l| l.of_base).collect();
    let base: u64 = of_base.iter().map(|l| l.bytes).sum();
    let _ = writeln!(out, "      {dim}{name}{dim:#}");
    let _ = writeln!(
        out,
        "        {:>9}  the base image, {} layers",
        megabytes(base),
        of_base.len()
    );
    let mut own: Vec<&Weight> = layers.iter().filter(|l| !l.of_base).collect();
    let shown = own.len().min(SHOWN);
    own.sort_by_key(|l| std::cmp::Reverse(l.bytes));
    for layer in &own[..shown] {
        let made: String = layer
            .made_by
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let made = made.trim_end_matches("# buildkit").trim();
        let made: String = made.chars().take(70).collect();
        let _ = writeln!(
            out,
            "        {:>9}  {}",
            megabytes(layer.bytes),
            visible(&made)
        );
    }
    if own.len() > shown {
        let rest: u64 = own[shown..].iter().map(|l| l.bytes).sum();
        let _ = writeln!(
            out,
            "        {:>9}  {} more",
            megabytes(rest),
            own.len() - shown
        );
    }
}
