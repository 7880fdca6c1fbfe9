//! Floating tags and the tags that name the same image with its codename:
//! what `pin-codename` proposes and what a split needs as well.

use super::{Editable, ImageUse, Place};
use crate::catalog::{self, NoPin, Pin, Proof};
use crate::image::Reference;
use crate::text::Edit;

/// An image reference of the file with its official name and tag.
#[derive(Clone, Copy, Debug)]
pub struct Official<'a> {
    /// The image's name, such as `node`.
    pub image: &'a str,
    /// The tag, `latest` where none is written.
    pub tag: &'a str,
}

/// The official image that a reference names.
#[must_use]
pub fn official(reference: &Reference) -> Option<Official<'_>> {
    let image = reference.official()?;
    catalog::is_official(image).then(|| Official {
        image,
        tag: reference.tag().unwrap_or("latest"),
    })
}

/// A pin that can be written.
#[derive(Clone, Debug)]
pub struct WrittenPin {
    /// What the catalogue proves.
    pub pin: Pin,
    /// The edit that writes it.
    pub edit: Edit,
    /// Doubts about writing it there.
    pub caveats: Vec<String>,
    /// The proof in words, and what else is to be said.
    pub reasons: Vec<String>,
}

/// Why a reference is not pinned to its codename.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotPinned {
    /// There is nothing to do, and nothing worth saying.
    Fine,
    /// There would be, and this stands in the way.
    Because(String),
}

/// The pin of one reference, or why there is none.
///
/// # Errors
/// [`NotPinned`] says whether a person should hear of it.
pub fn codename_pin(image: &ImageUse) -> Result<WrittenPin, NotPinned> {
    let because = |why: String| NotPinned::Because(why);
    let reference = match &image.reference {
        Ok(reference) => reference,
        Err(why) => return Err(because(format!("what it names is not known: {why}"))),
    };
    if reference.digest().is_some() || image.place == Place::Syntax {
        return Err(NotPinned::Fine);
    }
    let Some(Official { image: name, tag }) = official(reference) else {
        return Err(NotPinned::Fine);
    };
    let pin = catalog::codename_tag(name, tag).map_err(|none| match none {
        NoPin::Named(_) | NoPin::NotOfficial | NoPin::NoRelease(_) => NotPinned::Fine,
        other => because(format!(
            "{name}:{tag} can't be pinned to a codename: {other}"
        )),
    })?;
    let text = reference.as_str();
    let new = format!("{}:{}", &text[..reference.name_range().end], pin.tag);
    let (span, new) = match (image.editable.span(), image.editable.written(&new)) {
        (Some(span), Ok(new)) => (span, new),
        (_, written) => {
            let why = written.err().unwrap_or_default();
            return Err(because(format!(
                "{name}:{tag} is {name}:{}, but it can't be written here: {why}",
                pin.tag
            )));
        }
    };
    let mut caveats: Vec<String> = Vec::new();
    if matches!(image.editable, Editable::Tail { .. }) {
        caveats.extend(image.editable.doubt());
    }
    if pin.drops_windows {
        caveats.push(format!(
            "{name}:{tag} also stands for Windows images; {name}:{} is for Linux alone",
            pin.tag
        ));
    }
    let as_of = catalog::source().as_of;
    let proof = match pin.proof {
        Proof::AliasGroup => format!(
            "{name}:{tag} and {name}:{} are tags of one image in the official-images library (as of {as_of})",
            pin.tag
        ),
        Proof::Frozen { since } => format!(
            "{name}:{tag} left the official-images library on {since} together with {name}:{}, and both are frozen as the same image (as of {as_of})",
            pin.tag
        ),
    };
    let mut reasons = vec![proof];
    if !pin.also.is_empty() {
        reasons.push(format!(
            "every tag of it that names the release says more than {name}:{tag}: `{}` is what that stands for today, and stays",
            pin.also.join("-")
        ));
    }
    Ok(WrittenPin {
        pin,
        edit: Edit::replace(span, new),
        caveats,
        reasons,
    })
}

/// The edit that makes an image reference name a tag of an official image, in
/// the registry and namespace that are written there.
///
/// # Errors
/// Why it can't be written there, in words.
pub fn edit_to(image: &ImageUse, name: &str, tag: &str) -> Result<Edit, String> {
    let reference = image.reference.as_ref().map_err(Clone::clone)?;
    let written = &reference.as_str()[..reference.name_range().end];
    let folder = written.rfind('/').map_or(0, |slash| slash + 1);
    edit_to_text(image, &format!("{}{name}:{tag}", &written[..folder]))
}

/// The edit that makes an image reference another.
///
/// # Errors
/// Why it can't be written there, in words.
pub fn edit_to_text(image: &ImageUse, text: &str) -> Result<Edit, String> {
    let written = image.editable.written(text)?;
    let span = image
        .editable
        .span()
        .ok_or_else(|| "it stands in more than one piece".to_owned())?;
    Ok(Edit::replace(span, written))
}
