//! What building a file before and after has shown, as reports have it.

use schemars::JsonSchema;
use serde::Serialize;

/// What was proven of a file's rewrites by building it before and after them, or
/// why not.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Proof {
    /// `verified`, `mended` (holds with what builds have shown to be missing),
    /// `stepped-down` (a smaller rewrite holds), `gave-up`, `differs`, `before-fails`,
    /// `unchanged`, `invalid` or `failed`.
    pub verdict: &'static str,
    /// The verdict in words.
    pub says: String,
    /// Whether the rewrites shown here are proven; nothing else is written.
    pub holds: bool,
    /// The builder and its version.
    pub builder: String,
    /// Bytes of all layers' files before and after, where both were built.
    pub bytes: Option<[u64; 2]>,
    /// The same with gzip.
    pub compressed: Option<[u64; 2]>,
    /// What was added to the rewrites since builds have shown that it is missing.
    pub repaired: Vec<Repair>,
    /// Rewrites that are left out since they do not hold.
    pub left_out: Vec<LeftOut>,
    /// Why nothing holds; empty where something does.
    pub problems: Vec<String>,
    /// What is worth knowing beside.
    pub notes: Vec<String>,
    /// The lines of a log that tell why.
    pub log: Vec<String>,
    /// How many rewritten files were built.
    pub builds: usize,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Something that was added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Repair {
    /// `package NAME`, `path PATH` or `loader cache`.
    pub what: String,
    /// What was seen.
    pub why: String,
}

/// A rewrite that is left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct LeftOut {
    /// Its rule.
    pub rule: String,
    /// What builds have shown.
    pub why: String,
}

fn change(what: &str, [before, after]: [u64; 2]) -> String {
    let part = if before == 0 {
        String::new()
    } else {
        let part = (after as f64 - before as f64) * 100.0 / before as f64;
        format!(" ({part:+.0} %)")
    };
    format!(
        "{what}: {:.1} MB before, {:.1} MB after{part}",
        before as f64 / 1e6,
        after as f64 / 1e6
    )
}

impl Proof {
    /// The verdict and the size in a few words of ours.
    pub(super) fn in_short(&self) -> String {
        match self.bytes.filter(|_| self.holds) {
            Some([was, is]) => format!(
                "{}, {:.1} → {:.1} MB",
                self.verdict,
                was as f64 / 1e6,
                is as f64 / 1e6
            ),
            None => self.verdict.to_owned(),
        }
    }

    /// What there is to say beside the verdict and the log, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.bytes.map(|bytes| change("size on disk", bytes)));
        lines.extend(self.compressed.map(|bytes| change("compressed", bytes)));
        let repaired = self.repaired.iter();
        lines.extend(repaired.map(|it| format!("repaired with {}: {}", it.what, it.why)));
        let left_out = self.left_out.iter();
        lines.extend(left_out.map(|it| format!("left out: {}, since {}", it.rule, it.why)));
        let problems = self.problems.iter();
        lines.extend(problems.map(|why| format!("left alone, since {why}")));
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
    }
}
