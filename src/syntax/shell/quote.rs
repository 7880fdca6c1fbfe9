//! Quoting a word, and taking quotes away.

use std::borrow::Cow;

/// `word` as it must be written so that any POSIX shell reads exactly it, with
/// as few quotes as that takes.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else if !word.contains('\'') {
        format!("'{word}'")
    } else if !word.contains(['$', '`', '\\', '"', '!']) {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The bytes of `text` without its quotes and escapes. Expansions are left as
/// they are written; the caller has made sure that there are none, or wants
/// (for the delimiter of a here-document) no other thing.
pub(super) fn unquote(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, b'\\' | b'\'' | b'"')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut double = false;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'\'' if !double => {
                let len = memchr::memchr(b'\'', &text[at..]).unwrap_or(text.len() - at);
                out.extend_from_slice(&text[at..at + len]);
                at = (at + len + 1).min(text.len());
            }
            b'"' => double = !double,
            b'\\' => match text.get(at) {
                Some(b'\n') => at += 1,
                Some(&next) if !double || matches!(next, b'$' | b'`' | b'"' | b'\\') => {
                    out.push(next);
                    at += 1;
                }
                _ => out.push(b'\\'),
            },
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_little_as_possible() {
        for (word, quoted) in [
            ("", "''"),
            ("libssl-dev=1.1", "libssl-dev=1.1"),
            ("a b", "'a b'"),
            ("~", "'~'"),
            ("it's", "\"it's\""),
            ("it's $5", r"'it'\''s $5'"),
            ("$x", "'$x'"),
            ("é", "'é'"),
        ] {
            assert_eq!(quote(word), quoted);
            assert_eq!(unquote(quoted.as_bytes()), word.as_bytes());
        }
    }
}
