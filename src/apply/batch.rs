//! Many files in one go: all new files are made, the disk is waited for once,
//! all are put in their places, and it is waited for once more.
//!
//! Each file is still the old or the new one at each moment, also after a
//! power failure; the batch as a whole is not one step. To wait for each file
//! and its folder by itself costs several times as much.

use std::io;

use rayon::prelude::*;

use super::journal::{Journal, Note};
use super::{Options, Prepared, Sync, WriteError, Written, write};
use crate::discover::Source;

/// A file to be written.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The file.
    pub source: &'a Source,
    /// The bytes that it must still have.
    pub before: &'a [u8],
    /// The bytes that it is to have.
    pub after: &'a [u8],
}

/// From so many files on the disk is waited for once for all. That writes out
/// what others have left to be written too, so it is not worth it for a few.
const MANY: usize = 8;

/// The most files that are prepared at once.
const AT_ONCE: usize = 256;

/// Descriptors that a prepared file holds.
const DESCRIPTORS: u64 = 3;

/// How many files are prepared at once: a good part of the descriptors that
/// this process may have.
fn at_once() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = limit.unwrap_or(u64::MAX).saturating_sub(64) / (DESCRIPTORS + 1);
    usize::try_from(most)
        .unwrap_or(usize::MAX)
        .clamp(1, AT_ONCE)
}

/// Writes many files as [`super::write`] does one, notes them in the journal
/// before, and says what came of each, in their order. [`Options::sync`] has
/// no say: all that is said to be written is on the disk.
#[must_use]
pub fn write_all(
    changes: &[Change<'_>],
    options: &Options,
    journal: &mut Journal,
) -> Vec<Result<Written, WriteError>> {
    changes
        .chunks(at_once())
        .flat_map(|chunk| write_chunk(chunk, options, journal))
        .collect()
}

fn write_chunk(
    changes: &[Change<'_>],
    options: &Options,
    journal: &mut Journal,
) -> Vec<Result<Written, WriteError>> {
    let sync = match changes.len() {
        0..MANY => Sync::Each,
        _ => Sync::Later,
    };
    let options = Options {
        sync,
        ..options.clone()
    };
    let prepared: Vec<Result<Prepared, WriteError>> = changes
        .par_iter()
        .map(|change| Prepared::new(change.source, change.before, change.after, &options))
        .collect();
    let paths: Vec<_> = prepared
        .iter()
        .map(|prepared| prepared.as_ref().ok().map(Prepared::path))
        .collect();
    journal.note(
        paths
            .iter()
            .zip(changes)
            .filter_map(|(path, change)| Some(Note::of(path.as_ref()?, change))),
    );
    let disks = match sync {
        Sync::Each => Ok(write::Disks::default()),
        Sync::Later => write::Disks::of(prepared.iter().flatten()),
    };
    let flushed = disks.and_then(|disks| disks.flush().map(|()| disks));
    let mut done: Vec<Result<Written, WriteError>> = match &flushed {
        Ok(_) => prepared
            .into_par_iter()
            .zip(changes)
            .map(|(prepared, change)| prepared?.commit(change.before))
            .collect(),
        // Nothing was put in its place; the new files go with `prepared`.
        Err(error) => prepared
            .into_iter()
            .map(|prepared| {
                Err(prepared
                    .err()
                    .unwrap_or_else(|| write::writing(again(error))))
            })
            .collect(),
    };
    if let Err(error) = flushed.and_then(|disks| disks.flush()) {
        for done in done.iter_mut().filter(|done| done.is_ok()) {
            *done = Err(WriteError::NotSynced(again(&error)));
        }
    }
    let failed =
        |done: &Result<Written, WriteError>| done.as_ref().is_err_and(|error| !error.is_written());
    journal.withdraw(
        paths
            .iter()
            .zip(&done)
            .filter_map(|(path, done)| path.as_deref().filter(|_| failed(done))),
    );
    done
}

/// The same error once more: one that the system gave has a number.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => error.kind().into(),
    }
}
