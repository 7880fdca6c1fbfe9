//! From proposals to what is done: selection, conflicts, and the laws.
//!
//! A [`Plan`] is what every mode reads, so that what is written is what was
//! shown. A rewrite that breaks a law is held for that file, and said.

mod laws;
mod phases;

use std::collections::{BTreeMap, HashSet};

use crate::catalog::{self, Date};
use crate::facts::Facts;
use crate::image::Reference;
use crate::model::Model;
use crate::model::trust::Policy;
use crate::rules::{
    self, Context, Known, Mend, Phase, PinOptions, Prefer, Proposals, Refusal, Rewrite, Rule,
    Safety,
};
use crate::syntax::{self, Dockerfile, SyntaxError};
use crate::text::{Edit, EditSet, Span};

/// What the user wants done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The lowest grade that is chosen.
    pub grade: Safety,
    /// Only these rules; all when empty.
    pub select: HashSet<String>,
    /// Not these rules.
    pub ignore: HashSet<String>,
    /// Which images are let in.
    pub policy: Policy,
    /// The day of the run, by which ends of life are told: the core has no clock.
    /// The catalogue's own day by default.
    pub today: Date,
    /// What builds of earlier plans have shown to be missing in a new final
    /// stage; empty where nothing was built.
    pub mends: Vec<Mend>,
    /// Which smaller variant of an image is wanted.
    pub prefer: Prefer,
    /// The user's own templates of new stages, by their names.
    pub templates: BTreeMap<String, String>,
    /// How images are pinned to digests.
    pub pins: PinOptions,
    /// What holds for some images only.
    pub images: Vec<ForImage>,
}

/// What the user wants for the images that a pattern names.
#[derive(Clone, Debug)]
pub struct ForImage {
    /// Matched against the familiar name, with and without its tag.
    pub pattern: globset::GlobMatcher,
    /// The rules that leave them alone; all where it is `None`.
    pub rules: Option<HashSet<String>>,
    /// The lowest grade that is chosen for them.
    pub grade: Option<Safety>,
    /// The variant that is wanted where the last stage stands on one of them;
    /// the first word counts.
    pub prefer: Option<Prefer>,
    /// Why, in the user's words; may be empty.
    pub reason: String,
}

impl ForImage {
    /// Whether an edit at one of `spans` is about such an image.
    fn is_about(&self, model: &Model<'_>, spans: &[Span]) -> bool {
        let meets = |a: Span, b: &Span| a.start < b.end && b.start < a.end;
        model.images.iter().any(|image| {
            let Ok(reference) = &image.reference else {
                return false;
            };
            let places = [Some(image.span), image.editable.span()];
            let mut places = places.into_iter().flatten();
            places.any(|place| spans.iter().any(|span| meets(place, span))) && self.names(reference)
        })
    }

    fn names(&self, reference: &Reference) -> bool {
        self.pattern.is_match(reference.familiar_name())
            || self.pattern.is_match(reference.familiar())
    }

    fn leaves(&self, rule: &str) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.contains(rule))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            grade: Safety::Review,
            select: HashSet::new(),
            ignore: HashSet::new(),
            policy: Policy::default(),
            today: catalog::source().as_of,
            mends: Vec::new(),
            prefer: Prefer::default(),
            templates: BTreeMap::new(),
            pins: PinOptions::default(),
            images: Vec::new(),
        }
    }
}

impl Options {
    /// Whether a rule runs: by default all but those that ask registries.
    #[must_use]
    pub fn wants(&self, rule: &dyn Rule) -> bool {
        let id = rule.meta().id;
        let by_default = self.pins.online || !rule.asks_registries();
        let selected = match self.select.is_empty() {
            true => by_default,
            false => self.select.contains(id),
        };
        selected && !self.ignore.contains(id)
    }

    /// The variant that is wanted for a file.
    fn preferred(&self, model: &Model<'_>) -> Prefer {
        let last = model.stages.len().checked_sub(1);
        let base = last.and_then(|last| model.base_image(last)?.reference.as_ref().ok());
        let own = base.and_then(|base| {
            let mut images = self.images.iter();
            images.find_map(|image| image.prefer.filter(|_| image.names(base)))
        });
        own.unwrap_or(self.prefer)
    }
}

/// Why a proposal is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Its grade is under the one asked for.
    BelowGrade,
    /// It touches the same bytes as this rewrite, which comes first.
    Conflict(&'static str),
    /// A comment in the file asks for it to be left.
    Suppressed(String),
    /// The settings say to leave that image, and why (may be empty).
    Settings(String),
    /// It would break a law: which, and how.
    Breaks(String),
    /// Builds before and after do not bear it out: what they have shown.
    Unproven(String),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BelowGrade => f.write_str("its grade is below the one asked for"),
            Self::Conflict(rule) => write!(f, "it changes the same lines as {rule}"),
            Self::Suppressed(why) if why.is_empty() => f.write_str("a comment says to leave it"),
            Self::Suppressed(why) => write!(f, "a comment says to leave it: {why}"),
            Self::Settings(why) if why.is_empty() => {
                f.write_str("the settings say to leave this image")
            }
            Self::Settings(why) => write!(f, "the settings say to leave this image: {why}"),
            Self::Breaks(law) => write!(f, "it would break a law: {law}"),
            Self::Unproven(why) => write!(f, "building it has not proven it: {why}"),
        }
    }
}

/// A rewrite that was proposed and is not done.
#[derive(Clone, Debug)]
pub struct Held {
    /// The rewrite.
    pub rewrite: Rewrite,
    /// Why it is held.
    pub reason: Reason,
}

/// A comment that asks for something to be left which nothing would touch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unused {
    /// The comment.
    pub at: Span,
    /// What is wrong with it, in words.
    pub why: String,
}

/// What is to be done to one file. Chosen and held are all that was proposed.
#[derive(Debug)]
pub struct Plan {
    /// The file as it is.
    pub before: Dockerfile,
    /// The rewrites to make, in order of place.
    pub chosen: Vec<Rewrite>,
    /// Those held back, with the reason.
    pub held: Vec<Held>,
    /// What the rules looked at and left alone.
    pub refusals: Vec<Refusal>,
    /// Comments that suppress nothing.
    pub unused: Vec<Unused>,
    /// The edits of the chosen rewrites.
    pub edits: EditSet,
    /// The file after them; equal to `before` when nothing is chosen.
    pub after: Vec<u8>,
}

impl Plan {
    /// Why the file can't be worked on; empty when it can.
    #[must_use]
    pub fn errors(&self) -> &[SyntaxError] {
        self.before.errors()
    }

    /// Whether something would change.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Holds back all that is chosen, since builds have not borne it out, and why.
    pub fn withhold(&mut self, why: &str) {
        let held = self.chosen.drain(..).map(|rewrite| Held {
            rewrite,
            reason: Reason::Unproven(why.to_owned()),
        });
        self.held.extend(held);
        self.edits = EditSet::default();
        self.after = self.before.source().to_vec();
    }

    /// The file after only these rewrites, which are of this plan.
    ///
    /// # Errors
    /// Where they change the same bytes, or the result breaks a law: how.
    pub fn only(&self, rewrites: &[Rewrite]) -> Result<Vec<u8>, String> {
        let mut edits = EditSet::default();
        for rewrite in rewrites {
            let merged = edits.merge(&rewrite.edits);
            edits = merged.map_err(|overlap| overlap.to_string())?;
        }
        let text = edits.apply(self.before.source());
        let after = syntax::parse(text.clone());
        laws::still_valid(&Model::of(&self.before), &edits, &Model::of(&after))?;
        Ok(text)
    }

    /// Whether a chosen rewrite does the work that a rule refused to do.
    #[must_use]
    pub fn supersedes(&self, refusal: &Refusal) -> bool {
        let mut chosen = self.chosen.iter();
        chosen.any(|rewrite| rewrite.includes.contains(&refusal.rule))
    }
}

/// Plans the rewrites of one file. A file with syntax errors gets none.
#[must_use]
pub fn plan(source: Vec<u8>, facts: Facts<'_>, options: &Options) -> Plan {
    let first = one_phase(source, facts, options, Phase::Images);
    let more = |rule: &&dyn Rule| rule.phase() == Phase::Digests && options.wants(*rule);
    if !first.errors().is_empty() || !rules::all().iter().any(more) {
        return first;
    }
    let second = one_phase(first.after.clone(), facts, options, Phase::Digests);
    let mut joined = phases::join(first, second);
    // The first phase must have nothing to say to what the second made of its work.
    let after = syntax::parse(joined.after.clone());
    let after = Model::of(&after);
    let again = choose(&after, facts, options, Phase::Images, None).0;
    let mut more = again.chosen.iter();
    if let Some(rewrite) = more.find(|more| valid_alone(&after, more).is_ok()) {
        let law = again_proposes(rewrite);
        let (digests, images): (Vec<_>, Vec<_>) = std::mem::take(&mut joined.chosen)
            .into_iter()
            .partition(|rewrite| {
                rules::find(rewrite.rule).is_some_and(|rule| rule.phase() == Phase::Digests)
            });
        joined.edits = merged(&images);
        joined.after = joined.edits.apply(joined.before.source());
        joined.chosen = images;
        joined.held.extend(digests.into_iter().map(|rewrite| Held {
            rewrite,
            reason: Reason::Breaks(law.clone()),
        }));
    }
    joined
}

/// How law 3 is broken.
fn again_proposes(rewrite: &Rewrite) -> String {
    format!(
        "a second run would propose more: {} ({})",
        rewrite.title, rewrite.rule
    )
}

/// The plan of the rules of one phase.
fn one_phase(source: Vec<u8>, facts: Facts<'_>, options: &Options, phase: Phase) -> Plan {
    let before = syntax::parse(source);
    if !before.errors().is_empty() {
        let after = before.source().to_vec();
        return Plan {
            before,
            chosen: Vec::new(),
            held: Vec::new(),
            refusals: Vec::new(),
            unused: Vec::new(),
            edits: EditSet::default(),
            after,
        };
    }
    let model = Model::of(&before);
    let (choice, known) = choose(&model, facts, options, phase, None);
    let Choice {
        mut chosen,
        mut held,
        refusals,
        unused,
    } = choice;
    let mut edits = merged(&chosen);
    let mut after = edits.apply(before.source());
    if !edits.is_empty()
        && let Err(broken) = lawful(&model, &edits, &after, facts, options, phase, known)
    {
        // Which one is it? Each is tried alone, then what is left together: only
        // then can a second run have nothing to propose.
        let mut kept = Vec::new();
        let alone = chosen.len() == 1;
        let mut tried = 0;
        for rewrite in chosen.drain(..) {
            tried += 1;
            let verdict = if alone {
                Err(broken.clone())
            } else if tried > TRIALS {
                Err(format!(
                    "{broken} (one of too many rewrites to try each alone)"
                ))
            } else {
                valid_alone(&model, &rewrite)
            };
            match verdict {
                Ok(()) => kept.push(rewrite),
                Err(law) => held.push(Held {
                    rewrite,
                    reason: Reason::Breaks(law),
                }),
            }
        }
        edits = merged(&kept);
        after = edits.apply(before.source());
        if !edits.is_empty()
            && let Err(law) = lawful(
                &model,
                &edits,
                &after,
                facts,
                options,
                phase,
                Known::default(),
            )
        {
            for rewrite in kept.drain(..) {
                held.push(Held {
                    rewrite,
                    reason: Reason::Breaks(law.clone()),
                });
            }
            edits = EditSet::default();
            after = before.source().to_vec();
        }
        chosen = kept;
    }
    Plan {
        before,
        chosen,
        held,
        refusals,
        unused,
        edits,
        after,
    }
}

struct Choice {
    chosen: Vec<Rewrite>,
    held: Vec<Held>,
    refusals: Vec<Refusal>,
    unused: Vec<Unused>,
}

/// Edits that are made, each with the number of the first rewrite that makes it.
/// They are disjoint, so their starts tell them apart.
#[derive(Default)]
struct Taken(BTreeMap<u32, (Edit, usize)>);

impl Taken {
    /// The first rewrite with which these edits can't be made, as
    /// [`EditSet::merge`] has it: without looking at all that are far away.
    fn first_clash(&self, edits: &EditSet) -> Option<usize> {
        let clashing = |edit: &Edit| -> Option<usize> {
            let Span { start, end } = edit.span;
            let before = self.0.range(..start).next_back();
            let before = before.filter(|(_, (other, _))| other.span.end > start);
            let here = self.0.get(&start).filter(|(other, _)| other != edit);
            // One that equals it has been fitted to those behind it.
            let behind = self.0.range(start.saturating_add(1)..end.max(start + 1));
            let all = before.into_iter().map(|(_, taken)| taken).chain(here);
            let all = all.chain(behind.map(|(_, taken)| taken));
            all.map(|(_, at)| *at).min()
        };
        edits.iter().filter_map(clashing).min()
    }

    /// Takes the edits of a rewrite that clashes with none.
    fn take(&mut self, edits: &EditSet, number: usize) {
        for edit in edits.iter() {
            let entry = self.0.entry(edit.span.start);
            entry.or_insert_with(|| (edit.clone(), number));
        }
    }
}

/// Runs the rules and settles grade and conflicts; returns what they read, too.
/// `before` is what the file was and what was read then.
fn choose(
    model: &Model<'_>,
    facts: Facts<'_>,
    options: &Options,
    phase: Phase,
    before: Option<(&Model<'_>, Known)>,
) -> (Choice, Known) {
    let file = model.file;
    let mut cx = Context::new(model, facts);
    cx.policy = &options.policy;
    cx.today = options.today;
    cx.mends = &options.mends;
    cx.prefer = options.preferred(model);
    cx.templates = Some(&options.templates);
    cx.pins = &options.pins;
    if let Some((old, known)) = before {
        cx.read_before(old, known);
    }
    let mut proposals = Proposals::default();
    for rule in rules::all() {
        if rule.phase() == phase && options.wants(*rule) {
            rule.propose(&cx, &mut proposals);
        }
    }
    let known = cx.into_known();
    let Proposals {
        mut rewrites,
        mut refusals,
        ..
    } = proposals;
    // A stable sort: within a grade the order of the rules stands.
    rewrites.sort_by_key(|rewrite| std::cmp::Reverse(rewrite.safety()));
    let mut suppressed = laws::suppressions(file);
    let mut held = Vec::new();
    let mut eligible: Vec<Rewrite> = Vec::new();
    for rewrite in rewrites {
        let line = file.lines().line(rewrite.at.start);
        let mut spans = vec![rewrite.at];
        spans.extend(rewrite.edits.iter().map(|edit| edit.span));
        let images: Vec<&ForImage> = options
            .images
            .iter()
            .filter(|image| image.is_about(model, &spans))
            .collect();
        let left = images.iter().find(|image| image.leaves(rewrite.rule));
        let grades = images.iter().filter_map(|image| image.grade);
        let lowest = grades.fold(options.grade, Safety::max);
        let reason = if let Some(why) = suppressed.reason(rewrite.rule, line) {
            Reason::Suppressed(why)
        } else if let Some(image) = left {
            Reason::Settings(image.reason.clone())
        } else if rewrite.safety() < lowest || rewrite.safety() == Safety::Manual {
            Reason::BelowGrade
        } else {
            eligible.push(rewrite);
            continue;
        };
        held.push(Held { rewrite, reason });
    }
    refusals.retain(|refusal| {
        let line = file.lines().line(refusal.at.start);
        let settings = || {
            let mut images = options.images.iter();
            images.any(|image| image.leaves(refusal.rule) && image.is_about(model, &[refusal.at]))
        };
        suppressed.reason(refusal.rule, line).is_none() && !settings()
    });
    let ran =
        |id: &str| rules::find(id).is_some_and(|rule| rule.phase() == phase && options.wants(rule));
    // A comment for all rules is judged only where one phase knows of all of
    // them: those of digests run when they are asked for.
    let everything = phase == Phase::Images
        && rules::all()
            .iter()
            .all(|rule| (rule.phase() == Phase::Images) == options.wants(*rule));
    let unused = suppressed.unused(ran, everything);
    let clash = |a: &Rewrite, b: &Rewrite| a.edits.merge(&b.edits).is_err();
    let covers = |other: &Rewrite, rewrite: &Rewrite| {
        other.includes.contains(&rewrite.rule) && clash(other, rewrite)
    };
    // Few do the work of others: a file of any length has one or two.
    let hosts: Vec<&Rewrite> = eligible
        .iter()
        .filter(|rewrite| !rewrite.includes.is_empty())
        .collect();
    let covered = |rewrite: &Rewrite| hosts.iter().any(|other| covers(other, rewrite));
    // One that is covered itself does not do the work of others.
    let order: Vec<Option<&'static str>> = eligible
        .iter()
        .map(|rewrite| {
            let mut others = hosts.iter();
            others
                .find(|other| covers(other, rewrite) && !covered(other))
                .map(|other| other.rule)
        })
        .collect();
    let mut chosen: Vec<Rewrite> = Vec::new();
    let mut taken = Taken::default();
    for (rewrite, covered) in eligible.into_iter().zip(order) {
        let before = taken.first_clash(&rewrite.edits).map(|at| chosen[at].rule);
        match covered.or(before) {
            Some(rule) => held.push(Held {
                rewrite,
                reason: Reason::Conflict(rule),
            }),
            None => {
                taken.take(&rewrite.edits, chosen.len());
                chosen.push(rewrite);
            }
        }
    }
    // What changes the ground on which the others stand goes before them, and
    // takes along what they propose about its result.
    if let Some(at) = chosen.iter().position(|rewrite| rewrite.reopens) {
        let first = chosen.swap_remove(at);
        chosen = vec![reopened(model, first, facts, options, phase)];
    }
    chosen.sort_by_key(|rewrite| rewrite.at.start);
    let choice = Choice {
        chosen,
        held,
        refusals,
        unused,
    };
    (choice, known)
}

/// A rewrite with all that the rules propose about its result: one unit of
/// consent, since the latter stands on the former.
fn reopened(
    model: &Model<'_>,
    mut first: Rewrite,
    facts: Facts<'_>,
    options: &Options,
    phase: Phase,
) -> Rewrite {
    let source = model.file.source();
    let result = syntax::parse(first.edits.apply(source));
    if !result.errors().is_empty() {
        return first;
    }
    let again = choose(&Model::of(&result), facts, options, phase, None).0;
    if again.chosen.is_empty() || again.chosen.iter().any(|r| r.rule == first.rule) {
        return first;
    }
    first.edits = first.edits.then(&merged(&again.chosen), source.len());
    for rewrite in again.chosen {
        first.title = format!(
            "{}, and then {} ({})",
            first.title, rewrite.title, rewrite.rule
        );
        for reason in &rewrite.because {
            first.because(reason.clone());
        }
        for caveat in rewrite.caveats() {
            first.caveat(caveat.clone());
        }
        first.lower(rewrite.safety());
    }
    first
}

fn merged(rewrites: &[Rewrite]) -> EditSet {
    let edits = rewrites.iter().flat_map(|rewrite| rewrite.edits.iter());
    EditSet::new(edits.cloned().collect()).expect("conflicting rewrites were held")
}

/// Whether the laws hold for these edits, or which is broken and how; `known` is
/// what the rules have read of the file as it was.
fn lawful(
    before: &Model<'_>,
    edits: &EditSet,
    after: &[u8],
    facts: Facts<'_>,
    options: &Options,
    phase: Phase,
    known: Known,
) -> Result<(), String> {
    let after = syntax::parse(after);
    let after = Model::of(&after);
    laws::still_valid(before, edits, &after)?;
    let again = choose(&after, facts, options, phase, Some((before, known))).0;
    // What breaks a law there is held by the second run too.
    // Of very many the first after those that are tried counts as one that does not.
    let mut more = again.chosen.iter().enumerate();
    let more = more.find(|(at, more)| *at >= TRIALS || valid_alone(&after, more).is_ok());
    match more.map(|(_, more)| more) {
        Some(more) => Err(again_proposes(more)),
        None => Ok(()),
    }
}

/// How many rewrites are tried alone where together they break a law: each
/// trial reads the whole file again.
const TRIALS: usize = 50;

/// Whether a rewrite alone gives a valid file, or which law it breaks.
fn valid_alone(model: &Model<'_>, rewrite: &Rewrite) -> Result<(), String> {
    let after = rewrite.edits.apply(model.file.source());
    let after = syntax::parse(after);
    laws::still_valid(model, &rewrite.edits, &Model::of(&after))
}
