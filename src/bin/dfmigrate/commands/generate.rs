//! `dfmigrate generate`

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use dfmigrate::{report, rules, settings};

use crate::args::{Args, Generate};
use crate::exit;

pub fn run(what: &Generate) -> anyhow::Result<u8> {
    let text = match what {
        Generate::ReportSchema { stream: true, .. } => report::stream_schema(),
        Generate::ReportSchema { lines: false, .. } => report::report_schema(),
        Generate::ReportSchema { lines: true, .. } => report::report_line_schema(),
        Generate::VerifySchema => dfmigrate::verify::document::schema(),
        Generate::ConfigSchema => settings::schema(),
        Generate::Rules => rules_page(),
        Generate::Completions { shell } => completions(*shell),
        Generate::Man { command } => man(command.as_deref())?,
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(exit::DONE)
}

/// A chapter for each rule: what `explain` says of it.
fn rules_page() -> String {
    let mut text = String::from(
        "# Rules\n\n<!-- Made by `dfmigrate generate rules`; a test holds it to that. -->\n\n| rule | best grade | |\n|---|---|---|\n",
    );
    for rule in rules::all() {
        let meta = rule.meta();
        text += &format!(
            "| [`{id}`](#{id}) | {} | {} |\n",
            meta.best.name(),
            meta.summary,
            id = meta.id
        );
    }
    for rule in rules::all() {
        let meta = rule.meta();
        // What `explain` prints is plain text: its markup is its own.
        let docs = meta.docs.replace('<', "&lt;");
        text += &format!("\n## {}\n\n{}\n", meta.id, docs.trim_end());
    }
    text
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "dfmigrate", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page of the program, or of one of its commands.
fn man(command: Option<&str>) -> anyhow::Result<String> {
    let mut program = Args::command();
    program.build();
    let page = match command {
        None => clap_mangen::Man::new(program),
        Some(name) => {
            let Some(command) = program.find_subcommand(name) else {
                let known = program.get_subcommands().map(clap::Command::get_name);
                let hint = settings::did_you_mean(name, known);
                bail!("there is no command {name:?}{hint}");
            };
            clap_mangen::Man::new(command.clone()).title(format!("dfmigrate-{name}"))
        }
    };
    let mut text = Vec::new();
    page.render(&mut text).context("the page can't be made")?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
