//! The text of a RUN, its commands, and where they stand in the file.

use crate::syntax::shell::{self, Command, Connector, Script, Word};
use crate::syntax::{Instruction, Keyword, Logical};
use crate::text::{Edit, Span};

/// How the text of a body lies in the file.
enum Place<'m> {
    /// In the logical line, from that offset on.
    Line(&'m Logical, usize),
    /// In one piece, from that byte of the file on: a heredoc.
    File(usize),
}

/// The body of a RUN, or of an ONBUILD RUN.
pub(super) struct Body<'m> {
    /// The text, continuations joined.
    pub text: Vec<u8>,
    /// Its commands.
    pub script: Script,
    place: Place<'m>,
    /// The instruction, with all of its lines.
    pub instruction: Span,
    /// Whether the instruction has flags, which keep it from being removed.
    flags: bool,
    heredoc: bool,
    escape: u8,
}

impl<'m> Body<'m> {
    /// The bodies of an instruction; none when it is no RUN or is in JSON form.
    pub fn of(instruction: &'m Instruction, source: &[u8], escape: u8) -> Vec<Self> {
        let run = instruction.sub.as_deref().unwrap_or(instruction);
        if run.keyword != Keyword::Run || run.json.is_some() {
            return Vec::new();
        }
        let base = |text: Vec<u8>, place, heredoc| {
            let script = shell::parse(&text);
            Self {
                text,
                script,
                place,
                instruction: instruction.span,
                flags: !run.flags.is_empty(),
                heredoc,
                escape,
            }
        };
        if run.heredocs.is_empty() {
            let text = run.logical.text(source)[run.args.clone()].to_vec();
            return vec![base(text, Place::Line(&run.logical, run.args.start), false)];
        }
        let args = run.args_text(source);
        let fed = !args.trim_start().starts_with("<<");
        if fed {
            return Vec::new();
        }
        let docs = run.heredocs.iter().map(|doc| {
            let text = doc.content.of(source).to_vec();
            base(text, Place::File(doc.content.start as usize), true)
        });
        docs.collect()
    }

    /// The bytes of the file that are exactly this part of the body.
    pub fn exact(&self, span: Span) -> Option<Span> {
        let (start, end) = (span.start as usize, span.end as usize);
        match self.place {
            Place::Line(logical, at) => logical.exact(at + start..at + end),
            Place::File(at) => Some(Span::new(at + start, at + end)),
        }
    }

    /// The bytes of the file from its first to its last byte.
    pub fn cover(&self, span: Span) -> Span {
        let (start, end) = (span.start as usize, span.end as usize);
        match self.place {
            Place::Line(logical, at) => logical.cover(at + start..at + end),
            Place::File(at) => Span::new(at + start, at + end),
        }
    }

    /// A word's text as written.
    pub fn raw(&self, word: &Word) -> String {
        String::from_utf8_lossy(word.text(&self.text)).into_owned()
    }

    /// The words of a command, `None` for those that depend on something.
    pub fn values(&self, command: &Command) -> Vec<Option<String>> {
        let words = command.words.iter();
        words
            .map(|word| word.literal(&self.text).map(std::borrow::Cow::into_owned))
            .collect()
    }

    /// The text of a command, for people.
    pub fn shown(&self, command: &Command) -> String {
        let text = String::from_utf8_lossy(command.span.of(&self.text)).into_owned();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(70) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }

    /// Whether a part of the file has a comment line in it.
    fn comments(source: &[u8], span: Span) -> Vec<String> {
        let text = String::from_utf8_lossy(span.of(source)).into_owned();
        let lines = text.lines().skip(1);
        lines
            .filter(|line| line.trim_start().starts_with('#'))
            .map(|line| line.trim_end_matches('\r').to_owned())
            .collect()
    }

    /// Removes a word of a command, with the blanks before it. `before` is the
    /// end (in the body) of what stands before it.
    pub fn without_word(
        &self,
        source: &[u8],
        before: u32,
        word: Span,
        last: bool,
    ) -> Result<Edit, &'static str> {
        let gap = Span {
            start: before,
            end: word.end,
        };
        let from = self.cover(Span {
            start: before.saturating_sub(1),
            end: before,
        });
        let own = self.exact(word).ok_or("a word is broken over lines")?;
        let region = Span {
            start: from.end,
            end: own.end,
        };
        debug_assert!(gap.end >= gap.start);
        if Self::comments(source, region).is_empty() {
            return Ok(Edit::delete(region));
        }
        if last {
            return Err("a comment stands before the last word of a command");
        }
        Ok(Edit::delete(own))
    }

    /// The edits that take commands (by their items) out of the body, with the
    /// operators that join them; comments stay.
    pub fn without(&self, source: &[u8], gone: &[u32]) -> Result<Vec<Edit>, &'static str> {
        let items = self.script.all_items();
        let mut edits = Vec::new();
        let mut scopes: Vec<_> = gone
            .iter()
            .map(|item| items[*item as usize].context.scope)
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        for scope in scopes {
            let list: Vec<(u32, &shell::Item)> = (0u32..)
                .zip(items)
                .filter(|(_, item)| item.context.scope == scope)
                .collect();
            let is_gone: Vec<bool> = list.iter().map(|(n, _)| gone.contains(n)).collect();
            if is_gone.iter().all(|gone| *gone) {
                if scope == shell::ScopeId::TOP && !self.flags && !self.heredoc {
                    edits.push(Edit::delete(self.instruction));
                    continue;
                }
                // Something has to stand there.
                let first = list[0].1.span;
                let last = list[list.len() - 1].1.span;
                let all = Span {
                    start: first.start,
                    end: last.end,
                };
                let at = self.cover(all);
                if !Self::comments(source, at).is_empty() {
                    return Err("comments stand between commands that are dropped");
                }
                edits.push(Edit::replace(at, "true"));
                continue;
            }
            for (index, (_, item)) in list.iter().enumerate() {
                if !is_gone[index] {
                    continue;
                }
                edits.push(self.without_item(source, &list, &is_gone, index, item)?);
            }
        }
        Ok(edits)
    }

    fn without_item(
        &self,
        source: &[u8],
        list: &[(u32, &shell::Item)],
        gone: &[bool],
        index: usize,
        item: &shell::Item,
    ) -> Result<Edit, &'static str> {
        let next = list.get(index + 1).map(|(_, next)| next);
        let piped = |c: Connector| c == Connector::Pipe;
        if piped(item.before) || next.is_some_and(|next| piped(next.before)) {
            return Err("it is part of a pipeline");
        }
        let stays = || Ok(Edit::replace(self.cover(item.span), "true"));
        // What `||` decides depends on the command.
        if item.before == Connector::Or
            || item.prefix.is_some()
            || next.is_some_and(|n| n.before == Connector::Or || n.before == Connector::Background)
        {
            return stays();
        }
        let kept_after = (index + 1..list.len()).find(|&later| !gone[later]);
        if let (Some(_), Some(next)) = (kept_after, next) {
            let region = Span {
                start: self.cover(item.span).start,
                end: self.cover(next.span).start,
            };
            let comments = Self::comments(source, region);
            if comments.is_empty() {
                return Ok(Edit::delete(region));
            }
            let text = String::from_utf8_lossy(region.of(source)).into_owned();
            let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
            let indent = text.rsplit('\n').next().unwrap_or_default();
            let indent: String = indent.chars().take_while(|c| c.is_whitespace()).collect();
            let mut out = String::new();
            if !self.heredoc {
                out.push(self.escape as char);
                out.push_str(newline);
            }
            for comment in comments {
                let comment = if self.heredoc && out.is_empty() {
                    comment.trim_start().to_owned()
                } else {
                    comment
                };
                out.push_str(&comment);
                out.push_str(newline);
            }
            out.push_str(&indent);
            return Ok(Edit::replace(region, out));
        }
        // The last ones: from the end of what stays before them.
        let before = (0..index).rev().find(|&earlier| !gone[earlier]);
        let from = match before {
            Some(_) if index > 0 => self.cover(list[index - 1].1.span).end,
            _ => return stays(),
        };
        let region = Span {
            start: from,
            end: self.cover(item.span).end,
        };
        if Self::comments(source, region).is_empty() {
            return Ok(Edit::delete(region));
        }
        stays()
    }
}
