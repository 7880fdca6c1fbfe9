//! YAML that nobody trusts: nested deep, or a few lines whose aliases stand for
//! a thousand million, it is refused before anything is built from it.

use std::collections::HashMap;

use saphyr::{LoadableYamlNode, Yaml};
use saphyr_parser::{Event, Parser};

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// The most nodes that the aliases of a document stand for.
const MAX_ALIASED: usize = 100_000;

/// The documents of a text.
///
/// # Errors
/// Why it can't be read, in words.
pub fn load(text: &str) -> Result<Vec<Yaml<'_>>, String> {
    check(text)?;
    Yaml::load_from_str(text).map_err(|error| error.to_string())
}

fn check(text: &str) -> Result<(), String> {
    // The anchor (0 is none) and the nodes so far of each open collection.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    let mut aliased = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        let size = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, 1));
                if open.len() > MAX_DEPTH {
                    return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (anchor, size) = open.pop().unwrap_or_default();
                sizes.insert(anchor, size);
                size
            }
            Event::Scalar(_, _, anchor, _) => {
                sizes.insert(anchor, 1);
                1
            }
            Event::Alias(anchor) => {
                let size = sizes.get(&anchor).copied().unwrap_or(1);
                aliased = aliased.saturating_add(size);
                if aliased > MAX_ALIASED {
                    return Err(format!("its aliases stand for over {MAX_ALIASED} nodes"));
                }
                size
            }
            _ => continue,
        };
        if let Some((_, above)) = open.last_mut() {
            *above += size;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_grow_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let above = n - 1;
            let all = vec![format!("*a{above}"); 10].join(", ");
            bomb += &format!("a{n}: &a{n} [{all}]\n");
        }
        let error = load(&bomb).unwrap_err();
        assert!(error.contains("aliases stand for"), "{error}");
        for open in ["[", "{a: ", "- "] {
            let error = load(&open.repeat(100_000)).unwrap_err();
            let deep = ["deep", "recursion"]
                .iter()
                .any(|word| error.contains(word));
            assert!(deep, "{error}");
        }
        let plain = "x: &x\n  build: .\na: *x\nb:\n  <<: *x\n";
        let documents = load(plain).unwrap();
        assert_eq!(documents.len(), 1);
        assert!(documents[0].is_mapping());
    }
}
