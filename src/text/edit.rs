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
}
