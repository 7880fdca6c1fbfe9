//! `pin-digest`: a tag with the digest that it names today.

use super::{Context, Meta, Phase, Proposals, Rewrite, Rule, Safety};
use crate::facts::Known;
use crate::model::digests::{self, told};
use crate::model::{Editable, ImageUse};
use crate::text::Edit;

pub struct PinDigest;

static META: Meta = Meta {
    id: "pin-digest",
    summary: "a tag gets the digest that it names today",
    best: Safety::Safe,
    docs: "\
What it does: `node:20-bookworm` becomes `node:20-bookworm@sha256:…`, with the digest of the index (of
all platforms) that the registry has for the tag now. The tag stays, for people and for Renovate and
Dependabot, which keep this form up to date. In FROM, COPY --from, RUN --mount, the default of a
global ARG, and the `# syntax` directive.

Why: a tag can be moved, by a release or by an attacker; a digest can't. Two builds of the same file
start from the same bytes.

When it holds back: a digest is there already; the registry has no such tag, does not answer, or may
not be asked; the image is made of variables. It needs a registry's word: --online, or select it by
name; --offline takes what the lock file and the cache have.

Safety: safe, since the tag names these very bytes. Review, where a platform that is asked for is not
in the index, where the image is younger than --min-age, or where the default of an ARG is edited.",
};

impl Rule for PinDigest {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn phase(&self) -> Phase {
        Phase::Digests
    }

    fn asks_registries(&self) -> bool {
        true
    }

    fn propose(&self, cx: &Context<'_>, out: &mut Proposals) {
        out.each_image(cx, &META, pin);
    }
}

/// The rewrite of one reference; `None` where there is nothing to do.
fn pin(cx: &Context<'_>, image: &ImageUse) -> Result<Option<Rewrite>, String> {
    let reference = match &image.reference {
        Ok(reference) => reference,
        Err(why) => return Err(format!("what it names is not known: {why}")),
    };
    if reference.digest().is_some() {
        return Ok(None);
    }
    let name = reference.familiar_name();
    let tag = reference.tag().unwrap_or("latest");
    if let Editable::Tail { head, value, .. } = &image.editable
        && reference.tag_range().is_none_or(|range| range.start < value.len())
    {
        return Err(format!(
            "the tag is in variables ({head}): a digest beside it would hold whatever tag a build gives"
        ));
    }
    let (Some(span), tagged) = (image.editable.span(), format!("{}:{tag}", digests::name(reference)))
    else {
        let why = image.editable.written("").err().unwrap_or_default();
        return Err(format!("it can't be written here: {why}"));
    };
    let resolved = match cx.images.digest(reference) {
        Known::Yes(resolved) => resolved,
        Known::No => return Err(format!("the registry has no {name}:{tag}")),
        Known::Unknown(why) => return Err(format!("the digest of {name}:{tag} is not known: {why}")),
    };
    let new = format!("{tagged}@{}", resolved.digest);
    let text = image
        .editable
        .written(&new)
        .map_err(|why| format!("it can't be written here: {why}"))?;
    let title = format!("pin {} to its digest", image.written);
    let edits = vec![Edit::replace(span, text)];
    let Ok(mut rewrite) = Rewrite::new(&META, title, image.span, edits) else {
        return Ok(None);
    };
    let what = if resolved.single {
        "one image, not an index,"
    } else {
        "the index"
    };
    rewrite.because(format!(
        "{name}:{tag} names {what} {} ({})",
        resolved.digest,
        told(&resolved)
    ));
    if let Some(doubt) = image.editable.doubt() {
        rewrite.caveat(doubt);
    }
    let Some(pinned) = digests::with_digest(reference, &resolved.digest) else {
        return Ok(None);
    };
    for doubt in digests::platform_doubts(cx.model, image, cx.images, &pinned, &cx.pins.platforms) {
        rewrite.caveat(doubt);
    }
    if let Some(doubt) = digests::age_doubt(cx.images, &pinned, &resolved, cx.pins.min_age) {
        rewrite.caveat(doubt);
    }
    Ok(Some(rewrite))
}
