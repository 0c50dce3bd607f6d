//! Certificates for tests, by an authority of their own.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// `secret`, hashed by `htpasswd`, as a web configuration file has it.
pub(crate) const HASH: &str = "$2y$04$ZcQsFy/Y35mh4bW2BCFcz.JFMpr5a7OYVqPT8UAMHT20gKAnEx/oO";

/// Writes an authority, `ca.pem`, and by it a certificate for this machine, `server`, and one for a `client`.
pub(crate) fn certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Keeper");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let mut own = CertificateParams::new(names).unwrap();
        own.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let own = own.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), own.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
