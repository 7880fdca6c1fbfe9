//! `dfmigrate rules`

use std::io::Write as _;

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
