//! Unified diffs: one that tools take byte for byte, one that people read.

use std::fmt::Write as _;
use std::time::Duration;

use similar::{Algorithm, ChangeTag, TextDiff};

use super::{one_line, style, visible};

/// What the patch calls the file: a `/`-separated path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatchName(pub String);

impl PatchName {
    /// The name behind `a/` or `b/`, quoted as git quotes it where it must be.
    fn header(&self, side: &str) -> String {
        let path = format!("{side}/{}", self.0);
        let plain = path
            .chars()
            .all(|c| !c.is_control() && c != '"' && c != '\\' && c.is_ascii());
        if plain {
            // A tab ends a name with blanks, for patch and git alike.
            let tab = if path.contains(' ') { "\t" } else { "" };
            return format!("{path}{tab}");
        }
        let mut out = String::from("\"");
        for byte in path.bytes() {
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

fn diff<'a>(before: &'a [u8], after: &'a [u8]) -> TextDiff<'a, 'a, [u8]> {
    TextDiff::configure()
        .algorithm(Algorithm::Patience)
        .timeout(Duration::from_secs(2))
        .diff_lines(before, after)
}

/// The patch that turns `before` into `after`, as `git apply` and `patch -p1`
/// take it, byte for byte.
#[must_use]
pub fn patch(name: &PatchName, before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if before == after {
        return out;
    }
    let (old, new) = (name.header("a"), name.header("b"));
    let git = |name: &str| name.trim_end_matches('\t').to_owned();
    out.extend_from_slice(format!("diff --git {} {}\n", git(&old), git(&new)).as_bytes());
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
    for hunk in diff(before, after).unified_diff().iter_hunks() {
        let _ = writeln!(out, "{hunk_style}{}{hunk_style:#}", hunk.header());
        for change in hunk.iter_changes() {
            let text = String::from_utf8_lossy(change.value());
            let bare = text.strip_suffix('\n').unwrap_or(&text);
            let bare = bare.strip_suffix('\r').unwrap_or(bare);
            let bare = visible(bare);
            let _ = match change.tag() {
                ChangeTag::Equal => writeln!(out, " {bare}"),
                ChangeTag::Delete => writeln!(out, "{old}-{bare}{old:#}"),
                ChangeTag::Insert => writeln!(out, "{new}+{bare}{new:#}"),
            };
            if !text.ends_with('\n') {
                let _ = writeln!(out, "\\ No newline at end of file");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_git_quotes_them() {
        let header = |name: &str| PatchName(name.to_owned()).header("a");
        assert_eq!(header("x/Dockerfile"), "a/x/Dockerfile");
        assert_eq!(header("x y/Dockerfile"), "a/x y/Dockerfile\t");
        assert_eq!(header("é"), "\"a/\\303\\251\"");
        assert_eq!(header("a\"b"), "\"a/a\\\"b\"");
    }

    #[test]
    fn a_missing_final_newline_is_said() {
        let name = PatchName("D".to_owned());
        let text = String::from_utf8(patch(&name, b"a\nb", b"a\nc")).unwrap();
        assert!(
            text.ends_with("-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n")
        );
    }
}
