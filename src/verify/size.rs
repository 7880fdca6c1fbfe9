//! What the images weigh, and where.

use std::collections::BTreeMap;

use super::archive::Image;
use super::layer::Kind;
use super::root::Root;

/// One layer's weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// What made it.
    pub made_by: String,
    /// The bytes of its files.
    pub bytes: u64,
    /// Its archive's bytes with gzip.
    pub compressed: u64,
    /// It is of the base image.
    pub of_base: bool,
}

/// The layers of an image, the lowest first; the lowest `base` are the base
/// image's.
#[must_use]
pub fn layers(image: &Image, base: usize) -> Vec<Weight> {
    let weights = image.layers.iter().enumerate().map(|(at, layer)| Weight {
        made_by: image.config.made_by.get(at).cloned().unwrap_or_default(),
        bytes: layer.bytes,
        compressed: layer.compressed,
        of_base: at < base,
    });
    weights.collect()
}

/// A folder's bytes before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its path.
    pub path: String,
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

/// The folders whose contents are told one level deeper.
const SPLIT: [&str; 2] = ["usr", "var"];

fn weigh<'a>(root: &Root<'a>) -> BTreeMap<String, u64> {
    let mut out: BTreeMap<String, u64> = BTreeMap::new();
    for (path, node) in root.iter() {
        let Kind::File { size, .. } = node.kind else {
            continue;
        };
        if node.again {
            continue;
        }
        let mut parts = path.split('/');
        let top = parts.next().unwrap_or_default();
        let folder = match (SPLIT.contains(&top), parts.next(), parts.next()) {
            (true, Some(second), Some(_)) => format!("/{top}/{second}"),
            (_, Some(_), _) => format!("/{top}"),
            (_, None, _) => "/".to_owned(),
        };
        *out.entry(folder).or_default() += size;
    }
    out
}

/// The folders of both images, those first where most has gone.
#[must_use]
pub fn folders(before: &Root<'_>, after: &Root<'_>) -> Vec<Folder> {
    let (old, new) = (weigh(before), weigh(after));
    let paths: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut out: Vec<Folder> = paths
        .into_iter()
        .map(|path| Folder {
            path: path.clone(),
            before: old.get(path).copied().unwrap_or_default(),
            after: new.get(path).copied().unwrap_or_default(),
        })
        .collect();
    out.sort_by_key(|f| std::cmp::Reverse((f.before.abs_diff(f.after), f.before)));
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::config::Config;
    use super::super::layer::{Contents, Entry, Layer};
    use super::*;

    #[test]
    fn folders_are_told_with_what_has_gone_first() {
        let file = |path: &str, size| Entry {
            path: path.into(),
            kind: Kind::File {
                size,
                what: Contents::Plain,
            },
            mode: 0o644,
        };
        let image = |entries| Image {
            config: Config::default(),
            layers: vec![Arc::new(Layer {
                entries,
                ..Layer::default()
            })],
        };
        let before = image(vec![
            file("usr/lib/a", 100),
            file("app/x", 7),
            file("top", 1),
        ]);
        let after = image(vec![file("usr/lib/a", 10), file("app/x", 7)]);
        let found = folders(&Root::of(&before), &Root::of(&after));
        let told: Vec<(&str, u64, u64)> = found
            .iter()
            .map(|f| (f.path.as_str(), f.before, f.after))
            .collect();
        assert_eq!(told, [("/usr/lib", 100, 10), ("/", 1, 0), ("/app", 7, 7)]);
    }
}
