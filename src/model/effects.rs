//! The effects ledger: what each instruction of a stage does to the image, as
//! far as its text and the build context tell.
//!
//! Which command does what is a table (`catalog/data/shell_commands.tsv`); the
//! package managers' own arguments are read here. What is not understood is
//! [`What::Opaque`], never guessed.

mod languages;

use std::collections::HashMap;

use memchr::memmem;

use super::{Model, Step, below, join, makefile};
use crate::catalog::compiled;
use crate::catalog::programs::{self, Role};
use crate::facts::Files;
use crate::syntax::shell::{self, Command, Part, RedirectKind, Script, Word};
use crate::syntax::{Instruction, Keyword};
use crate::text::Span;

/// Scripts within scripts are followed this deep.
const MAX_DEPTH: usize = 6;
/// More commands than this in one stage are not followed.
const MAX_EFFECTS: usize = 4_000;

/// A path that is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The path in the image, absolute.
    pub path: String,
    /// Whether anything below it may be written too.
    pub tree: bool,
}

/// A package as an `apt-get install` or `apk add` names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AptPackage {
    /// Its name.
    pub name: String,
    /// The word as written, with version or architecture.
    pub word: String,
}

/// The package managers of Node.js.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeTool {
    /// npm
    Npm,
    /// yarn, of any version
    Yarn,
    /// pnpm
    Pnpm,
    /// bun
    Bun,
}

impl NodeTool {
    /// The tool of that command name.
    #[must_use]
    pub fn of(command: &str) -> Option<Self> {
        Some(match command {
            "npm" | "npx" => Self::Npm,
            "yarn" => Self::Yarn,
            "pnpm" | "pnpx" => Self::Pnpm,
            "bun" | "bunx" => Self::Bun,
            _ => return None,
        })
    }
}

/// What a command does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// Nothing that stays.
    Nothing,
    /// Package lists are fetched or removed.
    AptLists,
    /// Packages are installed.
    AptInstall {
        /// The packages.
        packages: Vec<AptPackage>,
        /// Options that belong to the install itself, as written.
        options: Vec<String>,
    },
    /// Alpine packages are installed.
    ApkAdd {
        /// The packages.
        packages: Vec<AptPackage>,
        /// The name that they have together (`--virtual`), to be deleted by it.
        group: Option<String>,
    },
    /// The sources of packages are changed.
    AptSource,
    /// Users, groups, locales, certificates: needed in each stage that runs.
    Replay,
    /// Files are written.
    Writes,
    /// Node.js packages are installed into a project or globally.
    NodeInstall {
        /// By which tool.
        tool: NodeTool,
        /// Into the whole image (`-g`), and which packages.
        global: Option<Vec<String>>,
        /// Whether development dependencies are left out.
        production: bool,
    },
    /// A package manager is switched on or fetched by corepack.
    Corepack,
    /// Python packages are installed.
    PipInstall {
        /// Requirement files, as paths in the image.
        requirements: Vec<String>,
        /// Requirements named on the command line.
        packages: Vec<String>,
        /// Whether the project itself is one of them.
        project: bool,
    },
    /// A Python project manager installs what a project asks for.
    PythonProject {
        /// `poetry`, `uv`, `pipenv` or `pdm`.
        tool: &'static str,
    },
    /// What it does is not known, and why.
    Opaque(String),
}

/// One command, or one COPY, and what it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// The index of its instruction in the model.
    pub instruction: usize,
    /// Its bytes in the file (those of the instruction for what a script does).
    pub span: Span,
    /// Its line, from 1.
    pub line: usize,
    /// The program it runs, without its folder; none for COPY and ADD.
    pub program: Option<String>,
    /// Its arguments; `None` for one that is not known.
    pub args: Vec<Option<String>>,
    /// The folder it runs in.
    pub cwd: String,
    /// Its text, for people and for replaying.
    pub text: String,
    /// What it does.
    pub what: What,
    /// The paths that it writes.
    pub writes: Vec<Write>,
    /// The user that it runs as; `None` is the base image's.
    pub user: Option<String>,
    /// Whether it is a direct item of its RUN's own list (not in a loop, a
    /// branch or a script), so that it can be replayed by itself.
    pub direct: bool,
    /// The owner that a `chown` or `--chown` gives, and whether to a whole tree.
    pub owner: Option<(String, bool)>,
}

impl Effect {
    /// Whether it compiles, or installs packages of a language that may.
    #[must_use]
    pub fn compiles(&self) -> bool {
        self.program.as_deref().is_some_and(|program| {
            let verb = self.args.iter().flatten().find(|arg| !arg.starts_with('-'));
            compiled::compiles(program)
                || (self.what == What::Writes
                    && programs::role(program, verb.map(String::as_str))
                        .is_some_and(|row| row.role == Role::Library))
        })
    }
}

/// Where files of the build context lie in the image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// `(path in the image, path in the context, whether it is a folder)`.
    rows: Vec<(String, String, bool)>,
}

impl Copied {
    /// The context's path of a file in the image; the last copy counts.
    #[must_use]
    pub fn context_path(&self, path: &str) -> Option<String> {
        self.rows.iter().rev().find_map(|(to, from, folder)| {
            if to == path {
                return Some(from.clone());
            }
            let rest = path.strip_prefix(to.as_str())?;
            let rest = if to == "/" {
                rest
            } else {
                rest.strip_prefix('/')?
            };
            folder.then(|| {
                if from.is_empty() {
                    rest.to_owned()
                } else {
                    format!("{from}/{rest}")
                }
            })
        })
    }
}

impl Copied {
    /// What was copied: the path in the image, that in the context, and
    /// whether it is a folder.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        let rows = self.rows.iter().filter(|(to, ..)| to.starts_with('/'));
        rows.map(|(to, from, folder)| (to.as_str(), from.as_str(), *folder))
    }

    /// Whether a file of the context is copied in.
    #[must_use]
    pub fn copies(&self, path: &str) -> bool {
        self.rows().any(|(_, from, folder)| {
            let rest = || path.strip_prefix(from);
            let below = || rest().is_some_and(|rest| rest.starts_with('/'));
            from == path || (folder && (from.is_empty() || below()))
        })
    }
}

/// The ledger of one stage.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// The effects, in order.
    pub effects: Vec<Effect>,
    /// Where the context's files lie.
    pub copied: Copied,
}

impl Ledger {
    /// Moves the effects to where they stand in a file in which the stage begins
    /// so many bytes further back.
    pub(crate) fn shift(&mut self, by: i64) {
        let moved = |at: u32| u32::try_from(i64::from(at) + by).unwrap_or(at);
        for effect in &mut self.effects {
            let Span { start, end } = effect.span;
            effect.span = Span {
                start: moved(start),
                end: moved(end),
            };
        }
    }
}

/// Reads the effects of a stage's instructions. `workdir` is the base image's.
#[must_use]
pub fn ledger(model: &Model<'_>, stage: usize, files: &dyn Files, workdir: &str) -> Ledger {
    let mut reader = Reader {
        model,
        stage,
        files,
        ledger: Ledger::default(),
        tools: 0,
    };
    for step in &model.stages[stage].steps {
        let instruction = model.instructions[step.instruction];
        let cwd = step.workdir.clone().unwrap_or_else(|| workdir.to_owned());
        match instruction.keyword {
            Keyword::Copy | Keyword::Add => reader.copy(step, instruction, &cwd),
            Keyword::Run => reader.run(step, instruction, &cwd),
            _ => {}
        }
    }
    reader.ledger
}

struct Reader<'m, 'a> {
    model: &'m Model<'a>,
    stage: usize,
    files: &'m dyn Files,
    ledger: Ledger,
    /// In how many scripts of a project's build this is: programs that nobody
    /// knows are its own tools there, which write below the working directory.
    tools: usize,
}

/// The state while the commands of one script are read.
struct Frame<'s> {
    source: &'s [u8],
    /// Maps the script's spans to the file; none for scripts of the context.
    file_span: &'s dyn Fn(Span) -> Span,
    cwd: String,
    /// Assigned in the script; `None` is not known.
    assigned: HashMap<String, Option<String>>,
    step: &'s Step,
    depth: usize,
    /// What a script is named by; empty for the RUN's own text.
    origin: String,
}

impl Reader<'_, '_> {
    fn effect(&self, step: &Step, span: Span, text: String, what: What) -> Effect {
        Effect {
            instruction: step.instruction,
            span,
            line: self.model.file.lines().line(span.start),
            program: None,
            args: Vec::new(),
            cwd: step.workdir.clone().unwrap_or_else(|| "/".to_owned()),
            text,
            what,
            writes: Vec::new(),
            user: step.user.clone(),
            direct: false,
            owner: None,
        }
    }

    fn copy(&mut self, step: &Step, instruction: &Instruction, cwd: &str) {
        let source = self.model.file.source();
        let span = instruction.code(source);
        let text = String::from_utf8_lossy(span.of(source)).into_owned();
        let list = instruction.list(source);
        let (model, stage) = (self.model, self.stage);
        let resolve = |text: &str| model.resolve(stage, step, text);
        let mut effect = self.effect(step, span, text, What::Writes);
        let Some((to, from)) = list.split_last() else {
            return;
        };
        let (to, from) = match (resolve(to), from.iter().map(|f| resolve(f)).collect()) {
            (Ok(to), Ok(from)) => (to, from),
            (Err(why), _) | (_, Err(why)) => {
                effect.what = What::Opaque(format!("where it copies to is not known: {why}"));
                self.ledger.effects.push(effect);
                return;
            }
        };
        let from: Vec<String> = from;
        let Some(target) = join(Some(cwd), &to) else {
            return;
        };
        let external = instruction.flag("from").is_some();
        let parents = instruction.flag("parents").is_some();
        let into_folder = to.ends_with('/') || to == "." || to.ends_with("/.") || from.len() > 1;
        for from in &from {
            let clean = from.trim_start_matches("./").trim_start_matches('/');
            let clean = clean.trim_end_matches('/');
            let clean = if clean == "." { "" } else { clean };
            let url = from.contains("://") || from.starts_with("git@");
            let heredoc = from.starts_with("<<");
            let glob = from.contains(['*', '?', '[']);
            let archive = instruction.keyword == Keyword::Add
                && [".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".txz"]
                    .iter()
                    .any(|end| clean.ends_with(end));
            if url || archive || parents {
                effect.writes.push(Write {
                    path: target.clone(),
                    tree: true,
                });
                continue;
            }
            if glob {
                effect.writes.push(Write {
                    path: target.clone(),
                    tree: true,
                });
                if let Some((folder, _)) = clean.rsplit_once('/') {
                    if !folder.contains(['*', '?', '[']) && !external {
                        self.map(&target, folder, true);
                    }
                } else if !external {
                    self.map(&target, "", true);
                }
                continue;
            }
            // A folder's contents are copied; a file goes into the folder or
            // is the target.
            let folder = if external || heredoc {
                None
            } else if clean.is_empty() {
                Some(true)
            } else {
                match self.files.list(clean) {
                    crate::facts::Known::Yes(_) => Some(true),
                    crate::facts::Known::No => Some(false),
                    crate::facts::Known::Unknown(_) => None,
                }
            };
            let name = clean.rsplit('/').next().unwrap_or(clean);
            let looks_like_file = name
                .rsplit_once('.')
                .is_some_and(|(stem, _)| !stem.is_empty());
            match folder {
                Some(true) => {
                    self.map(&target, clean, true);
                    effect.writes.push(Write {
                        path: target.clone(),
                        tree: true,
                    });
                }
                _ => {
                    let sure = folder == Some(false) || heredoc;
                    let path = if into_folder {
                        join(Some(&target), name).unwrap_or_else(|| target.clone())
                    } else {
                        target.clone()
                    };
                    if !external && !heredoc {
                        self.map(&path, clean, !sure && !looks_like_file);
                    }
                    // Of another image's path it is not known which it is.
                    let tree = !sure && !looks_like_file && (into_folder || !external);
                    effect.writes.push(Write {
                        path: if tree { target.clone() } else { path },
                        tree,
                    });
                }
            }
        }
        if let Some(owner) = instruction.flag("chown").and_then(|flag| flag.value()) {
            effect.owner = Some((resolve(owner).unwrap_or_else(|_| owner.to_owned()), true));
        }
        effect.user = None;
        self.ledger.effects.push(effect);
    }

    fn map(&mut self, to: &str, from: &str, folder: bool) {
        let row = (to.to_owned(), from.to_owned(), folder);
        self.ledger.copied.rows.push(row);
    }

    fn run(&mut self, step: &Step, instruction: &Instruction, cwd: &str) {
        let source = self.model.file.source();
        let whole = instruction.code(source);
        let text = String::from_utf8_lossy(whole.of(source)).into_owned();
        let shell_name = step
            .shell
            .as_ref()
            .and_then(|shell| shell.first())
            .map_or("/bin/sh", String::as_str);
        let base = shell_name.rsplit('/').next().unwrap_or(shell_name);
        if !matches!(base, "sh" | "bash" | "dash" | "ash") {
            let why = format!("its shell, {shell_name}, is not one that is understood");
            let effect = self.effect(step, whole, text, What::Opaque(why));
            self.ledger.effects.push(effect);
            return;
        }
        if let Some(words) = &instruction.json {
            let script: Vec<String> = words.iter().map(|w| shell::quote(&w.value)).collect();
            let script = script.join(" ").into_bytes();
            self.script(&script, step, cwd, &|_| whole, 0, String::new());
            return;
        }
        if let [doc] = instruction.heredocs.as_slice() {
            let args = instruction.args_text(source);
            let body = doc.content.of(source).to_vec();
            let start = doc.content.start as usize;
            let at = |span: Span| Span::new(start + span.start as usize, start + span.end as usize);
            let first = body.split(|b| *b == b'\n').next().unwrap_or_default();
            let other = first.starts_with(b"#!") && !first.windows(2).any(|w| w == b"sh");
            if args.trim_start().starts_with("<<") && !other {
                self.script(&body, step, cwd, &at, 0, String::new());
            } else {
                let why = "its heredoc is fed to a program".to_owned();
                let effect = self.effect(step, whole, text, What::Opaque(why));
                self.ledger.effects.push(effect);
            }
            return;
        }
        if !instruction.heredocs.is_empty() {
            let why = "it has several heredocs".to_owned();
            let effect = self.effect(step, whole, text, What::Opaque(why));
            self.ledger.effects.push(effect);
            return;
        }
        let body = instruction.logical.text(source)[instruction.args.clone()].to_vec();
        let offset = instruction.args.start;
        let at = |span: Span| {
            instruction
                .logical
                .cover(offset + span.start as usize..offset + span.end as usize)
        };
        self.script(&body, step, cwd, &at, 0, String::new());
    }

    fn script(
        &mut self,
        source: &[u8],
        step: &Step,
        cwd: &str,
        at: &dyn Fn(Span) -> Span,
        depth: usize,
        origin: String,
    ) {
        let script = shell::parse(source);
        let mut frame = Frame {
            source,
            file_span: at,
            cwd: cwd.to_owned(),
            assigned: HashMap::new(),
            step,
            depth,
            origin,
        };
        if !script.is_valid() || depth > MAX_DEPTH {
            let text = String::from_utf8_lossy(source).into_owned();
            let why = match script.errors().first() {
                Some(error) => format!("its shell can't be read: {error}"),
                None => "it runs scripts within scripts too deep".to_owned(),
            };
            let span = at(Span::new(0, source.len()));
            let effect = self.effect(step, span, text, What::Opaque(why));
            self.ledger.effects.push(effect);
            return;
        }
        for (index, command) in script.commands().iter().enumerate() {
            if self.ledger.effects.len() > MAX_EFFECTS {
                return;
            }
            self.command(&script, index, command, &mut frame);
        }
    }

    /// The value of a word, as far as the file tells.
    fn value(&self, word: &Word, frame: &Frame<'_>) -> Option<String> {
        if let Some(value) = word.literal(frame.source) {
            return Some(value.into_owned());
        }
        let text = String::from_utf8_lossy(word.text(frame.source)).into_owned();
        if word.has_tilde() && !word.has_expansion() && !word.is_quoted() {
            let rest = text.strip_prefix('~')?;
            return (rest.is_empty() || rest.starts_with('/'))
                .then(|| format!("{}{rest}", self.home(frame)));
        }
        if !word.has_expansion() {
            return None;
        }
        let mut out = String::new();
        for part in word.parts() {
            match part {
                Part::Literal(span) => {
                    let piece = String::from_utf8_lossy(span.of(frame.source)).into_owned();
                    // A quote that opens here may close after the expansion.
                    out.push_str(piece.trim_matches(['"', '\'']));
                    if piece.contains('\\') {
                        return None;
                    }
                }
                Part::Expansion(expansion) => {
                    let name = expansion.variable(frame.source)?;
                    let raw = String::from_utf8_lossy(expansion.span.of(frame.source));
                    if raw.trim_matches(['$', '{', '}']) != name {
                        return None;
                    }
                    out.push_str(&self.variable(name, frame)?);
                }
            }
        }
        Some(out)
    }

    fn variable(&self, name: &str, frame: &Frame<'_>) -> Option<String> {
        if let Some(assigned) = frame.assigned.get(name) {
            return assigned.clone();
        }
        if name == "PWD" {
            return Some(frame.cwd.clone());
        }
        let scope = &self.model.stages[self.stage].scope;
        match scope.value(name, frame.step.variables) {
            Some(value) => value.clone().ok(),
            None if name == "HOME" => Some(self.home(frame)),
            None => None,
        }
    }

    fn home(&self, frame: &Frame<'_>) -> String {
        home_of(frame.step.user.as_deref())
    }

    /// Whether a variable is set to a true-like value for this command.
    fn setting(&self, name: &str, frame: &Frame<'_>) -> Option<String> {
        self.variable(name, frame)
    }

    fn command(&mut self, script: &Script, index: usize, command: &Command, frame: &mut Frame<'_>) {
        let source = frame.source;
        for word in &command.assignments {
            let text = String::from_utf8_lossy(word.text(source)).into_owned();
            let Some((name, value)) = text.split_once('=') else {
                continue;
            };
            let plain = !value.contains(['$', '`']);
            let value = plain.then(|| value.trim_matches(['"', '\'']).to_owned());
            frame
                .assigned
                .insert(name.trim_end_matches('+').to_owned(), value);
        }
        let span = (frame.file_span)(command.span);
        let mut text = String::from_utf8_lossy(command.span.of(source)).into_owned();
        if !frame.origin.is_empty() {
            text = format!("{text} (in {})", frame.origin);
        }
        let mut effect = self.effect(frame.step, span, text, What::Nothing);
        effect.direct = command.context.is_top_level()
            && !command.context.is_conditional()
            && !command.context.in_pipeline()
            && frame.origin.is_empty();
        let mut values: Vec<Option<String>> = command
            .words
            .iter()
            .map(|word| self.value(word, frame))
            .collect();
        unwrap(&mut values);
        self.redirects(command, frame, &mut effect);
        let Some(first) = values.first() else {
            if !effect.writes.is_empty() {
                effect.what = What::Writes;
                self.ledger.effects.push(effect);
            }
            return;
        };
        let Some(name) = first.clone() else {
            if self.tools > 0 {
                self.bounded(frame, &mut effect);
            } else {
                effect.what = What::Opaque("which program it runs is not known".to_owned());
            }
            self.ledger.effects.push(effect);
            return;
        };
        let base = name.rsplit('/').next().unwrap_or(&name).to_owned();
        effect.program = Some(base.clone());
        let args = &values[1..];
        effect.args = args.to_vec();
        effect.cwd = frame.cwd.clone();
        // A wrapper that a project carries does what the tool itself does.
        let wrapper = matches!(
            base.as_str(),
            "mvnw" | "gradlew" | "rebar3" | "rebar" | "composer.phar"
        );
        let local = name.contains('/')
            && !name.starts_with("/usr/")
            && !name.starts_with("/bin/")
            && !wrapper;
        let row = if local {
            None
        } else {
            let verb = args.iter().flatten().find(|arg| !arg.starts_with('-'));
            programs::role(&base, verb.map(String::as_str))
        };
        match base.as_str() {
            "cd" | "pushd" if !command.context.in_subprocess() => {
                let to = match args.first() {
                    Some(Some(to)) if !to.starts_with('-') => join(Some(&frame.cwd), to),
                    None => Some(self.home(frame)),
                    _ => None,
                };
                match to {
                    Some(to) => frame.cwd = to,
                    None => effect.what = What::Opaque("where it goes is not known".to_owned()),
                }
            }
            "export" => {
                for arg in args.iter().flatten() {
                    if let Some((name, value)) = arg.split_once('=') {
                        let value = Some(value.to_owned());
                        frame.assigned.insert(name.to_owned(), value);
                    }
                }
            }
            "." | "source" => self.activate(args, frame, &mut effect),
            "apt-get" | "apt" | "aptitude" => {
                // `package=1.2*` is apt's own pattern: no file has such a name.
                let words = command.words.iter().skip(command.words.len() - args.len());
                let words: Vec<Option<String>> = args
                    .iter()
                    .zip(words)
                    .map(|(value, word)| {
                        let raw = || String::from_utf8_lossy(word.text(source)).into_owned();
                        let pattern = word.has_glob() && !word.has_expansion() && !word.is_quoted();
                        value.clone().or_else(|| pattern.then(raw))
                    })
                    .collect();
                apt(&words, &mut effect);
            }
            "npm" | "yarn" | "pnpm" | "bun" | "npx" | "pnpx" | "bunx" => {
                return self.node(&base, args, frame, effect);
            }
            "corepack" => {
                effect.what = What::Corepack;
            }
            "apk" => {
                let words = &command.words[command.words.len() - args.len()..];
                let text = |word: &Word| String::from_utf8_lossy(word.text(source)).into_owned();
                let texts: Vec<String> = words.iter().map(text).collect();
                apk(&languages::with_phpize(args, &texts), &mut effect);
            }
            "bundle" | "bundler" | "gem" => self.ruby(&base, args, frame, &mut effect),
            "pip" | "pip3" => self.pip(args, &name, frame, &mut effect),
            _ if base.starts_with("pip3.") => self.pip(args, &name, frame, &mut effect),
            "poetry" | "uv" | "pipenv" | "pdm" => {
                return self.python_tool(&base, args, frame, effect);
            }
            "python" | "python3" | "python2" => {
                return self.python(args, &name, frame, effect);
            }
            _ if base.starts_with("python3.") => {
                return self.python(args, &name, frame, effect);
            }
            "node" | "nodejs" => self.program(args, frame, &mut effect, "node"),
            "ruby" | "perl" | "php" | "composer.phar" => {
                let fed = (command.before == shell::Connector::Pipe)
                    .then(|| script.commands().get(index.wrapping_sub(1)))
                    .flatten()
                    .map(|before| String::from_utf8_lossy(before.span.of(source)).into_owned());
                self.interpreter(&base, args, fed.as_deref(), frame, &mut effect);
            }
            "mix" => self.mix(args, frame, &mut effect),
            "cpm" => self.cpm(args, frame, &mut effect),
            "sh" | "bash" | "dash" | "ash" => {
                return self.shell(script, index, command, args, frame, effect);
            }
            "git" => self.git(args, frame, &mut effect),
            "xargs" | "find" => {
                let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
                let removes = words
                    .iter()
                    .any(|w| matches!(*w, "rm" | "-delete" | "rmdir"));
                let acts = words
                    .iter()
                    .any(|w| matches!(*w, "-exec" | "-execdir" | "-ok"));
                let harmless = words
                    .iter()
                    .any(|w| matches!(*w, "chmod" | "chown" | "strip" | "sed" | "dos2unix"));
                if (base == "xargs" || acts) && !removes {
                    let inside = words.iter().find(|w| w.starts_with('/'));
                    if acts && harmless {
                        let path = inside.map_or(frame.cwd.clone(), |w| (*w).to_owned());
                        effect.what = What::Writes;
                        effect.writes.push(Write { path, tree: true });
                    } else {
                        effect.what = What::Opaque(format!("{base} runs another program"));
                    }
                }
            }
            "rm" => {
                // What is removed below these belongs to the base image or to a
                // package, so the final stage would have it again.
                let outside = |path: &str| {
                    ["/etc/", "/usr/"].iter().any(|p| path.starts_with(p))
                        && !path.starts_with("/usr/share/doc")
                        && !path.starts_with("/usr/share/man")
                        && !path.starts_with("/usr/src/")
                        && !path.starts_with("/usr/local/share/.cache")
                };
                let paths = args.iter().flatten().filter(|a| !a.starts_with('-'));
                let mut paths = paths.filter_map(|a| join(Some(&frame.cwd), a));
                if paths.any(|path| outside(&path)) {
                    effect.what = What::Replay;
                }
            }
            "setcap" => effect.what = What::Replay,
            _ if local => return self.local(&name, args, frame, effect),
            "make" | "gmake" => return self.make(args, row, frame, effect),
            _ => match row {
                // A program that only says its version changes nothing.
                None if matches!(args, [Some(arg)] if matches!(arg.as_str(), "--version" | "-V" | "-v" | "--help")) =>
                    {}
                None if self.tools > 0 => self.bounded(frame, &mut effect),
                None => {
                    effect.what =
                        What::Opaque(format!("what {base} does to the image is not known"));
                }
                Some(row) => self.by_table(&base, row, args, frame, &mut effect),
            },
        }
        if matches!(effect.what, What::Nothing) && !effect.writes.is_empty() {
            effect.what = What::Writes;
        }
        self.ledger.effects.push(effect);
    }

    fn redirects(&self, command: &Command, frame: &Frame<'_>, effect: &mut Effect) {
        for redirect in &command.redirects {
            let writes = matches!(
                redirect.kind,
                RedirectKind::Write
                    | RedirectKind::Append
                    | RedirectKind::Clobber
                    | RedirectKind::ReadWrite
                    | RedirectKind::WriteAll
                    | RedirectKind::AppendAll
            );
            if !writes {
                continue;
            }
            match self.value(&redirect.target, frame) {
                Some(path) if path.starts_with("/dev/") || path.starts_with("/proc/") => {}
                Some(path) => {
                    let path = join(Some(&frame.cwd), &path).unwrap_or(path);
                    if of_apt(&path) {
                        effect.what = What::AptSource;
                    }
                    effect.writes.push(Write { path, tree: false });
                }
                None => {
                    let why = "the file that it writes is not known".to_owned();
                    effect.what = What::Opaque(why);
                }
            }
        }
    }

    /// `. venv/bin/activate` puts the virtual environment first.
    fn activate(&self, args: &[Option<String>], frame: &mut Frame<'_>, effect: &mut Effect) {
        match args.first() {
            Some(Some(path)) if path.ends_with("/bin/activate") => {
                let path = join(Some(&frame.cwd), path).unwrap_or_default();
                let venv = path.trim_end_matches("/bin/activate").to_owned();
                frame.assigned.insert("VIRTUAL_ENV".to_owned(), Some(venv));
            }
            Some(Some(path)) if path.ends_with("/.cargo/env") || path.ends_with("os-release") => {}
            _ => effect.what = What::Opaque("the file that it sources is not followed".to_owned()),
        }
    }

    fn by_table(
        &self,
        name: &str,
        row: programs::Program,
        args: &[Option<String>],
        frame: &Frame<'_>,
        effect: &mut Effect,
    ) {
        match row.role {
            Role::Query => {}
            // Which compiler is called `cc` matters to nobody at run time.
            Role::Config if name == "update-alternatives" && names_compiler(args) => {}
            Role::User | Role::Config => {
                let apt = name.starts_with("apt-") || name.contains("-apt-");
                if !matches!(effect.what, What::Opaque(_)) {
                    effect.what = if apt { What::AptSource } else { What::Replay };
                }
            }
            Role::Service => {
                effect.what = What::Opaque(format!(
                    "{name} starts or configures a service: what that writes is not known"
                ));
            }
            Role::Script | Role::Wrapper if self.tools > 0 => self.bounded(frame, effect),
            Role::Script | Role::Wrapper => {
                effect.what = What::Opaque(format!("what {name} runs is not followed"));
            }
            Role::Package => {
                effect.what = What::Opaque(format!(
                    "{name} is a package manager that is not followed here"
                ));
            }
            Role::Build | Role::Library | Role::Fetch | Role::File => {
                match self.written(row.writes, args, frame) {
                    Some(found) => {
                        if found.iter().any(|w| of_apt(&w.path)) {
                            effect.what = What::AptSource;
                        }
                        if name == "chown" || name == "chgrp" {
                            let all = args.iter().flatten();
                            let deep = all.clone().any(|a| is_recursive(a));
                            let owner = all.clone().find(|a| !a.starts_with('-'));
                            if let (Some(owner), "chown") = (owner, name) {
                                effect.owner = Some((owner.clone(), deep));
                            }
                        }
                        effect.writes.extend(found);
                    }
                    None => {
                        effect.what = What::Opaque(format!("where {name} writes is not known"));
                    }
                }
            }
        }
    }

    /// The paths that the table's forms say, which stand apart by blanks;
    /// `None` when they are not known.
    fn written(
        &self,
        forms: &str,
        args: &[Option<String>],
        frame: &Frame<'_>,
    ) -> Option<Vec<Write>> {
        let mut found = Vec::new();
        for form in forms.split(' ') {
            if form == "prefix" {
                found.extend(self.prefix(args, frame));
                continue;
            }
            let mut form = form;
            // Alternatives that name a variable or the home folder are settled
            // here, the others by the arguments alone.
            let settled = loop {
                let (first, rest) = form.split_once('|').unwrap_or((form, ""));
                if let Some(name) = first.strip_prefix('$') {
                    let (name, below) = name.split_at(name.find('/').unwrap_or(name.len()));
                    if let Some(value) = self.variable(name, frame) {
                        break Some(join(Some(&frame.cwd), &format!("{value}{below}"))?);
                    }
                } else if let Some(below) = first.strip_prefix('~') {
                    break Some(format!("{}{below}", self.home(frame)));
                } else if let Some(below) = first.strip_prefix("cwd/") {
                    break join(Some(&frame.cwd), below);
                } else if first.starts_with("opt:") {
                    match writes(first, args, &frame.cwd) {
                        Some(some) if some.is_empty() && !rest.is_empty() => {}
                        Some(some) => {
                            found.extend(some);
                            break None;
                        }
                        None => return None,
                    }
                } else {
                    found.extend(writes(form, args, &frame.cwd)?);
                    break None;
                }
                if rest.is_empty() {
                    return None;
                }
                form = rest;
            };
            found.extend(settled.map(|path| Write { path, tree: true }));
        }
        Some(found)
    }

    /// `bundle` and `gem`: where gems go is told by options, `bundle config`
    /// and the environment.
    fn ruby(
        &mut self,
        tool: &str,
        args: &[Option<String>],
        frame: &Frame<'_>,
        effect: &mut Effect,
    ) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        let verb = words.iter().find(|w| !w.starts_with('-')).copied();
        let truthy = |value: Option<String>| {
            value.is_some_and(|v| matches!(v.to_lowercase().as_str(), "1" | "true" | "yes"))
        };
        let home = self.variable("GEM_HOME", frame);
        let unknown =
            || What::Opaque("where gems are installed on this base image is not known".to_owned());
        let tree = |path: String| Write { path, tree: true };
        if tool == "gem" {
            match (verb, home) {
                // RubyGems itself lies with the interpreter, in both images.
                (Some("update"), _) if words.contains(&"--system") => {
                    effect.what = What::Replay;
                }
                (Some("install" | "update" | "uninstall"), Some(home)) => {
                    effect.what = What::Writes;
                    effect.writes.push(tree(home));
                }
                (Some("install" | "update" | "uninstall"), None) => effect.what = unknown(),
                _ => {}
            }
            return;
        }
        match verb {
            Some("config") => {
                // `config set --local path X`, `config path X`, `config --global deployment true`.
                let words: Vec<&str> = words
                    .iter()
                    .copied()
                    .filter(|w| !w.starts_with('-') && !matches!(*w, "config" | "set"))
                    .collect();
                if let [name, value, ..] = words.as_slice() {
                    let name = format!("BUNDLE_{}", name.replace('.', "__").to_uppercase());
                    self.note(&name, (*value).to_owned());
                }
                // Without an option, the project's where there is one.
                let flag = |name: &str| args.iter().flatten().any(|w| w == name);
                let gemfile = join(Some(&frame.cwd), "Gemfile").unwrap_or_default();
                let project = self.ledger.copied.context_path(&gemfile).is_some();
                if flag("--local") || (project && !flag("--global")) {
                    effect.writes.push(tree(self.bundle_config(frame)));
                } else {
                    let path = format!("{}/.bundle/config", self.home(frame));
                    effect.writes.push(Write { path, tree: false });
                }
            }
            Some("exec") => {
                let what = words.iter().skip_while(|w| **w != "exec").nth(1).copied();
                match what.and_then(|what| programs::browser_installer(what, &words)) {
                    Some(why) => effect.what = What::Opaque(why),
                    None => self.bounded(frame, effect),
                }
            }
            Some("install" | "update" | "add" | "package" | "cache" | "pristine") | None => {
                let option = words.iter().enumerate().find_map(|(at, word)| match *word {
                    "--path" => words.get(at + 1).copied(),
                    word => word.strip_prefix("--path="),
                });
                // Such options are remembered in the project's configuration.
                let remembered = ["--deployment", "--path", "--with", "--without", "--system"];
                let remembers = |word: &&str| {
                    let name = word.split('=').next().unwrap_or(word);
                    remembered.contains(&name)
                };
                if words.iter().any(remembers) {
                    effect.writes.push(tree(self.bundle_config(frame)));
                }
                let deployment = words.contains(&"--deployment")
                    || truthy(self.noted("BUNDLE_DEPLOYMENT", frame));
                let place = option
                    .map(str::to_owned)
                    .or_else(|| self.noted("BUNDLE_PATH", frame))
                    .or_else(|| deployment.then(|| "vendor/bundle".to_owned()))
                    .and_then(|path| join(Some(&frame.cwd), &path))
                    .or(home);
                effect.what = match place {
                    Some(place) => {
                        effect.writes.push(tree(place));
                        What::Writes
                    }
                    None => unknown(),
                };
            }
            Some("binstubs" | "lock" | "init" | "remove") => self.bounded(frame, effect),
            Some(
                "check" | "show" | "list" | "info" | "env" | "platform" | "--version" | "version"
                | "clean" | "doctor" | "outdated",
            ) => {}
            Some(verb) => effect.what = What::Opaque(format!("bundle {verb} is not followed")),
        }
    }

    fn git(&self, args: &[Option<String>], frame: &Frame<'_>, effect: &mut Effect) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        let verb = words.iter().find(|w| !w.starts_with('-')).copied();
        match verb {
            Some("clone") => {
                let operands: Vec<&&str> = words.iter().filter(|w| !w.starts_with('-')).collect();
                // Options of clone take values; the URL is what looks like one.
                let url = operands
                    .iter()
                    .position(|w| w.contains("://") || w.contains('@') || w.ends_with(".git"));
                match url {
                    Some(at) => {
                        let url = operands[at];
                        let folder = operands.get(at + 1).map_or_else(
                            || {
                                let name = url.trim_end_matches('/').rsplit(['/', ':']).next();
                                name.unwrap_or("").trim_end_matches(".git").to_owned()
                            },
                            |to| (**to).to_owned(),
                        );
                        if let Some(path) = join(Some(&frame.cwd), &folder) {
                            effect.writes.push(Write { path, tree: true });
                        }
                    }
                    None => effect.what = What::Opaque("what it clones is not known".to_owned()),
                }
            }
            Some("config") => {}
            Some(
                "init" | "checkout" | "pull" | "submodule" | "reset" | "apply" | "fetch" | "lfs",
            ) => {
                effect.writes.push(Write {
                    path: frame.cwd.clone(),
                    tree: true,
                });
            }
            Some("--version" | "rev-parse" | "log" | "status" | "describe" | "show") | None => {}
            Some(verb) => effect.what = What::Opaque(format!("git {verb} is not followed")),
        }
    }

    // ---- scripts

    /// `sh x.sh`, `sh -c '…'`, and what is piped into a shell.
    fn shell(
        &mut self,
        script: &Script,
        index: usize,
        command: &Command,
        args: &[Option<String>],
        frame: &mut Frame<'_>,
        mut effect: Effect,
    ) {
        let mut at = 0;
        let mut inline = false;
        while let Some(Some(arg)) = args.get(at) {
            if !arg.starts_with(['-', '+']) || arg == "-" {
                break;
            }
            inline |= !arg.starts_with("--") && arg.contains('c');
            let takes = arg.ends_with('o') && !arg.starts_with("--");
            at += 1 + usize::from(takes);
        }
        let piped = command.before == shell::Connector::Pipe;
        match args.get(at) {
            Some(Some(text)) if inline => {
                let (step, cwd) = (frame.step, frame.cwd.clone());
                let span = effect.span;
                let origin = "a shell of its own".to_owned();
                self.script(
                    text.as_bytes(),
                    step,
                    &cwd,
                    &|_| span,
                    frame.depth + 1,
                    origin,
                );
            }
            Some(Some(path)) if !inline && path != "-" && !piped => {
                let path = path.clone();
                self.local(&path, &args[at + 1..], frame, effect);
            }
            _ => {
                let url = index
                    .checked_sub(1)
                    .map(|before| script.commands()[before].span.of(frame.source))
                    .map(|text| String::from_utf8_lossy(text).into_owned());
                effect.what = match url {
                    Some(from) if piped && programs::apt_setup(&from).is_some() => What::AptSource,
                    Some(from) if piped => What::Opaque(format!("it runs what `{from}` prints")),
                    _ => What::Opaque("the script that it runs is not known".to_owned()),
                };
                self.ledger.effects.push(effect);
            }
        }
    }

    /// A program by its path: a script of the context is read.
    fn local(
        &mut self,
        name: &str,
        args: &[Option<String>],
        frame: &mut Frame<'_>,
        mut effect: Effect,
    ) {
        let base = name.rsplit('/').next().unwrap_or(name);
        let path = join(Some(&frame.cwd), name).unwrap_or_default();
        // Tools of a project's own folders are what they are named.
        if path.contains("/node_modules/.bin/")
            || path.contains("/vendor/bin/")
            || path.contains("/bin/pip")
        {
            if base.starts_with("pip") {
                self.pip(args, &path, frame, &mut effect);
            } else {
                self.bounded(frame, &mut effect);
            }
            self.ledger.effects.push(effect);
            return;
        }
        if path.ends_with("/bin/python") || path.ends_with("/bin/python3") {
            return self.python(args, &path, frame, effect);
        }
        let context = self.ledger.copied.context_path(&path);
        let text = context
            .as_ref()
            .and_then(|context| self.files.text(context).yes());
        let (Some(context), Some(text)) = (&context, text) else {
            // `./configure` of sources that the file fetched is what it is named.
            let build = programs::role(base, None).filter(|row| row.role == Role::Build);
            match context {
                _ if self.tools > 0 => self.bounded(frame, &mut effect),
                None if self.fetches_apt_setup(&path) => effect.what = What::AptSource,
                None if build.is_some() && self.is_fetched(&path) => {
                    self.bounded(frame, &mut effect);
                }
                Some(context) => effect.what = What::Opaque(format!("{context} can't be read")),
                None => {
                    effect.what =
                        What::Opaque(format!("{name} is not a file of the build context"));
                }
            }
            self.ledger.effects.push(effect);
            return;
        };
        let context = context.clone();
        let first = text.lines().next().unwrap_or_default();
        let is_shell = if first.starts_with("#!") {
            first.contains("sh")
        } else {
            context.ends_with(".sh") || !context.contains('.')
        };
        if !is_shell {
            if first.contains("ruby") && base == "bundle" {
                self.ruby(base, args, frame, &mut effect);
            } else if ["python", "node", "ruby", "perl", "php", "escript", "elixir"]
                .iter()
                .any(|interpreter| first.contains(interpreter))
            {
                self.inspect_program(&context, &text, frame, &mut effect);
            } else {
                effect.what = What::Opaque(format!("{context} is no shell script"));
            }
            self.ledger.effects.push(effect);
            return;
        }
        let (step, cwd, span) = (frame.step, frame.cwd.clone(), effect.span);
        self.script(
            text.as_bytes(),
            step,
            &cwd,
            &|_| span,
            frame.depth + 1,
            context,
        );
    }

    /// Whether an earlier command unpacked or cloned something over a path, so
    /// that it is of sources that nobody has at hand.
    fn is_fetched(&self, path: &str) -> bool {
        self.ledger.effects.iter().any(|effect| {
            let brings = effect.program.as_deref().is_some_and(|program| {
                let role = programs::role(program, None).map(|row| row.role);
                program == "git" || matches!(role, Some(Role::Fetch | Role::File))
            });
            let covers = |write: &Write| write.tree && below(path, &write.path);
            brings && effect.writes.iter().any(covers)
        })
    }

    /// Whether an earlier command fetched a script that sets up apt to a path.
    fn fetches_apt_setup(&self, path: &str) -> bool {
        self.ledger.effects.iter().any(|effect| {
            let here = effect.writes.iter().any(|write| write.path == path);
            here && programs::apt_setup(&effect.text).is_some()
        })
    }

    /// Where the install target of a build writes, if this is one: below the
    /// prefix that it is given or was configured with.
    fn prefix(&self, args: &[Option<String>], frame: &Frame<'_>) -> Option<Write> {
        if !installs(args) {
            return None;
        }
        let configured = || {
            let earlier = self.ledger.effects.iter().rev();
            let mut since = earlier.take_while(|effect| !installs(&effect.args));
            since.find_map(|effect| Some((prefix_option(&effect.args)?, effect.cwd.clone())))
        };
        let own = prefix_option(args).map(|path| (path, frame.cwd.clone()));
        let (path, cwd) = own
            .or_else(configured)
            .unwrap_or_else(|| ("/usr/local".to_owned(), frame.cwd.clone()));
        let path = join(Some(&cwd), &path)?;
        Some(Write { path, tree: true })
    }

    /// A build step that writes below the working directory.
    fn bounded(&self, frame: &Frame<'_>, effect: &mut Effect) {
        effect.what = What::Writes;
        effect.writes.push(Write {
            path: frame.cwd.clone(),
            tree: true,
        });
    }

    /// `node x.js`, `python x.py`: a program of the context, looked at for
    /// signs that it writes elsewhere.
    fn program(
        &self,
        args: &[Option<String>],
        frame: &Frame<'_>,
        effect: &mut Effect,
        interpreter: &str,
    ) {
        let file = args.iter().flatten().find(|arg| !arg.starts_with('-'));
        let first = args.iter().flatten().next().map(String::as_str);
        match (first, file) {
            (Some("-v" | "--version" | "-V"), _) => {}
            (Some("-e" | "-p" | "-c"), _) => {
                let code = args.get(1).cloned().flatten().unwrap_or_default();
                self.inspect_program("its code", &code, frame, effect);
            }
            (_, Some(file)) => {
                let path = join(Some(&frame.cwd), file).unwrap_or_default();
                if path.contains("/node_modules/") {
                    return self.bounded(frame, effect);
                }
                let context = self.ledger.copied.context_path(&path);
                let text = context.as_ref().and_then(|c| self.files.text(c).yes());
                match text {
                    Some(text) => self.inspect_program(file, &text, frame, effect),
                    None => {
                        effect.what = What::Opaque(format!(
                            "{file} is not in the build context, so what it does is not known"
                        ));
                    }
                }
            }
            _ => effect.what = What::Opaque(format!("what {interpreter} runs is not known")),
        }
    }

    fn inspect_program(&self, name: &str, text: &str, frame: &Frame<'_>, effect: &mut Effect) {
        if let Some(sign) = programs::writes_elsewhere(text) {
            effect.what = What::Opaque(format!(
                "{name} may write outside the working directory (it has `{sign}`)"
            ));
        } else {
            self.bounded(frame, effect);
        }
    }

    // ---- Node.js

    fn node(
        &mut self,
        tool: &str,
        args: &[Option<String>],
        frame: &mut Frame<'_>,
        mut effect: Effect,
    ) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        let kind = NodeTool::of(tool).unwrap_or(NodeTool::Npm);
        let flag = |names: &[&str]| words.iter().any(|w| names.contains(w));
        // `npm --prefix DIR`, `yarn --cwd DIR`, `pnpm -C DIR`.
        let mut cwd = frame.cwd.clone();
        let mut operands: Vec<&str> = Vec::new();
        let mut iter = words.iter().peekable();
        while let Some(word) = iter.next() {
            if matches!(*word, "--prefix" | "--cwd" | "-C" | "--dir") {
                if let Some(dir) = iter.next() {
                    cwd = join(Some(&cwd), dir).unwrap_or(cwd);
                }
            } else if let Some(dir) = word
                .strip_prefix("--prefix=")
                .or_else(|| word.strip_prefix("--cwd="))
            {
                cwd = join(Some(&cwd), dir).unwrap_or(cwd);
            } else if !word.starts_with('-') {
                operands.push(word);
            }
        }
        let verb = operands.first().copied();
        if matches!(tool, "npx" | "pnpx" | "bunx") || matches!(verb, Some("exec" | "dlx" | "x")) {
            let skip = usize::from(!matches!(tool, "npx" | "pnpx" | "bunx"));
            let what = operands.get(skip).copied().unwrap_or_default();
            if let Some(browser) = programs::browser_installer(what, &operands) {
                effect.what = What::Opaque(browser);
            } else {
                let inner = Frame {
                    cwd,
                    ..clone_frame(frame)
                };
                self.bounded(&inner, &mut effect);
            }
            self.ledger.effects.push(effect);
            return;
        }
        let global = flag(&["-g", "--global", "--location=global"])
            || (kind == NodeTool::Yarn && verb == Some("global"));
        let node_env = self.setting("NODE_ENV", frame);
        let production = flag(&[
            "--production",
            "--production=true",
            "--only=production",
            "--only=prod",
            "--omit=dev",
            "--prod",
            "-P",
        ]) || (words.windows(2).any(|w| w == ["--omit", "dev"]))
            || (node_env.as_deref() == Some("production")
                && !flag(&["--production=false", "--include=dev", "--prod=false"]));
        let install = matches!(
            verb,
            Some("install" | "i" | "ci" | "add" | "clean-install" | "install-clean" | "in")
        ) || (verb.is_none() && kind == NodeTool::Yarn)
            || (verb == Some("global") && operands.get(1) == Some(&"add"));
        let tree = Write {
            path: cwd.clone(),
            tree: true,
        };
        if install {
            let skip = if verb == Some("global") { 2 } else { 1 };
            let packages: Vec<String> = operands
                .iter()
                .skip(skip)
                .map(|p| (*p).to_owned())
                .collect();
            effect.what = What::NodeInstall {
                tool: kind,
                global: global.then_some(packages),
                production,
            };
            if !global {
                effect.writes.push(tree);
                self.lifecycle(&cwd, frame, &mut effect);
            }
            self.ledger.effects.push(effect);
            return;
        }
        match verb {
            Some(
                "prune" | "dedupe" | "rebuild" | "link" | "version" | "pkg" | "audit" | "autoclean"
                | "workspaces" | "import" | "fetch" | "deploy" | "update" | "up" | "upgrade"
                | "uninstall" | "remove" | "rm",
            ) => {
                effect.what = What::Writes;
                effect.writes.push(tree);
                if matches!(verb, Some("prune")) && (production || kind == NodeTool::Npm) {
                    effect.what = What::NodeInstall {
                        tool: kind,
                        global: None,
                        production: production || flag(&["--prod"]),
                    };
                }
            }
            Some(
                "cache" | "config" | "set" | "get" | "store" | "help" | "--version" | "view" | "ls"
                | "list" | "why" | "outdated" | "login" | "ping" | "plugin",
            )
            | None => {
                if matches!(verb, Some("set")) || matches!(verb, Some("plugin")) {
                    effect.writes.push(tree);
                }
            }
            Some(verb) => {
                let name = match (kind, verb) {
                    (_, "run" | "run-script") => operands.get(1).copied(),
                    (NodeTool::Npm, "start" | "test" | "stop" | "restart") => Some(verb),
                    (NodeTool::Npm, "t") => Some("test"),
                    (NodeTool::Npm, _) => None,
                    (_, verb) => Some(verb),
                };
                let Some(name) = name else {
                    effect.what = What::Opaque(format!("{tool} {verb} is not followed"));
                    self.ledger.effects.push(effect);
                    return;
                };
                let inner = Frame {
                    cwd,
                    ..clone_frame(frame)
                };
                return self.package_script(name, &inner, effect);
            }
        }
        self.ledger.effects.push(effect);
    }

    /// The scripts that an install runs.
    fn lifecycle(&mut self, cwd: &str, frame: &Frame<'_>, effect: &mut Effect) {
        let Some(manifest) = self.manifest(cwd) else {
            return;
        };
        for name in ["preinstall", "install", "postinstall", "prepare"] {
            if let Some(script) = manifest["scripts"][name].as_str()
                && let Some(why) = programs::browser_installer(script, &[])
            {
                effect.what = What::Opaque(why);
            }
        }
        let _ = frame;
    }

    /// `package.json` of a folder in the image, from the context.
    #[must_use]
    fn manifest(&self, cwd: &str) -> Option<serde_json::Value> {
        let path = format!("{}/package.json", cwd.trim_end_matches('/'));
        let context = self.ledger.copied.context_path(&path)?;
        serde_json::from_str(&self.files.text(&context).yes()?).ok()
    }

    fn package_script(&mut self, name: &str, frame: &Frame<'_>, mut effect: Effect) {
        let script = self
            .manifest(&frame.cwd)
            .and_then(|manifest| manifest["scripts"][name].as_str().map(str::to_owned));
        match script {
            Some(script) if frame.depth < MAX_DEPTH => {
                if let Some(why) = programs::browser_installer(&script, &[]) {
                    effect.what = What::Opaque(why);
                } else {
                    // A package's script runs in its folder, with the tools of
                    // its node_modules.
                    effect.text = format!("{} → {script}", effect.text);
                    let origin = format!("package.json {name}");
                    self.project_script(&script, &origin, frame, &mut effect);
                }
            }
            _ => {
                // Without the manifest: a tool of node_modules or a script.
                self.bounded(frame, &mut effect);
            }
        }
        self.ledger.effects.push(effect);
    }

    /// What a script of the project's own build does, told as one effect: its
    /// tools write below the working directory, and what its text says beyond
    /// that is added.
    fn project_script(
        &mut self,
        script: &str,
        origin: &str,
        frame: &Frame<'_>,
        effect: &mut Effect,
    ) {
        let before = self.ledger.effects.len();
        let span = effect.span;
        self.tools += 1;
        self.script(
            script.as_bytes(),
            frame.step,
            &frame.cwd,
            &|_| span,
            frame.depth + 1,
            origin.to_owned(),
        );
        self.tools -= 1;
        self.bounded(frame, effect);
        for inner in self.ledger.effects.split_off(before) {
            match inner.what {
                // Shell that can't be read here is the tools' affair.
                What::Opaque(why) if !why.starts_with("its shell can't be read") => {
                    effect.what = What::Opaque(why);
                }
                What::AptInstall { .. }
                | What::ApkAdd { .. }
                | What::AptSource
                | What::Replay
                | What::NodeInstall {
                    global: Some(_), ..
                }
                | What::Corepack => {
                    let why = format!(
                        "`{}` sets up the system inside of a script",
                        inner.text.trim()
                    );
                    effect.what = What::Opaque(why);
                }
                _ => {
                    let inside = |path: &str| {
                        path == frame.cwd
                            || path.starts_with(&format!("{}/", frame.cwd.trim_end_matches('/')))
                    };
                    effect
                        .writes
                        .extend(inner.writes.into_iter().filter(|w| !inside(&w.path)));
                }
            }
        }
    }

    /// `make`: the recipes of a Makefile of the context are read.
    fn make(
        &mut self,
        args: &[Option<String>],
        row: Option<programs::Program>,
        frame: &mut Frame<'_>,
        mut effect: Effect,
    ) {
        let mut cwd = frame.cwd.clone();
        let mut file = None;
        let mut targets = Vec::new();
        let mut given = Vec::new();
        let mut words = args.iter().flatten().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "-C" | "--directory" => {
                    cwd = words
                        .next()
                        .and_then(|dir| join(Some(&cwd), dir))
                        .unwrap_or(cwd);
                }
                "-f" | "--file" | "--makefile" => file = words.next().map(str::to_owned),
                "-j" | "-l" | "-o" | "-W" | "-I" => {}
                word if word.starts_with('-') => {}
                word if word.chars().all(|c| c.is_ascii_digit()) => {}
                word => match word.split_once('=') {
                    Some((name, value)) => {
                        let name = name.trim_end_matches([':', '?', '+']);
                        given.push((name.to_owned(), value.to_owned()));
                    }
                    None => targets.push(word.to_owned()),
                },
            }
        }
        let names = match file {
            Some(file) => vec![file],
            None => ["GNUmakefile", "makefile", "Makefile"]
                .map(str::to_owned)
                .to_vec(),
        };
        let text = names.iter().find_map(|name| {
            let path = join(Some(&cwd), name)?;
            let context = self.ledger.copied.context_path(&path)?;
            self.files.text(&context).yes()
        });
        let recipes = text
            .filter(|_| frame.depth < MAX_DEPTH)
            .and_then(|text| makefile::recipes(&text, &targets, &given))
            .filter(|recipes| !recipes.is_empty());
        match (recipes, row) {
            (Some(recipes), _) => {
                let inner = Frame {
                    cwd,
                    ..clone_frame(frame)
                };
                self.project_script(&recipes, "the Makefile", &inner, &mut effect);
            }
            (None, Some(row)) => {
                self.by_table("make", row, args, frame, &mut effect);
            }
            (None, None) => self.bounded(frame, &mut effect),
        }
        if matches!(effect.what, What::Nothing) && !effect.writes.is_empty() {
            effect.what = What::Writes;
        }
        self.ledger.effects.push(effect);
    }

    // ---- Python

    /// Where `pip` of that name installs: site-packages of the system, or of a
    /// virtual environment.
    fn python_prefix(&self, program: &str, frame: &Frame<'_>) -> Option<String> {
        if let Some(at) = program.find("/bin/") {
            let full = join(Some(&frame.cwd), &program[..at])?;
            return (!matches!(full.as_str(), "/usr/local" | "/usr")).then_some(full);
        }
        if let Some(venv) = self.variable("VIRTUAL_ENV", frame) {
            return Some(venv);
        }
        let path = self.raw_path(frame)?;
        // The first folder of PATH that is a virtual environment's.
        let made = |folder: &str| {
            self.ledger
                .effects
                .iter()
                .any(|e| e.text.contains("venv") && e.writes.iter().any(|w| w.path == folder))
        };
        let folder = path
            .split(':')
            .take_while(|part| !part.contains('$'))
            .filter_map(|part| part.strip_suffix("/bin"))
            .find(|folder| made(folder))?;
        (!folder.starts_with("/usr") && folder.starts_with('/') && folder != "/root/.local")
            .then(|| folder.to_owned())
    }

    /// PATH as the last ENV wrote it, `$PATH` kept.
    fn raw_path(&self, frame: &Frame<'_>) -> Option<String> {
        let file = self.model.file;
        let stage = &self.model.stages[self.stage];
        let steps = stage.steps.iter().rev();
        let before = steps.skip_while(|s| s.instruction >= frame.step.instruction);
        for step in before {
            let instruction = self.model.instructions[step.instruction];
            let text = instruction.logical.text(file.source());
            if instruction.keyword != Keyword::Env || memmem::find(text, b"PATH").is_none() {
                continue;
            }
            for pair in instruction.pairs(file.source(), file.escape()) {
                if pair.key == "PATH" {
                    let value = pair.value?.trim_matches('"').to_owned();
                    let mut value = value;
                    for variable in stage.scope.declared(step.variables) {
                        if let Ok(text) = &variable.value {
                            for form in [
                                format!("${{{}}}", variable.name),
                                format!("${}", variable.name),
                            ] {
                                if variable.name != "PATH" {
                                    value = value.replace(&form, text);
                                }
                            }
                        }
                    }
                    return Some(value);
                }
            }
        }
        None
    }

    fn pip(&self, args: &[Option<String>], program: &str, frame: &Frame<'_>, effect: &mut Effect) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        match words.iter().find(|w| !w.starts_with('-')).copied() {
            Some("install") => {}
            Some("cache" | "config" | "list" | "freeze" | "check" | "show" | "debug") | None => {
                return;
            }
            Some("uninstall") => {
                effect.what = What::Writes;
                effect.writes = python_writes(self.python_prefix(program, frame));
                return;
            }
            Some("wheel" | "download") => {
                return self.bounded(frame, effect);
            }
            Some(verb) => {
                effect.what = What::Opaque(format!("pip {verb} is not followed"));
                return;
            }
        }
        let mut requirements = Vec::new();
        let mut packages = Vec::new();
        let mut project = false;
        let mut target = None;
        let mut user = false;
        let mut unknown = args.iter().any(Option::is_none);
        let mut iter = words.iter().skip_while(|w| **w != "install").skip(1);
        while let Some(word) = iter.next() {
            let path = |p: &str| join(Some(&frame.cwd), p).unwrap_or_default();
            match *word {
                "-r" | "--requirement" => requirements.extend(iter.next().map(|p| path(p))),
                "-t" | "--target" | "--prefix" | "--root" => target = iter.next().map(|p| path(p)),
                "-e" | "--editable" => {
                    project |= iter
                        .next()
                        .is_some_and(|p| p.starts_with('.') || p.starts_with('/'));
                }
                "-c" | "--constraint" | "-i" | "--index-url" | "--extra-index-url" | "-f"
                | "--find-links" | "--trusted-host" | "--timeout" | "--retries"
                | "--progress-bar" | "--default-timeout" | "--no-binary" | "--only-binary"
                | "--platform" | "--python-version" | "--implementation" | "--abi"
                | "--cache-dir" | "--config-settings" | "--root-user-action" => {
                    iter.next();
                }
                "--user" => user = true,
                word if word.starts_with("-r") && !word.starts_with("--") => {
                    requirements.push(path(&word[2..]));
                }
                word if word.starts_with("--requirement=") => {
                    requirements.push(path(&word["--requirement=".len()..]));
                }
                word if word.starts_with("--target=") || word.starts_with("--prefix=") => {
                    target = word.split_once('=').map(|(_, p)| path(p));
                }
                word if word.starts_with('-') => {}
                word if word.starts_with('.') || word.starts_with('/') => project = true,
                word => packages.push(word.to_owned()),
            }
        }
        unknown &= packages.is_empty() && requirements.is_empty() && !project;
        if unknown {
            effect.what = What::Opaque("what pip installs is not known".to_owned());
            return;
        }
        effect.writes = match target {
            Some(path) if path != "/usr/local" => vec![Write { path, tree: true }],
            _ if user => vec![Write {
                path: format!("{}/.local", self.home(frame)),
                tree: true,
            }],
            _ => match (self.python_prefix(program, frame), self.plain_user(frame)) {
                (None, Some(name)) => match self.settled_home(&name) {
                    // site-packages belong to root, so pip turns to the home.
                    Some(home) => vec![Write {
                        path: format!("{home}/.local"),
                        tree: true,
                    }],
                    None => {
                        effect.what = What::Opaque(format!(
                            "pip runs as {name}, whose home folder is not known, and installs there"
                        ));
                        return;
                    }
                },
                (prefix, _) => python_writes(prefix),
            },
        };
        if project {
            effect.writes.push(Write {
                path: frame.cwd.clone(),
                tree: true,
            });
        }
        effect.what = What::PipInstall {
            requirements,
            packages,
            project,
        };
    }

    /// The user that runs, where that is not root.
    fn plain_user(&self, frame: &Frame<'_>) -> Option<String> {
        let user = frame.step.user.as_deref()?.split(':').next()?;
        (!matches!(user, "root" | "0" | "")).then(|| user.to_owned())
    }

    /// The home folder of a user that the file makes in the usual place.
    fn settled_home(&self, name: &str) -> Option<String> {
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let makes = self.ledger.effects.iter().find(|e| {
            matches!(e.program.as_deref(), Some("useradd" | "adduser"))
                && e.text.split_whitespace().any(|word| word == name)
        });
        let elsewhere = makes.is_some_and(|e| {
            e.text.split_whitespace().any(|word| {
                matches!(
                    word,
                    "-d" | "--home" | "--home-dir" | "--no-create-home" | "-M" | "-r" | "--system"
                ) || word.starts_with("--home=")
                    || word.starts_with("--home-dir=")
            })
        });
        (!elsewhere).then(|| format!("/home/{name}"))
    }

    fn python(
        &mut self,
        args: &[Option<String>],
        program: &str,
        frame: &mut Frame<'_>,
        mut effect: Effect,
    ) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        match words.as_slice() {
            ["-m", "pip", ..] => self.pip(&args[2..], program, frame, &mut effect),
            ["-m", tool @ ("poetry" | "pipenv" | "pdm" | "uv"), ..] => {
                let tool = (*tool).to_owned();
                return self.python_tool(&tool, &args[2..], frame, effect);
            }
            ["-m", "venv" | "virtualenv", rest @ ..] => {
                match rest.iter().rev().find(|w| !w.starts_with('-')) {
                    Some(path) => {
                        let path = join(Some(&frame.cwd), path).unwrap_or_default();
                        effect.what = What::Writes;
                        effect.writes.push(Write { path, tree: true });
                    }
                    None => effect.what = What::Opaque("where the venv goes is not known".into()),
                }
            }
            [
                "-m",
                "compileall" | "build" | "pytest" | "unittest" | "grpc_tools.protoc",
                ..,
            ] => {
                self.bounded(frame, &mut effect);
            }
            ["-m", "nltk.downloader", ..] => {
                effect.what = What::Writes;
                effect.writes.push(Write {
                    path: format!("{}/nltk_data", self.home(frame)),
                    tree: true,
                });
            }
            ["-m", "spacy", "download", ..] => {
                effect.what = What::Writes;
                effect.writes = python_writes(self.python_prefix(program, frame));
            }
            ["-m", module, ..] => {
                effect.what = What::Opaque(format!("what python -m {module} does is not known"));
            }
            ["setup.py", "install" | "develop", ..] => {
                effect.what = What::PipInstall {
                    requirements: Vec::new(),
                    packages: Vec::new(),
                    project: true,
                };
                effect.writes = python_writes(self.python_prefix(program, frame));
                effect.writes.push(Write {
                    path: frame.cwd.clone(),
                    tree: true,
                });
            }
            ["setup.py" | "manage.py", ..] => self.bounded(frame, &mut effect),
            _ => self.program(args, frame, &mut effect, "python"),
        }
        self.ledger.effects.push(effect);
    }

    fn python_tool(
        &mut self,
        tool: &str,
        args: &[Option<String>],
        frame: &mut Frame<'_>,
        mut effect: Effect,
    ) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        let verb = words.iter().find(|w| !w.starts_with('-')).copied();
        let project = |name: &'static str| What::PythonProject { tool: name };
        let cwd_venv = Write {
            path: format!("{}/.venv", frame.cwd.trim_end_matches('/')),
            tree: true,
        };
        let truthy = |value: Option<String>| {
            value.is_some_and(|v| matches!(v.to_lowercase().as_str(), "1" | "true" | "yes"))
        };
        let falsy = |value: Option<String>| {
            value.is_some_and(|v| matches!(v.to_lowercase().as_str(), "0" | "false" | "no"))
        };
        match (tool, verb) {
            ("poetry", Some("config")) => {
                let text = words.join(" ");
                for (key, name) in [
                    ("virtualenvs.create", "POETRY_VIRTUALENVS_CREATE"),
                    ("virtualenvs.in-project", "POETRY_VIRTUALENVS_IN_PROJECT"),
                ] {
                    if let Some(value) = text.split(key).nth(1).map(str::trim) {
                        let value = value.split(' ').next().unwrap_or_default().to_owned();
                        self.note(name, value);
                    }
                }
            }
            ("poetry", Some("install" | "sync" | "add" | "update")) => {
                effect.what = project("poetry");
                if falsy(self.noted("POETRY_VIRTUALENVS_CREATE", frame)) {
                    effect.writes = python_writes(self.python_prefix("pip", frame));
                } else if truthy(self.noted("POETRY_VIRTUALENVS_IN_PROJECT", frame)) {
                    effect.writes.push(cwd_venv);
                } else {
                    effect.writes.push(Write {
                        path: format!("{}/.cache/pypoetry/virtualenvs", self.home(frame)),
                        tree: true,
                    });
                }
                effect.writes.push(Write {
                    path: frame.cwd.clone(),
                    tree: true,
                });
            }
            ("poetry" | "pdm", Some("export" | "lock" | "build" | "check")) => {
                let file = words
                    .windows(2)
                    .find(|w| matches!(w[0], "-o" | "--output"))
                    .map(|w| w[1]);
                let path = file.and_then(|f| join(Some(&frame.cwd), f));
                effect.writes.push(Write {
                    tree: path.is_none(),
                    path: path.unwrap_or_else(|| frame.cwd.clone()),
                });
            }
            ("uv", Some("pip")) => {
                let system =
                    words.contains(&"--system") || truthy(self.variable("UV_SYSTEM_PYTHON", frame));
                let rest: Vec<Option<String>> = args
                    .iter()
                    .skip_while(|w| w.as_deref() != Some("pip"))
                    .skip(1)
                    .cloned()
                    .collect();
                let venv = self.python_prefix("pip", frame);
                self.pip(&rest, "pip", frame, &mut effect);
                if !system && venv.is_none() && !effect.writes.is_empty() {
                    effect.writes = vec![cwd_venv];
                }
            }
            ("uv", Some("sync")) => {
                effect.what = project("uv");
                let place = self.variable("UV_PROJECT_ENVIRONMENT", frame);
                match place.and_then(|p| join(Some(&frame.cwd), &p)) {
                    Some(path) if path == "/usr/local" => effect.writes = python_writes(None),
                    Some(path) => effect.writes.push(Write { path, tree: true }),
                    None => effect.writes.push(cwd_venv),
                }
            }
            ("uv", Some("venv")) => {
                let path = words.iter().skip_while(|w| **w != "venv").skip(1);
                let path = path.filter(|w| !w.starts_with('-')).last();
                let path = path.and_then(|p| join(Some(&frame.cwd), p));
                effect.what = What::Writes;
                effect
                    .writes
                    .push(path.map_or(cwd_venv, |path| Write { path, tree: true }));
            }
            ("uv", Some("lock" | "export" | "build" | "cache" | "version" | "init")) => {
                self.bounded(frame, &mut effect);
            }
            ("pipenv", Some("install" | "sync" | "update")) => {
                effect.what = project("pipenv");
                effect.writes = if words.contains(&"--system") {
                    python_writes(self.python_prefix("pip", frame))
                } else if truthy(self.variable("PIPENV_VENV_IN_PROJECT", frame)) {
                    vec![cwd_venv]
                } else {
                    vec![Write {
                        path: format!("{}/.local/share/virtualenvs", self.home(frame)),
                        tree: true,
                    }]
                };
            }
            ("pipenv", Some("lock" | "requirements")) => {
                effect.writes.push(Write {
                    path: frame.cwd.clone(),
                    tree: true,
                });
            }
            ("pdm", Some("install" | "sync")) => {
                effect.what = project("pdm");
                effect.writes.push(cwd_venv);
            }
            (_, Some("run")) => {
                // The command after it, with the project's environment.
                let rest: Vec<Option<String>> = args
                    .iter()
                    .skip_while(|w| w.as_deref() != Some("run"))
                    .skip(1)
                    .skip_while(|w| w.as_deref().is_some_and(|w| w.starts_with('-')))
                    .cloned()
                    .collect();
                match rest.first().and_then(Option::as_deref) {
                    Some("python" | "python3") => {
                        return self.python(&rest[1..], "python", frame, effect);
                    }
                    _ => self.bounded(frame, &mut effect),
                }
            }
            (_, Some("cache" | "self" | "env" | "--version" | "version" | "show" | "--venv"))
            | (_, None) => {}
            (tool, Some(verb)) => {
                effect.what = What::Opaque(format!("{tool} {verb} is not followed"));
            }
        }
        if matches!(effect.what, What::Nothing) && !effect.writes.is_empty() {
            effect.what = What::Writes;
        }
        self.ledger.effects.push(effect);
    }

    /// Remembers a setting that `poetry config` wrote, for later commands.
    fn note(&mut self, name: &str, value: String) {
        let row = (format!("setting:{name}"), value, false);
        self.ledger.copied.rows.push(row);
    }

    fn noted(&self, name: &str, frame: &Frame<'_>) -> Option<String> {
        let key = format!("setting:{name}");
        let rows = self.ledger.copied.rows.iter().rev();
        let mut noted = rows.filter(|(k, ..)| *k == key).map(|(_, v, _)| v.clone());
        noted.next_back().or_else(|| self.variable(name, frame))
    }
}

fn clone_frame<'s>(frame: &Frame<'s>) -> Frame<'s> {
    Frame {
        source: frame.source,
        file_span: frame.file_span,
        cwd: frame.cwd.clone(),
        assigned: frame.assigned.clone(),
        step: frame.step,
        depth: frame.depth,
        origin: frame.origin.clone(),
    }
}

/// The home folder of a user, as the official images and useradd have it.
#[must_use]
pub fn home_of(user: Option<&str>) -> String {
    match user.map(|user| user.split(':').next().unwrap_or(user)) {
        None | Some("root" | "0" | "") => "/root".to_owned(),
        Some(name) => format!("/home/{name}"),
    }
}

/// The place of system-wide Python packages and their console scripts; see
/// [`SITE_PACKAGES`].
fn python_writes(venv: Option<String>) -> Vec<Write> {
    vec![Write {
        path: venv.unwrap_or_else(|| SITE_PACKAGES.to_owned()),
        tree: true,
    }]
}

/// Stands for site-packages and console scripts under `/usr/local`, whose path
/// has the interpreter's minor version in it.
pub const SITE_PACKAGES: &str = "/usr/local/lib/python*/site-packages";

/// Folders of every image that a program is moved into.
const SYSTEM_FOLDERS: [&str; 8] = [
    "/bin",
    "/etc",
    "/sbin",
    "/usr/bin",
    "/usr/lib",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/sbin",
];

/// Whether an argument is a compiler, with or without a folder and a version.
fn names_compiler(args: &[Option<String>]) -> bool {
    args.iter().flatten().any(|arg| {
        let name = arg.rsplit('/').next().unwrap_or(arg);
        compiled::compiles(
            name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')),
        )
    })
}

/// Whether a build tool is told to install what it built.
fn installs(args: &[Option<String>]) -> bool {
    let mut words = args.iter().flatten();
    words.any(|word| word == "--install" || word.starts_with("install"))
}

/// The prefix that a build tool's arguments name.
fn prefix_option(args: &[Option<String>]) -> Option<String> {
    const OPTIONS: [&str; 6] = [
        "--prefix",
        "--install-prefix",
        "-DCMAKE_INSTALL_PREFIX",
        "-DCMAKE_INSTALL_PREFIX:PATH",
        "DESTDIR",
        "PREFIX",
    ];
    let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
    words.iter().enumerate().find_map(|(at, word)| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let option = OPTIONS.contains(&name) || name == "prefix";
        let value = match value {
            "" if name.starts_with("--") => words.get(at + 1)?,
            value => value,
        };
        let value = value.trim_matches(['"', '\'']);
        (option && !value.is_empty()).then(|| value.to_owned())
    })
}

/// Whether a path says where apt's packages come from: sources, keys, pins.
fn of_apt(path: &str) -> bool {
    below(path, "/etc/apt") || below(path, "/usr/share/keyrings")
}

fn is_recursive(arg: &str) -> bool {
    arg == "--recursive" || (arg.starts_with('-') && !arg.starts_with("--") && arg.contains('R'))
}

/// Removes wrappers such as `sudo` and `env A=b` from the front.
fn unwrap(values: &mut Vec<Option<String>>) {
    loop {
        let Some(Some(first)) = values.first() else {
            return;
        };
        let skip = match first.as_str() {
            "sudo" | "exec" | "nice" | "nohup" | "time" | "command" | "eatmydata" => 1,
            "env" | "cross-env" => {
                1 + values[1..]
                    .iter()
                    .take_while(|w| w.as_deref().is_some_and(|w| w.contains('=')))
                    .count()
            }
            "timeout" => 2,
            _ => return,
        };
        let options = values[skip.min(values.len())..]
            .iter()
            .take_while(|w| w.as_deref().is_some_and(|w| w.starts_with('-')))
            .count();
        let end = (skip + options).min(values.len());
        if end >= values.len() {
            return;
        }
        values.drain(..end);
    }
}

/// `apt-get` and its like.
fn apt(args: &[Option<String>], effect: &mut Effect) {
    const WITH_VALUE: [&str; 6] = ["-t", "--target-release", "-o", "--option", "-c", "-a"];
    let mut verb = None;
    let mut packages = Vec::new();
    let mut options = Vec::new();
    let mut unknown = false;
    let mut iter = args.iter();
    while let Some(arg) = iter.next() {
        let Some(word) = arg else {
            unknown = true;
            continue;
        };
        if word.starts_with('-') {
            let keep = word.starts_with("-t")
                || word.starts_with("--target-release")
                || word.starts_with("-o")
                || word.starts_with("--allow");
            if keep {
                options.push(word.clone());
            }
            if WITH_VALUE.contains(&word.as_str())
                && let Some(Some(value)) = iter.next()
                && keep
            {
                options.push(value.clone());
            }
        } else if verb.is_none() {
            verb = Some(word.as_str());
        } else {
            // A variable may hold several.
            packages.extend(word.split_whitespace().map(str::to_owned));
        }
    }
    effect.what = match verb {
        Some(
            "update" | "clean" | "autoclean" | "autoremove" | "purge" | "remove" | "list" | "show"
            | "search",
        ) => What::AptLists,
        Some("upgrade" | "dist-upgrade" | "full-upgrade") => What::AptLists,
        Some("install" | "reinstall") if unknown => {
            What::Opaque("which packages it installs is not known".to_owned())
        }
        Some("install" | "reinstall") => What::AptInstall {
            packages: packages
                .into_iter()
                .map(|word| AptPackage {
                    name: word
                        .split(['=', ':', '/'])
                        .next()
                        .unwrap_or(&word)
                        .to_owned(),
                    word,
                })
                .collect(),
            options,
        },
        Some("build-dep") => What::Opaque("apt-get build-dep is not followed".to_owned()),
        _ => What::AptLists,
    };
}

/// `apk`: packages that are added, and lists.
fn apk(args: &[Option<String>], effect: &mut Effect) {
    const WITH_VALUE: [&str; 7] = [
        "-t",
        "--virtual",
        "-X",
        "--repository",
        "-p",
        "--root",
        "--arch",
    ];
    let mut verb = None;
    let mut group = None;
    let mut packages = Vec::new();
    let mut foreign = false;
    let mut iter = args.iter();
    while let Some(arg) = iter.next() {
        let Some(word) = arg.as_deref() else {
            effect.what = What::Opaque("which packages it installs is not known".to_owned());
            return;
        };
        if WITH_VALUE.contains(&word) {
            let value = iter.next().cloned().flatten();
            if matches!(word, "-t" | "--virtual") {
                group = value;
            } else {
                foreign = true;
            }
        } else if let Some(name) = word.strip_prefix("--virtual=") {
            group = Some(name.to_owned());
        } else if word.starts_with("--repository") || word.starts_with("-X") {
            foreign = true;
        } else if word.starts_with('-') {
        } else if verb.is_none() {
            verb = Some(word);
        } else {
            // A variable may hold several.
            packages.extend(word.split_whitespace().map(|word| {
                AptPackage {
                    name: word
                        .split(['=', '<', '>', '~', '@'])
                        .next()
                        .unwrap_or(word)
                        .to_owned(),
                    word: word.to_owned(),
                }
            }));
        }
    }
    effect.what = match verb {
        Some("add") if foreign => {
            What::Opaque("it installs packages from a repository of its own".to_owned())
        }
        Some("add") => What::ApkAdd { packages, group },
        _ => What::AptLists,
    };
}

/// The paths that the table's form says; `None` when they are not known.
fn writes(form: &str, args: &[Option<String>], cwd: &str) -> Option<Vec<Write>> {
    let tree = |path: String| Write { path, tree: true };
    let operand = |arg: &Option<String>| -> Option<String> { join(Some(cwd), arg.as_deref()?) };
    let is_option = |arg: &&Option<String>| {
        arg.as_deref()
            .is_some_and(|a| a.starts_with('-') && a != "-")
    };
    let operands: Vec<&Option<String>> = args.iter().filter(|arg| !is_option(arg)).collect();
    match form {
        "-" => return Some(Vec::new()),
        "cwd" => return Some(vec![tree(cwd.to_owned())]),
        "operands" => return operands.into_iter().map(|a| operand(a).map(tree)).collect(),
        "operands+1" => {
            return operands
                .into_iter()
                .skip(1)
                .map(|a| operand(a).map(tree))
                .collect();
        }
        "setcap" => {
            return operands
                .into_iter()
                .skip(1)
                .map(|a| operand(a).map(tree))
                .collect();
        }
        "last" => {
            let target = args.windows(2).find_map(|w| {
                matches!(w[0].as_deref(), Some("-t" | "--target-directory")).then(|| operand(&w[1]))
            });
            let last = match target {
                Some(target) => target,
                None => operands.last().and_then(|a| operand(a)),
            };
            let path = last?;
            // One source into a folder is a path of its own there.
            let written = operands.last().and_then(|a| a.as_deref()).unwrap_or("");
            let folder = written.ends_with('/') || matches!(written, "." | "..");
            let into = (folder || SYSTEM_FOLDERS.contains(&path.as_str())) && operands.len() == 2;
            let name = operands
                .first()
                .and_then(|a| a.as_deref())
                .and_then(|a| a.trim_end_matches('/').rsplit('/').next());
            let path = match name {
                Some(name) if into && !name.contains(['*', '?', '[']) => {
                    join(Some(&path), name).unwrap_or(path)
                }
                _ => path,
            };
            return Some(vec![tree(path)]);
        }
        "sed" => {
            let in_place = args.iter().flatten().any(|a| {
                a.starts_with("-i")
                    || a.starts_with("--in-place")
                    || a == "-ri"
                    || a == "-Ei"
                    || a == "-ie"
            });
            if !in_place {
                return Some(Vec::new());
            }
            let skip = usize::from(!args.iter().flatten().any(|a| a == "-e" || a == "-f"));
            let files = operands.into_iter().skip(skip);
            return files
                .map(|a| operand(a).map(|path| Write { path, tree: false }))
                .collect();
        }
        "browsers" | "home" => return None,
        _ => {}
    }
    for part in form.split('|') {
        if let Some(options) = part.strip_prefix("opt:") {
            for option in options.split(',') {
                for (at, arg) in args.iter().enumerate() {
                    let Some(arg) = arg.as_deref() else { continue };
                    let long = option.starts_with("--");
                    if arg == option || (!long && is_bundle(arg, option)) {
                        // `-O -` prints.
                        if matches!(args.get(at + 1), Some(Some(value)) if value == "-") {
                            return Some(Vec::new());
                        }
                        return args.get(at + 1).and_then(&operand).map(|path| {
                            if path.starts_with("/dev/") {
                                Vec::new()
                            } else {
                                vec![tree(path)]
                            }
                        });
                    }
                    if let Some(value) = arg.strip_prefix(option) {
                        let value = value.strip_prefix('=').unwrap_or(value);
                        if !value.is_empty() && (long || !value.starts_with('-')) {
                            return Some(vec![tree(join(Some(cwd), value)?)]);
                        }
                    }
                }
            }
        } else if let Some((flags, _)) = part.strip_prefix("flag:").and_then(|p| p.split_once('='))
        {
            for option in flags.split(',') {
                let has = |arg: &String| {
                    arg == option || (!option.starts_with("--") && is_bundle_of(arg, option))
                };
                if args.iter().flatten().any(has) {
                    return Some(vec![tree(cwd.to_owned())]);
                }
            }
        } else if part == "else=cwd" {
            return Some(vec![tree(cwd.to_owned())]);
        } else if part.starts_with('/') {
            return Some(vec![tree(part.to_owned())]);
        }
    }
    Some(Vec::new())
}

/// `-xzvf` style: the option is the last letter of a bundle.
fn is_bundle(arg: &str, option: &str) -> bool {
    arg.len() > 2
        && arg.starts_with('-')
        && !arg.starts_with("--")
        && arg.chars().skip(1).all(char::is_alphabetic)
        && arg.ends_with(&option[1..])
}

/// The option is any letter of a bundle, as in `curl -fsSLO`.
fn is_bundle_of(arg: &str, option: &str) -> bool {
    arg.len() > 2
        && arg.starts_with('-')
        && !arg.starts_with("--")
        && arg.chars().skip(1).all(char::is_alphabetic)
        && arg.contains(&option[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Option<String>> {
        text.split(' ').map(|word| Some(word.to_owned())).collect()
    }

    #[test]
    fn where_builds_install() {
        for (text, prefix) in [
            ("--prefix=/usr", Some("/usr")),
            ("--prefix /opt/x --enable-shared", Some("/opt/x")),
            ("install prefix=/usr", Some("/usr")),
            ("-B build -DCMAKE_INSTALL_PREFIX:PATH=/opt", Some("/opt")),
            ("install DESTDIR=/stage", Some("/stage")),
            ("--enable-prefix", None),
            ("install", None),
        ] {
            assert_eq!(prefix_option(&words(text)).as_deref(), prefix, "{text}");
        }
        assert!(installs(&words("--install build")) && installs(&words("-j install-strip")));
        assert!(!installs(&words("all")));
    }
}
