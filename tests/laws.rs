//! The laws as properties of generated files.

use dfmigrate::facts::Facts;
use dfmigrate::plan::{Options, plan};
use dfmigrate::rules::Safety;
use dfmigrate::syntax::{self, Item};
use proptest::prelude::*;

/// Lines of real Dockerfiles, and a few that nobody would write.
fn line() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "# a comment",
        "",
        "   ",
        "WORKDIR /app",
        "WORKDIR src",
        "COPY . .",
        "COPY package*.json ./",
        "COPY --chown=node:node . /srv/app",
        "COPY --from=busybox:latest /bin/sh /x",
        "ADD https://example.com/a.tar.gz /opt/",
        "RUN npm ci",
        "RUN npm run build",
        "RUN pip install -r requirements.txt",
        "RUN pip install poetry && poetry install",
        "RUN apt-get update && apt-get install -y gcc libpq-dev curl && rm -rf /var/lib/apt/lists/*",
        "RUN apt-get update \\\n    # a comment inside\n && apt-get install -y --no-install-recommends \\\n      make   jq",
        "RUN useradd -m app && chown -R app /app",
        "RUN ./configure && make install",
        "RUN if true; then echo x; fi",
        "RUN <<EOF\nset -e\napt-get update\nFROM redis import Redis\nEOF",
        "COPY <<E /etc/x\nk=$V\nE",
        "RUN --mount=type=cache,target=/root/.npm npm ci",
        "ENV NODE_ENV=production",
        "ENV A b c",
        "ARG V=1",
        "ENV W=$V",
        "USER node",
        "EXPOSE 3000",
        "VOLUME /data",
        "LABEL a=b",
        "SHELL [\"/bin/bash\", \"-c\"]",
        "HEALTHCHECK CMD curl -f http://localhost/",
        "CMD [\"node\", \"server.js\"]",
        "CMD npm start",
        "ENTRYPOINT [\"python\", \"app.py\"]",
        "cmd [\"x\"]",
    ])
    .prop_map(str::to_owned)
}

fn from() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "FROM node:20",
        "FROM node",
        "from node:18",
        "FROM node:20 AS app",
        "FROM python:3.11",
        "FROM python:3.12 as build",
        "FROM \"python:3.12\"",
        "FROM --platform=linux/amd64 python:latest",
        "FROM node:20-bookworm",
        "FROM python:3.12-slim",
        "FROM debian",
        "ARG B=node:20\nFROM $B",
        "ARG V=20\nFROM node:${V}",
        "FROM example.com/own:1",
        "# syntax=docker/dockerfile:1\nFROM node:22",
    ])
    .prop_map(str::to_owned)
}

fn dockerfile() -> impl Strategy<Value = Vec<u8>> {
    (
        from(),
        prop::collection::vec(line(), 0..12),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(from, lines, crlf, bom, newline)| {
            let mut text = format!("{from}\n{}", lines.join("\n"));
            if newline {
                text.push('\n');
            }
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            if bom {
                text.insert(0, '\u{feff}');
            }
            text.into_bytes()
        })
}

fn comments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let file = syntax::parse(bytes);
    let mut found: Vec<Vec<u8>> = Vec::new();
    for item in file.items() {
        if let Item::Comment(span) = item {
            found.push(span.of(bytes).trim_ascii().to_vec());
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_plan_keeps_the_laws(text in dockerfile()) {
        let review = plan(text.clone(), Facts::none(), &Options::default());
        let file = syntax::parse(text.clone());
        let mut at = 0;
        for item in file.items() {
            prop_assert_eq!(item.span().start as usize, at);
            at = item.span().end as usize;
        }
        prop_assert_eq!(at, text.len());
        if !file.errors().is_empty() {
            prop_assert_eq!(&review.after, &text);
            return Ok(());
        }
        prop_assert!(syntax::parse(review.after.clone()).errors().is_empty());
        let again = plan(review.after.clone(), Facts::none(), &Options::default());
        prop_assert!(!again.changes(), "a second run changes {}", String::from_utf8_lossy(&again.after));
        let kept = comments(&review.after);
        for comment in comments(&text) {
            prop_assert!(kept.contains(&comment), "lost {:?}", String::from_utf8_lossy(&comment));
        }
        prop_assert_eq!(review.after.starts_with("\u{feff}".as_bytes()), text.starts_with("\u{feff}".as_bytes()));
        prop_assert_eq!(review.after.ends_with(b"\n"), text.ends_with(b"\n"));
        if text.contains(&b'\r') {
            let bare = review.after.iter().enumerate().filter(|(i, b)| **b == b'\n' && (*i == 0 || review.after[i - 1] != b'\r'));
            prop_assert_eq!(bare.count(), 0, "a line end changed");
        }
        for rewrite in &review.chosen {
            if rewrite.safety() == Safety::Safe {
                prop_assert!(rewrite.caveats().is_empty());
            }
            prop_assert!(!rewrite.because.is_empty());
        }
        let only_safe = Options { grade: Safety::Safe, ..Options::default() };
        let safe = plan(text, Facts::none(), &only_safe);
        for rewrite in &safe.chosen {
            prop_assert_eq!(rewrite.safety(), Safety::Safe);
        }
        let again = plan(safe.after.clone(), Facts::none(), &only_safe);
        prop_assert!(!again.changes());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut text = b"FROM node:20\nRUN ".to_vec();
        text.extend(&bytes);
        let _ = plan(text, Facts::none(), &Options::default());
        let file = syntax::parse(bytes.clone());
        prop_assert_eq!(file.source(), &bytes[..]);
    }
}
