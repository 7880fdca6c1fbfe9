//! A verification as one JSON document: written for other programs, and read
//! again for pages that show what was measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::behaviour::Compared;
use super::report::{File, missing};
use super::size::Weight;
use super::{Round, Verdict};
use crate::report::{Measured, MeasuredFile, MeasuredLayer};

/// The version of the JSON format.
pub const VERSION: u32 = 1;

/// What `dfmigrate verify` found, as one document.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(title = "dfmigrate verify report")]
pub struct Document {
    /// The version of this format; a program that reads it refuses a higher one.
    version: u32,
    /// The program's version.
    dfmigrate: String,
    /// The builder and its version.
    builder: String,
    /// The files, in path order.
    files: Vec<FileJson>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct FileJson {
    /// The path.
    path: String,
    /// `verified`, `mended`, `stepped-down`, `differs`, `gave-up`, `before-fails`,
    /// `unchanged`, `invalid` or `failed`.
    verdict: String,
    /// The rules of the plan that the verdict is about.
    rules: Vec<String>,
    /// Rules that are left out of it, since what they proposed does not hold.
    left_out: Vec<String>,
    /// Whether that plan was written into the file.
    written: bool,
    /// What stopped it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Why rules left the file alone.
    refusals: Vec<String>,
    /// Each plan that was built, in order.
    rounds: Vec<RoundJson>,
    /// Seconds.
    seconds: f64,
    /// Images that were left.
    kept: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct RoundJson {
    /// What its rewrites do.
    plan: Vec<String>,
    /// What was added since the round before, with what was seen.
    mends: Vec<MendJson>,
    /// Why it does not hold; empty when it does.
    problems: Vec<String>,
    /// What is worth knowing beside.
    notes: Vec<String>,
    /// The last lines of a log that tell why.
    log: Vec<String>,
    /// Bytes and folders, where it could be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<ImagesJson>,
    /// What was asked, and the answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    behaviour: Option<BehaviourJson>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct MendJson {
    /// What was added: `package NAME`, `path PATH`, `loader cache`.
    what: String,
    /// What was seen.
    why: String,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct ImagesJson {
    /// Before and after, the bytes of all layers' files.
    bytes: [u64; 2],
    /// Before and after, the bytes of all layers with gzip.
    compressed: [u64; 2],
    /// The layers before, the lowest first.
    layers_before: Vec<LayerJson>,
    /// The layers after, likewise.
    layers_after: Vec<LayerJson>,
    /// The folders, those first where most has gone.
    folders: Vec<FolderJson>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct LayerJson {
    made_by: String,
    bytes: u64,
    compressed: u64,
    of_base: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct FolderJson {
    path: String,
    before: u64,
    after: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct BehaviourJson {
    /// What was asked, in words.
    asked: String,
    /// `same`, `varies` (all but a text that is another one each time is the
    /// same) or `differs`.
    compared: String,
    /// Status, type and exit status before.
    before: Vec<String>,
    /// As before, after.
    after: Vec<String>,
    /// The text of the answer before.
    text_before: String,
    /// As before, after.
    text_after: String,
}

fn layer(weight: &Weight) -> LayerJson {
    LayerJson {
        made_by: weight.made_by.clone(),
        bytes: weight.bytes,
        compressed: weight.compressed,
        of_base: weight.of_base,
    }
}

fn round(round: &Round) -> RoundJson {
    let behaviour = round.seen.as_ref().and_then(|seen| seen.behaviour.as_ref());
    RoundJson {
        plan: round.plan.clone(),
        mends: round
            .mends
            .iter()
            .map(|mend| MendJson {
                what: missing(&mend.what),
                why: mend.why.clone(),
            })
            .collect(),
        problems: round.problems.clone(),
        notes: round.notes.clone(),
        log: round.log.clone(),
        images: round.seen.as_ref().map(|seen| ImagesJson {
            bytes: seen.bytes().into(),
            compressed: seen.compressed().into(),
            layers_before: seen.layers.0.iter().map(layer).collect(),
            layers_after: seen.layers.1.iter().map(layer).collect(),
            folders: seen
                .folders
                .iter()
                .map(|folder| FolderJson {
                    path: folder.path.clone(),
                    before: folder.before,
                    after: folder.after,
                })
                .collect(),
        }),
        behaviour: behaviour.map(|it| BehaviourJson {
            asked: it.asked.clone(),
            compared: match it.compared {
                Compared::Same => "same",
                Compared::Varies => "varies",
                Compared::Differs(_) => "differs",
            }
            .to_owned(),
            before: it.before.firm.clone(),
            after: it.after.firm.clone(),
            text_before: it.before.text.clone(),
            text_after: it.after.text.clone(),
        }),
    }
}

/// The whole run as a document.
#[must_use]
pub fn document(builder: &str, files: &[File<'_>]) -> Document {
    Document {
        version: VERSION,
        dfmigrate: env!("CARGO_PKG_VERSION").to_owned(),
        builder: builder.to_owned(),
        files: files
            .iter()
            .map(|file| FileJson {
                path: file.shown.to_owned(),
                verdict: file.outcome.verdict.name().to_owned(),
                rules: file
                    .outcome
                    .plan
                    .chosen
                    .iter()
                    .map(|r| r.rule.to_owned())
                    .collect(),
                left_out: file.outcome.dropped.clone(),
                written: file.written,
                failure: file.outcome.failure.as_ref().map(ToString::to_string),
                refusals: file
                    .outcome
                    .plan
                    .refusals
                    .iter()
                    .map(|r| r.why.clone())
                    .collect(),
                rounds: file.outcome.rounds.iter().map(round).collect(),
                seconds: file.outcome.took.as_secs_f64(),
                kept: file.outcome.kept.clone(),
            })
            .collect(),
    }
}

/// The document as JSON, with a line end.
#[must_use]
pub fn json(builder: &str, files: &[File<'_>]) -> String {
    let document = document(builder, files);
    serde_json::to_string_pretty(&document).expect("strings and numbers serialize") + "\n"
}

/// The JSON Schema of [`json`], with a line end.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Document);
    serde_json::to_string_pretty(&schema).expect("strings and numbers serialize") + "\n"
}

/// What a document says of sizes, for reports that show them.
///
/// # Errors
/// The text is no such document, or one of a later version.
pub fn measured(text: &str) -> Result<Measured, String> {
    let document: Document = serde_json::from_str(text).map_err(|why| {
        format!("is not what `dfmigrate verify --output-format json` prints: {why}")
    })?;
    if document.version > VERSION {
        return Err(format!(
            "is of version {}, and this program reads version {VERSION}: use the dfmigrate that made it",
            document.version
        ));
    }
    let unchanged = Verdict::Unchanged.name();
    let files = document.files.into_iter();
    Ok(Measured {
        builder: document.builder,
        files: files
            .filter(|file| file.verdict != unchanged)
            .map(of_file)
            .collect(),
    })
}

fn of_file(file: FileJson) -> MeasuredFile {
    let proven = [Verdict::Verified, Verdict::Mended, Verdict::SteppedDown];
    // The last one that was built is the one that the verdict is about.
    let mut rounds = file.rounds.into_iter().rev();
    let round = rounds.find(|round| round.images.is_some());
    let (rewrites, images) = round.map_or_else(Default::default, |it| (it.plan, it.images));
    let holds = images.is_some() && proven.iter().any(|it| it.name() == file.verdict);
    let images = images.unwrap_or_default();
    let layers = |layers: Vec<LayerJson>| {
        let layers = layers.into_iter().map(|layer| MeasuredLayer {
            made_by: layer.made_by,
            bytes: layer.bytes,
            of_base: layer.of_base,
        });
        layers.collect()
    };
    MeasuredFile {
        path: file.path,
        verdict: file.verdict,
        holds,
        rewrites,
        bytes: images.bytes,
        compressed: images.compressed,
        layers: [layers(images.layers_before), layers(images.layers_after)],
        folders: images
            .folders
            .into_iter()
            .map(|folder| (folder.path, [folder.before, folder.after]))
            .collect(),
    }
}
