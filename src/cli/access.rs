//! Who asks a Prometheus, and whom to trust, as the command line and the environment say it.

use std::path::Path;

use crate::prometheus::{Access, Auth, Identity};
use crate::secret::Secret;

/// What the command line says of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password_file: Option<&'a Path>,
    pub(super) token_file: Option<&'a Path>,
    pub(super) ca: Option<&'a Path>,
    /// A client certificate and its key.
    pub(super) identity: Option<(&'a Path, &'a Path)>,
}

impl Said<'_> {
    /// How `address` is reached, with the password or the token of the environment, `…_PASSWORD` and `…_TOKEN`,
    /// where no file has it.
    pub(super) fn access(&self, address: &str, prefix: &str) -> Result<Access, String> {
        let secret = |path: Option<&Path>, name: &str| {
            if let Some(path) = path {
                return line(path).map(Some);
            }
            let value = std::env::var(format!("{prefix}_{name}")).ok().filter(|value| !value.is_empty());
            Ok(value.map(Secret::new))
        };
        let auth = match self.user {
            Some(user) => {
                let password = secret(self.password_file, "PASSWORD")?;
                Auth::Basic { user: user.to_owned(), password: password.unwrap_or_else(|| Secret::new("")) }
            }
            // Who asks stands in the address.
            None if self.token_file.is_none() && has_user(address) => Auth::None,
            None => secret(self.token_file, "TOKEN")?.map_or(Auth::None, Auth::Bearer),
        };
        let identity = match self.identity {
            Some((certificate, key)) => {
                Some(Identity { certificate: file(certificate)?.into_bytes(), key: Secret::new(file(key)?) })
            }
            None => None,
        };
        let authorities = self.ca.map(file).transpose()?.map(String::into_bytes);
        Ok(Access { auth, authorities, identity, ..Access::to(address) })
    }
}

fn has_user(address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

/// What a file holds, without the end of its last line.
pub(super) fn line(path: &Path) -> Result<Secret, String> {
    Ok(Secret::new(file(path)?.trim_end_matches(['\r', '\n'])))
}

fn file(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
}
