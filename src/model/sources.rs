//! The program's own sources in the build context: which programs they start,
//! and which modules they import.

use crate::catalog::libraries::{self, OwnModule};
use crate::catalog::{commands, programs};
use crate::facts::{Files, Known};

/// At most so many files are read, and so many bytes.
const MAX_FILES: usize = 600;
const MAX_BYTES: usize = 6 << 20;
const MAX_FOLDERS: usize = 400;

const EXTENSIONS: [&str; 32] = [
    "c", "cc", "cjs", "cpp", "cs", "cts", "cxx", "dart", "erl", "ex", "exs", "go", "hs", "java",
    "js", "jsx", "kt", "mjs", "mts", "php", "pl", "pm", "psgi", "py", "rake", "rb", "rs", "ru",
    "sh", "swift", "ts", "tsx",
];

/// Files of these run what stands between backticks.
const WITH_BACKTICKS: [&str; 8] = [".php", ".pl", ".pm", ".psgi", ".rake", ".rb", ".ru", ".sh"];

/// Folders without sources of the running program.
const SKIPPED: [&str; 22] = [
    ".git",
    ".github",
    ".next",
    ".nuxt",
    ".venv",
    "__mocks__",
    "__pycache__",
    "__tests__",
    "coverage",
    "cypress",
    "docs",
    "e2e",
    "example",
    "examples",
    "fixtures",
    "node_modules",
    "spec",
    "test",
    "tests",
    "vendor",
    "venv",
    ".yarn",
];

/// Functions that start a program whose name is their first argument.
const STARTERS: [&str; 32] = [
    "Command",
    "Popen",
    "ProcessBuilder",
    "Start",
    "call",
    "capture2",
    "capture2e",
    "capture3",
    "check_call",
    "check_output",
    "command",
    "commandSync",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "exec",
    "execAsync",
    "execFile",
    "execFileSync",
    "execPromise",
    "execSync",
    "execa",
    "execaSync",
    "getoutput",
    "passthru",
    "popen",
    "popen3",
    "proc_open",
    "run",
    "shell_exec",
    "spawn",
    "spawnSync",
    "system",
];

/// What was read.
#[derive(Debug, Default)]
pub struct Sources {
    texts: Vec<(String, String)>,
    compose: Vec<(String, String)>,
    /// What the full image has and the sources start.
    started: Vec<(String, String)>,
    /// All that they start.
    all_started: Vec<(String, String)>,
    /// Whether all of the context was read.
    pub complete: bool,
    /// Doubts.
    pub caveats: Vec<String>,
}

impl Sources {
    /// The programs that the sources start, and the file that does.
    pub fn started(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.started.iter().cloned()
    }

    /// The file that starts `command`, or that names it at the start of a text
    /// of its own, which it may start.
    #[must_use]
    pub fn starts(&self, command: &str) -> Option<String> {
        let found = self.all_started.iter().find(|(name, _)| name == command);
        let names = |text: &str| {
            text.match_indices(command).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                let after = text[at + command.len()..].chars().next();
                matches!(before, Some('"' | '\'' | '`' | '/'))
                    && matches!(after, Some('"' | '\'' | '`' | ' '))
            })
        };
        let named = || self.texts.iter().find(|(_, text)| names(text));
        found.or_else(named).map(|(_, file)| file.clone())
    }

    /// The first file whose text has `sign`.
    #[must_use]
    pub fn mentions(&self, sign: &str) -> Option<&str> {
        let mut found = self.texts.iter().filter(|(_, text)| text.contains(sign));
        found.next().map(|(path, _)| path.as_str())
    }

    /// The file that needs a compiler at run time, and the sign of it.
    #[must_use]
    pub fn compiles(&self) -> Option<(&str, &'static str)> {
        let runtime = self.texts.iter().filter(|(path, _)| is_runtime(path));
        let mut found = runtime.filter_map(|(path, text)| {
            programs::compiles_at_run_time(text).map(|sign| (path.as_str(), sign))
        });
        found.next()
    }

    /// The modules of an image's own interpreter that the sources load and whose
    /// library small images lack, each with the first file that does.
    pub fn own_modules(&self, image: &str) -> impl Iterator<Item = (OwnModule, &str)> {
        libraries::own_modules(image).filter_map(|module| {
            let file = self.loads_module(module.name, &module.signs)?;
            Some((module, file))
        })
    }

    /// The first Python file that imports a module, or has one of the signs of it.
    fn loads_module(&self, name: &str, signs: &[&str]) -> Option<&str> {
        let imports = |line: &str| {
            let mut words = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ';'));
            match words.next() {
                Some("from") => words.next() == Some(name),
                Some("import") => words.any(|word| word == name),
                _ => false,
            }
        };
        let mut found = self.texts.iter().filter(|(path, text)| {
            let may = path.ends_with(".py") && is_runtime(path);
            may && (text.lines().any(|line| imports(line.trim_start()))
                || signs.iter().any(|sign| text.contains(sign)))
        });
        found.next().map(|(path, _)| path.as_str())
    }

    /// The first file that imports the Node.js package `name` at run time.
    #[must_use]
    pub fn imports(&self, name: &str) -> Option<&str> {
        let forms: Vec<String> = ["require(", "import(", "from ", "import "]
            .iter()
            .flat_map(|before| ['\'', '"', '`'].map(|quote| format!("{before}{quote}{name}")))
            .collect();
        let file = self.texts.iter().find(|(path, text)| {
            is_runtime(path)
                && text.contains(name)
                && forms.iter().any(|form| {
                    text.match_indices(form.as_str()).any(|(at, _)| {
                        let after = text[at + form.len()..].chars().next();
                        let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
                        let typed = text[line..at].trim_start().starts_with("import type");
                        matches!(after, Some('\'' | '"' | '`' | '/')) && !typed
                    })
                })
        });
        file.map(|(path, _)| path.as_str())
    }
}

/// Whether a source is part of the running program by its name: no test, no
/// configuration of a build tool.
fn is_runtime(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    !(stem.ends_with(".test")
        || stem.ends_with(".spec")
        || stem.ends_with(".config")
        || stem.ends_with(".stories")
        || stem.ends_with(".d")
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.starts_with(".eslintrc")
        || matches!(
            stem.to_ascii_lowercase().as_str(),
            "gulpfile" | "gruntfile" | "setup" | "conftest" | "karma.conf" | "webpack.mix"
        )
        || name.ends_with(".sh"))
}

fn is_compose(name: &str) -> bool {
    (name.starts_with("docker-compose") || name.starts_with("compose"))
        && (name.ends_with(".yml") || name.ends_with(".yaml"))
}

/// Reads the sources of the context; `codename` says which programs the full
/// image has.
#[must_use]
pub fn scan(files: &dyn Files, codename: &str) -> Sources {
    let mut out = Sources {
        complete: true,
        ..Sources::default()
    };
    let mut folders = vec![String::new()];
    let mut seen = 0;
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        seen += 1;
        let entries = match files.list(&folder) {
            Known::Yes(entries) if seen <= MAX_FOLDERS => entries,
            Known::No => continue,
            Known::Yes(_) | Known::Unknown(_) => {
                out.complete = false;
                continue;
            }
        };
        for (name, is_folder) in entries {
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            if is_folder {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
                continue;
            }
            if folder.is_empty() && is_compose(&name) {
                if let Known::Yes(text) = files.text(&path) {
                    out.compose.push((path, text));
                }
                continue;
            }
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            if !EXTENSIONS.contains(&extension) || name.ends_with(".min.js") {
                continue;
            }
            if out.texts.len() >= MAX_FILES || bytes >= MAX_BYTES {
                out.complete = false;
                break;
            }
            match files.text(&path) {
                Known::Yes(text) => {
                    bytes += text.len();
                    out.texts.push((path, text));
                }
                _ => out.complete = false,
            }
        }
    }
    for (path, text) in &out.texts {
        let mut commands = started(text);
        if WITH_BACKTICKS.iter().any(|end| path.ends_with(end)) {
            commands.extend(between_backticks(text));
        }
        for command in commands {
            if !out.all_started.iter().any(|(name, _)| *name == command) {
                out.all_started.push((command.clone(), path.clone()));
            }
            let known = commands::in_full(&command, codename).is_some();
            if known && !out.started.iter().any(|(name, _)| *name == command) {
                out.started.push((command, path.clone()));
            }
        }
    }
    // A health check of a compose file runs in the container as well.
    for (path, text) in &out.compose {
        for line in text.lines().filter(|line| line.contains("CMD")) {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-') {
                let known = commands::in_full(word, codename).is_some();
                if known && !out.started.iter().any(|(name, _)| name == word) {
                    out.started.push((word.to_owned(), path.clone()));
                }
            }
        }
    }
    if !out.complete {
        let why = if seen <= 1 {
            "the build context could not be read, so programs that the sources start at run time are not known"
        } else {
            "not all of the build context could be read, so the sources may start programs that the slim image lacks"
        };
        out.caveats.push(why.to_owned());
    }
    out
}

/// The first words of the command lines that a source starts literally.
fn started(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, _) in text.match_indices('(') {
        let head = text[..at].trim_end_matches("?.");
        let name_start = head
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(0, |n| n + 1);
        // A boundary found inside a multi-byte character is none.
        let Some(name) = head.get(name_start..) else {
            continue;
        };
        if !STARTERS.contains(&name) {
            continue;
        }
        let rest = text[at + 1..]
            .trim_start()
            .trim_start_matches('[')
            .trim_start();
        let rest = rest.strip_prefix(['f', 'r']).unwrap_or(rest);
        let Some(quote) = rest
            .chars()
            .next()
            .filter(|c| matches!(c, '\'' | '"' | '`'))
        else {
            continue;
        };
        let line = &rest[1..];
        let end = line.find([quote, '\n']).unwrap_or(line.len());
        let first = line[..end].split_whitespace().next().unwrap_or_default();
        let base = first.rsplit('/').next().unwrap_or(first);
        if !base.is_empty() && base.len() < 40 {
            out.push(base.to_owned());
        }
    }
    out
}

/// The first words of what stands between backticks on one line.
fn between_backticks(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter_map(|inner| {
            let first = inner.split_whitespace().next()?;
            Some(first.rsplit('/').next().unwrap_or(first).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_programs_that_sources_start() {
        let text = r#"
            const { execSync } = require('child_process');
            execSync(`git rev-parse HEAD`);
            subprocess.run(["ffmpeg", "-i", path])
            os.system('/usr/bin/convert a b')
            run(options);
            überexec("x");
        "#;
        assert_eq!(started(text), ["git", "ffmpeg", "convert"]);
    }

    #[test]
    fn finds_the_programs_between_backticks() {
        let text = "sha = `git rev-parse HEAD`.strip\n# `make` it\nx = `/usr/bin/convert #{a} b`";
        assert_eq!(between_backticks(text), ["git", "convert"]);
    }

    #[test]
    fn tells_runtime_imports_from_types_and_tests() {
        let mut sources = Sources::default();
        let mut add = |path: &str, text: &str| {
            sources.texts.push((path.to_owned(), text.to_owned()));
        };
        add("src/a.test.ts", "import x from 'jest-mock'");
        add(
            "src/b.ts",
            "import type { Y } from 'typed'\nimport z from \"dotenv/config\"",
        );
        add("vite.config.ts", "import v from 'vite'");
        assert_eq!(sources.imports("jest-mock"), None);
        assert_eq!(sources.imports("typed"), None);
        assert_eq!(sources.imports("dotenv"), Some("src/b.ts"));
        assert_eq!(sources.imports("vite"), None);
    }
}
