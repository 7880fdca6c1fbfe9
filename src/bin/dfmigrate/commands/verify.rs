//! `dfmigrate verify`: builds before and after, compares, mends.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args as ClapArgs, ValueEnum};
use dfmigrate::apply;
use dfmigrate::context::Contexts;
use dfmigrate::discover::{self, Source};
use dfmigrate::plan;
use dfmigrate::report::{one_line, syntax_errors};
use dfmigrate::settings::{Resolver, user_folder};
use dfmigrate::verify::archive::Cache;
use dfmigrate::verify::behaviour::{self, Question};
use dfmigrate::verify::builder::{Builder, Flags};
use dfmigrate::verify::document;
use dfmigrate::verify::process::Stop;
use dfmigrate::verify::report::{self, File};
use dfmigrate::verify::secrets::Secrets;
use dfmigrate::verify::{self, Outcome, Session, Subject, Verdict, Watch};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::network::Network;
use crate::args::{Args, PlanArgs};
use crate::exit;

const AFTER: &str = "\
Exit codes:
  0  every change was proven, or nothing would change
  1  a change could not be proven: it differs, or nothing that was tried holds
  2  wrong usage, stopped, or the builder, the network or the disk failed
  3  no Dockerfile was found
  4  some files can't be read or parsed, don't build as they are, or were not written

Containers have no network but their own loopback unless --network names one; no port of this
machine is taken. Whatever is started is ended; images go unless --keep. Layers that were read are
remembered in the cache folder, and builds are the builder's to remember: a second run is quick.";

/// What `dfmigrate verify` takes.
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER)]
pub struct Verify {
    /// Dockerfiles, or folders to look for them in
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Take the paths from a file (`-` is standard input), one a line or NUL-separated
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,

    /// Write each plan that was proven into its file
    #[arg(long)]
    pub apply: bool,

    /// With --apply: also files with changes that are not committed to git
    #[arg(long, requires = "apply")]
    pub allow_dirty: bool,

    /// With --apply: also one of several names (hard links) of a file; the others keep the old content
    #[arg(long, requires = "apply")]
    pub allow_hard_links: bool,

    /// With --apply: also files that are read-only; they stay so
    #[arg(long, requires = "apply")]
    pub allow_read_only: bool,

    #[command(flatten)]
    pub plan: PlanArgs,

    /// Mend what is seen to be missing, in at most N builds, then try smaller rewrites
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "3")]
    pub repair: Option<u32>,

    /// Compare with this Dockerfile, made by hand, instead of with what dfmigrate proposes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["apply", "repair"])]
    pub against: Option<PathBuf>,

    /// Start both images and compare what they answer: on --port, else on the
    /// first port that is exposed, else their output and exit status
    #[arg(long)]
    pub run: bool,

    /// The port that the service listens on in the container (implies --run)
    #[arg(long, value_name = "PORT", help_heading = "Running")]
    pub port: Option<u16>,

    /// The path of the HTTP request
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/",
        help_heading = "Running"
    )]
    pub path: String,

    /// A line for `sh` in both containers, whose exit status and output are compared (implies --run)
    #[arg(long, value_name = "COMMAND", help_heading = "Running")]
    pub check_cmd: Option<String>,

    /// A variable of both containers, NAME=VALUE or NAME
    #[arg(long, value_name = "VARIABLE", help_heading = "Running")]
    pub env: Vec<String>,

    /// The containers' network; by default they have only their own loopback
    #[arg(
        long,
        value_name = "NETWORK",
        default_value = "none",
        help_heading = "Running"
    )]
    pub network: String,

    /// The most memory of a container
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1g",
        help_heading = "Running"
    )]
    pub memory: String,

    /// How long a container may take to answer or to end, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        help_heading = "Running"
    )]
    pub run_timeout: u64,

    /// docker, podman or buildah, or the path of one; by default the first that answers
    #[arg(long, value_name = "BUILDER", help_heading = "Building")]
    pub builder: Option<String>,

    /// The build context of all; by default as compose, bake and dev container files say,
    /// else each Dockerfile's folder
    #[arg(long, value_name = "FOLDER", help_heading = "Building")]
    pub context: Option<PathBuf>,

    /// Handed on to the builder
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = "Building")]
    pub build_arg: Vec<String>,

    /// Handed on to the builder
    #[arg(long, value_name = "STAGE", help_heading = "Building")]
    pub target: Option<String>,

    /// Handed on to the builder
    #[arg(long, value_name = "PLATFORM", help_heading = "Building")]
    pub platform: Option<String>,

    /// Handed on to the builder; its value never stands in a log or report
    #[arg(long, value_name = "SECRET", help_heading = "Building")]
    pub secret: Vec<String>,

    /// Handed on to the builder
    #[arg(long, value_name = "SSH", help_heading = "Building")]
    pub ssh: Vec<String>,

    /// The network of builds, handed on to the builder
    #[arg(long, value_name = "NETWORK", help_heading = "Building")]
    pub build_network: Option<String>,

    /// Ask the registry for base images even where they are at hand
    #[arg(long, help_heading = "Building")]
    pub pull: bool,

    /// Any other flag of the builder, handed on as it is
    #[arg(
        long,
        value_name = "FLAG",
        allow_hyphen_values = true,
        help_heading = "Building"
    )]
    pub builder_flag: Vec<String>,

    /// How long a build may take, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1800,
        help_heading = "Building"
    )]
    pub timeout: u64,

    /// How many files are worked on at a time
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,

    /// Leave the built images, and say how they are called
    #[arg(long)]
    pub keep: bool,

    /// Where what is known of layers is kept between runs
    #[arg(long, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,

    /// Keep nothing between runs, and use nothing that was kept
    #[arg(long)]
    pub no_cache: bool,

    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output_format: Format,

    /// Also write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// How to show what is going on: on a terminal, line by line, or not at all
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For a person
    Text,
    /// One JSON document; `generate verify-schema` prints its schema
    Json,
    /// A section for the body of a pull request
    Markdown,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Progress {
    /// A line for each file that is worked on, where standard error is a terminal
    Auto,
    /// Each step of the builder as a line on standard error
    Plain,
    /// Nothing
    None,
}

/// Shows what is done with one file.
struct Shown<'s> {
    name: &'s str,
    bar: Option<ProgressBar>,
    plain: bool,
}

impl Watch for Shown<'_> {
    fn now(&self, what: &str) {
        let what = one_line(what);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {what}", one_line(self.name)));
        }
        if self.plain {
            anstream::eprintln!("dfmigrate: {}: {what}", one_line(self.name));
        }
    }
}

pub fn run(args: &Verify) -> anyhow::Result<u8> {
    let stop = Stop::default();
    on_signals(&stop)?;
    let resolver = super::settings::resolver(&args.plan)?;
    let check = args.check_cmd.clone();
    let check = check.or_else(|| resolver.base().compare.clone());
    let options = options(args, check)?;
    let mut found = super::found(&args.paths, args.files_from.as_deref(), args.jobs)?;
    found
        .sources
        .retain(|source| super::settings::wanted(source, &resolver));
    for problem in &found.problems {
        anstream::eprintln!("dfmigrate: {}", one_line(&problem.to_string()));
    }
    if found.sources.is_empty() && found.problems.is_empty() {
        anstream::eprintln!("dfmigrate: no Dockerfile was found");
        return Ok(exit::NOTHING_FOUND);
    }
    let builder = builder(args, &stop)?;
    let secrets = secrets(args);
    let cache = cache(args);
    let session = Session {
        builder: &builder,
        secrets: &secrets,
        cache: &cache,
        stop: &stop,
        bases: &Mutex::default(),
    };
    let work = Work {
        args,
        options: &options,
        resolver: &resolver,
        network: &Network::None,
        session: &session,
    };
    let mut done = Done::new();
    let mut journal = super::undo::journal();
    all(&found.sources, &work, |at, result| {
        let source = &found.sources[at];
        print_one(source, at, result, args, &mut journal, &mut done)
    })?;
    let files: Vec<File<'_>> = done
        .iter()
        .map(|(at, outcome, written)| File {
            shown: &found.sources[*at].shown,
            outcome,
            written: *written,
        })
        .collect();
    if args.output_format == Format::Json {
        let text = document::json(&builder.version, &files);
        std::io::stdout().lock().write_all(text.as_bytes())?;
    } else if args.output_format == Format::Markdown {
        let text = report::markdown(&builder.version, &files);
        std::io::stdout().lock().write_all(text.as_bytes())?;
    } else {
        let tried: Vec<&Outcome> = done.iter().map(|(_, outcome, _)| outcome).collect();
        anstream::println!("{}", summary(&tried, &builder.version));
    }
    if let Some(path) = &args.junit {
        let text = report::junit(&files).context("the JUnit report can't be made")?;
        std::fs::write(path, text)
            .with_context(|| format!("the JUnit report can't be written to {}", path.display()))?;
    }
    if stop.asked() {
        anstream::eprintln!(
            "dfmigrate: stopped; what was started is ended, and nothing more was written"
        );
        return Ok(exit::FAILED);
    }
    let unread = found.problems.len() + found.sources.len() - done.len();
    Ok(code(&done, unread, args.apply))
}

/// The builder, with what killed runs left in it taken away.
pub(super) fn builder(args: &Verify, stop: &Stop) -> anyhow::Result<Builder> {
    let builder = Builder::find(args.builder.as_deref(), stop)?;
    let swept = behaviour::sweep(&builder);
    if swept > 0 {
        anstream::eprintln!("dfmigrate: {swept} containers of runs that were killed are removed");
    }
    Ok(builder)
}

/// What is known of layers between runs.
pub(super) fn cache(args: &Verify) -> Cache {
    let folder = match (&args.cache_dir, args.no_cache) {
        (_, true) => None,
        (Some(folder), _) => Some(folder.clone()),
        (None, _) => user_folder("XDG_CACHE_HOME", ".cache"),
    };
    Cache::new(folder.as_deref())
}

/// Ctrl-C and the like end everything in order; a second Ctrl-C at once.
pub(super) fn on_signals(stop: &Stop) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let flag = &stop.0;
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(flag))
        .context("can't listen for Ctrl-C")?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("can't listen for Ctrl-C")?;
    }
    Ok(())
}

pub(super) fn options(args: &Verify, check: Option<String>) -> anyhow::Result<verify::Options> {
    let wanted = args.run || args.port.is_some() || check.is_some();
    let question = Question {
        port: args.port,
        path: args.path.clone(),
        check,
        time: Duration::from_secs(args.run_timeout),
        env: args.env.clone(),
        command: Vec::new(),
        network: args.network.clone(),
        memory: args.memory.clone(),
        health: false,
    };
    Ok(verify::Options {
        // Each file has its own.
        plan: plan::Options::default(),
        flags: Flags {
            build_args: args.build_arg.clone(),
            target: args.target.clone(),
            platform: args.platform.clone(),
            secrets: args.secret.clone(),
            ssh: args.ssh.clone(),
            network: args.build_network.clone(),
            pull: args.pull,
            more: args.builder_flag.clone(),
        },
        time: Duration::from_secs(args.timeout),
        run: wanted.then_some(verify::Run {
            question,
            exposed: args.port.is_none(),
        }),
        repair: args.repair,
        keep: args.keep,
        against: match &args.against {
            None => None,
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("{} can't be read", path.display()))?,
            ),
        },
    })
}

pub(super) fn secrets(args: &Verify) -> Secrets {
    let mut secrets = Secrets::default();
    for flag in &args.secret {
        secrets.add_flag(flag);
    }
    for pair in args.build_arg.iter().chain(&args.env) {
        secrets.add_named(pair);
    }
    secrets
}

/// What came of each file that could be read: its index, and whether it was
/// written.
pub(super) type Done = Vec<(usize, Outcome, bool)>;

/// What all files of a run are verified with.
pub(super) struct Work<'w> {
    pub(super) args: &'w Verify,
    pub(super) options: &'w verify::Options,
    pub(super) resolver: &'w Resolver,
    pub(super) network: &'w Network,
    pub(super) session: &'w Session<'w>,
}

/// Verifies all files, some at a time; `each` hears in their order what came of them
/// or why they can't be read.
pub(super) fn all(
    sources: &[Source],
    work: &Work<'_>,
    mut each: impl FnMut(usize, Result<Outcome, String>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (args, session) = (work.args, work.session);
    let bars =
        (args.progress == Progress::Auto && super::progress::may_draw()).then(MultiProgress::new);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (to, from) = mpsc::channel();
        for _ in 0..args.jobs.clamp(1, sources.len().max(1)) {
            let (to, next, bars) = (to.clone(), &next, bars.as_ref());
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(source) = sources.get(at) else {
                        return;
                    };
                    let result = if session.stop.asked() {
                        None
                    } else {
                        Some(one(source, work, bars))
                    };
                    if to.send((at, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        for (at, result) in from {
            waiting.insert(at, result);
            while let Some(result) = waiting.remove(&turn) {
                if let Some(result) = result {
                    let hidden = || each(turn, result);
                    match &bars {
                        Some(bars) => bars.suspend(hidden)?,
                        None => hidden()?,
                    }
                }
                turn += 1;
            }
        }
        anyhow::Ok(())
    })
}

/// Prints what came of one file, and writes it.
fn print_one(
    source: &Source,
    at: usize,
    result: Result<Outcome, String>,
    args: &Verify,
    journal: &mut apply::Journal,
    done: &mut Done,
) -> anyhow::Result<()> {
    let outcome = match result {
        Err(why) => {
            anstream::eprintln!("dfmigrate: {}: {}", one_line(&source.shown), one_line(&why));
            return Ok(());
        }
        Ok(outcome) => outcome,
    };
    if outcome.verdict == Verdict::Invalid {
        anstream::eprint!("{}", syntax_errors(&source.shown, &outcome.plan));
    }
    let mut written = false;
    if args.apply && outcome.verdict.holds() {
        match write(source, &outcome, args, journal) {
            None => written = true,
            Some(why) => {
                anstream::eprintln!("dfmigrate: {}: {}", one_line(&source.shown), one_line(&why));
            }
        }
    }
    if args.output_format == Format::Text {
        let file = File {
            shown: &source.shown,
            outcome: &outcome,
            written,
        };
        let mut out = anstream::stdout().lock();
        out.write_all(report::text(&file).as_bytes())?;
        out.flush()?;
    }
    done.push((at, outcome, written));
    Ok(())
}

/// Writes what was proven, or says why not.
fn write(
    source: &Source,
    outcome: &Outcome,
    args: &Verify,
    journal: &mut apply::Journal,
) -> Option<String> {
    if !args.allow_dirty {
        let state = apply::committed(&[source.path.as_path()]);
        if let Some(state) = state.iter().find(|state| state.is_in_the_way()) {
            return Some(format!("was not written: {state}"));
        }
    }
    let plan = &outcome.plan;
    let options = apply::Options {
        hard_links: args.allow_hard_links,
        read_only: args.allow_read_only,
        ..apply::Options::default()
    };
    let change = apply::Change {
        source,
        before: plan.before.source(),
        after: &plan.after,
    };
    let written = apply::write_all(&[change], &options, journal);
    super::undo::say_problem(journal);
    written
        .into_iter()
        .find_map(Result::err)
        .map(|error| error.to_string())
}

/// Verifies one file, or says why it can't be read.
fn one(source: &Source, work: &Work<'_>, bars: Option<&MultiProgress>) -> Result<Outcome, String> {
    let args = work.args;
    let settings = super::settings::of(source, work.resolver)
        .map_err(|error| format!("was left as it is: its settings can't be used: {error}"))?;
    let options = &verify::Options {
        plan: settings.options.clone(),
        ..work.options.clone()
    };
    let bytes = discover::read(source, discover::MAX_BYTES).map_err(|error| error.to_string())?;
    let context = Contexts::new(args.context.clone()).of(source);
    let folder = context.root()?;
    let bar = bars.map(|bars| {
        let bar = bars.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
        bar.set_style(style.expect("a template of known parts"));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    });
    let watch = Shown {
        name: &source.shown,
        bar: bar.clone(),
        plain: args.progress == Progress::Plain,
    };
    let subject = Subject {
        path: &source.path,
        shown: &source.shown,
        bytes: &bytes,
        context: &folder,
        facts: work.network.facts(&context),
    };
    // A panic in one file is that file's: the others go on.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        verify::verify(subject, options, work.session, &watch)
    }));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    outcome.map_err(|_| "a bug in dfmigrate; the file was left as it is. Please report it".into())
}

pub(super) fn code(done: &Done, unread: usize, apply: bool) -> u8 {
    let any = |verdicts: &[Verdict]| done.iter().any(|(_, o, _)| verdicts.contains(&o.verdict));
    let unwritten = apply
        && done
            .iter()
            .any(|(_, o, written)| o.verdict.holds() && !written);
    if any(&[Verdict::Failed]) {
        exit::FAILED
    } else if unread > 0 || unwritten || any(&[Verdict::BeforeFails, Verdict::Invalid]) {
        exit::SOME_FAILED
    } else if any(&[Verdict::Differs, Verdict::GaveUp]) {
        exit::WOULD_CHANGE
    } else {
        exit::DONE
    }
}

fn summary(outcomes: &[&Outcome], builder: &str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.verdict.name()).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    let seen = outcomes
        .iter()
        .filter(|outcome| outcome.verdict.holds())
        .filter_map(|outcome| outcome.rounds.last()?.seen.as_ref());
    let (was, is) = seen.fold((0, 0), |(was, is), seen| {
        let (a, b) = seen.bytes();
        (was + a, is + b)
    });
    let sizes = if was > 0 {
        format!(
            "; {:.1} MB become {:.1} MB",
            was as f64 / 1e6,
            is as f64 / 1e6
        )
    } else {
        String::new()
    };
    format!("{} with {builder}{sizes}", counts.join(", "))
}

impl Verify {
    /// What `--verified` means.
    pub(super) fn of(args: &Args) -> Self {
        let words = ["verify", "--run", "--repair"];
        let mut all = <VerifyCommand as clap::Parser>::parse_from(words).verify;
        all.plan.clone_from(&args.plan);
        if args.quiet {
            all.progress = Progress::None;
        }
        all
    }
}

/// The arguments by themselves, with their defaults.
#[derive(clap::Parser, Debug)]
struct VerifyCommand {
    #[command(flatten)]
    verify: Verify,
}
