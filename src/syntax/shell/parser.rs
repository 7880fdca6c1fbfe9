//! The grammar: lists, pipelines, commands, redirections, here-documents.
//!
//! A scannerless recursive descent; every level of nesting goes through
//! [`Parser::deeper`], so the call stack is bounded by [`MAX_DEPTH`].

use std::collections::HashMap;

use super::quote::unquote;
use super::word::{Expansion, Place, Word, ends_word, name_len};
use super::{
    Command, Compound, CompoundKind, Connector, Context, HereDoc, Item, ItemKind, Redirect,
    RedirectKind, Scope, ScopeId, ScopeKind, Script, ShellError, flag, flow,
};
use crate::text::Span;

/// How deeply brackets, quotes and lists may nest; what nests deeper is
/// opaque. A compound command takes two levels. Of 14,189 real bodies the
/// deepest has a list within four others.
pub const MAX_DEPTH: u16 = 100;

/// Reads the body of a RUN or of a here-document that a shell runs.
///
/// # Panics
/// When `src` is larger than 4 GiB.
#[must_use]
pub fn parse(src: &[u8]) -> Script {
    let bash = Parser::new(src, false).script();
    if bash.is_valid() {
        return bash;
    }
    let dash = Parser::new(src, true).script();
    if dash.is_valid() { dash } else { bash }
}

/// A syntax error that was written down: reading ends up to whoever can go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop;

type Read<T> = Result<T, Stop>;

/// A here-document whose body comes after the next newline.
pub(super) struct Pending {
    index: usize,
    delimiter: Vec<u8>,
    scope: ScopeId,
    item: u32,
}

pub(super) struct Parser<'a> {
    pub(super) src: &'a [u8],
    pub(super) pos: usize,
    /// Where reading ends: the end of the input, of text in backquotes, or of
    /// the body of a here-document.
    pub(super) end: usize,
    /// Whether dash's rules hold, not bash's.
    pub(super) dash: bool,
    pub(super) depth: u16,
    /// How many expansions of the present word lie around here.
    pub(super) nesting: u16,
    /// Of the words being read, innermost last.
    pub(super) expansions: Vec<Expansion>,
    pub(super) pending: Vec<Pending>,
    /// Of each `$((` or `((` known not to be arithmetic: where it ends. What is
    /// tried once is not tried again, so nesting can't make the work grow
    /// faster than the depth.
    pub(super) not_arithmetic: HashMap<usize, usize>,
    script: Script,
    scope: ScopeId,
    item: u32,
}

/// A state to go back to.
pub(super) struct Mark {
    pos: usize,
    end: usize,
    depth: u16,
    nesting: u16,
    expansions: usize,
    pending: usize,
    commands: usize,
    compounds: usize,
    scopes: usize,
    items: usize,
    heredocs: usize,
    errors: usize,
    scope: ScopeId,
    item: u32,
}

impl Mark {
    pub(super) fn end(&self) -> usize {
        self.end
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keyword {
    If,
    Then,
    Elif,
    Else,
    Fi,
    While,
    Until,
    For,
    Select,
    Do,
    Done,
    Case,
    In,
    Esac,
    Open,
    Close,
    Bang,
    Test,
    TestEnd,
    Time,
    Coproc,
    Function,
}

impl Keyword {
    fn of(text: &[u8], dash: bool) -> Option<Self> {
        Some(match text {
            b"if" => Self::If,
            b"then" => Self::Then,
            b"elif" => Self::Elif,
            b"else" => Self::Else,
            b"fi" => Self::Fi,
            b"while" => Self::While,
            b"until" => Self::Until,
            b"for" => Self::For,
            b"do" => Self::Do,
            b"done" => Self::Done,
            b"case" => Self::Case,
            b"in" => Self::In,
            b"esac" => Self::Esac,
            b"{" => Self::Open,
            b"}" => Self::Close,
            b"!" => Self::Bang,
            b"[[" if !dash => Self::Test,
            b"]]" if !dash => Self::TestEnd,
            b"select" if !dash => Self::Select,
            b"time" if !dash => Self::Time,
            b"coproc" if !dash => Self::Coproc,
            b"function" if !dash => Self::Function,
            _ => return None,
        })
    }

    /// Whether a compound command starts with it.
    fn is_compound(self) -> bool {
        matches!(
            self,
            Self::If
                | Self::While
                | Self::Until
                | Self::For
                | Self::Select
                | Self::Case
                | Self::Open
                | Self::Test
        )
    }

    /// Whether it can only end a list.
    fn ends_list(self) -> bool {
        matches!(
            self,
            Self::Then
                | Self::Elif
                | Self::Else
                | Self::Fi
                | Self::Do
                | Self::Done
                | Self::Esac
                | Self::Close
        )
    }
}

/// What joins an item to the one before it.
type Link = (Connector, Option<Span>);

impl<'a> Parser<'a> {
    fn new(src: &'a [u8], dash: bool) -> Self {
        Self {
            src,
            pos: 0,
            end: src.len(),
            dash,
            depth: 0,
            nesting: 0,
            expansions: Vec::new(),
            pending: Vec::new(),
            not_arithmetic: HashMap::new(),
            script: Script {
                commands: Vec::new(),
                compounds: Vec::new(),
                scopes: vec![Scope {
                    kind: ScopeKind::Top,
                    parent: None,
                    depth: 0,
                    span: Span::new(0, src.len()),
                    item: None,
                    flags: 0,
                }],
                items: Vec::new(),
                heredocs: Vec::new(),
                errors: Vec::new(),
            },
            scope: ScopeId::TOP,
            item: 0,
        }
    }

    fn script(mut self) -> Script {
        if let Some(at) = memchr::memchr(0, self.src) {
            // No command line can hold one.
            self.pos = at;
            self.fail("a NUL byte");
            self.pos = 0;
            self.opaque_rest((Connector::Start, None));
        } else if let Err((mark, link)) = self.top() {
            let errors = std::mem::take(&mut self.script.errors);
            self.reset(&mark);
            self.script.errors = errors;
            self.opaque_rest(link);
        }
        flow::settle(&mut self.script);
        self.script
    }

    /// The rest of the input as one opaque item.
    fn opaque_rest(&mut self, link: Link) {
        let blank = |b: &u8| b.is_ascii_whitespace();
        let rest = &self.src[self.pos..];
        let lead = rest.iter().take_while(|b| blank(b)).count();
        let trail = rest[lead..].iter().rev().take_while(|b| blank(b)).count();
        let span = Span::new(self.pos + lead, self.src.len() - trail);
        let item = self.push_item(link, span.start as usize);
        self.script.items[item as usize].span = span;
    }

    /// The script; on an error, where the item in which it is began.
    fn top(&mut self) -> Result<(), (Mark, Link)> {
        let mut start = (self.mark(), (Connector::Start, None));
        let result = self.items(Some(&mut start)).and_then(|_| {
            if self.pos < self.end {
                start = (self.mark(), (Connector::Seq, None));
                return Err(self.unexpected());
            }
            self.read_heredocs();
            Ok(())
        });
        result.map_err(|Stop| start)
    }

    // Reading bytes.

    pub(super) fn peek(&self) -> Option<u8> {
        self.byte_at(self.pos)
    }

    pub(super) fn byte_at(&self, at: usize) -> Option<u8> {
        self.src[..self.end].get(at).copied()
    }

    pub(super) fn at(&self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    fn at_bytes(&self, bytes: &[u8]) -> bool {
        self.src[self.pos..self.end].starts_with(bytes)
    }

    /// The offset of the next byte of an operator whose first stands at `at`.
    fn after(&self, at: usize) -> usize {
        let mut next = at + 1;
        while next < self.end && self.src[next..self.end].starts_with(b"\\\n") {
            next += 2;
        }
        next
    }

    /// Goes past `operator` if it stands here, continuations between its bytes
    /// included.
    fn eat(&mut self, operator: &[u8]) -> Option<Span> {
        let mut at = self.pos;
        for (index, &byte) in operator.iter().enumerate() {
            if index > 0 {
                at = self.after(at);
            }
            if self.byte_at(at) != Some(byte) {
                return None;
            }
        }
        let span = Span::new(self.pos, at + 1);
        self.pos = at + 1;
        Some(span)
    }

    /// Goes past blanks, continuations and a comment.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.pos += 1,
                Some(b'\\') if self.byte_at(self.pos + 1) == Some(b'\n') => self.pos += 2,
                Some(b'#') => {
                    let rest = &self.src[self.pos..self.end];
                    self.pos += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    return;
                }
                _ => return,
            }
        }
    }

    /// Goes past newlines, blanks and comments.
    pub(super) fn newlines(&mut self) -> Read<()> {
        loop {
            self.blanks();
            if !self.at(b'\n') {
                return Ok(());
            }
            self.newline();
        }
    }

    fn newline(&mut self) {
        self.pos += 1;
        if !self.pending.is_empty() {
            self.read_heredocs();
        }
    }

    // Errors and going back.

    pub(super) fn fail(&mut self, message: &'static str) -> Stop {
        self.script.errors.push(ShellError {
            offset: self.pos as u32,
            message,
        });
        Stop
    }

    /// Something stands here that can't.
    pub(super) fn unexpected(&mut self) -> Stop {
        let message = match self.peek() {
            None => "the text ends too early",
            Some(b'\n') => "unexpected end of a line",
            Some(b';') => "unexpected `;`",
            Some(b'&') => "unexpected `&`",
            Some(b'|') => "unexpected `|`",
            Some(b'(') => "unexpected `(`",
            Some(b')') => "unexpected `)`",
            Some(b'<' | b'>') => "unexpected redirection",
            Some(_) => "unexpected word",
        };
        self.fail(message)
    }

    pub(super) fn deeper(&mut self) -> Read<()> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fail("nested too deeply"));
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            pos: self.pos,
            end: self.end,
            depth: self.depth,
            nesting: self.nesting,
            expansions: self.expansions.len(),
            pending: self.pending.len(),
            commands: self.script.commands.len(),
            compounds: self.script.compounds.len(),
            scopes: self.script.scopes.len(),
            items: self.script.items.len(),
            heredocs: self.script.heredocs.len(),
            errors: self.script.errors.len(),
            scope: self.scope,
            item: self.item,
        }
    }

    pub(super) fn reset(&mut self, mark: &Mark) {
        self.pos = mark.pos;
        self.end = mark.end;
        self.depth = mark.depth;
        self.nesting = mark.nesting;
        self.expansions.truncate(mark.expansions);
        self.pending.truncate(mark.pending);
        self.script.commands.truncate(mark.commands);
        self.script.compounds.truncate(mark.compounds);
        self.script.scopes.truncate(mark.scopes);
        self.script.items.truncate(mark.items);
        self.script.heredocs.truncate(mark.heredocs);
        self.script.errors.truncate(mark.errors);
        self.scope = mark.scope;
        self.item = mark.item;
    }

    fn context(&self) -> Context {
        Context {
            scope: self.scope,
            depth: self.script.scopes[self.scope.index()].depth,
            flags: 0,
        }
    }

    fn push_item(&mut self, (before, before_span): Link, start: usize) -> u32 {
        self.script.items.push(Item {
            span: Span::at(start),
            before,
            before_span,
            prefix: None,
            negated: false,
            kind: ItemKind::Opaque,
            context: self.context(),
        });
        (self.script.items.len() - 1) as u32
    }

    // Lists.

    /// A list in a scope of its own, up to what ends it. Answers the scope and
    /// how many and-or lists it has.
    pub(super) fn list(&mut self, kind: ScopeKind) -> Read<(ScopeId, usize)> {
        self.deeper()?;
        let outer = (self.scope, self.item);
        let id = ScopeId(self.script.scopes.len() as u32);
        self.script.scopes.push(Scope {
            kind,
            parent: Some(self.scope),
            depth: self.script.scopes[self.scope.index()].depth + 1,
            span: Span::at(self.pos),
            item: Some(self.item),
            flags: 0,
        });
        self.scope = id;
        let count = self.items(None)?;
        self.script.scopes[id.index()].span.end = self.pos as u32;
        (self.scope, self.item) = outer;
        self.depth -= 1;
        Ok((id, count))
    }

    /// A list that may not be empty.
    fn body(&mut self, kind: ScopeKind) -> Read<()> {
        let (_, count) = self.list(kind)?;
        if count == 0 {
            return Err(self.unexpected());
        }
        Ok(())
    }

    /// The items of a list. `start` is kept at the last item begun.
    fn items(&mut self, mut start: Option<&mut (Mark, Link)>) -> Read<usize> {
        let mut link = (Connector::Start, None);
        let mut count = 0;
        loop {
            self.newlines()?;
            if self.at_list_end() {
                return Ok(count);
            }
            let first = self.script.items.len();
            loop {
                if let Some(start) = start.as_deref_mut() {
                    *start = (self.mark(), link);
                }
                self.pipeline(link)?;
                self.blanks();
                link = if let Some(span) = self.eat(b"&&") {
                    (Connector::And, Some(span))
                } else if let Some(span) = self.eat(b"||") {
                    (Connector::Or, Some(span))
                } else {
                    break;
                };
                self.newlines()?;
            }
            count += 1;
            let at = self.pos;
            link = match self.peek() {
                Some(b';') if !matches!(self.byte_at(self.after(at)), Some(b';' | b'&')) => {
                    self.pos += 1;
                    (Connector::Seq, Some(Span::new(at, at + 1)))
                }
                Some(b'&') => {
                    self.pos += 1;
                    for item in &mut self.script.items[first..] {
                        if item.context.scope == self.scope {
                            item.context.flags |= flag::BACKGROUND;
                        }
                    }
                    (Connector::Background, Some(Span::new(at, at + 1)))
                }
                Some(b'\n') => {
                    self.newline();
                    (Connector::Seq, Some(Span::new(at, at + 1)))
                }
                _ => return Ok(count),
            };
        }
    }

    fn at_list_end(&self) -> bool {
        match self.peek() {
            None | Some(b')') => true,
            Some(b';') => matches!(self.byte_at(self.after(self.pos)), Some(b';' | b'&')),
            Some(_) => self.keyword().is_some_and(|(word, _)| word.ends_list()),
        }
    }

    /// The reserved word that stands here, and where it ends.
    fn keyword(&self) -> Option<(Keyword, usize)> {
        let rest = &self.src[self.pos..self.end];
        if !matches!(
            rest.first()?,
            b'a'..=b'z' | b'{' | b'}' | b'!' | b'[' | b']' | b'\\'
        ) {
            return None;
        }
        let mut clean = [0u8; 8];
        let mut len = 0;
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            match byte {
                b'a'..=b'z' | b'{' | b'}' | b'!' | b'[' | b']' => {
                    *clean.get_mut(len)? = byte;
                    len += 1;
                    at += 1;
                }
                b'\\' if rest[at..].starts_with(b"\\\n") => at += 2,
                _ if ends_word(byte) => break,
                _ => return None,
            }
        }
        let word = Keyword::of(&clean[..len], self.dash)?;
        Some((word, self.pos + at))
    }

    fn expect(&mut self, keyword: Keyword, message: &'static str) -> Read<()> {
        self.blanks();
        match self.keyword() {
            Some((found, end)) if found == keyword => {
                self.pos = end;
                Ok(())
            }
            _ => Err(self.fail(message)),
        }
    }

    // Pipelines.

    fn pipeline(&mut self, link: Link) -> Read<()> {
        let start = self.pos;
        let mut prefix = None;
        let mut negated = false;
        while let Some((word, end)) = self.keyword() {
            match word {
                Keyword::Bang if prefix.is_none() || !self.dash => negated = !negated,
                Keyword::Time => {}
                _ => break,
            }
            self.pos = end;
            if word == Keyword::Time {
                self.blanks();
                for option in [b"-p".as_slice(), b"--"] {
                    let end = self.pos + option.len();
                    if self.at_bytes(option) && self.byte_at(end).is_none_or(ends_word) {
                        self.pos = end;
                        self.blanks();
                    }
                }
            }
            prefix = Some(Span::new(start, end.max(self.pos.min(end))));
            self.blanks();
        }
        let head = self.script.items.len();
        let alone = match self.peek() {
            Some(b';') => !self.at_list_end(),
            byte => matches!(byte, None | Some(b'\n')),
        };
        if prefix.is_some() && !self.dash && alone {
            self.push_item(link, start);
            self.script.items[head].span = prefix.unwrap_or_default();
        } else {
            self.command(link, true)?;
        }
        if let Some(prefix) = prefix {
            let item = &mut self.script.items[head];
            item.span = prefix.to(item.span);
            item.prefix = Some(prefix.to(item.prefix.unwrap_or(prefix)));
            item.negated = negated;
        }
        loop {
            self.blanks();
            let at = self.pos;
            if !self.at(b'|') || self.byte_at(self.after(at)) == Some(b'|') {
                return Ok(());
            }
            let span = match (self.dash, self.eat(b"|&")) {
                (false, Some(span)) => span,
                _ => {
                    self.pos = at + 1;
                    Span::new(at, at + 1)
                }
            };
            self.newlines()?;
            self.command((Connector::Pipe, Some(span)), false)?;
        }
    }

    // Commands.

    /// One command. `head`: it begins a pipeline, so it may not be `!`, which
    /// was read already, and elsewhere `time` is an ordinary word.
    fn command(&mut self, link: Link, head: bool) -> Read<()> {
        let start = self.pos;
        let index = self.push_item(link, start);
        let outer = std::mem::replace(&mut self.item, index);
        let end = self.dispatch(start, head)?;
        self.script.items[index as usize].span = Span::new(start, end);
        self.item = outer;
        Ok(())
    }

    /// The command that starts here, whose item is the present one. Answers
    /// where it ends.
    fn dispatch(&mut self, start: usize, head: bool) -> Read<usize> {
        let keyword = match self.keyword() {
            Some((Keyword::Time, _)) if !head => None,
            found => found,
        };
        match keyword {
            Some((word, after)) => {
                self.pos = after;
                match word {
                    Keyword::If => self.compound(start, CompoundKind::If),
                    Keyword::While => self.compound(start, CompoundKind::While),
                    Keyword::Until => self.compound(start, CompoundKind::Until),
                    Keyword::For => self.compound(start, CompoundKind::For),
                    Keyword::Select => self.compound(start, CompoundKind::Select),
                    Keyword::Case => self.compound(start, CompoundKind::Case),
                    Keyword::Open => self.compound(start, CompoundKind::Group),
                    Keyword::Test => self.compound(start, CompoundKind::Test),
                    Keyword::Function => self.compound(start, CompoundKind::Function),
                    Keyword::Coproc => self.coproc(start, after),
                    _ => {
                        self.pos = start;
                        Err(self.fail("unexpected reserved word"))
                    }
                }
            }
            None if self.at(b'(') => {
                if !self.dash && self.byte_at(self.after(start)) == Some(b'(') {
                    self.double_parens(start)
                } else {
                    self.pos += 1;
                    self.compound(start, CompoundKind::Subshell)
                }
            }
            None => self.simple(),
        }
    }

    /// `coproc [NAME] command`, after the word itself.
    fn coproc(&mut self, start: usize, after: usize) -> Read<usize> {
        self.deeper()?;
        let item = &mut self.script.items[self.item as usize];
        item.prefix = Some(Span::new(start, after));
        item.context.flags |= flag::BACKGROUND;
        self.blanks();
        if self.keyword().is_none() && !self.at(b'(') {
            // The next word is a name if a compound command follows it.
            let mark = self.mark();
            let named = self.word(Place::Argument)?.is_some();
            self.blanks();
            let compound = self.at(b'(') || self.keyword().is_some_and(|(k, _)| k.is_compound());
            if !named || !compound {
                self.reset(&mark);
            }
        }
        let end = self.dispatch(self.pos, false)?;
        self.depth -= 1;
        Ok(end)
    }

    /// `((…))`, or subshells if the brackets do not close together.
    fn double_parens(&mut self, start: usize) -> Read<usize> {
        if !self.not_arithmetic.contains_key(&start) {
            let mark = self.mark();
            self.pos = self.after(start) + 1;
            let from = self.pos;
            let base = self.expansions.len();
            self.nested(|p| p.matched(b'(', b')', true))?;
            if self.at(b')') {
                let raw = super::word::Raw {
                    start: from,
                    end: self.pos - 1,
                    flags: 0,
                    assigns: false,
                };
                // They lie in no expansion of this word.
                let mut expansions = self.expansions.split_off(base);
                let mut until = 0;
                for expansion in &mut expansions {
                    expansion.nested = expansion.span.start < until;
                    until = until.max(expansion.span.end);
                }
                self.pos += 1;
                let at = self.push_compound(start, CompoundKind::Arithmetic);
                if raw.start < raw.end {
                    self.script.compounds[at].words = vec![Word::new(raw, expansions)];
                }
                return self.end_compound(at);
            }
            let end = self.pos;
            self.reset(&mark);
            self.not_arithmetic.insert(start, end);
        }
        self.pos = start + 1;
        self.compound(start, CompoundKind::Subshell)
    }

    fn push_compound(&mut self, start: usize, kind: CompoundKind) -> usize {
        let at = self.script.compounds.len();
        self.script.compounds.push(Compound {
            kind,
            span: Span::at(start),
            name: None,
            words: Vec::new(),
            redirects: Vec::new(),
            context: self.context(),
            item: self.item,
        });
        self.script.items[self.item as usize].kind = ItemKind::Compound(at);
        at
    }

    /// The redirections after a compound command.
    fn end_compound(&mut self, at: usize) -> Read<usize> {
        let mut end = self.pos;
        loop {
            self.blanks();
            let Some(redirect) = self.redirect()? else {
                break;
            };
            end = self.pos;
            self.script.compounds[at].redirects.push(redirect);
        }
        // After a redirection no word is a reserved one.
        if !self.script.compounds[at].redirects.is_empty()
            && self.peek().is_some_and(|b| !ends_word(b) || b == b'(')
        {
            return Err(self.unexpected());
        }
        let start = self.script.compounds[at].span.start as usize;
        self.script.compounds[at].span = Span::new(start, end);
        Ok(end)
    }

    /// A compound command after its first word.
    fn compound(&mut self, start: usize, kind: CompoundKind) -> Read<usize> {
        self.deeper()?;
        let at = self.push_compound(start, kind);
        match kind {
            CompoundKind::Subshell => {
                self.body(ScopeKind::Subshell)?;
                if !self.at(b')') {
                    return Err(self.fail("`(` is not closed"));
                }
                self.pos += 1;
            }
            CompoundKind::Group => {
                self.body(ScopeKind::Group)?;
                self.expect(Keyword::Close, "`{` is not closed")?;
            }
            CompoundKind::If => self.if_command()?,
            CompoundKind::While | CompoundKind::Until => {
                self.body(ScopeKind::LoopCondition)?;
                self.do_group(false)?;
            }
            CompoundKind::For | CompoundKind::Select | CompoundKind::ArithmeticFor => {
                self.for_command(at)?;
            }
            CompoundKind::Case => self.case_command(at)?,
            CompoundKind::Function => self.function_keyword(at)?,
            CompoundKind::Test => self.test_command(at)?,
            CompoundKind::Arithmetic => {}
        }
        self.depth -= 1;
        if kind == CompoundKind::Function {
            // Its redirections are those of the body.
            let end = self.pos;
            self.script.compounds[at].span = Span::new(start, end);
            return Ok(end);
        }
        self.end_compound(at)
    }

    fn if_command(&mut self) -> Read<()> {
        self.body(ScopeKind::IfCondition)?;
        loop {
            self.expect(Keyword::Then, "`then` is missing")?;
            self.body(ScopeKind::Then)?;
            match self.keyword() {
                Some((Keyword::Elif, end)) => {
                    self.pos = end;
                    self.body(ScopeKind::ElifCondition)?;
                }
                Some((Keyword::Else, end)) => {
                    self.pos = end;
                    self.body(ScopeKind::Else)?;
                    return self.expect(Keyword::Fi, "`fi` is missing");
                }
                _ => return self.expect(Keyword::Fi, "`fi` is missing"),
            }
        }
    }

    /// `do … done`, or with `braces` also `{ … }`.
    fn do_group(&mut self, braces: bool) -> Read<()> {
        if let Some((Keyword::Open, end)) = self.keyword()
            && braces
            && !self.dash
        {
            self.pos = end;
            self.body(ScopeKind::LoopBody)?;
            return self.expect(Keyword::Close, "`{` is not closed");
        }
        self.expect(Keyword::Do, "`do` is missing")?;
        self.body(ScopeKind::LoopBody)?;
        self.expect(Keyword::Done, "`done` is missing")
    }

    fn for_command(&mut self, at: usize) -> Read<()> {
        self.blanks();
        let kind = self.script.compounds[at].kind;
        if !self.dash && kind == CompoundKind::For && self.eat(b"((").is_some() {
            self.script.compounds[at].kind = CompoundKind::ArithmeticFor;
            let from = self.pos;
            let base = self.expansions.len();
            let semicolons = self.nested(|p| p.matched(b'(', b')', true))?;
            self.expansions.truncate(base);
            if semicolons != 2 || !self.at(b')') {
                self.pos = from;
                return Err(self.fail("`for ((` wants three expressions"));
            }
            self.pos += 1;
            self.blanks();
            if self.at(b';') {
                self.pos += 1;
            }
            self.newlines()?;
            return self.do_group(true);
        }
        let Some((name, _)) = self.word(Place::Argument)? else {
            return Err(self.unexpected());
        };
        if self.dash && name_len(name.text(self.src)) != name.text(self.src).len() {
            return Err(self.fail("not the name of a variable"));
        }
        self.script.compounds[at].name = Some(name);
        self.blanks();
        if self.at(b';') {
            self.pos += 1;
            self.newlines()?;
            return self.do_group(true);
        }
        self.newlines()?;
        if let Some((Keyword::In, end)) = self.keyword() {
            self.pos = end;
            loop {
                self.blanks();
                let Some((word, _)) = self.word(Place::Argument)? else {
                    break;
                };
                self.script.compounds[at].words.push(word);
            }
            match self.peek() {
                Some(b';') => self.pos += 1,
                Some(b'\n') => {}
                _ => return Err(self.unexpected()),
            }
            self.newlines()?;
        }
        self.do_group(true)
    }

    fn case_command(&mut self, at: usize) -> Read<()> {
        self.blanks();
        let Some((subject, _)) = self.word(Place::Argument)? else {
            return Err(self.unexpected());
        };
        self.script.compounds[at].words.push(subject);
        self.newlines()?;
        self.expect(Keyword::In, "`in` is missing")?;
        loop {
            self.newlines()?;
            if let Some((Keyword::Esac, end)) = self.keyword() {
                self.pos = end;
                return Ok(());
            }
            if self.at(b'(') {
                self.pos += 1;
                self.blanks();
            }
            loop {
                let Some((pattern, _)) = self.word(Place::Argument)? else {
                    return Err(self.unexpected());
                };
                self.script.compounds[at].words.push(pattern);
                self.blanks();
                if self.at(b'|') {
                    self.pos += 1;
                    self.blanks();
                    continue;
                }
                break;
            }
            if !self.at(b')') {
                return Err(self.unexpected());
            }
            self.pos += 1;
            self.list(ScopeKind::CaseArm)?;
            let ended = if self.dash {
                self.eat(b";;").is_some()
            } else {
                self.eat(b";;&").is_some() || self.eat(b";;").is_some() || self.eat(b";&").is_some()
            };
            if !ended {
                return self.expect(Keyword::Esac, "`esac` is missing");
            }
        }
    }

    /// `function NAME [()] body`, after the first word.
    fn function_keyword(&mut self, at: usize) -> Read<()> {
        self.blanks();
        let Some((name, _)) = self.word(Place::Argument)? else {
            return Err(self.unexpected());
        };
        self.script.compounds[at].name = Some(name);
        self.blanks();
        let open = self.pos;
        if self.at(b'(') {
            self.pos += 1;
            self.blanks();
            if self.at(b')') {
                self.pos += 1;
            } else {
                self.pos = open;
            }
        }
        self.function_body()
    }

    /// The body of a function: one compound command (in dash any command).
    fn function_body(&mut self) -> Read<()> {
        self.newlines()?;
        let simple = match self.keyword() {
            Some((Keyword::Function | Keyword::Coproc | Keyword::Time, _)) => true,
            Some(_) => false,
            None => !self.at(b'('),
        };
        if simple && !self.dash {
            return Err(self.unexpected());
        }
        self.deeper()?;
        let outer = (self.scope, self.item);
        let id = ScopeId(self.script.scopes.len() as u32);
        self.script.scopes.push(Scope {
            kind: ScopeKind::Function,
            parent: Some(self.scope),
            depth: self.script.scopes[self.scope.index()].depth + 1,
            span: Span::at(self.pos),
            item: Some(self.item),
            flags: 0,
        });
        self.scope = id;
        let start = self.pos;
        self.command((Connector::Start, None), false)?;
        let body = self
            .script
            .items
            .iter()
            .rev()
            .find(|item| item.context.scope == id)
            .map_or(start, |item| item.span.end as usize);
        self.script.scopes[id.index()].span = Span::new(start, body);
        (self.scope, self.item) = outer;
        self.depth -= 1;
        Ok(())
    }

    // `[[ … ]]`

    fn test_command(&mut self, at: usize) -> Read<()> {
        self.newlines()?;
        if !self.test_closes() {
            self.test_or(at)?;
        }
        self.newlines()?;
        if !self.test_closes() {
            return Err(self.fail("`[[` is not closed"));
        }
        self.pos += 2;
        Ok(())
    }

    fn test_closes(&self) -> bool {
        self.at_bytes(b"]]") && self.byte_at(self.pos + 2).is_none_or(ends_word)
    }

    fn test_or(&mut self, at: usize) -> Read<()> {
        loop {
            self.test_term(at)?;
            self.newlines()?;
            if self.eat(b"&&").is_none() && self.eat(b"||").is_none() {
                return Ok(());
            }
        }
    }

    fn test_term(&mut self, at: usize) -> Read<()> {
        self.newlines()?;
        while self.at(b'!') && self.byte_at(self.pos + 1).is_none_or(ends_word) {
            self.pos += 1;
            self.newlines()?;
        }
        if self.at(b'(') {
            self.pos += 1;
            self.deeper()?;
            self.test_or(at)?;
            self.depth -= 1;
            self.newlines()?;
            if !self.at(b')') {
                return Err(self.fail("`(` is not closed"));
            }
            self.pos += 1;
            return Ok(());
        }
        let first = self.test_word(at, Place::Argument)?;
        self.blanks();
        let text = first.of(self.src);
        let unary =
            text.len() == 2 && text[0] == b'-' && b"abcdefghknoprstuvwxzGLNORS".contains(&text[1]);
        if unary && !self.test_closes() && !self.test_binary() && !matches!(self.peek(), Some(b')'))
        {
            self.test_word(at, Place::Argument)?;
            self.blanks();
            return Ok(());
        }
        if unary && !self.test_binary() {
            return Err(self.fail("a test has no operand"));
        }
        if self.test_binary() {
            let operator = if let Some(b'<' | b'>') = self.peek() {
                self.pos += 1;
                Span::new(self.pos - 1, self.pos)
            } else {
                self.test_word(at, Place::Argument)?
            };
            self.blanks();
            let place = match operator.of(self.src) {
                b"=~" => Place::Regex,
                b"=" | b"==" | b"!=" => Place::Pattern,
                _ => Place::Argument,
            };
            if unary && (self.test_closes() || matches!(self.peek(), Some(b'&' | b'|' | b')'))) {
                // `-f =`: a file named like an operator.
                return Ok(());
            }
            self.test_word(at, place)?;
        } else if self.at(b'\n') {
            // Bash wants an operator on the line of a word that has none.
            return Err(self.unexpected());
        }
        Ok(())
    }

    fn test_binary(&self) -> bool {
        let rest = &self.src[self.pos..self.end];
        let len = rest.iter().take_while(|b| !ends_word(**b)).count();
        match &rest[..len] {
            b"" => {
                matches!(rest.first(), Some(b'<' | b'>'))
                    && rest.get(1).is_none_or(|b| matches!(b, b' ' | b'\t'))
            }
            b"=" | b"==" | b"!=" | b"=~" | b"-eq" | b"-ne" | b"-lt" | b"-le" | b"-gt" | b"-ge"
            | b"-nt" | b"-ot" | b"-ef" => true,
            _ => false,
        }
    }

    fn test_word(&mut self, at: usize, place: Place) -> Read<Span> {
        let Some((word, _)) = self.word(place)? else {
            return Err(self.unexpected());
        };
        let span = word.span;
        self.script.compounds[at].words.push(word);
        Ok(span)
    }

    // Simple commands.

    fn simple(&mut self) -> Read<usize> {
        let start = self.pos;
        let index = self.script.commands.len();
        self.script.commands.push(Command {
            span: Span::at(start),
            assignments: Vec::new(),
            words: Vec::new(),
            redirects: Vec::new(),
            before: self.script.items[self.item as usize].before,
            before_span: self.script.items[self.item as usize].before_span,
            context: self.context(),
            item: self.item,
        });
        self.script.items[self.item as usize].kind = ItemKind::Simple(index);
        let mut assignments = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut redirects = Vec::new();
        let mut end = start;
        let mut arrays = false;
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                end = self.pos;
                redirects.push(redirect);
                continue;
            }
            let place = if words.is_empty() || arrays {
                Place::Assignment
            } else {
                Place::Argument
            };
            let Some((word, assigns)) = self.word(place)? else {
                break;
            };
            end = self.pos;
            if words.is_empty() && assigns {
                assignments.push(word);
                continue;
            }
            if words.is_empty() {
                arrays = !self.dash
                    && matches!(
                        word.text(self.src),
                        b"alias"
                            | b"declare"
                            | b"eval"
                            | b"export"
                            | b"let"
                            | b"local"
                            | b"readonly"
                            | b"typeset"
                    );
            }
            words.push(word);
            if words.len() == 1 && assignments.is_empty() && redirects.is_empty() {
                self.blanks();
                if self.at(b'(') {
                    return self.function(start, index, words);
                }
            }
        }
        if self.at(b'(') || end == start {
            return Err(self.unexpected());
        }
        let command = &mut self.script.commands[index];
        command.span = Span::new(start, end);
        command.assignments = assignments;
        command.words = words;
        command.redirects = redirects;
        Ok(end)
    }

    /// `NAME () body`, after the name, which looked like a simple command.
    fn function(&mut self, start: usize, index: usize, mut words: Vec<Word>) -> Read<usize> {
        let open = self.pos;
        self.pos += 1;
        self.blanks();
        if !self.at(b')') || index + 1 != self.script.commands.len() {
            self.pos = open;
            return Err(self.unexpected());
        }
        self.pos += 1;
        self.script.commands.pop();
        let at = self.push_compound(start, CompoundKind::Function);
        let name = words.pop();
        if self.dash
            && let Some(name) = &name
            && name_len(name.text(self.src)) != name.text(self.src).len()
        {
            return Err(self.fail("not the name of a function"));
        }
        self.script.compounds[at].name = name;
        self.function_body()?;
        let end = self.script.scopes.iter().rev().find_map(|scope| {
            (scope.item == Some(self.item) && scope.kind == ScopeKind::Function)
                .then_some(scope.span.end as usize)
        });
        let end = end.unwrap_or(self.pos);
        self.script.compounds[at].span = Span::new(start, end);
        Ok(end)
    }

    // Redirections.

    /// The redirection that starts here, if one does.
    fn redirect(&mut self) -> Read<Option<Redirect>> {
        let start = self.pos;
        let rest = &self.src[start..self.end];
        let lead = match rest.first() {
            Some(b'<' | b'>' | b'&') => 0,
            Some(b'0'..=b'9') => rest.iter().take_while(|b| b.is_ascii_digit()).count(),
            Some(b'{') if !self.dash => match name_len(&rest[1..]) {
                0 => return Ok(None),
                len if rest.get(len + 1) == Some(&b'}') => len + 2,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        match rest.get(lead) {
            Some(b'<' | b'>') => {}
            Some(b'&') if lead == 0 && !self.dash => {
                if self.byte_at(self.after(start)) != Some(b'>') {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
        // A process substitution, in bash even after a descriptor.
        if !self.dash && rest.get(lead + 1) == Some(&b'(') && rest[lead] != b'&' {
            return Ok(None);
        }
        self.pos = start + lead;
        const OPERATORS: [(&[u8], RedirectKind); 12] = [
            (b"&>>", RedirectKind::AppendAll),
            (b"<<-", RedirectKind::HereDocTabs),
            (b"<<<", RedirectKind::HereString),
            (b"&>", RedirectKind::WriteAll),
            (b"<<", RedirectKind::HereDoc),
            (b">>", RedirectKind::Append),
            (b"<&", RedirectKind::DupRead),
            (b">&", RedirectKind::DupWrite),
            (b">|", RedirectKind::Clobber),
            (b"<>", RedirectKind::ReadWrite),
            (b"<", RedirectKind::Read),
            (b">", RedirectKind::Write),
        ];
        let found = OPERATORS
            .iter()
            .find_map(|(text, kind)| Some((self.eat(text)?, *kind)));
        let Some((op, kind)) = found else {
            return Ok(None);
        };
        if self.dash && kind == RedirectKind::HereString {
            return Err(self.unexpected());
        }
        self.blanks();
        let Some((target, _)) = self.word(Place::Argument)? else {
            return Err(self.fail("a redirection without a target"));
        };
        // Digits before an operator are its descriptor, not a target.
        if !matches!(kind, RedirectKind::DupRead | RedirectKind::DupWrite)
            && self.peek().is_some_and(|b| matches!(b, b'<' | b'>'))
            && target.text(self.src).iter().all(u8::is_ascii_digit)
        {
            return Err(self.fail("a redirection without a target"));
        }
        let mut heredoc = None;
        if matches!(kind, RedirectKind::HereDoc | RedirectKind::HereDocTabs) {
            let index = self.script.heredocs.len();
            heredoc = Some(index);
            self.script.heredocs.push(HereDoc {
                body: Span::at(self.end),
                end: Span::at(self.end),
                quoted: target.is_quoted(),
                strip_tabs: kind == RedirectKind::HereDocTabs,
                expansions: Vec::new(),
                opaque: false,
            });
            self.pending.push(Pending {
                index,
                delimiter: unquote(target.text(self.src)).into_owned(),
                scope: self.scope,
                item: self.item,
            });
        }
        Ok(Some(Redirect {
            span: Span::new(start, self.pos),
            op,
            kind,
            fd: (lead > 0).then(|| Span::new(start, start + lead)),
            target,
            heredoc,
        }))
    }

    /// The bodies of the here-documents of the line that just ended.
    fn read_heredocs(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            let (body, end, resume) = self.heredoc_lines(&pending);
            let doc = &mut self.script.heredocs[pending.index];
            doc.body = body;
            doc.end = end;
            if !doc.quoted {
                self.heredoc_expansions(&pending, body);
            }
            self.pos = resume;
        }
    }

    fn heredoc_lines(&self, pending: &Pending) -> (Span, Span, usize) {
        let doc = &self.script.heredocs[pending.index];
        let delimiter = pending.delimiter.as_slice();
        let substitution =
            self.script.scopes[pending.scope.index()].kind == ScopeKind::CommandSubstitution;
        let start = self.pos.min(self.end);
        let mut line = start;
        let mut joined = false;
        while line < self.end {
            let rest = &self.src[line..self.end];
            let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let next = (line + len + 1).min(self.end);
            let tabs = match doc.strip_tabs {
                true => rest[..len].iter().take_while(|b| **b == b'\t').count(),
                false => 0,
            };
            let text = &rest[tabs..len];
            if !joined {
                let end = Span::new(line, line + tabs + delimiter.len().min(text.len()));
                if text == delimiter {
                    return (Span::new(start, line), end, next);
                }
                // In `$(…)` the closing bracket may follow at once.
                if substitution && text.len() > delimiter.len() && text.starts_with(delimiter) {
                    let after = end.end as usize;
                    if self.src[after] == b')' {
                        return (Span::new(start, line), end, after);
                    }
                }
            }
            // An escaped newline joins the next line to this one.
            let escapes = text.iter().rev().take_while(|b| **b == b'\\').count();
            joined = !doc.quoted && escapes % 2 == 1;
            line = next;
        }
        let end = Span::at(self.end);
        (Span::new(start, self.end), end, self.end)
    }

    /// What expands in the body of a here-document. Shells look into it only
    /// when they run it, so an error there is none of the script.
    fn heredoc_expansions(&mut self, pending: &Pending, body: Span) {
        if memchr::memchr2(b'$', b'`', body.of(self.src)).is_none() {
            return;
        }
        let outer = self.mark();
        let nesting = std::mem::take(&mut self.nesting);
        let inside = |p: &mut Self| {
            p.pos = body.start as usize;
            p.end = body.end as usize;
            (p.scope, p.item) = (pending.scope, pending.item);
        };
        inside(self);
        let opaque = loop {
            match self.peek() {
                None => break false,
                Some(b'\\') => self.pos = (self.pos + 2).min(self.end),
                Some(byte @ (b'$' | b'`')) => {
                    let mark = self.mark();
                    let read = match byte {
                        b'$' => self.dollar(true),
                        _ => self.backquotes(true),
                    };
                    if read.is_err() {
                        self.reset(&mark);
                        break true;
                    }
                }
                Some(_) => self.pos += 1,
            }
        };
        self.nesting = nesting;
        self.pos = outer.pos();
        self.end = outer.end;
        self.depth = outer.depth;
        (self.scope, self.item) = (outer.scope, outer.item);
        // Here-documents of substitutions in the body end with it.
        self.pending.truncate(outer.pending);
        let doc = &mut self.script.heredocs[pending.index];
        doc.expansions = self.expansions.split_off(outer.expansions);
        doc.opaque = opaque;
        if opaque && self.dash {
            self.fail("an expansion in a here-document is not closed");
        }
    }
}

impl Mark {
    fn pos(&self) -> usize {
        self.pos
    }
}
