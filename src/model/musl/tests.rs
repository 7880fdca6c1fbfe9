use std::collections::BTreeMap;

use super::*;
use crate::facts::Unavailable;
use crate::model::effects;
use crate::syntax;

/// A build context in memory.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(p, t)| ((*p).to_owned(), t.as_bytes().to_vec()));
        Self(files.collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> Known<Vec<u8>> {
        self.0.get(path).cloned().map_or(Known::No, Known::Yes)
    }
    fn bytes(&self, path: &str, cap: u64) -> Known<Vec<u8>> {
        match self.read(path) {
            Known::Yes(bytes) if bytes.len() as u64 > cap => {
                Known::Unknown(Unavailable::TooLarge(bytes.len() as u64))
            }
            other => other,
        }
    }
    fn head(&self, path: &str, len: usize) -> Known<Vec<u8>> {
        match self.read(path) {
            Known::Yes(bytes) => Known::Yes(bytes.into_iter().take(len).collect()),
            other => other,
        }
    }
    fn exists(&self, path: &str) -> Known<bool> {
        match self.0.contains_key(path) {
            true => Known::Yes(true),
            false => Known::No,
        }
    }
    fn list(&self, path: &str) -> Known<Vec<(String, bool)>> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let mut names: Vec<(String, bool)> = Vec::new();
        for key in self.0.keys().filter_map(|k| k.strip_prefix(&prefix)) {
            let (name, folder) = match key.split_once('/') {
                Some((name, _)) => (name, true),
                None => (key, false),
            };
            if !names.iter().any(|(n, _)| n == name) {
                names.push((name.to_owned(), folder));
            }
        }
        if names.is_empty() {
            Known::No
        } else {
            Known::Yes(names)
        }
    }
}

/// What the oracle says of the last stage of a Dockerfile.
fn asked(dockerfile: &str, image: &str, files: &dyn Files) -> Answer {
    let file = syntax::parse(dockerfile.as_bytes().to_vec());
    assert!(file.errors().is_empty());
    let model = Model::of(&file);
    let stage = model.stages.len() - 1;
    let ledger = effects::ledger(&model, stage, files, "/");
    ask(&Question {
        model: &model,
        stage,
        ledger: &ledger,
        files,
        image,
        python: (image == "python").then_some(12),
        processors: &[Processor::Amd64, Processor::Arm64],
    })
}

fn of(answer: &Answer, name: &str) -> Option<(&'static str, Verdict)> {
    let found = answer.findings.iter().find(|f| f.what.starts_with(name));
    found.map(|f| (f.signal, f.verdict))
}

const NODE: &str = "FROM node:22\nWORKDIR /app\nCOPY . .\nRUN npm ci\nCMD [\"node\", \"x.js\"]\n";

fn npm_lock(packages: &str) -> Memory {
    let text = format!("{{\"lockfileVersion\": 3, \"packages\": {{ \"\": {{}}, {packages} }} }}");
    Memory::of(&[("package-lock.json", &text)])
}

#[test]
fn a_lock_of_plain_javascript_is_fine() {
    let files = npm_lock(r#""node_modules/express": {"version": "4.0.0"}"#);
    let answer = asked(NODE, "node", &files);
    assert_eq!((answer.findings.len(), answer.packages), (0, 1));
}

#[test]
fn a_package_with_an_install_script_is_judged_by_name_or_unknown() {
    let files = npm_lock(
        r#""node_modules/core-js": {"version": "3.0.0", "hasInstallScript": true},
"node_modules/bcrypt": {"version": "5.1.1", "hasInstallScript": true, "dependencies": {"node-addon-api": "5"}},
"node_modules/argon2": {"version": "0.44.0", "hasInstallScript": true},
"node_modules/mystery": {"version": "1.0.0", "hasInstallScript": true},
"node_modules/cypress": {"version": "13.0.0", "hasInstallScript": true, "dev": true}"#,
    );
    let answer = asked(NODE, "node", &files);
    assert_eq!(of(&answer, "core-js"), None);
    assert_eq!(
        of(&answer, "bcrypt 5.1.1"),
        Some(("npm.download.musl", Verdict::Needs))
    );
    assert_eq!(
        of(&answer, "argon2"),
        Some(("npm.prebuilds.musl", Verdict::Needs))
    );
    assert_eq!(
        of(&answer, "mystery"),
        Some(("npm.installscript.unknown", Verdict::Unknown))
    );
    assert_eq!(
        of(&answer, "cypress"),
        Some(("npm.blocker", Verdict::Blocker))
    );
    let production = NODE.replace("npm ci", "npm ci --omit=dev");
    assert_eq!(of(&asked(&production, "node", &files), "cypress"), None);
    let open = answer.open();
    assert_eq!(open.len(), 2);
    assert!(
        open[0].what.starts_with("cypress"),
        "the gravest comes first"
    );
    assert!(open[0].remedy().unwrap().contains("slim"));
}

#[test]
fn families_need_their_musl_part_in_the_lock() {
    let parent = r#""node_modules/x": {"version": "1.0.0", "optionalDependencies": {
 "@x/linux-x64-gnu": "1", "@x/linux-x64-musl": "1", "@x/linux-arm64-gnu": "1", "@x/linux-arm64-musl": "1", "@x/darwin-arm64": "1"}}"#;
    let part = |cpu: &str, libc: &str| {
        format!(
            r#", "node_modules/@x/linux-{cpu}-{libc}": {{"version": "1.0.0", "optional": true, "os": ["linux"], "cpu": ["{cpu}"], "libc": ["{}"]}}"#,
            if libc == "gnu" { "glibc" } else { "musl" }
        )
    };
    let all = format!(
        "{parent}{}{}{}{}",
        part("x64", "gnu"),
        part("x64", "musl"),
        part("arm64", "gnu"),
        part("arm64", "musl")
    );
    assert_eq!(asked(NODE, "node", &npm_lock(&all)).findings, []);
    let gap = format!(
        "{parent}{}{}{}",
        part("x64", "gnu"),
        part("x64", "musl"),
        part("arm64", "gnu")
    );
    let answer = asked(NODE, "node", &npm_lock(&gap));
    assert_eq!(
        of(&answer, "x 1.0.0"),
        Some(("npm.family.musl.lockgap", Verdict::Blocker))
    );
    assert!(answer.findings[0].why.contains("arm64"));
    let glibc = r#""node_modules/x": {"version": "1.0.0", "optionalDependencies": {"@x/linux-x64-gnu": "1"}}"#;
    let answer = asked(
        NODE,
        "node",
        &npm_lock(&format!("{glibc}{}", part("x64", "gnu"))),
    );
    assert_eq!(
        of(&answer, "x 1.0.0"),
        Some(("npm.family.glibc", Verdict::Blocker))
    );
}

#[test]
fn node_without_a_lock_is_unknown_unless_it_installs_nothing() {
    let files = Memory::of(&[("package.json", r#"{"dependencies": {"express": "4"}}"#)]);
    let answer = asked(NODE, "node", &files);
    assert_eq!(
        of(&answer, "no package-lock.json"),
        Some(("npm.installscript.unknown", Verdict::Unknown))
    );
    let files = Memory::of(&[("package.json", r#"{"name": "x"}"#)]);
    assert_eq!(asked(NODE, "node", &files).findings, []);
}

#[test]
fn older_locks_are_judged_by_what_packages_depend_on() {
    let files = Memory::of(&[(
        "package-lock.json",
        r#"{"lockfileVersion": 1, "dependencies": {
 "pg-native": {"version": "3.0.0", "requires": {"nan": "2"}}, "other": {"version": "1.0.0", "requires": {"nan": "2"}},
 "nan": {"version": "2.0.0"}}}"#,
    )]);
    let answer = asked(NODE, "node", &files);
    assert_eq!(
        of(&answer, "pg-native"),
        Some(("npm.compile", Verdict::Needs))
    );
    assert!(answer.findings[0].runtime.contains(&"libpq"));
    assert_eq!(
        of(&answer, "other"),
        Some(("npm.compile", Verdict::Unknown))
    );
    assert_eq!(of(&answer, "nan"), None);
    assert_eq!(answer.doubts.len(), 1);
}

const PYTHON: &str =
    "FROM python:3.12\nWORKDIR /app\nCOPY . .\nRUN uv sync\nCMD [\"python\", \"x.py\"]\n";

fn uv_lock(name: &str, files: &[&str]) -> Memory {
    let mut text = format!(
        "version = 1\n\n[[package]]\nname = \"{name}\"\nversion = \"1.0\"\nsource = {{ registry = \"https://r\" }}\nwheels = [\n"
    );
    for file in files {
        text.push_str(&format!("    {{ url = \"https://r/{file}\" }},\n"));
    }
    text.push_str("]\n");
    Memory::of(&[("uv.lock", &text)])
}

#[test]
fn wheels_are_looked_at_for_each_processor_and_python() {
    let verdict = |files: &[&str]| {
        let answer = asked(PYTHON, "python", &uv_lock("x", files));
        of(&answer, "x 1.0")
    };
    let x86 = "x-1.0-cp312-cp312-musllinux_1_2_x86_64.whl";
    let arm = "x-1.0-cp312-cp312-musllinux_1_2_aarch64.whl";
    let glibc = "x-1.0-cp312-cp312-manylinux_2_28_x86_64.whl";
    assert_eq!(verdict(&["x-1.0-py3-none-any.whl"]), None);
    assert_eq!(verdict(&[x86, arm, glibc]), None);
    assert_eq!(
        verdict(&[x86, glibc]),
        Some(("py.nowheel.nosdist", Verdict::Blocker))
    );
    assert_eq!(
        verdict(&[glibc]),
        Some(("py.nowheel.nosdist", Verdict::Blocker))
    );
    assert_eq!(
        verdict(&[glibc, "x-1.0.tar.gz"]),
        Some(("py.nowheel.sdist", Verdict::Unknown))
    );
    let other = [
        "x-1.0-cp313-cp313-musllinux_1_2_x86_64.whl",
        "x-1.0-cp313-cp313-musllinux_1_2_aarch64.whl",
    ];
    assert_eq!(
        verdict(&other),
        Some(("py.nowheel.nosdist", Verdict::Blocker))
    );
}

#[test]
fn requirements_are_judged_by_name() {
    let text = "flask==3.0.0\npsycopg2==2.9.9\ntorch==2.0.0\nnobody-knows==1.0\n-r more.txt\n";
    let files = Memory::of(&[("requirements.txt", text), ("more.txt", "opencv-python\n")]);
    let dockerfile = PYTHON.replace("uv sync", "pip install -r requirements.txt");
    let answer = asked(&dockerfile, "python", &files);
    assert_eq!(of(&answer, "flask"), None);
    assert_eq!(
        of(&answer, "psycopg2"),
        Some(("py.sdist.only", Verdict::Needs))
    );
    assert_eq!(
        of(&answer, "torch"),
        Some(("py.nowheel.sdist", Verdict::Blocker))
    );
    assert_eq!(
        of(&answer, "nobody-knows"),
        Some(("py.noinfo", Verdict::Unknown))
    );
    assert_eq!(
        of(&answer, "opencv-python (more.txt:1)"),
        Some(("py.nowheel.sdist", Verdict::Blocker))
    );
    let psycopg2 = answer
        .findings
        .iter()
        .find(|f| f.what.starts_with("psycopg2"))
        .unwrap();
    assert_eq!(psycopg2.runtime, ["libpq"]);
    assert!(psycopg2.build.contains(&"libpq-dev") && psycopg2.build.contains(&"build-base"));
}

#[test]
fn go_is_fine_without_cgo() {
    let dockerfile =
        "FROM golang:1.24\nWORKDIR /src\nCOPY . .\nRUN go build -o /app .\nCMD [\"/app\"]\n";
    let files = Memory::of(&[
        (
            "go.mod",
            "module x\nrequire github.com/mattn/go-sqlite3 v1.14.0\n",
        ),
        ("main.go", "package main\n"),
    ]);
    let answer = asked(dockerfile, "golang", &files);
    assert_eq!(
        of(&answer, "github.com/mattn/go-sqlite3"),
        Some(("go.cgo.module", Verdict::Needs))
    );
    let off = dockerfile.replace("RUN go", "RUN CGO_ENABLED=0 go");
    assert_eq!(asked(&off, "golang", &files).findings, []);
    let own = Memory::of(&[
        ("go.mod", "module x\n"),
        ("c/c.go", "package c\n\nimport \"C\"\n"),
    ]);
    assert_eq!(
        of(&asked(dockerfile, "golang", &own), "import \"C\" in c/c.go"),
        Some(("go.cgo.module", Verdict::Needs))
    );
    let blocked = Memory::of(&[("go.mod", "module x\nrequire rogchap.com/v8go v0.9.0\n")]);
    assert_eq!(
        of(&asked(dockerfile, "golang", &blocked), "rogchap.com/v8go"),
        Some(("go.cgo.prebuilt", Verdict::Blocker))
    );
}

#[test]
fn crates_that_bind_libraries() {
    let dockerfile =
        "FROM rust:1.85\nWORKDIR /src\nCOPY . .\nRUN cargo build --release\nCMD [\"/src/x\"]\n";
    let crates = |names: &[&str]| {
        let rows: Vec<String> = names.iter().map(|n| format!("[[package]]\nname = \"{n}\"\nversion = \"1.0.0\"\nsource = \"registry+https://r\"\n")).collect();
        Memory::of(&[("Cargo.lock", &format!("version = 4\n\n{}", rows.join("\n")))])
    };
    let answer = asked(
        dockerfile,
        "rust",
        &crates(&["serde", "openssl-sys", "odd-sys", "windows-sys"]),
    );
    assert_eq!(of(&answer, "openssl-sys"), Some(("rs.sys", Verdict::Needs)));
    assert!(answer.findings[0].build.contains(&"openssl-dev"));
    assert_eq!(of(&answer, "odd-sys"), Some(("rs.sys", Verdict::Unknown)));
    assert_eq!(of(&answer, "windows-sys"), None);
    let vendored = asked(dockerfile, "rust", &crates(&["openssl-sys", "openssl-src"]));
    assert!(
        !vendored
            .findings
            .iter()
            .any(|f| f.build.contains(&"openssl-dev"))
    );
}

#[test]
fn gems_by_their_platforms() {
    let dockerfile =
        "FROM ruby:3.3\nWORKDIR /app\nCOPY . .\nRUN bundle install\nCMD [\"ruby\", \"x.rb\"]\n";
    let gems = |specs: &str| {
        Memory::of(&[(
            "Gemfile.lock",
            &format!("GEM\n  specs:\n{specs}\nPLATFORMS\n  x86_64-linux\n"),
        )])
    };
    let answer = asked(
        dockerfile,
        "ruby",
        &gems("    pg (1.5.9)\n    nokogiri (1.17.0-x86_64-linux)\n    rack (3.0.0)\n"),
    );
    assert_eq!(of(&answer, "pg"), Some(("rb.native", Verdict::Needs)));
    assert_eq!(
        of(&answer, "nokogiri"),
        Some(("rb.platform", Verdict::Blocker))
    );
    assert_eq!(of(&answer, "rack"), None);
    let musl = gems(
        "    nokogiri (1.17.0-x86_64-linux-musl)\n    nokogiri (1.17.0-aarch64-linux-musl)\n    nokogiri (1.17.0-x86_64-linux)\n",
    );
    assert_eq!(asked(dockerfile, "ruby", &musl).findings, []);
}

#[test]
fn java_dotnet_and_elixir_by_name() {
    let java = "FROM eclipse-temurin:21\nWORKDIR /app\nCOPY . .\nRUN mvn package\nCMD [\"java\", \"-jar\", \"x.jar\"]\n";
    let pom = |artifact: &str| {
        Memory::of(&[(
            "pom.xml",
            &format!(
                "<project><dependencies><dependency><groupId>{}</groupId><artifactId>{}</artifactId></dependency></dependencies></project>",
                artifact.split(':').next().unwrap(),
                artifact.split(':').nth(1).unwrap()
            ),
        )])
    };
    assert_eq!(
        of(
            &asked(
                java,
                "eclipse-temurin",
                &pom("io.netty:netty-tcnative-boringssl-static")
            ),
            "io.netty"
        ),
        Some(("jv.tcnative", Verdict::Blocker))
    );
    assert_eq!(
        of(
            &asked(
                java,
                "eclipse-temurin",
                &pom("org.xerial.snappy:snappy-java")
            ),
            "org.xerial"
        ),
        Some(("jv.jni.gcompat", Verdict::Needs))
    );
    assert_eq!(
        asked(java, "eclipse-temurin", &pom("org.slf4j:slf4j-api")).findings,
        []
    );

    let dotnet = "FROM x\nWORKDIR /app\nCOPY . .\nRUN dotnet publish -c Release\nCMD [\"dotnet\", \"x.dll\"]\n";
    let project = |inner: &str| {
        Memory::of(&[(
            "x.csproj",
            &format!(
                "<Project><PropertyGroup>{inner}</PropertyGroup><ItemGroup><PackageReference Include=\"Grpc.Core\" Version=\"2.46.6\"/></ItemGroup></Project>"
            ),
        )])
    };
    let answer = asked(
        dotnet,
        "x",
        &project("<RuntimeIdentifier>linux-x64</RuntimeIdentifier>"),
    );
    assert_eq!(
        of(&answer, "Grpc.Core"),
        Some(("dn.native", Verdict::Blocker))
    );
    assert_eq!(of(&answer, "x.csproj"), Some(("dn.icu", Verdict::Needs)));
    assert_eq!(
        of(&answer, "RuntimeIdentifier"),
        Some(("dn.rid", Verdict::Blocker))
    );

    let mix = "FROM elixir:1.17\nWORKDIR /app\nCOPY . .\nRUN mix deps.get\nCMD [\"mix\"]\n";
    let lock = Memory::of(&[(
        "mix.lock",
        "%{\n  \"bcrypt_elixir\": {:hex, :bcrypt_elixir, \"3.1.0\"},\n  \"ecto\": {:hex, :ecto, \"3.0.0\"},\n}\n",
    )]);
    let answer = asked(mix, "elixir", &lock);
    assert_eq!(
        of(&answer, "bcrypt_elixir"),
        Some(("sys.elf", Verdict::Needs))
    );
    assert_eq!(answer.findings.len(), 1);
}

#[test]
fn programs_for_glibc_in_the_context_stand_in_the_way() {
    // The program that runs these tests, which is dynamic on Linux.
    let own = std::env::current_exe()
        .ok()
        .and_then(|path| std::fs::read(path).ok());
    let own = own.expect("a running program can be read");
    let mut files = npm_lock(r#""node_modules/express": {"version": "4.0.0"}"#);
    files.0.insert("bin/tool".to_owned(), own);
    files.0.insert("run.sh".to_owned(), b"#!/bin/sh\n".to_vec());
    let answer = asked(NODE, "node", &files);
    let expected = if cfg!(target_env = "gnu") {
        Some(("sys.elf", Verdict::Blocker))
    } else {
        None
    };
    assert_eq!(of(&answer, "bin/tool"), expected);
    let aside = NODE.replace("COPY . .", "COPY package-lock.json ./");
    assert_eq!(of(&asked(&aside, "node", &files), "bin/tool"), None);
}

#[test]
fn php_extensions_bring_their_libraries() {
    let dockerfile = "FROM php:8.2-cli\nRUN docker-php-ext-install intl bcmath && pecl install redis\nCMD [\"php\", \"x.php\"]\n";
    let answer = asked(dockerfile, "php", &Memory::default());
    let intl = answer
        .findings
        .iter()
        .find(|f| f.what.contains("intl"))
        .unwrap();
    assert_eq!(
        (intl.signal, intl.runtime.contains(&"icu-libs")),
        ("php.ext", true)
    );
    assert!(
        answer
            .findings
            .iter()
            .any(|f| f.build.contains(&"autoconf"))
    );
}
