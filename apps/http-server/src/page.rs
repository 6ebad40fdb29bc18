//! The status page as HTML and as JSON. No I/O.

use std::fmt::Write as _;

use vyoma_pages::response::{escape_html, html_head, page, string_json};
use vyoma_pages::{Page, Request};

use crate::status::{REQUESTS, Status};

/// The whole response to a request that is served.
pub(crate) fn respond(request: Request, status: &Status) -> Vec<u8> {
    let (kind, body) = match request.page {
        Page::Html => ("text/html; charset=utf-8", html(status)),
        Page::Json => ("application/json", json(status)),
    };
    page(request, kind, &body)
}

fn html(status: &Status) -> String {
    let mut page = String::new();
    html_head(&mut page, "Vyoma device");
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
}
