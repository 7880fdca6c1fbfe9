//! `multi-stage`: a single stage becomes a full-image build stage and a slim
//! final stage.

mod artifacts;
mod base;
mod beam;
mod bun;
mod compiled;
mod dotnet;
mod java;
mod node;
mod packages;
mod perl;
mod php;
mod python;
mod render;
mod ruby;
mod web;

use self::base::{Draft, Last};
use self::compiled::libraries_of;
use super::{Context, Fate, Meta, Proposals, Refusal, Rewrite, Rule, Safety, Verdict, short};
use crate::catalog::compiled::{Final, runs};
use crate::catalog::{self, Kind, bases};
use crate::model::effects::{Effect, Ledger, What, Write};
use crate::model::pins::{NotPinned, codename_pin, official};
use crate::image::Reference;
use crate::model::runtime::Runtime;
use crate::model::sources::Sources;
use crate::model::{ImageUse, Stage, below};
use crate::syntax::{Instruction, Keyword};
use crate::text::{Edit, Span};

pub struct MultiStage;

static META: Meta = Meta {
    id: "multi-stage",
    summary: "a single stage becomes a build stage and a slim final stage",
    best: Safety::Review,
    docs: "\
What it does: the stage that is there (in a file of several, the last one) becomes the build stage,
with its comments and instructions as they were; a final stage copies what was built, installs the
system packages that are needed at run time, and carries every runtime instruction in order. For
interpreted languages it is on the slim variant of the same version and release (PHP has none: there
it is the same image without headers and tools); for compiled ones on the bare distribution, of the
same release, and takes the programs that run and those files of the build context that aren't the
compiler's alone. Releases of Elixir and Erlang count as compiled, their projects as interpreted. Pages that
nothing but a file server of Node.js serves (`serve`, `http-server`, `vite preview`) go to nginx, on
the same port.

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
    ecosystem: &'static Ecosystem,
    /// The image and the tag that the build stage will have.
    image: String,
    tag: String,
    /// What variant of its image that is.
    kind: Kind,
    /// The family of the base distribution; empty where it is not known.
    family: &'static str,
    /// The codename of the base distribution, or its version where it has none.
    codename: &'static str,
    /// The image of the final stage.
    last: Last,
    /// The pages that it serves and nothing else, for nginx to serve.
    site: Option<web::Site>,
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

    fn templates(&self) -> Vec<(&'static str, &'static str)> {
        let rows = ECOSYSTEMS.iter();
        let rows = rows.map(|ecosystem| (ecosystem.name, ecosystem.template));
        rows.chain([("static", SITE_TEMPLATE)]).collect()
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let Some((stage, image)) = cx.last_stage() else {
            return;
        };
        let Some(settings) = image.settings() else {
            return;
        };
        let Some(ecosystem) = ecosystem(settings.ecosystem) else {
            return;
        };
        match propose(cx, stage, image, ecosystem, out.explains) {
            Ok(Some((rewrite, fates))) => {
                out.rewrites.push(rewrite);
                out.fates = fates;
            }
            Ok(None) => {}
            Err(Refused { at, why, remedy }) => {
                let from = cx.model.instructions[stage.from];
                let at = if at.is_empty() { from.code(cx.file.source()) } else { at };
                out.refusals.push(Refusal {
                    rule: META.id,
                    at,
                    why,
                    remedy,
                });
            }
        }
    }
}

/// How a stage of one ecosystem is split.
pub(super) struct Ecosystem {
    /// Its name in the table of base images.
    name: &'static str,
    /// The text of the final stage.
    template: &'static str,
    /// The image of the final stage.
    last: fn(&Draft<'_>) -> Result<Last, String>,
    /// Whether its programs may be file servers, which nginx can stand in for.
    serves: bool,
    /// What is particular to it.
    shape: fn(&Subject<'_, '_>, &Sources) -> Outcome<Shape>,
}

/// The ecosystems, by name.
static ECOSYSTEMS: [Ecosystem; 17] = [
    Ecosystem {
        name: "bun",
        template: include_str!("../../../templates/bun.Dockerfile"),
        last: bun::bun,
        serves: true,
        shape: bun::bun_shape,
    },
    Ecosystem {
        name: "dart",
        template: include_str!("../../../templates/compiled.Dockerfile"),
        last: base::distribution,
        serves: false,
        shape: compiled::dart,
    },
    Ecosystem {
        name: "deno",
        template: include_str!("../../../templates/deno.Dockerfile"),
        last: bun::deno,
        serves: false,
        shape: bun::deno_shape,
    },
    Ecosystem {
        name: "dotnet",
        template: include_str!("../../../templates/dotnet.Dockerfile"),
        last: dotnet::runtime,
        serves: false,
        shape: dotnet::shape,
    },
    Ecosystem {
        name: "elixir",
        template: include_str!("../../../templates/elixir.Dockerfile"),
        last: beam::last,
        serves: false,
        shape: beam::shape,
    },
    Ecosystem {
        name: "erlang",
        template: include_str!("../../../templates/elixir.Dockerfile"),
        last: beam::last,
        serves: false,
        shape: beam::shape,
    },
    Ecosystem {
        name: "go",
        template: include_str!("../../../templates/compiled.Dockerfile"),
        last: base::distribution,
        serves: false,
        shape: compiled::go,
    },
    Ecosystem {
        name: "haskell",
        template: include_str!("../../../templates/compiled.Dockerfile"),
        last: base::distribution,
        serves: false,
        shape: compiled::haskell,
    },
    Ecosystem {
        name: "java",
        template: include_str!("../../../templates/java.Dockerfile"),
        last: java::jre,
        serves: false,
        shape: java::shape,
    },
    Ecosystem {
        name: "native",
        template: include_str!("../../../templates/compiled.Dockerfile"),
        last: base::distribution,
        serves: false,
        shape: compiled::native,
    },
    Ecosystem {
        name: "node",
        template: include_str!("../../../templates/node.Dockerfile"),
        last: base::slim,
        serves: true,
        shape: node::shape,
    },
    Ecosystem {
        name: "perl",
        template: include_str!("../../../templates/perl.Dockerfile"),
        last: base::slim,
        serves: false,
        shape: perl::shape,
    },
    Ecosystem {
        name: "php",
        template: include_str!("../../../templates/php.Dockerfile"),
        last: base::same,
        serves: false,
        shape: php::shape,
    },
    Ecosystem {
        name: "python",
        template: include_str!("../../../templates/python.Dockerfile"),
        last: base::slim,
        serves: false,
        shape: python::shape,
    },
    Ecosystem {
        name: "ruby",
        template: include_str!("../../../templates/ruby.Dockerfile"),
        last: base::slim,
        serves: false,
        shape: ruby::shape,
    },
    Ecosystem {
        name: "rust",
        template: include_str!("../../../templates/compiled.Dockerfile"),
        last: base::distribution,
        serves: false,
        shape: compiled::rust,
    },
    Ecosystem {
        name: "swift",
        template: include_str!("../../../templates/compiled.Dockerfile"),
        last: base::slim,
        serves: false,
        shape: compiled::swift,
    },
];

/// The text of a final stage that serves pages.
const SITE_TEMPLATE: &str = include_str!("../../../templates/static.Dockerfile");

fn ecosystem(name: &str) -> Option<&'static Ecosystem> {
    ECOSYSTEMS.iter().find(|ecosystem| ecosystem.name == name)
}

fn propose(
    cx: &Context<'_>,
    stage: &Stage,
    image: &ImageUse,
    ecosystem: &'static Ecosystem,
    explains: bool,
) -> Outcome<Option<(Rewrite, Vec<Fate>)>> {
    let Ok(reference) = &image.reference else {
        return Ok(None);
    };
    let from = cx.model.instructions[stage.from];
    let refuse = |why: String| {
        Err(Refused {
            at: image.span,
            why,
            remedy: None,
        })
    };
    let name = reference.familiar_name();
    let official = official(reference);
    let tag = reference.effective_tag().unwrap_or("latest");
    let entry = match official {
        Some(_) => match catalog::lookup(&name, tag) {
            Some(entry) => Some(entry),
            None => return Ok(None),
        },
        None => None,
    };
    if reference.digest().is_some() {
        return refuse(
            "the base image is pinned to a digest: which smaller image belongs to it is not known offline".to_owned(),
        );
    }
    let base = match &entry {
        Some(entry) => entry.base,
        None if ecosystem.name == "dotnet" => catalog::dotnet::base(tag),
        None => None,
    };
    if official.is_some() && base.is_none() {
        return refuse(format!("which distribution {name}:{tag} is built on is not known"));
    }
    // The codename is pinned in both stages: they must not drift apart.
    let pinned = codename_pin(image);
    let build_tag = match &pinned {
        Ok(pin) => pin.pin.tag.clone(),
        Err(_) => tag.to_owned(),
    };
    let mut drifts = None;
    if let Err(NotPinned::Because(why)) = &pinned {
        // Where no tag of the image names its release, nothing can be pinned.
        let Err(none) = catalog::codename_tag(&name, tag) else {
            return refuse(format!("both stages must be of one release of the distribution: {why}"));
        };
        if entry.as_ref().is_some_and(|entry| entry.gone.is_none()) {
            drifts = Some(format!(
                "{name}:{tag} can't be pinned ({none}): when it moves to another release, the final stage has to follow"
            ));
        }
    }
    let draft = Draft {
        cx,
        image: &name,
        tag: &build_tag,
        entry: entry.as_ref(),
        base,
    };
    let (Some(ledger), Some(runtime)) = (cx.ledger(), cx.runtime()) else {
        return Ok(None);
    };
    // What only runs a program that others compiled is not split.
    if runs(ecosystem.name) == Final::Either && !compiled::compiles(ecosystem.name, ledger, runtime) {
        return Ok(None);
    }
    let last = match (ecosystem.last)(&draft) {
        Ok(last) => last,
        Err(why) => return refuse(why),
    };
    let mut subject = Subject {
        cx,
        stage,
        from,
        use_of: image,
        reference,
        ecosystem,
        image: name,
        tag: build_tag,
        kind: entry.as_ref().map_or(Kind::Full, |entry| entry.kind),
        family: base.map_or("", |base| base.family),
        codename: base.map_or("", |base| base.release),
        last,
        site: None,
        ledger,
        runtime,
    };
    if ecosystem.serves
        && let Some((site, last)) = web::site(&subject)
    {
        subject.site = Some(site);
        subject.last = last;
    }
    // Of several stages the last is a final one until something is built in it.
    let several = cx.model.stages.len() > 1;
    if several && !builds(&subject) {
        return Ok(None);
    }
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
    let (mut rewrite, fates) = match split(&subject, edits, explains)? {
        Some(split) => split,
        None if several => return Ok(None),
        None => {
            return refuse(format!(
                "{}:{} is the small image already, and nothing in it is for the build alone",
                subject.image, subject.tag
            ));
        }
    };
    if let Ok(pin) = pinned {
        for reason in pin.reasons {
            rewrite.because(reason);
        }
        for caveat in pin.caveats {
            rewrite.caveat(caveat);
        }
    }
    if let Some(doubt) = drifts {
        rewrite.caveat(doubt);
    }
    if let Some(doubt) = image.editable.doubt()
        && !rewrite.caveats().contains(&doubt)
    {
        rewrite.caveat(doubt);
    }
    Ok(Some((rewrite, fates)))
}

/// What an ecosystem contributes to the split.
#[derive(Default)]
pub(super) struct Shape {
    /// Commands at the end of the build stage, such as a prune.
    build_end: Vec<String>,
    /// All that is copied, where it isn't simply what the file writes.
    artifacts: Option<Vec<artifacts::Artifact>>,
    /// Paths copied besides those that the file writes itself.
    copies: Vec<String>,
    /// Paths that the file writes and nothing needs at run time.
    leaves: Vec<String>,
    /// Commands that the final stage runs once the files are there.
    after_copies: Vec<String>,
    /// Commands replayed in the final stage, by the index of their effect.
    replay: Vec<usize>,
    /// Libraries and tools that the language packages need at run time.
    needs: Vec<packages::Need>,
    /// What stays behind in the build stage, beside system packages.
    drops: Vec<String>,
    /// Variables of the final stage, `NAME=value`: what its image would set
    /// otherwise.
    settings: Vec<String>,
    /// Reasons.
    because: Vec<String>,
    /// Doubts.
    caveats: Vec<String>,
}

/// The split; none where the stage's image is the final one already and it
/// leaves nothing behind. The fates of the effects only where they are asked for.
fn split(
    subject: &Subject<'_, '_>,
    mut edits: Vec<Edit>,
    explains: bool,
) -> Outcome<Option<(Rewrite, Vec<Fate>)>> {
    if runs(subject.ecosystem.name) != Final::Tools {
        compiled::compiles_at_run_time(subject)?;
    }
    preconditions(subject)?;
    let runtime = subject.runtime;
    let sources = subject.cx.sources(subject.codename);
    let (mut shape, packages) = match &subject.site {
        Some(site) => (web::shape(subject, site), packages::Packages::default()),
        None => {
            if let Some((file, sign)) = sources.compiles() {
                return subject.refuse(
                    Span::default(),
                    format!("{file} compiles at run time (`{sign}`): the slim image has no compiler"),
                );
            }
            let shape = (subject.ecosystem.shape)(subject, sources)?;
            let packages = packages::sort(subject, &shape, sources)?;
            (shape, packages)
        }
    };
    let mut artifacts = match shape.artifacts.take() {
        Some(artifacts) => artifacts,
        None => artifacts::find(subject, &shape)?,
    };
    if artifacts.is_empty() {
        return subject.refuse(
            Span::default(),
            "nothing that is copied or built is found to take into a final stage",
        );
    }
    let same = subject.last.same_image && subject.last.tag == subject.tag;
    if same && packages.build_only == 0 && shape.build_end.is_empty() && shape.drops.is_empty() {
        // A full image may have no smaller one.
        if subject.kind == Kind::Full {
            return subject.refuse(
                Span::default(),
                format!(
                    "{}:{} has no smaller variant, and nothing in it is for the build alone: one stage is enough",
                    subject.image, subject.tag
                ),
            );
        }
        return Ok(None);
    }
    let moves = packages::move_to(subject, &packages)?;
    artifacts.extend(packages.files.iter().map(|path| {
        artifacts::Artifact::new((*path).to_owned(), false, String::new())
    }));
    // Keys of apt's sources are copied before the packages are installed.
    if let Some((_, paths)) = &packages.sources {
        artifacts.retain(|artifact| !paths.iter().any(|path| below(&artifact.path, path)));
    }
    edits.extend(render::edits(subject, &shape, &packages, &artifacts)?);
    let title = format!(
        "split into a build stage on {}:{} and a final stage on {}",
        subject.image,
        subject.tag,
        subject.last.name()
    );
    let at = subject.from.code(subject.cx.file.source());
    let mut rewrite = match Rewrite::new(&META, title, at, edits) {
        Ok(rewrite) => rewrite,
        Err(overlap) => return subject.refuse(at, format!("the edits clash: {overlap}")),
    };
    rewrite.includes = &["slim-base"];
    if subject.site.is_some() {
        rewrite.redefines = web::REDEFINED;
    }
    rewrite.because(subject.last.because.clone());
    if let Some(first) = runtime.demands.first().filter(|_| subject.site.is_none()) {
        let programs = runtime.demands.iter().map(|d| d.command.as_str());
        let programs: Vec<&str> = unique(programs.filter(|program| *program != "$"));
        rewrite.because(format!(
            "line {}: what runs is {}; each is in {} or taken along",
            first.line,
            programs.join(", "),
            subject.last.name()
        ));
    }
    for artifact in artifacts.iter().filter(|artifact| !artifact.reason.is_empty()) {
        rewrite.because(artifact.reason.clone());
    }
    for reason in packages.because.iter().chain(&shape.because) {
        rewrite.because(reason.clone());
    }
    for caveat in subject.last.caveats.iter().chain(&packages.caveats).chain(&shape.caveats) {
        if !rewrite.caveats().contains(caveat) {
            rewrite.caveat(caveat.clone());
        }
    }
    let unread = sources.caveats.clone().into_iter().filter(|_| subject.site.is_none());
    for caveat in moves.into_iter().chain(unread) {
        rewrite.caveat(caveat);
    }
    let fates = match explains {
        true => fates(subject, &shape, &packages, &artifacts),
        false => Vec::new(),
    };
    Ok(Some((rewrite, fates)))
}

/// What becomes of each effect.
fn fates(
    subject: &Subject<'_, '_>,
    shape: &Shape,
    packages: &packages::Packages,
    artifacts: &[artifacts::Artifact],
) -> Vec<Fate> {
    let fate = |(index, effect): (usize, &Effect)| {
        let (verdict, why) = match &effect.what {
            What::AptInstall { .. } | What::ApkAdd { .. } => {
                match packages.kept.iter().find(|(at, _)| *at == index) {
                    Some((_, names)) => (Verdict::Replayed, names.join(", ")),
                    None => (Verdict::LeftBehind, "for the build alone".to_owned()),
                }
            }
            What::Nothing | What::AptLists => (Verdict::Nothing, String::new()),
            _ if effect.what == What::Replay
                || shape.replay.contains(&index)
                || artifacts::replayed(subject, effect) =>
            {
                (Verdict::Replayed, String::new())
            }
            _ => {
                let taken: Vec<&str> = artifacts
                    .iter()
                    .filter(|a| effect.writes.iter().any(|w| artifacts::meets(w, a)))
                    .map(|a| a.path.as_str())
                    .collect();
                if taken.is_empty() {
                    (Verdict::LeftBehind, "nothing that runs needs it".to_owned())
                } else {
                    (Verdict::Copied, unique(taken.into_iter()).join(", "))
                }
            }
        };
        Fate {
            effect: index,
            verdict,
            why,
        }
    };
    subject.ledger.effects.iter().enumerate().map(fate).collect()
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

/// Whether anything is installed or built in the stage. Where its program comes
/// from another stage, packages of the system are what it runs with: they
/// alone make no stage that builds.
fn builds(subject: &Subject<'_, '_>) -> bool {
    let fed = !subject.stage.uses.is_empty();
    subject.ledger.effects.iter().any(|effect| {
        let keyword = subject.instruction(effect.instruction).keyword;
        keyword == Keyword::Run
            && match &effect.what {
                What::AptInstall { .. } => !fed,
                What::Writes => !artifacts::trivial(effect),
                What::Nothing | What::AptLists | What::Replay | What::AptSource => false,
                _ => true,
            }
    })
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
    let acts = |e: &Effect| !matches!(e.what, What::Nothing | What::AptLists);
    if !subject.ledger.effects.iter().any(acts) {
        return subject.refuse(Span::default(), "nothing is copied, installed or built in it");
    }
    if !builds(subject) {
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
    for unseen in &runtime.unseen {
        if !compiled::makes(subject, &unseen.path) && !fetched(subject, &unseen.path) {
            return subject.refuse(subject.line_span(unseen.line), unseen.why());
        }
    }
    if subject.site.is_none() {
        users(subject)?;
    }
    for effect in &subject.ledger.effects {
        if let What::Opaque(why) = &effect.what {
            return subject.refuse(effect.span, format!("`{}`: {why}", short(&effect.text)));
        }
    }
    Ok(())
}

/// Whether a RUN of an interpreted program may bring what is at a path: its
/// whole folder is copied, so what was there before is there after.
fn fetched(subject: &Subject<'_, '_>, path: &str) -> bool {
    let interpreted = matches!(runs(subject.ecosystem.name), Final::Interpreted | Final::Tools);
    let whole = interpreted
        && artifacts::workdirs(subject).iter().any(|dir| below(path, dir));
    let brings = |effect: &Effect| {
        let run = subject.instruction(effect.instruction).keyword == Keyword::Run;
        let covers = |write: &Write| write.path == path || (write.tree && below(path, &write.path));
        run && !artifacts::trivial(effect) && effect.writes.iter().any(covers)
    };
    whole && subject.ledger.effects.iter().any(brings)
}

/// Each user that USER or `--chown` names is in the slim image or made here.
fn users(subject: &Subject<'_, '_>) -> Outcome<()> {
    let model = subject.cx.model;
    let effects = &subject.ledger.effects;
    let given = |image: &str, name: &str| {
        bases::settings(image).is_some_and(|settings| settings.users().any(|user| user == name))
    };
    let known = |name: &str| {
        name.is_empty()
            || name.contains('$')
            || name.starts_with(|c: char| c.is_ascii_digit())
            || given(subject.family, name)
            || given(&subject.last.image, name)
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
                format!("the user {user} is not made in this file, and the final image has none of that name"),
            );
        }
    }
    Ok(())
}

/// A program of the project's own that runs is written by the file, not
/// mounted into the container.
fn written(subject: &Subject<'_, '_>) -> Outcome<()> {
    let end = subject.cx.model.state_after(subject.stage.index).workdir;
    for demand in &subject.runtime.demands {
        let full = crate::model::join(end.as_deref(), &demand.program).unwrap_or_default();
        if !demand.program.contains('/') || !matches!(artifacts::place(&full), artifacts::Place::App) {
            continue;
        }
        let covers = |w: &crate::model::effects::Write| {
            w.path == full || (w.tree && artifacts::below(&full, &w.path))
        };
        let effects = subject.ledger.effects.iter().filter(|effect| !artifacts::metadata(effect));
        if !effects.flat_map(|effect| &effect.writes).any(covers) {
            return subject.refuse(
                subject.line_span(demand.line),
                format!("{} runs {full}, and nothing in the file is seen to write it", demand.via),
            );
        }
    }
    Ok(())
}

/// The first names of many, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
