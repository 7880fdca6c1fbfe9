//! What is particular to Node.js: pruning development dependencies, global
//! packages, corepack, and what native modules need.

use serde_json::Value;

use super::compiled::need;
use crate::model::sources::Sources;
use super::{Outcome, Shape, Subject, short};
use crate::catalog::libraries;
use crate::catalog::programs;
use crate::facts::Known;
use crate::model::effects::{Effect, NodeTool, What, home_of};

/// A project that an install works on.
struct Project<'e> {
    tool: NodeTool,
    dir: String,
    effect: &'e Effect,
    production: bool,
}

pub(super) fn shape(subject: &Subject<'_, '_>, sources: &Sources) -> Outcome<Shape> {
    let mut shape = Shape::default();
    let mut projects: Vec<Project<'_>> = Vec::new();
    let mut corepack = false;
    for (index, effect) in subject.ledger.effects.iter().enumerate() {
        match &effect.what {
            What::NodeInstall {
                global: Some(packages),
                ..
            } => global(subject, index, effect, packages, &mut shape)?,
            What::NodeInstall {
                tool,
                global: None,
                production,
            } => {
                let Some(write) = effect.writes.first() else {
                    continue;
                };
                match projects.iter_mut().find(|p| p.dir == write.path) {
                    Some(project) => {
                        project.production = *production;
                        project.effect = effect;
                    }
                    None => projects.push(Project {
                        tool: *tool,
                        dir: write.path.clone(),
                        effect,
                        production: *production,
                    }),
                }
            }
            What::Corepack => {
                let used = ["yarn", "pnpm"].into_iter().find(|tool| subject.demands(tool));
                if let Some(tool) = used {
                    if !effect.direct {
                        return subject.refuse(effect.span, "corepack is set up inside a script or a branch, and needed at run time");
                    }
                    corepack = true;
                    shape.replay.push(index);
                    shape.because.push(format!("line {}: corepack is set up again: {tool} runs at run time", effect.line));
                }
            }
            _ => {}
        }
    }
    if corepack {
        let home = home_of(None);
        shape.copies.push(format!("{home}/.cache/node/corepack"));
    }
    if subject.demands("yarn") && !corepack && major(&subject.tag).is_some_and(|v| v >= 26) {
        return subject.refuse(
            subject.from.code(subject.cx.file.source()),
            "yarn is needed at run time, and node 26 and later have none",
        );
    }
    for project in &projects {
        prune(subject, sources, project, &mut shape)?;
    }
    certificates(subject, &mut shape);
    Ok(shape)
}

/// The major version that a tag starts with.
fn major(tag: &str) -> Option<u32> {
    tag.split(['.', '-']).next()?.parse().ok()
}

/// `npm install -g`: again in the final stage when something that runs is in it.
pub(super) fn global(
    subject: &Subject<'_, '_>,
    index: usize,
    effect: &Effect,
    packages: &[String],
    shape: &mut Shape,
) -> Outcome<()> {
    let mut needed = Vec::new();
    for package in packages {
        let name = bare_name(package);
        let commands: Vec<&str> = programs::tool_commands(name).collect();
        let wanted = subject.runtime.demands.iter().find(|d| {
            d.command == name.trim_start_matches('@').rsplit('/').next().unwrap_or(name)
                || commands.contains(&d.command.as_str())
        });
        if let Some(demand) = wanted {
            needed.push((name, demand.via.clone()));
        } else if commands.is_empty() {
            // Not known to be a build tool: something may load or run it.
            needed.push((name, "something at run time may".to_owned()));
        }
    }
    if needed.is_empty() {
        shape.because.push(format!(
            "line {}: `{}` is for the build alone",
            effect.line,
            short(&effect.text)
        ));
        return Ok(());
    }
    if !effect.direct {
        return subject.refuse(
            effect.span,
            "global packages are installed inside a script or a branch, and needed at run time",
        );
    }
    let (name, via) = &needed[0];
    shape.because.push(format!(
        "line {}: `{}` is done again in the final stage: {via} use {name}",
        effect.line,
        short(&effect.text)
    ));
    shape.replay.push(index);
    Ok(())
}

/// A package's name without its version.
fn bare_name(package: &str) -> &str {
    let from = usize::from(package.starts_with('@'));
    match package[from..].find('@') {
        Some(at) => &package[..from + at],
        None => package,
    }
}

fn json(subject: &Subject<'_, '_>, path: &str) -> Known<Value> {
    let Some(context) = subject.ledger.copied.context_path(path) else {
        return Known::No;
    };
    match subject.cx.files.text(&context) {
        Known::Yes(text) => match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
            Ok(value) => Known::Yes(value),
            Err(_) => Known::No,
        },
        Known::No => Known::No,
        Known::Unknown(why) => Known::Unknown(why),
    }
}

fn names(manifest: &Value, field: &str) -> Vec<String> {
    manifest[field]
        .as_object()
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// Whether development dependencies can be left out, and how.
fn prune(
    subject: &Subject<'_, '_>,
    sources: &Sources,
    project: &Project<'_>,
    shape: &mut Shape,
) -> Outcome<()> {
    let dir = project.dir.trim_end_matches('/');
    let keep = |shape: &mut Shape, why: String| {
        shape.because.push(format!("development dependencies stay: {why}"));
    };
    let manifest = match json(subject, &format!("{dir}/package.json")) {
        Known::Yes(manifest) => manifest,
        _ => {
            shape.caveats.push(format!(
                "{dir}/package.json could not be read: development dependencies stay, and what native modules need is not known"
            ));
            return Ok(());
        }
    };
    native(subject, project, &manifest, shape)?;
    let development = names(&manifest, "devDependencies");
    if project.production || development.is_empty() {
        return Ok(());
    }
    let workspaces = !manifest["workspaces"].is_null()
        || matches!(
            json_exists(subject, &format!("{dir}/pnpm-workspace.yaml")),
            Known::Yes(true)
        );
    if workspaces {
        keep(shape, "the project has workspaces".to_owned());
        return Ok(());
    }
    let runtime = names(&manifest, "dependencies");
    for name in &development {
        if runtime.contains(name) {
            continue;
        }
        if let Some(file) = sources.imports(name) {
            keep(shape, format!("{file} imports {name}"));
            return Ok(());
        }
        let commands: Vec<&str> = programs::tool_commands(name).collect();
        let base = name.rsplit('/').next().unwrap_or(name);
        let demanded = subject.runtime.demands.iter().find(|d| {
            d.command == base
                || commands.contains(&d.command.as_str())
                || d.args.iter().any(|a| a == name || a.starts_with(&format!("{name}/")))
        });
        if let Some(demand) = demanded {
            keep(shape, format!("{} runs {}, which is in {name}", demand.via, demand.command));
            return Ok(());
        }
    }
    if !sources.complete {
        keep(shape, "not all sources could be read to see that none imports one".to_owned());
        return Ok(());
    }
    // Pruning runs as the stage's last user, who has to own node_modules.
    let last = subject.cx.model.state_after(subject.stage.index);
    let step_user = |user: &Option<String>| match user.as_deref() {
        None | Some("root" | "0") => None,
        Some(user) => Some(user.to_owned()),
    };
    let last_effect = subject.ledger.effects.last();
    let user_at_end = last_effect.and_then(|e| {
        let steps = subject.stage.steps.iter();
        let step = steps.clone().find(|s| s.instruction == e.instruction)?;
        step.user.clone()
    });
    let _ = last;
    if step_user(&project.effect.user) != step_user(&user_at_end) {
        keep(
            shape,
            "they were installed by another user than the one at the end of the build".to_owned(),
        );
        return Ok(());
    }
    let lock = |name: &str| {
        matches!(json_exists(subject, &format!("{dir}/{name}")), Known::Yes(true))
    };
    let command = match project.tool {
        NodeTool::Npm => match major(&subject.tag) {
            Some(version) if version < 16 => "npm prune --production",
            _ => "npm prune --omit=dev",
        },
        NodeTool::Yarn if lock(".yarnrc.yml") || berry(&manifest) => {
            keep(shape, "yarn 2 and later prune only with a plugin".to_owned());
            return Ok(());
        }
        NodeTool::Yarn if lock("yarn.lock") => {
            "yarn install --production --ignore-scripts --prefer-offline --frozen-lockfile"
        }
        NodeTool::Yarn => {
            keep(shape, "there is no yarn.lock to prune by".to_owned());
            return Ok(());
        }
        NodeTool::Pnpm => "pnpm prune --prod",
        NodeTool::Bun => {
            keep(shape, "bun has no prune".to_owned());
            return Ok(());
        }
    };
    let scripts = &manifest["scripts"];
    // pnpm runs the project's own lifecycle scripts at a prune.
    let command = if project.tool == NodeTool::Pnpm && scripts["prepare"].is_string() {
        "pnpm prune --prod --ignore-scripts"
    } else {
        command
    };
    shape.build_end.push(match_dir(subject, dir, command));
    shape.because.push(format!(
        "`{command}` leaves out {} development dependenc{}: no source imports one, and nothing that runs is in one",
        development.len(),
        if development.len() == 1 { "y" } else { "ies" }
    ));
    Ok(())
}

fn berry(manifest: &Value) -> bool {
    manifest["packageManager"].as_str().is_some_and(|manager| {
        manager.strip_prefix("yarn@").is_some_and(|version| !version.starts_with('1'))
    })
}

fn json_exists(subject: &Subject<'_, '_>, path: &str) -> Known<bool> {
    match subject.ledger.copied.context_path(path) {
        Some(context) => subject.cx.files.exists(&context),
        None => Known::Yes(false),
    }
}

/// The command, from the folder it belongs to.
fn match_dir(subject: &Subject<'_, '_>, dir: &str, command: &str) -> String {
    let last = subject.ledger.effects.last();
    let steps = subject.stage.steps.iter();
    let here = last.and_then(|effect| {
        let step = steps.clone().find(|s| s.instruction == effect.instruction)?;
        step.workdir.clone()
    });
    if here.as_deref() == Some(dir) {
        command.to_owned()
    } else {
        format!("cd {dir} && {command}")
    }
}

/// What native modules need at run time.
fn native(
    subject: &Subject<'_, '_>,
    project: &Project<'_>,
    manifest: &Value,
    shape: &mut Shape,
) -> Outcome<()> {
    let dir = project.dir.trim_end_matches('/');
    let mut all = names(manifest, "dependencies");
    if let Known::Yes(lock) = json(subject, &format!("{dir}/package-lock.json")) {
        if let Some(packages) = lock["packages"].as_object() {
            all.extend(packages.iter().filter(|(_, row)| row["dev"] != true).filter_map(
                |(path, _)| path.rsplit_once("node_modules/").map(|(_, name)| name.to_owned()),
            ));
        } else if let Some(packages) = lock["dependencies"].as_object() {
            let rows = packages.iter().filter(|(_, row)| row["dev"] != true);
            all.extend(rows.map(|(name, _)| name.clone()));
        }
    }
    all.sort();
    all.dedup();
    for name in all {
        let Some(needs) = libraries::npm(&name, subject.codename) else {
            continue;
        };
        if let Some(why) = needs.refuse {
            return subject.refuse(
                project.effect.span,
                format!("the project depends on {name}: {why}"),
            );
        }
        for package in needs.packages {
            need(shape, package, &name);
            if package.starts_with("openssl") {
                need(shape, "ca-certificates", &name);
            }
        }
    }
    Ok(())
}

/// Node.js has root certificates of its own unless it is told otherwise.
fn certificates(subject: &Subject<'_, '_>, shape: &mut Shape) {
    let source = String::from_utf8_lossy(subject.cx.file.source());
    for sign in ["--use-openssl-ca", "/etc/ssl/certs", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"] {
        if source.contains(sign) {
            need(shape, "ca-certificates", sign);
        }
    }
}
