//! The inventory of image references: a table for people, JSON, CSV, Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::{style, visible};
use crate::catalog::life::{self, End};
use crate::catalog::{self, Date};
use crate::model::identity::{self, Asking, Concern, Identity, Standing};
use crate::model::trust::{self, Class};
use crate::model::{ImageUse, Model};

/// One reference, as it is reported.
#[derive(Serialize, Clone, Debug)]
pub struct Row {
    /// The file, as it was named.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// FROM, COPY --from, RUN --mount from, # syntax.
    pub place: &'static str,
    /// The ARG in whose default it stands.
    pub argument: Option<String>,
    /// The text in the file.
    pub written: String,
    /// The image without tag and digest; none for a stage of the file itself.
    pub image: Option<String>,
    /// The registry.
    pub registry: Option<String>,
    /// The tag that a builder asks for.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<String>,
    /// The class of trust, `stage`, or `scratch`.
    pub trust: &'static str,
    /// Why the class is not known, or of which official image it is a copy.
    pub trust_note: Option<String>,
    /// The version at its most precise.
    pub version: Option<String>,
    /// The version line.
    pub version_line: Option<&'static str>,
    /// `full`, `slim`, `alpine`, `windows`.
    pub kind: Option<&'static str>,
    /// The distribution.
    pub distribution: Option<&'static str>,
    /// Its release.
    pub release: Option<&'static str>,
    /// How it is pinned.
    pub pinned: &'static str,
    /// Whether the tag is in the official-images library: `present`, `gone`,
    /// `never`.
    pub library: Option<&'static str>,
    /// When it left.
    pub gone_since: Option<String>,
    /// The end of life of the version line: a day, `over` or `open`.
    pub line_end: Option<String>,
    /// The days left of that, negative after it.
    pub line_days_left: Option<i32>,
    /// The end of free support of the distribution's release.
    pub release_end: Option<String>,
    /// The days left of that.
    pub release_days_left: Option<i32>,
    /// The notice of deprecation.
    pub deprecation: Option<&'static str>,
    /// The images that the notice names instead.
    pub successors: Vec<&'static str>,
    /// What the tag meant on the day that was asked for.
    pub then: Option<Then>,
    /// What to look at.
    pub concerns: Vec<Note>,
}

/// What a tag meant on a day.
#[derive(Serialize, Clone, Debug)]
pub struct Then {
    /// The day.
    pub day: String,
    /// What it was built on.
    pub base: Option<&'static str>,
    /// Its version.
    pub version: Option<&'static str>,
    /// It had left the library by then.
    pub gone: bool,
}

/// Something to look at.
#[derive(Serialize, Clone, Debug)]
pub struct Note {
    /// What sort of thing, by its name.
    pub kind: &'static str,
    /// The words for it.
    pub text: String,
}

/// The forms of the inventory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For people.
    Table,
    /// One object.
    Json,
    /// One line for each reference, with a head line.
    Csv,
    /// A table for a page.
    Markdown,
}

/// The references of one file, in order of place. `written_on` says when a line
/// was written, where the meaning of that day is wanted.
#[must_use]
pub fn inventory(
    shown: &str,
    model: &Model<'_>,
    asking: &Asking<'_>,
    written_on: &dyn Fn(usize) -> Option<Date>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for image in &model.images {
        let asking = Asking {
            as_of: asking.as_of.or_else(|| written_on(image.line)),
            ..*asking
        };
        let identity = identity::identify(image, &asking);
        rows.push(row(shown, image, &identity, &asking));
    }
    for local in &model.locals {
        rows.push(Row {
            line: local.line,
            place: local.place.name(),
            written: local.written.clone(),
            trust: if local.stage.is_some() {
                "stage"
            } else {
                "scratch"
            },
            pinned: "-",
            ..empty(shown)
        });
    }
    rows.sort_by_key(|row| row.line);
    rows
}

fn empty(shown: &str) -> Row {
    Row {
        file: shown.to_owned(),
        line: 0,
        place: "",
        argument: None,
        written: String::new(),
        image: None,
        registry: None,
        tag: None,
        digest: None,
        trust: "",
        trust_note: None,
        version: None,
        version_line: None,
        kind: None,
        distribution: None,
        release: None,
        pinned: "",
        library: None,
        gone_since: None,
        line_end: None,
        line_days_left: None,
        release_end: None,
        release_days_left: None,
        deprecation: None,
        successors: Vec::new(),
        then: None,
        concerns: Vec::new(),
    }
}

fn row(shown: &str, image: &ImageUse, identity: &Identity, asking: &Asking<'_>) -> Row {
    let today = asking.today;
    let reference = image.reference.as_ref().ok();
    let end = identity.line.and_then(|line| line.end);
    let release_end = identity.release.and_then(life::free_end);
    let base = identity.entry.and_then(|entry| entry.base);
    let (library, gone) = match identity.standing {
        Standing::Present => (Some("present"), None),
        Standing::Gone(day) => (Some("gone"), Some(day.to_string())),
        Standing::Never => (Some("never"), None),
        Standing::NotOfficial | Standing::NoTag => (None, None),
    };
    Row {
        line: image.line,
        place: image.place.name(),
        argument: identity::argument(image).map(str::to_owned),
        written: image.written.clone(),
        image: reference.map(crate::image::Reference::familiar_name),
        registry: reference.map(|reference| reference.domain().to_owned()),
        tag: reference.and_then(|r| r.effective_tag().map(str::to_owned)),
        digest: reference.and_then(|r| r.digest().map(str::to_owned)),
        trust: identity.class.name(),
        trust_note: match &identity.class {
            Class::Unknown(why) => Some(why.clone()),
            Class::Official { copy: Some(copy) } => Some(format!("{}: {}", copy.place, copy.what)),
            _ => reference
                .and_then(|reference| trust::told_on(reference, asking.trust))
                .map(|at| {
                    format!(
                        "Docker Hub says so, as of {}",
                        at.strftime("%Y-%m-%d %H:%M UTC")
                    )
                }),
        },
        version: identity.version.clone(),
        version_line: identity.line.map(|line| line.name),
        kind: identity.kind().map(catalog::Kind::as_str),
        distribution: base.map(|base| base.family),
        release: base.map(|base| base.release),
        pinned: identity.pinned.name(),
        library,
        gone_since: gone,
        line_end: end.map(|end| match end {
            End::On(day) => day.to_string(),
            End::Over => "over".to_owned(),
            End::Open => "open".to_owned(),
        }),
        line_days_left: end.and_then(|end| end.days_left(today)),
        release_end: release_end.map(|day| day.to_string()),
        release_days_left: release_end.map(|day| day.days() - today.days()),
        deprecation: identity.deprecation.map(|notice| notice.notice),
        successors: identity
            .deprecation
            .into_iter()
            .flat_map(|notice| notice.successors())
            .collect(),
        then: identity.past.map(|(day, past)| Then {
            day: day.to_string(),
            base: past.base,
            version: past.version,
            gone: past.gone,
        }),
        concerns: identity
            .concerns
            .iter()
            .map(|(concern, text)| Note {
                kind: concern.name(),
                text: text.clone(),
            })
            .collect(),
        ..empty(shown)
    }
}

impl Row {
    /// Whether it has that concern.
    #[must_use]
    pub fn has(&self, concern: Concern) -> bool {
        self.concerns.iter().any(|note| note.kind == concern.name())
    }

    /// Whether it names an image, rather than a stage or `scratch`.
    #[must_use]
    pub fn is_image(&self) -> bool {
        !["stage", "scratch"].contains(&self.trust)
    }

    /// The reference as people write it.
    pub(super) fn name(&self) -> String {
        let Some(image) = &self.image else {
            return self.written.clone();
        };
        let tag = self
            .tag
            .as_ref()
            .map_or_else(String::new, |tag| format!(":{tag}"));
        let digest = self.digest.as_ref().map_or("", |_| "@sha256:…");
        format!("{image}{tag}{digest}")
    }

    pub(super) fn base(&self) -> String {
        let release = match (self.distribution, self.release) {
            (Some(family), Some(release)) => format!("{family} {release}"),
            _ => return "-".to_owned(),
        };
        match self.kind {
            Some("slim") => format!("{release} (slim)"),
            _ => release,
        }
    }

    pub(super) fn ends(&self) -> [String; 2] {
        let left = |days: Option<i32>| match days {
            Some(days) if days < 0 => format!(" ({} d ago)", -days),
            Some(days) => format!(" ({days} d left)"),
            None => String::new(),
        };
        let line = self.line_end.as_ref().map(|end| {
            let name = self.version_line.unwrap_or_default();
            format!("{name}: {end}{}", left(self.line_days_left))
        });
        let release = self
            .release_end
            .as_ref()
            .map(|end| format!("{end}{}", left(self.release_days_left)));
        [line, release].map(|end| end.unwrap_or_else(|| "-".to_owned()))
    }

    fn library(&self) -> String {
        match (&self.library, &self.gone_since) {
            (Some(_), Some(day)) => format!("gone {day}"),
            (Some(word), None) => (*word).to_owned(),
            (None, _) => "-".to_owned(),
        }
    }

    fn place(&self) -> String {
        match &self.argument {
            Some(name) => format!("{} (ARG {name})", self.place),
            None => self.place.to_owned(),
        }
    }
}

/// Counts over all references.
#[derive(Serialize, Clone, Debug, Default)]
pub struct Totals {
    /// Files that were looked at.
    pub files: usize,
    /// References to images.
    pub references: usize,
    /// Different images, by name and tag.
    pub images: usize,
    /// References by class of trust.
    pub trust: BTreeMap<&'static str, usize>,
    /// References to the file's own stages.
    pub stages: usize,
    /// `FROM scratch`.
    pub scratch: usize,
    /// References by how they are pinned.
    pub pinned: BTreeMap<&'static str, usize>,
    /// References by what to look at.
    pub concerns: BTreeMap<&'static str, usize>,
    /// References of Docker Hub whose class is not known.
    #[serde(skip)]
    hub: usize,
}

/// The counts over all references.
#[must_use]
pub fn totals(files: usize, rows: &[Row]) -> Totals {
    let mut totals = Totals {
        files,
        ..Totals::default()
    };
    let mut images = BTreeSet::new();
    for row in rows {
        match row.trust {
            "stage" => totals.stages += 1,
            "scratch" => totals.scratch += 1,
            class => {
                totals.references += 1;
                images.insert((row.name(), row.digest.as_deref()));
                *totals.trust.entry(class).or_default() += 1;
                let named = row.has(Concern::NoSuchImage) || row.image.is_none();
                totals.hub += usize::from(class == "unknown" && !named);
                *totals.pinned.entry(row.pinned).or_default() += 1;
                let kinds: BTreeSet<&str> = row.concerns.iter().map(|note| note.kind).collect();
                for kind in kinds {
                    *totals.concerns.entry(kind).or_default() += 1;
                }
            }
        }
    }
    totals.images = images.len();
    totals
}

impl Totals {
    /// What to know of the counts, a line each.
    fn remarks(&self, today: Date) -> Vec<String> {
        let mut lines = Vec::new();
        if self.hub > 0 {
            lines.push(format!(
                "Whether {} of unknown class {} of a verified publisher or sponsored project only Docker Hub can say: --online asks it.",
                self.hub,
                if self.hub == 1 { "is" } else { "are" },
            ));
        }
        lines.push(format!(
            "Days are counted from {today}; the catalogue is of {}.",
            catalog::source().as_of
        ));
        lines
    }

    /// The counts in a sentence or two.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count =
            |map: &BTreeMap<&'static str, usize>, key: &str| map.get(key).copied().unwrap_or(0);
        let mut out = format!(
            "{} in {}, {}:",
            plural(self.references, "reference", "references"),
            plural(self.files, "file", "files"),
            plural(self.images, "image", "images"),
        );
        let classes = [
            ("official", "official"),
            ("verified-publisher", "of verified publishers"),
            ("sponsored-open-source", "of sponsored open source"),
            ("other", "other"),
            ("unknown", "of unknown class"),
        ];
        let said: Vec<String> = classes
            .into_iter()
            .filter_map(|(key, words)| match count(&self.trust, key) {
                0 => None,
                count => Some(format!("{count} {words}")),
            })
            .collect();
        let _ = write!(
            out,
            " {}",
            if said.is_empty() {
                "none".to_owned()
            } else {
                said.join(", ")
            }
        );
        let concerns = [
            ("floating", "floating"),
            ("eol", "past the end of life"),
            ("deprecated", "deprecated"),
            ("policy", "against the policy"),
            ("no-such-tag", "with a tag that never was"),
            ("no-such-image", "without an image of that name"),
            ("unresolved", "not resolved"),
        ];
        let said: Vec<String> = concerns
            .into_iter()
            .filter_map(|(key, words)| match count(&self.concerns, key) {
                0 => None,
                count => Some(format!("{count} {words}")),
            })
            .collect();
        if !said.is_empty() {
            let _ = write!(out, "; {}", said.join(", "));
        }
        if self.stages + self.scratch > 0 {
            let _ = write!(
                out,
                "; besides {} to own stages and {} to scratch",
                self.stages, self.scratch
            );
        }
        out
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The whole inventory. `all` also shows the file's own stages and `scratch`.
///
/// # Errors
/// When the text can't be made: never, but for lack of memory.
pub fn inventory_text(
    form: Form,
    files: usize,
    rows: &[Row],
    today: Date,
    all: bool,
) -> Result<String, String> {
    let totals = totals(files, rows);
    let shown: Vec<&Row> = rows.iter().filter(|row| all || row.is_image()).collect();
    match form {
        Form::Table => Ok(table(&shown, &totals, today)),
        Form::Markdown => Ok(markdown(&shown, &totals, today)),
        Form::Json => {
            #[derive(Serialize)]
            struct Inventory<'a> {
                schema: u32,
                today: String,
                catalogue_as_of: String,
                totals: &'a Totals,
                references: &'a [&'a Row],
            }
            let inventory = Inventory {
                schema: 1,
                today: today.to_string(),
                catalogue_as_of: catalog::source().as_of.to_string(),
                totals: &totals,
                references: &shown,
            };
            let text = serde_json::to_string_pretty(&inventory).map_err(|e| e.to_string())?;
            Ok(text + "\n")
        }
        Form::Csv => csv(&shown),
    }
}

/// The columns of the table and of Markdown.
fn cells(row: &Row, then: bool) -> Vec<String> {
    let [line, release] = row.ends();
    let mut cells = vec![
        row.name(),
        row.trust.to_owned(),
        row.base(),
        row.pinned.to_owned(),
        row.library(),
        line,
        release,
    ];
    if then {
        cells.push(row.then.as_ref().map_or_else(
            || "-".to_owned(),
            |then| {
                let parts = [then.version, then.base];
                let gone = if then.gone { ", gone" } else { "" };
                let parts: Vec<&str> = parts.into_iter().flatten().collect();
                format!("{}: {}{gone}", then.day, parts.join(" on "))
            },
        ));
    }
    cells.push(format!("{}:{}", row.file, row.line));
    cells.push(row.place());
    cells
}

fn heads(then: bool) -> Vec<&'static str> {
    let mut heads = vec![
        "IMAGE",
        "TRUST",
        "BASE",
        "PINNED",
        "LIBRARY",
        "LINE ENDS",
        "BASE ENDS",
    ];
    if then {
        heads.push("THEN");
    }
    heads.extend(["WHERE", "PLACE"]);
    heads
}

fn table(rows: &[&Row], totals: &Totals, today: Date) -> String {
    let mut out = String::new();
    let then = rows.iter().any(|row| row.then.is_some());
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cells = cells(row, then);
            cells
                .iter()
                .map(|cell| visible(cell).into_owned())
                .collect()
        })
        .collect();
    let heads = heads(then);
    let widths: Vec<usize> = (0..heads.len())
        .map(|at| {
            let cells = lines.iter().map(|line| line[at].chars().count());
            cells.chain([heads[at].len()]).max().unwrap_or(0)
        })
        .collect();
    let (bold, old, doubt, dim) = (style::PATH, style::OLD, style::DOUBT, style::DIM);
    if !rows.is_empty() {
        let line: Vec<String> = heads
            .iter()
            .zip(&widths)
            .map(|(head, width)| format!("{head:<width$}"))
            .collect();
        let _ = writeln!(out, "{bold}{}{bold:#}", line.join("  ").trim_end());
    }
    for (row, line) in rows.iter().zip(&lines) {
        let colour = if row.has(Concern::EndOfLife) || row.has(Concern::Deprecated) {
            Some(old)
        } else if row.concerns.is_empty() {
            None
        } else {
            Some(doubt)
        };
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let last = at + 1 == line.len();
            let pad = if last {
                0
            } else {
                width + 2 - cell.chars().count()
            };
            match colour.filter(|_| at == 0) {
                Some(colour) => {
                    let _ = write!(out, "{colour}{cell}{colour:#}{:pad$}", "");
                }
                None => {
                    let _ = write!(out, "{cell}{:pad$}", "");
                }
            }
        }
        out.push('\n');
    }
    let notes = notes(rows);
    if !notes.is_empty() {
        let _ = writeln!(out, "\n{bold}To look at{bold:#}");
        for (text, places) in notes {
            let shown = places
                .iter()
                .take(3)
                .map(|place| visible(place).into_owned());
            let shown: Vec<String> = shown.collect();
            let more = match places.len().saturating_sub(3) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let _ = writeln!(
                out,
                "  {}\n      {dim}{}{more}{dim:#}",
                visible(&text),
                shown.join(", ")
            );
        }
    }
    if !rows.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", totals.sentence());
    for line in totals.remarks(today) {
        let _ = writeln!(out, "{dim}{line}{dim:#}");
    }
    out
}

/// What to look at, each once, with the places; floating tags and classes of
/// trust stand in the table.
fn notes(rows: &[&Row]) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        for note in &row.concerns {
            let in_table = [Concern::Floating, Concern::Untrusted].map(Concern::name);
            if in_table.contains(&note.kind) {
                continue;
            }
            let place = format!("{}:{}", row.file, row.line);
            let at = *seen.entry(note.text.clone()).or_insert_with(|| {
                found.push((note.text.clone(), Vec::new()));
                found.len() - 1
            });
            if found[at].1.last() != Some(&place) {
                found[at].1.push(place);
            }
        }
    }
    found
}

/// A text as a cell of a table in Markdown: one line, and inert.
pub(crate) fn cell(text: &str) -> String {
    let text = visible(text).replace('\\', "\\\\").replace('|', "\\|");
    text.replace(['\n', '\t'], " ").replace('<', "&lt;")
}

fn markdown(rows: &[&Row], totals: &Totals, today: Date) -> String {
    let then = rows.iter().any(|row| row.then.is_some());
    let mut out = format!("# Images\n\n{}\n\n", totals.sentence());
    for line in totals.remarks(today) {
        let _ = writeln!(out, "{line}");
    }
    if rows.is_empty() {
        return out;
    }
    let heads = heads(then);
    let _ = write!(
        out,
        "\n| {} |\n|{}\n",
        heads.join(" | ").to_lowercase(),
        " --- |".repeat(heads.len())
    );
    for row in rows {
        let cells: Vec<String> = cells(row, then).iter().map(|text| cell(text)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let notes = notes(rows);
    if !notes.is_empty() {
        out.push_str("\n## To look at\n\n");
        for (text, places) in notes {
            let _ = writeln!(out, "- {}: {}", cell(&text), cell(&places.join(", ")));
        }
    }
    out
}

fn csv(rows: &[&Row]) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heads = [
        "file",
        "line",
        "place",
        "argument",
        "written",
        "image",
        "registry",
        "tag",
        "digest",
        "trust",
        "version",
        "version_line",
        "kind",
        "distribution",
        "release",
        "pinned",
        "library",
        "gone_since",
        "line_end",
        "line_days_left",
        "release_end",
        "release_days_left",
        "deprecation",
        "successors",
        "then_day",
        "then_version",
        "then_base",
        "concerns",
        "notes",
    ];
    let told = |error: csv::Error| error.to_string();
    writer.write_record(heads).map_err(told)?;
    for row in rows {
        let days = |days: Option<i32>| days.map(|days| days.to_string()).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let word = |word: Option<&'static str>| word.unwrap_or_default().to_owned();
        let kinds: Vec<&str> = row.concerns.iter().map(|note| note.kind).collect();
        let notes: Vec<&str> = row.concerns.iter().map(|note| note.text.as_str()).collect();
        let then = row.then.as_ref();
        let cells = [
            row.file.clone(),
            row.line.to_string(),
            row.place.to_owned(),
            text(&row.argument),
            row.written.clone(),
            text(&row.image),
            text(&row.registry),
            text(&row.tag),
            text(&row.digest),
            row.trust.to_owned(),
            text(&row.version),
            word(row.version_line),
            word(row.kind),
            word(row.distribution),
            word(row.release),
            row.pinned.to_owned(),
            word(row.library),
            text(&row.gone_since),
            text(&row.line_end),
            days(row.line_days_left),
            text(&row.release_end),
            days(row.release_days_left),
            word(row.deprecation),
            row.successors.join(" "),
            then.map(|then| then.day.clone()).unwrap_or_default(),
            then.and_then(|then| then.version)
                .unwrap_or_default()
                .to_owned(),
            then.and_then(|then| then.base)
                .unwrap_or_default()
                .to_owned(),
            kinds.join(" "),
            notes.join("; "),
        ];
        writer
            .write_record(cells.map(|cell| inert(&cell)))
            .map_err(told)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// A cell that no spreadsheet takes for a formula. Numbers stay numbers.
fn inert(cell: &str) -> String {
    let cell = visible(cell);
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula && cell.parse::<i64>().is_err() && cell != "-" {
        format!("'{cell}")
    } else {
        cell.into_owned()
    }
}
