//! `refresh-digest`: a digest that its tag has left behind.

use super::{Context, Meta, Phase, Proposals, Rewrite, Rule, Safety};
use crate::facts::Known;
use crate::model::ImageUse;
use crate::model::digests::{self, told};
use crate::text::{Edit, Span};

pub struct RefreshDigest;

static META: Meta = Meta {
    id: "refresh-digest",
    summary: "a digest becomes the one that its tag names today",
    best: Safety::Review,
    docs: "\
What it does: in `node:20-bookworm@sha256:…`, a digest that the tag no longer names becomes the one
that it names now. Says when the old and the new image were made.

Why: a pinned image gets no security updates until someone moves the pin.

When it holds back: no tag is written beside the digest; the digest is that of one platform of what the
tag names now; the registry does not answer, or may not be asked; the digest is in a variable. It needs
a registry's word: --online, or select it by name; --offline takes what the lock file and the cache have.

Safety: review, always: it is another image. What is known to have changed is said: another release of
the distribution, an older date, a platform that is gone.",
};

impl Rule for RefreshDigest {
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
        out.each_image(cx, &META, refresh);
    }
}

/// The rewrite of one reference; `None` where there is nothing to do.
fn refresh(cx: &Context<'_>, image: &ImageUse) -> Result<Option<Rewrite>, String> {
    let Ok(reference) = &image.reference else {
        return Ok(None);
    };
    let Some(old) = reference.digest() else {
        return Ok(None);
    };
    let name = reference.familiar_name();
    let Some(tag) = reference.tag() else {
        return Err(format!(
            "no tag is written beside the digest of {name}: which one it is to follow is not known"
        ));
    };
    let resolved = match cx.images.digest(reference) {
        Known::Yes(resolved) => resolved,
        Known::No => return Err(format!("the registry has no {name}:{tag} any more")),
        Known::Unknown(why) => {
            return Err(format!("what {name}:{tag} names now is not known: {why}"));
        }
    };
    if resolved.digest == old {
        return Ok(None);
    }
    let Some(new) = digests::with_digest(reference, &resolved.digest) else {
        return Ok(None);
    };
    let now = cx.images.index(&new).yes();
    let platform_of = |digest: &str| {
        let entries = &now.as_ref()?.entries;
        let entry = entries.iter().find(|entry| entry.digest == digest)?;
        Some(entry.platform.clone().unwrap_or_else(|| "one platform".to_owned()))
    };
    if !resolved.single
        && let Some(platform) = platform_of(old)
    {
        return Err(format!(
            "the digest is that of {platform} alone, and {name}:{tag} still names it"
        ));
    }
    let before = cx.images.index(reference).yes();
    // The digest ends the reference; it must stand there in so many words.
    let span = image.editable.span().and_then(|span| {
        let start = (span.end as usize).checked_sub(old.len())?;
        let span = Span::new(start.max(span.start as usize), span.end as usize);
        (span.of(cx.file.source()) == old.as_bytes()).then_some(span)
    });
    let Some(span) = span else {
        return Err(format!(
            "the digest of {name}:{tag} is not the present one, but it is not written here in so many words"
        ));
    };
    let title = format!("move {name}:{tag} to its present digest");
    let edits = vec![Edit::replace(span, resolved.digest.clone())];
    let Ok(mut rewrite) = Rewrite::new(&META, title, image.span, edits) else {
        return Ok(None);
    };
    rewrite.because(format!(
        "{name}:{tag} names {} now ({})",
        resolved.digest,
        told(&resolved)
    ));
    let made = [reference, &new].map(|reference| cx.images.created(reference).yes());
    match made {
        [Some(was), Some(is)] => {
            let day = |at: jiff::Timestamp| at.strftime("%Y-%m-%d").to_string();
            rewrite.because(format!(
                "the pinned image was made on {}, the present one on {}",
                day(was),
                day(is)
            ));
            if is < was {
                rewrite.caveat(format!("{name}:{tag} was moved back to an older image"));
            }
        }
        [None, Some(is)] => rewrite.because(format!(
            "the present image was made on {}; when the pinned one was is not known",
            is.strftime("%Y-%m-%d")
        )),
        _ => rewrite.caveat("when the two images were made is not known"),
    }
    let releases = [&before, &now].map(|index| index.as_ref().and_then(digests::base));
    match releases {
        [Some(was), Some(is)] if was != is => rewrite.caveat(format!(
            "it is built on {is} now, the pinned one on {was}: packages and libraries are of another release"
        )),
        _ => {}
    }
    if let Some(doubt) = image.editable.doubt() {
        rewrite.caveat(doubt);
    }
    if let (Some(before), Some(now)) = (&before, &now) {
        let gone = digests::platforms_gone(before, now);
        if !gone.is_empty() {
            rewrite.caveat(format!("it is no longer there for {}", gone.join(", ")));
        }
    }
    for doubt in digests::platform_doubts(cx.model, image, cx.images, &new, &cx.pins.platforms) {
        rewrite.caveat(doubt);
    }
    if let Some(doubt) = digests::age_doubt(cx.images, &new, &resolved, cx.pins.min_age) {
        rewrite.caveat(doubt);
    }
    Ok(Some(rewrite))
}
