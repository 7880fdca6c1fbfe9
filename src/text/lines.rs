//! Offsets ↔ line numbers.

/// Where each physical line of a text starts. A line ends after its `\n`.
#[derive(Clone, Debug)]
pub struct Lines {
    starts: Vec<u32>,
    len: u32,
}

impl Lines {
    /// Indexes `text`, which is at most 4 GiB.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let mut starts = Vec::with_capacity(text.len() / 32 + 1);
        starts.push(0);
        starts.extend(memchr::memchr_iter(b'\n', text).map(|at| at as u32 + 1));
        Self {
            starts,
            len: text.len() as u32,
        }
    }

    /// How many there are; what follows the last line end counts, even if empty.
    #[must_use]
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line, from 1, that holds the byte at `offset`.
    #[must_use]
    pub fn line(&self, offset: u32) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }

    /// Line, from 1, and column in bytes, from 1.
    #[must_use]
    pub fn position(&self, offset: u32) -> (usize, usize) {
        let line = self.line(offset);
        (line, (offset - self.starts[line - 1]) as usize + 1)
    }

    /// The bytes of line `line` (from 1), its line end included; empty past the end.
    #[must_use]
    pub fn range(&self, line: usize) -> std::ops::Range<usize> {
        let at = |line: usize| self.starts.get(line - 1).copied().unwrap_or(self.len) as usize;
        at(line)..at(line + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one() {
        let lines = Lines::of(b"ab\nc\n\nd");
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(2), (1, 3));
        assert_eq!(lines.position(3), (2, 1));
        assert_eq!(lines.position(5), (3, 1));
        assert_eq!(lines.position(6), (4, 1));
        assert_eq!(lines.range(2), 3..5);
        assert_eq!(lines.range(4), 6..7);
        assert_eq!(lines.range(5), 7..7);
    }
}
