//! What compose files, bake files and dev containers say of builds: which
//! Dockerfile, in which context. Their texts come from trees that nobody trusts.
//!
//! Only what is written out counts. A context or Dockerfile with a variable or a
//! function in it, in another repository or in the file itself says nothing.

use std::collections::BTreeSet;

use hcl_edit::expr::Expression;
use hcl_edit::structure::Body;
use saphyr::Yaml;
use serde_json::Value;

use crate::model::yaml;

/// A build that a file defines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Build {
    /// What it is called there, such as `service web`.
    pub name: String,
    /// The context, relative to the folder of the file (of a dev container: of
    /// its `devcontainer.json`).
    pub context: String,
    /// The Dockerfile, relative to the context, unless that says otherwise.
    pub dockerfile: String,
    /// Whether the Dockerfile is relative to the folder of the file as well.
    pub beside: bool,
}

/// The forms of such files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Compose,
    BakeHcl,
    BakeJson,
    DevContainer,
}

impl Form {
    /// The form that a file's name says.
    pub(super) fn of(name: &str) -> Option<Self> {
        if [".devcontainer.json", "devcontainer.json"].contains(&name) {
            return Some(Self::DevContainer);
        }
        if ["docker-bake.hcl", "docker-bake.override.hcl"].contains(&name) {
            return Some(Self::BakeHcl);
        }
        if ["docker-bake.json", "docker-bake.override.json"].contains(&name) {
            return Some(Self::BakeJson);
        }
        let stem = name
            .strip_suffix(".yaml")
            .or_else(|| name.strip_suffix(".yml"))?;
        let stem = stem.strip_prefix("docker-").unwrap_or(stem);
        let rest = stem.strip_prefix("compose")?;
        (rest.is_empty() || rest.starts_with(['.', '-', '_'])).then_some(Self::Compose)
    }

    /// The builds of a file; none where it can't be read.
    pub(super) fn builds(self, text: &str) -> Vec<Build> {
        match self {
            Self::Compose => compose(text),
            Self::BakeHcl => text
                .parse()
                .map_or_else(|_| Vec::new(), |body| bake(&Hcl(body))),
            Self::BakeJson => json(text).map_or_else(Vec::new, |value| bake(&Json(value))),
            Self::DevContainer => json(text)
                .as_ref()
                .and_then(devcontainer)
                .into_iter()
                .collect(),
        }
    }
}

fn build(name: String, context: Option<&str>, dockerfile: Option<&str>) -> Option<Build> {
    let build = Build {
        name,
        context: context.unwrap_or(".").to_owned(),
        dockerfile: dockerfile.unwrap_or("Dockerfile").to_owned(),
        beside: false,
    };
    let said = |text: &str| !text.is_empty() && !text.contains(['$', '\0', '\\']);
    // A remote context has a scheme, or is `git@host:…` or `github.com/…`.
    let remote = build.context.contains(':') || build.context.starts_with("github.com/");
    (said(&build.context) && said(&build.dockerfile) && !remote).then_some(build)
}

fn json(text: &str) -> Option<Value> {
    jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default()).ok()
}

/// The value of a key, its own or one that `<<` brings in.
fn get<'y>(node: &'y Yaml<'y>, key: &str) -> Option<&'y Yaml<'y>> {
    if let Some(own) = node.as_mapping_get(key) {
        return Some(own);
    }
    let merged = node.as_mapping_get("<<")?;
    match merged.as_sequence() {
        Some(all) => all.iter().find_map(|one| one.as_mapping_get(key)),
        None => merged.as_mapping_get(key),
    }
}

fn compose(text: &str) -> Vec<Build> {
    let documents = yaml::load(text).unwrap_or_default();
    let services = documents.first().and_then(|root| get(root, "services"));
    let services = services.and_then(Yaml::as_mapping).into_iter().flatten();
    services
        .filter_map(|(name, service)| {
            let name = format!("service {}", name.as_str()?);
            let of = get(service, "build")?;
            if let Some(context) = of.as_str() {
                return build(name, Some(context), None);
            }
            let word = |key: &str| get(of, key).map(|value| value.as_str());
            if !of.is_mapping() || word("dockerfile_inline").is_some() {
                return None;
            }
            // What is there and is no text says nothing.
            let text = |key: &str| word(key).map_or(Some(None), |value| Some(Some(value?)));
            build(name, text("context")?, text("dockerfile")?)
        })
        .collect()
}

fn devcontainer(value: &Value) -> Option<Build> {
    let of = &value["build"];
    let text = |new: &Value, old: &str| {
        let value = if new.is_null() { &value[old] } else { new };
        value.as_str().map(str::to_owned)
    };
    let dockerfile = text(&of["dockerfile"], "dockerFile")?;
    let context = text(&of["context"], "context");
    let build = build(
        "the dev container".to_owned(),
        context.as_deref(),
        Some(&dockerfile),
    )?;
    Some(Build {
        beside: true,
        ..build
    })
}

/// What is written behind a name of a target.
enum Word {
    Text(String),
    Words(Vec<String>),
    /// It must be computed.
    Other,
}

/// The targets of a bake file.
trait Targets {
    fn names(&self) -> Vec<String>;
    fn word(&self, target: &str, key: &str) -> Option<Word>;
}

struct Hcl(Body);

impl Targets for Hcl {
    fn names(&self) -> Vec<String> {
        let blocks = self.0.get_blocks("target");
        let names: BTreeSet<String> = blocks
            .filter_map(|block| Some(block.labels.first()?.as_str().to_owned()))
            .collect();
        names.into_iter().collect()
    }

    fn word(&self, target: &str, key: &str) -> Option<Word> {
        // One of several blocks of a target is added to those before.
        let blocks = self.0.get_blocks("target");
        let value = blocks
            .filter(|block| block.has_exact_labels(&[target]))
            .filter_map(|block| block.body.get_attribute(key))
            .last()?;
        Some(match &value.value {
            Expression::String(text) => Word::Text(text.value().clone()),
            Expression::Array(all) => {
                let words = all.iter().map(|one| one.as_str().map(str::to_owned));
                words
                    .collect::<Option<_>>()
                    .map_or(Word::Other, Word::Words)
            }
            _ => Word::Other,
        })
    }
}

struct Json(Value);

impl Targets for Json {
    fn names(&self) -> Vec<String> {
        let targets = self.0["target"].as_object();
        targets.map_or_else(Vec::new, |targets| targets.keys().cloned().collect())
    }

    fn word(&self, target: &str, key: &str) -> Option<Word> {
        Some(match self.0["target"][target].get(key)? {
            Value::String(text) => Word::Text(text.clone()),
            Value::Array(all) => {
                let words = all.iter().map(|one| one.as_str().map(str::to_owned));
                words
                    .collect::<Option<_>>()
                    .map_or(Word::Other, Word::Words)
            }
            _ => Word::Other,
        })
    }
}

/// The most targets that are looked at for one word.
const MAX_INHERITED: usize = 100;

fn bake(targets: &dyn Targets) -> Vec<Build> {
    let of = |name: String| {
        let text = |key: &str| inherited(targets, &name, key);
        if !matches!(text("dockerfile-inline"), Ok(None)) {
            return None;
        }
        let (context, dockerfile) = (text("context").ok()?, text("dockerfile").ok()?);
        build(
            format!("target {name}"),
            context.as_deref(),
            dockerfile.as_deref(),
        )
    };
    targets.names().into_iter().filter_map(of).collect()
}

/// What a target or those that it inherits from say; an error where that must
/// be computed. The last of several counts.
fn inherited(targets: &dyn Targets, name: &str, key: &str) -> Result<Option<String>, ()> {
    let mut open = vec![name.to_owned()];
    let mut seen = 0;
    while let Some(name) = open.pop() {
        seen += 1;
        if seen > MAX_INHERITED {
            return Err(());
        }
        match targets.word(&name, key) {
            Some(Word::Text(text)) => return Ok(Some(text)),
            Some(_) => return Err(()),
            None => {}
        }
        match targets.word(&name, "inherits") {
            Some(Word::Words(names)) => open.extend(names),
            Some(_) => return Err(()),
            None => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: Form, text: &str) -> Vec<(String, String, String)> {
        let builds = form.builds(text);
        builds
            .into_iter()
            .map(|build| (build.name, build.context, build.dockerfile))
            .collect()
    }

    fn row(name: &str, context: &str, dockerfile: &str) -> (String, String, String) {
        (name.to_owned(), context.to_owned(), dockerfile.to_owned())
    }

    #[test]
    fn names_say_the_form() {
        for (name, form) in [
            ("compose.yaml", Some(Form::Compose)),
            ("compose.prod.yml", Some(Form::Compose)),
            ("docker-compose-dev.yml", Some(Form::Compose)),
            ("docker-compose.override.yaml", Some(Form::Compose)),
            ("composer.yaml", None),
            ("compose.json", None),
            ("docker-bake.hcl", Some(Form::BakeHcl)),
            ("docker-bake.override.json", Some(Form::BakeJson)),
            ("devcontainer.json", Some(Form::DevContainer)),
            ("package.json", None),
        ] {
            assert_eq!(Form::of(name), form, "{name}");
        }
    }

    #[test]
    fn services_of_a_compose_file() {
        let text = "\
x-base: &base
  build:
    context: ..
    dockerfile: docker/base.Dockerfile
services:
  a: {build: ./a}
  b:
    build: {dockerfile: b/Dockerfile, target: x, args: {V: 1}}
  c:
    <<: *base
  d: {build: {context: ., dockerfile_inline: 'FROM x'}}
  e: {build: {context: '${DIR:-.}'}}
  f: {build: 'https://github.com/a/b.git'}
  g: {build: {context: 3}}
  h: {image: redis}
";
        assert_eq!(
            said(Form::Compose, text),
            [
                row("service a", "./a", "Dockerfile"),
                row("service b", ".", "b/Dockerfile"),
                row("service c", "..", "docker/base.Dockerfile"),
            ]
        );
        for broken in [
            "",
            "services: [",
            "services: 3",
            "[]",
            "services: {a: 1, 2: 3}",
            "\0",
        ] {
            assert_eq!(said(Form::Compose, broken), [], "{broken}");
        }
    }

    #[test]
    fn targets_of_a_bake_file() {
        let text = "\
variable \"DIR\" { default = \"x\" }
group \"default\" { targets = [\"a\", \"b\"] }
target \"base\" {
  context = \"src\"
}
target \"a\" {
  inherits = [\"base\"]
  dockerfile = \"../a.Dockerfile\"
}
target \"b\" { context = DIR }
target \"c\" { context = \"${DIR}/c\" }
target \"d\" { dockerfile-inline = \"FROM x\" }
target \"e\" {
  inherits = [\"e\"]
}
target \"f\" { dockerfile = \"f\" }
target \"f\" { context = \"g\" }
";
        let expected = [
            row("target a", "src", "../a.Dockerfile"),
            row("target base", "src", "Dockerfile"),
            row("target f", "g", "f"),
        ];
        assert_eq!(said(Form::BakeHcl, text), expected);
        let text = r#"{"target": {"a": {"inherits": ["base"], "dockerfile": "../a.Dockerfile"},
            "base": {"context": "src"}, "d": {"dockerfile-inline": "FROM x"},
            "f": {"dockerfile": "f", "context": "g"}, "g": {"context": "${X}"}}}"#;
        assert_eq!(said(Form::BakeJson, text), expected);
    }

    #[test]
    fn a_dev_container() {
        let text = "{ // a comment\n \"build\": {\"dockerfile\": \"../Dockerfile\", \"context\": \"..\",},\n}";
        let expected = [row("the dev container", "..", "../Dockerfile")];
        assert_eq!(said(Form::DevContainer, text), expected);
        let old = r#"{"dockerFile": "Dockerfile", "context": ".."}"#;
        assert_eq!(
            said(Form::DevContainer, old),
            [row("the dev container", "..", "Dockerfile")]
        );
        assert_eq!(said(Form::DevContainer, r#"{"image": "x"}"#), []);
    }
}
