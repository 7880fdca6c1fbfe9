//! The command line. What is done lies in the library; here are the arguments,
//! the order of the output, and the exit codes.

mod args;
mod commands;
mod pager;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use pager::Screen;

/// Exit codes, as `--help` says them.
pub mod exit {
    /// Done, or only shown.
    pub const DONE: u8 = 0;
    /// `--check` found changes, or `images --fail-on` what it was to fail on.
    pub const WOULD_CHANGE: u8 = 1;
    /// Usage, or the tool failed.
    pub const FAILED: u8 = 2;
    /// No Dockerfile was found.
    pub const NOTHING_FOUND: u8 = 3;
    /// Some files could not be read, parsed or written; the others were done.
    pub const SOME_FAILED: u8 = 4;
}

fn main() -> ExitCode {
    let args = Args::parse();
    args.color.choice().write_global();
    let screen = match args.is_paged() {
        true => Screen::paged(),
        false => Screen::plain(),
    };
    let result = match &args.command {
        None if args.verified => commands::verified::run(&args),
        None => commands::review::run(&args, &screen),
        Some(Command::Inspect(inspect)) => commands::inspect::run(inspect),
        Some(Command::Catalog(catalog)) => commands::catalog::run(catalog),
        Some(Command::Generate { what }) => commands::generate::run(what),
        Some(Command::Verify(verify)) => commands::verify::run(verify),
        Some(Command::Images(images)) => commands::images::run(images),
        Some(Command::Stream(stream)) => commands::stream::run(stream),
        Some(Command::Lsp(plan)) => commands::lsp::run(plan),
        Some(Command::Undo { forget }) => commands::undo::run(*forget),
        Some(Command::Rules) => commands::rules::list(),
        Some(Command::Explain(explain)) => commands::explain::run(explain),
    };
    // What it shows comes before what is said of errors.
    drop(screen);
    match result {
        Ok(_) if args.exit_zero => ExitCode::from(exit::DONE),
        Ok(code) => ExitCode::from(code),
        // Whoever read the output has seen enough.
        Err(error) if broken_pipe(&error) => ExitCode::from(exit::DONE),
        Err(error) => {
            anstream::eprintln!("dfmigrate: {error:#}");
            ExitCode::from(exit::FAILED)
        }
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
