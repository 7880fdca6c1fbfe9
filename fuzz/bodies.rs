// What each fuzz target holds to be true of any bytes. cargo-fuzz runs them from
// `fuzz_targets`, and `tests/fuzz.rs` as plain tests.

use dfmigrate::context::GivenFiles;
use dfmigrate::facts::{Facts, Files as _};
use dfmigrate::plan::{self, Options};
use dfmigrate::report::{FileReport, Outcome, PatchName, inspect_line, stream_line};
use dfmigrate::syntax::{self, Environment, shell};

/// Every byte lies in exactly one item, in order, and what is read can be told.
pub fn parse(data: &[u8]) {
    let file = syntax::parse(data);
    assert_eq!(file.source(), data);
    let mut at = file.items().first().map_or(0, |item| item.span().start);
    // Before the first there is a byte order mark at most.
    assert!(at == 0 || (at == 3 && data.starts_with(b"\xef\xbb\xbf")));
    for item in file.items() {
        let span = item.span();
        assert_eq!(span.start, at);
        assert!(span.end > span.start);
        at = span.end;
    }
    assert!(at as usize == data.len() || file.items().is_empty());
    let line = inspect_line("x", &file);
    serde_json::from_str::<serde_json::Value>(&line).expect("it is JSON");
}

/// Commands and their words lie in the text, in order of place within a command.
pub fn shell(data: &[u8]) {
    let script = shell::parse(data);
    for command in script.commands() {
        let mut at = 0;
        for word in &command.words {
            let span = word.span;
            assert!(span.start >= at && span.end >= span.start);
            assert!(span.end as usize <= data.len());
            at = span.end;
        }
    }
}

/// Each variable holds the whole text.
struct Same<'a>(&'a str);

impl Environment for Same<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (!name.starts_with('U')).then(|| self.0.to_owned())
    }
}

/// A result stays within its bounds.
pub fn expand(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for escape in [b'\\', b'`'] {
        let env = Same(&text);
        if let Ok(result) = syntax::expand(&text, escape, &env) {
            assert!(result.len() <= 64 * 1024);
        }
        if let Ok(words) = syntax::expand_words(&text, escape, &env) {
            assert!(words.iter().map(String::len).sum::<usize>() <= 64 * 1024);
        }
    }
}

/// What is planned is a valid file, is what the edits make, and a second run has
/// nothing to add.
pub fn plan(data: &[u8]) {
    let options = Options::default();
    let plan = plan::plan(data.to_vec(), Facts::none(), &options);
    assert_eq!(plan.edits.apply(data), plan.after);
    if !plan.changes() {
        assert_eq!(plan.after, data);
        return;
    }
    assert!(plan.errors().is_empty());
    let again = plan::plan(plan.after.clone(), Facts::none(), &options);
    assert!(again.errors().is_empty());
    assert!(!again.changes());
}

/// A Dockerfile, then paths and contents of a build context, separated by NUL:
/// the answer is one line, JSON, and has the identifier.
pub fn stream(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let mut rest = parts.map(|part| String::from_utf8_lossy(part).into_owned());
    let mut files = Vec::new();
    while let (Some(path), Some(content)) = (rest.next(), rest.next()) {
        files.push((path, content));
    }
    let id = serde_json::json!({"bytes": data.len()});
    let options = Options::default();
    let name = PatchName(b"Dockerfile".to_vec());
    let line = match GivenFiles::new(files, data.len().is_multiple_of(2), "Dockerfile") {
        Err(why) => answer(&id, &name, Outcome::Failed(&why)),
        Ok(files) => {
            for (entry, _) in files.list("").yes().unwrap_or_default() {
                assert_eq!(files.exists(&entry).yes(), Some(true), "{entry:?}");
            }
            let plan = plan::plan(text.to_vec(), Facts::offline(&files), &options);
            answer(&id, &name, Outcome::Planned(&plan))
        }
    };
    assert!(!line.chars().any(char::is_control));
    let answer: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
    assert_eq!(answer["id"], id);
}

fn answer(id: &serde_json::Value, name: &PatchName, outcome: Outcome<'_>) -> String {
    let file = FileReport {
        shown: "Dockerfile",
        path: "Dockerfile",
        patch_name: name,
        outcome,
        proof: None,
    };
    stream_line(id, &file)
}
