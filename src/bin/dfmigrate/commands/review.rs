//! The review, and `--apply`, `--diff` and `--check`: one plan, many renderings.

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use dfmigrate::apply;
use dfmigrate::catalog::Date;
use dfmigrate::context::Contexts;
use dfmigrate::discover::{self, Found, Source};
use dfmigrate::facts::{Facts, Files, NoFiles};
use dfmigrate::plan::{self, Plan};
use dfmigrate::registry::Ahead;
use dfmigrate::report::{
    self, Counts, FileReport, Format, Measured, Mode, PatchName, Proof, Renderer, Run, one_line,
    syntax_errors,
};
use dfmigrate::settings::{Resolver, SettingsError};
use dfmigrate::verify::document;
use rayon::prelude::*;

use super::network::Network;
use super::patch_paths;
use super::progress::Progress;
use crate::args::Args;
use crate::exit;
use crate::pager::Screen;

/// Files are worked on in batches of so many, so that memory stays bounded and
/// the output in order.
const BATCH: usize = 256;

/// The bytes of a file before and after.
pub struct Change {
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

/// What came of one file.
#[derive(Default)]
pub(super) struct Outcome {
    /// For standard output.
    pub(super) out: Vec<u8>,
    /// For standard error.
    pub(super) err: String,
    pub(super) counts: Counts,
    /// To be written.
    pub(super) write: Option<Change>,
    /// What is wrong with its settings.
    quarrel: Option<Arc<SettingsError>>,
}

/// The settings of a run, and whom it may ask.
pub(super) fn prepare(args: &Args) -> anyhow::Result<(Resolver, Network)> {
    let mut resolver = super::settings::resolver(&args.plan)?;
    super::settings::set_policy(&mut resolver, &args.policy);
    if let Some(dir) = &args.templates {
        let templates = super::templates(dir)?;
        resolver.set(|options| options.templates = templates);
    }
    let network = Network::new(&args.registries, &mut resolver)?;
    Ok((resolver, network))
}

pub fn run(args: &Args, screen: &Screen) -> anyhow::Result<u8> {
    let (resolver, network) = prepare(args)?;
    if args.show_settings {
        return super::settings::show(args, &resolver);
    }
    if args.apply && args.registries.online && args.registries.locked {
        bail!(
            "--online --locked compares what registries say with the lock file: leave out --apply, or --online"
        );
    }
    let mut renderer = renderer(args, screen, resolver.base().options.today)?;
    if args.paths.iter().any(|path| path == Path::new("-")) {
        return standard_input(args, &resolver, &network, renderer.as_mut());
    }
    let jobs = args.jobs.or(resolver.base().jobs).unwrap_or(0);
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build_global()
        .context("can't start the threads")?;
    let found = looked_for(args, &resolver, jobs)?;
    let mut total = Counts {
        files: found.problems.len(),
        failed: found.problems.len(),
        ..Counts::default()
    };
    if found.sources.is_empty() && found.problems.is_empty() {
        return Ok(exit::NOTHING_FOUND);
    }
    for problem in &found.problems {
        renderer.problem(&problem.shown, &problem.error.to_string());
    }
    let contexts = Contexts::new(args.context.clone());
    if args.interactive {
        network.ahead(args.quiet, |images| {
            for source in &found.sources {
                look(source, &resolver, &contexts, images);
            }
        });
        sweep(&found.sources);
        let code = super::interactive::run(args, &found.sources, &resolver, &contexts, &network)?;
        network.finish(&args.registries, args.quiet)?;
        return Ok(code);
    }
    put(renderer.head().as_bytes(), renderer.styled())?;
    let base = renderer
        .patches()
        .then(|| patch_paths::Base::of(&found.sources));
    if let Some(base) = base.as_ref().filter(|base| base.elsewhere) {
        anstream::eprintln!(
            "dfmigrate: some files are not below this folder, so the paths of the patch start from {}: apply it there",
            one_line(&base.folder().to_string_lossy())
        );
    }
    let mut once = HashSet::new();
    let mut journal = super::undo::journal();
    let drawn = !args.quiet && !args.no_progress && !screen.is_paged();
    let progress = Progress::new(found.sources.len(), drawn);
    // Settings that can't be used are said once, for all files below.
    let mut quarrels = BTreeSet::new();
    for batch in found.sources.chunks(BATCH) {
        progress.aside(|| {
            network.ahead(args.quiet || screen.is_paged(), |ahead| {
                batch
                    .par_iter()
                    .for_each(|source| look(source, &resolver, &contexts, ahead));
            });
        });
        let mut outcomes: Vec<Outcome> = batch
            .par_iter()
            .map(|source| {
                let outcome = one(
                    source,
                    args,
                    &resolver,
                    &contexts,
                    base.as_ref(),
                    &network,
                    renderer.as_ref(),
                );
                progress.done();
                outcome
            })
            .collect();
        if args.apply || base.is_some() {
            leave_out_repeated(batch, &mut outcomes, &mut once);
        }
        let mut writes = Vec::new();
        let mut text = Vec::new();
        progress.aside(|| {
            for (source, outcome) in batch.iter().zip(outcomes) {
                if let Some(error) = &outcome.quarrel
                    && quarrels.insert(error.shown.clone())
                {
                    anstream::eprintln!("dfmigrate: {error}");
                }
                anstream::eprint!("{}", outcome.err);
                text.extend(renderer.next(outcome.out));
                total.merge(outcome.counts);
                writes.extend(outcome.write.map(|change| (source, change)));
            }
            put(&text, renderer.styled())?;
            if args.apply {
                sweep(batch);
                let problem = |shown: &str, why: &str| renderer.problem(shown, why);
                write_all(&writes, args, &mut journal, problem, &mut total);
            }
            std::io::Result::Ok(())
        })?;
    }
    drop(progress);
    put(renderer.tail(&total).as_bytes(), renderer.styled())?;
    network.finish(&args.registries, args.quiet)?;
    Ok(code(&total, args))
}

/// The files of a run; what could not be looked at, and that there is none, is said.
pub(super) fn looked_for(args: &Args, resolver: &Resolver, jobs: usize) -> anyhow::Result<Found> {
    let mut found = super::found(&args.paths, args.files_from.as_deref(), jobs)?;
    found
        .sources
        .retain(|source| super::settings::wanted(source, resolver));
    for problem in &found.problems {
        anstream::eprintln!("dfmigrate: {}", one_line(&problem.to_string()));
    }
    if found.sources.is_empty() && found.problems.is_empty() {
        anstream::eprintln!(
            "dfmigrate: no Dockerfile was found; files are called Dockerfile, Dockerfile.*, *.Dockerfile or Containerfile, or are named as arguments"
        );
    }
    Ok(found)
}

/// Plans a file for the questions that it asks; what comes of it is not kept.
pub(super) fn look(source: &Source, resolver: &Resolver, contexts: &Contexts, ahead: &Ahead<'_>) {
    let Ok(settings) = super::settings::of(source, resolver) else {
        return;
    };
    let Ok(bytes) = discover::read(source, discover::MAX_BYTES) else {
        return;
    };
    let context = contexts.of(source);
    let facts = Facts::offline(&context).asking(ahead).trusting(ahead);
    // A panic is said when the file is planned in earnest.
    let _ = super::guarded(|| plan::plan(bytes, facts, &settings.options));
}

/// The renderer that the arguments ask for.
pub(super) fn renderer(
    args: &Args,
    screen: &Screen,
    today: Date,
) -> anyhow::Result<Box<dyn Renderer>> {
    let format = match args.output_format {
        Some(format) => format.format(),
        None if args.diff => Format::Diff,
        None if args.check => Format::Names,
        None => Format::Full,
    };
    let measured = match &args.measured {
        None => Measured::default(),
        Some(_) if format != Format::Html => {
            bail!("--measured has sizes drawn in a page: it needs --output-format html")
        }
        Some(path) => measured(path)?,
    };
    let source = dfmigrate::catalog::source();
    let run = Run {
        version: env!("CARGO_PKG_VERSION"),
        as_of: source.as_of.to_string(),
        repository: source.repository,
        commit: source.commit,
        today,
        mode: match (args.apply, args.check) {
            (true, _) => Mode::Apply,
            (_, true) => Mode::Check,
            _ => Mode::Review,
        },
        all: args.verbose,
        quiet: args.quiet,
        terminal: screen.terminal,
        width: screen.width,
        measured,
    };
    Ok(report::renderer(format, run))
}

/// What an earlier `verify` measured.
fn measured(path: &Path) -> anyhow::Result<Measured> {
    let shown = one_line(&path.display().to_string()).into_owned();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown} can't be read"))?;
    document::measured(&text).map_err(|why| anyhow::anyhow!("{shown} {why}"))
}

/// Writes to standard output: byte for byte, or with the colours that it can
/// show.
pub(super) fn put(bytes: &[u8], styled: bool) -> std::io::Result<()> {
    if styled {
        let mut out = anstream::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    } else {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }
}

fn code(total: &Counts, args: &Args) -> u8 {
    if total.failed > 0 {
        exit::SOME_FAILED
    } else if args.check && total.changed > 0 {
        exit::WOULD_CHANGE
    } else {
        exit::DONE
    }
}

/// A file that was given by two names is changed once: a second patch of it
/// would not apply, and a second write would find it changed.
fn leave_out_repeated(batch: &[Source], outcomes: &mut [Outcome], once: &mut HashSet<PathBuf>) {
    for (source, outcome) in batch.iter().zip(outcomes) {
        let repeated =
            outcome.counts.changed > 0 && source.real().is_ok_and(|real| !once.insert(real));
        if repeated {
            *outcome = Outcome::default();
        }
    }
}

/// What comes of a file that could not be worked on.
pub(super) fn failed(shown: &str, why: &str, renderer: &dyn Renderer) -> Outcome {
    let file = FileReport {
        shown,
        path: &normal_form(shown),
        patch_name: &PatchName::default(),
        outcome: report::Outcome::Failed(why),
        proof: None,
    };
    Outcome {
        out: renderer.file(&file),
        err: format!("dfmigrate: {}: {}\n", one_line(shown), one_line(why)),
        counts: Counts {
            files: 1,
            failed: 1,
            ..Counts::default()
        },
        write: None,
        quarrel: None,
    }
}

/// Plans one file and renders it.
fn one(
    source: &Source,
    args: &Args,
    resolver: &Resolver,
    contexts: &Contexts,
    base: Option<&patch_paths::Base>,
    network: &Network,
    renderer: &dyn Renderer,
) -> Outcome {
    let failed = |why: &str| failed(&source.shown, why, renderer);
    let settings = match super::settings::of(source, resolver) {
        Ok(settings) => settings,
        Err(error) => {
            let why = format!(
                "was left as it is: the settings in {} can't be used",
                error.shown
            );
            return Outcome {
                quarrel: Some(error),
                ..failed(&why)
            };
        }
    };
    let bytes = match discover::read(source, discover::MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return failed(&error.to_string()),
    };
    let context = contexts.of(source);
    let planned = super::guarded(|| plan::plan(bytes, network.facts(&context), &settings.options));
    match planned {
        Ok(plan) => {
            let name = || base.map_or_else(PatchName::default, |base| base.name(source));
            let mut outcome = render(&source.shown, name, &plan, None, args, renderer);
            if let Some(why) = context.doubt() {
                outcome.err += &format!(
                    "dfmigrate: {}: what its build context holds is not known: {}\n",
                    one_line(&source.shown),
                    one_line(why)
                );
            }
            outcome
        }
        Err(why) => failed(&why),
    }
}

pub(super) fn render(
    shown: &str,
    patch_name: impl FnOnce() -> PatchName,
    plan: &Plan,
    proof: Option<&Proof>,
    args: &Args,
    renderer: &dyn Renderer,
) -> Outcome {
    let mut counts = Counts::default();
    counts.add(plan);
    let mut err = String::new();
    if !plan.errors().is_empty() {
        counts.failed += 1;
        err = syntax_errors(shown, plan);
    }
    let patch_name = if plan.changes() {
        patch_name()
    } else {
        PatchName::default()
    };
    let file = FileReport {
        shown,
        path: &normal_form(shown),
        patch_name: &patch_name,
        outcome: report::Outcome::Planned(plan),
        proof,
    };
    Outcome {
        out: renderer.file(&file),
        err,
        counts,
        write: (args.apply && plan.changes()).then(|| Change {
            before: plan.before.source().to_vec(),
            after: plan.after.clone(),
        }),
        quarrel: None,
    }
}

/// The path in normal form: relative to the working directory where the file
/// lies below it.
fn normal_form(shown: &str) -> String {
    let path = Path::new(shown);
    let relative = if path.is_absolute() {
        let here = std::env::current_dir().unwrap_or_default();
        match path.strip_prefix(&here) {
            Ok(below) => below.to_string_lossy().into_owned(),
            Err(_) => shown.trim_start_matches('/').to_owned(),
        }
    } else {
        shown.to_owned()
    };
    let mut clean: Vec<&str> = Vec::new();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            part => clean.push(part),
        }
    }
    clean.join("/")
}

/// Writes the files of a batch that change.
pub fn write_all(
    writes: &[(&Source, Change)],
    args: &Args,
    journal: &mut apply::Journal,
    mut problem: impl FnMut(&str, &str),
    total: &mut Counts,
) {
    let mut refused = vec![None; writes.len()];
    if !args.allow_dirty {
        let paths: Vec<&Path> = writes
            .iter()
            .map(|(source, _)| source.path.as_path())
            .collect();
        for (at, state) in apply::committed(&paths).into_iter().enumerate() {
            if state.is_in_the_way() {
                refused[at] = Some(state.to_string());
            }
        }
    }
    let options = apply::Options {
        hard_links: args.allow_hard_links,
        read_only: args.allow_read_only,
        ..apply::Options::default()
    };
    let changes: Vec<apply::Change<'_>> = writes
        .iter()
        .zip(&refused)
        .filter(|(_, refusal)| refusal.is_none())
        .map(|((source, change), _)| apply::Change {
            source,
            before: &change.before,
            after: &change.after,
        })
        .collect();
    let mut written = apply::write_all(&changes, &options, journal).into_iter();
    super::undo::say_problem(journal);
    for ((source, _), refusal) in writes.iter().zip(refused) {
        let error = match refusal {
            Some(state) => Some(format!("was not written: {state}")),
            None => written
                .next()
                .and_then(Result::err)
                .map(|error| error.to_string()),
        };
        if let Some(error) = error {
            total.failed += 1;
            total.changed -= 1;
            anstream::eprintln!(
                "dfmigrate: {}: {}",
                one_line(&source.shown),
                one_line(&error)
            );
            problem(&source.shown, &error);
        }
    }
}

/// Removes what a killed run left beside these files, whether or not they
/// change in this one. What can't be swept is no reason to stop: writing there
/// says what is wrong.
pub(super) fn sweep(batch: &[Source]) {
    let mut folders = HashSet::new();
    let first: Vec<&Source> = batch
        .iter()
        .filter(|source| source.link || folders.insert(source.path.parent()))
        .collect();
    first.par_iter().for_each(|source| {
        let _ = apply::sweep(source);
    });
}

fn standard_input(
    args: &Args,
    resolver: &Resolver,
    network: &Network,
    renderer: &mut dyn Renderer,
) -> anyhow::Result<u8> {
    if args.interactive {
        bail!("--interactive asks on standard input: it can't read a Dockerfile there");
    }
    if args.paths.len() > 1 || args.files_from.is_some() {
        bail!("`-` reads one Dockerfile from standard input: name no other path beside it");
    }
    // Its settings are those of the folder that it is said to be in.
    let name = args.stdin_filename.as_deref().unwrap_or(Path::new("-"));
    let folder = match name.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(folder) => folder,
        None => Path::new("."),
    };
    let folder = folder.canonicalize().unwrap_or_default();
    let settings = resolver
        .of_folder(&folder, &folder)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let options = &settings.options;
    let bytes = super::stdin()?;
    let before = bytes.clone();
    let beside = args
        .stdin_filename
        .as_ref()
        .map(|name| Contexts::new(args.context.clone()).at(name));
    let files: &dyn Files = match &beside {
        Some(context) => context,
        None => &NoFiles,
    };
    network.ahead(args.quiet, |ahead| {
        let facts = Facts::offline(files).asking(ahead).trusting(ahead);
        let _ = plan::plan(bytes.clone(), facts, options);
    });
    let plan = plan::plan(bytes, network.facts(files), options);
    let shown = args.stdin_filename.as_ref().map_or_else(
        || "-".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let failed = !plan.errors().is_empty();
    let after = if failed { before } else { plan.after.clone() };
    let outcome = {
        let name = || PatchName(normal_form(&shown).replace("../", "").into_bytes());
        render(&shown, name, &plan, None, args, renderer)
    };
    anstream::eprint!("{}", outcome.err);
    if args.apply {
        // The file goes where it came from: to the other end of the pipe.
        put(&after, false)?;
        network.finish(&args.registries, args.quiet)?;
        return Ok(code(&outcome.counts, args));
    }
    let styled = renderer.styled();
    put(renderer.head().as_bytes(), styled)?;
    let piece = renderer.next(outcome.out);
    put(&piece, styled)?;
    put(renderer.tail(&outcome.counts).as_bytes(), styled)?;
    network.finish(&args.registries, args.quiet)?;
    Ok(code(&outcome.counts, args))
}
