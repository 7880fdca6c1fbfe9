//! Inputs that are made to take a tool down: work that grows with their length
//! and no faster, bounded memory, an answer for each. Work is counted in
//! processor time, of which what else the machine does is no part.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use dfmigrate::facts::Facts;
use dfmigrate::plan;

/// The processor time that this thread has used.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap();
    Duration::new(u64::try_from(time.tv_sec).unwrap(), nanoseconds)
}

fn took(text: &str, options: &plan::Options) -> Duration {
    let start = worked();
    std::hint::black_box(plan::plan(text.as_bytes().to_vec(), Facts::none(), options));
    worked() - start
}

/// A shape of so many parts.
type Make = fn(usize) -> String;

fn each(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

/// Ten arguments, each ten times the last.
fn bomb(keyword: &str) -> String {
    let last = |at: usize| format!("$A{at}").repeat(10);
    let rest = each(10, |at| format!("{keyword} A{}={}\n", at + 1, last(at)));
    format!("{keyword} A0=xxxxxxxxxx\n{rest}")
}

const SHAPES: [(&str, Make); 16] = [
    ("RUNs", |n| format!("FROM node:20\n{}", "RUN a\n".repeat(n))),
    ("continuations", |n| {
        format!("FROM node:20\nRUN a {}b\n", "\\\n".repeat(n))
    }),
    ("commands of one RUN", |n| {
        format!("FROM node:20\nRUN a {}\n", "&& \\\nb ".repeat(n))
    }),
    ("stages", |n| "FROM node:20\n".repeat(n)),
    ("dead stages", |n| {
        "FROM node:10-jessie\nRUN apt-get update\n".repeat(n / 2)
    }),
    ("a chain of stages", |n| {
        format!(
            "FROM node:20 AS s0\n{}",
            each(n, |at| format!("FROM s{at} AS s{}\n", at + 1))
        )
    }),
    ("stages and copies", |n| {
        format!(
            "FROM node:20 AS a\n{}{}",
            "FROM node:20\n".repeat(n / 2),
            "COPY --from=a /x /x\n".repeat(n / 2)
        )
    }),
    ("comments above one", |n| {
        format!(
            "FROM node:20\n{}RUN x\n",
            "# dfmigrate: ignore[slim-base] x\n".repeat(n)
        )
    }),
    ("comments above each", |n| {
        "# dfmigrate: ignore[slim-base] x\nFROM node:20\n".repeat(n / 2)
    }),
    ("comments for the file", |n| {
        "FROM node:20\n# dfmigrate: file-ignore[a] x\n".repeat(n / 2)
    }),
    ("mounts", |n| {
        format!(
            "FROM node:20\n{}",
            each(n, |at| format!("RUN --mount=type=cache,target=/{at} x\n"))
        )
    }),
    ("digests", |n| {
        each(n, |at| format!("FROM node:20@sha256:{at:064x}\n"))
    }),
    ("variables", |n| {
        format!(
            "FROM node:20\nENV A0=1\n{}",
            each(n, |at| format!("ENV A{}=$A{at}\n", at + 1))
        )
    }),
    ("one variable", |n| {
        format!(
            "FROM node:20\nENV A=1\n{}",
            "ENV A=a$A\nRUN $A\n".repeat(n / 2)
        )
    }),
    ("escapes of a terminal", |n| {
        format!("FROM node:20\n{}", "RUN \x1b[2J\x1b]0;x\x07\n".repeat(n))
    }),
    ("packages", |n| {
        format!(
            "FROM node:20\nRUN apt-get install -y {}\n",
            each(n, |at| format!("\\\n p{at} "))
        )
    }),
];

#[test]
fn work_grows_with_the_length() {
    let options = plan::Options::default();
    let mut wrong = Vec::new();
    for (name, make) in SHAPES {
        let (small, large) = (make(400), make(3_200));
        // The least of some runs is the nearest to the work itself.
        let a = (0..3).map(|_| took(&small, &options)).min().unwrap();
        let b = took(&large, &options);
        // 8 times the input; quadratic work would be 64 times.
        if b > a * 24 + Duration::from_millis(50) {
            wrong.push(format!("{name}: {a:?} then {b:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The most memory that a process has had so far, in kilobytes.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The program, asked one Dockerfile after the other.
struct Asked {
    child: std::process::Child,
    input: std::process::ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Asked {
    fn new() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
            .args(["stream", "-j1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn answer(&mut self, text: &str) -> serde_json::Value {
        let line = serde_json::json!({"id": 1, "text": text}).to_string();
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("it is answered")
    }
}

#[test]
fn what_took_others_down_is_answered_within_bounded_memory() {
    let deep = |open: &str| format!("FROM node:20\nRUN {}\n", open.repeat(20_000));
    let mut inputs = vec![
        (
            "arguments",
            format!("{}FROM node:$A10\nRUN echo $A10\n", bomb("ARG")),
            None,
        ),
        (
            "variables",
            format!("FROM node:20\n{}WORKDIR $A10\nRUN echo $A10\n", bomb("ENV")),
            None,
        ),
        ("substitutions", deep("$("), None),
        ("subshells", deep("( "), None),
        (
            "defaults",
            format!("FROM node:20\nWORKDIR {}x\n", "${A:-".repeat(12_000)),
            None,
        ),
        (
            "a long line",
            format!("FROM node:20\nRUN {}\n", "x".repeat(8_000_000)),
            Some("65535"),
        ),
        (
            "a longer one",
            format!("FROM node:20\nRUN {}\n", "x".repeat(10_000_000)),
            Some("10.0 MB"),
        ),
        (
            "RUNs",
            format!("FROM node:20\n{}", "RUN a\n".repeat(300_000)),
            Some("300001 lines"),
        ),
        (
            "continuations",
            format!("FROM node:20\nRUN a {}b\n", "\\\n".repeat(500_000)),
            Some("500002 lines"),
        ),
        (
            "stages",
            "FROM node:20\n".repeat(300_000),
            Some("300000 lines"),
        ),
    ];
    for (name, make) in SHAPES {
        inputs.push((name, make(4_000), None));
    }
    let mut asked = Asked::new();
    let mut peaks = Vec::new();
    for (name, text, error) in &inputs {
        let answer = asked.answer(text);
        match error {
            None => assert_eq!(answer["error"], serde_json::Value::Null, "{name}"),
            Some(error) => {
                let said = answer.to_string();
                assert!(said.contains(error), "{name}: {said:.400}");
            }
        }
        peaks.push((*name, peak(asked.child.id())));
    }
    drop(asked.input);
    assert!(asked.child.wait().unwrap().success());
    let Some((_, Some(peak))) = peaks.last() else {
        eprintln!("SKIPPED: this system does not say what memory a process has had");
        return;
    };
    // 64 MB for what reads them, and as lines of JSON they are there twice more.
    assert!(*peak < 96 << 10, "{peaks:?}");
}

/// Many files take no more memory than few.
#[test]
fn memory_does_not_grow_with_the_number_of_lines() {
    let mut asked = Asked::new();
    let mut after = Vec::new();
    for number in 0..3_000 {
        let text = match number % 30 {
            0 => format!("FROM node:20\nRUN npm ci # {number}\nCMD [\"node\", \"x.js\"]\n"),
            _ => format!("FROM a\nRUN {number}\n"),
        };
        asked.answer(&text);
        if [299, 2_999].contains(&number) {
            after.push(peak(asked.child.id()));
        }
    }
    drop(asked.input);
    assert!(asked.child.wait().unwrap().success());
    let [Some(few), Some(many)] = after[..] else {
        eprintln!("SKIPPED: this system does not say what memory a process has had");
        return;
    };
    assert!(many < few + few / 2, "{few} kB, then {many} kB");
}
