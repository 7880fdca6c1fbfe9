//! What BuildKit checks of each instruction once it is read: number of
//! arguments, known flags, stage names, mounts.

use super::{Dockerfile, Instruction, Keyword, SyntaxError, go, lex, parser};

/// How a flag takes a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    One,
    Many,
}

use Kind::{Bool, Many, One};

const ADD: &[(&str, Kind)] = &[
    ("chown", One),
    ("chmod", One),
    ("link", Bool),
    ("keep-git-dir", Bool),
    ("checksum", One),
    ("unpack", Bool),
    ("exclude", Many),
];
const COPY: &[(&str, Kind)] = &[
    ("chown", One),
    ("from", One),
    ("chmod", One),
    ("link", Bool),
    ("exclude", Many),
    ("parents", Bool),
];
const FROM: &[(&str, Kind)] = &[("platform", One)];
const RUN: &[(&str, Kind)] = &[
    ("mount", Many),
    ("network", One),
    ("security", One),
    ("device", Many),
];
const HEALTHCHECK: &[(&str, Kind)] = &[
    ("interval", One),
    ("timeout", One),
    ("start-period", One),
    ("start-interval", One),
    ("retries", One),
];

/// Adds what is wrong with the instructions of `file`.
pub(super) fn instructions(file: &Dockerfile, errors: &mut Vec<SyntaxError>) {
    let mut stage_seen = false;
    for instruction in file.instructions() {
        let mut found = check(file, instruction).err();
        if found.is_none() && !stage_seen {
            match instruction.keyword {
                Keyword::From => stage_seen = true,
                Keyword::Arg => {}
                _ => found = Some("no build stage in current context".to_owned()),
            }
        }
        stage_seen |= instruction.keyword == Keyword::From;
        if let Some(message) = found {
            errors.push(SyntaxError {
                line: instruction.start_line,
                message,
            });
        }
    }
}

fn check(file: &Dockerfile, it: &Instruction) -> Result<(), String> {
    let source = file.source();
    let text = it.logical.text(source);
    let args = &text[it.args.clone()];
    let name = it.keyword.name();
    let at_least_one = || {
        if args.is_empty() {
            Err(format!("{name} requires at least one argument"))
        } else {
            Ok(())
        }
    };
    let exactly_one = || {
        if args.is_empty() {
            Err(format!("{name} requires exactly one argument"))
        } else {
            Ok(())
        }
    };
    match it.keyword {
        Keyword::Unknown => {
            let word = String::from_utf8_lossy(&text[it.name.clone()]);
            Err(format!("unknown instruction: {word}"))
        }
        Keyword::Env | Keyword::Label => {
            flags(it, &[])?;
            at_least_one()
        }
        Keyword::Arg => {
            at_least_one()?;
            named(it, source, file.escape)
        }
        Keyword::Maintainer | Keyword::Workdir | Keyword::User => {
            exactly_one()?;
            flags(it, &[])
        }
        Keyword::Stopsignal => exactly_one(),
        Keyword::Expose => {
            at_least_one()?;
            flags(it, &[])
        }
        Keyword::Volume => {
            let list = it.list(source);
            if list.is_empty() {
                return Err("VOLUME requires at least one argument".to_owned());
            }
            flags(it, &[])?;
            if list.iter().any(|volume| volume.trim().is_empty()) {
                return Err("VOLUME specified can not be an empty string".to_owned());
            }
            Ok(())
        }
        Keyword::Add | Keyword::Copy => {
            let list = it.list(source);
            if list.len() < 2 {
                return Err(format!(
                    "{name} requires at least two arguments, but only one was provided. \
                     Destination could not be determined"
                ));
            }
            flags(
                it,
                if it.keyword == Keyword::Add {
                    ADD
                } else {
                    COPY
                },
            )?;
            if list.last().is_some_and(|to| is_heredoc(to)) {
                return Err(format!("{name} cannot accept a heredoc as a destination"));
            }
            Ok(())
        }
        Keyword::From => {
            stage_name(it, source)?;
            flags(it, FROM)
        }
        Keyword::Run => {
            flags(it, RUN)?;
            run(it)
        }
        Keyword::Cmd | Keyword::Entrypoint => flags(it, &[]),
        Keyword::Shell => {
            flags(it, &[])?;
            match &it.json {
                Some(words) if !words.is_empty() => Ok(()),
                Some(_) => at_least_one().and(Err("SHELL requires at least one argument".into())),
                None if args.is_empty() => at_least_one(),
                None => Err("SHELL requires the arguments to be in JSON form".to_owned()),
            }
        }
        Keyword::Onbuild => {
            at_least_one()?;
            flags(it, &[])?;
            match it.sub.as_deref().map(|sub| sub.keyword) {
                Some(Keyword::Onbuild) => {
                    Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned())
                }
                Some(sub @ (Keyword::Maintainer | Keyword::From)) => Err(format!(
                    "{} isn't allowed as an ONBUILD trigger",
                    sub.name()
                )),
                _ => Ok(()),
            }
        }
        Keyword::Healthcheck => healthcheck(it, args),
    }
}

fn named(it: &Instruction, source: &[u8], escape: u8) -> Result<(), String> {
    let pairs = parser::pairs(it, source, escape)?;
    if pairs.iter().any(|pair| pair.key.is_empty()) {
        return Err(format!("{} names can not be blank", it.keyword.name()));
    }
    Ok(())
}

fn is_heredoc(word: &str) -> bool {
    matches!(lex::heredoc_word(word), Ok(Some(_)))
}

fn stage_name(it: &Instruction, source: &[u8]) -> Result<(), String> {
    let words = it.words(source);
    if words.len() == 3 && words[1].text.eq_ignore_ascii_case("as") {
        let name = words[2].text.to_lowercase();
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.'));
        if !valid {
            return Err(format!(
                "invalid name for build stage: {:?}, name can't start with a number or contain \
                 symbols",
                words[2].text
            ));
        }
        return Ok(());
    }
    if words.len() == 1 {
        return Ok(());
    }
    Err("FROM requires either one or three arguments".to_owned())
}

fn flags(it: &Instruction, known: &[(&str, Kind)]) -> Result<(), String> {
    let mut used: Vec<&str> = Vec::new();
    for flag in &it.flags {
        let name = flag.name();
        let value = flag.value();
        let Some(&(_, kind)) = known.iter().find(|(known, _)| *known == name) else {
            return Err(format!("unknown flag: --{name}"));
        };
        if kind != Many && used.contains(&name) {
            return Err(format!("duplicate flag specified: --{name}"));
        }
        used.push(name);
        match (kind, value) {
            (Bool, Some("")) | (One | Many, None) => {
                return Err(format!("missing a value on flag: --{name}"));
            }
            (Bool, Some(value)) if !matches!(value.to_lowercase().as_str(), "true" | "false") => {
                return Err(format!(
                    "expecting boolean value for flag --{name}, not: {value}"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn run(it: &Instruction) -> Result<(), String> {
    for flag in &it.flags {
        let value = flag.value().unwrap_or_default();
        match flag.name() {
            "mount" => {
                let fields = go::csv_fields(value)
                    .map_err(|error| format!("failed to parse csv mounts: {error}"))?;
                for field in fields {
                    let Some((key, value)) = field.split_once('=') else {
                        continue;
                    };
                    let variable = value.find('$').is_some_and(|at| at + 1 != value.len());
                    if key.eq_ignore_ascii_case("from") && variable {
                        return Err(
                            "'from' doesn't support variable expansion, define alias stage instead"
                                .to_owned(),
                        );
                    }
                }
            }
            "network" if !matches!(value, "default" | "none" | "host") => {
                return Err(format!("invalid network mode {value:?}"));
            }
            "security" if !matches!(value, "insecure" | "sandbox") => {
                return Err(format!("security {value:?} is not valid"));
            }
            "device" => device(value)?,
            _ => {}
        }
    }
    Ok(())
}

fn device(value: &str) -> Result<(), String> {
    let fields =
        go::csv_fields(value).map_err(|error| format!("failed to parse csv devices: {error}"))?;
    let mut named = false;
    for field in fields {
        match field.split_once('=') {
            None if field.eq_ignore_ascii_case("required") => {}
            None if named => {
                return Err(format!("invalid field '{field}' must be a key=value pair"));
            }
            None => named = !field.is_empty(),
            Some((key, _)) if key.eq_ignore_ascii_case("name") => {
                if named {
                    return Err("device name already set".to_owned());
                }
                named = true;
            }
            Some((key, value)) if key.eq_ignore_ascii_case("required") => {
                const BOOLS: [&str; 12] = [
                    "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False",
                ];
                if !BOOLS.contains(&value) {
                    return Err(format!("invalid value for required: {value}"));
                }
            }
            Some(_) if !named => named = true,
            Some((key, _)) => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    Ok(())
}

fn healthcheck(it: &Instruction, args: &[u8]) -> Result<(), String> {
    if args.is_empty() {
        return Err("HEALTHCHECK requires at least one argument".to_owned());
    }
    let end = args
        .iter()
        .position(|&b| go::is_space_byte(b))
        .unwrap_or(args.len());
    let kind = String::from_utf8_lossy(&args[..end]).to_uppercase();
    let rest = go::trim_start(&args[end..]);
    if kind == "NONE" {
        // `HEALTHCHECK NONE []` has an empty list of arguments.
        let empty = rest.is_empty() || it.json.as_ref().is_some_and(Vec::is_empty);
        return if empty {
            Ok(())
        } else {
            Err("HEALTHCHECK NONE takes no arguments".to_owned())
        };
    }
    flags(it, HEALTHCHECK)?;
    if kind != "CMD" {
        return Err(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)"));
    }
    if rest.is_empty() || it.json.as_ref().is_some_and(Vec::is_empty) {
        return Err("Missing command after HEALTHCHECK CMD".to_owned());
    }
    for name in ["interval", "timeout", "start-period", "start-interval"] {
        let value = it.flag(name).and_then(super::Flag::value).unwrap_or("");
        if value.is_empty() {
            continue;
        }
        let nanos = go::duration(value)?;
        if nanos != 0.0 && nanos < 1e6 {
            return Err(format!("Interval {name:?} cannot be less than 1ms"));
        }
    }
    if let Some(retries) = it.flag("retries").and_then(super::Flag::value)
        && !retries.is_empty()
    {
        match retries.parse::<i32>() {
            Ok(n) if n >= 0 => {}
            Ok(n) => return Err(format!("--retries cannot be negative ({n})")),
            Err(_) => {
                return Err(format!(
                    "strconv.ParseInt: parsing {retries:?}: invalid syntax"
                ));
            }
        }
    }
    Ok(())
}
