//! The laws as checks in the product, and the comments by which a file
//! suppresses a rule.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::image::Reference;
use crate::model::{Base, Model};
use crate::rules;
use crate::syntax::{Dockerfile, Instruction, Item, Keyword};
use crate::text::{Edit, EditSet, Span};

use super::Unused;

/// Law 2: the output parses, and what was not edited is as it was.
pub(super) fn still_valid(old: &Model<'_>, edits: &EditSet, new: &Model<'_>) -> Result<(), String> {
    let (before, after) = (old.file, new.file);
    if let Some(error) = after.errors().first() {
        return Err(format!(
            "the result has a new syntax error on line {}: {}",
            error.line, error.message
        ));
    }
    if before.escape() != after.escape() {
        return Err("the escape directive would change".to_owned());
    }
    let directives = |file: &Dockerfile| -> Vec<String> {
        let names = file.directives().map(|d| d.name.clone());
        names.collect()
    };
    if directives(before) != directives(after) {
        return Err("a parser directive would be lost".to_owned());
    }
    untouched(before, edits, after)?;
    references(old, edits, new)?;
    shell(before, after)
}

/// Every item that no edit touches is in the result, byte for byte, in order.
fn untouched(before: &Dockerfile, edits: &EditSet, after: &Dockerfile) -> Result<(), String> {
    let mut items = after.items().iter();
    // Both are in order of place: one walk over the edits does for all items.
    let edits: Vec<&Edit> = edits.iter().collect();
    let mut ahead = edits.as_slice();
    for item in before.items() {
        let span = item.span();
        while let [edit, rest @ ..] = ahead
            && edit.span.end <= span.start
            && edit.span.start < span.start
        {
            ahead = rest;
        }
        let mut here = ahead.iter().take_while(|edit| edit.span.start < span.end);
        let touched = here.any(|edit| {
            let inside = edit.span.start > span.start && edit.span.start < span.end;
            let overlaps = edit.span.start < span.end && edit.span.end > span.start;
            inside || (overlaps && !edit.span.is_empty())
        });
        // The last line may gain the line end that it lacked.
        let last = span.end as usize == before.source().len();
        if touched || matches!(item, Item::Blank(_)) || last {
            continue;
        }
        let text = span.of(before.source());
        let same = |other: &Item| {
            std::mem::discriminant(other) == std::mem::discriminant(item)
                && other.span().of(after.source()) == text
        };
        if !items.any(same) {
            let line = before.lines().line(span.start);
            return Err(format!("line {line} would be lost or read differently"));
        }
    }
    Ok(())
}

/// The mounts, each with only the name of the image that it is from: its tag may
/// be edited, the mount may not be lost.
fn mounts(file: &Dockerfile) -> Vec<String> {
    let untagged = |field: &str| {
        let (key, value) = field.split_once("from=").unwrap_or(("", ""));
        match Reference::parse(value) {
            Ok(reference) if key.is_empty() || key == "--mount=" => {
                format!("{key}from={}", &value[..reference.name_range().end])
            }
            _ => field.to_owned(),
        }
    };
    let flags = file.instructions().flat_map(|it| &it.flags);
    let mounts = flags.filter(|flag| flag.name() == "mount");
    mounts
        .map(|flag| {
            let fields: Vec<String> = flag.word.split(',').map(untagged).collect();
            fields.join(",")
        })
        .collect()
}

/// Whether a text is a digest as references have it.
fn is_digest(text: &str) -> bool {
    Reference::parse(&format!("x@{text}")).is_ok()
}

/// Digests and mounts stay, and every `--from` still names a stage or image.
fn references(old: &Model<'_>, edits: &EditSet, new: &Model<'_>) -> Result<(), String> {
    let (before, after) = (old.file, new.file);
    let kept: HashSet<String> = mounts(after).into_iter().collect();
    for mount in mounts(before) {
        if !kept.contains(&mount) {
            return Err(format!("{mount} would be lost"));
        }
    }
    let digests = |model: &Model<'_>| -> Vec<String> {
        let images = model.images.iter();
        images
            .filter_map(|image| image.reference.as_ref().ok()?.digest().map(str::to_owned))
            .collect()
    };
    let kept: HashSet<String> = digests(new).into_iter().collect();
    // A digest may be replaced in place by another, and by nothing else.
    let replaced: HashSet<&[u8]> = edits
        .iter()
        .filter(|edit| is_digest(&edit.text))
        .map(|edit| edit.span.of(before.source()))
        .collect();
    for digest in digests(old) {
        if !kept.contains(&digest) && !replaced.contains(digest.as_bytes()) {
            return Err(format!("the digest {digest} would be lost"));
        }
    }
    if new.stages.len() < old.stages.len() {
        return Err("a stage would be lost".to_owned());
    }
    // A number in `--from=0` names another stage once one stands before it.
    if new.stages.len() > old.stages.len() {
        for stage in &new.stages {
            if let Base::Stage(earlier) = stage.base
                && earlier >= stage.index
            {
                return Err("the stage graph would have a cycle".to_owned());
            }
        }
    }
    let targets = |model: &Model<'_>| -> Vec<String> {
        let names = model.stages.iter().filter_map(|stage| stage.name.clone());
        names.collect()
    };
    let kept: HashSet<String> = targets(new).into_iter().collect();
    for name in targets(old) {
        if !kept.contains(&name) {
            return Err(format!("the stage {name} would be lost"));
        }
    }
    Ok(())
}

/// Shell that parsed still parses.
fn shell(before: &Dockerfile, after: &Dockerfile) -> Result<(), String> {
    use crate::syntax::shell;
    let body = |file: &Dockerfile, it: &Instruction| -> Option<Vec<u8>> {
        let plain = it.keyword == Keyword::Run && it.json.is_none() && it.heredocs.is_empty();
        plain.then(|| it.logical.text(file.source())[it.args.clone()].to_vec())
    };
    let known: HashSet<Vec<u8>> = before
        .instructions()
        .filter_map(|it| body(before, it))
        .collect();
    for it in after.instructions() {
        let Some(text) = body(after, it) else {
            continue;
        };
        if !known.contains(&text) && !shell::parse(&text).is_valid() {
            return Err(format!(
                "the shell of the RUN on line {} of the result would not parse",
                it.start_line
            ));
        }
    }
    Ok(())
}

/// A comment that suppresses rules.
struct Suppression {
    comment: Span,
    /// The rules; all where there is none.
    rules: Vec<String>,
    reason: String,
    /// The last line that it is about; `None`: the whole file.
    last: Option<usize>,
    /// What is wrong with it, where it says nothing that is understood.
    fault: Option<String>,
}

/// The comments that say the same: the first of them, and whether there was
/// something to suppress.
struct Group {
    first: usize,
    used: bool,
}

/// Groups by the name of the rule; `None` for comments that name none, and so
/// mean all.
type Groups = HashMap<Option<String>, Group>;

/// What the file's own comments ask to be left alone.
#[derive(Default)]
pub(super) struct Suppressions {
    rows: Vec<Suppression>,
    /// For the whole file.
    file: Groups,
    /// For an instruction, by its last line, with its first line.
    lines: BTreeMap<usize, (usize, Groups)>,
}

impl Suppressions {
    /// The reason given, where the rule is suppressed on that line; the first
    /// in the file where there are several.
    pub(super) fn reason(&mut self, rule: &str, line: usize) -> Option<String> {
        let here = self.lines.range_mut(line..).next();
        let here = here.filter(|(_, (first, _))| *first <= line);
        let among = [Some(&mut self.file), here.map(|(_, (_, groups))| groups)];
        let mut found: Option<usize> = None;
        for groups in among.into_iter().flatten() {
            for key in [Some(rule.to_owned()), None] {
                if let Some(group) = groups.get_mut(&key) {
                    group.used = true;
                    found = Some(found.map_or(group.first, |at| at.min(group.first)));
                }
            }
        }
        found.map(|at| self.rows[at].reason.clone())
    }

    /// Whether a comment had something to suppress, by this rule or by any.
    fn used(&self, row: &Suppression, rule: Option<&String>) -> bool {
        let groups = match row.last {
            None => Some(&self.file),
            Some(last) => self.lines.get(&last).map(|(_, groups)| groups),
        };
        let group = groups.and_then(|groups| groups.get(&rule.cloned()));
        group.is_some_and(|group| group.used)
    }

    /// The comments that suppressed nothing, once everything was asked. Only
    /// rules that ran are judged.
    pub(super) fn unused(&self, ran: impl Fn(&str) -> bool, everything: bool) -> Vec<Unused> {
        let mut unused = Vec::new();
        for row in &self.rows {
            let mut say = |why: String| {
                unused.push(Unused {
                    at: row.comment,
                    why,
                });
            };
            if let Some(fault) = &row.fault {
                say(fault.clone());
            } else if row.rules.is_empty() && everything && !self.used(row, None) {
                say("it suppresses nothing: no rule has anything to do here".to_owned());
            }
            for id in &row.rules {
                if rules::find(id).is_none() {
                    say(format!("there is no rule {id:?}"));
                } else if ran(id) && (row.fault.is_some() || !self.used(row, Some(id))) {
                    say(format!("{id} has nothing to do here"));
                }
            }
        }
        unused
    }
}

/// Reads `# dfmigrate: ignore[rule, …] reason` above an instruction and
/// `# dfmigrate: file-ignore[rule, …] reason` anywhere.
pub(super) fn suppressions(file: &Dockerfile) -> Suppressions {
    let mut rows = Vec::new();
    // The lines of the next instruction, from the end of the file.
    let mut next: Option<(usize, usize)> = None;
    let mut firsts = HashMap::new();
    for item in file.items().iter().rev() {
        let comment = match item {
            Item::Instruction(it) => {
                next = Some((it.start_line, it.end_line));
                continue;
            }
            Item::Comment(comment) => comment,
            Item::Blank(_) | Item::Directive(_) => continue,
        };
        if memchr::memmem::find(comment.of(file.source()), b"dfmigrate:").is_none() {
            continue;
        }
        let text = String::from_utf8_lossy(comment.of(file.source()));
        let text = text.trim().trim_start_matches('#').trim_start();
        let Some(rest) = text.strip_prefix("dfmigrate:") else {
            continue;
        };
        let rest = rest.trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic() && c != '-')
            .unwrap_or(rest.len());
        let (verb, rest) = rest.split_at(end);
        let (rules, why) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((rules, why)) => {
                let rules = rules.split(',').map(|rule| rule.trim().to_owned());
                (rules.collect(), why)
            }
            None => (Vec::new(), rest),
        };
        let mut row = Suppression {
            comment: *comment,
            rules,
            reason: why.trim().to_owned(),
            last: None,
            fault: None,
        };
        match (verb, next) {
            ("file-ignore", _) => {}
            ("ignore", Some((first, last))) => {
                firsts.insert(last, first);
                row.last = Some(last);
            }
            ("ignore", None) => row.fault = Some("no instruction comes after it".to_owned()),
            (verb, _) => {
                row.rules.clear();
                row.fault = Some(format!(
                    "{verb:?} is nothing that dfmigrate does: write ignore or file-ignore"
                ));
            }
        }
        rows.push(row);
    }
    rows.reverse();
    let mut found = Suppressions::default();
    for (at, row) in rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.fault.is_none())
    {
        let groups = match row.last {
            None => &mut found.file,
            Some(last) => {
                let entry = found.lines.entry(last);
                &mut entry.or_insert_with(|| (firsts[&last], Groups::new())).1
            }
        };
        let keys = row.rules.iter().cloned().map(Some);
        let all = row.rules.is_empty().then_some(None);
        for key in keys.chain(all) {
            groups.entry(key).or_insert(Group {
                first: at,
                used: false,
            });
        }
    }
    found.rows = rows;
    found
}
