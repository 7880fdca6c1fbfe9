//! The effects ledger of a file's last stage: what each command does to the
//! image, and what becomes of it, for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{one_line, style};
use crate::model::effects::{Effect, What};
use crate::rules::{Context, Fate, Proposals};

/// The version of [`Ledger`]'s form.
const FORM: u32 = 1;

/// What is printed.
#[derive(Serialize)]
struct Ledger {
    version: u32,
    path: String,
    stage: Option<String>,
    base: Option<String>,
    effects: Vec<Row>,
    demands: Vec<Demand>,
    unknown: Vec<Unknown>,
    rewrites: Vec<Rewrite>,
    left_alone: Vec<Left>,
}

#[derive(Serialize)]
struct Row {
    line: usize,
    instruction: String,
    command: String,
    does: String,
    writes: Vec<Write>,
    user: Option<String>,
    certainty: &'static str,
    /// `copied`, `replayed`, `left behind` or `nothing`; none where no rewrite
    /// takes the stage apart.
    verdict: Option<&'static str>,
    why: Option<String>,
}

#[derive(Serialize)]
struct Write {
    path: String,
    tree: bool,
}

#[derive(Serialize)]
struct Demand {
    line: usize,
    via: String,
    command: String,
    args: Vec<String>,
}

#[derive(Serialize)]
struct Unknown {
    line: usize,
    why: String,
}

#[derive(Serialize)]
struct Rewrite {
    rule: &'static str,
    title: String,
    grade: &'static str,
    because: Vec<String>,
    caveats: Vec<String>,
}

#[derive(Serialize)]
struct Left {
    rule: &'static str,
    line: usize,
    why: String,
    remedy: Option<String>,
}

/// What a command does, in words.
fn does(effect: &Effect) -> String {
    let names = |packages: &[crate::model::effects::AptPackage]| {
        let names: Vec<&str> = packages
            .iter()
            .map(|package| package.word.as_str())
            .collect();
        names.join(", ")
    };
    match &effect.what {
        What::Nothing => "changes nothing that stays".to_owned(),
        What::AptLists => "fetches or removes lists of packages".to_owned(),
        What::AptInstall { packages, .. } | What::ApkAdd { packages, .. } => {
            format!("installs {}", names(packages))
        }
        What::AptSource => "changes where packages come from".to_owned(),
        What::Replay => "sets up users or the system".to_owned(),
        What::Writes if effect.program.is_none() => "copies files".to_owned(),
        What::Writes => "writes files".to_owned(),
        What::NodeInstall {
            global: Some(packages),
            ..
        } => format!("installs {} for all", packages.join(", ")),
        What::NodeInstall { production, .. } => {
            let which = if *production {
                "those of production"
            } else {
                "those of development too"
            };
            format!("installs the project's Node.js packages, {which}")
        }
        What::Corepack => "sets up package managers by corepack".to_owned(),
        What::PipInstall { .. } => "installs Python packages".to_owned(),
        What::PythonProject { tool } => format!("installs a Python project by {tool}"),
        What::Opaque(why) => format!("is not understood: {why}"),
    }
}

/// How sure the paths are.
fn certainty(effect: &Effect) -> &'static str {
    match &effect.what {
        What::Opaque(_) => "opaque",
        _ if effect.writes.iter().any(|write| write.tree) => "bounded",
        _ => "exact",
    }
}

fn ledger(path: &str, cx: &Context<'_>, proposals: &Proposals) -> Ledger {
    let stage = cx.model.stages.last();
    let effects = cx.ledger().map_or(&[][..], |ledger| &ledger.effects);
    let row = |(index, effect): (usize, &Effect)| {
        let fate: Option<&Fate> = proposals.fates.iter().find(|fate| fate.effect == index);
        let it = cx.model.instructions[effect.instruction];
        Row {
            line: effect.line,
            instruction: it.keyword.name().to_owned(),
            command: one_line(&effect.text).into_owned(),
            does: does(effect),
            writes: effect
                .writes
                .iter()
                .map(|write| Write {
                    path: write.path.clone(),
                    tree: write.tree,
                })
                .collect(),
            user: effect.user.clone(),
            certainty: certainty(effect),
            verdict: fate.map(|fate| fate.verdict.name()),
            why: fate
                .map(|fate| fate.why.clone())
                .filter(|why| !why.is_empty()),
        }
    };
    let runtime = cx.runtime();
    Ledger {
        version: FORM,
        path: path.to_owned(),
        stage: stage.and_then(|stage| stage.name.clone()),
        base: stage
            .and_then(|stage| cx.model.base_image(stage.index))
            .map(|image| image.written.clone()),
        effects: effects.iter().enumerate().map(row).collect(),
        demands: runtime
            .iter()
            .flat_map(|runtime| &runtime.demands)
            .map(|demand| Demand {
                line: demand.line,
                via: demand.via.clone(),
                command: demand.command.clone(),
                args: demand.args.clone(),
            })
            .collect(),
        unknown: runtime
            .iter()
            .flat_map(|runtime| &runtime.unknown)
            .map(|(line, why)| Unknown {
                line: *line,
                why: why.clone(),
            })
            .collect(),
        rewrites: proposals
            .rewrites
            .iter()
            .map(|rewrite| Rewrite {
                rule: rewrite.rule,
                title: rewrite.title.clone(),
                grade: rewrite.safety().name(),
                because: rewrite.because.clone(),
                caveats: rewrite.caveats().to_vec(),
            })
            .collect(),
        left_alone: proposals
            .refusals
            .iter()
            .map(|refusal| Left {
                rule: refusal.rule,
                line: cx.file.lines().line(refusal.at.start),
                why: refusal.why.clone(),
                remedy: refusal.remedy.clone(),
            })
            .collect(),
    }
}

/// The ledger as one line of JSON, without a line end.
#[must_use]
pub fn ledger_json(path: &str, cx: &Context<'_>, proposals: &Proposals) -> String {
    serde_json::to_string(&ledger(path, cx, proposals)).unwrap_or_default()
}

/// The ledger for a person, with colours.
#[must_use]
pub fn ledger_text(path: &str, cx: &Context<'_>, proposals: &Proposals) -> String {
    let view = ledger(path, cx, proposals);
    let mut out = String::new();
    let (bold, dim) = (style::PATH, style::DIM);
    let base = view.base.as_deref().unwrap_or("no image");
    let stage = view
        .stage
        .as_ref()
        .map_or_else(String::new, |name| format!(" ({})", one_line(name)));
    let _ = writeln!(
        out,
        "{bold}{}{bold:#}: the last stage{stage}, on {}\n",
        one_line(path),
        one_line(base)
    );
    if view.effects.is_empty() {
        let _ = writeln!(out, "  Nothing is copied or run in it.");
    }
    let mut last = 0;
    for row in &view.effects {
        // The line is said once for all that one instruction does.
        let line = if row.line == last {
            String::new()
        } else {
            row.line.to_string()
        };
        last = row.line;
        let command = shortened(&row.command);
        let what = match row.instruction.as_str() {
            "RUN" => format!("RUN {command}"),
            _ => command,
        };
        let _ = writeln!(out, "{line:>5}  {bold}{what}{bold:#}");
        let paths: Vec<String> = row
            .writes
            .iter()
            .map(|write| {
                let below = if write.tree { "below " } else { "" };
                format!("{below}{}", one_line(&write.path))
            })
            .collect();
        let paths = if paths.is_empty() {
            String::new()
        } else {
            format!(": {}", paths.join(", "))
        };
        let user = row
            .user
            .as_ref()
            .map_or_else(String::new, |user| format!(", as {}", one_line(user)));
        let _ = writeln!(out, "       {}{paths}{user}", one_line(&row.does));
        if let Some(verdict) = row.verdict {
            let colour = match verdict {
                "copied" | "replayed" => style::NEW,
                "left behind" => style::DOUBT,
                _ => dim,
            };
            let why = row
                .why
                .as_ref()
                .map_or_else(String::new, |why| format!(": {}", one_line(why)));
            let _ = writeln!(out, "       {colour}→ {verdict}{colour:#}{why}");
        }
    }
    let _ = writeln!(out, "\n  {bold}at run time{bold:#}");
    if view.demands.is_empty() && view.unknown.is_empty() {
        let _ = writeln!(out, "       nothing is known to run");
    }
    for demand in &view.demands {
        let mut words = vec![demand.command.as_str()];
        words.extend(demand.args.iter().map(String::as_str));
        let _ = writeln!(
            out,
            "{:>5}  {} → {}",
            demand.line,
            one_line(&demand.via),
            shortened(&one_line(&words.join(" ")))
        );
    }
    for unknown in &view.unknown {
        let colour = style::DOUBT;
        let _ = writeln!(
            out,
            "{:>5}  {colour}not known{colour:#}: {}",
            unknown.line,
            one_line(&unknown.why)
        );
    }
    out.push('\n');
    for rewrite in &view.rewrites {
        let _ = writeln!(
            out,
            "  {}{}: {}{:#} [{}]",
            style::NEW,
            rewrite.rule,
            one_line(&rewrite.title),
            style::NEW,
            rewrite.grade
        );
    }
    for left in &view.left_alone {
        let colour = style::DOUBT;
        let remedy = left
            .remedy
            .as_ref()
            .map_or_else(String::new, |remedy| format!("; {}", one_line(remedy)));
        let _ = writeln!(
            out,
            "  {colour}{} left it alone{colour:#}, line {}: {}{remedy}",
            left.rule,
            left.line,
            one_line(&left.why)
        );
    }
    out
}

/// A text of at most 100 characters, its blanks folded.
fn shortened(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
