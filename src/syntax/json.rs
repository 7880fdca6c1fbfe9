//! The JSON (exec) form: the whole remainder must be a valid array of strings.

use std::ops::Range;

use super::JsonString;
use super::go;

/// What the arguments are.
pub(super) enum Json {
    /// A valid array of strings.
    Strings(Vec<JsonString>),
    /// A valid array with something else in it: BuildKit refuses that.
    NotStrings,
    /// No JSON array: the plain form.
    Plain,
}

/// Reads `text[range]` as a JSON array of strings.
pub(super) fn read(text: &[u8], range: Range<usize>) -> Json {
    let bytes = &text[range.clone()];
    let base = range.end - go::trim_start(bytes).len();
    if text.get(base) != Some(&b'[') || base >= range.end {
        return Json::Plain;
    }
    let mut strings = Vec::new();
    let mut at = skip(text, base + 1, range.end);
    if text.get(at) == Some(&b']') && at < range.end {
        return finish(text, at + 1, range.end, strings);
    }
    loop {
        let start = at;
        match string(text, at, range.end) {
            Some((value, end)) => {
                strings.push(JsonString {
                    value,
                    range: start..end,
                });
                at = skip(text, end, range.end);
            }
            None => return other(&text[base..range.end]),
        }
        match text[..range.end].get(at) {
            Some(b',') => at = skip(text, at + 1, range.end),
            Some(b']') => return finish(text, at + 1, range.end, strings),
            _ => return Json::Plain,
        }
    }
}

fn finish(text: &[u8], at: usize, end: usize, strings: Vec<JsonString>) -> Json {
    if skip(text, at, end) == end {
        Json::Strings(strings)
    } else {
        Json::Plain
    }
}

/// An element that is no well-formed string: is the whole still valid JSON?
fn other(bytes: &[u8]) -> Json {
    match serde_json::from_slice::<Vec<serde_json::Value>>(bytes) {
        Ok(_) => Json::NotStrings,
        Err(_) => Json::Plain,
    }
}

fn skip(text: &[u8], at: usize, end: usize) -> usize {
    let blanks = text[at..end]
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    at + blanks.count()
}

fn string(text: &[u8], start: usize, end: usize) -> Option<(String, usize)> {
    if start >= end || text[start] != b'"' {
        return None;
    }
    let mut out = Vec::new();
    let mut at = start + 1;
    while at < end {
        match text[at] {
            b'"' => {
                return Some((String::from_utf8_lossy(&out).into_owned(), at + 1));
            }
            b'\\' => {
                let escape = *text.get(at + 1).filter(|_| at + 1 < end)?;
                at += 2;
                let c = match escape {
                    b'"' | b'\\' | b'/' => char::from(escape),
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    b'u' => {
                        let first = hex4(text, at, end)?;
                        at += 4;
                        if (0xd800..0xdc00).contains(&first)
                            && text[..end].get(at..at + 2) == Some(b"\\u")
                            && let Some(second) = hex4(text, at + 2, end)
                            && (0xdc00..0xe000).contains(&second)
                        {
                            at += 6;
                            let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                            char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER)
                        } else {
                            char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
                        }
                    }
                    _ => return None,
                };
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            control if control < 0x20 => return None,
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    None
}

fn hex4(text: &[u8], at: usize, end: usize) -> Option<u32> {
    let digits = text[..end].get(at..at + 4)?;
    digits.iter().try_fold(0, |value, &b| {
        char::from(b).to_digit(16).map(|digit| value * 16 + digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Option<Vec<String>> {
        match read(text.as_bytes(), 0..text.len()) {
            Json::Strings(list) => Some(list.into_iter().map(|s| s.value).collect()),
            _ => None,
        }
    }

    #[test]
    fn reads_arrays_of_strings_and_nothing_else() {
        assert_eq!(
            strings(r#"["a", "b\n\u00e9\ud83d\ude00"]"#).unwrap(),
            ["a", "b\né😀"]
        );
        assert_eq!(strings("[ ]").unwrap(), Vec::<String>::new());
        assert_eq!(strings(r#"["a",]"#), None);
        assert_eq!(strings(r#"["a"] # c"#), None);
        assert_eq!(strings("['a']"), None);
        assert!(matches!(read(b"[1]", 0..3), Json::NotStrings));
        assert!(matches!(read(br#"["a", null]"#, 0..11), Json::NotStrings));
        assert!(matches!(read(b"[1e999]", 0..7), Json::Plain));
        assert!(matches!(read(b"[ -e x ]", 0..8), Json::Plain));
    }
}
