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
pub mod document;
pub mod failure;
mod images;
mod ladder;
pub mod layer;
mod outcome;
pub mod process;
pub mod repair;
pub mod report;
pub mod root;
pub mod secrets;
pub mod size;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::model::Model;
use crate::plan::{self, Plan};
use crate::rules::{Context, Mend};
use crate::syntax::{self, Keyword};
use crate::text::{Edit, EditSet, Span};

use archive::Image;
use behaviour::{Answer, Compared, Question};
use closure::Side;
use config::Difference;
use failure::Failure;
use images::Built;
use root::Root;

pub use outcome::{
    Behaviour, Options, Outcome, Refuted, Round, Run, Seen, Session, Subject, Verdict, Watch,
};

/// Numbers the images and containers of this process.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// An image that grew by less than this is not said to have grown.
const SLACK: u64 = 1 << 20;

struct Worker<'w> {
    subject: Subject<'w>,
    options: &'w Options,
    session: &'w Session<'w>,
    watch: &'w dyn Watch,
    slug: String,
}

/// The file as it is: built, read, and asked.
struct Was<'a> {
    before: &'a Built<'a>,
    old: &'a Root<'a>,
    question: Option<&'a Question>,
    answer: Option<&'a Answer>,
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
        mends: Vec::new(),
        dropped: Vec::new(),
        refuted: Vec::new(),
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
        let was = Was {
            before: &before,
            old: &old,
            question: question.as_ref(),
            answer: answer.as_ref(),
        };
        ladder::descend(self, &was, outcome)
    }

    /// Builds a plan and compares; also what would mend what is wrong.
    fn attempt(
        &self,
        plan: &Plan,
        was: &Was<'_>,
        kept: &mut Vec<String>,
    ) -> Result<(Round, Vec<Mend>), Failure> {
        let Was {
            before,
            old,
            question,
            answer,
        } = *was;
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
                // What it would stand on may be what can't be had.
                let base = self.base_of(&plan.after).ok().flatten();
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
            // What the file builds on now could be had; this is the plan's.
            Err(failure @ (Failure::Network(_) | Failure::Other(_))) => {
                let why = format!("the rewritten file could not be built: {failure}");
                round.problems.push(why);
                round.trouble = Some(failure);
                return Ok((round, Vec::new()));
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
        let meant = meant(plan);
        let programs = self.programs(plan, &meant);
        let closure = closure::check(old_side, new_side, after.base_layers(), &programs);
        let mut lacks: Vec<_> = closure
            .iter()
            .filter(|finding| finding.grave)
            .filter_map(|finding| finding.lack.clone())
            .collect();
        for difference in &config {
            let text = describe(difference);
            if meant.contains(difference.instruction()) {
                round.notes.push(format!("{text}, as the rewrite says"));
            } else if difference.of_base {
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

    /// What the image is known to run: from its instructions and scripts, as they are
    /// before, and after where a rewrite says something else in their place.
    fn programs(&self, plan: &Plan, meant: &BTreeSet<&str>) -> Vec<(String, String)> {
        let demands = |text: &[u8], others: bool| -> Vec<(String, String)> {
            let file = syntax::parse(text.to_vec());
            let model = Model::of(&file);
            let cx = Context::new(&model, self.subject.facts);
            let demands = cx.runtime().map(|runtime| runtime.demands.as_slice());
            demands
                .unwrap_or_default()
                .iter()
                .filter(|demand| meant.contains(demand.via.as_str()) == others)
                .map(|demand| (demand.program.clone(), demand.via.clone()))
                .collect()
        };
        let mut programs = demands(self.subject.bytes, false);
        if !meant.is_empty() {
            programs.extend(demands(&plan.after, true));
        }
        programs
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

/// The instructions that say something else on purpose: those that a rewrite redefines, and
/// those in which it changes words in their place, as its diff shows, since Alpine has
/// programs and libraries elsewhere. One that is moved or left out is none.
fn meant(plan: &Plan) -> BTreeSet<&'static str> {
    let model = Model::of(&plan.before);
    let instructions = model.instructions.iter();
    let set = instructions.filter(|it| {
        matches!(
            it.keyword,
            Keyword::Entrypoint | Keyword::Cmd | Keyword::Healthcheck | Keyword::Env
        )
    });
    let within = |it: Span, edit: &Edit| {
        it.start < edit.span.start && edit.span.end <= it.end && !edit.span.is_empty()
    };
    set.filter(|it| {
        let mut edits = plan.edits.iter();
        edits.any(|edit| within(it.span, edit) && !edit.text.is_empty())
    })
    .map(|it| it.keyword.name())
    .chain(
        plan.chosen
            .iter()
            .flat_map(|it| it.redefines.iter().copied()),
    )
    .collect()
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
