//! The fuzz targets as plain tests: over the committed corpus, the project's own
//! cases, and mutations of them. `DFMIGRATE_FUZZ_SECONDS=60` goes on for so long
//! with each; the seed is fixed, so that a failure comes again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// xorshift64*: a sequence that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(high).unwrap() % end.max(1)
    }
}

/// Pieces that mean something to one of the readers.
const PIECES: [&[u8]; 34] = [
    b"\n",
    b"\r\n",
    b"\\\n",
    b"\\",
    b"`",
    b"\"",
    b"'",
    b"$",
    b"${",
    b"}",
    b"$(",
    b")",
    b"(",
    b"<<E\n",
    b"E\n",
    b"<<-'F'",
    b"#",
    b"# escape=`\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc2\xa0",
    b"[\"",
    b"\"]",
    b"FROM node:20\n",
    b"RUN ",
    b"COPY --from=0 / /\n",
    b" AS x",
    b"ARG A=",
    b"ONBUILD ",
    b"--mount=type=cache,",
    b"&& ",
    b";;",
    b"\t",
];

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        let end = (at + random.below(20)).min(data.len());
        match random.below(5) {
            0 => drop(data.drain(at..end)),
            1 => {
                let piece = PIECES[random.below(PIECES.len())];
                data.splice(at..at, piece.iter().copied());
            }
            2 => {
                let again = data[at..end].to_vec();
                data.splice(at..at, again);
            }
            3 if at < data.len() => data[at] ^= 1 << random.below(8),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let piece = other[from..(from + 40).min(other.len())].to_vec();
                data.splice(at..end, piece);
            }
        }
    }
    data
}

/// All files below a folder of that name (any, when it is empty), in order.
fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).expect("it is listed") {
            let path = entry.expect("it is there").path();
            if path.is_dir() {
                todo.push(path);
            } else if name.is_empty() || path.ends_with(name) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn run(target: &str, body: fn(&[u8]), mutations: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = files(&root.join("fuzz/corpus").join(target), "");
    assert!(corpus.len() > 1, "{target} has a corpus");
    let mut seeds: Vec<Vec<u8>> = corpus
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let one = |data: &[u8]| {
        let done = std::panic::catch_unwind(|| body(data));
        assert!(
            done.is_ok(),
            "{target} fails for b\"{}\"",
            data.escape_ascii()
        );
    };
    seeds.iter().for_each(|seed| one(seed));
    if ["parse", "plan"].contains(&target) {
        let cases = files(&root.join("fixtures/rules"), "Dockerfile");
        seeds.extend(
            cases
                .iter()
                .step_by(7)
                .map(|path| std::fs::read(path).unwrap()),
        );
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let seconds = std::env::var("DFMIGRATE_FUZZ_SECONDS").ok();
    let time = seconds.map(|text| Duration::from_secs(text.parse().expect("a number")));
    let start = Instant::now();
    let mut count = 0;
    while time.map_or(count < mutations, |time| start.elapsed() < time) {
        one(&mutated(&seeds, &mut random));
        count += 1;
    }
    eprintln!("{target}: {count} mutations of {} seeds", seeds.len());
}

#[test]
fn parse() {
    run("parse", bodies::parse, 2_000);
}

#[test]
fn shell() {
    run("shell", bodies::shell, 5_000);
}

#[test]
fn expand() {
    run("expand", bodies::expand, 2_000);
}

#[test]
fn plan() {
    run("plan", bodies::plan, 150);
}

#[test]
fn stream() {
    run("stream", bodies::stream, 150);
}
