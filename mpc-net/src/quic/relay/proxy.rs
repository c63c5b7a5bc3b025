//! The way through an HTTP proxy (RFC 9110, 9.3.6).

use std::fmt;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::super::hello::printable;
use super::fault::ProxyFault;

/// The longest answer of a proxy.
const MAX_ANSWER: usize = 8 << 10;

/// What a node shows a proxy that wants to know who it is. The secret is fetched for each connection, kept
/// nowhere, and never shown.
#[derive(Clone)]
pub struct ProxyLogin {
    who: String,
    header: Fetch,
}

type Fetch = Arc<dyn Fn() -> Result<Zeroizing<String>, String> + Send + Sync>;

impl ProxyLogin {
    /// `header` gives the value of `Proxy-Authorization` (RFC 9110, 11.7.2), or says why it cannot; `who` is
    /// for people.
    pub fn new(
        who: impl Into<String>,
        header: impl Fn() -> Result<Zeroizing<String>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { who: who.into(), header: Arc::new(header) }
    }

    /// The value of the header.
    ///
    /// # Errors
    /// Why it cannot be had now.
    pub fn header(&self) -> Result<Zeroizing<String>, String> {
        (self.header)()
    }
}

impl fmt::Debug for ProxyLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyLogin({}, [redacted])", self.who)
    }
}

/// The same login: nobody compares secrets.
impl PartialEq for ProxyLogin {
    fn eq(&self, other: &Self) -> bool {
        self.who == other.who
    }
}

impl Eq for ProxyLogin {}

/// Asks the proxy at the other end of `stream` for a connection with `address`.
pub(crate) async fn connect(
    stream: &mut TcpStream,
    address: &str,
    login: Option<&ProxyLogin>,
) -> Result<(), ProxyFault> {
    let broke = |error: std::io::Error| ProxyFault::Other(error.to_string());
    let mut request = Zeroizing::new(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n"));
    if let Some(login) = login {
        let value = login.header().map_err(ProxyFault::Login)?;
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(ProxyFault::Login("it cannot stand in a header".to_owned()));
        }
        // What grows may be copied, so the whole is made at once.
        request = Zeroizing::new([&request, "Proxy-Authorization: ", &value, "\r\n"].concat());
    }
    request = Zeroizing::new([&request, "\r\n"].concat());
    stream.write_all(request.as_bytes()).await.map_err(broke)?;
    // Byte by byte: what stands behind the answer is not the proxy's.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_ANSWER {
            return Err(ProxyFault::Other("its answer does not end".to_owned()));
        }
        let byte = stream.read_u8().await;
        let closed = |_| ProxyFault::Other("it closed the connection without an answer".to_owned());
        answer.push(byte.map_err(closed)?);
    }
    accepted(&answer, login.is_some())
}

fn accepted(answer: &[u8], said_who: bool) -> Result<(), ProxyFault> {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = printable(&String::from_utf8_lossy(&line[..line.len().min(200)]));
    let mut words = line.split(' ');
    let (protocol, code) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !protocol.starts_with("HTTP/1.") {
        return Err(ProxyFault::Other("it is not an HTTP proxy".to_owned()));
    }
    match code.as_bytes() {
        [b'2', _, _] => Ok(()),
        b"407" if said_who => Err(ProxyFault::WrongPassword(line)),
        b"407" => Err(ProxyFault::NeedsPassword(line)),
        _ => Err(ProxyFault::Denies(line)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let said = |answer: &[u8]| accepted(answer, false).map_err(|fault| fault.to_string());
        assert_eq!(said(b"HTTP/1.1 200 Connection established\r\n\r\n"), Ok(()));
        assert_eq!(said(b"HTTP/1.0 200\r\n\r\n"), Ok(()));
        let refusal = said(b"HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\n").unwrap_err();
        assert_eq!(refusal, "it refuses: HTTP/1.1 403 Forbidden");
        let wants = b"HTTP/1.1 407 Auth\r\n\r\n";
        assert!(matches!(accepted(wants, false), Err(ProxyFault::NeedsPassword(_))));
        assert!(matches!(accepted(wants, true), Err(ProxyFault::WrongPassword(_))));
        assert!(said(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(!said(b"HTTP/1.1 500 \x1b[2J\r\n\r\n").unwrap_err().contains('\x1b'));
    }

    #[test]
    fn a_login_does_not_show_its_secret() {
        let login = ProxyLogin::new("alice", || Ok(Zeroizing::new("Basic c2VjcmV0".to_owned())));
        assert_eq!(format!("{login:?}"), "ProxyLogin(alice, [redacted])");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = accepted(&bytes, true);
        }
    }
}
