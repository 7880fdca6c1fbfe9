//! Variables with BuildKit's scoping: ARG before the first FROM is seen by
//! FROM lines only, and by a stage that declares it again; ENV wins over ARG.

use std::cell::RefCell;

use crate::syntax::{Dockerfile, Environment, Instruction, Keyword, expand};
use crate::text::Span;

/// A variable as one instruction sets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; or why that can't be told.
    pub value: Result<String, String>,
    /// Whether ENV set it (else ARG).
    pub env: bool,
    /// Where an ARG's default stands, if it is in one piece.
    pub default: Option<Span>,
}

/// The variables of a stage, or the global ones, in order of declaration.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    variables: Vec<Variable>,
    /// Whether the base image may set variables that are not declared here.
    open: bool,
}

/// Build arguments that every builder sets by itself, per platform: those of
/// Docker's documentation, "Automatic platform ARGs in the global scope".
const PLATFORM_ARGUMENTS: [&str; 8] = [
    "BUILDARCH",
    "BUILDOS",
    "BUILDPLATFORM",
    "BUILDVARIANT",
    "TARGETARCH",
    "TARGETOS",
    "TARGETPLATFORM",
    "TARGETVARIANT",
];

struct Seen<'a> {
    variables: &'a [Variable],
    /// The text that is expanded.
    text: &'a str,
    /// Whether a name that is not declared may still be set, by the base image.
    open: bool,
    missing: RefCell<Option<String>>,
}

impl Environment for Seen<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let found = lookup(self.variables, name);
        match found.map(|variable| &variable.value) {
            Some(Ok(value)) => Some(value.clone()),
            Some(Err(why)) => {
                // `${X:-default}` says itself what an unset X means.
                let fallback = [format!("${{{name}:-"), format!("${{{name}-")];
                if !fallback.iter().any(|form| self.text.contains(form)) {
                    self.missing.borrow_mut().get_or_insert(why.clone());
                }
                None
            }
            None if !self.open && !PLATFORM_ARGUMENTS.contains(&name) => None,
            None => {
                let why = format!("${name} is not set in this file");
                self.missing.borrow_mut().get_or_insert(why);
                None
            }
        }
    }
}

/// ENV wins over ARG whatever the order; else the last one counts.
fn lookup<'a>(variables: &'a [Variable], name: &str) -> Option<&'a Variable> {
    let named = || variables.iter().rev().filter(|v| v.name == name);
    named().find(|v| v.env).or_else(|| named().next())
}

impl Scope {
    /// The scope of a stage: its base image may set variables too.
    pub(super) fn of_stage() -> Self {
        Self {
            open: true,
            ..Self::default()
        }
    }

    /// Notes what the base image sets itself, before anything else.
    pub(super) fn base_sets(&mut self, name: &str, value: Option<&str>) {
        self.variables.push(Variable {
            name: name.to_owned(),
            value: match value {
                Some(value) => Ok(value.to_owned()),
                None => Err(format!("${name} is the base image's own")),
            },
            env: true,
            default: None,
        });
    }

    /// Whether all variables have the same values, in the same order, wherever
    /// their defaults stand.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let told = |variable: &Variable| (variable.env, variable.default.is_some());
        let pairs = || self.variables.iter().zip(&other.variables);
        self.open == other.open
            && self.variables.len() == other.variables.len()
            && pairs().all(|(a, b)| a.name == b.name && a.value == b.value && told(a) == told(b))
    }

    /// How many declarations there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Whether nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// The first `len` declarations, oldest first.
    #[must_use]
    pub fn declared(&self, len: usize) -> &[Variable] {
        &self.variables[..len.min(self.variables.len())]
    }

    /// What a variable holds after the first `len` declarations; `None` when
    /// it is not declared.
    #[must_use]
    pub fn value(&self, name: &str, len: usize) -> Option<&Result<String, String>> {
        lookup(self.declared(len), name).map(|variable| &variable.value)
    }

    /// Where the default of a global ARG stands.
    #[must_use]
    pub fn default_span(&self, name: &str) -> Option<Span> {
        lookup(&self.variables, name)?.default
    }

    /// Takes in what `instruction` declares; `globals` are seen by an ARG
    /// without a default.
    pub(super) fn declare(
        &mut self,
        instruction: &Instruction,
        file: &Dockerfile,
        globals: Option<&Scope>,
    ) {
        let env = instruction.keyword == Keyword::Env;
        if !env && instruction.keyword != Keyword::Arg {
            return;
        }
        // All pairs of one instruction see the values before it.
        let before = self.len();
        for pair in instruction.pairs(file.source(), file.escape()) {
            let value = match &pair.value {
                Some(value) => self.resolve_at(value, file.escape(), before),
                None => match globals.and_then(|globals| globals.value(&pair.key, usize::MAX)) {
                    Some(value) => value.clone(),
                    None => Err(format!("ARG {} has no default", pair.key)),
                },
            };
            self.variables.push(Variable {
                name: pair.key.into_owned(),
                value,
                env,
                default: instruction.logical.exact(pair.value_range),
            });
        }
    }

    /// `text` expanded with all variables.
    ///
    /// # Errors
    /// Which variable is not known, or what is malformed, in words.
    pub fn resolve(&self, text: &str, escape: u8) -> Result<String, String> {
        self.resolve_at(text, escape, self.len())
    }

    /// `text` expanded with the first `len` declarations.
    ///
    /// # Errors
    /// As for [`Scope::resolve`].
    pub fn resolve_at(&self, text: &str, escape: u8, len: usize) -> Result<String, String> {
        let special = |c: char| matches!(c, '$' | '"' | '\'') || c == char::from(escape);
        if !text.contains(special) {
            return Ok(text.to_owned());
        }
        let seen = Seen {
            variables: self.declared(len),
            text,
            open: self.open,
            missing: RefCell::new(None),
        };
        let result = expand(text, escape, &seen);
        match (seen.missing.into_inner(), result) {
            (Some(why), _) => Err(why),
            (None, Ok(text)) => Ok(text),
            (None, Err(error)) => Err(error.to_string()),
        }
    }
}
