//! The review, and `--apply`, `--diff` and `--check`: one plan, many renderings.

use std::io::{IsTerminal as _, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use dfmigrate::context::BuildContext;
use dfmigrate::discover::{self, Source};
use dfmigrate::facts::Facts;
use dfmigrate::plan::{self, Plan};
use dfmigrate::report::{Counts, PatchName, patch, review, review_diff, style, visible};
use dfmigrate::rules::{self, Safety};
use dfmigrate::{apply, discover::ReadError};
use rayon::prelude::*;

use crate::args::{Args, Grade};
use crate::exit;

/// Files are worked on in batches of so many, so that memory stays bounded and
/// the output in order.
const BATCH: usize = 256;

/// The bytes of a file before and after.
struct Change {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// What came of one file.
struct Outcome {
    /// For standard output.
    out: Vec<u8>,
    /// For standard error.
    err: String,
    counts: Counts,
    /// To be written.
    write: Option<Change>,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let options = options(args)?;
    if args.paths.iter().any(|path| path == Path::new("-")) {
        return standard_input(args, &options);
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(args.jobs)
        .build_global()
        .context("can't start the threads")?;
    let found = super::found(&args.paths, args.files_from.as_deref(), args.jobs)?;
    for problem in &found.problems {
        anstream::eprintln!("dfmigrate: {}", visible(&problem.to_string()));
    }
    let mut total = Counts {
        failed: found.problems.len(),
        ..Counts::default()
    };
    if found.sources.is_empty() && found.problems.is_empty() {
        anstream::eprintln!(
            "dfmigrate: no Dockerfile was found; files are called Dockerfile, Dockerfile.*, *.Dockerfile or Containerfile, or are named as arguments"
        );
        return Ok(exit::NOTHING_FOUND);
    }
    for batch in found.sources.chunks(BATCH) {
        let outcomes: Vec<Outcome> = batch
            .par_iter()
            .map(|source| one(source, args, &options))
            .collect();
        let mut out = anstream::stdout();
        for outcome in &outcomes {
            anstream::eprint!("{}", outcome.err);
            if args.diff && !std::io::stdout().is_terminal() {
                // A patch is taken byte for byte.
                std::io::stdout().write_all(&outcome.out)?;
            } else {
                out.write_all(&outcome.out)?;
            }
            total.merge(outcome.counts);
        }
        out.flush()?;
        if args.apply {
            write_all(batch, &outcomes, args, &mut total);
        }
    }
    if !args.diff && !args.quiet {
        anstream::println!("{}", summary(&total, args));
    }
    Ok(code(&total, args))
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

fn options(args: &Args) -> anyhow::Result<plan::Options> {
    for id in args.select.iter().chain(&args.ignore) {
        if rules::find(id).is_none() {
            let known: Vec<&str> = rules::all().iter().map(|rule| rule.meta().id).collect();
            bail!(
                "there is no rule {id:?}; the rules are {}",
                known.join(", ")
            );
        }
    }
    Ok(plan::Options {
        grade: match args.grade {
            Grade::Safe => Safety::Safe,
            Grade::Review => Safety::Review,
        },
        select: args.select.iter().cloned().collect(),
        ignore: args.ignore.iter().cloned().collect(),
        mends: Vec::new(),
    })
}

/// Plans one file and renders it.
fn one(source: &Source, args: &Args, options: &plan::Options) -> Outcome {
    let mut outcome = Outcome {
        out: Vec::new(),
        err: String::new(),
        counts: Counts::default(),
        write: None,
    };
    let bytes = match discover::read(source, discover::MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            outcome.counts.files = 1;
            outcome.counts.failed = 1;
            outcome.err = failure(&source.shown, &error);
            return outcome;
        }
    };
    let context = BuildContext::beside(&source.path);
    // A panic in one file is that file's: the others go on.
    let planned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        plan::plan(bytes, Facts::offline(&context), options)
    }));
    let Ok(plan) = planned else {
        outcome.counts.files = 1;
        outcome.counts.failed = 1;
        outcome.err = format!(
            "dfmigrate: {}: a bug in dfmigrate; the file was left as it is. Please report it\n",
            visible(&source.shown)
        );
        return outcome;
    };
    render(&source.shown, plan, args, &mut outcome);
    outcome
}

fn failure(shown: &str, error: &ReadError) -> String {
    format!(
        "dfmigrate: {}: {}\n",
        visible(shown),
        visible(&error.to_string())
    )
}

fn render(shown: &str, plan: Plan, args: &Args, outcome: &mut Outcome) {
    outcome.counts.add(&plan);
    if !plan.errors().is_empty() {
        outcome.counts.failed += 1;
        outcome.err = syntax_errors(shown, &plan);
        return;
    }
    if args.diff {
        let name = PatchName(patch_path(shown));
        outcome.out = if std::io::stdout().is_terminal() {
            review_diff(&name.0, plan.before.source(), &plan.after).into_bytes()
        } else {
            patch(&name, plan.before.source(), &plan.after)
        };
    } else if args.check {
        if plan.changes() && !args.quiet {
            outcome.out = format!("would change {}\n", visible(shown)).into_bytes();
        }
    } else if !args.quiet {
        outcome.out = review(shown, &plan, args.verbose).into_bytes();
    }
    if args.apply && plan.changes() {
        outcome.write = Some(Change {
            before: plan.before.source().to_vec(),
            after: plan.after,
        });
    }
}

/// The path that a patch names: relative to the working directory where the
/// file lies below it, so that `git apply` and `patch -p1` find it from there.
fn patch_path(shown: &str) -> String {
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

/// What a file is that is no Dockerfile at all, where that can be seen.
fn no_dockerfile(plan: &Plan) -> Option<&'static str> {
    let source = plan.before.source();
    if source.iter().all(u8::is_ascii_whitespace) {
        return Some("is empty: there is nothing in it to rewrite");
    }
    if source.contains(&0) {
        return Some("is a binary file, not a Dockerfile: leave it out");
    }
    let at_fault = |signs: &[&[u8]]| {
        plan.errors().iter().any(|error| {
            let line = &source[plan.before.lines().range(error.line)];
            signs
                .iter()
                .any(|sign| line.trim_ascii_start().starts_with(sign))
        })
    };
    if at_fault(&[b"{{", b"{%", b"<%", b"#{", b"@@"]) {
        return Some("is a template of another program: rewrite what it is rendered to");
    }
    if at_fault(&[b"<<<<<<<", b"=======", b">>>>>>>"]) {
        return Some("has unresolved merge markers: resolve them first");
    }
    None
}

/// BuildKit would refuse the file: says where and why, with the line itself.
fn syntax_errors(shown: &str, plan: &Plan) -> String {
    if let Some(what) = no_dockerfile(plan) {
        return format!(
            "dfmigrate: {}: {what}; it was left as it is\n",
            visible(shown)
        );
    }
    let mut text = String::new();
    for error in plan.errors().iter().take(5) {
        let range = plan.before.lines().range(error.line);
        let excerpt = String::from_utf8_lossy(&plan.before.source()[range]).into_owned();
        let excerpt: String = excerpt.trim_end().chars().take(100).collect();
        text.push_str(&format!(
            "dfmigrate: {}:{}: {}\n    {}\n",
            visible(shown),
            error.line,
            visible(&error.message),
            visible(&excerpt)
        ));
    }
    if let Some(rest) = plan.errors().len().checked_sub(6) {
        text.push_str(&format!("    and {} more\n", rest + 1));
    }
    text.push_str(&format!(
        "    {} was left as it is: a builder would refuse it\n",
        visible(shown)
    ));
    text
}

/// Writes the files of a batch that change.
fn write_all(batch: &[Source], outcomes: &[Outcome], args: &Args, total: &mut Counts) {
    let writes: Vec<(&Source, &Change)> = batch
        .iter()
        .zip(outcomes)
        .filter_map(|(source, outcome)| Some((source, outcome.write.as_ref()?)))
        .collect();
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
    let options = apply::Options::default();
    for ((source, change), refusal) in writes.into_iter().zip(refused) {
        let error = match refusal {
            Some(state) => Some(format!("was not written: {state}")),
            None => apply::write(source, &change.before, &change.after, &options)
                .err()
                .map(|error| error.to_string()),
        };
        match error {
            None => {}
            Some(error) => {
                total.failed += 1;
                total.changed -= 1;
                anstream::eprintln!("dfmigrate: {}: {}", visible(&source.shown), visible(&error));
            }
        }
    }
}

fn standard_input(args: &Args, options: &plan::Options) -> anyhow::Result<u8> {
    if args.paths.len() > 1 || args.files_from.is_some() {
        bail!("`-` reads one Dockerfile from standard input: name no other path beside it");
    }
    let bytes = super::stdin()?;
    let before = bytes.clone();
    let plan = match &args.stdin_filename {
        Some(name) => plan::plan(bytes, Facts::offline(&BuildContext::beside(name)), options),
        None => plan::plan(bytes, Facts::none(), options),
    };
    let shown = args.stdin_filename.as_ref().map_or_else(
        || "-".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let mut outcome = Outcome {
        out: Vec::new(),
        err: String::new(),
        counts: Counts::default(),
        write: None,
    };
    let failed = !plan.errors().is_empty();
    let after = if failed { before } else { plan.after.clone() };
    render(&shown, plan, args, &mut outcome);
    anstream::eprint!("{}", outcome.err);
    let mut out = anstream::stdout();
    if args.apply {
        // The file goes where it came from: to the other end of the pipe.
        std::io::stdout().write_all(&after)?;
    } else if args.diff && !std::io::stdout().is_terminal() {
        std::io::stdout().write_all(&outcome.out)?;
    } else {
        out.write_all(&outcome.out)?;
        if !args.diff && !args.quiet {
            writeln!(out, "{}", summary(&outcome.counts, args))?;
        }
    }
    out.flush()?;
    Ok(code(&outcome.counts, args))
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn summary(total: &Counts, args: &Args) -> String {
    let dim = style::DIM;
    let files = plural(total.files, "file", "files");
    let rewrites = total.safe + total.review;
    let mut text = if total.changed == 0 {
        let left = if total.left > 0 {
            format!(
                "; {} left alone, for the reasons above",
                plural(total.left, "thing was", "things were")
            )
        } else {
            String::new()
        };
        format!("{files}: nothing to do{left}")
    } else if args.apply {
        format!(
            "{files}: {} written",
            plural(total.changed, "file", "files")
        )
    } else {
        format!(
            "{files}: {} would change, by {} ({} safe, {} to review)",
            total.changed,
            plural(rewrites, "rewrite", "rewrites"),
            total.safe,
            total.review
        )
    };
    if total.failed > 0 {
        text.push_str(&format!("; {} failed", total.failed));
    }
    if !args.apply && !args.check && total.changed > 0 {
        text.push_str(&format!(
            "\n{dim}Nothing was written: --apply writes these changes, --diff prints them as a patch.{dim:#}"
        ));
    }
    text
}
