//! `dfmigrate generate`

use std::io::Write as _;

use dfmigrate::{report, settings};

use crate::args::Generate;
use crate::exit;

pub fn run(what: &Generate) -> anyhow::Result<u8> {
    let text = match what {
        Generate::ReportSchema { stream: true, .. } => report::stream_schema(),
        Generate::ReportSchema { lines: false, .. } => report::report_schema(),
        Generate::ReportSchema { lines: true, .. } => report::report_line_schema(),
        Generate::VerifySchema => dfmigrate::verify::report::schema(),
        Generate::ConfigSchema => settings::schema(),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(exit::DONE)
}
