//! The settings file: its shape, which is also its published schema, and what
//! is wrong with one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::model::trust::{CLASSES, Policy};
use crate::report::visible;
use crate::rules::{self, Prefer, Safety};

/// The settings of `dfmigrate.toml`, `.dfmigrate.toml`, and of the user's own
/// `dfmigrate/dfmigrate.toml` in the configuration folder.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[schemars(title = "dfmigrate settings")]
pub(super) struct File {
    /// Another settings file, relative to the folder of this one, that this one
    /// adds to. In a tree: one of the same tree.
    #[schemars(with = "Option<String>")]
    pub(super) extend: Option<Spanned<String>>,
    /// The lowest grade that is shown as a change and written.
    #[schemars(with = "Option<Grade>")]
    pub(super) grade: Option<Spanned<Grade>>,
    /// Which smaller variant of an image to move to, where it has both.
    pub(super) prefer: Option<Variant>,
    /// Only these rules.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) select: Option<Vec<Spanned<String>>>,
    /// Not these rules.
    #[schemars(with = "Vec<String>")]
    pub(super) ignore: Vec<Spanned<String>>,
    /// Only files that match one of these patterns are looked at; written as in
    /// `.gitignore`, relative to the folder of this file, or of the one that
    /// extends it.
    #[schemars(with = "Vec<String>")]
    pub(super) include: Vec<Spanned<String>>,
    /// Files that match one of these patterns are not looked at; written as in
    /// `.gitignore`, relative to the folder of this file, or of the one that
    /// extends it.
    #[schemars(with = "Vec<String>")]
    pub(super) exclude: Vec<Spanned<String>>,
    /// What holds for some images only.
    pub(super) image: Vec<Image>,
    /// Which images are let in, as the rule `trusted-base` and `dfmigrate
    /// images` say it. A tree's policy holds beside the user's own.
    pub(super) trusted_base: Option<TrustedBase>,
    /// Digests of images that are younger are doubted: `3d`, `12h`.
    #[schemars(with = "Option<String>")]
    pub(super) min_age: Option<Spanned<String>>,
    /// Platforms that images are to be there for, such as `linux/arm64`.
    pub(super) platforms: Vec<String>,
    /// Threads; 0 is as many as there are processors. Only in the user's own
    /// settings.
    #[schemars(with = "Option<usize>")]
    pub(super) jobs: Option<Spanned<usize>>,
    /// A folder with templates of new stages, relative to the folder of this
    /// file. Only in the user's own settings.
    #[schemars(with = "Option<String>")]
    pub(super) templates: Option<Spanned<String>>,
    /// Which registries are asked, and how. Only in the user's own settings.
    #[schemars(with = "Option<Registries>")]
    pub(super) registries: Option<Spanned<Registries>>,
    /// What `dfmigrate verify` does. Only in the user's own settings.
    #[schemars(with = "Option<Verify>")]
    pub(super) verify: Option<Spanned<Verify>>,
}

/// Which images are let in; empty lists let everything in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct TrustedBase {
    /// Images of these registries, such as `docker.io`, `ghcr.io`.
    #[schemars(with = "Vec<String>")]
    pub(super) registries: Vec<Spanned<String>>,
    /// Images of these classes: `official`, `verified-publisher`,
    /// `sponsored-open-source`, `other`, `unknown`.
    #[schemars(with = "Vec<String>")]
    pub(super) classes: Vec<Spanned<String>>,
    /// These images, whatever their registry and class; `owner/*` is all of an
    /// owner.
    pub(super) images: Vec<String>,
}

/// Registries, as the user lets them be asked.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Registries {
    /// Ask registries, as `--online` does.
    pub(super) online: bool,
    /// Registries to ask beside the well-known public ones.
    #[schemars(with = "Vec<String>")]
    pub(super) ask: Vec<Spanned<String>>,
    /// Registries to ask in plain HTTP.
    #[schemars(with = "Vec<String>")]
    pub(super) insecure: Vec<Spanned<String>>,
    /// For a registry, hosts to ask before it.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<String>>")]
    pub(super) mirrors: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    /// For a registry, hosts whose token service may have its credentials.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<String>>")]
    pub(super) token_hosts: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    /// PEM files of certificate authorities to trust as well, relative to the
    /// folder of this file.
    pub(super) ca: Vec<String>,
}

/// What `dfmigrate verify` does where no flag says otherwise.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Verify {
    /// A line for `sh` in both containers, whose exit status and output are
    /// compared, as `--check-cmd`.
    pub(super) compare: Option<String>,
}

/// What holds for the images that a pattern names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Image {
    /// The images: a name with or without a tag, in which `*` stands for any
    /// text, such as `node`, `python:3.8*`, `ghcr.io/acme/*`.
    #[schemars(with = "String")]
    pub(super) name: Spanned<String>,
    /// The rules that leave them alone; all where none of this, `grade` and
    /// `prefer` is given.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) ignore: Option<Vec<Spanned<String>>>,
    /// The lowest grade for them.
    #[serde(default)]
    pub(super) grade: Option<Grade>,
    /// Which smaller variant to move to where the last stage stands on one of
    /// them. It counts before `prefer` above, and after `--prefer`.
    #[serde(default)]
    pub(super) prefer: Option<Variant>,
    /// Why, for reports.
    #[serde(default)]
    pub(super) reason: String,
}

/// A smaller variant.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Variant {
    /// On the same distribution.
    Slim,
    /// On Alpine, where every sign allows it.
    Alpine,
}

impl From<Variant> for Prefer {
    fn from(variant: Variant) -> Self {
        match variant {
            Variant::Slim => Self::Slim,
            Variant::Alpine => Self::Alpine,
        }
    }
}

/// A grade.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Grade {
    /// Only what is proven to keep the meaning.
    Safe,
    /// Also what a person should look at.
    Review,
}

impl From<Grade> for Safety {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Safe => Self::Safe,
            Grade::Review => Self::Review,
        }
    }
}

/// Something wrong in a settings file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Line and column in characters, from 1, and how many characters.
    place: Option<(usize, usize, usize)>,
    /// The line itself.
    excerpt: String,
    /// What is wrong.
    message: String,
}

/// Why settings can't be used. It prints as what is wrong, where, and what may
/// have been meant; more than one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError {
    /// The file, as reports print it.
    pub shown: String,
    /// What is wrong; never empty.
    pub faults: Vec<Fault>,
}

impl SettingsError {
    /// An error about the file as a whole.
    pub(super) fn whole(path: &Path, message: impl Into<String>) -> Self {
        Self {
            shown: path.display().to_string(),
            faults: vec![Fault {
                place: None,
                excerpt: String::new(),
                message: message.into(),
            }],
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", visible(&self.shown))?;
            let message = visible(&fault.message);
            let Some((line, column, length)) = fault.place else {
                write!(f, ": {message}")?;
                continue;
            };
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            writeln!(f, ":{line}:{column}: {message}")?;
            writeln!(f, "  {number} | {}", visible(&fault.excerpt))?;
            let (indent, marks) = (" ".repeat(column - 1), "^".repeat(length.max(1)));
            write!(f, "  {margin} | {indent}{marks}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// `; did you mean …?`, where one of the words is near enough.
#[must_use]
pub fn did_you_mean<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let near = words
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(word, other), other))
        .min();
    match near {
        Some((distance, other)) if distance <= word.chars().count().max(3) / 3 => {
            format!("; did you mean {other:?}?")
        }
        _ => String::new(),
    }
}

/// A file that was read, with its text for messages.
pub(super) struct Parsed {
    pub(super) file: File,
    shown: String,
    text: String,
    faults: Vec<Fault>,
}

impl Parsed {
    /// Reads the text of a file.
    pub(super) fn of(shown: String, text: String) -> Result<Self, SettingsError> {
        let mut parsed = Self {
            file: File::default(),
            shown,
            text,
            faults: Vec::new(),
        };
        match toml::from_str::<File>(&parsed.text) {
            Ok(file) => parsed.file = file,
            Err(error) => {
                let message = error.message().trim_end_matches('\n').replace('\n', "; ");
                // "unknown field `a`, expected one of `b`, `c`"
                let mut quoted = message.split('`').skip(1).step_by(2);
                let hint = match quoted.next() {
                    Some(wrong) if message.starts_with("unknown") => did_you_mean(wrong, quoted),
                    _ => String::new(),
                };
                let message = message.replace('`', "\"").replace("field", "setting");
                parsed.fault(error.span(), format!("{message}{hint}"));
                parsed.done()?;
            }
        }
        Ok(parsed)
    }

    /// Notes that the bytes of a span are wrong.
    pub(super) fn fault(&mut self, span: Option<std::ops::Range<usize>>, message: String) {
        let place = span.map(|span| {
            let before = &self.text[..span.start.min(self.text.len())];
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = before.matches('\n').count() + 1;
            let column = before[start..].chars().count() + 1;
            let end = span.end.clamp(before.len(), self.text.len());
            let covered = &self.text[before.len()..end];
            let covered = covered.lines().next().unwrap_or_default().chars().count();
            let excerpt = self.text[start..].lines().next().unwrap_or_default();
            ((line, column, covered), excerpt.to_owned())
        });
        let (place, excerpt) = match place {
            Some((place, excerpt)) => (Some(place), excerpt),
            None => (None, String::new()),
        };
        self.faults.push(Fault {
            place,
            excerpt,
            message,
        });
    }

    /// The hosts of registries; faults are noted for what is none.
    pub(super) fn hosts(&mut self, names: &[Spanned<String>]) -> Vec<String> {
        let mut hosts = Vec::new();
        for name in names {
            match super::registry_host(name.get_ref()) {
                Ok(host) => hosts.push(host),
                Err(why) => self.fault(Some(name.span()), why),
            }
        }
        hosts
    }

    /// Lists of hosts by registry, likewise.
    pub(super) fn host_lists(
        &mut self,
        lists: &BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    ) -> BTreeMap<String, Vec<String>> {
        let mut read = BTreeMap::new();
        for (name, list) in lists {
            let hosts = self.hosts(list);
            if let Some(name) = self.hosts(std::slice::from_ref(name)).pop() {
                read.insert(name, hosts);
            }
        }
        read
    }

    /// A policy; faults are noted for what is no registry or class.
    pub(super) fn policy(&mut self, policy: &TrustedBase) -> Policy {
        for class in &policy.classes {
            if !CLASSES.contains(&class.get_ref().as_str()) {
                let hint = did_you_mean(class.get_ref(), CLASSES);
                let known = CLASSES.join(", ");
                self.fault(
                    Some(class.span()),
                    match hint.is_empty() {
                        true => format!(
                            "there is no class {:?}; the classes are {known}",
                            class.get_ref()
                        ),
                        false => format!("there is no class {:?}{hint}", class.get_ref()),
                    },
                );
            }
        }
        let classes = policy.classes.iter().map(|class| class.get_ref().clone());
        Policy {
            registries: self.hosts(&policy.registries),
            classes: classes.collect(),
            images: policy.images.clone(),
            also: Vec::new(),
        }
    }

    /// The names, where each is a rule; faults are noted otherwise.
    pub(super) fn rules(&mut self, names: &[Spanned<String>]) -> Vec<String> {
        for name in names {
            if let Err(message) = known_rule(name.get_ref()) {
                self.fault(Some(name.span()), message);
            }
        }
        names.iter().map(|name| name.get_ref().clone()).collect()
    }

    /// Ok where no fault was noted.
    pub(super) fn done(&mut self) -> Result<(), SettingsError> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(SettingsError {
            shown: self.shown.clone(),
            faults: std::mem::take(&mut self.faults),
        })
    }
}

/// Whether there is such a rule.
///
/// # Errors
/// That there is none, and which may be meant.
pub fn known_rule(id: &str) -> Result<(), String> {
    if rules::find(id).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = rules::all().iter().map(|rule| rule.meta().id).collect();
    let hint = did_you_mean(id, known.iter().copied());
    Err(match hint.is_empty() {
        true => format!(
            "there is no rule {id:?}; the rules are {}",
            known.join(", ")
        ),
        false => format!("there is no rule {id:?}{hint}"),
    })
}

/// The JSON Schema (draft 2020-12) of settings files.
#[must_use]
pub fn schema() -> String {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let schema = settings.into_generator().into_root_schema_for::<File>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}
