//! The language server, by a client that follows a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// An editor.
struct Client {
    server: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    next: i64,
    /// What was answered to `initialize`.
    hello: Value,
    folder: tempfile::TempDir,
}

const TEXT: &str =
    "# é😀\nFROM node:20 AS a\nRUN true\nFROM node:20\nCOPY --from=a /x /x\nCMD [\"node\"]\n";

impl Client {
    fn new(encodings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
            .arg("lsp")
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = server.stdin.take().unwrap();
        let from = BufReader::new(server.stdout.take().unwrap());
        let mut client = Self {
            server,
            to,
            from,
            next: 0,
            hello: Value::Null,
            folder,
        };
        let general = json!({ "positionEncodings": encodings });
        let params =
            json!({ "processId": null, "rootUri": null, "capabilities": { "general": general } });
        client.hello = client.ask("initialize", params);
        client.tell("initialized", json!({}));
        client
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.to.flush().unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(
                self.from.read_line(&mut line).unwrap() > 0,
                "the server is gone"
            );
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut text = vec![0; length];
        self.from.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// A request and its answer, which may be an error.
    fn request(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let answer = self.receive();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params);
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn uri(&self) -> String {
        format!("file://{}/a%20b/Dockerfile", self.folder.path().display())
    }

    /// The diagnostics that come.
    fn diagnostics(&mut self) -> Vec<Value> {
        let message = self.receive();
        assert_eq!(message["method"], "textDocument/publishDiagnostics");
        assert_eq!(message["params"]["uri"], self.uri());
        message["params"]["diagnostics"].as_array().unwrap().clone()
    }

    fn open(&mut self, text: &str) -> Vec<Value> {
        let document =
            json!({ "uri": self.uri(), "languageId": "dockerfile", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
        self.diagnostics()
    }

    fn actions(&mut self, start: (u32, u32), end: (u32, u32), only: Value) -> Vec<Value> {
        let position = |(line, character)| json!({ "line": line, "character": character });
        let params = json!({
            "textDocument": { "uri": self.uri() },
            "range": { "start": position(start), "end": position(end) },
            "context": { "diagnostics": [], "only": only },
        });
        self.ask("textDocument/codeAction", params)
            .as_array()
            .unwrap()
            .clone()
    }

    fn hover(&mut self, line: u32, character: u32) -> Value {
        let params = json!({
            "textDocument": { "uri": self.uri() },
            "position": { "line": line, "character": character },
        });
        self.ask("textDocument/hover", params)
    }

    fn leave(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        assert!(self.server.wait().unwrap().success());
    }
}

/// The text after the edits of an action, positions in UTF-16.
fn edited(text: &str, uri: &str, action: &Value) -> String {
    let offset = |position: &Value| {
        let line = position["line"].as_u64().unwrap() as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mut units = position["character"].as_u64().unwrap() as usize;
        let mut at = start;
        for c in text[start..].chars() {
            if units == 0 {
                break;
            }
            units -= c.len_utf16();
            at += c.len_utf8();
        }
        at
    };
    let edits = action["edit"]["changes"][uri].as_array().unwrap();
    let mut edits: Vec<(usize, usize, &str)> = edits
        .iter()
        .map(|edit| {
            let (start, end) = (&edit["range"]["start"], &edit["range"]["end"]);
            (
                offset(start),
                offset(end),
                edit["newText"].as_str().unwrap(),
            )
        })
        .collect();
    edits.sort_unstable();
    let mut text = text.to_owned();
    for (start, end, new) in edits.into_iter().rev() {
        text.replace_range(start..end, new);
    }
    text
}

#[test]
fn rewrites_are_diagnostics_and_code_actions() {
    let mut client = Client::new(&[]);
    assert_eq!(client.hello["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(client.hello["serverInfo"]["name"], "dfmigrate");
    std::fs::create_dir(client.folder.path().join("a b")).unwrap();
    let uri = client.uri();
    let found = client.open(TEXT);
    let codes: Vec<&str> = found
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["pin-codename", "slim-base"]);
    assert_eq!(
        found[0]["range"]["start"],
        json!({ "line": 1, "character": 5 })
    );
    assert!(found[1]["message"].as_str().unwrap().contains("\nbecause "));

    let actions = client.actions((1, 7), (1, 7), Value::Null);
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert_eq!(actions[0]["isPreferred"], true);
    let pinned = TEXT.replacen("node:20 AS", "node:20-bookworm AS", 1);
    assert_eq!(edited(TEXT, &uri, &actions[0]), pinned);
    assert_eq!(actions[0]["diagnostics"][0]["code"], "pin-codename");
    let both = pinned.replacen("FROM node:20\n", "FROM node:20-bookworm-slim\n", 1);
    let all = client.actions((0, 0), (6, 0), json!(["source.fixAll"]));
    assert_eq!(all.len(), 1);
    assert_eq!(edited(TEXT, &uri, &all[0]), both);
    assert_eq!(client.actions((2, 0), (2, 3), json!(["quickfix"])).len(), 0);
    assert_eq!(client.actions((0, 0), (6, 0), json!(["refactor"])).len(), 0);

    // What the action made has nothing to do.
    let change = json!({
        "textDocument": { "uri": uri, "version": 2 },
        "contentChanges": [{ "text": both }],
    });
    client.tell("textDocument/didChange", change);
    assert_eq!(client.diagnostics(), Vec::<Value>::new());
    client.tell(
        "textDocument/didClose",
        json!({ "textDocument": { "uri": uri } }),
    );
    assert_eq!(client.diagnostics(), Vec::<Value>::new());
    assert_eq!(client.actions((1, 7), (1, 7), Value::Null).len(), 0);
    client.leave();
}

#[test]
fn hovering_over_an_image_says_what_is_known() {
    let mut client = Client::new(&["utf-8", "utf-16"]);
    assert_eq!(client.hello["capabilities"]["positionEncoding"], "utf-8");
    client.open("# é😀\nARG V=20\nFROM é\nFROM node:20\nFROM ghcr.io/a/b\n");
    let hover = client.hover(3, 8);
    let text = hover["contents"]["value"].as_str().unwrap();
    assert!(text.contains("| base | debian bookworm |"), "{text}");
    assert!(
        text.contains("| slim | node:20-bookworm-slim |")
            || text.contains("| slim | node:20-slim |"),
        "{text}"
    );
    assert_eq!(
        hover["range"]["start"],
        json!({ "line": 3, "character": 5 })
    );
    assert_eq!(client.hover(3, 2), Value::Null);
    assert_eq!(client.hover(4, 8), Value::Null);
    assert_eq!(client.hover(99, 99), Value::Null);
    client.leave();
}

#[test]
fn settings_faults_and_errors_of_the_protocol() {
    let mut client = Client::new(&[]);
    let folder = client.folder.path().join("a b");
    std::fs::create_dir(&folder).unwrap();
    let found = client.open("FROM node:20\nNOPE\n# dfmigrate: ignore\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["severity"], 1);
    assert_eq!(found[0]["range"]["start"]["line"], 1);
    // The settings of the folder hold, as of when the server first looked.
    let answer = client.request("textDocument/rename", json!({}));
    assert_eq!(answer["error"]["code"], -32601);
    let answer = client.request("textDocument/hover", json!({ "nonsense": 1 }));
    assert_eq!(answer["error"]["code"], -32602);
    client.tell("textDocument/didOpen", json!({ "nonsense": 1 }));
    client.tell("$/unheard-of", json!({}));
    let found = client.open("FROM node:20 AS a\n# dfmigrate: ignore\n");
    let tagged = found.iter().any(|it| it["tags"] == json!([1]));
    assert!(tagged, "{found:?}");
    client.leave();

    let mut client = Client::new(&[]);
    let folder = client.folder.path().join("a b");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("dfmigrate.toml"),
        "ignore = [\"slim-base\", \"pin-codename\"]\n",
    )
    .unwrap();
    assert_eq!(client.open(TEXT), Vec::<Value>::new());
    client.leave();

    let mut client = Client::new(&[]);
    let folder = client.folder.path().join("a b");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("dfmigrate.toml"), "ignor = []\n").unwrap();
    let found = client.open(TEXT);
    assert_eq!(found.len(), 1);
    assert!(
        found[0]["message"]
            .as_str()
            .unwrap()
            .contains("did you mean \"ignore\"?")
    );
    assert_eq!(client.actions((0, 0), (6, 0), Value::Null).len(), 0);
    client.leave();
}
