//! System packages: which the final stage needs.

use crate::model::sources::Sources;
use super::{Outcome, Shape, Subject, short, unique};
use crate::rules::Missing;
use crate::catalog::packages::{self, Class};
use crate::catalog::{self, apk, bases, commands, programs, variants};
use crate::model::below;
use crate::model::effects::{AptPackage, Effect, What, Write};
use crate::text::Span;

/// A Debian package, or a command, that something needs at run time.
pub(super) struct Need {
    /// The package.
    pub package: String,
    /// What needs it.
    pub by: String,
}

/// What the final stage installs.
#[derive(Default)]
pub(super) struct Packages {
    /// By the index of the effect that installed them: what is installed again.
    pub kept: Vec<(usize, Vec<String>)>,
    /// What the full image had of itself.
    pub added: Vec<String>,
    /// What tells apt where packages come from, to be copied before the install
    /// of that instruction.
    pub sources: Option<(usize, Vec<String>)>,
    /// Files of packages that can't be installed any more.
    pub files: Vec<&'static str>,
    /// How many are left in the build stage.
    pub build_only: usize,
    /// Reasons.
    pub because: Vec<String>,
    /// Doubts.
    pub caveats: Vec<String>,
}

/// Programs of the full image that a program which has to run in the slim one
/// can't simply be given: with them, it needs the full image.
const TOOLCHAIN: [&str; 10] = [
    "c++", "cc", "cmake", "g++", "gcc", "git", "hg", "make", "pkg-config", "svn",
];

pub(super) fn sort(
    subject: &Subject<'_, '_>,
    shape: &Shape,
    sources: &Sources,
) -> Outcome<Packages> {
    let mut out = Packages::default();
    let mut installed: Vec<String> = Vec::new();
    let mut build_only: Vec<&str> = Vec::new();
    let mut mapped: Vec<String> = Vec::new();
    let demanded = |command: &str| -> Option<String> {
        let direct = subject.runtime.demands.iter().find(|d| d.command == command);
        direct
            .map(|d| d.via.clone())
            .or_else(|| sources.starts(command))
    };
    let sources_changed = subject
        .ledger
        .effects
        .iter()
        .enumerate()
        .find(|(_, e)| e.what == What::AptSource);
    for (index, effect) in subject.ledger.effects.iter().enumerate() {
        let (packages, group) = match &effect.what {
            What::AptInstall { packages, .. } => (packages, None),
            What::ApkAdd { packages, group } => (packages, group.as_deref()),
            _ => continue,
        };
        let alpine = matches!(effect.what, What::ApkAdd { .. });
        // A group of packages that is deleted again is for the build by the
        // file's own word.
        if group.is_some_and(|group| deleted(subject, group)) {
            build_only.extend(packages.iter().map(|package| package.name.as_str()));
            continue;
        }
        let mut kept: Vec<String> = Vec::new();
        for package in packages {
            let AptPackage { name, word } = package;
            if word.contains('/') && word.starts_with(['.', '/']) {
                return subject.refuse(
                    effect.span,
                    format!("`{word}` is a package file: whether it is needed at run time is not known"),
                );
            }
            let (class, libraries) = if alpine {
                apk::class_of(name)
            } else {
                (packages::class_of(name, subject.codename), Vec::new())
            };
            match class {
                Class::BuildOnly => {
                    let of = |command: &str| {
                        command == name
                            || (!alpine
                                && commands::package_of(command, subject.codename)
                                    == Some(name.as_str()))
                    };
                    let runs = subject.runtime.demands.iter().find(|d| of(&d.command));
                    let runs = runs
                        .map(|d| (d.command.clone(), d.via.clone()))
                        .or_else(|| sources.started().find(|(c, _)| of(c)));
                    if let Some((command, via)) = runs {
                        return toolchain(subject, effect.span, &command, &via);
                    }
                    build_only.push(name);
                }
                Class::Dev => match runtime_of(subject, name, alpine, libraries) {
                    Some(runtime) => {
                        let mut names = Vec::new();
                        for library in runtime {
                            let has = subject.last.has_package(subject.codename, library);
                            names.push(library);
                            if has != Some(true) && !kept.iter().any(|k| k == library) {
                                kept.push(library.to_owned());
                            }
                        }
                        let names = if names.is_empty() {
                            "no library".to_owned()
                        } else {
                            names.join(", ")
                        };
                        mapped.push(format!("{name} → {names}"));
                    }
                    None => {
                        out.caveats.push(format!(
                            "line {}: which libraries {name} stands for on {} {} is not known, so it is kept whole",
                            effect.line, subject.family, subject.codename
                        ));
                        kept.push(word.clone());
                    }
                },
                Class::ToolIfDemanded { commands: tools } => {
                    let mut tools = tools.into_iter();
                    if let Some(via) = tools.find_map(&demanded) {
                        out.because
                            .push(format!("line {}: {name} is kept: {via} runs it", effect.line));
                        kept.push(word.clone());
                    } else if sources.complete {
                        build_only.push(name);
                    } else {
                        kept.push(word.clone());
                    }
                }
                Class::Runtime | Class::Unknown => kept.push(word.clone()),
            }
        }
        if kept.is_empty() {
            continue;
        }
        if !effect.direct {
            return subject.refuse(
                effect.span,
                format!(
                    "`{}` installs packages that may be needed at run time ({}) inside a script or a branch",
                    short(&effect.text),
                    kept.join(", ")
                ),
            );
        }
        if let Some((at, source)) = sources_changed
            && at < index
            && out.sources.is_none()
        {
            let paths = sources_of_apt(subject, index, source, &kept, &mut out)?;
            out.sources = Some((effect.instruction, paths));
        }
        installed.extend(kept.iter().cloned());
        out.kept.push((index, kept));
    }
    out.build_only = build_only.len() + mapped.len();
    if !build_only.is_empty() {
        let names = unique(build_only.into_iter());
        out.because.push(format!(
            "only the build stage needs {}: nothing that runs starts {}",
            names.join(", "),
            if names.len() == 1 { "it" } else { "them" }
        ));
    }
    if !mapped.is_empty() {
        out.because.push(format!(
            "on {} {}, the libraries behind the headers are: {}",
            subject.family,
            subject.codename,
            mapped.join("; ")
        ));
    }
    added(subject, shape, sources, &installed, &mut out)?;
    archived(subject, &mut out)?;
    join_installs(subject, &mut out);
    Ok(out)
}

/// The bundle of the public authorities' certificates.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What is copied so that apt knows the file's own sources of packages in the
/// final stage as well: it is on the same release, so all else there is equal.
fn sources_of_apt(
    subject: &Subject<'_, '_>,
    install: usize,
    source: &Effect,
    kept: &[String],
    out: &mut Packages,
) -> Outcome<Vec<String>> {
    let refuse = |why: &str| {
        subject.refuse(
            source.span,
            format!(
                "`{}` changes where packages come from, and {} may be needed at run time: {why}",
                short(&source.text),
                kept.join(", ")
            ),
        )
    };
    let last = catalog::lookup(&subject.last.image, &subject.last.tag).and_then(|entry| entry.base);
    if !matches!(subject.family, "debian" | "ubuntu")
        || last.is_none_or(|last| last.release != subject.codename)
    {
        return refuse("the final stage is on another release of the distribution");
    }
    let effects = &subject.ledger.effects[..install];
    let writes_keys = effects.iter().any(|effect| {
        let keys = |write: &Write| below(&write.path, "/usr/share/keyrings");
        effect.what == What::AptSource
            && (effect.writes.iter().any(keys) || effect.program.as_deref().is_some_and(is_shell))
    });
    let mut paths = vec!["/etc/apt".to_owned()];
    if writes_keys {
        paths.push("/usr/share/keyrings".to_owned());
    }
    // A source may name its key anywhere.
    let texts = effects.iter().filter(|effect| effect.what == What::AptSource);
    for named in texts.flat_map(|effect| effect.text.split("signed-by=").skip(1)) {
        let end = named.find([' ', ']', ',', '"', '\'']).unwrap_or(named.len());
        let key = &named[..end];
        if !paths.iter().any(|folder| below(key, folder)) && !paths.iter().any(|p| p == key) {
            if !key.starts_with('/') || key.contains('$') {
                return refuse("where the key of that source lies is not known");
            }
            paths.push(key.to_owned());
        }
    }
    let mut names = vec!["/etc/apt"];
    if subject.last.has_ca_certificates(subject.codename) != Some(true) {
        // Sources are fetched by HTTPS before any package can be installed.
        if !has_certificates(subject, effects) {
            return refuse("nothing is seen to bring the certificates that fetching them takes");
        }
        paths.push(CERTIFICATES.to_owned());
        names.push("the certificates");
    }
    out.because.push(format!(
        "line {}: {} are copied before packages are installed, so that apt knows the sources of `{}`",
        source.line,
        names.join(" and "),
        short(&source.text)
    ));
    Ok(paths)
}

fn is_shell(program: &str) -> bool {
    programs::role(program, None).is_some_and(|row| row.role == programs::Role::Script)
}

/// Whether the build stage has the certificates once these are done.
fn has_certificates(subject: &Subject<'_, '_>, effects: &[Effect]) -> bool {
    let kind = subject.kind.as_str();
    let given = variants::has_ca_certificates(&subject.image, kind, subject.codename);
    given == Some(true)
        || effects.iter().any(|effect| match &effect.what {
            What::AptInstall { packages, .. } => {
                // What fetches recommends them.
                let lean = effect.text.contains("--no-install-recommends");
                packages.iter().any(|p| match p.name.as_str() {
                    "ca-certificates" => true,
                    "curl" | "wget" | "software-properties-common" => !lean,
                    _ => false,
                })
            }
            _ => false,
        })
}

/// What stands in for a package whose release is no longer served: its files.
const STAND_INS: [(&str, &[&str]); 2] = [
    ("ca-certificates", &[CERTIFICATES]),
    ("netbase", &["/etc/protocols", "/etc/services"]),
];

/// The packages of a Debian release whose support has ended move to an
/// archive, which its images don't ask: nothing new can be installed.
fn archived(subject: &Subject<'_, '_>, out: &mut Packages) -> Outcome<()> {
    let ended = catalog::release(subject.family, subject.codename)
        .filter(|_| subject.family == "debian")
        .and_then(|release| release.long_term_end)
        .is_some_and(|end| end < catalog::source().as_of);
    if !ended {
        return Ok(());
    }
    for package in std::mem::take(&mut out.added) {
        let Some((_, files)) = STAND_INS.iter().find(|(name, _)| *name == package) else {
            return subject.refuse(
                Span::default(),
                format!(
                    "{package} would have to be installed, and the packages of Debian {} have moved to an archive",
                    subject.codename
                ),
            );
        };
        out.files.extend(files.iter().copied());
        out.because.push(format!(
            "{} copied: the packages of Debian {}, which has {package}, have moved to an archive",
            if files.len() == 1 { format!("{} is", files[0]) } else { format!("{} are", files.join(" and ")) },
            subject.codename
        ));
    }
    out.because.retain(|why| !why.contains(" is added: "));
    Ok(())
}

/// What it means for the packages that the final stage is on another release or
/// distribution than the build stage, if it is.
pub(super) fn move_to(subject: &Subject<'_, '_>, packages: &Packages) -> Outcome<Option<String>> {
    let last = catalog::lookup(&subject.last.image, &subject.last.tag).and_then(|entry| entry.base);
    let Some(last) = last.filter(|base| base.release != subject.codename) else {
        return Ok(None);
    };
    let names: Vec<&str> = packages
        .kept
        .iter()
        .flat_map(|(_, names)| names)
        .chain(&packages.added)
        .map(String::as_str)
        .collect();
    // Libraries and versions are named by the release.
    let bound = |name: &&&str| name.starts_with("lib") || name.contains(['=', '/']);
    if let Some(name) = names.iter().find(bound) {
        return subject.refuse(
            Span::default(),
            format!(
                "what runs needs the package {name} of {} {}, and the final stage is on {} {}",
                subject.family, subject.codename, last.family, last.release
            ),
        );
    }
    Ok((!names.is_empty()).then(|| {
        format!(
            "{} come from {} {} in the final stage, and from {} {} before",
            names.join(", "),
            last.family,
            last.release,
            subject.family,
            subject.codename
        )
    }))
}

/// One install is enough where one has to be written anew.
fn join_installs(subject: &Subject<'_, '_>, out: &mut Packages) {
    let rewritten = out.kept.iter_mut().find(|(index, names)| {
        let effect = &subject.ledger.effects[*index];
        match &effect.what {
            What::AptInstall { packages, .. } | What::ApkAdd { packages, .. } => {
                let words = packages.iter().map(|package| &package.word);
                effect.direct && !words.eq(names.iter())
            }
            _ => false,
        }
    });
    if let Some((_, names)) = rewritten {
        names.append(&mut out.added);
    }
}

/// The libraries behind a package of headers; `None` where they are not known.
fn runtime_of(
    subject: &Subject<'_, '_>,
    name: &str,
    alpine: bool,
    libraries: Vec<&'static str>,
) -> Option<Vec<&'static str>> {
    if alpine {
        return (!libraries.is_empty()).then_some(libraries);
    }
    packages::runtime_of(name, subject.codename).map(|runtime| runtime.packages)
}

/// Whether a RUN deletes the packages that were added under that name.
fn deleted(subject: &Subject<'_, '_>, group: &str) -> bool {
    subject.ledger.effects.iter().any(|effect| {
        let words: Vec<&str> = effect.args.iter().flatten().map(String::as_str).collect();
        effect.program.as_deref() == Some("apk")
            && words.contains(&"del")
            && words.contains(&group)
    })
}

fn toolchain<T>(subject: &Subject<'_, '_>, at: Span, command: &str, via: &str) -> Outcome<T> {
    subject.refuse(
        at,
        format!("{via} runs `{command}`, which the slim image does not have: the program needs the full image"),
    )
}

/// What the full image had of itself and the slim one lacks.
fn added(
    subject: &Subject<'_, '_>,
    shape: &Shape,
    sources: &Sources,
    installed: &[String],
    out: &mut Packages,
) -> Outcome<()> {
    let add = |package: &str, why: String, out: &mut Packages| {
        if installed.iter().any(|p| p == package) || out.added.iter().any(|p| p == package) {
            return;
        }
        out.added.push(package.to_owned());
        out.because.push(why);
    };
    let provided = |command: &str| -> bool {
        subject.last.provides(subject.codename, command) == Some(true)
            || commands::in_slim(command, subject.codename) == Some(true)
            || commands::package_of(command, subject.codename)
                .is_some_and(|package| installed.iter().any(|p| p == package))
    };
    let mut wanted: Vec<(String, String, Span)> = Vec::new();
    for demand in &subject.runtime.demands {
        // A path of its own is a file that is copied, or one of the image.
        let own = demand.program.contains('/')
            && !["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/"]
                .iter()
                .any(|folder| demand.program.starts_with(folder));
        if !own {
            let span = subject.line_span(demand.line);
            wanted.push((demand.command.clone(), demand.via.clone(), span));
        }
    }
    for (command, via) in sources.started() {
        wanted.push((command, via, Span::default()));
    }
    for (command, via, at) in wanted {
        let Some(package) = commands::in_full(&command, subject.codename) else {
            continue;
        };
        if provided(&command) {
            continue;
        }
        if TOOLCHAIN.contains(&command.as_str()) {
            if installed.iter().any(|p| p == package) {
                continue;
            }
            return subject.advise(
                at,
                format!("{via} runs `{command}`, which {}:{} has and {} has not", subject.image, subject.tag, subject.last.name()),
                &format!("if it is needed, install `{package}` in this file with apt-get and run again"),
            );
        }
        add(
            package,
            format!("{package} is added: {via} runs `{command}`, which the full image has and the slim one has not"),
            out,
        );
        if matches!(command.as_str(), "curl" | "wget" | "openssl")
            && subject.last.has_ca_certificates(subject.codename) != Some(true)
        {
            let why = format!("ca-certificates is added: `{command}` needs it and only recommends it");
            add("ca-certificates", why, out);
        }
    }
    for need in &shape.needs {
        let slim = subject.last.has_package(subject.codename, &need.package);
        let kind = subject.kind.as_str();
        let full = variants::has_package(&subject.image, kind, subject.codename, &need.package);
        let linked = subject.last.same_image
            && bases::interpreter_links(&subject.image, subject.codename, &need.package);
        if slim == Some(true) || full == Some(false) || linked {
            continue;
        }
        let both = subject.last.same_image && subject.last.tag == subject.tag;
        if both || installed.contains(&need.package) {
            continue;
        }
        add(
            &need.package,
            format!("{} is added: {} needs it, and {}:{} has it", need.package, need.by, subject.image, subject.tag),
            out,
        );
    }
    for mend in subject.cx.mends {
        if let Missing::Package(package) = &mend.what {
            add(package, format!("{package} is added: {}", mend.why), out);
        }
    }
    Ok(())
}
