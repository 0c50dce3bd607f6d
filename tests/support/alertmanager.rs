//! Alertmanager, and what Prometheus would send it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use super::{PATIENCE, Server};

/// Alertmanager, on its own.
pub(crate) struct Alertmanager {
    /// Where its pages and its API are.
    address: SocketAddr,
    _server: Server,
}

impl Alertmanager {
    /// Starts it with a configuration; what it says about itself names `http://alertmanager.test`.
    pub(crate) fn start(configuration: &str) -> io::Result<Self> {
        let (server, [address]) = Server::start("Listening on", |folder, [address]| {
            let path = folder.join("alertmanager.yml");
            fs::write(&path, configuration)?;
            let mut command = Command::new("prometheus-alertmanager");
            command.arg("--config.file").arg(path);
            command.arg("--storage.path").arg(folder.join("data"));
            command.arg("--web.listen-address").arg(address.to_string());
            command.args(["--web.external-url=http://alertmanager.test", "--web.route-prefix=/"]);
            command.arg("--cluster.listen-address=");
            Ok(command)
        })?;
        Ok(Self { address, _server: server })
    }

    /// Sends it alerts, as Prometheus does.
    pub(crate) fn send(&self, alerts: &[serde_json::Value]) -> io::Result<()> {
        let body = serde_json::to_string(alerts)?;
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "POST /api/v2/alerts HTTP/1.1\r\nHost: alertmanager\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(io::Error::other(answer)) }
    }
}
