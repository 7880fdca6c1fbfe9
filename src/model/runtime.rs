//! What a stage's image demands at run time: the programs that ENTRYPOINT, CMD
//! and HEALTHCHECK start, followed through scripts of the build context.

use super::effects::{Copied, NodeTool};
use super::{Model, Step, join};
use crate::catalog::programs;
use crate::facts::{Files, Known};
use crate::syntax::shell;
use crate::syntax::{Instruction, Keyword};

/// A command that is demanded, and where that is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    /// The command's name, without its folder.
    pub command: String,
    /// Its whole path or name as written.
    pub program: String,
    /// Its arguments, as far as they are known.
    pub args: Vec<String>,
    /// What demands it, for people: `CMD`, `CMD → docker-entrypoint.sh`.
    pub via: String,
    /// The line of the instruction that demands it, from 1.
    pub line: usize,
}

/// The runtime demand of a stage.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Runtime {
    /// Indices of the instructions that count: the last of each kind.
    pub entrypoint: Option<usize>,
    /// As `entrypoint`.
    pub cmd: Option<usize>,
    /// As `entrypoint`.
    pub healthcheck: Option<usize>,
    /// The commands.
    pub demands: Vec<Demand>,
    /// Why the demand is not wholly known, with the line.
    pub unknown: Vec<(usize, String)>,
    /// Programs below a copied folder that are not in the build context (or
    /// can't be read there): the file makes them, or nobody does.
    pub unseen: Vec<Unseen>,
}

/// A program that runs and is not seen in the build context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unseen {
    /// The line of the instruction that demands it, from 1.
    pub line: usize,
    /// Its path in the image.
    pub path: String,
    /// What demands it, for people.
    pub via: String,
}

/// Programs that run another one: tini, env, exec.
const RUNNERS: [&str; 16] = [
    "command",
    "cross-env",
    "doppler",
    "dotenv",
    "dumb-init",
    "env",
    "exec",
    "gosu",
    "nice",
    "nohup",
    "su-exec",
    "sudo",
    "time",
    "tini",
    "wait-for-it",
    "xvfb-run",
];

const SHELLS: [&str; 4] = ["ash", "bash", "dash", "sh"];

/// Follows what a stage runs.
#[must_use]
pub fn demand(
    model: &Model<'_>,
    stage: usize,
    copied: &Copied,
    files: &dyn Files,
    workdir: &str,
) -> Runtime {
    let mut runtime = Runtime::default();
    for step in &model.stages[stage].steps {
        let index = step.instruction;
        match model.instructions[index].keyword {
            Keyword::Entrypoint => {
                // ENTRYPOINT resets a CMD of the base, not one of this file.
                runtime.entrypoint = Some(index);
            }
            Keyword::Cmd => runtime.cmd = Some(index),
            Keyword::Healthcheck => runtime.healthcheck = Some(index),
            _ => {}
        }
    }
    let mut follower = Follower {
        model,
        copied,
        files,
        cwd: model
            .state_after(stage)
            .workdir
            .unwrap_or_else(|| workdir.to_owned()),
        stage,
        end: model.state_after(stage),
        runtime: &mut runtime,
        seen: Vec::new(),
        starts_arguments: true,
    };
    let (entrypoint, cmd, health) = (
        follower.runtime.entrypoint,
        follower.runtime.cmd,
        follower.runtime.healthcheck,
    );
    for index in [entrypoint, cmd, health].into_iter().flatten() {
        follower.instruction(model.instructions[index], entrypoint.is_some());
    }
    runtime
}

struct Follower<'m, 'a> {
    model: &'m Model<'a>,
    copied: &'m Copied,
    files: &'m dyn Files,
    cwd: String,
    stage: usize,
    /// The state after the stage's last instruction.
    end: Step,
    runtime: &'m mut Runtime,
    seen: Vec<String>,
    /// Whether ENTRYPOINT may start what CMD says.
    starts_arguments: bool,
}

impl Follower<'_, '_> {
    fn instruction(&mut self, it: &Instruction, entrypoint: bool) {
        let source = self.model.file.source();
        let via = it.keyword.name().to_owned();
        let line = it.start_line;
        if let Some(words) = &it.json {
            let words: Vec<String> = words.iter().map(|w| w.value.clone()).collect();
            // Arguments of an ENTRYPOINT are no program of their own, unless
            // that is a script which ends in `exec "$@"`.
            let argument = it.keyword == Keyword::Cmd
                && entrypoint
                && (!self.starts_arguments || words.first().is_some_and(|w| w.starts_with('-')));
            if it.keyword == Keyword::Entrypoint {
                self.starts_arguments = self.starts(&words);
            }
            if !words.is_empty() && !argument {
                self.command(&words, &via, line, 0);
            }
            return;
        }
        let mut text = it.args_text(source).into_owned();
        if it.keyword == Keyword::Healthcheck {
            if text.eq_ignore_ascii_case("none") {
                return;
            }
            text = text
                .split_once(char::is_whitespace)
                .map_or_else(String::new, |(_, rest)| rest.to_owned());
        }
        self.script(text.as_bytes(), &via, line, 0);
    }

    /// Whether an ENTRYPOINT may start what CMD adds to it: a script, a shell, or
    /// a program that is there to run another one.
    fn starts(&self, words: &[String]) -> bool {
        let Some(program) = words.first() else {
            return true;
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        let runs = |word: &String| matches!(word.as_str(), "run" | "exec" | "--" | "x");
        let script = join(Some(&self.cwd), program)
            .and_then(|path| self.copied.context_path(&path))
            .is_some_and(|context| {
                !matches!(self.files.exists(&context), Known::Yes(false) | Known::No)
            });
        script
            || RUNNERS.contains(&name)
            || SHELLS.contains(&name)
            || name.ends_with(".sh")
            || name.contains("entrypoint")
            || words.iter().any(runs)
            || matches!(name, "npx" | "pnpx" | "bunx")
    }

    fn script(&mut self, text: &[u8], via: &str, line: usize, depth: usize) {
        let script = shell::parse(text);
        if !script.is_valid() || depth > 5 {
            let why = format!("the shell of {via} can't be followed");
            self.runtime.unknown.push((line, why));
            return;
        }
        for command in script.commands() {
            let words: Vec<String> = command
                .words
                .iter()
                .enumerate()
                .map(|(at, word)| {
                    let known = word.literal(text).map(std::borrow::Cow::into_owned);
                    let raw = || String::from_utf8_lossy(word.text(text)).into_owned();
                    // A pattern of files stands for itself, as does what ENV sets
                    // in the instruction's own text.
                    let pattern = word.has_glob() && !word.has_expansion() && !word.is_quoted();
                    let set = || {
                        let own = at > 0 && depth == 0 && word.has_expansion();
                        let value = own.then(|| raw().trim_matches('"').to_owned())?;
                        if value.contains("$(") || value.contains('`') {
                            return None;
                        }
                        self.model.resolve(self.stage, &self.end, &value).ok()
                    };
                    known
                        .or_else(|| pattern.then(raw))
                        .or_else(set)
                        .unwrap_or_else(|| "$".to_owned())
                })
                .collect();
            match words.first().map(String::as_str) {
                None => {}
                Some("$") => {}
                Some(_) => self.command(&words, via, line, depth),
            }
        }
    }

    fn command(&mut self, words: &[String], via: &str, line: usize, depth: usize) {
        if self.runtime.demands.len() > 500 {
            return;
        }
        let program = words[0].clone();
        let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
        let demand = Demand {
            command: name.clone(),
            program: program.clone(),
            args: words[1..].to_vec(),
            via: via.to_owned(),
            line,
        };
        self.runtime.demands.push(demand);
        let rest = &words[1..];
        if depth > 5 {
            return;
        }
        if RUNNERS.contains(&name.as_str()) {
            let skip = rest
                .iter()
                .take_while(|w| w.starts_with('-') || w.contains('=') || w.as_str() == "--")
                .count();
            let user = usize::from(matches!(name.as_str(), "gosu" | "su-exec"));
            if let Some(inner) = rest.get(skip + user..).filter(|inner| !inner.is_empty()) {
                self.command(inner, via, line, depth + 1);
            }
            return;
        }
        if SHELLS.contains(&name.as_str()) {
            let at = rest.iter().position(|w| !w.starts_with('-'));
            let inline = rest
                .iter()
                .take_while(|w| w.starts_with('-'))
                .any(|w| !w.starts_with("--") && w.contains('c'));
            match at.map(|at| rest[at].clone()) {
                Some(text) if inline => self.script(text.as_bytes(), via, line, depth + 1),
                Some(path) => self.file(&path, via, line, depth),
                None => {}
            }
            return;
        }
        if let Some(tool) = NodeTool::of(&name) {
            self.package_script(tool, rest, via, line, depth);
            return;
        }
        if matches!(name.as_str(), "poetry" | "uv" | "pipenv" | "pdm")
            && let Some(at) = rest.iter().position(|w| w == "run")
        {
            return self.inner(&rest[at + 1..], via, line, depth);
        }
        // `bundle exec puma`, `carton exec -- plackup`: the command after it.
        if matches!(name.as_str(), "bundle" | "bundler" | "carton")
            && rest.first().is_some_and(|verb| verb == "exec")
        {
            return self.inner(&rest[1..], via, line, depth);
        }
        if program.contains('/') || program.ends_with(".sh") {
            self.file(&program, via, line, depth);
        }
    }

    /// The command that a runner's arguments are, after its options.
    fn inner(&mut self, words: &[String], via: &str, line: usize, depth: usize) {
        let skip = words.iter().take_while(|w| w.starts_with('-')).count();
        let inner = &words[skip..];
        if !inner.is_empty() {
            self.command(inner, via, line, depth + 1);
        }
    }

    /// A script of the build context.
    fn file(&mut self, path: &str, via: &str, line: usize, depth: usize) {
        let full = if path.contains('/') {
            join(Some(&self.cwd), path)
        } else {
            // By PATH: the usual place of entrypoints, or the working directory.
            let usual = format!("/usr/local/bin/{path}");
            let known = self.copied.context_path(&usual).is_some();
            if known {
                Some(usual)
            } else {
                join(Some(&self.cwd), path)
            }
        };
        let Some(full) = full else { return };
        if self.seen.contains(&full) {
            return;
        }
        self.seen.push(full.clone());
        let Some(context) = self.copied.context_path(&full) else {
            return;
        };
        let Some(text) = self.files.text(&context).yes() else {
            self.runtime.unseen.push(Unseen {
                line,
                path: full,
                via: via.to_owned(),
            });
            return;
        };
        let first = text.lines().next().unwrap_or_default();
        let is_shell = first.contains("sh") || (!first.starts_with("#!") && path.ends_with(".sh"));
        if is_shell {
            if let Some(interpreter) = first.strip_prefix("#!") {
                let words: Vec<String> =
                    interpreter.split_whitespace().map(str::to_owned).collect();
                if let Some(first) = words.first() {
                    self.runtime.demands.push(Demand {
                        command: first.rsplit('/').next().unwrap_or(first).to_owned(),
                        program: first.clone(),
                        args: Vec::new(),
                        via: format!("{via} → {path}"),
                        line,
                    });
                }
            }
            let via = format!("{via} → {context}");
            self.script(text.as_bytes(), &via, line, depth + 1);
        }
    }

    /// `npm start`, `yarn x`, `pnpm run x`: the script of package.json.
    fn package_script(
        &mut self,
        tool: NodeTool,
        args: &[String],
        via: &str,
        line: usize,
        depth: usize,
    ) {
        let operands: Vec<&str> = args
            .iter()
            .map(String::as_str)
            .filter(|w| !w.starts_with('-'))
            .collect();
        let name = match (tool, operands.as_slice()) {
            (_, ["run" | "run-script", name, ..]) => *name,
            (_, ["exec" | "dlx" | "x", ..]) => return,
            (NodeTool::Npm, [name @ ("start" | "test"), ..]) => name,
            (NodeTool::Npm, _) => return,
            (_, [name, ..]) => name,
            (_, []) => return,
        };
        // `bun run src/index.ts` runs a file.
        let file = [".cjs", ".js", ".jsx", ".mjs", ".mts", ".ts", ".tsx"];
        if tool == NodeTool::Bun && file.iter().any(|ending| name.ends_with(ending)) {
            return;
        }
        let manifest = format!("{}/package.json", self.cwd.trim_end_matches('/'));
        let text = self
            .copied
            .context_path(&manifest)
            .and_then(|path| self.files.text(&path).yes());
        let Some(text) = text else {
            let why = format!("package.json, whose script {name} {via} runs, can't be read");
            self.runtime.unknown.push((line, why));
            return;
        };
        let Ok(manifest) = serde_json::from_str::<serde_json::Value>(&text) else {
            let why = "package.json is no valid JSON".to_owned();
            self.runtime.unknown.push((line, why));
            return;
        };
        let key = format!("{tool:?} {name}");
        if self.seen.contains(&key) {
            return;
        }
        self.seen.push(key);
        let scripts = &manifest["scripts"];
        let mut found = false;
        for phase in [format!("pre{name}"), name.to_owned(), format!("post{name}")] {
            if let Some(script) = scripts[&phase].as_str() {
                found = true;
                let via = format!("{via} → package.json {phase}");
                self.script(script.as_bytes(), &via, line, depth + 1);
            }
        }
        if !found {
            if name == "start" {
                self.runtime.demands.push(Demand {
                    command: "node".to_owned(),
                    program: "node".to_owned(),
                    args: vec!["server.js".to_owned()],
                    via: format!("{via} → npm's default start script"),
                    line,
                });
            } else {
                let why = format!("package.json has no script {name}, which {via} runs");
                self.runtime.unknown.push((line, why));
            }
        }
    }
}

impl Unseen {
    /// Why that stands in the way, where nothing is known to make it.
    #[must_use]
    pub fn why(&self) -> String {
        format!(
            "{}, which {} runs, can't be read in the build context",
            self.path, self.via
        )
    }
}

impl Runtime {
    /// The first demand that is a development server, and why it is one.
    #[must_use]
    pub fn development_server(&self) -> Option<(&Demand, &'static str)> {
        self.demands.iter().find_map(|demand| {
            let mut words = vec![demand.command.as_str()];
            words.extend(demand.args.iter().map(String::as_str));
            programs::development_server(&words).map(|why| (demand, why))
        })
    }
}
