//! What `make` runs: the recipes of the wanted targets and of what those need,
//! with the file's own variables put in.
//!
//! A small part of make, on purpose: explicit rules and plain variables. What
//! it does not follow (pattern rules, functions, conditionals) is left in the
//! text as it is, where the shell's reader takes it for unknown.

use std::collections::{HashMap, HashSet};

/// Rules within rules, and variables within variables, are followed this deep.
const MAX_DEPTH: usize = 24;
/// So many variables are put into one line.
const MAX_EXPANSIONS: usize = 500;
/// A recipe text longer than this is not followed, in bytes.
const MAX_TEXT: usize = 64 << 10;

/// A rule: its targets' prerequisites, and its recipe lines.
#[derive(Default)]
struct Rule {
    needs: Vec<String>,
    lines: Vec<String>,
}

/// The shell lines that `make` runs for `targets` (the first one where none is
/// given), with `given` variables of the command line. `None` when the text is
/// too large to be followed.
pub(super) fn recipes(
    text: &str,
    targets: &[String],
    given: &[(String, String)],
) -> Option<String> {
    let mut variables: HashMap<String, String> = HashMap::new();
    let mut rules: HashMap<String, Rule> = HashMap::new();
    let mut first: Option<String> = None;
    let mut current: Vec<String> = Vec::new();
    for line in joined(text) {
        if let Some(recipe) = line.strip_prefix('\t') {
            let recipe = recipe.trim_start().trim_start_matches(['@', '-', '+']);
            if !recipe.trim().is_empty() && !recipe.starts_with('#') {
                for target in &current {
                    rules
                        .entry(target.clone())
                        .or_default()
                        .lines
                        .push(recipe.to_owned());
                }
            }
            continue;
        }
        let line = line.split('#').next().unwrap_or_default();
        let assignment = ["::=", ":=", "?=", "+=", "="]
            .iter()
            .filter_map(|sign| line.find(sign).map(|at| (at, *sign)))
            .min_by_key(|(at, sign)| (*at, std::cmp::Reverse(sign.len())));
        let colon = line.find(':');
        match (assignment, colon) {
            (Some((at, sign)), colon) if colon.is_none_or(|colon| colon >= at) => {
                let name = line[..at].trim().trim_start_matches("export ").trim();
                let value = line[at + sign.len()..].trim().to_owned();
                match sign {
                    "?=" => {
                        variables.entry(name.to_owned()).or_insert(value);
                    }
                    "+=" => {
                        let all = variables.entry(name.to_owned()).or_default();
                        all.push(' ');
                        all.push_str(&value);
                    }
                    _ => {
                        variables.insert(name.to_owned(), value);
                    }
                }
                current.clear();
            }
            (_, Some(at)) => {
                let names = expanded(&line[..at], &variables, given);
                let needs = line[at + 1..].trim_start_matches(':');
                let (needs, inline) = needs.split_once(';').unwrap_or((needs, ""));
                let needs = expanded(needs, &variables, given);
                current = names.split_whitespace().map(str::to_owned).collect();
                for target in &current {
                    let special = target.starts_with('.') && !target.contains('/');
                    if !special && !target.contains('%') {
                        first.get_or_insert_with(|| target.clone());
                    }
                    let rule = rules.entry(target.clone()).or_default();
                    rule.needs
                        .extend(needs.split_whitespace().map(str::to_owned));
                    if !inline.trim().is_empty() {
                        rule.lines.push(inline.trim().to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    let mut todo: Vec<String> = targets.to_vec();
    if todo.is_empty() {
        todo.extend(first);
    }
    let mut out = String::new();
    let mut seen = HashSet::new();
    for target in &todo {
        gather(target, &rules, &variables, given, &mut seen, 0, &mut out);
    }
    (out.len() <= MAX_TEXT).then_some(out)
}

fn gather(
    target: &str,
    rules: &HashMap<String, Rule>,
    variables: &HashMap<String, String>,
    given: &[(String, String)],
    seen: &mut HashSet<String>,
    depth: usize,
    out: &mut String,
) {
    let Some(rule) = rules.get(target) else {
        return;
    };
    if depth > MAX_DEPTH || out.len() > MAX_TEXT || !seen.insert(target.to_owned()) {
        return;
    }
    for need in &rule.needs {
        gather(need, rules, variables, given, seen, depth + 1, out);
    }
    let needs = rule.needs.join(" ");
    let first = rule.needs.first().map_or("", String::as_str);
    for line in &rule.lines {
        let line = line
            .replace("$@", target)
            .replace("$<", first)
            .replace("$^", &needs);
        let line = expanded(&line, variables, given);
        // `$$` is the shell's own dollar.
        out.push_str(&line.replace("$$", "$"));
        out.push('\n');
    }
}

/// The lines, with those that end in a backslash joined.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let (line, more) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if open => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => lines.push(line.to_owned()),
        }
        open = more;
    }
    lines
}

/// `$(NAME)` and `${NAME}` replaced by what they hold, as far as that is known
/// and grows within bounds.
fn expanded(text: &str, variables: &HashMap<String, String>, given: &[(String, String)]) -> String {
    let mut fuel = MAX_EXPANSIONS;
    expand(text, variables, given, 0, &mut fuel)
}

fn expand(
    text: &str,
    variables: &HashMap<String, String>,
    given: &[(String, String)],
    depth: usize,
    fuel: &mut usize,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let close = match after.as_bytes().get(1) {
            Some(b'(') => ')',
            Some(b'{') => '}',
            Some(_) => {
                let len = 1 + after[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&after[..len]);
                rest = &after[len..];
                continue;
            }
            None => {
                out.push('$');
                rest = "";
                continue;
            }
        };
        let Some(end) = after.find(close) else {
            out.push_str(after);
            return out;
        };
        let name = &after[2..end];
        let value = given
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .or_else(|| variables.get(name).map(String::as_str))
            .or(match name {
                "MAKE" => Some("make"),
                "DESTDIR" => Some(""),
                _ => None,
            });
        match value {
            Some(value) if depth < MAX_DEPTH && out.len() < MAX_TEXT && *fuel > 0 => {
                *fuel -= 1;
                out.push_str(&expand(value, variables, given, depth + 1, fuel));
            }
            _ => out.push_str(&after[..=end]),
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
PREFIX ?= /usr/local
BIN := shop
OBJS = a.o \\
  b.o

.PHONY: all install
all: $(BIN)

$(BIN): $(OBJS)
\t$(CC) -o $@ $^
a.o: a.c
\t@cc -c $<
install: all
\tinstall -D $(BIN) $(DESTDIR)$(PREFIX)/bin/$(BIN)
\techo $$HOME # done
";

    #[test]
    fn the_first_target_and_what_it_needs() {
        let text = recipes(TEXT, &[], &[]).unwrap();
        assert_eq!(text, "cc -c a.c\n$(CC) -o shop a.o b.o\n");
    }

    #[test]
    fn a_named_target_with_variables_of_the_command_line() {
        let targets = ["install".to_owned()];
        let given = [("PREFIX".to_owned(), "/opt".to_owned())];
        let text = recipes(TEXT, &targets, &given).unwrap();
        assert!(
            text.ends_with("install -D shop /opt/bin/shop\necho $HOME # done\n"),
            "{text}"
        );
    }

    #[test]
    fn loops_and_growth_end() {
        assert_eq!(
            recipes("a: b\n\tx\nb: a\n\ty\n", &[], &[]).unwrap(),
            "y\nx\n"
        );
        let text = recipes("X = $(X)$(X)\na:\n\techo $(X)\n", &[], &[]);
        assert!(text.is_none_or(|text| text.len() <= 64 << 10));
        assert_eq!(recipes("", &[], &[]).unwrap(), "");
    }
}
