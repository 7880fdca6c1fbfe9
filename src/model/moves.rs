//! What it takes to move stages from one release of a distribution to another:
//! the words that name the old release, the packages that are called otherwise,
//! what the new release does not do any more, and the stages that take files.

use super::Model;
use super::effects::{self, Effect, Ledger, What};
use crate::catalog::packages::{self, Renamed};
use crate::catalog::{Kind, Release, commands, compare_glibc, traps};
use crate::facts::Files;
use crate::syntax::Keyword;
use crate::text::{Edit, Span};

/// What stands in the way of a move, and where.
#[derive(Clone, Debug)]
pub struct Obstacle {
    /// The bytes.
    pub at: Span,
    /// What it is.
    pub why: String,
    /// What a person can do about it.
    pub remedy: Option<String>,
}

/// What a move takes.
#[derive(Clone, Debug, Default)]
pub struct Toll {
    /// What forbids it.
    pub obstacles: Vec<Obstacle>,
    /// Edits that it forces.
    pub edits: Vec<Edit>,
    /// What was proven.
    pub proofs: Vec<String>,
    /// What a person should look at.
    pub doubts: Vec<String>,
    /// What nobody can say from here: with one of these the move is a person's.
    pub unknown: Vec<String>,
}

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// The release that is left; none where it isn't known.
    pub from: Option<&'static Release>,
    /// The one that is gone to.
    pub to: &'static Release,
    /// The sort of image that is gone to.
    pub kind: Kind,
}

/// The stages that are built on a stage, itself included.
#[must_use]
pub fn stages_on(model: &Model<'_>, root: usize) -> Vec<usize> {
    let mut all = vec![root];
    let mut at = 0;
    while let Some(stage) = all.get(at) {
        all.extend(&model.stages[*stage].children);
        at += 1;
    }
    all.sort_unstable();
    all
}

/// Texts that say where packages of a release that is over lie.
const ARCHIVES: [&str; 2] = ["archive.debian.org", "old-releases.ubuntu.com"];
/// Texts by which a script asks for the release.
const ASKS_RELEASE: [&str; 3] = ["lsb_release", "VERSION_CODENAME", "/etc/os-release"];

/// What it takes to move these stages.
#[must_use]
pub fn toll(model: &Model<'_>, stages: &[usize], files: &dyn Files, way: Move) -> Toll {
    let mut toll = Toll::default();
    let mut names: Vec<String> = Vec::new();
    for &stage in stages {
        toll.texts(model, stage, way);
        let ledger = effects::ledger(model, stage, files, "/");
        toll.commands(model, &ledger, way, &mut names);
    }
    for trap in traps::notes(way.from, way.to) {
        toll.doubts.push(trap.why.to_owned());
    }
    if let Some(from) = way.from
        && way.kind != Kind::Alpine
        && compare_glibc(way.to, from).is_none()
    {
        toll.doubts.push(format!(
            "whether the C library of {} {} is as new as that of {} {} is not known: what was built for the old one may not start",
            way.to.family, way.to.name, from.family, from.name
        ));
    }
    toll
}

impl Toll {
    /// Takes in what another move takes.
    pub fn add(&mut self, other: Self) {
        self.obstacles.extend(other.obstacles);
        self.edits.extend(other.edits);
        for (all, more) in [
            (&mut self.proofs, other.proofs),
            (&mut self.doubts, other.doubts),
            (&mut self.unknown, other.unknown),
        ] {
            for text in more {
                if !all.contains(&text) {
                    all.push(text);
                }
            }
        }
    }

    /// How many obstacles there are besides the first, in words.
    #[must_use]
    pub fn more(&self) -> String {
        match self.obstacles.len() {
            0 | 1 => String::new(),
            2 => "; and one more thing".to_owned(),
            count => format!("; and {} more things", count - 1),
        }
    }

    /// Notes where the file names folders that the new image has elsewhere.
    pub fn folders(&mut self, model: &Model<'_>, stages: &[usize], folders: &[&str], home: &str) {
        let source = model.file.source();
        for stage in stages {
            for step in &model.stages[*stage].steps {
                let instruction = model.instructions[step.instruction];
                let text = String::from_utf8_lossy(instruction.span.of(source)).into_owned();
                if let Some(folder) = folders.iter().find(|folder| text.contains(**folder)) {
                    self.obstacle(
                        instruction.span,
                        format!(
                            "line {} names {folder}; the new image has it in {home}",
                            instruction.start_line
                        ),
                        Some("write it with $JAVA_HOME, or for the new image, then run this again"),
                    );
                }
            }
        }
    }

    /// Notes the commands that the new image has not, unless they are installed.
    pub fn lost(
        &mut self,
        model: &Model<'_>,
        stages: &[usize],
        files: &dyn Files,
        image: &str,
        is_lost: &dyn Fn(&str) -> bool,
    ) {
        for stage in stages {
            let ledger = effects::ledger(model, *stage, files, "/");
            let mut names: Vec<String> = Vec::new();
            for effect in &ledger.effects {
                if let What::AptInstall { packages, .. } = &effect.what {
                    names.extend(packages.iter().map(|package| package.name.clone()));
                }
                if let Some(program) = &effect.program
                    && is_lost(program)
                    && !brings(program, &names)
                {
                    self.obstacle(
                        effect.span,
                        format!("line {} runs {program}, which {image} has not", effect.line),
                        Some("install it, then run this again"),
                    );
                }
            }
        }
    }

    fn obstacle(&mut self, at: Span, why: String, remedy: Option<&str>) {
        self.obstacles.push(Obstacle {
            at,
            why,
            remedy: remedy.map(str::to_owned),
        });
    }

    /// What the instructions' texts name.
    fn texts(&mut self, model: &Model<'_>, stage: usize, way: Move) {
        let source = model.file.source();
        for step in &model.stages[stage].steps {
            let instruction = model.instructions[step.instruction];
            let text = String::from_utf8_lossy(instruction.span.of(source)).into_owned();
            let at = instruction.span;
            let line = instruction.start_line;
            if let Some(archive) = ARCHIVES.iter().find(|archive| text.contains(**archive)) {
                self.obstacle(
                    at,
                    format!("line {line} takes packages from {archive}, which has only releases that are over"),
                    Some("take that line out, then run this again"),
                );
                continue;
            }
            if let Some(from) = way.from
                && from.version.is_none_or(|version| version != from.name)
                && has_word(&text, from.name)
            {
                self.obstacle(
                    at,
                    format!("line {line} names {} itself", from.name),
                    Some("write it for the next release, then run this again"),
                );
                continue;
            }
            if let Some(trap) =
                traps::texts(way.from, way.to).find(|trap| mentions(&text, trap.subject))
            {
                self.obstacle(
                    at,
                    format!("line {line} has {}: {}", trap.subject, trap.why),
                    None,
                );
            }
            if let Some(asks) = ASKS_RELEASE.iter().find(|asks| text.contains(**asks)) {
                self.doubts.push(format!(
                    "line {line} asks for the release ({asks}): what it does with the answer was not looked at"
                ));
            }
            let makes_user = ["useradd", "adduser", "groupadd", "addgroup"];
            let makes_user = instruction.keyword == Keyword::Run
                && makes_user.iter().any(|command| has_word(&text, command));
            for trap in traps::users(way.from, way.to) {
                if makes_user && has_word(&text, trap.subject) {
                    self.obstacle(
                        at,
                        format!(
                            "line {line} makes a user or group {}: {}",
                            trap.subject, trap.why
                        ),
                        None,
                    );
                }
            }
        }
    }

    /// What the commands install and run.
    fn commands(&mut self, model: &Model<'_>, ledger: &Ledger, way: Move, names: &mut Vec<String>) {
        let mut opaque: Option<&Effect> = None;
        let (mut proven, mut doubtful): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for effect in &ledger.effects {
            if let Some(program) = &effect.program {
                if let Some(trap) =
                    traps::commands(way.from, way.to).find(|trap| trap.subject == program)
                    && !brings(program, names)
                {
                    self.obstacle(
                        effect.span,
                        format!("line {} runs {program}: {}", effect.line, trap.why),
                        None,
                    );
                }
                let lost = way.from.is_some_and(|from| {
                    way.kind == Kind::Slim
                        && commands::in_slim(program, from.name) == Some(true)
                        && commands::in_slim(program, way.to.name) == Some(false)
                        && !brings(program, names)
                });
                if lost {
                    self.obstacle(
                        effect.span,
                        format!(
                            "line {} runs {program}, which the slim images of {} have not",
                            effect.line, way.to.name
                        ),
                        None,
                    );
                }
                let manager = installs(program, &effect.text);
                if manager.is_some_and(|families| !families.contains(&way.to.family)) {
                    self.obstacle(
                        effect.span,
                        format!(
                            "line {} installs packages with {program}, which {} has not",
                            effect.line, way.to.family
                        ),
                        None,
                    );
                } else if manager.is_some() && !matches!(effect.what, What::AptInstall { .. }) {
                    self.unknown.push(format!(
                        "whether the packages of line {} are called the same in {} {} is not in the tables",
                        effect.line, way.to.family, way.to.name
                    ));
                }
            }
            match &effect.what {
                What::AptInstall { packages, .. } => {
                    for package in packages {
                        names.push(package.name.clone());
                        self.package(
                            model,
                            effect,
                            &package.name,
                            &package.word,
                            way,
                            &mut proven,
                            &mut doubtful,
                        );
                    }
                }
                What::Opaque(_) if opaque.is_none() => opaque = Some(effect),
                _ => {}
            }
        }
        if !proven.is_empty() {
            self.proofs.push(format!(
                "{} has the packages it installs under the same names: {}",
                way.to.name,
                proven.join(", ")
            ));
        }
        if !doubtful.is_empty() {
            self.doubts.push(format!(
                "that Ubuntu {} has {} is taken from Debian bookworm and trixie, which both have them",
                way.to.name,
                doubtful.join(", ")
            ));
        }
        if let Some(effect) = opaque {
            self.doubts.push(format!(
                "what `{}` on line {} needs of the release is not known",
                effect.text.trim().lines().next().unwrap_or_default(),
                effect.line
            ));
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn package<'a>(
        &mut self,
        model: &Model<'_>,
        effect: &Effect,
        name: &'a str,
        word: &str,
        way: Move,
        proven: &mut Vec<&'a str>,
        doubtful: &mut Vec<&'a str>,
    ) {
        let (line, to) = (effect.line, way.to);
        if word.contains('=') {
            self.obstacle(
                effect.span,
                format!("line {line} pins a version that the old release has: {word}"),
                Some("take the version out, or give the new release's"),
            );
            return;
        }
        if let Some(trap) = traps::packages(way.from, to).find(|trap| trap.subject == name) {
            self.obstacle(
                effect.span,
                format!("line {line} installs {name}: {}", trap.why),
                None,
            );
            return;
        }
        if to.family == "ubuntu" {
            let debian = ["bookworm", "trixie"].map(|release| packages::is_in(name, release));
            if debian == [Some(true), Some(true)] {
                doubtful.push(name);
            } else {
                self.unknown.push(format!(
                    "whether Ubuntu {} has {name} (line {line}) is not in the tables",
                    to.name
                ));
            }
            return;
        }
        match packages::is_in(name, to.name) {
            Some(true) => proven.push(name),
            known => match way.from.and_then(|from| packages::rename(name, from.name, to.name)) {
                Some(Renamed::Same) => proven.push(name),
                Some(Renamed::To(other)) => match word_span(model, effect, word) {
                    Some(span) => {
                        self.edits.push(Edit::replace(span, word.replacen(name, other, 1)));
                        self.proofs.push(format!("{name} is called {other} in {}", to.name));
                    }
                    None => self.obstacle(
                        effect.span,
                        format!("line {line} installs {name}, which is {other} in {}, and the word can't be edited", to.name),
                        None,
                    ),
                },
                Some(Renamed::Gone) => self.obstacle(
                    effect.span,
                    format!("line {line} installs {name}, which {} has not", to.name),
                    None,
                ),
                None if known == Some(false) => self.obstacle(
                    effect.span,
                    format!("line {line} installs {name}, which {} has not", to.name),
                    None,
                ),
                None => self.unknown.push(format!(
                    "whether {} {} has {name} (line {line}) is not in the tables",
                    to.family, to.name
                )),
            },
        }
    }
}

/// Whether one of the packages brings a command.
fn brings(command: &str, names: &[String]) -> bool {
    let installed = |name: &str| names.iter().any(|known| known == name);
    installed(command)
        || ["bullseye", "bookworm", "trixie"]
            .iter()
            .any(|release| commands::package_of(command, release).is_some_and(installed))
}

/// The families whose packages a command line installs, where it does.
fn installs(program: &str, text: &str) -> Option<&'static [&'static str]> {
    const DEBIAN: &[&str] = &["debian", "ubuntu"];
    const RED_HAT: &[&str] = &[
        "almalinux",
        "amazonlinux",
        "centos",
        "fedora",
        "oraclelinux",
        "rockylinux",
        "ubi",
    ];
    const MANAGERS: [(&str, &str, &[&str]); 8] = [
        ("apk", "add", &["alpine"]),
        ("apt", "install", DEBIAN),
        ("apt-get", "install", DEBIAN),
        ("aptitude", "install", DEBIAN),
        ("dnf", "install", RED_HAT),
        ("microdnf", "install", RED_HAT),
        ("yum", "install", RED_HAT),
        ("zypper", "install", &["opensuse"]),
    ];
    MANAGERS
        .iter()
        .find(|(manager, verb, _)| program == *manager && has_word(text, verb))
        .map(|(_, _, families)| *families)
}

/// The place of a word of a command, where it stands there once.
fn word_span(model: &Model<'_>, effect: &Effect, word: &str) -> Option<Span> {
    let bytes = effect.span.of(model.file.source());
    let text = std::str::from_utf8(bytes).ok()?;
    let is_edge = |c: Option<char>| c.is_none_or(char::is_whitespace);
    let mut found = text.match_indices(word).filter(|(at, _)| {
        is_edge(text[..*at].chars().next_back()) && is_edge(text[at + word.len()..].chars().next())
    });
    let (at, _) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    let start = effect.span.start as usize + at;
    Some(Span::new(start, start + word.len()))
}

/// Whether a text has a word, apart by anything but letters and digits.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        edge(text[..at].chars().next_back()) && edge(text[at + word.len()..].chars().next())
    })
}

/// Whether a text has a path, not only as the start of another.
fn mentions(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| {
        let next = text[at + path.len()..].chars().next();
        next.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '.' | '/' | '-')))
    })
}

/// Stages that take files from moved ones: an older C library is an obstacle,
/// an unknown one a doubt. `own` are the stages that this move is about, `moved`
/// all that move along.
pub fn takers(model: &Model<'_>, own: &[usize], moved: &[usize], way: Move, toll: &mut Toll) {
    for stage in &model.stages {
        if moved.contains(&stage.index) {
            continue;
        }
        let takes = stage.uses.iter().any(|from| own.contains(from));
        if !takes {
            continue;
        }
        let at = model.instructions[stage.from].span;
        let line = model.instructions[stage.from].start_line;
        let Some(image) = model.base_image(stage.index) else {
            continue; // scratch: what runs there brings its own.
        };
        let entry = image.reference.as_ref().ok().and_then(|reference| {
            let official = super::pins::official(reference)?;
            crate::catalog::lookup(official.image, official.tag)
        });
        let base = entry.and_then(|entry| entry.base);
        let release = base.and_then(|base| crate::catalog::release(base.family, base.release));
        match release {
            Some(release) if release.family == way.to.family => {
                if release.order < way.to.order {
                    toll.obstacle(
                        at,
                        format!(
                            "the stage of line {line} takes files of it and stays on {} {}, whose C library is older than that of {}",
                            release.family, release.name, way.to.name
                        ),
                        None,
                    );
                }
            }
            _ => toll.doubts.push(format!(
                "the stage of line {line} takes files of it and is built on {}: whether its C library is new enough was not looked at",
                image.written
            )),
        }
    }
}
