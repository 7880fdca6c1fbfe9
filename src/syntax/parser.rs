//! Lines → logical lines → instructions.

use std::ops::Range;
use std::sync::Arc;

use super::json::Json;
use super::{
    Directive, Dockerfile, Flag, Heredoc, Instruction, Item, Keyword, Logical, Pair, Segment,
    SyntaxError, check, go, json, lex,
};
use crate::text::{Lines, Span};

/// BuildKit refuses a physical line of more bytes than this.
const MAX_LINE: usize = 65_535;

/// The directives that BuildKit knows.
const DIRECTIVES: [&str; 3] = ["syntax", "escape", "check"];

pub(super) fn parse(source: Arc<[u8]>) -> Dockerfile {
    let lines = Lines::of(&source);
    let mut parser = Parser {
        source: &source,
        at: 0,
        line: 0,
        escape: b'\\',
        directives_done: false,
        seen: Vec::new(),
        // No line holds more than one; most files are small.
        items: Vec::with_capacity(lines.count().min(64)),
        errors: Vec::new(),
    };
    parser.run();
    let Parser {
        items,
        mut errors,
        escape,
        ..
    } = parser;
    let mut file = Dockerfile {
        source,
        lines,
        items,
        errors: Vec::new(),
        escape,
    };
    check::instructions(&file, &mut errors);
    errors.sort_by_key(|error| error.line);
    errors.dedup();
    file.errors = errors;
    file
}

struct Parser<'a> {
    source: &'a [u8],
    at: usize,
    /// Lines read so far, so the number of the last one, from 1.
    line: usize,
    escape: u8,
    directives_done: bool,
    seen: Vec<String>,
    items: Vec<Item>,
    errors: Vec<SyntaxError>,
}

impl Parser<'_> {
    fn error(&mut self, line: usize, message: impl Into<String>) {
        self.errors.push(SyntaxError {
            line,
            message: message.into(),
        });
    }

    /// The range of the next physical line with its end; `None` at the end.
    fn next_line(&mut self) -> Option<Range<usize>> {
        if self.at >= self.source.len() {
            return None;
        }
        let rest = &self.source[self.at..];
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let range = self.at..self.at + len;
        self.at = range.end;
        self.line += 1;
        if self.content(&range).len() > MAX_LINE {
            let line = self.line;
            self.error(
                line,
                format!("dockerfile line greater than max allowed size of {MAX_LINE}"),
            );
        }
        Some(range)
    }

    /// A line's bytes without its line end as the scanner limits them.
    fn content(&self, line: &Range<usize>) -> &[u8] {
        let bytes = &self.source[line.clone()];
        bytes.strip_suffix(b"\n").unwrap_or(bytes)
    }

    fn run(&mut self) {
        let mut bom = 0;
        if self.source.starts_with("\u{feff}".as_bytes()) {
            bom = 3;
        }
        while let Some(line) = self.next_line() {
            let skip = if self.line == 1 { bom } else { 0 };
            let full = trim_newline(self.source, line.clone());
            let body = full.start + skip..full.end.max(full.start + skip);
            let body_start = body.end - go::trim_start(&self.source[body.clone()]).len();
            let body = body_start..body.end;
            let span = Span::new(line.start, line.end);
            if self.directive(&body, span) {
                continue;
            }
            if body.is_empty() {
                self.items.push(Item::Blank(span));
            } else if self.source[body.start] == b'#' {
                self.items.push(Item::Comment(span));
            } else {
                self.instruction(line, body);
            }
        }
        let any = |item: &Item| matches!(item, Item::Instruction(_));
        if !self.items.iter().any(any) {
            let line = self.line.max(1);
            self.error(line, "file with no instructions");
        }
    }

    /// Takes a parser directive line, if that is what it is.
    fn directive(&mut self, body: &Range<usize>, span: Span) -> bool {
        if self.directives_done {
            return false;
        }
        let Some((name, value)) = directive_parts(self.source, body) else {
            self.directives_done = true;
            return false;
        };
        let line = self.line;
        if self.seen.contains(&name) {
            self.error(
                line,
                format!("only one {name} parser directive can be used"),
            );
        }
        if name == "escape" {
            match value.of(self.source) {
                [escape @ (b'\\' | b'`')] => self.escape = *escape,
                other => {
                    let shown = String::from_utf8_lossy(other).into_owned();
                    self.error(
                        line,
                        format!("invalid escape token '{shown}' does not match ` or \\"),
                    );
                }
            }
        }
        self.seen.push(name.clone());
        self.items
            .push(Item::Directive(Directive { span, name, value }));
        true
    }

    fn instruction(&mut self, first: Range<usize>, body: Range<usize>) {
        let start_line = self.line;
        let mut segments = Vec::with_capacity(1);
        let mut joined: Option<Vec<u8>> = None;
        let mut push = |range: Range<usize>, source: &[u8]| {
            if range.is_empty() {
                return;
            }
            let logical = segments
                .last()
                .map_or(0, |s: &Segment| s.logical as usize + s.len as usize);
            if let Some(last) = segments.last().copied() {
                let joined = joined.get_or_insert_with(|| {
                    let at = last.file as usize;
                    source[at..at + last.len as usize].to_vec()
                });
                joined.extend_from_slice(&source[range.clone()]);
            }
            segments.push(Segment {
                logical: logical as u32,
                file: range.start as u32,
                len: range.len() as u32,
            });
        };
        let (mut end_of_line, kept) = self.trim_continuation(body);
        push(kept, self.source);
        while !end_of_line {
            let Some(line) = self.next_line() else { break };
            let body = trim_newline(self.source, line);
            let content = go::trim_start(&self.source[body.clone()]);
            if content.is_empty() || content[0] == b'#' {
                continue;
            }
            let (end, kept) = self.trim_continuation(body);
            end_of_line = end;
            push(kept, self.source);
        }
        let logical = Logical {
            segments,
            joined: joined.map(Vec::into_boxed_slice),
        };
        let mut instruction = match node(self.source, logical, 0, self.escape, 0) {
            Ok(node) => node,
            Err((node, message)) => {
                self.error(start_line, message);
                *node
            }
        };
        self.heredocs(&mut instruction, start_line);
        instruction.start_line = start_line;
        instruction.end_line = self.line;
        instruction.span = Span::new(first.start, self.at);
        if let Some(sub) = &mut instruction.sub {
            sub.start_line = start_line;
            sub.end_line = self.line;
            sub.span = instruction.span;
        }
        self.items.push(Item::Instruction(instruction));
    }

    /// Whether the logical line ends with this physical one, and what of it counts.
    fn trim_continuation(&self, body: Range<usize>) -> (bool, Range<usize>) {
        let bytes = &self.source[body.clone()];
        let blanks = bytes
            .iter()
            .rev()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        let bare = &bytes[..bytes.len() - blanks];
        match bare {
            [.., before, last] if *last == self.escape && *before != self.escape => {
                (false, body.start..body.start + bare.len() - 1)
            }
            [last] if *last == self.escape => (false, body.start..body.start),
            _ => (true, body),
        }
    }

    fn heredocs(&mut self, instruction: &mut Instruction, start_line: usize) {
        let inner = instruction.sub.as_deref().unwrap_or(instruction);
        let can = matches!(inner.keyword, Keyword::Add | Keyword::Copy | Keyword::Run);
        if !can || inner.json.is_some() {
            return;
        }
        let text = instruction.logical.text(self.source);
        if memchr::memmem::find(text, b"<<").is_none() {
            return;
        }
        let announced = match lex::heredocs(text) {
            Ok(announced) => announced,
            Err(error) => return self.error(start_line, error.0),
        };
        for doc in announced {
            let start = self.at;
            let mut end = None;
            while let Some(line) = self.next_line() {
                let body = trim_newline(self.source, line.clone());
                let mut bytes = &self.source[body];
                if doc.chomp {
                    while let Some(rest) = bytes.strip_prefix(b"\t") {
                        bytes = rest;
                    }
                }
                if bytes == doc.name.as_bytes() {
                    end = Some(line.start);
                    break;
                }
            }
            if end.is_none() {
                self.error(
                    start_line,
                    format!("unterminated heredoc: no line {:?} follows", doc.name),
                );
            }
            instruction.heredocs.push(Heredoc {
                name: doc.name,
                expand: doc.expand,
                chomp: doc.chomp,
                content: Span::new(start, end.unwrap_or(self.at)),
            });
        }
    }
}

/// A line's range without the `\r` and `\n` at its end.
fn trim_newline(source: &[u8], line: Range<usize>) -> Range<usize> {
    let bytes = &source[line.clone()];
    let ends = bytes
        .iter()
        .rev()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    line.start..line.end - ends
}

/// Name and value of `# name = value` with a known name.
fn directive_parts(source: &[u8], body: &Range<usize>) -> Option<(String, Span)> {
    let line = &source[body.clone()];
    let rest = go::trim_start(line.strip_prefix(b"#")?);
    let name_len = rest
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let name = std::str::from_utf8(&rest[..name_len]).ok()?;
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let blank = |b: &&u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c);
    let mut at = name_len;
    at += rest[at..].iter().take_while(blank).count();
    if rest.get(at) != Some(&b'=') {
        return None;
    }
    at += 1;
    at += rest[at..].iter().take_while(blank).count();
    let end = rest.len() - rest[at..].iter().rev().take_while(blank).count();
    // `.+?` needs a character: of only blanks, the last one is the value.
    let (at, end) = if at < rest.len() {
        (at, end)
    } else {
        return None;
    };
    let name = name.to_ascii_lowercase();
    DIRECTIVES.contains(&name.as_str()).then(|| {
        let base = body.end - rest.len();
        (name, Span::new(base + at, base + end))
    })
}

type NodeResult = Result<Instruction, (Box<Instruction>, String)>;

/// Reads a logical line from `from` on as one instruction. On an error the
/// instruction is still there, as far as it was read.
fn node(source: &[u8], logical: Logical, from: usize, escape: u8, depth: usize) -> NodeResult {
    let text = logical.text(source);
    let line = go::trim_range(text, from..text.len());
    let name_len = text[line.clone()]
        .iter()
        .position(|&b| go::is_blank(b))
        .unwrap_or(line.len());
    let name = line.start..line.start + name_len;
    let keyword = Keyword::of(&text[name.clone()]);
    let mut rest = name.end;
    while rest < line.end && go::is_blank(text[rest]) {
        rest += 1;
    }
    let (flags, args_start) = flags(text, rest..line.end, escape);
    let args = go::trim_range(text, args_start..line.end);
    let mut instruction = Instruction {
        span: Span::default(),
        start_line: 0,
        end_line: 0,
        keyword,
        name,
        flags,
        args: args.clone(),
        json: None,
        heredocs: Vec::new(),
        sub: None,
        logical: Logical {
            segments: Vec::new(),
            joined: None,
        },
    };
    let mut failed = None;
    match keyword {
        Keyword::Add
        | Keyword::Cmd
        | Keyword::Copy
        | Keyword::Entrypoint
        | Keyword::Run
        | Keyword::Shell
        | Keyword::Volume => failed = read_json(text, args, &mut instruction),
        Keyword::Healthcheck => {
            let typ = text[args.clone()]
                .iter()
                .position(|&b| go::is_space_byte(b))
                .unwrap_or(args.len());
            let mut command = args.start + typ;
            while command < args.end && go::is_space_byte(text[command]) {
                command += 1;
            }
            failed = read_json(text, command..args.end, &mut instruction);
        }
        Keyword::Env | Keyword::Label => match split_pairs(text, args, keyword, escape) {
            Err(message) => failed = Some(message),
            Ok(pairs) if pairs.iter().any(|(key, ..)| key.is_empty()) => {
                failed = Some(format!("{} names can not be blank", keyword.name()));
            }
            Ok(_) => {}
        },
        Keyword::Onbuild
            if !args.is_empty()
            // A chain of ONBUILD is refused; reading two of them says enough.
            && depth < 2 =>
        {
            match node(source, logical.clone(), args.start, escape, depth + 1) {
                Ok(sub) => instruction.sub = Some(Box::new(sub)),
                Err((sub, message)) => {
                    instruction.sub = Some(sub);
                    failed = Some(message);
                }
            }
        }
        _ => {}
    }
    instruction.logical = logical;
    match failed {
        None => Ok(instruction),
        Some(message) => Err((Box::new(instruction), message)),
    }
}

fn read_json(text: &[u8], range: Range<usize>, into: &mut Instruction) -> Option<String> {
    match json::read(text, range) {
        Json::Strings(strings) => {
            into.json = Some(strings);
            None
        }
        Json::Plain => None,
        Json::NotStrings => Some(
            "when using JSON array syntax, arrays must be comprised of strings only".to_owned(),
        ),
    }
}

/// The builder flags at the start of `range`, and where the arguments start.
/// Bytes count as characters here, as they do in BuildKit.
fn flags(text: &[u8], range: Range<usize>, escape: u8) -> (Vec<Flag>, usize) {
    let mut found = Vec::new();
    let mut at = range.start;
    loop {
        while at < range.end && go::is_space_byte(text[at]) {
            at += 1;
        }
        if !text[at..range.end].starts_with(b"--") {
            return (found, at);
        }
        let start = at;
        let mut word = String::new();
        let mut quote = None;
        let mut quoted = false;
        while at < range.end {
            let byte = text[at];
            match quote {
                None if go::is_space_byte(byte) => break,
                None if matches!(byte, b'\'' | b'"') => {
                    quote = Some(byte);
                    quoted = true;
                }
                Some(open) if byte == open => quote = None,
                _ => {
                    let mut byte = byte;
                    if byte == escape {
                        if at + 1 == range.end {
                            at += 1;
                            quote = None;
                            continue;
                        }
                        at += 1;
                        byte = text[at];
                    }
                    word.push(char::from(byte));
                }
            }
            at += 1;
        }
        if word == "--" {
            return (found, at);
        }
        if quoted || !word.is_empty() {
            found.push(Flag {
                word,
                range: start..at,
            });
        }
    }
}

/// The words of ENV, LABEL and ARG: quotes and escapes kept, blanks inside
/// quotes no separators. Each with the range that it takes up, in which an escape
/// at the very end counts, and that of the bytes that it is.
fn split_words(text: &[u8], range: Range<usize>, escape: u8) -> Vec<(Range<usize>, Range<usize>)> {
    let mut words = Vec::new();
    let mut at = range.start;
    let bytes = &text[..range.end];
    let blank = |at: usize| match bytes[at] {
        byte if byte.is_ascii() => (char::from(byte).is_whitespace(), 1),
        _ => {
            let (c, len) = go::decode(&bytes[at..]);
            (c.is_whitespace(), len)
        }
    };
    while at < range.end {
        let (is_blank, len) = blank(at);
        if is_blank {
            at += len;
            continue;
        }
        let start = at;
        let mut end = at;
        let mut quote: Option<u8> = None;
        while at < range.end {
            let byte = bytes[at];
            let (is_blank, len) = blank(at);
            if quote.is_none() && is_blank {
                break;
            }
            if quote.is_none() && matches!(byte, b'\'' | b'"') {
                quote = Some(byte);
            } else if quote == Some(byte) {
                quote = None;
            } else if byte == escape && quote != Some(b'\'') {
                at += 1;
                if at < range.end {
                    at += blank(at).1;
                    end = at;
                }
                continue;
            }
            at += len;
            end = at;
        }
        if start < end {
            words.push((start..at, start..end));
        }
    }
    words
}

/// Where a name, its value, and what stands for the value lie.
type RawPair = (Range<usize>, Option<Range<usize>>, Range<usize>);

fn split_pairs(
    text: &[u8],
    args: Range<usize>,
    keyword: Keyword,
    escape: u8,
) -> Result<Vec<RawPair>, String> {
    let words = split_words(text, args.clone(), escape);
    let Some((_, first)) = words.first() else {
        return Ok(Vec::new());
    };
    if keyword != Keyword::Arg && memchr::memchr(b'=', &text[first.clone()]).is_none() {
        // The old form, `ENV name the whole rest`.
        let mut parts = go::split_blanks(&text[args.clone()]);
        let name = parts.next().unwrap_or(0..0);
        let Some(value) = parts.next() else {
            return Err(format!("{} must have two arguments", keyword.name()));
        };
        let value = args.start + value.start..args.end;
        let name = args.start + name.start..args.start + name.end;
        return Ok(vec![(name, Some(value.clone()), value)]);
    }
    let mut pairs = Vec::with_capacity(words.len());
    for (range, word) in words {
        match memchr::memchr(b'=', &text[word.clone()]) {
            Some(at) => {
                let equals = word.start + at;
                pairs.push((
                    word.start..equals,
                    Some(equals + 1..word.end),
                    equals + 1..range.end,
                ));
            }
            None if keyword == Keyword::Arg => pairs.push((word, None, range.end..range.end)),
            None => {
                return Err(format!(
                    "Syntax error - can't find = in {:?}. Must be of the form: name=value",
                    String::from_utf8_lossy(&text[word])
                ));
            }
        }
    }
    Ok(pairs)
}

/// The pairs of ENV, LABEL and ARG.
pub(super) fn pairs<'a>(
    instruction: &'a Instruction,
    source: &'a [u8],
    escape: u8,
) -> Result<Vec<Pair<'a>>, String> {
    let keyword = instruction.keyword;
    if !matches!(keyword, Keyword::Env | Keyword::Label | Keyword::Arg) {
        return Ok(Vec::new());
    }
    let text = instruction.logical.text(source);
    let pairs = split_pairs(text, instruction.args.clone(), keyword, escape)?;
    let told = |range: Range<usize>| String::from_utf8_lossy(&text[range]);
    Ok(pairs
        .into_iter()
        .map(|(key, value, value_range)| Pair {
            key: told(key),
            value: value.map(told),
            value_range,
        })
        .collect())
}
