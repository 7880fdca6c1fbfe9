//! Java: Maven's, Gradle's and sbt's images, and development kits with a build
//! tool, before a runtime. What runs is a jar, a folder of them, or what a
//! start script of the build starts.

use super::artifacts::{self, Artifact, below};
use super::base::{Draft, Last, title};
use super::compiled::{self, add, compiles_it, need, writer};
use super::{Outcome, Shape, Subject};
use crate::catalog::{Kind, java, variants};
use crate::facts::Known;
use crate::model::effects::What;
use crate::model::join;
use crate::model::runtime::Demand;
use crate::model::sources::Sources;
use crate::text::Span;

/// Options of `java` whose value is the next word.
const VALUED: [&str; 11] = [
    "--add-exports", "--add-modules", "--add-opens", "--add-reads", "--class-path",
    "--limit-modules", "--module-path", "--upgrade-module-path", "-classpath", "-cp", "-p",
];
/// Those among them whose value is a list of paths.
const PATHS: [&str; 6] = [
    "--class-path", "--module-path", "--upgrade-module-path", "-classpath", "-cp", "-p",
];

/// The runtime of the same version: of the same image, or Eclipse Temurin's.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn jre(draft: &Draft<'_>) -> Result<Last, String> {
    let found = java::runtime(draft.image, draft.tag, true)?;
    let variant = match (found.image.as_str(), found.kind) {
        ("eclipse-temurin", Kind::Alpine) => "jre-alpine",
        ("eclipse-temurin", _) => "jre",
        (_, kind) => kind.as_str(),
    };
    let on = found
        .base
        .map_or_else(String::new, |base| format!(", on {} {}", title(base.family), base.release));
    Ok(Last {
        same_image: found.image == draft.image,
        because: format!(
            "{}:{} is the runtime of the Java that {}:{} compiles with{on}",
            found.image, found.tag, draft.image, draft.tag
        ),
        variant: (variants::image(&found.image).unwrap_or(""), variant),
        image: found.image,
        tag: found.tag,
        caveats: found.differs,
        brings: &["java", "keytool"],
    })
}

pub(super) fn shape(subject: &Subject<'_, '_>, sources: &Sources) -> Outcome<Shape> {
    for demand in &subject.runtime.demands {
        if java::is_kit_tool(&demand.command) {
            return subject.refuse(
                subject.line_span(demand.line),
                format!(
                    "{} runs `{}`, a program of the development kit that the runtime has not",
                    demand.via, demand.command
                ),
            );
        }
    }
    for (sign, what) in java::kit_interfaces() {
        if let Some(file) = sources.mentions(sign) {
            return subject.refuse(
                Span::default(),
                format!("{file} has `{sign}` ({what}), which only the development kit has"),
            );
        }
    }
    for effect in &subject.ledger.effects {
        let inside = java::inside_installation(&effect.text).is_some();
        if effect.what == What::Replay && inside {
            return subject.refuse(
                effect.span,
                format!(
                    "`{}` changes files of the Java installation, which lies elsewhere in {}",
                    super::short(&effect.text),
                    subject.last.name()
                ),
            );
        }
    }
    let mut shape = compiled::common(subject)?;
    let mut found = shape.artifacts.take().unwrap_or_default();
    start_scripts(subject, &mut found);
    for demand in subject.runtime.demands.iter().filter(|demand| demand.command == "java") {
        run(subject, demand, &mut found, &mut shape)?;
    }
    if sources.mentions("\"src/main/").is_some() {
        let end = end(subject);
        let folder = join(Some(&end), "src/main").unwrap_or_default();
        if writer(subject, &folder).is_some() {
            let why = format!("{folder} is copied: the sources name files in it");
            add(&mut found, folder, true, why);
        }
    }
    for artifact in &mut found {
        artifacts::owners(subject, artifact);
    }
    shape.artifacts = Some(found);
    fonts(subject, sources, &mut shape);
    Ok(shape)
}

/// Where what runs starts.
fn end(subject: &Subject<'_, '_>) -> String {
    let state = subject.cx.model.state_after(subject.stage.index);
    state.workdir.unwrap_or_else(|| "/".to_owned())
}

/// A start script in a folder `bin` that the build makes runs with what lies
/// beside that folder.
fn start_scripts(subject: &Subject<'_, '_>, found: &mut Vec<Artifact>) {
    let scripts: Vec<String> = found
        .iter()
        .filter(|artifact| !artifact.folder && artifact.target.is_none())
        .map(|artifact| artifact.path.clone())
        .collect();
    for script in scripts {
        let made = writer(subject, &script)
            .is_some_and(|(effect, exact)| !exact && compiles_it(subject, effect));
        let Some((folder, _)) = script.rsplit_once('/') else { continue };
        let Some(home) = folder.strip_suffix("/bin").filter(|_| made) else { continue };
        let why = format!("{home} is copied: {script} starts what lies beside it");
        add(found, home.to_owned(), true, why);
    }
}

/// What one `java …` needs: the jar, the class path, files that its arguments
/// name.
fn run(
    subject: &Subject<'_, '_>,
    demand: &Demand,
    found: &mut Vec<Artifact>,
    shape: &mut Shape,
) -> Outcome<()> {
    let at = subject.line_span(demand.line);
    let mut words = demand.args.iter();
    let mut settled = false;
    let mut main = false;
    while let Some(word) = words.next() {
        if main {
            argument(subject, word, found);
            continue;
        }
        if word == "-jar" {
            let Some(jar) = words.next() else { break };
            run_jar(subject, demand, jar, found, shape)?;
            (settled, main) = (true, true);
        } else if matches!(word.as_str(), "-m" | "--module") {
            words.next();
            main = true;
        } else if VALUED.contains(&word.as_str()) {
            let Some(value) = words.next() else { break };
            if PATHS.contains(&word.as_str()) {
                settled = true;
                for entry in value.split(':') {
                    class_path(subject, entry, at, &demand.via, found)?;
                }
            }
        } else if let Some(list) = PATHS.iter().find_map(|option| word.strip_prefix(option)?.strip_prefix('=')) {
            settled = true;
            for entry in list.split(':') {
                class_path(subject, entry, at, &demand.via, found)?;
            }
        } else if let Some(agent) = word.strip_prefix("-javaagent:") {
            class_path(subject, agent.split('=').next().unwrap_or(agent), at, &demand.via, found)?;
        } else if word.starts_with('-') || word.starts_with('@') {
            argument(subject, word, found);
        } else if word.is_empty() || word.contains('$') {
            // Options in a variable.
        } else if word.ends_with(".java") {
            return subject.advise(
                at,
                format!("{} runs `java {word}`, which compiles the source when the container starts", demand.via),
                "compile it with javac in the file, and run the class",
            );
        } else {
            main = true;
        }
    }
    if !settled {
        // Without a class path, classes are looked for where it starts.
        class_path(subject, ".", at, &demand.via, found)?;
    }
    Ok(())
}

/// An entry of the class path or of the module path.
fn class_path(
    subject: &Subject<'_, '_>,
    entry: &str,
    at: Span,
    via: &str,
    found: &mut Vec<Artifact>,
) -> Outcome<()> {
    let named = entry.trim_end_matches('*').trim_end_matches('/');
    if entry.is_empty() {
        return Ok(());
    }
    if entry.contains('$') {
        return subject.refuse(at, format!("{via} runs classes of {entry}, and where that is is not known"));
    }
    let Some(path) = join(Some(&end(subject)), if named.is_empty() { "." } else { named }) else {
        return Ok(());
    };
    if path == "/" {
        return subject.advise(
            at,
            format!("{via} runs classes that lie in the root folder, among the base image's own files"),
            "set a WORKDIR such as /app before the first COPY",
        );
    }
    if writer(subject, &path).is_none() && !holds(subject, &path) {
        return subject.refuse(
            at,
            format!("{via} runs classes of {path}, and nothing in the file is seen to write it"),
        );
    }
    let archive = [".jar", ".war", ".zip"].iter().any(|ending| path.ends_with(ending));
    let why = format!("{path} is copied: {via} runs classes of it");
    add(found, path, !archive, why);
    Ok(())
}

/// Whether something in the file writes below a folder.
fn holds(subject: &Subject<'_, '_>, folder: &str) -> bool {
    let mut effects = subject.ledger.effects.iter();
    effects.any(|effect| effect.writes.iter().any(|write| below(&write.path, folder)))
}

/// A file that another argument names, where the file is seen.
fn argument(subject: &Subject<'_, '_>, word: &str, found: &mut Vec<Artifact>) {
    let value = match word.split_once('=') {
        Some((_, value)) => value,
        None => word.strip_prefix('@').unwrap_or(word),
    };
    for part in value.split([',', ';']) {
        let part = part.strip_prefix("optional:").unwrap_or(part);
        let part = part.strip_prefix("file:").unwrap_or(part);
        if part.is_empty() || part.contains("://") || part.contains('$') {
            continue;
        }
        let Some(path) = join(Some(&end(subject)), part) else { continue };
        let Some(context) = subject.ledger.copied.context_path(&path) else { continue };
        let folder = match subject.cx.files.list(&context) {
            Known::Yes(_) => true,
            _ if subject.cx.files.text(&context).yes().is_some() => false,
            _ => continue,
        };
        let why = format!("{path} is copied: an argument of what runs names it");
        add(found, path, folder, why);
    }
}

/// The jar that runs, or the folder that it lies in where what it depends on
/// may lie beside it.
fn run_jar(
    subject: &Subject<'_, '_>,
    demand: &Demand,
    jar: &str,
    found: &mut Vec<Artifact>,
    shape: &mut Shape,
) -> Outcome<()> {
    let at = subject.line_span(demand.line);
    let via = &demand.via;
    if jar.contains('$') {
        return subject.refuse(at, format!("which jar {via} runs is not known: its name is in a variable"));
    }
    let Some(path) = join(Some(&end(subject)), jar) else {
        return subject.refuse(at, format!("where {jar}, which {via} runs, lies is not known"));
    };
    let Some((folder, name)) = path.rsplit_once('/') else {
        return Ok(());
    };
    let pattern = name.contains(['*', '?', '[']);
    if pattern && exec_form(subject, jar) || folder.contains(['*', '?', '[']) {
        return subject.advise(
            at,
            format!("{via} runs the jar {jar}: no shell is there to find the files of that pattern"),
            "write the jar's name, or copy it to a name of its own in a RUN",
        );
    }
    let made = writer(subject, if pattern { folder } else { &path });
    let Some((effect, exact)) = made else {
        return subject.refuse(
            at,
            format!("{via} runs {path}, and nothing in the file is seen to write it"),
        );
    };
    let by_build = compiles_it(subject, effect);
    let whole = bundled(subject, folder);
    // Beside what the build makes may lie what it depends on.
    let covered = found.iter().any(|artifact| artifact.folder && below(&path, &artifact.path));
    if by_build && !exact && whole.is_none() && !covered && !holds_sources(subject, folder) {
        shape.caveats.push(format!(
            "whether {name} holds what it depends on is not seen in the build's own files, so {folder} is copied whole"
        ));
        let why = format!("{folder} is copied: {via} runs {name} in it, and what that depends on may lie beside it");
        add(found, folder.to_owned(), true, why);
        return Ok(());
    }
    let mut why = format!("line {}: {path} is copied: {via} runs it, and `{}` makes it", effect.line, super::short(&effect.text));
    if let Some(whole) = whole.filter(|_| by_build) {
        why = format!("{why}; {whole}");
    }
    if pattern {
        let target = Some(format!("{}/", folder.trim_end_matches('/')));
        if !covered {
            found.push(Artifact {
                target,
                ..Artifact::new(path.clone(), false, why)
            });
        }
    } else {
        add(found, path.clone(), false, why);
    }
    Ok(())
}

/// Whether sources were copied to a folder or below it.
fn holds_sources(subject: &Subject<'_, '_>, folder: &str) -> bool {
    subject.ledger.copied.rows().any(|(to, ..)| below(to, folder))
}

/// Whether an ENTRYPOINT or CMD in the JSON form has that very word.
fn exec_form(subject: &Subject<'_, '_>, word: &str) -> bool {
    let runtime = subject.runtime;
    let mut indices = [runtime.entrypoint, runtime.cmd].into_iter().flatten();
    indices.any(|index| {
        let words = subject.instruction(index).json.as_ref();
        words.is_some_and(|words| words.iter().any(|item| item.value == word))
    })
}

/// Why the jars of a folder hold what they depend on: the build file of the
/// project that it belongs to, or of one around that, says so.
fn bundled(subject: &Subject<'_, '_>, folder: &str) -> Option<&'static str> {
    const FILES: [&str; 4] = ["pom.xml", "build.gradle", "build.gradle.kts", "build.sbt"];
    const MORE: [&str; 1] = ["project/plugins.sbt"];
    let mut folder = folder;
    while let Some((above, _)) = folder.rsplit_once('/') {
        for file in FILES.iter().chain(&MORE) {
            let path = format!("{folder}/{file}");
            let Some(context) = subject.ledger.copied.context_path(&path) else { continue };
            let Some(text) = subject.cx.files.text(&context).yes() else { continue };
            if let Some(why) = java::bundles(file, &text) {
                return Some(why);
            }
        }
        folder = above;
    }
    None
}

/// The libraries that draw text, where something is seen to.
fn fonts(subject: &Subject<'_, '_>, sources: &Sources, shape: &mut Shape) {
    if subject.family != "debian" {
        return;
    }
    let root = subject.cx.files;
    for (sign, what) in java::font_users() {
        let build = ["pom.xml", "build.gradle", "build.gradle.kts"]
            .into_iter()
            .find(|file| root.text(file).yes().is_some_and(|text| text.contains(sign)));
        let Some(file) = sources.mentions(sign).or(build) else { continue };
        for package in ["fontconfig", "libfreetype6"] {
            need(shape, package, &format!("`{sign}` in {file} ({what})"));
        }
        return;
    }
}
