//! What each image reference of a file is, as far as it is known: who stands
//! behind it, how it is pinned, what it is built on, and how long it lives.

use super::pins::official;
use super::trust::{self, Class, Policy};
use super::{Editable, ImageUse};
use crate::catalog::life::{self, Deprecation, End, Line};
use crate::catalog::timeline::{self, Past};
use crate::catalog::{self, Date, Entry, Kind, NoPin, Release};
use crate::facts::Trust;
use crate::image::Reference;

/// How a reference is kept from moving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pinned {
    /// By a digest: it never moves.
    Digest,
    /// The tag left the library: nobody moves it any more.
    Frozen,
    /// The tag names the release of the distribution: fixes come in, the release
    /// stays.
    Release,
    /// The tag names one version down to the patch; what that is built on may
    /// move.
    Version,
    /// Versions or the distribution move under it.
    Floating,
    /// Who makes it doesn't say what a tag means.
    Unknown,
}

impl Pinned {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Frozen => "frozen",
            Self::Release => "release",
            Self::Version => "version",
            Self::Floating => "floating",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a tag stands in the official-images library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is there.
    Present,
    /// It left on that day.
    Gone(Date),
    /// The image is there, or was; this tag never.
    Never,
    /// No official image.
    NotOfficial,
    /// A digest without a tag: which one it was is not known.
    NoTag,
}

/// What a person should look at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Concern {
    /// What is written is no image reference, or can't be told.
    Unresolved,
    /// The image has no such tag, and never had.
    NoSuchTag,
    /// No such image.
    NoSuchImage,
    /// The policy does not let it in.
    Policy,
    /// Nobody vouches for who publishes it, as far as is known.
    Untrusted,
    /// Its makers gave the image up.
    Deprecated,
    /// The version line or the distribution is past its end.
    EndOfLife,
    /// It moves.
    Floating,
}

impl Concern {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::NoSuchTag => "no-such-tag",
            Self::NoSuchImage => "no-such-image",
            Self::Policy => "policy",
            Self::Untrusted => "untrusted",
            Self::Deprecated => "deprecated",
            Self::EndOfLife => "eol",
            Self::Floating => "floating",
        }
    }
}

/// What is known of one reference.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who stands behind it.
    pub class: Class,
    /// The version at its most precise.
    pub version: Option<String>,
    /// The version line and its ends.
    pub line: Option<Line>,
    /// What the catalogue has of the tag.
    pub entry: Option<Entry>,
    /// The release of the distribution that it is built on.
    pub release: Option<&'static Release>,
    /// How it is pinned.
    pub pinned: Pinned,
    /// Whether the tag is in the library.
    pub standing: Standing,
    /// The notice of deprecation.
    pub deprecation: Option<Deprecation>,
    /// What the tag meant on the day that was asked for.
    pub past: Option<(Date, Past)>,
    /// What a person should look at, each with the words for it.
    pub concerns: Vec<(Concern, String)>,
}

/// Who is asked, and for which day.
pub struct Asking<'a> {
    /// The day from which days left are counted.
    pub today: Date,
    /// The day whose meaning of floating tags is wanted.
    pub as_of: Option<Date>,
    /// Who knows the classes that are not in the catalogue.
    pub trust: &'a dyn Trust,
    /// What the user lets in.
    pub policy: &'a Policy,
}

/// What is known of what an image reference names.
#[must_use]
pub fn identify(image: &ImageUse, asking: &Asking<'_>) -> Identity {
    let mut concerns = Vec::new();
    let reference = match &image.reference {
        Ok(reference) => reference,
        Err(why) => {
            concerns.push((Concern::Unresolved, why.clone()));
            return Identity {
                class: Class::Unknown(why.clone()),
                version: None,
                line: None,
                entry: None,
                release: None,
                pinned: Pinned::Unknown,
                standing: Standing::NotOfficial,
                deprecation: None,
                past: None,
                concerns,
            };
        }
    };
    let class = trust::class(reference, asking.trust);
    // A copy of an official image has its tags.
    let copied = catalog::origin::official_copy(reference).map(|(name, _)| name);
    let name = match (official(reference), &copied) {
        (Some(official), _) => Some(official.image),
        (None, Some(name)) => Some(name.as_str()),
        (None, None) => None,
    };
    let tag = reference.effective_tag();
    let known = name.zip(tag);
    let entry = known.and_then(|(name, tag)| catalog::lookup(name, tag));
    let base = entry.and_then(|entry| entry.base);
    let release = base.and_then(|base| catalog::release(base.family, base.release));
    let standing = match (name, tag, entry) {
        (None, ..) => Standing::NotOfficial,
        (Some(_), None, _) => Standing::NoTag,
        (Some(_), Some(_), Some(entry)) => entry.gone.map_or(Standing::Present, Standing::Gone),
        (Some(_), Some(_), None) => Standing::Never,
    };
    let line = known.and_then(|(name, tag)| life::line(name, tag));
    let deprecation = known.and_then(|(name, tag)| life::deprecation(name, tag));
    let past = known
        .zip(asking.as_of)
        .and_then(|((name, tag), day)| Some((day, timeline::past(name, tag, day)?)));
    let identity = Identity {
        version: known.and_then(|(name, tag)| life::version(name, tag)),
        pinned: pinned(reference, name, entry),
        class,
        line,
        entry,
        release,
        standing,
        deprecation,
        past,
        concerns,
    };
    identity.with_concerns(reference, asking)
}

fn pinned(reference: &Reference, official: Option<&str>, entry: Option<Entry>) -> Pinned {
    if reference.digest().is_some() {
        return Pinned::Digest;
    }
    let tag = reference.effective_tag().unwrap_or_default();
    let Some(name) = official else {
        // `latest` is what it is everywhere.
        return if tag == "latest" {
            Pinned::Floating
        } else {
            Pinned::Unknown
        };
    };
    let Some(entry) = entry else {
        return Pinned::Unknown;
    };
    if entry.gone.is_some() {
        return Pinned::Frozen;
    }
    match catalog::codename_tag(name, tag) {
        Err(NoPin::Named(_)) => Pinned::Release,
        _ => {
            let version = life::version(name, tag).unwrap_or_default();
            let precise = tag.split('-').any(|word| word == version) && version.contains('.');
            if precise {
                Pinned::Version
            } else {
                Pinned::Floating
            }
        }
    }
}

impl Identity {
    fn with_concerns(mut self, reference: &Reference, asking: &Asking<'_>) -> Self {
        let name = reference.familiar_name();
        let as_of = catalog::source().as_of;
        let mut found: Vec<(Concern, String)> = Vec::new();
        if let (Class::Unknown(why), Some(_)) = (&self.class, reference.official()) {
            found.push((Concern::NoSuchImage, why.clone()));
        }
        if self.standing == Standing::Never {
            let tag = reference.effective_tag().unwrap_or_default();
            found.push((
                Concern::NoSuchTag,
                format!("{name} has no tag {tag}, and never had (as of {as_of})"),
            ));
        }
        if let Some(why) = asking.policy.violation(reference, &self.class) {
            found.push((Concern::Policy, why));
        }
        if !self.class.is_trusted() && !asking.policy.names(reference) {
            let why = match &self.class {
                Class::Unknown(why) => why.clone(),
                _ => format!(
                    "{} is neither an official image nor of a verified publisher or sponsored project",
                    name
                ),
            };
            found.push((Concern::Untrusted, why));
        }
        if let Some(deprecation) = &self.deprecation {
            let since = deprecation
                .announced
                .map_or_else(String::new, |day| format!(" since {day}"));
            found.push((
                Concern::Deprecated,
                format!("{name} is deprecated{since}: {}", deprecation.notice),
            ));
        }
        if let Some(why) = self.line_over(&name, asking.today) {
            found.push((Concern::EndOfLife, why));
        }
        if let Some(why) = self.release_over(asking.today) {
            found.push((Concern::EndOfLife, why));
        }
        if self.pinned == Pinned::Floating {
            let tag = reference.effective_tag().unwrap_or_default();
            found.push((
                Concern::Floating,
                format!("{name}:{tag} moves to other versions or releases"),
            ));
        }
        self.concerns = found;
        self
    }

    /// That the version line is past its end, in words; None where it isn't, or
    /// nothing is recorded.
    #[must_use]
    pub fn line_over(&self, name: &str, today: Date) -> Option<String> {
        let line = self.line?;
        let end = line.end?;
        end.is_over(today).then(|| match end {
            End::On(day) => format!("{name} {} reached its end of life on {day}", line.name),
            _ => format!("{name} {} is past its end of life", line.name),
        })
    }

    /// That the release is past the end of its free support, in words; likewise.
    #[must_use]
    pub fn release_over(&self, today: Date) -> Option<String> {
        let release = self.release?;
        let end = life::free_end(release)?;
        (end < today).then(|| {
            let paid = release
                .extended_end
                .filter(|paid| *paid >= today)
                .map_or_else(String::new, |paid| {
                    format!(" (support that is paid for goes on until {paid})")
                });
            format!(
                "{} {} is without free support since {end}{paid}",
                release.family, release.name
            )
        })
    }

    /// The kind of the image, where the catalogue has it.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.entry.map(|entry| entry.kind)
    }
}

/// The ARG in whose default a reference stands.
#[must_use]
pub fn argument(image: &ImageUse) -> Option<&str> {
    match &image.editable {
        Editable::Argument(_, name) => Some(name),
        _ => None,
    }
}
