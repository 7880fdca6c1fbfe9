//! Two phases as one plan: what the second does to the text of the first, as
//! edits of the text before both.

use super::{Held, Plan, Reason, merged};
use crate::rules::Rewrite;
use crate::text::{Edit, EditSet, Span};

/// Where bytes of the text after some edits come from.
enum Origin {
    /// From the text before: these bytes.
    Before(Span),
    /// From the text of that edit, counted from its start.
    Inside(usize, Span),
    /// From both.
    Across,
}

fn origin(edits: &[Edit], span: Span) -> Origin {
    let mut shift = 0i64;
    for (at, edit) in edits.iter().enumerate() {
        let start = (i64::from(edit.span.start) + shift) as u32;
        let end = start + edit.text.len() as u32;
        if span.start >= start && span.end <= end && !edit.text.is_empty() {
            return Origin::Inside(
                at,
                Span::new((span.start - start) as usize, (span.end - start) as usize),
            );
        }
        if span.end <= start {
            break;
        }
        if span.start < end {
            return Origin::Across;
        }
        shift += i64::from(end - start) - edit.span.len() as i64;
    }
    let back = |at: u32| (i64::from(at) - shift) as usize;
    Origin::Before(Span::new(back(span.start), back(span.end)))
}

/// The place in the text before that stands for a place after.
fn back(edits: &[Edit], span: Span) -> Span {
    match origin(edits, span) {
        Origin::Before(span) => span,
        Origin::Inside(at, _) => edits[at].span,
        Origin::Across => {
            let start = match origin(edits, Span::at(span.start as usize)) {
                Origin::Before(span) => span.start,
                Origin::Inside(at, _) => edits[at].span.start,
                Origin::Across => 0,
            };
            Span::at(start as usize)
        }
    }
}

/// The plan of both phases; `second` was made for the text after `first`.
/// What the second does to new text of the first becomes part of the rewrite
/// that writes that text: the two can only be had together.
pub(super) fn join(mut first: Plan, second: Plan) -> Plan {
    let before: Vec<Edit> = first.edits.iter().cloned().collect();
    let mut changed: Vec<Edit> = before.clone();
    let mut own: Vec<Rewrite> = Vec::new();
    let mut guests: Vec<(usize, Rewrite)> = Vec::new();
    // From the end, so that places in a text stay right while it grows.
    for mut rewrite in second.chosen.into_iter().rev() {
        rewrite.at = back(&before, rewrite.at);
        let edits: Vec<Edit> = rewrite.edits.iter().cloned().collect();
        let mut outside = Vec::new();
        let mut host = None;
        let mut fits = true;
        for edit in edits.iter().rev() {
            match origin(&before, edit.span) {
                Origin::Before(span) => outside.push(Edit::replace(span, edit.text.clone())),
                Origin::Inside(at, span) => {
                    let mut text = changed[at].text.to_string();
                    text.replace_range(span.start as usize..span.end as usize, &edit.text);
                    changed[at].text = text.into();
                    host = Some(at);
                }
                Origin::Across => fits = false,
            }
        }
        match (fits, host, EditSet::new(outside)) {
            (true, None, Ok(edits)) => {
                rewrite.edits = edits;
                own.push(rewrite);
            }
            (true, Some(at), Ok(edits)) => {
                rewrite.edits = edits;
                guests.push((at, rewrite));
            }
            _ => return unjoined(first, rewrite, second.after),
        }
    }
    own.reverse();
    let mut chosen = first.chosen.clone();
    for rewrite in &mut chosen {
        let edits: Vec<Edit> = rewrite
            .edits
            .iter()
            .map(|edit| {
                let at = before.iter().position(|other| other == edit);
                at.map_or_else(|| edit.clone(), |at| changed[at].clone())
            })
            .collect();
        let Ok(edits) = EditSet::new(edits) else {
            continue;
        };
        rewrite.edits = edits;
    }
    for (at, guest) in guests.into_iter().rev() {
        let host = first
            .chosen
            .iter()
            .position(|rewrite| rewrite.edits.iter().any(|edit| *edit == before[at]));
        let Some(host) = host.map(|host| &mut chosen[host]) else {
            continue;
        };
        if let Ok(edits) = host.edits.merge(&guest.edits) {
            host.edits = edits;
        }
        host.because
            .push(format!("{} ({}):", guest.title, guest.rule));
        host.because.extend(guest.because.iter().cloned());
        for caveat in guest.caveats() {
            host.caveat(caveat.clone());
        }
        host.lower(guest.safety());
    }
    chosen.extend(own);
    chosen.sort_by_key(|rewrite| rewrite.at.start);
    let edits = merged(&chosen);
    let after = edits.apply(first.before.source());
    debug_assert_eq!(after, second.after, "both phases come to the same text");
    if after != second.after {
        return first;
    }
    first.chosen = chosen;
    first.edits = edits;
    first.after = after;
    // What is wrong with a comment itself was said in the first phase.
    let of_digests = second.unused.into_iter().map(|mut unused| {
        unused.at = back(&before, unused.at);
        unused
    });
    for unused in of_digests.collect::<Vec<_>>() {
        if !first.unused.contains(&unused) {
            first.unused.push(unused);
        }
    }
    first.unused.sort_by_key(|unused| unused.at.start);
    first.held.extend(second.held.into_iter().map(|mut held| {
        held.rewrite.at = back(&before, held.rewrite.at);
        held
    }));
    first
        .refusals
        .extend(second.refusals.into_iter().map(|mut refusal| {
            refusal.at = back(&before, refusal.at);
            refusal
        }));
    first
}

/// The first phase alone, where the second can't be told as edits of the text
/// before.
fn unjoined(mut first: Plan, rewrite: Rewrite, _: Vec<u8>) -> Plan {
    let rule = first.chosen.first().map_or("", |rewrite| rewrite.rule);
    first.held.push(Held {
        rewrite,
        reason: Reason::Conflict(rule),
    });
    first
}
