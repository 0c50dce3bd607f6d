//! A name server and TLS servers for tests.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::Server;

/// dnsmasq, which knows what `fixtures/real/dnsmasq.conf` says.
pub(crate) struct Dnsmasq {
    /// Where it listens, for datagrams and for connections.
    pub(crate) address: SocketAddr,
    _server: Server,
}

impl Dnsmasq {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        let (server, [address]) = Server::start("started, version", |_, [address]| {
            let mut command = Command::new("dnsmasq");
            // Started by root it would become a user whom not every machine has.
            command.args(["--conf-file=fixtures/real/dnsmasq.conf", "--user=root", "--log-facility=-"]);
            command
                .arg(format!("--listen-address={}", address.ip()))
                .arg(format!("--port={}", address.port()));
            Ok(command)
        })?;
        Ok(Self { address, _server: server })
    }
}

/// `openssl s_server`, which shows a certificate for `shop.test` that an authority of its own has issued.
pub(crate) struct OpenSsl {
    /// Where it shakes hands.
    pub(crate) address: SocketAddr,
    server: Server,
}

impl OpenSsl {
    /// Starts it with a certificate that holds from and until the first of January of these years.
    pub(crate) fn start(from: i32, until: i32) -> io::Result<Self> {
        let mut root = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, "Drill Root");
        let root_key = KeyPair::generate().map_err(io::Error::other)?;
        let root = CertifiedIssuer::self_signed(root, root_key).map_err(io::Error::other)?;
        let names = ["shop.test", "*.shop.test", "192.0.2.1"].map(ToOwned::to_owned);
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "UA");
        params.distinguished_name.push(DnType::OrganizationName, "Drill Shop");
        params.distinguished_name.push(DnType::CommonName, "shop.test");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let own = params.signed_by(&key, &root).map_err(io::Error::other)?;
        let (server, [address]) = Server::start("ACCEPT", |folder, [address]| {
            let [root_file, own_file, key_file] =
                ["ca.pem", "certificate.pem", "key.pem"].map(|name| folder.join(name));
            fs::write(root_file, root.pem())?;
            fs::write(&own_file, own.pem())?;
            fs::write(&key_file, key.serialize_pem())?;
            let mut command = Command::new("openssl");
            command.args(["s_server", "-www", "-accept", &address.to_string()]);
            command.arg("-cert").arg(own_file).arg("-key").arg(key_file);
            Ok(command)
        })?;
        Ok(Self { address, server })
    }

    /// A file that came with it: `ca.pem` or `certificate.pem`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.server.folder.0.join(name)
    }
}
