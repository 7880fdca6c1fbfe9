//! Java: which version a tag of an image has, which image has its runtime
//! alone, and what needs more than that.

use std::cmp::Ordering;

use super::table::Table;
use super::{Base, Entry, Kind, aliases, codename_tag, lookup, runtime_tag, slim_tag};

/// How tags name the Java they have.
pub static JDKS: Table = Table::new(include_str!("data/jdks.tsv"));
/// Signs in sources, build files and commands.
pub static SIGNS: Table = Table::new(include_str!("data/java_signs.tsv"));

/// The image that has runtimes of all vendors' versions.
const RUNTIMES: &str = "eclipse-temurin";

/// A Java.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Java {
    /// Its major version.
    pub major: u32,
    /// Whose build it is; `None` where the tag doesn't say.
    pub vendor: Option<&'static str>,
}

/// The Java of an official image; `None` where neither the tag nor another tag
/// of the same image names it.
#[must_use]
pub fn java_of(image: &str, tag: &str) -> Option<Java> {
    of_tag(image, tag).or_else(|| {
        aliases(image, tag)
            .iter()
            .find_map(|tag| of_tag(image, tag))
    })
}

fn of_tag(image: &str, tag: &str) -> Option<Java> {
    let prefix = format!("{image}:");
    let rows = JDKS
        .iter()
        .filter_map(|row| Some((row, row.key().strip_prefix(&prefix)?)));
    rows.into_iter().find_map(|(row, form)| {
        let word = form.strip_suffix("{n}")?;
        let mut places = vec![0];
        places.extend(tag.match_indices('-').map(|(at, _)| at + 1));
        // A version that stands alone is the tag's first word.
        places.truncate(if word.is_empty() { 1 } else { usize::MAX });
        let major = places.into_iter().find_map(|at| {
            let rest = tag[at..].strip_prefix(word)?;
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            rest[..end].parse().ok()
        })?;
        Some(Java {
            major,
            vendor: row.cell(1),
        })
    })
}

/// An image with the runtime of a Java alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Runtime {
    /// The image's name.
    pub image: String,
    /// The tag, with the release of its distribution.
    pub tag: String,
    /// What it is built on.
    pub base: Option<Base>,
    /// What kind of image that is.
    pub kind: Kind,
    /// What differs beside the kit, in words.
    pub differs: Vec<String>,
}

/// The runtime for what runs on an official image with a development kit: of
/// the same image where it has one (its slim variant where `slim` says so and
/// there is one), else Eclipse Temurin's of the same major version, on the
/// same release where there is one.
///
/// # Errors
/// Why there is none, in words.
pub fn runtime(image: &str, tag: &str, slim: bool) -> Result<Runtime, String> {
    let Some(entry) = lookup(image, tag) else {
        return Err(format!(
            "{image}:{tag} is not in the catalogue of official images"
        ));
    };
    if tag.split('-').any(|word| word == "jre") {
        return Err(format!("{image}:{tag} has the runtime alone already"));
    }
    if let Ok(runtime) = runtime_tag(image, tag) {
        let slimmer = slim_tag(image, &runtime).ok().filter(|_| slim);
        let tag = slimmer.unwrap_or(runtime);
        let tag = codename_tag(image, &tag).map_or(tag, |pin| pin.tag);
        let found = lookup(image, &tag);
        return Ok(Runtime {
            image: image.to_owned(),
            base: found.and_then(|entry| entry.base),
            kind: found.map_or(entry.kind, |entry| entry.kind),
            tag,
            differs: Vec::new(),
        });
    }
    let Some(java) = java_of(image, tag) else {
        return Err(format!("which Java {image}:{tag} has is not known"));
    };
    of_major(image, tag, &entry, java)
}

fn of_major(image: &str, tag: &str, entry: &Entry, java: Java) -> Result<Runtime, String> {
    let major = java.major;
    let none = || format!("the catalogue has no {RUNTIMES} runtime of Java {major}");
    let alpine =
        entry.base.is_some_and(|base| base.family == "alpine") || entry.kind == Kind::Alpine;
    let plain = if alpine {
        format!("{major}-jre-alpine")
    } else {
        format!("{major}-jre")
    };
    let same = entry
        .base
        .map(|base| format!("{plain}-{}", base.release))
        .filter(|tag| lookup(RUNTIMES, tag).is_some());
    let pinned = || codename_tag(RUNTIMES, &plain).map(|pin| pin.tag).ok();
    let new = same.or_else(pinned).ok_or_else(none)?;
    let found = lookup(RUNTIMES, &new).ok_or_else(none)?;
    let release = |base: Option<Base>| {
        let base = base?;
        super::release(base.family, base.release)
    };
    if let (Some(old), Some(new)) = (release(entry.base), release(found.base))
        && !alpine
        && super::compare_glibc(new, old) == Some(Ordering::Less)
    {
        return Err(format!(
            "the {RUNTIMES} runtime of Java {major} is on {} {}, whose C library is older than that of {} {}",
            new.family, new.name, old.family, old.name
        ));
    }
    let mut differs = Vec::new();
    let moved = !entry
        .base
        .zip(found.base)
        .is_some_and(|(one, other)| one.same_release(&other));
    match java.vendor {
        Some("Eclipse Temurin") => {}
        Some(vendor) => differs.push(format!(
            "the build is {vendor}'s in {image}:{tag} and Eclipse Temurin's in {RUNTIMES}:{new}: the same Java {major}, from the same sources, by another vendor"
        )),
        None if moved => differs.push(format!(
            "{image}:{tag} doesn't say whose Java {major} it has; {RUNTIMES}:{new} has Eclipse Temurin's"
        )),
        None => {}
    }
    if moved {
        let on = |base: Option<Base>| {
            base.map_or_else(
                || "something not known".to_owned(),
                |base| format!("{} {}", base.family, base.release),
            )
        };
        differs.push(format!(
            "{image}:{tag} is on {}, {RUNTIMES}:{new} on {}: native libraries in the jars meet another C library, and the locale is en_US.UTF-8",
            on(entry.base),
            on(found.base)
        ));
    }
    let says = |tag: &str| of_tag(image, tag).is_some();
    if !says(tag) {
        differs.push(format!(
            "{image}:{tag} names no Java version: when it moves to another one, the final stage has to follow"
        ));
    }
    Ok(Runtime {
        image: RUNTIMES.to_owned(),
        tag: new,
        base: found.base,
        kind: found.kind,
        differs,
    })
}

/// Parts of paths that lie inside of a Java installation.
const INSTALLATION: [&str; 6] = [
    "/docker-java-home",
    "/jre/",
    "/usr/java/",
    "/usr/lib/jvm",
    "/usr/local/openjdk",
    "tools.jar",
];

/// The part of a text that is a path inside of a Java installation, which
/// another image has elsewhere or not at all.
#[must_use]
pub fn inside_installation(text: &str) -> Option<&'static str> {
    INSTALLATION.into_iter().find(|path| text.contains(path))
}

fn signs(kind: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = SIGNS.iter().filter(move |row| row.cell(1) == Some(kind));
    rows.map(|row| (row.key(), row.cell(2).unwrap_or_default()))
}

/// Whether a program is of the development kit and not of the runtime.
#[must_use]
pub fn is_kit_tool(program: &str) -> bool {
    SIGNS
        .get(program)
        .is_some_and(|row| row.cell(1) == Some("tool"))
}

/// The signs in a source that it needs the development kit: each with what it
/// is a sign of.
pub fn kit_interfaces() -> impl Iterator<Item = (&'static str, &'static str)> {
    signs("api")
}

/// The signs in a source or build file that text is drawn, which needs fonts.
pub fn font_users() -> impl Iterator<Item = (&'static str, &'static str)> {
    signs("fonts")
}

/// Why a jar that this build file makes holds all that it depends on; `None`
/// where nothing says so.
#[must_use]
pub fn bundles(file: &str, text: &str) -> Option<&'static str> {
    let ending = if file.ends_with(".xml") {
        "bundle:xml"
    } else if file.ends_with(".sbt") {
        "bundle:sbt"
    } else {
        "bundle:gradle"
    };
    let mut found = signs(ending).filter(|(sign, _)| text.contains(sign));
    found.next().map(|(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_canonical() {
        assert_eq!(JDKS.faults(), Vec::<String>::new());
        assert_eq!(SIGNS.faults(), Vec::<String>::new());
    }

    #[test]
    fn the_java_of_a_tag() {
        let major = |image, tag| java_of(image, tag).map(|java| java.major);
        assert_eq!(major("openjdk", "8u342-jdk"), Some(8));
        assert_eq!(major("openjdk", "11.0.16-slim"), Some(11));
        assert_eq!(major("java", "openjdk-7-jdk"), Some(7));
        assert_eq!(major("maven", "3.9.9-eclipse-temurin-24-noble"), Some(24));
        assert_eq!(major("maven", "3-jdk-8"), Some(8));
        assert!(
            major("maven", "latest") >= Some(17),
            "by another tag of the image"
        );
        assert_eq!(major("gradle", "8.7.0-jdk21"), Some(21));
        assert_eq!(major("gradle", "8.7"), Some(21));
        assert_eq!(major("tomcat", "9"), None);
    }

    #[test]
    fn the_runtime_of_the_same_image_or_of_temurin() {
        let name = |image, tag| {
            let found = runtime(image, tag, true)?;
            Ok::<_, String>(format!("{}:{}", found.image, found.tag))
        };
        let named = |image, tag| name(image, tag).unwrap();
        assert_eq!(
            named("openjdk", "8-bullseye"),
            "openjdk:8-jre-slim-bullseye"
        );
        assert_eq!(named("java", "8"), "java:8-jre");
        assert_eq!(
            named("eclipse-temurin", "17-jdk-jammy"),
            "eclipse-temurin:17-jre-jammy"
        );
        assert_eq!(
            named("maven", "3.9.9-eclipse-temurin-24-noble"),
            "eclipse-temurin:24-jre-noble"
        );
        assert!(named("openjdk", "17-alpine3.14").starts_with("eclipse-temurin:17-jre-alpine-"));
        assert!(name("openjdk", "13").is_err(), "no runtime of Java 13");
        let moved = runtime("openjdk", "17-oraclelinux8", true).unwrap();
        assert!(moved.tag.starts_with("17-jre-"), "{}", moved.tag);
        assert_eq!(moved.differs.len(), 2);
        assert!(
            runtime("eclipse-temurin", "17-jdk-jammy", true)
                .unwrap()
                .differs
                .is_empty()
        );
    }

    #[test]
    fn what_needs_the_kit() {
        assert!(is_kit_tool("javac"));
        assert!(!is_kit_tool("java"));
        assert!(
            bundles(
                "pom.xml",
                "<artifactId>spring-boot-maven-plugin</artifactId>"
            )
            .is_some()
        );
        assert!(bundles("pom.xml", "<groupId>org.springframework.boot</groupId>").is_none());
        assert!(bundles("build.gradle.kts", "id(\"org.springframework.boot\")").is_some());
    }
}
