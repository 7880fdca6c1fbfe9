//! `pin-codename`: a floating tag becomes the codename tag of the same image.

use super::{Context, Meta, Proposals, Rewrite, Rule, Safety};
use crate::model::digests::{Live, codename_by_base, same_image};
use crate::model::pins::{NotPinned, codename_pin, edit_to, official};
use crate::model::{Editable, ImageUse};

pub struct PinCodename;

static META: Meta = Meta {
    id: "pin-codename",
    summary: "a floating tag becomes the codename tag of the same image",
    best: Safety::Safe,
    docs: "\
What it does: `node:20` becomes `node:20-bookworm`: the tag of the same image, at the same version
precision, that names the release of the distribution it is built on. `node` and `node:latest` also
get their major version.

Why: when the image moves to the next release of its distribution, a floating tag moves along, and
package names, library versions and the C library change under the Dockerfile.

When it holds back: no official image; a digest is pinned already; the tag names the release
already; no tag of the same image does; the reference is made of variables. A global ARG's default
is edited at the ARG.

Safety: safe, by the official-images library: both tags name one image today, or left the library
together. With --online the registry's own word comes first: equal digests are the proof, different
ones stand in the way; and a tag that the catalogue has not yet is pinned by the base that the image's
own annotations name. Review, where the floating tag stands for Windows images as well: the pin drops those.",
};

impl Rule for PinCodename {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        for image in &cx.model.images {
            let written = match codename_pin(image) {
                Ok(written) => written,
                Err(NotPinned::Fine) => continue,
                Err(NotPinned::Because(why)) => {
                    match by_base(cx, image) {
                        Some(rewrite) => out.rewrites.push(rewrite),
                        None => out.refuse(&META, image.span, why),
                    }
                    continue;
                }
            };
            let mut reasons = written.reasons;
            if let Ok(reference) = &image.reference {
                match same_image(cx.images, reference, &written.pin.tag) {
                    Live::Same(live) => reasons[0] = live,
                    Live::Differ(live) => {
                        let why = format!("the catalogue knows both as one image ({}), but {live}", reasons[0]);
                        out.refuse(&META, image.span, why);
                        continue;
                    }
                    Live::Unknown => {}
                }
            }
            let title = format!("pin {} to {}", image.written, written.edit.text);
            let Ok(mut rewrite) = Rewrite::new(&META, title, image.span, vec![written.edit]) else {
                continue;
            };
            for reason in reasons {
                rewrite.because(reason);
            }
            if let Editable::Argument(_, name) = &image.editable {
                rewrite.because(format!("the tag is the default of ARG {name}"));
            }
            for caveat in written.caveats {
                rewrite.caveat(caveat);
            }
            out.rewrites.push(rewrite);
        }
    }
}

/// The pin of a tag that came after the catalogue, by the registry's word.
fn by_base(cx: &Context<'_>, image: &ImageUse) -> Option<Rewrite> {
    let reference = image.reference.as_ref().ok()?;
    let (tag, proof) = codename_by_base(cx.images, reference)?;
    let name = official(reference)?.image;
    let edit = edit_to(image, name, &tag).ok()?;
    let title = format!("pin {} to {}", image.written, edit.text);
    let mut rewrite = Rewrite::new(&META, title, image.span, vec![edit]).ok()?;
    rewrite.because(proof);
    if let Some(doubt) = image.editable.doubt() {
        rewrite.caveat(doubt);
    }
    Some(rewrite)
}
