//! The few habits of Go's standard library on which BuildKit's reading of a
//! line depends: what is a blank, how bytes that are not UTF-8 decode, how
//! durations and numbers parse.

use std::ops::Range;

/// The first character of `bytes` and its length; a byte that starts no valid
/// UTF-8 is U+FFFD of length 1, as Go's `utf8.DecodeRune` has it.
pub(super) fn decode(bytes: &[u8]) -> (char, usize) {
    match bytes.first() {
        None => (char::REPLACEMENT_CHARACTER, 0),
        Some(&b) if b < 0x80 => (char::from(b), 1),
        Some(_) => {
            let head = &bytes[..bytes.len().min(4)];
            let valid = match std::str::from_utf8(head) {
                Ok(text) => text,
                Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
            };
            valid
                .chars()
                .next()
                .map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8()))
        }
    }
}

/// `bytes` without leading Unicode white space.
pub(super) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while !bytes.is_empty() {
        let (c, len) = decode(bytes);
        if !c.is_whitespace() {
            break;
        }
        bytes = &bytes[len..];
    }
    bytes
}

/// `bytes` without trailing Unicode white space.
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    'outer: while let Some(&last) = bytes.last() {
        if last < 0x80 {
            if !char::from(last).is_whitespace() {
                break;
            }
            bytes = &bytes[..bytes.len() - 1];
            continue;
        }
        for len in 2..=4.min(bytes.len()) {
            let (head, tail) = bytes.split_at(bytes.len() - len);
            if let Ok(text) = std::str::from_utf8(tail) {
                if text.chars().all(char::is_whitespace) {
                    bytes = head;
                    continue 'outer;
                }
                break 'outer;
            }
        }
        break;
    }
    bytes
}

/// The range of `bytes` without white space at both ends.
pub(super) fn trim_range(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let slice = trim_end(&bytes[range.clone()]);
    let end = range.start + slice.len();
    let start = end - trim_start(slice).len();
    start..end
}

/// BuildKit's separators between words of a line.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x0b | 0x0c | b'\r' | b' ')
}

/// White space by byte, as Go's `unicode.IsSpace(rune(byte))` says.
pub(super) fn is_space_byte(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xa0)
}

/// The pieces of `text` between runs of blanks; leading or trailing blanks
/// give an empty piece, as Go's `regexp.Split` does.
pub(super) fn split_blanks(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let start = at?;
        if text.is_empty() {
            at = None;
            return None;
        }
        match text[start..].iter().position(|&b| is_blank(b)) {
            Some(len) => {
                let end = start + len;
                let skipped = text[end..].iter().take_while(|&&b| is_blank(b)).count();
                at = Some(end + skipped);
                Some(start..end)
            }
            None => {
                at = None;
                Some(start..text.len())
            }
        }
    })
}

/// Nanoseconds of a duration such as `1m30s`, as Go's `time.ParseDuration`.
pub(super) fn duration(text: &str) -> Result<f64, String> {
    let bad = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0.0);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let digits = &rest[..number];
        if digits.matches('.').count() > 1 || !digits.contains(|c: char| c.is_ascii_digit()) {
            return Err(bad());
        }
        let value: f64 = digits.parse().map_err(|_| bad())?;
        rest = &rest[number..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let scale = match &rest[..unit] {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            unknown => {
                return Err(format!(
                    "time: unknown unit {unknown:?} in duration {text:?}"
                ));
            }
        };
        total += value * scale;
        rest = &rest[unit..];
    }
    if total > i64::MAX as f64 {
        return Err(bad());
    }
    Ok(if negative { -total } else { total })
}

/// The fields of one line of comma-separated values, or why it is none.
pub(super) fn csv_fields(line: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = line;
    if rest.is_empty() {
        return Err("EOF");
    }
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut left = quoted;
            loop {
                let Some(at) = left.find('"') else {
                    return Err("extraneous or missing \" in quoted-field");
                };
                field.push_str(&left[..at]);
                left = &left[at + 1..];
                if let Some(after) = left.strip_prefix('"') {
                    field.push('"');
                    left = after;
                } else {
                    break;
                }
            }
            fields.push(field);
            match left.strip_prefix(',') {
                Some(after) => rest = after,
                None if left.is_empty() => return Ok(fields),
                None => return Err("extraneous or missing \" in quoted-field"),
            }
        } else {
            let (field, after) = match rest.split_once(',') {
                Some((field, after)) => (field, Some(after)),
                None => (rest, None),
            };
            if field.contains('"') {
                return Err("bare \" in non-quoted-field");
            }
            fields.push(field.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Ok(fields),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        assert_eq!(duration("1m30s"), Ok(90e9));
        assert_eq!(duration("0"), Ok(0.0));
        assert_eq!(duration("-1.5h"), Ok(-5400e9));
        assert!(duration("12").unwrap_err().contains("missing unit"));
        assert!(duration("5x").unwrap_err().contains("unknown unit"));
        assert!(duration("").is_err() && duration(".s").is_err());
    }

    #[test]
    fn blanks_split_without_nbsp() {
        let text = "a \tb\u{a0}c".as_bytes();
        let words: Vec<_> = split_blanks(text).map(|r| &text[r]).collect();
        assert_eq!(words, [b"a".as_slice(), "b\u{a0}c".as_bytes()]);
    }

    #[test]
    fn trims_unicode_blanks_at_both_ends() {
        let text = "\u{a0} x\u{3000}\n".as_bytes();
        assert_eq!(&text[trim_range(text, 0..text.len())], b"x");
        assert_eq!(trim_end(b"x\xa0"), b"x\xa0");
    }
}
