//! What every format has in common: a run is a head, one piece for each file
//! in path order, and a tail, so that no more than a batch of files is in
//! memory at once.

use super::{Counts, PatchName, Proof, failure};
use crate::catalog::Date;
use crate::plan::Plan;

/// The formats of `--output-format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The explained review.
    Full,
    /// The names of the files that would change.
    Names,
    /// A line for each rewrite.
    Concise,
    /// One patch.
    Diff,
    /// One JSON document.
    Json,
    /// A JSON document on each line.
    JsonLines,
    /// SARIF 2.1.0.
    Sarif,
    /// Annotations of GitHub Actions.
    GitHub,
    /// The body of a pull request.
    Markdown,
    /// One page for a whole tree.
    Html,
}

/// What a run does with its plans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It shows them.
    Review,
    /// It says by its exit code whether there is something to do.
    Check,
    /// It writes them.
    Apply,
}

/// What a report says of the run itself.
#[derive(Clone, Debug)]
pub struct Run {
    /// The version of the program.
    pub version: &'static str,
    /// The day of the catalogue, as `YYYY-MM-DD`.
    pub as_of: String,
    /// The repository that the catalogue was made from.
    pub repository: &'static str,
    /// Its commit.
    pub commit: &'static str,
    /// The day of the run, from which days left are counted.
    pub today: Date,
    /// What is done with the plans.
    pub mode: Mode,
    /// Also say what was left alone because something else comes first.
    pub all: bool,
    /// Leave out everything but what was asked for.
    pub quiet: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// How wide it is.
    pub width: super::Width,
    /// What builds of the files showed, where that is known.
    pub measured: super::Measured,
}

/// What came of one file.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It was read; its plan may be empty, or have syntax errors.
    Planned(&'a Plan),
    /// It could not be read or worked on, and why.
    Failed(&'a str),
}

/// One file of a run.
#[derive(Clone, Copy, Debug)]
pub struct FileReport<'a> {
    /// The path as the user gave it.
    pub shown: &'a str,
    /// The path in normal form: relative to the current folder where it lies
    /// below that, and without `.` parts.
    pub path: &'a str,
    /// What a patch calls it; only asked for where something changes.
    pub patch_name: &'a PatchName,
    /// What came of it.
    pub outcome: Outcome<'a>,
    /// What building it has shown, where it was built.
    pub proof: Option<&'a Proof>,
}

impl FileReport<'_> {
    /// Why the file could not be worked on, in one line; `None` when it could.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match self.outcome {
            Outcome::Failed(why) => Some(why.to_owned()),
            Outcome::Planned(plan) if plan.errors().is_empty() => None,
            Outcome::Planned(plan) => Some(failure::reason(plan)),
        }
    }
}

/// Writes a run in one format. [`Renderer::file`] may be called from many
/// threads; all else is called in order.
pub trait Renderer: Sync {
    /// What stands before all files.
    fn head(&mut self) -> String {
        String::new()
    }

    /// One file. Nothing else is known of the run yet.
    fn file(&self, file: &FileReport<'_>) -> Vec<u8>;

    /// The piece of the next file in order, as it is to be written now.
    fn next(&mut self, piece: Vec<u8>) -> Vec<u8> {
        piece
    }

    /// Notes what went wrong outside of [`Renderer::file`]: a path that could
    /// not be looked at, a file that could not be written.
    fn problem(&mut self, shown: &str, message: &str) {
        let _ = (shown, message);
    }

    /// What stands after all files.
    fn tail(&mut self, counts: &Counts) -> String {
        let _ = counts;
        String::new()
    }

    /// Whether the text has colours for a terminal, to be taken out where it
    /// does not go to one. All else is written byte for byte.
    fn styled(&self) -> bool {
        false
    }

    /// Whether there are patches in it, which name the files from one folder.
    fn patches(&self) -> bool {
        false
    }
}

/// The renderer of a format.
#[must_use]
pub fn renderer(format: Format, run: Run) -> Box<dyn Renderer> {
    match format {
        Format::Full => Box::new(super::text::Full::new(run)),
        Format::Names => Box::new(super::text::Names::new(run)),
        Format::Concise => Box::new(super::text::Concise::new(run)),
        Format::Diff => Box::new(super::text::Patch::new(run)),
        Format::Json => Box::new(super::json::Json::new(run)),
        Format::JsonLines => Box::new(super::json::JsonLines::new(run)),
        Format::Sarif => Box::new(super::sarif::Sarif::new(run)),
        Format::GitHub => Box::new(super::github::GitHub::new(&run)),
        Format::Html => Box::new(super::page::Page::new(run)),
        Format::Markdown => Box::new(super::markdown::Markdown::new(run)),
    }
}
