//! Fuzz target for Lua as it is typed in the REPL.

use std::cell::OnceCell;

use super::{assert_error, without_styles};
use crate::escape::acts;
use crate::lua::Prompt;
use crate::lua::tokens::{TokenKind, tokens};
use crate::repl::{candidates, colored, defined};
use crate::session::names::Names;

/// Piece of Lua, complete or not.
pub(super) fn text(data: &[u8]) {
    thread_local! {
        static PROMPT: OnceCell<(Prompt, Names)> = const { OnceCell::new() };
    }
    let text = &*String::from_utf8_lossy(data);
    check_tokens(text);
    for at in [None, Some(0), Some(text.len() / 2)] {
        let shown = colored(text, at);
        if !text.contains('\x1b') {
            assert_eq!(without_styles(&shown), text);
        }
    }
    let _ = defined(text);
    let entry = crate::lua::without_locals(text, |_| true);
    // Declarations become assignments; nothing else is lost.
    assert!(entry.len() <= text.len() + " = nil".len() * text.matches("local").count());
    PROMPT.with(|prompt| {
        let (prompt, names) = prompt.get_or_init(|| {
            let vm = super::scripts::vm(64 << 20).expect("a VM");
            (Prompt::new(vm, None).expect("a prompt"), Names::default())
        });
        let is_whole = prompt.is_statement(text);
        // A first line with `#!` is skipped in a script.
        assert!(!is_whole || prompt.check(text, "a.lua").is_ok(), "{text:?}");
        let _ = prompt.check(text, "a.lua").inspect_err(assert_error);
        let _ = prompt.is_incomplete(text);
        let middle = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at));
        for at in [text.len(), middle.unwrap_or_default()] {
            let (start, found) = candidates(prompt, names, text, at);
            assert!(start <= at && text.is_char_boundary(start), "{start} of {text:?}");
            assert!(found.iter().all(|pair| !pair.display.contains(acts)));
        }
    });
}

fn check_tokens(text: &str) {
    let mut end = 0;
    for token in tokens(text) {
        assert!(text[end..token.at.start].chars().all(char::is_whitespace), "{text:?}");
        assert!(token.at.start < token.at.end, "{text:?}");
        if matches!(token.kind, TokenKind::Open | TokenKind::Close) {
            assert_eq!(token.at.len(), 1);
        }
        end = token.at.end;
    }
    assert!(text[end..].chars().all(char::is_whitespace), "{text:?}");
}
