//! Answers that are remembered: a tree asks the same of the same tags again and
//! again, and the catalogue never changes while the program runs.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// No more answers than this are remembered, of one question: files name what
/// they like, and memory is bounded.
const MOST: usize = 4_096;

/// The answers to one question about `image:tag`.
pub(super) struct Memo<T>(RwLock<Known<T>>);

struct Known<T> {
    /// By image, then by tag.
    images: BTreeMap<Box<str>, BTreeMap<Box<str>, T>>,
    /// How many answers those are.
    count: usize,
}

impl<T: Clone> Memo<T> {
    /// One without answers.
    pub const fn new() -> Self {
        Self(RwLock::new(Known {
            images: BTreeMap::new(),
            count: 0,
        }))
    }

    /// The answer, remembered or found.
    pub fn answer(&self, image: &str, tag: &str, find: impl FnOnce(&str, &str) -> T) -> T {
        // What a panic elsewhere left is a whole answer or none.
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.images.get(image).and_then(|tags| tags.get(tag)) {
            return answer.clone();
        }
        drop(known);
        let answer = find(image, tag);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.count < MOST {
            known.count += 1;
            let tags = known.images.entry(image.into()).or_default();
            tags.insert(tag.into(), answer.clone());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_no_more_than_its_bound_and_answers_all() {
        let memo: Memo<usize> = Memo::new();
        let ask = |number: usize, found: usize| memo.answer("x", &number.to_string(), |_, _| found);
        for number in 0..MOST + 10 {
            assert_eq!(ask(number, number), number);
        }
        assert_eq!(ask(7, 0), 7);
        assert_eq!(ask(MOST + 5, 0), 0);
        assert_eq!(memo.0.read().unwrap().count, MOST);
    }
}
