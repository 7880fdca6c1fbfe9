//! What is particular to Python: where packages lie, and what they need.

use super::compiled::need;
use crate::model::sources::Sources;
use super::{Outcome, Shape, Subject, listed, short};
use crate::catalog::libraries;
use crate::facts::Known;
use crate::model::effects::{Effect, SITE_PACKAGES, What};
use crate::model::locks::{self, Format};

/// Packages that also install data below `/usr/local/share` and `/usr/local/etc`.
const WITH_DATA: [&str; 8] = [
    "ipykernel", "jupyter", "jupyter-core", "jupyterhub", "jupyterlab", "nbclassic", "notebook",
    "voila",
];

/// Requirement files that include each other are followed this deep.
const MAX_INCLUDES: usize = 8;

pub(super) fn shape(subject: &Subject<'_, '_>, sources: &Sources) -> Outcome<Shape> {
    let _ = sources;
    let mut shape = Shape::default();
    let minor = minor(&subject.tag);
    let mut names: Vec<String> = Vec::new();
    let mut unread: Vec<String> = Vec::new();
    let mut installer: Option<&Effect> = None;
    for effect in &subject.ledger.effects {
        match &effect.what {
            What::PipInstall {
                requirements,
                packages,
                project,
            } => {
                installer = Some(effect);
                for file in requirements {
                    requirement_file(subject, file, 0, &mut names, &mut unread);
                }
                names.extend(packages.iter().filter_map(|p| requirement_name(p)));
                if *project {
                    pyproject(subject, effect, &mut names, &mut unread);
                }
            }
            What::PythonProject { tool } => {
                installer = Some(effect);
                project(subject, effect, tool, minor, &mut names, &mut unread)?;
            }
            _ => {}
        }
    }
    names.sort();
    names.dedup();
    let writes_site = subject
        .ledger
        .effects
        .iter()
        .find(|e| e.writes.iter().any(|w| w.path == SITE_PACKAGES));
    if let Some(effect) = writes_site {
        let data = names.iter().find(|name| WITH_DATA.contains(&name.as_str()));
        match (minor, data) {
            (Some(minor), None) => {
                shape.copies.push(format!("/usr/local/lib/python3.{minor}/site-packages"));
                shape.copies.push("/usr/local/bin".to_owned());
                shape.because.push(format!(
                    "line {}: packages and their console scripts lie in /usr/local, at the same path in both images",
                    effect.line
                ));
            }
            (_, Some(data)) => {
                shape.copies.push("/usr/local".to_owned());
                shape.because.push(format!("all of /usr/local is copied: {data} installs data files there"));
            }
            (None, None) => {
                shape.copies.push("/usr/local".to_owned());
                shape.because.push(format!(
                    "all of /usr/local is copied: {}:{} does not fix the minor version, so the path of site-packages may change",
                    subject.image, subject.tag
                ));
            }
        }
    }
    let configures = |e: &&Effect| e.text.starts_with("poetry config");
    if subject.demands("poetry") && subject.ledger.effects.iter().any(|e| configures(&e)) {
        shape.copies.push("/root/.config/pypoetry".to_owned());
        shape.because.push("poetry runs at run time, so its configuration is copied".to_owned());
    }
    needs(subject, &names, installer, &mut shape)?;
    for file in unread {
        shape.caveats.push(format!(
            "{file} could not be read in the build context: which libraries its packages need is not known"
        ));
    }
    Ok(shape)
}

/// The minor version of Python 3 that a tag fixes.
fn minor(tag: &str) -> Option<u32> {
    let version = tag.split('-').next()?;
    let mut parts = version.split('.');
    (parts.next()? == "3").then_some(())?;
    parts.next()?.parse().ok()
}

/// The normal form of a project's name, as the packaging standards have it.
fn normal(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// The project that a requirement names.
fn requirement_name(text: &str) -> Option<String> {
    let text = text.split([';', '#']).next()?.trim();
    if let Some((name, _)) = text.split_once(" @ ") {
        return requirement_name(name);
    }
    if text.contains("://") || text.starts_with(['-', '.', '/']) {
        let egg = text.split_once("#egg=")?.1;
        return Some(normal(egg.split('&').next()?));
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(text.len());
    (end > 0).then(|| normal(&text[..end]))
}

fn requirement_file(
    subject: &Subject<'_, '_>,
    path: &str,
    depth: usize,
    names: &mut Vec<String>,
    unread: &mut Vec<String>,
) {
    let text = subject
        .ledger
        .copied
        .context_path(path)
        .map(|context| subject.cx.files.text(&context));
    let Some(Known::Yes(text)) = text else {
        // One that the build itself writes (by an export) is of the lock file.
        let written = subject.ledger.effects.iter().any(|e| {
            e.writes.iter().any(|w| w.path == path && !w.tree)
        });
        if !written {
            unread.push(path.to_owned());
        }
        return;
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = line
            .strip_prefix("-r")
            .or_else(|| line.strip_prefix("--requirement"))
        {
            let rest = rest.trim_start_matches(['=', ' ']);
            if depth < MAX_INCLUDES
                && let Some(path) = crate::model::join(Some(folder), rest)
            {
                requirement_file(subject, &path, depth + 1, names, unread);
            }
        } else {
            names.extend(requirement_name(line));
        }
    }
}

fn toml_file(subject: &Subject<'_, '_>, path: &str) -> Option<toml::Table> {
    let context = subject.ledger.copied.context_path(path)?;
    subject.cx.files.text(&context).yes()?.parse().ok()
}

fn directory(effect: &Effect) -> String {
    effect
        .writes
        .iter()
        .rev()
        .find(|w| w.path != SITE_PACKAGES && !w.path.ends_with("/.venv") && !w.path.contains("/virtualenvs"))
        .map(|w| w.path.clone())
        .unwrap_or_default()
}

fn pyproject(
    subject: &Subject<'_, '_>,
    effect: &Effect,
    names: &mut Vec<String>,
    unread: &mut Vec<String>,
) {
    let dir = directory(effect);
    let path = format!("{}/pyproject.toml", dir.trim_end_matches('/'));
    let Some(table) = toml_file(subject, &path) else {
        unread.push(format!("{}/pyproject.toml or setup.py", dir.trim_end_matches('/')));
        return;
    };
    let listed = table
        .get("project")
        .and_then(|p| p.get("dependencies"))
        .and_then(toml::Value::as_array);
    for dependency in listed.into_iter().flatten() {
        names.extend(dependency.as_str().and_then(requirement_name));
    }
    let poetry = table
        .get("tool")
        .and_then(|t| t.get("poetry"))
        .and_then(|p| p.get("dependencies"))
        .and_then(toml::Value::as_table);
    for name in poetry.into_iter().flat_map(toml::Table::keys) {
        if name != "python" {
            names.push(normal(name));
        }
    }
}

fn project(
    subject: &Subject<'_, '_>,
    effect: &Effect,
    tool: &str,
    minor: Option<u32>,
    names: &mut Vec<String>,
    unread: &mut Vec<String>,
) -> Outcome<()> {
    let step = subject
        .stage
        .steps
        .iter()
        .find(|s| s.instruction == effect.instruction);
    let dir = step.and_then(|s| s.workdir.clone()).unwrap_or_default();
    let file = |name: &str| format!("{}/{name}", dir.trim_end_matches('/'));
    let name = match tool {
        "poetry" => "poetry.lock",
        "uv" => "uv.lock",
        "pdm" => "pdm.lock",
        _ => "Pipfile.lock",
    };
    let read = |text: &str| match tool {
        "poetry" => locks::poetry(text),
        "uv" => locks::uv(text),
        "pdm" => locks::pdm(text),
        _ => locks::pipfile(text),
    };
    let context = subject.ledger.copied.context_path(&file(name));
    let text = context.and_then(|context| subject.cx.files.text(&context).yes());
    match text.and_then(|text| read(&text).ok()) {
        // pipenv alone leaves the packages of development out by itself.
        Some(lock) => {
            let wanted = lock.packages.iter();
            let wanted = wanted.filter(|it| !it.dev || lock.format != Format::Pipfile);
            names.extend(wanted.map(|it| normal(&it.name)));
        }
        None => unread.push(file(name)),
    }
    if tool == "uv" || tool == "pdm" {
        own_interpreter(subject, effect, &file, minor)?;
    }
    Ok(())
}

/// uv fetches an interpreter of its own where the image's does not fit: the
/// environment would then point into a folder that is not copied.
fn own_interpreter(
    subject: &Subject<'_, '_>,
    effect: &Effect,
    file: &dyn Fn(&str) -> String,
    minor: Option<u32>,
) -> Outcome<()> {
    let Some(minor) = minor else {
        return Ok(());
    };
    let pinned = subject
        .ledger
        .copied
        .context_path(&file(".python-version"))
        .and_then(|context| subject.cx.files.text(&context).yes());
    if let Some(pinned) = pinned {
        let version = pinned.trim().trim_start_matches("cpython-");
        let wanted = version.split('.').nth(1).and_then(|m| m.parse::<u32>().ok());
        if wanted.is_some_and(|wanted| wanted != minor) {
            return subject.refuse(
                effect.span,
                format!(
                    "`{}` fetches an interpreter of its own: .python-version says {version}, the image has 3.{minor}",
                    short(&effect.text)
                ),
            );
        }
    }
    let requires = toml_file(subject, &file("pyproject.toml")).and_then(|table| {
        let text = table.get("project")?.get("requires-python")?.as_str()?;
        Some(text.to_owned())
    });
    if let Some(requires) = requires {
        let least = requires
            .split(',')
            .find_map(|part| part.trim().strip_prefix(">=3."))
            .and_then(|rest| rest.split('.').next()?.trim().parse::<u32>().ok());
        if least.is_some_and(|least| least > minor) {
            return subject.refuse(
                effect.span,
                format!("requires-python is {requires}, and the image has 3.{minor}"),
            );
        }
    }
    Ok(())
}

fn needs(
    subject: &Subject<'_, '_>,
    names: &[String],
    installer: Option<&Effect>,
    shape: &mut Shape,
) -> Outcome<()> {
    let at = installer.map(|e| e.span).unwrap_or_default();
    let mut unknown: Vec<&str> = Vec::new();
    for name in names {
        let Some(needs) = libraries::pip(name, subject.codename) else {
            if libraries::pypi_kind(name).is_none() {
                unknown.push(name);
            }
            continue;
        };
        if let Some(why) = needs.refuse {
            return subject.refuse(at, format!("the program depends on {name}: {why}"));
        }
        for command in needs.commands {
            let installed = subject.ledger.effects.iter().any(|e| {
                matches!(&e.what, What::AptInstall { packages, .. }
                    if packages.iter().any(|p| p.name == command))
            });
            if !installed && command == "git" {
                return subject.advise(
                    at,
                    format!("the program depends on {name}, which runs `{command}`: the slim image has none"),
                    "if it is needed, install it in this file with apt-get and run again",
                );
            }
        }
        for package in needs.packages {
            need(shape, package, name);
        }
    }
    // A small image lacked them before, too.
    if subject.last.tag != subject.tag {
        let sources = subject.cx.sources(subject.codename);
        for (module, file) in sources.own_modules(&subject.image) {
            need(shape, module.debian, &format!("{} of Python ({file})", module.name));
        }
    }
    if !unknown.is_empty() {
        let shown = listed(&unknown);
        shape.caveats.push(format!(
            "no data says which system libraries {shown} may need: one that was compiled against a library of the full image would miss it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_requirements() {
        let name = |text: &str| requirement_name(text);
        assert_eq!(name("Flask==2.0  # web").as_deref(), Some("flask"));
        assert_eq!(name("zope.interface>=5; python_version<'4'").as_deref(), Some("zope-interface"));
        assert_eq!(name("uvicorn[standard]").as_deref(), Some("uvicorn"));
        assert_eq!(name("pkg @ https://x/y.whl").as_deref(), Some("pkg"));
        assert_eq!(name("-e ."), None);
        assert_eq!(name("--hash=sha256:00"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn minor_versions_of_tags() {
        assert_eq!(minor("3.11-bookworm"), Some(11));
        assert_eq!(minor("3.13.1"), Some(13));
        assert_eq!(minor("3-trixie"), None);
        assert_eq!(minor("latest"), None);
    }
}
