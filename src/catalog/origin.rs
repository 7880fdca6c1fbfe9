//! Copies of the official images in other places.

use super::table::Table;
use super::tags::is_official;
use crate::image::Reference;

/// Where official images are to be had besides Docker Hub's own namespace.
pub static ORIGINS: Table = Table::new(include_str!("data/origins.tsv"));

/// A copy of an official image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copy {
    /// Where: `public.ecr.aws/docker/library`.
    pub place: &'static str,
    /// What sort of copy that is, in words.
    pub what: &'static str,
    /// Whether it has all builds of the image, so that the official name means
    /// the same.
    pub all: bool,
}

/// The official image of which this is a copy, by where it comes from.
#[must_use]
pub fn official_copy(reference: &Reference) -> Option<(String, Copy)> {
    let path = reference.path();
    let (folder, name) = path.rsplit_once('/')?;
    let row = ORIGINS.get(&format!("{}/{folder}", reference.domain()))?;
    is_official(name).then(|| {
        let copy = Copy {
            place: row.key(),
            what: row.cell(1).unwrap_or_default(),
            all: row.cell(2) == Some("yes"),
        };
        (name.to_owned(), copy)
    })
}
