//! Whether what the image runs is all there, read from its files: programs,
//! their loaders and libraries, scripts' interpreters, links and users.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use super::layer::{Contents, Kind, Object};
use super::root::Root;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The image does not do what it did; otherwise it is only worth knowing.
    pub grave: bool,
    /// What it is, in words.
    pub what: String,
    /// What is lacking, where one thing is.
    pub lack: Option<Lack>,
}

/// What the image lacks and the one before had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// A library, by where it was before.
    Library(String),
    /// A program, likewise.
    Program(String),
    /// Any other file, likewise.
    File(String),
    /// A library is there and the loader's cache does not know it.
    LoaderCache(String),
}

/// One image: its files and its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Its files.
    pub root: &'a Root<'a>,
    /// Its configuration.
    pub config: &'a Config,
}

/// How a library is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// At this real path.
    At(String),
    /// There, but the loader's cache does not say so.
    NotCached(String),
    /// Nowhere.
    No,
}

/// Folders that glibc's loader looks into without its cache, on Debian with
/// the multiarch ones.
const TRUSTED: [&str; 8] = [
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib64",
    "usr/lib64",
    "lib",
    "usr/lib",
];

/// The folders that musl's loader looks into by itself.
const MUSL: [&str; 3] = ["lib", "usr/local/lib", "usr/lib"];

impl Side<'_> {
    /// Where the loader finds a library that the ELF file at `path` needs.
    #[must_use]
    pub fn library(&self, path: &str, object: &Object, name: &str) -> Found {
        let fits = |real: &str| {
            let machine = self.root.object(real).map(|found| found.machine);
            machine.is_none_or(|machine| machine == object.machine)
        };
        let try_at = |place: &str| self.root.real(place).filter(|real| fits(real));
        if name.contains('/') {
            return try_at(name).map_or(Found::No, Found::At);
        }
        let origin = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let own = |folders: &[String]| -> Vec<String> {
            let folder = |f: &String| {
                f.replace("${ORIGIN}", &format!("/{origin}"))
                    .replace("$ORIGIN", &format!("/{origin}"))
            };
            folders.iter().map(folder).collect()
        };
        let mut folders: Vec<String> = Vec::new();
        if object.runpath.is_empty() {
            folders.extend(own(&object.rpath));
        }
        if let Some(paths) = self.config.env.get("LD_LIBRARY_PATH") {
            folders.extend(paths.split(':').map(str::to_owned));
        }
        folders.extend(own(&object.runpath));
        let musl = self.musl_folders();
        match &musl {
            Some(own) => folders.extend(own.iter().cloned()),
            None => folders.extend(TRUSTED.map(str::to_owned)),
        }
        for folder in folders.iter().filter(|folder| !folder.is_empty()) {
            if let Some(real) = try_at(&format!("{folder}/{name}")) {
                return Found::At(real);
            }
        }
        if musl.is_none() {
            let cached = self.root.text("etc/ld.so.cache").unwrap_or_default();
            let tail = format!("/{name}");
            for place in cached.lines().filter(|line| line.ends_with(&tail)) {
                if let Some(real) = try_at(place) {
                    return Found::At(real);
                }
            }
            // Debian's configuration names this folder; only its cache counts.
            if let Some(real) = try_at(&format!("usr/local/lib/{name}")) {
                return Found::NotCached(real);
            }
        }
        Found::No
    }

    /// The folders of musl's loader, where the image has no other.
    fn musl_folders(&self) -> Option<Vec<String>> {
        let musl = [
            "x86_64", "aarch64", "armhf", "i386", "ppc64le", "riscv64", "s390x",
        ]
        .iter()
        .any(|machine| self.root.exists(&format!("lib/ld-musl-{machine}.so.1")));
        if !musl || self.root.exists("lib64/ld-linux-x86-64.so.2") {
            return None;
        }
        for machine in ["x86_64", "aarch64"] {
            if let Some(text) = self.root.text(&format!("etc/ld-musl-{machine}.path")) {
                let folders = text.split([':', '\n']).filter(|f| !f.is_empty());
                return Some(folders.map(str::to_owned).collect());
            }
        }
        Some(MUSL.map(str::to_owned).to_vec())
    }

    /// Where a command is found.
    #[must_use]
    pub fn command(&self, name: &str) -> Option<String> {
        let path = self.config.path();
        self.root.command(name, &path, &self.config.workdir)
    }
}

/// A script's interpreter: its path, or a command that `env` looks up.
fn interpreter(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    if first.ends_with("/env") {
        return words.find(|word| !word.starts_with('-') && !word.contains('='));
    }
    Some(first)
}

/// Checks the image after against the one before. Its lowest `base` layers are
/// the base image's own; `programs` are what it is known to run, with the
/// instruction or the file that says so.
#[must_use]
pub fn check(
    before: Side<'_>,
    after: Side<'_>,
    base: usize,
    programs: &[(String, String)],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    starts(before, after, programs, &mut findings);
    objects(before, after, base, &mut findings);
    scripts(before, after, base, &mut findings);
    links(before, after, base, &mut findings);
    let user = &after.config.user;
    if !after.root.user(user) {
        findings.push(Finding {
            grave: true,
            what: format!("USER is {user}, and /etc/passwd has no such user"),
            lack: None,
        });
    }
    findings.sort_by_key(|finding| !finding.grave);
    findings
}

/// What is started: the first word of ENTRYPOINT or CMD, and what is known to
/// be started by them.
fn starts(
    before: Side<'_>,
    after: Side<'_>,
    programs: &[(String, String)],
    findings: &mut Vec<Finding>,
) {
    let config = after.config;
    let first = match (&config.entrypoint, &config.cmd) {
        (Some(entrypoint), _) => entrypoint.first().map(|word| (word, "ENTRYPOINT")),
        (None, Some(cmd)) => cmd.first().map(|word| (word, "CMD")),
        (None, None) => None,
    };
    let mut seen = BTreeSet::new();
    let first = first.map(|(word, via)| (word.clone(), via.to_owned()));
    for (name, via) in first.iter().chain(programs) {
        if !seen.insert(name) || after.command(name).is_some() {
            continue;
        }
        let Some(was) = before.command(name) else {
            // One that the file has named before was as missing then.
            let config = before.config;
            let mut words = config.entrypoint.iter().chain(&config.cmd).flatten();
            let new = first.as_ref().is_some_and(|(word, _)| word == name);
            if new && !words.any(|word| word == name) {
                findings.push(Finding {
                    grave: true,
                    what: format!("{via} runs `{name}`, which is missing"),
                    lack: None,
                });
            }
            continue;
        };
        let there = after.root.exists(&was);
        let why = if there {
            "is not executable"
        } else {
            "is missing"
        };
        findings.push(Finding {
            grave: true,
            what: format!("{via} runs `{name}`, which {why}: it was at /{was}"),
            lack: Some(Lack::Program(was)),
        });
    }
}

/// Every ELF file's loader, libraries and C library version.
fn objects(before: Side<'_>, after: Side<'_>, base: usize, findings: &mut Vec<Finding>) {
    // By the library, so that one of a hundred modules is told once.
    let mut missing: BTreeMap<(bool, String, Option<Lack>), Vec<&str>> = BTreeMap::new();
    for (path, node) in after.root.iter() {
        let Kind::File {
            what: Contents::Elf(object),
            ..
        } = node.kind
        else {
            continue;
        };
        if node.again {
            continue;
        }
        let grave = node.layer >= base;
        let twin = before.root.real(path);
        let twin = twin.and_then(|real| Some((before.root.object(&real)?, real)));
        let found_before = |name: &str| {
            let (object, real) = twin.as_ref()?;
            match before.library(real, object, name) {
                Found::At(place) => Some(place),
                _ => None,
            }
        };
        if let Some(loader) = &object.interpreter
            && !after.root.exists(loader)
            && before.root.exists(loader)
        {
            let musl = after.musl_folders().is_some() && !loader.contains("musl");
            let why = if musl {
                format!("the loader {loader} of glibc, and this image has musl")
            } else {
                format!("the loader {loader}, which is missing")
            };
            missing.entry((grave, why, None)).or_default().push(path);
            continue;
        }
        for name in &object.needed {
            let (why, lack) = match after.library(path, object, name) {
                Found::At(_) => continue,
                Found::NotCached(place) => (
                    format!(
                        "{name}, which is at /{place} but not in /etc/ld.so.cache: ldconfig has to run after it is copied"
                    ),
                    Some(Lack::LoaderCache(place)),
                ),
                Found::No => match found_before(name) {
                    Some(was) => (
                        format!("{name}, which is missing: it was at /{was}"),
                        Some(Lack::Library(was)),
                    ),
                    // Broken before as well, or a plug-in of another program.
                    None if twin.is_some() => continue,
                    None => (format!("{name}, which is missing"), None),
                },
            };
            // The cache of before may lack it as well: then nothing changed.
            if matches!(lack, Some(Lack::LoaderCache(_)))
                && found_before(name).is_none()
                && twin.is_some()
            {
                continue;
            }
            missing.entry((grave, why, lack)).or_default().push(path);
        }
        if let Some(wanted) = object.glibc
            && object.defines_glibc.is_none()
            && let Found::At(libc) = after.library(path, object, "libc.so.6")
            && let Some(has) = after.root.object(&libc).and_then(|libc| libc.defines_glibc)
            && has < wanted
        {
            let why = format!(
                "glibc {}.{}, and this image has {}.{}",
                wanted.0, wanted.1, has.0, has.1
            );
            missing.entry((grave, why, None)).or_default().push(path);
        }
    }
    for ((grave, why, lack), files) in missing {
        let what = match files.as_slice() {
            [one] => format!("/{one} needs {why}"),
            [first, rest @ ..] => format!("/{first} and {} more need {why}", rest.len()),
            [] => continue,
        };
        let what = if grave {
            what
        } else {
            format!("{what} (a file of the base image itself)")
        };
        findings.push(Finding { grave, what, lack });
    }
}

/// Every executable script's interpreter. Packages bring scripts that nobody
/// runs, so only one that PATH finds is grave.
fn scripts(before: Side<'_>, after: Side<'_>, base: usize, findings: &mut Vec<Finding>) {
    let folders: Vec<String> = {
        let path = after.config.path();
        path.iter().filter_map(|f| after.root.real(f)).collect()
    };
    let mut missing: BTreeMap<(bool, String, String), Vec<&str>> = BTreeMap::new();
    for (path, node) in after.root.iter() {
        let Kind::File {
            what: Contents::Script(line),
            ..
        } = node.kind
        else {
            continue;
        };
        let Some(program) = interpreter(line).filter(|_| node.mode & 0o111 != 0) else {
            continue;
        };
        if after.command(program).is_some() {
            continue;
        }
        let Some(was) = before.command(program) else {
            continue;
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let grave = node.layer >= base && folders.iter().any(|f| f == folder);
        let key = (grave, program.to_owned(), was);
        missing.entry(key).or_default().push(path);
    }
    for ((grave, program, was), files) in missing {
        let what = match files.as_slice() {
            [one] => format!("/{one} is a script of `{program}`"),
            [first, rest @ ..] => {
                format!(
                    "/{first} and {} more are scripts of `{program}`",
                    rest.len()
                )
            }
            [] => continue,
        };
        findings.push(Finding {
            grave,
            what: format!("{what}, which is missing: it was at /{was}"),
            lack: Some(Lack::Program(was)),
        });
    }
}

/// Links that lead nowhere now and did before.
fn links(before: Side<'_>, after: Side<'_>, base: usize, findings: &mut Vec<Finding>) {
    for (path, node) in after.root.iter() {
        let Kind::Link(target) = node.kind else {
            continue;
        };
        if node.layer < base || after.root.exists(path) {
            continue;
        }
        // What is mounted when a container starts can't be seen here.
        if ["/proc/", "/dev/", "/sys/", "/run/"]
            .iter()
            .any(|top| target.starts_with(top))
        {
            continue;
        }
        let Some(was) = before.root.real(path) else {
            continue;
        };
        findings.push(Finding {
            grave: true,
            what: format!("/{path} is a link to {target}, which is missing: it was /{was}"),
            lack: Some(Lack::File(was)),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::archive::Image;
    use super::super::layer::{Entry, Layer};
    use super::*;

    fn elf(needed: &[&str]) -> Object {
        Object {
            machine: (62, true),
            interpreter: Some("/lib64/ld-linux-x86-64.so.2".into()),
            needed: needed.iter().map(|&n| n.to_owned()).collect(),
            ..Object::default()
        }
    }

    fn file(path: &str, what: Contents) -> Entry {
        Entry {
            path: path.into(),
            kind: Kind::File { size: 10, what },
            mode: 0o755,
        }
    }

    fn object(path: &str, it: Object) -> Entry {
        file(path, Contents::Elf(Box::new(it)))
    }

    fn image(layers: Vec<Vec<Entry>>) -> Image {
        let layers = layers.into_iter().map(|entries| {
            Arc::new(Layer {
                entries,
                ..Layer::default()
            })
        });
        let mut config = Config::parse(br#"{"config":{"Cmd":["tool"],"User":"app"}}"#);
        config.as_mut().expect("a configuration").workdir = "/app".into();
        Image {
            config: config.expect("a configuration"),
            layers: layers.collect(),
        }
    }

    fn base() -> Vec<Entry> {
        let library = || Object {
            interpreter: None,
            ..elf(&[])
        };
        let libc = Object {
            defines_glibc: Some((2, 36)),
            ..library()
        };
        vec![
            object("lib64/ld-linux-x86-64.so.2", library()),
            object("usr/lib/x86_64-linux-gnu/libc.so.6", libc),
            Entry {
                path: "lib".into(),
                kind: Kind::Link("usr/lib".into()),
                mode: 0o777,
            },
            file(
                "etc/passwd",
                Contents::Text("root:x:0:0::/:/bin/sh\napp:x:9:9::/:/bin/sh\n".into()),
            ),
        ]
    }

    fn findings(before: &Image, after: &Image) -> Vec<(bool, String, Option<Lack>)> {
        let (old, new) = (Root::of(before), Root::of(after));
        let old = Side {
            root: &old,
            config: &before.config,
        };
        let new = Side {
            root: &new,
            config: &after.config,
        };
        let found = check(old, new, 1, &[("jq".into(), "run.sh".into())]);
        found
            .into_iter()
            .map(|f| (f.grave, f.what, f.lack))
            .collect()
    }

    #[test]
    fn what_is_all_there_gives_no_finding() {
        let app = vec![
            object("usr/bin/tool", elf(&["libc.so.6"])),
            object("usr/bin/jq", elf(&[])),
        ];
        let same = image(vec![base(), app]);
        assert_eq!(findings(&same, &same), []);
    }

    #[test]
    fn a_missing_library_program_link_and_user_are_found() {
        let module = || object("app/module.so", elf(&["libpq.so.5", "libnone.so.1"]));
        let link = || Entry {
            path: "app/current".into(),
            kind: Kind::Link("/opt/v1".into()),
            mode: 0o777,
        };
        let script = || {
            file(
                "usr/bin/s",
                Contents::Script("/usr/bin/env -S perl -w".into()),
            )
        };
        let before = image(vec![
            base(),
            vec![
                object("usr/bin/tool", elf(&[])),
                object("usr/bin/jq", elf(&[])),
                object("usr/bin/perl", elf(&[])),
                object("usr/lib/x86_64-linux-gnu/libpq.so.5", elf(&[])),
                file("opt/v1/x", Contents::Plain),
                module(),
                link(),
                script(),
            ],
        ]);
        let mut lower = base();
        lower.pop();
        let after = image(vec![
            lower,
            vec![object("usr/bin/tool", elf(&[])), module(), link(), script()],
        ]);
        let found = findings(&before, &after);
        assert!(found.iter().all(|(grave, ..)| *grave), "{found:#?}");
        let lacks: Vec<Option<Lack>> = found.iter().map(|(_, _, lack)| lack.clone()).collect();
        assert_eq!(
            lacks,
            [
                Some(Lack::Program("usr/bin/jq".into())),
                Some(Lack::Library("usr/lib/x86_64-linux-gnu/libpq.so.5".into())),
                Some(Lack::Program("usr/bin/perl".into())),
                Some(Lack::File("opt/v1".into())),
                None,
            ]
        );
    }

    #[test]
    fn a_newer_c_library_a_cache_that_does_not_know_and_musl_are_found() {
        let newer = || Object {
            glibc: Some((2, 38)),
            ..elf(&["libown.so.1"])
        };
        let own = || object("usr/local/lib/libown.so.1", elf(&[]));
        let cache = file(
            "etc/ld.so.cache",
            Contents::Text("/usr/local/lib/libown.so.1".into()),
        );
        let tool = || object("usr/bin/tool", newer());
        let before = image(vec![base(), vec![tool(), own(), cache]]);
        let after = image(vec![base(), vec![tool(), own()]]);
        let found = findings(&before, &after);
        assert!(
            found[0].1.contains("glibc 2.38, and this image has 2.36"),
            "{found:?}"
        );
        assert_eq!(
            found[1].2,
            Some(Lack::LoaderCache("usr/local/lib/libown.so.1".into()))
        );
        let musl = image(vec![
            vec![object("lib/ld-musl-x86_64.so.1", elf(&[]))],
            vec![tool(), own()],
        ]);
        let found = findings(&before, &musl);
        assert!(found.iter().any(|f| f.1.contains("has musl")), "{found:?}");
    }
}
