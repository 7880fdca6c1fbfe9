//! Long output at a terminal goes through a pager, as git's does.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dfmigrate::report::Width;

/// Where standard output goes in the end.
pub struct Screen {
    /// It is a terminal, maybe with a pager before it.
    pub terminal: bool,
    /// How wide that is.
    pub width: Width,
    pager: Option<Running>,
}

/// A pager that reads what is written to standard output.
struct Running {
    line: String,
    child: Child,
}

impl Screen {
    /// Standard output as it is.
    pub fn plain() -> Self {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        Self {
            terminal: std::io::stdout().is_terminal(),
            width: size.map(|(width, _)| usize::from(width.0)),
            pager: None,
        }
    }

    /// Standard output through the pager of the environment, where it is a
    /// terminal that can have one.
    pub fn paged() -> Self {
        let mut screen = Self::plain();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if screen.terminal && !dumb {
            screen.pager = chosen().and_then(start);
        }
        screen
    }

    /// Whether a pager shows the output.
    pub fn is_paged(&self) -> bool {
        self.pager.is_some()
    }
}

impl Drop for Screen {
    /// Ends the output and waits until the reader has seen enough.
    fn drop(&mut self) {
        let Some(Running { line, mut child }) = self.pager.take() else {
            return;
        };
        // Nothing more comes: what is left over goes where errors go.
        let _ = std::io::stdout().flush();
        let _ = rustix::stdio::dup2_stdout(std::io::stderr());
        // As a shell says that there is no such program.
        if child.wait().is_ok_and(|status| status.code() == Some(127)) {
            anstream::eprintln!(
                "dfmigrate: the pager {line:?} can't be started: set DFMIGRATE_PAGER or PAGER to another one, or use --no-pager"
            );
        }
    }
}

/// The line that starts the pager; none where nobody wants one.
fn chosen() -> Option<OsString> {
    let set = |name: &str| std::env::var_os(name);
    let line = set("DFMIGRATE_PAGER").or_else(|| set("PAGER"));
    let Some(line) = line else {
        // Most machines have it; those that don't do without.
        let path = set("PATH")?;
        let there = std::env::split_paths(&path).any(|folder| folder.join("less").is_file());
        return there.then(|| "less".into());
    };
    (!line.is_empty() && line != "cat").then_some(line)
}

fn start(line: OsString) -> Option<Running> {
    let colours = anstream::AutoStream::choice(&std::io::stdout());
    let mut command = Command::new("sh");
    command.arg("-c").arg(&line).stdin(Stdio::piped());
    // Quit where all fits on the screen, show colours, leave the text there.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let mut child = command.spawn().ok()?;
    let pipe = child.stdin.take()?;
    if rustix::stdio::dup2_stdout(&pipe).is_err() {
        return None;
    }
    // It is the terminal that has colours, not the pipe to it.
    colours.write_global();
    // Ctrl-C is the pager's: it stops a search there. Were this program to end,
    // the shell would take the terminal back below it.
    let _ = signal_hook::flag::register(
        signal_hook::consts::SIGINT,
        Arc::new(AtomicBool::new(false)),
    );
    Some(Running {
        line: line.to_string_lossy().into_owned(),
        child,
    })
}
