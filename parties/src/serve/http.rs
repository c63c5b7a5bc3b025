//! The page, over HTTP on this machine alone: reading only, few connections, short requests.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Board, metrics, page};
use crate::exit::{Exit, Failure};

/// Connections at the same time.
const CONNECTIONS: usize = 32;
/// A connection is closed after so long, whatever it does.
const LONGEST: Duration = Duration::from_secs(60);
/// The head of a request is there within so long.
const HEAD: Duration = Duration::from_secs(5);
/// Bytes of a head.
const HEAD_BYTES: usize = 16 << 10;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");

/// Shows the board at `address` from a thread of its own, so that the page is there while the node
/// computes. Ends with the process.
///
/// # Errors
/// When the address cannot be listened on.
pub fn listen(address: SocketAddr, board: Board) -> Result<SocketAddr, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Configuration, format!("the status page cannot listen: {error}"))
            .at(address)
            .advise(
                "another program has this port, or another node: set serve.status in party.toml",
            )
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let serving = move || {
        runtime.block_on(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, board).await,
                Err(error) => tracing::error!(%error, "the status page is gone"),
            }
        });
    };
    thread::Builder::new().name("status page".to_owned()).spawn(serving).map_err(failed)?;
    Ok(bound)
}

async fn accept(listener: tokio::net::TcpListener, board: Board) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let board = board.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request, &board);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
            // Whoever breaks off is no trouble.
            let _ = timeout(LONGEST, server.serve_connection(TokioIo::new(stream), service)).await;
            drop(place);
        });
    }
}

/// A page of another site that a browser here has open must not read this one by a name of its own.
fn is_local(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    const HTML: &str = "text/html; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    let ok = |kind, body: String| respond(StatusCode::OK, kind, body);
    if !is_local(request) {
        return respond(StatusCode::FORBIDDEN, TEXT, "not by this name\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/" => ok(HTML, page::whole(&board.known())),
        "/live" => ok(HTML, page::live(&board.known())),
        "/status.json" => ok("application/json", page::json(&board.known())),
        "/metrics" => ok("text/plain; version=0.0.4; charset=utf-8", metrics::text(&board.known())),
        "/health" if board.known().is_well() => ok(TEXT, "well\n".to_owned()),
        "/health" => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not well\n".to_owned()),
        "/style.css" => ok("text/css; charset=utf-8", STYLE.to_owned()),
        "/live.js" => ok("text/javascript; charset=utf-8", SCRIPT.to_owned()),
        path => {
            let run = path.strip_prefix("/receipt/").and_then(|run| run.parse::<u64>().ok());
            match run.and_then(|run| board.known().receipts.get(&run).cloned()) {
                Some(receipt) => ok("application/json", receipt),
                None => respond(StatusCode::NOT_FOUND, TEXT, "there is nothing\n".to_owned()),
            }
        }
    }
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
