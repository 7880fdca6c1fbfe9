//! What compiled languages have in common: the final stage takes the programs
//! that run, and the files of the build context that aren't the compiler's,
//! to the same paths.

use super::artifacts::{self, Artifact, Place, below, metadata, owners, place};
use super::packages::Need;
use super::{Outcome, Shape, Subject, short};
use crate::catalog::{compiled, crates, packages, programs};
use crate::facts::Known;
use crate::model::effects::{Effect, Ledger, SITE_PACKAGES, What};
use crate::model::join;
use crate::model::runtime::{Demand, Runtime};
use crate::model::sources::Sources;
use crate::syntax::Keyword;
use crate::text::Span;

/// More data than this is copied as one folder.
const MAX_DATA: usize = 8;
/// Folders of the context are followed this deep, and so many entries are read.
const MAX_DEPTH: usize = 12;
const MAX_ENTRIES: usize = 4_000;

/// Folders of PATH in every image.
const SYSTEM_PATH: [&str; 6] = [
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
];

pub(super) fn go(subject: &Subject<'_, '_>, sources: &Sources) -> Outcome<Shape> {
    let mut shape = common(subject)?;
    need(&mut shape, "ca-certificates", "a Go program that makes TLS connections");
    if let Some(file) = sources.mentions("time.LoadLocation") {
        need(&mut shape, "tzdata", &format!("time.LoadLocation in {file}"));
    }
    Ok(shape)
}

pub(super) fn dart(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    let mut shape = common(subject)?;
    need(&mut shape, "ca-certificates", "a Dart program that makes TLS connections");
    Ok(shape)
}

pub(super) fn swift(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    let mut shape = common(subject)?;
    resources(subject, &mut shape)?;
    Ok(shape)
}

/// Swift's package manager puts the resources of a target beside the program,
/// in a folder that is named by the package and the target.
fn resources(subject: &Subject<'_, '_>, shape: &mut Shape) -> Outcome<()> {
    let manifests = subject.ledger.effects.iter().rev().filter_map(|effect| {
        let path = join(Some(&effect.cwd), "Package.swift")?;
        let context = subject.ledger.copied.context_path(&path)?;
        subject.cx.files.text(&context).yes()
    });
    match manifests.into_iter().next() {
        None => shape.caveats.push(
            "Package.swift could not be read: resources that a target bundles lie beside the program, and are not taken along".to_owned(),
        ),
        Some(text) if text.contains("resources:") => {
            return subject.refuse(
                Span::default(),
                "Package.swift bundles resources, which lie beside the program in folders that are not followed",
            );
        }
        Some(_) => {}
    }
    Ok(())
}

pub(super) fn rust(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    let mut shape = common(subject)?;
    need(&mut shape, "ca-certificates", "a Rust program that makes TLS connections");
    // On Alpine, Rust links statically.
    if subject.family != "alpine" {
        cargo_libraries(subject, &mut shape);
    }
    Ok(shape)
}

pub(super) fn haskell(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    let mut shape = common(subject)?;
    for dev in ["libgmp-dev", "libffi-dev", "libnuma-dev", "zlib1g-dev"] {
        libraries_of(subject, dev, "GHC's run-time system", &mut shape);
    }
    need(&mut shape, "ca-certificates", "a program that makes TLS connections");
    need(&mut shape, "netbase", "the network library, which reads /etc/protocols");
    Ok(shape)
}

/// What compilers are told in a stage.
struct Flags<'s> {
    /// The compilers and build tools that run.
    programs: Vec<&'s str>,
    /// The words of their arguments, and of the variables that they read.
    words: Vec<String>,
}

impl<'s> Flags<'s> {
    fn of(subject: &'s Subject<'_, '_>) -> Self {
        let mut words: Vec<String> = Vec::new();
        let effects = subject.ledger.effects.iter();
        let compilers: Vec<&Effect> = effects.filter(|e| compiles_it(subject, e)).collect();
        for arg in compilers.iter().flat_map(|effect| effect.args.iter().flatten()) {
            words.extend(arg.split([' ', '=', ',']).map(str::to_owned));
        }
        let file = subject.cx.file;
        for step in &subject.stage.steps {
            let it = subject.instruction(step.instruction);
            if it.keyword != Keyword::Env {
                continue;
            }
            for pair in it.pairs(file.source(), file.escape()) {
                if compiled::is_build_variable(subject.ecosystem.name, &pair.key) {
                    let value = pair.value.as_deref().unwrap_or_default().to_owned();
                    words.extend(value.trim_matches('"').split(' ').map(str::to_owned));
                }
            }
        }
        let programs = compilers.iter().filter_map(|effect| effect.program.as_deref());
        Self {
            programs: super::unique(programs),
            words,
        }
    }

    fn has(&self, flag: &str) -> bool {
        self.words.iter().any(|word| word == flag)
    }
}

pub(super) fn native(subject: &Subject<'_, '_>, sources: &Sources) -> Outcome<Shape> {
    let mut shape = common(subject)?;
    let build = Flags::of(subject);
    if build.has("-static") {
        return Ok(shape);
    }
    // What builds by a plan of its own may build C++.
    let c_alone = ["gcc", "cc", "clang", "cpp", "gfortran", "ar", "strip", "ld", "ranlib", "nm"];
    let cplusplus = build.programs.iter().any(|program| !c_alone.contains(program))
        || sources.mentions("CXX").is_some();
    if subject.image == "gcc" {
        // GCC's own libraries are newer than the distribution's.
        let mut names = vec!["libgcc_s.so.1"];
        if cplusplus {
            names.push("libstdc++.so.6");
        }
        if build.has("-fopenmp") || sources.mentions("openmp").is_some() {
            names.push("libgomp.so.1");
        }
        if build.programs.contains(&"gfortran") {
            names.extend(["libgfortran.so.5", "libquadmath.so.0"]);
        }
        let artifacts = shape.artifacts.get_or_insert_default();
        for name in names {
            artifacts.push(Artifact {
                target: Some(format!("/usr/local/lib/{name}")),
                ..Artifact::new(
                    format!("/usr/local/lib64/{name}"),
                    false,
                    format!("{name} is copied: GCC's own is newer than the distribution's"),
                )
            });
        }
        shape.after_copies.push("ldconfig".to_owned());
    } else if subject.family == "alpine" && cplusplus {
        need(&mut shape, "libstdc++", "a C++ program");
    }
    Ok(shape)
}

/// Whether a stage compiles anything, or what runs in it does.
pub(super) fn compiles(ecosystem: &str, ledger: &Ledger, runtime: &Runtime) -> bool {
    ledger.effects.iter().any(|effect| is_compilation(ecosystem, effect))
        || runtime.demands.iter().any(|demand| builds(ecosystem, demand))
}

/// Whether what is demanded compiles. `dotnet app.dll` runs what is compiled.
fn builds(ecosystem: &str, demand: &Demand) -> bool {
    let runs = compiled::runs_compiled(&demand.command, &demand.args);
    // A program that is built may be called as a compiler is.
    let own = demand.program.starts_with("./") && !compiled::is_wrapper(&demand.command);
    !runs && !own && compiled::is_compiler(ecosystem, &demand.command)
}

/// A build tool that the container starts: with sources and a compiler.
pub(super) fn compiles_at_run_time(subject: &Subject<'_, '_>) -> Outcome<()> {
    let mut demands = subject.runtime.demands.iter();
    match demands.find(|demand| builds(subject.ecosystem.name, demand)) {
        Some(demand) => subject.advise(
            subject.line_span(demand.line),
            format!(
                "{} runs `{} {}`, which compiles when the container starts",
                demand.via,
                demand.command,
                demand.args.join(" ")
            ),
            "build the program in the file, and run what was built",
        ),
        None => Ok(()),
    }
}

pub(super) fn need(shape: &mut Shape, package: &str, by: &str) {
    shape.needs.push(Need {
        package: package.to_owned(),
        by: by.to_owned(),
    });
}

/// Notes the libraries behind a package of headers as needed.
pub(super) fn libraries_of(subject: &Subject<'_, '_>, dev: &str, by: &str, shape: &mut Shape) {
    match packages::runtime_of(dev, subject.codename) {
        Some(runtime) => {
            for package in runtime.packages {
                need(shape, package, by);
            }
        }
        None if subject.family == "debian" => shape.caveats.push(format!(
            "which libraries stand behind {dev} on {} is not known: {by} may need them",
            subject.codename
        )),
        None => {}
    }
}

/// The system libraries that the locked crates link.
fn cargo_libraries(subject: &Subject<'_, '_>, shape: &mut Shape) {
    let lock = subject.ledger.effects.iter().rev().find_map(|effect| {
        let path = join(Some(&effect.cwd), "Cargo.lock")?;
        let context = subject.ledger.copied.context_path(&path)?;
        let table: toml::Table = subject.cx.files.text(&context).yes()?.parse().ok()?;
        let packages = table.get("package")?.as_array()?.clone();
        let names = packages.iter().filter_map(|p| Some(p.get("name")?.as_str()?.to_owned()));
        Some(names.collect::<Vec<String>>())
    });
    let Some(names) = lock else {
        shape.caveats.push(
            "there is no Cargo.lock to read: which system libraries the crates link is not known, so OpenSSL's is taken care of and no other".to_owned(),
        );
        return libraries_of(subject, "libssl-dev", "a crate that may link OpenSSL", shape);
    };
    let bundles = |name: &str| names.iter().any(|other| other == name);
    for name in &names {
        let Some(row) = crates::links(name) else {
            if name.ends_with("-sys") && !crates::is_bundled(name) {
                shape.caveats.push(format!(
                    "no data says which system library the crate {name} links, if any"
                ));
            }
            continue;
        };
        if row.unless.is_some_and(bundles) {
            continue;
        }
        for dev in row.packages {
            libraries_of(subject, dev, &format!("the crate {name}"), shape);
        }
    }
}

/// Whether a compiler of the stage's ecosystem is what makes a path.
pub(super) fn makes(subject: &Subject<'_, '_>, path: &str) -> bool {
    compiled::COMPILED.get(subject.ecosystem.name).is_some()
        && writer(subject, path).is_some_and(|(effect, exact)| exact || compiles_it(subject, effect))
}

/// Whether an effect is the compiler's work.
pub(super) fn compiles_it(subject: &Subject<'_, '_>, effect: &Effect) -> bool {
    is_compilation(subject.ecosystem.name, effect)
}

fn is_compilation(ecosystem: &str, effect: &Effect) -> bool {
    let program = effect.program.as_deref();
    program.is_some_and(|program| {
        compiled::is_compiler(ecosystem, program)
            // `make` and its like build programs of every language.
            || (effect.what == What::Writes && compiled::builds_everywhere(program))
    })
}

fn is_copy(subject: &Subject<'_, '_>, effect: &Effect) -> bool {
    let it = subject.instruction(effect.instruction);
    matches!(it.keyword, Keyword::Copy | Keyword::Add) && effect.program.is_none()
}

/// The programs that run, and what they may read.
pub(super) fn common(subject: &Subject<'_, '_>) -> Outcome<Shape> {
    common_of(subject, &|_| true)
}

/// As [`common`], of the build context only those paths in the image.
pub(super) fn common_of(
    subject: &Subject<'_, '_>,
    wanted: &dyn Fn(&str) -> bool,
) -> Outcome<Shape> {
    let mut shape = Shape::default();
    let mut found: Vec<Artifact> = Vec::new();
    run_programs(subject, &mut found)?;
    written(subject, &mut found)?;
    let data = match data(subject) {
        None if !artifacts::workdirs(subject).iter().any(|dir| wanted(dir)) => Some(Vec::new()),
        rows => rows.map(|rows| rows.into_iter().filter(|(path, _)| wanted(path)).collect::<Vec<_>>()),
    };
    match data {
        Some(rows) if rows.len() <= MAX_DATA => {
            let mut names = Vec::new();
            for (path, folder) in rows {
                names.push(path.clone());
                add(&mut found, path, folder, String::new());
            }
            if !names.is_empty() {
                shape.because.push(format!(
                    "of the build context, the program may read {}: the rest is the compiler's",
                    names.join(", ")
                ));
            }
        }
        other => {
            let dirs = artifacts::workdirs(subject);
            let Some(dir) = dirs.first() else {
                return subject.refuse(
                    Span::default(),
                    "which files the program reads at run time is not known, and it has no folder of its own to copy whole",
                );
            };
            let why = match other {
                Some(rows) => format!(
                    "{} files and folders of the build context may be read at run time",
                    rows.len()
                ),
                None => "the build context could not be read".to_owned(),
            };
            shape.caveats.push(format!("{dir} is copied whole, with what only the build needs: {why}"));
            add(&mut found, dir.clone(), true, format!("{dir} is copied whole: {why}"));
        }
    }
    for artifact in &mut found {
        owners(subject, artifact);
    }
    // The loader finds libraries there by its cache alone.
    if found.iter().any(|a| a.path == "/usr/local") && matches!(subject.family, "debian" | "ubuntu") {
        shape.after_copies.push("ldconfig".to_owned());
    }
    let compilers: Vec<&str> = super::unique(
        subject
            .ledger
            .effects
            .iter()
            .filter(|effect| compiles_it(subject, effect))
            .filter_map(|effect| effect.program.as_deref()),
    );
    shape.drops.extend(compilers.into_iter().map(str::to_owned));
    shape.artifacts = Some(found);
    Ok(shape)
}

pub(super) fn add(found: &mut Vec<Artifact>, path: String, folder: bool, reason: String) {
    let covered = |a: &Artifact| {
        a.target.is_none() && (a.path == path || (a.folder && below(&path, &a.path)))
    };
    if found.iter().any(covered) {
        return;
    }
    found.retain(|a| !(folder && a.target.is_none() && below(&a.path, &path)));
    found.push(Artifact::new(path, folder, reason));
}

/// The last effect that writes a path, and whether it names it alone.
pub(super) fn writer<'s>(subject: &'s Subject<'_, '_>, path: &str) -> Option<(&'s Effect, bool)> {
    let effects = subject.ledger.effects.iter().rev();
    let mut covers = effects.filter(|effect| !metadata(effect)).filter_map(|effect| {
        let writes = effect.writes.iter().filter(|w| w.path != SITE_PACKAGES);
        let mut fits = writes.filter(|w| w.path == path || (w.tree && below(path, &w.path)));
        fits.next().map(|w| (effect, w.path == path))
    });
    covers.next()
}

/// The folders of PATH that the file itself sets.
fn own_path(subject: &Subject<'_, '_>) -> Vec<String> {
    let file = subject.cx.file;
    let mut out = Vec::new();
    for step in &subject.stage.steps {
        let it = subject.instruction(step.instruction);
        if it.keyword != Keyword::Env {
            continue;
        }
        for pair in it.pairs(file.source(), file.escape()) {
            let Some(value) = pair.value.filter(|_| pair.key == "PATH") else {
                continue;
            };
            for folder in value.trim_matches('"').split(':') {
                let resolved = subject.cx.model.resolve(subject.stage.index, step, folder);
                out.extend(resolved.ok().filter(|folder| folder.starts_with('/')));
            }
        }
    }
    out
}

fn run_programs(subject: &Subject<'_, '_>, found: &mut Vec<Artifact>) -> Outcome<()> {
    let end = subject.cx.model.state_after(subject.stage.index).workdir;
    let end = end.unwrap_or_else(|| "/".to_owned());
    let own = own_path(subject);
    let settings = subject.use_of.settings();
    let base: Vec<&str> = settings.iter().flat_map(|settings| settings.path()).collect();
    for demand in &subject.runtime.demands {
        let line = subject.line_span(demand.line);
        let command = demand.command.as_str();
        let copied = |full: &str, effect: &Effect| {
            format!(
                "line {}: {full} is copied: {} runs it, and `{}` makes it",
                effect.line,
                demand.via,
                short(&effect.text)
            )
        };
        if demand.program.contains('/') {
            let full = join(Some(&end), &demand.program).unwrap_or_default();
            match writer(subject, &full) {
                Some((effect, _)) => add(found, full.clone(), false, copied(&full, effect)),
                None if SYSTEM_PATH.iter().any(|dir| full == format!("{dir}/{command}")) => {
                    provided(subject, demand, line)?;
                }
                None => {
                    return subject.refuse(
                        line,
                        format!("{} runs {full}, and nothing in the file is seen to write it", demand.via),
                    );
                }
            }
            continue;
        }
        let folders = own
            .iter()
            .map(String::as_str)
            .chain(base.iter().copied())
            .chain(SYSTEM_PATH);
        let makers: Vec<(&str, String, &Effect, bool)> = folders
            .filter_map(|folder| {
                let full = format!("{folder}/{command}");
                let (effect, exact) = writer(subject, &full)?;
                Some((folder, full, effect, exact))
            })
            .collect();
        // That a compiler installs programs somewhere is no word on one that
        // the image or a package has.
        let there = provided(subject, demand, line);
        let made = makers.into_iter().find(|(_, _, effect, exact)| {
            *exact || (there.is_err() && compiles_it(subject, effect))
        });
        let Some((folder, full, effect, _)) = made else {
            there?;
            continue;
        };
        let reason = copied(&full, effect);
        let kept = own.iter().any(|dir| dir == folder) || SYSTEM_PATH.contains(&folder);
        if kept {
            add(found, full, false, reason);
        } else {
            let target = Some(format!("/usr/local/bin/{command}"));
            if !found.iter().any(|a| a.path == full) {
                found.push(Artifact {
                    target,
                    ..Artifact::new(full, false, reason)
                });
            }
        }
    }
    Ok(())
}

/// Whether a command is one that looks, edits files or runs another.
fn is_plain(command: &str) -> bool {
    use programs::Role::{File, Query, User, Wrapper};
    let role = programs::role(command, None);
    role.is_some_and(|role| matches!(role.role, Query | File | User | Wrapper))
}

/// A command that the file doesn't make is in the final image, or of a package.
fn provided(
    subject: &Subject<'_, '_>,
    demand: &Demand,
    at: Span,
) -> Outcome<()> {
    let command = demand.command.as_str();
    if subject.last.provides(subject.codename, command) == Some(true) {
        return Ok(());
    }
    let installs = subject.ledger.effects.iter().any(|effect| match &effect.what {
        What::AptInstall { packages, .. } | What::ApkAdd { packages, .. } => packages.iter().any(|p| {
            p.name == command
                || crate::catalog::commands::package_of(command, subject.codename) == Some(p.name.as_str())
                || p.name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-') == command
        }),
        _ => false,
    });
    let in_full = crate::catalog::commands::in_full(command, subject.codename).is_some();
    // Ubuntu's base is Debian's and more.
    let essential = subject.family == "ubuntu"
        && ["bullseye", "bookworm", "trixie"]
            .iter()
            .all(|release| crate::catalog::commands::in_slim(command, release) == Some(true));
    // On one and the same distribution, what its packages don't bring is there.
    if is_plain(command) || installs || in_full || essential {
        return Ok(());
    }
    subject.refuse(
        at,
        format!("{} runs `{command}`, and where that comes from is not seen in the file", demand.via),
    )
}

/// What else the file writes, beside what compilers do.
fn written(subject: &Subject<'_, '_>, found: &mut Vec<Artifact>) -> Outcome<()> {
    let rows: Vec<&str> = subject.ledger.copied.rows().map(|(to, ..)| to).collect();
    let settings = subject.use_of.settings();
    let toolchain: Vec<&str> = settings.iter().flat_map(|settings| settings.path()).collect();
    let holds_sources = |path: &str| rows.iter().any(|to| below(to, path));
    for effect in &subject.ledger.effects {
        let external = is_copy(subject, effect)
            && subject.instruction(effect.instruction).flag("from").is_some();
        let wanted = matches!(
            effect.what,
            What::Writes
                | What::NodeInstall { global: None, .. }
                | What::PipInstall { .. }
                | What::PythonProject { .. }
        ) && (external || !is_copy(subject, effect) || effect.text.contains("://"));
        if !wanted || artifacts::replayed(subject, effect) {
            continue;
        }
        let compiler = compiles_it(subject, effect);
        for write in &effect.writes {
            let path = write.path.as_str();
            let reason = format!("line {}: {path} is copied: `{}` writes it", effect.line, short(&effect.text));
            if compiler {
                // Libraries and data of an installed program lie beside it.
                let runs = || found.iter().any(|a| below(&a.path, path));
                let nothing_else = !toolchain.iter().any(|folder| below(folder, path));
                if path == "/usr/local" && subject.image != "gcc" && (nothing_else || runs()) {
                    add(found, path.to_owned(), true, reason);
                    continue;
                }
                let own = below(path, &effect.cwd);
                if matches!(path, "/" | "/usr") && !own {
                    return subject.advise(
                        effect.span,
                        format!(
                            "`{}` installs below {path}, among the base image's own files",
                            short(&effect.text)
                        ),
                        "let it install below /usr/local or a folder of its own (--prefix)",
                    );
                }
                // Of what it writes elsewhere, all that is not the toolchain's.
                let own = below(path, &effect.cwd)
                    || holds_sources(path)
                    || path.starts_with("/root/")
                    || toolchain.iter().any(|folder| below(folder, path) || below(path, folder));
                if own || artifacts::is_base_folder(path) {
                    continue;
                }
            }
            if (metadata(effect) || artifacts::trivial(effect)) && (holds_sources(path) || path == "/") {
                continue;
            }
            // What only the compiler reads, such as its wrapper made executable.
            let name = path.rsplit('/').next().unwrap_or(path);
            if compiled::is_input(subject.ecosystem.name, name, false) {
                continue;
            }
            match place(path) {
                Place::Cache => {}
                Place::App => add(found, path.to_owned(), write.tree, reason),
                Place::Base if metadata(effect) => {}
                Place::Base if artifacts::is_base_folder(path) => {
                    return subject.advise(
                        effect.span,
                        format!(
                            "`{}` writes below {path}: what it writes there lies among the base image's own files",
                            short(&effect.text)
                        ),
                        "let it write to a folder of its own",
                    );
                }
                Place::Base => add(found, path.to_owned(), false, reason),
            }
        }
    }
    Ok(())
}

/// Files and folders of the build context, by their paths in the image, that
/// aren't the compiler's alone; `None` when the context can't be read.
fn data(subject: &Subject<'_, '_>) -> Option<Vec<(String, bool)>> {
    let mut out: Vec<(String, bool)> = Vec::new();
    let mut budget = MAX_ENTRIES;
    for (to, from, folder) in subject.ledger.copied.rows() {
        let mut rows = Vec::new();
        let (above, name) = from.rsplit_once('/').unwrap_or(("", from));
        let input = |name: &str, folder| compiled::is_input(subject.ecosystem.name, name, folder);
        if input(name, folder) || above.split('/').any(|name| input(name, true)) {
            continue;
        }
        if folder {
            walk(subject, from, to, 0, &mut budget, &mut rows)?;
        } else {
            rows.push((to.to_owned(), false));
        }
        for row in rows {
            if !out.iter().any(|(path, dir)| *path == row.0 || (*dir && below(&row.0, path))) {
                out.push(row);
            }
        }
    }
    Some(out)
}

/// Adds the smallest set of paths below a folder that aren't inputs; says
/// whether that is all of it.
fn walk(
    subject: &Subject<'_, '_>,
    from: &str,
    to: &str,
    depth: usize,
    budget: &mut usize,
    out: &mut Vec<(String, bool)>,
) -> Option<bool> {
    if depth > MAX_DEPTH {
        return None;
    }
    let Known::Yes(entries) = subject.cx.files.list(from) else {
        return None;
    };
    *budget = budget.checked_sub(entries.len())?;
    let mut whole = !entries.is_empty();
    let mut rows = Vec::new();
    for (name, folder) in entries {
        let child = if from.is_empty() { name.clone() } else { format!("{from}/{name}") };
        let path = format!("{}/{name}", to.trim_end_matches('/'));
        if compiled::is_input(subject.ecosystem.name, &name, folder) {
            whole = false;
            continue;
        }
        if !folder {
            rows.push((path, false));
            continue;
        }
        let mut below = Vec::new();
        if walk(subject, &child, &path, depth + 1, budget, &mut below)? {
            rows.push((path, true));
        } else {
            whole = false;
            rows.extend(below);
        }
    }
    out.extend(rows);
    Some(whole)
}
