//! `alpine-base`: the final or only stage on Alpine, and with it the stages
//! that it takes compiled things from.

mod apt;
mod body;
mod chain;
mod commands;
mod stage;
mod users;

use super::{Context, Meta, Prefer, Proposals, Refusal, Rewrite, Rule, Safety};
use crate::catalog::{self, alpine};
use crate::model::musl::{Answer, Finding};
use crate::text::{Edit, Span};
use stage::Work;

pub struct AlpineBase;

static META: Meta = Meta {
    id: "alpine-base",
    summary: "the final stage moves to Alpine where every signal allows it (--prefer alpine, or no slim variant)",
    best: Safety::Review,
    docs: "\
What it does: with `--prefer alpine`, or where an official image has no slim variant, the final stage
moves to the Alpine variant of the same version, and with it the stages that it copies compiled things
from. One rewrite has all that the move forces: FROM; apt-get, apt and aptitude as apk, with the names
of Alpine's packages; users and groups in busybox's forms, or by `shadow`; bash where it is used, or sh
where that does; GNU tools where a flag of theirs is used; paths; what packages of languages need.

Why: Alpine's images are the smallest. But Alpine is musl, without bash and git: what is compiled for
glibc does not run there. Docker's documentation names four remedies: build against musl, link
statically, do without C, add what is missing.

When it holds back: whenever one signal is open. Lock files are read (npm, yarn, pnpm, bun, uv, poetry,
pdm, Pipenv, requirements, go.mod, Cargo.lock, Gemfile.lock, pom.xml, Gradle, mix.lock), programs and
libraries in the build context are looked at, and each command, path and package of the Dockerfile.
What stands in the way is named with its line or entry, and with what would clear it.

Safety: review. Manual, which is never written, where a package's name in Alpine is little more than a
guess.",
};

/// What stands in the way.
pub(super) struct Obstacle {
    at: Span,
    signal: &'static str,
    why: String,
}

/// What stands in the way though it says nothing of musl.
const NO_SIGNAL: &str = "";

type Outcome<T> = Result<T, Obstacle>;

impl Obstacle {
    fn new(at: Span, signal: &'static str, why: impl Into<String>) -> Self {
        Self {
            at,
            signal,
            why: why.into(),
        }
    }

    fn of(finding: &Finding, more: usize) -> Self {
        let more = match more {
            0 => String::new(),
            1 => " (and 1 more)".to_owned(),
            more => format!(" (and {more} more)"),
        };
        let why = format!("{}: {}{more}", finding.what, finding.why);
        Self::new(finding.at, finding.signal, why)
    }
}

/// The first of what stands in the way by the oracle.
fn open(answer: &Answer) -> Option<Obstacle> {
    let open = answer.open();
    let first = open.first()?;
    Some(Obstacle::of(first, open.len() - 1))
}

impl Rule for AlpineBase {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        let Some(chain) = chain::of(cx) else {
            return;
        };
        match chain.and_then(|chain| rewrite(cx, &chain)) {
            Ok(Some(rewrite)) => out.rewrites.push(rewrite),
            Ok(None) => {}
            Err(obstacle) => {
                let signal = alpine::signal(obstacle.signal);
                let remedy = signal.map(|signal| signal.remedy());
                out.refusals.push(Refusal {
                    rule: META.id,
                    at: obstacle.at,
                    why: match obstacle.signal {
                        NO_SIGNAL => format!("it stays on glibc: {}", obstacle.why),
                        signal => format!("it stays on glibc: {} [{signal}]", obstacle.why),
                    },
                    remedy: remedy.filter(|remedy| !remedy.is_empty()),
                });
            }
        }
    }
}

/// The whole move as one rewrite.
fn rewrite(cx: &Context<'_>, chain: &chain::Chain<'_>) -> Outcome<Option<Rewrite>> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut because: Vec<String> = Vec::new();
    let mut caveats: Vec<String> = chain.caveats.clone();
    let mut unsure = false;
    let last = cx.model.stages.len() - 1;
    for moved in &chain.moved {
        let work = stage::rewrite(cx, moved, moved.stage == last)?;
        unsure |= work.unsure;
        for reason in work.because {
            if !because.contains(&reason) {
                because.push(reason);
            }
        }
        for caveat in work.caveats {
            if !caveats.contains(&caveat) {
                caveats.push(caveat);
            }
        }
        edits.extend(work.edits);
    }
    let Some(head) = chain.moved.first() else {
        return Ok(None);
    };
    let title = if chain.moved.len() == 1 {
        format!("move from {}:{} to {}:{}", head.image, head.tag, head.image, head.alpine)
    } else {
        format!(
            "move {} stages to Alpine, the last from {}:{} to {}:{}",
            chain.moved.len(),
            head.image,
            head.tag,
            head.image,
            head.alpine
        )
    };
    let at = head.at;
    let Ok(mut rewrite) = Rewrite::new(&META, title, at, edits) else {
        return Err(Obstacle::new(at, "sys.apt", "two of its edits touch the same words"));
    };
    rewrite.includes = if chain.asked {
        &["multi-stage", "pin-codename", "slim-base"]
    } else {
        &["pin-codename"]
    };
    rewrite.reopens = chain.asked;
    for moved in &chain.moved {
        rewrite.because(format!(
            "{}:{} and {}:{} are the same version, on Alpine {} (the catalogue of {})",
            moved.image,
            moved.tag,
            moved.image,
            moved.alpine,
            moved.release.unwrap_or("of its day"),
            catalog::source().as_of,
        ));
    }
    for reason in because {
        rewrite.because(reason);
    }
    for caveat in caveats {
        rewrite.caveat(caveat);
    }
    rewrite.caveat(
        "musl is another C library: stacks of threads are 128 KiB, DNS is asked in parallel, locales are not applied",
    );
    if unsure {
        rewrite.lower(Safety::Manual);
    }
    Ok(Some(rewrite))
}

/// Whether Alpine was asked for.
fn asked(cx: &Context<'_>) -> bool {
    cx.prefer == Prefer::Alpine
}
