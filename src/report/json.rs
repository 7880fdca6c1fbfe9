//! JSON and JSON Lines: the whole plan as data.
//!
//! The types here are the format. Their comments are the descriptions in the
//! published schema; a change that takes something away or gives it another
//! meaning raises [`VERSION`].

use schemars::JsonSchema;
use serde::Serialize;

use super::safe::json_ascii;
use super::{Counts, FileReport, Mode, Outcome, Proof, Renderer, Run, patch};
use crate::plan::{self, Reason};
use crate::rules;
use crate::text::{Lines, Span};

/// The version of the format.
pub const VERSION: u32 = 1;

/// What `dfmigrate` proposes for a set of files: one document.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "dfmigrate report")]
struct Report {
    #[serde(flatten)]
    head: Head,
    /// The files, in path order.
    files: Vec<File>,
    #[serde(flatten)]
    tail: Tail,
}

/// A line of the JSON Lines form: one start, a line for each file, one end.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[schemars(title = "dfmigrate report line")]
enum Line {
    /// The first line.
    Start(Head),
    /// A file.
    File(File),
    /// The last line: where it is missing, the run did not end.
    End(Tail),
}

/// What is known before any file was looked at.
#[derive(Serialize, JsonSchema)]
struct Head {
    /// The version of this format; a program that reads it refuses a higher one.
    version: u32,
    /// The program.
    tool: Tool,
    /// The offline knowledge that all proofs rest on.
    catalog: Catalog,
    /// What the run does with its proposals.
    mode: ModeName,
}

#[derive(Serialize, JsonSchema)]
struct Tool {
    /// Always `dfmigrate`.
    name: &'static str,
    /// Its version.
    version: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct Catalog {
    /// The day as of which it is true, as `YYYY-MM-DD`.
    as_of: String,
    /// The repository it was made from.
    repository: &'static str,
    /// The commit of that repository.
    commit: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ModeName {
    /// It shows them.
    Review,
    /// It shows them, and its exit code says whether there are any.
    Check,
    /// It writes them.
    Apply,
}

/// One file.
#[derive(Serialize, JsonSchema)]
pub(super) struct File {
    /// The path as it was given, joined with the way below it.
    path: String,
    /// Whether the chosen rewrites change it.
    changes: bool,
    /// Why it could not be worked on; null when it could.
    error: Option<String>,
    /// Where a builder would refuse it.
    syntax_errors: Vec<SyntaxError>,
    /// Whether the file is UTF-8. Where it is not, the bytes that are none are
    /// U+FFFD in the texts here.
    utf8: bool,
    /// The rewrites that are made, in order of place.
    rewrites: Vec<Rewrite>,
    /// Rewrites that were proposed and are held back.
    held: Vec<Held>,
    /// What the rules looked at and left alone.
    left_alone: Vec<LeftAlone>,
    /// Comments of the file that suppress nothing.
    unused_suppressions: Vec<UnusedSuppression>,
    /// The change as a unified diff, as `git apply` and `patch -p1` take it;
    /// null when there is none.
    diff: Option<String>,
    /// What building it before and after has shown; only with `--verified`.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Box<Proof>>,
}

#[derive(Serialize, JsonSchema)]
struct SyntaxError {
    /// The line, from 1.
    line: usize,
    /// What is wrong.
    message: String,
}

/// A proposal: all of its edits are made, or none.
#[derive(Serialize, JsonSchema)]
struct Rewrite {
    /// The rule that proposes it.
    rule: &'static str,
    /// What it does, in one line.
    title: String,
    /// How sure it is.
    grade: Grade,
    /// What it is about.
    location: Location,
    /// The proofs and reasons.
    because: Vec<String>,
    /// Each doubt. A rewrite with one is never `safe`.
    caveats: Vec<String>,
    /// The edits, in order of place, all against the file as it was.
    edits: Vec<Edit>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    /// Said, never written.
    Manual,
    /// A person should look before it is merged.
    Review,
    /// Proven to keep the meaning.
    Safe,
}

#[derive(Serialize, JsonSchema)]
struct Edit {
    /// The bytes that are replaced; empty for an insertion.
    location: Location,
    /// What stands there afterwards.
    replacement: String,
}

/// A rewrite that is not made.
#[derive(Serialize, JsonSchema)]
struct Held {
    #[serde(flatten)]
    rewrite: Rewrite,
    /// Why it is held back.
    held_because: HeldBecause,
}

#[derive(Serialize, JsonSchema)]
struct HeldBecause {
    /// The kind of the reason.
    kind: HeldKind,
    /// The reason in words.
    message: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum HeldKind {
    /// Its grade is under the one asked for.
    BelowGrade,
    /// It changes the same bytes as another one.
    Conflict,
    /// A comment in the file asks for it to be left.
    Suppressed,
    /// The settings say to leave that image.
    Settings,
    /// It would break a law.
    BreaksLaw,
    /// Builds before and after do not bear it out.
    Unproven,
}

/// Something that a rule looked at and left alone.
#[derive(Serialize, JsonSchema)]
struct LeftAlone {
    /// The rule.
    rule: &'static str,
    /// What stands in the way.
    location: Location,
    /// Why.
    why: String,
    /// What a person can do about it.
    remedy: Option<String>,
    /// Whether a rewrite that is made does the work of this rule as well.
    superseded: bool,
}

/// A comment that suppresses nothing.
#[derive(Serialize, JsonSchema)]
struct UnusedSuppression {
    /// The comment.
    location: Location,
    /// What is wrong with it.
    why: String,
}

/// A half-open range of the file.
#[derive(Serialize, JsonSchema)]
struct Location {
    /// Its first byte.
    start: Position,
    /// Just past its last byte.
    end: Position,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Position {
    /// Bytes from the start of the file.
    offset: u32,
    /// The line, from 1.
    pub(super) line: usize,
    /// The column in Unicode code points, from 1.
    pub(super) column: usize,
}

/// What is known when all files were looked at.
#[derive(Serialize, JsonSchema)]
struct Tail {
    /// What could not be looked at or written, besides the files' own errors.
    problems: Vec<Problem>,
    /// The counts.
    summary: Summary,
}

#[derive(Clone, Serialize, JsonSchema)]
struct Problem {
    /// The path.
    path: String,
    /// What is wrong, and what to do.
    message: String,
}

#[derive(Serialize, JsonSchema)]
struct Summary {
    /// Files that were looked at.
    files: usize,
    /// Files that would change; with `--apply`, that were written.
    changed: usize,
    /// Rewrites that are made and are safe.
    safe: usize,
    /// Rewrites that are made and to be reviewed.
    review: usize,
    /// Rewrites held back.
    held: usize,
    /// Things that were left alone.
    left_alone: usize,
    /// Paths that could not be looked at, read, parsed or written.
    failed: usize,
}

/// The column of a byte in code points, from 1; bytes that are not UTF-8 count
/// as the replacement characters that stand for them.
fn position(source: &[u8], lines: &Lines, offset: u32) -> Position {
    let line = lines.line(offset);
    let start = lines.range(line).start;
    let before = String::from_utf8_lossy(&source[start..offset as usize]);
    Position {
        offset,
        line,
        column: before.chars().count() + 1,
    }
}

/// Places in one file.
pub(super) struct At<'a> {
    source: &'a [u8],
    lines: &'a Lines,
}

impl<'a> At<'a> {
    pub(super) fn of(plan: &'a plan::Plan) -> Self {
        Self {
            source: plan.before.source(),
            lines: plan.before.lines(),
        }
    }

    pub(super) fn position(&self, offset: u32) -> Position {
        position(self.source, self.lines, offset)
    }

    fn location(&self, span: Span) -> Location {
        Location {
            start: self.position(span.start),
            end: self.position(span.end),
        }
    }

    fn rewrite(&self, rewrite: &rules::Rewrite) -> Rewrite {
        Rewrite {
            rule: rewrite.rule,
            title: rewrite.title.clone(),
            grade: match rewrite.safety() {
                rules::Safety::Manual => Grade::Manual,
                rules::Safety::Review => Grade::Review,
                rules::Safety::Safe => Grade::Safe,
            },
            location: self.location(rewrite.at),
            because: rewrite.because.clone(),
            caveats: rewrite.caveats().to_vec(),
            edits: rewrite
                .edits
                .iter()
                .map(|edit| Edit {
                    location: self.location(edit.span),
                    replacement: edit.text.to_string(),
                })
                .collect(),
        }
    }

    fn held(&self, held: &plan::Held) -> Held {
        Held {
            rewrite: self.rewrite(&held.rewrite),
            held_because: HeldBecause {
                kind: match held.reason {
                    Reason::BelowGrade => HeldKind::BelowGrade,
                    Reason::Conflict(_) => HeldKind::Conflict,
                    Reason::Suppressed(_) => HeldKind::Suppressed,
                    Reason::Settings(_) => HeldKind::Settings,
                    Reason::Breaks(_) => HeldKind::BreaksLaw,
                    Reason::Unproven(_) => HeldKind::Unproven,
                },
                message: held.reason.to_string(),
            },
        }
    }
}

impl File {
    pub(super) fn of(file: &FileReport<'_>) -> Self {
        let error = file.failure();
        let path = file.shown.to_owned();
        let Outcome::Planned(plan) = file.outcome else {
            return Self {
                path,
                changes: false,
                error,
                syntax_errors: Vec::new(),
                utf8: true,
                rewrites: Vec::new(),
                held: Vec::new(),
                left_alone: Vec::new(),
                unused_suppressions: Vec::new(),
                diff: None,
                verification: None,
            };
        };
        let source = plan.before.source();
        let at = At::of(plan);
        let errors = plan.errors().iter();
        Self {
            path,
            changes: plan.changes(),
            error,
            syntax_errors: errors
                .map(|error| SyntaxError {
                    line: error.line,
                    message: error.message.to_string(),
                })
                .collect(),
            utf8: std::str::from_utf8(source).is_ok(),
            rewrites: plan.chosen.iter().map(|it| at.rewrite(it)).collect(),
            held: plan.held.iter().map(|it| at.held(it)).collect(),
            left_alone: plan
                .refusals
                .iter()
                .map(|refusal| LeftAlone {
                    rule: refusal.rule,
                    location: at.location(refusal.at),
                    why: refusal.why.clone(),
                    remedy: refusal.remedy.clone(),
                    superseded: plan.supersedes(refusal),
                })
                .collect(),
            unused_suppressions: plan
                .unused
                .iter()
                .map(|unused| UnusedSuppression {
                    location: at.location(unused.at),
                    why: unused.why.clone(),
                })
                .collect(),
            diff: plan.changes().then(|| {
                String::from_utf8_lossy(&patch(file.patch_name, source, &plan.after)).into_owned()
            }),
            verification: file.proof.cloned().map(Box::new),
        }
    }
}

impl Head {
    fn of(run: &Run) -> Self {
        Self {
            version: VERSION,
            tool: Tool {
                name: "dfmigrate",
                version: run.version,
            },
            catalog: Catalog {
                as_of: run.as_of.clone(),
                repository: run.repository,
                commit: run.commit,
            },
            mode: match run.mode {
                Mode::Review => ModeName::Review,
                Mode::Check => ModeName::Check,
                Mode::Apply => ModeName::Apply,
            },
        }
    }
}

impl Tail {
    fn of(problems: &[Problem], counts: &Counts) -> Self {
        Self {
            problems: problems.to_vec(),
            summary: Summary {
                files: counts.files,
                changed: counts.changed,
                safe: counts.safe,
                review: counts.review,
                held: counts.held,
                left_alone: counts.left,
                failed: counts.failed,
            },
        }
    }
}

pub(super) fn line(value: &impl Serialize) -> String {
    json_ascii(serde_json::to_string(value).expect("strings and numbers serialize"))
}

/// One JSON document, a file on each line.
pub(super) struct Json {
    run: Run,
    problems: Vec<Problem>,
    first: bool,
}

impl Json {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            problems: Vec::new(),
            first: true,
        }
    }
}

impl Renderer for Json {
    fn patches(&self) -> bool {
        true
    }

    fn head(&mut self) -> String {
        let head = line(&Head::of(&self.run));
        // The document goes on where the head ends.
        format!("{},\"files\":[", head.strip_suffix('}').unwrap_or(&head))
    }

    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        line(&File::of(file)).into_bytes()
    }

    fn next(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let separator: &[u8] = if self.first { b"\n" } else { b",\n" };
        self.first = false;
        [separator, &piece].concat()
    }

    fn problem(&mut self, shown: &str, message: &str) {
        self.problems.push(Problem {
            path: shown.to_owned(),
            message: message.to_owned(),
        });
    }

    fn tail(&mut self, counts: &Counts) -> String {
        let tail = line(&Tail::of(&self.problems, counts));
        format!("\n],{}\n", tail.strip_prefix('{').unwrap_or(&tail))
    }
}

/// JSON Lines.
pub(super) struct JsonLines {
    run: Run,
    problems: Vec<Problem>,
}

impl JsonLines {
    pub(super) fn new(run: Run) -> Self {
        Self {
            run,
            problems: Vec::new(),
        }
    }
}

impl Renderer for JsonLines {
    fn patches(&self) -> bool {
        true
    }

    fn head(&mut self) -> String {
        line(&Line::Start(Head::of(&self.run))) + "\n"
    }

    fn file(&self, file: &FileReport<'_>) -> Vec<u8> {
        (line(&Line::File(File::of(file))) + "\n").into_bytes()
    }

    fn problem(&mut self, shown: &str, message: &str) {
        self.problems.push(Problem {
            path: shown.to_owned(),
            message: message.to_owned(),
        });
    }

    fn tail(&mut self, counts: &Counts) -> String {
        line(&Line::End(Tail::of(&self.problems, counts))) + "\n"
    }
}

pub(super) fn schema<T: JsonSchema>() -> String {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// The JSON Schema (draft 2020-12) of `--output-format json`.
#[must_use]
pub fn report_schema() -> String {
    schema::<Report>()
}

/// The JSON Schema of each line of `--output-format jsonl`.
#[must_use]
pub fn report_line_schema() -> String {
    schema::<Line>()
}
