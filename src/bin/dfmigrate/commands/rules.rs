//! `dfmigrate rules` and `dfmigrate explain`

use std::io::Write as _;

use anyhow::bail;
use dfmigrate::rules;

use crate::exit;

pub fn list() -> anyhow::Result<u8> {
    let mut out = anstream::stdout().lock();
    for rule in rules::all() {
        let meta = rule.meta();
        writeln!(
            out,
            "{:<14} {:<7} {}",
            meta.id,
            meta.best.name(),
            meta.summary
        )?;
    }
    Ok(exit::DONE)
}

pub fn explain(id: &str) -> anyhow::Result<u8> {
    let Some(rule) = rules::find(id) else {
        let known: Vec<&str> = rules::all().iter().map(|rule| rule.meta().id).collect();
        bail!(
            "there is no rule {id:?}; the rules are {}",
            known.join(", ")
        );
    };
    let meta = rule.meta();
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}: {}\n\n{}", meta.id, meta.summary, meta.docs)?;
    Ok(exit::DONE)
}
