//! .NET: the SDK's image publishes; the image of ASP.NET Core, of the runtime,
//! or of what a self-contained program needs runs what was published.

use super::artifacts::{self, Artifact, below};
use super::base::{Draft, Last};
use super::compiled::{self, add, compiles_it, need, writer};
use super::{Outcome, Shape, Subject};
use crate::catalog::dotnet;
use crate::facts::{Files, Known};
use crate::model::join;
use crate::model::sources::Sources;
use crate::rules::Context;

/// Projects are looked for in so many folders.
const MAX_FOLDERS: usize = 200;

/// The runtime's image of the same version, by what the projects ask for.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn runtime(draft: &Draft<'_>) -> Result<Last, String> {
    let home = draft.image.strip_suffix("sdk").unwrap_or(draft.image);
    let Some((version, variant)) = dotnet::version(draft.tag) else {
        return Err(format!(
            "{}:{} names no released version: which runtime belongs to it is not known",
            draft.image, draft.tag
        ));
    };
    let mut caveats = Vec::new();
    let projects = projects(draft.cx.files);
    let (name, why) = if self_contained(draft.cx, &projects) {
        ("runtime-deps", "what is published has the runtime in it")
    } else if projects.is_empty() {
        ("aspnet", "no project file is seen, and ASP.NET Core's image has what the plain runtime's has")
    } else if projects.iter().any(|text| is_web(text)) {
        ("aspnet", "a project uses ASP.NET Core")
    } else {
        if projects.iter().any(|text| text.contains("PackageReference")) {
            caveats.push("a package may ask for ASP.NET Core by itself, which the plain runtime's image lacks".to_owned());
        }
        ("runtime", "no project uses ASP.NET Core")
    };
    let image = format!("{home}{name}");
    let tag = format!("{version}{variant}");
    caveats.push(format!(
        "the tags of Microsoft's registry are not in the catalogue: that {image}:{tag} exists is not checked"
    ));
    Ok(Last {
        because: format!("{image}:{tag} is the runtime of {}:{}: {why}", draft.image, draft.tag),
        image,
        tag,
        same_image: false,
        caveats,
        variant: ("", ""),
        brings: if name == "runtime-deps" { &[] } else { &["dotnet"] },
    })
}

/// Whether a project asks for ASP.NET Core.
fn is_web(project: &str) -> bool {
    project.contains("Microsoft.NET.Sdk.Web") || project.contains("AspNetCore")
}

/// The texts of the project files of the build context.
fn projects(files: &dyn Files) -> Vec<String> {
    let mut out = Vec::new();
    let mut folders = vec![String::new()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        seen += 1;
        let Known::Yes(entries) = files.list(&folder) else { continue };
        for (name, is_folder) in entries {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let other = name.starts_with('.') || name.ends_with("Tests") || name.ends_with(".Test");
            if is_folder && seen < MAX_FOLDERS && !other && !matches!(name.as_str(), "bin" | "obj" | "test" | "tests" | "node_modules") {
                folders.push(path);
            } else if !is_folder && [".csproj", ".fsproj", ".vbproj"].iter().any(|end| name.ends_with(end)) {
                out.extend(files.text(&path).yes());
            }
        }
    }
    out
}

/// Whether the runtime is published along, by the command or the project.
fn self_contained(cx: &Context<'_>, projects: &[String]) -> bool {
    let effects = cx.ledger().map(|ledger| ledger.effects.as_slice()).unwrap_or_default();
    let said = |text: &str| {
        let text = text.to_lowercase().replace(' ', "");
        text.contains("<selfcontained>true") || text.contains("<publishaot>true")
    };
    let mut told = projects.iter().any(|text| said(text));
    for effect in effects.iter().filter(|effect| effect.program.as_deref() == Some("dotnet")) {
        let words: Vec<&str> = effect.args.iter().flatten().map(String::as_str).collect();
        for (at, word) in words.iter().enumerate() {
            match *word {
                "--no-self-contained" | "--self-contained=false" | "-p:SelfContained=false" => told = false,
                "--self-contained" | "--sc" => told = words.get(at + 1) != Some(&"false"),
                "--self-contained=true" | "-p:SelfContained=true" | "/p:SelfContained=true" => told = true,
                _ => {}
            }
        }
    }
    told
}

pub(super) fn shape(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    let certificates = subject.ledger.effects.iter().find(|effect| {
        effect.program.as_deref() == Some("dotnet")
            && effect.args.iter().flatten().any(|arg| arg == "dev-certs")
    });
    if let Some(effect) = certificates {
        return subject.refuse(
            effect.span,
            "`dotnet dev-certs` makes a certificate for development, in a folder that is not copied",
        );
    }
    let end = subject.cx.model.state_after(subject.stage.index).workdir;
    let end = end.unwrap_or_else(|| "/".to_owned());
    let programs = programs(subject, &end)?;
    let published = |path: &str| programs.iter().any(|(folder, _)| below(path, folder));
    // Beside what is published, a program reads what lies where it starts.
    let mut shape = compiled::common_of(subject, &|path| below(path, &end) && !published(&end))?;
    let mut found: Vec<Artifact> = shape.artifacts.take().unwrap_or_default();
    for (folder, why) in programs {
        add(&mut found, folder, true, why);
    }
    for artifact in &mut found {
        artifacts::owners(subject, artifact);
    }
    shape.artifacts = Some(found);
    listens(subject, &mut shape);
    if subject.family == "alpine" {
        globalizes(subject, &mut shape);
    }
    Ok(shape)
}

/// The folders of the programs that run.
fn programs(subject: &Subject<'_, '_>, end: &str) -> Outcome<Vec<(String, String)>> {
    let mut out = Vec::new();
    for demand in &subject.runtime.demands {
        let mut args = demand.args.iter();
        let program = if demand.command == "dotnet" {
            args.find(|arg| arg.ends_with(".dll"))
        } else if demand.program.contains('/') {
            Some(&demand.program)
        } else {
            None
        };
        let Some(path) = program.and_then(|program| join(Some(end), program)) else { continue };
        let at = subject.line_span(demand.line);
        let Some((effect, exact)) = writer(subject, &path) else {
            if demand.command == "dotnet" {
                return subject.refuse(
                    at,
                    format!("{} runs {path}, and nothing in the file is seen to write it", demand.via),
                );
            }
            continue;
        };
        if !compiles_it(subject, effect) || exact {
            continue;
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if folder.is_empty() {
            return subject.advise(
                at,
                "the program lies in the root folder, among the base image's own files",
                "publish it to a folder of its own, such as /app",
            );
        }
        out.push((
            folder.to_owned(),
            format!(
                "line {}: {folder} is copied: {} runs {name} in it, and `{}` makes it",
                effect.line,
                demand.via,
                super::short(&effect.text)
            ),
        ));
    }
    Ok(out)
}

/// The runtime's images set a port that the SDK's unsets: the program goes on
/// listening where it did.
fn listens(subject: &Subject<'_, '_>, shape: &mut Shape) {
    let text = String::from_utf8_lossy(subject.cx.file.source());
    let named = ["ASPNETCORE_URLS", "ASPNETCORE_HTTP_PORTS", "--urls"];
    let projects = projects(subject.cx.files);
    let serves = projects.is_empty() || projects.iter().any(|text| is_web(text));
    if named.iter().any(|name| text.contains(name)) || !serves {
        return;
    }
    let major = subject.tag.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let name = if major.is_some_and(|major| major < 8) {
        "ASPNETCORE_URLS"
    } else {
        "ASPNETCORE_HTTP_PORTS"
    };
    shape.settings.push(format!("{name}="));
    shape.because.push(format!(
        "{name} is empty in {}:{} and not in {}: it is kept empty, so that the program listens where it did",
        subject.image,
        subject.tag,
        subject.last.name()
    ));
}

/// On Alpine, the SDK's image has the data of languages and regions, and the
/// runtime's images do without.
fn globalizes(subject: &Subject<'_, '_>, shape: &mut Shape) {
    let by = "a program that formats dates or compares text by language";
    need(shape, "icu-libs", by);
    need(shape, "tzdata", by);
    let major = subject.tag.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 8) {
        need(shape, "icu-data-full", by);
    }
    shape.settings.push("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=false".to_owned());
}
