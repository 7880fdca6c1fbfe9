//! Text from elsewhere, made fit to be shown.

/// `text` on one line, without control and direction characters, and at most
/// so many characters long.
pub(super) fn clean(text: &str, most: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let shown = text.chars().map(|c| if hidden(c) { ' ' } else { c });
    let mut out = String::new();
    for word in shown.collect::<String>().split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    if out.chars().count() > most {
        out = out.chars().take(most).collect();
        out.push('…');
    }
    out
}

/// A text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_come_through() {
        assert_eq!(clean("a\x1b[31m\r\nb\u{202e}c", 100), "a [31m b c");
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(format!("{:?}", Secret("hunter2".into())), "(secret)");
    }
}
