//! `dfmigrate images`

use std::io::Write as _;
use std::path::Path;

use anyhow::anyhow;
use dfmigrate::catalog::Date;
use dfmigrate::facts::NoTrust;
use dfmigrate::model::Model;
use dfmigrate::model::identity::{Asking, Concern};
use dfmigrate::model::trust::Policy;
use dfmigrate::report::{Form, Row, inventory, inventory_text, visible};
use dfmigrate::settings::{Flags, Resolver};
use dfmigrate::{discover, syntax};

use crate::args::{FailOn, Images, ImagesFormat};
use crate::exit;

/// What came of the files.
#[derive(Default)]
struct Listed {
    rows: Vec<Row>,
    files: usize,
    failed: usize,
}

pub fn run(args: &Images) -> anyhow::Result<u8> {
    let today = super::today()?;
    let mut resolver = Resolver::new(&super::settings::files(&args.settings), &Flags::default())?;
    super::settings::set_policy(&mut resolver, &args.policy);
    let as_of = args.as_of;
    fn asking(policy: &Policy, today: Date, as_of: Option<Date>) -> Asking<'_> {
        Asking {
            today,
            as_of,
            trust: &NoTrust,
            policy,
        }
    }
    let mut listed = Listed::default();
    if args.paths == [Path::new("-")] && args.files_from.is_none() {
        let here = Path::new(".").canonicalize().unwrap_or_default();
        let settings = resolver
            .of_folder(&here, &here)
            .map_err(|error| anyhow!("{error}"))?;
        listed.add(
            "-",
            super::stdin()?,
            &asking(&settings.options.policy, today, as_of),
        );
    } else {
        let mut found = super::found(&args.paths, args.files_from.as_deref(), 0)?;
        found
            .sources
            .retain(|source| super::settings::wanted(source, &resolver));
        for problem in &found.problems {
            listed.failed += 1;
            anstream::eprintln!("dfmigrate: {}", visible(&problem.to_string()));
        }
        if found.sources.is_empty() && found.problems.is_empty() {
            anstream::eprintln!("dfmigrate: no Dockerfile was found");
            return Ok(exit::NOTHING_FOUND);
        }
        for source in &found.sources {
            let settings = match super::settings::of(source, &resolver) {
                Ok(settings) => settings,
                Err(error) => {
                    listed.failed += 1;
                    anstream::eprintln!("dfmigrate: {error}");
                    continue;
                }
            };
            match discover::read(source, discover::MAX_BYTES) {
                Ok(bytes) => listed.add(
                    &source.shown,
                    bytes,
                    &asking(&settings.options.policy, today, as_of),
                ),
                Err(error) => {
                    listed.failed += 1;
                    anstream::eprintln!(
                        "dfmigrate: {}: {}",
                        visible(&source.shown),
                        visible(&error.to_string())
                    );
                }
            }
        }
    }
    let form = match args.output_format {
        ImagesFormat::Table => Form::Table,
        ImagesFormat::Json => Form::Json,
        ImagesFormat::Csv => Form::Csv,
        ImagesFormat::Markdown => Form::Markdown,
    };
    let text = inventory_text(form, listed.files, &listed.rows, today, args.all)
        .map_err(|why| anyhow!("the list can't be written: {why}"))?;
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    let failing: Vec<String> = listed.failing(&args.fail_on);
    for line in &failing {
        anstream::eprintln!("dfmigrate: {}", visible(line));
    }
    Ok(if listed.failed > 0 {
        exit::SOME_FAILED
    } else if failing.is_empty() {
        exit::DONE
    } else {
        exit::WOULD_CHANGE
    })
}

impl Listed {
    /// Adds the references of one file. One with syntax errors has none to trust.
    fn add(&mut self, shown: &str, bytes: Vec<u8>, asking: &Asking<'_>) {
        self.files += 1;
        let file = syntax::parse(bytes);
        if let Some(error) = file.errors().first() {
            self.failed += 1;
            anstream::eprintln!(
                "dfmigrate: {}:{}: {}; its images are not listed",
                visible(shown),
                error.line,
                visible(&error.message)
            );
            return;
        }
        let model = Model::of(&file);
        let never = |_: usize| -> Option<Date> { None };
        self.rows.extend(inventory(shown, &model, asking, &never));
    }

    /// A line for each sort of thing that was to fail the run, and was found.
    fn failing(&self, on: &[FailOn]) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, what) in on.iter().enumerate() {
            if on[..at].contains(what) {
                continue;
            }
            let (concerns, words): (&[Concern], &str) = match what {
                FailOn::Untrusted => (
                    &[Concern::Untrusted, Concern::Unresolved],
                    "not known to be trusted",
                ),
                FailOn::Eol => (&[Concern::EndOfLife], "past the end of life"),
                FailOn::Deprecated => (&[Concern::Deprecated], "deprecated"),
                FailOn::Floating => (&[Concern::Floating], "floating"),
                FailOn::Policy => (&[Concern::Policy], "against the policy"),
                FailOn::Unknown => (
                    &[
                        Concern::Unresolved,
                        Concern::NoSuchTag,
                        Concern::NoSuchImage,
                    ],
                    "not known",
                ),
            };
            let has = |row: &&Row| concerns.iter().any(|concern| row.has(*concern));
            let found: Vec<&Row> = self.rows.iter().filter(has).collect();
            if let Some(first) = found.first() {
                let count = found.len();
                let (noun, verb) = if count == 1 {
                    ("reference", "is")
                } else {
                    ("references", "are")
                };
                lines.push(format!(
                    "{count} {noun} {verb} {words}, first {}:{}",
                    first.file, first.line
                ));
            }
        }
        lines
    }
}
