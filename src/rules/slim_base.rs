//! `slim-base`: the final or only stage on the slim variant.

use super::{Context, Meta, Proposals, Refusal, Rewrite, Rule, Safety, short};
use crate::catalog::{self, Kind, commands, variants};
use crate::model::effects::{Ledger, What};
use crate::model::musl::{self, Processor, Question};
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

What it adds: a program that the full variant has and something runs is added to an apt-get install of
the stage that comes before.

When it holds back: a command of a RUN, or what ENTRYPOINT, CMD, HEALTHCHECK, their scripts or the
sources start, is a program that the full variant has and the slim one has not, and the file does
not install; language packages are installed in the stage, which may compile; ONBUILD makes it a base
image for others.

Safety: review. Libraries that a copied binary loads are not looked at.",
};

impl Rule for SlimBase {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let Some((stage, image)) = cx.last_stage() else {
            return;
        };
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
        let onbuild = cx.model.instructions[stage.from..]
            .iter()
            .find(|it| it.keyword == Keyword::Onbuild);
        if let Some(it) = onbuild {
            return refuse(
                it.span,
                "ONBUILD makes this a base image for others: what they need of it is not known".into(),
                out,
            );
        }
        if runtime.cmd.is_none() && runtime.entrypoint.is_none() {
            return refuse(
                image.span,
                "it has no CMD and no ENTRYPOINT: what is needed at run time is not known".into(),
                out,
            );
        }
        let lacking = |at: Span, why: String, package: &str, out: &mut Proposals| {
            out.refusals.push(Refusal {
                rule: META.id,
                at,
                why,
                remedy: Some(format!(
                    "if it is needed, install `{package}` with apt-get in this stage, before it is used"
                )),
            });
        };
        let mut installed: Vec<&str> = Vec::new();
        let lacks = |command: &str, installed: &[&str]| -> Option<&'static str> {
            let package = commands::in_full(command, codename)?;
            let has = variants::provides(name, "slim", codename, command) == Some(true)
                || commands::in_slim(command, codename) == Some(true)
                || installed.contains(&package);
            (!has).then_some(package)
        };
        let mut ready = false;
        let mut added = Added::default();
        for (index, effect) in ledger.effects.iter().enumerate() {
            match &effect.what {
                What::Opaque(why) => {
                    return refuse(effect.span, format!("`{}`: {why}", short(&effect.text)), out);
                }
                What::AptInstall { packages, .. } => {
                    installed.extend(packages.iter().map(|p| p.name.as_str()));
                }
                What::NodeInstall { .. } if installs_ready(cx, index, ledger) => {
                    ready = true;
                    continue;
                }
                What::NodeInstall { .. } | What::PipInstall { .. } | What::PythonProject { .. } => {
                    return refuse(
                        effect.span,
                        format!("`{}` installs packages, which may compile with what only the full variant has", short(&effect.text)),
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
                && !added.before(ledger, index, package, format!("line {} runs `{program}`", effect.line))
            {
                return lacking(
                    effect.span,
                    format!("`{program}` is a program of the full variant (package {package})"),
                    package,
                    out,
                );
            }
        }
        let all = ledger.effects.len();
        if let Some(unseen) = runtime.unseen.first() {
            let range = cx.file.lines().range(unseen.line);
            return refuse(Span::new(range.start, range.end), unseen.why(), out);
        }
        if let Some((line, why)) = runtime.unknown.first() {
            let range = cx.file.lines().range(*line);
            return refuse(Span::new(range.start, range.end), why.clone(), out);
        }
        for demand in &runtime.demands {
            let Some(package) = lacks(&demand.command, &installed) else {
                continue;
            };
            let why = format!("{} runs `{}`", demand.via, demand.command);
            if !added.before(ledger, all, package, why) {
                let range = cx.file.lines().range(demand.line);
                return lacking(
                    Span::new(range.start, range.end),
                    format!("{} runs `{}`, a program of the full variant (package {package})", demand.via, demand.command),
                    package,
                    out,
                );
            }
        }
        let builds = stage.steps.iter().any(|step| {
            let it = cx.model.instructions[step.instruction];
            it.keyword == Keyword::Copy && it.flag("from").is_some()
        });
        let sources = cx.sources(codename);
        for (command, file) in sources.started() {
            let Some(package) = lacks(&command, &installed) else {
                continue;
            };
            if !added.before(ledger, all, package, format!("{file} starts `{command}`")) {
                return lacking(
                    image.span,
                    format!("{file} starts `{command}`, a program of the full variant"),
                    package,
                    out,
                );
            }
        }
        for (module, file) in sources.own_modules(name) {
            let package = module.debian;
            let why = format!("{file} loads {}", module.name);
            let has = installed.contains(&package);
            if !has && !added.before(ledger, all, package, why.clone()) {
                return lacking(
                    image.span,
                    format!("{why}, and the slim variant lacks its library"),
                    package,
                    out,
                );
            }
        }
        added.certificates(name, codename, &installed);
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
        let mut edits = vec![Edit::replace(span, text)];
        edits.extend(added.edit(ledger));
        let Ok(mut rewrite) = Rewrite::new(&META, title, image.span, edits) else {
            return;
        };
        rewrite.includes = &["pin-codename"];
        rewrite.because(format!(
            "{name}:{build_tag} and {name}:{slim} are the same version on Debian {codename}"
        ));
        if ready {
            rewrite.because("by the lock file, no package that is installed compiles or fetches a program");
        }
        for (package, why) in &added.packages {
            rewrite.because(format!("{package} is added, which the full variant has: {why}"));
        }
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

/// What the full variant has, the slim one lacks, and an install of the file's
/// own can bring as well.
#[derive(Default)]
struct Added {
    /// The packages, with who needs them.
    packages: Vec<(String, String)>,
    /// The effect that they are added to.
    install: Option<usize>,
}

impl Added {
    /// Adds a package to an install that always runs before that effect;
    /// whether there is one.
    fn before(&mut self, ledger: &Ledger, index: usize, package: &str, why: String) -> bool {
        if self.packages.iter().any(|(name, _)| name == package) {
            return true;
        }
        // Whatever changes the sources of packages may change what is had.
        let install = self.install.or_else(|| {
            ledger.effects.iter().position(|effect| {
                matches!(effect.what, What::AptInstall { .. })
                    && effect.direct
                    && matches!(effect.user.as_deref(), None | Some("root" | "0"))
            })
        });
        let Some(install) = install.filter(|install| *install < index) else {
            return false;
        };
        self.install = Some(install);
        self.packages.push((package.to_owned(), why));
        true
    }

    /// curl and its like need certificates, and only recommend them.
    fn certificates(&mut self, image: &str, codename: &str, installed: &[&str]) {
        let fetches = |(name, _): &(String, String)| {
            matches!(name.as_str(), "curl" | "git" | "openssl" | "wget")
        };
        let has = variants::has_ca_certificates(image, "slim", codename) == Some(true)
            || installed.contains(&"ca-certificates");
        if !has && self.packages.iter().any(fetches) {
            self.packages.push((
                "ca-certificates".to_owned(),
                "what fetches needs it, and only recommends it".to_owned(),
            ));
        }
    }

    fn edit(&self, ledger: &Ledger) -> Option<Edit> {
        let end = ledger.effects[self.install?].span.end as usize;
        let names = self.packages.iter().map(|(name, _)| name.as_str());
        let names: Vec<&str> = names.collect();
        Some(Edit::insert(end, format!(" {}", names.join(" "))))
    }
}

/// Whether an install of Node.js packages compiles nothing and fetches no
/// programs, by its lock file.
fn installs_ready(cx: &Context<'_>, index: usize, ledger: &Ledger) -> bool {
    let answer = musl::ask(&Question {
        model: cx.model,
        stage: cx.model.stages.len() - 1,
        ledger,
        files: cx.files,
        image: "node",
        python: None,
        processors: &[Processor::Amd64],
    });
    let own = answer.findings.iter().filter(|f| f.effect == Some(index));
    // Parts for other C libraries say nothing against glibc.
    answer.packages > 0 && own.into_iter().all(|f| f.signal.starts_with("npm.family."))
        && answer.doubts.is_empty()
}
