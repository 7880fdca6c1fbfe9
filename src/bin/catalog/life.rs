//! Makes the tables about life spans from the recorded data: ends of version
//! lines, notices of deprecation, and what floating tags meant on each day.
//! `cargo catalog life [--check] [SHARED]`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use dfmigrate::catalog::Date;
use dfmigrate::catalog::timeline::EPOCH;
use serde_json::Value;

/// The recorded data, parsed.
pub struct Input {
    /// `eol.json`: version lines of images.
    pub lines: Value,
    /// `deprecated.json`: notices of deprecation.
    pub deprecated: Value,
    /// `timeline.json.xz`: what tags were built on.
    pub bases: Value,
    /// `version_timeline.json.xz`: which version floating tags had.
    pub versions: Value,
}

/// The tables: file name and bytes.
pub type Tables = BTreeMap<&'static str, Vec<u8>>;

/// Rows that speak of another product than the image holds.
/// `openjdk:11` came from the update project until 2022, the row of Oracle's own
/// builds of 11 ended in 2019.
const OTHER_PRODUCT: [(&str, &str); 1] = [("openjdk", "11")];

/// The longest notice that is kept, in characters.
const NOTICE: usize = 240;

/// Rebuilds the tables, or with `--check` says which ones differ.
pub fn run(
    args: impl Iterator<Item = String>,
    read: impl Fn(&Path) -> Result<Value, String>,
) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut check, mut shared) = (false, root.join("../shared"));
    for arg in args {
        match arg.as_str() {
            "--check" => check = true,
            _ => shared = PathBuf::from(arg),
        }
    }
    let catalog = shared.join("catalog");
    let tables = build(&Input {
        lines: read(&catalog.join("eol.json"))?,
        deprecated: read(&catalog.join("deprecated.json"))?,
        bases: read(&catalog.join("timeline.json.xz"))?,
        versions: read(&catalog.join("version_timeline.json.xz"))?,
    })?;
    for (name, bytes) in tables {
        let path = root.join("src/catalog/data").join(name);
        if std::fs::read(&path).is_ok_and(|old| old == bytes) {
            continue;
        }
        if check {
            return Err(format!("{name} differs from what the data gives"));
        }
        std::fs::write(&path, &bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{name}: {} bytes", bytes.len());
    }
    Ok(())
}

/// The tables as they should be.
pub fn build(input: &Input) -> Result<Tables, String> {
    let mut tables = timelines(&input.bases, &input.versions)?;
    tables.insert("lines.tsv", lines(&input.lines)?.into_bytes());
    tables.insert(
        "deprecated.tsv",
        deprecated(&input.deprecated)?.into_bytes(),
    );
    Ok(tables)
}

fn object(value: &Value) -> Result<&serde_json::Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("no object: {value}"))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .filter(|text| !text.is_empty())
        .unwrap_or("-")
}

/// The version lines: a date, `yes` for over without one, `no` for open.
fn lines(all: &Value) -> Result<String, String> {
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for (image, product) in object(all)? {
        let name = text(product, "product");
        for cycle in array(&product["cycles"]) {
            let line = text(cycle, "c");
            if OTHER_PRODUCT.contains(&(image, line)) {
                continue;
            }
            let end = |key: &str| match &cycle[key] {
                Value::Bool(true) => "yes",
                Value::Bool(false) => "no",
                _ => text(cycle, key),
            };
            let cells = [
                name,
                text(cycle, "r"),
                end("s"),
                end("e"),
                end("x"),
                text(cycle, "v"),
                text(cycle, "vd"),
            ];
            rows.insert(format!("{image}:{line}"), cells.join("\t"));
        }
    }
    let mut out = String::from(
        "# source: endoflife.date, by product (eol.json, as of 2026-08-21)\n\
         # note: an end is a day, yes (over, the day is not recorded), no (none is set) or - (not known)\n\
         # note: support is the end of ordinary fixes, end that of security fixes, extended that of support that is paid for\n\
         # columns: line\tproduct\treleased\tsupport\tend\textended\tlatest\tlatest day\n",
    );
    for (key, cells) in rows {
        out += &format!("{key}\t{cells}\n");
    }
    Ok(out)
}

/// The notices, each in one line, without its links.
fn deprecated(all: &Value) -> Result<String, String> {
    let mut out = String::from(
        "# source: deprecated.md and README notices of docker-library/docs by their history (deprecated.json, as of 2026-08-21)\n\
         # note: state: deprecated, some (of the tags named alone), advice (the image lives on), withdrawn (the notice was taken back)\n\
         # note: successors are the images that the notice names; the notice is cut, and its links are left out\n\
         # columns: image\tstate\tannounced\tlast update\tremoved\ttags\tsuccessors\tnotice\n",
    );
    let rows: BTreeMap<_, _> = object(all)?.iter().collect();
    for (image, row) in rows {
        let note = text(row, "note");
        let lives = row["in_catalogue"].as_bool() == Some(true);
        let tags = note
            .strip_prefix("tags:")
            .map(|tags| tags.replace(',', " "));
        let state = if tags.is_some() {
            "some"
        } else if lives && row["notice_gone"].is_string() {
            "withdrawn"
        } else if lives
            && (note.starts_with("advice") || note.starts_with("other-repo for updates"))
        {
            "advice"
        } else {
            "deprecated"
        };
        let successors: Vec<&str> = array(&row["replacement"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let successors = match successors.join(" ") {
            none if none.is_empty() => "-".to_owned(),
            some => some,
        };
        let notice = match plain(text(row, "text")) {
            none if none.is_empty() || none == "-" => capital(note),
            some => some,
        };
        out += &format!(
            "{image}\t{state}\t{}\t{}\t{}\t{}\t{successors}\t{notice}\n",
            text(row, "announced"),
            text(row, "no_updates_after"),
            text(row, "library_removed"),
            tags.as_deref().unwrap_or("-"),
        );
    }
    Ok(out)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// Markdown as one line of text, cut after a sentence or a word.
fn plain(markdown: &str) -> String {
    let mut out = String::new();
    let mut rest = markdown;
    // `[words](address)` is its words.
    while let Some(open) = rest.find('[') {
        let link = rest[open..].find("](").and_then(|middle| {
            let close = rest[open + middle..].find(')')?;
            Some((open + middle, open + middle + close))
        });
        let Some((middle, close)) = link else { break };
        out += &rest[..open];
        out += &rest[open + 1..middle];
        rest = &rest[close + 1..];
    }
    out += rest;
    out.retain(|c| !matches!(c, '`' | '*'));
    let words: Vec<&str> = out
        .split_whitespace()
        .map(|word| word.trim_matches(['>', '#', '⚠', '\u{fe0f}']))
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= NOTICE {
        return line;
    }
    let cut: String = line.chars().take(NOTICE).collect();
    match cut.rfind(". ").or_else(|| cut.rfind(": ")) {
        Some(end) if end > NOTICE / 3 => cut[..=end].to_owned(),
        _ => format!(
            "{} …",
            cut.rsplit_once(' ').map_or(&*cut, |(start, _)| start)
        ),
    }
}

/// A timeline: days and values, without a value that changes nothing.
type Timeline = Vec<(Date, String)>;

/// The timelines of all tags: `bases` first, `versions` where a tag had more
/// than one.
fn timelines(bases: &Value, versions: &Value) -> Result<Tables, String> {
    let mut tags: BTreeMap<String, [Timeline; 2]> = BTreeMap::new();
    for (which, all) in [bases, versions].into_iter().enumerate() {
        for (image, by_tag) in object(all)? {
            for (tag, events) in object(by_tag)? {
                let events = timeline(events).ok_or_else(|| format!("{image}:{tag}: no dates"))?;
                let values = events.iter().filter(|(_, value)| value != "-");
                let mut values: Vec<&String> = values
                    .map(|(_, value)| value)
                    .filter(|v| *v != "?")
                    .collect();
                values.dedup();
                if values.is_empty() || (which == 1 && values.len() < 2) {
                    continue;
                }
                tags.entry(format!("{image}:{tag}")).or_default()[which] = events;
            }
        }
    }
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, value) in tags.values().flatten().flatten() {
        *uses.entry(value).or_default() += 1;
    }
    let mut values: Vec<&str> = uses.keys().copied().collect();
    values.sort_by_key(|value| (std::cmp::Reverse(uses[value]), *value));
    let numbers: HashMap<&str, u64> = values.iter().copied().zip(0..).collect();

    // Equal timelines are stored once; place 0 stands for none.
    let mut bytes = vec![0];
    let mut places: HashMap<&Timeline, u64> = HashMap::new();
    let mut ordered: Vec<(&String, [u64; 2])> = Vec::new();
    for (key, both) in &tags {
        let mut at = [0; 2];
        for (which, events) in both.iter().enumerate().filter(|(_, e)| !e.is_empty()) {
            at[which] = *places.entry(events).or_insert_with(|| {
                let place = bytes.len() as u64;
                push(&mut bytes, events.len() as u64);
                let mut last = EPOCH;
                for (day, value) in events {
                    push(&mut bytes, (day.days() - last) as u64);
                    push(&mut bytes, numbers[&**value]);
                    last = day.days();
                }
                place
            });
        }
        ordered.push((key, at));
    }
    let scale = bytes.len() as u64;
    let mut map = fst::MapBuilder::memory();
    for (key, [base, version]) in ordered {
        map.insert(key, base * scale + version)
            .map_err(|e| e.to_string())?;
    }
    let mut words = String::from(
        "# What the timelines speak of, the most used first. Made by `cargo catalog life` from timeline.json\n\
         # and version_timeline.json: the history of the library files of docker-library/official-images.\n",
    );
    for value in values {
        words += value;
        words.push('\n');
    }
    Ok(BTreeMap::from([
        (
            "timelines.fst",
            map.into_inner().map_err(|e| e.to_string())?,
        ),
        ("timelines.bin", bytes),
        ("timeline_values.tsv", words.into_bytes()),
    ]))
}

/// The last value of each day (and that the tag went), without those that repeat the one before.
/// `-` is gone, `?` is not known.
fn timeline(events: &Value) -> Option<Timeline> {
    let mut out: Timeline = Vec::new();
    for event in array(events) {
        let day = Date::parse(event[0].as_str()?)?;
        let value = match event[1].as_str()? {
            "" => "?",
            value => value,
        };
        // A tag may move and go on one day: what it was frozen with stays.
        if value != "-" && out.last().is_some_and(|(last, _)| *last == day) {
            out.pop();
        }
        if out.last().is_none_or(|(_, last)| last != value) {
            out.push((day, value.to_owned()));
        }
    }
    out.is_sorted_by_key(|(day, _)| *day).then_some(out)
}

/// A number in groups of seven bits, the lowest first.
fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
