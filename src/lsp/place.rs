//! Bytes of a text ↔ positions of the protocol.

use lsp_types::{Position, Range};

use crate::text::{Lines, Span};

/// Places in one text. It is UTF-8: the protocol carries no other.
pub(super) struct Places<'a> {
    pub(super) source: &'a [u8],
    pub(super) lines: &'a Lines,
    /// Characters of a line are counted in bytes, and not in UTF-16 units.
    pub(super) utf8: bool,
}

impl Places<'_> {
    fn position(&self, offset: u32) -> Position {
        let line = self.lines.line(offset);
        let start = self.lines.range(line).start;
        let before = &self.source[start..offset as usize];
        let character = match self.utf8 {
            true => before.len(),
            false => String::from_utf8_lossy(before).encode_utf16().count(),
        };
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position::new(small(line - 1), small(character))
    }

    pub(super) fn range(&self, span: Span) -> Range {
        Range::new(self.position(span.start), self.position(span.end))
    }

    /// The byte at a position; past the end of a line, where it ends.
    pub(super) fn offset(&self, position: Position) -> u32 {
        let line = self.lines.range(position.line as usize + 1);
        let text = String::from_utf8_lossy(&self.source[line.clone()]);
        let wanted = position.character as usize;
        let mut at = 0;
        let mut counted = 0;
        for c in text.trim_end_matches(['\n', '\r']).chars() {
            if counted >= wanted {
                break;
            }
            counted += if self.utf8 {
                c.len_utf8()
            } else {
                c.len_utf16()
            };
            at += c.len_utf8();
        }
        u32::try_from(line.start + at).unwrap_or(u32::MAX)
    }

    pub(super) fn span(&self, range: Range) -> Span {
        let (start, end) = (self.offset(range.start), self.offset(range.end));
        Span::new(start.min(end) as usize, start.max(end) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_and_bytes() {
        let text = "# é😀x\r\nFROM a\n".as_bytes();
        let lines = Lines::of(text);
        for (utf8, character) in [(false, 5), (true, 8)] {
            let places = Places {
                source: text,
                lines: &lines,
                utf8,
            };
            let x = text.iter().position(|byte| *byte == b'x').unwrap() as u32;
            assert_eq!(places.position(x), Position::new(0, character));
            assert_eq!(places.offset(Position::new(0, character)), x);
            assert_eq!(places.offset(Position::new(0, 99)), x + 1);
            assert_eq!(places.position(x + 3), Position::new(1, 0));
            assert_eq!(places.offset(Position::new(1, 5)), x + 8);
            assert_eq!(places.offset(Position::new(7, 0)) as usize, text.len());
        }
    }
}
