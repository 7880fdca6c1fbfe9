//! What has run, and has succeeded, when the whole script has succeeded: a
//! pass over the finished lists.

use super::{Connector, Item, ItemKind, Scope, ScopeKind, Script, flag};

/// What follows an item in its list.
#[derive(Clone, Copy, Default)]
struct After {
    /// The status of its pipeline decides that of the list.
    decides: bool,
    /// Another part of its pipeline follows.
    piped: bool,
}

/// Fills in the flags of scopes, items, commands and compounds.
pub(super) fn settle(script: &mut Script) {
    let after = look_back(&script.items, script.scopes.len());
    // Of the last pipeline's head in each scope: its flags, and its `!`.
    let mut heads = vec![(0u8, false); script.scopes.len()];
    let mut settled = 0;
    for (index, &After { decides, piped }) in after.iter().enumerate() {
        let scope = script.items[index].context.scope.index();
        // A scope is opened after the item that holds it and before its own.
        while settled <= scope {
            inherit(&mut script.scopes[settled], &script.items);
            settled += 1;
        }
        let item = &mut script.items[index];
        let around = script.scopes[scope].flags;
        let decides = decides && around & flag::MUST != 0;

        let mut flags = (item.context.flags | around) & !flag::MUST;
        flags |= match item.before {
            Connector::Or => flag::MAYBE,
            Connector::And if !decides => flag::MAYBE,
            Connector::Pipe => (heads[scope].0 & flag::MAYBE) | flag::PIPELINE,
            _ => 0,
        };
        if item.before != Connector::Pipe {
            heads[scope] = (flags, item.negated);
        }
        if piped {
            flags |= flag::PIPELINE;
        }
        if decides && !piped && !heads[scope].1 && flags & flag::MAYBE == 0 {
            flags |= flag::MUST;
        }
        item.context.flags = flags;
        match item.kind {
            ItemKind::Simple(at) => script.commands[at].context.flags = flags,
            ItemKind::Compound(at) => script.compounds[at].context.flags = flags,
            ItemKind::Opaque => {}
        }
    }
    for scope in settled..script.scopes.len() {
        inherit(&mut script.scopes[scope], &script.items);
    }
}

fn inherit(scope: &mut Scope, items: &[Item]) {
    let holder = scope.item.map(|item| items[item as usize].context.flags);
    let must = holder.unwrap_or(flag::MUST) & flag::MUST;
    scope.flags = holder.unwrap_or(0) & !flag::MUST
        | match scope.kind {
            ScopeKind::Top | ScopeKind::Group => must,
            ScopeKind::Subshell => must | flag::SUBPROCESS,
            ScopeKind::IfCondition | ScopeKind::LoopCondition => 0,
            ScopeKind::ElifCondition
            | ScopeKind::Then
            | ScopeKind::Else
            | ScopeKind::LoopBody
            | ScopeKind::CaseArm => flag::MAYBE,
            ScopeKind::Function => flag::MAYBE | flag::FUNCTION,
            ScopeKind::CommandSubstitution | ScopeKind::ProcessSubstitution => flag::SUBSTITUTION,
        };
}

fn look_back(items: &[Item], scopes: usize) -> Vec<After> {
    let mut out = vec![After::default(); items.len()];
    // Of each scope: what joins the following item, and whether that decides.
    let mut following: Vec<(Option<Connector>, bool)> = vec![(None, false); scopes];
    for (index, item) in items.iter().enumerate().rev() {
        let state = &mut following[item.context.scope.index()];
        let decides = match state.0 {
            None => item.context.flags & flag::BACKGROUND == 0,
            Some(Connector::And | Connector::Pipe) => state.1,
            Some(_) => false,
        };
        out[index] = After {
            decides,
            piped: state.0 == Some(Connector::Pipe),
        };
        *state = (Some(item.before), decides);
    }
    out
}
