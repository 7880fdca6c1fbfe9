//! The table of cases: on the terminal, and as a page of the documentation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use crate::Lab;
use crate::case::Row;

/// The heading of the lines.
pub fn heading() -> String {
    format!(
        "{:<28} {:<7} {:<12} {:>9} {:>9} {:>4}  {}",
        "CASE", "LEFT", "VERDICT", "BEFORE MB", "AFTER MB", "S", "RESULT"
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn sizes(row: &Row) -> (String, String) {
    let dash = || "-".to_owned();
    row.bytes.map_or_else(
        || (dash(), dash()),
        |(was, is)| (megabytes(was), megabytes(is)),
    )
}

/// One case.
pub fn line(row: &Row) -> String {
    let (was, is) = sizes(row);
    format!(
        "{:<28} {:<7} {:<12} {was:>9} {is:>9} {:>4}  {}",
        row.name,
        row.shape,
        row.verdict,
        row.took.as_secs(),
        if row.problems.is_empty() {
            "ok"
        } else {
            "FAILED"
        },
    )
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn commit(lab: &Lab) -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .args(args)
            .current_dir(&lab.root)
            .output();
        let output = output.ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "an unknown commit".to_owned())
}

/// How much smaller it became.
fn less(row: &Row) -> String {
    let changed = row.bytes.filter(|(was, is)| *was > 0 && was != is);
    changed.map_or_else(String::new, |(was, is)| {
        format!("{:+.0} %", (is as f64 - was as f64) * 100.0 / was as f64)
    })
}

fn failed(row: &Row) -> &'static str {
    if row.problems.is_empty() {
        ""
    } else {
        " (failed)"
    }
}

/// The page: what is done of so many cases, by their order.
pub fn page(rows: &BTreeMap<usize, Row>, of: usize, lab: &Lab, took: Duration) -> String {
    let rows: Vec<&Row> = rows.values().collect();
    let date = jiff::Timestamp::now().to_string();
    let date = date.split('T').next().unwrap_or_default();
    let builder = rows
        .iter()
        .map(|row| row.builder.as_str())
        .find(|b| !b.is_empty());
    let from = if lab.reports {
        "from the reports of earlier runs ".to_owned()
    } else {
        String::new()
    };
    let took = if lab.reports {
        String::new()
    } else {
        format!(" in {} s", took.as_secs())
    };
    let mut out = format!(
        "# Cases built for real\n\n\
         Written by `cargo test --test lab -- --table FILE` {from}on {date}, dfmigrate {} ({}), {}.\n\
         {} of {of} cases{took}. The base images are the container laboratory's stand-ins for the\n\
         official ones, so the figures are of the right size and not the real ones to the byte.\n\n\
         A case is built before and after by `dfmigrate verify --run --repair=3`; sizes are on disk.\n\
         *Left* is what is left in the end: a split, a slim or Alpine base, or nothing but a pinned tag.\n\n\
         | case | what it is about | left | verdict | before MB | after MB | | mended with | s |\n\
         |---|---|---|---|--:|--:|--:|---|--:|\n",
        env!("CARGO_PKG_VERSION"),
        commit(lab),
        builder.unwrap_or("no builder"),
        rows.len(),
    );
    let (tried, rows): (Vec<&Row>, Vec<&Row>) = rows.into_iter().partition(|row| row.fixture);
    for row in &rows {
        let (was, is) = sizes(row);
        let (less, result) = (less(row), failed(row));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {}{result} | {was} | {is} | {} | {} | {} |",
            row.name,
            cell(&row.about),
            row.shape,
            row.verdict,
            less,
            cell(&row.mends.join(", ")),
            row.took.as_secs(),
        );
    }
    let forced: Vec<(&Row, &String)> = rows
        .iter()
        .filter_map(|&row| Some((row, row.forced.as_ref()?)))
        .collect();
    if !forced.is_empty() {
        out.push_str(
            "\n## Refusals that are right\n\nWhat is refused, made by hand (`forced.Dockerfile`), breaks:\n\n\
             | case | how it breaks |\n|---|---|\n",
        );
        for (row, how) in forced {
            let how: String = how.chars().take(160).collect();
            let _ = writeln!(out, "| {} | {} |", row.name, cell(&how));
        }
    }
    if !tried.is_empty() {
        let built = tried.iter().filter(|row| row.bytes.is_some()).count();
        let _ = write!(
            out,
            "\n## Fixtures of the rule\n\nThe splits of Node.js and Python among the fixtures of `multi-stage`, which are made to be\n\
             read by the rule: {built} of {} have all that a build needs.\n\n\
             | fixture | verdict | before MB | after MB | | what | s |\n|---|---|--:|--:|--:|---|--:|\n",
            tried.len()
        );
        for row in &tried {
            let (was, is) = sizes(row);
            let mut what: Vec<String> = vec![row.about.clone()];
            what.extend(row.note.iter().map(|note| note.chars().take(200).collect()));
            what.extend(row.mends.iter().map(|mend| format!("mended with {mend}")));
            what.retain(|part: &String| !part.is_empty());
            let _ = writeln!(
                out,
                "| {} | {}{} | {was} | {is} | {} | {} | {} |",
                row.name.trim_start_matches("multi-stage/"),
                row.verdict,
                failed(row),
                less(row),
                cell(&what.join("; ")),
                row.took.as_secs(),
            );
        }
    }
    out
}
