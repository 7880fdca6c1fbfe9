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
    let Some(rows) = catalog::describe(image, tag) else {
        bail!(
            "the official image {image} has no tag {tag}, and never had since 2013 (as of {})",
            catalog::source().as_of
        );
    };
    let mut out = anstream::stdout().lock();
    for (name, value) in rows {
        writeln!(out, "{name:<10} {value}")?;
    }
    Ok(exit::DONE)
}
