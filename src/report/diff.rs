//! Unified diffs: one that tools take byte for byte, one that people read.

use std::fmt::Write as _;
use std::time::Duration;

use similar::{Algorithm, ChangeTag, InlineChange, TextDiff};

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

/// The lines of both compared. A line ends in a line feed: the tools that take
/// patches know no other end, so a lone carriage return is part of its line.
fn diff<'a>(before: &'a [u8], after: &'a [u8]) -> TextDiff<'a, 'a, [u8]> {
    fn lines(text: &[u8]) -> Vec<&[u8]> {
        text.split_inclusive(|byte| *byte == b'\n').collect()
    }
    TextDiff::configure()
        .algorithm(Algorithm::Patience)
        .timeout(Duration::from_secs(2))
        .diff_slices(&lines(before), &lines(after))
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
    for hunk in diff(before, after).unified_diff().iter_hunks() {
        out.extend_from_slice(format!("{}\n", hunk.header()).as_bytes());
        for change in hunk.iter_changes() {
            out.push(match change.tag() {
                ChangeTag::Equal => b' ',
                ChangeTag::Delete => b'-',
                ChangeTag::Insert => b'+',
            });
            out.extend_from_slice(change.value());
            if !change.value().ends_with(b"\n") {
                out.extend_from_slice(b"\n\\ No newline at end of file\n");
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
    let all = diff(before, after);
    for hunk in all.unified_diff().iter_hunks() {
        let _ = writeln!(out, "{hunk_style}{}{hunk_style:#}", hunk.header());
        for op in hunk.ops() {
            for change in all.iter_inline_changes(op) {
                line(&mut out, &change);
            }
        }
    }
    out
}

/// The same as part of an HTML page.
pub(super) fn html_diff(before: &[u8], after: &[u8]) -> String {
    let mut out = String::from("<pre class=\"diff\">");
    let all = diff(before, after);
    for hunk in all.unified_diff().iter_hunks() {
        let _ = writeln!(out, "<i>{}</i>", escape(&hunk.header().to_string()));
        for op in hunk.ops() {
            for change in all.iter_inline_changes(op) {
                let (open, close) = match change.tag() {
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
    }
    out.push_str("</pre>\n");
    out
}

/// The parts of a line, without its end, and whether each changed, with
/// nothing in them that could deceive a reader. Whether the line has an end.
fn parts(change: &InlineChange<'_, [u8]>, mut part_of: impl FnMut(bool, &str)) -> bool {
    let whole: String = change.iter_strings_lossy().map(|(_, part)| part).collect();
    let ended = whole.ends_with('\n');
    let bare = whole.strip_suffix('\n').unwrap_or(&whole);
    let length = bare.strip_suffix('\r').unwrap_or(bare).len();
    let mut at = 0;
    for (set_off, part) in change.iter_strings_lossy() {
        let room = length.saturating_sub(at).min(part.len());
        at += part.len();
        // Alone in its line a part may start what a runner takes for a command.
        let part = visible(&part[..room]);
        part_of(set_off && !part.is_empty(), &part);
    }
    ended
}

/// A line of the diff, with the words in it that changed set off.
fn line(out: &mut String, change: &InlineChange<'_, [u8]>) {
    let (sign, style) = match change.tag() {
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
