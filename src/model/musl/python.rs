//! Signals of Python: the wheels that a lock file names, and the table.

use super::{
    Answer, Finding, Lock, Package, Processor, Question, Verdict, alpine, by_table, entry, locks,
    readable,
};
use crate::catalog::libraries;
use crate::catalog::table::Row;
use crate::model::locks::Wheel;

pub(super) fn pip(
    question: &Question<'_, '_>,
    effect: usize,
    requirements: &[String],
    packages: &[String],
    project: bool,
    answer: &mut Answer,
) {
    let copied = &question.ledger.copied;
    let mut todo: Vec<String> = requirements.to_vec();
    let mut seen: Vec<String> = Vec::new();
    while let Some(path) = todo.pop() {
        if seen.contains(&path) || seen.len() > 40 {
            continue;
        }
        seen.push(path.clone());
        let Some((context, text)) = readable(copied, question.files, &path) else {
            answer.findings.push(question.finding(
                effect,
                "py.noinfo",
                Verdict::Unknown,
                format!("{path} can't be read in the build context"),
                "what is installed is not known",
            ));
            continue;
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        listed(question, effect, &text, &context, answer, &mut |include| {
            todo.extend(crate::model::join(Some(folder), include));
        });
    }
    if !packages.is_empty() {
        let place = format!("line {}", question.effect(effect).line);
        // Each is a requirement as a file would have it.
        let mut read = locks::requirements(&packages.join("\n"));
        for package in &mut read.lock.packages {
            package.line = 0;
        }
        judge(question, effect, &read.lock, &place, answer);
        elsewhere(question, effect, &read.elsewhere, &place, answer);
    }
    if project {
        own_project(question, effect, answer);
    }
}

/// Judges a requirement file.
fn listed(
    question: &Question<'_, '_>,
    effect: usize,
    text: &str,
    path: &str,
    answer: &mut Answer,
    include: &mut dyn FnMut(&str),
) {
    let read = locks::requirements(text);
    for other in &read.includes {
        include(other);
    }
    judge(question, effect, &read.lock, path, answer);
    elsewhere(question, effect, &read.elsewhere, path, answer);
    if !text.contains("--hash") {
        answer.doubt(format!(
            "{path} need not name every package that is installed: what those it names depend on is not looked at"
        ));
    }
}

fn elsewhere(
    question: &Question<'_, '_>,
    effect: usize,
    list: &[(usize, String)],
    path: &str,
    answer: &mut Answer,
) {
    for (line, text) in list {
        if text.starts_with("-e .") || text == "." {
            own_project(question, effect, answer);
            continue;
        }
        answer.findings.push(question.finding(
            effect,
            "py.noinfo",
            Verdict::Unknown,
            format!("{text} ({path}:{line})"),
            "what it is made of is not known",
        ));
    }
}

/// The project that is installed itself.
fn own_project(question: &Question<'_, '_>, effect: usize, answer: &mut Answer) {
    let folders = question.folders(question.effect(effect));
    if let Some((path, text)) = question.find(&folders, &["setup.py"])
        && (text.contains("ext_modules") || text.contains("Extension("))
    {
        answer.findings.push(question.finding(
            effect,
            "py.sdist.only",
            Verdict::Unknown,
            path,
            "the project compiles extensions of its own",
        ));
        return;
    }
    let Some((path, text)) = question.find(&folders, &["pyproject.toml"]) else {
        answer.findings.push(question.finding(
            effect,
            "py.noinfo",
            Verdict::Unknown,
            "the project itself, without a pyproject.toml".to_owned(),
            "what it depends on is not known",
        ));
        return;
    };
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let list = table
        .get("project")
        .and_then(|project| project.get("dependencies"))
        .and_then(toml::Value::as_array);
    let Some(list) = list else {
        answer.findings.push(question.finding(
            effect,
            "py.noinfo",
            Verdict::Unknown,
            path,
            "its dependencies don't stand in [project]",
        ));
        return;
    };
    let list: Vec<&str> = list.iter().filter_map(toml::Value::as_str).collect();
    let mut read = locks::requirements(&list.join("\n"));
    for package in &mut read.lock.packages {
        package.line = 0;
    }
    judge(question, effect, &read.lock, &path, answer);
    answer.doubt(format!(
        "{path} does not name every package that is installed: what those it names depend on is not looked at"
    ));
}

pub(super) fn project(question: &Question<'_, '_>, effect: usize, tool: &str, answer: &mut Answer) {
    let folders = question.folders(question.effect(effect));
    let name = match tool {
        "poetry" => "poetry.lock",
        "uv" => "uv.lock",
        "pdm" => "pdm.lock",
        _ => "Pipfile.lock",
    };
    let Some((path, text)) = question.find(&folders, &[name]) else {
        answer.findings.push(question.finding(
            effect,
            "py.noinfo",
            Verdict::Unknown,
            format!("no {name} in the build context"),
            "which packages are installed, and in which versions, is not known without it",
        ));
        return;
    };
    let lock = match tool {
        "poetry" => locks::poetry(&text),
        "uv" => locks::uv(&text),
        "pdm" => locks::pdm(&text),
        _ => locks::pipfile(&text),
    };
    match lock {
        Ok(lock) => judge(question, effect, &lock, &path, answer),
        Err(why) => answer.findings.push(question.finding(
            effect,
            "py.noinfo",
            Verdict::Unknown,
            path,
            format!("it can't be read: {why}"),
        )),
    }
}

/// Judges the packages of a lock.
pub(super) fn judge(
    question: &Question<'_, '_>,
    effect: usize,
    lock: &Lock,
    path: &str,
    answer: &mut Answer,
) {
    for package in &lock.packages {
        answer.packages += 1;
        let found = if package.files.is_empty() {
            by_name(question, effect, package, path, answer)
        } else {
            by_files(question, effect, package, path)
        };
        answer.findings.extend(found);
    }
}

/// By the files that the lock names.
fn by_files(
    question: &Question<'_, '_>,
    effect: usize,
    package: &Package,
    path: &str,
) -> Option<Finding> {
    let wheels: Vec<Wheel<'_>> = package.files.iter().filter_map(|f| Wheel::of(f)).collect();
    let sources = package.files.iter().any(|file| !file.ends_with(".whl"));
    if wheels.iter().any(Wheel::pure) {
        return None;
    }
    let runs = |wheel: &&Wheel<'_>| question.python.is_none_or(|minor| wheel.runs_on(minor));
    let missing: Vec<&str> = question
        .processors
        .iter()
        .filter(|p| {
            let mut musl = wheels.iter().filter(runs);
            !musl.any(|w| w.is_for("musllinux", p.uname()))
        })
        .map(|p| p.name())
        .collect();
    if missing.is_empty() {
        return None;
    }
    let what = entry(package, path);
    if !sources {
        return Some(question.finding(
            effect,
            "py.nowheel.nosdist",
            Verdict::Blocker,
            what,
            format!(
                "it has no wheel for musl on {}, and no sources",
                missing.join(", ")
            ),
        ));
    }
    let signal = if wheels.is_empty() {
        "py.sdist.only"
    } else {
        "py.nowheel.sdist"
    };
    let musl = alpine::musl("pip", &package.name, &package.version, locks::older);
    match musl {
        Some(musl) if musl.verdict == "fine" && wheels.is_empty() => None,
        Some(musl) if musl.verdict != "fine" => {
            by_table(question, effect, "pip", musl, package, path)
        }
        _ => compiled(question, effect, signal, package, path, &missing),
    }
}

/// One that pip would compile, and that the table of signals does not have.
fn compiled(
    question: &Question<'_, '_>,
    effect: usize,
    signal: &'static str,
    package: &Package,
    path: &str,
    missing: &[&str],
) -> Option<Finding> {
    let mut found = question.finding(
        effect,
        signal,
        Verdict::Unknown,
        entry(package, path),
        format!(
            "it has no wheel for musl on {}, and what compiling it needs is not known",
            missing.join(", ")
        ),
    );
    match alpine::libraries("pip", &package.name) {
        Some(Ok(libraries)) if !libraries.build.is_empty() => {
            found.verdict = Verdict::Needs;
            found.why = format!(
                "it has no wheel for musl on {}, and is compiled",
                missing.join(", ")
            );
            found.runtime = libraries.runtime;
            found.build = libraries.build;
            found.build.extend(["build-base"]);
        }
        Some(Err(_)) => found.verdict = Verdict::Blocker,
        _ => {}
    }
    Some(found)
}

fn has_musl(row: Row, processors: &[Processor]) -> bool {
    let all = |p: &Processor| row.list(4).any(|name| name == p.uname());
    processors.iter().all(all)
}

/// By the table, where the lock names no files.
fn by_name(
    question: &Question<'_, '_>,
    effect: usize,
    package: &Package,
    path: &str,
    answer: &mut Answer,
) -> Option<Finding> {
    let musl = alpine::musl("pip", &package.name, &package.version, locks::older);
    if let Some(musl) = musl {
        if musl.verdict == "fine" && musl.note.is_some_and(|n| n.starts_with("recent")) {
            old_wheels(path, answer);
        }
        return by_table(question, effect, "pip", musl, package, path);
    }
    let Some(row) = libraries::PYPI.get(&libraries::normalised(&package.name)) else {
        return Some(question.finding(
            effect,
            "py.noinfo",
            Verdict::Unknown,
            entry(package, path),
            "whether it has compiled parts is not known",
        ));
    };
    if row.cell(2) == Some("pure") {
        return None;
    }
    if has_musl(row, question.processors) {
        old_wheels(path, answer);
        return None;
    }
    let missing: Vec<&str> = question
        .processors
        .iter()
        .filter(|p| !has_musl(row, &[**p]))
        .map(|p| p.name())
        .collect();
    if row.cell(5) != Some("yes") {
        return Some(question.finding(
            effect,
            "py.nowheel.nosdist",
            Verdict::Blocker,
            entry(package, path),
            format!(
                "it has no wheel for musl on {}, and no sources",
                missing.join(", ")
            ),
        ));
    }
    // A wheel for glibc or any platform beside one that is built when needed.
    compiled(
        question,
        effect,
        "py.nowheel.sdist",
        package,
        path,
        &missing,
    )
}

fn old_wheels(path: &str, answer: &mut Answer) {
    answer.doubt(format!(
        "{path} names no wheels: those for musl are known of recent versions of its packages, and pip compiles an old one"
    ));
}
