//! One stage that moves: all that the move forces in it.

use super::body::Body;
use super::chain::{Moved, processors};
use super::commands::{self, Stands};
use super::{Context, Obstacle, Outcome, apt, open, users};
use crate::catalog::alpine::{self, DebianOnly};
use crate::catalog::{bases, variants};
use crate::model::effects::{self, Ledger, Write};
use crate::model::musl::{self, Answer, Processor, Question};
use crate::model::{Base, below, runtime};
use crate::syntax::shell::Command;
use crate::syntax::{Instruction, Keyword};
use crate::text::{Edit, Span};

/// What is worked out for one stage.
pub(super) struct Work<'w, 'a> {
    cx: &'w Context<'a>,
    /// The image, its variant, its major version, the release it leaves.
    pub image: &'w str,
    pub kind: String,
    pub major: Option<u32>,
    pub codename: &'static str,
    pub edits: Vec<Edit>,
    /// Alpine packages that the stage's own commands install.
    pub installed: Vec<String>,
    /// Debian packages that they named.
    pub debs: Vec<String>,
    /// Groups that were made, by number and name.
    pub groups: Vec<(String, String)>,
    pub users: usize,
    pub renamed: Vec<String>,
    pub derived: Vec<String>,
    dropped: Vec<String>,
    pub because: Vec<String>,
    pub caveats: Vec<String>,
    pub unsure: bool,
    /// Packages to add, with who needs them.
    needs: Vec<(String, String)>,
    /// Where the first need arises, by instruction.
    first_need: Option<u32>,
    /// The first install that every build runs: where a package can be added
    /// to it, and its instruction.
    first_install: Option<(u32, u32)>,
    /// Scripts that a RUN starts by their path.
    scripts: Vec<(String, Span)>,
}

impl<'w, 'a> Work<'w, 'a> {
    pub fn source(&self) -> &'w [u8] {
        self.cx.file.source()
    }

    pub fn caveat(&mut self, why: String) {
        if !self.caveats.contains(&why) {
            self.caveats.push(why);
        }
    }

    pub fn install(&mut self, name: &str) {
        if !self.installed.iter().any(|i| i == name) {
            self.installed.push(name.to_owned());
        }
    }

    pub fn dropped(&mut self, name: &str, note: Option<&str>) {
        let note = note.map_or(String::new(), |note| format!(" ({note})"));
        self.dropped.push(format!("{name}{note}"));
    }

    pub fn has_bash(&self) -> bool {
        self.installed.iter().any(|i| i == "bash") || self.needs.iter().any(|(n, _)| n == "bash")
    }

    /// Notes an install of the file's own, for packages to be added to.
    pub fn note_install(&mut self, body: &Body<'_>, command: &Command) {
        let sure = command.context.is_top_level() && !command.context.is_conditional();
        let sure = sure && !command.context.in_subprocess();
        if self.first_install.is_none() && sure && self.first_need.is_none() {
            let end = command.words.last().map(|w| body.cover(w.span).end);
            self.first_install = end.map(|end| (body.instruction.start, end));
        }
    }

    /// A package that a command needs.
    pub fn need(&mut self, package: &str, why: String, body: &Body<'_>, command: &Command) {
        let at = body.cover(command.span).start;
        self.need_at(package, why, at);
    }

    fn need_at(&mut self, package: &str, why: String, at: u32) {
        if self.installed.iter().any(|i| i == package)
            || self.needs.iter().any(|(n, _)| n == package)
        {
            return;
        }
        self.needs.push((package.to_owned(), why));
        self.first_need = Some(self.first_need.map_or(at, |first| first.min(at)));
    }

    /// A script that is started by its path.
    pub fn script(&mut self, path: &str, at: Span) {
        self.scripts.push((path.to_owned(), at));
    }
}

/// Works out one stage; `last` is the final one.
pub(super) fn rewrite<'w, 'a>(
    cx: &'w Context<'a>,
    moved: &'w Moved<'w>,
    last: bool,
) -> Outcome<Work<'w, 'a>> {
    let stage = moved.stage;
    let (major, minor) = moved.version();
    let mut work = Work {
        cx,
        image: moved.image,
        kind: moved.kind.clone(),
        major,
        codename: moved.codename,
        edits: vec![moved.edit.clone()],
        installed: Vec::new(),
        debs: Vec::new(),
        groups: Vec::new(),
        users: 0,
        renamed: Vec::new(),
        derived: Vec::new(),
        dropped: Vec::new(),
        because: Vec::new(),
        caveats: Vec::new(),
        unsure: false,
        needs: Vec::new(),
        first_need: None,
        first_install: None,
        scripts: Vec::new(),
    };
    let targets = processors(cx, stage);
    platforms(moved, &targets)?;
    let own;
    let ledger = match cx.ledger() {
        Some(ledger) if stage + 1 == cx.model.stages.len() => ledger,
        _ => {
            own = effects::ledger(cx.model, stage, cx.files, "/");
            &own
        }
    };
    let answer = musl::ask(&Question {
        model: cx.model,
        stage,
        ledger,
        files: cx.files,
        image: moved.image,
        python: (moved.image == "python" && major == Some(3)).then_some(minor).flatten(),
        processors: &targets,
    });
    if let Some(obstacle) = open(&answer) {
        return Err(obstacle);
    }
    for step in &cx.model.stages[stage].steps {
        let it = cx.model.instructions[step.instruction];
        instruction(&mut work, it)?;
    }
    shells(&mut work, stage)?;
    scripts(&mut work, ledger)?;
    if last {
        at_run_time(&mut work, stage, ledger)?;
    }
    findings(&mut work, &answer, ledger, last);
    known_users(&mut work, stage)?;
    finish(&mut work, stage)?;
    said(&mut work, &answer, &targets);
    Ok(work)
}

/// Variants that are not there for each processor.
fn platforms(moved: &Moved<'_>, targets: &[Processor]) -> Outcome<()> {
    // Those on Adoptium's builds; Amazon's are there for both.
    let java = match moved.image {
        "eclipse-temurin" => moved.version().0,
        "amazoncorretto" => None,
        _ => java_version(moved.tag),
    };
    let old = java.is_some_and(|version| version < 21);
    if old && targets.contains(&Processor::Arm64) {
        return Err(Obstacle::new(
            moved.at,
            "jv.tag",
            format!("{}:{} is there for amd64 alone", moved.image, moved.alpine),
        ));
    }
    Ok(())
}

/// The version of Java that a tag names: `jdk17`, `eclipse-temurin-17`.
fn java_version(tag: &str) -> Option<u32> {
    let mut tokens = tag.split('-').peekable();
    while let Some(token) = tokens.next() {
        for word in ["jdk", "jre", "temurin", "openjdk"] {
            let Some(rest) = token.strip_prefix(word) else {
                continue;
            };
            let number = if rest.is_empty() {
                tokens.peek().copied().unwrap_or_default()
            } else {
                rest
            };
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(version) = digits.parse() {
                return Some(version);
            }
        }
    }
    None
}

fn instruction(work: &mut Work<'_, '_>, it: &Instruction) -> Outcome<()> {
    let source = work.source();
    let inner = it.sub.as_deref().unwrap_or(it);
    match inner.keyword {
        Keyword::Run => run(work, it),
        Keyword::Add => {
            let list = inner.list(source);
            for url in list.iter().filter(|item| item.contains("://")) {
                if let Some(why) = commands::foreign(url, false) {
                    return Err(Obstacle::new(
                        it.code(source),
                        "sys.binary",
                        format!("ADD {url}: {why}"),
                    ));
                }
            }
            Ok(())
        }
        Keyword::Env | Keyword::Entrypoint | Keyword::Cmd | Keyword::Healthcheck => paths(work, it),
        _ => Ok(()),
    }
}

fn run(work: &mut Work<'_, '_>, it: &Instruction) -> Outcome<()> {
    let source = work.source();
    let at = it.code(source);
    let inner = it.sub.as_deref().unwrap_or(it);
    if let Some(words) = &inner.json {
        let name = words.first().map_or("", |word| word.value.as_str());
        let base = name.rsplit('/').next().unwrap_or(name);
        let all: Vec<&str> = words.iter().map(|w| w.value.as_str()).collect();
        let inline = matches!(base, "sh" | "bash") && all.iter().any(|w| w.contains("apt"));
        if apt::is_apt(base) || users::is_users(base) || inline {
            return Err(Obstacle::new(
                at,
                "sys.apt",
                "it is a RUN in JSON form, whose words are not rewritten",
            ));
        }
        return match commands::stands(work, base) {
            Stands::There => Ok(()),
            Stands::In(package) => {
                work.need_at(package, format!("line {}", it.start_line), at.start);
                Ok(())
            }
            Stands::Nothing(signal, why) => Err(Obstacle::new(at, signal, why)),
        };
    }
    let bodies = Body::of(it, source, work.cx.file.escape());
    if bodies.is_empty() {
        return Err(Obstacle::new(
            at,
            "sys.apt",
            "its heredoc is fed to a program, which is not followed",
        ));
    }
    for body in &bodies {
        if !body.script.is_valid() {
            return Err(Obstacle::new(at, "sys.apt", "its shell can't be read"));
        }
        one_body(work, body)?;
    }
    Ok(())
}

/// Settings of apt itself, which mean nothing elsewhere.
fn of_apt(text: &str) -> bool {
    ["/var/lib/apt", "/var/cache/apt", "/etc/apt/apt.conf", "/var/cache/debconf"]
        .iter()
        .any(|path| text.starts_with(path))
}

fn one_body(work: &mut Work<'_, '_>, body: &Body<'_>) -> Outcome<()> {
    let source = work.source();
    let mut gone: Vec<u32> = Vec::new();
    for command in body.script.commands() {
        let values = body.values(command);
        let at = body.cover(command.span);
        multiarch(work, body, command)?;
        let targets = command.redirects.iter().map(|r| body.raw(&r.target));
        let targets: Vec<String> = targets.collect();
        if targets.iter().any(|t| of_apt(t.trim_matches(['"', '\'']))) {
            gone.push(command.item);
            continue;
        }
        if targets.iter().any(|t| t.contains("/etc/apt/")) {
            return Err(Obstacle::new(
                at,
                "sys.repo",
                format!("`{}` adds a source of packages for Debian", body.shown(command)),
            ));
        }
        let Some(first) = commands::program(&values) else {
            continue;
        };
        let Some(name) = values[first].clone() else {
            let raw = body.raw(&command.words[first]);
            work.caveat(format!("what {raw} runs is not known, and so not whether it is on Alpine"));
            continue;
        };
        let base = name.rsplit('/').next().unwrap_or(&name).to_owned();
        let operands: Vec<&str> = values[first + 1..]
            .iter()
            .flatten()
            .map(String::as_str)
            .filter(|w| !w.starts_with('-'))
            .collect();
        if apt::is_apt(&base) {
            apt::rewrite(work, body, command, first, &mut gone)?;
        } else if base == "rm" && touches_apt(body, command) {
            clean_up(work, body, command, first, &mut gone)?;
        } else if users::is_users(&base) {
            if let Some(group) = users::made_group(body, command, first, &base) {
                work.groups.push(group);
            }
            users::rewrite(work, body, command, first, &base)?;
        } else if matches!(base.as_str(), "mkdir" | "touch" | "chown" | "echo" | "chmod")
            && !operands.is_empty()
            && operands.iter().all(|w| of_apt(w))
        {
            gone.push(command.item);
        } else if operands.iter().any(|w| w.starts_with("/etc/apt/") || w.starts_with("/usr/share/keyrings")) {
            return Err(Obstacle::new(
                at,
                "sys.repo",
                format!("`{}` changes where Debian's packages come from", body.shown(command)),
            ));
        } else {
            commands::look(work, body, command, first)?;
        }
    }
    let shown = |why: &str| {
        Obstacle::new(body.instruction, "sys.apt", format!("its commands can't be taken apart: {why}"))
    };
    let edits = body.without(source, &gone).map_err(shown)?;
    // Within what is taken out whole nothing else is edited.
    for edit in &edits {
        let inside = |other: &Edit| {
            other.span.start >= edit.span.start && other.span.end <= edit.span.end
        };
        work.edits.retain(|other| !inside(other));
    }
    work.edits.extend(edits);
    Ok(())
}

fn touches_apt(body: &Body<'_>, command: &Command) -> bool {
    command
        .words
        .iter()
        .any(|word| of_apt(body.raw(word).trim_matches(['"', '\''])))
}

/// `rm -rf /var/lib/apt/lists/*`, alone or with other paths.
fn clean_up(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    first: usize,
    gone: &mut Vec<u32>,
) -> Outcome<()> {
    let words = &command.words[first + 1..];
    let raw: Vec<String> = words.iter().map(|w| body.raw(w)).collect();
    let other = raw
        .iter()
        .any(|w| !w.starts_with('-') && !of_apt(w.trim_matches(['"', '\''])));
    if !other {
        gone.push(command.item);
        return Ok(());
    }
    for (index, word) in words.iter().enumerate() {
        if !of_apt(raw[index].trim_matches(['"', '\''])) {
            continue;
        }
        let before = command.words[first + index].span.end;
        let last = index + 1 == words.len();
        let edit = body
            .without_word(work.source(), before, word.span, last)
            .map_err(|why| Obstacle::new(body.cover(command.span), "sys.apt", why))?;
        work.edits.push(edit);
    }
    Ok(())
}

/// Paths of Debian's libraries in a command.
fn multiarch(work: &mut Work<'_, '_>, body: &Body<'_>, command: &Command) -> Outcome<()> {
    for word in &command.words {
        let raw = body.raw(word);
        if let Some(path) = multiarch_path(&raw) {
            let at = body.cover(word.span);
            match alpine::debian_only(path) {
                Some(DebianOnly::Moved(to, package)) => {
                    let span = body.exact(word.span).ok_or_else(|| {
                        Obstacle::new(at, "sys.multiarchpath", format!("{path} is a path of Debian"))
                    })?;
                    work.edits.push(Edit::replace(span, raw.replace(path, to)));
                    work.need_at(package, format!("{path} is its {to}"), at.start);
                }
                _ => {
                    return Err(Obstacle::new(
                        at,
                        "sys.multiarchpath",
                        format!("{path} is a path of Debian's libraries"),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The path of a library of Debian in a text.
fn multiarch_path(text: &str) -> Option<&str> {
    let at = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .iter()
        .find_map(|sign| text.find(sign))?;
    let edge = |c: char| c.is_whitespace() || "\"'=:,;$".contains(c);
    let start = text[..at].rfind(edge).map_or(0, |n| n + 1);
    let end = text[at..].find(edge).map_or(text.len(), |n| at + n);
    Some(&text[start..end])
}

/// Values and programs by their paths in ENV, ENTRYPOINT, CMD, HEALTHCHECK.
fn paths(work: &mut Work<'_, '_>, it: &Instruction) -> Outcome<()> {
    let source = work.source();
    let at = it.code(source);
    let text = String::from_utf8_lossy(at.of(source)).into_owned();
    let mut places: Vec<(&str, Span)> = Vec::new();
    if let Some(path) = multiarch_path(&text) {
        places.push((path, at));
    }
    if let Some(words) = &it.json {
        for word in words {
            if matches!(alpine::debian_only(&word.value), Some(DebianOnly::Moved(..))) {
                places.push((&word.value, at));
            }
        }
    } else {
        let plain = text.split_whitespace().map(|w| w.trim_matches(['"', '\'']));
        for word in plain {
            let value = word.split_once('=').map_or(word, |(_, value)| value);
            if value.starts_with("/usr/bin/")
                && matches!(alpine::debian_only(value), Some(DebianOnly::Moved(..)))
            {
                places.push((value, at));
            }
        }
    }
    places.dedup();
    for (path, at) in places {
        let Some(DebianOnly::Moved(to, package)) = alpine::debian_only(path) else {
            return Err(Obstacle::new(
                at,
                "sys.multiarchpath",
                format!("{path} is a path of Debian's libraries"),
            ));
        };
        for (offset, _) in text.match_indices(path) {
            let start = at.start as usize + offset;
            let edit = Edit::replace(Span::new(start, start + path.len()), to);
            if !work.edits.contains(&edit) {
                work.edits.push(edit);
            }
        }
        if !work.installed.iter().any(|i| i == package) {
            work.need_at(package, format!("{path} is its {to}"), at.start);
        }
        work.because
            .push(format!("line {}: {path} is {to} on Alpine", it.start_line));
    }
    Ok(())
}

/// SHELL with bash: sh where that does, else bash.
fn shells(work: &mut Work<'_, '_>, stage: usize) -> Outcome<()> {
    let cx = work.cx;
    let source = work.source();
    let is_bash = |shell: &[String]| {
        shell
            .first()
            .is_some_and(|name| name.rsplit('/').next() == Some("bash"))
    };
    let steps = &cx.model.stages[stage].steps;
    for (index, step) in steps.iter().enumerate() {
        let it = cx.model.instructions[step.instruction];
        if it.keyword != Keyword::Shell || !is_bash(&it.list(source)) {
            continue;
        }
        let list = it.list(source);
        let mut why = list[1..]
            .iter()
            .find(|flag| !plain_flag(flag))
            .map(|flag| format!("its flag {flag}"));
        for later in &steps[index + 1..] {
            let other = cx.model.instructions[later.instruction];
            if other.keyword == Keyword::Shell {
                break;
            }
            let shell_form = matches!(other.keyword, Keyword::Cmd | Keyword::Entrypoint | Keyword::Healthcheck)
                && other.json.is_none();
            if shell_form {
                why = why.or(Some(format!("line {} runs in it", other.start_line)));
            }
            for body in Body::of(other, source, cx.file.escape()) {
                if let Some((span, what)) = commands::bashism(&body) {
                    let line = cx.file.lines().line(body.cover(span).start);
                    why = why.or(Some(format!("{what} on line {line}")));
                }
            }
        }
        let at = it.code(source);
        match (why, it.json.as_ref().and_then(|words| words.first())) {
            (None, Some(word)) => {
                let span = it.logical.exact(word.range.clone());
                let span = span.ok_or_else(|| {
                    Obstacle::new(at, "sys.bash", "its SHELL is broken over lines")
                })?;
                work.edits.push(Edit::replace(span, "\"/bin/sh\""));
                work.because.push(format!(
                    "line {}: nothing that runs in bash there is bash's alone, so sh runs it",
                    it.start_line
                ));
            }
            (why, _) => {
                let why = why.unwrap_or_else(|| "SHELL".to_owned());
                work.need_at("bash", format!("the SHELL of line {} ({why})", it.start_line), at.start);
            }
        }
    }
    Ok(())
}

/// Flags of bash that busybox's sh has as well.
fn plain_flag(flag: &str) -> bool {
    flag == "pipefail"
        || flag
            .strip_prefix('-')
            .is_some_and(|letters| !letters.is_empty() && letters.chars().all(|c| "ceuxo".contains(c)))
}

/// Scripts of the context that RUN commands start: what runs them.
fn scripts(work: &mut Work<'_, '_>, ledger: &Ledger) -> Outcome<()> {
    let started = std::mem::take(&mut work.scripts);
    for (path, at) in started {
        let full = crate::model::join(Some("/"), &path).unwrap_or(path);
        let found = ledger.copied.context_path(&full).or_else(|| {
            let name = full.trim_start_matches('/').to_owned();
            ledger.copied.copies(&name).then_some(name)
        });
        let Some(context) = found else { continue };
        let head = work.cx.files.head(&context, 200).yes().unwrap_or_default();
        let first = head.split(|b| *b == b'\n').next().unwrap_or_default();
        if !first.starts_with(b"#!") {
            continue;
        }
        let line = String::from_utf8_lossy(&first[2..]).into_owned();
        let runner = line
            .split_whitespace()
            .map(|w| w.rsplit('/').next().unwrap_or(w))
            .find(|w| *w != "env" && !w.starts_with('-'));
        let Some(runner) = runner else { continue };
        need_program(work, runner, &format!("{context}, which starts with #!{line}"), at)?;
    }
    Ok(())
}

fn need_program(work: &mut Work<'_, '_>, name: &str, by: &str, at: Span) -> Outcome<()> {
    match commands::stands(work, name) {
        Stands::There => Ok(()),
        Stands::In(package) => {
            work.need_at(package, by.to_owned(), at.start);
            Ok(())
        }
        Stands::Nothing(signal, why) => Err(Obstacle::new(at, signal, format!("{by}: {why}"))),
    }
}

/// What the image runs.
fn at_run_time(work: &mut Work<'_, '_>, stage: usize, ledger: &Ledger) -> Outcome<()> {
    let cx = work.cx;
    let demand = runtime::demand(cx.model, stage, &ledger.copied, cx.files, "/");
    let span = |line: usize| {
        let range = cx.file.lines().range(line);
        Span::new(range.start, range.end)
    };
    for (line, why) in &demand.unknown {
        work.caveat(format!("line {line}: {why}"));
    }
    for unseen in &demand.unseen {
        let compiled = ledger.effects.iter().any(|effect| {
            let covers = |w: &Write| w.path == unseen.path || (w.tree && below(&unseen.path, &w.path));
            effect.compiles() && effect.writes.iter().any(covers)
        });
        if !compiled {
            return Err(Obstacle::new(
                span(unseen.line),
                "sys.binary",
                format!("{}, so that whether it runs on musl is not known", unseen.why()),
            ));
        }
    }
    for wanted in &demand.demands {
        let at = span(wanted.line);
        let own = wanted.program.contains('/')
            && !["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/"]
                .iter()
                .any(|folder| wanted.program.starts_with(folder));
        if !own {
            need_program(work, &wanted.command, &wanted.via, at)?;
        }
        let args = wanted.args.iter().map(String::as_str);
        if let Some((package, flag)) = commands::gnu_package(&wanted.command, args) {
            let why = format!("{}: `{} {flag}`, which busybox lacks", wanted.via, wanted.command);
            work.need_at(package, why, at.start);
        }
    }
    let sources = cx.sources(work.codename);
    let started: Vec<(String, String)> = sources.started().collect();
    for (command, file) in started {
        let at = cx.model.instructions[cx.model.stages[stage].from].code(cx.file.source());
        need_program(work, &command, &file, at)?;
    }
    for (module, file) in sources.own_modules(work.image) {
        let why = format!("{file} loads {} [{}]", module.name, module.signal);
        work.need_at(module.alpine, why, u32::MAX);
    }
    let forms = ["//TRANSLIT", "//IGNORE"];
    let converts = forms.into_iter().find_map(|form| Some((form, sources.mentions(form)?)));
    if let Some((form, file)) = converts.filter(|_| work.image == "php") {
        work.caveats.push(format!(
            "{file} has {form}, which musl's iconv does not know: whether the image brings GNU's hangs on its version [php.iconv]"
        ));
    }
    for caveat in &sources.caveats {
        work.caveats.push(caveat.clone());
    }
    zones(work, stage);
    Ok(())
}

/// Time zones: Debian's images have them.
fn zones(work: &mut Work<'_, '_>, stage: usize) {
    let scope = &work.cx.model.stages[stage].scope;
    let set = scope.value("TZ", scope.len()).is_some();
    if set && variants::has_tzdata(work.image, &work.kind) != Some(true) {
        // At run time: after everything.
        work.need_at("tzdata", "TZ is set".to_owned(), u32::MAX);
    }
}

/// What the oracle says is to be added.
fn findings(work: &mut Work<'_, '_>, answer: &Answer, ledger: &Ledger, last: bool) {
    let lines = work.cx.file.lines();
    let mut by_effect: Vec<(usize, Vec<&'static str>, Vec<String>)> = Vec::new();
    for finding in &answer.findings {
        let line = lines.line(finding.at.start);
        for package in &finding.runtime {
            let has = *package == "libstdc++" && work.image == "node";
            if !has {
                work.need_at(package, format!("{}: {}", finding.what, finding.why), finding.at.start);
            }
        }
        if finding.build.is_empty() {
            continue;
        }
        let index = finding.effect.unwrap_or_default();
        let slot = match by_effect.iter().position(|(at, ..)| *at == index) {
            Some(slot) => slot,
            None => {
                by_effect.push((index, Vec::new(), Vec::new()));
                by_effect.len() - 1
            }
        };
        for package in &finding.build {
            if !by_effect[slot].1.contains(package) {
                by_effect[slot].1.push(package);
            }
        }
        by_effect[slot].2.push(format!("line {line}: {}", finding.what));
    }
    for (index, packages, who) in by_effect {
        let has = |name: &str| work.installed.iter().any(|i| i == name);
        let base = has("build-base") || packages.contains(&"build-base");
        let missing: Vec<&str> = packages
            .iter()
            .copied()
            .filter(|p| !has(p))
            .filter(|p| !(base && matches!(*p, "gcc" | "g++" | "make" | "musl-dev")))
            .filter(|p| !(work.image == "python" && *p == "python3"))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let shown = match who.len() {
            0..=3 => who.join("; "),
            more => format!("{}; and {} more", who[..3].join("; "), more - 3),
        };
        let list = missing.join(" ");
        let wrapped = last && wrap(work, ledger, index, &list);
        if wrapped {
            work.because.push(format!(
                "{list}: added for one command and removed after it, to compile ({shown})"
            ));
        } else {
            for package in missing {
                let at = ledger.effects[index].span.start;
                work.need_at(package, format!("to compile ({shown})"), at);
            }
        }
    }
}

/// Puts `apk add --virtual` and `apk del` around a command.
fn wrap(work: &mut Work<'_, '_>, ledger: &Ledger, index: usize, packages: &str) -> bool {
    let effect = &ledger.effects[index];
    let it = work.cx.model.instructions[effect.instruction];
    let root = matches!(effect.user.as_deref(), None | Some("root" | "0"));
    if !root || it.keyword != Keyword::Run || !effect.direct {
        return false;
    }
    let bodies = Body::of(it, work.source(), work.cx.file.escape());
    let [body] = bodies.as_slice() else {
        return false;
    };
    let command = body
        .script
        .commands()
        .iter()
        .find(|command| body.cover(command.span) == effect.span);
    let Some(command) = command else { return false };
    use crate::syntax::shell::Connector;
    let items = body.script.all_items();
    let next = items[command.item as usize + 1..]
        .iter()
        .find(|item| item.context.scope == command.context.scope);
    let plain = matches!(command.before, Connector::Start | Connector::And)
        && next.is_none_or(|next| matches!(next.before, Connector::And));
    if !plain {
        return false;
    }
    let before = format!("apk add --no-cache --virtual .build-deps {packages} && ");
    work.edits.push(Edit::insert(effect.span.start as usize, before));
    work.edits
        .push(Edit::insert(effect.span.end as usize, " && apk del .build-deps"));
    true
}

/// Users that Debian has and Alpine hasn't.
fn known_users(work: &mut Work<'_, '_>, stage: usize) -> Outcome<()> {
    let cx = work.cx;
    let source = work.source();
    let of = |image: &str| -> Vec<&'static str> {
        bases::settings(image).map_or_else(Vec::new, |s| s.users().collect())
    };
    let (debian, alpine, own) = (of("debian"), of("alpine"), of(work.image));
    let php = own.contains(&"www-data");
    for step in &cx.model.stages[stage].steps {
        let it = cx.model.instructions[step.instruction];
        let at = it.code(source);
        let mut names: Vec<String> = Vec::new();
        if it.keyword == Keyword::User {
            names.push(it.args_text(source).into_owned());
        }
        names.extend(it.flag("chown").and_then(|f| f.value()).map(str::to_owned));
        for body in Body::of(it, source, cx.file.escape()) {
            for command in body.script.commands() {
                if command.name(&body.text).as_deref() == Some("chown") {
                    let values = body.values(command);
                    let owner = values.iter().skip(1).flatten().find(|w| !w.starts_with('-'));
                    names.extend(owner.cloned());
                }
            }
        }
        for name in names {
            for part in name.split(':') {
                if part == "33" {
                    return Err(Obstacle::new(
                        at,
                        "php.uid",
                        "the number 33 is www-data on Debian and nobody on Alpine, where www-data is 82",
                    ));
                }
                let made = made_here(work, part);
                if debian.contains(&part) && !alpine.contains(&part) && !own.contains(&part) && !made {
                    return Err(Obstacle::new(
                        at,
                        "sys.uids",
                        format!("Alpine has no user {part}"),
                    ));
                }
                if part == "www-data" && php {
                    work.caveat(
                        "www-data is 33 on Debian and 82 on Alpine: data on volumes belongs to the former".to_owned(),
                    );
                }
            }
        }
    }
    Ok(())
}

fn made_here(work: &Work<'_, '_>, name: &str) -> bool {
    work.edits.iter().any(|edit| {
        (edit.text.starts_with("adduser") || edit.text.starts_with("addgroup"))
            && edit.text.split_whitespace().any(|word| word == name)
    })
}

/// Adds what is needed: to the file's first install, or as a RUN of its own.
fn finish(work: &mut Work<'_, '_>, stage: usize) -> Outcome<()> {
    if work.needs.is_empty() {
        return Ok(());
    }
    let cx = work.cx;
    let mut names: Vec<String> = work.needs.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    let list = names.join(" ");
    let by_name: Vec<String> = work
        .needs
        .iter()
        .map(|(name, why)| format!("{name} is added: {why}"))
        .collect();
    work.because.extend(by_name);
    let start = |at: u32| {
        let steps = &cx.model.stages[stage].steps;
        steps
            .iter()
            .map(|s| cx.model.instructions[s.instruction].span)
            .find(|span| span.start <= at && at < span.end)
            .map_or(0, |span| span.start)
    };
    let need = work.first_need.map_or(0, start);
    if let Some((instruction, end)) = work.first_install
        && (instruction <= need || need == 0)
        && !work.edits.iter().any(|edit| edit.span.start <= end && end < edit.span.end)
    {
        // At the end of the last word, whatever that becomes.
        let mut merged = None;
        for edit in &mut work.edits {
            if edit.span.end == end && !edit.span.is_empty() {
                let text = format!("{} {list}", edit.text).trim_start().to_owned();
                let lead = if edit.text.is_empty() { " " } else { "" };
                *edit = Edit::replace(edit.span, format!("{lead}{text}"));
                merged = Some(());
                break;
            }
        }
        if merged.is_none() {
            work.edits.push(Edit::insert(end as usize, format!(" {list}")));
        }
        return Ok(());
    }
    let from = cx.model.instructions[cx.model.stages[stage].from];
    if let Base::Stage(_) = cx.model.stages[stage].base {
        let user = cx.model.stages[stage].steps.first().and_then(|s| s.user.clone());
        if user.is_some_and(|user| user != "root" && user != "0") {
            return Err(Obstacle::new(
                from.code(work.source()),
                "sys.apt",
                format!("{list} must be added, and the stage starts as another user than root"),
            ));
        }
    }
    let span = from.span;
    let text = span.of(work.source());
    let newline = if text.ends_with(b"\r\n") { "\r\n" } else { "\n" };
    let lead = if text.ends_with(b"\n") { "" } else { newline };
    work.edits.push(Edit::insert(
        span.end as usize,
        format!("{lead}RUN apk add --no-cache {list}{newline}"),
    ));
    Ok(())
}

fn said(work: &mut Work<'_, '_>, answer: &Answer, targets: &[Processor]) {
    if !work.renamed.is_empty() {
        work.renamed.dedup();
        let list = work.renamed.join("; ");
        work.because.push(format!("in Alpine's names: {list}"));
    }
    if !work.dropped.is_empty() {
        let list = work.dropped.join("; ");
        work.because.push(format!("not needed on Alpine: {list}"));
    }
    if !work.derived.is_empty() {
        let list = work.derived.join("; ");
        work.caveat(format!(
            "derived from what both packages have in them, and not checked by hand: {list}"
        ));
    }
    if answer.packages > 0 {
        let names: Vec<&str> = targets.iter().map(|p| p.name()).collect();
        work.because.push(format!(
            "{} packages of languages were looked at, for {}: none stands in the way",
            answer.packages,
            names.join(" and ")
        ));
    }
    for doubt in &answer.doubts {
        work.caveat(doubt.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_java_in_a_tag() {
        assert_eq!(java_version("3.9.9-eclipse-temurin-21"), Some(21));
        assert_eq!(java_version("3.5.3-jdk-8"), Some(8));
        assert_eq!(java_version("8.7.0-jdk17"), Some(17));
        assert_eq!(java_version("7-jre8"), Some(8));
        assert_eq!(java_version("20-bookworm"), None);
    }

    #[test]
    fn paths_of_debians_libraries() {
        let found = multiarch_path("LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libx.so:/y");
        assert_eq!(found, Some("/usr/lib/x86_64-linux-gnu/libx.so"));
        assert_eq!(multiarch_path("/usr/lib/libx.so"), None);
    }
}
