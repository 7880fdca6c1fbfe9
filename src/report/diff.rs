//! Unified diffs: one that tools take byte for byte, one that people read.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use similar::algorithms::{Capture, Compact, Replace, patience};
use similar::udiff::UnifiedHunkHeader;
use similar::{ChangeTag, DiffOp, DiffTag, diff_ratio, group_diff_ops};

use super::html::escape;
use super::{one_line, style, visible};

/// What the patch calls the file: the bytes of a `/`-separated path, relative
/// to the folder where the patch is to be applied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PatchName(pub Vec<u8>);

impl PatchName {
    /// The name behind `a/` or `b/`, quoted as git quotes it where it must be.
    fn header(&self, side: &str) -> String {
        let plain = |b: &u8| matches!(b, 0x20..=0x7e if *b != b'"' && *b != b'\\');
        if let Ok(name) = std::str::from_utf8(&self.0)
            && self.0.iter().all(plain)
        {
            // A tab ends a name with blanks, for patch and git alike.
            let tab = if name.contains(' ') { "\t" } else { "" };
            return format!("{side}/{name}{tab}");
        }
        let mut out = format!("\"{side}/");
        for &byte in &self.0 {
            match byte {
                b'"' | b'\\' => {
                    out.push('\\');
                    out.push(char::from(byte));
                }
                b'\n' => out.push_str("\\n"),
                b'\t' => out.push_str("\\t"),
                0x20..=0x7e => out.push(char::from(byte)),
                _ => {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
        }
        out.push('"');
        out
    }
}

/// Two texts compared line by line. A line ends in a line feed: the tools that
/// take patches know no other end, so a lone carriage return is part of its line.
struct Diff<'a> {
    before: Vec<&'a [u8]>,
    after: Vec<&'a [u8]>,
    /// What makes the one the other, in hunks with three lines around.
    hunks: Vec<Vec<DiffOp>>,
}

/// A line of a diff: what becomes of it, and its parts, each with whether it
/// changed.
struct Line<'a> {
    tag: ChangeTag,
    parts: Vec<(bool, &'a [u8])>,
}

impl<'a> Diff<'a> {
    fn of(before: &'a [u8], after: &'a [u8]) -> Self {
        let lines = |text: &'a [u8]| -> Vec<&[u8]> {
            let mut start = 0;
            let ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
            let last = Some(text.len()).filter(|_| !text.is_empty() && !text.ends_with(b"\n"));
            ends.chain(last)
                .map(|end| &text[std::mem::replace(&mut start, end)..end])
                .collect()
        };
        let (before, after) = (lines(before), lines(after));
        let hunks = group_diff_ops(compare(&before, &after), 3);
        Self {
            before,
            after,
            hunks,
        }
    }

    /// The lines of one operation, with the words that changed set off where
    /// lines are replaced by others that are much the same.
    fn lines(&self, op: &DiffOp) -> Vec<Line<'a>> {
        let (tag, old, new) = op.as_tag_tuple();
        let (old, new) = (&self.before[old], &self.after[new]);
        if tag == DiffTag::Equal {
            return plain(ChangeTag::Equal, old);
        }
        let both = || {
            let mut lines = plain(ChangeTag::Delete, old);
            lines.extend(plain(ChangeTag::Insert, new));
            lines
        };
        if tag != DiffTag::Replace {
            return both();
        }
        let words = |lines: &[&'a [u8]]| -> Vec<&'a [u8]> {
            lines.iter().flat_map(|line| words_of(line)).collect()
        };
        let (old_words, new_words) = (words(old), words(new));
        let ops = compare(&old_words, &new_words);
        if diff_ratio(&ops, old_words.len(), new_words.len()) < 0.5 {
            return both();
        }
        let mut kept = (vec![false; old_words.len()], vec![false; new_words.len()]);
        for op in ops.iter().filter(|op| op.tag() == DiffTag::Equal) {
            kept.0[op.old_range()].fill(true);
            kept.1[op.new_range()].fill(true);
        }
        let mut lines = set_off(ChangeTag::Delete, old, &kept.0);
        lines.extend(set_off(ChangeTag::Insert, new, &kept.1));
        lines
    }
}

/// What makes the one the other. What both begin and end with is most of them,
/// and left out of the comparison.
fn compare(old: &[&[u8]], new: &[&[u8]]) -> Vec<DiffOp> {
    let alike = |pair: &(&&[u8], &&[u8])| pair.0 == pair.1;
    let head = old.iter().zip(new).take_while(alike).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev());
    let tail = tail.take_while(alike).count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let equal = |at: usize, to: usize, len: usize| DiffOp::Equal {
        old_index: at,
        new_index: to,
        len,
    };
    let mut ops = Vec::new();
    if head > 0 {
        ops.push(equal(0, 0, head));
    }
    if head < old_end || head < new_end {
        let middle = compare_all(&old[head..old_end], &new[head..new_end]);
        ops.extend(middle.into_iter().map(|op| moved(op, head)));
    }
    if tail > 0 {
        ops.push(equal(old_end, new_end, tail));
    }
    ops
}

/// The same further back.
fn moved(op: DiffOp, by: usize) -> DiffOp {
    let (tag, old, new) = op.as_tag_tuple();
    let (old_index, new_index) = (old.start + by, new.start + by);
    let (old_len, new_len) = (old.len(), new.len());
    match tag {
        DiffTag::Equal => DiffOp::Equal {
            old_index,
            new_index,
            len: old_len,
        },
        DiffTag::Delete => DiffOp::Delete {
            old_index,
            old_len,
            new_index,
        },
        DiffTag::Insert => DiffOp::Insert {
            old_index,
            new_index,
            new_len,
        },
        DiffTag::Replace => DiffOp::Replace {
            old_index,
            old_len,
            new_index,
            new_len,
        },
    }
}

/// What makes the one the other. The texts are compared as numbers: the
/// algorithm is in the program once, whatever it compares.
fn compare_all<'a>(old: &[&'a [u8]], new: &[&'a [u8]]) -> Vec<DiffOp> {
    let mut numbers: HashMap<&'a [u8], usize> = HashMap::new();
    let mut number = |text: &'a [u8]| {
        let next = numbers.len();
        *numbers.entry(text).or_insert(next)
    };
    let old: Vec<usize> = old.iter().map(|text| number(text)).collect();
    let new: Vec<usize> = new.iter().map(|text| number(text)).collect();
    let mut hook = Compact::new(Replace::new(Capture::default()), &old[..], &new[..]);
    let deadline = Instant::now().checked_add(Duration::from_secs(2));
    let (all_old, all_new) = (0..old.len(), 0..new.len());
    let Ok(()) = patience::diff_deadline(&mut hook, &old[..], all_old, &new[..], all_new, deadline);
    hook.into_inner().into_inner().into_ops()
}

fn plain<'a>(tag: ChangeTag, lines: &[&'a [u8]]) -> Vec<Line<'a>> {
    let line = |text: &&'a [u8]| Line {
        tag,
        parts: vec![(false, *text)],
    };
    lines.iter().map(line).collect()
}

/// The words and the blanks between them.
fn words_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.chunk_by(|a, b| a.is_ascii_whitespace() == b.is_ascii_whitespace())
}

/// Lines with the words set off that were not kept, and the blanks between two
/// of them.
fn set_off<'a>(tag: ChangeTag, lines: &[&'a [u8]], kept: &[bool]) -> Vec<Line<'a>> {
    let mut at = 0;
    let line = |text: &&'a [u8]| {
        let words: Vec<&'a [u8]> = words_of(text).collect();
        let kept = &kept[at..at + words.len()];
        at += words.len();
        let changed = |word: usize| {
            let blank = words[word].iter().all(u8::is_ascii_whitespace);
            let between = blank && word > 0 && word + 1 < words.len();
            !kept[word] || (between && !kept[word - 1] && !kept[word + 1])
        };
        let parts = (0..words.len()).map(|word| (changed(word), words[word]));
        Line {
            tag,
            parts: parts.collect(),
        }
    };
    lines.iter().map(line).collect()
}

/// The patch that turns `before` into `after`, as `git apply` and `patch -p1`
/// take it, byte for byte. It has no `diff --git` line: with one, git takes the
/// path from the top of the repository, while `patch` takes it from where it is.
#[must_use]
pub fn patch(name: &PatchName, before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if before == after {
        return out;
    }
    let (old, new) = (name.header("a"), name.header("b"));
    out.extend_from_slice(format!("--- {old}\n+++ {new}\n").as_bytes());
    let all = Diff::of(before, after);
    for hunk in &all.hunks {
        out.extend_from_slice(format!("{}\n", UnifiedHunkHeader::new(hunk)).as_bytes());
        for op in hunk {
            let (tag, old, new) = op.as_tag_tuple();
            let mut lines = |sign: u8, lines: &[&[u8]]| {
                for line in lines {
                    out.push(sign);
                    out.extend_from_slice(line);
                    if !line.ends_with(b"\n") {
                        out.extend_from_slice(b"\n\\ No newline at end of file\n");
                    }
                }
            };
            if tag == DiffTag::Equal {
                lines(b' ', &all.before[old]);
            } else {
                lines(b'-', &all.before[old]);
                lines(b'+', &all.after[new]);
            }
        }
    }
    out
}

/// The same for a person at a terminal: coloured, with nothing that could
/// deceive one.
#[must_use]
pub fn review_diff(name: &str, before: &[u8], after: &[u8]) -> String {
    let mut out = String::new();
    if before == after {
        return out;
    }
    let name = one_line(name);
    let (old, new, hunk_style) = (style::OLD, style::NEW, style::HUNK);
    let _ = writeln!(out, "{old}--- a/{name}{old:#}\n{new}+++ b/{name}{new:#}");
    let all = Diff::of(before, after);
    for hunk in &all.hunks {
        let header = UnifiedHunkHeader::new(hunk);
        let _ = writeln!(out, "{hunk_style}{header}{hunk_style:#}");
        for change in hunk.iter().flat_map(|op| all.lines(op)) {
            line(&mut out, &change);
        }
    }
    out
}

/// The same as part of an HTML page.
pub(super) fn html_diff(before: &[u8], after: &[u8]) -> String {
    let mut out = String::from("<pre class=\"diff\">");
    let all = Diff::of(before, after);
    for hunk in &all.hunks {
        let header = UnifiedHunkHeader::new(hunk).to_string();
        let _ = writeln!(out, "<i>{}</i>", escape(&header));
        for change in hunk.iter().flat_map(|op| all.lines(op)) {
            let (open, close) = match change.tag {
                ChangeTag::Equal => (" ", ""),
                ChangeTag::Delete => ("<del>-", "</del>"),
                ChangeTag::Insert => ("<ins>+", "</ins>"),
            };
            out.push_str(open);
            let ended = parts(&change, |set_off, part| {
                let part = escape(part);
                let _ = match set_off {
                    true => write!(out, "<mark>{part}</mark>"),
                    false => write!(out, "{part}"),
                };
            });
            let _ = writeln!(out, "{close}");
            if !ended {
                out.push_str("<i>\\ No newline at end of file</i>\n");
            }
        }
    }
    out.push_str("</pre>\n");
    out
}

/// The parts of a line, without its end, and whether each changed, with
/// nothing in them that could deceive a reader. Whether the line has an end.
fn parts(change: &Line<'_>, mut part_of: impl FnMut(bool, &str)) -> bool {
    let ended = change
        .parts
        .last()
        .is_some_and(|(_, part)| part.ends_with(b"\n"));
    let whole: usize = change.parts.iter().map(|(_, part)| part.len()).sum();
    let mut rest = whole - usize::from(ended);
    let last = change
        .parts
        .iter()
        .flat_map(|(_, part)| *part)
        .nth(rest.wrapping_sub(1));
    rest -= usize::from(ended && last == Some(&b'\r'));
    let alike = |a: &(bool, &[u8]), b: &(bool, &[u8])| a.0 == b.0;
    for run in change.parts.chunk_by(alike) {
        let text: Vec<u8> = run.iter().flat_map(|(_, part)| *part).copied().collect();
        let text = &text[..rest.min(text.len())];
        rest -= text.len();
        // Alone in its line a part may start what a runner takes for a command.
        let part = visible(&String::from_utf8_lossy(text)).into_owned();
        part_of(run[0].0 && !part.is_empty(), &part);
    }
    ended
}

/// A line of the diff, with the words in it that changed set off.
fn line(out: &mut String, change: &Line<'_>) {
    let (sign, style) = match change.tag {
        ChangeTag::Equal => (' ', anstyle::Style::new()),
        ChangeTag::Delete => ('-', style::OLD),
        ChangeTag::Insert => ('+', style::NEW),
    };
    let _ = write!(out, "{style}{sign}");
    let ended = parts(change, |set_off, part| {
        if set_off {
            let strong = style.invert();
            let _ = write!(out, "{style:#}{strong}{part}{strong:#}{style}");
        } else {
            out.push_str(part);
        }
    });
    let _ = writeln!(out, "{style:#}");
    if !ended {
        let _ = writeln!(out, "\\ No newline at end of file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_git_quotes_them() {
        let header = |name: &str| PatchName(name.into()).header("a");
        assert_eq!(header("x/Dockerfile"), "a/x/Dockerfile");
        assert_eq!(header("x y/Dockerfile"), "a/x y/Dockerfile\t");
        assert_eq!(header("é"), "\"a/\\303\\251\"");
        assert_eq!(header("a\"b"), "\"a/a\\\"b\"");
    }

    #[test]
    fn the_words_that_changed_are_set_off() {
        let text = review_diff("D", b"FROM node:20 AS x\n", b"FROM node:20-slim AS x\n");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "--- a/D\n+++ b/D\n@@ -1 +1 @@\n-FROM node:20 AS x\n+FROM node:20-slim AS x\n"
        );
        let strong = style::NEW.invert();
        assert!(
            text.contains(&format!("{strong}node:20-slim{strong:#}")),
            "{text:?}"
        );
    }

    #[test]
    fn a_lone_carriage_return_ends_no_line() {
        let name = PatchName(b"D".to_vec());
        let text = patch(&name, b"x\ry\na\n", b"x\ry\nb\n");
        assert_eq!(text, b"--- a/D\n+++ b/D\n@@ -1,2 +1,2 @@\n x\ry\n-a\n+b\n");
    }

    #[test]
    fn a_missing_final_newline_is_said() {
        let name = PatchName(b"D".to_vec());
        let text = String::from_utf8(patch(&name, b"a\nb", b"a\nc")).unwrap();
        assert!(
            text.ends_with("-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n")
        );
    }
}
