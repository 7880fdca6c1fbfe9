//! `dfmigrate images`

use std::io::Write as _;
use std::path::Path;

use anyhow::{anyhow, bail};
use dfmigrate::apply::history;
use dfmigrate::catalog::Date;
use dfmigrate::facts::Trust;
use dfmigrate::model::Model;
use dfmigrate::model::identity::{Asking, Concern};
use dfmigrate::model::trust::{Policy, class};
use dfmigrate::report::{Form, Row, inventory, inventory_text, visible};
use dfmigrate::settings::{Flags, Resolver};
use dfmigrate::{discover, syntax};

use super::network::Network;
use crate::args::{AsOf, FailOn, Images, ImagesFormat, Registries};
use crate::exit;

/// What came of the files.
#[derive(Default)]
struct Listed {
    rows: Vec<Row>,
    files: usize,
    failed: usize,
    /// Whether the history of each line is asked for.
    git: bool,
}

/// Asks for the classes of a file's images, so that they can be asked for together.
fn look(bytes: &[u8], trust: &dyn Trust) {
    let file = syntax::parse(bytes);
    for image in &Model::of(&file).images {
        if let Ok(reference) = &image.reference {
            let _ = class(reference, trust);
        }
    }
}

pub fn run(args: &Images) -> anyhow::Result<u8> {
    let today = super::today()?;
    let mut resolver = Resolver::new(&super::settings::files(&args.settings), &Flags::default())?;
    super::settings::set_policy(&mut resolver, &args.policy);
    let own = resolver.base().registries.clone();
    let network = Network::of_trust(
        &Registries {
            online: args.online,
            offline: args.offline,
            registry_ca: args.registry_ca.clone(),
            ..Registries::default()
        },
        own,
    )?;
    let day = match args.as_of {
        Some(AsOf::Day(day)) => Some(day),
        _ => None,
    };
    fn asking<'a>(
        policy: &'a Policy,
        today: Date,
        as_of: Option<Date>,
        trust: &'a dyn Trust,
    ) -> Asking<'a> {
        Asking {
            today,
            as_of,
            trust,
            policy,
        }
    }
    let mut listed = Listed {
        git: args.as_of == Some(AsOf::Git),
        ..Listed::default()
    };
    if args.paths == [Path::new("-")] && args.files_from.is_none() {
        if listed.git {
            bail!("--as-of git wants files: standard input has no history");
        }
        let here = Path::new(".").canonicalize().unwrap_or_default();
        let settings = resolver
            .of_folder(&here, &here)
            .map_err(|error| anyhow!("{error}"))?;
        let bytes = super::stdin()?;
        network.ahead(false, |ahead| look(&bytes, ahead));
        listed.add(
            "-",
            None,
            bytes,
            &asking(&settings.options.policy, today, day, network.trust()),
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
        network.ahead(false, |ahead| {
            for source in &found.sources {
                if let Ok(bytes) = discover::read(source, discover::MAX_BYTES) {
                    look(&bytes, ahead);
                }
            }
        });
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
                    Some(&source.path),
                    bytes,
                    &asking(&settings.options.policy, today, day, network.trust()),
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
    network.finish(&Registries::default(), false)?;
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
    fn add(&mut self, shown: &str, path: Option<&Path>, bytes: Vec<u8>, asking: &Asking<'_>) {
        self.files += 1;
        let file = syntax::parse(bytes.as_slice());
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
        let days = match path.filter(|_| self.git) {
            Some(path) => history::days(path, &bytes).unwrap_or_else(|why| {
                anstream::eprintln!(
                    "dfmigrate: {}: when its lines were written is not known: {}",
                    visible(shown),
                    visible(&why)
                );
                Vec::new()
            }),
            None => Vec::new(),
        };
        let written_on = |line: usize| -> Option<Date> { *days.get(line.checked_sub(1)?)? };
        self.rows
            .extend(inventory(shown, &model, asking, &written_on));
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
