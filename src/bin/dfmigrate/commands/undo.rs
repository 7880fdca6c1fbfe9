//! `dfmigrate undo`: brings back what the last run wrote.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use dfmigrate::apply::{self, Journal, Undone};
use dfmigrate::report::one_line;
use dfmigrate::settings::user_folder;

use crate::exit;

/// The journal of this run, in the user's folder for what programs remember.
pub fn journal() -> Journal {
    Journal::new(user_folder("XDG_STATE_HOME", ".local/state"))
}

/// Says what could not be noted for `undo`.
pub fn say_problem(journal: &mut Journal) {
    if let Some(error) = journal.problem() {
        anstream::eprintln!(
            "dfmigrate: `dfmigrate undo` will not bring back all of this run: what it writes could not be noted: {}",
            one_line(&error.to_string())
        );
    }
}

pub fn run(forget: bool) -> anyhow::Result<u8> {
    let folder = user_folder("XDG_STATE_HOME", ".local/state").context(
        "neither XDG_STATE_HOME nor HOME says where runs would have noted what they wrote",
    )?;
    let shown = folder.display();
    let last = match apply::last(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            bail!("the last run still goes on: wait for it, or end it")
        }
        last => last.with_context(|| format!("what runs wrote can't be read in {shown}"))?,
    };
    let Some(last) = last else {
        bail!("there is no run to undo: nothing is noted in {shown}");
    };
    let mut out = anstream::stdout().lock();
    if forget {
        let count = last.forget().context("the run can't be forgotten")?;
        writeln!(out, "{} forgotten; they stay as they are", files(count))?;
        return Ok(exit::DONE);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let (mut restored, mut left) = (0, 0);
    let undone = last.undo(|path, undone| {
        let shown = path.strip_prefix(&here).unwrap_or(path).to_string_lossy();
        match undone {
            Undone::Restored => {
                restored += 1;
                // Whether or not anybody reads it, the others are brought back.
                let _ = writeln!(out, "{}", one_line(&shown));
            }
            Undone::AsBefore => {}
            Undone::Left(why) => {
                left += 1;
                anstream::eprintln!("dfmigrate: {}: {}", one_line(&shown), one_line(why));
            }
        }
    });
    undone.context("what was brought back could not be noted")?;
    if left == 0 {
        writeln!(out, "{} brought back", files(restored))?;
        return Ok(exit::DONE);
    }
    writeln!(
        out,
        "{} brought back, {} left alone; `undo --forget` forgets these",
        files(restored),
        files(left)
    )?;
    Ok(exit::SOME_FAILED)
}

fn files(count: usize) -> String {
    format!("{count} {}", if count == 1 { "file" } else { "files" })
}
