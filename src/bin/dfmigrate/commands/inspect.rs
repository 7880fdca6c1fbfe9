//! `dfmigrate inspect`

use std::io::Write as _;
use std::path::Path;

use dfmigrate::report::inspect_line;
use dfmigrate::{discover, syntax};

use crate::args::Inspect;
use crate::exit;

pub fn run(args: &Inspect) -> anyhow::Result<u8> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.paths == [Path::new("-")] && args.files_from.is_none() {
        let file = syntax::parse(super::stdin()?);
        writeln!(out, "{}", inspect_line("-", &file))?;
        out.flush()?;
        return Ok(exit::DONE);
    }
    let found = super::found(&args.paths, args.files_from.as_deref(), 0)?;
    let mut failed = !found.problems.is_empty();
    for problem in &found.problems {
        anstream::eprintln!("dfmigrate: {problem}");
    }
    if found.sources.is_empty() && !failed {
        anstream::eprintln!("dfmigrate: no Dockerfile was found");
        return Ok(exit::NOTHING_FOUND);
    }
    for source in &found.sources {
        match discover::read(source, discover::MAX_BYTES) {
            Ok(bytes) => {
                let file = syntax::parse(bytes);
                writeln!(out, "{}", inspect_line(&source.shown, &file))?;
            }
            Err(error) => {
                failed = true;
                anstream::eprintln!("dfmigrate: {}: {error}", source.shown);
            }
        }
    }
    out.flush()?;
    Ok(if failed {
        exit::SOME_FAILED
    } else {
        exit::DONE
    })
}
