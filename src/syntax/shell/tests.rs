//! Tables, laws, hostile input, and the recorded answers of real shells.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn texts<'s>(words: &[Word], src: &'s str) -> Vec<&'s str> {
    let text = |word: &Word| std::str::from_utf8(word.text(src.as_bytes())).unwrap();
    words.iter().map(text).collect()
}

/// All commands, each as its words joined by `·`.
fn commands(src: &str) -> Vec<String> {
    let script = parse(src.as_bytes());
    assert!(script.is_valid(), "{src:?}: {:?}", script.errors());
    laws(src.as_bytes(), &script);
    let line = |c: &Command| texts(&c.words, src).join("·");
    script.commands().iter().map(line).collect()
}

fn one(src: &str) -> (Script, Command) {
    let script = parse(src.as_bytes());
    assert!(script.is_valid(), "{src:?}: {:?}", script.errors());
    let command = script.commands()[0].clone();
    (script, command)
}

/// What holds of every answer to every input.
fn laws(src: &[u8], script: &Script) {
    let whole = Span::new(0, src.len());
    let inside = |outer: Span, inner: Span| assert!(outer.contains(inner), "{outer:?} {inner:?}");
    let word = |outer: Span, word: &Word| {
        inside(outer, word.span);
        assert!(!word.span.is_empty());
        let mut at = word.span.start;
        for part in word.parts() {
            assert_eq!(part.span().start, at, "the parts tile the word");
            assert!(!part.span().is_empty());
            at = part.span().end;
        }
        assert_eq!(at, word.span.end, "the parts tile the word");
        let mut start = 0;
        for expansion in word.expansions() {
            inside(word.span, expansion.span);
            assert!(expansion.span.start >= start, "expansions in order");
            start = expansion.span.start;
            if let Some(name) = expansion.name {
                inside(expansion.span, name);
            }
            if let Some(scope) = expansion.scope {
                inside(expansion.span, script.scope(scope).span);
            }
        }
        let _ = (word.literal(src), word.assignment(src), word.text(src));
    };
    let redirects = |outer: Span, all: &[Redirect]| {
        for redirect in all {
            inside(outer, redirect.span);
            inside(redirect.span, redirect.op);
            word(redirect.span, &redirect.target);
            if let Some(fd) = redirect.fd {
                assert!(fd.end <= redirect.op.start);
            }
            if let Some(doc) = redirect.heredoc {
                let doc = &script.heredocs()[doc];
                inside(whole, doc.body);
                inside(whole, doc.end);
                assert!(doc.body.end <= doc.end.start);
                for expansion in &doc.expansions {
                    inside(doc.body, expansion.span);
                }
            }
        }
    };
    for (index, command) in script.commands().iter().enumerate() {
        inside(whole, command.span);
        assert!(!command.span.is_empty());
        let mut at = command.span.start;
        for each in command.assignments.iter().chain(&command.words) {
            word(command.span, each);
            assert!(each.span.start >= at, "words in order, disjoint");
            at = each.span.end;
        }
        redirects(command.span, &command.redirects);
        let item = &script.all_items()[command.item as usize];
        assert_eq!(item.kind, ItemKind::Simple(index));
        assert_eq!(item.context, command.context);
        inside(item.span, command.span);
    }
    for (index, compound) in script.compounds().iter().enumerate() {
        inside(whole, compound.span);
        for each in compound.name.iter().chain(&compound.words) {
            word(compound.span, each);
        }
        redirects(compound.span, &compound.redirects);
        let item = &script.all_items()[compound.item as usize];
        assert_eq!(item.kind, ItemKind::Compound(index));
        inside(item.span, compound.span);
    }
    for pair in script.commands().windows(2) {
        assert!(pair[0].span.start <= pair[1].span.start, "in source order");
    }
    let mut ends = std::collections::HashMap::new();
    for item in script.all_items() {
        let scope = script.scope(item.context.scope);
        inside(scope.span, item.span);
        let end = ends.insert(item.context.scope, item.span.end).unwrap_or(0);
        assert!(end <= item.span.start, "items in order, disjoint");
        if let Some(span) = item.before_span {
            assert!(end <= span.start && span.end <= item.span.start);
        }
        assert_eq!(
            item.context.depth as usize,
            script.path(item.context.scope).count() - 1
        );
    }
}

#[test]
fn commands_come_in_source_order() {
    for (src, expected) in [
        ("", &[][..]),
        ("a b  c", &["a·b·c"]),
        ("a && b || c; d & e | f", &["a", "b", "c", "d", "e", "f"]),
        ("a 'x y' \"z $w\" \\;", &["a·'x y'·\"z $w\"·\\;"]),
        ("a $(b `c` d) e", &["a·$(b `c` d)·e", "b·`c`·d", "c"]),
        ("a <(b) >(c) 2>(d)", &["a·<(b)·>(c)·2>(d)", "b", "c", "d"]),
        (
            "if a; then b; elif c; then d; else e; fi",
            &["a", "b", "c", "d", "e"],
        ),
        ("for x in 1 $(a); do b; done", &["a", "b"]),
        ("for ((i=0; i<$(a); i++)); do b; done", &["a", "b"]),
        (
            "case $(a) in x|$(b)) c;; (*) d;& y) e; esac",
            &["a", "b", "c", "d", "e"],
        ),
        (
            "$(case x in a) b;; esac)",
            &["$(case x in a) b;; esac)", "b"],
        ),
        ("f() { a; }; function g ( b ); f", &["a", "b", "f"]),
        ("[[ -f $(a) && ( x =~ (y z)|w ) ]] && b", &["a", "b"]),
        ("(( x + $(a) )) || ((b); (c))", &["a", "b", "c"]),
        (
            "echo $(( 1 + $(a) )) $((b); (c))",
            &["echo·$(( 1 + $(a) ))·$((b); (c))", "a", "b", "c"],
        ),
        ("! time -p a | b", &["a", "b"]),
        ("coproc N { a; }; coproc b c", &["a", "b·c"]),
        ("A=1 B=(x $(a)) b C=2", &["b·C=2", "a"]),
        ("export A=(x y) && b", &["export·A=(x y)", "b"]),
        ("a # b\nc", &["a", "c"]),
        ("a \\\n b\\\nc \\\n", &["a·b\\\nc"]),
        ("i\\\nf a; then b &\\\n& c; fi", &["a", "b", "c"]),
        (
            "cat <<A <<'B' | x\n$(a)\nA\n$(b)\nB\ny",
            &["cat", "x", "a", "y"],
        ),
        ("x=$(cat <<E\n)\nE\n) y", &["y", "cat"]),
        (
            "echo $(cat <<E\nx\nE) y",
            &["echo·$(cat <<E\nx\nE)·y", "cat"],
        ),
        ("echo $(cat <<E)\nx\nE\nb", &["echo·$(cat <<E)", "cat", "b"]),
        ("\"${x:-$(a \"b\")}\"", &["\"${x:-$(a \"b\")}\"", "a·\"b\""]),
    ] {
        assert_eq!(commands(src), expected, "{src:?}");
    }
}

#[test]
fn literals_lose_their_quotes() {
    for (word, value) in [
        ("curl", Some("curl")),
        ("'a b'", Some("a b")),
        (r#""a \"b\" \c""#, Some(r#"a "b" \c"#)),
        (r"a\ b\$", Some("a b$")),
        ("a'b'\"c\"", Some("abc")),
        ("a\\\nb", Some("ab")),
        ("''", Some("")),
        ("libx>=", None),
        ("$x", None),
        ("a$", Some("a$")),
        ("\"$(x)\"", None),
        ("*.deb", None),
        ("'*.deb'", Some("*.deb")),
        ("[", Some("[")),
        ("[a-z]", None),
        ("a]", Some("a]")),
        ("~/x", None),
        ("a~", Some("a~")),
        ("--x=~", Some("--x=~")),
        ("A=~", None),
        ("A=x:~/y", None),
        ("{a,b}", None),
        ("{}", Some("{}")),
        ("{1..3}", None),
        ("$'a'", None),
        ("a=b", Some("a=b")),
        ("é", Some("é")),
    ] {
        let src = format!("x {word}");
        let script = parse(src.as_bytes());
        let found = script.commands()[0].words[1].literal(src.as_bytes());
        if !word.ends_with('=') || value.is_some() {
            assert_eq!(found.as_deref(), value, "{word}");
        }
    }
    let script = parse(b"x a\xff");
    assert!(script.is_valid());
    assert_eq!(script.commands()[0].words[1].literal(b"x a\xff"), None);
}

#[test]
fn assignments_are_split() {
    let src = "A=1 B+=$x C[i]=2 cmd D=3";
    let (_, command) = one(src);
    assert_eq!(texts(&command.assignments, src), ["A=1", "B+=$x", "C[i]=2"]);
    let split = |w: &Word| {
        let a = w.assignment(src.as_bytes()).unwrap();
        let text = |s: Span| &src[s.range()];
        (text(a.name), a.append, a.subscript.map(text), text(a.value))
    };
    assert_eq!(split(&command.assignments[0]), ("A", false, None, "1"));
    assert_eq!(split(&command.assignments[1]), ("B", true, None, "$x"));
    assert_eq!(
        split(&command.assignments[2]),
        ("C", false, Some("[i]"), "2")
    );
    assert_eq!(split(&command.words[1]), ("D", false, None, "3"));
    let value = command.assignments[0]
        .assignment(src.as_bytes())
        .unwrap()
        .value;
    let value = command.assignments[0].literal_part(value, src.as_bytes());
    assert_eq!(value.as_deref(), Some("1"));
}

#[test]
fn variables_are_named() {
    let src = "a $X${Y:-$Z}\"${#W}${!V}$1$@\"$((N + $M))'$no'\\$no ${A[$i]}";
    let (script, command) = one(src);
    let names = |w: &Word| {
        w.variables(src.as_bytes())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&command.words[1]),
        ["X", "Y", "Z", "W", "V", "1", "@", "N", "M"]
    );
    assert_eq!(names(&command.words[2]), ["A", "i"]);
    let nested: Vec<bool> = command.words[1]
        .expansions()
        .iter()
        .map(|e| e.nested)
        .collect();
    assert_eq!(nested[..4], [false, false, true, false]);
    assert!(script.expansions().count() == 12);
}

#[test]
fn redirections_have_places() {
    let src = "a 2>&1 >x <<<y &>> z {fd}<w b <>\"v\" >&-";
    let (_, command) = one(src);
    assert_eq!(texts(&command.words, src), ["a", "b"]);
    let seen: Vec<_> = command
        .redirects
        .iter()
        .map(|r| {
            let text = |s: Span| &src[s.range()];
            (
                r.fd.map_or("", text),
                text(r.op),
                text(r.target.span),
                r.kind,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("2", ">&", "1", RedirectKind::DupWrite),
            ("", ">", "x", RedirectKind::Write),
            ("", "<<<", "y", RedirectKind::HereString),
            ("", "&>>", "z", RedirectKind::AppendAll),
            ("{fd}", "<", "w", RedirectKind::Read),
            ("", "<>", "\"v\"", RedirectKind::ReadWrite),
            ("", ">&", "-", RedirectKind::DupWrite),
        ]
    );
}

#[test]
fn here_documents_have_bodies() {
    let src = "cat <<A <<-'B' >x && d\none $v\nA\n\ttwo $w\n\tB\ne";
    let (script, _) = one(src);
    let text = |s: Span| &src[s.range()];
    let docs: Vec<_> = script
        .heredocs()
        .iter()
        .map(|d| (text(d.body), text(d.end), d.quoted, d.expansions.len()))
        .collect();
    assert_eq!(
        docs,
        [("one $v\n", "A", false, 1), ("\ttwo $w\n", "\tB", true, 0)]
    );
    assert_eq!(commands(src), ["cat", "d", "e"]);
    // Without an end the body reaches the end, as shells have it.
    let (script, _) = one("cat <<A\nx");
    assert_eq!(script.heredocs()[0].body, Span::new(8, 9));
    // An error in a body shows only when it runs.
    let (script, _) = one("cat <<A\n$(if\nA\nb");
    assert!(script.heredocs()[0].opaque);
}

#[test]
fn contexts_say_what_surely_runs() {
    // Each command with `?` conditional, `!` must succeed, `$` substitution,
    // `(` lost process, `0` top level.
    let marks = |src: &str| {
        let script = parse(src.as_bytes());
        assert!(script.is_valid(), "{src}");
        let mark = |c: &Command| {
            let x = c.context;
            let mut out = texts(&c.words, src)[0][..1].to_owned();
            for (on, sign) in [
                (x.is_conditional(), "?"),
                (x.must_succeed(), "!"),
                (x.in_substitution(), "$"),
                (x.in_subprocess() && !x.in_substitution(), "("),
                (x.is_top_level(), "0"),
            ] {
                out += if on { sign } else { "" };
            }
            out
        };
        script
            .commands()
            .iter()
            .map(mark)
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (src, expected) in [
        ("a && b && c", "a!0 b!0 c!0"),
        ("a; b && c", "a0 b!0 c!0"),
        ("a && b; c", "a0 b?0 c!0"),
        ("a || b", "a0 b?0"),
        ("a && b || c", "a0 b?0 c?0"),
        ("(a || b) && c", "a( b?( c!0"),
        ("a || b && c", "a0 b?0 c!0"),
        ("a && { b && c; } && d", "a!0 b! c! d!0"),
        ("a && { b && c; } ; d", "a0 b? c? d!0"),
        ("(a && b)", "a!( b!("),
        ("a | b && c", "a(0 b!(0 c!0"),
        ("a && b &", "a(0 b?(0"),
        ("! a && b", "a0 b!0"),
        ("if a && b; then c; fi", "a b? c?"),
        ("while a; do b; done", "a b?"),
        ("for x in y; do a; done; b", "a? b!0"),
        ("case x in a) b;; esac", "b?"),
        ("f() { a && b; }; f", "a? b? f!0"),
        ("a $(b && c) && d", "a!0 b$ c?$ d!0"),
        ("a || { b; $(c); }", "a0 b? $? c?$"),
    ] {
        assert_eq!(marks(src), expected, "{src}");
    }
}

#[test]
fn items_have_connectors_and_prefixes() {
    let src = "a && ! b | { c; } || (d) ; [[ e ]]";
    let script = parse(src.as_bytes());
    let items: Vec<_> = script
        .items()
        .map(|i| {
            let text = |s: Span| &src[s.range()];
            let compound = match i.kind {
                ItemKind::Compound(at) => Some(script.compounds()[at].kind),
                _ => None,
            };
            (
                text(i.span),
                i.before,
                i.before_span.map_or("", text),
                i.negated,
                compound,
            )
        })
        .collect();
    use Connector::*;
    assert_eq!(
        items,
        [
            ("a", Start, "", false, None),
            ("! b", And, "&&", true, None),
            ("{ c; }", Pipe, "|", false, Some(CompoundKind::Group)),
            ("(d)", Or, "||", false, Some(CompoundKind::Subshell)),
            ("[[ e ]]", Seq, ";", false, Some(CompoundKind::Test)),
        ]
    );
    let kinds = |src: &str| {
        let script = parse(src.as_bytes());
        let inner = script.commands().last().unwrap().context.scope;
        script.path(inner).map(|s| s.kind).collect::<Vec<_>>()
    };
    assert_eq!(
        kinds("f() { if $(a); then b; fi; }"),
        [
            ScopeKind::Then,
            ScopeKind::Group,
            ScopeKind::Function,
            ScopeKind::Top
        ]
    );
}

#[test]
fn what_is_not_understood_is_one_opaque_item() {
    let src = "a && b; if c; then d && e";
    let script = parse(src.as_bytes());
    assert!(!script.is_valid());
    laws(src.as_bytes(), &script);
    let items: Vec<_> = script.items().map(|i| (i.span, i.kind)).collect();
    assert_eq!(
        items,
        [
            (Span::new(0, 1), ItemKind::Simple(0)),
            (Span::new(5, 6), ItemKind::Simple(1)),
            (Span::new(8, 25), ItemKind::Opaque),
        ]
    );
    // Text in backquotes that has escapes has no bytes of its own.
    let (script, command) = one(r"a `b \$c` d");
    assert!(command.words[1].expansions()[0].opaque);
    assert_eq!(script.commands().len(), 1);
    assert!(!parse(b"a \0").is_valid());
}

#[test]
fn nesting_is_capped_not_the_stack() {
    for (open, close) in [
        ("( ", ")"),
        ("{ ", ";}"),
        ("$(", ")"),
        ("\"${x:-", "}\""),
        ("\"$(", ")\""),
        ("f() { ", ";}"),
        ("if ", "; then b; fi"),
    ] {
        let nest = |n: usize| format!("{}a{}", open.repeat(n), close.repeat(n));
        assert!(parse(nest(24).as_bytes()).is_valid(), "{open}");
        let deep = nest(20_000);
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let valid = small.spawn(move || parse(deep.as_bytes()).is_valid());
        assert!(!valid.unwrap().join().unwrap(), "{open}");
    }
}

/// A fresh measure each time; the least is the nearest to the work itself.
/// The processor time that this thread has used: what else the machine does
/// is no part of it.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap();
    Duration::new(u64::try_from(time.tv_sec).unwrap(), nanoseconds)
}

fn took(src: &[u8]) -> Duration {
    let run = || {
        let start = worked();
        std::hint::black_box(parse(std::hint::black_box(src)));
        worked() - start
    };
    (0..3).map(|_| run()).min().unwrap()
}

#[test]
fn work_grows_with_the_length() {
    let shapes: [(&str, &str, &str); 22] = [
        ("", "$(", ""),
        ("", "( ", ""),
        ("", "((", ""),
        ("", "$((", ""),
        ("", "$(( (( ", ""),
        ("", "`", ""),
        ("", "a; ", ""),
        ("a", ";", ""),
        ("", "a && ", "b"),
        ("", "if a; then ", ""),
        ("", "$((a) ) ", ""),
        ("", "$(((a) b) ", ""),
        ("", "((a) ); ", ""),
        ("", "x\\\n", ""),
        ("a &", "\\\n", ""),
        ("", "cat <<E\n", ""),
        ("", "<<E ", "\n\n\n"),
        ("cat <<E\n", "$(a \"", "\nE\n"),
        ("", "\"$(", ""),
        ("", "[[ ( ", ""),
        ("", "coproc x { a; }; ", ""),
        ("", "f() { a; }; ", ""),
    ];
    for (before, unit, after) in shapes {
        let make = |n: usize| format!("{before}{}{after}", unit.repeat(n));
        let (small, large) = (make(2_000), make(32_000));
        // 16 times the input; quadratic work would be 256 times.
        let (a, b) = (took(small.as_bytes()), took(large.as_bytes()));
        assert!(
            b < a * 80 + Duration::from_millis(30),
            "{before:?} {unit:?}: {a:?} then {b:?}"
        );
    }
    let line = format!("echo {}", (["x"; 999].concat() + " ").repeat(10_000));
    assert_eq!(parse(line.as_bytes()).commands()[0].words.len(), 10_001);
    assert!(!parse(&[b';'; 300_000]).is_valid());
    assert!(!parse("$(".repeat(5_000_000).as_bytes()).is_valid());
}

#[derive(Debug)]
struct Recorded {
    body: String,
    bash: bool,
    dash: bool,
}

fn recorded(file: &str) -> Vec<Recorded> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/shell/");
    let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        Recorded {
            body: row["body"].as_str().unwrap().to_owned(),
            bash: row["bash"].as_bool().unwrap(),
            dash: row["dash"].as_bool().unwrap(),
        }
    };
    text.lines().map(row).collect()
}

#[test]
fn accepts_what_bash_or_dash_accepts() {
    let all = [recorded("bodies.jsonl"), recorded("grammar.jsonl")];
    assert!(all.iter().all(|rows| rows.len() >= 150));
    for row in all.into_iter().flatten() {
        let script = parse(row.body.as_bytes());
        laws(row.body.as_bytes(), &script);
        assert_eq!(
            script.is_valid(),
            row.bash || row.dash,
            "{row:?}: {:?}",
            script.errors()
        );
    }
}

/// The simple commands outside of substitutions, as `brush-parser` has them.
mod brush {
    use brush_parser::ast::*;

    pub fn commands(src: &str) -> Option<Vec<Vec<String>>> {
        let options = brush_parser::ParserOptions {
            enable_extended_globbing: false,
            ..Default::default()
        };
        let mut parser = brush_parser::Parser::new(src.as_bytes(), &options);
        let program = parser.parse_program().ok()?;
        let mut out = Vec::new();
        for list in &program.complete_commands {
            self::list(list, &mut out);
        }
        Some(out)
    }

    type Out = Vec<Vec<String>>;

    fn list(list: &CompoundList, out: &mut Out) {
        for CompoundListItem(and_or, _) in &list.0 {
            for (_, pipeline) in and_or.into_iter() {
                pipeline.seq.iter().for_each(|c| command(c, out));
            }
        }
    }

    fn command(command: &Command, out: &mut Out) {
        match command {
            Command::Simple(simple) => out.push(words(simple)),
            Command::Compound(inner, _) => compound(inner, out),
            Command::Function(function) => compound(&function.body.0, out),
            Command::ExtendedTest(..) => {}
        }
    }

    fn compound(inner: &CompoundCommand, out: &mut Out) {
        match inner {
            CompoundCommand::Arithmetic(_) => {}
            CompoundCommand::ArithmeticForClause(c) => list(&c.body.list, out),
            CompoundCommand::BraceGroup(c) => list(&c.list, out),
            CompoundCommand::Subshell(c) => list(&c.list, out),
            CompoundCommand::ForClause(c) => list(&c.body.list, out),
            CompoundCommand::CaseClause(c) => {
                c.cases
                    .iter()
                    .filter_map(|arm| arm.cmd.as_ref())
                    .for_each(|l| list(l, out));
            }
            CompoundCommand::IfClause(c) => {
                list(&c.condition, out);
                list(&c.then, out);
                for clause in c.elses.iter().flatten() {
                    clause.condition.iter().for_each(|l| list(l, out));
                    list(&clause.body, out);
                }
            }
            CompoundCommand::WhileClause(c) | CompoundCommand::UntilClause(c) => {
                list(&c.0, out);
                list(&c.1.list, out);
            }
            CompoundCommand::Coprocess(c) => command(&c.body, out),
        }
    }

    fn words(simple: &SimpleCommand) -> Vec<String> {
        let text = |item: &CommandPrefixOrSuffixItem| match item {
            CommandPrefixOrSuffixItem::Word(word)
            | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => Some(word.value.clone()),
            // It keeps no text of a process substitution.
            CommandPrefixOrSuffixItem::ProcessSubstitution(..) => Some("<()".to_owned()),
            CommandPrefixOrSuffixItem::IoRedirect(_) => None,
        };
        let before = simple.prefix.iter().flat_map(|p| &p.0).filter_map(text);
        let name = simple.word_or_name.iter().map(|word| word.value.clone());
        let after = simple.suffix.iter().flat_map(|s| &s.0).filter_map(text);
        before.chain(name).chain(after).collect()
    }
}

/// Our commands in the form of [`brush::commands`].
fn comparable(src: &str) -> Vec<Vec<String>> {
    let script = parse(src.as_bytes());
    let text = |word: &Word| match word.expansions().first() {
        Some(e) if e.kind == ExpansionKind::Process && e.span == word.span => "<()".to_owned(),
        _ => String::from_utf8(word.text(src.as_bytes()).to_vec()).unwrap(),
    };
    let mut rows: Vec<_> = script
        .commands()
        .iter()
        .filter(|c| !c.context.in_substitution())
        .map(|c| c.assignments.iter().chain(&c.words).map(text).collect())
        .collect();
    rows.retain(|row: &Vec<String>| !row.is_empty());
    rows
}

#[test]
fn agrees_with_brush() {
    let (mut compared, mut verdicts, mut words) = (0, Vec::new(), Vec::new());
    for row in recorded("bodies.jsonl") {
        // Brush removes continuations from the text of its words.
        let plain = !row.body.contains("\\\n");
        compared += 1;
        match brush::commands(&row.body) {
            // It knows bash only.
            None if row.bash => verdicts.push(row.body),
            Some(_) if !(row.bash || row.dash) => verdicts.push(row.body),
            Some(mut theirs) if plain => {
                theirs.retain(|row| !row.is_empty());
                if comparable(&row.body) != theirs {
                    words.push((comparable(&row.body), theirs));
                }
            }
            _ => {}
        }
    }
    assert_eq!(
        (verdicts.len(), words.len()),
        (0, 0),
        "{compared} {verdicts:#?} {words:#?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read(src in prop::collection::vec(any::<u8>(), 0..200)) {
        laws(&src, &parse(&src));
    }

    #[test]
    fn any_tokens_are_read(src in prop::collection::vec(prop::sample::select(vec![
        "a", "b=", "x=1 ", " ", " ", " ", "\n", ";", ";;", "&", "&&", "|", "||", "(", ")", "((", "))", "{ ",
        " }", "if ", "then ", "elif ", "else ", "fi ", "while ", "do ", "done ", "for x in ", "case x in ",
        "esac ", "x) ", "function f ", "f() ", "[[ ", " ]]", "! ", "time ", "coproc ", "'", "\"", "`", "$(",
        "$((", "${x", "}", "$x", "\\", "\\\n", "<", ">", "<<E ", "\nE\n", "<<<", "<(", ">&", "&>", "2>",
        "$'", "$[", "]", "#", "*", "~", "é", "=(",
    ]), 0..40)) {
        let src = src.concat();
        laws(src.as_bytes(), &parse(src.as_bytes()));
    }

    #[test]
    fn quoted_words_are_read_back(word in any::<String>()) {
        prop_assume!(!word.contains('\0'));
        let src = format!("x {}", quote(&word));
        let script = parse(src.as_bytes());
        prop_assert!(script.is_valid());
        prop_assert_eq!(script.commands()[0].words.len(), 2);
        let value = script.commands()[0].words[1].literal(src.as_bytes());
        prop_assert_eq!(value.as_deref(), Some(word.as_str()));
    }
}
