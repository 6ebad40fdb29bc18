//! From a macro's tokens to the calls that print.

use std::fmt::Write as _;

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

use crate::template::{Literal, Number, Piece};

/// Why a macro can't be expanded, and where.
struct Fault(Span, String);

type Result<T> = std::result::Result<T, Fault>;

/// `print` and its kin.
pub(crate) fn stream(input: TokenStream, stream: &str, newline: bool) -> TokenStream {
    let head = format!("::vyoma::print::Line::new(::vyoma::print::Stream::{stream})");
    done(Call::parse(input).and_then(|call| {
        if let Some(text) = call.only_text(newline)? {
            return Ok(tokens(&format!(
                "::vyoma::print::text(::vyoma::print::Stream::{stream}, {text})"
            )));
        }
        call.printing(&head, newline, "end")
    }))
}

/// `log`: printed so that no line of it is taken for a message.
pub(crate) fn log(input: TokenStream) -> TokenStream {
    done(
        Call::parse(input)
            .and_then(|call| call.printing("::vyoma::print::Line::log()", true, "end_log")),
    )
}

/// `send(app, format...)`
pub(crate) fn send(input: TokenStream) -> TokenStream {
    let mut parts = split(input).into_iter();
    let Some(app) = parts.next() else {
        return done(Err(Fault(
            Span::call_site(),
            "expected an app's name, then a format string".to_owned(),
        )));
    };
    let rest = join(parts);
    // Before the line begins: what it evaluates to may print itself.
    let head = "::vyoma::print::Line::message(__vyoma_target)";
    done(Call::parse(rest).and_then(|call| {
        let body = call.printing(head, false, "end_message")?;
        Ok(matching(app, "__vyoma_target", body))
    }))
}

/// A message to a target that is known.
pub(crate) fn message(target: &str, input: TokenStream) -> TokenStream {
    let head = format!("::vyoma::print::Line::message({target})");
    done(Call::parse(input).and_then(|call| call.printing(&head, false, "end_message")))
}

/// `write(out, format...)`: into a line that is there.
pub(crate) fn write(input: TokenStream) -> TokenStream {
    let mut parts = split(input).into_iter();
    let Some(out) = parts.next() else {
        return done(Err(Fault(
            Span::call_site(),
            "expected a line to write to, then a format string".to_owned(),
        )));
    };
    done(Call::parse(join(parts)).and_then(|call| {
        let mut out = TokenStream::from(parenthesised(out));
        out.extend(tokens(".borrowed()"));
        Ok(matching(
            out,
            "__vyoma_line",
            call.body("__vyoma_line", false)?,
        ))
    }))
}

fn done(result: Result<TokenStream>) -> TokenStream {
    // In braces, so that a macro is one expression wherever it stands.
    match result {
        Ok(code) => TokenStream::from(group(Delimiter::Brace, code)),
        Err(Fault(span, why)) => {
            let mut error = tokens(&format!("::core::compile_error!({why:?})"));
            error = error
                .into_iter()
                .map(|mut token| {
                    token.set_span(span);
                    token
                })
                .collect();
            error
        }
    }
}

/// A format string and its arguments.
struct Call {
    /// The literal's source.
    source: String,
    span: Span,
    pieces: Vec<Piece>,
    /// Positional arguments, then named ones.
    arguments: Vec<TokenStream>,
    /// Names of the last arguments.
    names: Vec<String>,
}

impl Call {
    fn parse(input: TokenStream) -> Result<Self> {
        let mut parts = split(input).into_iter();
        let first: Vec<TokenTree> = parts.next().unwrap_or_default().into_iter().collect();
        let (source, span) = match first.as_slice() {
            // `println!()`: an empty line.
            [] => ("\"\"".to_owned(), Span::call_site()),
            [token] => (literal(token), token.span()),
            [token, ..] => (String::new(), token.span()),
        };
        let pieces = Literal::of(&source)
            .ok_or_else(|| "expected a format string in quotes".to_owned())
            .and_then(|literal| literal.pieces())
            .map_err(|why| Fault(span, why))?;
        let (mut arguments, mut names) = (Vec::new(), Vec::new());
        for part in parts {
            let tokens: Vec<TokenTree> = part.clone().into_iter().collect();
            if let [TokenTree::Ident(name), TokenTree::Punct(equals), value @ ..] =
                tokens.as_slice()
                && equals.as_char() == '='
                && equals.spacing() == Spacing::Alone
            {
                names.push(name.to_string());
                arguments.push(value.iter().cloned().collect());
            } else if let Some(token) = tokens.first() {
                if !names.is_empty() {
                    return Err(Fault(
                        token.span(),
                        "expected named arguments last".to_owned(),
                    ));
                }
                arguments.push(part);
            }
        }
        Ok(Self {
            source,
            span,
            pieces,
            arguments,
            names,
        })
    }

    /// The literal to print when there is nothing but text.
    fn only_text(&self, newline: bool) -> Result<Option<String>> {
        let text = match self.pieces.as_slice() {
            [] => "",
            [Piece::Text(text)] => text,
            _ => return Ok(None),
        };
        if let Some(argument) = self.arguments.first() {
            return Err(self.unused(argument));
        }
        Ok(Some(self.quoted(text, newline)))
    }

    /// A literal with the quotes of the format string.
    fn quoted(&self, text: &str, newline: bool) -> String {
        let literal = Literal::of(&self.source).map_or(("\"", "\""), |l| (l.open, l.close));
        let (open, close) = literal;
        match (newline, open.starts_with('r')) {
            (false, _) => format!("{open}{text}{close}"),
            (true, false) => format!("{open}{text}\\n{close}"),
            (true, true) => format!("::core::concat!({open}{text}{close}, \"\\n\")"),
        }
    }

    /// A line that begins as `head`, the pieces, and its end by the method of that name.
    fn printing(&self, head: &str, newline: bool, end: &str) -> Result<TokenStream> {
        let mut code = tokens(&format!("let mut __vyoma_line = {head};"));
        let mut inner = tokens("let __vyoma_line = &mut __vyoma_line;");
        inner.extend(self.body("__vyoma_line", newline)?);
        code.extend([group(Delimiter::Brace, inner)]);
        code.extend(tokens(&format!("__vyoma_line.{end}()")));
        Ok(code)
    }

    /// The pieces, into the line of that name.
    fn body(&self, line: &str, newline: bool) -> Result<TokenStream> {
        let mut used = vec![false; self.arguments.len()];
        let mut captured: Vec<(String, TokenStream)> = Vec::new();
        let mut next = 0;
        let mut code = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let last = index + 1 == self.pieces.len();
            match piece {
                Piece::Text(text) => {
                    let text = self.quoted(text, newline && last);
                    let _ = write!(code, "{line}.text({text});");
                }
                Piece::Argument { which, spec } => {
                    let value = self.value(which, &mut next, &mut used, &mut captured)?;
                    code += &printed(line, &value, spec);
                }
            }
        }
        if newline && !matches!(self.pieces.last(), Some(Piece::Text(_))) {
            let _ = write!(code, "{line}.text(\"\\n\");");
        }
        if let Some(index) = used.iter().position(|used| !used) {
            return Err(self.unused(&self.arguments[index]));
        }
        // All are evaluated once, in their order, and live until the line is printed.
        let mut values = TokenStream::new();
        let captured = captured.into_iter().map(|(_, ident)| ident);
        for argument in self.arguments.iter().cloned().chain(captured) {
            values.extend(tokens("&"));
            values.extend([
                parenthesised(argument),
                TokenTree::Punct(Punct::new(',', Spacing::Alone)),
            ]);
        }
        let mut block = tokens(
            "#[allow(unused_imports)] use ::vyoma::print::{ByDisplay as _, ByShow as _, NumberByDisplay as _, NumberByShow as _};",
        );
        block.extend(tokens(&code));
        Ok(matching(values, "__vyoma_values", block))
    }

    /// The expression of an argument, as a field of the tuple of all.
    fn value(
        &self,
        which: &str,
        next: &mut usize,
        used: &mut [bool],
        captured: &mut Vec<(String, TokenStream)>,
    ) -> Result<String> {
        let index = if which.is_empty() {
            *next += 1;
            *next - 1
        } else if let Ok(index) = which.parse() {
            index
        } else if let Some(named) = self.names.iter().position(|name| name == which) {
            self.arguments.len() - self.names.len() + named
        } else {
            let known = captured.iter().position(|(name, _)| name == which);
            let index = if let Some(index) = known {
                index
            } else {
                captured.push((which.to_owned(), self.ident(which)?));
                captured.len() - 1
            };
            return Ok(format!("__vyoma_values.{}", self.arguments.len() + index));
        };
        match used.get_mut(index) {
            Some(used) => *used = true,
            None => {
                return Err(Fault(
                    self.span,
                    format!(
                        "argument {index} is missing: found {} arguments",
                        used.len()
                    ),
                ));
            }
        }
        Ok(format!("__vyoma_values.{index}"))
    }

    fn ident(&self, name: &str) -> Result<TokenStream> {
        let good = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !good {
            return Err(Fault(
                self.span,
                format!(
                    "found {{{name}}}; expected the name of a variable, or an argument after the string"
                ),
            ));
        }
        let ident = if name == "self" {
            Ident::new("self", self.span)
        } else {
            Ident::new(name, self.span)
        };
        Ok(TokenStream::from(TokenTree::Ident(ident)))
    }

    fn unused(&self, argument: &TokenStream) -> Fault {
        let span = argument
            .clone()
            .into_iter()
            .next()
            .map_or(self.span, |token| token.span());
        Fault(span, "argument is not in the format string".to_owned())
    }
}

/// The call that prints one argument.
fn printed(line: &str, value: &str, spec: &str) -> String {
    match Number::of(spec) {
        _ if spec.is_empty() => {
            format!("(&&::vyoma::print::Value({value})).show({line});")
        }
        Some(Number {
            width,
            zeros,
            plus,
            hex,
        }) => format!(
            "(&&::vyoma::print::Value({value})).number({line}, ::vyoma::print::Number {{ width: {width}, zeros: {zeros}, plus: {plus}, hex: {hex} }}, ::core::format_args!(\"{{:{spec}}}\", {value}));"
        ),
        None => format!("{line}.formatted(::core::format_args!(\"{{:{spec}}}\", {value}));"),
    }
}

/// Source of a token, also when a `macro_rules` put it into a group without delimiters.
fn literal(token: &TokenTree) -> String {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            match inner.as_slice() {
                [token] => literal(token),
                _ => String::new(),
            }
        }
        TokenTree::Literal(literal) => literal.to_string(),
        _ => String::new(),
    }
}

/// At the commas; a last one without anything after it is none.
fn split(input: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for token in input {
        match (&token, parts.last_mut()) {
            (TokenTree::Punct(comma), _) if comma.as_char() == ',' => {
                parts.push(TokenStream::new());
            }
            (_, Some(part)) => part.extend([token]),
            _ => {}
        }
    }
    if parts.last().is_some_and(TokenStream::is_empty) {
        parts.pop();
    }
    parts
}

fn join(parts: impl Iterator<Item = TokenStream>) -> TokenStream {
    let mut all = TokenStream::new();
    for part in parts {
        all.extend(part);
        all.extend([TokenTree::Punct(Punct::new(',', Spacing::Alone))]);
    }
    all
}

/// `match (value) { name => { body } }`: evaluates the value once, and what it borrows lives long enough.
fn matching(value: TokenStream, name: &str, body: TokenStream) -> TokenStream {
    let mut arm = tokens(&format!("{name} =>"));
    arm.extend([group(Delimiter::Brace, body)]);
    let mut all = tokens("match");
    all.extend([parenthesised(value), group(Delimiter::Brace, arm)]);
    all
}

fn parenthesised(code: TokenStream) -> TokenTree {
    group(Delimiter::Parenthesis, code)
}

fn group(delimiter: Delimiter, code: TokenStream) -> TokenTree {
    TokenTree::Group(Group::new(delimiter, code))
}

/// Code that this file wrote.
fn tokens(code: &str) -> TokenStream {
    code.parse().expect("the macro's own code")
}
