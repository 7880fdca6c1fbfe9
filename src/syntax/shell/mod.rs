//! Bodies of RUN as simple commands with byte spans.
//!
//! [`parse`] reads POSIX sh and bash syntax and answers a [`Script`]: a flat
//! list of simple commands in source order, the compound commands around
//! them, and the items of every list. It never fails: what it does not
//! understand is one opaque item and a [`ShellError`].
//!
//! What is accepted is what `bash -n` or `dash -n` accepts. Bash's rules are
//! tried first; only when they fail are dash's (`"${x:-it's}"`, `f() echo`,
//! `[[` as an ordinary word), never a mixture of both.
//!
//! The bytes may be anything; words that are not UTF-8 have no literal value.
//! Work is linear in the input and recursion ends at [`MAX_DEPTH`] levels.
//!
//! # Where it is deliberately blind
//!
//! - Text between backquotes that has escapes (`` `awk \$1` ``) is
//!   opaque: its words have no bytes of their own in the source.
//! - Aliases, `eval`, `sh -c '…'` and `shopt -s extglob` are not followed.
#![doc = include_str!("why.md")]

mod flow;
mod parser;
mod quote;
#[cfg(test)]
mod tests;
mod word;

use crate::text::Span;

pub use parser::{MAX_DEPTH, parse};
pub use quote::quote;
pub use word::{Assignment, Expansion, ExpansionKind, Part, Word};

/// Why a body, or a piece of one, was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShellError {
    /// Where, in bytes of the input.
    pub offset: u32,
    /// What is wrong, for people.
    pub message: &'static str,
}

impl std::fmt::Display for ShellError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.message, self.offset)
    }
}

impl std::error::Error for ShellError {}

/// What stands before an item of a list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Connector {
    /// Nothing: the first item of its list.
    Start,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;` or a newline
    Seq,
    /// `&`: what came before runs in the background.
    Background,
    /// `|` or `|&`
    Pipe,
}

/// A list of commands within a [`Script`]; see [`Script::scope`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ScopeId(u32);

impl ScopeId {
    /// The script itself.
    pub const TOP: Self = Self(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a list of commands is the body of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScopeKind {
    /// The whole script.
    Top,
    /// `( … )`
    Subshell,
    /// `{ …; }`
    Group,
    /// Between `if` and `then`.
    IfCondition,
    /// Between `elif` and `then`.
    ElifCondition,
    /// After `then`.
    Then,
    /// After `else`.
    Else,
    /// Between `while` or `until` and `do`.
    LoopCondition,
    /// Between `do` and `done`.
    LoopBody,
    /// After the pattern of a `case` arm.
    CaseArm,
    /// What a function runs when it is called.
    Function,
    /// `$( … )` or between backquotes.
    CommandSubstitution,
    /// `<( … )` or `>( … )`
    ProcessSubstitution,
}

/// A list of commands: the script, or the body of something in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// What it is the body of.
    pub kind: ScopeKind,
    /// The list in which it lies; none for the script itself.
    pub parent: Option<ScopeId>,
    /// How many lists lie around it.
    pub depth: u16,
    /// From its first byte to its last, blanks and comments included.
    pub span: Span,
    /// The item (index into [`Script::all_items`]) that holds it.
    pub item: Option<u32>,
    flags: u8,
}

/// Where a command stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The list that it is an item of.
    pub scope: ScopeId,
    /// How many lists lie around that list.
    pub depth: u16,
    flags: u8,
}

mod flag {
    pub const MAYBE: u8 = 1;
    pub const SUBSTITUTION: u8 = 2;
    pub const FUNCTION: u8 = 4;
    pub const SUBPROCESS: u8 = 8;
    pub const PIPELINE: u8 = 16;
    pub const BACKGROUND: u8 = 32;
    pub const MUST: u8 = 64;
}

impl Context {
    /// Whether it is an item of the script itself.
    #[must_use]
    pub fn is_top_level(self) -> bool {
        self.scope == ScopeId::TOP
    }

    /// Whether the script can succeed without it having run: it stands after
    /// `||`, before a later `||`, in a branch, a loop, a `case` arm or a
    /// function, or after a `&&` whose failure does not end the script.
    #[must_use]
    pub fn is_conditional(self) -> bool {
        self.flags & flag::MAYBE != 0
    }

    /// Whether the script can only succeed if it succeeds: its own status
    /// decides, in a chain of `&&` at the end of its lists.
    #[must_use]
    pub fn must_succeed(self) -> bool {
        self.flags & flag::MUST != 0
    }

    /// Whether it lies in `$( … )`, backquotes, `<( … )` or `>( … )`.
    #[must_use]
    pub fn in_substitution(self) -> bool {
        self.flags & flag::SUBSTITUTION != 0
    }

    /// Whether it lies in the body of a function.
    #[must_use]
    pub fn in_function(self) -> bool {
        self.flags & flag::FUNCTION != 0
    }

    /// Whether a change of directory or variables there is lost afterwards:
    /// in a subshell, a substitution, a pipeline or the background.
    #[must_use]
    pub fn in_subprocess(self) -> bool {
        const LOST: u8 = flag::SUBPROCESS | flag::SUBSTITUTION | flag::PIPELINE | flag::BACKGROUND;
        self.flags & LOST != 0
    }

    /// Whether it, or a list around it, is a part of a pipeline.
    #[must_use]
    pub fn in_pipeline(self) -> bool {
        self.flags & flag::PIPELINE != 0
    }

    /// Whether it, or a list around it, runs in the background.
    #[must_use]
    pub fn in_background(self) -> bool {
        self.flags & flag::BACKGROUND != 0
    }
}

/// A simple command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// From its first to its last word or redirection; no here-document body.
    pub span: Span,
    /// `NAME=value` before the command name.
    pub assignments: Vec<Word>,
    /// The command name and its arguments; empty when there are only
    /// assignments or redirections.
    pub words: Vec<Word>,
    /// Redirections in source order, wherever they stand among the words.
    pub redirects: Vec<Redirect>,
    /// What joins it to the item before it.
    pub before: Connector,
    /// The bytes of that connector.
    pub before_span: Option<Span>,
    /// Where it stands.
    pub context: Context,
    /// Its item, an index into [`Script::all_items`].
    pub item: u32,
}

impl Command {
    /// The command's name, when it is static text.
    #[must_use]
    pub fn name<'s>(&self, src: &'s [u8]) -> Option<std::borrow::Cow<'s, str>> {
        self.words.first()?.literal(src)
    }
}

/// What a compound command is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CompoundKind {
    /// `( … )`
    Subshell,
    /// `{ …; }`
    Group,
    /// `if …; then …; fi`
    If,
    /// `while …; do …; done`
    While,
    /// `until …; do …; done`
    Until,
    /// `for x in …; do …; done`
    For,
    /// `for ((…;…;…)); do …; done`
    ArithmeticFor,
    /// `select x in …; do …; done`
    Select,
    /// `case x in … esac`
    Case,
    /// `f() { …; }` or `function f { …; }`
    Function,
    /// `[[ … ]]`
    Test,
    /// `(( … ))`
    Arithmetic,
}

/// A compound command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compound {
    /// What it is.
    pub kind: CompoundKind,
    /// All of it, its redirections included.
    pub span: Span,
    /// The variable of a loop or the name of a function.
    pub name: Option<Word>,
    /// What a loop runs over; the subject of a `case` and then its patterns;
    /// the operands and operators of `[[ … ]]`; for `(( … ))` the expression.
    pub words: Vec<Word>,
    /// Redirections after it.
    pub redirects: Vec<Redirect>,
    /// Where it stands.
    pub context: Context,
    /// Its item, an index into [`Script::all_items`].
    pub item: u32,
}

/// What an item of a list is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemKind {
    /// An index into [`Script::commands`].
    Simple(usize),
    /// An index into [`Script::compounds`].
    Compound(usize),
    /// Not understood, or (`!` or `time` alone) nothing to understand.
    Opaque,
}

/// An item of a list: one command, and what joins it to the one before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// The command, a `!`, `time` or `coproc` before it included.
    pub span: Span,
    /// What joins it to the item before it.
    pub before: Connector,
    /// The bytes of that connector.
    pub before_span: Option<Span>,
    /// A `!`, `time` or `coproc` before it; of a pipeline, before its first.
    pub prefix: Option<Span>,
    /// Whether an odd number of `!` stands before it.
    pub negated: bool,
    /// What it is.
    pub kind: ItemKind,
    /// Where it stands.
    pub context: Context,
}

/// What a redirection does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RedirectKind {
    /// `<`
    Read,
    /// `>`
    Write,
    /// `>>`
    Append,
    /// `>|`
    Clobber,
    /// `<>`
    ReadWrite,
    /// `<&`
    DupRead,
    /// `>&`
    DupWrite,
    /// `&>`
    WriteAll,
    /// `&>>`
    AppendAll,
    /// `<<`
    HereDoc,
    /// `<<-`
    HereDocTabs,
    /// `<<<`
    HereString,
}

/// A redirection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// From the descriptor, if one is named, to the end of the target.
    pub span: Span,
    /// The operator alone.
    pub op: Span,
    /// What it does.
    pub kind: RedirectKind,
    /// The descriptor before the operator: digits, or `{name}`.
    pub fd: Option<Span>,
    /// The file, the descriptor, the string, or a here-document's delimiter.
    pub target: Word,
    /// The here-document, an index into [`Script::heredocs`].
    pub heredoc: Option<usize>,
}

/// A here-document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HereDoc {
    /// Its lines, without the one that ends it.
    pub body: Span,
    /// The delimiter that ends it; empty when the input ends first.
    pub end: Span,
    /// Whether the delimiter is quoted, so that nothing expands in the body.
    pub quoted: bool,
    /// Whether leading tabs are removed (`<<-`).
    pub strip_tabs: bool,
    /// What expands in the body.
    pub expansions: Vec<Expansion>,
    /// Whether something in the body that would expand was not understood.
    pub opaque: bool,
}

/// What a body says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    commands: Vec<Command>,
    compounds: Vec<Compound>,
    scopes: Vec<Scope>,
    items: Vec<Item>,
    heredocs: Vec<HereDoc>,
    errors: Vec<ShellError>,
}

impl Script {
    /// Simple commands in order of where they start, those in substitutions
    /// and here-documents included.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// Compound commands in order of where they start.
    #[must_use]
    pub fn compounds(&self) -> &[Compound] {
        &self.compounds
    }

    /// Here-documents in order of their operators.
    #[must_use]
    pub fn heredocs(&self) -> &[HereDoc] {
        &self.heredocs
    }

    /// Why something is opaque.
    #[must_use]
    pub fn errors(&self) -> &[ShellError] {
        &self.errors
    }

    /// Whether a shell accepts it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// The items of the script itself, in order.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.items_of(ScopeId::TOP)
    }

    /// The items of one list, in order.
    pub fn items_of(&self, scope: ScopeId) -> impl DoubleEndedIterator<Item = &Item> {
        self.items
            .iter()
            .filter(move |item| item.context.scope == scope)
    }

    /// The items of all lists.
    #[must_use]
    pub fn all_items(&self) -> &[Item] {
        &self.items
    }

    /// One list.
    #[must_use]
    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id.index()]
    }

    /// The list and those around it, innermost first.
    pub fn path(&self, id: ScopeId) -> impl Iterator<Item = &Scope> {
        std::iter::successors(Some(self.scope(id)), |scope| {
            scope.parent.map(|parent| self.scope(parent))
        })
    }

    /// Every word of the script: commands', compounds', redirections'.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        fn targets(all: &[Redirect]) -> impl Iterator<Item = &Word> {
            all.iter().map(|redirect| &redirect.target)
        }
        let commands = self.commands.iter().flat_map(|command| {
            let words = command.assignments.iter().chain(&command.words);
            words.chain(targets(&command.redirects))
        });
        let compounds = self.compounds.iter().flat_map(|compound| {
            let words = compound.name.iter().chain(&compound.words);
            words.chain(targets(&compound.redirects))
        });
        commands.chain(compounds)
    }

    /// Everything that expands: in words and in here-documents.
    pub fn expansions(&self) -> impl Iterator<Item = &Expansion> {
        let words = self.words().flat_map(Word::expansions);
        words.chain(self.heredocs.iter().flat_map(|doc| &doc.expansions))
    }
}
