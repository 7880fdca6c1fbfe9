//! What a manifest's bytes say.
//!
//! Only the fields that are asked for are kept, and lists are bounded, so
//! that a hostile body costs no more memory than its own size.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use sha2::Digest as _;

use super::words::clean;
use crate::facts::{Index, IndexEntry};
use crate::image::Reference;

pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// All that a registry may answer with; without it some answer in the old
/// schema 1, whose digest is another.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The most images that an index may list.
const MAX_IMAGES: usize = 1000;

/// What kind of manifest a media type names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Index,
    Single,
}

/// The kind that a `Content-Type` names.
///
/// # Errors
/// What it is instead, in words that follow the host.
pub(super) fn kind(media_type: &str) -> Result<Kind, String> {
    match media_type {
        OCI_INDEX | DOCKER_LIST => Ok(Kind::Index),
        OCI_MANIFEST | DOCKER_MANIFEST => Ok(Kind::Single),
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Err(
            "has this image only in the old schema 1, whose digest builders don't take".to_owned(),
        ),
        "" => Err("does not say what it sends".to_owned()),
        "text/html" => Err(
            "answers with a web page, not with a manifest: is something between here and the registry?"
                .to_owned(),
        ),
        other => Err(format!(
            "answers with {}, not with a manifest",
            clean(other, 80)
        )),
    }
}

/// A digest in the form that references take.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() <= 200 && Reference::parse(&format!("x@{text}")).is_ok()
}

/// The digest of a body, by the algorithm of `like`.
pub(super) fn digest_of(body: &[u8], like: Option<&str>) -> String {
    use std::fmt::Write as _;
    let (name, bytes) = match like.and_then(|like| like.split_once(':')) {
        Some(("sha512", _)) => ("sha512", sha2::Sha512::digest(body).to_vec()),
        Some(("sha384", _)) => ("sha384", sha2::Sha384::digest(body).to_vec()),
        _ => ("sha256", sha2::Sha256::digest(body).to_vec()),
    };
    bytes.iter().fold(format!("{name}:"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// At most `N` items.
struct Bounded<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Bounded<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = Bounded<T, N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {N}")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == N {
                        return Err(serde::de::Error::custom(format!("more than {N} items")));
                    }
                    items.push(item);
                }
                Ok(Bounded(items))
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "org.opencontainers.image.base.name")]
    base_name: Option<String>,
    #[serde(rename = "org.opencontainers.image.created")]
    created: Option<String>,
    #[serde(rename = "vnd.docker.reference.type")]
    reference_type: Option<String>,
}

#[derive(serde::Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    fn name(&self) -> Option<String> {
        let known = |text: &str| !text.is_empty() && text != "unknown";
        if !known(&self.os) || !known(&self.architecture) {
            return None;
        }
        let mut name = format!("{}/{}", clean(&self.os, 40), clean(&self.architecture, 40));
        // arm64 is v8 whether that is written or not.
        if let Some(variant) = &self.variant
            && !variant.is_empty()
            && (self.architecture.as_str(), variant.as_str()) != ("arm64", "v8")
        {
            name.push('/');
            name.push_str(&clean(variant, 20));
        }
        Some(name)
    }
}

#[derive(serde::Deserialize)]
struct Descriptor {
    digest: String,
    platform: Option<Platform>,
    annotations: Option<Annotations>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexBody {
    media_type: Option<String>,
    schema_version: Option<u64>,
    manifests: Bounded<Descriptor, MAX_IMAGES>,
}

#[derive(serde::Deserialize)]
struct ConfigDescriptor {
    digest: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestBody {
    media_type: Option<String>,
    schema_version: Option<u64>,
    config: ConfigDescriptor,
    annotations: Option<Annotations>,
}

/// A single image's manifest.
pub(super) struct Single {
    /// The digest of its configuration.
    pub config: String,
    pub base_name: Option<String>,
    pub created: Option<Timestamp>,
}

/// What an image's configuration says.
pub(super) struct Config {
    pub platform: Option<String>,
    pub created: Option<Timestamp>,
}

fn broken(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => format!(
            "sends a manifest that has not its form ({})",
            clean(&error.to_string(), 120)
        ),
        _ => format!(
            "sends something that is no JSON ({})",
            clean(&error.to_string(), 120)
        ),
    }
}

/// When something was made; reproducible builds say year 1 or 1970, which is
/// no answer.
fn made(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    let whole = Timestamp::from_second(time.as_second()).ok()?;
    (whole.as_second() > 86_400).then_some(whole)
}

fn check_form(says: Option<&str>, version: Option<u64>, sent_as: &str) -> Result<(), String> {
    if version.is_some_and(|version| version != 2) {
        return Err("sends a manifest of another schema version".to_owned());
    }
    match says {
        // One body must not be an index to one reader and a manifest to another.
        Some(says) if says != sent_as => {
            Err("sends a manifest that calls itself something else than its header does".to_owned())
        }
        _ => Ok(()),
    }
}

/// Reads an index.
///
/// # Errors
/// What is wrong with it, in words that follow the host.
pub(super) fn index(body: &[u8], sent_as: &str, digest: String) -> Result<Index, String> {
    let read: IndexBody = serde_json::from_slice(body).map_err(|error| broken(&error))?;
    check_form(read.media_type.as_deref(), read.schema_version, sent_as)?;
    let mut entries = Vec::new();
    for entry in read.manifests.0 {
        if !is_digest(&entry.digest) {
            return Err("sends an index with a digest that is none".to_owned());
        }
        let annotations = entry.annotations.unwrap_or_default();
        let platform = entry.platform.as_ref();
        let attestation = annotations.reference_type.is_some()
            || platform.is_some_and(|platform| platform.name().is_none());
        if attestation {
            continue;
        }
        entries.push(IndexEntry {
            platform: platform.and_then(Platform::name),
            digest: entry.digest,
            base_name: annotations.base_name.map(|name| clean(&name, 200)),
            created: annotations.created.as_deref().and_then(made),
        });
    }
    if entries.is_empty() {
        return Err("sends an index that names no image".to_owned());
    }
    Ok(Index {
        digest,
        single: false,
        entries,
    })
}

/// Reads the manifest of a single image. Errors as for [`index`].
pub(super) fn single(body: &[u8], sent_as: &str) -> Result<Single, String> {
    let read: ManifestBody = serde_json::from_slice(body).map_err(|error| broken(&error))?;
    check_form(read.media_type.as_deref(), read.schema_version, sent_as)?;
    if !is_digest(&read.config.digest) {
        return Err("sends a manifest with a digest that is none".to_owned());
    }
    let annotations = read.annotations.unwrap_or_default();
    Ok(Single {
        config: read.config.digest,
        base_name: annotations.base_name.map(|name| clean(&name, 200)),
        created: annotations.created.as_deref().and_then(made),
    })
}

/// Reads an image's configuration. Errors as for [`index`].
pub(super) fn config(body: &[u8]) -> Result<Config, String> {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(flatten)]
        platform: Platform,
        created: Option<String>,
    }
    let read: Body = serde_json::from_slice(body).map_err(|error| broken(&error))?;
    Ok(Config {
        platform: read.platform.name(),
        created: read.created.as_deref().and_then(made),
    })
}

/// The most tags on one page.
const MAX_TAGS: usize = 100_000;

/// Reads a page of tags; what is no tag is left out. Errors as for [`index`].
pub(super) fn tags(body: &[u8]) -> Result<Vec<String>, String> {
    #[derive(serde::Deserialize)]
    struct Body {
        tags: Option<Bounded<String, MAX_TAGS>>,
    }
    let read: Body = serde_json::from_slice(body).map_err(|error| broken(&error))?;
    let tags = read.tags.unwrap_or_default().0;
    let is_tag = |tag: &String| tag.len() <= 128 && Reference::parse(&format!("x:{tag}")).is_ok();
    Ok(tags.into_iter().filter(is_tag).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_bytes() {
        assert_eq!(
            digest_of(b"", None),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(digest_of(b"x", Some("sha512:00")).starts_with("sha512:"));
        assert!(!is_digest("sha256:xyz"));
        assert!(!is_digest("md5:d41d8cd98f00b204e9800998ecf8427e"));
    }

    #[test]
    fn dates_of_reproducible_builds_are_none() {
        assert_eq!(made("0001-01-01T00:00:00Z"), None);
        assert_eq!(made("1970-01-01T00:00:00Z"), None);
        assert_eq!(made("yesterday"), None);
        assert!(made("2026-08-21T10:00:00.123456789Z").is_some());
    }

    #[test]
    fn a_body_is_one_thing_only() {
        let digest = digest_of(b"", None);
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","manifests":[{{"digest":"{digest}"}}]}}"#
        );
        let error = index(body.as_bytes(), OCI_INDEX, digest).unwrap_err();
        assert!(error.contains("something else"), "{error}");
    }
}
