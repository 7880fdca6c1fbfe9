//! Edits of one text, and sets of them that apply as a whole.

use super::Span;

/// Replaces the bytes of `span` by `text`; an empty span inserts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Edit {
    /// What is replaced, in bytes of the text before any edit.
    pub span: Span,
    /// What stands there afterwards.
    pub text: Box<str>,
}

impl Edit {
    /// Replaces `span` by `text`.
    #[must_use]
    pub fn replace(span: Span, text: impl Into<Box<str>>) -> Self {
        Self {
            span,
            text: text.into(),
        }
    }

    /// Inserts `text` before the byte at `offset`.
    #[must_use]
    pub fn insert(offset: usize, text: impl Into<Box<str>>) -> Self {
        Self::replace(Span::at(offset), text)
    }

    /// Removes the bytes of `span`.
    #[must_use]
    pub fn delete(span: Span) -> Self {
        Self::replace(span, "")
    }
}

/// Two edits that cannot both be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overlap(pub Edit, pub Edit);

impl std::fmt::Display for Overlap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (a, b) = (self.0.span, self.1.span);
        write!(
            f,
            "edits of bytes {}..{} and {}..{} overlap",
            a.start, a.end, b.start, b.end
        )
    }
}

impl std::error::Error for Overlap {}

/// Edits of one text.
///
/// Invariant: sorted by place, disjoint, no two insertions at one place.
/// Equal edits are one edit, so rewrites that agree on a change can share it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EditSet(Vec<Edit>);

impl EditSet {
    /// Sorts `edits` into a set.
    ///
    /// # Errors
    /// [`Overlap`] when two different edits touch the same bytes, or insert at
    /// the same place: their order would be a guess.
    pub fn new(mut edits: Vec<Edit>) -> Result<Self, Overlap> {
        edits.sort();
        edits.dedup();
        for pair in edits.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            let clash = a.span.end > b.span.start
                || a.span == b.span
                || (a.span.start == b.span.start && a.span.is_empty() != b.span.is_empty());
            if clash {
                return Err(Overlap(a.clone(), b.clone()));
            }
        }
        Ok(Self(edits))
    }

    /// Both sets as one; the order of the two does not matter.
    ///
    /// # Errors
    /// [`Overlap`], as for [`EditSet::new`].
    pub fn merge(&self, other: &Self) -> Result<Self, Overlap> {
        Self::new(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The edits in order of place.
    pub fn iter(&self) -> impl Iterator<Item = &Edit> {
        self.0.iter()
    }

    /// Whether nothing is edited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with all edits made. Spans must lie within `text`.
    #[must_use]
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let grown: usize = self.0.iter().map(|edit| edit.text.len()).sum();
        let mut out = Vec::with_capacity(text.len() + grown);
        let mut at = 0;
        for edit in &self.0 {
            out.extend_from_slice(&text[at..edit.span.start as usize]);
            out.extend_from_slice(edit.text.as_bytes());
            at = edit.span.end as usize;
        }
        out.extend_from_slice(&text[at..]);
        out
    }

    /// These edits and then `later`, which are edits of the text that these
    /// make, as one set of edits of the old text. `len` is the length of that.
    ///
    /// # Panics
    /// When `later` cuts a character in two.
    #[must_use]
    pub fn then(&self, later: &Self, len: usize) -> Self {
        // The text in between, piece by piece: bytes of the old one, or new.
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        let mut at = 0;
        for edit in &self.0 {
            pieces.push(Piece::Old(at, edit.span.start));
            pieces.push(Piece::New(&edit.text));
            at = edit.span.end;
        }
        pieces.push(Piece::Old(at, u32::try_from(len).unwrap_or(u32::MAX)));
        let mut cursor = Cursor {
            rest: pieces.into_iter(),
            current: None,
            middle: 0,
        };
        cursor.current = cursor.rest.next();
        let mut out: Vec<Piece<'_>> = Vec::new();
        for edit in &later.0 {
            cursor.take(edit.span.start, Some(&mut out));
            cursor.take(edit.span.end, None);
            out.push(Piece::New(&edit.text));
        }
        cursor.take(u32::MAX, Some(&mut out));
        // Between two kept pieces of the old text stands what is new.
        let mut edits = Vec::new();
        let mut from = 0;
        let mut text = String::new();
        for piece in out {
            match piece {
                Piece::New(new) => text.push_str(new),
                Piece::Old(start, end) if start < end => {
                    if start > from || !text.is_empty() {
                        let span = Span {
                            start: from,
                            end: start,
                        };
                        edits.push(Edit::replace(span, std::mem::take(&mut text)));
                    }
                    from = end;
                }
                Piece::Old(..) => {}
            }
        }
        let end = u32::try_from(len).unwrap_or(u32::MAX);
        if end > from || !text.is_empty() {
            edits.push(Edit::replace(Span { start: from, end }, text));
        }
        Self(edits)
    }

    /// Where the byte at `offset` of the old text stands in the new one; for a
    /// replaced byte, where its replacement starts.
    #[must_use]
    pub fn map(&self, offset: u32) -> u32 {
        let mut shift = 0i64;
        for edit in &self.0 {
            if edit.span.start > offset || (edit.span.start == offset && !edit.span.is_empty()) {
                break;
            }
            if offset < edit.span.end {
                return (i64::from(edit.span.start) + shift) as u32;
            }
            shift += edit.text.len() as i64 - edit.span.len() as i64;
        }
        (i64::from(offset) + shift) as u32
    }
}

/// A piece of a text that edits made.
#[derive(Clone, Copy)]
enum Piece<'e> {
    /// These bytes of the old text.
    Old(u32, u32),
    /// New text.
    New(&'e str),
}

impl<'e> Piece<'e> {
    fn len(&self) -> u32 {
        match self {
            Self::Old(start, end) => end - start,
            Self::New(text) => u32::try_from(text.len()).unwrap_or(u32::MAX),
        }
    }

    /// Its first bytes, and the rest, if there is one.
    fn split(self, at: u32) -> (Self, Option<Self>) {
        if at >= self.len() {
            return (self, None);
        }
        match self {
            Self::Old(start, end) => (
                Self::Old(start, start + at),
                Some(Self::Old(start + at, end)),
            ),
            Self::New(text) => {
                let (head, tail): (&'e str, &'e str) = text.split_at(at as usize);
                (Self::New(head), Some(Self::New(tail)))
            }
        }
    }
}

/// A walk over pieces, by places of the text that they make.
struct Cursor<'e> {
    rest: std::vec::IntoIter<Piece<'e>>,
    current: Option<Piece<'e>>,
    middle: u32,
}

impl<'e> Cursor<'e> {
    /// Goes on to a place, and puts the pieces up to it into `out`.
    fn take(&mut self, until: u32, mut out: Option<&mut Vec<Piece<'e>>>) {
        while self.middle < until {
            let Some(piece) = self.current.take() else {
                return;
            };
            let (head, tail) = piece.split(until - self.middle);
            self.middle += head.len();
            if let Some(out) = &mut out {
                out.push(head);
            }
            self.current = tail.or_else(|| self.rest.next());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(edits: &[(usize, usize, &str)]) -> Result<EditSet, Overlap> {
        EditSet::new(
            edits
                .iter()
                .map(|&(a, b, t)| Edit::replace(Span::new(a, b), t))
                .collect(),
        )
    }

    #[test]
    fn applies_in_order_of_place() {
        let edits = set(&[(4, 5, "X"), (0, 1, ""), (2, 2, "--")]).unwrap();
        assert_eq!(edits.apply(b"abcdef"), b"b--cdXf");
        assert_eq!(edits.map(1), 0);
        assert_eq!(edits.map(2), 3);
        assert_eq!(edits.map(5), 6);
    }

    #[test]
    fn equal_edits_are_one_and_different_ones_clash() {
        assert_eq!(set(&[(1, 2, "x"), (1, 2, "x")]).unwrap().0.len(), 1);
        assert!(set(&[(1, 2, "x"), (1, 2, "y")]).is_err());
        assert!(set(&[(1, 1, "x"), (1, 1, "y")]).is_err());
        assert!(set(&[(1, 1, "x"), (1, 3, "y")]).is_err());
        assert!(set(&[(1, 3, "x"), (2, 4, "y")]).is_err());
        assert!(set(&[(1, 3, "x"), (3, 3, "y")]).is_ok());
    }

    proptest! {
        #[test]
        fn merging_is_free_of_order(
            a in prop::collection::vec((0usize..40, 0usize..4, "[a-z]{0,3}"), 0..5),
            b in prop::collection::vec((0usize..40, 0usize..4, "[a-z]{0,3}"), 0..5),
        ) {
            let make = |v: &[(usize, usize, String)]| EditSet::new(
                v.iter().map(|(at, len, t)| Edit::replace(Span::new(*at, at + len), t.as_str())).collect());
            if let (Ok(a), Ok(b)) = (make(&a), make(&b)) {
                let text = [b'.'; 50];
                match (a.merge(&b), b.merge(&a)) {
                    (Ok(x), Ok(y)) => prop_assert_eq!(x.apply(&text), y.apply(&text)),
                    (Err(_), Err(_)) => {}
                    _ => prop_assert!(false, "one order merges, the other does not"),
                }
            }
        }
    }

    #[test]
    fn edits_after_edits_are_one_set() {
        let old = "one two three four\n";
        let edit = |from: &str, what: &str, to: &str| {
            let at = from.find(what).unwrap();
            Edit::replace(Span::new(at, at + what.len()), to)
        };
        let first = EditSet::new(vec![
            edit(old, "two", "zwei"),
            Edit::insert(0, "# head\n"),
            edit(old, " four", ""),
        ])
        .unwrap();
        let middle = String::from_utf8(first.apply(old.as_bytes())).unwrap();
        for later in [
            vec![],
            vec![edit(&middle, "wei th", "WEI TH")],
            vec![
                edit(&middle, "# head\none", "1"),
                Edit::insert(middle.len(), "end\n"),
            ],
            vec![Edit::insert(0, "x"), edit(&middle, "three\n", "")],
        ] {
            let later = EditSet::new(later).unwrap();
            let both = first.then(&later, old.len());
            let direct = later.apply(middle.as_bytes());
            assert_eq!(both.apply(old.as_bytes()), direct);
            assert_eq!(EditSet::new(both.0.clone()).unwrap(), both, "canonical");
        }
    }
}
