//! The text of the final stage, and the edits that put it there.

use super::artifacts::{Artifact, link, replayed};
use super::packages::Packages;
use super::{Outcome, Shape, Subject, short};
use crate::catalog::{bases, compiled};
use crate::model::{Editable, Step};
use crate::model::effects::{Effect, What};
use crate::syntax::{Instruction, Item, Keyword};
use crate::rules::Missing;
use crate::text::{Edit, Span};

/// Stage names that say that something is built there.
const BUILD_NAMES: [&str; 8] = [
    "build", "builder", "build-stage", "build-env", "compile", "deps", "install", "dependencies",
];

/// A line over this many characters is broken.
const WIDTH: usize = 100;

struct Block {
    text: String,
    /// It has to come after the files are copied.
    after_files: bool,
    /// It is a USER: what follows may no longer be root.
    user: bool,
    /// The folder that a WORKDIR makes.
    workdir: Option<String>,
}

impl Block {
    fn plain(text: String) -> Self {
        Self {
            text,
            after_files: false,
            user: false,
            workdir: None,
        }
    }
}

pub(super) fn edits(
    subject: &Subject<'_, '_>,
    shape: &Shape,
    packages: &Packages,
    artifacts: &[Artifact],
) -> Outcome<Vec<Edit>> {
    let file = subject.cx.file;
    let source = file.source();
    let steps = &subject.stage.steps;
    let model = subject.cx.model;
    let works = |it: &Instruction| {
        matches!(it.keyword, Keyword::Copy | Keyword::Add | Keyword::Run)
    };
    let Some(last) = steps
        .iter()
        .rposition(|step| works(model.instructions[step.instruction]))
    else {
        return subject.refuse(Span::default(), "nothing is copied or run in it");
    };
    let (before, tail) = steps.split_at(last + 1);
    let lower = subject.from.logical.text(source)[subject.from.name.clone()]
        .iter()
        .all(u8::is_ascii_lowercase);
    let word = |keyword: &str| {
        if lower { keyword.to_lowercase() } else { keyword.to_owned() }
    };
    let eol = if source[..subject.from.span.end as usize].ends_with(b"\r\n") {
        "\r\n"
    } else {
        "\n"
    };

    let mut edits = Vec::new();
    let (build, named) = names(subject, &word, &mut edits);

    // What the final stage says, in the order of the file.
    let text_of = |it: &Instruction| {
        String::from_utf8_lossy(it.code(source).of(source)).into_owned()
    };
    let arguments = used_arguments(subject, before.iter().chain(tail).map(|s| s.instruction));
    let mut blocks: Vec<Block> = Vec::new();
    let mut copied_yet = false;
    for (position, step) in before.iter().enumerate() {
        let it = model.instructions[step.instruction];
        // What runs is gone, and what it ran with.
        let gone = subject.site.is_some()
            && !matches!(it.keyword, Keyword::Expose | Keyword::Label | Keyword::Maintainer);
        match it.keyword {
            _ if gone => {}
            Keyword::Copy | Keyword::Add => copied_yet = true,
            Keyword::Run => {
                if let Some((text, after_files)) = replay(subject, shape, packages, step.instruction, &word)? {
                    if let Some((before, paths)) = &packages.sources
                        && *before == step.instruction
                    {
                        let copy = |path: &String| {
                            Block::plain(format!("{} --from={build} {path} {path}", word("COPY")))
                        };
                        blocks.extend(paths.iter().map(copy));
                    }
                    blocks.push(Block {
                        after_files: after_files && copied_yet,
                        ..Block::plain(text)
                    });
                }
            }
            Keyword::Env if build_env(subject, it) => {}
            Keyword::Env | Keyword::Shell => blocks.push(Block::plain(text_of(it))),
            Keyword::Arg => {
                let pairs = it.pairs(source, file.escape());
                if pairs.iter().any(|pair| arguments.contains(&pair.key.to_string())) {
                    blocks.push(Block::plain(text_of(it)));
                }
            }
            Keyword::Workdir => {
                let state = before.get(position + 1).map_or_else(
                    || model.state_after(subject.stage.index).workdir,
                    |next| next.workdir.clone(),
                );
                // One after the other, only the last absolute one counts.
                if it.args_text(source).starts_with('/') {
                    while blocks.last().is_some_and(|block| block.workdir.is_some()) {
                        blocks.pop();
                    }
                }
                blocks.push(Block {
                    workdir: state,
                    ..Block::plain(text_of(it))
                });
            }
            Keyword::User => blocks.push(Block {
                user: true,
                ..Block::plain(text_of(it))
            }),
            _ => {
                // It is about the image that runs, so it moves there with the
                // comments that describe it.
                let comments = model.comments_above(it);
                let span = Span {
                    start: comments.start,
                    end: it.span.end,
                };
                let text = Span {
                    start: comments.start,
                    end: it.code(source).end,
                };
                blocks.push(Block {
                    after_files: it.keyword == Keyword::Volume,
                    ..Block::plain(String::from_utf8_lossy(text.of(source)).into_owned())
                });
                edits.push(Edit::delete(with_blank(subject, span)));
            }
        }
    }

    if let Some(site) = &subject.site {
        edits.push(Edit::delete(with_rest(subject, model.instructions[site.command])));
    } else {
        for line in carried_settings(subject, &blocks, tail, &word)?.into_iter().rev() {
            blocks.insert(0, line);
        }
    }
    for setting in shape.settings.iter().rev() {
        blocks.insert(0, Block::plain(format!("{} {setting}", word("ENV"))));
    }
    let run = |command: &String| format!("{} {command}", word("RUN"));
    let mut copies = copy_lines(artifacts, &build, &word);
    let mut mends = subject.cx.mends.iter();
    if mends.any(|mend| mend.what == Missing::LoaderCache) {
        copies.push(run(&"ldconfig".to_owned()));
    }
    let at = blocks
        .iter()
        .position(|block| block.after_files || block.user)
        .unwrap_or(blocks.len());
    let mut after: Vec<Block> = blocks.split_off(at);
    // A folder that WORKDIR makes belongs to root; COPY --chown makes it right.
    let owned = |dir: &str| {
        artifacts.iter().any(|a| {
            (a.owner.is_some() || a.folder_owner.is_some())
                && (a.path == dir || a.path.starts_with(&format!("{}/", dir.trim_end_matches('/'))) || dir.starts_with(&format!("{}/", a.path)))
        })
    };
    let relative_or_owned = |block: &Block| block.workdir.as_deref().is_some_and(owned);
    if blocks.iter().any(relative_or_owned) {
        let (dirs, rest): (Vec<Block>, Vec<Block>) =
            blocks.into_iter().partition(|block| block.workdir.is_some());
        blocks = rest;
        after.splice(0..0, dirs);
    }

    let mut added = Vec::new();
    if !packages.added.is_empty() {
        let names = packages.added.join(" ");
        let all = if subject.family == "alpine" {
            vec![format!("apk add --no-cache {names}")]
        } else {
            vec![
                "apt-get update".to_owned(),
                format!("apt-get install -y --no-install-recommends {names}"),
                "rm -rf /var/lib/apt/lists/*".to_owned(),
            ]
        };
        added.push(run_line(&all, &word));
    }
    let platform = subject
        .from
        .flag("platform")
        .map(|flag| {
            let text = &subject.from.logical.text(source)[flag.range.clone()];
            format!("{} ", String::from_utf8_lossy(text))
        })
        .unwrap_or_default();
    let lines = |blocks: Vec<Block>| blocks.into_iter().map(|b| b.text).collect::<Vec<_>>();
    let values: [(&str, Vec<String>); 8] = [
        ("build_end", shape.build_end.iter().map(run).collect()),
        ("platform", vec![platform]),
        ("image", vec![image_text(subject)?]),
        (
            "as",
            vec![named.map_or_else(String::new, |name| format!(" {} {name}", word("AS")))],
        ),
        ("packages", added),
        ("before", lines(blocks)),
        (
            "artifacts",
            copies.into_iter().chain(shape.after_copies.iter().map(run)).collect(),
        ),
        ("after", lines(after)),
    ];
    let (name, template) = match subject.site {
        Some(_) => ("static", super::SITE_TEMPLATE),
        None => (subject.ecosystem.name, subject.ecosystem.template),
    };
    let own = subject.cx.templates.and_then(|all| all.get(name));
    let template = own.map_or(template, String::as_str);
    let mut text = fill(template, &values, lower);
    let end = model.instructions[before[last].instruction].span.end as usize;
    let newline = source[..end].ends_with(b"\n");
    if !newline {
        text.insert(0, '\n');
        text.truncate(text.trim_end_matches('\n').len());
    }
    let text = text.replace("\r\n", "\n").replace('\n', eol);
    // What goes right behind the build stage makes room for the new one.
    match edits.iter_mut().find(|edit| edit.span.start as usize == end) {
        Some(edit) => *edit = Edit::replace(edit.span, format!("{text}{}", edit.text)),
        None => edits.push(Edit::insert(end, text)),
    }
    Ok(edits)
}

/// Whether an ENV sets nothing but what the build's tools read, and no other
/// instruction of the final stage names it.
fn build_env(subject: &Subject<'_, '_>, it: &Instruction) -> bool {
    let file = subject.cx.file;
    let source = file.source();
    let pairs = it.pairs(source, file.escape());
    let named = |name: &str| {
        subject.stage.steps.iter().any(|step| {
            let other = subject.instruction(step.instruction);
            !matches!(other.keyword, Keyword::Run | Keyword::Arg)
                && mentions(&String::from_utf8_lossy(other.code(source).of(source)), name)
        })
    };
    !pairs.is_empty()
        && pairs.iter().all(|pair| {
            compiled::is_build_variable(subject.ecosystem.name, &pair.key) && !named(&pair.key)
        })
}

/// What the build stage's image sets and the final one does not, where the
/// file leans on it: the working directory, and variables.
fn carried_settings(
    subject: &Subject<'_, '_>,
    blocks: &[Block],
    tail: &[Step],
    word: &dyn Fn(&str) -> String,
) -> Outcome<Vec<Block>> {
    let source = subject.cx.file.source();
    let mut out = Vec::new();
    let Some(before) = subject.use_of.settings() else {
        return Ok(out);
    };
    if subject.last.same_image {
        return Ok(out);
    }
    let after = bases::settings(&subject.last.image);
    let mut texts = String::new();
    for block in blocks {
        texts.push_str(&block.text);
        texts.push('\n');
    }
    let mut own_workdir = blocks.iter().any(|block| block.workdir.is_some());
    for step in tail {
        let it = subject.instruction(step.instruction);
        own_workdir |= it.keyword == Keyword::Workdir;
        texts.push_str(&String::from_utf8_lossy(it.code(source).of(source)));
        texts.push('\n');
    }
    for (name, value) in before.env() {
        let given = after.and_then(|after| after.env().find(|(other, _)| *other == name));
        if given.is_some_and(|(_, other)| other.is_some() && other == value) {
            continue;
        }
        // Where each image has its own, such as JAVA_HOME.
        let place = |value: Option<&str>| value.is_none_or(|value| value.starts_with('/'));
        if given.is_some_and(|(_, other)| place(value) && place(other)) {
            continue;
        }
        // LC_ALL counts for more than LANG.
        let all = |settings: bases::Settings| settings.env().any(|(name, _)| name == "LC_ALL");
        if name == "LANG" && after.is_some_and(all) {
            continue;
        }
        // A language setting changes what programs read and print without
        // anybody naming it.
        let named = mentions(&texts, name);
        if !named && name != "LANG" {
            continue;
        }
        match value {
            Some(value) => out.push(Block::plain(format!("{} {name}={value}", word("ENV")))),
            None => {
                return subject.refuse(
                    subject.from.code(source),
                    format!("${name} is set by {}, to a value that is not known, and is used at run time", subject.image),
                );
            }
        }
    }
    let workdir = |settings: Option<bases::Settings>| settings.and_then(|s| s.workdir).unwrap_or("/");
    if !own_workdir && workdir(Some(before)) != workdir(after) {
        let dir = workdir(Some(before)).to_owned();
        out.push(Block {
            workdir: Some(dir.clone()),
            ..Block::plain(format!("{} {dir}", word("WORKDIR")))
        });
    }
    Ok(out)
}

/// Whether a text has `$NAME` or `${NAME`.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// The reference of the final stage: the registry and the variables as
/// written, the slim tag.
fn image_text(subject: &Subject<'_, '_>) -> Outcome<String> {
    let reference = subject.reference.as_str();
    let name = &reference[..subject.reference.name_range().end];
    if !subject.last.same_image {
        // Of the same registry: `docker.io/library/golang` → `docker.io/library/debian`.
        let prefix = name.strip_suffix(subject.image.as_str()).unwrap_or_default();
        return Ok(format!("{prefix}{}", subject.last.name()));
    }
    let text = format!("{name}:{}", subject.last.tag);
    match &subject.use_of.editable {
        // The ARG is the build stage's image, whatever it is.
        Editable::Argument(..) => Ok(text),
        editable => editable.written(&text).or_else(|why| {
            subject.refuse(
                subject.use_of.span,
                format!("{text} can't be written here: {why}"),
            )
        }),
    }
}

/// The name of the build stage, and that of the final one.
fn names(
    subject: &Subject<'_, '_>,
    word: &dyn Fn(&str) -> String,
    edits: &mut Vec<Edit>,
) -> (String, Option<String>) {
    let source = subject.cx.file.source();
    let from = subject.from;
    // A name that no other stage has; the list is longer than any file needs.
    let free = || {
        let taken = |name: &str| {
            let mut others = subject.cx.model.stages.iter();
            others.any(|stage| stage.name.as_deref() == Some(name))
        };
        let more = (2..).map(|n| format!("build{n}"));
        let names = BUILD_NAMES.into_iter().map(str::to_owned).chain(more);
        names.into_iter().find(|name| !taken(name)).unwrap_or_default()
    };
    let Some(name) = &subject.stage.name else {
        let end = from.logical.to_file(from.args.end - 1) + 1;
        let name = free();
        edits.push(Edit::insert(end, format!(" {} {name}", word("AS"))));
        return (name, None);
    };
    if BUILD_NAMES.contains(&name.as_str()) {
        return (name.clone(), None);
    }
    // Whoever builds `--target name` goes on to get the image that runs.
    let words = from.words(source);
    let span = words.get(2).and_then(|w| from.logical.exact(w.range.clone()));
    match span {
        Some(span) => {
            let written = String::from_utf8_lossy(span.of(source)).into_owned();
            let name = free();
            edits.push(Edit::replace(span, name.as_str()));
            (name, Some(written))
        }
        None => (name.clone(), None),
    }
}

/// The ARG names that instructions of the final stage mention.
fn used_arguments(
    subject: &Subject<'_, '_>,
    instructions: impl Iterator<Item = usize>,
) -> Vec<String> {
    let source = subject.cx.file.source();
    let mut texts = String::new();
    let mut declared = Vec::new();
    for index in instructions {
        let it = subject.instruction(index);
        match it.keyword {
            Keyword::Copy | Keyword::Add => {}
            Keyword::Arg => {
                for pair in it.pairs(source, subject.cx.file.escape()) {
                    declared.push(pair.key.to_string());
                    texts.push_str(pair.value.as_deref().unwrap_or_default());
                    texts.push('\n');
                }
            }
            Keyword::Run => {
                for (at, effect) in subject.ledger.effects.iter().enumerate() {
                    let again = effect.instruction == index
                        && (effect.what == What::Replay || replayed(subject, effect) || at == usize::MAX);
                    if again {
                        texts.push_str(&effect.text);
                        texts.push('\n');
                    }
                }
            }
            _ => {
                texts.push_str(&it.args_text(source));
                texts.push('\n');
            }
        }
    }
    declared.retain(|name| mentions(&texts, name));
    declared
}

/// A deletion takes the blank line after it along where one stands before it.
fn with_blank(subject: &Subject<'_, '_>, span: Span) -> Span {
    let items = subject.cx.file.items();
    let at = items.partition_point(|item| item.span().end <= span.start);
    let blank_before = at
        .checked_sub(1)
        .is_some_and(|at| matches!(items[at], Item::Blank(_)));
    let next = items.iter().find(|item| item.span().start >= span.end);
    match next {
        Some(Item::Blank(blank)) if blank_before => span.to(*blank),
        _ => span,
    }
}

/// An instruction with the comments that describe it; the last of a file with
/// the blank lines before it.
fn with_rest(subject: &Subject<'_, '_>, it: &Instruction) -> Span {
    let file = subject.cx.file;
    let span = Span {
        start: subject.cx.model.comments_above(it).start,
        end: it.span.end,
    };
    let items = file.items();
    let at = items.partition_point(|item| item.span().end <= span.start);
    let blanks = items[..at].iter().rev().take_while(|item| matches!(item, Item::Blank(_)));
    match blanks.last() {
        Some(Item::Blank(first)) if span.end as usize == file.source().len() => Span {
            start: first.start,
            end: span.end,
        },
        _ => with_blank(subject, span),
    }
}

fn user_command(effect: &Effect) -> bool {
    let first = effect.text.split_whitespace().next().unwrap_or_default();
    matches!(
        first,
        "useradd" | "groupadd" | "usermod" | "groupmod" | "adduser" | "addgroup" | "passwd"
            | "chpasswd"
    )
}

/// What of a RUN is done again in the final stage, and whether it needs the
/// copied files.
fn replay(
    subject: &Subject<'_, '_>,
    shape: &Shape,
    packages: &Packages,
    instruction: usize,
    word: &dyn Fn(&str) -> String,
) -> Outcome<Option<(String, bool)>> {
    let source = subject.cx.file.source();
    let mut items: Vec<String> = Vec::new();
    let mut whole = true;
    let mut any = false;
    let mut installs = false;
    let mut after_files = false;
    let mut indirect: Option<&Effect> = None;
    for (index, effect) in subject.ledger.effects.iter().enumerate() {
        if effect.instruction != instruction {
            continue;
        }
        let kept = packages.kept.iter().find(|(at, _)| *at == index);
        let again = effect.what == What::Replay || replayed(subject, effect) || shape.replay.contains(&index);
        if let What::ApkAdd { packages, .. } = &effect.what {
            let Some((_, names)) = kept else {
                whole = false;
                continue;
            };
            any = true;
            whole &= names.len() == packages.len()
                && packages.iter().zip(names).all(|(a, b)| a.word == *b);
            items.push(format!("apk add --no-cache {}", names.join(" ")));
        } else if let What::AptInstall { packages, options } = &effect.what {
            let Some((_, names)) = kept else {
                whole = false;
                continue;
            };
            any = true;
            installs = true;
            whole &= names.len() == packages.len()
                && packages.iter().zip(names).all(|(a, b)| a.word == *b);
            items.push(install(effect, options, names));
        } else if again {
            any = true;
            if !effect.direct {
                indirect.get_or_insert(effect);
            }
            after_files |= !user_command(effect) && effect.what == What::Replay && !link(effect);
            items.push(tidy(&effect.text));
        } else if !matches!(effect.what, What::Nothing | What::AptLists) {
            whole = false;
        }
    }
    if !any {
        return Ok(None);
    }
    // The lists that an earlier RUN fetched stay in the build stage.
    let updates = subject.ledger.effects.iter().any(|effect| {
        effect.instruction == instruction
            && effect.what == What::AptLists
            && effect.args.iter().flatten().any(|arg| arg == "update")
    });
    if whole && (!installs || updates) {
        let it = subject.instruction(instruction);
        let text = String::from_utf8_lossy(it.code(source).of(source)).into_owned();
        return Ok(Some((text, after_files)));
    }
    if let Some(effect) = indirect {
        return subject.refuse(
            effect.span,
            format!(
                "`{}` is needed in the final stage as well, and stands in a branch or a script beside other work",
                short(&effect.text)
            ),
        );
    }
    if installs {
        items.insert(0, "apt-get update".to_owned());
        items.push("rm -rf /var/lib/apt/lists/*".to_owned());
    }
    Ok(Some((run_line(&items, word), after_files)))
}

/// An `apt-get install` of some of the packages, in the manner of the original.
fn install(effect: &Effect, options: &[String], names: &[String]) -> String {
    let text = &effect.text;
    let mut out = String::new();
    // Variables for this command alone, such as ACCEPT_EULA=Y.
    let mut words = text.split_whitespace().skip_while(|word| *word == "sudo");
    while let Some(word) = words.next().filter(|word| is_assignment(word)) {
        out.push_str(word);
        out.push(' ');
    }
    out.push_str("apt-get install -y");
    let lean = text.contains("--no-install-recommends")
        || text.contains("APT::Install-Recommends=");
    let libraries = names.iter().all(|name| name.starts_with("lib"));
    if lean || libraries {
        out.push_str(" --no-install-recommends");
    }
    for option in options {
        if !option.contains("Install-Recommends") {
            out.push(' ');
            out.push_str(option);
        }
    }
    for name in names {
        out.push(' ');
        out.push_str(name);
    }
    out
}

/// `NAME=value` without quotes or expansions.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, value)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty() && name.chars().all(plain) && !value.contains(['"', '\'', '$', '`'])
    })
}

/// A command's text without the blanks that continuations leave.
fn tidy(text: &str) -> String {
    if text.contains(['"', '\'', '\\']) {
        text.trim().to_owned()
    } else {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn run_line(items: &[String], word: &dyn Fn(&str) -> String) -> String {
    let run = word("RUN");
    let one = format!("{run} {}", items.join(" && "));
    if one.len() <= WIDTH {
        one
    } else {
        format!("{run} {}", items.join(" \\\n    && "))
    }
}

fn copy_lines(artifacts: &[Artifact], build: &str, word: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for artifact in artifacts {
        let chown = artifact
            .owner
            .as_ref()
            .map_or_else(String::new, |owner| format!(" --chown={owner}"));
        let (path, to) = (&artifact.path, artifact.to());
        let paths = if path.contains([' ', '"']) {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            format!("[{}, {}]", quoted(path), quoted(to))
        } else {
            format!("{path} {to}")
        };
        lines.push(format!("{} --from={build}{chown} {paths}", word("COPY")));
    }
    for artifact in artifacts {
        if let (None, Some(owner), true) = (&artifact.owner, &artifact.folder_owner, artifact.folder) {
            lines.push(format!("{} chown {owner} {}", word("RUN"), artifact.to()));
        }
    }
    lines
}

/// Fills a template: a line of one placeholder becomes its lines, or none.
fn fill(template: &str, values: &[(&str, Vec<String>)], lower: bool) -> String {
    let mut out = String::new();
    for line in template.lines() {
        if line.starts_with("#:") {
            continue;
        }
        let whole = line
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .filter(|name| !name.contains('}'));
        if let Some(name) = whole {
            for (_, lines) in values.iter().filter(|(key, _)| *key == name) {
                for line in lines {
                    out.push_str(line);
                    out.push('\n');
                }
            }
            continue;
        }
        let mut line = line.to_owned();
        for (name, lines) in values {
            line = line.replace(&format!("{{{{{name}}}}}"), &lines.join(" "));
        }
        if lower && let Some(rest) = line.strip_prefix("FROM ") {
            line = format!("from {rest}");
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// The folder that a path names from another, for tests of placement.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_line_of_one_placeholder_is_many_or_none() {
        let values = [
            ("a", vec!["x".to_owned(), "y".to_owned()]),
            ("b", Vec::new()),
            ("c", vec!["1".to_owned()]),
        ];
        let text = fill("#: note\n{{a}}\n{{b}}\nFROM {{c}}\n", &values, true);
        assert_eq!(text, "x\ny\nfrom 1\n");
        assert_eq!(crate::model::join(Some("/a"), "../b").as_deref(), Some("/b"));
    }
}
