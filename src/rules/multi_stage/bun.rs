//! Bun and Deno: one program that installs, builds and runs. Their images are
//! in no catalogue, and each version's variants stand on the same Debian.

use super::base::{Draft, Last};
use super::{Outcome, Shape, Subject, node};
use crate::model::sources::Sources;

/// Variants that are small already.
const SMALL: [&str; 3] = ["alpine", "distroless", "slim"];

/// The slim variant of the same version.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn bun(draft: &Draft<'_>) -> Result<Last, String> {
    let words: Vec<&str> = draft.tag.split('-').collect();
    if words.iter().any(|word| SMALL.contains(word)) {
        return Ok(same(draft, &["bun", "bunx"]));
    }
    // `debian` and `latest` say nothing beside the version.
    let kept: Vec<&str> = words
        .into_iter()
        .filter(|word| !matches!(*word, "debian" | "latest"))
        .chain(["slim"])
        .collect();
    let tag = kept.join("-");
    Ok(Last {
        because: format!(
            "{0}:{1} and {0}:{tag} have the same Bun, on Debian and on the same Debian without documentation",
            draft.image, draft.tag
        ),
        caveats: vec![format!(
            "the tags of {0} are not in the catalogue: that {0}:{tag} exists is not checked",
            draft.image
        )],
        tag,
        ..same(draft, &["bun", "bunx"])
    })
}

/// The image as it is: on a slim Debian already.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn deno(draft: &Draft<'_>) -> Result<Last, String> {
    Ok(same(draft, &["deno"]))
}

fn same(draft: &Draft<'_>, brings: &'static [&'static str]) -> Last {
    Last {
        image: draft.image.to_owned(),
        tag: draft.tag.to_owned(),
        same_image: true,
        because: format!("both stages are {}:{}", draft.image, draft.tag),
        caveats: Vec::new(),
        variant: ("", ""),
        brings,
    }
}

pub(super) fn bun_shape(subject: &Subject<'_, '_>, sources: &Sources) -> Outcome<Shape> {
    let mut shape = node::shape(subject, sources)?;
    // Neither variant has more packages than the other.
    shape.needs.clear();
    Ok(shape)
}

/// Deno's packages lie in DENO_DIR, which the ledger has.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn deno_shape(_: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    Ok(Shape::default())
}
