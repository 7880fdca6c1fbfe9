//! Text of files that nobody trusts, made safe for a terminal, and for each
//! format that a report is written in.

use std::borrow::Cow;

/// Whether a character can change what a reader sees besides itself: controls,
/// and the marks that reorder or hide text.
pub(super) fn hostile(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{8}'
            | '\u{b}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether all is ASCII without controls but tabs and line feeds: told at a
/// glance, and true of nearly all text.
fn plain(text: &str) -> bool {
    let odd = |byte: u8| !matches!(byte, b' '..=b'~' | b'\t' | b'\n');
    !text.bytes().fold(false, |found, byte| found | odd(byte))
}

/// Text that a runner of GitHub Actions takes for a command wherever it reads
/// it: `::` at the start of a line, `##[` anywhere.
fn commands(text: &str) -> bool {
    text.contains("##[") || text.contains("::")
}

fn shown(text: &str, hide: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hide) && !commands(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut starts = true;
    for (at, c) in text.char_indices() {
        let command = (starts && text[at..].starts_with("::"))
            || (c == '#' && text[at..].starts_with("#[") && text[..at].ends_with('#'));
        match c {
            '\n' if hide(c) => out.push_str("\\n"),
            '\t' if hide(c) => out.push_str("\\t"),
            c if hide(c) || command => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        starts = (c == '\n' && !hide(c)) || (starts && c.is_whitespace());
    }
    Cow::Owned(out)
}

/// `text` with every character that could deceive a terminal or its reader
/// shown as `\u{…}`; tabs and line feeds stay. So is the first character of
/// what a runner of GitHub Actions would take for a command.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    shown(text, hostile)
}

/// The same for what has to stay on one line: line feeds and tabs are shown as
/// `\n` and `\t`, so that no file name and no command can forge a line of a
/// report.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, |c| hostile(c) || matches!(c, '\n' | '\t'))
}

/// JSON text with every hostile character of its strings as `\uXXXX`: the same
/// value, and harmless where the JSON itself is looked at.
pub(super) fn json_ascii(json: String) -> String {
    // JSON's own syntax is ASCII without controls but for blanks, so that
    // whatever is hostile stands in a string.
    if plain(&json) || !json.chars().any(hostile) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_direction_marks_are_shown() {
        assert_eq!(visible("a\u{1b}[31mb\tc\n"), "a\\u{1b}[31mb\tc\n");
        assert_eq!(visible("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(visible("plain é"), "plain é");
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
        assert_eq!(visible(" ::error::x\na::b"), " \\u{3a}:error::x\na::b");
        assert_eq!(visible("a ##[error]b"), "a #\\u{23}[error]b");
        assert_eq!(one_line("a\nb\tc\u{85}"), "a\\nb\\tc\\u{85}");
    }

    #[test]
    fn json_keeps_its_value() {
        let text = "a\u{1b}\u{202e}\u{e0041}\u{9b}é\"\\\n";
        let json = json_ascii(serde_json::to_string(text).unwrap());
        assert!(!json.chars().any(hostile), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
