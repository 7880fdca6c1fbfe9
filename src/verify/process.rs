//! Programs that are started, heard line by line, and always ended.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// The longest line that is kept of a program's output.
const MAX_LINE: u64 = 64 * 1024;

/// How long a program has to end by itself when it is told to.
const GRACE: Duration = Duration::from_secs(5);

/// How long output is waited for that a program's own children may still write.
const LINGER: Duration = Duration::from_secs(2);

const TICK: Duration = Duration::from_millis(50);

/// Whether the user wants everything to stop. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Stop(pub Arc<AtomicBool>);

impl Stop {
    /// Whether to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long a program may run, and what ends it before.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// How long it may run.
    pub time: Duration,
    /// Ends it at once.
    pub stop: &'a Stop,
}

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long and was ended.
    TimedOut,
    /// The user wanted to stop, and it was ended.
    Stopped,
}

impl Ended {
    /// Whether it did what it was asked to.
    #[must_use]
    pub fn success(self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}

/// A started program with its whole process group; dropping it ends them.
struct Group(Child, bool);

impl Group {
    fn start(command: &mut Command) -> io::Result<Self> {
        // A group of its own: Ctrl-C reaches us alone, and we end it in order.
        Ok(Self(command.process_group(0).spawn()?, false))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, signal);
        }
    }

    fn end(&mut self) {
        if self.1 {
            return;
        }
        self.signal(Signal::TERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                self.1 = true;
                return;
            }
            std::thread::sleep(TICK);
        }
        self.signal(Signal::KILL);
        let _ = self.0.wait();
        self.1 = true;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a stream's lines on, without line ends and cut where they are too long.
fn lines(stream: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            let got = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            if !matches!(got, Ok(n) if n > 0) {
                return;
            }
            while line.last().is_some_and(|c| matches!(c, b'\n' | b'\r')) {
                line.pop();
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            if to.send(text).is_err() {
                return;
            }
        }
    });
}

/// Runs a program to its end and hears each line that it writes on standard
/// output or standard error.
///
/// # Errors
/// The program can't be started.
pub fn run(
    command: &mut Command,
    input: Option<&[u8]>,
    limits: Limits<'_>,
    mut hear: impl FnMut(&str),
) -> io::Result<Ended> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    let mut group = Group::start(command)?;
    if let (Some(bytes), Some(mut stdin)) = (input, group.0.stdin.take()) {
        let bytes = bytes.to_vec();
        std::thread::spawn(move || stdin.write_all(&bytes));
    }
    let (to, from) = mpsc::channel();
    if let Some(out) = group.0.stdout.take() {
        lines(out, to.clone());
    }
    if let Some(err) = group.0.stderr.take() {
        lines(err, to);
    }
    let until = Instant::now() + limits.time;
    let mut gone: Option<(ExitStatus, Instant)> = None;
    loop {
        let open = match from.recv_timeout(TICK) {
            Ok(line) => {
                hear(&line);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        if limits.stop.asked() {
            group.end();
            return Ok(Ended::Stopped);
        }
        if gone.is_none()
            && let Some(status) = group.0.try_wait()?
        {
            gone = Some((status, Instant::now()));
            group.1 = true;
        }
        match gone {
            Some((status, at)) if !open || at.elapsed() > LINGER => {
                for line in from.try_iter() {
                    hear(&line);
                }
                return Ok(Ended::Exited(status));
            }
            None if Instant::now() > until => {
                group.end();
                return Ok(Ended::TimedOut);
            }
            // It closed its output and lives on: don't spin.
            None if !open => std::thread::sleep(TICK),
            _ => {}
        }
    }
}

/// Runs a program and gives `read` its standard output as it comes; what it
/// writes on standard error is returned beside.
///
/// What `read` returns is given on as it is: where the program failed, that
/// says more than what could not be read.
///
/// # Errors
/// The program can't be started, took too long or was stopped.
pub fn pipe<T>(
    command: &mut Command,
    limits: Limits<'_>,
    read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> io::Result<(Ended, io::Result<T>, Vec<String>)> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut group = Group::start(command)?;
    let (to, from) = mpsc::channel();
    if let Some(err) = group.0.stderr.take() {
        lines(err, to);
    }
    let Some(mut out) = group.0.stdout.take() else {
        return Err(io::Error::other("it has no output"));
    };
    let pid = i32::try_from(group.0.id()).ok().and_then(Pid::from_raw);
    let (done, watch) = mpsc::channel::<()>();
    let (stop, time) = (limits.stop.clone(), limits.time);
    // While this thread reads, another one watches the clock and the user.
    let watcher = std::thread::spawn(move || {
        let until = Instant::now() + time;
        loop {
            match watch.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return None,
            }
            let why = if stop.asked() {
                Ended::Stopped
            } else if Instant::now() > until {
                Ended::TimedOut
            } else {
                continue;
            };
            if let Some(pid) = pid {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            return Some(why);
        }
    });
    let result = read(&mut out);
    // What is not read any more must not keep it waiting.
    let _ = io::copy(&mut out, &mut io::sink());
    drop(out);
    let status = group.0.wait()?;
    group.1 = true;
    drop(done);
    let ended = match watcher.join() {
        Ok(Some(why)) => why,
        _ => Ended::Exited(status),
    };
    let mut errors = Vec::new();
    while let Ok(line) = from.recv_timeout(LINGER) {
        errors.push(line);
    }
    if ended != Ended::Exited(status) {
        return Err(io::Error::other(match ended {
            Ended::TimedOut => "it took too long",
            _ => "stopped",
        }));
    }
    Ok((ended, result, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, time: Duration, stop: &Stop) -> (Ended, Vec<String>) {
        let mut heard = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let ended = run(&mut command, None, Limits { time, stop }, |line| {
            heard.push(line.to_owned());
        });
        (ended.expect("there is a shell"), heard)
    }

    #[test]
    fn lines_of_both_streams_are_heard_and_the_status_is_known() {
        let (ended, mut heard) = sh(
            "echo out; echo err >&2; exit 3",
            Duration::from_secs(20),
            &Stop::default(),
        );
        heard.sort();
        assert_eq!(heard, ["err", "out"]);
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let start = Instant::now();
        let (ended, heard) = sh(
            "sleep 60 & echo $!; wait",
            Duration::from_millis(300),
            &Stop::default(),
        );
        assert_eq!(ended, Ended::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(30));
        let child: i32 = heard[0].parse().expect("its process id");
        // Gone, or about to be: a zombie whose parent died is init's to reap.
        let until = Instant::now() + Duration::from_secs(5);
        let alive = || {
            std::fs::read_to_string(format!("/proc/{child}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        while alive() && Instant::now() < until {
            std::thread::sleep(TICK);
        }
        assert!(!alive(), "the child of the program lives on");
    }

    #[test]
    fn the_user_can_stop_it() {
        let stop = Stop::default();
        stop.0.store(true, Ordering::Relaxed);
        let (ended, _) = sh("sleep 60", Duration::from_secs(60), &stop);
        assert_eq!(ended, Ended::Stopped);
    }

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "printf abc; echo oops >&2"]);
        let stop = Stop::default();
        let limits = Limits {
            time: Duration::from_secs(20),
            stop: &stop,
        };
        let (ended, text, errors) = pipe(&mut command, limits, |out| {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text)
        })
        .expect("it runs");
        assert!(ended.success());
        assert_eq!(text.expect("it is read"), "abc");
        assert_eq!(errors, ["oops"]);
    }
}
