//! What stands between a stage and musl: the signals that its lock files, the
//! files of its build context and its instructions give, each with what it
//! means for Alpine and what clears it.
//!
//! The facts are the catalogue's ([`crate::catalog::alpine`]); here they are
//! met with what the build context says. What nobody knows is
//! [`Verdict::Unknown`], which stands in the way as a blocker does.

mod binaries;
mod node;
mod others;
mod python;
#[cfg(test)]
mod tests;

use super::effects::{Copied, Effect, Ledger, What};
use super::locks::{self, Format, Lock, Package};
use super::{Model, Step};
use crate::catalog::alpine::{self, Musl};
use crate::facts::{Files, Known};
use crate::text::Span;

pub use binaries::{Found, context_files};

/// What a signal means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// It runs as it is.
    Fine,
    /// It runs once something is added.
    Needs,
    /// Nobody can say.
    Unknown,
    /// It does not run.
    Blocker,
}

/// A signal that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The signal, as in `signals.tsv`.
    pub signal: &'static str,
    /// What it means here.
    pub verdict: Verdict,
    /// Where the Dockerfile brings it in.
    pub at: Span,
    /// What was found, and where: `bcrypt 5.1.1 (package-lock.json:120)`.
    pub what: String,
    /// Why it means that.
    pub why: String,
    /// Alpine packages that it needs to run.
    pub runtime: Vec<&'static str>,
    /// Alpine packages that it needs to be installed.
    pub build: Vec<&'static str>,
    /// The effect (by index) that installs it.
    pub effect: Option<usize>,
}

impl Finding {
    /// Whether it stands in the way.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.verdict >= Verdict::Unknown
    }

    /// What clears it, in words, from the table of signals.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(alpine::signal(self.signal)?.remedy())
    }
}

/// A processor that an image is built for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Processor {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Processor {
    /// Its name in `--platform`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    fn npm(self) -> &'static str {
        match self {
            Self::Amd64 => "x64",
            Self::Arm64 => "arm64",
        }
    }

    fn uname(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

/// What the oracle is asked about.
pub struct Question<'q, 'a> {
    /// The file.
    pub model: &'q Model<'a>,
    /// The stage.
    pub stage: usize,
    /// Its ledger.
    pub ledger: &'q Ledger,
    /// The build context.
    pub files: &'q dyn Files,
    /// The image that the stage is built on, without registry: `node`.
    pub image: &'q str,
    /// The minor version of CPython 3 in it, where that is told.
    pub python: Option<u32>,
    /// The processors that it is to run on.
    pub processors: &'q [Processor],
}

/// What the oracle found.
#[derive(Debug, Default)]
pub struct Answer {
    /// The signals.
    pub findings: Vec<Finding>,
    /// Doubts that no signal has.
    pub doubts: Vec<String>,
    /// How many packages of lock files were looked at.
    pub packages: usize,
}

impl Answer {
    /// The findings that stand in the way, gravest first.
    #[must_use]
    pub fn open(&self) -> Vec<&Finding> {
        let mut open: Vec<&Finding> = self.findings.iter().filter(|f| f.blocks()).collect();
        open.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        open
    }

    fn doubt(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.doubts.contains(&why) {
            self.doubts.push(why);
        }
    }
}

/// Looks at all that the stage installs and copies in from its context.
#[must_use]
pub fn ask(question: &Question<'_, '_>) -> Answer {
    let mut answer = Answer::default();
    for (index, effect) in question.ledger.effects.iter().enumerate() {
        match &effect.what {
            What::NodeInstall {
                tool,
                global,
                production,
            } => {
                let packages = global.as_deref();
                node::install(question, index, *tool, packages, *production, &mut answer);
            }
            What::PipInstall {
                requirements,
                packages,
                project,
            } => {
                python::pip(
                    question,
                    index,
                    requirements,
                    packages,
                    *project,
                    &mut answer,
                );
            }
            What::PythonProject { tool } => python::project(question, index, tool, &mut answer),
            _ => others::command(question, index, effect, &mut answer),
        }
    }
    others::image(question, &mut answer);
    binaries::look(question, &mut answer);
    answer
}

impl Question<'_, '_> {
    fn effect(&self, index: usize) -> &Effect {
        &self.ledger.effects[index]
    }

    fn step(&self, effect: &Effect) -> Option<&Step> {
        let steps = &self.model.stages[self.stage].steps;
        steps.iter().find(|s| s.instruction == effect.instruction)
    }

    /// The folders of the image in which an effect may find its lock file: what
    /// it writes to, its working directory, and those above.
    fn folders(&self, effect: &Effect) -> Vec<String> {
        let written = effect.writes.iter().filter(|w| w.tree).map(|w| {
            w.path
                .trim_end_matches("/.venv")
                .trim_end_matches("/node_modules")
                .to_owned()
        });
        let workdir = self
            .step(effect)
            .and_then(|step| step.workdir.clone())
            .unwrap_or_else(|| "/".to_owned());
        let mut folders: Vec<String> = written.collect();
        let mut above = workdir.as_str();
        while let Some((head, _)) = above.rsplit_once('/') {
            folders.push(above.to_owned());
            above = head;
        }
        folders.push(String::new());
        folders
    }

    /// The first of `names` that is copied into one of `folders`: its path in
    /// the context, and its text.
    fn find(&self, folders: &[String], names: &[&str]) -> Option<(String, String)> {
        folders.iter().find_map(|folder| {
            names.iter().find_map(|name| {
                let path = format!("{}/{name}", folder.trim_end_matches('/'));
                let context = self.ledger.copied.context_path(&path)?;
                let text = self.files.text(&context).yes()?;
                Some((context, text))
            })
        })
    }

    fn finding(
        &self,
        effect: usize,
        signal: &'static str,
        verdict: Verdict,
        what: String,
        why: impl Into<String>,
    ) -> Finding {
        Finding {
            signal,
            verdict,
            at: self.effect(effect).span,
            what,
            why: why.into(),
            runtime: Vec::new(),
            build: Vec::new(),
            effect: Some(effect),
        }
    }
}

/// A package and where it is locked, for people.
fn entry(package: &Package, path: &str) -> String {
    let version = if package.version.is_empty() {
        String::new()
    } else {
        format!(" {}", package.version)
    };
    let line = if package.line == 0 {
        String::new()
    } else {
        format!(":{}", package.line)
    };
    format!("{}{version} ({path}{line})", package.name)
}

/// What a row of the table means; `None` when nothing is needed.
fn by_table(
    question: &Question<'_, '_>,
    effect: usize,
    ecosystem: &str,
    musl: Musl,
    package: &Package,
    path: &str,
) -> Option<Finding> {
    let finding = |verdict, why: String| {
        question.finding(effect, musl.signal, verdict, entry(package, path), why)
    };
    let note = musl.note.map_or(String::new(), |note| format!(": {note}"));
    let libraries = alpine::libraries(ecosystem, &package.name);
    Some(match musl.verdict {
        "fine" => return None,
        "prebuilt" => {
            let mut found = finding(
                Verdict::Needs,
                format!("it has a build that musl loads{note}"),
            );
            found.runtime.push("libstdc++");
            found
        }
        "download" | "compile" => {
            let why = if musl.verdict == "download" {
                format!("it fetches a build for musl, or is compiled{note}")
            } else {
                format!("it is compiled when it is installed{note}")
            };
            let Some(Ok(libraries)) = libraries.or(Some(Ok(alpine::Libraries::default()))) else {
                return Some(finding(
                    Verdict::Blocker,
                    "Alpine lacks a library that it needs".to_owned(),
                ));
            };
            let mut found = finding(Verdict::Needs, why);
            found.runtime = libraries.runtime;
            found.build = libraries.build;
            for tool in build_tools(ecosystem) {
                if !found.build.contains(tool) && !found.build.contains(&"build-base") {
                    found.build.push(tool);
                }
            }
            found
        }
        word @ ("gcompat" | "libstdc++" | "libgdiplus") => {
            let mut found = finding(Verdict::Needs, format!("it needs {word} on Alpine{note}"));
            found.runtime.push(match word {
                "gcompat" => "gcompat",
                "libgdiplus" => "libgdiplus",
                _ => "libstdc++",
            });
            found
        }
        "fonts" => {
            let mut found = finding(
                Verdict::Needs,
                "it draws text, which needs fonts".to_owned(),
            );
            found.runtime = vec!["fontconfig", "ttf-dejavu"];
            found
        }
        "icu" => {
            let mut found = finding(Verdict::Needs, format!("it needs ICU{note}"));
            found.runtime = vec!["icu-libs", "icu-data-full", "tzdata"];
            found
        }
        "needs" => {
            let mut found = finding(Verdict::Needs, format!("it needs more on Alpine{note}"));
            match libraries {
                Some(Ok(libraries)) => found.runtime = libraries.runtime,
                _ => found.verdict = Verdict::Unknown,
            }
            found
        }
        "unknown" => finding(
            Verdict::Unknown,
            format!("how it does on musl is not known{note}"),
        ),
        _ => finding(Verdict::Blocker, format!("it does not run on musl{note}")),
    })
}

/// What compiles packages of an ecosystem on its Alpine image.
fn build_tools(ecosystem: &str) -> &'static [&'static str] {
    match ecosystem {
        "npm" => &["python3", "py3-setuptools", "make", "g++"],
        "pip" => &["build-base", "libffi-dev"],
        "go" => &["gcc", "musl-dev"],
        "gem" | "hex" | "cargo" => &["build-base"],
        _ => &[],
    }
}

/// Judges all packages of a lock by the table alone, for ecosystems whose lock
/// files tell no platforms.
fn judge_by_name(
    question: &Question<'_, '_>,
    effect: usize,
    ecosystem: &str,
    lock: &Lock,
    path: &str,
    answer: &mut Answer,
) {
    for package in lock.packages.iter().filter(|p| !p.dev) {
        answer.packages += 1;
        let musl = alpine::musl(ecosystem, &package.name, &package.version, locks::older);
        let found = musl.and_then(|m| by_table(question, effect, ecosystem, m, package, path));
        answer.findings.extend(found);
    }
}

/// The context's path of a file in the image, as far as it is copied.
fn readable(copied: &Copied, files: &dyn Files, path: &str) -> Option<(String, String)> {
    let context = copied.context_path(path)?;
    match files.text(&context) {
        Known::Yes(text) => Some((context, text)),
        _ => None,
    }
}
