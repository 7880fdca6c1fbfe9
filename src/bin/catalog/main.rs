//! The maintainers' command that makes the tables under `src/catalog/data`.

use std::path::PathBuf;
use std::process::ExitCode;

mod build;
mod knowledge;
mod life;

const USAGE: &str = "\
usage: cargo catalog knowledge [--check] [SHARED]
       cargo catalog life [--check] [SHARED]
       cargo catalog build --library DIR --history FILE --official FILE --distros FILE [--out DIR]

  SHARED           the folder with knowledge/ and catalog/ (default: ../shared)
  --check          say which tables differ, and write nothing

  --library DIR    the library/ folder of a checkout of docker-library/official-images
  --history FILE   the recorded history of tags (history.json or history.json.xz)
  --official FILE  the recorded bases of the present tags (official.json)
  --distros FILE   the recorded distribution releases (distro_eol.json)
  --out DIR        where to write (default: src/catalog/data)";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("build") => run_build(arguments),
        Some("knowledge") => knowledge::run(arguments).map_err(Into::into),
        Some("life") => life::run(arguments, knowledge::read).map_err(Into::into),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn run_build(mut arguments: impl Iterator<Item = String>) -> build::Result<()> {
    let [mut library, mut history, mut official, mut distros] = [const { None::<PathBuf> }; 4];
    let mut out = PathBuf::from("src/catalog/data");
    while let Some(name) = arguments.next() {
        let value = PathBuf::from(arguments.next().ok_or(USAGE)?);
        match name.as_str() {
            "--library" => library = Some(value),
            "--history" => history = Some(value),
            "--official" => official = Some(value),
            "--distros" => distros = Some(value),
            "--out" => out = value,
            _ => return Err(USAGE.into()),
        }
    }
    let input = build::Input {
        library: library.ok_or(USAGE)?,
        history: history.ok_or(USAGE)?,
        official: official.ok_or(USAGE)?,
        distros: distros.ok_or(USAGE)?,
    };
    let tables = build::build(&input)?;
    build::write(&tables, &out)?;
    for (name, bytes) in &tables {
        eprintln!("{:>9} {}", bytes.len(), out.join(name).display());
    }
    Ok(())
}
