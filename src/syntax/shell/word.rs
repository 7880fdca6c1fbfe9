//! Words: what they are, and how they are read.

use std::borrow::Cow;

use super::parser::{Parser, Stop};
use super::quote::unquote;
use super::{ScopeId, ScopeKind};
use crate::text::Span;

/// What expands in a word or a here-document.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExpansionKind {
    /// `$x`, `${x…}`, `$1`, `$@`; in arithmetic also `x` alone.
    Parameter,
    /// `$( … )` or between backquotes.
    Command,
    /// `$(( … ))` or `$[ … ]`
    Arithmetic,
    /// `<( … )` or `>( … )`
    Process,
    /// `$'…'`: escapes in bash, a `$` and a quoted string in older shells.
    AnsiC,
    /// `$"…"`: translated in bash, a `$` and a quoted string elsewhere.
    Locale,
    /// `( … )` after `name=`: the value is an array.
    Array,
}

/// One expansion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expansion {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: ExpansionKind,
    /// The parameter's name.
    pub name: Option<Span>,
    /// The list of commands that it runs.
    pub scope: Option<ScopeId>,
    /// Whether it stands in double quotes, so that it stays one word.
    pub quoted: bool,
    /// Whether it lies in another expansion of the same word.
    pub nested: bool,
    /// Whether its commands were not understood.
    pub opaque: bool,
}

impl Expansion {
    /// The name of the parameter, when it is one.
    #[must_use]
    pub fn variable<'s>(&self, src: &'s [u8]) -> Option<&'s str> {
        std::str::from_utf8(self.name?.of(src)).ok()
    }
}

pub(super) const QUOTED: u8 = 1;
pub(super) const GLOB: u8 = 2;
pub(super) const TILDE: u8 = 4;
pub(super) const BRACE: u8 = 8;

/// A word as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Its bytes, quotes included.
    pub span: Span,
    expansions: Vec<Expansion>,
    flags: u8,
}

/// A piece of a word; the pieces tile it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'w> {
    /// Text with its quotes and escapes.
    Literal(Span),
    /// Something that expands.
    Expansion(&'w Expansion),
}

impl Part<'_> {
    /// Its bytes.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Literal(span) => *span,
            Self::Expansion(expansion) => expansion.span,
        }
    }
}

/// A word of the form `NAME=value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// The variable.
    pub name: Span,
    /// `[…]` after it.
    pub subscript: Option<Span>,
    /// Whether it is `+=`.
    pub append: bool,
    /// What stands after the sign.
    pub value: Span,
}

impl Word {
    pub(super) fn new(raw: Raw, expansions: Vec<Expansion>) -> Self {
        Self {
            span: Span::new(raw.start, raw.end),
            expansions,
            flags: raw.flags,
        }
    }

    /// The bytes as they are written.
    #[must_use]
    pub fn text<'s>(&self, src: &'s [u8]) -> &'s [u8] {
        self.span.of(src)
    }

    /// The value, when it is the same whatever the environment, the files and
    /// the shell are: nothing expands, no glob, no brace list, no tilde.
    #[must_use]
    pub fn literal<'s>(&self, src: &'s [u8]) -> Option<Cow<'s, str>> {
        if !self.expansions.is_empty() || self.flags & (GLOB | TILDE | BRACE) != 0 {
            return None;
        }
        let text = self.text(src);
        if self.flags & QUOTED == 0 {
            return std::str::from_utf8(text).ok().map(Cow::Borrowed);
        }
        match unquote(text) {
            Cow::Borrowed(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
            Cow::Owned(text) => String::from_utf8(text).ok().map(Cow::Owned),
        }
    }

    /// The static value of `part` of this word, such as an [`Assignment`]'s
    /// value. The part must not cut through quotes.
    #[must_use]
    pub fn literal_part<'s>(&self, part: Span, src: &'s [u8]) -> Option<Cow<'s, str>> {
        let touched = |e: &Expansion| e.span.start < part.end && part.start < e.span.end;
        if self.expansions.iter().any(touched) || self.flags & (GLOB | TILDE | BRACE) != 0 {
            return None;
        }
        match unquote(part.of(src)) {
            Cow::Borrowed(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
            Cow::Owned(text) => String::from_utf8(text).ok().map(Cow::Owned),
        }
    }

    /// Whether anything in it expands (parameters, commands, arithmetic).
    #[must_use]
    pub fn has_expansion(&self) -> bool {
        !self.expansions.is_empty()
    }

    /// Whether it has an unquoted `*`, `?` or `[…]`.
    #[must_use]
    pub fn has_glob(&self) -> bool {
        self.flags & GLOB != 0
    }

    /// Whether it has an unquoted `~` where a home directory may be meant.
    #[must_use]
    pub fn has_tilde(&self) -> bool {
        self.flags & TILDE != 0
    }

    /// Whether it has a `{a,b}` or `{1..3}`, which bash expands and sh keeps.
    #[must_use]
    pub fn has_brace_list(&self) -> bool {
        self.flags & BRACE != 0
    }

    /// Whether any of it is quoted or escaped.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.flags & QUOTED != 0
    }

    /// What expands in it, in order of where it starts, nested ones included.
    #[must_use]
    pub fn expansions(&self) -> &[Expansion] {
        &self.expansions
    }

    /// The names of the parameters in it, in order, each as often as it stands
    /// there. Those inside of command substitutions belong to the words there.
    pub fn variables<'s>(&self, src: &'s [u8]) -> impl Iterator<Item = &'s str> {
        self.expansions.iter().filter_map(|e| e.variable(src))
    }

    /// The pieces that tile it: expansions that are not nested, and the text
    /// between them.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut at = self.span.start;
        let mut outer = self.expansions.iter().filter(|e| !e.nested).peekable();
        std::iter::from_fn(move || {
            let until = outer.peek().map_or(self.span.end, |e| e.span.start);
            if at < until {
                let span = Span {
                    start: at,
                    end: until,
                };
                at = until;
                return Some(Part::Literal(span));
            }
            let expansion = outer.next()?;
            at = expansion.span.end;
            Some(Part::Expansion(expansion))
        })
    }

    /// The word as `NAME=value`, if it has that form, as arguments of `export`
    /// and `env` have too.
    #[must_use]
    pub fn assignment(&self, src: &[u8]) -> Option<Assignment> {
        let text = self.text(src);
        let len = name_len(text);
        let mut at = len;
        let mut subscript = None;
        if text.get(at) == Some(&b'[') {
            let close = at + memchr::memmem::find(&text[at..], b"]")?;
            // With quotes or expansions in it, the one before the sign counts.
            let close = match text.get(close + 1) {
                Some(b'=' | b'+') => close,
                _ => {
                    at + memchr::memmem::find(&text[at..], b"]=")
                        .or_else(|| memchr::memmem::find(&text[at..], b"]+="))?
                }
            };
            subscript = Some(self.sub(at, close + 1));
            at = close + 1;
        }
        let append = text.get(at) == Some(&b'+');
        at += usize::from(append);
        if len == 0 || text.get(at) != Some(&b'=') {
            return None;
        }
        Some(Assignment {
            name: self.sub(0, len),
            subscript,
            append,
            value: self.sub(at + 1, text.len()),
        })
    }

    fn sub(&self, start: usize, end: usize) -> Span {
        let base = self.span.start as usize;
        Span::new(base + start, base + end)
    }
}

/// How long the identifier at the start of `text` is; 0 if there is none.
pub(super) fn name_len(text: &[u8]) -> usize {
    match text.first() {
        Some(b) if b.is_ascii_alphabetic() || *b == b'_' => text
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
            .unwrap_or(text.len()),
        _ => 0,
    }
}

/// Where a word stands, which decides what may be in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere else.
    Argument,
    /// Where `name=value` and `name=(…)` are assignments.
    Assignment,
    /// In an array, where `[…]` before the sign is one piece.
    Element,
    /// The right side of `=`, `==` and `!=` in `[[ … ]]`.
    Pattern,
    /// The right side of `=~` in `[[ … ]]`.
    Regex,
}

/// A word that was read; its expansions lie on the parser's stack.
#[derive(Clone, Copy)]
pub(super) struct Raw {
    pub start: usize,
    pub end: usize,
    pub flags: u8,
    /// `name=value` where that is an assignment.
    pub assigns: bool,
}

/// Bytes that a word does not just run over.
static SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b" \t\n|&;()<>\\'\"`$*?[]{},.~=:+@!";
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

/// Bytes that end a word.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b'|' | b'&' | b';' | b'(' | b')' | b'<' | b'>'
    )
}

impl Parser<'_> {
    /// Reads a word, if one starts here.
    pub(super) fn word(&mut self, place: Place) -> Result<Option<(Word, bool)>, Stop> {
        let base = self.expansions.len();
        let raw = self.raw_word(place)?;
        Ok(raw.map(|raw| {
            let expansions = if self.expansions.len() == base {
                Vec::new()
            } else {
                self.expansions.split_off(base)
            };
            (Word::new(raw, expansions), raw.assigns)
        }))
    }

    /// Reads a word and leaves its expansions on the stack.
    pub(super) fn raw_word(&mut self, place: Place) -> Result<Option<Raw>, Stop> {
        let start = self.pos;
        let mut flags = 0u8;
        // The offset just past `name=` or `name+=`.
        let mut value_at = usize::MAX;
        let mut assigns = false;
        let mut bracket = usize::MAX;
        // 0: no brace is open; 1: one is; 2: it has had a `,` or `..`.
        let mut brace = 0u8;

        if place == Place::Element && self.at(b'[') {
            self.pos += 1;
            self.nested(|p| p.matched(b'[', b']', false))?;
        }
        let name = name_len(&self.src[start..self.end]);
        if name > 0 {
            self.pos = start + name;
            if place == Place::Assignment && !self.dash && self.at(b'[') {
                self.pos += 1;
                self.nested(|p| p.matched(b'[', b']', false))?;
                flags |= GLOB;
                let subscript = &self.src[start + name..self.pos];
                if subscript.iter().any(|b| b"'\"\\".contains(b)) {
                    flags |= QUOTED;
                }
            }
            let sign = usize::from(self.at(b'+'));
            if self.byte_at(self.pos + sign) == Some(b'=') {
                self.pos += sign + 1;
                value_at = self.pos;
                assigns = place == Place::Assignment;
                if assigns && !self.dash && self.at(b'(') {
                    self.array()?;
                }
            }
        }

        loop {
            while let Some(&byte) = self.src[..self.end].get(self.pos) {
                if SPECIAL[byte as usize] {
                    break;
                }
                self.pos += 1;
            }
            let Some(byte) = self.peek() else { break };
            match byte {
                b'<' | b'>'
                    if !self.dash
                        && place != Place::Regex
                        && self.byte_at(self.pos + 1) == Some(b'(') =>
                {
                    self.substitution(ScopeKind::ProcessSubstitution, false)?;
                }
                b'(' if place == Place::Regex => {
                    self.pos += 1;
                    flags |= GLOB;
                    self.nested(|p| p.matched(b'(', b')', false))?;
                }
                b'|' if place == Place::Regex => self.pos += 1,
                b' ' | b'\t' | b'\n' | b'|' | b'&' | b';' | b'(' | b')' | b'<' | b'>' => break,
                b'\\' => {
                    if self.byte_at(self.pos + 1) == Some(b'\n') {
                        // A continuation at the end of a word is not its part.
                        let mut next = self.pos;
                        while self.src[next..self.end].starts_with(b"\\\n") {
                            next += 2;
                        }
                        if self.byte_at(next).is_none_or(ends_word) {
                            break;
                        }
                        self.pos = next;
                    } else {
                        self.pos = (self.pos + 2).min(self.end);
                    }
                    flags |= QUOTED;
                }
                b'\'' => {
                    flags |= QUOTED;
                    self.single_quotes()?;
                }
                b'"' => {
                    flags |= QUOTED;
                    self.double_quotes()?;
                }
                b'`' => self.backquotes(false)?,
                b'$' => self.dollar(false)?,
                b'*' | b'?' | b'@' | b'!' | b'+'
                    if place == Place::Pattern && self.byte_at(self.pos + 1) == Some(b'(') =>
                {
                    flags |= GLOB;
                    self.pos += 2;
                    self.nested(|p| p.matched(b'(', b')', false))?;
                }
                _ => {
                    match byte {
                        b'*' | b'?' => flags |= GLOB,
                        b'[' if bracket == usize::MAX => bracket = self.pos,
                        b']' if bracket < self.pos && self.pos - bracket > 1 => flags |= GLOB,
                        b'{' => brace = brace.max(1),
                        b',' if brace == 1 => brace = 2,
                        b'.' if brace == 1 && self.byte_at(self.pos + 1) == Some(b'.') => brace = 2,
                        b'}' if brace == 2 => flags |= BRACE,
                        b'~' if self.pos == start || self.pos == value_at => flags |= TILDE,
                        b'~' if value_at != usize::MAX && self.src[self.pos - 1] == b':' => {
                            flags |= TILDE;
                        }
                        _ => {}
                    }
                    self.pos += 1;
                }
            }
        }
        if self.pos == start {
            return Ok(None);
        }
        if assigns {
            // Neither braces nor globs expand in the value of an assignment.
            flags &= !(GLOB | BRACE);
        }
        Ok(Some(Raw {
            start,
            end: self.pos,
            flags,
            assigns,
        }))
    }

    /// `( … )` after `name=`.
    fn array(&mut self) -> Result<(), Stop> {
        let at = self.open(ExpansionKind::Array, false);
        self.pos += 1;
        self.nested(|p| {
            loop {
                p.newlines()?;
                match p.peek() {
                    None => return Err(p.fail("an array is not closed")),
                    Some(b')') => break,
                    _ => {
                        if p.raw_word(Place::Element)?.is_none() {
                            return Err(p.fail("only words can stand in an array"));
                        }
                    }
                }
            }
            p.pos += 1;
            Ok(())
        })?;
        self.close(at);
        Ok(())
    }

    /// `'…'`
    pub(super) fn single_quotes(&mut self) -> Result<(), Stop> {
        let from = self.pos + 1;
        match memchr::memchr(b'\'', &self.src[from..self.end]) {
            Some(len) => {
                self.pos = from + len + 1;
                Ok(())
            }
            None => Err(self.fail("a single quote is not closed")),
        }
    }

    /// `"…"`
    fn double_quotes(&mut self) -> Result<(), Stop> {
        let open = self.pos;
        self.pos += 1;
        self.deeper()?;
        loop {
            match self.peek() {
                None => {
                    self.pos = open;
                    return Err(self.fail("a double quote is not closed"));
                }
                Some(b'"') => break,
                Some(b'\\') => self.pos = (self.pos + 2).min(self.end),
                Some(b'$') => self.dollar(true)?,
                Some(b'`') => self.backquotes(true)?,
                Some(_) => self.pos += 1,
            }
        }
        self.pos += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Puts an expansion that starts here on the stack; [`Self::close`] ends it.
    fn open(&mut self, kind: ExpansionKind, quoted: bool) -> usize {
        let nested = self.nesting > 0;
        self.expansions.push(Expansion {
            span: Span::at(self.pos),
            kind,
            name: None,
            scope: None,
            quoted,
            nested,
            opaque: false,
        });
        self.expansions.len() - 1
    }

    fn close(&mut self, at: usize) {
        self.expansions[at].span.end = self.pos as u32;
    }

    /// Runs `read` one level deeper inside of an expansion.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.deeper()?;
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        self.depth -= 1;
        result
    }

    /// What starts with `$`; a lone one is an ordinary byte.
    pub(super) fn dollar(&mut self, quoted: bool) -> Result<(), Stop> {
        let Some(next) = self.byte_at(self.pos + 1) else {
            self.pos += 1;
            return Ok(());
        };
        match next {
            b'(' if self.byte_at(self.pos + 2) == Some(b'(') => self.dollar_parens(quoted),
            b'(' => self.substitution(ScopeKind::CommandSubstitution, quoted),
            b'{' => self.braced(quoted),
            b'[' if !self.dash => {
                let at = self.open(ExpansionKind::Arithmetic, quoted);
                self.pos += 2;
                self.nested(|p| p.matched(b'[', b']', true))?;
                self.close(at);
                Ok(())
            }
            b'\'' if !quoted && !self.dash => {
                let at = self.open(ExpansionKind::AnsiC, false);
                let from = self.pos;
                self.pos += 2;
                loop {
                    match self.peek() {
                        None => {
                            self.pos = from;
                            return Err(self.fail("a single quote is not closed"));
                        }
                        Some(b'\'') => break,
                        Some(b'\\') => self.pos = (self.pos + 2).min(self.end),
                        Some(_) => self.pos += 1,
                    }
                }
                self.pos += 1;
                self.close(at);
                Ok(())
            }
            b'"' if !quoted => {
                let at = self.open(ExpansionKind::Locale, false);
                self.pos += 1;
                self.nested(Self::double_quotes)?;
                self.close(at);
                Ok(())
            }
            _ => {
                let len = match next {
                    b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!' => 1,
                    _ => name_len(&self.src[self.pos + 1..self.end]),
                };
                if len == 0 {
                    self.pos += 1;
                    return Ok(());
                }
                let at = self.open(ExpansionKind::Parameter, quoted);
                let name = Span::new(self.pos + 1, self.pos + 1 + len);
                self.expansions[at].name = Some(name);
                self.pos += 1 + len;
                self.close(at);
                Ok(())
            }
        }
    }

    /// `${…}`
    fn braced(&mut self, quoted: bool) -> Result<(), Stop> {
        let at = self.open(ExpansionKind::Parameter, quoted);
        let from = self.pos;
        self.pos += 2;
        let named = |p: &Self, at: usize| {
            let len = name_len(&p.src[at..p.end]);
            if len > 0 {
                return len;
            }
            let digits = p.src[at..p.end].iter().take_while(|b| b.is_ascii_digit());
            digits.count()
        };
        if matches!(self.peek(), Some(b'#' | b'!')) && named(self, self.pos + 1) > 0 {
            self.pos += 1;
        }
        let mut len = named(self, self.pos);
        if len == 0 && matches!(self.peek(), Some(b) if b"@*#?$!-".contains(&b)) {
            len = 1;
        }
        if len > 0 {
            self.expansions[at].name = Some(Span::new(self.pos, self.pos + len));
        }
        self.pos += len;
        // Dash keeps single quotes in double quotes but for patterns to remove.
        let literal_quotes = self.dash && quoted && !matches!(self.peek(), Some(b'#' | b'%'));
        self.nested(|p| {
            loop {
                match p.peek() {
                    None => {
                        p.pos = from;
                        return Err(p.fail("`${` is not closed"));
                    }
                    Some(b'}') => break,
                    Some(b'\\') => p.pos = (p.pos + 2).min(p.end),
                    Some(b'\'') if !literal_quotes => p.single_quotes()?,
                    Some(b'"') => p.double_quotes()?,
                    Some(b'`') => p.backquotes(quoted)?,
                    Some(b'$') => p.dollar(quoted)?,
                    Some(_) => p.pos += 1,
                }
            }
            p.pos += 1;
            Ok(())
        })?;
        self.close(at);
        Ok(())
    }

    /// Goes past the `close` that belongs to an `open` just read. Quotes and
    /// expansions in between are stepped over; with `arithmetic`, names are
    /// variables. Answers how many `;` there were.
    pub(super) fn matched(&mut self, open: u8, close: u8, arithmetic: bool) -> Result<usize, Stop> {
        let from = self.pos - 1;
        let literal_quotes = self.dash && arithmetic;
        let mut level = 1usize;
        let mut semicolons = 0;
        loop {
            let Some(byte) = self.peek() else {
                self.pos = from;
                return Err(self.fail("a bracket is not closed"));
            };
            match byte {
                _ if byte == close => {
                    self.pos += 1;
                    level -= 1;
                    if level == 0 {
                        return Ok(semicolons);
                    }
                }
                _ if byte == open => {
                    self.pos += 1;
                    level += 1;
                }
                b'\\' => self.pos = (self.pos + 2).min(self.end),
                b'\'' if !literal_quotes => self.single_quotes()?,
                b'"' if !literal_quotes => self.double_quotes()?,
                b'`' => self.backquotes(false)?,
                b'$' => self.dollar(arithmetic)?,
                b'0'..=b'9' => {
                    let rest = &self.src[self.pos..self.end];
                    self.pos += rest
                        .iter()
                        .take_while(|b| b.is_ascii_alphanumeric())
                        .count();
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    let len = name_len(&self.src[self.pos..self.end]);
                    if arithmetic {
                        let at = self.open(ExpansionKind::Parameter, true);
                        self.expansions[at].name = Some(Span::new(self.pos, self.pos + len));
                        self.pos += len;
                        self.close(at);
                    } else {
                        self.pos += len;
                    }
                }
                _ => {
                    semicolons += usize::from(byte == b';');
                    self.pos += 1;
                }
            }
        }
    }

    /// `$((…))`; if the brackets do not close together it is a substitution
    /// that starts with a subshell, which bash does not check beforehand.
    fn dollar_parens(&mut self, quoted: bool) -> Result<(), Stop> {
        let start = self.pos;
        let end = match self.not_arithmetic.get(&start) {
            Some(&end) => end,
            None => {
                let mark = self.mark();
                let at = self.open(ExpansionKind::Arithmetic, quoted);
                self.pos += 3;
                let inner = self.nested(|p| p.matched(b'(', b')', true));
                if inner.is_ok() && self.at(b')') {
                    self.pos += 1;
                    self.close(at);
                    return Ok(());
                }
                if inner.is_err() && self.dash {
                    return Err(Stop);
                }
                inner?;
                self.nested(|p| p.matched(b'(', b')', false))?;
                let end = self.pos;
                self.reset(&mark);
                self.not_arithmetic.insert(start, end);
                end
            }
        };
        if self.dash {
            return self.substitution(ScopeKind::CommandSubstitution, quoted);
        }
        let mark = self.mark();
        self.end = end;
        let result = self.substitution(ScopeKind::CommandSubstitution, quoted);
        if result.is_ok() && self.pos == end {
            self.end = mark.end();
            return Ok(());
        }
        self.reset(&mark);
        let at = self.open(ExpansionKind::Command, quoted);
        self.expansions[at].opaque = true;
        self.pos = end;
        self.close(at);
        Ok(())
    }

    /// `$( … )`, `<( … )`, `>( … )`: two bytes, a list, and `)`.
    pub(super) fn substitution(&mut self, kind: ScopeKind, quoted: bool) -> Result<(), Stop> {
        let from = self.pos;
        let at = self.open(
            match kind {
                ScopeKind::ProcessSubstitution => ExpansionKind::Process,
                _ => ExpansionKind::Command,
            },
            quoted,
        );
        self.pos += 2;
        // Here-documents of the line around it are read after its end, as are
        // its own that no line inside it begins.
        let nesting = std::mem::take(&mut self.nesting);
        let pending = std::mem::take(&mut self.pending);
        let result = self.list(kind);
        let left = std::mem::replace(&mut self.pending, pending);
        self.nesting = nesting;
        let (scope, _) = result?;
        self.pending.extend(left);
        if !self.at(b')') {
            if self.peek().is_none() {
                self.pos = from;
                return Err(self.fail("`(` is not closed"));
            }
            return Err(self.unexpected());
        }
        self.pos += 1;
        self.expansions[at].scope = Some(scope);
        self.close(at);
        Ok(())
    }

    /// Text between backquotes. Bash does not look into it beforehand.
    pub(super) fn backquotes(&mut self, quoted: bool) -> Result<(), Stop> {
        let from = self.pos;
        let mut end = from + 1;
        let mut escapes = false;
        loop {
            match memchr::memchr2(b'`', b'\\', &self.src[end.min(self.end)..self.end]) {
                None => return Err(self.fail("a backquote is not closed")),
                Some(len) if self.src[end + len] == b'`' => {
                    end += len;
                    break;
                }
                Some(len) => {
                    end += len + 1;
                    escapes |= match self.byte_at(end) {
                        Some(b'$' | b'`' | b'\\') => true,
                        Some(b'"') => quoted,
                        _ => false,
                    };
                    end += 1;
                }
            }
        }
        let mark = self.mark();
        let at = self.open(ExpansionKind::Command, quoted);
        self.pos = from + 1;
        if !escapes {
            let outer = std::mem::replace(&mut self.end, end);
            let nesting = std::mem::take(&mut self.nesting);
            let pending = std::mem::take(&mut self.pending);
            let result = self.list(ScopeKind::CommandSubstitution);
            let left = std::mem::replace(&mut self.pending, pending);
            self.nesting = nesting;
            self.end = outer;
            match result {
                Ok((scope, _)) if self.pos == end => {
                    self.pending.extend(left);
                    self.expansions[at].scope = Some(scope);
                    self.pos = end + 1;
                    self.close(at);
                    return Ok(());
                }
                Ok(_) if self.dash => return Err(self.unexpected()),
                Err(Stop) if self.dash => return Err(Stop),
                _ => {}
            }
            self.reset(&mark);
            self.open(ExpansionKind::Command, quoted);
        }
        self.expansions[at].opaque = true;
        self.pos = end + 1;
        self.close(at);
        Ok(())
    }
}
