//! Which stages move: the last one, those that it is built on, and those that
//! it copies compiled things from.

use super::{Context, NO_SIGNAL, Obstacle, Outcome, asked};
use crate::catalog::{self, Kind, NoSibling, alpine, bases};
use crate::model::musl::Processor;
use crate::model::pins::{NotPinned, Official, codename_pin, official};
use crate::model::{Base, ImageUse};
use crate::syntax::Keyword;
use crate::text::{Edit, Span};

/// A stage that moves.
pub(super) struct Moved<'m> {
    pub stage: usize,
    pub image: &'m str,
    pub tag: &'m str,
    /// Its reference in the file.
    pub at: Span,
    /// The tag of Alpine.
    pub alpine: String,
    /// How the catalogue names the variant.
    pub kind: String,
    /// The release of Alpine, where it is known.
    pub release: Option<&'static str>,
    /// The Debian release that it leaves.
    pub codename: &'static str,
    pub edit: Edit,
    pub doubt: Option<String>,
}

impl Moved<'_> {
    /// The numbers of the version that the tag tells.
    pub fn version(&self) -> (Option<u32>, Option<u32>) {
        let head = self.tag.split('-').next().unwrap_or_default();
        let mut numbers = head.split('.').map(str::parse::<u32>);
        let mut next = || numbers.next().and_then(Result::ok);
        (next(), next())
    }
}

/// The stages that move together, the last one first.
pub(super) struct Chain<'m> {
    pub moved: Vec<Moved<'m>>,
    pub caveats: Vec<String>,
    /// Whether Alpine was asked for.
    pub asked: bool,
}

/// The stages that would move; `None` when the rule has nothing to say.
pub(super) fn of<'m>(cx: &'m Context<'_>) -> Option<Outcome<Chain<'m>>> {
    let last = cx.model.stages.len().checked_sub(1)?;
    let image = cx.model.base_image(last)?;
    let reference = image.reference.as_ref().ok()?;
    let Official { image: name, tag } = official(reference)?;
    let entry = catalog::lookup(name, tag)?;
    if !matches!(entry.kind, Kind::Full | Kind::Slim) || on_alpine(&entry) {
        return None;
    }
    let asked = asked(cx);
    if !asked && !unasked(cx, name, tag) {
        return None;
    }
    let sibling = catalog::alpine_tag(name, tag);
    if let Err(NoSibling::NoneOfImage) = sibling
        && !asked
    {
        return None;
    }
    Some(collect(cx, last, asked))
}

/// Whether a file that nobody asked Alpine for is one for it: its image has no
/// slim variant or runtime alone, and it is not for a split to decide.
fn unasked(cx: &Context<'_>, image: &str, tag: &str) -> bool {
    let none = |found: Result<String, NoSibling>| matches!(found, Err(NoSibling::NoneOfImage));
    let server = bases::settings(image).is_none();
    none(catalog::slim_tag(image, tag))
        && none(catalog::runtime_tag(image, tag))
        && (server || cx.model.stages.len() == 1)
}

fn collect<'m>(cx: &'m Context<'_>, last: usize, asked: bool) -> Outcome<Chain<'m>> {
    let model = cx.model;
    let mut chain = Chain {
        moved: Vec::new(),
        caveats: Vec::new(),
        asked,
    };
    let final_ecosystem = ecosystem(cx, last);
    let mut todo = vec![(last, true)];
    let mut seen = vec![last];
    while let Some((stage, needed)) = todo.pop() {
        match model.stages[stage].base {
            Base::Scratch => continue,
            Base::Stage(earlier) => {
                if !seen.contains(&earlier) {
                    seen.push(earlier);
                    todo.push((earlier, needed));
                }
            }
            Base::Image(image) => {
                let image = &model.images[image];
                match moved(stage, image)? {
                    Some(moved) => {
                        if let Some(doubt) = &moved.doubt {
                            chain.caveats.push(doubt.clone());
                        }
                        chain.moved.push(moved);
                    }
                    None if is_musl(image) => {}
                    None => {
                        return Err(Obstacle::new(
                            image.span,
                            "sys.binary",
                            format!(
                                "the stage on {} is not known to be built for musl, and the image takes files from it",
                                image.written
                            ),
                        ));
                    }
                }
            }
        }
        // What is copied from other stages and images.
        for step in &model.stages[stage].steps {
            let it = model.instructions[step.instruction];
            let from = (it.keyword == Keyword::Copy)
                .then(|| it.flag("from"))
                .flatten()
                .and_then(|flag| flag.value());
            let Some(from) = from else { continue };
            match stage_named(cx, stage, from) {
                Some(other) if !seen.contains(&other) => {
                    match carries(cx, other, final_ecosystem) {
                        Carries::Nothing(why) => chain.caveats.extend(why),
                        Carries::Programs => {
                            seen.push(other);
                            todo.push((other, true));
                        }
                    }
                }
                Some(_) => {}
                None => from_image(cx, it.span, from)?,
            }
        }
    }
    Ok(chain)
}

fn stage_named(cx: &Context<'_>, current: usize, text: &str) -> Option<usize> {
    let lower = text.to_lowercase();
    let stages = &cx.model.stages[..current];
    let named = stages
        .iter()
        .rposition(|stage| stage.name.as_deref() == Some(&lower));
    named.or_else(|| text.parse().ok().filter(|&index: &usize| index < current))
}

fn ecosystem(cx: &Context<'_>, stage: usize) -> Option<&'static str> {
    let image = cx.model.base_image(stage)?;
    let reference = image.reference.as_ref().ok()?;
    let name = reference.official()?;
    bases::settings(name).map(|settings| settings.ecosystem)
}

/// What a stage hands to one that copies from it.
enum Carries {
    /// Nothing that a C library matters to, with a doubt.
    Nothing(Option<String>),
    /// Programs or libraries.
    Programs,
}

fn carries(cx: &Context<'_>, stage: usize, to: Option<&'static str>) -> Carries {
    let from = ecosystem(cx, stage);
    let source = cx.model.file.source();
    match (from, to) {
        // An image without Node.js can only serve what Node.js built.
        (Some("node"), to) if to != Some("node") => Carries::Nothing(Some(
            "what the Node.js stage hands over is taken for files that are served, not programs".to_owned(),
        )),
        (Some("java"), Some("java")) => Carries::Nothing(None),
        (Some("php"), Some("php")) => {
            let composer = cx
                .model
                .base_image(stage)
                .and_then(|image| image.reference.as_ref().ok()?.official())
                == Some("composer");
            if composer { Carries::Nothing(None) } else { Carries::Programs }
        }
        (Some("go"), _) => {
            let stage = &cx.model.stages[stage];
            let off = stage.steps.iter().any(|step| {
                let span = cx.model.instructions[step.instruction].span;
                let text = String::from_utf8_lossy(span.of(source)).into_owned();
                text.contains("CGO_ENABLED=0") || text.contains("CGO_ENABLED 0")
            });
            if off { Carries::Nothing(None) } else { Carries::Programs }
        }
        _ => Carries::Programs,
    }
}

/// Whether an image is built on Alpine whatever its tag says.
fn on_alpine(entry: &catalog::Entry) -> bool {
    entry.base.is_some_and(|base| base.family == "alpine")
}

/// Whether an image is known to be built on musl.
fn is_musl(image: &ImageUse) -> bool {
    let Ok(reference) = &image.reference else {
        return false;
    };
    let Some(Official { image, tag }) = official(reference) else {
        return reference.tag().is_some_and(|tag| tag.contains("alpine"));
    };
    image == "alpine"
        || catalog::lookup(image, tag)
            .is_some_and(|entry| entry.kind == Kind::Alpine || on_alpine(&entry))
}

/// `COPY --from=IMAGE`
fn from_image(cx: &Context<'_>, at: Span, text: &str) -> Outcome<()> {
    let image = cx.model.images.iter().find(|image| image.written == text);
    let known = image.is_some_and(|image| {
        let name = image
            .reference
            .as_ref()
            .map(|r| r.official().map_or_else(|| bare(r.as_str()), str::to_owned));
        is_musl(image) || name.is_ok_and(|name| alpine::static_image(&name).is_some())
    });
    if known {
        return Ok(());
    }
    Err(Obstacle::new(
        at,
        "sys.binary",
        format!("it copies from {text}, and whether that runs on musl is not known"),
    ))
}

/// A reference without tag and digest.
fn bare(reference: &str) -> String {
    let name = reference.split('@').next().unwrap_or(reference);
    let slash = name.rfind('/').unwrap_or(0);
    match name[slash..].rfind(':') {
        Some(colon) => name[..slash + colon].to_owned(),
        None => name.to_owned(),
    }
}

/// How a stage's image moves; `None` when it is no Debian image that could.
fn moved(stage: usize, image: &ImageUse) -> Outcome<Option<Moved<'_>>> {
    let Ok(reference) = &image.reference else {
        return Ok(None);
    };
    let Some(Official { image: name, tag }) = official(reference) else {
        return Ok(None);
    };
    let Some(entry) = catalog::lookup(name, tag) else {
        return Ok(None);
    };
    if !matches!(entry.kind, Kind::Full | Kind::Slim) || on_alpine(&entry) {
        return Ok(None);
    }
    let obstacle = |why: String| Obstacle::new(image.span, NO_SIGNAL, why);
    if reference.digest().is_some() {
        return Err(obstacle("its image is pinned to a digest, and that of another one is not known".into()));
    }
    if matches!(name, "postgres") {
        return Err(Obstacle::new(
            image.span,
            "sys.locale",
            "musl sorts text in another order, which breaks the indexes of data that is there",
        ));
    }
    let pinned = match codename_pin(image) {
        Ok(pin) => pin.pin.tag,
        Err(NotPinned::Fine | NotPinned::Because(_)) => tag.to_owned(),
    };
    let plain = catalog::alpine_tag(name, &pinned)
        .map_err(|none| obstacle(format!("{name}:{tag} has no Alpine variant: {none}")))?;
    let alpine = match catalog::codename_tag(name, &plain) {
        Ok(pin) => pin.tag,
        Err(_) => plain,
    };
    let base = catalog::lookup(name, &alpine).and_then(|entry| entry.base);
    let end = reference.name_range().end;
    let text = format!("{}:{alpine}", &reference.as_str()[..end]);
    let (span, text) = match (image.editable.span(), image.editable.written(&text)) {
        (Some(span), Ok(text)) => (span, text),
        (_, written) => {
            let why = written.err().unwrap_or_default();
            return Err(obstacle(format!("{name}:{alpine} can't be written here: {why}")));
        }
    };
    let kind = if name == "eclipse-temurin" {
        let runtime = alpine.split('-').any(|token| token == "jre");
        if runtime { "jre-alpine" } else { "jdk-alpine" }
    } else {
        "alpine"
    };
    Ok(Some(Moved {
        stage,
        image: name,
        tag,
        at: image.span,
        kind: kind.to_owned(),
        release: base.map(|base| base.release),
        codename: entry
            .base
            .filter(|base| base.family == "debian")
            .map_or("bookworm", |base| base.release),
        edit: Edit::replace(span, text),
        doubt: image.editable.doubt(),
        alpine,
    }))
}

/// The processors that a stage is built for, as far as its FROM says.
pub(super) fn processors(cx: &Context<'_>, stage: usize) -> Vec<Processor> {
    let from = cx.model.instructions[cx.model.stages[stage].from];
    let platform = from.flag("platform").and_then(|flag| flag.value());
    let all = [Processor::Amd64, Processor::Arm64];
    match platform {
        Some(text) if !text.contains('$') => all
            .into_iter()
            .filter(|p| text.split('/').any(|part| part == p.name()))
            .collect(),
        _ => all.to_vec(),
    }
}
