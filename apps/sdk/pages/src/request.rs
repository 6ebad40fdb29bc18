//! What a client asks for. Parsing is the crate httparse's; the bounds and what is served are here. No I/O.

/// Most bytes of a request line and its headers together.
pub(crate) const MAX_HEAD: usize = 4096;
/// Most headers; browsers send about 20.
const MAX_HEADERS: usize = 48;

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Good so far; more must come.
    Incomplete,
    /// A request that is served.
    Request(Request),
    /// Answered with this status.
    Bad(Status),
}

/// A request that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which page.
    pub page: Page,
    /// `HEAD`: headers only.
    pub head_only: bool,
}

/// The pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/`
    Html,
    /// `/json`
    Json,
}

/// Status codes of refusals (RFC 9110, RFC 6585).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 431
    HeadTooLarge,
}

/// Looks at all bytes that have come so far, at most [`MAX_HEAD`].
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD => {
            return Parsed::Bad(Status::HeadTooLarge);
        }
        Ok(httparse::Status::Partial) => return Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => return Parsed::Bad(Status::HeadTooLarge),
        Err(_) => return Parsed::Bad(Status::BadRequest),
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Parsed::Bad(Status::MethodNotAllowed),
    };
    let target = request.path.unwrap_or_default();
    let page = match target.split('?').next() {
        Some("/") => Page::Html,
        Some("/json") => Page::Json,
        _ => return Parsed::Bad(Status::NotFound),
    };
    Parsed::Request(Request { page, head_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(page: Page, head_only: bool) -> Parsed {
        Parsed::Request(Request { page, head_only })
    }

    #[test]
    fn the_two_pages_are_served() {
        let html = b"GET / HTTP/1.1\r\nHost: device\r\n\r\n";
        assert_eq!(parse(html), served(Page::Html, false));
        let json = b"GET /json?pretty HTTP/1.0\r\n\r\n";
        assert_eq!(parse(json), served(Page::Json, false));
        let head = b"HEAD /json HTTP/1.1\r\n\r\n";
        assert_eq!(parse(head), served(Page::Json, true));
    }

    #[test]
    fn every_part_of_a_request_is_incomplete() {
        let whole = b"GET /json HTTP/1.1\r\nHost: device\r\nAccept: */*\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Parsed::Incomplete, "{end} bytes");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_status() {
        for (bytes, status) in [
            (&b"GET /other HTTP/1.1\r\n\r\n"[..], Status::NotFound),
            (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", Status::NotFound),
            (b"POST / HTTP/1.1\r\n\r\n", Status::MethodNotAllowed),
            (b"\x16\x03\x01\x02\x00", Status::BadRequest),
            (b"GET / HTTP/9.9\r\n\r\n", Status::BadRequest),
            (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", Status::BadRequest),
        ] {
            assert_eq!(parse(bytes), Parsed::Bad(status), "{bytes:?}");
        }
    }

    #[test]
    fn a_head_that_never_ends_is_refused_at_the_bound() {
        let mut bytes = b"GET / HTTP/1.1\r\nX: ".to_vec();
        bytes.resize(MAX_HEAD - 1, b'x');
        assert_eq!(parse(&bytes), Parsed::Incomplete);
        bytes.push(b'x');
        assert_eq!(parse(&bytes), Parsed::Bad(Status::HeadTooLarge));
    }

    #[test]
    fn too_many_headers_are_refused() {
        let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
        for _ in 0..=MAX_HEADERS {
            bytes.extend_from_slice(b"X: y\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(parse(&bytes), Parsed::Bad(Status::HeadTooLarge));
    }
}
