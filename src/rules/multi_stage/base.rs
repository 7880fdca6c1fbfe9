//! Which image the final stage starts from.

use crate::catalog::{self, Base, Entry, Kind, variants};
use crate::rules::Context;

/// The image of the build stage, before a final one is chosen.
pub(super) struct Draft<'d> {
    /// What the rule may look at.
    pub cx: &'d Context<'d>,
    /// Its familiar name.
    pub image: &'d str,
    /// Its tag, with the codename.
    pub tag: &'d str,
    /// What the catalogue has of it; none where it is no official image.
    pub entry: Option<&'d Entry>,
    /// What it is built on.
    pub base: Option<Base>,
}

/// The image of the final stage.
#[derive(Debug)]
pub(super) struct Last {
    /// Its familiar name.
    pub image: String,
    /// Its tag.
    pub tag: String,
    /// Whether the build stage's image has the same name, so that only the tag
    /// differs, if anything.
    pub same_image: bool,
    /// Why this image fits, in one line.
    pub because: String,
    /// Doubts about the choice.
    pub caveats: Vec<String>,
    /// Its row in the table of variants.
    pub variant: (&'static str, &'static str),
    /// The commands that it is there for.
    pub brings: &'static [&'static str],
}

impl Last {
    /// Its name and tag.
    pub fn name(&self) -> String {
        format!("{}:{}", self.image, self.tag)
    }

    /// Whether it has a command; `None` where that is not known.
    pub fn provides(&self, codename: &str, command: &str) -> Option<bool> {
        if self.brings.contains(&command) {
            return Some(true);
        }
        variants::provides(self.variant.0, self.variant.1, codename, command)
    }

    /// Whether it has a package; `None` where that is not known.
    pub fn has_package(&self, codename: &str, package: &str) -> Option<bool> {
        variants::has_package(self.variant.0, self.variant.1, codename, package)
    }

    /// Whether it has the certificates of the public authorities.
    pub fn has_ca_certificates(&self, codename: &str) -> Option<bool> {
        variants::has_ca_certificates(self.variant.0, self.variant.1, codename)
    }
}

/// The name of a variant in the tables, of an image whose variants are by kind.
fn kind_name(kind: Kind) -> &'static str {
    kind.as_str()
}

/// The same image on its slim variant; a slim or Alpine image stays what it is.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn slim(draft: &Draft<'_>) -> Result<Last, String> {
    let Some(entry) = draft.entry else {
        return Err(format!(
            "{}:{} is not in the catalogue of official images",
            draft.image, draft.tag
        ));
    };
    let (tag, kind) = match entry.kind {
        Kind::Full => {
            let tag = catalog::slim_tag(draft.image, draft.tag).map_err(|why| {
                format!("there is no slim image for {}:{}: {why}", draft.image, draft.tag)
            })?;
            (tag, Kind::Slim)
        }
        Kind::Slim | Kind::Alpine => (draft.tag.to_owned(), entry.kind),
        kind => {
            return Err(format!(
                "{}:{} is of the {} variant",
                draft.image,
                draft.tag,
                kind.as_str()
            ));
        }
    };
    let on = draft
        .base
        .map_or_else(String::new, |base| format!(" on {} {}", title(base.family), base.release));
    let because = if tag == draft.tag {
        format!("both stages are {}:{tag}: the same interpreter, C library and paths", draft.image)
    } else {
        format!(
            "{0}:{1} and {0}:{tag} are the same version{on}: the same interpreter, C library and paths",
            draft.image, draft.tag
        )
    };
    Ok(Last {
        image: draft.image.to_owned(),
        tag,
        same_image: true,
        because,
        caveats: Vec::new(),
        variant: (variants::image(draft.image).unwrap_or(""), kind_name(kind)),
        brings: &[],
    })
}

/// The very same image, of one that has no smaller variant with its
/// interpreter.
///
/// # Errors
/// Why it can't be, in words.
pub(super) fn same(draft: &Draft<'_>) -> Result<Last, String> {
    if draft.entry.is_none() {
        return Err(format!(
            "{}:{} is not in the catalogue of official images",
            draft.image, draft.tag
        ));
    }
    let kinds = ["apache", "fpm", "zts", "alpine"];
    let kind = kinds.into_iter().find(|kind| draft.tag.split('-').any(|part| part.starts_with(kind)));
    Ok(Last {
        image: draft.image.to_owned(),
        tag: draft.tag.to_owned(),
        same_image: true,
        because: format!(
            "both stages are {}:{}, as there is no smaller image with the same interpreter: what only the build needs stays in the first",
            draft.image, draft.tag
        ),
        caveats: Vec::new(),
        variant: (variants::image(draft.image).unwrap_or(""), kind.unwrap_or("cli")),
        brings: &[],
    })
}

/// The bare distribution that the image is built on: for programs that need
/// nothing of their toolchain once they are compiled.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn distribution(draft: &Draft<'_>) -> Result<Last, String> {
    let Some(base) = draft.base else {
        return Err(format!(
            "which distribution {}:{} is built on is not known",
            draft.image, draft.tag
        ));
    };
    let (tag, variant) = match base.family {
        // A distribution's own image stays the one that is written.
        "ubuntu" if draft.image == "ubuntu" => (draft.tag.to_owned(), ("ubuntu", "full")),
        "alpine" if draft.image == "alpine" => (draft.tag.to_owned(), ("alpine", "full")),
        "debian" => (format!("{}-slim", base.release), ("debian", "slim")),
        "ubuntu" => (base.release.to_owned(), ("ubuntu", "full")),
        "alpine" => (base.release.to_owned(), ("alpine", "full")),
        family => {
            return Err(format!(
                "{}:{} is built on {family}, for which no slim image is known",
                draft.image, draft.tag
            ));
        }
    };
    if catalog::lookup(base.family, &tag).is_none() {
        return Err(format!("the catalogue has no {}:{tag}", base.family));
    }
    Ok(Last {
        same_image: draft.image == base.family,
        because: format!(
            "{}:{} is built on {} {}, and so is {}:{tag}: the same C library, nothing older",
            draft.image,
            draft.tag,
            title(base.family),
            base.release,
            base.family
        ),
        image: base.family.to_owned(),
        tag,
        caveats: Vec::new(),
        variant,
        brings: &[],
    })
}

/// A distribution's name for people.
pub(super) fn title(family: &str) -> String {
    let mut chars = family.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}
