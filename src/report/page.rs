//! HTML: one page for a whole tree, by itself.
//!
//! Nothing in it is fetched from elsewhere, and its policy of content forbids
//! that: style and script are the two that stand in the page, by their hashes.
//! Files come as they are done; the summary is written last, and shown first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use super::diff::html_diff;
use super::html::escape;
use super::sizes::{self, Size};
use super::{Counts, FileReport, Mode, Outcome, Proof, Renderer, Row, Run, inventory, one_line};
use crate::facts::NoTrust;
use crate::model::Model;
use crate::model::identity::{Asking, Concern};
use crate::model::trust;
use crate::plan::{Plan, Reason};
use crate::rules::Rewrite;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// One image of the tree, over all references to it.
struct Image {
    row: Row,
    references: usize,
    /// The first place, by file and line: the same whatever the threads do.
    first: (String, usize),
}

pub(super) struct Page {
    run: Run,
    images: Mutex<BTreeMap<String, Image>>,
    problems: String,
}

impl Page {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            images: Mutex::default(),
            problems: String::new(),
        }
    }

    /// Notes the images of a file.
    fn note(&self, shown: &str, plan: &Plan) {
        let model = Model::of(&plan.before);
        let asking = Asking {
            today: self.run.today,
            as_of: None,
            trust: &NoTrust,
            policy: &trust::OPEN,
        };
        let rows = inventory(shown, &model, &asking, &|_| None);
        let Ok(mut images) = self.images.lock() else {
            return;
        };
        for row in rows.into_iter().filter(Row::is_image) {
            let place = (row.file.clone(), row.line);
            let image = images.entry(row.name()).or_insert_with(|| Image {
                first: place.clone(),
                row,
                references: 0,
            });
            image.references += 1;
            if place < image.first {
                image.first = place;
            }
        }
    }
}

/// Text of nobody's trust on one line.
fn text(text: &str) -> String {
    escape(&one_line(text))
}

/// The source of a hash that lets a part of the page in.
fn hash(part: &str) -> String {
    let digest = Sha256::digest(part.as_bytes());
    format!(
        "'sha256-{}'",
        base64::engine::general_purpose::STANDARD.encode(digest)
    )
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn rewrite_item(out: &mut String, plan: &Plan, it: &Rewrite, held: Option<&Reason>) {
    let line = plan.before.lines().line(it.at.start);
    let (class, grade) = (it.safety().name(), it.safety().name());
    let _ = write!(
        out,
        "<li><strong>{}</strong> <span class=\"badge {class}\">{grade}</span> <code>{}</code> line {line}",
        text(&it.title),
        it.rule,
    );
    out.push_str("<ul>");
    if let Some(reason) = held {
        let _ = write!(
            out,
            "<li class=\"held\">held back: {}</li>",
            text(&reason.to_string())
        );
    }
    for reason in &it.because {
        let _ = write!(out, "<li>because {}</li>", text(reason));
    }
    for caveat in it.caveats() {
        let _ = write!(out, "<li class=\"doubt\"><b>but</b> {}</li>", text(caveat));
    }
    out.push_str("</ul></li>\n");
}

/// What building a file has shown.
fn proved(proof: &Proof) -> String {
    let mut out = format!(
        "<p class=\"proof\"><b>{}</b>: {} ({}, {:.1} s)</p>\n",
        proof.verdict,
        text(&proof.says),
        text(&proof.builder),
        proof.seconds
    );
    let items = proof.lines().into_iter().chain(proof.log.iter().cloned());
    let items: String = items
        .map(|line| format!("<li>{}</li>", text(&line)))
        .collect();
    if !items.is_empty() {
        let _ = writeln!(out, "<ul class=\"proof\">{items}</ul>");
    }
    out
}

/// What there is to say of a file, below its name.
fn body(plan: &Plan, all: bool) -> String {
    let mut out = String::new();
    let mut items = String::new();
    for it in &plan.chosen {
        rewrite_item(&mut items, plan, it, None);
    }
    for held in &plan.held {
        if all || !matches!(held.reason, Reason::Conflict(_)) {
            rewrite_item(&mut items, plan, &held.rewrite, Some(&held.reason));
        }
    }
    for it in &plan.refusals {
        if plan.supersedes(it) && !all {
            continue;
        }
        let line = plan.before.lines().line(it.at.start);
        let _ = write!(
            items,
            "<li>left alone <code>{}</code> line {line}<ul><li>{}</li>",
            it.rule,
            text(&it.why)
        );
        if let Some(remedy) = &it.remedy {
            let _ = write!(items, "<li>to have it: {}</li>", text(remedy));
        }
        items.push_str("</ul></li>\n");
    }
    for it in &plan.unused {
        let line = plan.before.lines().line(it.at.start);
        let _ = writeln!(
            items,
            "<li>unused comment, line {line}: {}</li>",
            text(&it.why)
        );
    }
    if !items.is_empty() {
        let _ = write!(out, "<ul class=\"said\">\n{items}</ul>\n");
    }
    if plan.changes() {
        out.push_str(&html_diff(plan.before.source(), &plan.after));
    }
    out
}

impl Renderer for Page {
    fn head(&mut self) -> String {
        // What is not named falls back to 'none'.
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>dfmigrate: Dockerfiles</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <header><h1>Dockerfiles</h1><p>dfmigrate {}; official images as of {}; today is {}</p></header>\n\
             <main>\n<section id=\"files\"><h2>Files</h2>\n<p class=\"tools\">\
             <label>Search <input id=\"search\" type=\"search\" placeholder=\"path, image, rule, reason\"></label>\n\
             <label><input type=\"checkbox\" data-kind=\"safe\" checked> safe changes</label>\n\
             <label><input type=\"checkbox\" data-kind=\"review\" checked> changes to review</label>\n\
             <label><input type=\"checkbox\" data-kind=\"same\" checked> left as they are</label>\n\
             <label><input type=\"checkbox\" data-kind=\"failed\" checked> failed</label>\n\
             <output id=\"shown\"></output></p>\n",
            escape(&policy),
            self.run.version,
            self.run.as_of,
            self.run.today,
        )
    }

    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        let path = text(file.shown);
        if let Some(why) = file.failure() {
            return format!(
                "<article data-kind=\"failed\"><details><summary><code>{path}</code> <span class=\"badge manual\">failed</span></summary><p>{}</p></details></article>\n",
                text(&why)
            )
            .into_bytes();
        }
        let Outcome::Planned(plan) = file.outcome else {
            return Vec::new();
        };
        self.note(file.shown, plan);
        let review = plan
            .chosen
            .iter()
            .any(|it| it.safety() != crate::rules::Safety::Safe);
        let (kind, what) = match (plan.changes(), review) {
            (false, _) => ("same", "left as it is".to_owned()),
            (true, true) => ("review", plural(plan.chosen.len(), "rewrite", "rewrites")),
            (true, false) => ("safe", plural(plan.chosen.len(), "rewrite", "rewrites")),
        };
        let mut body = body(plan, self.run.all);
        if let Some(proof) = file.proof {
            body.insert_str(0, &proved(proof));
        }
        let mut size = String::new();
        let titles = plan.chosen.iter().map(|it| it.title.as_str());
        match self.run.measured.of(file.shown, titles) {
            Size::Unknown => {}
            Size::Proven(measured) => {
                size = format!(
                    " <span class=\"badge safe\">{}, verified</span>",
                    sizes::change(measured.bytes)
                );
                sizes::details(&mut body, measured);
            }
            Size::Other(measured) => {
                let _ = writeln!(
                    body,
                    "<p class=\"note\">The builds that were measured ({}) were of something else: {}</p>",
                    text(&measured.verdict),
                    text(&measured.rewrites.join("; "))
                );
            }
        }
        if body.is_empty() {
            return format!(
                "<article data-kind=\"{kind}\"><p><code>{path}</code> <span class=\"badge\">nothing to do</span></p></article>\n"
            )
            .into_bytes();
        }
        format!(
            "<article data-kind=\"{kind}\"><details><summary><code>{path}</code> <span class=\"badge {kind}\">{what}</span>{size}</summary>\n{body}</details></article>\n"
        )
        .into_bytes()
    }

    fn problem(&mut self, shown: &str, message: &str) {
        let _ = writeln!(
            self.problems,
            "<li><code>{}</code>: {}</li>",
            text(shown),
            text(message)
        );
    }

    fn tail(&mut self, counts: &Counts) -> String {
        let images = std::mem::take(self.images.get_mut().unwrap_or_else(|it| it.into_inner()));
        let mut out = String::from("</section>\n<section id=\"summary\"><h2>Summary</h2>\n");
        let verb = match self.run.mode {
            Mode::Apply => "changed",
            _ => "would change",
        };
        let _ = writeln!(
            out,
            "<p>{}: <b>{} {verb}</b>, by {}; {} held back.</p>",
            plural(counts.files, "file", "files"),
            counts.changed,
            plural(counts.safe + counts.review, "rewrite", "rewrites"),
            counts.held,
        );
        if !self.problems.is_empty() {
            let _ = writeln!(out, "<ul class=\"said\">{}</ul>", self.problems);
        }
        out.push_str("<div class=\"charts\">\n");
        let grades = [
            ("proven safe", counts.safe),
            ("to review", counts.review),
            ("held back", counts.held),
        ];
        chart(&mut out, "Rewrites by grade", &grades);
        let by = |what: &dyn Fn(&Row) -> &'static str| -> Vec<(&'static str, usize)> {
            let mut groups: BTreeMap<&'static str, usize> = BTreeMap::new();
            for image in images.values() {
                *groups.entry(what(&image.row)).or_default() += image.references;
            }
            groups.into_iter().collect()
        };
        chart(&mut out, "Image references by trust", &by(&|row| row.trust));
        chart(&mut out, "… by pinning", &by(&|row| row.pinned));
        chart(&mut out, "… by end of life", &by(&life));
        out.push_str("</div>\n");
        // Sizes are measured, never guessed.
        if self.run.measured.files.is_empty() {
            out.push_str("<p class=\"note\">How much smaller an image becomes is known once both were built: <code>dfmigrate verify --output-format json</code> does, and <code>--measured</code> has its figures drawn here.</p>\n");
        }
        sizes::summary(&mut out, &self.run.measured);
        inventory_table(&mut out, &images);
        out.push_str("</section>\n</main>\n<script>");
        out.push_str(SCRIPT);
        out.push_str("</script>\n</body>\n</html>\n");
        out
    }
}

/// Where an image stands in its life.
fn life(row: &Row) -> &'static str {
    if row.has(Concern::EndOfLife) {
        "past its end"
    } else if row.has(Concern::Deprecated) {
        "deprecated"
    } else if row.line_end.is_some() || row.release_end.is_some() {
        "supported"
    } else {
        "not known"
    }
}

/// A bar for each row, as long as its share of the longest.
fn chart(out: &mut String, title: &str, rows: &[(&str, usize)]) {
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let _ = writeln!(
        out,
        "<table class=\"chart\"><caption>{}</caption>",
        text(title)
    );
    for (name, count) in rows {
        let length = (*count * 100).div_ceil(most);
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td><svg viewBox=\"0 0 100 8\" role=\"img\" aria-label=\"{count}\"><rect width=\"{length}\" height=\"8\"/></svg></td><td>{count}</td></tr>",
            text(name)
        );
    }
    out.push_str("</table>\n");
}

fn inventory_table(out: &mut String, images: &BTreeMap<String, Image>) {
    if images.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Images</h2>\n<table class=\"images\"><thead><tr><th scope=\"col\">Image</th><th scope=\"col\">References</th><th scope=\"col\">First</th><th scope=\"col\">Trust</th><th scope=\"col\">Base</th><th scope=\"col\">Pinned</th><th scope=\"col\">Version line ends</th><th scope=\"col\">Release ends</th><th scope=\"col\">To look at</th></tr></thead><tbody>\n",
    );
    for (name, image) in images {
        let row = &image.row;
        let [line, release] = row.ends();
        let concerns: Vec<String> = row.concerns.iter().map(|note| text(&note.text)).collect();
        let _ = writeln!(
            out,
            "<tr class=\"{}\"><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}:{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if row.has(Concern::EndOfLife) {
                "over"
            } else {
                ""
            },
            text(name),
            image.references,
            text(&image.first.0),
            image.first.1,
            row.trust,
            text(&row.base()),
            row.pinned,
            text(&line),
            text(&release),
            concerns.join("<br>")
        );
    }
    out.push_str("</tbody></table>\n");
}
