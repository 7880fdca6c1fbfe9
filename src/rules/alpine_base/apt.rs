//! `apt-get` and its like as `apk`.

use super::body::Body;
use super::{Obstacle, Outcome, Work};
use crate::catalog::alpine::{self, Apk, Confidence};
use crate::syntax::shell::Command;
use crate::text::{Edit, Span};

/// Options that take a value.
const VALUED: [&str; 8] = [
    "-o", "-c", "-a", "--option", "--config-file", "--arch", "-q=", "--solver",
];

/// Options that choose where packages come from.
const FROM_ELSEWHERE: [&str; 4] = ["-t", "--target-release", "--default-release", "--download-only"];

/// Whether the command is one of apt's.
pub(super) fn is_apt(name: &str) -> bool {
    matches!(name, "apt-get" | "apt" | "aptitude")
}

/// Rewrites one command of apt. `first` is the index of its name among the
/// words (there may be `sudo` before it).
pub(super) fn rewrite(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    first: usize,
    gone: &mut Vec<u32>,
) -> Outcome<()> {
    let values = body.values(command);
    let at = body.cover(command.span);
    let obstacle = |why: String| Obstacle::new(at, "sys.apt", why);
    let shown = body.shown(command);
    let mut verb = None;
    let mut flags: Vec<usize> = Vec::new();
    let mut operands: Vec<usize> = Vec::new();
    let mut index = first + 1;
    while index < values.len() {
        let raw = body.raw(&command.words[index]);
        let value = values[index].clone().unwrap_or(raw);
        if value.starts_with('-') && value.len() > 1 {
            if FROM_ELSEWHERE.iter().any(|f| value.starts_with(f)) {
                return Err(obstacle(format!("`{shown}` takes packages from another release")));
            }
            flags.push(index);
            if VALUED.contains(&value.as_str()) && index + 1 < values.len() {
                index += 1;
                flags.push(index);
            }
        } else if verb.is_none() {
            verb = Some((index, value));
        } else {
            operands.push(index);
        }
        index += 1;
    }
    let Some((verb_at, verb)) = verb else {
        gone.push(command.item);
        return Ok(());
    };
    match verb.as_str() {
        "update" | "clean" | "autoclean" | "autoremove" | "check" | "moo" | "auto-clean"
        | "auto-remove" => {
            gone.push(command.item);
            Ok(())
        }
        "upgrade" | "dist-upgrade" | "full-upgrade" | "safe-upgrade" => {
            head(work, body, command, verb_at, "apk upgrade --no-cache")?;
            drop_words(work, body, command, &flags, verb_at)
        }
        "install" | "reinstall" => {
            let packages = packages(work, body, command, &operands)?;
            if packages.is_empty() {
                gone.push(command.item);
                return Ok(());
            }
            head(work, body, command, verb_at, "apk add --no-cache")?;
            apply(work, body, command, &flags, packages, verb_at)?;
            work.note_install(body, command);
            Ok(())
        }
        "remove" | "purge" => {
            let before = work.installed.clone();
            let packages = packages(work, body, command, &operands)?;
            // Only what this file installed is there to be removed.
            let strange = packages.iter().flat_map(|(_, names)| names).find(|name| {
                !before.iter().any(|i| i == *name) && !name.starts_with('$')
            });
            if let Some(name) = strange {
                return Err(obstacle(format!(
                    "`{shown}` removes {name}, which the stage has not installed"
                )));
            }
            if packages.is_empty() {
                gone.push(command.item);
                return Ok(());
            }
            head(work, body, command, verb_at, "apk del")?;
            apply(work, body, command, &flags, packages, verb_at)
        }
        other => Err(obstacle(format!("`{shown}`: apk has nothing like `{other}`"))),
    }
}

/// The Alpine packages by the words that name the Debian ones.
type Named = Vec<(usize, Vec<String>)>;

fn packages(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    operands: &[usize],
) -> Outcome<Named> {
    let mut out = Named::new();
    let mut seen: Vec<String> = Vec::new();
    for &index in operands {
        let word = &command.words[index];
        let raw = body.raw(word);
        let value = match word.literal(&body.text) {
            Some(value) => value.into_owned(),
            // `package=1.2*` is apt's own pattern.
            None if word.has_glob() && !word.has_expansion() && raw.contains('=') => raw.clone(),
            None => {
                let names = variable(work, body, command, index)?;
                out.push((index, names));
                continue;
            }
        };
        let mut names = Vec::new();
        for name in mapped(work, &value, body.cover(word.span))? {
            if !seen.contains(&name) {
                seen.push(name.clone());
                names.push(name);
            }
        }
        out.push((index, names));
    }
    let any = out.iter().any(|(_, names)| !names.is_empty());
    Ok(if any { out } else { Named::new() })
}

/// A word that is a variable: kept where the image has it with Alpine's names,
/// rewritten where the same script assigns it.
fn variable(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    index: usize,
) -> Outcome<Vec<String>> {
    let word = &command.words[index];
    let raw = body.raw(word);
    let at = body.cover(word.span);
    let name = raw
        .trim_matches('"')
        .trim_start_matches('$')
        .trim_matches(['{', '}'])
        .to_owned();
    if work.image == "php" && name == "PHPIZE_DEPS" {
        return Ok(vec![raw]);
    }
    let before = body.script.commands().iter();
    let assigned = before
        .filter(|c| c.span.start < command.span.start && c.words.is_empty())
        .flat_map(|c| &c.assignments)
        .filter(|a| {
            a.assignment(&body.text)
                .is_some_and(|parts| parts.name.of(&body.text) == name.as_bytes())
        });
    let assigned: Vec<_> = assigned.collect();
    let unknown = || {
        Obstacle::new(
            at,
            "sys.apt",
            format!("which packages {raw} stands for is not known"),
        )
    };
    let [assignment] = assigned.as_slice() else {
        return Err(unknown());
    };
    let parts = assignment.assignment(&body.text).ok_or_else(unknown)?;
    let value = assignment
        .literal_part(parts.value, &body.text)
        .ok_or_else(unknown)?
        .into_owned();
    let span = body.exact(parts.value).ok_or_else(unknown)?;
    let mut names: Vec<String> = Vec::new();
    for package in value.split_whitespace() {
        for name in mapped(work, package, span)? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let text = format!("'{}'", names.join(" "));
    let edit = Edit::replace(span, text);
    if !work.edits.contains(&edit) {
        work.edits.push(edit);
    }
    for name in names {
        work.install(&name);
    }
    Ok(vec![raw])
}

/// The Alpine packages of a Debian one as apt names it.
fn mapped(work: &mut Work<'_, '_>, word: &str, at: Span) -> Outcome<Vec<String>> {
    let obstacle = |signal, why: String| Obstacle::new(at, signal, why);
    if word.starts_with(['.', '/']) || word.ends_with(".deb") {
        return Err(obstacle("sys.repo", format!("`{word}` is a package file of Debian")));
    }
    let end = word.find(['=', ':', '/']).unwrap_or(word.len());
    let (name, rest) = word.split_at(end);
    if rest.starts_with(':') && !rest.starts_with(":amd64") {
        return Err(obstacle("sys.apt", format!("`{word}` is for another processor")));
    }
    if name.ends_with('-') || name.contains(['*', '?', '^', '{']) {
        return Err(obstacle("sys.apt", format!("`{word}` is a pattern of apt")));
    }
    // `package+` is apt's way to say that it is to be installed.
    let name = match name.strip_suffix('+') {
        Some(plain) if alpine::apk_of(name).is_none() => plain,
        _ => name,
    };
    if rest.starts_with('=') {
        work.caveat(format!(
            "the version of {word} is dropped: Alpine has others, one for each release"
        ));
    }
    work.debs.push(name.to_owned());
    let (names, confidence, near, note) = match alpine::apk_of(name).or_else(|| plus(name)) {
        None => {
            return Err(obstacle(
                "sys.apt",
                format!("what {name} is called in Alpine is not known"),
            ));
        }
        Some(Apk::None(note)) => {
            let note = note.map_or(String::new(), |note| format!(" ({note})"));
            return Err(obstacle("sys.apt", format!("Alpine has no {name}{note}")));
        }
        Some(Apk::Nothing(note)) => {
            work.dropped(name, note);
            return Ok(Vec::new());
        }
        Some(Apk::Packages {
            names,
            confidence,
            near,
            note,
        }) => (names, confidence, near, note),
    };
    let list = names.join(" ");
    if near {
        let note = note.map_or(String::new(), |note| format!(": {note}"));
        work.caveat(format!("{list} is only something near to {name}{note}"));
    }
    match confidence {
        Confidence::Low => {
            work.unsure = true;
            work.caveat(format!("that {list} is {name} is little more than a guess"));
        }
        Confidence::Derived => work.derived.push(format!("{name} → {list}")),
        Confidence::Medium | Confidence::High => {}
    }
    if name != list {
        work.renamed.push(format!("{name} → {list}"));
    }
    for name in &names {
        work.install(name);
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// `g++-12`, `gcc-12`, `libfoo1t64`: the same without what only names a version.
fn plus(name: &str) -> Option<Apk> {
    if let Some(plain) = name.strip_suffix("t64") {
        return alpine::apk_of(plain);
    }
    let (head, version) = name.rsplit_once('-')?;
    let compiler = matches!(head, "gcc" | "g++" | "cpp" | "gfortran");
    (compiler && version.chars().all(|c| c.is_ascii_digit()))
        .then(|| alpine::apk_of(head))
        .flatten()
}

/// Replaces everything up to the verb.
fn head(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    verb: usize,
    text: &str,
) -> Outcome<()> {
    // Assignments before it, such as DEBIAN_FRONTEND, go; `sudo` stays.
    let name = command.words.iter().position(|word| {
        is_apt(body.raw(word).rsplit('/').next().unwrap_or_default())
    });
    let start = match name {
        Some(0) | None => command.span.start,
        Some(at) => command.words[at].span.start,
    };
    let span = Span {
        start,
        end: command.words[verb].span.end,
    };
    let exact = body.exact(span).ok_or_else(|| {
        Obstacle::new(
            body.cover(command.span),
            "sys.apt",
            format!("`{}` is broken over lines before its verb", body.shown(command)),
        )
    })?;
    work.edits.push(Edit::replace(exact, text));
    Ok(())
}

fn drop_words(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    words: &[usize],
    verb: usize,
) -> Outcome<()> {
    let source = work.source();
    for &index in words.iter().filter(|index| **index > verb) {
        let before = command.words[index - 1].span.end;
        let last = index + 1 == command.words.len();
        let edit = body.without_word(source, before, command.words[index].span, last);
        work.edits.push(edit.map_err(|why| {
            Obstacle::new(body.cover(command.span), "sys.apt", why.to_owned())
        })?);
    }
    Ok(())
}

/// Replaces the packages, and drops the flags.
fn apply(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    flags: &[usize],
    packages: Named,
    verb: usize,
) -> Outcome<()> {
    let mut dropped = flags.to_vec();
    for (index, names) in packages {
        if names.is_empty() {
            dropped.push(index);
            continue;
        }
        let word = &command.words[index];
        let text = names.join(" ");
        if text == body.raw(word) {
            continue;
        }
        let span = body.exact(word.span).ok_or_else(|| {
            Obstacle::new(
                body.cover(word.span),
                "sys.apt",
                "a word is broken over lines".to_owned(),
            )
        })?;
        work.edits.push(Edit::replace(span, text));
    }
    dropped.sort_unstable();
    drop_words(work, body, command, &dropped, verb)
}
