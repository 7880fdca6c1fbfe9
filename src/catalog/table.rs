//! A sorted table of tab-separated lines, embedded in the program and searched
//! as the text that it is: no loading. One that is asked often gets an index of
//! where its lines start, by a hash of their keys.
//!
//! The canonical form, which the tests hold every table to:
//!
//! - comment lines come first: at least one `# source: …`, any number of
//!   `# note: …`, and last `# columns: …` with the tab-separated names;
//! - then one fact a line, sorted by the bytes of the first cell, the key,
//!   which is unique;
//! - every line has as many cells as there are columns, none of them empty
//!   (`-` says nothing) and none with blanks at its ends;
//! - a cell that is a list separates its items by single spaces.

use std::cmp::Ordering;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering as Memory};

use memchr::{memchr, memrchr};

/// The cell that says nothing.
pub const NOTHING: &str = "-";

/// After so many searches a table gets an index: a run over one file asks less
/// of most tables, and would pay for what it does not use.
const INDEXED_AFTER: u32 = 32;

/// An embedded table.
#[derive(Debug)]
pub struct Table {
    text: &'static str,
    /// Where the first row starts.
    body: usize,
    /// How often it was searched, up to [`INDEXED_AFTER`].
    searches: AtomicU32,
    /// Where the rows start, by the hash of their keys.
    index: OnceLock<Index>,
}

/// Where rows start, each after [`Table::body`] and plus 1, in the first free
/// slot from the one that the hash of its key names; 0 is a free slot. At least
/// half of them are free, and their number is a power of two.
#[derive(Debug)]
struct Index(Box<[u32]>);

impl Index {
    fn of(rows: &'static str) -> Self {
        let count = rows.lines().count();
        let mut slots = vec![0u32; (2 * count).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        let mut start = 0;
        while start < rows.len() {
            let (row, end) = row_at(rows, start);
            let mut at = hash(&[row.key()], b"") as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = u32::try_from(start + 1).expect("tables are small");
            start = end + 1;
        }
        Self(slots)
    }

    /// The row in `rows`, of which this is the index.
    fn find(&self, rows: &'static str, parts: &[&str], between: &[u8]) -> Option<Row> {
        let mask = self.0.len() - 1;
        let mut at = hash(parts, between) as usize & mask;
        loop {
            let start = self.0[at].checked_sub(1)? as usize;
            if is_key(&rows.as_bytes()[start..], parts, between) {
                return Some(row_at(rows, start).0);
            }
            at = (at + 1) & mask;
        }
    }
}

/// FNV-1a, by Fowler, Noll and Vo: keys are short, and nobody else chooses them.
fn hash(parts: &[&str], between: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            add(between);
        }
        add(part.as_bytes());
    }
    // The low bits are those that count here.
    hash ^ (hash >> 32)
}

/// Whether a line begins with the parts, joined by what is between them, as its
/// whole first cell.
fn is_key(line: &[u8], parts: &[&str], between: &[u8]) -> bool {
    let mut rest = line;
    for (at, part) in parts.iter().enumerate() {
        let joint = if at == 0 { b"" } else { between };
        let after = rest.strip_prefix(joint);
        match after.and_then(|rest| rest.strip_prefix(part.as_bytes())) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    matches!(rest.first(), None | Some(b'\t' | b'\n'))
}

/// One line of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    line: &'static str,
}

impl Table {
    /// The table of a text; costs nothing in a `const` or `static`.
    pub const fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let mut body = 0;
        while body < bytes.len() && bytes[body] == b'#' {
            while body < bytes.len() && bytes[body] != b'\n' {
                body += 1;
            }
            if body < bytes.len() {
                body += 1;
            }
        }
        Self {
            text,
            body,
            searches: AtomicU32::new(0),
            index: OnceLock::new(),
        }
    }

    /// The row of a key.
    pub fn get(&self, key: &str) -> Option<Row> {
        self.search(&[key], b"")
    }

    /// The row whose key is these parts joined by `:`, without joining them.
    pub fn find(&self, parts: &[&str]) -> Option<Row> {
        self.search(parts, b":")
    }

    /// The row whose key is these words joined by blanks, without joining them.
    pub fn phrase(&self, words: &[&str]) -> Option<Row> {
        self.search(words, b" ")
    }

    fn search(&self, parts: &[&str], between: &[u8]) -> Option<Row> {
        if self.searches.load(Memory::Relaxed) < INDEXED_AFTER {
            self.searches.fetch_add(1, Memory::Relaxed);
            return self.search_text(parts, between);
        }
        let rows = self.rows();
        let index = self.index.get_or_init(|| Index::of(rows));
        index.find(rows, parts, between)
    }

    fn search_text(&self, parts: &[&str], between: &[u8]) -> Option<Row> {
        let rows = self.rows();
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start =
                memrchr(b'\n', &rows.as_bytes()[low..middle]).map_or(low, |at| low + at + 1);
            let (row, end) = row_at(rows, start);
            match compare(row.key(), parts, between) {
                Ordering::Equal => return Some(row),
                Ordering::Less => low = (end + 1).min(high),
                Ordering::Greater => high = start,
            }
        }
        None
    }

    /// All rows, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = Row> + use<> {
        self.rows().lines().map(|line| Row { line })
    }

    /// The names of the columns; the first is the key's.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.comments("# columns: ").flat_map(|c| c.split('\t'))
    }

    /// The place of a column, for [`Row::cell`].
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns().position(|c| c == name)
    }

    /// Where the facts come from.
    pub fn sources(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.comments("# source: ")
    }

    /// How many bytes the table takes in the program.
    pub const fn size(&self) -> usize {
        self.text.len()
    }

    /// The whole text.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// What is wrong with the table's form; nothing, for a canonical one.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.sources().all(|s| s.trim().is_empty()) {
            faults.push("no `# source:` line".to_owned());
        }
        let columns = self.columns().count();
        if columns < 2 {
            faults.push("no `# columns:` line, or a single column".to_owned());
        }
        let mut last_comment = "";
        for comment in self.text[..self.body].lines() {
            let known = ["# source: ", "# note: ", "# columns: "];
            if !known.iter().any(|k| comment.starts_with(k)) || comment.trim_end() != comment {
                faults.push(format!(
                    "a comment that is no source, note or columns: {comment:?}"
                ));
            }
            last_comment = comment;
        }
        if !last_comment.starts_with("# columns: ") {
            faults.push("`# columns:` is not the last comment".to_owned());
        }
        if self.rows().is_empty() {
            faults.push("no rows".to_owned());
        } else if !self.text.ends_with('\n') || self.text.ends_with("\n\n") {
            faults.push("not exactly one line feed at the end".to_owned());
        }
        let mut previous = "";
        for row in self.iter() {
            let key = row.key();
            if key.as_bytes() <= previous.as_bytes() {
                faults.push(format!("{key:?} comes after {previous:?}"));
            }
            previous = key;
            if row.cells().count() != columns {
                faults.push(format!(
                    "{key:?} has {} cells of {columns}",
                    row.cells().count()
                ));
            }
            if row.cells().any(|c| c.is_empty() || c.trim() != c) {
                faults.push(format!(
                    "{key:?} has an empty cell, or blanks at a cell's end"
                ));
            }
            if row.line.contains("  ") || row.line.contains('\r') {
                faults.push(format!("{key:?} has a double blank, or a carriage return"));
            }
        }
        faults
    }

    fn rows(&self) -> &'static str {
        &self.text[self.body..]
    }

    fn comments(&self, prefix: &'static str) -> impl Iterator<Item = &'static str> + use<> {
        self.text[..self.body]
            .lines()
            .filter_map(move |line| line.strip_prefix(prefix))
    }
}

impl Row {
    /// The first cell.
    pub fn key(&self) -> &'static str {
        let end = memchr(b'\t', self.line.as_bytes()).unwrap_or(self.line.len());
        &self.line[..end]
    }

    /// All cells, the key first.
    pub fn cells(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.line.split('\t')
    }

    /// A cell, unless it says nothing; 0 is the key.
    pub fn cell(&self, column: usize) -> Option<&'static str> {
        let mut rest = self.line;
        for _ in 0..column {
            rest = &rest[memchr(b'\t', rest.as_bytes())? + 1..];
        }
        let end = memchr(b'\t', rest.as_bytes()).unwrap_or(rest.len());
        Some(&rest[..end]).filter(|&cell| cell != NOTHING)
    }

    /// The items of a cell that is a list; none where it says nothing.
    pub fn list(&self, column: usize) -> impl Iterator<Item = &'static str> + use<> {
        self.cell(column).into_iter().flat_map(|c| c.split(' '))
    }
}

/// The row that starts there, and where it ends.
fn row_at(rows: &'static str, start: usize) -> (Row, usize) {
    let end = memchr(b'\n', &rows.as_bytes()[start..]).map_or(rows.len(), |at| start + at);
    let line = &rows[start..end];
    (Row { line }, end)
}

/// Compares a key with the parts, joined by what is between them.
fn compare(key: &str, parts: &[&str], between: &[u8]) -> Ordering {
    let mut rest = key.as_bytes();
    for (at, part) in parts.iter().enumerate() {
        let joint = if at == 0 { b"" } else { between };
        for piece in [joint, part.as_bytes()] {
            let length = rest.len().min(piece.len());
            let order = rest[..length].cmp(&piece[..length]);
            // A key that is only the start of the parts is the lesser.
            if order != Ordering::Equal || length < piece.len() {
                return order.then(Ordering::Less);
            }
            rest = &rest[length..];
        }
    }
    rest.len().cmp(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    static T: Table = Table::new(
        "# source: nowhere\n# note: a note\n# columns: key\tone\ttwo\n\
         a\t1\t-\na:b\t2\tx y\nab\t3\tz\nabc\t4\t-\nb\t5\tq\n",
    );

    #[test]
    fn finds_every_row_and_nothing_else() {
        assert_eq!(T.faults(), Vec::<String>::new());
        // By the text at first, then by the index.
        for round in 0..2 * INDEXED_AFTER {
            for row in T.iter() {
                assert_eq!(T.get(row.key()), Some(row), "{round}");
            }
            for absent in ["", "0", "aa", "abcd", "c", "a\t1", "-"] {
                assert_eq!(T.get(absent), None, "{absent:?} {round}");
            }
            assert_eq!(T.find(&["a", "b"]), T.get("a:b"));
            assert_eq!(T.find(&["a", "b"]).map(|row| row.key()), Some("a:b"));
            assert_eq!(T.phrase(&["a", "b"]), None);
            assert_eq!(T.find(&["a", ""]), None);
            assert_eq!(T.find(&[]), None);
        }
        assert!(T.index.get().is_some());
    }

    #[test]
    fn reads_cells_lists_columns_and_sources() {
        let row = T.get("a:b").unwrap();
        assert_eq!(row.cell(1), Some("2"));
        assert_eq!(row.list(2).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(row.cell(3), None);
        let row = T.get("a").unwrap();
        assert_eq!((row.cell(2), row.list(2).count()), (None, 0));
        assert_eq!(T.columns().collect::<Vec<_>>(), ["key", "one", "two"]);
        assert_eq!(T.column("two"), Some(2));
        assert_eq!(T.sources().collect::<Vec<_>>(), ["nowhere"]);
    }

    #[test]
    fn tells_what_is_not_canonical() {
        let fault = |text: &'static str| !Table::new(text).faults().is_empty();
        let head = "# source: s\n# columns: k\tv\n";
        assert!(!fault("# source: s\n# columns: k\tv\na\tb\n"));
        assert!(fault("# columns: k\tv\na\tb\n"));
        assert!(fault("# source: s\na\tb\n"));
        assert!(fault("# columns: k\tv\n# source: s\na\tb\n"));
        assert!(fault("# source: s\n# columns: k\tv\nb\tb\na\tb\n"));
        assert!(fault("# source: s\n# columns: k\tv\na\tb\na\tc\n"));
        assert!(fault("# source: s\n# columns: k\tv\na\tb \n"));
        assert!(fault("# source: s\n# columns: k\tv\na\t\n"));
        assert!(fault("# source: s\n# columns: k\tv\na\tb"));
        assert!(fault("# source: s\n# columns: k\tv\na\tb\tc\n"));
        assert!(fault("# source: s\n# columns: k\tv\na\tb  c\n"));
        assert!(fault(head));
    }
}
