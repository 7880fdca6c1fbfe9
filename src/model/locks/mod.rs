//! What lock files and manifests say of the packages that they name: text in,
//! facts out. Nothing is judged here; what a fact means for another C library
//! is [`super::musl`]'s.
//!
//! A format that doesn't say something leaves it open (`None`, an empty list),
//! never at a default.

pub mod elf;
mod node;
mod others;
mod python;

pub use node::{bun, npm, pnpm, yarn};
pub use others::{cargo, composer, gem, go_mod, gradle, hex, maven, nuget, project_xml};
pub use python::{Wheel, pdm, pipfile, poetry, requirements, uv};

/// A kind of lock file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// `package-lock.json` and `npm-shrinkwrap.json` of that `lockfileVersion`.
    Npm(u64),
    /// `yarn.lock` of yarn 1.
    YarnClassic,
    /// `yarn.lock` of yarn 2 and later.
    YarnBerry,
    /// `pnpm-lock.yaml`.
    Pnpm,
    /// `bun.lock`.
    Bun,
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `pdm.lock`.
    Pdm,
    /// `Pipfile.lock`.
    Pipfile,
    /// `requirements.txt`.
    Requirements,
    /// `go.mod`.
    Go,
    /// `Cargo.lock`.
    Cargo,
    /// `Gemfile.lock`.
    Gem,
    /// `composer.lock` or `composer.json`.
    Composer,
    /// `pom.xml`.
    Maven,
    /// `gradle.lockfile`, `build.gradle`, `build.gradle.kts`.
    Gradle,
    /// `packages.lock.json`, `*.csproj`.
    Nuget,
    /// `mix.lock`.
    Hex,
}

/// A lock file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lock {
    /// What kind it is.
    pub format: Format,
    /// What it names, in its order.
    pub packages: Vec<Package>,
    /// The platforms that it was made for (`Gemfile.lock`).
    pub platforms: Vec<String>,
}

/// A package that a lock file names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Package {
    /// Its name: of npm with its scope, of Maven `group:artifact`.
    pub name: String,
    /// Its version; empty where none is told.
    pub version: String,
    /// The line of its entry, from 1; 0 where it can't be told.
    pub line: usize,
    /// Whether only development needs it.
    pub dev: bool,
    /// Whether an install goes on without it.
    pub optional: bool,
    /// Whether it runs a script when it is installed; `None` where the format
    /// doesn't say.
    pub script: Option<bool>,
    /// The systems that it is for, `!` before one that it is not for.
    pub os: Vec<String>,
    /// The processors that it is for, likewise.
    pub cpu: Vec<String>,
    /// The C libraries that it is for.
    pub libc: Vec<String>,
    /// What it depends on.
    pub needs: Vec<String>,
    /// What it depends on where that can be had.
    pub optional_needs: Vec<String>,
    /// The names of its files, where they tell platforms: wheels and sources
    /// of PyPI, the platforms of a gem.
    pub files: Vec<String>,
}

impl Package {
    fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            ..Self::default()
        }
    }

    /// Whether it is for Linux on this processor, as npm names it.
    #[must_use]
    pub fn fits(&self, os: &str, cpu: &str) -> bool {
        let allowed = |list: &[String], it: &str| {
            let denied = list.iter().any(|e| e.strip_prefix('!') == Some(it));
            let named = list.iter().any(|e| e == it);
            let only_denials = list.iter().all(|e| e.starts_with('!'));
            !denied && (named || only_denials)
        };
        allowed(&self.os, os) && allowed(&self.cpu, cpu)
    }
}

/// Finds the lines of entries that come in the order of the text: linear in
/// its length over all questions that do.
struct LineFinder<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> LineFinder<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line of the next place of `needle`, from 1, else of the first one.
    fn find(&mut self, needle: &str) -> usize {
        let count = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count();
        if let Some(after) = self.text[self.at..].find(needle) {
            let at = self.at + after;
            self.line += count(&self.text[self.at..at]);
            self.at = at;
            return self.line;
        }
        match self.text.find(needle) {
            Some(at) => 1 + count(&self.text[..at]),
            None => 0,
        }
    }
}

/// Compares two versions number by number; letters end a number.
#[must_use]
pub fn older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        text.trim_start_matches(|c: char| !c.is_ascii_digit())
            .split(['.', '-', '+'])
            .map_while(|part| {
                let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().ok()
            })
            .collect()
    };
    let (mut one, mut other) = (numbers(version), numbers(than));
    let len = one.len().max(other.len());
    one.resize(len, 0);
    other.resize(len, 0);
    one < other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(older("1.9.3", "1.10"));
        assert!(older("v0.9", "1"));
        assert!(!older("2.0.0", "2"));
        assert!(!older("6.0.0-rc1", "6"));
        assert!(older("3.7", "3.7.1"));
    }

    #[test]
    fn lines_are_found_in_any_order() {
        let mut finder = LineFinder::new("a\nb\nc\nb\n");
        assert_eq!(finder.find("b"), 2);
        assert_eq!(finder.find("c"), 3);
        assert_eq!(finder.find("b"), 4);
        assert_eq!(finder.find("a"), 1);
        assert_eq!(finder.find("x"), 0);
    }

    #[test]
    fn a_package_fits_the_platforms_that_it_names() {
        let mut package = Package::new("x", "1");
        assert!(package.fits("linux", "x64"));
        package.os = vec!["!win32".into()];
        assert!(package.fits("linux", "x64"));
        package.cpu = vec!["arm64".into()];
        assert!(!package.fits("linux", "x64"));
        package.os = vec!["darwin".into()];
        assert!(!package.fits("linux", "arm64"));
    }
}
