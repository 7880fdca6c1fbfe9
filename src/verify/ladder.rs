//! From the whole plan down to one that holds.
//!
//! First what builds show to be missing is put in, then all that the build
//! wrote; a plan that still does not hold gives way to what the rules propose
//! without the least sure and furthest reaching of its rewrites. Once something
//! holds, or nothing is left, each rewrite that was left out on the way but the
//! last may be blameless: the plan with it is proposed again, and built.

use std::collections::{BTreeSet, HashSet};

use super::failure::Failure;
use super::{Outcome, Refuted, Verdict, Was, Worker, repair};
use crate::plan::{self, Plan};
use crate::rules::{self, Mend};

struct Ladder<'l, 'w> {
    worker: &'l Worker<'w>,
    was: &'l Was<'l>,
    /// How many builds may be made for what is seen to be missing.
    left: u32,
    /// The texts that were built.
    tried: HashSet<Vec<u8>>,
}

/// Tries one plan after the other, from that of `outcome` on.
pub(super) fn descend(
    worker: &Worker<'_>,
    was: &Was<'_>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let own = &worker.options.plan.ignore;
    let mut ladder = Ladder {
        worker,
        was,
        left: worker.options.repair.unwrap_or_default(),
        tried: HashSet::new(),
    };
    let mut options = worker.options.plan.clone();
    let mut mends = ladder.mended(&options, outcome)?;
    if mends.is_none() && (worker.options.repair.is_none() || worker.options.against.is_some()) {
        outcome.verdict = Verdict::Differs;
        let trouble = outcome.rounds.last().and_then(|r| r.trouble.clone());
        return match trouble.filter(|_| worker.options.repair.is_none()) {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        };
    }
    // The rules that were left out, in that order.
    let mut steps: Vec<&'static str> = Vec::new();
    while mends.is_none() {
        let Some((smaller, plan)) = ladder.smaller(&options, &outcome.plan, &mut steps) else {
            break;
        };
        let failed = std::mem::replace(&mut outcome.plan, plan);
        let round = outcome.rounds.len() - 1;
        refute(outcome, &failed, round, &smaller);
        options = smaller;
        mends = ladder.mended(&options, outcome)?;
    }
    // The last step was the one that helped, or nothing did: those before it may
    // have been taken for its fault.
    steps.pop();
    for rule in steps {
        let mut more = options.clone();
        more.ignore.remove(rule);
        if mends.is_none() {
            // Alone, since what was tried with others did not hold.
            more.ignore
                .extend(outcome.plan.chosen.iter().map(|r| r.rule.to_owned()));
        }
        let plan = worker.plan(&more);
        if mends.is_some() && plan.after == outcome.plan.after {
            // What it would do is done already.
            outcome.refuted.retain(|it| it.rewrite.rule != rule);
            options = more;
            continue;
        }
        if !plan.changes() || ladder.tried.contains(&plan.after) {
            continue;
        }
        let last = std::mem::replace(&mut outcome.plan, plan);
        let round = outcome.rounds.len() - 1;
        match ladder.mended(&more, outcome)? {
            Some(with) => {
                // What was tried before without success is left out now.
                if mends.is_none() {
                    refute(outcome, &last, round, &more);
                }
                outcome.refuted.retain(|it| it.rewrite.rule != rule);
                (options, mends) = (more, Some(with));
            }
            None => {
                outcome.plan = last;
                // The one that the verdict is about stays the last.
                outcome.rounds[round..].rotate_left(1);
            }
        }
    }
    let Some(mends) = mends else {
        // What could not be tried is not refuted.
        let mut rounds = outcome.rounds.iter();
        if let Some(trouble) = rounds.find_map(|round| round.trouble.clone()) {
            return Err(trouble);
        }
        outcome.verdict = Verdict::GaveUp;
        return Ok(());
    };
    outcome.mends = mends;
    let left_out = options.ignore.iter().filter(|rule| !own.contains(*rule));
    outcome.dropped = left_out.cloned().collect();
    outcome.dropped.sort();
    outcome.verdict = match outcome.rounds.len() {
        1 => Verdict::Verified,
        _ if !outcome.dropped.is_empty() => Verdict::SteppedDown,
        _ => Verdict::Mended,
    };
    Ok(())
}

/// Notes the rewrites of a plan that did not hold, as that round has shown, which are
/// not wanted any more.
fn refute(outcome: &mut Outcome, plan: &Plan, round: usize, wanted: &plan::Options) {
    let round = &outcome.rounds[round];
    let chosen = plan.chosen.iter();
    let gone = chosen.filter(|rewrite| wanted.ignore.contains(rewrite.rule));
    outcome.refuted.extend(gone.map(|rewrite| Refuted {
        rewrite: rewrite.clone(),
        why: round.problems.first().cloned().unwrap_or_default(),
        log: round.log.clone(),
    }));
}

impl Ladder<'_, '_> {
    /// Builds the plan of `outcome`, which `options` gave, and mends it until it
    /// holds, with these mends, or there is nothing to mend it with.
    fn mended(
        &mut self,
        options: &plan::Options,
        outcome: &mut Outcome,
    ) -> Result<Option<Vec<Mend>>, Failure> {
        let worker = self.worker;
        let mut options = options.clone();
        let mut added: Vec<Mend> = Vec::new();
        let mut whole = false;
        loop {
            self.tried.insert(outcome.plan.after.clone());
            let (mut round, mends) =
                worker.attempt(&outcome.plan, self.was, outcome.kept.as_mut())?;
            round.mends = std::mem::take(&mut added);
            let holds = round.problems.is_empty();
            let trouble = round.trouble.is_some();
            outcome.rounds.push(round);
            if holds {
                return Ok(Some(options.mends));
            }
            if trouble || worker.options.repair.is_none() || worker.options.against.is_some() {
                return Ok(None);
            }
            // First what was seen to be missing, then all that was written.
            let known: BTreeSet<_> = options.mends.iter().map(|m| m.what.clone()).collect();
            let fresh = |mends: Vec<Mend>| -> Vec<Mend> {
                let mends = mends.into_iter();
                mends.filter(|m| !known.contains(&m.what)).collect()
            };
            let mut tries: Vec<(Vec<Mend>, bool)> = Vec::new();
            if self.left > 0 {
                tries.push((fresh(mends), false));
            }
            if !whole {
                let base = self.was.before.base_layers();
                tries.push((fresh(repair::written(self.was.old, base)), true));
            }
            let next = tries.into_iter().find_map(|(mends, all)| {
                let mut more = options.clone();
                more.mends.extend(mends.iter().cloned());
                let plan = (!mends.is_empty()).then(|| worker.plan(&more))?;
                let new = plan.changes() && plan.after != outcome.plan.after;
                new.then_some((more, plan, mends, all))
            });
            let Some((more, plan, mends, all)) = next else {
                return Ok(None);
            };
            if all {
                whole = true;
            } else {
                self.left -= 1;
            }
            (options, added, outcome.plan) = (more, mends, plan);
        }
    }

    /// The next smaller plan that was not built yet: without the least sure of its
    /// rewrites, and of those equally sure the one of the latest rule, which stands
    /// on what the earlier ones do.
    fn smaller(
        &self,
        options: &plan::Options,
        plan: &Plan,
        steps: &mut Vec<&'static str>,
    ) -> Option<(plan::Options, Plan)> {
        let place = |rule: &str| rules::all().iter().position(|it| it.meta().id == rule);
        let worst = |plan: &Plan| {
            let chosen = plan.chosen.iter();
            let worst = chosen.min_by_key(|r| (r.safety(), std::cmp::Reverse(place(r.rule))));
            worst.map(|rewrite| rewrite.rule)
        };
        let mut options = options.clone();
        let mut rule = worst(plan)?;
        loop {
            options.ignore.insert(rule.to_owned());
            steps.push(rule);
            let plan = self.worker.plan(&options);
            if !plan.changes() {
                return None;
            }
            if !self.tried.contains(&plan.after) {
                return Some((options, plan));
            }
            rule = worst(&plan)?;
        }
    }
}
