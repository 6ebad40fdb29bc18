//! Responses as bytes. No I/O.

use std::fmt::Write as _;

use crate::request::{Request, Status};

/// The whole response to a request that is served, with a body of that media type.
pub fn page(request: Request, kind: &str, body: &str) -> Vec<u8> {
    let mut response = head("200 OK", kind, body.len());
    if !request.head_only {
        response.push_str(body);
    }
    response.into_bytes()
}

/// The whole response to one that is not.
pub(crate) fn refuse(status: Status) -> Vec<u8> {
    let line = match status {
        Status::BadRequest => "400 Bad Request",
        Status::NotFound => "404 Not Found",
        Status::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD",
        Status::HeadTooLarge => "431 Request Header Fields Too Large",
    };
    let body = format!("{}\n", line.lines().next().unwrap_or_default());
    let mut response = head(line, "text/plain", body.len());
    response.push_str(&body);
    response.into_bytes()
}

fn head(status: &str, kind: &str, length: usize) -> String {
    // The page is nothing but text of this device: nothing may be loaded into it or frame it.
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\r\n"
    )
}

/// The beginning of a page for people, up to its first table.
pub fn html_head(page: &mut String, title: &str) {
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>body{{font:1rem system-ui;margin:2rem;max-width:40rem}}th{{text-align:left;padding-right:1rem;\
         vertical-align:top}}td{{white-space:pre-line}}</style>\n<h1>{title}</h1>\n<table>\n"
    );
}

/// Adds text to a page, whatever is in it.
pub fn escape_html(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            _ => page.push(c),
        }
    }
}

/// Adds text as a JSON string, whatever is in it.
pub fn string_json(object: &mut String, text: &str) {
    object.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => object.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(object, "\\u{:04x}", u32::from(c));
            }
            _ => object.push(c),
        }
    }
    object.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Page;

    #[test]
    fn the_length_is_that_of_the_body_and_head_has_none() {
        let text = |head_only| {
            let page_of = Request {
                page: Page::Json,
                head_only,
            };
            String::from_utf8(page(page_of, "application/json", "{}\n")).expect("UTF-8")
        };
        let whole = text(false);
        let (head, body) = whole.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert_eq!(text(true), format!("{head}\r\n\r\n"));
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        let response = refuse(Status::MethodNotAllowed);
        let response = String::from_utf8(response).expect("UTF-8");
        assert!(response.starts_with("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"));
        assert!(response.ends_with("\r\n\r\n405 Method Not Allowed\n"));
    }
}
