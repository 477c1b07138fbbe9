//! The HTTP server: one thread with a single-threaded runtime, and persistent connections.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::DATE;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower_service::Service as _;

use super::Shared;
use super::control;
use super::reply::{ConnectionClosed, Reply};
use super::request::{Peer, ReceivedRequest};
use super::rest;
use crate::error::Error;
use crate::lmv1::REST_PREFIX;
use crate::process;

/// A running server; it runs until [`Server::stop`].
#[derive(Debug)]
pub(super) struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    process: u32,
}

impl Server {
    /// Listens on a port of 127.0.0.1 and starts to accept connections.
    pub(super) fn start(port: u16, shared: &Arc<Shared>) -> Result<(Self, SocketAddr), Error> {
        let failed = |action: &str| {
            let action = action.to_owned();
            move |cause: std::io::Error| {
                let failed = Error::configuration(format!("the sandbox could not {action}: {cause}"));
                process::refused(failed, &cause)
            }
        };
        let listen = || {
            let listener = StdTcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(failed(&format!("listen on port {port} of 127.0.0.1")))?;
        let runtime = process::build().map_err(failed("start its runtime"))?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(failed("watch its port"))?
        };
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(shared);
        let thread = process::start_thread("lmtokens-sandbox", move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(&listener, &shared) => {}
                }
            });
        })
        .map_err(failed("start its thread"))?;
        Ok((Self { stop, thread, process: std::process::id() }, address))
    }

    /// Closes the listener and every connection before it returns.
    pub(super) fn stop(self) {
        // A forked child has the handle but not the thread: joining it would never return.
        if self.process != std::process::id() {
            std::mem::forget(self);
            return;
        }
        drop(self.stop);
        drop(self.thread.join());
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let control = control::router(Arc::clone(shared));
    for connection in 1.. {
        let (stream, address) = loop {
            match listener.accept().await {
                Ok(accepted) => break accepted,
                // The usual reason is a lack of file descriptors, which may be available again soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let peer = Peer { connection, ip: address.ip() };
        tokio::spawn(serve_connection(stream, peer, Arc::clone(shared), control.clone()));
    }
}

async fn serve_connection(stream: TcpStream, peer: Peer, shared: Arc<Shared>, control: Router) {
    // Responses are small and sent at once: waiting to fill a packet would only delay them.
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| respond(&shared, &control, peer, request));
    // An error means that the client or a fault closed the connection.
    drop(http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service).await);
}

async fn respond(
    shared: &Arc<Shared>,
    control: &Router,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<Body>, ConnectionClosed> {
    let path = request.uri().path();
    let is_rest = path.strip_prefix(REST_PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_rest {
        let request = ReceivedRequest::receive(peer, request).await;
        return rest::serve(shared, request).await.map(Reply::into_response);
    }
    let Ok(mut response) = control.clone().call(request).await as Result<Response<Body>, Infallible>;
    response.headers_mut().extend(shared.clock().http_date().parse().ok().map(|date| (DATE, date)));
    Ok(response)
}
