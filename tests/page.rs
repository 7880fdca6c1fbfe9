//! `--output-format html`: one page by itself, whatever the files are called
//! and hold; read as text, and by a real browser where one is there.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use sha2::Digest as _;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn page(folder: &Path, paths: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .args(paths)
        .args(["--output-format", "html"])
        .current_dir(folder)
        .env("SOURCE_DATE_EPOCH", "1790000000")
        .output()
        .expect("the program starts");
    String::from_utf8(output.stdout).expect("pages are UTF-8")
}

/// A tree whose names and texts try to be more than text.
fn hostile_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().expect("a folder");
    let html = "</pre></script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><style>*{display:none}</style><!--";
    let marks = "\u{1b}[2K\u{9b}31m\u{202e}\u{2066}\u{200b}\r\u{e0041}";
    let put = |name: &str, text: String| {
        std::fs::write(tree.path().join(name), text).expect("it is written");
    };
    let name = html.replace('/', "\u{2215}");
    put(
        &format!("{marks}{name}.Dockerfile"),
        format!("FROM node:20\n# {html}{marks}\nCMD [\"node\", \"{html}\"]\n"),
    );
    put(
        "ignored.Dockerfile",
        format!("# dfmigrate: ignore {html}{marks}\nFROM node:20\nCMD [\"node\"]\n"),
    );
    put(
        "broken.Dockerfile",
        format!("FROM node:20\nNOPE {html}{marks}\n"),
    );
    put(
        "image.Dockerfile",
        "FROM evil.example/<img/src=x>:1\nFROM ghcr.io/a/b:'\"x\nRUN true\n".to_owned(),
    );
    put(
        "Dockerfile",
        "FROM python:3.12\nCMD [\"python3\"]\n".to_owned(),
    );
    tree
}

/// The names of the tags of a page, outside of its style and script.
fn tags(page: &str) -> BTreeSet<&str> {
    let (before, rest) = page.split_once("<style>").expect("a style");
    let (_, rest) = rest.split_once("</style>").expect("its end");
    let (body, after) = rest.rsplit_once("<script>").expect("a script");
    let (_, after) = after.split_once("</script>").expect("its end");
    let parts = [before, body, after];
    let names = parts.into_iter().flat_map(|part| part.split('<').skip(1));
    names
        .map(|tag| {
            let tag = tag.trim_start_matches(['/', '!']);
            let end = tag.find(|c: char| !c.is_ascii_alphanumeric());
            &tag[..end.unwrap_or(tag.len())]
        })
        .collect()
}

#[test]
fn the_page_is_by_itself_and_its_policy_lets_nothing_else_in() {
    let page = page(
        Path::new(ROOT),
        &["fixtures/example", "fixtures/rules/slim-base"],
    );
    let part = |name: &str| {
        let (_, rest) = page.split_once(&format!("<{name}>")).expect(name);
        rest.split_once(&format!("</{name}>")).expect(name).0
    };
    for name in ["style", "script"] {
        assert_eq!(page.matches(&format!("<{name}>")).count(), 1);
        let digest = sha2::Sha256::digest(part(name));
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        let source = format!("{name}-src &#39;sha256-{digest}&#39;");
        assert!(page.contains(&source), "{name}: {source}");
        assert!(!part(name).contains("url(") && !part(name).contains("http"));
    }
    assert!(page.contains("content=\"default-src &#39;none&#39;;"));
    for outside in [" src=", " href=", " style=", "@import", " onclick"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // What is to be read in it.
    for said in [
        "fixtures/example/node/Dockerfile",
        "<ins>+FROM <mark>node:20-bookworm AS build</mark></ins>",
        "because node:20-bookworm",
        "Image references by trust",
        "past its end",
        "<code>node:20</code>",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert_eq!(
        page,
        self::page(
            Path::new(ROOT),
            &["-j1", "fixtures/example", "fixtures/rules/slim-base"]
        )
    );
}

#[test]
fn hostile_files_stay_text() {
    let tree = hostile_tree();
    let page = page(tree.path(), &["."]);
    let known = [
        "article", "b", "body", "br", "code", "del", "details", "div", "doctype", "h1", "h2",
        "head", "header", "html", "i", "input", "ins", "label", "li", "main", "mark", "meta",
        "output", "p", "pre", "rect", "script", "section", "span", "strong", "style", "summary",
        "svg", "table", "caption", "tbody", "td", "th", "thead", "title", "tr", "ul",
    ];
    let found: Vec<&str> = tags(&page)
        .into_iter()
        .filter(|tag| !known.contains(&tag.to_ascii_lowercase().as_str()))
        .collect();
    assert_eq!(found, Vec::<&str>::new());
    assert!(!page.contains("<img") && !page.contains("<!--"));
    assert_eq!(page.matches("<style").count(), 1);
    for mark in [
        '\u{1b}',
        '\u{9b}',
        '\u{202e}',
        '\u{2066}',
        '\u{200b}',
        '\r',
        '\u{e0041}',
    ] {
        assert!(!page.contains(mark), "{mark:?}");
    }
    assert!(page.contains("\\u{202e}") && page.contains("&lt;script&gt;"));
    assert!(page.contains("broken.Dockerfile"));
}

/// What `verify` might have printed of the hostile tree: one file proven, one
/// proven for another rewrite, one that differs; names of layers are hostile.
fn measured(tree: &Path) -> PathBuf {
    let html = "<script>document.title='owned'</script><img src=x>\u{202e}";
    let layer = |made_by: &str, bytes: u64, of_base: bool| serde_json::json!({"made_by": made_by, "bytes": bytes, "compressed": bytes / 3, "of_base": of_base});
    let folder = |path: &str, before: u64, after: u64| serde_json::json!({"path": path, "before": before, "after": after});
    let file = |path: &str, verdict: &str, plan: &str, bytes: [u64; 2]| {
        let images = serde_json::json!({
            "bytes": bytes, "compressed": [bytes[0] / 3, bytes[1] / 3],
            "layers_before": [layer("base", 700_000_000, true), layer(html, 20_000_000, false)],
            "layers_after": [layer("base", 120_000_000, true), layer("COPY . . # buildkit", 1_000, false)],
            "folders": [folder("/usr/lib", 500_000_000, 90_000_000), folder(html, 200_000, 0), folder("/app", 7, 7)],
        });
        serde_json::json!({
            "path": path, "verdict": verdict, "rules": [], "left_out": [], "written": false,
            "refusals": [], "seconds": 1.5, "kept": [], "rounds": [
                {"plan": ["first"], "mends": [], "problems": ["it"], "notes": [], "log": []},
                {"plan": [plan], "mends": [], "problems": [], "notes": [], "log": [], "images": images},
            ],
        })
    };
    let slim = "move the final stage from python:3.12 to python:3.12-slim-trixie";
    let document = serde_json::json!({
        "version": 1, "dfmigrate": "0.1.0", "builder": format!("docker {html}"), "files": [
            file("Dockerfile", "verified", slim, [750_400_000, 207_900_000]),
            file("./ignored.Dockerfile", "mended", "another rewrite", [20_000_000, 10_000_000]),
            file(&format!("{html}.Dockerfile"), "differs", html, [5, 4]),
        ],
    });
    let schema = dfmigrate::verify::document::schema();
    let schema = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(
        validator.is_valid(&document),
        "{:?}",
        validator.validate(&document)
    );
    let path = tree.join("measured.json");
    std::fs::write(&path, document.to_string()).expect("it is written");
    path
}

#[test]
fn what_was_measured_is_drawn_and_said() {
    let tree = hostile_tree();
    measured(tree.path());
    let page = page(tree.path(), &[".", "--measured", "measured.json"]);
    for said in [
        "<span class=\"badge safe\">750.4 → 207.9 MB (-72 %), verified</span>",
        "<caption>Verified savings</caption>",
        "<th scope=\"row\">all that hold, together</th>",
        "770.4 → 217.9 MB (-72 %)",
        "aria-label=\"750.4 MB\"><rect class=\"was\" width=\"975\"",
        "aria-label=\"207.9 MB\"><rect class=\"is\" width=\"270\"",
        "<caption>Layers after</caption>",
        "<code>COPY . .</code>",
        "the base image, 1 layers",
        "(mended) were of something else: another rewrite",
        ".Dockerfile</code>: differs, so it saves nothing",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // Folders that stay as they are tell nothing.
    assert!(!page.contains(">/app<"));
    assert!(!page.contains("<img") && !page.contains('\u{202e}'));
    assert_eq!(page.matches("<script").count(), 1);
    // It is for the page alone, and has to be what it is said to be.
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfmigrate"));
        let output = command.args(args).current_dir(tree.path()).output();
        let output = output.expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    };
    let (code, error) = run(&["--measured", "measured.json"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("needs --output-format html"), "{error}");
    for (text, said) in [
        (
            "{}",
            "is not what `dfmigrate verify --output-format json` prints",
        ),
        (
            "{\"version\":2,\"dfmigrate\":\"9\",\"builder\":\"x\",\"files\":[]}",
            "is of version 2",
        ),
    ] {
        std::fs::write(tree.path().join("wrong.json"), text).expect("it is written");
        let (code, error) = run(&["--output-format", "html", "--measured", "wrong.json"]);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(said), "{error}");
    }
    let Some(browser) = browser() else { return };
    let shown = dom(&browser, &page, "");
    assert!(
        shown.contains("<title>dfmigrate: Dockerfiles</title>"),
        "{shown}"
    );
    assert!(shown.contains(">5 of 5 files</output>"), "{shown}");
    assert!(
        shown.contains("<rect class=\"is\" width=\"270\""),
        "{shown}"
    );
}

/// A browser without a window.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| {
        let mut files = names.iter().map(|name| folder.join(name));
        files.find(|file| file.is_file())
    })
}

/// The page as the browser has it once its script ran.
fn dom(browser: &Path, page: &str, fragment: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("page.html");
    std::fs::write(&file, page).expect("it is written");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("user").display()
        ))
        .arg(format!("file://{}#{fragment}", file.display()))
        .output()
        .expect("the browser starts");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        dom.contains("</html>"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    dom
}

#[test]
fn a_browser_shows_searches_and_runs_nothing_of_the_files() {
    let Some(browser) = browser() else {
        // Past the harness, which shows nothing of a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no chromium or chrome is on the PATH; the page was not looked at in a browser"
        );
        return;
    };
    let tree = hostile_tree();
    let page = page(tree.path(), &["."]);
    let shown = dom(&browser, &page, "");
    assert!(shown.contains(">5 of 5 files</output>"), "{shown}");
    assert!(
        shown.contains("<title>dfmigrate: Dockerfiles</title>"),
        "{shown}"
    );
    assert!(!shown.contains("<img"), "{shown}");
    let searched = dom(&browser, &page, "Python%203.12");
    assert!(searched.contains(">1 of 5 files</output>"), "{searched}");
    let hidden = searched.split("<article ").skip(1);
    let hidden = hidden.filter(|it| it[..it.find('>').unwrap()].contains("hidden"));
    assert_eq!(hidden.count(), 4, "{searched}");
    // The policy holds: a script that were to get in does not run.
    let broken = page.replace("<main>", "<main><script>document.title='owned'</script>");
    assert!(dom(&browser, &broken, "").contains("<title>dfmigrate"));
    let open = broken.replacen("Content-Security-Policy", "x", 1);
    assert!(dom(&browser, &open, "").contains("<title>owned</title>"));
}
