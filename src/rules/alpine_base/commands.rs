//! What the commands of a stage mean on Alpine: commands that are not there,
//! flags that busybox lacks, bash, paths.

use super::body::Body;
use super::{Obstacle, Outcome, Work};
use crate::catalog::alpine::{self, Apk, DebianOnly};
use crate::catalog::{commands, variants};
use crate::syntax::shell::{Command, CompoundKind, ExpansionKind, RedirectKind};
use crate::text::Span;

/// Tools that look at names ending like flags of others.
const WRAPPERS: [&str; 8] = [
    "command", "env", "exec", "nice", "nohup", "sudo", "time", "xargs",
];

/// The index of the word that names the program, past wrappers.
pub(super) fn program(values: &[Option<String>]) -> Option<usize> {
    let mut at = 0;
    while let Some(Some(word)) = values.get(at) {
        let base = word.rsplit('/').next().unwrap_or(word);
        if !WRAPPERS.contains(&base) || at > 4 {
            break;
        }
        let rest = values.get(at + 1)?;
        let option = |w: &Option<String>| {
            w.as_deref().is_some_and(|w| w.starts_with('-') || w.contains('='))
        };
        let skip = values[at + 1..].iter().take_while(|w| option(w)).count();
        if rest.is_none() || values.len() <= at + 1 + skip {
            break;
        }
        at += 1 + skip;
    }
    (at < values.len()).then_some(at)
}

/// What stands for a program of Debian.
pub(super) enum Stands {
    /// The image has it.
    There,
    /// This package brings it.
    In(&'static str),
    /// Nothing: the signal, and why.
    Nothing(&'static str, String),
}

/// What a program is on the stage's Alpine.
pub(super) fn stands(work: &Work<'_, '_>, name: &str) -> Stands {
    let has = variants::provides_at(work.image, &work.kind, "", work.major, name);
    if has == Some(true) {
        return Stands::There;
    }
    match alpine::debian_only(name) {
        Some(DebianOnly::Same | DebianOnly::Moved(..)) => return Stands::There,
        Some(DebianOnly::In(package)) => return in_package(work, package),
        Some(DebianOnly::Blocked(signal)) => {
            return Stands::Nothing(signal, format!("`{name}` has no counterpart on Alpine"));
        }
        None => {}
    }
    if has != Some(false) {
        return Stands::There;
    }
    let Some(deb) = commands::package_of(name, work.codename) else {
        return Stands::There;
    };
    if work.debs.iter().any(|d| d == deb) {
        return Stands::There;
    }
    match alpine::apk_of(deb) {
        Some(Apk::Packages { names, .. }) => in_package(work, names[0]),
        _ => Stands::Nothing(
            "sys.apt",
            format!("`{name}` (of Debian's {deb}) is not in Alpine's image, and which package has it is not known"),
        ),
    }
}

fn in_package(work: &Work<'_, '_>, package: &'static str) -> Stands {
    let has = |name: &str| work.installed.iter().any(|i| i == name);
    let base = ["build-base"];
    let covered = matches!(package, "gcc" | "g++" | "make" | "musl-dev" | "binutils")
        && base.iter().any(|b| has(b));
    if has(package) || covered {
        return Stands::There;
    }
    Stands::In(package)
}

/// Looks at a simple command that is neither apt's nor one of users.
pub(super) fn look(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    first: usize,
) -> Outcome<()> {
    let values = body.values(command);
    let at = body.cover(command.span);
    let shown = body.shown(command);
    let Some(Some(name)) = values.get(first) else {
        return Ok(());
    };
    let base = name.rsplit('/').next().unwrap_or(name).to_owned();
    let own_path = name.contains('/')
        && !["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"]
            .iter()
            .any(|folder| name.starts_with(folder));
    if !own_path {
        match stands(work, &base) {
            Stands::There => {}
            Stands::In(package) => work.need(package, format!("`{shown}`"), body, command),
            Stands::Nothing(signal, why) => {
                return Err(Obstacle::new(at, signal, format!("`{shown}`: {why}")));
            }
        }
    } else {
        work.script(name, at);
    }
    flags(work, body, command, &base, &values[first + 1..]);
    downloads(work, body, command, &base, &values[first + 1..])?;
    Ok(())
}

/// Flags that busybox's tool lacks.
fn flags(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    tool: &str,
    args: &[Option<String>],
) {
    if let Some((package, flag)) = gnu_package(tool, args.iter().flatten().map(String::as_str)) {
        let why = format!("`{tool} {flag}`, which busybox lacks");
        work.need(package, why, body, command);
    }
}

/// The package that has a flag of a tool which busybox lacks, and the flag.
pub(super) fn gnu_package<'w>(
    tool: &str,
    args: impl Iterator<Item = &'w str>,
) -> Option<(&'static str, String)> {
    for arg in args {
        if arg == "--" {
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let flag = format!("--{}", long.split('=').next().unwrap_or(long));
            if let Some(package) = alpine::package_of_flag(tool, &flag) {
                return Some((package, flag));
            }
            continue;
        }
        let Some(short) = arg.strip_prefix('-') else {
            continue;
        };
        if let Some(package) = alpine::package_of_flag(tool, arg) {
            return Some((package, arg.to_owned()));
        }
        // find's are words; others' letters may be joined.
        if tool == "find" {
            continue;
        }
        for letter in short.chars().take_while(char::is_ascii_alphabetic) {
            let flag = format!("-{letter}");
            if let Some(package) = alpine::package_of_flag(tool, &flag) {
                return Some((package, flag));
            }
        }
    }
    None
}

/// Endings of what is no program.
const DATA: [&str; 22] = [
    ".asc", ".cer", ".conf", ".crt", ".css", ".csv", ".gpg", ".html", ".ini", ".json", ".key",
    ".md", ".otf", ".pem", ".sha256", ".sig", ".sql", ".ttf", ".txt", ".whl.txt", ".xml", ".yml",
];

/// Programs that are fetched are for glibc unless the table says otherwise.
fn downloads(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    tool: &str,
    args: &[Option<String>],
) -> Outcome<()> {
    if !matches!(tool, "curl" | "wget" | "aria2c") {
        return Ok(());
    }
    let at = body.cover(command.span);
    let text = String::from_utf8_lossy(command.span.of(&body.text)).into_owned();
    let all = body.script.commands();
    let piped = all.iter().any(|next| {
        next.before == crate::syntax::shell::Connector::Pipe
            && next.context.scope == command.context.scope
            && next.span.start > command.span.end
            && next.name(&body.text).is_some_and(|name| {
                matches!(name.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash" | "sudo"))
            })
    });
    let urls: Vec<&str> = text
        .split_whitespace()
        .map(|w| w.trim_matches(['"', '\'']))
        .filter(|w| w.contains("://"))
        .collect();
    let _ = args;
    for url in urls {
        if let Some(why) = foreign(url, piped) {
            return Err(Obstacle::new(at, "sys.binary", format!("`{}`: {why}", body.shown(command))));
        }
    }
    if piped && !text.contains("://") {
        return Err(Obstacle::new(
            at,
            "sys.binary",
            format!("`{}` runs a script that is fetched", body.shown(command)),
        ));
    }
    let _ = work;
    Ok(())
}

/// Why what lies at a URL may not run on musl; `None` when it does.
pub(super) fn foreign(url: &str, piped: bool) -> Option<&'static str> {
    if alpine::static_download(url).is_some() {
        return None;
    }
    if piped {
        return Some("it runs a script that is fetched, and what that installs is not known");
    }
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let local = path.contains("://localhost") || path.contains("://127.0.0.1");
    if local || DATA.iter().any(|end| path.ends_with(end)) || path.ends_with('/') {
        return None;
    }
    let source = [".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip"]
        .iter()
        .any(|end| path.ends_with(end));
    let named = ["linux", "x86_64", "amd64", "aarch64", "arm64"]
        .iter()
        .any(|word| path.to_ascii_lowercase().contains(word));
    if source && !named {
        return Some("what it fetches may be a program for glibc, or sources that want more to be built");
    }
    Some("what it fetches may be a program for glibc")
}

/// Something in a body that is bash's alone: where, and what.
pub(super) fn bashism(body: &Body<'_>) -> Option<(Span, &'static str)> {
    let text = &body.text;
    let script = &body.script;
    for compound in script.compounds() {
        let what = match compound.kind {
            CompoundKind::Test => "[[ … ]]",
            CompoundKind::Arithmetic => "(( … ))",
            CompoundKind::ArithmeticFor => "for (( … ))",
            CompoundKind::Select => "select",
            CompoundKind::Function if compound.span.of(text).starts_with(b"function") => "function",
            _ => continue,
        };
        return Some((compound.span, what));
    }
    for command in script.commands() {
        let Some(name) = command.name(text) else {
            continue;
        };
        if matches!(
            &*name,
            "declare" | "typeset" | "let" | "shopt" | "pushd" | "popd" | "dirs" | "mapfile"
                | "readarray" | "disown" | "enable" | "compgen" | "complete" | "caller" | "source"
        ) {
            return Some((command.span, "a command that is built into bash"));
        }
        let words: Vec<String> = command.words.iter().map(|w| body.raw(w)).collect();
        let odd = match &*name {
            "[" | "test" => words.iter().any(|w| w == "==" || w == "=~"),
            "trap" => words.iter().any(|w| matches!(w.as_str(), "ERR" | "DEBUG" | "RETURN")),
            "read" => words.iter().any(|w| matches!(w.as_str(), "-a" | "-A" | "-i" | "-N")),
            "printf" => words.iter().any(|w| w.contains("%q") || w.contains("%(")),
            _ => false,
        };
        if odd {
            return Some((command.span, "a form that is bash's"));
        }
    }
    for word in script.words() {
        if word.has_brace_list() {
            return Some((word.span, "{a,b}"));
        }
    }
    for expansion in script.expansions() {
        let raw = String::from_utf8_lossy(expansion.span.of(text)).into_owned();
        let what = match expansion.kind {
            ExpansionKind::AnsiC => "$'…'",
            ExpansionKind::Locale => "$\"…\"",
            ExpansionKind::Array => "an array",
            ExpansionKind::Process => "<( … )",
            ExpansionKind::Parameter => match parameter(&raw) {
                Some(what) => what,
                None => continue,
            },
            ExpansionKind::Arithmetic if raw.starts_with("$[") => "$[ … ]",
            _ => continue,
        };
        return Some((expansion.span, what));
    }
    let commands = script.commands().iter().flat_map(|c| &c.redirects);
    let compounds = script.compounds().iter().flat_map(|c| &c.redirects);
    for redirect in commands.chain(compounds) {
        let what = match redirect.kind {
            RedirectKind::HereString => "<<<",
            RedirectKind::WriteAll | RedirectKind::AppendAll => "&>",
            _ => continue,
        };
        return Some((redirect.span, what));
    }
    script
        .commands()
        .iter()
        .find(|c| {
            c.before_span
                .is_some_and(|span| span.of(text).starts_with(b"|&"))
        })
        .map(|c| (c.span, "|&"))
}

/// What in `${…}` is bash's alone.
fn parameter(raw: &str) -> Option<&'static str> {
    let bare = raw.trim_start_matches('$').trim_matches(['{', '}']);
    if matches!(
        bare,
        "RANDOM" | "SECONDS" | "UID" | "EUID" | "HOSTNAME" | "PIPESTATUS" | "FUNCNAME" | "LINENO"
            | "OSTYPE" | "HOSTTYPE" | "MACHTYPE" | "SHLVL" | "GROUPS" | "DIRSTACK" | "REPLY"
    ) || bare.starts_with("BASH")
    {
        return Some("a variable that bash sets");
    }
    let inner = raw.strip_prefix("${")?.strip_suffix('}')?;
    if inner.starts_with('!') {
        return Some("${!…}");
    }
    let end = inner
        .trim_start_matches('#')
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let rest = &inner.trim_start_matches('#')[end..];
    let substring = rest.strip_prefix(':').is_some_and(|r| {
        !r.starts_with(['-', '=', '+', '?'])
    });
    if substring || rest.starts_with(['^', ',', '/', '@', '[']) {
        return Some("an expansion of bash's");
    }
    None
}
