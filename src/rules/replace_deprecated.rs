//! `replace-deprecated`: from a deprecated image to the one that carries it on.

use std::collections::BTreeSet;

use super::{Context, Meta, Proposals, Refusal, Rewrite, Rule, Safety};
use crate::catalog::life::{self, Deprecation};
use crate::catalog::successor::{Successor, successor};
use crate::catalog::{self, Kind, variants};
use crate::model::moves::{self, Move, Toll};
use crate::model::pins::{edit_to, official};
use crate::model::{ImageUse, Place};
use crate::text::Edit;

pub struct ReplaceDeprecated;

static META: Meta = Meta {
    id: "replace-deprecated",
    summary: "deprecated images become those that carry them on",
    best: Safety::Review,
    docs: "\
What it does: `openjdk:11-jre-slim` becomes `eclipse-temurin:11-jre-noble`; `java` and `adoptopenjdk`
likewise: the same major version of Java, development kit or run time, Alpine or not, on a release
that lives. Of other deprecated images it says the notice, and what that names instead.

Why: a deprecated image gets no fixes any more.

When it holds back: the successor has no tag of that version that is still updated; the file names a
folder of the old image, its release, or an archive of packages; it runs a command that the old
image has and the new one has not; a package is not known there. Where a notice names several
images, or one whose tags are not in the catalogue, the choice is a person's.

Safety: review: the build of Java and the distribution beneath change. Manual where the tables don't
know whether a package is called the same.",
};

/// An image with a successor.
struct Case<'a> {
    image: &'a ImageUse,
    stage: usize,
    name: &'a str,
    tag: &'a str,
    notice: Deprecation,
    successor: Successor,
}

impl Rule for ReplaceDeprecated {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let mut cases: Vec<Case<'_>> = Vec::new();
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut stuck = false;
        for image in &cx.model.images {
            let Ok(reference) = &image.reference else {
                continue;
            };
            let Some(known) = official(reference) else {
                continue;
            };
            let (name, tag) = (known.image, known.tag);
            let Some(notice) = life::deprecation(name, tag) else {
                continue;
            };
            let found = match (successor(name, tag, cx.today), image.place) {
                (Some(Ok(_)), _) if reference.digest().is_some() => {
                    Err("it is pinned to a digest".to_owned())
                }
                (Some(Ok(successor)), Place::From(stage)) => Ok((stage, successor)),
                (Some(Err(why)), _) => Err(why),
                _ => Err(String::new()),
            };
            match found {
                Ok((stage, successor)) => cases.push(Case {
                    image,
                    stage,
                    name,
                    tag,
                    notice,
                    successor,
                }),
                Err(why) => {
                    stuck |= matches!(image.place, Place::From(_));
                    if told.insert((name, tag)) {
                        out.refuse(&META, image.span, left(&notice, name, tag, &why));
                    }
                }
            }
        }
        if let Some(first) = cases.first().filter(|_| stuck && cases.len() > 1) {
            let why = "another stage of the file stays on its deprecated image";
            out.refuse(&META, first.image.span, left(&first.notice, first.name, first.tag, why));
        } else if !cases.is_empty() {
            together(cx, &cases, out);
        }
    }
}

/// Why an image is left, with its notice, in words.
fn left(notice: &Deprecation, name: &str, tag: &str, why: &str) -> String {
    let since = notice
        .announced
        .map_or_else(String::new, |day| format!(" since {day}"));
    let why = match why {
        "" => String::new(),
        why => format!(", and {name}:{tag} is not replaced: {why}"),
    };
    let named: Vec<&str> = notice.successors().collect();
    let named = match named.as_slice() {
        [] => String::new(),
        named => format!(" (it names {})", named.join(", ")),
    };
    format!("{name} is deprecated{since}{why}; the notice{named}: {}", notice.notice)
}

/// Replaces all of them, or says why not.
fn together(cx: &Context<'_>, cases: &[Case<'_>], out: &mut Proposals) {
    let mut toll = Toll::default();
    let mut edits: Vec<Edit> = Vec::new();
    let mut moved: Vec<usize> = Vec::new();
    let mut titles: BTreeSet<String> = BTreeSet::new();
    for case in cases {
        let stages = moves::stages_on(cx.model, case.stage);
        let old = catalog::lookup(case.name, case.tag);
        let base = old.and_then(|entry| entry.base);
        let way = Move {
            from: base.and_then(|base| catalog::release(base.family, base.release)),
            to: case.successor.living.release,
            kind: case.successor.living.entry.kind,
        };
        toll.add(moves::toll(cx.model, &stages, cx.files, way));
        toll.folders(cx.model, &stages, &case.successor.folders, case.successor.home);
        let lost = |command: &str| is_lost(case, command);
        toll.lost(cx.model, &stages, cx.files, case.successor.image, &lost);
        moved.extend(stages);
        let new = format!("{}:{}", case.successor.image, case.successor.living.tag);
        match edit_to(case.image, case.successor.image, &case.successor.living.tag) {
            Ok(edit) => edits.push(edit),
            Err(why) => {
                let why = format!("{new} can't be written here: {why}");
                return out.refuse(&META, case.image.span, left(&case.notice, case.name, case.tag, &why));
            }
        }
        titles.insert(format!("{}:{} by {new}", case.name, case.tag));
    }
    let first = &cases[0];
    for case in cases {
        let way = Move {
            from: None,
            to: case.successor.living.release,
            kind: case.successor.living.entry.kind,
        };
        let own = moves::stages_on(cx.model, case.stage);
        moves::takers(cx.model, &own, &moved, way, &mut toll);
    }
    if let Some(obstacle) = toll.obstacles.first() {
        let why = format!("{}{}", obstacle.why, toll.more());
        out.refusals.push(Refusal {
            rule: META.id,
            at: obstacle.at,
            why: left(&first.notice, first.name, first.tag, &why),
            remedy: obstacle.remedy.clone(),
        });
        return;
    }
    edits.extend(toll.edits.iter().cloned());
    let titles: Vec<String> = titles.into_iter().collect();
    let title = format!("replace {}", titles.join(", "));
    let Ok(mut rewrite) = Rewrite::new(&META, title, first.image.span, edits) else {
        return;
    };
    rewrite.reopens = true;
    rewrite.includes = &["alpine-base", "jre-base", "multi-stage", "pin-codename", "slim-base"];
    let mut said: BTreeSet<String> = BTreeSet::new();
    for case in cases {
        let since = case.notice.announced.map_or_else(String::new, |day| format!(" since {day}"));
        let notice = format!("{} is deprecated{since}: {}", case.name, case.notice.notice);
        if said.insert(notice.clone()) {
            rewrite.because(notice);
        }
        explain(&mut rewrite, case);
    }
    for proof in &toll.proofs {
        rewrite.because(proof.as_str());
    }
    for doubt in toll.doubts.iter().chain(&toll.unknown) {
        rewrite.caveat(doubt.as_str());
    }
    for case in cases {
        if let Some(doubt) = case.image.editable.doubt().filter(|doubt| said.insert(doubt.clone())) {
            rewrite.caveat(doubt);
        }
    }
    if !toll.unknown.is_empty() {
        rewrite.lower(Safety::Manual);
    }
    out.rewrites.push(rewrite);
}

/// Whether the new image has not that command.
fn is_lost(case: &Case<'_>, command: &str) -> bool {
    let kind = catalog::lookup(case.name, case.tag).map_or(Kind::Full, |entry| entry.kind);
    let new = match (case.successor.runtime, kind) {
        (true, Kind::Alpine) => "jre-alpine",
        (false, Kind::Alpine) => "jdk-alpine",
        (true, _) => "jre",
        (false, _) => "jdk",
    };
    variants::provides(case.successor.image, new, case.successor.living.release.name, command) == Some(false)
}

/// What is known of the two tags.
fn explain(rewrite: &mut Rewrite, case: &Case<'_>) {
    let successor = &case.successor;
    let new = format!("{}:{}", successor.image, successor.living.tag);
    let what = if successor.runtime { "run time" } else { "development kit" };
    rewrite.because(format!(
        "{new} is the same major version's {what}, in the library (as of {})",
        catalog::source().as_of
    ));
    let to = life::version(successor.image, &successor.living.tag).unwrap_or_default();
    let old = catalog::lookup(case.name, case.tag).and_then(|entry| entry.base);
    let from = old.map_or_else(|| "an unknown base".to_owned(), |base| format!("{} {}", base.family, base.release));
    rewrite.caveat(format!("Java moves from {} to {to}, another build of it", successor.from));
    rewrite.caveat(format!(
        "the distribution moves from {from} to {} {}",
        successor.living.release.family, successor.living.release.name
    ));
    if successor.living.entry.kind == Kind::Alpine
        && let Some(note) = variants::note(successor.image, "jdk-alpine")
    {
        rewrite.caveat(note);
    }
}
