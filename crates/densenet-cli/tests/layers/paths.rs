//! The paths that a source file names.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path, and whether the file names it to export it.
pub struct Named {
    pub exported: bool,
    pub segments: Vec<String>,
}

/// All paths of two or more segments in `source`, of imports and elsewhere, macros included and unit tests left out.
pub fn named(source: &str) -> Vec<Named> {
    let stream = TokenStream::from_str(source).expect("a source file that compiles");
    let mut found = Vec::new();
    walk(&stream.into_iter().collect::<Vec<_>>(), &mut found);
    found
}

fn walk(tokens: &[TokenTree], found: &mut Vec<Named>) {
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i] {
            TokenTree::Punct(hash) if hash.as_char() == '#' && is_test_only(tokens.get(i + 1)) => {
                i += 2;
                while i < tokens.len() && !ends_item(&tokens[i]) {
                    i += 1;
                }
            }
            TokenTree::Ident(word) if *word == "use" => {
                let end = (i..tokens.len()).find(|&end| is_punct(&tokens[end], ';')).unwrap_or(tokens.len());
                let exported =
                    i > 0 && (is_word(&tokens[i - 1], "pub") || matches!(&tokens[i - 1], TokenTree::Group(_)));
                expand(&[], &tokens[i + 1..end], exported, found);
                i = end;
            }
            TokenTree::Ident(_) if i == 0 || !is_punct(&tokens[i - 1], ':') => {
                let (segments, next) = path(tokens, i);
                if segments.len() > 1 {
                    found.push(Named { exported: false, segments });
                }
                i = next;
                continue;
            }
            TokenTree::Group(group) => walk(&group.stream().into_iter().collect::<Vec<_>>(), found),
            _ => {}
        }
        i += 1;
    }
}

/// The path that begins at token `start`, and the first token after it.
fn path(tokens: &[TokenTree], start: usize) -> (Vec<String>, usize) {
    let (mut segments, mut i) = (Vec::new(), start);
    while let Some(TokenTree::Ident(word)) = tokens.get(i) {
        segments.push(word.to_string());
        i += 1;
        let colons = [i, i + 1].iter().all(|&at| tokens.get(at).is_some_and(|token| is_punct(token, ':')));
        if !colons || !matches!(tokens.get(i + 2), Some(TokenTree::Ident(_))) {
            break;
        }
        i += 2;
    }
    (segments, i)
}

/// The paths of a tree of imports after `prefix`.
fn expand(prefix: &[String], tree: &[TokenTree], exported: bool, found: &mut Vec<Named>) {
    for branch in tree.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
        let (segments, next) = path(branch, 0);
        let segments = [prefix, &segments].concat();
        match branch.last() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && next < branch.len() => {
                expand(&segments, &group.stream().into_iter().collect::<Vec<_>>(), exported, found);
            }
            // Tokens of a macro may be no path.
            _ if segments.is_empty() => {}
            _ => found.push(Named { exported, segments }),
        }
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Whether an attribute's brackets hold `cfg(test)`.
fn is_test_only(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn ends_item(token: &TokenTree) -> bool {
    is_punct(token, ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}
