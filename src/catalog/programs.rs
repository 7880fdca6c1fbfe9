//! What programs do to an image, and signs in programs' own text.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::table::Table;

static COMMANDS: Table = Table::new(include_str!("data/shell_commands.tsv"));
static NODE_TOOLS: Table = Table::new(include_str!("data/node_tools.tsv"));
static APT_SETUPS: Table = Table::new(include_str!("data/apt_setups.tsv"));
static SIGNS: Table = Table::new(include_str!("data/program_signs.tsv"));

/// What a command is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Installs packages.
    Package,
    /// Installs packages of a language, which may compile.
    Library,
    /// Builds below its working directory.
    Build,
    /// Fetches from the network.
    Fetch,
    /// Edits files.
    File,
    /// Edits users and groups.
    User,
    /// Configures the system.
    Config,
    /// Only looks.
    Query,
    /// Starts or configures a service.
    Service,
    /// Runs a program of its own language.
    Script,
    /// Runs what its arguments say.
    Wrapper,
}

/// A row of the table of commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Program {
    /// What it is for.
    pub role: Role,
    /// What it writes, in the table's form.
    pub writes: &'static str,
}

/// What the table says of a command with that first word after it; `None` when
/// it isn't there.
#[must_use]
pub fn role(command: &str, verb: Option<&str>) -> Option<Program> {
    let of_verb = verb.and_then(|verb| COMMANDS.phrase(&[command, verb]));
    let row = of_verb.or_else(|| COMMANDS.get(command))?;
    let role = match row.cell(1)? {
        "package" => Role::Package,
        "library" => Role::Library,
        "build" => Role::Build,
        "fetch" => Role::Fetch,
        "file" => Role::File,
        "user" => Role::User,
        "config" => Role::Config,
        "query" => Role::Query,
        "service" => Role::Service,
        "script" => Role::Script,
        "wrapper" => Role::Wrapper,
        _ => return None,
    };
    Some(Program {
        role,
        writes: row.cell(2).unwrap_or("-"),
    })
}

/// The commands of an npm package that is known to be nothing but a
/// command-line tool; none for any other.
pub fn tool_commands(package: &str) -> impl Iterator<Item = &'static str> {
    let row = NODE_TOOLS.get(package);
    row.into_iter().flat_map(|row| row.list(1))
}

/// A sign, and why it matters.
type Sign = (&'static str, &'static str);

/// The signs of one kind, in the order of the table. It is searched by kind for
/// every program, so its rows are taken apart once.
fn signs(kind: &'static str) -> &'static [Sign] {
    static KINDS: OnceLock<HashMap<&'static str, Vec<Sign>>> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let mut kinds: HashMap<_, Vec<Sign>> = HashMap::new();
        for row in SIGNS.iter() {
            if let (Some(kind), Some(why)) = (row.cell(1), row.cell(2)) {
                kinds.entry(kind).or_default().push((row.key(), why));
            }
        }
        kinds
    });
    kinds.get(kind).map_or(&[], Vec::as_slice)
}

/// A sign in a program's text that it writes outside its working directory.
#[must_use]
pub fn writes_elsewhere(text: &str) -> Option<&'static str> {
    let mut signs = signs("elsewhere").iter();
    signs
        .find(|(sign, _)| text.contains(sign))
        .map(|(sign, _)| *sign)
}

/// A sign in a program's text that it compiles C code when it runs.
#[must_use]
pub fn compiles_at_run_time(text: &str) -> Option<&'static str> {
    let mut signs = signs("compiler").iter();
    signs
        .find(|(sign, _)| text.contains(sign))
        .map(|(sign, _)| *sign)
}

/// Why a command or script installs a browser, which needs many system
/// libraries and lies in the home folder; `None` when it does not.
#[must_use]
pub fn browser_installer(command: &str, operands: &[&str]) -> Option<String> {
    let named = |sign: &str| command.contains(sign) || operands.contains(&sign);
    let (sign, _) = signs("browser").iter().find(|(sign, _)| named(sign))?;
    let installs = command.contains("install") || operands.contains(&"install");
    installs.then(|| format!("it installs a browser ({sign}), with system libraries of its own"))
}

/// Whose packages a script that a command fetches makes known to apt, where
/// that is all it does.
#[must_use]
pub fn apt_setup(command: &str) -> Option<&'static str> {
    let mut rows = APT_SETUPS.iter();
    rows.find(|row| command.contains(row.key()))?.cell(1)
}

/// Development servers and watchers: why a command that runs one is no
/// production command; `None` when it is none.
#[must_use]
pub fn development_server(words: &[&str]) -> Option<&'static str> {
    let text = words.join(" ");
    let edge = |byte: u8| byte == b' ' || byte == b'/';
    let starts = |at: &usize| *at == 0 || edge(text.as_bytes()[at - 1]);
    let all = signs("development");
    let first = |sign: &Sign| sign.0.as_bytes()[0];
    // The first sign of the table counts that any word begins with.
    let mut found = all.len();
    for at in (0..text.len()).filter(starts) {
        // They are sorted: those with the word's first letter stand together.
        let rest = &text.as_bytes()[at..];
        let from = all.partition_point(|sign| first(sign) < rest[0]);
        for (number, sign) in all.iter().enumerate().take(found).skip(from) {
            if first(sign) != rest[0] {
                break;
            }
            let after = rest.strip_prefix(sign.0.as_bytes());
            if after.is_some_and(|after| after.first().is_none_or(|&byte| edge(byte))) {
                found = number;
                break;
            }
        }
    }
    all.get(found).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_canonical() {
        assert_eq!(COMMANDS.faults(), Vec::<String>::new());
        assert_eq!(SIGNS.faults(), Vec::<String>::new());
        assert_eq!(APT_SETUPS.faults(), Vec::<String>::new());
        assert_eq!(NODE_TOOLS.faults(), Vec::<String>::new());
        for row in COMMANDS.iter() {
            assert!(role(row.key(), None).is_some(), "{}", row.key());
        }
    }

    #[test]
    fn development_servers_are_words_of_their_own() {
        assert!(development_server(&["nodemon", "app.js"]).is_some());
        assert!(development_server(&["node", "nodemonitor.js"]).is_none());
        assert!(development_server(&["next", "dev"]).is_some());
        assert!(development_server(&["next", "start"]).is_none());
    }
}
