//! Users and groups: the commands of Debian as those of busybox, or with the
//! package `shadow`, which has the former.

use super::body::Body;
use super::{Obstacle, Outcome, Work};
use crate::syntax::shell::{Command, Connector};
use crate::text::Edit;

/// What a command that makes a user or group says.
#[derive(Default)]
struct Account {
    name: Option<String>,
    extra: Vec<String>,
    system: bool,
    id: Option<String>,
    group: Option<String>,
    home: Option<String>,
    shell: Option<String>,
    comment: Option<String>,
    makes_home: Option<bool>,
    own_group: bool,
    locked: bool,
    /// What busybox has nothing for.
    beyond: Option<String>,
}

/// Whether the command is one of those that edit users.
pub(super) fn is_users(name: &str) -> bool {
    matches!(
        name,
        "useradd" | "groupadd" | "adduser" | "addgroup" | "usermod" | "userdel" | "groupdel"
            | "deluser" | "delgroup"
    )
}

/// The options of a command: letters and long names with whether they take a
/// value.
fn takes_value(name: &str, option: &str) -> Option<bool> {
    Some(match (name, option) {
        ("useradd", "-u" | "--uid" | "-g" | "--gid" | "-d" | "--home-dir" | "--home" | "-s" | "--shell"
            | "-c" | "--comment" | "-G" | "--groups" | "-p" | "--password" | "-k" | "--skel" | "-e"
            | "--expiredate" | "-K" | "--key" | "-b" | "--base-dir" | "-f" | "--inactive") => true,
        ("useradd", "-m" | "--create-home" | "-M" | "--no-create-home" | "-r" | "--system" | "-U"
            | "--user-group" | "-N" | "--no-user-group" | "-l" | "--no-log-init" | "-o" | "--non-unique") => false,
        ("groupadd", "-g" | "--gid" | "-K" | "--key" | "-p" | "--password") => true,
        ("groupadd", "-r" | "--system" | "-f" | "--force" | "-o" | "--non-unique") => false,
        ("adduser" | "addgroup", "--uid" | "-u" | "--gid" | "-g" | "--home" | "--shell" | "--gecos"
            | "--comment" | "--ingroup" | "--firstuid" | "--lastuid" | "--conf") => true,
        ("adduser" | "addgroup", "--system" | "--group" | "--no-create-home" | "--disabled-password"
            | "--disabled-login" | "--quiet" | "-q" | "--force-badname" | "--allow-bad-names"
            | "--allow-badname" | "--allow-all-names" | "--debug") => false,
        _ => return None,
    })
}

fn read(name: &str, words: &[String]) -> Account {
    let mut account = Account::default();
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        at += 1;
        if !word.starts_with('-') || word == "-" {
            if account.name.is_none() {
                account.name = Some(word.to_owned());
            } else {
                account.extra.push(word.to_owned());
            }
            continue;
        }
        // `--uid=1000`, `-u1000`, `-rm`.
        let mut options: Vec<(String, Option<String>)> = Vec::new();
        if word.starts_with("--") || matches!(name, "adduser" | "addgroup") {
            match word.split_once('=') {
                Some((option, value)) => options.push((option.to_owned(), Some(value.to_owned()))),
                None => options.push((word.to_owned(), None)),
            }
        } else {
            let letters: Vec<char> = word[1..].chars().collect();
            for (index, letter) in letters.iter().enumerate() {
                let option = format!("-{letter}");
                let rest: String = letters[index + 1..].iter().collect();
                if takes_value(name, &option) == Some(true) && !rest.is_empty() {
                    options.push((option, Some(rest)));
                    break;
                }
                options.push((option, None));
            }
        }
        for (option, value) in options {
            let value = match takes_value(name, &option) {
                None => {
                    account.beyond = Some(option);
                    continue;
                }
                Some(true) => value.or_else(|| {
                    at += 1;
                    words.get(at - 1).cloned()
                }),
                Some(false) => value,
            };
            match (name, option.as_str()) {
                ("useradd" | "adduser", "-u" | "--uid") | ("groupadd", "-g" | "--gid") => {
                    account.id = value;
                }
                ("addgroup", "--gid" | "-g") => account.id = value,
                ("useradd", "-g" | "--gid") | ("adduser", "--ingroup") => account.group = value,
                (_, "-d" | "--home-dir" | "--home") => account.home = value,
                (_, "-s" | "--shell") => account.shell = value,
                (_, "-c" | "--comment" | "--gecos") => account.comment = value,
                (_, "-m" | "--create-home") => account.makes_home = Some(true),
                (_, "-M" | "--no-create-home") => account.makes_home = Some(false),
                (_, "-r" | "--system") => account.system = true,
                (_, "-U" | "--user-group" | "--group") => account.own_group = true,
                (_, "--disabled-login") => account.locked = true,
                (
                    _,
                    "-l" | "--no-log-init" | "--disabled-password" | "--quiet" | "-q"
                    | "--force-badname" | "--allow-bad-names" | "--allow-badname"
                    | "--allow-all-names",
                ) => {}
                _ => account.beyond = Some(option),
            }
        }
    }
    account
}

/// A name that is one for sure: no number, and no variable that may be one.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Rewrites one command.
pub(super) fn rewrite(
    work: &mut Work<'_, '_>,
    body: &Body<'_>,
    command: &Command,
    first: usize,
    name: &str,
) -> Outcome<()> {
    // Values as written, so that variables and quotes stay.
    let words: Vec<String> = command.words[first + 1..]
        .iter()
        .map(|word| match word.literal(&body.text) {
            Some(value) if !value.is_empty() && !value.contains(' ') => value.into_owned(),
            _ => body.raw(word),
        })
        .collect();
    let account = read(name, &words);
    let text = match name {
        "groupadd" | "addgroup" => group(name, &account),
        "useradd" | "adduser" => user(work, name, &account),
        "userdel" => remove("deluser", &words),
        "groupdel" => remove("delgroup", &words),
        "usermod" => membership(&words),
        // busybox has these by the same names and forms.
        _ => return Ok(()),
    };
    let Some(text) = text else {
        let debian_only = matches!(name, "adduser" | "addgroup");
        if debian_only {
            return Err(Obstacle::new(
                body.cover(command.span),
                "sys.adduser",
                format!(
                    "`{}`: busybox has nothing for {}",
                    body.shown(command),
                    account.beyond.as_deref().unwrap_or("this form")
                ),
            ));
        }
        work.need("shadow", format!("`{}`", body.shown(command)), body, command);
        return Ok(());
    };
    let start = command.words[first].span.start;
    let end = command.words[command.words.len() - 1].span.end;
    let span = crate::text::Span { start, end };
    let shown: String = body.shown(command);
    let source = work.source();
    let commented = String::from_utf8_lossy(body.cover(span).of(source)).contains('#');
    let compound = text.contains(" && ");
    // A `&&` in place of one command is only the same among `&&`s.
    let plain = matches!(command.before, Connector::Start | Connector::And | Connector::Seq)
        && followed_plainly(body, command)
        && first == 0;
    if commented || (compound && !plain) {
        if matches!(name, "adduser" | "addgroup") {
            return Err(Obstacle::new(
                body.cover(command.span),
                "sys.adduser",
                format!("`{shown}` stands where it can't become two commands"),
            ));
        }
        work.need("shadow", format!("`{shown}`"), body, command);
        return Ok(());
    }
    work.edits.push(Edit::replace(body.cover(span), text));
    work.users += 1;
    Ok(())
}

fn followed_plainly(body: &Body<'_>, command: &Command) -> bool {
    let items = body.script.all_items();
    let next = items[command.item as usize + 1..]
        .iter()
        .find(|item| item.context.scope == command.context.scope);
    next.is_none_or(|next| matches!(next.before, Connector::And | Connector::Seq))
}

fn group(command: &str, account: &Account) -> Option<String> {
    if account.beyond.is_some() {
        return None;
    }
    // `addgroup USER GROUP` is the same in busybox.
    if command == "addgroup" && !account.extra.is_empty() {
        let name = account.name.as_deref()?;
        return Some(format!("addgroup {name} {}", account.extra.join(" ")));
    }
    let mut text = "addgroup".to_owned();
    if account.system {
        text.push_str(" -S");
    }
    if let Some(id) = &account.id {
        text.push_str(&format!(" -g {id}"));
    }
    Some(format!("{text} {}", account.name.as_deref()?))
}

fn user(work: &mut Work<'_, '_>, command: &str, account: &Account) -> Option<String> {
    if account.beyond.is_some() {
        return None;
    }
    let name = account.name.as_deref()?;
    if let Some(group) = account.extra.first() {
        // `adduser USER GROUP`
        return (command == "adduser").then(|| format!("adduser {name} {group}"));
    }
    let group = match &account.group {
        Some(group) if is_name(group) => Some(group.clone()),
        // A number is no name of a group to busybox.
        Some(group) => {
            let made = work.groups.iter().find(|(id, _)| id == group);
            Some(made?.1.clone())
        }
        None => None,
    };
    let mut before = String::new();
    let mut text = "adduser".to_owned();
    if account.system {
        text.push_str(" -S");
    }
    text.push_str(" -D");
    if let Some(id) = &account.id {
        text.push_str(&format!(" -u {id}"));
    }
    let own = command == "useradd" || account.own_group;
    let mut in_group = group;
    if account.system && in_group.is_none() && own {
        // Without a group, busybox puts a system user into `nogroup`.
        let id = account.id.as_ref().filter(|_| command == "adduser");
        let id = id.map_or(String::new(), |id| format!(" -g {id}"));
        before = format!("addgroup -S{id} {name} && ");
        in_group = Some(name.to_owned());
    }
    if let Some(group) = &in_group {
        text.push_str(&format!(" -G {group}"));
    }
    // useradd makes a home only when it is asked to (a system user's never).
    let makes_home = match (command, account.makes_home) {
        (_, Some(makes)) => makes,
        ("useradd", None) => false,
        (_, None) => !account.system,
    };
    if !makes_home {
        text.push_str(" -H");
    }
    match &account.home {
        Some(home) => text.push_str(&format!(" -h {home}")),
        // Debian's adduser gives system users none.
        None if command == "adduser" && account.system => text.push_str(" -h /nonexistent"),
        None => {}
    }
    let shell = match account.shell.as_deref() {
        Some(shell) if shell.ends_with("/bash") && !work.has_bash() => {
            work.caveat(format!(
                "the login shell of {name} is {shell}, which Alpine lacks: it becomes /bin/sh"
            ));
            Some("/bin/sh".to_owned())
        }
        Some(shell) if shell.ends_with("/nologin") => Some("/sbin/nologin".to_owned()),
        Some(shell) => Some(shell.to_owned()),
        None if command == "adduser" && account.system => Some("/sbin/nologin".to_owned()),
        None if account.locked => Some("/sbin/nologin".to_owned()),
        None if account.system => Some("/bin/sh".to_owned()),
        None => None,
    };
    if let Some(shell) = shell {
        text.push_str(&format!(" -s {shell}"));
    }
    if let Some(comment) = &account.comment {
        text.push_str(&format!(" -g {comment}"));
    }
    if account.system && account.id.is_none() {
        work.caveat(format!(
            "the number of {name} is not told, and is another one on Alpine: data on volumes may belong to nobody"
        ));
    }
    Some(format!("{before}{text} {name}"))
}

fn remove(command: &str, words: &[String]) -> Option<String> {
    let mut names = words.iter().filter(|w| !w.starts_with('-'));
    let name = names.next()?;
    let home = words.iter().any(|w| matches!(w.as_str(), "-r" | "--remove" | "-rf" | "-fr"));
    let flags = if home && command == "deluser" { " --remove-home" } else { "" };
    let odd = words
        .iter()
        .any(|w| w.starts_with('-') && !matches!(w.as_str(), "-r" | "--remove" | "-f" | "-rf" | "-fr" | "--force"));
    (!odd && names.next().is_none()).then(|| format!("{command}{flags} {name}"))
}

/// `usermod -aG GROUP USER`
fn membership(words: &[String]) -> Option<String> {
    let (groups, user) = match words {
        [flag, groups, user] if matches!(flag.as_str(), "-aG" | "-Ga") => (groups, user),
        [a, g, groups, user] if a == "-a" && g == "-G" => (groups, user),
        [a, g, groups, user] if a == "--append" && g == "--groups" => (groups, user),
        _ => return None,
    };
    if groups.contains(',') || !is_name(groups) {
        return None;
    }
    Some(format!("addgroup {user} {groups}"))
}

/// The group that a command makes, by number and name, for later users of it.
pub(super) fn made_group(body: &Body<'_>, command: &Command, first: usize, name: &str) -> Option<(String, String)> {
    if !matches!(name, "groupadd" | "addgroup") {
        return None;
    }
    let words: Vec<String> = command.words[first + 1..].iter().map(|w| body.raw(w)).collect();
    let account = read(name, &words);
    Some((account.id?, account.name?))
}
