//! Settings files: where they are, what they say, and what holds in the end.
//!
//! There are two kinds. The user's own file (`dfmigrate/dfmigrate.toml` in the
//! configuration folder, or the one of `--config`) may say everything. A file
//! in a scanned tree (`dfmigrate.toml` or `.dfmigrate.toml`, the nearest one up
//! to the top of the repository) was written by whoever wrote the tree: it may
//! restrict what is done, never widen it, whatever the flags are.

mod file;

pub use file::{Fault, SettingsError, did_you_mean, known_rule, schema};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use jiff::SignedDuration;

use crate::discover::{self, Source};
use crate::image::Reference;
use crate::plan::{self, ForImage};
use crate::rules::{self, Prefer, Safety};
use file::Parsed;

/// What settings files in a tree are called; the first one in a folder counts.
pub const NAMES: [&str; 2] = ["dfmigrate.toml", ".dfmigrate.toml"];

/// The most bytes of a settings file.
const MAX_BYTES: u64 = 1 << 20;

/// The most settings files that extend one another.
const MAX_CHAIN: usize = 16;

/// Patterns of a file, relative to its folder.
#[derive(Clone, Debug)]
struct Patterns {
    written: Vec<String>,
    matcher: Gitignore,
}

impl Patterns {
    fn matches(&self, path: &Path) -> bool {
        path.starts_with(self.matcher.path())
            && self
                .matcher
                .matched_path_or_any_parents(path, false)
                .is_ignore()
    }
}

/// What holds for the files of one folder.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What is planned.
    pub options: plan::Options,
    /// Threads, where the user's own file says so.
    pub jobs: Option<usize>,
    /// The files that were read, in order.
    pub from: Vec<String>,
    /// A file that matches none of a list is not looked at.
    include: Vec<Patterns>,
    /// A file that matches one is not looked at.
    exclude: Vec<Patterns>,
    /// Whether the user prefers a variant: a tree's own wish counts only
    /// where the user has none.
    preferred: bool,
    /// Whether a file of the tree restricts anything.
    pub restricted: bool,
    /// Which registries are asked, by the user's own file.
    pub registries: Registries,
    /// The folder of templates that the user's own file names.
    pub templates: Option<PathBuf>,
    /// What `verify` runs in both containers, by the user's own file.
    pub compare: Option<String>,
}

/// What the user's own file says of registries. Hosts are lower case and as
/// references write them.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// Whether registries are asked, as by `--online`.
    pub online: bool,
    /// Asked beside the well-known public ones.
    pub ask: Vec<String>,
    /// Asked in plain HTTP.
    pub insecure: Vec<String>,
    /// For a registry, hosts that are asked before it.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// For a registry, hosts whose token service may have its credentials.
    pub token_hosts: BTreeMap<String, Vec<String>>,
    /// PEM files of certificate authorities.
    pub authorities: Vec<PathBuf>,
}

/// A duration in words: `3d`, `12h`, `2 weeks`; a day has 24 hours.
///
/// # Errors
/// How to write it, where it can't be read.
pub fn age(text: &str) -> Result<SignedDuration, String> {
    let span: jiff::Span = text
        .parse()
        .map_err(|_| "write a number with a unit, such as 3d, 12h or 2w".to_owned())?;
    let age = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "write it in weeks, days, hours or minutes".to_owned())?;
    if age.is_negative() {
        return Err("an age is not negative".to_owned());
    }
    Ok(age)
}

/// A registry's host, as references write it, in lower case.
///
/// # Errors
/// That it is none, and how one is written.
pub fn registry_host(host: &str) -> Result<String, String> {
    let lower = host.to_ascii_lowercase();
    let reference = Reference::parse(&format!("{lower}/x"));
    match reference.is_ok_and(|reference| reference.domain() == lower) {
        true => Ok(lower),
        false => Err(format!(
            "{host:?} is no registry: write its host, with a port if it has one (registry.example.com:5000)"
        )),
    }
}

/// Whose word a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    User,
    Tree,
}

/// A settings file with those that it extends, while they are read.
struct Reading<'a> {
    author: Author,
    /// Nothing outside of it is read, for a file of a tree.
    root: Option<&'a Path>,
    /// The folder of the first one, which patterns of all are relative to.
    folder: &'a Path,
    /// The real paths of those that are being read, the first one first.
    chain: Vec<PathBuf>,
}

impl Reading<'_> {
    /// The real path of the file that the last one extends, or what is wrong
    /// with it.
    fn extended(&self, from: &Path, written: &str) -> Result<PathBuf, String> {
        let path = from.parent().unwrap_or(Path::new("/")).join(written);
        let real = path.canonicalize().map_err(|error| {
            let shown = path.display();
            match error.kind() {
                std::io::ErrorKind::NotFound => format!("there is no settings file {shown}"),
                _ => format!("{shown} can't be read: {error}"),
            }
        })?;
        if let Some(root) = self.root.filter(|root| !real.starts_with(root)) {
            return Err(format!(
                "lies outside of {}: settings of a tree extend only files of that tree",
                root.display()
            ));
        }
        if let Some(at) = self.chain.iter().position(|path| *path == real) {
            let circle = self.chain[at..].iter().chain([&real]);
            let circle: Vec<String> = circle.map(|path| path.display().to_string()).collect();
            return Err(format!(
                "the file would extend itself: {}",
                circle.join(" extends ")
            ));
        }
        if self.chain.len() >= MAX_CHAIN {
            return Err(format!(
                "at most {MAX_CHAIN} settings files may extend one another"
            ));
        }
        Ok(real)
    }
}

impl Settings {
    /// Whether a file found in a folder, by its absolute path, is looked at.
    #[must_use]
    pub fn looks_at(&self, path: &Path) -> bool {
        self.include.iter().all(|list| list.matches(path))
            && !self.exclude.iter().any(|list| list.matches(path))
    }

    /// The rules that run.
    fn runs(&self) -> impl Iterator<Item = &'static str> {
        let wanted = rules::all()
            .iter()
            .filter(|rule| self.options.wants(**rule));
        wanted.map(|rule| rule.meta().id)
    }

    /// Only these rules of those that run so far.
    fn select(&mut self, only: &[String]) {
        let other: Vec<&str> = self
            .runs()
            .filter(|id| !only.iter().any(|o| o == id))
            .collect();
        self.options
            .ignore
            .extend(other.into_iter().map(str::to_owned));
    }

    /// Takes the settings of a file in, and before them those that it extends:
    /// within `root`, where one is given.
    fn take(self, path: &Path, author: Author, root: Option<&Path>) -> Result<Self, SettingsError> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        self.take_one(
            path,
            &mut Reading {
                author,
                root,
                folder,
                chain: Vec::new(),
            },
        )
    }

    fn take_one(mut self, path: &Path, reading: &mut Reading) -> Result<Self, SettingsError> {
        let author = reading.author;
        let shown = path.display().to_string();
        let mut parsed = Parsed::of(shown.clone(), read(path, author)?)?;
        let file = std::mem::take(&mut parsed.file);
        let real = path.canonicalize();
        reading.chain.push(real.unwrap_or_else(|_| path.to_owned()));
        if let Some(extend) = &file.extend {
            match reading.extended(path, extend.get_ref()) {
                Ok(other) => self = self.take_one(&other, reading)?,
                Err(why) => {
                    parsed.fault(Some(extend.span()), why);
                    parsed.done()?;
                }
            }
        }
        if let Some(grade) = &file.grade {
            let grade = Safety::from(*grade.get_ref());
            self.options.grade = match author {
                Author::User => grade,
                Author::Tree => self.options.grade.max(grade),
            };
        }
        if let Some(prefer) = file.prefer
            && (author == Author::User || !self.preferred)
        {
            self.options.prefer = prefer.into();
            self.preferred = author == Author::User;
        }
        if let Some(select) = &file.select {
            let only = parsed.rules(select);
            match author {
                Author::User => self.options.select = only.into_iter().collect(),
                Author::Tree => self.select(&only),
            }
        }
        let ignored = parsed.rules(&file.ignore);
        self.options.ignore.extend(ignored);
        let folder = path.parent().unwrap_or(Path::new("/"));
        match author {
            Author::User => self.take_own(&file, folder, &mut parsed),
            Author::Tree => only_the_users(&file, &mut parsed),
        }
        if let Some(policy) = &file.trusted_base {
            let policy = parsed.policy(policy);
            match author {
                Author::User => self.options.policy = policy,
                Author::Tree => self.options.policy.also.push(policy),
            }
        }
        if let Some(text) = &file.min_age {
            match age(text.get_ref()) {
                // Doubts are not lifted by a tree.
                Ok(age) if author == Author::Tree => {
                    self.options.pins.min_age = self.options.pins.min_age.max(Some(age));
                }
                Ok(age) => self.options.pins.min_age = Some(age),
                Err(why) => parsed.fault(Some(text.span()), why),
            }
        }
        for platform in &file.platforms {
            if !self.options.pins.platforms.contains(platform) {
                self.options.pins.platforms.push(platform.clone());
            }
        }
        for (list, into) in [
            (&file.include, &mut self.include),
            (&file.exclude, &mut self.exclude),
        ] {
            let mut builder = GitignoreBuilder::new(reading.folder);
            for pattern in list {
                if let Err(error) = builder.add_line(None, pattern.get_ref()) {
                    parsed.fault(Some(pattern.span()), error.to_string());
                }
            }
            match builder.build() {
                Ok(matcher) if !list.is_empty() => into.push(Patterns {
                    written: list.iter().map(|p| p.get_ref().clone()).collect(),
                    matcher,
                }),
                Ok(_) => {}
                Err(error) => parsed.fault(None, error.to_string()),
            }
        }
        for image in &file.image {
            let rules = match &image.ignore {
                Some(rules) => parsed.rules(rules),
                None => Vec::new(),
            };
            let all = image.ignore.is_none() && image.grade.is_none() && image.prefer.is_none();
            let heard = author == Author::User || !self.preferred;
            match globset::Glob::new(image.name.get_ref()) {
                Ok(glob) => self.options.images.push(ForImage {
                    pattern: glob.compile_matcher(),
                    rules: (!all).then(|| rules.into_iter().collect()),
                    grade: image.grade.map(Safety::from),
                    prefer: image.prefer.filter(|_| heard).map(Prefer::from),
                    reason: image.reason.clone(),
                }),
                Err(error) => {
                    parsed.fault(Some(image.name.span()), error.kind().to_string());
                }
            }
        }
        parsed.done()?;
        self.restricted |= author == Author::Tree;
        self.from.push(shown);
        Ok(self)
    }

    fn show_tables(&self, out: &mut String, list: &dyn Fn(&[String]) -> String) {
        let policy = &self.options.policy;
        for policy in std::iter::once(policy).chain(&policy.also) {
            let rows = [
                ("registries", &policy.registries),
                ("classes", &policy.classes),
                ("images", &policy.images),
            ];
            if rows.iter().all(|(_, words)| words.is_empty()) {
                continue;
            }
            let head = match std::ptr::eq(policy, &self.options.policy) {
                true => "\n[trusted-base]",
                false => "\n# And this policy of the tree:\n# [trusted-base]",
            };
            let _ = writeln!(out, "{head}");
            let comment = if head.contains('#') { "# " } else { "" };
            for (name, words) in rows {
                if !words.is_empty() {
                    let _ = writeln!(out, "{comment}{name} = {}", list(words));
                }
            }
        }
        let it = &self.registries;
        let mut rows = Vec::new();
        if it.online {
            rows.push("online = true".to_owned());
        }
        let authorities: Vec<String> = it
            .authorities
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect();
        for (name, words) in [
            ("ask", &it.ask),
            ("insecure", &it.insecure),
            ("ca", &authorities),
        ] {
            if !words.is_empty() {
                rows.push(format!("{name} = {}", list(words)));
            }
        }
        for (name, lists) in [("mirrors", &it.mirrors), ("token-hosts", &it.token_hosts)] {
            for (host, words) in lists {
                rows.push(format!("{name}.{} = {}", quoted(host), list(words)));
            }
        }
        if !rows.is_empty() {
            let _ = writeln!(out, "\n[registries]\n{}", rows.join("\n"));
        }
        if let Some(compare) = &self.compare {
            let _ = writeln!(out, "\n[verify]\ncompare = {}", quoted(compare));
        }
    }

    /// What only the user's own file may say.
    fn take_own(&mut self, file: &file::File, folder: &Path, parsed: &mut Parsed) {
        // What it does not say stays as the file says that it extends.
        if let Some(jobs) = &file.jobs {
            self.jobs = Some(*jobs.get_ref());
        }
        if let Some(path) = &file.templates {
            self.templates = Some(folder.join(path.get_ref()));
        }
        if let Some(verify) = &file.verify {
            self.compare.clone_from(&verify.get_ref().compare);
        }
        let Some(registries) = &file.registries else {
            return;
        };
        let registries = registries.get_ref();
        self.registries = Registries {
            online: registries.online,
            ask: parsed.hosts(&registries.ask),
            insecure: parsed.hosts(&registries.insecure),
            mirrors: parsed.host_lists(&registries.mirrors),
            token_hosts: parsed.host_lists(&registries.token_hosts),
            authorities: registries.ca.iter().map(|ca| folder.join(ca)).collect(),
        };
    }

    /// The same as a settings file would say it.
    #[must_use]
    pub fn show(&self) -> String {
        let mut out = String::new();
        if self.from.is_empty() {
            out.push_str("# No settings file was read.\n");
        }
        for path in &self.from {
            let _ = writeln!(out, "# From {}", crate::report::one_line(path));
        }
        let _ = writeln!(out, "grade = {}", quoted(self.options.grade.name()));
        let _ = writeln!(out, "prefer = {}", quoted(prefer_name(self.options.prefer)));
        let runs: Vec<String> = self.runs().map(quoted).collect();
        let _ = writeln!(out, "select = [{}]", runs.join(", "));
        if let Some(jobs) = self.jobs {
            let _ = writeln!(out, "jobs = {jobs}");
        }
        let list = |words: &[String]| -> String {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("[{}]", words.join(", "))
        };
        if let Some(age) = self.options.pins.min_age {
            // In the one unit that any number of is exact.
            let _ = writeln!(out, "min-age = \"{}s\"", age.as_secs());
        }
        if !self.options.pins.platforms.is_empty() {
            let _ = writeln!(out, "platforms = {}", list(&self.options.pins.platforms));
        }
        if let Some(folder) = &self.templates {
            let folder = folder.to_string_lossy();
            let _ = writeln!(out, "templates = {}", quoted(&folder));
        }
        for (name, lists) in [("include", &self.include), ("exclude", &self.exclude)] {
            for list in lists {
                let written: Vec<String> = list.written.iter().map(|p| quoted(p)).collect();
                let folder = list.matcher.path().display().to_string();
                let _ = writeln!(
                    out,
                    "# In {}:\n{name} = [{}]",
                    crate::report::one_line(&folder),
                    written.join(", ")
                );
            }
        }
        self.show_tables(&mut out, &list);
        for image in &self.options.images {
            let _ = writeln!(
                out,
                "\n[[image]]\nname = {}",
                quoted(image.pattern.glob().glob())
            );
            if let Some(rules) = &image.rules {
                let rules: BTreeSet<String> = rules.iter().map(|id| quoted(id)).collect();
                let rules: Vec<String> = rules.into_iter().collect();
                let _ = writeln!(out, "ignore = [{}]", rules.join(", "));
            }
            if let Some(grade) = image.grade {
                let _ = writeln!(out, "grade = {}", quoted(grade.name()));
            }
            if let Some(prefer) = image.prefer {
                let _ = writeln!(out, "prefer = {}", quoted(prefer_name(prefer)));
            }
            if !image.reason.is_empty() {
                let _ = writeln!(out, "reason = {}", quoted(&image.reason));
            }
        }
        out
    }
}

fn prefer_name(prefer: Prefer) -> &'static str {
    match prefer {
        Prefer::Slim => "slim",
        Prefer::Alpine => "alpine",
    }
}

/// Notes what a file of a tree may not say: it would decide for the user whom
/// the program talks to, what it runs, and where it reads.
fn only_the_users(file: &file::File, parsed: &mut Parsed) {
    let spans = [
        ("jobs", file.jobs.as_ref().map(toml::Spanned::span)),
        (
            "templates",
            file.templates.as_ref().map(toml::Spanned::span),
        ),
        (
            "registries",
            file.registries.as_ref().map(toml::Spanned::span),
        ),
        ("verify", file.verify.as_ref().map(toml::Spanned::span)),
    ];
    for (name, span) in spans {
        if let Some(span) = span {
            parsed.fault(
                Some(span),
                format!("{name:?} may stand only in your own settings, not in those of a tree"),
            );
        }
    }
}

/// A TOML string, with what could deceive a reader escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control()
                || crate::report::visible(c.encode_utf8(&mut [0; 4])) != c.to_string() =>
            {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text of a settings file. One in a tree is read only where it is a plain
/// file: a symlink could make a report quote any file of the machine.
fn read(path: &Path, author: Author) -> Result<String, SettingsError> {
    let fault = |message: String| SettingsError::whole(path, message);
    let source = Source {
        path: path.to_owned(),
        shown: path.display().to_string(),
        root: Arc::from(Path::new("/")),
        named: author == Author::User,
        link: false,
    };
    let is_link = path.symlink_metadata().is_ok_and(|what| what.is_symlink());
    if author == Author::Tree && is_link {
        return Err(fault(
            "is a symlink: settings of a tree are plain files".into(),
        ));
    }
    let bytes = discover::read(&source, MAX_BYTES).map_err(|error| fault(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| fault("is not UTF-8".to_owned()))
}

/// The program's folder among the user's of one sort: below what the variable
/// says, such as `XDG_CACHE_HOME`, or below a folder of the home folder, such
/// as `.cache`. None without either.
#[must_use]
pub fn user_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(in_home)))?;
    Some(base.join("dfmigrate"))
}

/// The user's own settings: below `$XDG_CONFIG_HOME`, or `~/.config`.
fn user_file() -> Option<PathBuf> {
    let file = user_folder("XDG_CONFIG_HOME", ".config")?.join(NAMES[0]);
    file.is_file().then_some(file)
}

/// Which files count.
#[derive(Clone, Debug)]
pub enum Files {
    /// The user's own, and those of the trees.
    Found,
    /// This one alone, as the user's own word (`--config`).
    Only(PathBuf),
    /// None (`--isolated`).
    None,
}

/// What flags say: each replaces what the user's own file says.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--grade`.
    pub grade: Option<Safety>,
    /// `--prefer`
    pub prefer: Option<Prefer>,
    /// `--select`; empty where it is not given.
    pub select: Vec<String>,
    /// `--ignore`, added to what files ignore.
    pub ignore: Vec<String>,
}

type Answer = Result<Arc<Settings>, Arc<SettingsError>>;

/// No more folders than this are remembered at a time.
const MOST: usize = 1_024;

/// The settings of a run, by folder.
pub struct Resolver {
    base: Arc<Settings>,
    trees: bool,
    here: PathBuf,
    folders: Mutex<HashMap<(PathBuf, PathBuf), Answer>>,
}

impl Resolver {
    /// Reads the user's own settings; flags come after them.
    ///
    /// # Errors
    /// Where the file can't be used, or a flag names no rule.
    pub fn new(files: &Files, flags: &Flags) -> Result<Self, SettingsError> {
        let mut base = Settings::default();
        let own = match files {
            Files::Found => user_file(),
            Files::Only(path) => Some(path.clone()),
            Files::None => None,
        };
        let here = std::env::current_dir().unwrap_or_default();
        if let Some(path) = own {
            base = base.take(&here.join(path), Author::User, None)?;
        }
        for (name, ids) in [("--select", &flags.select), ("--ignore", &flags.ignore)] {
            for id in ids {
                known_rule(id).map_err(|why| SettingsError::whole(Path::new(name), why))?;
            }
        }
        if let Some(grade) = flags.grade {
            base.options.grade = grade;
        }
        if let Some(prefer) = flags.prefer {
            base.options.prefer = prefer;
            base.preferred = true;
            for image in &mut base.options.images {
                image.prefer = None;
            }
        }
        if !flags.select.is_empty() {
            base.options.select = flags.select.iter().cloned().collect();
        }
        base.options.ignore.extend(flags.ignore.iter().cloned());
        Ok(Self {
            base: Arc::new(base),
            trees: matches!(files, Files::Found),
            here,
            folders: Mutex::default(),
        })
    }

    /// Sets what flags alone say and files don't; before any folder is asked
    /// for.
    pub fn set(&mut self, change: impl FnOnce(&mut plan::Options)) {
        change(&mut Arc::make_mut(&mut self.base).options);
    }

    /// What holds where no tree has a say.
    #[must_use]
    pub fn base(&self) -> &Settings {
        &self.base
    }

    /// What holds for the files in `folder`, in the tree at `root`: both real
    /// paths.
    ///
    /// # Errors
    /// Where the settings file of that folder can't be used.
    pub fn of_folder(&self, folder: &Path, root: &Path) -> Answer {
        if !self.trees {
            return Ok(Arc::clone(&self.base));
        }
        // Above a repository, and above the tree where there is none, other
        // people's files may lie: in /tmp, say.
        let repository = discover::repository(folder);
        let top = match &repository {
            Some(top) => &**top,
            None if folder.starts_with(&self.here) => &self.here,
            None => root,
        };
        self.below(folder, top)
    }

    fn below(&self, folder: &Path, top: &Path) -> Answer {
        let key = (folder.to_owned(), top.to_owned());
        let known = self.folders.lock().map(|known| known.get(&key).cloned());
        if let Ok(Some(known)) = known {
            return known;
        }
        let file = NAMES
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.symlink_metadata().is_ok());
        let answer = match (file, folder.parent()) {
            (Some(file), _) => Settings::clone(&self.base)
                .take(&file, Author::Tree, Some(top))
                .map(Arc::new)
                .map_err(Arc::new),
            (None, Some(parent)) if folder != top && folder.starts_with(top) => {
                self.below(parent, top)
            }
            _ => Ok(Arc::clone(&self.base)),
        };
        if let Ok(mut known) = self.folders.lock() {
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(key, answer.clone());
        }
        answer
    }
}
