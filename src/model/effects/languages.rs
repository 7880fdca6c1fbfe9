//! Interpreters and package managers of Ruby, Perl, PHP and Elixir, where
//! their own arguments say what they write.

use super::{Effect, Frame, Reader, What, Write};
use crate::catalog::programs;
use crate::model::join;

/// Where modules of a Perl under `/usr/local` go, and their programs.
const SITE_PERL: [&str; 2] = ["/usr/local/lib/perl5/site_perl", "/usr/local/bin"];

/// Programs of a project that write below it.
const PROJECT_CONSOLES: [&str; 4] = ["artisan", "console", "magento", "occ"];

impl Reader<'_, '_> {
    /// `ruby x.rb`, `perl -e …`, `php artisan …`; `fed` is the command whose
    /// output is piped into it.
    pub(super) fn interpreter(
        &mut self,
        name: &str,
        args: &[Option<String>],
        fed: Option<&str>,
        frame: &Frame<'_>,
        effect: &mut Effect,
    ) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        if name == "composer.phar" {
            return self.composer(args, frame, effect);
        }
        let file = words.iter().position(|word| !word.starts_with('-'));
        match (name, words.as_slice()) {
            (
                "php",
                [
                    "-v" | "-i" | "-m" | "-l" | "--version" | "--ini" | "--ri",
                    ..,
                ],
            ) => {}
            ("ruby" | "perl", ["-v" | "-V" | "--version", ..]) => {}
            ("php", ["-r", code, ..]) => self.inspect_program("its code", code, frame, effect),
            ("perl", ["-MCPAN", ..]) => site_perl(effect),
            // Files are edited in place after the code.
            ("ruby" | "perl", [first, ..]) if in_place(first) => {
                let code = words
                    .iter()
                    .position(|w| w.starts_with('-') && w.ends_with('e'));
                let files = code.map_or(words.len(), |code| code + 2);
                effect.what = What::Writes;
                for file in words.iter().skip(files).filter(|w| !w.starts_with('-')) {
                    let path = join(Some(&frame.cwd), file).unwrap_or_default();
                    effect.writes.push(Write { path, tree: false });
                }
            }
            ("ruby" | "perl", [first, code, ..])
                if first.starts_with('-') && first.ends_with('e') && !first.starts_with("--") =>
            {
                self.inspect_program("its code", code, frame, effect);
            }
            ("perl", ["Makefile.PL" | "Build.PL", ..]) => self.bounded(frame, effect),
            ("php", _) if fed.is_some_and(|fed| fed.contains("getcomposer.org")) => {
                self.composer_installer(&words, frame, effect);
            }
            ("perl", _) if fed.is_some_and(|fed| fed.contains("cpanm") || fed.contains("/cpm")) => {
                site_perl(effect);
            }
            (_, _) if fed.is_some() && file.is_none_or(|at| words[at] == "-") => {
                effect.what = What::Opaque(format!("it runs what `{}` prints", fed.unwrap_or("")));
            }
            ("php", words) if file.is_some() => {
                let at = file.unwrap_or(0);
                let base = words[at].rsplit('/').next().unwrap_or(words[at]);
                let rest = &args[(at + 1).min(args.len())..];
                if matches!(base, "composer" | "composer.phar") {
                    self.composer(rest, frame, effect);
                } else if base.contains("composer") || base == "installer" {
                    self.composer_installer(words, frame, effect);
                } else if PROJECT_CONSOLES.contains(&base) {
                    self.bounded(frame, effect);
                } else {
                    self.program(&args[at..], frame, effect, name);
                }
            }
            _ => self.program(args, frame, effect, name),
        }
    }

    /// The folder of a project's own settings for Bundler.
    pub(super) fn bundle_config(&self, frame: &Frame<'_>) -> String {
        self.variable("BUNDLE_APP_CONFIG", frame)
            .unwrap_or_else(|| format!("{}/.bundle", frame.cwd.trim_end_matches('/')))
    }

    fn composer(&self, args: &[Option<String>], frame: &Frame<'_>, effect: &mut Effect) {
        effect.program = Some("composer".to_owned());
        let verb = args.iter().flatten().find(|arg| !arg.starts_with('-'));
        match programs::role("composer", verb.map(String::as_str)) {
            Some(row) => self.by_table("composer", row, args, frame, effect),
            None => self.bounded(frame, effect),
        }
    }

    /// Composer's installer writes one file.
    fn composer_installer(&self, words: &[&str], frame: &Frame<'_>, effect: &mut Effect) {
        let option = |name: &str| {
            words.iter().enumerate().find_map(|(at, word)| {
                let value = word.strip_prefix(name)?;
                match value.strip_prefix('=') {
                    Some(value) => Some(value),
                    None if value.is_empty() => words.get(at + 1).copied(),
                    None => None,
                }
            })
        };
        let folder = option("--install-dir").unwrap_or(".");
        let name = option("--filename").unwrap_or("composer.phar");
        effect.what = What::Writes;
        let path = join(Some(&frame.cwd), &format!("{folder}/{name}")).unwrap_or_default();
        effect.writes.push(Write { path, tree: false });
    }

    /// `mix`: below the project, and what it installs for itself.
    pub(super) fn mix(&mut self, args: &[Option<String>], frame: &Frame<'_>, effect: &mut Effect) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        let tasks: Vec<&str> = words
            .iter()
            .map(|word| word.trim_end_matches(','))
            .collect();
        let own = ["local.hex", "local.rebar", "archive.install"];
        if tasks.iter().any(|task| own.contains(task)) {
            let home = self
                .variable("MIX_HOME", frame)
                .unwrap_or_else(|| format!("{}/.mix", self.home(frame)));
            let path = join(Some(&frame.cwd), &home).unwrap_or(home);
            effect.writes.push(Write { path, tree: true });
        }
        let alone = tasks.first().is_some_and(|task| own.contains(task)) && !tasks.contains(&"do");
        if !alone {
            if tasks.first() == Some(&"run") {
                effect.what = What::Opaque("what the program does is not known".to_owned());
                return;
            }
            self.bounded(frame, effect);
            // A release may go to a folder of its own.
            let to = words.iter().position(|word| *word == "--path");
            let to = to.and_then(|at| words.get(at + 1).copied());
            let to = to.or_else(|| words.iter().find_map(|word| word.strip_prefix("--path=")));
            if let Some(path) = to.and_then(|to| join(Some(&frame.cwd), to)) {
                effect.writes.push(Write { path, tree: true });
            }
        }
    }

    /// `cpm` installs into `local`, or with `-g` where the interpreter looks.
    pub(super) fn cpm(&mut self, args: &[Option<String>], frame: &Frame<'_>, effect: &mut Effect) {
        let words: Vec<&str> = args.iter().flatten().map(String::as_str).collect();
        if words.first() != Some(&"install") {
            return;
        }
        if words.iter().any(|word| matches!(*word, "-g" | "--global")) {
            return site_perl(effect);
        }
        let at = words
            .iter()
            .position(|w| matches!(*w, "-L" | "--local-lib-contained"));
        let folder = at
            .and_then(|at| words.get(at + 1))
            .copied()
            .unwrap_or("local");
        effect.what = What::Writes;
        let path = join(Some(&frame.cwd), folder).unwrap_or_default();
        effect.writes.push(Write { path, tree: true });
    }
}

/// What the official Alpine images of PHP have in `$PHPIZE_DEPS`: the packages
/// that build extensions.
const PHPIZE_DEPS: [&str; 9] = [
    "autoconf", "dpkg", "dpkg-dev", "file", "g++", "gcc", "libc-dev", "make", "re2c",
];

/// The arguments with `$PHPIZE_DEPS`, by their text, as what it holds.
pub(super) fn with_phpize(args: &[Option<String>], texts: &[String]) -> Vec<Option<String>> {
    let mut out = Vec::new();
    for (arg, text) in args.iter().zip(texts) {
        let name = text.trim_start_matches('$').trim_matches(['{', '}']);
        if arg.is_none() && name == "PHPIZE_DEPS" {
            out.extend(PHPIZE_DEPS.map(|package| Some(package.to_owned())));
        } else {
            out.push(arg.clone());
        }
    }
    out
}

/// Modules go where the interpreter looks for them.
fn site_perl(effect: &mut Effect) {
    effect.what = What::Writes;
    effect.writes.extend(SITE_PERL.map(|path| Write {
        path: path.to_owned(),
        tree: true,
    }));
}

/// `-i`, `-pi`, `-pi.bak`: files are edited where they are.
fn in_place(option: &str) -> bool {
    let letters = option.strip_prefix('-').unwrap_or_default();
    let letters = letters.split('.').next().unwrap_or_default();
    !letters.starts_with('-')
        && letters.contains('i')
        && letters
            .chars()
            .all(|c| matches!(c, 'p' | 'i' | 'n' | 'e' | 'l' | '0' | 'w'))
}
