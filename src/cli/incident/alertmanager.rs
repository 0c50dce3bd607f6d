//! How the Alertmanager of an incident is reached: by words of its own, as what proves somebody to a Prometheus is
//! nothing for others to see.

use std::path::PathBuf;

use clap::Args;

use crate::cli::access::Said;
use crate::cli::reach::{header, headers};
use crate::prometheus::Access;

/// Who asks the Alertmanager, and whom to trust.
#[derive(Debug, Args)]
pub(super) struct Alertmanager {
    /// The Alertmanager that was told, whose routing is kept too
    #[arg(id = "alertmanager", long = "alertmanager", value_name = "URL", help_heading = "Source")]
    pub(super) address: Option<String>,

    /// Who asks the Alertmanager; the password is in the file or in `FIREDRILL_ALERTMANAGER_PASSWORD`
    #[arg(
        id = "alertmanager_user",
        long = "alertmanager-user",
        value_name = "NAME",
        requires = "alertmanager",
        help_heading = "Access to Alertmanager",
        hide_short_help = true
    )]
    user: Option<String>,

    /// A file with the password
    #[arg(
        id = "alertmanager_password_file",
        long = "alertmanager-password-file",
        value_name = "FILE",
        requires = "alertmanager_user",
        help_heading = "Access to Alertmanager",
        hide_short_help = true
    )]
    password_file: Option<PathBuf>,

    /// A file with a bearer token; `FIREDRILL_ALERTMANAGER_TOKEN` is one, too
    #[arg(
        id = "alertmanager_token_file",
        long = "alertmanager-token-file",
        value_name = "FILE",
        requires = "alertmanager",
        conflicts_with = "alertmanager_user",
        help_heading = "Access to Alertmanager",
        hide_short_help = true
    )]
    token_file: Option<PathBuf>,

    /// A header that every question has; `NAME: @FILE` reads it from a file. Repeatable
    #[arg(
        id = "alertmanager_header",
        long = "alertmanager-header",
        value_name = "HEADER",
        value_parser = header,
        requires = "alertmanager",
        help_heading = "Access to Alertmanager",
        hide_short_help = true
    )]
    headers: Vec<(String, String)>,

    /// Certificates of the authorities to trust, PEM
    #[arg(
        id = "alertmanager_ca",
        long = "alertmanager-ca",
        value_name = "FILE",
        requires = "alertmanager",
        help_heading = "Access to Alertmanager",
        hide_short_help = true
    )]
    ca: Option<PathBuf>,

    /// A client certificate, PEM
    #[arg(
        id = "alertmanager_cert",
        long = "alertmanager-cert",
        value_name = "FILE",
        requires_all = ["alertmanager", "alertmanager_key"],
        help_heading = "Access to Alertmanager",
        hide_short_help = true
    )]
    cert: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(
        id = "alertmanager_key",
        long = "alertmanager-key",
        value_name = "FILE",
        requires = "alertmanager_cert",
        help_heading = "Access to Alertmanager",
        hide_short_help = true
    )]
    key: Option<PathBuf>,
}

impl Alertmanager {
    /// How it is reached, if one is asked.
    ///
    /// # Errors
    /// When a file cannot be read, in a sentence.
    pub(super) fn access(&self) -> Result<Option<Access>, String> {
        let Some(address) = &self.address else { return Ok(None) };
        let said = Said {
            user: self.user.as_deref(),
            password_file: self.password_file.as_deref(),
            token_file: self.token_file.as_deref(),
            ca: self.ca.as_deref(),
            identity: self.cert.as_deref().zip(self.key.as_deref()),
        };
        let headers = headers(&self.headers)?;
        Ok(Some(Access { headers, ..said.access(address, "FIREDRILL_ALERTMANAGER")? }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;
    use crate::cli::reach::Reach;
    use crate::prometheus::Auth;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        alertmanager: Alertmanager,
    }

    fn who(access: &Access) -> &str {
        match &access.auth {
            Auth::Basic { user, .. } => user,
            Auth::None => "nobody",
            Auth::Bearer(_) => "a bearer",
        }
    }

    #[rstest]
    #[case::not_as_the_prometheus(&["--user=anna"], ("anna", "nobody", 0))]
    #[case::as_itself(&["--alertmanager-user=berta", "--alertmanager-header=X-Id: b"], ("nobody", "berta", 1))]
    #[case::each_as_its_own(&["--user=anna", "--header=X-Id: a", "--alertmanager-user=berta"], ("anna", "berta", 0))]
    fn each_is_asked_by_its_own_words(#[case] words: &[&str], #[case] expected: (&str, &str, usize)) {
        let all = ["x", "--alertmanager=http://127.0.0.1:9093"].iter().chain(words);
        let words = Words::try_parse_from(all).unwrap();
        let prometheus = words.reach.access("http://127.0.0.1:9090").unwrap();
        let alertmanager = words.alertmanager.access().unwrap().unwrap();
        assert_eq!((who(&prometheus), who(&alertmanager), alertmanager.headers.len()), expected);
    }
}
