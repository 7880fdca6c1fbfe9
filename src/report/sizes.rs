//! What images weigh, as builds of them were measured, drawn for the page.

use std::fmt::Write as _;

use super::html::escape;
use super::one_line;

/// How many layers and folders of an image are drawn.
const SHOWN: usize = 12;

/// Folders that changed by less, in bytes, are not drawn.
const LITTLE: u64 = 100_000;

/// What builds of some files showed.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// The builder and its version.
    pub builder: String,
    /// The files, in path order.
    pub files: Vec<MeasuredFile>,
}

/// One file that was built before and after.
#[derive(Clone, Debug)]
pub struct MeasuredFile {
    /// Its path, as reports print it.
    pub path: String,
    /// What came of it, in a word.
    pub verdict: String,
    /// Whether the change was proven: only then it saves anything.
    pub holds: bool,
    /// The titles of the rewrites that were built.
    pub rewrites: Vec<String>,
    /// Before and after, the bytes of all layers' files.
    pub bytes: [u64; 2],
    /// Before and after, the bytes of all layers with gzip.
    pub compressed: [u64; 2],
    /// The layers before and after, the lowest first.
    pub layers: [Vec<MeasuredLayer>; 2],
    /// Folders with their bytes before and after.
    pub folders: Vec<(String, [u64; 2])>,
}

/// One layer of an image.
#[derive(Clone, Debug)]
pub struct MeasuredLayer {
    /// What made it.
    pub made_by: String,
    /// The bytes of its files.
    pub bytes: u64,
    /// It is of the base image.
    pub of_base: bool,
}

/// What a page may say of a file's size.
pub(super) enum Size<'a> {
    /// Nothing was measured.
    Unknown,
    /// It was measured for what the page proposes, and the change holds.
    Proven(&'a MeasuredFile),
    /// It was measured for something else.
    Other(&'a MeasuredFile),
}

impl Measured {
    /// What was measured of a file for these rewrites.
    pub(super) fn of<'t>(&self, path: &str, titles: impl IntoIterator<Item = &'t str>) -> Size<'_> {
        let plain = |path: &str| path.trim_start_matches("./").to_owned();
        let mut files = self.files.iter();
        let Some(file) = files.find(|file| plain(&file.path) == plain(path)) else {
            return Size::Unknown;
        };
        let same = titles
            .into_iter()
            .eq(file.rewrites.iter().map(String::as_str));
        match same && file.holds {
            true => Size::Proven(file),
            false => Size::Other(file),
        }
    }
}

fn text(text: &str) -> String {
    escape(&one_line(text))
}

/// Bytes in megabytes, as everyone counts images.
fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// `978.7 → 368.8 MB (-62 %)`.
pub(super) fn change([before, after]: [u64; 2]) -> String {
    let part = match before {
        0 => String::new(),
        _ => format!(
            " ({:+.0} %)",
            (after as f64 - before as f64) * 100.0 / before as f64
        ),
    };
    format!("{} → {} MB{part}", megabytes(before), megabytes(after))
}

/// A bar of so many thousandths of the width, for eyes and for readers aloud.
fn bar(class: &str, bytes: u64, most: u64) -> String {
    let length = bytes.saturating_mul(1000).div_ceil(most.max(1)).min(1000);
    format!(
        "<svg viewBox=\"0 0 1000 40\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{} MB\"><rect class=\"{class}\" width=\"{length}\" height=\"40\"/></svg>",
        megabytes(bytes)
    )
}

/// A row for each pair of sizes: a bar before, a bar after.
fn pairs<'a>(
    out: &mut String,
    caption: &str,
    what: &str,
    rows: impl Iterator<Item = (&'a str, [u64; 2])> + Clone,
) {
    let most = rows.clone().flat_map(|(_, sizes)| sizes).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let _ = writeln!(
        out,
        "<table class=\"sizes\"><caption>{}</caption><thead><tr><th scope=\"col\">{what}</th><th scope=\"col\">before and after</th><th scope=\"col\">MB</th></tr></thead><tbody>",
        text(caption)
    );
    for (name, sizes) in rows {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}{}</td><td>{}</td></tr>",
            text(name),
            bar("was", sizes[0], most),
            bar("is", sizes[1], most),
            change(sizes)
        );
    }
    out.push_str("</tbody></table>\n");
}

fn layers(out: &mut String, caption: &str, layers: &[MeasuredLayer], most: u64) {
    let base: Vec<&MeasuredLayer> = layers.iter().filter(|layer| layer.of_base).collect();
    let own: Vec<&MeasuredLayer> = layers.iter().filter(|layer| !layer.of_base).collect();
    let mut rows = vec![(
        format!("the base image, {} layers", base.len()),
        base.iter().map(|layer| layer.bytes).sum::<u64>(),
    )];
    // In the order of the Dockerfile; the smallest are told together.
    let mut sizes: Vec<u64> = own.iter().map(|layer| layer.bytes).collect();
    sizes.sort_by_key(|bytes| std::cmp::Reverse(*bytes));
    let least = sizes.get(SHOWN).copied();
    let (mut more, mut rest) = (0, 0);
    for layer in own {
        if least.is_some_and(|least| layer.bytes <= least) {
            more += 1;
            rest += layer.bytes;
            continue;
        }
        let made = one_line(&layer.made_by);
        let made = made.trim().trim_end_matches("# buildkit").trim();
        rows.push((made.chars().take(120).collect(), layer.bytes));
    }
    if more > 0 {
        rows.push((format!("{more} smaller ones"), rest));
    }
    let _ = writeln!(
        out,
        "<table class=\"sizes\"><caption>{caption}</caption><thead><tr><th scope=\"col\">layer</th><th scope=\"col\">size</th><th scope=\"col\">MB</th></tr></thead><tbody>"
    );
    for (name, bytes) in rows {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td></tr>",
            text(&name),
            bar("is", bytes, most),
            megabytes(bytes)
        );
    }
    out.push_str("</tbody></table>\n");
}

/// Where the bytes of a file's images lie, before and after.
pub(super) fn details(out: &mut String, file: &MeasuredFile) {
    let title = format!("Size, measured: {}", change(file.bytes));
    let _ = writeln!(
        out,
        "<details class=\"measured\"><summary>{title}</summary>"
    );
    let wholes = [
        ("on disk", file.bytes),
        ("compressed (gzip -1)", file.compressed),
    ];
    pairs(out, "The whole image", "how", wholes.into_iter());
    let changed = file
        .folders
        .iter()
        .filter(|(_, [before, after])| before.abs_diff(*after) >= LITTLE)
        .take(SHOWN)
        .map(|(path, sizes)| (path.as_str(), *sizes));
    pairs(out, "Folders that change", "folder", changed);
    let most = file.layers.iter().flatten().map(|layer| layer.bytes);
    let base = file.layers.iter().map(|layers| {
        let base = layers.iter().filter(|layer| layer.of_base);
        base.map(|layer| layer.bytes).sum()
    });
    let most = most.chain(base).max().unwrap_or(0);
    layers(out, "Layers before", &file.layers[0], most);
    layers(out, "Layers after", &file.layers[1], most);
    out.push_str("</details>\n");
}

/// All files that were measured, with what the proven changes save together.
pub(super) fn summary(out: &mut String, measured: &Measured) {
    if measured.files.is_empty() {
        return;
    }
    let proven = measured.files.iter().filter(|file| file.holds);
    let total = proven.clone().fold([0, 0], |[was, is], file| {
        [was + file.bytes[0], is + file.bytes[1]]
    });
    out.push_str("<h2>Sizes, measured</h2>\n");
    if total[0] > 0 {
        let together = "all that hold, together";
        let rows = proven.map(|file| (file.path.as_str(), file.bytes));
        let many = rows.clone().count() > 1;
        let rows = rows.chain(many.then_some((together, total)));
        pairs(out, "Verified savings", "file", rows);
    }
    let others = measured.files.iter().filter(|file| !file.holds);
    let mut others = others.peekable();
    if others.peek().is_some() {
        out.push_str("<ul class=\"said\">");
        for file in others {
            let _ = writeln!(
                out,
                "<li><code>{}</code>: {}, so it saves nothing</li>",
                text(&file.path),
                text(&file.verdict)
            );
        }
        out.push_str("</ul>\n");
    }
    let _ = writeln!(
        out,
        "<p class=\"note\">Bytes of all layers' files of images that were built with {}.</p>",
        text(&measured.builder)
    );
}
