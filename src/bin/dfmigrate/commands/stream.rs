//! `dfmigrate stream`: a Dockerfile on each line of JSON in, its plan on a line
//! of JSON out.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dfmigrate::context::GivenFiles;
use dfmigrate::discover;
use dfmigrate::facts::{Facts, Files, NoFiles};
use dfmigrate::plan;
use dfmigrate::report::{FileReport, Outcome, PatchName, stream_line};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::args::Stream;
use crate::exit;

/// The most bytes of one line: a Dockerfile, and what is given of its context.
const MAX_LINE: usize = 32 << 20;

/// Lines are read in batches of at most so many bytes. What has come so far is
/// answered before more is waited for.
const BATCH_BYTES: usize = 2 << 20;

/// A line that came in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Comes back in the answer, whatever it is.
    #[serde(default)]
    id: Value,
    /// What to call it in the answer.
    path: Option<String>,
    /// The Dockerfile.
    text: Option<String>,
    /// Or its bytes, where they are not UTF-8.
    base64: Option<String>,
    /// Files of its build context, as the builder would see them.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Whether these are all that there are.
    #[serde(default)]
    complete: bool,
}

/// A line as it was read.
enum Input {
    Line(Vec<u8>),
    /// It is longer than is read.
    TooLong,
}

pub fn run(args: &Stream) -> anyhow::Result<u8> {
    // No line lies in a tree: only the user's own settings hold.
    let mut resolver = super::settings::resolver(&args.plan)?;
    super::settings::set_policy(&mut resolver, &args.policy);
    let options = &resolver.base().options;
    rayon::ThreadPoolBuilder::new()
        .num_threads(args.jobs.or(resolver.base().jobs).unwrap_or(0))
        .build_global()
        .context("can't start the threads")?;
    let mut input = BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let mut out = std::io::stdout().lock();
    let mut count: u64 = 0;
    loop {
        let batch = batch(&mut input).context("can't read standard input")?;
        if batch.is_empty() {
            break;
        }
        let answers: Vec<String> = batch
            .par_iter()
            .enumerate()
            .map(|(at, line)| answer(line, count + at as u64 + 1, options))
            .collect();
        count += batch.len() as u64;
        for answer in answers {
            out.write_all(answer.as_bytes())?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
    }
    if let Some(expected) = args.expect_count.filter(|expected| *expected != count) {
        bail!("{count} lines came in, and not {expected}: some were lost on the way here");
    }
    Ok(exit::DONE)
}

/// The next lines: one is waited for, the others are those that are here by
/// then. Empty at the end.
fn batch(input: &mut BufReader<impl Read>) -> std::io::Result<Vec<Input>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while let Some(line) = read_line(input)? {
        bytes += match &line {
            Input::Line(line) => line.len(),
            Input::TooLong => 0,
        };
        batch.push(line);
        if bytes >= BATCH_BYTES || !input.buffer().contains(&b'\n') {
            break;
        }
    }
    Ok(batch)
}

/// Reads a line without its end; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<Input>> {
    let mut line = Vec::new();
    let mut long = false;
    let mut any = false;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = memchr::memchr(b'\n', buffer);
        let piece = &buffer[..end.unwrap_or(buffer.len())];
        long |= line.len() + piece.len() > MAX_LINE;
        match long {
            true => line = Vec::new(),
            false => line.extend_from_slice(piece),
        }
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (any, long) {
        (false, _) => None,
        (true, true) => Some(Input::TooLong),
        (true, false) => Some(Input::Line(line)),
    })
}

/// The answer to a line: whatever is wrong with it stands in there.
fn answer(line: &Input, number: u64, options: &plan::Options) -> String {
    let failed = |id: &Value, path: &str, why: &str| {
        let file = FileReport {
            shown: path,
            path,
            patch_name: &PatchName::default(),
            outcome: Outcome::Failed(why),
            proof: None,
        };
        stream_line(id, &file)
    };
    let request = match line {
        Input::TooLong => Err(format!("line {number} has over {MAX_LINE} bytes")),
        Input::Line(line) => serde_json::from_slice::<Request>(line)
            .map_err(|error| format!("line {number} is no request: {error}")),
    };
    let request = match request {
        Ok(request) => request,
        Err(why) => return failed(&id_of(line), "", &why),
    };
    let path = request.path.as_deref().unwrap_or("Dockerfile").to_owned();
    let id = request.id.clone();
    let planned = super::guarded(|| {
        let (text, files) = parts(request, &path)?;
        Ok(plan::plan(text, Facts::offline(files.as_ref()), options))
    });
    match planned.flatten() {
        Ok(plan) => {
            let name = PatchName(super::plain(&path).into_bytes());
            let file = FileReport {
                shown: &path,
                path: &path,
                patch_name: &name,
                outcome: Outcome::Planned(&plan),
                proof: None,
            };
            stream_line(&id, &file)
        }
        Err(why) => failed(&id, &path, &why),
    }
}

/// The `id` of a line that is JSON but no request.
fn id_of(line: &Input) -> Value {
    let Input::Line(line) = line else {
        return Value::Null;
    };
    match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(mut fields)) => fields.remove("id").unwrap_or_default(),
        _ => Value::Null,
    }
}

/// The Dockerfile of a request and its context.
fn parts(request: Request, path: &str) -> Result<(Vec<u8>, Box<dyn Files>), String> {
    let text = match (request.text, request.base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD
            .decode(text.as_bytes())
            .map_err(|error| format!("`base64` is not that: {error}"))?,
        (None, None) => return Err("it has neither `text` nor `base64`".to_owned()),
        (Some(_), Some(_)) => return Err("it has both `text` and `base64`".to_owned()),
    };
    discover::check_size(&text).map_err(|error| format!("it {error}"))?;
    if request.files.is_empty() && !request.complete {
        return Ok((text, Box::new(NoFiles)));
    }
    let files = GivenFiles::new(request.files, request.complete, path)?;
    Ok((text, Box::new(files)))
}
