//! What a registry said, as lines of text: of the lock file, and of the cache.
//!
//! ```text
//! docker.io/library/node:20 sha256:… index 2026-11-24T15:00:00Z
//! docker.io/library/node:99 absent 2026-11-24T15:00:00Z
//! docker.io/library/node@sha256:… created 2026-11-20T01:02:03Z
//! docker.io/library/node@sha256:… images linux/amd64=sha256:…;debian:bookworm;2026-11-20T01:02:03Z …
//! ```

use jiff::Timestamp;

use super::manifest::is_digest;
use crate::facts::{Index, IndexEntry, Known, Resolved, ToldBy};
use crate::image::Reference;

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// Of a tag: its digest, and whether that is a single image.
    Digest {
        /// The digest (`sha256:…`).
        digest: String,
        /// Whether it is one image rather than an index.
        single: bool,
        /// When it was said.
        as_of: Timestamp,
    },
    /// There is no such tag or digest.
    Absent {
        /// When it was said.
        as_of: Timestamp,
    },
    /// Of a digest: when its image was made.
    Created(Timestamp),
    /// Of a digest: the images behind it.
    Images(Index),
}

/// An answer with the reference it is about, in canonical form: with a tag for
/// [`Said::Digest`], else with a digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The reference.
    pub name: String,
    /// The answer.
    pub said: Said,
}

/// A word of a line that may be empty or have characters that end a word.
fn word(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty() && !text.contains([' ', ';', '=', '\n']))
        .unwrap_or("-")
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Record {
    /// What is asked: records with the same key answer the same question.
    #[must_use]
    pub fn key(&self) -> String {
        let what = match &self.said {
            Said::Digest { .. } | Said::Absent { .. } => "digest",
            Said::Created(_) => "created",
            Said::Images(_) => "images",
        };
        format!("{} {what}", self.name)
    }

    /// Whether both say the same, whenever they were said.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let mut other = other.clone();
        match (&self.said, &mut other.said) {
            (Said::Digest { as_of, .. }, Said::Digest { as_of: theirs, .. })
            | (Said::Absent { as_of }, Said::Absent { as_of: theirs }) => *theirs = *as_of,
            _ => {}
        }
        *self == other
    }

    /// Its line, without an end.
    #[must_use]
    pub fn line(&self) -> String {
        let name = &self.name;
        match &self.said {
            Said::Digest {
                digest,
                single,
                as_of,
            } => {
                let kind = if *single { "image" } else { "index" };
                format!("{name} {digest} {kind} {}", time(*as_of))
            }
            Said::Absent { as_of } => format!("{name} absent {}", time(*as_of)),
            Said::Created(at) => format!("{name} created {}", time(*at)),
            Said::Images(index) => {
                let kind = if index.single { "image" } else { "images" };
                let mut line = format!("{name} {kind}");
                for entry in &index.entries {
                    let created = entry.created.map(time);
                    line.push_str(&format!(
                        " {}={};{};{}",
                        word(entry.platform.as_deref()),
                        entry.digest,
                        word(entry.base_name.as_deref()),
                        created.as_deref().unwrap_or("-")
                    ));
                }
                line
            }
        }
    }

    /// Reads a line; `None` when it has not that form.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let name = words.next()?;
        let reference = Reference::parse(name).ok()?;
        if reference.canonical() != name {
            return None;
        }
        let rest: Vec<&str> = words.collect();
        let at = |text: &str| text.parse::<Timestamp>().ok();
        let tagged = reference.tag().is_some() && reference.digest().is_none();
        let said = match (tagged, rest.as_slice()) {
            (true, [digest, kind @ ("index" | "image"), as_of]) if is_digest(digest) => {
                Said::Digest {
                    digest: (*digest).to_owned(),
                    single: *kind == "image",
                    as_of: at(as_of)?,
                }
            }
            (true, ["absent", as_of]) => Said::Absent { as_of: at(as_of)? },
            (false, ["created", created]) => Said::Created(at(created)?),
            (false, [kind @ ("image" | "images"), entries @ ..]) if !entries.is_empty() => {
                let entries: Option<Vec<_>> = entries.iter().map(|text| entry(text)).collect();
                Said::Images(Index {
                    digest: reference.digest()?.to_owned(),
                    single: *kind == "image",
                    entries: entries?,
                })
            }
            _ => return None,
        };
        let record = Self {
            name: name.to_owned(),
            said,
        };
        (record.line() == line).then_some(record)
    }

    /// The answer to "what does the tag name".
    pub(super) fn resolved(&self, told_by: ToldBy) -> Option<Known<Resolved>> {
        match &self.said {
            Said::Digest {
                digest,
                single,
                as_of,
            } => Some(Known::Yes(Resolved {
                digest: digest.clone(),
                single: *single,
                as_of: *as_of,
                told_by,
            })),
            Said::Absent { .. } => Some(Known::No),
            _ => None,
        }
    }
}

fn entry(text: &str) -> Option<IndexEntry> {
    let some = |text: &str| (text != "-").then(|| text.to_owned());
    let (platform, rest) = text.split_once('=')?;
    let mut fields = rest.split(';');
    let (digest, base, created) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || !is_digest(digest) {
        return None;
    }
    let created = match created {
        "-" => None,
        text => Some(text.parse().ok()?),
    };
    Some(IndexEntry {
        platform: some(platform),
        digest: digest.to_owned(),
        base_name: some(base),
        created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let a = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for line in [
            format!("docker.io/library/node:20 {a} index 2026-11-24T15:00:00Z"),
            format!("localhost:5000/a/b:x {a} image 2026-11-24T15:00:00Z"),
            "docker.io/library/node:99 absent 2026-11-24T15:00:00Z".to_owned(),
            format!("docker.io/library/node@{a} created 2026-11-20T01:02:03Z"),
            format!(
                "docker.io/library/node@{a} images linux/amd64={a};debian:bookworm;2026-11-20T01:02:03Z -={a};-;-"
            ),
        ] {
            let record = Record::parse(&line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(record.line(), line);
        }
        for line in [
            "",
            "node:20 absent 2026-11-24T15:00:00Z",
            "docker.io/library/node:20 sha256:12 index 2026-11-24T15:00:00Z",
            "docker.io/library/node:20 absent yesterday",
            "docker.io/library/node absent 2026-11-24T15:00:00Z",
            "docker.io/library/node:20  absent 2026-11-24T15:00:00Z",
        ] {
            assert_eq!(Record::parse(line), None, "{line}");
        }
    }
}
