//! Image references: `node`, `docker.io/library/node:20`, `localhost:5000/a/b@sha256:…`.
//!
//! The grammar and the normal forms are those of the distribution project's
//! `reference` package, which Docker and BuildKit use. A [`Reference`] keeps
//! the text it was read from and where its parts lie in it, so that an edit
//! can replace one part and leave the rest as the author wrote it.

use std::fmt;
use std::ops::Range;

/// The registry that a name without one means.
pub const DEFAULT_DOMAIN: &str = "docker.io";

const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_NAMESPACE: &str = "library";
const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;

/// A well-formed image reference.
///
/// Equality is that of the text; compare [`Reference::canonical`] to ask
/// whether two texts name the same thing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    text: Box<str>,
    domain: Option<Range<usize>>,
    path: Range<usize>,
    tag: Option<Range<usize>>,
    digest: Option<Range<usize>>,
}

/// Why a text is no image reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReferenceError {
    /// Nothing there.
    Empty,
    /// Repository names are lower case.
    Uppercase,
    /// The registry part is no host name or address with an optional port.
    Domain,
    /// A component of the repository path is malformed.
    Path,
    /// The repository path is over 255 characters.
    PathTooLong,
    /// The tag is empty, or has characters outside `[A-Za-z0-9_.-]`, or starts
    /// with `.` or `-`.
    Tag,
    /// The tag is over 128 characters.
    TagTooLong,
    /// What follows `@` is no digest such as `sha256:` and 64 hex digits.
    Digest,
    /// 64 hex digits alone would be read as an image identifier.
    Identifier,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the image reference is empty",
            Self::Uppercase => "the repository name must be lower case",
            Self::Domain => "the registry is no host name with an optional port",
            Self::Path => "the repository name has a character or separator that is not allowed",
            Self::PathTooLong => "the repository name is over 255 characters",
            Self::Tag => "the tag is not of the form [A-Za-z0-9_][A-Za-z0-9_.-]*",
            Self::TagTooLong => "the tag is over 128 characters",
            Self::Digest => "the digest is not of the form sha256: and 64 lower-case hex digits",
            Self::Identifier => "64 hex digits would be read as an image identifier",
        })
    }
}

impl std::error::Error for ReferenceError {}

impl Reference {
    /// Reads a reference: `[domain[:port]/]path[:tag][@digest]`.
    ///
    /// # Errors
    ///
    /// Says what is wrong where the text is not of that form. Text with
    /// variables (`node:${VERSION}`) is not: expand it first.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(ReferenceError::Identifier);
        }
        let (rest, digest) = match text.find('@') {
            Some(at) => (&text[..at], Some(at + 1..text.len())),
            None => (text, None),
        };
        if let Some(range) = &digest {
            check_digest(&text[range.clone()])?;
        }
        let path_start = domain_end(rest).map_or(0, |slash| slash + 1);
        let domain = (path_start > 0).then(|| 0..path_start - 1);
        if let Some(range) = &domain {
            check_domain(&rest[range.clone()])?;
        }
        let (path_end, tag) = match rest[path_start..].find(':') {
            Some(colon) => (path_start + colon, Some(path_start + colon + 1..rest.len())),
            None => (rest.len(), None),
        };
        if let Some(range) = &tag {
            check_tag(&text[range.clone()])?;
        }
        let path = path_start..path_end;
        check_path(&text[path.clone()])?;
        let reference = Self {
            text: text.into(),
            domain,
            path,
            tag,
            digest,
        };
        if reference.path().len() > MAX_PATH {
            return Err(ReferenceError::PathTooLong);
        }
        Ok(reference)
    }

    /// The text as it was read.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The registry, in normal form: `docker.io` where none is written.
    pub fn domain(&self) -> &str {
        match &self.domain {
            Some(range) if self.text[range.clone()] != *LEGACY_DEFAULT_DOMAIN => {
                &self.text[range.clone()]
            }
            _ => DEFAULT_DOMAIN,
        }
    }

    /// The repository path in normal form: `library/node` for `node`.
    pub fn path(&self) -> String {
        let path = &self.text[self.path.clone()];
        if self.domain() == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL_NAMESPACE}/{path}")
        } else {
            path.to_owned()
        }
    }

    /// The tag, where one is written. None means `latest` unless there is a
    /// digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.clone().map(|range| &self.text[range])
    }

    /// The tag that a builder would ask for: `latest` where neither a tag nor
    /// a digest is written.
    pub fn effective_tag(&self) -> Option<&str> {
        match (self.tag(), &self.digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        }
    }

    /// The digest (`sha256:…`), where one is written.
    pub fn digest(&self) -> Option<&str> {
        self.digest.clone().map(|range| &self.text[range])
    }

    /// The short name of a Docker Official Image: `node` for `node`,
    /// `library/node`, `docker.io/node` and `docker.io/library/node`. Says
    /// only that the name lies in that namespace, not that such an image is
    /// there.
    pub fn official(&self) -> Option<&str> {
        if self.domain() != DEFAULT_DOMAIN {
            return None;
        }
        let path = &self.text[self.path.clone()];
        match path.split_once('/') {
            None => Some(path),
            Some((OFFICIAL_NAMESPACE, name)) if !name.contains('/') => Some(name),
            Some(_) => None,
        }
    }

    /// The repository without tag and digest, as people write it: `node`,
    /// `grafana/grafana`, `ghcr.io/a/b`.
    pub fn familiar_name(&self) -> String {
        match (self.official(), self.domain()) {
            (Some(name), _) => name.to_owned(),
            (None, DEFAULT_DOMAIN) => self.path(),
            (None, domain) => format!("{domain}/{}", self.path()),
        }
    }

    /// The shortest text that means the same.
    pub fn familiar(&self) -> String {
        self.with_suffixes(self.familiar_name())
    }

    /// The full text: `docker.io/library/node:20`.
    pub fn canonical(&self) -> String {
        self.with_suffixes(format!("{}/{}", self.domain(), self.path()))
    }

    fn with_suffixes(&self, mut name: String) -> String {
        if let Some(tag) = self.tag() {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = self.digest() {
            name.push('@');
            name.push_str(digest);
        }
        name
    }

    /// Where the name (registry and path) lies in the text. It starts at 0; a
    /// tag is put in at its end.
    pub fn name_range(&self) -> Range<usize> {
        0..self.path.end
    }

    /// Where the tag lies in the text, without its colon.
    pub fn tag_range(&self) -> Option<Range<usize>> {
        self.tag.clone()
    }

    /// Where the digest lies in the text, without its `@`.
    pub fn digest_range(&self) -> Option<Range<usize>> {
        self.digest.clone()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({})", self.text)
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The slash that ends a registry part: the first component is one where it
/// could not be a path component of Docker Hub.
fn domain_end(name: &str) -> Option<usize> {
    let slash = name.find('/')?;
    let first = &name[..slash];
    let is_domain = first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase());
    is_domain.then_some(slash)
}

fn check_domain(domain: &str) -> Result<(), ReferenceError> {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(ReferenceError::Domain)?;
            let ok = !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if !ok {
                return Err(ReferenceError::Domain);
            }
            (None, (!port.is_empty()).then_some(port))
        }
        None => {
            let colon = domain.find(':').unwrap_or(domain.len());
            (
                Some(&domain[..colon]),
                (colon < domain.len()).then(|| &domain[colon..]),
            )
        }
    };
    let host_ok = host.is_none_or(|host| {
        host.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    });
    let port_ok = port.is_none_or(|port| {
        port.strip_prefix(':').is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    });
    if host_ok && port_ok {
        Ok(())
    } else {
        Err(ReferenceError::Domain)
    }
}

fn check_path(path: &str) -> Result<(), ReferenceError> {
    if path.is_empty() {
        return Err(ReferenceError::Path);
    }
    for component in path.split('/') {
        if component.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ReferenceError::Uppercase);
        }
        // Alphanumeric runs, joined by one '.', one or two '_', or any number of '-'.
        let mut separators =
            component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let (first, last) = (separators.next(), separators.next_back());
        if first != Some("") || last != Some("") {
            return Err(ReferenceError::Path);
        }
        let joined = |run: &str| {
            matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-')
        };
        if !separators.all(joined) {
            return Err(ReferenceError::Path);
        }
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), ReferenceError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let ok = tag.bytes().next().is_some_and(word)
        && tag
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
    if !ok {
        Err(ReferenceError::Tag)
    } else if tag.len() > MAX_TAG {
        Err(ReferenceError::TagTooLong)
    } else {
        Ok(())
    }
}

fn check_digest(digest: &str) -> Result<(), ReferenceError> {
    let (algorithm, hex) = digest.split_once(':').ok_or(ReferenceError::Digest)?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ReferenceError::Digest),
    };
    if hex.len() == length && hex.bytes().all(is_lower_hex) {
        Ok(())
    } else {
        Err(ReferenceError::Digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parse(text: &str) -> Reference {
        Reference::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn normal_forms() {
        for text in [
            "node",
            "library/node",
            "docker.io/node",
            "docker.io/library/node",
            "index.docker.io/node",
        ] {
            let reference = parse(text);
            assert_eq!(reference.official(), Some("node"), "{text}");
            assert_eq!(reference.canonical(), "docker.io/library/node", "{text}");
            assert_eq!(reference.familiar(), "node", "{text}");
            assert_eq!(reference.as_str(), text);
            assert_eq!(reference.name_range(), 0..text.len());
        }
        let hub = parse("grafana/grafana:9");
        assert_eq!((hub.domain(), hub.official()), ("docker.io", None));
        assert_eq!(hub.familiar(), "grafana/grafana:9");
        assert_eq!(parse("docker.io/a/b").familiar(), "a/b");
        assert_eq!(parse("docker.io/library/a/b").official(), None);
        let other = parse("localhost/node");
        assert_eq!(
            (other.domain(), other.path().as_str()),
            ("localhost", "node")
        );
        assert_eq!(other.official(), None);
        assert_eq!(
            parse("mcr.microsoft.com/dotnet/sdk:8.0").domain(),
            "mcr.microsoft.com"
        );
        assert_eq!(parse("Host/a").domain(), "Host");
        assert_eq!(parse("[2001:db8::1]:5000/a").domain(), "[2001:db8::1]:5000");
        assert_eq!(parse("[::1]/a:b").tag(), Some("b"));
    }

    #[test]
    fn parts_and_where_they_lie() {
        let text = format!("localhost:5000/a/b:1.2@{SHA}");
        let reference = parse(&text);
        assert_eq!(reference.domain(), "localhost:5000");
        assert_eq!(reference.path(), "a/b");
        assert_eq!(reference.tag(), Some("1.2"));
        assert_eq!(reference.digest(), Some(SHA));
        assert_eq!(&text[reference.name_range()], "localhost:5000/a/b");
        assert_eq!(&text[reference.tag_range().unwrap()], "1.2");
        assert_eq!(&text[reference.digest_range().unwrap()], SHA);
        assert_eq!(parse("localhost:5000/a").tag(), None);
        assert_eq!(
            parse("localhost:5000").tag(),
            Some("5000"),
            "no slash, so a tag"
        );
        assert_eq!(parse("a").effective_tag(), Some("latest"));
        assert_eq!(parse(&format!("a@{SHA}")).effective_tag(), None);
    }

    #[test]
    fn refused() {
        use ReferenceError as E;
        let long = "a".repeat(256);
        let long_tag = format!("a:{}", "t".repeat(129));
        let cases: [(&str, E); 34] = [
            ("", E::Empty),
            ("Node", E::Uppercase),
            ("a/Node:1", E::Uppercase),
            (":20", E::Path),
            ("node:", E::Tag),
            ("node:-a", E::Tag),
            ("node:.a", E::Tag),
            ("node:a b", E::Tag),
            ("node:1:2", E::Tag),
            ("node:${V}", E::Tag),
            ("$image", E::Path),
            ("node:é", E::Tag),
            ("a//b", E::Path),
            ("/a", E::Path),
            ("a/", E::Path),
            ("-a", E::Path),
            ("a-", E::Path),
            ("a..b", E::Path),
            ("a___b", E::Path),
            ("a._b", E::Path),
            ("a b", E::Path),
            ("https://a.b/c", E::Domain),
            ("a.b:x/c", E::Domain),
            ("a.b:/c", E::Domain),
            ("-a.b/c", E::Domain),
            ("a..b/c", E::Domain),
            ("[::1/c:1", E::Domain),
            ("[]/c", E::Path),
            ("a@", E::Digest),
            ("a@sha256:12", E::Digest),
            ("a@md5:0123456789abcdef0123456789abcdef", E::Digest),
            (
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                E::Identifier,
            ),
            (&long, E::PathTooLong),
            (&long_tag, E::TagTooLong),
        ];
        for (text, why) in cases {
            assert_eq!(
                Reference::parse(text).map(|r| r.canonical()),
                Err(why),
                "{text}"
            );
        }
        assert_eq!(
            Reference::parse(&format!("a@{}", SHA.to_uppercase())),
            Err(E::Digest)
        );
        assert_eq!(Reference::parse(&format!("a@{SHA}:tag")), Err(E::Digest));
        // 64 hex digits under a namespace are a name like any other.
        assert!(Reference::parse(&format!("a/{}", &SHA[7..])).is_ok());
        assert!(Reference::parse("a__b/c---d/e.f").is_ok());
        assert!(Reference::parse(&"a".repeat(255 - "library/".len())).is_ok());
    }

    proptest! {
        #[test]
        fn parts_make_up_the_text(
            domain in proptest::option::of("(localhost|[a-z]{1,8}\\.[a-z]{2,3})(:[0-9]{1,5})?"),
            path in "[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}(__|-{1,3})[a-z]){0,2}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"),
            digest in proptest::option::of("[0-9a-f]{64}"),
        ) {
            let named = domain.is_some();
            let mut text = domain.clone().map(|domain| domain + "/").unwrap_or_default() + &path;
            prop_assume!(named || domain_end(&text).is_none());
            if let Some(tag) = &tag { text.push(':'); text.push_str(tag); }
            if let Some(hex) = &digest { text.push_str("@sha256:"); text.push_str(hex); }
            let reference = Reference::parse(&text).unwrap();
            prop_assert_eq!(reference.domain(), domain.as_deref().unwrap_or(DEFAULT_DOMAIN));
            prop_assert_eq!(reference.tag(), tag.as_deref());
            prop_assert_eq!(reference.digest().map(|d| d[7..].to_owned()), digest);
            prop_assert_eq!(&text[reference.name_range()], &text[..reference.name_range().end]);
            // Normal forms are fixed points that mean the same.
            let canonical = Reference::parse(&reference.canonical()).unwrap();
            let familiar = Reference::parse(&reference.familiar()).unwrap();
            prop_assert_eq!(canonical.canonical(), reference.canonical());
            prop_assert_eq!(familiar.canonical(), reference.canonical());
            prop_assert_eq!(familiar.familiar(), reference.familiar());
            prop_assert_eq!(canonical.official(), reference.official());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.canonical()).unwrap().canonical(), reference.canonical());
            }
        }
    }
}
