//! Signals of Node.js: what the lock file says of each package, and the table.

use std::collections::HashMap;

use super::{
    Answer, Finding, Format, Lock, Package, Processor, Question, Verdict, alpine, by_table, entry,
    locks,
};
use crate::catalog::programs;
use crate::model::effects::NodeTool;

/// Packages that find or build a compiled part of the one that depends on them.
const BUILDERS: [&str; 14] = [
    "@mapbox/node-pre-gyp",
    "bindings",
    "cmake-js",
    "nan",
    "napi-build-utils",
    "node-addon-api",
    "node-gyp",
    "node-gyp-build",
    "node-gyp-build-optional-packages",
    "node-pre-gyp",
    "pkg-prebuilds",
    "prebuild-install",
    "prebuildify",
    "require-addon",
];

pub(super) fn install(
    question: &Question<'_, '_>,
    effect: usize,
    tool: NodeTool,
    global: Option<&[String]>,
    production: bool,
    answer: &mut Answer,
) {
    if let Some(packages) = global {
        for package in packages {
            one_global(question, effect, package, answer);
        }
        return;
    }
    let folders = question.folders(question.effect(effect));
    let names: &[&str] = match tool {
        NodeTool::Npm => &["npm-shrinkwrap.json", "package-lock.json"],
        NodeTool::Yarn => &["yarn.lock"],
        NodeTool::Pnpm => &["pnpm-lock.yaml"],
        NodeTool::Bun => &["bun.lock"],
    };
    if let Some((path, text)) = question.find(&folders, names) {
        let lock = match tool {
            NodeTool::Npm => locks::npm(&text),
            NodeTool::Yarn => locks::yarn(&text),
            NodeTool::Pnpm => locks::pnpm(&text),
            NodeTool::Bun => locks::bun(&text),
        };
        match lock {
            Ok(lock) => judge(question, effect, &lock, &path, production, answer),
            Err(why) => answer.findings.push(question.finding(
                effect,
                "npm.lock.v1",
                Verdict::Unknown,
                path,
                format!("it can't be read: {why}"),
            )),
        }
        return;
    }
    // Without a lock file only a project without dependencies is known.
    let manifest = question.find(&folders, &["package.json"]);
    let value = manifest
        .as_ref()
        .and_then(|(_, text)| serde_json::from_str::<serde_json::Value>(text).ok());
    let lists = ["dependencies", "optionalDependencies", "devDependencies"];
    let empty = value.is_some_and(|value| {
        lists.iter().all(|key| {
            value[*key]
                .as_object()
                .is_none_or(serde_json::Map::is_empty)
        }) && value["workspaces"].is_null()
    });
    if !empty {
        answer.findings.push(question.finding(
            effect,
            "npm.installscript.unknown",
            Verdict::Unknown,
            format!("no {} in the build context", names[names.len() - 1]),
            "which packages are installed, and in which versions, is not known without it",
        ));
    }
}

fn one_global(question: &Question<'_, '_>, effect: usize, spec: &str, answer: &mut Answer) {
    let skip = usize::from(spec.starts_with('@'));
    let (name, version) = match spec[skip..].find('@') {
        Some(at) => (&spec[..skip + at], &spec[skip + at + 1..]),
        None => (spec, ""),
    };
    let package = Package {
        name: name.to_owned(),
        version: version.trim_start_matches(['^', '~', '=']).to_owned(),
        ..Package::default()
    };
    answer.packages += 1;
    let line = format!("line {}", question.effect(effect).line);
    if matches!(name, "npm" | "yarn" | "pnpm" | "corepack") {
        return;
    }
    match alpine::musl("npm", name, &package.version, locks::older) {
        Some(musl) => {
            let found = by_table(question, effect, "npm", musl, &package, &line);
            answer.findings.extend(found);
        }
        None if programs::tool_commands(name).next().is_some() => {}
        None => answer.findings.push(question.finding(
            effect,
            "npm.installscript.unknown",
            Verdict::Unknown,
            entry(&package, &line),
            "what it brings along is not known",
        )),
    }
}

/// Judges a lock file.
pub(super) fn judge(
    question: &Question<'_, '_>,
    effect: usize,
    lock: &Lock,
    path: &str,
    production: bool,
    answer: &mut Answer,
) {
    let mut by_name: HashMap<&str, Vec<&Package>> = HashMap::new();
    for package in &lock.packages {
        by_name.entry(&package.name).or_default().push(package);
    }
    for package in &lock.packages {
        if production && package.dev {
            continue;
        }
        answer.packages += 1;
        let found = one(question, effect, lock, package, &by_name, path);
        answer.findings.extend(found);
    }
    if matches!(lock.format, Format::YarnClassic | Format::Bun) || lock.format == Format::Npm(1) {
        answer.doubt(format!(
            "{path} does not say which packages run install scripts: those are known by name and by what they depend on"
        ));
    }
}

/// A package that is one platform's part of another.
fn is_platform_part(package: &Package) -> bool {
    !package.os.is_empty() || !package.cpu.is_empty() || !package.libc.is_empty()
}

fn one(
    question: &Question<'_, '_>,
    effect: usize,
    lock: &Lock,
    package: &Package,
    by_name: &HashMap<&str, Vec<&Package>>,
    path: &str,
) -> Option<Finding> {
    let linux = |p: &Processor| package.fits("linux", p.npm());
    if is_platform_part(package) {
        // Parts are judged with their parent. One that is asked for directly
        // and is for glibc alone is not had on musl.
        let glibc_only =
            package.libc.iter().any(|l| l == "glibc") && !package.libc.iter().any(|l| l == "musl");
        let fits = question.processors.iter().any(linux);
        if package.optional || !fits || !glibc_only || parent_of(lock, &package.name) {
            return None;
        }
        return Some(question.finding(
            effect,
            "npm.family.glibc",
            Verdict::Blocker,
            entry(package, path),
            "it is for glibc alone, and not optional",
        ));
    }
    if let Some(musl) = alpine::musl("npm", &package.name, &package.version, locks::older)
        && musl.signal != "npm.family.musl"
    {
        return by_table(question, effect, "npm", musl, package, path);
    }
    if let Some(found) = family(question, effect, package, by_name, path) {
        return found;
    }
    if alpine::musl("npm", &package.name, &package.version, locks::older).is_some() {
        return None;
    }
    let builder = package
        .needs
        .iter()
        .chain(&package.optional_needs)
        .find(|need| BUILDERS.contains(&need.as_str()));
    match (package.script, builder) {
        // Libraries for building, and wrappers of them, that build nothing
        // themselves.
        _ if BUILDERS.contains(&package.name.as_str()) => None,
        (Some(false), None) | (None, None) => None,
        (Some(false), Some(builder)) => {
            let loads = matches!(
                builder.as_str(),
                "bindings" | "require-addon" | "node-gyp-build"
            );
            loads.then(|| {
                question.finding(
                    effect,
                    "npm.installscript.unknown",
                    Verdict::Unknown,
                    entry(package, path),
                    format!("it loads a compiled part by {builder}, and for which systems that is made is not known"),
                )
            })
        }
        (_, Some(builder)) => {
            let mut found = question.finding(
                effect,
                "npm.compile",
                Verdict::Needs,
                entry(package, path),
                format!("it is compiled when it is installed, by {builder}"),
            );
            match alpine::libraries("npm", &package.name) {
                Some(Ok(libraries)) => {
                    found.runtime = libraries.runtime;
                    found.build = libraries.build;
                }
                Some(Err(_)) => found.verdict = Verdict::Blocker,
                None if package.optional => {}
                // Which libraries its sources want is not known.
                None => {
                    found.verdict = Verdict::Unknown;
                    found
                        .why
                        .push_str(", and which libraries it needs is not known");
                }
            }
            for tool in super::build_tools("npm") {
                if !found.build.contains(tool) {
                    found.build.push(tool);
                }
            }
            // What can be done without is not worth a compiler.
            (!package.optional).then_some(found)
        }
        (Some(true), None) if package.optional => None,
        (Some(true), None) => Some(question.finding(
            effect,
            "npm.installscript.unknown",
            Verdict::Unknown,
            entry(package, path),
            "it runs a script when it is installed, and what that fetches or builds is not known",
        )),
    }
}

/// Whether a package of the lock names this one as a part that it can do
/// without.
fn parent_of(lock: &Lock, name: &str) -> bool {
    let mut packages = lock.packages.iter();
    packages.any(|p| p.optional_needs.iter().any(|n| n == name))
}

/// Judges a package by the platform packages that it can have: `None` when it
/// has none, else its finding, if there is one.
#[allow(clippy::option_option)]
fn family(
    question: &Question<'_, '_>,
    effect: usize,
    package: &Package,
    by_name: &HashMap<&str, Vec<&Package>>,
    path: &str,
) -> Option<Option<Finding>> {
    let parts: Vec<&str> = package
        .optional_needs
        .iter()
        .map(String::as_str)
        .filter(|name| name.contains("linux"))
        .collect();
    if parts.is_empty() {
        return None;
    }
    let wasm = package.optional_needs.iter().any(|n| n.contains("wasm"));
    let musl = |name: &&&str| name.contains("musl");
    for processor in question.processors {
        let is_for = |name: &&&str| {
            by_name.get(**name).map_or_else(
                || names_processor(name, *processor),
                |found| {
                    found
                        .iter()
                        .any(|p| p.cpu.is_empty() || p.fits("linux", processor.npm()))
                },
            )
        };
        let all: Vec<&&str> = parts.iter().filter(is_for).collect();
        if all.is_empty() {
            // Not built for this processor at all, on glibc neither.
            continue;
        }
        let of_musl: Vec<&&&str> = all.iter().filter(|name| musl(name)).collect();
        if of_musl.is_empty() {
            let libc: Vec<&str> = all
                .iter()
                .filter_map(|name| by_name.get(**name))
                .flatten()
                .flat_map(|p| p.libc.iter().map(String::as_str))
                .collect();
            if libc.contains(&"musl") || wasm {
                continue;
            }
            let (verdict, why) = if libc.contains(&"glibc") {
                (Verdict::Blocker, "its parts for Linux are for glibc alone")
            } else {
                (
                    Verdict::Unknown,
                    "whether its parts for Linux run on musl is not told",
                )
            };
            let why = format!("{why} ({}, {})", all[0], processor.name());
            return Some(Some(question.finding(
                effect,
                "npm.family.glibc",
                verdict,
                entry(package, path),
                why,
            )));
        }
        // npm can leave the parts of other systems out of a lock file, and
        // then doesn't install them there.
        if !of_musl.iter().any(|name| by_name.contains_key(**name)) {
            return Some(Some(question.finding(
                effect,
                "npm.family.musl.lockgap",
                Verdict::Blocker,
                entry(package, path),
                format!(
                    "{path} has no entry for {}, so it is not installed on {} with musl",
                    of_musl[0],
                    processor.name()
                ),
            )));
        }
    }
    Some(None)
}

fn names_processor(name: &str, processor: Processor) -> bool {
    let mut words = name.split(['-', '/', '_', '.']);
    match processor {
        Processor::Amd64 => words.any(|w| matches!(w, "x64" | "amd64" | "64")),
        Processor::Arm64 => words.any(|w| matches!(w, "arm64" | "aarch64")),
    }
}
