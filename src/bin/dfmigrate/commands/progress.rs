//! How far a run over many files is: a bar on standard error, at a terminal.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::fs::{FileType, fstat};

/// A run that is done before that needs no bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// Whether bars may be drawn on standard error: a terminal that can move back.
pub fn may_draw() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard output goes to another program, which may be a pager on
/// the same terminal.
fn is_piped() -> bool {
    fstat(std::io::stdout()).is_ok_and(|stat| {
        let kind = FileType::from_raw_mode(stat.st_mode);
        matches!(kind, FileType::Fifo | FileType::Socket)
    })
}

/// How many files of a run are done.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
    /// Still to be drawn for the first time.
    waits: AtomicBool,
}

impl Progress {
    /// Of so many files; nothing is drawn unless that is wanted and possible.
    pub fn new(files: usize, wanted: bool) -> Self {
        let target = ProgressDrawTarget::hidden();
        let bar = ProgressBar::with_draw_target(Some(files as u64), target);
        let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} files, {eta} left");
        bar.set_style(style.expect("a template of known parts"));
        Self {
            bar,
            start: Instant::now(),
            waits: AtomicBool::new(wanted && may_draw() && !is_piped()),
        }
    }

    /// One file more is done.
    pub fn done(&self) {
        self.bar.inc(1);
        if self.start.elapsed() >= PATIENCE && self.waits.swap(false, Ordering::Relaxed) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Does what prints, with no bar on the terminal meanwhile.
    pub fn aside<T>(&self, prints: impl FnOnce() -> T) -> T {
        self.bar.suspend(prints)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
