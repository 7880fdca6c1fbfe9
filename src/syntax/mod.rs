//! The lossless Dockerfile tree.
//!
//! [`parse`] never fails and never loses a byte: the items of a
//! [`Dockerfile`] tile its text, whatever the text is. What BuildKit's parser
//! would refuse stands in [`Dockerfile::errors`]. The reading of every line is
//! held to BuildKit's own parser by recorded cases (`tests/conformance.rs`).
//!
//! A *logical line* is an instruction's text after continuations are joined
//! and the comments and blank lines inside it are skipped; [`Logical`] maps
//! places in it back to bytes of the file.

mod check;
mod go;
mod json;
mod lex;
mod parser;
pub mod shell;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::text::{Lines, Span};

pub use lex::{Environment, ExpandError, expand, expand_words};

/// A parsed Dockerfile: its bytes, and the items that tile them.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    source: Arc<[u8]>,
    lines: Lines,
    items: Vec<Item>,
    errors: Vec<SyntaxError>,
    escape: u8,
}

/// One piece of the file. Items tile it: each starts where the last one ended.
#[derive(Clone, Debug)]
pub enum Item {
    /// An instruction with all of its physical lines and heredoc bodies.
    Instruction(Instruction),
    /// A parser directive line (`# syntax=…`, `# escape=…`, `# check=…`).
    Directive(Directive),
    /// A comment line outside instructions.
    Comment(Span),
    /// A line of nothing but blanks (or a byte order mark).
    Blank(Span),
}

impl Item {
    /// The bytes that the item covers, line ends included.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Instruction(instruction) => instruction.span,
            Self::Directive(directive) => directive.span,
            Self::Comment(span) | Self::Blank(span) => *span,
        }
    }
}

/// A parser directive, valid only before anything else in the file.
#[derive(Clone, Debug)]
pub struct Directive {
    /// The whole line.
    pub span: Span,
    /// `syntax`, `escape` or `check`, in lower case.
    pub name: String,
    /// The bytes of its value.
    pub value: Span,
}

/// Where BuildKit would refuse the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// The line, from 1, on which the instruction at fault starts.
    pub line: usize,
    /// What is wrong, in words.
    pub message: String,
}

/// The instructions of the Dockerfile reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
    /// No instruction that BuildKit knows.
    Unknown,
}

impl Keyword {
    /// Every instruction with its upper-case name.
    pub const NAMES: [(&'static str, Keyword); 18] = [
        ("ADD", Self::Add),
        ("ARG", Self::Arg),
        ("CMD", Self::Cmd),
        ("COPY", Self::Copy),
        ("ENTRYPOINT", Self::Entrypoint),
        ("ENV", Self::Env),
        ("EXPOSE", Self::Expose),
        ("FROM", Self::From),
        ("HEALTHCHECK", Self::Healthcheck),
        ("LABEL", Self::Label),
        ("MAINTAINER", Self::Maintainer),
        ("ONBUILD", Self::Onbuild),
        ("RUN", Self::Run),
        ("SHELL", Self::Shell),
        ("STOPSIGNAL", Self::Stopsignal),
        ("USER", Self::User),
        ("VOLUME", Self::Volume),
        ("WORKDIR", Self::Workdir),
    ];

    /// The instruction that `word` names, in any letter case.
    #[must_use]
    pub fn of(word: &[u8]) -> Self {
        Self::NAMES
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
            .map_or(Self::Unknown, |&(_, keyword)| keyword)
    }

    /// Its upper-case name; `"?"` for [`Keyword::Unknown`].
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, keyword)| *keyword == self)
            .map_or("?", |(name, _)| name)
    }
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// All of its physical lines, heredoc bodies and the last line end included.
    pub span: Span,
    /// First line, from 1.
    pub start_line: usize,
    /// Last line, from 1: that of the last heredoc terminator, if any.
    pub end_line: usize,
    /// What it is.
    pub keyword: Keyword,
    /// The keyword as written, a range of the logical line.
    pub name: Range<usize>,
    /// Its logical line.
    pub logical: Logical,
    /// Flags between keyword and arguments.
    pub flags: Vec<Flag>,
    /// The arguments: a range of the logical line, blanks trimmed.
    pub args: Range<usize>,
    /// The strings of its JSON (exec) form, where the arguments are one. For
    /// HEALTHCHECK, what follows `CMD`.
    pub json: Option<Vec<JsonString>>,
    /// Its heredocs in order.
    pub heredocs: Vec<Heredoc>,
    /// ONBUILD's own instruction.
    pub sub: Option<Box<Instruction>>,
}

/// A builder flag, `--name` or `--name=value`, quotes removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flag {
    /// The whole word as BuildKit reads it, `--` included.
    pub word: String,
    /// Where it stands in the logical line.
    pub range: Range<usize>,
}

impl Flag {
    /// Its name without the dashes.
    #[must_use]
    pub fn name(&self) -> &str {
        let word = self.word.strip_prefix("--").unwrap_or(&self.word);
        word.split_once('=').map_or(word, |(name, _)| name)
    }

    /// What follows its first `=`.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.word.split_once('=').map(|(_, value)| value)
    }
}

/// One string of a JSON form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonString {
    /// Its value, escapes resolved.
    pub value: String,
    /// Where it stands in the logical line, quotes included.
    pub range: Range<usize>,
}

/// A heredoc of RUN, COPY or ADD.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heredoc {
    /// The delimiter, quotes removed.
    pub name: String,
    /// Whether variables are expanded in it (no quote in the delimiter).
    pub expand: bool,
    /// Whether leading tabs are removed (`<<-`).
    pub chomp: bool,
    /// The body in the file, without the terminator line.
    pub content: Span,
}

/// A word of an instruction's arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word<'a> {
    /// Its text as written.
    pub text: Cow<'a, str>,
    /// Where it stands in the logical line.
    pub range: Range<usize>,
}

/// One `key=value` of ENV, LABEL or ARG, as written (quotes kept).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The value as written; `None` for an `ARG name` without one.
    pub value: Option<Cow<'a, str>>,
    /// Where the value stands in the logical line.
    pub value_range: Range<usize>,
}

/// A piece of a logical line that is contiguous in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Offset in the logical line.
    pub logical: u32,
    /// Offset in the file.
    pub file: u32,
    /// Length in bytes.
    pub len: u32,
}

/// A logical line, and where its bytes stand in the file.
#[derive(Clone, Debug)]
pub struct Logical {
    segments: Vec<Segment>,
    /// The joined text; a line of one segment is a slice of the file.
    joined: Option<Box<[u8]>>,
}

impl Logical {
    /// The text.
    #[must_use]
    pub fn text<'a>(&'a self, source: &'a [u8]) -> &'a [u8] {
        match (&self.joined, self.segments.first()) {
            (Some(joined), _) => joined,
            (None, Some(segment)) => {
                &source[segment.file as usize..(segment.file + segment.len) as usize]
            }
            (None, None) => &[],
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments
            .last()
            .map_or(0, |s| (s.logical + s.len) as usize)
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces, in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn segment_at(&self, offset: usize) -> Option<&Segment> {
        let at = self
            .segments
            .partition_point(|s| s.logical as usize <= offset);
        at.checked_sub(1).map(|at| &self.segments[at])
    }

    /// Where the byte at `offset` stands in the file; the end for `len()`.
    #[must_use]
    pub fn to_file(&self, offset: usize) -> usize {
        self.segment_at(offset)
            .map_or(0, |s| s.file as usize + (offset - s.logical as usize))
    }

    /// The file's bytes from the first to the last of `range`, with whatever
    /// continuations and comments lie between.
    #[must_use]
    pub fn cover(&self, range: Range<usize>) -> Span {
        let start = self.to_file(range.start);
        let end = if range.end > range.start {
            self.to_file(range.end - 1) + 1
        } else {
            start
        };
        Span::new(start, end)
    }

    /// The file's bytes of `range`, where it lies in one piece: only then may
    /// it be edited.
    #[must_use]
    pub fn exact(&self, range: Range<usize>) -> Option<Span> {
        let cover = self.cover(range.clone());
        (cover.len() == range.len()).then_some(cover)
    }
}

impl Instruction {
    /// The first flag of that name.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.name() == name)
    }

    /// The arguments as written, continuations joined.
    #[must_use]
    pub fn args_text<'a>(&'a self, source: &'a [u8]) -> Cow<'a, str> {
        String::from_utf8_lossy(&self.logical.text(source)[self.args.clone()])
    }

    /// The arguments split at blanks, as FROM, COPY, ADD, EXPOSE and VOLUME
    /// read them outside the JSON form.
    #[must_use]
    pub fn words<'a>(&'a self, source: &'a [u8]) -> Vec<Word<'a>> {
        let text = &self.logical.text(source)[self.args.clone()];
        go::split_blanks(text)
            .map(|range| Word {
                text: String::from_utf8_lossy(&text[range.clone()]),
                range: self.args.start + range.start..self.args.start + range.end,
            })
            .collect()
    }

    /// The arguments as a list, in JSON or plain form.
    #[must_use]
    pub fn list(&self, source: &[u8]) -> Vec<String> {
        match &self.json {
            Some(strings) => strings.iter().map(|s| s.value.clone()).collect(),
            None => self
                .words(source)
                .into_iter()
                .map(|word| word.text.into_owned())
                .collect(),
        }
    }

    /// The pairs of ENV, LABEL or ARG; empty for other instructions.
    #[must_use]
    pub fn pairs<'a>(&'a self, source: &'a [u8], escape: u8) -> Vec<Pair<'a>> {
        parser::pairs(self, source, escape).unwrap_or_default()
    }

    /// Its bytes without the last line end.
    #[must_use]
    pub fn code(&self, source: &[u8]) -> Span {
        let bytes = self.span.of(source);
        let trimmed = bytes
            .strip_suffix(b"\n")
            .map_or(bytes, |b| b.strip_suffix(b"\r").unwrap_or(b));
        let start = self.span.start as usize;
        Span::new(start, start + trimmed.len())
    }
}

/// A build stage as its FROM states it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageHeader {
    /// Its name in lower case; empty without `AS`.
    pub name: String,
    /// The base as written.
    pub base: String,
    /// The value of `--platform`; empty without.
    pub platform: String,
    /// The line, from 1, of its FROM.
    pub line: usize,
}

impl Dockerfile {
    /// The bytes of the file.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Line numbers of its bytes.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The items, which tile the file.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The instructions in order.
    pub fn instructions(&self) -> impl Iterator<Item = &Instruction> {
        self.items.iter().filter_map(|item| match item {
            Item::Instruction(instruction) => Some(instruction),
            _ => None,
        })
    }

    /// The parser directives in order.
    pub fn directives(&self) -> impl Iterator<Item = &Directive> {
        self.items.iter().filter_map(|item| match item {
            Item::Directive(directive) => Some(directive),
            _ => None,
        })
    }

    /// Why BuildKit would refuse the file; empty when it would not.
    #[must_use]
    pub fn errors(&self) -> &[SyntaxError] {
        &self.errors
    }

    /// The escape character: `\` or `` ` ``.
    #[must_use]
    pub fn escape(&self) -> u8 {
        self.escape
    }

    /// The stages as their FROM lines state them.
    #[must_use]
    pub fn stage_headers(&self) -> Vec<StageHeader> {
        self.instructions()
            .filter(|instruction| instruction.keyword == Keyword::From)
            .map(|from| {
                let words = from.words(&self.source);
                let named = words.len() == 3 && words[1].text.eq_ignore_ascii_case("as");
                StageHeader {
                    name: if named {
                        words[2].text.to_lowercase()
                    } else {
                        String::new()
                    },
                    base: words
                        .first()
                        .map_or_else(String::new, |word| word.text.clone().into_owned()),
                    platform: from
                        .flag("platform")
                        .and_then(Flag::value)
                        .unwrap_or("")
                        .to_owned(),
                    line: from.start_line,
                }
            })
            .collect()
    }
}

/// Parses the bytes of a Dockerfile, at most 4 GiB. Never fails: what BuildKit
/// would refuse is in [`Dockerfile::errors`], and the items tile the text all
/// the same.
#[must_use]
pub fn parse(source: impl Into<Arc<[u8]>>) -> Dockerfile {
    parser::parse(source.into())
}
