//! `jre-base`: a stage that only runs Java on the runtime instead of the kit.

use super::{Context, Meta, Proposals, Refusal, Rewrite, Rule, Safety};
use crate::catalog::{Kind, commands, compiled, java, lookup, variants};
use crate::model::effects::What;
use crate::model::pins::{Official, codename_pin, official};
use crate::model::ImageUse;
use crate::text::{Edit, Span};

pub struct JreBase;

static META: Meta = Meta {
    id: "jre-base",
    summary: "a final stage that only runs Java moves from the development kit to the runtime",
    best: Safety::Review,
    docs: "\
What it does: the only stage, or the last one, moves from an image with a Java development kit to one
with the runtime of the same version alone: of the same image where it has one (on its slim variant,
where that is there), else Eclipse Temurin's.

Why: compiler, debugger and their libraries are most of a development kit, and a program that is
compiled needs none of them.

When it holds back: something is compiled in the stage or when it starts; a program of the kit is
run, or a source uses the compiler or the debugger; the file names paths inside of the Java
installation; there is no runtime image of that version.

Safety: review. Jars are not looked into: one that loads the compiler or a library of the full
distribution would miss it. A change of vendor or of distribution is said.",
};

impl Rule for JreBase {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let Some((_, image)) = cx.last_stage() else {
            return;
        };
        if image.settings().is_none_or(|settings| settings.ecosystem != "java") {
            return;
        }
        match swap(cx, image) {
            Ok(Some(rewrite)) => out.rewrites.push(rewrite),
            Ok(None) => {}
            Err((at, why)) => out.refusals.push(Refusal {
                rule: META.id,
                at: at.unwrap_or(image.span),
                why,
                remedy: None,
            }),
        }
    }
}

type Refused = (Option<Span>, String);

fn swap(cx: &Context<'_>, image: &ImageUse) -> Result<Option<Rewrite>, Refused> {
    let Ok(reference) = &image.reference else {
        return Ok(None);
    };
    let (Some(Official { image: name, tag }), Some(span)) = (official(reference), image.editable.span()) else {
        return Ok(None);
    };
    let (Some(ledger), Some(runtime)) = (cx.ledger(), cx.runtime()) else {
        return Ok(None);
    };
    let Some(entry) = lookup(name, tag).filter(|_| reference.digest().is_none()) else {
        return Ok(None);
    };
    let compiler = |program: &str| compiled::is_compiler("java", program);
    let builds = ledger.effects.iter().any(|effect| effect.program.as_deref().is_some_and(compiler))
        || runtime.demands.iter().any(|demand| compiler(&demand.command));
    if builds || tag.split('-').any(|word| word == "jre") {
        return Ok(None);
    }
    if runtime.cmd.is_none() && runtime.entrypoint.is_none() {
        let why = "it has no CMD and no ENTRYPOINT: what is needed at run time is not known";
        return Err((None, why.to_owned()));
    }
    let pinned = codename_pin(image).map_or_else(|_| tag.to_owned(), |pin| pin.pin.tag);
    let last = java::runtime(name, &pinned, true).map_err(|why| (None, why))?;
    let release = entry.base.map_or("", |base| base.release);
    let moved = last.base.is_none_or(|base| base.release != release);
    let kind = match (last.image.as_str(), last.kind) {
        ("eclipse-temurin", Kind::Alpine) => "jre-alpine",
        ("eclipse-temurin", _) => "jre",
        (_, kind) => kind.as_str(),
    };
    let sources = cx.sources(release);
    let mut packages: Vec<&str> = Vec::new();
    for effect in &ledger.effects {
        match &effect.what {
            What::Opaque(why) => {
                return Err((Some(effect.span), format!("`{}`: {why}", effect.text.trim())));
            }
            What::AptInstall { packages: names, .. } | What::ApkAdd { packages: names, .. } => {
                packages.extend(names.iter().map(|package| package.name.as_str()));
                let bound = |word: &str| word.starts_with("lib") || word.contains(['=', '/']);
                if let Some(package) = names.iter().find(|package| moved && bound(&package.word)) {
                    let why = format!("it installs {} of {release}, and {}:{} is on another release", package.word, last.image, last.tag);
                    return Err((Some(effect.span), why));
                }
            }
            _ => {}
        }
    }
    let lacks = |command: &str| -> Option<String> {
        if java::is_kit_tool(command) {
            return Some("a program of the development kit".to_owned());
        }
        let has = variants::provides(&last.image, kind, release, command);
        let gone = commands::in_full(command, release).or((has == Some(false)).then_some(command))?;
        let there = has == Some(true)
            || commands::in_slim(command, release) == Some(true)
            || packages.contains(&gone);
        (!there).then(|| format!("which {}:{} has not (package {gone})", last.image, last.tag))
    };
    for effect in &ledger.effects {
        if let Some(why) = effect.program.as_deref().and_then(lacks) {
            let program = effect.program.as_deref().unwrap_or_default();
            return Err((Some(effect.span), format!("a RUN runs `{program}`, {why}")));
        }
    }
    let line = |line: usize| {
        let range = cx.file.lines().range(line);
        Some(Span::new(range.start, range.end))
    };
    if let Some(unseen) = runtime.unseen.first() {
        return Err((line(unseen.line), unseen.why()));
    }
    if let Some((at, why)) = runtime.unknown.first() {
        return Err((line(*at), why.clone()));
    }
    for demand in &runtime.demands {
        if let Some(why) = lacks(&demand.command) {
            return Err((line(demand.line), format!("{} runs `{}`, {why}", demand.via, demand.command)));
        }
        let source = demand.args.iter().any(|arg| arg.ends_with(".java"));
        if demand.command == "java" && source {
            let why = format!("{} runs a source file, which is compiled when the container starts", demand.via);
            return Err((line(demand.line), why));
        }
    }
    let own = sources.started().find_map(|(command, file)| Some((lacks(&command)?, command, file)));
    if let Some((why, command, file)) = own {
        return Err((None, format!("{file} starts `{command}`, {why}")));
    }
    if let Some((file, sign, what)) = java::kit_interfaces()
        .find_map(|(sign, what)| Some((sources.mentions(sign)?, sign, what)))
    {
        return Err((None, format!("{file} has `{sign}` ({what}), which only the development kit has")));
    }
    let drawn = java::font_users().find_map(|(sign, _)| Some((sources.mentions(sign)?, sign)));
    if let Some((file, sign)) = drawn.filter(|_| last.kind == Kind::Slim) {
        return Err((None, format!("{file} has `{sign}`, and {}:{} has no library that draws text", last.image, last.tag)));
    }
    let source = cx.file.source();
    for step in cx.model.stages.last().iter().flat_map(|stage| &stage.steps) {
        let at = cx.model.instructions[step.instruction].code(source);
        let text = String::from_utf8_lossy(at.of(source));
        if let Some(path) = java::inside_installation(&text) {
            return Err((Some(at), format!("it names a path inside of the Java installation (`{path}`), which another image has elsewhere")));
        }
    }
    let whole = reference.as_str();
    let before = whole[..reference.name_range().end].strip_suffix(name).unwrap_or_default();
    let text = image
        .editable
        .written(&format!("{before}{}:{}", last.image, last.tag))
        .map_err(|why| (None, format!("it can't be written here: {why}")))?;
    let new = format!("{}:{}", last.image, last.tag);
    let title = format!("move the final stage from {name}:{tag} to {new}");
    let Ok(mut rewrite) = Rewrite::new(&META, title, image.span, vec![Edit::replace(span, text)]) else {
        return Ok(None);
    };
    rewrite.includes = &["pin-codename", "slim-base"];
    rewrite.because(format!("{new} is the runtime of the same version, without the development kit"));
    rewrite.because("nothing is compiled in the stage, and nothing that runs in it is a program of the kit");
    for doubt in last.differs {
        rewrite.caveat(doubt);
    }
    if moved && !packages.is_empty() {
        rewrite.caveat(format!("{} come from another distribution", packages.join(", ")));
    }
    if let Some(doubt) = image.editable.doubt() {
        rewrite.caveat(doubt);
    }
    rewrite.caveat("jars are not looked into: one that loads the compiler, or a library of the system, would miss it");
    for caveat in sources.caveats.clone() {
        rewrite.caveat(caveat);
    }
    Ok(Some(rewrite))
}
