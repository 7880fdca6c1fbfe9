//! The rules of a `.dockerignore` file, as `BuildKit` reads and applies them.
//!
//! Docker's own matcher makes regular expressions of the patterns. Here they
//! are matched directly, by the set of places in the pattern that may be
//! reached: linear in pattern × path, whatever the pattern. Its peculiarities
//! are kept, since builds depend on them: `**/x` is a comparison of the end,
//! `x/**` of the beginning, and an exception counts for what lies below it
//! only when something was excluded at the level where it matches.

use std::fmt;

/// The rules of one file, in their order: the last that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    has_exceptions: bool,
}

/// A line that Docker refuses, which fails the build before it starts. It
/// prints as "line: why", to stand behind the file's name and a colon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine {
    line: usize,
    why: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

impl std::error::Error for BadLine {}

/// Matching took more steps than any sensible rules need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooCostly;

impl fmt::Display for TooCostly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the patterns in .dockerignore take too long to match")
    }
}

impl std::error::Error for TooCostly {}

/// The steps that one question may take.
pub(super) struct Budget {
    steps: u64,
    /// Places in the pattern, kept to be used again.
    now: Vec<u32>,
    next: Vec<u32>,
    /// For each place, when it was last added.
    added: Vec<u32>,
}

impl Budget {
    /// About a tenth of a second.
    pub(super) fn new() -> Self {
        Self::of(20_000_000)
    }

    fn of(steps: u64) -> Self {
        Self {
            steps,
            now: Vec::new(),
            next: Vec::new(),
            added: Vec::new(),
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooCostly> {
        match self.steps.checked_sub(steps as u64 + 1) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(TooCostly),
        }
    }
}

/// What the rules say of a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Matched {
    /// It is not in the context; a folder may still hold something that is.
    pub(super) excluded: bool,
    /// Which patterns matched, for what lies below.
    each: Vec<bool>,
}

impl Ignore {
    /// Reads the file.
    ///
    /// # Errors
    /// [`BadLine`] for a pattern that Docker refuses, or that is not worth
    /// imitating (a class in brackets that holds `*`, `?` or `[`, which its
    /// regular expressions read in ways that nobody means).
    pub fn parse(text: &[u8]) -> Result<Self, BadLine> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut ignore = Self::default();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let bad = |why| BadLine {
                line: index + 1,
                why,
            };
            if line.len() >= 65_536 {
                return Err(bad("the line is longer than Docker reads"));
            }
            if line.starts_with(b"#") {
                continue;
            }
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (exception, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if pattern.is_empty() {
                return Err(bad("`!` stands alone, which Docker refuses"));
            }
            let pattern = clean(pattern);
            let pattern = match pattern.strip_prefix('/') {
                Some(rest) if !rest.is_empty() => rest,
                _ => &pattern,
            };
            ignore.has_exceptions |= exception;
            ignore.patterns.push(Pattern {
                exception,
                how: How::of(pattern).map_err(bad)?,
            });
        }
        Ok(ignore)
    }

    /// Whether some rule takes something back (`!`).
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.has_exceptions
    }

    /// Whether a file at this path, `/`-separated and clean, is excluded.
    ///
    /// # Errors
    /// [`TooCostly`] for rules made to be slow.
    pub fn excludes(&self, path: &str) -> Result<bool, TooCostly> {
        self.excludes_within(path, &mut Budget::new())
    }

    /// The same, within the steps that are left.
    pub(super) fn excludes_within(
        &self,
        path: &str,
        budget: &mut Budget,
    ) -> Result<bool, TooCostly> {
        let mut above: Option<Matched> = None;
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            above = Some(self.matched(&path[..end], above.as_ref(), budget)?);
        }
        Ok(above.is_some_and(|matched| matched.excluded))
    }

    /// What the rules say of a path, given what they say of its folder (none
    /// for what lies at the root).
    pub(super) fn matched(
        &self,
        path: &str,
        above: Option<&Matched>,
        budget: &mut Budget,
    ) -> Result<Matched, TooCostly> {
        budget.spend(self.patterns.len())?;
        let mut matched = Matched {
            excluded: false,
            each: vec![false; self.patterns.len()],
        };
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut hit = above.is_some_and(|above| above.each[index]);
            // An exception is only asked about what is excluded so far, and
            // the others about what is not.
            if !hit && pattern.exception == matched.excluded {
                hit = pattern.how.matches(path, budget)?;
            }
            if hit {
                matched.each[index] = true;
                matched.excluded = !pattern.exception;
            }
        }
        Ok(matched)
    }
}

#[derive(Clone, Debug)]
struct Pattern {
    exception: bool,
    how: How,
}

/// How a pattern is compared.
#[derive(Clone, Debug)]
enum How {
    Exact(Box<str>),
    /// `x/**`: what is before the asterisks.
    Prefix(Box<str>),
    /// `**/x`: what is behind the asterisks.
    Suffix(Box<str>),
    Parts(Box<[Part]>),
}

/// A part of a pattern.
#[derive(Clone, Debug)]
enum Part {
    Char(char),
    /// `?`
    NotSlash,
    /// `*`
    NotSlashes,
    /// `**/`: nothing, or anything up to a slash. Always followed by `Inside`.
    Folders,
    /// Within what `**/` matches.
    Inside,
    /// `**` at the end.
    Rest,
    /// `[a-z]`
    Class {
        negated: bool,
        ranges: Box<[(char, char)]>,
    },
}

const UNCLOSED: &str = "`[` is not closed, so Docker refuses the pattern";

impl How {
    fn of(pattern: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut how = Kind::Exact;
        let mut chars = pattern.chars().peekable();
        let mut first = true;
        while let Some(char) = chars.next() {
            match char {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    chars.next_if_eq(&'/');
                    if chars.peek().is_none() {
                        how = match how {
                            Kind::Exact => Kind::Prefix,
                            _ => Kind::Parts,
                        };
                        parts.push(Part::Rest);
                    } else {
                        how = Kind::Parts;
                        parts.extend([Part::Folders, Part::Inside]);
                    }
                    if first {
                        how = Kind::Suffix;
                    }
                }
                '*' => {
                    how = Kind::Parts;
                    parts.push(Part::NotSlashes);
                }
                '?' => {
                    how = Kind::Parts;
                    parts.push(Part::NotSlash);
                }
                '[' => {
                    how = Kind::Parts;
                    parts.push(class(&mut chars)?);
                }
                ']' => {
                    how = Kind::Parts;
                    parts.push(Part::Char(']'));
                }
                '\\' => {
                    how = Kind::Parts;
                    parts.push(Part::Char(escaped(&mut chars)?));
                }
                char => parts.push(Part::Char(char)),
            }
            first = false;
        }
        Ok(match how {
            Kind::Exact => Self::Exact(pattern.into()),
            Kind::Prefix => Self::Prefix(pattern[..pattern.len() - 2].into()),
            Kind::Suffix => Self::Suffix(pattern[2..].into()),
            Kind::Parts => Self::Parts(parts.into()),
        })
    }

    fn matches(&self, path: &str, budget: &mut Budget) -> Result<bool, TooCostly> {
        budget.spend(path.len() / 16)?;
        Ok(match self {
            Self::Exact(whole) => path == &**whole,
            Self::Prefix(start) => path.starts_with(&**start),
            Self::Suffix(end) => {
                path.ends_with(&**end) || end.strip_prefix('/').is_some_and(|end| path == end)
            }
            Self::Parts(parts) => return matches(parts, path, budget),
        })
    }
}

enum Kind {
    Exact,
    Prefix,
    Suffix,
    Parts,
}

/// The character behind a backslash. Regular expressions give letters and
/// digits there a meaning of their own (`\d`, `\b`).
fn escaped(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, &'static str> {
    match chars.next() {
        None => Err("`\\` ends the pattern, which Docker refuses"),
        Some(char) if char.is_ascii() && !char.is_ascii_alphanumeric() => Ok(char),
        Some(_) => Err("`\\` stands before a letter or a digit, which Docker misreads"),
    }
}

/// A class, behind its `[`.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Part, &'static str> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            let ranges = ranges.into();
            return Ok(Part::Class { negated, ranges });
        }
        let mut one = || match chars.next() {
            None => Err(UNCLOSED),
            Some('-' | ']') => Err("`[…]` begins or ends a range with nothing; Docker refuses it"),
            Some('*' | '?' | '[') => Err("`[…]` holds a wildcard, which Docker misreads"),
            Some('\\') => escaped(chars),
            Some(char) => Ok(char),
        };
        let low = one()?;
        let high = match chars.next_if_eq(&'-') {
            None => low,
            Some(_) => match chars.next() {
                None => return Err(UNCLOSED),
                Some('\\') => escaped(chars)?,
                Some('-' | ']') => {
                    return Err("`[…]` begins or ends a range with nothing; Docker refuses it");
                }
                Some('*' | '?' | '[') => {
                    return Err("`[…]` holds a wildcard, which Docker misreads");
                }
                Some(char) => char,
            },
        };
        if high < low {
            return Err("`[…]` has a range that goes backwards; Docker refuses it");
        }
        ranges.push((low, high));
    }
}

/// Whether the parts match the whole path.
fn matches(parts: &[Part], path: &str, budget: &mut Budget) -> Result<bool, TooCostly> {
    let end = u32::try_from(parts.len()).map_err(|_| TooCostly)?;
    let mut now = std::mem::take(&mut budget.now);
    let mut next = std::mem::take(&mut budget.next);
    let mut added = std::mem::take(&mut budget.added);
    added.clear();
    added.resize(parts.len() + 1, 0);
    budget.spend(parts.len() / 8)?;

    let mut round = 1;
    now.clear();
    add(parts, 0, round, &mut now, &mut added);
    for char in path.chars() {
        budget.spend(now.len())?;
        round += 1;
        next.clear();
        for &at in &now {
            let (here, there) = match parts.get(at as usize) {
                None => (false, false),
                Some(Part::Char(c)) => (false, *c == char),
                Some(Part::NotSlash) => (false, char != '/'),
                Some(Part::NotSlashes) => (char != '/', false),
                Some(Part::Folders) => (false, false),
                Some(Part::Inside) => (true, char == '/'),
                Some(Part::Rest) => (true, false),
                Some(Part::Class { negated, ranges }) => {
                    let within = ranges.iter().any(|&(a, b)| (a..=b).contains(&char));
                    (false, within != *negated)
                }
            };
            if here {
                add(parts, at, round, &mut next, &mut added);
            }
            if there {
                add(parts, at + 1, round, &mut next, &mut added);
            }
        }
        std::mem::swap(&mut now, &mut next);
        if now.is_empty() {
            break;
        }
    }
    let whole = now.contains(&end);
    (budget.now, budget.next, budget.added) = (now, next, added);
    Ok(whole)
}

/// Adds a place, and those that are reached from it for nothing.
fn add(parts: &[Part], at: u32, round: u32, places: &mut Vec<u32>, added: &mut [u32]) {
    let mut at = at;
    loop {
        let mark = &mut added[at as usize];
        if std::mem::replace(mark, round) == round {
            return;
        }
        places.push(at);
        match parts.get(at as usize) {
            Some(Part::NotSlashes | Part::Rest) => at += 1,
            Some(Part::Folders) => {
                let inside = &mut added[at as usize + 1];
                if std::mem::replace(inside, round) != round {
                    places.push(at + 1);
                }
                at += 2;
            }
            _ => return,
        }
    }
}

/// A pattern as Go's `filepath.Clean` makes it.
fn clean(pattern: &str) -> String {
    let rooted = pattern.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(lines: &[&str], path: &str) -> bool {
        Ignore::parse(lines.join("\n").as_bytes())
            .unwrap_or_else(|error| panic!("{lines:?}: {error}"))
            .excludes(path)
            .unwrap()
    }

    /// One pattern, a path, and whether it is excluded.
    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            // plain names are paths from the root, and cover what is below
            ("docs", "docs", true),
            ("docs", "docs/a/b", true),
            ("docs/", "docs/a", true),
            ("./docs", "docs/a", true),
            ("/docs", "docs/a", true),
            ("docs", "a/docs", false),
            ("docs", "docs2", false),
            ("a//b/../c", "a/c", true),
            ("../docs", "docs", false),
            ("/", "docs", false),
            (".", "docs", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("temp?", "temp/", false),
            ("*/temp*", "somedir/temporary.txt", true),
            ("*/temp*", "a/b/temporary", false),
            ("*/*/temp*", "a/b/temporary", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("*", "a/b", true),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("a.b", "aXb", false),
            ("a(b)c{d}|$^+", "a(b)c{d}|$^+", true),
            ("a*(b)c{d}|$^+", "aZ(b)c{d}|$^+", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("a?b", "a☺b", true),
            ("a???b", "a☺b", false),
            // any number of folders
            ("**", "a", true),
            ("**", "a/b", true),
            ("**/", "a/b", true),
            ("**/**", "a/b", true),
            ("dir/**", "dir/a", true),
            ("dir/**", "dir/a/b", true),
            ("dir/**", "dir", false),
            ("**/dir", "dir", true),
            ("**/dir", "a/b/dir/c", true),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/**", "dir/dir2/dir3/file", true),
            ("**/*.go", "a.go", true),
            ("**/*.go", "a/b/c.go", true),
            ("**/**/*.txt", "file.txt", true),
            ("**/**/*.txt2", "dir/dir/file.txt", false),
            ("**/.foo", "bar.foo", false),
            ("**/foo/bar", "x/y/foo/bar", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a/*.txt**", "a/file.txt", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            // kept as Docker has it: a comparison of ends and beginnings
            ("**file", "dir/my-file", true),
            ("dir**", "dirty/x", true),
            // classes and escapes
            ("a[b-d]e", "ace", true),
            ("a[b-d]e", "aae", false),
            ("a[^b-d]e", "aze", true),
            ("ab[^e-g]", "abc", true),
            ("[a-ζ]*", "α", true),
            ("[!a]", "!", true),
            ("[!a]", "b", false),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a\\\\", "a\\", true),
            ("]", "]", true),
            // blanks around are nothing, within they are
            ("  docs \t", "docs", true),
            ("docs\r", "docs", true),
            ("a b", "a b", true),
            (" # x", "# x", true),
            ("!docs", "docs", false),
        ] {
            assert_eq!(excluded(&[pattern], path), expected, "{pattern} {path}");
        }
    }

    /// Several lines: the last that matches decides.
    #[test]
    fn files() {
        for (lines, path, expected) in [
            (&["*.md", "!README.md"][..], "README.md", false),
            (&["*.md", "!README.md"], "OTHER.md", true),
            (&["!README.md", "*.md"], "README.md", true),
            (
                &["*.md", "!README*.md", "README-secret.md"],
                "README-secret.md",
                true,
            ),
            (
                &["*.md", "README-secret.md", "!README*.md"],
                "README-secret.md",
                false,
            ),
            (&["docs", "!docs/README.md"], "docs/README.md", false),
            (&["docs", "!docs/README.md"], "docs/x", true),
            (&["docs/", "! docs/README.md"], "docs/README.md", false),
            (&["docs/*", "!/docs/README.md"], "docs/README.md", false),
            (&["**", "!util/web"], "util/web/foo", false),
            (&["**", "!util/web"], "util/other", true),
            (&["**", "!util/web", "util/web/foo"], "util/web/foo", true),
            (&["*", "!package*.json", "!src"], "src/a/b.ts", false),
            (&["*", "!package*.json", "!src"], "package-lock.json", false),
            (&["*", "!package*.json", "!src"], "src2/a", true),
            (&["*", "!src/**"], "src/a/b.ts", false),
            (&["*", "!src/**", "**/*.test.ts"], "src/a.test.ts", true),
            (&["# docs", "", "   ", "x"], "docs", false),
            (&["\u{feff}docs"], "docs", true),
            // An exception counts below a folder only if the folder itself
            // was excluded: `docs/*` leaves `docs` in, so `!docs` says nothing.
            (&["docs/*", "!docs"], "docs/a", true),
            (&["docs", "!docs"], "docs/a", false),
        ] {
            assert_eq!(excluded(lines, path), expected, "{lines:?} {path}");
        }
    }

    #[test]
    fn what_docker_refuses() {
        for pattern in [
            "!",
            "[",
            "a[",
            "[^",
            "[^bc",
            "[]a]",
            "[-]",
            "[x-]",
            "[-x]",
            "[a-b-c]",
            "\\",
            "[Local-Only]/",
            "[a[b]",
            "\\d",
        ] {
            let error = Ignore::parse(format!("ok\n{pattern}\n").as_bytes());
            assert_eq!(error.map_err(|e| e.line).err(), Some(2), "{pattern}");
        }
        assert!(Ignore::parse(&[b'a'; 70_000]).is_err());
    }

    #[test]
    fn hostile_patterns_are_linear_or_given_up() {
        let path = "a".repeat(4000);
        for pattern in ["*a".repeat(20_000), "**/a*".repeat(10_000)] {
            let ignore = Ignore::parse(format!("{pattern}b\n").as_bytes()).unwrap();
            let worked =
                || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec;
            let start = worked();
            assert_ne!(ignore.excludes(&path), Ok(true));
            assert!(worked() - start < 5);
        }
        let many = "*a*b\n".repeat(100_000);
        let ignore = Ignore::parse(many.as_bytes()).unwrap();
        assert_eq!(ignore.excludes(&path), Err(TooCostly));
    }
}
