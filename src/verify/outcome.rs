//! What is verified, how, and what came of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::archive::{Cache, Image};
use super::behaviour::{Answer, Compared, Question};
use super::builder::{Builder, Flags};
use super::closure::Finding;
use super::config::Difference;
use super::failure::Failure;
use super::process::Stop;
use super::secrets::Secrets;
use super::size::{Folder, Weight};
use crate::facts::Facts;
use crate::plan::{self, Held, Plan, Reason};
use crate::rules::{Mend, Rewrite};

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
    /// Each plan that was built, in order; the one that holds last.
    pub rounds: Vec<Round>,
    /// What was put into the plan that holds, since builds have shown it to be missing.
    pub mends: Vec<Mend>,
    /// Rules that are left out of the plan that holds: what they proposed does not.
    pub dropped: Vec<String>,
    /// Those rewrites, and why.
    pub refuted: Vec<Refuted>,
    /// What stopped it.
    pub failure: Option<Failure>,
    /// How long it took.
    pub took: Duration,
    /// The images that were left, with `keep`.
    pub kept: Vec<String>,
}

/// A rewrite that builds have shown not to hold.
#[derive(Clone, Debug)]
pub struct Refuted {
    /// The rewrite.
    pub rewrite: Rewrite,
    /// What was seen.
    pub why: String,
    /// The lines of a log that tell why.
    pub log: Vec<String>,
}

impl Outcome {
    /// Leaves in the plan only what was proven; the rest is held back, and says why.
    pub fn settle(&mut self) {
        if !self.verdict.holds() && self.plan.changes() {
            let last = self.rounds.last();
            let why = match (self.verdict, &self.failure, last) {
                (Verdict::BeforeFails, ..) => "the file does not build as it is".to_owned(),
                (_, Some(failure), _) => failure.to_string(),
                (_, None, last) => {
                    let why = last.and_then(|round| round.problems.first());
                    why.cloned().unwrap_or_default()
                }
            };
            self.plan.withhold(&why);
        }
        let refuted = std::mem::take(&mut self.refuted);
        self.plan.held.extend(refuted.into_iter().map(|it| Held {
            rewrite: it.rewrite,
            reason: Reason::Unproven(it.why),
        }));
    }
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
    /// What kept the plan from being built, and is not the plan's fault.
    pub trouble: Option<Failure>,
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
