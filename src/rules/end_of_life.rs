//! `end-of-life`: from a release of a distribution that is over to the next one
//! that lives.

use std::collections::BTreeSet;

use super::{Context, Meta, Proposals, Refusal, Rewrite, Rule, Safety};
use crate::catalog::life::{self, End};
use crate::catalog::living::{self, Living};
use crate::catalog::{self, Release};
use crate::model::moves::{self, Move, Toll};
use crate::model::pins::{edit_to, official};
use crate::model::{ImageUse, Place};
use crate::text::Edit;

pub struct EndOfLife;

static META: Meta = Meta {
    id: "end-of-life",
    summary: "images on a dead release of their distribution move to the next living one",
    best: Safety::Review,
    docs: "\
What it does: `python:3.11-buster` becomes `python:3.11-bookworm`: the same version of the same image,
at the same precision, on the next release of the distribution that still gets security fixes free of
charge. All stages on a dead release move together, and packages that are called otherwise there are
renamed with them.

Why: a release that is over gets no security fixes, and its packages leave the mirrors, so that
`apt-get update` fails.

When it holds back: no tag of that version is on a living release (then the tag is frozen as it is,
and `pin-codename` names what it is frozen as); the version line itself is over (another line
behaves otherwise, and nobody but its users can tell); the file names the old release, or takes
packages from an archive; a package is not in the new release, or is pinned to a version; a command
of the file is not there any more; another stage that takes files stays on an older C library.

Safety: review, with what may differ: the C library only goes up, versions of packages move. Manual
where the tables don't know whether a package is called the same.",
};

/// A stage's image on a dead release, and where it could go.
struct Case<'a> {
    image: &'a ImageUse,
    stage: usize,
    name: &'a str,
    tag: &'a str,
    release: &'static Release,
    target: Result<Living, String>,
}

impl Rule for EndOfLife {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let mut cases: Vec<Case<'_>> = Vec::new();
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        for image in &cx.model.images {
            let Place::From(stage) = image.place else {
                continue;
            };
            let Ok(reference) = &image.reference else {
                continue;
            };
            let Some(known) = official(reference) else {
                continue;
            };
            let (name, tag) = (known.image, known.tag);
            if let Some((release, _)) = living::over(name, tag, cx.today) {
                let target = if reference.digest().is_some() {
                    Err("it is pinned to a digest".to_owned())
                } else {
                    living::on_living(name, tag, cx.today).map_err(|why| why.to_string())
                };
                cases.push(Case {
                    image,
                    stage,
                    name,
                    tag,
                    release,
                    target,
                });
            } else if told.insert((name, tag))
                && let Some(why) = line_over(cx, name, tag)
            {
                out.refuse(&META, image.span, why);
            }
        }
        let mut done: BTreeSet<usize> = BTreeSet::new();
        for at in 0..cases.len() {
            let order = cases[at].release.order;
            if done.insert(order) {
                let group: Vec<&Case<'_>> =
                    cases.iter().filter(|case| case.release.order == order).collect();
                together(cx, &group, out);
            }
        }
    }
}

/// Why a version line that is over is left, in words.
fn line_over(cx: &Context<'_>, name: &str, tag: &str) -> Option<String> {
    let line = life::line(name, tag)?;
    let end = line.end.filter(|end| end.is_over(cx.today))?;
    let since = match end {
        End::On(day) => format!("on {day}"),
        _ => "some time ago".to_owned(),
    };
    let frozen = match catalog::lookup(name, tag).and_then(|entry| entry.gone) {
        Some(gone) => format!(" and left the library on {gone}, so that it gets no more fixes"),
        None => String::new(),
    };
    Some(format!(
        "{name} {} reached its end of life {since}{frozen}: another version line behaves otherwise, which only tests of the program can tell",
        line.name
    ))
}

/// Moves all stages on one dead release, or says why not.
fn together(cx: &Context<'_>, group: &[&Case<'_>], out: &mut Proposals) {
    let old = group[0].release;
    let end = life::free_end(old).map_or_else(String::new, |end| end.to_string());
    let over = format!("{} {} is without free support since {end}", old.family, old.name);
    let stuck = group.iter().find_map(|case| Some((case, case.target.as_ref().err()?)));
    if let Some((case, why)) = stuck {
        let line = line_over(cx, case.name, case.tag).map_or_else(String::new, |line| format!("; {line}"));
        let frozen = catalog::lookup(case.name, case.tag).and_then(|entry| entry.gone);
        let frozen = frozen.map_or_else(String::new, |gone| {
            format!("; the tag is frozen since {gone} and stays what it is")
        });
        out.refuse(
            &META,
            case.image.span,
            format!("{over}, but {}:{} stays: {why}{frozen}{line}", case.name, case.tag),
        );
        return;
    }
    let targets: Vec<(&Case<'_>, &Living)> = group
        .iter()
        .filter_map(|case| Some((*case, case.target.as_ref().ok()?)))
        .collect();
    // One release for all: what one stage builds another may run.
    let Some(to) = targets.iter().map(|(_, living)| living.release).max_by_key(|to| to.order) else {
        return;
    };
    if let Some((case, living)) = targets.iter().find(|(_, living)| living.release != to) {
        out.refuse(
            &META,
            case.image.span,
            format!(
                "{over}, but its stages can't move to one release: {}:{} is to be had on {}, others on {} at the earliest",
                case.name, case.tag, living.release.name, to.name
            ),
        );
        return;
    }
    let mut moved: Vec<usize> = Vec::new();
    let mut toll = Toll::default();
    let mut edits: Vec<Edit> = Vec::new();
    let mut titles: BTreeSet<String> = BTreeSet::new();
    for (case, living) in &targets {
        let stages = moves::stages_on(cx.model, case.stage);
        let way = Move {
            from: Some(old),
            to,
            kind: living.entry.kind,
        };
        toll.add(moves::toll(cx.model, &stages, cx.files, way));
        moved.extend(stages);
        match edit_to(case.image, case.name, &living.tag) {
            Ok(edit) => edits.push(edit),
            Err(why) => {
                return out.refuse(
                    &META,
                    case.image.span,
                    format!("{over}, but {}:{} can't be written here: {why}", case.name, living.tag),
                );
            }
        }
        titles.insert(format!("{}:{} to {}", case.name, case.tag, living.tag));
    }
    let way = Move {
        from: Some(old),
        to,
        kind: targets[0].1.entry.kind,
    };
    moves::takers(cx.model, &moved, &moved, way, &mut toll);
    if let Some(obstacle) = toll.obstacles.first() {
        out.refusals.push(Refusal {
            rule: META.id,
            at: obstacle.at,
            why: format!("{over}, but the move to {} is not made: {}{}", to.name, obstacle.why, toll.more()),
            remedy: obstacle.remedy.clone(),
        });
        return;
    }
    edits.extend(toll.edits.iter().cloned());
    let titles: Vec<String> = titles.into_iter().collect();
    let title = format!("move from {} {} to {}: {}", old.family, old.name, to.name, titles.join(", "));
    let Ok(mut rewrite) = Rewrite::new(&META, title, group[0].image.span, edits) else {
        return;
    };
    rewrite.reopens = true;
    rewrite.includes = &["alpine-base", "jre-base", "multi-stage", "pin-codename", "slim-base"];
    let until = life::free_end(to).map_or_else(String::new, |end| format!(", supported until {end}"));
    rewrite.because(format!("{over}; {} is the next release that has these versions{until}", to.name));
    for (case, living) in &targets {
        explain(&mut rewrite, case, living);
    }
    for proof in &toll.proofs {
        rewrite.because(proof.as_str());
    }
    if moved.len() > 1 {
        rewrite.because("all stages on the release move together, so that what one builds another can run");
    }
    rewrite.caveat(format!(
        "the C library and all packages of the distribution move up from {} to {}",
        old.name, to.name
    ));
    for doubt in &toll.doubts {
        rewrite.caveat(doubt.as_str());
    }
    for (case, _) in &targets {
        if let Some(doubt) = case.image.editable.doubt() {
            rewrite.caveat(doubt);
        }
        if let Some(why) = line_over(cx, case.name, case.tag) {
            rewrite.caveat(why);
        }
    }
    for unknown in &toll.unknown {
        rewrite.caveat(unknown.as_str());
        rewrite.lower(Safety::Manual);
    }
    out.rewrites.push(rewrite);
}

/// What is known of the two tags.
fn explain(rewrite: &mut Rewrite, case: &Case<'_>, living: &Living) {
    let (name, tag) = (case.name, case.tag);
    let (from, to) = (life::version(name, tag), life::version(name, &living.tag));
    if name == case.release.family {
        // The distribution's own image.
    } else if from.is_some() && from == to {
        rewrite.because(format!(
            "{name}:{tag} and {name}:{} are the same version, {}",
            living.tag,
            from.unwrap_or_default()
        ));
    } else if let (Some(from), Some(to)) = (from, to) {
        rewrite.caveat(format!("{name} moves from {from} to {to} with it"));
    }
    if let Some(gone) = living.entry.gone {
        rewrite.caveat(format!(
            "{name}:{} is frozen since {gone} itself: its distribution gets fixes through its package manager alone",
            living.tag
        ));
    }
}
