//! Who stands behind an image, and whether the user's policy lets it in.

use jiff::Timestamp;

use crate::catalog;
use crate::catalog::origin::{self, Copy};
use crate::facts::{Badge, Known, Trust};
use crate::image::{DEFAULT_DOMAIN, Reference};

/// Who stands behind an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Class {
    /// A Docker Official Image, or a copy of one that is the same by its origin.
    Official {
        /// Where it is taken from, if that is not Docker Hub's own repository.
        copy: Option<Copy>,
    },
    /// Of a Docker Verified Publisher.
    VerifiedPublisher,
    /// Of a project in Docker's Sponsored Open Source programme.
    SponsoredOpenSource,
    /// None of these: of another registry, or of a namespace without a badge.
    Other,
    /// Nobody can say, and why.
    Unknown(String),
}

impl Class {
    /// Its name in reports and flags.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Official { .. } => "official",
            Self::VerifiedPublisher => "verified-publisher",
            Self::SponsoredOpenSource => "sponsored-open-source",
            Self::Other => "other",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether Docker vouches for who publishes it. What is unknown is not.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        matches!(
            self,
            Self::Official { .. } | Self::VerifiedPublisher | Self::SponsoredOpenSource
        )
    }
}

/// The names of the classes, as a policy lists them.
pub const CLASSES: [&str; 5] = [
    "official",
    "verified-publisher",
    "sponsored-open-source",
    "other",
    "unknown",
];

/// The class of what a reference names.
#[must_use]
pub fn class(reference: &Reference, trust: &dyn Trust) -> Class {
    if let Some(name) = reference.official() {
        return if catalog::is_official(name) {
            Class::Official { copy: None }
        } else {
            Class::Unknown(format!(
                "no official image is called {name}, and none was (as of {})",
                catalog::source().as_of
            ))
        };
    }
    if let Some((_, copy)) = origin::official_copy(reference) {
        return Class::Official { copy: Some(copy) };
    }
    if reference.domain() != DEFAULT_DOMAIN {
        return Class::Other;
    }
    let path = reference.path();
    let namespace = path.split('/').next().unwrap_or_default();
    match trust.badge(namespace) {
        Known::Yes(told) => match told.badge {
            Badge::VerifiedPublisher => Class::VerifiedPublisher,
            Badge::OpenSource => Class::SponsoredOpenSource,
            Badge::None => Class::Other,
        },
        Known::No => Class::Unknown(format!("Docker Hub has no namespace {namespace}")),
        Known::Unknown(why) => Class::Unknown(format!(
            "whether {namespace} is a verified publisher or sponsored is only to be had from Docker Hub: {why}"
        )),
    }
}

/// When Docker Hub said to which class a reference belongs; None where another
/// source says so, or nobody does.
#[must_use]
pub fn told_on(reference: &Reference, trust: &dyn Trust) -> Option<Timestamp> {
    let elsewhere = reference.official().is_some()
        || reference.domain() != DEFAULT_DOMAIN
        || origin::official_copy(reference).is_some();
    let path = reference.path();
    let namespace = path.split('/').next().unwrap_or_default();
    match (!elsewhere).then(|| trust.badge(namespace))? {
        Known::Yes(told) => Some(told.as_of),
        _ => None,
    }
}

/// What the user lets in. Empty lists let everything in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Registries (`docker.io`, `ghcr.io`), as in [`Reference::domain`].
    pub registries: Vec<String>,
    /// Classes, by their names: [`CLASSES`].
    pub classes: Vec<String>,
    /// Images without a tag (`node`, `ghcr.io/owner/name`), or all below a path
    /// (`ghcr.io/owner/*`); these are let in whatever their registry and class.
    pub images: Vec<String>,
    /// Other people's policies, which hold as well: what one of them does not
    /// let in is out.
    pub also: Vec<Policy>,
}

/// The policy that lets everything in.
pub static OPEN: Policy = Policy {
    registries: Vec::new(),
    classes: Vec::new(),
    images: Vec::new(),
    also: Vec::new(),
};

impl Policy {
    /// Whether it lets everything in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.says_nothing() && self.also.iter().all(Self::is_open)
    }

    fn says_nothing(&self) -> bool {
        self.registries.is_empty() && self.classes.is_empty() && self.images.is_empty()
    }

    /// Whether the image is on the list of images.
    #[must_use]
    pub fn names(&self, reference: &Reference) -> bool {
        let name = reference.familiar_name();
        let full = format!("{}/{}", reference.domain(), reference.path());
        self.images
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start) || full.starts_with(start),
                None => *pattern == name || *pattern == full,
            })
    }

    /// What the policy has against an image; None where it lets it in.
    #[must_use]
    pub fn violation(&self, reference: &Reference, class: &Class) -> Option<String> {
        let others = || {
            let mut also = self.also.iter();
            also.find_map(|policy| policy.violation(reference, class))
        };
        self.own_violation(reference, class).or_else(others)
    }

    fn own_violation(&self, reference: &Reference, class: &Class) -> Option<String> {
        if self.says_nothing() || self.names(reference) {
            return None;
        }
        let name = reference.familiar_name();
        let domain = reference.domain();
        if !self.registries.is_empty() && !self.registries.iter().any(|known| known == domain) {
            return Some(format!(
                "{name}: the policy allows images from {}, and this one is from {domain}",
                self.registries.join(", ")
            ));
        }
        if !self.classes.is_empty() && !self.classes.iter().any(|known| known == class.name()) {
            let why = match class {
                Class::Unknown(why) => format!(": {why}"),
                _ => String::new(),
            };
            return Some(format!(
                "{name}: the policy allows the classes {}, and this one is {}{why}",
                self.classes.join(", "),
                class.name()
            ));
        }
        // Only a list of images: what is not on it is out.
        (self.registries.is_empty() && self.classes.is_empty())
            .then(|| format!("{name}: the policy allows {} alone", self.images.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Badged, NoTrust, Unavailable};

    struct Hub;
    impl Trust for Hub {
        fn badge(&self, namespace: &str) -> Known<Badged> {
            let yes = |badge| {
                Known::Yes(Badged {
                    badge,
                    as_of: Timestamp::UNIX_EPOCH,
                })
            };
            match namespace {
                "bitnami" => yes(Badge::VerifiedPublisher),
                "linuxserver" => yes(Badge::OpenSource),
                "someone" => yes(Badge::None),
                "nobody" => Known::No,
                _ => Known::Unknown(Unavailable::Offline),
            }
        }
    }

    fn of(text: &str, trust: &dyn Trust) -> &'static str {
        class(&Reference::parse(text).unwrap(), trust).name()
    }

    #[test]
    fn classes_offline_and_with_docker_hub() {
        for (text, offline, live) in [
            ("node:20", "official", "official"),
            ("docker.io/library/node", "official", "official"),
            ("java:8", "official", "official"),
            (
                "public.ecr.aws/docker/library/node:20",
                "official",
                "official",
            ),
            ("mirror.gcr.io/library/node:20", "official", "official"),
            ("arm64v8/node:20", "official", "official"),
            ("arm64v8/no-such", "unknown", "unknown"),
            ("no-such-image", "unknown", "unknown"),
            ("bitnami/redis", "unknown", "verified-publisher"),
            ("linuxserver/plex", "unknown", "sponsored-open-source"),
            ("someone/thing", "unknown", "other"),
            ("nobody/thing", "unknown", "unknown"),
            ("ghcr.io/a/b", "other", "other"),
            ("localhost:5000/node", "other", "other"),
        ] {
            assert_eq!(of(text, &NoTrust), offline, "{text}");
            assert_eq!(of(text, &Hub), live, "{text}");
        }
    }

    #[test]
    fn policies() {
        let check = |policy: &Policy, text: &str| {
            let reference = Reference::parse(text).unwrap();
            policy
                .violation(&reference, &class(&reference, &NoTrust))
                .is_none()
        };
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let open = Policy::default();
        assert!(check(&open, "someone/thing") && open.is_open());
        let registries = Policy {
            registries: list(&["docker.io", "ghcr.io"]),
            ..Policy::default()
        };
        assert!(check(&registries, "someone/thing") && check(&registries, "ghcr.io/a/b"));
        assert!(!check(&registries, "quay.io/a/b"));
        let classes = Policy {
            classes: list(&["official"]),
            images: list(&["ghcr.io/own/*", "someone/thing"]),
            ..Policy::default()
        };
        assert!(
            check(&classes, "node:20")
                && check(&classes, "ghcr.io/own/x:1")
                && check(&classes, "docker.io/someone/thing:2")
        );
        assert!(!check(&classes, "someone/other") && !check(&classes, "ghcr.io/a/b"));
        let images = Policy {
            images: list(&["node"]),
            ..Policy::default()
        };
        assert!(check(&images, "node:20") && !check(&images, "python:3"));
        // Both of two policies hold, and neither list of images opens the other.
        let both = Policy {
            also: vec![images],
            ..classes
        };
        assert!(check(&both, "node:20") && !check(&both, "python:3"));
        assert!(!check(&both, "ghcr.io/own/x:1"));
    }
}
