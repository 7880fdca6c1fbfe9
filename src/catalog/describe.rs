//! What is known of a tag, in words for a person.

use super::{aliases, alpine_tag, codename_tag, lookup, slim_tag, source};

/// Name and value of each fact that is known of `image:tag`; `None` where the
/// official image has no such tag and never had one.
#[must_use]
pub fn describe(image: &str, tag: &str) -> Option<Vec<(&'static str, String)>> {
    let entry = lookup(image, tag)?;
    let mut rows = vec![
        ("image", format!("{image}:{tag}")),
        ("kind", entry.kind.as_str().to_owned()),
        (
            "base",
            entry.base.map_or_else(
                || "not known".to_owned(),
                |base| format!("{} {}", base.family, base.release),
            ),
        ),
        (
            "library",
            match entry.gone {
                Some(gone) => format!("left it on {gone}; frozen since, normally still pullable"),
                None => "present".to_owned(),
            },
        ),
    ];
    if entry.shared_windows {
        rows.push(("shared", "also stands for Windows images".to_owned()));
    }
    let others = aliases(image, tag).into_iter().filter(|alias| alias != tag);
    let others: Vec<String> = others.collect();
    rows.push((
        "aliases",
        match others.is_empty() {
            true => "none".to_owned(),
            false => others.join(", "),
        },
    ));
    let tagged = |found: Result<String, String>| match found {
        Ok(tag) => format!("{image}:{tag}"),
        Err(why) => format!("none: {why}"),
    };
    let codename = codename_tag(image, tag);
    rows.push((
        "codename",
        tagged(codename.map(|pin| pin.tag).map_err(|why| why.to_string())),
    ));
    let slim = slim_tag(image, tag).map(|tag| tag.to_string());
    rows.push(("slim", tagged(slim.map_err(|why| why.to_string()))));
    let alpine = alpine_tag(image, tag).map(|tag| tag.to_string());
    rows.push(("alpine", tagged(alpine.map_err(|why| why.to_string()))));
    let source = source();
    rows.push((
        "as of",
        format!("{} ({} {})", source.as_of, source.repository, source.commit),
    ));
    Some(rows)
}
