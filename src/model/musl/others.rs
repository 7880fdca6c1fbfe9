//! Signals of Go, Rust, Ruby, PHP, Java, .NET and Elixir.

use super::{
    Answer, Effect, Lock, Package, Question, Verdict, alpine, by_table, entry, judge_by_name, locks,
};
use crate::catalog::alpine::Apk;
use crate::catalog::crates;

/// Looks at a command that installs or builds in one of these languages.
pub(super) fn command(
    question: &Question<'_, '_>,
    index: usize,
    effect: &Effect,
    answer: &mut Answer,
) {
    let Some(program) = effect.program.as_deref() else {
        return;
    };
    let has = |words: &[&str]| {
        effect
            .text
            .split_whitespace()
            .any(|word| words.contains(&word))
    };
    match program {
        "go" if has(&["build", "install", "test", "mod", "run"]) => go(question, index, answer),
        "cargo" if has(&["build", "install", "run", "chef"]) => {
            let read = |text: &str| locks::cargo(text);
            by_lock(question, index, "cargo", "Cargo.lock", read, answer);
        }
        "bundle" if has(&["install", "package", "cache", "exec"]) => gems(question, index, answer),
        "mvn" | "mvnw" => {
            by_lock(question, index, "maven", "pom.xml", locks::maven, answer);
        }
        "gradle" | "gradlew" => {
            for name in ["gradle.lockfile", "build.gradle", "build.gradle.kts"] {
                let read = |text: &str| Ok(locks::gradle(text));
                if by_file(question, index, "maven", name, read, answer) {
                    return;
                }
            }
        }
        "mix" if has(&["deps.get", "deps.compile", "compile", "release"]) => {
            let read = |text: &str| Ok(locks::hex(text));
            by_lock(question, index, "hex", "mix.lock", read, answer);
        }
        "pecl" if has(&["install"]) => {
            let mut found = question.finding(
                index,
                "php.ext",
                Verdict::Needs,
                effect.text.trim().to_owned(),
                "extensions are compiled",
            );
            found.build = vec!["autoconf", "g++", "make", "linux-headers"];
            answer.findings.push(found);
        }
        "docker-php-ext-install" => extensions(question, index, effect, answer),
        "dotnet" if has(&["publish", "build", "restore"]) => dotnet(question, index, answer),
        "gem" if has(&["install"]) => {
            let names = effect.text.split_whitespace().skip(2);
            for name in names.filter(|word| !word.starts_with('-')) {
                let package = Package {
                    name: name.split(':').next().unwrap_or(name).to_owned(),
                    files: vec!["ruby".to_owned()],
                    ..Package::default()
                };
                let place = format!("line {}", effect.line);
                one_gem(question, index, &package, &place, answer);
            }
        }
        _ => {}
    }
}

fn by_file(
    question: &Question<'_, '_>,
    index: usize,
    ecosystem: &str,
    name: &str,
    read: impl Fn(&str) -> Result<Lock, String>,
    answer: &mut Answer,
) -> bool {
    let folders = question.folders(question.effect(index));
    let Some((path, text)) = question.find(&folders, &[name]) else {
        return false;
    };
    match read(&text) {
        Ok(lock) => judge_by_name(question, index, ecosystem, &lock, &path, answer),
        Err(why) => answer.findings.push(question.finding(
            index,
            "sys.elf",
            Verdict::Unknown,
            path,
            format!("it can't be read: {why}"),
        )),
    }
    true
}

fn by_lock(
    question: &Question<'_, '_>,
    index: usize,
    ecosystem: &str,
    name: &str,
    read: impl Fn(&str) -> Result<Lock, String>,
    answer: &mut Answer,
) {
    if !by_file(question, index, ecosystem, name, read, answer) {
        answer.findings.push(question.finding(
            index,
            signal_of(ecosystem),
            Verdict::Unknown,
            format!("no {name} in the build context"),
            "which packages are built in is not known without it",
        ));
    }
    if ecosystem == "cargo" {
        // Crates that bind a library of the system are named so.
        let folders = question.folders(question.effect(index));
        if let Some((path, text)) = question.find(&folders, &[name])
            && let Ok(lock) = locks::cargo(&text)
        {
            bindings(question, index, &lock, &path, answer);
        }
    }
}

fn signal_of(ecosystem: &str) -> &'static str {
    match ecosystem {
        "cargo" => "rs.sys",
        "maven" => "jv.jni.block",
        "hex" => "sys.elf",
        "gem" => "rb.native",
        _ => "go.cgo.module",
    }
}

fn bindings(
    question: &Question<'_, '_>,
    index: usize,
    lock: &Lock,
    path: &str,
    answer: &mut Answer,
) {
    let has = |name: &str| lock.packages.iter().any(|p| p.name == name);
    for package in &lock.packages {
        if let Some(links) = crates::links(&package.name) {
            if links.unless.is_some_and(has) {
                continue;
            }
            let mut found = question.finding(
                index,
                "rs.sys",
                Verdict::Needs,
                entry(package, path),
                "it links a library of the system",
            );
            for library in links.packages {
                match alpine::apk_of(library) {
                    Some(Apk::Packages { names, .. }) => {
                        // Rust links statically there.
                        for name in names {
                            found.build.push(name);
                            match alpine::static_library(name) {
                                Some(more) => found.build.push(more),
                                None => found.verdict = Verdict::Unknown,
                            }
                        }
                        if found.verdict == Verdict::Unknown {
                            found.why = format!(
                                "it links {library}, and whether Alpine has that as a static library is not known"
                            );
                        }
                    }
                    _ => {
                        found.verdict = Verdict::Unknown;
                        found.why =
                            format!("it links {library}, and what that is in Alpine is not known");
                    }
                }
            }
            found.build.extend(["build-base", "pkgconf"]);
            answer.findings.push(found);
            continue;
        }
        let known = alpine::musl("cargo", &package.name, &package.version, locks::older);
        let named = package.name.ends_with("-sys");
        if named && known.is_none() && !crates::is_bundled(&package.name) {
            answer.findings.push(question.finding(
                index,
                "rs.sys",
                Verdict::Unknown,
                entry(package, path),
                "which library of the system it binds is not known",
            ));
        }
    }
}

fn go(question: &Question<'_, '_>, index: usize, answer: &mut Answer) {
    if already(answer, "go.") {
        return;
    }
    // Without cgo nothing of C is linked.
    let off = |text: &str| text.replace(' ', "").contains("CGO_ENABLED=0");
    let stage = &question.model.stages[question.stage];
    let source = question.model.file.source();
    let instructions = stage.steps.iter().map(|step| {
        let span = question.model.instructions[step.instruction].span;
        String::from_utf8_lossy(span.of(source)).into_owned()
    });
    let env_off = stage
        .scope
        .value("CGO_ENABLED", stage.scope.len())
        .is_some_and(|value| value.as_deref() == Ok("0"));
    if env_off || instructions.into_iter().any(|text| off(&text)) {
        return;
    }
    let read = |text: &str| Ok(locks::go_mod(text));
    by_lock(question, index, "go", "go.mod", read, answer);
    let mut own = super::context_files(question.files, |path| path.ends_with(".go"));
    let uses = own.find(|path| {
        let text = question.files.text(path).yes().unwrap_or_default();
        text.lines().any(|line| {
            let line = line.trim();
            line == "import \"C\"" || line == "\"C\""
        })
    });
    if let Some(path) = uses {
        let mut found = question.finding(
            index,
            "go.cgo.module",
            Verdict::Needs,
            format!("import \"C\" in {path}"),
            "it is linked with C",
        );
        found.build = super::build_tools("go").to_vec();
        answer.findings.push(found);
    }
}

fn already(answer: &Answer, prefix: &str) -> bool {
    answer.findings.iter().any(|f| f.signal.starts_with(prefix))
}

fn gems(question: &Question<'_, '_>, index: usize, answer: &mut Answer) {
    if already(answer, "rb.") {
        return;
    }
    let folders = question.folders(question.effect(index));
    let Some((path, text)) = question.find(&folders, &["Gemfile.lock"]) else {
        answer.findings.push(question.finding(
            index,
            "rb.native",
            Verdict::Unknown,
            "no Gemfile.lock in the build context".to_owned(),
            "which gems are installed is not known without it",
        ));
        return;
    };
    let lock = locks::gem(&text);
    for package in &lock.packages {
        one_gem(question, index, package, &path, answer);
    }
    answer.doubt(format!(
        "{path} does not say which gems compile extensions: those are known by name"
    ));
}

fn one_gem(
    question: &Question<'_, '_>,
    index: usize,
    package: &Package,
    path: &str,
    answer: &mut Answer,
) {
    answer.packages += 1;
    let any = package.files.iter().any(|p| p == "ruby" || p == "java");
    let linux = package.files.iter().any(|p| p.contains("linux"));
    let missing: Vec<&str> = question
        .processors
        .iter()
        .filter(|processor| {
            let mut files = package.files.iter();
            !files.any(|p| p.contains("musl") && p.starts_with(processor.uname()))
        })
        .map(|p| p.name())
        .collect();
    if linux && missing.is_empty() {
        return;
    }
    if linux && !any {
        answer.findings.push(question.finding(
            index,
            "rb.platform",
            Verdict::Blocker,
            entry(package, path),
            format!(
                "it is locked for glibc, and not for musl on {}",
                missing.join(", ")
            ),
        ));
        return;
    }
    if let Some(musl) = alpine::musl("gem", &package.name, &package.version, locks::older) {
        let found = by_table(question, index, "gem", musl, package, path);
        answer.findings.extend(found);
    }
}

fn extensions(question: &Question<'_, '_>, index: usize, effect: &Effect, answer: &mut Answer) {
    let names = effect.text.split_whitespace().skip(1);
    for name in names.filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
        let Some(row) = alpine::PHP.get(name) else {
            continue;
        };
        let mut found = question.finding(
            index,
            "php.ext",
            Verdict::Needs,
            format!("extension {name} (line {})", effect.line),
            "it is compiled against a library",
        );
        found.runtime = row.list(1).collect();
        found.build = row.list(2).collect();
        if !found.runtime.is_empty() || !found.build.is_empty() {
            answer.findings.push(found);
        }
    }
}

fn dotnet(question: &Question<'_, '_>, index: usize, answer: &mut Answer) {
    if already(answer, "dn.") {
        return;
    }
    let projects: Vec<String> = super::context_files(question.files, |path| {
        path.ends_with(".csproj") || path.ends_with(".fsproj")
    })
    .collect();
    for path in projects {
        let Some(text) = question.files.text(&path).yes() else {
            continue;
        };
        let Ok(project) = locks::project_xml(&text) else {
            continue;
        };
        judge_by_name(question, index, "nuget", &project.lock, &path, answer);
        let invariant = project.property("InvariantGlobalization").map(|(v, _)| v);
        if invariant != Some("true") {
            let mut found = question.finding(
                index,
                "dn.icu",
                Verdict::Needs,
                path.clone(),
                "it does not switch globalization off",
            );
            found.runtime = vec!["icu-libs", "icu-data-full", "tzdata"];
            answer.findings.push(found);
        }
        for name in ["PublishAot", "RuntimeIdentifier"] {
            if let Some((value, line)) = project.property(name)
                && !value.contains("musl")
                && !value.is_empty()
                && value != "false"
            {
                answer.findings.push(question.finding(
                    index,
                    "dn.rid",
                    Verdict::Blocker,
                    format!("{name} {value} ({path}:{line})"),
                    "it is published for glibc",
                ));
            }
        }
    }
}

/// What the image itself means.
pub(super) fn image(question: &Question<'_, '_>, answer: &mut Answer) {
    // The Java programs that a stage runs come from elsewhere; what they bring
    // along stands in the build files of the context.
    if !matches!(
        question.image,
        "eclipse-temurin" | "maven" | "gradle" | "openjdk"
    ) || already(answer, "jv.")
        || question.ledger.effects.is_empty()
    {
        return;
    }
    for (name, gradle) in [
        ("pom.xml", false),
        ("build.gradle", true),
        ("build.gradle.kts", true),
    ] {
        let Some(text) = question.files.text(name).yes() else {
            continue;
        };
        let lock = if gradle {
            Ok(locks::gradle(&text))
        } else {
            locks::maven(&text)
        };
        if let Ok(lock) = lock {
            judge_by_name(question, 0, "maven", &lock, name, answer);
            answer.doubt(format!(
                "{name} names only the project's own dependencies: what those bring along is not looked at"
            ));
        }
    }
}
