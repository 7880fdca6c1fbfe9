//! .NET: what Microsoft's images are built on, by their tags.

use super::table::Table;
use super::{Base, Certainty, release};

/// What a tag stands for that names no distribution.
pub static DEFAULTS: Table = Table::new(include_str!("data/dotnet.tsv"));

/// The version of .NET that a tag names, `8.0` for `8.0.403-bookworm-slim`, and
/// the rest of it; `None` for a preview, and where it names none.
#[must_use]
pub fn version(tag: &str) -> Option<(String, &str)> {
    let (number, rest) = match tag.find('-') {
        Some(at) => tag.split_at(at),
        None => (tag, ""),
    };
    let mut parts = number.split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let known = digits(major) && digits(minor) && parts.all(digits);
    let early = rest.contains("preview") || rest.contains("-rc");
    (known && !early).then(|| (format!("{major}.{minor}"), rest))
}

/// What an image of Microsoft's registry is built on, as its tag tells.
#[must_use]
pub fn base(tag: &str) -> Option<Base> {
    let (version, rest) = version(tag)?;
    let known = |family, release| Base {
        family,
        release,
        certainty: Certainty::Likely,
    };
    for word in rest.split('-').filter(|word| !word.is_empty()) {
        let named = ["debian", "ubuntu"]
            .iter()
            .find_map(|family| release(family, word));
        if let Some(release) = named {
            return Some(known(release.family, release.name));
        }
        if let Some(number) = word.strip_prefix("alpine") {
            return Some(known(
                "alpine",
                release("alpine", number).map_or("", |release| release.name),
            ));
        }
    }
    let plain = rest
        .split('-')
        .all(|word| matches!(word, "" | "slim" | "amd64" | "arm64v8" | "arm32v7"));
    let row = DEFAULTS.get(&version).filter(|_| plain)?;
    Some(known(row.cell(1)?, row.cell(2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_distributions() {
        assert_eq!(DEFAULTS.faults(), Vec::<String>::new());
        let named = |tag| version(tag).map(|(version, rest)| (version, rest.to_owned()));
        assert_eq!(named("8.0"), Some(("8.0".to_owned(), String::new())));
        assert_eq!(
            named("6.0.201-bullseye-slim-arm64v8"),
            Some(("6.0".to_owned(), "-bullseye-slim-arm64v8".to_owned()))
        );
        assert_eq!(named("latest"), None);
        assert_eq!(named("9.0.100-preview.1-alpine"), None);
        let on = |tag| base(tag).map(|base| (base.family, base.release));
        assert_eq!(on("8.0"), Some(("debian", "bookworm")));
        assert_eq!(on("8.0-jammy"), Some(("ubuntu", "jammy")));
        assert_eq!(on("8.0-alpine3.20"), Some(("alpine", "3.20")));
        assert_eq!(on("8.0-alpine"), Some(("alpine", "")));
        assert_eq!(on("8.0-azurelinux3.0"), None);
    }
}
