//! BuildKit's word processing: quotes, escapes, and `$VAR` / `${VAR…}`
//! expansion, in the instructions' own words (not in RUN's shell).
//!
//! Two uses: splitting a line into words to find heredocs, and expanding
//! variables in FROM, COPY, WORKDIR and so on. Bounded against hostile input:
//! [`MAX_OUTPUT`] bytes and [`MAX_DEPTH`] nested substitutions.

use super::go;

/// The longest result, in bytes.
pub const MAX_OUTPUT: usize = 64 * 1024;
/// The deepest nesting of `${…${…}…}`.
pub const MAX_DEPTH: usize = 32;

/// Where the values of variables come from.
pub trait Environment {
    /// The value of a variable; `None` when it is not set.
    fn get(&self, name: &str) -> Option<String>;
}

/// Why a word could not be expanded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpandError(pub String);

impl std::fmt::Display for ExpandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExpandError {}

struct Unset;

impl Environment for Unset {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

/// `word` with variables expanded and quotes and escapes removed, as BuildKit
/// processes one argument; unset variables become empty.
///
/// # Errors
/// Unbalanced quotes or braces, `${v?message}` of an unset variable, an
/// unknown modifier, or a result over the limits.
pub fn expand(word: &str, escape: u8, env: &dyn Environment) -> Result<String, ExpandError> {
    let mut lexer = Lexer::new(word.as_bytes(), escape, env);
    Ok(lexer.until(None, false)?.0)
}

/// As [`expand`], the result split into words at blanks outside quotes.
///
/// # Errors
/// As for [`expand`].
pub fn expand_words(
    word: &str,
    escape: u8,
    env: &dyn Environment,
) -> Result<Vec<String>, ExpandError> {
    let mut lexer = Lexer::new(word.as_bytes(), escape, env);
    Ok(lexer.until(None, false)?.1)
}

/// A heredoc announced on a logical line.
pub(super) struct Announced {
    pub name: String,
    pub expand: bool,
    pub chomp: bool,
}

/// The heredocs that a line announces, in order. An unbalanced quote means
/// that the line has none.
pub(super) fn heredocs(line: &[u8]) -> Result<Vec<Announced>, ExpandError> {
    let mut lexer = Lexer::new(line, b'\\', &Unset);
    lexer.raw_quotes = true;
    lexer.raw_escapes = true;
    lexer.keep_unset = true;
    let Ok((_, words)) = lexer.until(None, true) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for word in words {
        if let Some(heredoc) = heredoc_word(&word)? {
            found.push(heredoc);
        }
    }
    Ok(found)
}

/// Reads one word as `N<<-NAME`; `None` when it is no heredoc.
pub(super) fn heredoc_word(word: &str) -> Result<Option<Announced>, ExpandError> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(rest) = rest.strip_prefix("<<") else {
        return Ok(None);
    };
    // Like the regular expression `(-?)\s*([^<]*)$`.
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let words = |raw: bool| {
        let mut lexer = Lexer::new(rest.as_bytes(), b'\\', &Unset);
        lexer.raw_quotes = raw;
        lexer.keep_unset = true;
        lexer.until(None, false).map(|(_, words)| words)
    };
    let plain = words(false)?;
    if plain.len() != 1 {
        return Ok(None);
    }
    let raw = words(true)?;
    if raw.len() != plain.len() {
        return Err(ExpandError(format!(
            "internal lexing of heredoc produced inconsistent results: {rest}"
        )));
    }
    let quotes = |word: &str| word.matches(['\'', '"']).count();
    let expand = quotes(&plain[0]) == quotes(&raw[0]);
    let name = plain.into_iter().next().unwrap_or_default();
    Ok(Some(Announced {
        name,
        expand,
        chomp,
    }))
}

struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
    escape: char,
    env: &'a dyn Environment,
    raw_quotes: bool,
    raw_escapes: bool,
    keep_unset: bool,
    depth: usize,
    produced: usize,
    /// The word being built. One for all levels: a nested substitution drops
    /// what its word had so far, which is how BuildKit behaves.
    word: String,
}

#[derive(Default)]
struct Words {
    done: Vec<String>,
    inside: bool,
}

type Lexed<T> = Result<T, ExpandError>;

fn fail<T>(message: impl Into<String>) -> Lexed<T> {
    Err(ExpandError(message.into()))
}

impl<'a> Lexer<'a> {
    fn new(input: &'a [u8], escape: u8, env: &'a dyn Environment) -> Self {
        Self {
            input: input.strip_prefix("\u{feff}".as_bytes()).unwrap_or(input),
            at: 0,
            escape: char::from(escape),
            env,
            raw_quotes: false,
            raw_escapes: false,
            keep_unset: false,
            depth: 0,
            produced: 0,
            word: String::new(),
        }
    }

    fn peek(&self) -> Option<char> {
        (self.at < self.input.len()).then(|| go::decode(&self.input[self.at..]).0)
    }

    fn next(&mut self) -> Option<char> {
        if self.at >= self.input.len() {
            return None;
        }
        let (c, len) = go::decode(&self.input[self.at..]);
        self.at += len;
        Some(c)
    }

    fn grow(&mut self, by: usize) -> Lexed<()> {
        self.produced += by;
        // The scan itself produces at most the input; values come on top.
        if self.produced > MAX_OUTPUT.max(4 * self.input.len()) {
            return fail(format!("expands to more than {MAX_OUTPUT} bytes"));
        }
        Ok(())
    }

    fn add(&mut self, words: &mut Words, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
            words.inside = true;
        } else if words.inside && !self.word.is_empty() {
            words.done.push(std::mem::take(&mut self.word));
            words.inside = false;
        }
    }

    fn add_raw(&mut self, words: &mut Words, text: &str) {
        self.word.push_str(text);
        words.inside = true;
    }

    /// Processes up to `stop` (or the end) and returns the text and its words.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Lexed<(String, Vec<String>)> {
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        self.depth += 1;
        let result = if self.depth > MAX_DEPTH {
            fail(format!("more than {MAX_DEPTH} nested substitutions"))
        } else {
            self.until_inner(stop)
        };
        self.depth -= 1;
        self.raw_escapes = outer;
        result
    }

    fn until_inner(&mut self, stop: Option<char>) -> Lexed<(String, Vec<String>)> {
        let mut result = String::new();
        self.word.clear();
        let mut words = Words::default();
        let mut closed = stop.is_none();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.next();
                closed = true;
                break;
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    self.grow(value.len())?;
                    for c in value.chars() {
                        self.add(&mut words, c);
                    }
                    result.push_str(&value);
                }
                '<' => {
                    let text = self.maybe_heredoc();
                    self.add_raw(&mut words, &text);
                    result.push_str(&text);
                }
                '\'' | '"' => {
                    let text = if c == '\'' {
                        self.single_quoted()?
                    } else {
                        self.double_quoted()?
                    };
                    self.add_raw(&mut words, &text);
                    result.push_str(&text);
                }
                _ => {
                    self.next();
                    let mut c = c;
                    if c == self.escape {
                        let mut buffer = [0; 4];
                        if self.raw_escapes {
                            self.add_raw(&mut words, c.encode_utf8(&mut buffer));
                            result.push(c);
                        }
                        let Some(escaped) = self.next() else { break };
                        c = escaped;
                        self.add_raw(&mut words, c.encode_utf8(&mut buffer));
                    } else {
                        self.add(&mut words, c);
                    }
                    result.push(c);
                }
            }
        }
        if !closed {
            let stop = stop.unwrap_or_default();
            return fail(format!(
                "unexpected end of statement while looking for matching {stop}"
            ));
        }
        if !self.word.is_empty() {
            words.done.push(std::mem::take(&mut self.word));
        }
        Ok((result, words.done))
    }

    fn single_quoted(&mut self) -> Lexed<String> {
        let mut result = String::new();
        let quote = self.next();
        if self.raw_quotes {
            result.extend(quote);
        }
        loop {
            match self.next() {
                None => {
                    return fail(
                        "unexpected end of statement while looking for matching single-quote",
                    );
                }
                Some('\'') => {
                    if self.raw_quotes {
                        result.push('\'');
                    }
                    return Ok(result);
                }
                Some(c) => result.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Lexed<String> {
        let mut result = String::new();
        let quote = self.next();
        if self.raw_quotes {
            result.extend(quote);
        }
        loop {
            match self.peek() {
                None => {
                    return fail(
                        "unexpected end of statement while looking for matching double-quote",
                    );
                }
                Some('"') => {
                    self.next();
                    if self.raw_quotes {
                        result.push('"');
                    }
                    return Ok(result);
                }
                Some('$') => {
                    let value = self.dollar()?;
                    self.grow(value.len())?;
                    result.push_str(&value);
                }
                Some(mut c) => {
                    self.next();
                    if c == self.escape {
                        if self.raw_escapes {
                            result.push(c);
                        }
                        match self.peek() {
                            None => continue,
                            Some(next) if matches!(next, '"' | '$') || next == self.escape => {
                                self.next();
                                c = next;
                            }
                            Some(_) => {}
                        }
                    }
                    result.push(c);
                }
            }
        }
    }

    fn maybe_heredoc(&mut self) -> String {
        self.next();
        if self.peek() != Some('<') {
            return "<".to_owned();
        }
        self.next();
        let mut text = "<<".to_owned();
        while let Some(c @ ('\t' | '\r' | ' ')) = self.peek() {
            text.push(c);
            self.next();
        }
        text
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if name.is_empty() && c.is_numeric() {
                while let Some(c) = self.peek().filter(|c| c.is_numeric()) {
                    name.push(c);
                    self.next();
                }
                break;
            }
            if name.is_empty() && matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!' | '0') {
                name.push(c);
                self.next();
                break;
            }
            if !(c.is_alphanumeric() || c == '_') {
                break;
            }
            name.push(c);
            self.next();
        }
        name
    }

    fn dollar(&mut self) -> Lexed<String> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.env.get(&name) {
                Some(value) => value,
                None if self.keep_unset => format!("${name}"),
                None => String::new(),
            });
        }
        self.next();
        match self.peek() {
            None => return fail("syntax error: missing '}'"),
            Some('{' | '}' | ':') => return fail("syntax error: bad substitution"),
            Some(_) => {}
        }
        let name = self.name();
        let Some(mut modifier) = self.next() else {
            return fail("unsupported modifier (end of text) in substitution");
        };
        match modifier {
            '}' => {
                return Ok(match self.env.get(&name) {
                    Some(value) => value,
                    None if self.keep_unset => format!("${{{name}}}"),
                    None => String::new(),
                });
            }
            '/' => return self.replace(&name),
            _ => {}
        }
        let mut written = modifier.to_string();
        let empty_is_unset = modifier == ':';
        if empty_is_unset {
            modifier = self.next().unwrap_or('\u{0}');
            written.push(modifier);
        } else if !matches!(modifier, '+' | '-' | '?' | '#' | '%') {
            return fail(format!("unsupported modifier ({written}) in substitution"));
        }
        let pattern = matches!(modifier, '#' | '%');
        if empty_is_unset && pattern {
            return fail(format!("unsupported modifier ({written}) in substitution"));
        }
        let word = self.operand('}', pattern, "syntax error: missing '}'")?;
        let value = self.env.get(&name);
        if self.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{written}{word}}}"));
        }
        let filled = value
            .as_deref()
            .filter(|v| !(empty_is_unset && v.is_empty()));
        match modifier {
            '-' => Ok(filled.map_or(word, str::to_owned)),
            '+' => Ok(if filled.is_some() {
                word
            } else {
                String::new()
            }),
            '?' => match (filled, value.is_some()) {
                (Some(value), _) => Ok(value.to_owned()),
                (None, set) => {
                    let what = if set { "empty" } else { "unset" };
                    let message = if word.is_empty() {
                        format!("is not allowed to be {what}")
                    } else {
                        word
                    };
                    fail(format!("{name}: {message}"))
                }
            },
            '#' | '%' => trim(&word, &value.unwrap_or_default(), modifier),
            _ => fail(format!("unsupported modifier ({written}) in substitution")),
        }
    }

    fn operand(&mut self, stop: char, raw: bool, missing: &str) -> Lexed<String> {
        match self.until(Some(stop), raw) {
            Ok((word, _)) => Ok(word),
            Err(_) if self.peek().is_none() => fail(missing),
            Err(error) => Err(error),
        }
    }

    fn replace(&mut self, name: &str) -> Lexed<String> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.operand('/', true, "syntax error: missing '/' in ${}")?;
        let replacement = self.operand('}', true, "syntax error: missing '}'")?;
        let value = self.env.get(name);
        if self.keep_unset && value.is_none() {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let value = value.unwrap_or_default();
        let regex = wildcard(&pattern, true, false)?;
        Ok(if all {
            regex.replace_all(&value, replacement.as_str()).into_owned()
        } else {
            regex
                .replacen(&value, 1, regex::NoExpand(&replacement))
                .into_owned()
        })
    }
}

/// A shell pattern (`*`, `?`, `\` escapes) as a regular expression, which
/// matches in linear time whatever the pattern.
fn wildcard(pattern: &str, greedy: bool, anchored: bool) -> Lexed<regex::Regex> {
    let mut out = String::from(if anchored { "^" } else { "" });
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => out.push('.'),
            '\\' => match chars.peek().copied() {
                Some('}' | '/') => {}
                Some(next @ ('*' | '?' | '\\')) => {
                    chars.next();
                    out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                }
                next => {
                    let shown = next.map_or(String::new(), String::from);
                    return fail(format!("invalid escape '\\{shown}'"));
                }
            },
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex::RegexBuilder::new(&out)
        .size_limit(1 << 20)
        .build()
        .map_err(|_| ExpandError(format!("invalid pattern ({pattern}) in substitution")))
}

/// `${v#p}`, `${v##p}`, `${v%p}`, `${v%%p}`: `word` still has the doubled
/// character when the longest match is meant.
fn trim(word: &str, value: &str, modifier: char) -> Lexed<String> {
    let (greedy, pattern) = match word.strip_prefix(modifier) {
        Some(pattern) => (true, pattern),
        None => (false, word),
    };
    if modifier == '#' {
        let regex = wildcard(pattern, greedy, true)?;
        return Ok(regex.replace(value, "").into_owned());
    }
    // The shortest match at the end is the shortest at the start, backwards.
    let reversed: String = value.chars().rev().collect();
    let mut pieces = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let mut piece = c.to_string();
        if c == '\\' {
            piece.extend(chars.next());
        }
        pieces.push(piece);
    }
    pieces.reverse();
    let regex = wildcard(&pieces.concat(), greedy, true)?;
    Ok(regex.replace(&reversed, "").chars().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Vars(&'static [(&'static str, &'static str)]);

    impl Environment for Vars {
        fn get(&self, name: &str) -> Option<String> {
            let found = self.0.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    const VARS: Vars = Vars(&[("V", "1.2.3"), ("E", ""), ("P", "/a/b/c.tar.gz")]);

    fn ok(word: &str) -> String {
        expand(word, b'\\', &VARS).unwrap()
    }

    #[test]
    fn expands_every_form() {
        for (word, expected) in [
            ("node:$V-slim", "node:1.2.3-slim"),
            ("${V}x", "1.2.3x"),
            ("${U:-d}", "d"),
            ("${E:-d}", "d"),
            ("${E-d}", ""),
            ("${V:+w}", "w"),
            ("${E:+w}", ""),
            ("${E+w}", "w"),
            ("${V?e}", "1.2.3"),
            ("${P#*/}", "a/b/c.tar.gz"),
            ("${P##*/}", "c.tar.gz"),
            ("${P%.*}", "/a/b/c.tar"),
            ("${P%%.*}", "/a/b/c"),
            ("${V/./-}", "1-2.3"),
            ("${V//./-}", "1-2-3"),
            ("${U:-${V}}", "1.2.3"),
            ("'$V'", "$V"),
            ("\"$V\"", "1.2.3"),
            ("\\$V", "$V"),
            ("$U", ""),
            ("a\\ b", "a b"),
        ] {
            assert_eq!(ok(word), expected, "{word}");
        }
    }

    #[test]
    fn refuses_what_buildkit_refuses() {
        for word in [
            "${U?gone}",
            "${E:?}",
            "${V",
            "${}",
            "${V:#x}",
            "${V!}",
            "'a",
            "\"a",
        ] {
            assert!(expand(word, b'\\', &VARS).is_err(), "{word}");
        }
    }

    #[test]
    fn hostile_nesting_and_growth_are_bounded() {
        let deep = "${U:-".repeat(20_000) + &"}".repeat(20_000);
        assert!(expand(&deep, b'\\', &VARS).is_err());
        struct Big;
        impl Environment for Big {
            fn get(&self, _: &str) -> Option<String> {
                Some("x".repeat(MAX_OUTPUT))
            }
        }
        assert!(expand("$A$A", b'\\', &Big).is_err());
    }

    #[test]
    fn finds_heredocs() {
        let found = |line: &str| -> Vec<(String, bool, bool)> {
            let list = heredocs(line.as_bytes()).unwrap();
            list.into_iter()
                .map(|h| (h.name, h.expand, h.chomp))
                .collect()
        };
        assert_eq!(found("RUN <<EOF"), [("EOF".into(), true, false)]);
        assert_eq!(
            found("RUN cat <<-'E' 3<< B"),
            [("E".into(), false, true), ("B".into(), true, false)]
        );
        assert_eq!(found("RUN echo it's <<EOF"), []);
        assert_eq!(found("RUN echo $(( 1 <<2 ))"), [("2".into(), true, false)]);
        assert_eq!(found("RUN cat <<<word"), []);
    }
}
