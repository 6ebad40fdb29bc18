//! The readings as HTML and as JSON. No I/O.

use std::fmt::Write as _;
use std::time::Instant;

use vyoma_pages::response::{escape_html, html_head, page, string_json};
use vyoma_pages::{Page, Request};

use crate::readings::Readings;

/// The whole response.
pub(crate) fn respond(request: Request, readings: &Readings, now: Instant) -> Vec<u8> {
    match request.page {
        Page::Html => page(request, "text/html; charset=utf-8", &html(readings, now)),
        Page::Json => page(request, "application/json", &json(readings, now)),
    }
}

fn html(readings: &Readings, now: Instant) -> String {
    let mut page = String::new();
    html_head(&mut page, "Sensors");
    for reading in readings.all() {
        page.push_str("<tr><th>");
        escape_html(&mut page, &reading.name);
        page.push_str("</th><td>");
        escape_html(&mut page, &reading.value);
        let age = (now - reading.at).as_secs();
        let _ = writeln!(page, "</td><td>{age} s ago</td></tr>");
    }
    page.push_str("</table>\n</html>\n");
    page
}

/// `[{"name": "temperature", "value": "25.00 C", "age_s": 0, "count": 3}, ...]`
fn json(readings: &Readings, now: Instant) -> String {
    let mut list = String::from("[");
    for (index, reading) in readings.all().iter().enumerate() {
        list.push_str(if index > 0 { ", " } else { "" });
        list.push_str("{\"name\": ");
        string_json(&mut list, &reading.name);
        list.push_str(", \"value\": ");
        string_json(&mut list, &reading.value);
        let age = (now - reading.at).as_secs();
        let _ = write!(list, ", \"age_s\": {age}, \"count\": {}}}", reading.count);
    }
    list.push_str("]\n");
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apps_say_is_escaped() {
        let now = Instant::now();
        let mut readings = Readings::default();
        readings.take("note <b>\"warm\"", now);
        assert_eq!(
            json(&readings, now),
            "[{\"name\": \"note\", \"value\": \"<b>\\\"warm\\\"\", \"age_s\": 0, \"count\": 1}]\n"
        );
        let page = html(&readings, now);
        assert!(
            page.contains("<td>&lt;b&gt;&quot;warm&quot;</td>"),
            "{page}"
        );
    }
}
