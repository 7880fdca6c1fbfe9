//! A language server: rewrites as diagnostics and code actions in an editor,
//! and what the catalogue knows of an image on hovering over it.
//!
//! One thread answers in order. The text is the editor's, the build context and
//! the settings are those of the file's folder.

mod place;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Notification as _,
    PublishDiagnostics,
};
use lsp_types::request::{CodeActionRequest, HoverRequest, Request as _};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOptions, CodeActionOrCommand, CodeActionParams,
    CodeActionProviderCapability, Diagnostic, DiagnosticSeverity, DiagnosticTag,
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, Hover,
    HoverContents, HoverParams, HoverProviderCapability, InitializeParams, MarkupContent,
    MarkupKind, NumberOrString, PositionEncodingKind, PublishDiagnosticsParams, ServerCapabilities,
    TextDocumentSyncCapability, TextDocumentSyncKind, TextEdit, Uri, WorkspaceEdit,
};

use crate::catalog;
use crate::context::Contexts;
use crate::facts::Facts;
use crate::model::Model;
use crate::plan::{self, Plan, Reason};
use crate::report::one_line;
use crate::rules::{Rewrite, Safety};
use crate::settings::{Resolver, Settings};
use crate::text::{EditSet, Span};
use place::Places;

/// Why the server ended otherwise than asked.
#[derive(Debug)]
pub struct LspError(String);

impl fmt::Display for LspError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the language server ended: {}", self.0)
    }
}

impl std::error::Error for LspError {}

fn ended(why: impl fmt::Display) -> LspError {
    LspError(why.to_string())
}

/// The code action that makes all rewrites of a file.
const FIX_ALL: CodeActionKind = CodeActionKind::new("source.fixAll.dfmigrate");

/// Serves an editor on standard input and output until it says to exit.
///
/// # Errors
/// Where the editor breaks the protocol, or goes away without a word.
pub fn serve(resolver: &Resolver, version: &str) -> Result<(), LspError> {
    let (connection, threads) = Connection::stdio();
    let (id, params) = connection.initialize_start().map_err(ended)?;
    let params: InitializeParams = serde_json::from_value(params).map_err(ended)?;
    let offered = params
        .capabilities
        .general
        .and_then(|it| it.position_encodings);
    let utf8 = offered.is_some_and(|list| list.contains(&PositionEncodingKind::UTF8));
    let capabilities = ServerCapabilities {
        position_encoding: Some(match utf8 {
            true => PositionEncodingKind::UTF8,
            false => PositionEncodingKind::UTF16,
        }),
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX, FIX_ALL]),
            ..CodeActionOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        ..ServerCapabilities::default()
    };
    let answer = serde_json::json!({
        "capabilities": capabilities,
        "serverInfo": { "name": "dfmigrate", "version": version },
    });
    connection.initialize_finish(id, answer).map_err(ended)?;
    let mut server = Server {
        connection: &connection,
        resolver,
        utf8,
        documents: HashMap::new(),
    };
    for message in &connection.receiver {
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request).map_err(ended)? {
                    break;
                }
                server.request(request)?;
            }
            Message::Notification(notification) => server.notification(notification)?,
            Message::Response(_) => {}
        }
    }
    drop(server);
    drop(connection);
    threads.join().map_err(ended)
}

/// An open document.
struct Document {
    plan: Plan,
    /// What is wrong with the settings that hold for it.
    settings: Option<String>,
}

struct Server<'a> {
    connection: &'a Connection,
    resolver: &'a Resolver,
    utf8: bool,
    documents: HashMap<Uri, Document>,
}

/// The path of a `file:` URI.
fn path_of(uri: &Uri) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let path = uri.as_str().strip_prefix("file://")?;
    let path = &path[path.find('/')?..];
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

impl Server<'_> {
    fn send(&self, message: impl Into<Message>) -> Result<(), LspError> {
        self.connection.sender.send(message.into()).map_err(ended)
    }

    fn request(&mut self, request: Request) -> Result<(), LspError> {
        let id = request.id.clone();
        let result = match request.method.as_str() {
            CodeActionRequest::METHOD => {
                serde_json::from_value(request.params).map(|params| self.code_actions(&params))
            }
            HoverRequest::METHOD => {
                serde_json::from_value(request.params).map(|params| self.hover(&params))
            }
            other => {
                let code = ErrorCode::MethodNotFound as i32;
                let text = format!("dfmigrate does not answer {other}");
                return self.send(Response::new_err(id, code, text));
            }
        };
        match result {
            Ok(value) => self.send(Response::new_ok(id, value)),
            Err(error) => {
                let code = ErrorCode::InvalidParams as i32;
                self.send(Response::new_err(id, code, error.to_string()))
            }
        }
    }

    fn notification(&mut self, it: Notification) -> Result<(), LspError> {
        // A notification that can't be read has no answer: it is left aside.
        match it.method.as_str() {
            DidOpenTextDocument::METHOD => {
                let Ok(it) = serde_json::from_value::<DidOpenTextDocumentParams>(it.params) else {
                    return Ok(());
                };
                let document = it.text_document;
                self.look(document.uri, document.text, document.version)
            }
            DidChangeTextDocument::METHOD => {
                let it = serde_json::from_value::<DidChangeTextDocumentParams>(it.params);
                let Ok(mut it) = it else { return Ok(()) };
                // Whole texts, as was agreed: the last one counts.
                match it.content_changes.pop() {
                    Some(change) => {
                        let document = it.text_document;
                        self.look(document.uri, change.text, document.version)
                    }
                    None => Ok(()),
                }
            }
            DidCloseTextDocument::METHOD => {
                let it = serde_json::from_value::<DidCloseTextDocumentParams>(it.params);
                let Ok(it) = it else { return Ok(()) };
                let uri = it.text_document.uri;
                self.documents.remove(&uri);
                self.publish(uri, Vec::new(), None)
            }
            _ => Ok(()),
        }
    }

    /// Plans a text, keeps the plan, and publishes what it says.
    fn look(&mut self, uri: Uri, text: String, version: i32) -> Result<(), LspError> {
        let path = path_of(&uri);
        let folder = path.as_deref().and_then(Path::parent);
        let real = folder.and_then(|folder| folder.canonicalize().ok());
        let (settings, wrong) = match real.map(|real| self.resolver.of_folder(&real, &real)) {
            None => (Arc::new(self.resolver.base().clone()), None),
            Some(Ok(settings)) => (settings, None),
            Some(Err(error)) => (Arc::new(Settings::default()), Some(error.to_string())),
        };
        let planned = std::panic::catch_unwind(|| match &path {
            Some(path) => {
                let context = Contexts::default().at(path);
                plan::plan(
                    text.into_bytes(),
                    Facts::offline(&context),
                    &settings.options,
                )
            }
            None => plan::plan(text.into_bytes(), Facts::none(), &settings.options),
        });
        let Ok(plan) = planned else {
            self.documents.remove(&uri);
            return self.publish(uri, Vec::new(), Some(version));
        };
        let document = Document {
            plan,
            settings: wrong,
        };
        let diagnostics = self.diagnostics(&document);
        self.documents.insert(uri.clone(), document);
        self.publish(uri, diagnostics, Some(version))
    }

    fn publish(
        &self,
        uri: Uri,
        diagnostics: Vec<Diagnostic>,
        version: Option<i32>,
    ) -> Result<(), LspError> {
        let params = PublishDiagnosticsParams::new(uri, diagnostics, version);
        self.send(Notification::new(
            PublishDiagnostics::METHOD.to_owned(),
            params,
        ))
    }

    fn places<'a>(&self, plan: &'a Plan) -> Places<'a> {
        Places {
            source: plan.before.source(),
            lines: plan.before.lines(),
            utf8: self.utf8,
        }
    }

    fn diagnostics(&self, document: &Document) -> Vec<Diagnostic> {
        let plan = &document.plan;
        let places = self.places(plan);
        let row = |span: Span, severity: DiagnosticSeverity, code: Option<&str>, text: String| {
            Diagnostic {
                range: places.range(span),
                severity: Some(severity),
                code: code.map(|code| NumberOrString::String(code.to_owned())),
                source: Some("dfmigrate".to_owned()),
                message: text,
                ..Diagnostic::default()
            }
        };
        if let Some(why) = &document.settings {
            return vec![row(
                Span::at(0),
                DiagnosticSeverity::ERROR,
                None,
                why.clone(),
            )];
        }
        let mut rows = Vec::new();
        for error in plan.errors() {
            let range = plan.before.lines().range(error.line);
            let span = Span::new(range.start, range.end);
            rows.push(row(
                span,
                DiagnosticSeverity::ERROR,
                None,
                error.message.clone(),
            ));
        }
        for it in &plan.chosen {
            let text = explained(it);
            rows.push(row(
                it.at,
                DiagnosticSeverity::INFORMATION,
                Some(it.rule),
                text,
            ));
        }
        for held in &plan.held {
            if matches!(held.reason, Reason::Conflict(_) | Reason::Suppressed(_)) {
                continue;
            }
            let it = &held.rewrite;
            let text = format!("{}\nheld back: {}", explained(it), held.reason);
            rows.push(row(it.at, DiagnosticSeverity::HINT, Some(it.rule), text));
        }
        for unused in &plan.unused {
            let text = format!("unused comment: {}", unused.why);
            let mut row = row(unused.at, DiagnosticSeverity::HINT, None, text);
            row.tags = Some(vec![DiagnosticTag::UNNECESSARY]);
            rows.push(row);
        }
        rows
    }

    fn code_actions(&self, params: &CodeActionParams) -> serde_json::Value {
        let uri = &params.text_document.uri;
        let mut actions: Vec<CodeActionOrCommand> = Vec::new();
        let Some(document) = self.documents.get(uri) else {
            return serde_json::json!(actions);
        };
        if document.settings.is_some() {
            return serde_json::json!(actions);
        }
        let plan = &document.plan;
        let places = self.places(plan);
        let asked = places.span(params.range);
        let wanted = |kind: &CodeActionKind| match &params.context.only {
            None => true,
            Some(only) => only.iter().any(|only| {
                let (kind, only) = (kind.as_str(), only.as_str());
                kind == only
                    || kind
                        .strip_prefix(only)
                        .is_some_and(|rest| rest.starts_with('.'))
            }),
        };
        let edit = |edits: &EditSet| {
            let edits = edits.iter().map(|edit| TextEdit {
                range: places.range(edit.span),
                new_text: edit.text.to_string(),
            });
            // The key is only ever compared, never changed.
            #[allow(clippy::mutable_key_type)]
            let changes = HashMap::from([(uri.clone(), edits.collect())]);
            WorkspaceEdit::new(changes)
        };
        let action = |title: String, kind: CodeActionKind, edits: &EditSet| CodeAction {
            title,
            kind: Some(kind),
            edit: Some(edit(edits)),
            ..CodeAction::default()
        };
        let meets = |span: Span| span.start <= asked.end && asked.start <= span.end;
        if wanted(&CodeActionKind::QUICKFIX) {
            let about = |it: &&Rewrite| meets(it.at) || it.edits.iter().any(|e| meets(e.span));
            for it in plan.chosen.iter().filter(about) {
                let title = one_line(&it.title).into_owned();
                let mut action = action(title, CodeActionKind::QUICKFIX, &it.edits);
                action.is_preferred = Some(it.safety() == Safety::Safe);
                action.diagnostics = Some(vec![Diagnostic {
                    range: places.range(it.at),
                    severity: Some(DiagnosticSeverity::INFORMATION),
                    code: Some(NumberOrString::String(it.rule.to_owned())),
                    source: Some("dfmigrate".to_owned()),
                    message: explained(it),
                    ..Diagnostic::default()
                }]);
                actions.push(action.into());
            }
        }
        if wanted(&FIX_ALL) && plan.chosen.len() > 1 {
            let title = format!("make all {} rewrites of dfmigrate", plan.chosen.len());
            actions.push(action(title, FIX_ALL, &plan.edits).into());
        }
        serde_json::json!(actions)
    }

    fn hover(&self, params: &HoverParams) -> serde_json::Value {
        let at = &params.text_document_position_params;
        let Some(document) = self.documents.get(&at.text_document.uri) else {
            return serde_json::Value::Null;
        };
        let places = self.places(&document.plan);
        let offset = places.offset(at.position);
        let model = Model::of(&document.plan.before);
        let image = model.images.iter().find(|image| {
            let span = image.editable.span().unwrap_or(image.span);
            span.start <= offset && offset <= span.end
        });
        let text = image.and_then(|image| {
            let reference = image.reference.as_ref().ok()?;
            let name = reference
                .official()
                .filter(|name| catalog::is_official(name))?;
            let tag = reference.effective_tag()?;
            let rows = catalog::describe(name, tag)?;
            let rows = rows
                .iter()
                .map(|(what, value)| format!("| {what} | {value} |\n"));
            Some((
                image.editable.span().unwrap_or(image.span),
                format!("| | |\n|---|---|\n{}", rows.collect::<String>()),
            ))
        });
        match text {
            None => serde_json::Value::Null,
            Some((span, value)) => serde_json::json!(Hover {
                contents: HoverContents::Markup(MarkupContent {
                    kind: MarkupKind::Markdown,
                    value,
                }),
                range: Some(places.range(span)),
            }),
        }
    }
}

/// What a diagnostic says of a rewrite.
fn explained(it: &Rewrite) -> String {
    let mut text = format!("{} ({})", it.title, it.safety().name());
    for reason in &it.because {
        text.push_str(&format!("\nbecause {reason}"));
    }
    for caveat in it.caveats() {
        text.push_str(&format!("\nbut {caveat}"));
    }
    text
}
