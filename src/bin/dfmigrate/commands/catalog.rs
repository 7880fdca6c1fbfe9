//! `dfmigrate catalog IMAGE[:TAG]`

use std::io::Write as _;

use anyhow::{anyhow, bail};
use dfmigrate::catalog;
use dfmigrate::image::Reference;

use crate::args::Catalog;
use crate::exit;

pub fn run(args: &Catalog) -> anyhow::Result<u8> {
    let reference = Reference::parse(&args.image)
        .map_err(|error| anyhow!("{:?} is no image reference: {error}", args.image))?;
    let Some(image) = reference
        .official()
        .filter(|name| catalog::is_official(name))
    else {
        bail!(
            "{} is no Docker Official Image: the catalogue knows only those",
            reference.familiar_name()
        );
    };
    let tag = reference.tag().unwrap_or("latest");
    let source = catalog::source();
    let mut out = anstream::stdout().lock();
    let Some(entry) = catalog::lookup(image, tag) else {
        bail!(
            "the official image {image} has no tag {tag}, and never had since 2013 (as of {})",
            source.as_of
        );
    };
    let mut row = |name: &str, value: String| writeln!(out, "{name:<10} {value}");
    row("image", format!("{image}:{tag}"))?;
    row("kind", entry.kind.as_str().to_owned())?;
    row(
        "base",
        entry.base.map_or_else(
            || "not known".to_owned(),
            |base| format!("{} {}", base.family, base.release),
        ),
    )?;
    row(
        "library",
        match entry.gone {
            Some(gone) => format!("left it on {gone}; frozen since, normally still pullable"),
            None => "present".to_owned(),
        },
    )?;
    if entry.shared_windows {
        row("shared", "also stands for Windows images".to_owned())?;
    }
    let aliases: Vec<String> = catalog::aliases(image, tag);
    let aliases: Vec<String> = aliases.into_iter().filter(|alias| alias != tag).collect();
    row(
        "aliases",
        if aliases.is_empty() {
            "none".to_owned()
        } else {
            aliases.join(", ")
        },
    )?;
    match catalog::codename_tag(image, tag) {
        Ok(pin) => row("codename", format!("{image}:{}", pin.tag))?,
        Err(why) => row("codename", format!("none: {why}"))?,
    }
    match catalog::slim_tag(image, tag) {
        Ok(slim) => row("slim", format!("{image}:{slim}"))?,
        Err(why) => row("slim", format!("none: {why}"))?,
    }
    match catalog::alpine_tag(image, tag) {
        Ok(alpine) => row("alpine", format!("{image}:{alpine}"))?,
        Err(why) => row("alpine", format!("none: {why}"))?,
    }
    row(
        "as of",
        format!("{} ({} {})", source.as_of, source.repository, source.commit),
    )?;
    Ok(exit::DONE)
}
