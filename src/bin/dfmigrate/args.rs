//! The arguments.

use std::path::PathBuf;

use crate::commands::verify::Verify;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use dfmigrate::catalog::Date;
use dfmigrate::model::trust::CLASSES;
use dfmigrate::report::Format;
use jiff::SignedDuration;

const AFTER: &str = "\
Exit codes:
  0  done, or only shown
  1  --check: something would change; images --fail-on: something was found
  2  wrong usage, or the tool failed
  3  no Dockerfile was found
  4  some files could not be read, parsed or written; the others were done

A comment `# dfmigrate: ignore[RULE] reason` above an instruction leaves it alone,
`# dfmigrate: file-ignore[RULE] reason` the whole file.";

const STREAM: &str = "\
A line is an object of these fields; another one, or a wrong one, is an error:
  id        whatever is to come back in the answer
  path      what to call the file; `Dockerfile` where it is missing
  text      the Dockerfile, or
  base64    its bytes, where they are not UTF-8
  files     optional: files of its build context, path -> text
  complete  optional: true where these are all that there are

Each line has one answer, in order: what `--output-format jsonl` says of a file, with `id` and
`after`, the new text. What is wrong with a line stands in `error` of its answer, and the exit code
is 0; another one means that some answers are missing. Lines are answered as they come.";

/// Reads Dockerfiles and proposes rewrites: splits single stages into a build
/// and a slim final stage, pins floating tags to the codename of the same
/// image, moves to slim variants. Shows an explained review by default and
/// writes nothing.
#[derive(Parser, Debug)]
#[command(name = "dfmigrate", version, after_help = AFTER, args_conflicts_with_subcommands = true)]
#[command(group = clap::ArgGroup::new("writes").args(["apply", "interactive"]))]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Dockerfiles, or folders to look for them in; `-` reads one from standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Take the paths from a file (`-` is standard input), one a line or NUL-separated
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,

    /// What to call standard input; its build context is that path's folder
    #[arg(long, value_name = "PATH")]
    pub stdin_filename: Option<PathBuf>,

    /// Write the changes into the files
    #[arg(long, conflicts_with_all = ["diff", "check"])]
    pub apply: bool,

    /// Ask for each rewrite whether to make it, as `git add -p` does
    #[arg(short, long, conflicts_with_all = ["apply", "diff", "check", "output_format"])]
    pub interactive: bool,

    /// Print the changes as one patch, for `git apply` or `patch -p1`, and nothing else
    #[arg(long, conflicts_with = "check")]
    pub diff: bool,

    /// Exit with 1 when something would change; says which files
    #[arg(long)]
    pub check: bool,

    /// How the results are written; `--diff` and `--check` alone have forms of their own
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "diff")]
    pub output_format: Option<OutputFormat>,

    #[command(flatten)]
    pub plan: PlanArgs,

    /// A folder with templates of your own for new stages: node.Dockerfile, go.Dockerfile, …,
    /// with the placeholders of those that `dfmigrate` comes with
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,

    /// The build context of all files; by default each is looked for in compose, bake and
    /// dev container files beside and above the Dockerfile, else it is the Dockerfile's folder
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub context: Option<PathBuf>,

    /// Print the settings that hold for each PATH, and do nothing else
    #[arg(long)]
    pub show_settings: bool,

    /// With --output-format html: draw the sizes that `verify --output-format json` wrote there
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,

    /// With --apply or --interactive: also files with changes that are not committed to git
    #[arg(long, requires = "writes")]
    pub allow_dirty: bool,

    /// Build each file before and after, mend, and show (with --apply, write) only what holds,
    /// as `verify --run --repair` does and with its exit codes; every format says what was proven
    #[arg(long, conflicts_with_all = ["stdin_filename", "interactive"])]
    pub verified: bool,
    #[command(flatten)]
    pub policy: Policy,

    /// With --apply: also one of several names (hard links) of a file; the others keep the old content
    #[arg(long, requires = "apply")]
    pub allow_hard_links: bool,

    /// With --apply: also files that are read-only; they stay so
    #[arg(long, requires = "apply")]
    pub allow_read_only: bool,

    /// Threads [default: as many as there are processors]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,

    /// Also say what was looked at and left alone because something else comes first
    #[arg(short, long)]
    pub verbose: bool,

    /// Say nothing but errors and what was asked for
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Draw no bar; without this there is one where standard error is a terminal, unless
    /// standard output is a pipe or TERM is `dumb`
    #[arg(long)]
    pub no_progress: bool,

    /// Exit with 0 also where 1, 3 or 4 would say that something was found, nothing was, or
    /// some files failed
    #[arg(long)]
    pub exit_zero: bool,

    /// When to colour
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub color: Color,

    /// Don't show what is long by $DFMIGRATE_PAGER, $PAGER or `less`
    #[arg(long, global = true)]
    pub no_pager: bool,

    #[command(flatten)]
    pub registries: Registries,
}

impl Args {
    /// Whether what it prints is for a person to read, and may be long. What is
    /// written or built must not hang on a reader who has seen enough.
    pub fn is_paged(&self) -> bool {
        let read = match &self.command {
            None => {
                let format = self.output_format;
                let shown = [None, Some(OutputFormat::Full), Some(OutputFormat::Concise)];
                let writes = self.apply || self.interactive || self.verified;
                !writes && !self.check && shown.contains(&format)
            }
            Some(Command::Explain(explain)) => !explain.json,
            Some(Command::Images(images)) => images.output_format == ImagesFormat::Table,
            Some(Command::Rules) => true,
            Some(_) => false,
        };
        read && !self.no_pager
    }
}

#[derive(ClapArgs, Debug, Default)]
#[command(next_help_heading = "Registries")]
pub struct Registries {
    /// Ask registries: pin tags to digests, refresh stale ones, prove codenames
    #[arg(long, conflicts_with = "offline")]
    pub online: bool,

    /// Use no network, whatever is selected: digests come from dfmigrate.lock
    /// and from answers of earlier runs
    #[arg(long)]
    pub offline: bool,

    /// Take digests from dfmigrate.lock (with --online: from registries), and
    /// fail where that file would change
    #[arg(long)]
    pub locked: bool,

    /// Note in dfmigrate.lock what registries said
    #[arg(long, conflicts_with = "locked")]
    pub lock: bool,

    /// A platform that images are to be there for, such as linux/arm64
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<String>,

    /// Doubt digests of images younger than that, such as 3d or 12h
    #[arg(long, value_name = "AGE", value_parser = dfmigrate::settings::age)]
    pub min_age: Option<SignedDuration>,

    /// Also ask that registry, which may be in a private network
    #[arg(long, value_name = "HOST")]
    pub ask_registry: Vec<String>,

    /// Also ask that registry, in plain HTTP
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,

    /// Ask HOST before REGISTRY
    #[arg(long, value_name = "REGISTRY=HOST")]
    pub registry_mirror: Vec<String>,

    /// Let the token service at HOST have the credentials for REGISTRY
    #[arg(long, value_name = "REGISTRY=HOST")]
    pub token_host: Vec<String>,

    /// Also trust the certificate authorities of that PEM file
    #[arg(long, value_name = "FILE")]
    pub registry_ca: Vec<PathBuf>,
}

/// What is to be planned.
#[derive(ClapArgs, Clone, Debug)]
pub struct PlanArgs {
    /// Which smaller variant of an image to move to, where it has both [default: slim]
    #[arg(long, value_enum)]
    pub prefer: Option<Variant>,

    /// The lowest grade that is shown as a change and written [default: review]
    #[arg(long, value_enum)]
    pub grade: Option<Grade>,

    /// Only these rules, separated by commas
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub select: Vec<String>,

    /// Not these rules, separated by commas
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub ignore: Vec<String>,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Which settings files are read.
#[derive(ClapArgs, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Read the settings from this file, and from no other
    #[arg(long, value_name = "FILE", conflicts_with = "isolated")]
    pub config: Option<PathBuf>,

    /// Read no settings file
    #[arg(long)]
    pub isolated: bool,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Print what the parser reads, as JSON Lines, one for each file
    Inspect(Inspect),
    /// Print what is known of a tag of a Docker Official Image
    Catalog(Catalog),
    /// Build before and after, and compare: proof of what a rewrite does
    Verify(Box<Verify>),
    /// List every image reference: who stands behind it, what it is built on,
    /// how it is pinned, how long it lives
    Images(Images),
    /// Answer each line of JSON on standard input, a Dockerfile, with a line of JSON: its plan
    #[command(after_help = STREAM)]
    Stream(Stream),
    /// Bring back what the last run wrote into files, where they have not changed since
    Undo {
        /// Forget the last run instead; its files stay as they are
        #[arg(long)]
        forget: bool,
    },
    /// List the rules
    Rules,
    /// Serve an editor by the language server protocol, on standard input and output
    Lsp(PlanArgs),
    /// Print what is made from the program itself: completions, manual pages, schemas
    Generate {
        #[command(subcommand)]
        what: Generate,
    },
    /// Explain a rule, or what each command of a Dockerfile does to its image
    Explain(Explain),
}

#[derive(ClapArgs, Debug)]
#[group(required = true, multiple = true)]
pub struct Explain {
    /// The rule, such as multi-stage
    #[arg(conflicts_with = "file")]
    pub rule: Option<String>,

    /// Instead: the effects of each command of this Dockerfile's last stage, what
    /// becomes of them in a split, and what runs
    #[arg(long, value_name = "DOCKERFILE")]
    pub file: Option<PathBuf>,

    /// With --file: as one line of JSON
    #[arg(long, requires = "file")]
    pub json: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Stream {
    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub policy: Policy,

    /// Fail when other than so many lines came in
    #[arg(long, value_name = "N")]
    pub expect_count: Option<u64>,

    /// Threads [default: as many as there are processors]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
}

#[derive(ClapArgs, Debug)]
pub struct Inspect {
    /// Dockerfiles, or folders to look for them in; `-` reads one from standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Take the paths from a file (`-` is standard input), one a line or NUL-separated
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,
}

/// Which images are let in.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Policy")]
pub struct Policy {
    /// Let in images of these registries alone, such as docker.io,ghcr.io
    #[arg(long, value_name = "REGISTRY", value_delimiter = ',')]
    pub allow_registry: Vec<String>,

    /// Let in images of these classes alone
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(CLASSES))]
    pub allow_class: Vec<String>,

    /// Let in these images whatever their registry and class; owner/* is all of an owner
    #[arg(long, value_name = "IMAGE", value_delimiter = ',')]
    pub allow_image: Vec<String>,
}

#[derive(ClapArgs, Debug)]
pub struct Images {
    /// Dockerfiles, or folders to look for them in; `-` reads one from standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Take the paths from a file (`-` is standard input), one a line or NUL-separated
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,

    /// The form of the list
    #[arg(long, value_enum, default_value_t = ImagesFormat::Table)]
    pub output_format: ImagesFormat,

    /// Exit with 1 when one of these is found, separated by commas
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,

    /// Say what floating tags meant on this day (YYYY-MM-DD), or with `git` on the day when
    /// git last changed the line
    #[arg(long, value_name = "DATE|git", value_parser = as_of)]
    pub as_of: Option<AsOf>,

    /// Also list references to the file's own stages and to scratch
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    pub settings: SettingsArgs,

    #[command(flatten)]
    pub policy: Policy,

    /// Ask Docker Hub which namespaces are of verified publishers and sponsored projects
    #[arg(long, conflicts_with = "offline", help_heading = "Registries")]
    pub online: bool,

    /// Use no network: what Docker Hub said comes from earlier runs
    #[arg(long, help_heading = "Registries")]
    pub offline: bool,

    /// Also trust the certificate authorities of that PEM file
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub registry_ca: Vec<PathBuf>,
}

/// The day whose meaning of tags is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsOf {
    /// That day.
    Day(Date),
    /// For each line the day when git last changed it.
    Git,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ImagesFormat {
    /// A table for people
    Table,
    /// One object
    Json,
    /// A line for each reference
    Csv,
    /// A table for a page
    Markdown,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FailOn {
    /// Not known to be official or of a verified publisher or sponsored project, and
    /// not let in by --allow-image
    Untrusted,
    /// The version line or the distribution is past its end of life
    Eol,
    /// Its makers gave the image up
    Deprecated,
    /// The tag moves to other versions or releases
    Floating,
    /// The policy does not let it in
    Policy,
    /// What is written names no image or tag
    Unknown,
}

fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.is_dir() {
        true => Ok(path),
        false => Err("it is no folder".to_owned()),
    }
}

fn as_of(text: &str) -> Result<AsOf, String> {
    match text {
        "git" => Ok(AsOf::Git),
        _ => Date::parse(text)
            .map(AsOf::Day)
            .ok_or_else(|| "it is no day of the form YYYY-MM-DD, and not `git`".to_owned()),
    }
}

#[derive(ClapArgs, Debug)]
pub struct Catalog {
    /// An official image with or without a tag, such as node:20
    #[arg(value_name = "IMAGE[:TAG]")]
    pub image: String,
}

#[derive(Subcommand, Debug)]
pub enum Generate {
    /// The JSON Schema of `--output-format json`
    ReportSchema {
        /// Of each line of `--output-format jsonl` instead
        #[arg(long, conflicts_with = "stream")]
        lines: bool,
        /// Of each answer of `stream` instead
        #[arg(long)]
        stream: bool,
    },
    /// The JSON Schema of `verify --output-format json`
    VerifySchema,
    /// The JSON Schema of dfmigrate.toml
    ConfigSchema,
    /// The reference of all rules, as Markdown
    Rules,
    /// A script that completes commands and options in a shell
    Completions {
        /// The shell that runs it
        shell: clap_complete::Shell,
    },
    /// The manual page, in roff; read it with `man -l`
    Man {
        /// Of a command instead, such as verify
        command: Option<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OutputFormat {
    /// The explained review, with the diff
    Full,
    /// A line for each rewrite
    Concise,
    /// One patch, as --diff prints it
    Diff,
    /// One JSON document; `generate report-schema` prints its schema
    Json,
    /// A JSON document on each line: a start, each file, an end
    #[value(name = "jsonl")]
    JsonLines,
    /// SARIF 2.1.0, each rewrite with its fix
    Sarif,
    /// Annotations of GitHub Actions
    #[value(name = "github")]
    GitHub,
    /// The body of a pull request: a summary, and the details of each file
    Markdown,
    /// One page by itself: every file with its diff, all images, search
    Html,
}

impl OutputFormat {
    pub fn format(self) -> Format {
        match self {
            Self::Full => Format::Full,
            Self::Concise => Format::Concise,
            Self::Diff => Format::Diff,
            Self::Json => Format::Json,
            Self::JsonLines => Format::JsonLines,
            Self::Sarif => Format::Sarif,
            Self::GitHub => Format::GitHub,
            Self::Markdown => Format::Markdown,
            Self::Html => Format::Html,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Grade {
    /// Only what is proven to keep the meaning
    Safe,
    /// Also what a person should look at
    Review,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Variant {
    /// Of the same distribution and C library
    Slim,
    /// Alpine, where everything is known to run there
    Alpine,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl Color {
    pub fn choice(self) -> anstream::ColorChoice {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
    }
}
