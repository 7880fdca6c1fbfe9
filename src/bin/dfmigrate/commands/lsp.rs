//! `dfmigrate lsp`

use dfmigrate::lsp;

use crate::args::PlanArgs;
use crate::exit;

pub fn run(args: &PlanArgs) -> anyhow::Result<u8> {
    let resolver = super::settings::resolver(args)?;
    lsp::serve(&resolver, env!("CARGO_PKG_VERSION"))?;
    Ok(exit::DONE)
}
