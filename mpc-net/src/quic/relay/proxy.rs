//! The way through an HTTP proxy (RFC 9110, 9.3.6).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::hello::printable;

/// The longest answer of a proxy.
const MAX_ANSWER: usize = 8 << 10;

/// Asks the proxy at the other end of `stream` for a connection with `address`.
pub(crate) async fn connect(stream: &mut TcpStream, address: &str) -> Result<(), String> {
    let request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    // Byte by byte: what stands behind the answer is not the proxy's.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_ANSWER {
            return Err("its answer does not end".to_owned());
        }
        let byte = stream.read_u8().await;
        answer.push(byte.map_err(|_| "it closed the connection without an answer".to_owned())?);
    }
    accepted(&answer)
}

fn accepted(answer: &[u8]) -> Result<(), String> {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = printable(&String::from_utf8_lossy(&line[..line.len().min(200)]));
    let mut words = line.split(' ');
    let (protocol, code) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !protocol.starts_with("HTTP/1.") {
        return Err("it is not an HTTP proxy".to_owned());
    }
    match code.as_bytes() {
        [b'2', _, _] => Ok(()),
        b"407" => Err(format!("it wants a password, which this node does not give: {line}")),
        _ => Err(format!("it refuses: {line}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(accepted(b"HTTP/1.1 200 Connection established\r\n\r\n"), Ok(()));
        assert_eq!(accepted(b"HTTP/1.0 200\r\n\r\n"), Ok(()));
        let refusal = accepted(b"HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\n").unwrap_err();
        assert_eq!(refusal, "it refuses: HTTP/1.1 403 Forbidden");
        assert!(accepted(b"HTTP/1.1 407 Auth\r\n\r\n").unwrap_err().contains("password"));
        assert!(accepted(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(!accepted(b"HTTP/1.1 500 \x1b[2J\r\n\r\n").unwrap_err().contains('\x1b'));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = accepted(&bytes);
        }
    }
}
