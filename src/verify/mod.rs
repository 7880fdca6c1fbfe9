//! Proof by building: a file is built as it is and as its plan makes it, with
//! the user's own builder, and the two images are compared. What a build shows
//! to be missing is put into the next plan; a plan that can't be mended gives
//! way to a smaller one, in the end to none.
//!
//! What is compared: the configuration ([`config`]), the closure of what runs
//! ([`closure`], read from the files without running anything), the size
//! ([`size`]) and, when asked for, the behaviour ([`behaviour`]).
//!
//! Everything that is started is ended: programs when they take too long or
//! the user stops ([`process`]), containers and images when their guards go
//! out of scope. Values of secrets are taken out of every line that a builder
//! or a container writes ([`secrets`]).

pub mod archive;
pub mod behaviour;
pub mod builder;
pub mod closure;
pub mod config;
pub mod failure;
pub mod layer;
pub mod process;
pub mod repair;
pub mod report;
pub mod root;
pub mod secrets;
pub mod size;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::facts::Facts;
use crate::model::{Base, Model};
use crate::plan::{self, Plan};
use crate::rules::{Context, Mend, Safety};
use crate::syntax::{self, Keyword};
use crate::text::{Edit, EditSet, Span};

use archive::{Cache, Image};
use behaviour::{Answer, Compared, Question};
use builder::{Build, Builder, Flags};
use closure::{Finding, Side};
use config::Difference;
use failure::Failure;
use process::Stop;
use root::Root;
use secrets::Secrets;
use size::{Folder, Weight};

/// How to verify.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to plan.
    pub plan: plan::Options,
    /// What to hand on to the builder.
    pub flags: Flags,
    /// How long one build may take.
    pub time: Duration,
    /// Start containers and ask them.
    pub run: Option<Run>,
    /// Mend what fails, in at most so many rounds; `None` tells only.
    pub repair: Option<u32>,
    /// Leave the images.
    pub keep: bool,
    /// Compare with this file, made by hand, instead of with a plan.
    pub against: Option<String>,
}

/// How to start containers; what is not told is taken from the image before.
#[derive(Clone, Debug)]
pub struct Run {
    /// The question, with the port if it was named.
    pub question: Question,
    /// Ask on the first port that the image exposes.
    pub exposed: bool,
}

/// What all files of a run share.
#[derive(Debug)]
pub struct Session<'s> {
    /// The builder.
    pub builder: &'s Builder,
    /// What no log may show.
    pub secrets: &'s Secrets,
    /// What is kept between runs.
    pub cache: &'s Cache,
    /// Ends everything.
    pub stop: &'s Stop,
    /// Base images that were read, by the instructions that name them.
    pub bases: &'s Mutex<HashMap<String, Image>>,
}

/// One file.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    /// Its path.
    pub path: &'s Path,
    /// Its path as reports print it.
    pub shown: &'s str,
    /// Its bytes.
    pub bytes: &'s [u8],
    /// Its build context.
    pub context: &'s Path,
    /// What rules may ask.
    pub facts: Facts<'s>,
}

/// What came of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The plan holds.
    Verified,
    /// The plan holds after mends.
    Mended,
    /// A smaller plan holds: some of the first one's rewrites are not in it.
    SteppedDown,
    /// The plan changes what the image is or does.
    Differs,
    /// No plan holds: the file is best left alone.
    GaveUp,
    /// The file does not build as it is.
    BeforeFails,
    /// Nothing would change.
    Unchanged,
    /// The file can't be parsed.
    Invalid,
    /// Something else failed: the builder, the network, the disk.
    Failed,
}

impl Verdict {
    /// Whether a change was proven and may be written.
    #[must_use]
    pub fn holds(self) -> bool {
        matches!(self, Self::Verified | Self::Mended | Self::SteppedDown)
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Mended => "mended",
            Self::SteppedDown => "stepped-down",
            Self::Differs => "differs",
            Self::GaveUp => "gave-up",
            Self::BeforeFails => "before-fails",
            Self::Unchanged => "unchanged",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
        }
    }
}

/// What came of a file, with all that was seen.
#[derive(Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The plan that the verdict is about: the one that holds, or the last
    /// one that was tried.
    pub plan: Plan,
    /// Each plan that was built, in order.
    pub rounds: Vec<Round>,
    /// What stopped it.
    pub failure: Option<Failure>,
    /// How long it took.
    pub took: Duration,
    /// The images that were left, with `keep`.
    pub kept: Vec<String>,
}

/// One plan, built.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// The titles of its rewrites.
    pub plan: Vec<String>,
    /// What was added to it since the round before.
    pub mends: Vec<Mend>,
    /// Why it does not hold; empty when it does.
    pub problems: Vec<String>,
    /// What is worth knowing and no reason against it.
    pub notes: Vec<String>,
    /// The comparison, where it could be built.
    pub seen: Option<Seen>,
    /// The last lines of the log where the build or the container failed.
    pub log: Vec<String>,
}

/// The comparison of two images.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where the configurations differ.
    pub config: Vec<Difference>,
    /// What the closure lacks.
    pub closure: Vec<Finding>,
    /// The layers before and after.
    pub layers: (Vec<Weight>, Vec<Weight>),
    /// The folders.
    pub folders: Vec<Folder>,
    /// What the containers said.
    pub behaviour: Option<Behaviour>,
}

impl Seen {
    /// The bytes on disk before and after.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let sum = |layers: &[Weight]| layers.iter().map(|layer| layer.bytes).sum();
        (sum(&self.layers.0), sum(&self.layers.1))
    }

    /// The compressed bytes before and after.
    #[must_use]
    pub fn compressed(&self) -> (u64, u64) {
        let sum = |layers: &[Weight]| layers.iter().map(|layer| layer.compressed).sum();
        (sum(&self.layers.0), sum(&self.layers.1))
    }
}

/// What the containers of both images said.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What was asked.
    pub asked: String,
    /// The answers.
    pub before: Answer,
    /// As `before`.
    pub after: Answer,
    /// How they compare.
    pub compared: Compared,
}

/// Hears what is going on.
pub trait Watch: Sync {
    /// What is being done now.
    fn now(&self, what: &str);
}

/// An image of ours; its tag is taken away when it goes out of scope.
struct Tagged<'s> {
    builder: &'s Builder,
    tag: String,
    keep: bool,
}

impl Drop for Tagged<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.builder.untag(&self.tag);
        }
    }
}

/// A built image, its contents, and those of the image it is built on.
struct Built<'s> {
    tagged: Tagged<'s>,
    image: Image,
    base: Option<Image>,
}

impl Built<'_> {
    /// How many of its lowest layers are the base image's.
    fn base_layers(&self) -> usize {
        let Some(base) = &self.base else { return 0 };
        let ids = &base.config.diff_ids;
        if self.image.config.diff_ids.starts_with(ids) {
            ids.len()
        } else {
            0
        }
    }
}

/// Numbers the images and containers of this process.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// How long an image may take to be read.
const READING: Duration = Duration::from_secs(1200);

/// An image that grew by less than this is not said to have grown.
const SLACK: u64 = 1 << 20;

struct Worker<'w> {
    subject: Subject<'w>,
    options: &'w Options,
    session: &'w Session<'w>,
    watch: &'w dyn Watch,
    slug: String,
}

/// Verifies one file.
#[must_use]
pub fn verify(
    subject: Subject<'_>,
    options: &Options,
    session: &Session<'_>,
    watch: &dyn Watch,
) -> Outcome {
    let start = Instant::now();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let worker = Worker {
        subject,
        options,
        session,
        watch,
        slug: format!("{}-{number}", std::process::id()),
    };
    let plan = worker.plan(&options.plan);
    let mut outcome = Outcome {
        verdict: Verdict::Unchanged,
        plan,
        rounds: Vec::new(),
        failure: None,
        took: Duration::ZERO,
        kept: Vec::new(),
    };
    if !outcome.plan.errors().is_empty() {
        outcome.verdict = Verdict::Invalid;
    } else if outcome.plan.changes()
        && let Err(failure) = worker.rounds(&mut outcome)
    {
        outcome.verdict = Verdict::Failed;
        outcome.failure = Some(failure);
    }
    outcome.took = start.elapsed();
    outcome
}

impl<'w> Worker<'w> {
    fn plan(&self, options: &plan::Options) -> Plan {
        if let Some(text) = &self.options.against {
            return against(self.subject.bytes, text);
        }
        plan::plan(self.subject.bytes.to_vec(), self.subject.facts, options)
    }

    /// Builds what it is now, then one plan after the other.
    fn rounds(&self, outcome: &mut Outcome) -> Result<(), Failure> {
        let before = match self.build(self.subject.bytes, "before") {
            Ok(before) => before,
            Err(failure) if failure.is_the_files() => {
                outcome.verdict = Verdict::BeforeFails;
                outcome.failure = Some(failure);
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        if self.options.keep {
            outcome.kept.push(before.tagged.tag.clone());
        }
        let question = self.question(&before);
        let answer = match &question {
            Some(question) => Some(self.ask(&before, &before, question, "before")?),
            None => None,
        };
        let old = Root::of(&before.image);
        let mut planned = self.options.plan.clone();
        let mut left = self.options.repair.unwrap_or_default();
        let mut whole = false;
        let mut added: Vec<Mend> = Vec::new();
        loop {
            let (mut round, mends) = self.attempt(
                &outcome.plan,
                &before,
                &old,
                question.as_ref(),
                answer.as_ref(),
                outcome.kept.as_mut(),
            )?;
            round.mends = std::mem::take(&mut added);
            let holds = round.problems.is_empty();
            outcome.rounds.push(round);
            if holds {
                let dropped = planned.ignore.len() > self.options.plan.ignore.len();
                outcome.verdict = match outcome.rounds.len() {
                    1 => Verdict::Verified,
                    _ if dropped => Verdict::SteppedDown,
                    _ => Verdict::Mended,
                };
                return Ok(());
            }
            outcome.verdict = Verdict::Differs;
            if self.options.repair.is_none() || self.options.against.is_some() {
                return Ok(());
            }
            // First what was seen to be missing, then all that was written,
            // then a smaller plan.
            let known: BTreeSet<_> = planned.mends.iter().map(|m| m.what.clone()).collect();
            let fresh = |mends: Vec<Mend>| -> Vec<Mend> {
                mends
                    .into_iter()
                    .filter(|m| !known.contains(&m.what))
                    .collect()
            };
            let mut tries: Vec<(Vec<Mend>, bool)> = Vec::new();
            if left > 0 {
                tries.push((fresh(mends), false));
            }
            if !whole {
                tries.push((fresh(repair::written(&old, before.base_layers())), true));
            }
            let mut next = None;
            for (mends, all) in tries {
                if mends.is_empty() {
                    continue;
                }
                let mut options = planned.clone();
                options.mends.extend(mends.iter().cloned());
                let plan = self.plan(&options);
                if plan.changes() && plan.after != outcome.plan.after {
                    if all {
                        whole = true;
                    } else {
                        left -= 1;
                    }
                    next = Some((options, plan, mends));
                    break;
                }
            }
            let (options, plan) = match next {
                Some((options, plan, mends)) => {
                    added = mends;
                    (options, plan)
                }
                None => match self.smaller(planned, &outcome.plan) {
                    Some(smaller) => smaller,
                    None => {
                        outcome.verdict = Verdict::GaveUp;
                        return Ok(());
                    }
                },
            };
            planned = options;
            outcome.plan = plan;
        }
    }

    /// The next smaller plan: without the least sure of its rewrites.
    fn smaller(&self, mut options: plan::Options, plan: &Plan) -> Option<(plan::Options, Plan)> {
        let mut last = plan.after.clone();
        let mut chosen: Vec<(Safety, &'static str)> =
            plan.chosen.iter().map(|r| (r.safety(), r.rule)).collect();
        while let Some((_, rule)) = chosen.iter().min_by_key(|(safety, _)| *safety) {
            options.ignore.insert((*rule).to_owned());
            options.mends.clear();
            let plan = self.plan(&options);
            if !plan.changes() {
                return None;
            }
            if plan.after != last {
                return Some((options, plan));
            }
            last.clone_from(&plan.after);
            chosen = plan.chosen.iter().map(|r| (r.safety(), r.rule)).collect();
        }
        None
    }

    /// Builds a plan and compares; also what would mend what is wrong.
    fn attempt(
        &self,
        plan: &Plan,
        before: &Built<'_>,
        old: &Root<'_>,
        question: Option<&Question>,
        answer: Option<&Answer>,
        kept: &mut Vec<String>,
    ) -> Result<(Round, Vec<Mend>), Failure> {
        let mut round = Round {
            plan: plan.chosen.iter().map(|r| r.title.clone()).collect(),
            ..Round::default()
        };
        let old_side = Side {
            root: old,
            config: &before.image.config,
        };
        let owners = old.owners();
        let number = kept.len().max(1);
        let after = match self.build(&plan.after, &format!("after-{number}")) {
            Ok(after) => after,
            Err(Failure::Build(broken)) => {
                let step = broken.step.as_deref().unwrap_or("a step");
                round
                    .problems
                    .push(format!("the rewritten file does not build: `{step}` fails"));
                let base = self.base_of(&plan.after)?;
                let empty = Image {
                    config: config::Config::default(),
                    layers: Vec::new(),
                };
                let base = base.as_ref().unwrap_or(&empty);
                let root = Root::of(base);
                let new_side = Side {
                    root: &root,
                    config: &base.config,
                };
                let lacks = repair::lacks_in_log(&broken.lines, old_side, new_side);
                let mends = lacks
                    .iter()
                    .filter_map(|l| repair::mend(l, &owners, old_side));
                round.log = broken.lines;
                return Ok((round, mends.collect()));
            }
            Err(failure) => return Err(failure),
        };
        if self.options.keep {
            kept.push(after.tagged.tag.clone());
        }
        self.watch.now("comparing");
        let new = Root::of(&after.image);
        let new_side = Side {
            root: &new,
            config: &after.image.config,
        };
        let bases = match (&before.base, &after.base) {
            (Some(a), Some(b)) => Some((&a.config, &b.config)),
            _ => None,
        };
        let config = config::differences(&before.image.config, &after.image.config, bases);
        let closure = closure::check(old_side, new_side, after.base_layers(), &self.programs());
        let mut lacks: Vec<_> = closure
            .iter()
            .filter(|finding| finding.grave)
            .filter_map(|finding| finding.lack.clone())
            .collect();
        for difference in &config {
            let text = describe(difference);
            if difference.of_base {
                round
                    .notes
                    .push(format!("{text}; the base images differ in this"));
            } else {
                round.problems.push(text);
            }
        }
        for finding in &closure {
            if finding.grave {
                round.problems.push(finding.what.clone());
            } else {
                round.notes.push(finding.what.clone());
            }
        }
        let mut behaviour = None;
        if let (Some(question), Some(answer)) = (question, answer) {
            let reply = self.ask(&after, before, question, "after")?;
            let again = || self.ask(before, before, question, "before, once more");
            let compared = behaviour::differ(answer, &reply, again)?;
            match &compared {
                Compared::Same => {}
                Compared::Varies => round.notes.push(
                    "the answer's text is another one each time: its status and type were compared"
                        .into(),
                ),
                Compared::Differs(why) => {
                    round.problems.push(why.clone());
                    round.log = repair::decisive(&reply.log);
                    lacks.extend(repair::lacks_in_log(&reply.log, old_side, new_side));
                }
            }
            if !answer.fine {
                round.notes.push(format!(
                    "before, it does not answer well either ({}): that it is the same after proves little",
                    answer.firm.join(", ")
                ));
            }
            behaviour = Some(Behaviour {
                asked: asked(question),
                before: answer.clone(),
                after: reply,
                compared,
            });
        }
        let seen = Seen {
            config,
            closure,
            layers: (
                size::layers(&before.image, before.base_layers()),
                size::layers(&after.image, after.base_layers()),
            ),
            folders: size::folders(old, &new),
            behaviour,
        };
        let (was, is) = seen.bytes();
        if is > was + SLACK {
            round.problems.push(format!(
                "the image grew by {:.1} MB",
                (is - was) as f64 / 1e6
            ));
        }
        round.seen = Some(seen);
        let mends = lacks
            .iter()
            .filter_map(|l| repair::mend(l, &owners, old_side));
        Ok((round, mends.collect()))
    }

    /// What the image is known to run: from its instructions and scripts.
    fn programs(&self) -> Vec<(String, String)> {
        let file = syntax::parse(self.subject.bytes.to_vec());
        let model = Model::of(&file);
        let cx = Context::new(&model, self.subject.facts);
        let demands = cx.runtime().map(|runtime| runtime.demands.as_slice());
        let demands = demands.unwrap_or_default().iter();
        demands
            .map(|d| (d.program.clone(), d.via.clone()))
            .collect()
    }

    /// Builds, reads the image, and reads that of its base.
    fn build(&self, dockerfile: &[u8], role: &str) -> Result<Built<'w>, Failure> {
        let tag = format!("dfmigrate-verify:{}-{role}", self.slug);
        let tagged = self.build_one(dockerfile, &tag, role, self.subject.context, false)?;
        self.watch.now(&format!("{role}: reading the image"));
        let image = self.read(&tag)?;
        let base = self.base_of(dockerfile)?;
        Ok(Built {
            tagged,
            image,
            base,
        })
    }

    fn build_one(
        &self,
        dockerfile: &[u8],
        tag: &str,
        role: &str,
        context: &Path,
        bare: bool,
    ) -> Result<Tagged<'w>, Failure> {
        let mut flags = self.options.flags.clone();
        if bare {
            flags = Flags {
                build_args: flags.build_args,
                platform: flags.platform,
                ..Flags::default()
            };
        }
        let build = Build {
            dockerfile,
            path: self.subject.path,
            context,
            tag,
            flags: &flags,
        };
        self.watch.now(&format!("{role}: building"));
        let session = self.session;
        session
            .builder
            .build(&build, session.secrets, self.options.time, |step| {
                self.watch.now(&format!("{role}: {step}"));
            })?;
        Ok(Tagged {
            builder: session.builder,
            tag: tag.to_owned(),
            keep: self.options.keep && !bare,
        })
    }

    fn read(&self, tag: &str) -> Result<Image, Failure> {
        let id = self.session.builder.id(tag)?;
        let cache = self.session.cache;
        if let Some(image) = cache.image(&id) {
            return Ok(image);
        }
        let builder = self.session.builder;
        builder.save(tag, READING, |archive| archive::read(archive, &id, cache))
    }

    /// The image that the last stage is built on, read by building nothing on
    /// it: the file's own ARG lines say what its FROM means.
    fn base_of(&self, dockerfile: &[u8]) -> Result<Option<Image>, Failure> {
        let file = syntax::parse(dockerfile.to_vec());
        let model = Model::of(&file);
        let Some(last) = model.stages.len().checked_sub(1) else {
            return Ok(None);
        };
        let mut stage = &model.stages[last];
        if let Some(target) = &self.options.flags.target {
            let named = model
                .stages
                .iter()
                .find(|s| s.name.as_ref() == Some(&target.to_lowercase()));
            stage = named.unwrap_or(stage);
        }
        while let Base::Stage(earlier) = stage.base {
            stage = &model.stages[earlier];
        }
        if !matches!(stage.base, Base::Image(_)) {
            return Ok(None);
        }
        let text = |at: usize| {
            let it = model.instructions[at];
            String::from_utf8_lossy(it.code(file.source()).of(file.source())).into_owned()
        };
        let mut bare = String::new();
        for (at, it) in model.instructions.iter().enumerate() {
            match it.keyword {
                Keyword::From => break,
                Keyword::Arg => bare.push_str(&(text(at) + "\n")),
                _ => {}
            }
        }
        bare.push_str(&(text(stage.from) + "\n"));
        let known = || {
            self.session
                .bases
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(image) = known().get(&bare) {
            return Ok(Some(image.clone()));
        }
        let empty = tempfile::tempdir()
            .map_err(|error| Failure::Other(format!("no folder can be made: {error}")))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tag = format!("dfmigrate-verify:{}-base-{number}", self.slug);
        let _tagged = self.build_one(bare.as_bytes(), &tag, "base", empty.path(), true)?;
        let image = self.read(&tag)?;
        known().insert(bare, image.clone());
        Ok(Some(image))
    }

    /// What to ask, with what the image before says of itself.
    fn question(&self, before: &Built<'_>) -> Option<Question> {
        let run = self.options.run.as_ref()?;
        let mut question = run.question.clone();
        let config = &before.image.config;
        if question.port.is_none() && run.exposed {
            let ports = config.ports.iter();
            question.port = ports
                .filter_map(|port| port.strip_suffix("/tcp")?.parse().ok())
                .next();
        }
        let checks = config.health.as_deref();
        question.health = checks.is_some_and(|health| !health.contains("\"NONE\""));
        Some(question)
    }

    fn ask(
        &self,
        of: &Built<'_>,
        asker: &Built<'_>,
        question: &Question,
        role: &str,
    ) -> Result<Answer, Failure> {
        self.watch.now(&format!("{role}: {}", asked(question)));
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        behaviour::ask(
            self.session.builder,
            &of.tagged.tag,
            &asker.tagged.tag,
            &format!("dfmigrate-verify-{}-{number}", self.slug),
            question,
            self.session.secrets,
        )
    }
}

/// A file made by hand, as a plan without rewrites of ours.
fn against(bytes: &[u8], text: &str) -> Plan {
    let before = syntax::parse(bytes.to_vec());
    let whole = Span::new(0, bytes.len());
    let edits = if bytes == text.as_bytes() {
        EditSet::default()
    } else {
        EditSet::new(vec![Edit::replace(whole, text)]).unwrap_or_default()
    };
    Plan {
        chosen: Vec::new(),
        held: Vec::new(),
        refusals: Vec::new(),
        unused: Vec::new(),
        after: edits.apply(bytes),
        edits,
        before,
    }
}

/// A question in words.
fn asked(question: &Question) -> String {
    match (&question.port, &question.check) {
        (_, Some(check)) => format!("running `{check}`"),
        (Some(port), None) => format!("asking for http://…:{port}{}", question.path),
        (None, None) => "running it to its end".to_owned(),
    }
}

fn describe(difference: &Difference) -> String {
    let Difference {
        what,
        before,
        after,
        ..
    } = difference;
    match (before, after) {
        (Some(a), Some(b)) => format!("{what} was {a} and is {b}"),
        (Some(a), None) if a == "yes" => format!("{what} is gone"),
        (Some(a), None) => format!("{what} was {a} and is gone"),
        (None, Some(b)) => format!("{what} is new: {b}"),
        (None, None) => what.clone(),
    }
}
