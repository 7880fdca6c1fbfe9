//! `multi-stage`: a single stage becomes a full-image build stage and a slim
//! final stage.

mod artifacts;
mod node;
mod packages;
mod python;
mod render;

use super::{Context, Meta, Proposals, Refusal, Rewrite, Rule, Safety};
use crate::catalog::{self, Kind};
use crate::model::effects::{Effect, Ledger, What};
use crate::model::pins::{NotPinned, Official, codename_pin, official};
use crate::model::runtime::Runtime;
use crate::image::Reference;
use crate::model::{Base, ImageUse, Stage};
use crate::syntax::{Instruction, Keyword};
use crate::text::{Edit, Span};

pub struct MultiStage;

static META: Meta = Meta {
    id: "multi-stage",
    summary: "a single stage becomes a build stage and a slim final stage",
    best: Safety::Review,
    docs: "\
What it does: the stage that is there becomes the build stage, on the full image, with its comments
and instructions as they were; a final stage on the slim variant of the same version and release
copies what was built, installs the system packages that are needed at run time, and carries every
runtime instruction in order.

Why: compilers, headers, package managers' caches and development dependencies are needed to build
an image and not to run it; Docker's documentation of the official images teaches this split.

When it holds back: it follows each instruction's effects and what ENTRYPOINT, CMD and HEALTHCHECK
demand at run time, through scripts of the build context. Where a path, a program, a library or a
user that is demanded can't be shown to be in the final stage, it says which and leaves the file
alone: no CMD, a development server, a program whose effects are not known.

Safety: review. That the built image answers the same is shown by building it.",
};

/// Why a split is not proposed.
pub(super) struct Refused {
    at: Span,
    why: String,
    remedy: Option<String>,
}

type Outcome<T> = Result<T, Refused>;

/// A stage that is looked at, with everything that is known of it.
pub(super) struct Subject<'c, 'a> {
    cx: &'c Context<'a>,
    stage: &'c Stage,
    from: &'a Instruction,
    /// The reference in FROM, and what it names.
    use_of: &'c ImageUse,
    reference: &'c Reference,
    /// The official image and the tag that the build stage will have.
    image: String,
    tag: String,
    /// The codename of the base distribution.
    codename: &'static str,
    /// The tag of the final stage.
    slim: String,
    ledger: &'c Ledger,
    runtime: &'c Runtime,
}

impl Subject<'_, '_> {
    fn instruction(&self, index: usize) -> &Instruction {
        self.cx.model.instructions[index]
    }

    fn refuse<T>(&self, at: Span, why: impl Into<String>) -> Outcome<T> {
        Err(Refused {
            at,
            why: why.into(),
            remedy: None,
        })
    }

    fn advise<T>(&self, at: Span, why: impl Into<String>, remedy: &str) -> Outcome<T> {
        Err(Refused {
            at,
            why: why.into(),
            remedy: Some(remedy.to_owned()),
        })
    }

    fn line_span(&self, line: usize) -> Span {
        let range = self.cx.file.lines().range(line);
        Span::new(range.start, range.end)
    }

    /// Whether a command is demanded at run time.
    fn demands(&self, command: &str) -> bool {
        self.runtime.demands.iter().any(|d| d.command == command)
    }
}

impl Rule for MultiStage {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let [stage] = cx.model.stages.as_slice() else {
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
        if !matches!(name, "node" | "python") {
            return;
        }
        let from = cx.model.instructions[stage.from];
        let from_span = from.code(cx.file.source());
        let Some(entry) = catalog::lookup(name, tag) else {
            return;
        };
        if entry.kind != Kind::Full {
            return;
        }
        let refuse = |at: Span, why: String, remedy: Option<String>, out: &mut Proposals| {
            out.refusals.push(Refusal {
                rule: META.id,
                at,
                why,
                remedy,
            });
        };
        if reference.digest().is_some() {
            let why = "the base image is pinned to a digest: which slim image belongs to it is not known offline";
            return refuse(image.span, why.to_owned(), None, out);
        }
        let Some(base) = entry.base.filter(|base| base.family == "debian") else {
            return refuse(
                image.span,
                format!("{name}:{tag} is not known to be built on Debian"),
                None,
                out,
            );
        };
        // The codename is pinned in both stages: they must not drift apart.
        let pinned = codename_pin(image);
        let build_tag = match &pinned {
            Ok(pin) => pin.pin.tag.clone(),
            Err(_) => tag.to_owned(),
        };
        if let Err(NotPinned::Because(why)) = &pinned {
            let why = format!("both stages must be of one release of Debian: {why}");
            return refuse(image.span, why, None, out);
        }
        let slim = match catalog::slim_tag(name, &build_tag) {
            Ok(slim) => slim,
            Err(why) => {
                let why = format!("there is no slim image for {name}:{build_tag}: {why}");
                return refuse(image.span, why, None, out);
            }
        };
        let (Some(ledger), Some(runtime)) = (cx.ledger(), cx.runtime()) else {
            return;
        };
        let subject = Subject {
            cx,
            stage,
            from,
            use_of: image,
            reference,
            image: name.to_owned(),
            tag: build_tag,
            codename: base.release,
            slim,
            ledger,
            runtime,
        };
        // Where nothing is pinned, the reference is claimed as it is: no other
        // rewrite may put another image there.
        let mut edits = Vec::new();
        match (&pinned, image.editable.span()) {
            (Ok(pin), _) => edits.push(pin.edit.clone()),
            (Err(_), Some(span)) => {
                let text = String::from_utf8_lossy(span.of(cx.file.source()));
                edits.push(Edit::replace(span, text.as_ref()));
            }
            (Err(_), None) => {}
        }
        match split(&subject, edits) {
            Ok(mut rewrite) => {
                if let Ok(pin) = pinned {
                    rewrite.because(pin.proof);
                    for caveat in pin.caveats {
                        rewrite.caveat(caveat);
                    }
                }
                if let Some(doubt) = image.editable.doubt()
                    && !rewrite.caveats().contains(&doubt)
                {
                    rewrite.caveat(doubt);
                }
                out.rewrites.push(rewrite);
            }
            Err(Refused { at, why, remedy }) => {
                let at = if at.is_empty() { from_span } else { at };
                refuse(at, why, remedy, out);
            }
        }
    }
}

/// What an ecosystem contributes to the split.
#[derive(Default)]
pub(super) struct Shape {
    /// Commands at the end of the build stage, such as a prune.
    build_end: Vec<String>,
    /// Paths copied besides those that the file writes itself.
    copies: Vec<String>,
    /// Commands replayed in the final stage, by the index of their effect.
    replay: Vec<usize>,
    /// Libraries and tools that the language packages need at run time.
    needs: Vec<packages::Need>,
    /// Reasons.
    because: Vec<String>,
    /// Doubts.
    caveats: Vec<String>,
}

fn split(subject: &Subject<'_, '_>, mut edits: Vec<Edit>) -> Outcome<Rewrite> {
    preconditions(subject)?;
    let runtime = subject.runtime;
    let sources = subject.cx.sources(subject.codename);
    if let Some((file, sign)) = sources.compiles() {
        return subject.refuse(
            Span::default(),
            format!("{file} compiles at run time (`{sign}`): the slim image has no compiler"),
        );
    }
    let shape = match subject.image.as_str() {
        "node" => node::shape(subject, sources)?,
        _ => python::shape(subject, sources)?,
    };
    let packages = packages::sort(subject, &shape, sources)?;
    let artifacts = artifacts::find(subject, &shape)?;
    if artifacts.is_empty() {
        return subject.refuse(
            Span::default(),
            "nothing that is copied or built is found to take into a final stage",
        );
    }
    edits.extend(render::edits(subject, &shape, &packages, &artifacts)?);
    let title = format!(
        "split into a build stage on {0}:{1} and a final stage on {0}:{2}",
        subject.image, subject.tag, subject.slim
    );
    let at = subject.from.code(subject.cx.file.source());
    let mut rewrite = match Rewrite::new(&META, title, at, edits) {
        Ok(rewrite) => rewrite,
        Err(overlap) => return subject.refuse(at, format!("the edits clash: {overlap}")),
    };
    rewrite.includes = &["slim-base"];
    rewrite.because(format!(
        "{0}:{1} and {0}:{2} are the same version on Debian {3}: the same interpreter, C library and paths",
        subject.image, subject.tag, subject.slim, subject.codename
    ));
    if let Some(first) = runtime.demands.first() {
        let programs: Vec<&str> = unique(runtime.demands.iter().map(|d| d.command.as_str()));
        rewrite.because(format!(
            "line {}: what runs is {}; each is in the slim image or taken along",
            first.line,
            programs.join(", ")
        ));
    }
    for artifact in &artifacts {
        rewrite.because(artifact.reason.clone());
    }
    for reason in packages.because.iter().chain(&shape.because) {
        rewrite.because(reason.clone());
    }
    for caveat in packages.caveats.iter().chain(&shape.caveats) {
        rewrite.caveat(caveat.clone());
    }
    for caveat in sources.caveats.clone() {
        rewrite.caveat(caveat);
    }
    Ok(rewrite)
}

fn unique<'s>(items: impl Iterator<Item = &'s str>) -> Vec<&'s str> {
    let mut out: Vec<&str> = Vec::new();
    for item in items {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

/// Obligations that are the same for every ecosystem.
fn preconditions(subject: &Subject<'_, '_>) -> Outcome<()> {
    let runtime = subject.runtime;
    let model = subject.cx.model;
    for step in &subject.stage.steps {
        let instruction = model.instructions[step.instruction];
        let span = instruction.code(subject.cx.file.source());
        if instruction.keyword == Keyword::Onbuild {
            return subject.refuse(
                span,
                "ONBUILD makes this a base image for others: what they need of it is not known",
            );
        }
    }
    let builds = |e: &Effect| !matches!(e.what, What::Nothing | What::AptLists);
    if !subject.ledger.effects.iter().any(builds) {
        return subject.refuse(Span::default(), "nothing is copied, installed or built in it");
    }
    let installs = |e: &Effect| {
        let keyword = subject.instruction(e.instruction).keyword;
        keyword == Keyword::Run
            && match &e.what {
                What::Writes => !artifacts::trivial(e),
                What::Nothing | What::AptLists | What::Replay | What::AptSource => false,
                _ => true,
            }
    };
    if !subject.ledger.effects.iter().any(installs) {
        return subject.refuse(
            Span::default(),
            "nothing is installed or built in it: one stage is enough",
        );
    }
    if runtime.cmd.is_none() && runtime.entrypoint.is_none() {
        return subject.advise(
            Span::default(),
            "it has no CMD and no ENTRYPOINT: what is needed at run time is not known",
            "state the command that runs in the container",
        );
    }
    let copies = |e: &Effect| {
        let keyword = subject.instruction(e.instruction).keyword;
        matches!(keyword, Keyword::Copy | Keyword::Add)
            || e.text.contains("git clone")
    };
    let installs_alone = !subject.ledger.effects.iter().any(copies);
    if installs_alone
        && !subject
            .ledger
            .effects
            .iter()
            .any(|e| matches!(e.what, What::PipInstall { .. } | What::NodeInstall { .. }))
    {
        return subject.refuse(
            Span::default(),
            "no COPY or ADD brings the program in: it is mounted or fetched at run time",
        );
    }
    if installs_alone {
        return subject.refuse(
            Span::default(),
            "no COPY or ADD brings the program in: the tools in it may need anything of the full image",
        );
    }
    if let Some((demand, why)) = runtime.development_server() {
        return subject.advise(
            subject.line_span(demand.line),
            format!(
                "{} runs `{} {}`: {why}, with development dependencies and sources",
                demand.via,
                demand.command,
                demand.args.join(" ")
            ),
            "give production its own command",
        );
    }
    let develops = runtime.demands.iter().find(|d| {
        matches!(d.command.as_str(), "npm" | "yarn" | "pnpm" | "bun")
            && d.args
                .iter()
                .any(|a| matches!(a.as_str(), "dev" | "develop" | "watch" | "start:dev" | "serve:dev"))
    });
    if let Some(demand) = develops {
        return subject.advise(
            subject.line_span(demand.line),
            format!(
                "{} runs `{} {}`, a script for development",
                demand.via,
                demand.command,
                demand.args.join(" ")
            ),
            "give production its own command",
        );
    }
    if let Some(demand) = runtime.demands.iter().find(|d| {
        d.via == "CMD" && matches!(d.command.as_str(), "bash" | "sh") && d.args.is_empty()
            && runtime.entrypoint.is_none()
    }) {
        return subject.refuse(
            subject.line_span(demand.line),
            format!("CMD is a shell ({}): what is needed in it is not known", demand.command),
        );
    }
    if let Some((line, why)) = runtime.unknown.first() {
        return subject.refuse(subject.line_span(*line), why.clone());
    }
    users(subject)?;
    for effect in &subject.ledger.effects {
        if let What::Opaque(why) = &effect.what {
            return subject.refuse(effect.span, format!("`{}`: {why}", short(&effect.text)));
        }
    }
    Ok(())
}

/// The users of Debian's base images, as its base-passwd package has them.
const DEBIAN_USERS: [&str; 19] = [
    "_apt", "backup", "bin", "daemon", "games", "gnats", "irc", "list", "lp", "mail", "man", "news",
    "nobody", "proxy", "root", "sync", "sys", "uucp", "www-data",
];

/// Each user that USER or `--chown` names is in the slim image or made here.
fn users(subject: &Subject<'_, '_>) -> Outcome<()> {
    let model = subject.cx.model;
    let effects = &subject.ledger.effects;
    let known = |name: &str| {
        name.is_empty()
            || name.contains('$')
            || name.starts_with(|c: char| c.is_ascii_digit())
            || DEBIAN_USERS.contains(&name)
            || (subject.image == "node" && name == "node")
            || effects.iter().any(|e| {
                e.what == What::Replay
                    && e.text.split_whitespace().any(|word| word.trim_matches(['"', '\'']) == name)
            })
    };
    for step in &subject.stage.steps {
        let it = model.instructions[step.instruction];
        let source = subject.cx.file.source();
        let named = match it.keyword {
            Keyword::User => model
                .resolve(subject.stage.index, step, &it.args_text(source))
                .ok(),
            Keyword::Copy | Keyword::Add => {
                it.flag("chown").and_then(|flag| flag.value()).map(str::to_owned)
            }
            _ => None,
        };
        let Some(named) = named else { continue };
        let user = named.split(':').next().unwrap_or_default();
        if !known(user) {
            return subject.refuse(
                it.code(source),
                format!("the user {user} is not made in this file, and the slim image has none of that name"),
            );
        }
    }
    Ok(())
}

/// A command's text in one short line.
fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(70) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
