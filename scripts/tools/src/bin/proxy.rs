//! A small HTTP proxy for scripts: it does CONNECT and nothing else, for whoever comes.
//!
//!     proxy ADDRESS

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let address =
        std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: proxy ADDRESS"))?;
    let listener = TcpListener::bind(address)?;
    for client in listener.incoming() {
        let client = client?;
        thread::spawn(move || {
            if let Err(error) = serve(client) {
                let _ = writeln!(io::stderr(), "proxy: {error}");
            }
        });
    }
    Ok(())
}

fn serve(client: TcpStream) -> io::Result<()> {
    let mut answers = client.try_clone()?;
    let mut requests = BufReader::new(client);
    let mut request = String::new();
    requests.read_line(&mut request)?;
    let mut header = String::new();
    // The headers say nothing that matters here; an empty line ends them.
    while requests.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut words = request.split_whitespace();
    let (Some("CONNECT"), Some(address)) = (words.next(), words.next()) else {
        return answers.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n");
    };
    let there = match TcpStream::connect(address) {
        Ok(there) => there,
        Err(_) => return answers.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
    };
    there.set_nodelay(true)?;
    answers.set_nodelay(true)?;
    answers.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let mut back = there.try_clone()?;
    let backwards = thread::spawn(move || {
        let _ = io::copy(&mut back, &mut answers);
        let _ = answers.shutdown(Shutdown::Write);
    });
    let mut there = there;
    let _ = io::copy(&mut requests, &mut there);
    let _ = there.shutdown(Shutdown::Write);
    let _ = backwards.join();
    Ok(())
}
