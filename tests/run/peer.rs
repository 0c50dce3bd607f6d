//! Targets to probe, each made for one test on a free local port; they end with the test.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves every connection with `talk`, which is also told how many came before it.
pub(crate) fn serve(talk: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let talk = Arc::new(talk);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (talk, stream) = (Arc::clone(&talk), stream.unwrap());
            thread::spawn(move || talk(stream, number));
        }
    });
    address
}

/// A port that nothing listens on.
pub(crate) fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// How many requests came before it.
    pub(crate) number: usize,
    /// `GET /path?query`.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

/// An answer to be sent, with its length and the end of the connection said.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// `200`, with JSON.
pub(crate) fn json(body: &str) -> Vec<u8> {
    answer(200, "content-type: application/json\r\n", body)
}

/// Answers every request, one a connection.
pub(crate) fn http(reply: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let requests = AtomicUsize::new(0);
    serve(move |mut stream, _| {
        let Some(mut heard) = hear(&mut stream) else { return };
        heard.number = requests.fetch_add(1, Ordering::SeqCst);
        stream.write_all(&reply(&heard)).ok();
    })
}

/// Reads one request; `None` if the peer is gone.
pub(crate) fn hear(stream: &mut impl Read) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| {
            line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        })
        .collect();
    let mut heard = Heard { line, headers, ..Heard::default() };
    let mut body = vec![0; heard.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    heard.body = String::from_utf8(body).unwrap();
    Some(heard)
}

/// Waits until the other end is gone, and reads what it says meanwhile.
pub(crate) fn hold(mut stream: impl Read) {
    let mut piece = [0; 4096];
    while stream.read(&mut piece).is_ok_and(|count| count > 0) {}
}

/// Sends `piece` again and again until the other end is gone.
pub(crate) fn flood(mut stream: impl Write, piece: &[u8]) {
    let pieces = piece.repeat((64 << 10) / piece.len().max(1) + 1);
    while stream.write_all(&pieces).is_ok() {}
}

/// Sends a byte about ten times a second until the other end is gone.
pub(crate) fn drip(mut stream: TcpStream, byte: u8) {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut piece = [0; 4096];
    while stream.write_all(&[byte]).is_ok() {
        match stream.read(&mut piece) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// A certificate for `127.0.0.1`, signed by itself: as a PEM, and as a server that shows it.
pub(crate) fn identity() -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (made.cert.pem(), Arc::new(config))
}

/// The server's end of TLS.
pub(crate) fn secure(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}
