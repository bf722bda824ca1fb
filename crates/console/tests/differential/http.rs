//! Requests to a program on this machine.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends a POST request and returns the body of the response.
///
/// # Errors
/// Returns the status and the body if the request does not succeed.
pub(crate) fn post(port: u16, path: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    // HTTP/1.0 has no chunks: the body ends with the connection.
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        Ok(response)
    };
    let response = exchange().map_err(|error| error.to_string())?;
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("no response")?;
    let (head, body) = (String::from_utf8_lossy(&response[..end]).into_owned(), response[end + 4..].to_vec());
    match head.split_whitespace().nth(1) {
        Some("200" | "204") => Ok(body),
        _ => Err(format!("{head}\n{}", String::from_utf8_lossy(&body))),
    }
}

/// Encodes the fields of a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    fields.join("&")
}
