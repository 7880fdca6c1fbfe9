//! What a Dockerfile means: stages and their graph, variables, the state of
//! each instruction, and every image reference with its place in the file.
//!
//! Built from the tree alone; what it cannot resolve it leaves unresolved and
//! says why.

pub mod digests;
pub mod effects;
pub mod identity;
pub mod locks;
mod makefile;
pub mod moves;
pub mod musl;
pub mod pins;
pub mod runtime;
pub mod sources;
pub mod trust;
mod vars;
pub mod yaml;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::catalog::bases;
use crate::image::Reference;
use crate::syntax::{Dockerfile, Instruction, Item, Keyword};
use crate::text::Span;

pub use vars::{Scope, Variable};

/// A Dockerfile and what it means.
#[derive(Debug)]
pub struct Model<'a> {
    /// The tree.
    pub file: &'a Dockerfile,
    /// Its instructions, in order; other fields refer to them by index.
    pub instructions: Vec<&'a Instruction>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// Every image reference, in order of place.
    pub images: Vec<ImageUse>,
    /// Every reference to what is no image: a stage of the file, or `scratch`.
    pub locals: Vec<LocalUse>,
    /// The last stage of each name, without the last stage of all: no stage
    /// takes from itself.
    names: HashMap<String, usize>,
}

/// What a stage starts from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Base {
    /// An earlier stage, by index.
    Stage(usize),
    /// The empty image.
    Scratch,
    /// An image, by its index in [`Model::images`].
    Image(usize),
}

/// A build stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its index, from 0.
    pub index: usize,
    /// Its name in lower case.
    pub name: Option<String>,
    /// The index of its FROM among the instructions.
    pub from: usize,
    /// What it starts from.
    pub base: Base,
    /// Its steps: the instructions after FROM, each with the state it runs in.
    pub steps: Vec<Step>,
    /// The variables declared in it, in order, after those of the base image.
    pub scope: Scope,
    /// The working directory of its base image, where that is known.
    pub workdir: Option<String>,
    /// Stages that it copies or mounts from.
    pub uses: Vec<usize>,
    /// The later stages that start from it, in order.
    pub children: Vec<usize>,
    /// The stage whose end is its start: the nearest one below it that has a
    /// step, or the lowest. None for a stage on an image or on nothing.
    inherits: Option<usize>,
    /// The image that it is built on in the end, by index.
    image: Option<usize>,
}

/// An instruction of a stage with the state before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its index among the instructions.
    pub instruction: usize,
    /// The working directory; `None` when it can't be told.
    pub workdir: Option<String>,
    /// The user as written by the last USER; `None` is the base image's.
    pub user: Option<String>,
    /// The shell of the last SHELL; `None` is `/bin/sh -c`.
    pub shell: Option<Vec<String>>,
    /// How many variables of the scope are declared before it.
    pub variables: usize,
}

/// Where an image reference stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a FROM, of the stage of that index.
    From(usize),
    /// In `COPY --from=`.
    CopyFrom,
    /// In `RUN --mount=…,from=`.
    MountFrom,
    /// In a `# syntax=` directive.
    Syntax,
}

impl Place {
    /// A name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::From(_) => "FROM",
            Self::CopyFrom => "COPY --from",
            Self::MountFrom => "RUN --mount from",
            Self::Syntax => "# syntax",
        }
    }
}

/// Where the text of a reference may be edited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Editable {
    /// These bytes of the file are the whole reference.
    At(Span),
    /// They are, in the default of a global ARG, which has that name.
    Argument(Span, String),
    /// These bytes are the whole reference, and end with literal text after a
    /// variable: only what follows the variable may change.
    Tail {
        /// The bytes.
        span: Span,
        /// The text up to the end of the last variable, as written.
        head: String,
        /// What that stands for.
        value: String,
    },
    /// It may not, and why.
    No(String),
}

impl Editable {
    /// The bytes, if it may be edited.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::At(span) | Self::Argument(span, _) | Self::Tail { span, .. } => Some(*span),
            Self::No(_) => None,
        }
    }

    /// How the reference `resolved` is written at this place: with the
    /// variables that stand there, where it starts with their value.
    ///
    /// # Errors
    /// Why it can't be written there, in words.
    pub fn written(&self, resolved: &str) -> Result<String, String> {
        match self {
            Self::At(_) | Self::Argument(..) => Ok(resolved.to_owned()),
            Self::Tail { head, value, .. } => match resolved.strip_prefix(value.as_str()) {
                Some(tail) => Ok(format!("{head}{tail}")),
                None => Err(format!("the part that changes is in variables: {head}")),
            },
            Self::No(why) => Err(why.clone()),
        }
    }

    /// What a build argument that is given another value does to an edit there.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        match self {
            Self::At(_) | Self::No(_) => None,
            Self::Argument(_, name) => Some(format!(
                "the image is the default of ARG {name}: a build that gives another one is not looked at"
            )),
            Self::Tail { head, value, .. } => Some(format!(
                "{head} is {value} by the defaults of its arguments: a build that gives others is not looked at"
            )),
        }
    }
}

/// An image reference in the file.
#[derive(Clone, Debug)]
pub struct ImageUse {
    /// Where it stands.
    pub place: Place,
    /// The text as written.
    pub written: String,
    /// What it names; or why that can't be told.
    pub reference: Result<Reference, String>,
    /// Where it may be edited.
    pub editable: Editable,
    /// Its line, from 1.
    pub line: usize,
    /// Its bytes, or those of the instruction that has it.
    pub span: Span,
}

impl ImageUse {
    /// What is known of what the image sets.
    #[must_use]
    pub fn settings(&self) -> Option<bases::Settings> {
        let reference = self.reference.as_ref().ok()?;
        let tag = reference.effective_tag().unwrap_or_default();
        bases::settings_of(&reference.familiar_name(), tag)
    }
}

/// A reference to what is no image.
#[derive(Clone, Debug)]
pub struct LocalUse {
    /// Where it stands.
    pub place: Place,
    /// The text as written.
    pub written: String,
    /// The stage, by index; `None` is `scratch`.
    pub stage: Option<usize>,
    /// Its line, from 1.
    pub line: usize,
}

impl<'a> Model<'a> {
    /// The meaning of `file`.
    #[must_use]
    pub fn of(file: &'a Dockerfile) -> Self {
        let mut model = Model {
            file,
            instructions: file.instructions().collect(),
            stages: Vec::new(),
            images: Vec::new(),
            locals: Vec::new(),
            names: HashMap::new(),
        };
        model.syntax_directive();
        let mut globals = Scope::default();
        for index in 0..model.instructions.len() {
            let instruction = model.instructions[index];
            match instruction.keyword {
                Keyword::From => model.open_stage(index, &globals),
                _ if model.stages.is_empty() => {
                    globals.declare(instruction, file, None);
                }
                _ => model.step(index, &globals),
            }
        }
        model
    }

    fn syntax_directive(&mut self) {
        let source = self.file.source();
        for directive in self.file.directives() {
            if directive.name != "syntax" {
                continue;
            }
            let text = String::from_utf8_lossy(directive.value.of(source)).into_owned();
            let name = text.split(' ').next().unwrap_or_default().to_owned();
            let start = directive.value.start as usize;
            let span = Span::new(start, start + name.len());
            self.images.push(ImageUse {
                place: Place::Syntax,
                reference: Reference::parse(&name).map_err(|error| error.to_string()),
                editable: Editable::At(span),
                line: self.file.lines().line(directive.span.start),
                written: name,
                span,
            });
        }
    }

    fn open_stage(&mut self, index: usize, globals: &Scope) {
        let file = self.file;
        let instruction = self.instructions[index];
        let source = file.source();
        let words = instruction.words(source);
        let stage = self.stages.len();
        let name = (words.len() == 3 && words[1].text.eq_ignore_ascii_case("as"))
            .then(|| words[2].text.to_lowercase());
        let written = words.first().map_or(Cow::Borrowed(""), |w| w.text.clone());
        let resolved = globals.resolve(&written, file.escape());
        if let Some(last) = self.stages.last()
            && let Some(name) = &last.name
        {
            self.names.insert(name.clone(), last.index);
        }
        let earlier = resolved
            .as_ref()
            .ok()
            .and_then(|text| self.names.get(&text.to_lowercase()).copied());
        let base = match (&resolved, earlier) {
            (_, Some(earlier)) => Base::Stage(earlier),
            (Ok(text), _) if text == "scratch" => Base::Scratch,
            _ => {
                let range = words.first().map_or(0..0, |word| word.range.clone());
                let span = instruction.logical.cover(range.clone());
                let editable = editable(
                    file,
                    instruction,
                    range,
                    &written,
                    resolved.as_ref().ok(),
                    globals,
                );
                self.images.push(ImageUse {
                    place: Place::From(stage),
                    written: written.clone().into_owned(),
                    reference: resolved.and_then(|text| {
                        Reference::parse(&text).map_err(|error| format!("{text:?}: {error}"))
                    }),
                    editable,
                    line: file.lines().line(span.start),
                    span,
                });
                Base::Image(self.images.len() - 1)
            }
        };
        let mut scope = Scope::of_stage();
        let mut workdir = None;
        if let Base::Image(image) = base
            && let Some(settings) = self.images[image].settings()
        {
            workdir = settings.workdir.map(str::to_owned);
            for (name, value) in settings.env() {
                scope.base_sets(name, value);
            }
        }
        if let Base::Stage(_) | Base::Scratch = base {
            let range = words.first().map_or(0..0, |word| word.range.clone());
            let span = instruction.logical.cover(range);
            self.locals.push(LocalUse {
                place: Place::From(stage),
                written: written.into_owned(),
                stage: match base {
                    Base::Stage(earlier) => Some(earlier),
                    _ => None,
                },
                line: file.lines().line(span.start),
            });
        }
        let (inherits, image) = match base {
            Base::Image(image) => (None, Some(image)),
            Base::Scratch => (None, None),
            Base::Stage(earlier) => {
                let parent = &mut self.stages[earlier];
                parent.children.push(stage);
                let through = parent.inherits.filter(|_| parent.steps.is_empty());
                (Some(through.unwrap_or(earlier)), parent.image)
            }
        };
        self.stages.push(Stage {
            index: stage,
            name,
            from: index,
            uses: match base {
                Base::Stage(earlier) => vec![earlier],
                _ => Vec::new(),
            },
            base,
            steps: Vec::new(),
            scope,
            workdir,
            children: Vec::new(),
            inherits,
            image,
        });
    }

    fn step(&mut self, index: usize, globals: &Scope) {
        let file = self.file;
        let instruction = self.instructions[index];
        let state = self.state_after(self.stages.len() - 1);
        self.references(instruction, &state);
        let stage = self.stages.last_mut().expect("a step is in a stage");
        stage.steps.push(Step {
            instruction: index,
            ..state
        });
        stage.scope.declare(instruction, file, Some(globals));
    }

    /// The state after the last step of a stage.
    #[must_use]
    pub fn state_after(&self, stage: usize) -> Step {
        let stage = &self.stages[stage];
        let variables = stage.scope.len();
        let Some(last) = stage.steps.last() else {
            if let Some(parent) = stage.inherits {
                // That one has steps or nothing below it: it goes no deeper.
                let parent = self.state_after(parent);
                return Step {
                    variables,
                    ..parent
                };
            }
            return Step {
                instruction: stage.from,
                workdir: stage.workdir.clone(),
                user: None,
                shell: None,
                variables,
            };
        };
        let file = self.file;
        let instruction = self.instructions[last.instruction];
        let mut state = last.clone();
        let resolve = |text: &str| stage.scope.resolve_at(text, file.escape(), last.variables);
        match instruction.keyword {
            Keyword::Workdir => {
                let path = resolve(&instruction.args_text(file.source())).ok();
                state.workdir = path.and_then(|path| join(last.workdir.as_deref(), &path));
            }
            Keyword::User => {
                let text = instruction.args_text(file.source());
                state.user = Some(resolve(&text).unwrap_or_else(|_| text.into_owned()));
            }
            Keyword::Shell => {
                state.shell = Some(instruction.list(file.source()));
            }
            _ => {}
        }
        state.variables = variables;
        state
    }

    /// Notes what an instruction copies or mounts from.
    fn references(&mut self, instruction: &'a Instruction, state: &Step) {
        let sub = instruction.sub.as_deref().unwrap_or(instruction);
        let mut found: Vec<(Place, String, std::ops::Range<usize>)> = Vec::new();
        for flag in &sub.flags {
            match (sub.keyword, flag.name(), flag.value()) {
                (Keyword::Copy, "from", Some(value)) => {
                    found.push((Place::CopyFrom, value.to_owned(), flag.range.clone()));
                }
                (Keyword::Run, "mount", Some(value)) => {
                    let from = value.split(',').find_map(|field| {
                        let (key, value) = field.split_once('=')?;
                        key.trim().eq_ignore_ascii_case("from").then_some(value)
                    });
                    if let Some(from) = from {
                        found.push((Place::MountFrom, from.to_owned(), flag.range.clone()));
                    }
                }
                _ => {}
            }
        }
        for (place, written, range) in found {
            let source = self.file.source();
            let current = self.stages.len() - 1;
            let scope = &self.stages[current].scope;
            let resolved = if written.contains('$') {
                scope.resolve_at(&written, self.file.escape(), state.variables)
            } else {
                Ok(written.clone())
            };
            let stage = resolved.as_ref().ok().and_then(|text| self.stage_of(text));
            if let Some(stage) = stage {
                self.stages[current].uses.push(stage);
                let span = instruction.logical.cover(range);
                self.locals.push(LocalUse {
                    place,
                    written,
                    stage: Some(stage),
                    line: self.file.lines().line(span.start),
                });
                continue;
            }
            // The reference is the part of the flag that its value shows.
            let text = instruction.logical.text(source);
            let flag = &text[range.clone()];
            let at = memchr::memmem::rfind(flag, written.as_bytes());
            let exact = at.and_then(|at| {
                let start = range.start + at;
                instruction.logical.exact(start..start + written.len())
            });
            let editable = match exact {
                Some(span) if !written.contains('$') => Editable::At(span),
                Some(_) => Editable::No("it is made of variables".to_owned()),
                None => Editable::No("it is broken over lines".to_owned()),
            };
            let span = editable
                .span()
                .unwrap_or_else(|| instruction.logical.cover(range.clone()));
            self.images.push(ImageUse {
                place,
                reference: resolved.and_then(|text| {
                    Reference::parse(&text).map_err(|error| format!("{text:?}: {error}"))
                }),
                written,
                editable,
                line: self.file.lines().line(span.start),
                span,
            });
        }
    }

    /// The earlier stage that a `--from` value names, by name or index.
    #[must_use]
    pub fn stage_of(&self, text: &str) -> Option<usize> {
        let current = self.stages.len().checked_sub(1)?;
        let named = self.names.get(&text.to_lowercase()).copied();
        named.or_else(|| text.parse().ok().filter(|&index: &usize| index < current))
    }

    /// The image that a stage is built on in the end, through earlier stages.
    #[must_use]
    pub fn base_image(&self, stage: usize) -> Option<&ImageUse> {
        Some(&self.images[self.stages[stage].image?])
    }

    /// `text` with the variables of a step expanded.
    ///
    /// # Errors
    /// Why it can't be told, in words.
    pub fn resolve(&self, stage: usize, step: &Step, text: &str) -> Result<String, String> {
        let scope = &self.stages[stage].scope;
        scope.resolve_at(text, self.file.escape(), step.variables)
    }

    /// By how many bytes the last stage's steps are further back in `new`, where
    /// they are the same there, on the same lines and in the same state, on
    /// images that set the same; `None` where they may mean something else.
    #[must_use]
    pub fn same_last_steps(&self, new: &Model<'_>) -> Option<i64> {
        let (from, to) = (self.stages.last()?, new.stages.last()?);
        let head = |model: &Model<'_>, stage: &Stage| model.instructions[stage.from].span;
        let (old_head, new_head) = (head(self, from), head(new, to));
        let rest = |model: &Model<'_>, head: Span| {
            let source = model.file.source();
            Span::new(head.end as usize, source.len())
        };
        let on_image = |stage: &Stage| matches!(stage.base, Base::Image(_));
        let line = |model: &Model<'_>, stage: &Stage| model.instructions[stage.from].end_line;
        let same = from.from == to.from
            && line(self, from) == line(new, to)
            && on_image(from)
            && on_image(to)
            && self.file.escape() == new.file.escape()
            && from.workdir == to.workdir
            && from.scope.says_the_same(&to.scope)
            && from.steps == to.steps
            && rest(self, old_head).of(self.file.source())
                == rest(new, new_head).of(new.file.source());
        same.then(|| i64::from(new_head.end) - i64::from(old_head.end))
    }

    /// The own-line comments directly above an instruction, without a blank
    /// line between; an empty span at its start when there are none.
    #[must_use]
    pub fn comments_above(&self, instruction: &Instruction) -> Span {
        let items = self.file.items();
        let at = items.partition_point(|item| item.span().end <= instruction.span.start);
        let mut start = instruction.span.start;
        for item in items[..at].iter().rev() {
            match item {
                Item::Comment(span) => start = span.start,
                _ => break,
            }
        }
        Span {
            start,
            end: instruction.span.start,
        }
    }
}

/// Whether a path is a folder or below it; both absolute.
#[must_use]
pub fn below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `path` from `workdir`, cleaned; `None` when a relative path has no known
/// folder to start from.
#[must_use]
pub fn join(workdir: Option<&str>, path: &str) -> Option<String> {
    // The base image's own working directory is not known here.
    let from = if path.starts_with('/') { "" } else { workdir? };
    let mut full = String::with_capacity(from.len() + path.len() + 1);
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => full.truncate(full.rfind('/').unwrap_or(0)),
            part => {
                full.push('/');
                full.push_str(part);
            }
        }
    }
    if full.is_empty() {
        full.push('/');
    }
    Some(full)
}

fn editable(
    file: &Dockerfile,
    instruction: &Instruction,
    range: std::ops::Range<usize>,
    written: &str,
    resolved: Option<&String>,
    globals: &Scope,
) -> Editable {
    let Some(resolved) = resolved else {
        return Editable::No("what it names is not known".to_owned());
    };
    let bare = written.trim_matches('"');
    if bare == resolved {
        let quote = usize::from(written.len() != bare.len());
        let inner = range.start + quote..range.end - quote;
        return match instruction.logical.exact(inner) {
            Some(span) => Editable::At(span),
            None => Editable::No("it is broken over lines".to_owned()),
        };
    }
    let name = bare
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| bare.strip_prefix('$'))
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
    let Some(name) = name else {
        return tail(instruction, range, written, resolved);
    };
    let Some(place) = globals.default_span(name) else {
        return Editable::No(format!("the default of ARG {name} can't be edited"));
    };
    let text = String::from_utf8_lossy(place.of(file.source()));
    let quotes = text.len() - text.trim_matches(['"', '\'']).len();
    let inner = Span {
        start: place.start + (quotes / 2) as u32,
        end: place.end - (quotes / 2) as u32,
    };
    if inner.of(file.source()) == resolved.as_bytes() {
        Editable::Argument(inner, name.to_owned())
    } else {
        Editable::No(format!("the default of ARG {name} is made of variables"))
    }
}

/// A reference that ends with literal text after its last variable.
fn tail(
    instruction: &Instruction,
    range: std::ops::Range<usize>,
    written: &str,
    resolved: &str,
) -> Editable {
    let no = || Editable::No(format!("it is made of variables: {written}"));
    let Some(dollar) = written.rfind('$') else {
        return no();
    };
    let rest = &written[dollar + 1..];
    let end = match rest.strip_prefix('{') {
        Some(inner) => inner.find('}').map(|at| dollar + 1 + at + 2),
        None => {
            let len = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            Some(dollar + 1 + len)
        }
    };
    let Some(end) = end else { return no() };
    let (head, literal) = written.split_at(end);
    let plain = |text: &str| !text.contains(['"', '\'', '\\', '`']);
    match (
        resolved.strip_suffix(literal),
        instruction.logical.exact(range),
    ) {
        (Some(value), Some(span)) if plain(written) => Editable::Tail {
            span,
            head: head.to_owned(),
            value: value.to_owned(),
        },
        _ => no(),
    }
}
