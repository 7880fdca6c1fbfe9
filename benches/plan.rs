//! Parse and plan over a generated tree of ordinary Dockerfiles of about 1 kB,
//! beside reading the same files and beside other parsers, in one run:
//! `cargo bench`. Throughput is printed as elements (files) a second. The whole
//! process on one file stands beside `/bin/true` and `cat`.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dfmigrate::facts::Facts;
use dfmigrate::plan::{Options, plan};
use dfmigrate::syntax;

const FILES: usize = 500;

const BASES: [&str; 8] = [
    "node:20",
    "python:3.12",
    "node:22-alpine",
    "golang:1.24",
    "python:3.13-slim",
    "ruby:3.3",
    "debian:bookworm-slim",
    "example.com/team/base:1.4",
];

/// An ordinary Dockerfile; the same for the same number.
fn dockerfile(number: usize) -> String {
    let base = BASES[number % BASES.len()];
    let packages = [
        "curl git",
        "build-essential libpq-dev",
        "jq tini",
        "ca-certificates",
    ];
    let packages = packages[number / 3 % packages.len()];
    format!(
        "# Service {number}: built by the platform team, see the handbook before changing it.\n\
         FROM {base}\n\n\
         ARG BUILD_NUMBER={number}\n\
         ENV APP_HOME=/srv/app{number} \\\n    LANG=C.UTF-8 \\\n    BUILD=$BUILD_NUMBER\n\n\
         # System packages\n\
         RUN apt-get update \\\n && apt-get install -y --no-install-recommends \\\n      {packages} \\\n      procps \\\n && rm -rf /var/lib/apt/lists/*\n\n\
         WORKDIR /srv/app{number}\n\n\
         COPY package.json package-lock.json requirements.txt ./\n\
         RUN if [ -f requirements.txt ]; then pip install --no-cache-dir -r requirements.txt; fi\n\
         COPY --chown=1000:1000 . .\n\
         RUN ./scripts/prepare.sh --target \"$APP_HOME\" && chmod -R g+rX . && echo \"done $(date)\"\n\n\
         EXPOSE {port} 9090/tcp\n\
         HEALTHCHECK --interval=30s --timeout=3s CMD curl -fsS http://localhost:{port}/health || exit 1\n\
         LABEL org.opencontainers.image.title=\"service-{number}\" org.opencontainers.image.vendor=\"Example\"\n\
         USER 1000:1000\n\
         ENTRYPOINT [\"/usr/local/bin/entrypoint.sh\"]\n\
         CMD [\"serve\", \"--port\", \"{port}\"]\n",
        port = 3000 + number % 1000
    )
}

fn tree() -> Vec<String> {
    (0..FILES).map(dockerfile).collect()
}

fn in_process(c: &mut Criterion) {
    let texts = tree();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths: Vec<PathBuf> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let path = folder.path().join(format!("{number}.Dockerfile"));
            std::fs::write(&path, text).expect("a file is written");
            path
        })
        .collect();
    let mut group = c.benchmark_group("files");
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("read", |b| {
        b.iter(|| {
            for path in &paths {
                black_box(std::fs::read(path).expect("it is there"));
            }
        });
    });
    group.bench_function("parse", |b| {
        b.iter(|| {
            for text in &texts {
                black_box(syntax::parse(text.as_bytes()));
            }
        });
    });
    group.bench_function("parse and plan", |b| {
        let options = Options::default();
        b.iter(|| {
            for text in &texts {
                black_box(plan(text.as_bytes().to_vec(), Facts::none(), &options));
            }
        });
    });
    group.bench_function("dockerfile-parser (parse only)", |b| {
        b.iter(|| {
            for text in &texts {
                let _ = black_box(dockerfile_parser::Dockerfile::parse(text));
            }
        });
    });
    group.bench_function("parse-dockerfile (parse only)", |b| {
        b.iter(|| {
            for text in &texts {
                let _ = black_box(parse_dockerfile::parse(text));
            }
        });
    });
    group.finish();
}

fn whole_process(c: &mut Criterion) {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/example/node/Dockerfile"
    );
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .expect("it starts");
        assert!(status.success());
    };
    let mut group = c.benchmark_group("one process");
    group.bench_function("true", |b| b.iter(|| run("/bin/true", &[])));
    group.bench_function("cat", |b| b.iter(|| run("cat", &[example])));
    group.bench_function("dfmigrate", |b| {
        b.iter(|| run(env!("CARGO_BIN_EXE_dfmigrate"), &[example]));
    });
    group.finish();
}

criterion_group!(benches, in_process, whole_process);
criterion_main!(benches);
