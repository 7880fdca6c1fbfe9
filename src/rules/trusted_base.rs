//! `trusted-base`: what the user's policy does not let in.

use super::{Context, Meta, Proposals, Rewrite, Rule, Safety};
use crate::catalog::origin;
use crate::image::Reference;
use crate::model::pins::edit_to_text;
use crate::model::trust;

pub struct TrustedBase;

static META: Meta = Meta {
    id: "trusted-base",
    summary: "says which images the policy does not let in; copies of official images become the official ones",
    best: Safety::Review,
    docs: "\
What it does: with a policy (`--allow-registry`, `--allow-class`, `--allow-image`) it names each image
that the policy does not let in, and why. A copy of an official image in another registry, such as
`public.ecr.aws/docker/library/node:20`, becomes the official image, where the policy lets that in.

Why: an image runs its maker's code with everything that the build and the service can reach.

When it holds back: without a policy it says nothing: `dfmigrate images` lists the class of every
image. Which other image does the same work is not in any table.

Safety: review: the official name is the same image, from another registry with other limits.
Verified publishers and sponsored projects are known to Docker Hub alone; offline their class is
unknown, and a policy that asks for a class does not let them in.",
};

impl Rule for TrustedBase {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        if cx.policy.is_open() {
            return;
        }
        for image in &cx.model.images {
            let Ok(reference) = &image.reference else {
                continue;
            };
            let class = trust::class(reference, cx.trust);
            let Some(why) = cx.policy.violation(reference, &class) else {
                continue;
            };
            let Some((text, place)) = equivalent(cx, reference) else {
                out.refuse(&META, image.span, why);
                continue;
            };
            let edit = match edit_to_text(image, &text) {
                Ok(edit) => edit,
                Err(cannot) => {
                    out.refuse(&META, image.span, format!("{why}; {text} is the same, but can't be written here: {cannot}"));
                    continue;
                }
            };
            let title = format!("take {text} from Docker Hub instead of {place}");
            let Ok(mut rewrite) = Rewrite::new(&META, title, image.span, vec![edit]) else {
                continue;
            };
    rewrite.reopens = true;
    rewrite.includes = &["alpine-base", "jre-base", "multi-stage", "pin-codename", "slim-base"];
            rewrite.because(why);
            rewrite.because(format!("{place} has copies of the official images, under the same tags and digests"));
            rewrite.caveat("Docker Hub limits how often it may be pulled from");
            if let Some(doubt) = image.editable.doubt() {
                rewrite.caveat(doubt);
            }
            out.rewrites.push(rewrite);
        }
    }
}

/// The official image of which a reference is a copy, with its tag and digest,
/// where the policy lets that in; and where the copy is.
fn equivalent(cx: &Context<'_>, reference: &Reference) -> Option<(String, &'static str)> {
    let (name, copy) = origin::official_copy(reference)?;
    if !copy.all {
        return None;
    }
    let text = format!("{name}{}", &reference.as_str()[reference.name_range().end..]);
    let official = Reference::parse(&text).ok()?;
    let class = trust::class(&official, cx.trust);
    cx.policy.violation(&official, &class).is_none().then_some((text, copy.place))
}
