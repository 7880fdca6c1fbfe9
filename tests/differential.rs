//! Two other parsers beside ours, over the cases that BuildKit accepts. Where a
//! peer accepts a case as well, its instructions are ours, or a known fault of
//! the peer explains the first difference; how often each does is held exactly,
//! so that neither our reading nor a peer's changes unseen.

mod cases;

use cases::text_of;
use dfmigrate::syntax::{self, Dockerfile, Keyword};
use dfmigrate::text::Span;
use serde_json::Value;

/// What a parser says of one instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    /// In upper case.
    name: String,
    /// Its first line, from 1.
    line: usize,
    /// Where the parser tells them.
    flags: Option<Vec<String>>,
    /// Whether RUN, CMD or ENTRYPOINT is in exec form.
    exec: Option<bool>,
    /// Expansion and content of heredocs.
    docs: Option<Vec<(bool, String)>>,
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
}

/// Our own reading.
fn rows(file: &Dockerfile) -> Vec<Row> {
    file.instructions()
        .map(|it| {
            let commands = [Keyword::Run, Keyword::Cmd, Keyword::Entrypoint];
            let docs = it.heredocs.iter().map(|doc| {
                let mut body = String::from_utf8_lossy(doc.content.of(file.source())).into_owned();
                if doc.chomp {
                    let lines = body.split_inclusive('\n');
                    body = lines.map(|line| line.trim_start_matches('\t')).collect();
                }
                (doc.expand, body)
            });
            Row {
                name: it.keyword.name().to_owned(),
                line: it.start_line,
                flags: Some(it.flags.iter().map(|flag| flag.word.clone()).collect()),
                exec: commands.contains(&it.keyword).then_some(it.json.is_some()),
                docs: Some(docs.collect()),
            }
        })
        .collect()
}

/// The same without what a peer doesn't tell.
fn as_told(ours: &Row, peer: &Row) -> Row {
    let mut row = ours.clone();
    if peer.flags.is_none() {
        row.flags = None;
    }
    if peer.exec.is_none() {
        row.exec = None;
    }
    if peer.docs.is_none() {
        row.docs = None;
    }
    row
}

fn dockerfile_parser(text: &str) -> Option<Vec<Row>> {
    use dockerfile_parser::Instruction::{Arg, Cmd, Copy, Entrypoint, Env, From, Label, Misc, Run};
    let file = dockerfile_parser::Dockerfile::parse(text).ok()?;
    let rows = file.instructions.iter().map(|it| {
        let flag = |name: &str, value: &str| format!("--{name}={value}");
        let (name, flags, exec) = match it {
            Arg(_) => ("ARG".to_owned(), None, None),
            Cmd(cmd) => ("CMD".to_owned(), None, Some(cmd.expr.as_exec().is_some())),
            Copy(copy) => {
                let flags = copy.flags.iter();
                let flags = flags.map(|f| flag(&f.name.content, &f.value.content));
                ("COPY".to_owned(), Some(flags.collect()), None)
            }
            Entrypoint(it) => (
                "ENTRYPOINT".to_owned(),
                None,
                Some(it.expr.as_exec().is_some()),
            ),
            Env(_) => ("ENV".to_owned(), None, None),
            From(from) => {
                let flags = from.flags.iter();
                let flags = flags.map(|f| flag(&f.name.content, &f.value.content));
                ("FROM".to_owned(), Some(flags.collect()), None)
            }
            Label(_) => ("LABEL".to_owned(), None, None),
            Misc(misc) => (misc.instruction.content.to_uppercase(), None, None),
            Run(run) => ("RUN".to_owned(), None, Some(run.as_exec().is_some())),
        };
        Row {
            name,
            line: line_of(text, it.span().start),
            flags,
            exec,
            docs: None,
        }
    });
    Some(rows.collect())
}

fn parse_dockerfile(text: &str) -> Option<Vec<Row>> {
    use parse_dockerfile::{Command, HereDoc, Instruction as I, Source};
    let file = parse_dockerfile::parse(text).ok()?;
    let docs = |docs: Vec<&HereDoc<'_>>| -> Vec<(bool, String)> {
        docs.into_iter()
            .map(|doc| (doc.expand, doc.value.clone().into_owned()))
            .collect()
    };
    let of_sources = |src: &[Source<'_>]| {
        docs(
            src.iter()
                .filter_map(|source| match source {
                    Source::HereDoc(doc) => Some(doc),
                    _ => None,
                })
                .collect(),
        )
    };
    let flags = |options: &[parse_dockerfile::Flag<'_>]| -> Vec<String> {
        options
            .iter()
            .map(|f| match &f.value {
                Some(value) => format!("--{}={}", f.name.value, value.value),
                None => format!("--{}", f.name.value),
            })
            .collect()
    };
    let exec = |command: &Command<'_>| matches!(command, Command::Exec(_));
    let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let rows = file.instructions.iter().map(|it| {
        let none = Vec::new;
        let (name, at, flags, exec, docs) = match it {
            I::Add(i) => ("ADD", &i.add, flags(&i.options), None, of_sources(&i.src)),
            I::Arg(i) => ("ARG", &i.arg, none(), None, Vec::new()),
            I::Cmd(i) => ("CMD", &i.cmd, none(), Some(exec(&i.arguments)), Vec::new()),
            I::Copy(i) => ("COPY", &i.copy, flags(&i.options), None, of_sources(&i.src)),
            I::Entrypoint(i) => (
                "ENTRYPOINT",
                &i.entrypoint,
                none(),
                Some(exec(&i.arguments)),
                Vec::new(),
            ),
            I::Env(i) => ("ENV", &i.env, none(), None, Vec::new()),
            I::Expose(i) => ("EXPOSE", &i.expose, none(), None, Vec::new()),
            I::From(i) => ("FROM", &i.from, flags(&i.options), None, Vec::new()),
            I::Healthcheck(i) => (
                "HEALTHCHECK",
                &i.healthcheck,
                flags(&i.options),
                None,
                Vec::new(),
            ),
            I::Label(i) => ("LABEL", &i.label, none(), None, Vec::new()),
            I::Maintainer(i) => ("MAINTAINER", &i.maintainer, none(), None, Vec::new()),
            I::Onbuild(i) => ("ONBUILD", &i.onbuild, none(), None, Vec::new()),
            I::Run(i) => (
                "RUN",
                &i.run,
                flags(&i.options),
                Some(exec(&i.arguments)),
                docs(i.here_docs.iter().collect()),
            ),
            I::Shell(i) => ("SHELL", &i.shell, none(), None, Vec::new()),
            I::Stopsignal(i) => ("STOPSIGNAL", &i.stopsignal, none(), None, Vec::new()),
            I::User(i) => ("USER", &i.user, none(), None, Vec::new()),
            I::Volume(i) => ("VOLUME", &i.volume, none(), None, Vec::new()),
            I::Workdir(i) => ("WORKDIR", &i.workdir, none(), None, Vec::new()),
            _ => unreachable!("{it:?}"),
        };
        let onbuild = name == "ONBUILD";
        Row {
            name: name.to_owned(),
            line: line_of(text, at.span.start + bom),
            flags: (!onbuild).then_some(flags),
            exec,
            docs: (!onbuild).then_some(docs),
        }
    });
    Some(rows.collect())
}

/// Where ours and a peer's first differ.
struct Divergence<'a> {
    file: &'a Dockerfile,
    /// Our instructions there and before.
    ours: Option<&'a Row>,
    theirs: Option<&'a Row>,
    /// The text of both.
    region: &'a str,
}

impl Divergence<'_> {
    fn escape(&self) -> char {
        char::from(self.file.escape())
    }

    fn flags(&self) -> Option<(&[String], &[String])> {
        let (ours, theirs) = (self.ours?, self.theirs?);
        let (ours, theirs) = (ours.flags.as_ref()?, theirs.flags.as_ref()?);
        (ours != theirs).then_some((ours, theirs))
    }

    /// A blank line between a continuation and the line that it continues.
    fn has_blank_inside(&self) -> bool {
        let mut open = false;
        self.region.lines().any(|line| {
            let blank = line.trim().is_empty();
            let found = open && blank;
            let comment = line.trim_start().starts_with('#');
            if !blank && !comment {
                open = line.trim_end().ends_with(self.escape());
            }
            found
        })
    }
}

/// A kind of fault of a peer.
struct Fault {
    /// What it does.
    does: &'static str,
    /// Whether a divergence is of this kind.
    shows: fn(&Divergence<'_>) -> bool,
    /// How many of the committed and of all cases show it first.
    cases: [usize; 2],
}

/// A peer: its parser, how many of the committed and of all cases it reads as
/// we do and rejects, and what explains each of the others.
struct Peer {
    parse: fn(&str) -> Option<Vec<Row>>,
    agrees: [usize; 2],
    rejects: [usize; 2],
    faults: &'static [Fault],
}

/// `\\` at the end of a line is no continuation to BuildKit.
fn ends_in_an_escaped_escape(at: &Divergence<'_>) -> bool {
    let end = at.escape().to_string().repeat(2);
    at.region
        .lines()
        .any(|line| line.trim_end().ends_with(&end))
}

const PARSE_DOCKERFILE: Peer = Peer {
    parse: parse_dockerfile,
    agrees: [156, 1810],
    rejects: [106, 702],
    faults: &[
        Fault {
            does: "continues a line that ends in an escaped escape character",
            shows: ends_in_an_escaped_escape,
            cases: [8, 127],
        },
        Fault {
            does: "starts an instruction behind the lone continuation that it starts with",
            shows: |at| {
                let escape = at.escape().to_string();
                let (Some(ours), Some(theirs)) = (at.ours, at.theirs) else {
                    return false;
                };
                at.region.lines().any(|line| line.trim() == escape)
                    && ours.name == theirs.name
                    && ours.line < theirs.line
            },
            cases: [0, 12],
        },
        Fault {
            does: "reads a flag by characters and keeps its escapes, where Go reads bytes",
            shows: |at| {
                at.flags().is_some_and(|(ours, theirs)| {
                    let odd = |flag: &String| !flag.is_ascii() || flag.contains(at.escape());
                    ours.len() == theirs.len() && theirs.iter().any(odd)
                })
            },
            cases: [0, 4],
        },
    ],
};

const DOCKERFILE_PARSER: Peer = Peer {
    parse: dockerfile_parser,
    agrees: [72, 855],
    rejects: [179, 1530],
    faults: &[
        Fault {
            does: "continues a line that ends in an escaped escape character",
            shows: ends_in_an_escaped_escape,
            cases: [4, 46],
        },
        Fault {
            does: "takes the line behind a blank line in a continuation for an instruction",
            shows: |at| at.has_blank_inside(),
            cases: [5, 69],
        },
        Fault {
            does: "takes a list with a comma at its end for JSON",
            shows: |at| {
                let (Some(ours), Some(theirs)) = (at.ours, at.theirs) else {
                    return false;
                };
                let exec = (ours.exec, theirs.exec) == (Some(false), Some(true));
                exec && at.region.trim_end().ends_with(", ]")
            },
            cases: [5, 75],
        },
        Fault {
            does: "takes a flag without a value for a path",
            shows: |at| {
                at.flags().is_some_and(|(ours, theirs)| {
                    theirs.len() < ours.len() && ours.iter().any(|flag| !flag.contains('='))
                })
            },
            cases: [5, 75],
        },
        Fault {
            does: "does not know the escape directive",
            shows: |at| at.escape() == '`',
            cases: [0, 2],
        },
        Fault {
            does: "splits no flag at a vertical tab, and joins or unescapes none",
            shows: |at| at.flags().is_some() && at.region.contains(['\u{b}', at.escape()]),
            cases: [0, 3],
        },
    ],
};

/// What came of a peer's run.
struct Tally {
    agree: usize,
    rejected: usize,
    /// By the order of the peer's faults.
    faults: Vec<usize>,
}

/// Runs a peer over the cases that BuildKit accepts and that are UTF-8, which
/// both peers need.
fn tally(cases: &[Value], parse: fn(&str) -> Option<Vec<Row>>, faults: &[Fault]) -> Tally {
    let mut tally = Tally {
        agree: 0,
        rejected: 0,
        faults: vec![0; faults.len()],
    };
    let mut unexplained = Vec::new();
    for case in cases.iter().filter(|case| case["ok"] == true) {
        let Ok(text) = String::from_utf8(text_of(case)) else {
            continue;
        };
        let Some(theirs) = parse(&text) else {
            tally.rejected += 1;
            continue;
        };
        let file = syntax::parse(text.as_bytes());
        let ours = rows(&file);
        let differs = |(ours, theirs): (&Row, &Row)| as_told(ours, theirs) != *theirs;
        let common = ours.len().min(theirs.len());
        let first = ours.iter().zip(&theirs).position(differs).unwrap_or(common);
        if first == ours.len() && first == theirs.len() {
            tally.agree += 1;
            continue;
        }
        let spans: Vec<Span> = file.instructions().map(|it| it.span).collect();
        let start = first
            .checked_sub(1)
            .map_or(0, |before| spans[before].start as usize);
        let end = spans
            .get(first)
            .map_or(text.len(), |span| span.end as usize);
        let divergence = Divergence {
            file: &file,
            ours: ours.get(first),
            theirs: theirs.get(first),
            region: &text[start..end],
        };
        match faults.iter().position(|fault| (fault.shows)(&divergence)) {
            Some(fault) => tally.faults[fault] += 1,
            None => unexplained.push(format!(
                "case {}: we read {:?}, the peer {:?} in {:?}",
                case["id"], divergence.ours, divergence.theirs, divergence.region
            )),
        }
    }
    assert!(
        unexplained.is_empty(),
        "{} differences that no known fault explains:\n{}",
        unexplained.len(),
        unexplained.join("\n")
    );
    tally
}

/// Holds both peers' tallies over the committed (0) or all (1) cases.
fn hold(cases: &[Value], which: usize) {
    for (name, peer) in [
        ("parse-dockerfile", PARSE_DOCKERFILE),
        ("dockerfile-parser", DOCKERFILE_PARSER),
    ] {
        let tally = tally(cases, peer.parse, peer.faults);
        assert_eq!(tally.agree, peer.agrees[which], "{name} agrees");
        assert_eq!(tally.rejected, peer.rejects[which], "{name} rejects");
        for (fault, count) in peer.faults.iter().zip(tally.faults) {
            assert_eq!(count, fault.cases[which], "{name} {}", fault.does);
        }
    }
}

#[test]
fn the_peers_agree_on_the_committed_cases() {
    hold(&cases::committed(), 0);
}

#[test]
fn the_peers_agree_on_all_shared_cases() {
    match cases::shared() {
        Ok(cases) => hold(&cases, 1),
        Err(path) => eprintln!(
            "SKIPPED: {} is not there; the committed cases ran",
            path.display()
        ),
    }
}

/// A difference that no known fault explains fails the tests above.
#[test]
#[should_panic(expected = "that no known fault explains")]
fn an_unknown_difference_is_not_passed_over() {
    tally(&cases::committed(), dockerfile_parser, &[]);
}
