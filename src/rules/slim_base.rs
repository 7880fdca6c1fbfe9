//! `slim-base`: the final or only stage on the slim variant.

use super::{Context, Meta, Proposals, Refusal, Rewrite, Rule, Safety};
use crate::catalog::{self, Kind, commands, variants};
use crate::model::Base;
use crate::model::effects::What;
use crate::model::pins::{NotPinned, Official, codename_pin, official};
use crate::syntax::Keyword;
use crate::text::{Edit, Span};

pub struct SlimBase;

static META: Meta = Meta {
    id: "slim-base",
    summary: "the final stage moves to the slim variant when nothing in it needs the full one",
    best: Safety::Review,
    docs: "\
What it does: the only stage, or the last one, moves from the full variant of an official image to
the slim one of the same version and release.

Why: the full variant has compilers, headers and version control on top, which an image that only
runs a program does not need.

When it holds back: a command of a RUN, or what ENTRYPOINT, CMD, HEALTHCHECK, their scripts or the
sources start, is a program that the full variant has and the slim one has not, and the file does
not install; language packages are installed in the stage, which may compile.

Safety: review. Libraries that a copied binary loads are not looked at.",
};

impl Rule for SlimBase {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let Some(stage) = cx.model.stages.last() else {
            return;
        };
        let Base::Image(image) = stage.base else {
            return;
        };
        let image = &cx.model.images[image];
        let Ok(reference) = &image.reference else {
            return;
        };
        let Some(Official { image: name, tag }) = official(reference) else {
            return;
        };
        let full = catalog::lookup(name, tag)
            .filter(|entry| entry.kind == Kind::Full)
            .and_then(|entry| entry.base)
            .filter(|base| base.family == "debian");
        let Some(base) = full else { return };
        if reference.digest().is_some() || image.editable.span().is_none() {
            return;
        }
        let pinned = codename_pin(image);
        let build_tag = match &pinned {
            Ok(pin) => pin.pin.tag.clone(),
            Err(NotPinned::Fine) => tag.to_owned(),
            Err(NotPinned::Because(_)) => return,
        };
        let Ok(slim) = catalog::slim_tag(name, &build_tag) else {
            return;
        };
        let codename = base.release;
        let (Some(ledger), Some(runtime)) = (cx.ledger(), cx.runtime()) else {
            return;
        };
        let refuse = |at: Span, why: String, out: &mut Proposals| {
            out.refusals.push(Refusal {
                rule: META.id,
                at,
                why,
                remedy: None,
            });
        };
        if runtime.cmd.is_none() && runtime.entrypoint.is_none() {
            return refuse(
                image.span,
                "it has no CMD and no ENTRYPOINT: what is needed at run time is not known".into(),
                out,
            );
        }
        let mut installed: Vec<&str> = Vec::new();
        let lacks = |command: &str, installed: &[&str]| -> Option<&'static str> {
            let package = commands::in_full(command, codename)?;
            let has = variants::provides(name, "slim", codename, command) == Some(true)
                || commands::in_slim(command, codename) == Some(true)
                || installed.contains(&package);
            (!has).then_some(package)
        };
        for effect in &ledger.effects {
            match &effect.what {
                What::Opaque(why) => {
                    return refuse(effect.span, format!("`{}`: {why}", effect.text.trim()), out);
                }
                What::AptInstall { packages, .. } => {
                    installed.extend(packages.iter().map(|p| p.name.as_str()));
                }
                What::NodeInstall { .. } | What::PipInstall { .. } | What::PythonProject { .. } => {
                    return refuse(
                        effect.span,
                        format!("`{}` installs packages, which may compile with what only the full variant has", effect.text.trim()),
                        out,
                    );
                }
                _ => {}
            }
            if effect.compiles() {
                return refuse(
                    effect.span,
                    format!("`{}` may compile with what only the full variant has", effect.text.trim()),
                    out,
                );
            }
            if let Some(program) = &effect.program
                && let Some(package) = lacks(program, &installed)
            {
                return refuse(
                    effect.span,
                    format!("`{program}` is a program of the full variant (package {package})"),
                    out,
                );
            }
        }
        if let Some(unseen) = runtime.unseen.first() {
            let range = cx.file.lines().range(unseen.line);
            return refuse(Span::new(range.start, range.end), unseen.why(), out);
        }
        if let Some((line, why)) = runtime.unknown.first() {
            let range = cx.file.lines().range(*line);
            return refuse(Span::new(range.start, range.end), why.clone(), out);
        }
        for demand in &runtime.demands {
            if let Some(package) = lacks(&demand.command, &installed) {
                let range = cx.file.lines().range(demand.line);
                return refuse(
                    Span::new(range.start, range.end),
                    format!("{} runs `{}`, a program of the full variant (package {package})", demand.via, demand.command),
                    out,
                );
            }
        }
        let builds = stage.steps.iter().any(|step| {
            let it = cx.model.instructions[step.instruction];
            it.keyword == Keyword::Copy && it.flag("from").is_some()
        });
        let sources = cx.sources(codename);
        if let Some((command, file)) = sources.started().find(|(c, _)| lacks(c, &installed).is_some()) {
            return refuse(
                image.span,
                format!("{file} starts `{command}`, a program of the full variant"),
                out,
            );
        }
        let Some(span) = image.editable.span() else {
            return;
        };
        let end = reference.name_range().end;
        let text = format!("{}:{slim}", &reference.as_str()[..end]);
        let text = match image.editable.written(&text) {
            Ok(text) => text,
            Err(why) => return refuse(image.span, format!("it can't be written here: {why}"), out),
        };
        let title = format!("move the final stage from {name}:{tag} to {name}:{slim}");
        let edits = vec![Edit::replace(span, text)];
        let Ok(mut rewrite) = Rewrite::new(&META, title, image.span, edits) else {
            return;
        };
        rewrite.includes = &["pin-codename"];
        rewrite.because(format!(
            "{name}:{build_tag} and {name}:{slim} are the same version on Debian {codename}"
        ));
        rewrite.because("no command that the stage runs, or that runs in it, is of the full variant alone");
        if let Some(doubt) = image.editable.doubt() {
            rewrite.caveat(doubt);
        }
        if builds {
            rewrite.caveat("the libraries that the copied files load are not looked at: one of the full variant would be missing");
        }
        for caveat in sources.caveats.clone() {
            rewrite.caveat(caveat);
        }
        out.rewrites.push(rewrite);
    }
}
