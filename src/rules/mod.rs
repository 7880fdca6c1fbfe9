//! The rules: each proposes rewrites of one kind, or says why it leaves a
//! file alone. One rule per file; [`all`] lists them in order of precedence.
//!
//! Architecture invariants: a rule is pure and synchronous; it sees the file
//! through [`Context`] alone; rules don't call each other (what two need lives
//! in `model` or `catalog`).

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::catalog::{self, Date};
use crate::facts::{Facts, Files, Images, Trust};
use crate::model::effects::{self, Ledger};
use crate::model::runtime::{self, Runtime};
use crate::model::sources::{self, Sources};
use crate::model::trust::{self, Policy};
use crate::model::{Base, ImageUse, Model, Stage};
use crate::syntax::Dockerfile;
use crate::text::{Edit, EditSet, Overlap, Span};

/// How sure a rewrite is. Ordered: `Manual < Review < Safe`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Safety {
    /// Said, never written.
    Manual,
    /// A person should look before it is merged.
    Review,
    /// Proven to keep the meaning.
    Safe,
}

impl Safety {
    /// Its name in reports and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Review => "review",
            Self::Safe => "safe",
        }
    }
}

/// What a rule is.
#[derive(Debug)]
pub struct Meta {
    /// Its identifier, as in `--select`.
    pub id: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// The best grade that its rewrites can have.
    pub best: Safety,
    /// The whole story: what it does, why, when it holds back, its grade.
    pub docs: &'static str,
}

/// Which of an image's smaller variants is wanted where it has several.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Prefer {
    /// The slim one: the same distribution and C library.
    #[default]
    Slim,
    /// Alpine, where everything is known to run there.
    Alpine,
}

/// A proposal: the unit of consent, all of its edits or none.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// The rule that proposes it.
    pub rule: &'static str,
    /// What it does, in one line.
    pub title: String,
    /// Why it holds: the proofs and reasons, a line each.
    pub because: Vec<String>,
    /// What it is about.
    pub at: Span,
    /// The edits.
    pub edits: EditSet,
    /// Rules whose work on the same bytes it does as well: where both could be
    /// made, this one is.
    pub includes: &'static [&'static str],
    /// The parts of the image's configuration that it changes on purpose, by the
    /// instruction that sets them: `CMD`, `ENV`.
    pub redefines: &'static [&'static str],
    /// Whether it makes another file of it, about which all rules are to be
    /// asked again: what they then propose becomes part of it.
    pub reopens: bool,
    /// How sure it is.
    safety: Safety,
    /// Each doubt, in words.
    caveats: Vec<String>,
}

impl Rewrite {
    /// A rewrite with the best grade of its rule.
    ///
    /// # Errors
    /// [`Overlap`] when the edits clash with each other.
    pub fn new(
        meta: &'static Meta,
        title: impl Into<String>,
        at: Span,
        edits: Vec<Edit>,
    ) -> Result<Self, Overlap> {
        Ok(Self {
            rule: meta.id,
            title: title.into(),
            because: Vec::new(),
            at,
            edits: EditSet::new(edits)?,
            includes: &[],
            redefines: &[],
            reopens: false,
            safety: meta.best,
            caveats: Vec::new(),
        })
    }

    /// Adds a reason.
    pub fn because(&mut self, reason: impl Into<String>) {
        self.because.push(reason.into());
    }

    /// Adds a doubt: a rewrite with one is at most [`Safety::Review`].
    pub fn caveat(&mut self, doubt: impl Into<String>) {
        self.caveats.push(doubt.into());
        self.lower(Safety::Review);
    }

    /// Lowers the grade; never raises it.
    pub fn lower(&mut self, to: Safety) {
        self.safety = self.safety.min(to);
    }

    /// How sure it is.
    #[must_use]
    pub fn safety(&self) -> Safety {
        self.safety
    }

    /// Its doubts.
    #[must_use]
    pub fn caveats(&self) -> &[String] {
        &self.caveats
    }
}

/// Why a rule leaves something alone that it looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The rule.
    pub rule: &'static str,
    /// What stands in the way.
    pub at: Span,
    /// Why, in words.
    pub why: String,
    /// What a person can do about it.
    pub remedy: Option<String>,
}

/// What becomes of a command's effect when its stage is taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The final stage copies what it writes.
    Copied,
    /// The final stage does it again.
    Replayed,
    /// It stays in the build stage.
    LeftBehind,
    /// It has no effect that stays.
    Nothing,
}

impl Verdict {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Replayed => "replayed",
            Self::LeftBehind => "left behind",
            Self::Nothing => "nothing",
        }
    }
}

/// The verdict on one effect of the last stage's ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fate {
    /// The effect, by its index in the ledger.
    pub effect: usize,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why, or as what, in words; may be empty.
    pub why: String,
}

/// What the rules have to say of one file.
#[derive(Debug, Default)]
pub struct Proposals {
    /// Rewrites, in the order of the rules.
    pub rewrites: Vec<Rewrite>,
    /// What was looked at and left alone.
    pub refusals: Vec<Refusal>,
    /// What becomes of each effect of the last stage, where a rewrite takes
    /// that apart and it is asked for.
    pub fates: Vec<Fate>,
    /// Whether the fates are asked for: only an explanation has a use for them.
    pub explains: bool,
}

impl Proposals {
    /// What all rules say of one file.
    #[must_use]
    pub fn of(cx: &Context<'_>) -> Self {
        let mut out = Self {
            explains: true,
            ..Self::default()
        };
        for rule in all() {
            rule.propose(cx, &mut out);
        }
        out
    }

    /// Notes that a rule leaves something alone.
    pub fn refuse(&mut self, meta: &'static Meta, at: Span, why: impl Into<String>) {
        self.refusals.push(Refusal {
            rule: meta.id,
            at,
            why: why.into(),
            remedy: None,
        });
    }

    /// Proposes what `of` makes of each image reference; `None` where there is
    /// nothing to do, an error says why it is left.
    fn each_image(
        &mut self,
        cx: &Context<'_>,
        meta: &'static Meta,
        of: fn(&Context<'_>, &ImageUse) -> Result<Option<Rewrite>, String>,
    ) {
        for image in &cx.model.images {
            match of(cx, image) {
                Ok(Some(rewrite)) => self.rewrites.push(rewrite),
                Ok(None) => {}
                Err(why) => self.refuse(meta, image.span, why),
            }
        }
    }
}

/// Something that a build of a rewrite has shown to be missing in its final
/// stage: a rule that makes one puts it there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mend {
    /// What is to be put there.
    pub what: Missing,
    /// What was seen, as the reason that the rewrite gives.
    pub why: String,
}

/// What a [`Mend`] puts into the final stage.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Missing {
    /// This package of the distribution, installed.
    Package(String),
    /// This absolute path, copied from the build stage.
    Path(String),
    /// The dynamic loader's cache, made again after the copies.
    LoaderCache,
}

/// What a rule may look at.
pub struct Context<'a> {
    /// The tree.
    pub file: &'a Dockerfile,
    /// What it means.
    pub model: &'a Model<'a>,
    /// The build context.
    pub files: &'a dyn Files,
    /// The registries.
    pub images: &'a dyn Images,
    /// Docker Hub's badges.
    pub trust: &'a dyn Trust,
    /// The day of the run; the catalogue's own, unless it is told.
    pub today: Date,
    /// What the user lets in.
    pub policy: &'a Policy,
    /// What earlier builds of the rewrites have shown to be missing.
    pub mends: &'a [Mend],
    /// The variant that is wanted.
    pub prefer: Prefer,
    /// The user's own templates, by the names that [`Rule::templates`] gives.
    pub templates: Option<&'a BTreeMap<String, String>>,
    /// How images are pinned to digests.
    pub pins: &'a PinOptions,
    ledger: OnceCell<Ledger>,
    runtime: OnceCell<Runtime>,
    sources: OnceCell<(String, Sources)>,
    /// The sources as they were found for an earlier text of the file.
    earlier: RefCell<Option<(String, Sources)>>,
}

/// What rules have read of a file's last stage and its build context, for the
/// next look at the same file after edits.
#[derive(Debug, Default)]
pub struct Known {
    ledger: Option<Ledger>,
    runtime: Option<Runtime>,
    sources: Option<(String, Sources)>,
}

static DEFAULT_PINS: PinOptions = PinOptions {
    online: false,
    platforms: Vec::new(),
    min_age: None,
};

impl<'a> Context<'a> {
    /// What rules see of a file with that meaning and these facts.
    #[must_use]
    pub fn new(model: &'a Model<'a>, facts: Facts<'a>) -> Self {
        Self {
            file: model.file,
            model,
            files: facts.files,
            images: facts.images,
            trust: facts.trust,
            today: catalog::source().as_of,
            policy: &trust::OPEN,
            mends: &[],
            prefer: Prefer::default(),
            templates: None,
            pins: &DEFAULT_PINS,
            ledger: OnceCell::new(),
            runtime: OnceCell::new(),
            sources: OnceCell::new(),
            earlier: RefCell::new(None),
        }
    }

    /// What was read, for [`Self::read_before`] of the next.
    #[must_use]
    pub fn into_known(self) -> Known {
        Known {
            ledger: self.ledger.into_inner(),
            runtime: self.runtime.into_inner(),
            sources: self.sources.into_inner(),
        }
    }

    /// Takes over what was read when the file meant `old`, as far as it still
    /// holds; the facts beside the file must be the same.
    pub fn read_before(&mut self, old: &Model<'_>, known: Known) {
        if let Some(by) = old.same_last_steps(self.model) {
            if let Some(mut ledger) = known.ledger {
                ledger.shift(by);
                self.ledger = OnceCell::from(ledger);
            }
            if let Some(runtime) = known.runtime {
                self.runtime = OnceCell::from(runtime);
            }
        }
        self.earlier = RefCell::new(known.sources);
        debug_assert!(self.reads_the_same(), "what was taken over still holds");
    }

    /// Whether what was taken over is what reading the file would give.
    fn reads_the_same(&self) -> bool {
        let mut fresh = Context::new(self.model, Facts::none());
        fresh.files = self.files;
        let ledger = self.ledger.get();
        let runtime = self.runtime.get();
        ledger.is_none_or(|known| fresh.ledger() == Some(known))
            && runtime.is_none_or(|known| fresh.runtime() == Some(known))
    }

    /// The last stage and the image in its own FROM; `None` where that names a
    /// stage or nothing.
    pub(crate) fn last_stage(&self) -> Option<(&'a Stage, &'a ImageUse)> {
        let stage = self.model.stages.last()?;
        match stage.base {
            Base::Image(image) => Some((stage, &self.model.images[image])),
            Base::Stage(_) | Base::Scratch => None,
        }
    }

    /// The ledger of the last stage, read once for all rules; `None` when
    /// there is no stage.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        let stage = self.model.stages.len().checked_sub(1)?;
        Some(
            self.ledger
                .get_or_init(|| effects::ledger(self.model, stage, self.files, "/")),
        )
    }

    /// The runtime demand of the last stage, likewise.
    pub(crate) fn runtime(&self) -> Option<&Runtime> {
        let stage = self.model.stages.len().checked_sub(1)?;
        let copied = &self.ledger()?.copied;
        Some(
            self.runtime
                .get_or_init(|| runtime::demand(self.model, stage, copied, self.files, "/")),
        )
    }

    /// The sources of the build context, likewise; `codename` is that of the
    /// last stage's base.
    pub(crate) fn sources(&self, codename: &str) -> &Sources {
        let found = self.sources.get_or_init(|| {
            let earlier = self.earlier.take();
            let same = earlier.filter(|(of, _)| of == codename);
            same.unwrap_or_else(|| (codename.to_owned(), sources::scan(self.files, codename)))
        });
        &found.1
    }
}

/// When a rule runs: those of a later phase see what the earlier ones made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// What images and stages there are.
    Images,
    /// The digests of those.
    Digests,
}

/// How images are pinned to digests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinOptions {
    /// Whether the rules that ask registries run without being selected by name.
    pub online: bool,
    /// The platforms that an image is to be there for (`linux/arm64`).
    pub platforms: Vec<String>,
    /// An image that is younger is doubted.
    pub min_age: Option<SignedDuration>,
}

/// A rule.
pub trait Rule: Sync {
    /// What it is.
    fn meta(&self) -> &'static Meta;
    /// When it runs.
    fn phase(&self) -> Phase {
        Phase::Images
    }
    /// Whether it needs a registry's word, and so runs only where that is
    /// asked for.
    fn asks_registries(&self) -> bool {
        false
    }
    /// Adds its rewrites and refusals for one file.
    fn propose(&self, cx: &Context<'_>, out: &mut Proposals);
    /// The templates of the stages that it writes, by name, which a user may
    /// replace by others with the same placeholders.
    fn templates(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
}

/// Declares the rules, in order of precedence: where two clash at the same
/// grade, the earlier one wins.
macro_rules! rules {
    ($($module:ident :: $rule:ident),* $(,)?) => {
        $(mod $module;)*

        /// All rules, in order of precedence.
        #[must_use]
        pub fn all() -> &'static [&'static dyn Rule] {
            &[$(&$module::$rule),*]
        }
    };
}

rules! {
    replace_deprecated::ReplaceDeprecated,
    end_of_life::EndOfLife,
    trusted_base::TrustedBase,
    pin_codename::PinCodename,
    multi_stage::MultiStage,
    jre_base::JreBase,
    slim_base::SlimBase,
    alpine_base::AlpineBase,
    pin_digest::PinDigest,
    refresh_digest::RefreshDigest,
}

/// The rule of that name.
#[must_use]
pub fn find(id: &str) -> Option<&'static dyn Rule> {
    all().iter().copied().find(|rule| rule.meta().id == id)
}

/// A command's text in one short line.
fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(70) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Checks a user's template against the one that it replaces.
///
/// # Errors
/// Which template there is none of, which placeholder is missing, or which is
/// not known, in words.
pub fn check_template(name: &str, text: &str) -> Result<(), String> {
    let templates: Vec<_> = all().iter().flat_map(|rule| rule.templates()).collect();
    let Some((_, own)) = templates.iter().find(|(other, _)| *other == name) else {
        let names: Vec<&str> = templates.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no template {name:?}; those there are: {}",
            names.join(", ")
        ));
    };
    let (known, given) = (placeholders(own), placeholders(text));
    if let Some(missing) = known.iter().find(|name| !given.contains(name)) {
        return Err(format!(
            "it lacks {{{{{missing}}}}}, so what belongs there would be lost"
        ));
    }
    match given.iter().find(|name| !known.contains(name)) {
        Some(unknown) => Err(format!(
            "{{{{{unknown}}}}} is no placeholder; those there are: {}",
            known.join(", ")
        )),
        None => Ok(()),
    }
}

/// The names in `{{…}}`, outside of the template's own comments.
fn placeholders(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with("#:"));
    let mut found = Vec::new();
    for line in lines {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                break;
            };
            found.push(name);
            rest = after;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_keeps_every_placeholder() {
        let templates: Vec<_> = all().iter().flat_map(|rule| rule.templates()).collect();
        assert!(templates.iter().any(|(name, _)| *name == "node"));
        for (name, text) in &templates {
            assert_eq!(check_template(name, text), Ok(()), "{name}");
            let less = text.replace("{{artifacts}}\n", "");
            assert!(check_template(name, &less).is_err_and(|why| why.contains("artifacts")));
            let more = format!("{text}{{{{nobody}}}}\n");
            assert!(check_template(name, &more).is_err_and(|why| why.contains("nobody")));
        }
        assert!(check_template("cobol", "").is_err_and(|why| why.contains("node")));
    }
}
