//! Responses as bytes: the status page as HTML and as JSON, and refusals. No I/O.

use std::fmt::Write;

use crate::request::{self, Page, Request};
use crate::status::{REQUESTS, Status};

/// The whole response to a request that is served.
pub(crate) fn respond(request: Request, status: &Status) -> Vec<u8> {
    let (kind, body) = match request.page {
        Page::Html => ("text/html; charset=utf-8", html(status)),
        Page::Json => ("application/json", json(status)),
    };
    let mut response = head("200 OK", kind, body.len());
    if !request.head_only {
        response.push_str(&body);
    }
    response.into_bytes()
}

/// The whole response to one that is not.
pub(crate) fn refuse(status: request::Status) -> Vec<u8> {
    let line = match status {
        request::Status::BadRequest => "400 Bad Request",
        request::Status::NotFound => "404 Not Found",
        request::Status::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD",
        request::Status::HeadTooLarge => "431 Request Header Fields Too Large",
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

fn html(status: &Status) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Vyoma device</title>\n\
         <style>body{font:1rem system-ui;margin:2rem;max-width:40rem}th{text-align:left;padding-right:1rem;\
         vertical-align:top}td{white-space:pre-line}</style>\n<h1>Vyoma device</h1>\n<table>\n",
    );
    for (request, answer) in REQUESTS.iter().zip(status) {
        let _ = write!(page, "<tr><th>{request}</th><td>");
        match answer {
            // Lists come joined by `|`; here one item a line.
            Ok(text) => escape_html(&mut page, &text.replace('|', "\n")),
            Err(why) => escape_html(&mut page, &format!("unknown: {why}")),
        }
        page.push_str("</td></tr>\n");
    }
    page.push_str("</table>\n</html>\n");
    page
}

/// `{"platform": "...", ..., "list": ["...", ...]}`; `null` for what is unknown.
fn json(status: &Status) -> String {
    let mut object = String::from("{");
    for (index, (request, answer)) in REQUESTS.iter().zip(status).enumerate() {
        let _ = write!(
            object,
            "{}\"{request}\": ",
            if index > 0 { ", " } else { "" }
        );
        match answer {
            Err(_) => object.push_str("null"),
            Ok(text) if *request == "list" => {
                object.push('[');
                for (index, app) in text.split('|').filter(|app| !app.is_empty()).enumerate() {
                    object.push_str(if index > 0 { ", " } else { "" });
                    string_json(&mut object, app);
                }
                object.push(']');
            }
            Ok(text) => string_json(&mut object, text),
        }
    }
    object.push_str("}\n");
    object
}

fn escape_html(page: &mut String, text: &str) {
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

fn string_json(object: &mut String, text: &str) {
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

    fn status() -> Status {
        [
            Ok("server-headless".to_owned()),
            Ok("0.1.0 \"<b>\\".to_owned()),
            Ok("12\t3".to_owned()),
            Err("memory-info: not here <".to_owned()),
            Ok("hello|http-server".to_owned()),
        ]
    }

    fn text(page: Page, head_only: bool) -> String {
        String::from_utf8(respond(Request { page, head_only }, &status())).expect("UTF-8")
    }

    #[test]
    fn json_is_escaped_and_lists_are_arrays() {
        let response = text(Page::Json, false);
        let (_, body) = response.split_once("\r\n\r\n").expect("a body");
        assert_eq!(
            body,
            "{\"platform\": \"server-headless\", \"version\": \"0.1.0 \\\"<b>\\\\\", \
             \"uptime\": \"12\\u00093\", \"memory-info\": null, \"list\": [\"hello\", \"http-server\"]}\n"
        );
    }

    #[test]
    fn html_is_escaped() {
        let response = text(Page::Html, false);
        assert!(response.contains("<td>0.1.0 &quot;&lt;b&gt;\\</td>"));
        assert!(response.contains("<td>unknown: memory-info: not here &lt;</td>"));
        assert!(response.contains("<td>hello\nhttp-server</td>"));
    }

    #[test]
    fn the_length_is_that_of_the_body_and_head_has_none() {
        for page in [Page::Html, Page::Json] {
            let response = text(page, false);
            let (head, body) = response.split_once("\r\n\r\n").expect("a body");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
            assert_eq!(text(page, true), format!("{head}\r\n\r\n"));
        }
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        let response = refuse(request::Status::MethodNotAllowed);
        let response = String::from_utf8(response).expect("UTF-8");
        assert!(response.starts_with("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"));
        assert!(response.ends_with("\r\n\r\n405 Method Not Allowed\n"));
    }
}
